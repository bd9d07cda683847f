//! Values of keys that are written in a way of their own: sizes, budgets, networks, proxies, and words beside a length
//! of time.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use crate::model::{Period, written_as};

/// What `log_level` and `RUST_LOG` may be, for one who wrote something else.
pub const LOG_LEVELS: &str =
    "is no level: write error, warn, info, debug or trace, or a filter such as info,hyper=debug";

/// Whether a filter is one, and says what was meant: a mere word such as `warning` would be taken for a part of the
/// program, of which there is none, and nothing at all would be logged.
#[must_use]
pub fn is_log_filter(filter: &str) -> bool {
    let is_meant = |part: &str| {
        part.is_empty()
            || part.contains(['=', '[', ':'])
            || part == env!("CARGO_PKG_NAME")
            || part.parse::<LevelFilter>().is_ok()
    };
    !filter.is_empty() && filter.split(',').all(is_meant) && EnvFilter::try_new(filter).is_ok()
}

/// A number of bytes: `"1GiB"`, `"8MiB"`, `"512KiB"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write it like \"8MiB\" or \"512KiB\"");
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (count, unit) = trimmed.split_at(split);
        let count: usize = count.parse().map_err(|_| wrong())?;
        let unit = match unit.trim() {
            "" | "B" => 1,
            "KiB" | "KB" | "kB" => 1 << 10,
            "MiB" | "MB" => 1 << 20,
            "GiB" | "GB" => 1 << 30,
            _ => return Err(wrong()),
        };
        count.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "size",
            "examples": ["8MiB", "512KiB", "1GiB"],
            "anyOf": [
                { "type": "string", "pattern": r"^\s*\d+\s*(B|[KkMG]i?B)?\s*$" },
                { "type": "integer", "minimum": 0 }
            ]
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        let whole = |(size, _): &&(usize, &str)| self.0.is_multiple_of(*size);
        let (size, unit) = units.iter().find(whole).copied().unwrap_or((1, "B"));
        serializer.serialize_str(&format!("{}{unit}", self.0 / size))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(usize),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// At most so many messages in any stretch of so long: `"20/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many messages, at least 1.
    pub messages: usize,
    /// In how long: a minute, an hour or a day.
    pub window: Duration,
}

/// What a budget may be counted by.
const WINDOWS: [(&str, u64); 3] = [("min", 60), ("h", 3_600), ("d", 86_400)];

/// More than this in a minute is no limit.
const LARGEST_BUDGET: usize = 10_000;

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no budget; write it like \"20/h\", \"5/min\" or \"100/d\"");
        let (messages, unit) = text.split_once('/').ok_or_else(wrong)?;
        let messages = messages.trim().parse().map_err(|_| wrong())?;
        let (_, seconds) = WINDOWS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        if messages == 0 {
            return Err(format!("`{text}` would let nothing through; at least 1 message must be allowed"));
        }
        if messages > LARGEST_BUDGET {
            return Err(format!("`{text}` is more than anyone sends; the most is {LARGEST_BUDGET}"));
        }
        Ok(Self { messages, window: Duration::from_secs(*seconds) })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = WINDOWS.iter().find(|(_, seconds)| *seconds == self.window.as_secs());
        write!(f, "{}/{}", self.messages, unit.map_or("h", |(name, _)| name))
    }
}

written_as!(Budget, "budget", r"^\s*([1-9]\d{0,3}|10000)\s*/\s*(min|h|d)\s*$", ["20/h", "5/min", "100/d"]);

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A network, `192.168.1.0/24`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

written_as!(Network, "network", r"^[0-9A-Fa-f.:]+(/\d+)?$", ["192.168.1.0/24", "127.0.0.1"]);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map(Self).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is no network; write it like \"192.168.1.0/24\", or a single address like \"127.0.0.1\""
            ))
        })
    }
}

/// An optional address, empty for none.
#[derive(Clone, Default)]
pub struct Proxy(pub Option<Url>);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its address may hold a password.
        f.debug_tuple("Proxy").field(&self.0.as_ref().and_then(Url::host_str)).finish()
    }
}

written_as!(
    Proxy,
    "proxy",
    "^((https?|socks5h?)://.+)?$",
    ["http://proxy.example:3128", "socks5://127.0.0.1:1080"]
);

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        // The address may hold a password, so the message does not repeat it.
        Url::parse(&text)
            .map(|url| Self(Some(url)))
            .map_err(|error| de::Error::custom(format!("not a URL: {error}")))
    }
}

/// `"never"`, or a length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reminder(pub Option<Period>);

impl JsonSchema for Reminder {
    fn schema_name() -> Cow<'static, str> {
        "Reminder".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        words_or_period(&["never"], generator)
    }
}

/// Some words, or a length of time.
fn words_or_period(words: &[&str], generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "enum": words }, Period::json_schema(generator)] })
}

impl Serialize for Reminder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str("never"),
            Some(period) => period.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Reminder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(Self(None));
        }
        text.parse().map(|period| Self(Some(period))).map_err(de::Error::custom)
    }
}

/// `"auto"`, `"never"`, or a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Three times the larger of the schedule's gap and the data's own rhythm; for a market only where its
    /// hours are known, and in open time.
    Auto,
    /// Not told.
    Never,
    /// After so long.
    After(Period),
}

impl JsonSchema for Stale {
    fn schema_name() -> Cow<'static, str> {
        "Stale".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        words_or_period(&["auto", "never"], generator)
    }
}

impl Serialize for Stale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Never => serializer.serialize_str("never"),
            Self::After(period) => period.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            text => text.parse().map(Self::After).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_the_log_says_what_was_meant() {
        for filter in ["info", "WARN", "off", "info,hyper=debug", "info,", "stakeout", "stakeout[{a}]=debug"]
        {
            assert!(is_log_filter(filter), "{filter}");
        }
        for filter in ["", "warning", " info", "info,stakeout=loud", "info, debug", "info,foo=bar=debug"] {
            assert!(!is_log_filter(filter), "{filter}");
        }
    }

    #[test]
    fn a_network_may_be_a_single_address() {
        #[derive(Debug, Deserialize)]
        struct Allowed {
            networks: Vec<Network>,
        }
        let read = |text: &str| toml::from_str::<Allowed>(&format!("networks = [\"{text}\"]"));
        for (text, network) in
            [("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128")]
        {
            assert_eq!(read(text).unwrap().networks[0].0.to_string(), network);
        }
        for text in ["localhost", "10.0.0.0/33", ""] {
            assert!(read(text).unwrap_err().to_string().contains("is no network"), "{text}");
        }
    }

    #[test]
    fn a_budget_is_read_as_people_write_it() {
        for (text, messages, seconds) in [("20/h", 20, 3_600), (" 5 / min ", 5, 60), ("100/d", 100, 86_400)] {
            let budget: Budget = text.parse().unwrap();
            assert_eq!(budget, Budget { messages, window: Duration::from_secs(seconds) });
            assert_eq!(budget.to_string(), text.replace(' ', ""));
        }
        for text in ["20", "20/", "h/20", "-1/h", "0/h", "2.5/h", "20/week", "99999/min"] {
            assert!(text.parse::<Budget>().unwrap_err().contains(text), "{text}");
        }
    }
}
