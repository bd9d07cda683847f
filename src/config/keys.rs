//! The keys of the daemon's own tables, with their defaults.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use url::Url;

use crate::model::{OnFirst, Period, Secret};

/// `[daemon]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// Where `stakeout.db` lies, relative to the configuration file; when left out `data`, or
    /// `/var/lib/stakeout` for a configuration in `/etc/stakeout`. `STAKEOUT_DATA_DIR` goes before it.
    pub data_dir: PathBuf,
    /// For schedules, quiet hours and times in messages where a watch names none.
    pub timezone: String,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,stakeout::http=debug`.
    pub log_level: String,
    /// For people, or for machines.
    pub log_format: LogFormat,
    /// How many requests may be under way at once.
    pub max_concurrent_runs: usize,
    /// How long rows are kept.
    pub retention: Retention,
    /// Pinged every minute while all is well.
    pub heartbeat_url: Option<Secret>,
    /// When it says that it is alive, as a crontab line; empty for never.
    pub proof_of_life: String,
    /// When the database is copied, and how many copies are kept.
    pub backup: BackupKeys,
    /// The database grows no larger.
    pub max_database: Option<Size>,
    /// How deliveries are tried again.
    pub retry: Retry,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            timezone: "UTC".into(),
            log_level: "info".into(),
            log_format: LogFormat::Text,
            max_concurrent_runs: 64,
            retention: Retention::default(),
            heartbeat_url: None,
            proof_of_life: String::new(),
            backup: BackupKeys::default(),
            max_database: None,
            retry: Retry::default(),
        }
    }
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// How long rows are kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Quotes, listings, values and texts.
    pub observations: Period,
    /// Bars.
    pub candles: Period,
    /// Runs.
    pub runs: Period,
    /// Alerts and settled deliveries.
    pub alerts: Period,
}

const fn days(days: u64) -> Period {
    Period::from_secs(days * 86_400)
}

impl Retention {
    /// From when on it is known what became of slots.
    #[must_use]
    pub fn runs_kept_since(&self, now: jiff::Timestamp) -> jiff::Timestamp {
        now.checked_sub(self.runs.0).unwrap_or(jiff::Timestamp::MIN)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { observations: days(400), candles: days(400), runs: days(30), alerts: days(400) }
    }
}

/// Copies of the database, in `backups` beside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupKeys {
    /// How many are kept; none are made for 0.
    pub keep: usize,
    /// When, as a crontab line.
    pub cron: String,
}

impl Default for BackupKeys {
    fn default() -> Self {
        Self { keep: 0, cron: "30 3 * * *".into() }
    }
}

/// How deliveries are tried again: the wait doubles from `first` to `longest`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first wait.
    pub first: Period,
    /// The longest wait.
    pub longest: Period,
    /// A delivery that is older than this when it fails is dead.
    pub give_up_after: Period,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Period::from_secs(2), longest: Period::from_secs(900), give_up_after: days(3) }
    }
}

/// `[web]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Whether there is a web server.
    pub enabled: bool,
    /// Where the web server listens; off loopback a token is required.
    pub listen: SocketAddr,
    /// What a caller must show.
    pub token: Option<Secret>,
    /// How people reach it, such as `https://stakeout.example.org`, where that is not `listen`: only this and
    /// loopback are answered by name, and messages may link there.
    pub public_url: Option<Url>,
    /// Whether another port will do where this one is taken; nobody says so in a file.
    #[serde(skip)]
    pub or_another_port: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: (Ipv4Addr::LOCALHOST, 8_787).into(),
            token: None,
            public_url: None,
            or_another_port: false,
        }
    }
}

/// `[fetch]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// For a whole answer.
    pub timeout: Period,
    /// Sent where a source brings none of its own; the daemon's own name when left out.
    pub user_agent: Option<String>,
    /// The largest body taken, after decompression.
    pub max_body: Size,
    /// Whether private addresses may be fetched.
    pub allow_private_networks: bool,
    /// Private networks that may be fetched all the same, such as `192.168.1.0/24`.
    pub allow_networks: Vec<Network>,
    /// A file of certificates, in PEM, that are trusted beside those of the system; relative to the
    /// configuration file, empty for none.
    pub ca_file: Option<PathBuf>,
    /// How long a host is left alone that refused or did not answer.
    pub backoff: BackoffKeys,
    /// The pace of a host that has none of its own.
    pub per_host: Pace,
    /// The pace of single hosts.
    pub host: HashMap<String, Pace>,
    /// An HTTP or SOCKS proxy; empty for none.
    pub proxy: Proxy,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            timeout: Period::from_secs(20),
            user_agent: None,
            max_body: Size(8 << 20),
            allow_private_networks: false,
            allow_networks: Vec::new(),
            ca_file: None,
            backoff: BackoffKeys::default(),
            per_host: Pace::default(),
            host: HashMap::new(),
            proxy: Proxy(None),
        }
    }
}

/// A network, `192.168.1.0/24`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

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

/// The pace of a host.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// How many requests may be under way at once.
    pub max_concurrent: Option<usize>,
    /// The least time between the starts of two requests.
    pub min_interval: Option<Period>,
    /// Up to so much is added to `min_interval`, by chance.
    pub jitter: Option<Period>,
    /// How many requests may start at once after a pause.
    pub burst: Option<u32>,
}

/// How long a host is left alone that refused or did not answer: twice as long each time, from `first` to
/// `longest`, and half as long after each good answer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffKeys {
    /// The first wait; zero for none but those that the host asks for.
    pub first: Period,
    /// The longest wait.
    pub longest: Period,
}

impl Default for BackoffKeys {
    fn default() -> Self {
        Self { first: Period::from_secs(10), longest: Period::from_secs(3_600) }
    }
}

/// Of a source's table, what a source of any kind understands: how it is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestKeys {
    /// Headers beside those of the source, or in their place.
    pub headers: BTreeMap<String, Secret>,
    /// Cookies.
    pub cookies: BTreeMap<String, Secret>,
    /// Instead of `GET`, where the address is the owner's own.
    pub method: Option<String>,
    /// What is sent with it.
    pub body: Option<Secret>,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// An HTTP or SOCKS proxy; empty for none.
    pub proxy: Option<Proxy>,
    /// For a whole answer.
    pub timeout: Option<Period>,
    /// Whether a redirect may lead from `https` to `http`.
    pub allow_downgrade: Option<bool>,
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

/// Of `[notify.NAME]`, what a notifier of any kind understands; the other keys are its kind's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyKeys {
    /// From the first message on so long, what comes is gathered into one.
    pub bundle: Period,
    /// At most so many messages in so long; what is beyond is gathered into digests.
    pub budget: Option<Budget>,
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

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// `[alerting]`: defaults for every watch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerting {
    /// What happens at first sight; what each strategy wants when left out.
    pub on_first: Option<OnFirst>,
    /// Whether ends are told; what each strategy wants when left out.
    pub resolved: Option<bool>,
    /// Firing readings in a row before it is news.
    pub after: u32,
    /// Quiet readings in a row before it is over.
    pub resolve_after: u32,
    /// Failed runs in a row before "failing" is news.
    pub fail_after: u32,
    /// No newer data for so long is news.
    pub stale_after: Stale,
    /// Tell again that it is still so.
    pub remind_every: Reminder,
    /// After a message about a subject, no other but its end for so long.
    pub cooldown: Period,
    /// Hours in which messages wait.
    pub quiet_hours: String,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            on_first: None,
            resolved: None,
            after: 1,
            resolve_after: 1,
            fail_after: 3,
            stale_after: Stale::Auto,
            remind_every: Reminder(None),
            cooldown: Period::ZERO,
            quiet_hours: String::new(),
        }
    }
}

/// `"never"`, or a length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reminder(pub Option<Period>);

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

/// `[watch.NAME]`, but for `source` and `strategy`, which belong to the plug-ins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchKeys {
    /// An interval; or `cron`, never both.
    pub every: Option<Period>,
    /// Crontab's five fields.
    pub cron: Option<String>,
    /// For the schedule, quiet hours and times in messages.
    pub timezone: Option<String>,
    /// When it may be due: the name of an exchange, or hours, days and perhaps a zone.
    pub hours: Option<String>,
    /// Whom to tell; every notifier when left out.
    pub notify: Option<Vec<String>>,
    /// Free words that travel with the alerts.
    pub labels: BTreeMap<String, String>,
    /// `false` pauses it.
    pub enabled: Option<bool>,
    /// The name it had before.
    pub was: Option<String>,
    /// What happens at first sight.
    pub on_first: Option<OnFirst>,
    /// Whether the end is told.
    pub resolved: Option<bool>,
    /// Whether its messages wait for nothing: no quiet hours, no bundle, no budget.
    pub urgent: bool,
    /// While one of these is failing, openings of this one are not told.
    pub depends_on: Vec<String>,
    /// As in `[alerting]`.
    pub after: Option<u32>,
    /// As in `[alerting]`.
    pub resolve_after: Option<u32>,
    /// As in `[alerting]`.
    pub fail_after: Option<u32>,
    /// As in `[alerting]`.
    pub stale_after: Option<Stale>,
    /// As in `[alerting]`.
    pub remind_every: Option<Reminder>,
    /// As in `[alerting]`.
    pub cooldown: Option<Period>,
    /// As in `[alerting]`.
    pub quiet_hours: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
