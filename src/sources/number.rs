//! Numbers as services write them for programs: with a point, without marks between groups. What people
//! read is [`super::figure`]'s.

use std::fmt;

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
}
