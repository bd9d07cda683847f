//! Which keys the program knows: it says so itself where it meets one that it does not know.

use stakeout::plugin::{Kind, build};
use toml::de::DeTable;

use crate::mistakes;

/// The names that serde lists when it meets one that it does not know.
pub(super) fn known_names(message: &str) -> Vec<String> {
    let known = message.split_once("expected ").map_or("", |(_, known)| known);
    let known = known.split(';').next().unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that are known where the `?` stands.
pub(super) fn keys_of(table: &str) -> Vec<String> {
    let mistakes = mistakes("keys.toml", table.replace('?', "no_such_key = 1")).unwrap();
    let line = mistakes.lines().find(|line| line.contains("unknown field `no_such_key`"));
    let keys = known_names(line.unwrap_or_else(|| panic!("{table}: {mistakes}")));
    assert!(!keys.is_empty(), "{mistakes}");
    keys
}

pub(super) fn names_of<T: ?Sized>(kinds: &'static [Kind<T>]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name).collect()
}

/// The keys that a plug-in's own table knows.
pub(super) fn own_keys<T: ?Sized>(kinds: &[Kind<T>], kind: &Kind<T>) -> Vec<String> {
    let text = format!("kind = \"{}\"\nno_such_key = 1", kind.name);
    let error = build(kinds, DeTable::parse(&text).unwrap()).err().unwrap().message;
    assert!(error.contains("no_such_key"), "{error}");
    known_names(&error)
}
