//! The names a source is asked about: symbols, pairs, regions.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::http::ReadError;
use crate::plugin::FetchError;

/// One name or a list of them: at least one, none of them blank, none of them twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// The names in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn new(written: Vec<String>) -> Result<Self, &'static str> {
        let mut names: Vec<String> = Vec::with_capacity(written.len());
        for name in written {
            let name = name.trim();
            if name.is_empty() {
                return Err("a name is blank");
            }
            if matches!(name, "." | "..") {
                return Err("`.` and `..` are not names");
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if names.is_empty() { Err("the list is empty; at least one is needed") } else { Ok(Self(names)) }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_or_many(String::json_schema(generator))
    }
}

/// What a key takes that may be one or a list.
pub(super) fn one_or_many(one: Schema) -> Schema {
    json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

struct NamesVisitor;

impl<'de> de::Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Names::new(vec![name.to_owned()]).map_err(E::custom)
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Names::new(names).map_err(de::Error::custom)
    }
}

/// Says of which name an answer could not be read.
pub(super) fn about(name: &str) -> impl Fn(ReadError) -> FetchError {
    move |error| FetchError::failed(format!("`{name}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        names: Names,
    }

    #[test]
    fn one_name_or_several_are_read_each_once() {
        for (toml, read) in [
            ("names = 'A'", vec!["A"]),
            ("names = ['A', ' B ', 'A']", vec!["A", "B"]),
            ("names = ['*']", vec!["*"]),
        ] {
            let table: Table = toml::from_str(toml).expect(toml);
            assert_eq!(table.names.iter().collect::<Vec<_>>(), read);
        }
        for toml in ["names = []", "names = ''", "names = ['A', ' ']", "names = 4", "names = ['..']"] {
            assert!(toml::from_str::<Table>(toml).is_err(), "{toml}");
        }
    }
}
