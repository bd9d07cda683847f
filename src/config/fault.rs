//! Tables as their types, and what serde says about them in the words of a person who edits them.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::Mistakes;
use crate::model::did_you_mean;

/// Reads a table into its type. A key that is unknown or of another type is told and left out, so that
/// the mistakes of the others are found too.
pub fn deserialize<T: DeserializeOwned>(
    table: Spanned<DeTable<'_>>,
    file: usize,
    place: &str,
    mistakes: &mut Mistakes,
) -> Option<T> {
    deserialize_beside(&[], table, file, place, mistakes)
}

/// The same of a table from which these keys were taken before: a key that is misspelt may be meant for one of them.
pub fn deserialize_beside<T: DeserializeOwned>(
    taken: &[&str],
    mut table: Spanned<DeTable<'_>>,
    file: usize,
    place: &str,
    mistakes: &mut Mistakes,
) -> Option<T> {
    let mut left_out = Vec::new();
    loop {
        let value = Spanned::new(table.span(), DeValue::Table(table.get_ref().clone()));
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => return Some(read),
            Err(error) => {
                let mut message = error.message().to_owned();
                if unknown_field(&message).is_some() {
                    message.extend(taken.iter().map(|key| format!(", `{key}`")));
                }
                let fault = Fault::of(&message, error.span(), table.get_ref());
                if fault.is_missing(&left_out) {
                    return None;
                }
                let span = error.span().or(Some(table.span()));
                mistakes.add(file, span, &fault.place(place), &fault.message);
                left_out.push(fault.leave_out(table.get_mut())?);
            }
        }
    }
}

/// What serde says about a table, in the words of a person who edits it.
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Which key it is about, where that is known.
    pub key: Option<String>,
    unknown: bool,
}

impl Fault {
    /// Finds the key that `message`, about these bytes, is about.
    #[must_use]
    pub fn of(message: &str, span: Option<Range<usize>>, table: &DeTable<'_>) -> Self {
        let unknown = unknown_field(message).map(str::to_owned);
        let at = span.map(|span| span.start);
        let holds = |(key, value): &(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            at.is_some_and(|at| key.span().contains(&at) || value.span().contains(&at))
        };
        let found = || table.iter().find(holds).map(|(key, _)| key.get_ref().to_string());
        Self {
            message: plainly(&with_hint(message)),
            unknown: unknown.is_some(),
            key: unknown.or_else(found),
        }
    }

    /// The table's place, with the key where the message does not name it.
    #[must_use]
    pub fn place(&self, table: &str) -> String {
        match &self.key {
            Some(key) if !self.unknown => format!("{table}: {key}"),
            _ => table.to_owned(),
        }
    }

    /// Whether it only says that a key which was left out is missing.
    #[must_use]
    pub fn is_missing(&self, left_out: &[String]) -> bool {
        let missing = self.message.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`'));
        missing.is_some_and(|(name, _)| left_out.iter().any(|key| key == name))
    }

    /// Takes its key out of the table; `None` when there is none to take.
    #[must_use]
    pub fn leave_out(self, table: &mut DeTable<'_>) -> Option<String> {
        let key = self.key?;
        table.remove(key.as_str()).map(|_| key)
    }
}

/// Serde speaks of Rust's types.
fn plainly(message: &str) -> String {
    const WORDS: [(&str, &str); 11] = [
        ("relative URL without a base", "no address; one begins with https:// or http://"),
        ("invalid socket address syntax", "no address to listen at; write it like \"127.0.0.1:8787\""),
        ("expected u32", "expected a whole number"),
        ("expected u16", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected a nonzero usize", "expected a whole number from 1"),
        ("expected f64", "expected a number"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list in brackets"),
        ("expected a map", "expected a table"),
    ];
    WORDS.iter().fold(message.to_owned(), |message, (theirs, ours)| message.replace(theirs, ours))
}

/// The name in serde's ``unknown field `x`, expected …``.
#[must_use]
pub fn unknown_field(message: &str) -> Option<&str> {
    message.split_once("unknown field `")?.1.split_once('`').map(|(name, _)| name)
}

/// Adds the nearest known name to serde's ``unknown field `x`, expected one of `a`, `b` ``.
#[must_use]
pub fn with_hint(message: &str) -> String {
    let Some(name) = unknown_field(message) else { return message.to_owned() };
    let known = message.split_once("expected").map_or("", |(_, known)| known);
    format!("{message}{}", did_you_mean(name, known.split('`').skip(1).step_by(2)))
}
