//! Numbers and moments as services write them.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Deserializer, de};

/// A number, or a text that is one. `None` for null, for what is finite nowhere (`"Infinity"`, `"NaN"`)
/// and for any other text: services write all of these where they have no number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

impl Number {
    /// The number that a JSON value is or spells.
    pub(super) fn of(value: &serde_json::Value) -> Option<f64> {
        Self::deserialize(value).ok().and_then(|number| number.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

fn finite(number: f64) -> Number {
    Number(Some(number).filter(|number| number.is_finite()))
}

struct NumberVisitor;

#[expect(clippy::cast_precision_loss, reason = "prices and epochs are far below 2^53")]
impl de::Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text that is one")
    }
    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(finite(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(finite(number as f64))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(finite(number as f64))
    }
    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(text.trim().parse().map_or(Number(None), finite))
    }
    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(None))
    }
}

/// The moment so many seconds after the epoch; `None` outside the calendar.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the calendar ends earlier")]
pub(super) fn seconds(epoch: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((epoch * 1_000.0).round() as i64).ok()
}

/// The moment that an epoch of seconds or milliseconds means, told apart by their size: 1e11 seconds lie
/// three thousand years ahead, 1e11 milliseconds in 1973.
pub(super) fn epoch(number: f64) -> Option<Timestamp> {
    seconds(if number.abs() < 1e11 { number } else { number / 1_000.0 })
}

/// The moment that a text means: RFC 3339; a date with or without a time but without a zone, read as
/// UTC; or a date as Americans write it, `03/27/2017`.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let local: civil::DateTime = text.parse().ok().or_else(|| {
        Some(civil::Date::strptime("%m/%d/%Y", text).ok()?.to_datetime(civil::Time::midnight()))
    })?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_however_it_is_written() {
        for (json, number) in [
            ("4.5", Some(4.5)),
            ("-3", Some(-3.0)),
            ("\"1185.66\"", Some(1185.66)),
            ("\" 2 \"", Some(2.0)),
            ("null", None),
            ("\"Infinity\"", None),
            ("\"-Infinity\"", None),
            ("\"NaN\"", None),
            ("\"\"", None),
            ("\"n/a\"", None),
        ] {
            assert_eq!(serde_json::from_str::<Number>(json).expect(json).0, number, "{json}");
        }
        for json in ["true", "[1]", "{}"] {
            assert!(serde_json::from_str::<Number>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_moment_is_read_however_it_is_written() {
        for text in [
            "2017-03-27T00:00:00.000",
            "2017-03-27",
            "03/27/2017",
            "2017-03-27T00:00:00Z",
            "2017-03-27 00:00:00",
            "2017-03-26T20:00:00-04:00",
        ] {
            assert_eq!(moment(text).expect(text).to_string(), "2017-03-27T00:00:00Z", "{text}");
        }
        for text in ["", "soon", "13/45/2017", "2017-02-30"] {
            assert_eq!(moment(text), None, "{text}");
        }
        for number in [1_490_572_800.0, 1_490_572_800_000.0] {
            assert_eq!(epoch(number).expect("a moment").to_string(), "2017-03-27T00:00:00Z");
        }
        assert_eq!(epoch(f64::MAX), None);
    }
}
