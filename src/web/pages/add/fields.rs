//! The fields of a form, from the example of a kind: each key an input of its type.

use serde_json::{Map, Value};

use crate::model::Period;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A number.
    Number,
    /// Yes or no.
    YesNo,
    /// Texts, separated by commas.
    List,
    /// Anything else, as it would stand after `=` in a file.
    Toml,
}

/// One key of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// The key.
    pub(super) key: String,
    /// What it takes.
    pub(super) shape: Shape,
    /// Its value in the example, as it is typed.
    pub(super) example: String,
    /// Whether it is kept in the configuration file alone.
    pub(super) is_secret: bool,
}

impl Field {
    /// Whether its example is good for most: a number or a length of time, not a name or an address.
    pub(super) fn is_usual(&self) -> bool {
        match self.shape {
            Shape::Number | Shape::YesNo => true,
            Shape::Text => self.example.parse::<Period>().is_ok(),
            Shape::List | Shape::Toml => false,
        }
    }

    /// What was typed, as the value of the key; nothing where the field was left empty.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn read(&self, typed: &str) -> Result<Option<Value>, String> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Ok(None);
        }
        let value = match self.shape {
            Shape::Text => typed.into(),
            Shape::Number => number(typed).ok_or_else(|| format!("“{typed}” is no number"))?,
            Shape::YesNo => (typed == "true").into(),
            Shape::List => {
                let items = typed.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
                match items.map(Value::from).collect::<Vec<_>>() {
                    // `*` alone stands for all, and is no list.
                    items if items == ["*"] => "*".into(),
                    items => items.into(),
                }
            }
            Shape::Toml => {
                let table: Map<String, Value> = toml::from_str(&format!("value = {typed}"))
                    .map_err(|error| format!("this is no TOML: {}", error.message()))?;
                table.get("value").cloned().unwrap_or_default()
            }
        };
        Ok(Some(value))
    }
}

/// A whole number where it is one.
fn number(typed: &str) -> Option<Value> {
    if let Ok(whole) = typed.parse::<i64>() {
        return Some(whole.into());
    }
    typed.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
}

/// The fields of a kind, in the order of its example.
pub(super) fn fields(example: &str) -> Vec<Field> {
    let Ok(table) = toml::from_str::<toml::Table>(example) else { return Vec::new() };
    let place = |key: &str| {
        example.lines().position(|line| line.split('=').next().is_some_and(|name| name.trim() == key))
    };
    let mut fields: Vec<Field> = table.iter().map(|(key, value)| field(key, value)).collect();
    fields.sort_by_key(|field| place(&field.key));
    fields
}

fn field(key: &str, value: &toml::Value) -> Field {
    let (shape, example) = match value {
        toml::Value::String(text) => (Shape::Text, text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) => (Shape::Number, value.to_string()),
        toml::Value::Boolean(_) => (Shape::YesNo, value.to_string()),
        toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
            let items: Vec<&str> = items.iter().filter_map(toml::Value::as_str).collect();
            (Shape::List, items.join(", "))
        }
        _ => (Shape::Toml, value.to_string()),
    };
    Field { key: key.to_owned(), shape, example, is_secret: is_secret(key) }
}

/// Whether a key's value is hidden wherever a watch is shown.
pub(super) fn is_secret(key: &str) -> bool {
    let plain = Value::from(Map::from_iter([(key.to_owned(), Value::from("some-value"))]));
    let mut masked = plain.clone();
    crate::config::mask_secrets(&mut masked);
    masked != plain
}

/// What is typed for a value of a table.
pub(super) fn typed(value: &toml::Value) -> String {
    field("", value).example
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_example_becomes_fields_of_the_right_type_in_its_order() {
        let found = fields(
            "url = \"https://a.example\"\ncount = 3\nby = 0.5\ndeep = true\nnames = [\"a\", \"b\"]\n\
             window = \"1h\"\nmore = { x = 1 }\ntoken = \"${TOKEN}\"",
        );
        let shapes: Vec<_> =
            found.iter().map(|field| (field.key.as_str(), field.shape, field.example.as_str())).collect();
        assert_eq!(
            shapes,
            [
                ("url", Shape::Text, "https://a.example"),
                ("count", Shape::Number, "3"),
                ("by", Shape::Number, "0.5"),
                ("deep", Shape::YesNo, "true"),
                ("names", Shape::List, "a, b"),
                ("window", Shape::Text, "1h"),
                ("more", Shape::Toml, "{ x = 1 }"),
                ("token", Shape::Text, "${TOKEN}"),
            ]
        );
        let usual: Vec<_> =
            found.iter().filter(|field| field.is_usual()).map(|field| field.key.as_str()).collect();
        assert_eq!(usual, ["count", "by", "deep", "window"]);
        assert_eq!(found.iter().filter(|field| field.is_secret).count(), 1);
    }

    #[test]
    fn what_is_typed_becomes_a_value_of_its_type() {
        let of = |shape| Field { key: "k".into(), shape, example: String::new(), is_secret: false };
        for (shape, typed, value) in [
            (Shape::Text, " some text ", json!("some text")),
            (Shape::Text, "12", json!("12")),
            (Shape::Number, "12", json!(12)),
            (Shape::Number, "-1.5", json!(-1.5)),
            (Shape::YesNo, "true", json!(true)),
            (Shape::YesNo, "false", json!(false)),
            (Shape::List, "AAPL, MSFT,,", json!(["AAPL", "MSFT"])),
            (Shape::List, "AAPL", json!(["AAPL"])),
            (Shape::List, "*", json!("*")),
            (Shape::Toml, "{ a = [1, 2] }", json!({"a": [1, 2]})),
        ] {
            assert_eq!(of(shape).read(typed), Ok(Some(value)), "{typed}");
            assert_eq!(of(shape).read("  "), Ok(None));
        }
        for (shape, typed) in [
            (Shape::Number, "many"),
            (Shape::Number, "inf"),
            (Shape::Toml, "{ a = "),
            (Shape::Toml, "1\nb = 2\n[c]\nd"),
        ] {
            assert!(of(shape).read(typed).is_err(), "{typed}");
        }
    }
}
