//! What one fetch saw of one subject.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::Evidence;

/// What one fetch saw of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Observation {
    /// Who or what was seen: a symbol, an item number, a region, a page's title.
    pub subject: String,
    /// When it was so: the moment of the run, or the value's own date for a dated series.
    pub observed_at: Timestamp,
    /// Where a person can look at it.
    pub url: Option<String>,
    /// What was seen.
    #[serde(flatten)]
    pub reading: Reading,
    /// What the parts of a shop's page said, where several were heard. It is known only in the run that
    /// read the page: it is neither stored nor compared with what was seen before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Observation {
    /// Every text that the answer gave, but for the address.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let read = match &mut self.reading {
            Reading::Candles { .. } | Reading::Quote(_) => [None, None, None],
            Reading::Listing(Listing { sku, name, price_currency, .. }) => {
                [Some(sku), Some(name), price_currency.as_mut()]
            }
            Reading::Value { unit: text, .. } | Reading::Text { text } => [Some(text), None, None],
        };
        let said = self.evidence.iter_mut();
        let said = said.flat_map(|one| [Some(&mut one.excerpt), one.price_currency.as_mut()]);
        [&mut self.subject].into_iter().chain(read.into_iter().chain(said).flatten())
    }
}

/// An observation of an earlier run, with how long it stayed so.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// What was seen, as it was first seen.
    pub observation: Observation,
    /// The last run that still saw the same.
    pub last_seen_at: Timestamp,
    /// How many runs saw it, at least one.
    pub times_seen: u32,
}

/// The observed thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reading {
    /// Closed OHLCV bars, oldest first, one per bar.
    Candles {
        /// The length of a bar.
        #[schema(value_type = String, pattern = "^[0-9]+[mhdw]$")]
        interval: Interval,
        /// Oldest first, closed bars only, every number finite.
        candles: Vec<Candle>,
    },
    /// The last traded price.
    Quote(Quote),
    /// A product on sale.
    Listing(Listing),
    /// A number.
    Value {
        /// The number itself, finite.
        value: f64,
        /// What it counts, such as `USD per gallon`; empty when the source does not say.
        unit: String,
    },
    /// A text.
    Text {
        /// The text as shown, without markup.
        text: String,
    },
}

impl Reading {
    /// Which of the kinds this is.
    #[must_use]
    pub const fn kind(&self) -> ReadingKind {
        match self {
            Self::Candles { .. } => ReadingKind::Candles,
            Self::Quote(_) => ReadingKind::Quote,
            Self::Listing(_) => ReadingKind::Listing,
            Self::Value { .. } => ReadingKind::Value,
            Self::Text { .. } => ReadingKind::Text,
        }
    }
}

/// The kinds of reading, for matching sources with strategies before anything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadingKind {
    /// OHLCV bars.
    Candles,
    /// A last traded price.
    Quote,
    /// A product on sale.
    Listing,
    /// A number.
    Value,
    /// A text.
    Text,
}

impl fmt::Display for ReadingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Candles => "candles",
            Self::Quote => "quotes",
            Self::Listing => "listings",
            Self::Value => "values",
            Self::Text => "text",
        })
    }
}

/// One OHLCV bar.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candle {
    /// The start of the bar, floored to its interval, UTC.
    pub open_time: Timestamp,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Traded amount; zero where the service gives none.
    pub volume: f64,
}

/// The length of a bar, written `1m`, `30m`, `1h`, `1d`, `1w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    minutes: u32,
}

impl Interval {
    /// So many minutes; `None` for zero.
    #[must_use]
    pub const fn from_minutes(minutes: u32) -> Option<Self> {
        if minutes == 0 { None } else { Some(Self { minutes }) }
    }

    /// The length in whole minutes.
    #[must_use]
    pub const fn minutes(self) -> u32 {
        self.minutes
    }

    /// The length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.minutes as i64 * 60
    }

    /// The length as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.minutes as u64 * 60)
    }

    /// The start of the bar that `time` lies in: whole intervals since the epoch for bars of up to a
    /// day, the Monday before for a week.
    #[must_use]
    pub fn floor(self, time: Timestamp) -> Timestamp {
        // 1970-01-01 was a Thursday; weeks start on Mondays.
        const FIRST_MONDAY: i64 = 4 * 86_400;
        let origin = if self.minutes.is_multiple_of(7 * 1_440) { FIRST_MONDAY } else { 0 };
        let seconds = time.as_second();
        let floored = seconds - (seconds - origin).rem_euclid(self.seconds());
        Timestamp::from_second(floored).unwrap_or(time)
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not the length of a bar; write it like \"1m\", \"30m\", \"1h\", \"1d\" or \"1w\""
            )
        };
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (count, unit) = text.split_at(split);
        let count: u32 = count.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 1_440,
            "w" | "wk" => 7 * 1_440,
            _ => return Err(wrong()),
        };
        count.checked_mul(unit).and_then(Self::from_minutes).ok_or_else(wrong)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(7 * 1_440, "w"), (1_440, "d"), (60, "h"), (1, "m")];
        let (unit, name) =
            units.into_iter().find(|(unit, _)| self.minutes.is_multiple_of(*unit)).unwrap_or((1, "m"));
        write!(f, "{}{name}", self.minutes / unit)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

super::written_as!(Interval, "length of a bar", r"^\d+(m|h|d|w|wk)$", ["1m", "30m", "1h", "1d", "1w"]);

/// The last traded price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// Last traded price.
    pub price: f64,
    /// Best bid, where the service gives one.
    pub bid: Option<f64>,
    /// Best ask, where the service gives one.
    pub ask: Option<f64>,
    /// Traded amount of the last 24 hours (or of the session), where the service gives one.
    pub volume: Option<f64>,
    /// When the last trade was, where the service says.
    pub quoted_at: Option<Timestamp>,
}

/// A product on sale: schema.org's `Product` with its `Offer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// The shop's item number; the key of the subject.
    pub sku: String,
    /// The product's name as shown, white space collapsed.
    pub name: String,
    /// The price, where one is shown.
    pub price: Option<f64>,
    /// ISO 4217, where known.
    pub price_currency: Option<String>,
    /// Whether it can be had.
    pub availability: Availability,
}

/// schema.org's `ItemAvailability`, as far as shops use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Can be bought now.
    InStock,
    /// Can be bought now, but not everywhere or not many.
    LimitedAvailability,
    /// Can be ordered before it is published.
    PreOrder,
    /// Can be ordered, will come later.
    BackOrder,
    /// Cannot be bought.
    OutOfStock,
    /// Will never come back.
    Discontinued,
    /// The page does not say. Never a reason for an alert.
    Unknown,
}

impl Availability {
    /// Whether it can be bought and is there.
    #[must_use]
    pub const fn is_buyable(self) -> bool {
        matches!(self, Self::InStock | Self::LimitedAvailability)
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InStock => "in stock",
            Self::LimitedAvailability => "limited availability",
            Self::PreOrder => "pre-order",
            Self::BackOrder => "back order",
            Self::OutOfStock => "out of stock",
            Self::Discontinued => "discontinued",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_shown_and_floor_a_time() {
        for (text, shown, floored) in [
            ("1m", "1m", "2026-11-21T10:44:00Z"),
            ("30m", "30m", "2026-11-21T10:30:00Z"),
            ("60m", "1h", "2026-11-21T10:00:00Z"),
            ("1d", "1d", "2026-11-21T00:00:00Z"),
            ("1wk", "1w", "2026-11-16T00:00:00Z"),
        ] {
            let interval: Interval = text.parse().expect(text);
            assert_eq!(interval.to_string(), shown);
            let time: Timestamp = "2026-11-21T10:44:31Z".parse().expect("a time");
            assert_eq!(interval.floor(time).to_string(), floored, "{text}");
        }
        for text in ["", "m", "0m", "1", "1y", "99999999d"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_text_of_an_observation_is_overlooked() {
        let word = || "text-of-the-answer".to_owned();
        let listing = Listing {
            sku: word(),
            name: word(),
            price: Some(1.0),
            price_currency: Some(word()),
            availability: Availability::Unknown,
        };
        let one = Evidence {
            from: crate::model::Witness::Button,
            availability: None,
            price: None,
            price_currency: Some(word()),
            excerpt: word(),
            weak: false,
        };
        for reading in [
            Reading::Quote(Quote::default()),
            Reading::Listing(listing),
            Reading::Value { value: 1.0, unit: word() },
            Reading::Text { text: word() },
        ] {
            let observed_at = Timestamp::UNIX_EPOCH;
            let evidence = vec![one.clone()];
            let mut seen = Observation { subject: word(), observed_at, url: None, reading, evidence };
            seen.texts_mut().for_each(String::clear);
            let json = serde_json::to_string(&seen).expect("JSON");
            assert!(!json.contains("of-the-answer"), "{json}");
        }
    }

    #[test]
    fn an_observation_keeps_its_promised_json_shape() {
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let observation = Observation {
            subject: "N82E1".into(),
            observed_at: at,
            url: None,
            reading: Reading::Listing(Listing {
                sku: "N82E1".into(),
                name: "Card".into(),
                price: Some(499.0),
                price_currency: Some("USD".into()),
                availability: Availability::InStock,
            }),
            evidence: Vec::new(),
        };
        let json = serde_json::to_value(&observation).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"subject": "N82E1", "observed_at": "2026-11-21T10:00:00Z", "url": null,
                "kind": "listing", "sku": "N82E1", "name": "Card", "price": 499.0,
                "price_currency": "USD", "availability": "in_stock"})
        );
        assert_eq!(serde_json::from_value::<Observation>(json).expect("read back"), observation);
    }
}
