//! Numbers as services write them for programs: with a point, without marks between groups. What people
//! read is [`super::figure`]'s.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::figure::Figure;
use crate::http::excerpt;

/// A number, or a text that is one. `None` for null, for what is finite nowhere (`"Infinity"`, `"NaN"`)
/// and for any other text: services write all of these where they have no number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

impl Number {
    /// The number that a JSON value is or spells.
    pub(super) fn of(value: &Value) -> Option<f64> {
        Self::deserialize(value).ok().and_then(|number| number.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// The number that a value is, or says as programs or as people write it; `None` where it says that there
/// is none today (null, `"NaN"`). Any other text is no number on any day.
///
/// # Errors
/// What it is instead, to stand behind "is".
pub(super) fn read(value: &Value) -> Result<Option<f64>, String> {
    let none = || format!("{}, not a number", kind_of(value));
    let Number(number) = Number::deserialize(value).map_err(|_| none())?;
    match value.as_str() {
        Some(text) if number.is_none() && text.trim().parse::<f64>().is_err() => {
            match Figure::read_for_programs(text) {
                Figure::Sure { number, .. } => Ok(Some(number)),
                Figure::Unsure(why) => Err(format!("not sure to be a number: {}", excerpt(&why))),
                Figure::None => Err(none()),
            }
        }
        _ => Ok(number),
    }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "true or false".into(),
        Value::Number(_) => "a number".into(),
        Value::String(text) => format!("the text \"{}\"", excerpt(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
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
        for (json, number) in [
            ("\"1185.660\"", Ok(Some(1_185.66))),
            ("\"$1,400.00\"", Ok(Some(1_400.0))),
            ("\"450 GBp\"", Ok(Some(4.5))),
            ("\"NaN\"", Ok(None)),
            ("null", Ok(None)),
            ("\"1,400\"", Err("not sure to be a number: `1,400` can be 1.400 or 1400")),
            ("\"555 123\"", Err("not sure to be a number: `555 123` can be 555123 or 555 and 123")),
            ("\"99p\"", Err("the text \"99p\", not a number")),
            ("\"soon\"", Err("the text \"soon\", not a number")),
            ("[]", Err("a list, not a number")),
        ] {
            let value = serde_json::from_str(json).expect(json);
            assert_eq!(read(&value), number.map_err(str::to_owned), "{json}");
        }
        for json in ["true", "[1]", "{}"] {
            assert!(serde_json::from_str::<Number>(json).is_err(), "{json}");
        }
    }
}
