//! The TOML that the documents and the example show.

use std::collections::BTreeSet;

use stakeout::config::File;
use stakeout::plugin::Kind;
use stakeout::watchlist::Watchlist;
use stakeout::watchlist::schema::{of_kind, rows};
use stakeout::{notifiers, sources, strategies};

use crate::keys::{keys_of, names_of, own_keys};
use crate::{blocks, mistakes, pages, read};

#[test]
fn every_configuration_in_the_documents_is_good() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, text) in blocks(&read(&page), "toml") {
            // Where secrets lie in files, each is there.
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("credentials")).unwrap();
            for named in text.split("credential = \"").skip(1) {
                let name = named.split('"').next().unwrap();
                std::fs::write(folder.path().join("credentials").join(name), "https://h.example/key")
                    .unwrap();
            }
            std::fs::write(folder.path().join("hook"), "https://h.example/key").unwrap();
            let text = text.replace("/run/secrets/", "");
            let path = folder.path().join(format!("{}, block at line {line}", page.replace('/', ", ")));
            wrong.extend(mistakes(&path.to_string_lossy(), text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_example_is_good_as_it_stands_and_without_any_environment() {
    let file = File { path: "config.example.toml".into(), text: read("config.example.toml") };
    if let Err(mistakes) = Watchlist::build(&[file], &|_| None) {
        panic!("{mistakes}");
    }
}

/// The example with everything switched on: a `#` right before a key or a table is taken away.
pub(super) fn everything_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    read("config.example.toml").lines().map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_good_with_everything_switched_on() {
    if let Some(mistakes) = mistakes("config.example.toml", everything_on()) {
        panic!("{mistakes}");
    }
}

/// Every key that stands anywhere in a table.
fn keys_in(value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                found.insert(key.clone());
                keys_in(value, found);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| keys_in(item, found)),
        _ => {}
    }
}

/// The tables of a kind show all of its keys between them.
fn shows_keys_of<'a, T: ?Sized>(kind: &Kind<T>, tables: impl Iterator<Item = &'a toml::Value>) {
    let mut shown = BTreeSet::new();
    tables.for_each(|table| keys_in(table, &mut shown));
    for row in rows(&of_kind(kind)) {
        assert!(
            shown.contains(&row.key),
            "config.example.toml does not show `{}` of `{}`",
            row.key,
            kind.name
        );
    }
}

/// Outside of watches, what is shown without a `#` is what holds without it.
#[test]
fn the_paces_that_the_example_shows_are_those_that_are_known() {
    let build = |text: String| {
        let file = File { path: "config.example.toml".into(), text };
        Watchlist::build(&[file], &|_| None).map_err(|mistakes| mistakes.to_string()).unwrap().http
    };
    let (shown, usual) = (build(read("config.example.toml")), build(String::new()));
    let example: toml::Value = toml::from_str(&read("config.example.toml")).unwrap();
    for host in example["fetch"]["host"].as_table().unwrap().keys().map(String::as_str).chain(["a.example"]) {
        assert_eq!(format!("{:?}", shown.pace_of(host)), format!("{:?}", usual.pace_of(host)), "{host}");
    }
}

#[test]
fn the_example_shows_every_key() {
    let example: toml::Value = toml::from_str(&everything_on()).unwrap();
    for (path, table) in [
        ("daemon", "[daemon]\n?"),
        ("daemon.retention", "[daemon]\nretention = { ? }"),
        ("daemon.retry", "[daemon]\nretry = { ? }"),
        ("web", "[web]\n?"),
        ("fetch", "[fetch]\n?"),
        ("fetch.per_host", "[fetch]\nper_host = { ? }"),
        ("fetch.backoff", "[fetch]\nbackoff = { ? }"),
        ("fetch.host", "[fetch]\nhost.\"a.example\" = { ? }"),
        ("alerting", "[alerting]\n?"),
        ("hours", "[hours.NYSE]\n?"),
        ("watch", "[watch.a]\nevery = \"1m\"\nsource = { kind = \"yahoo\", symbols = \"A\" }\n?"),
    ] {
        let value = path.split('.').fold(&example, |value, key| &value[key]);
        let mut shown = BTreeSet::new();
        keys_in(value, &mut shown);
        for key in keys_of(table) {
            assert!(shown.contains(&key), "config.example.toml does not show `{key}` of [{path}]");
        }
    }
    let sources = ["page", "json", "yahoo"].map(|kind| format!("kind = \"{kind}\""));
    let text = everything_on();
    assert!(sources.iter().all(|kind| text.contains(kind)));
    for key in ["headers", "cookies", "method", "body", "user_agent", "proxy", "timeout", "allow_downgrade"] {
        let shown =
            text.lines().any(|line| line.starts_with("source = ") && line.contains(&format!("{key} = ")));
        let shared = example["source"]["yahoo"].get(key).is_some();
        assert!(shown || shared, "config.example.toml does not show `{key}` of a source");
    }
    for key in ["bundle", "budget"] {
        assert!(example["notify"]["console"].get(key).is_some(), "config.example.toml does not show `{key}`");
    }
    let watches: Vec<&toml::Value> = example["watch"].as_table().unwrap().values().collect();
    for kind in sources::KINDS {
        let own = watches
            .iter()
            .map(|watch| &watch["source"])
            .filter(|table| table["kind"].as_str() == Some(kind.name));
        shows_keys_of(kind, own.chain(example["source"].get(kind.name)));
    }
    for kind in strategies::KINDS {
        let tables = watches.iter().filter_map(|watch| watch.get("strategy")?.as_array()).flatten();
        shows_keys_of(kind, tables.filter(|table| table["kind"].as_str() == Some(kind.name)));
    }
    for kind in names_of(notifiers::KINDS) {
        let of_kind = |(_, table): &(&String, &toml::Value)| table["kind"].as_str() == Some(kind);
        let table = example["notify"].as_table().unwrap().iter().find(of_kind);
        let table = table.unwrap_or_else(|| panic!("config.example.toml has no notifier of kind `{kind}`")).1;
        let of_kind = notifiers::KINDS.iter().find(|row| row.name == kind).unwrap();
        for key in own_keys(notifiers::KINDS, of_kind) {
            assert!(table.get(&key).is_some(), "config.example.toml does not show `{key}` of `{kind}`");
        }
    }
}

#[test]
fn the_readme_names_every_kind() {
    let text = read("README.md");
    for kind in [names_of(sources::KINDS), names_of(strategies::KINDS), names_of(notifiers::KINDS)].concat() {
        assert!(text.contains(&format!("`{kind}`")), "README.md does not name `{kind}`");
    }
}
