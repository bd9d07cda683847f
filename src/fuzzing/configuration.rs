//! A whole configuration: what stands in it, and what is built from it.

use toml::de::{DeTable, DeValue};

use super::assert_fit_to_show;
use crate::config::File;
use crate::watchlist::Watchlist;

/// The value of every variable; longer than a word that stands there by chance.
const SECRET: &str = "hush-5f1d9e0c";

/// The text of a configuration file.
pub(super) fn read(text: &str) {
    // What it would read from the disk is not the parser's.
    if DeTable::parse_recoverable(text).0.get_ref().values().any(|value| names_a_file(value.get_ref())) {
        return;
    }
    let files = [File { path: "config.toml".into(), text: text.to_owned() }];
    let environment = |name: &str| (name != "NOT_SET").then(|| SECRET.to_owned());
    match Watchlist::build(&files, &environment) {
        Ok(watchlist) => {
            assert!(watchlist.watches.iter().all(|watch| !watch.name.is_empty()));
            assert!(!watchlist.notifiers.is_empty(), "nobody is told");
            for watch in &watchlist.watches {
                assert!(watchlist.watch(&watch.name).is_some());
                assert!(!watch.spec.contains(SECRET), "{}", watch.spec);
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes.iter() {
                let mistake = mistake.to_string();
                assert_fit_to_show(&mistake);
                assert!(!mistake.contains(SECRET), "{mistake}");
            }
        }
    }
}

/// Whether a value, or one in it, comes out of a file.
fn names_a_file(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(table) => {
            let mut entries = table.iter();
            entries.any(|(key, value)| {
                matches!(key.get_ref().as_ref(), "file" | "credential") || names_a_file(value.get_ref())
            })
        }
        DeValue::Array(items) => items.iter().any(|item| names_a_file(item.get_ref())),
        _ => false,
    }
}
