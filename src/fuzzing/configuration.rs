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

/// Whether a value, or one in it, comes out of a file: it is a table of a single key that says which.
fn names_a_file(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(table) => {
            let is_name = |key: &str| table.len() == 1 && matches!(key, "file" | "credential");
            table.iter().any(|(key, value)| {
                let value = value.get_ref();
                is_name(key.get_ref()) && value.as_str().is_some() || names_a_file(value)
            })
        }
        DeValue::Array(items) => items.iter().any(|item| names_a_file(item.get_ref())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_read_a_file_is_left_out() {
        for (text, names_one) in [
            ("{ file = '/dev/zero' }", true),
            ("[{ a = { credential = 'token' } }]", true),
            ("{ file = 5 }", false),
            ("{ file = '/dev/zero', kind = 'json' }", false),
            ("{ kind = 'json', credential = 'token' }", false),
        ] {
            let text = format!("value = {text}");
            let table = DeTable::parse(&text).expect("TOML");
            let value = table.get_ref().get("value").expect("it is there");
            assert_eq!(names_a_file(value.get_ref()), names_one, "{text}");
        }
    }
}
