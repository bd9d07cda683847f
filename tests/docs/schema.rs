//! `stakeout schema`: it takes what the reader takes, and turns away what the reader turns away.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::Value;
use stakeout::plugin::Kind;
use stakeout::watchlist::schema::{KeyRow, of_kind, rows, schema, tables};
use stakeout::{notifiers, sources, strategies};

use crate::blocks::everything_on;
use crate::keys::{keys_of, names_of, own_keys};
use crate::{blocks, mistakes, pages, read};

/// The keys that the reader takes out of a source's table, whatever its kind.
const OF_A_REQUEST: &str =
    "[watch.a]\nevery = \"1m\"\nsource = { kind = \"page\", url = \"https://a.example\", ? }";
const OF_ANY_NOTIFIER: &str = "[notify.a]\nkind = \"console\"\n?";

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn faults(validator: &Validator, toml: &str) -> Vec<String> {
    let file: toml::Value = toml::from_str(toml).unwrap();
    let file = serde_json::to_value(file).unwrap();
    validator.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[track_caller]
fn takes(validator: &Validator, name: &str, toml: &str) {
    let faults = faults(validator, toml);
    assert!(faults.is_empty(), "{name}:\n{toml}\n{}", faults.join("\n"));
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn it_takes_the_example_and_every_block_of_the_documents() {
    let validator = validator();
    takes(&validator, "config.example.toml", &read("config.example.toml"));
    takes(&validator, "config.example.toml with everything on", &everything_on());
    for page in pages() {
        for (line, text) in blocks(&read(&page), "toml") {
            takes(&validator, &format!("{page}, block at line {line}"), &text);
        }
    }
}

#[test]
fn it_takes_the_example_of_every_kind() {
    let validator = validator();
    for kind in sources::KINDS {
        let source = format!("kind = \"{}\"\n{}", kind.name, kind.example);
        takes(&validator, kind.name, &format!("[watch.a]\nevery = \"1m\"\n[watch.a.source]\n{source}"));
    }
    for kind in strategies::KINDS {
        let strategy = format!("kind = \"{}\"\n{}", kind.name, kind.example);
        let watch = "[watch.a]\ncron = \"0 9 * * *\"\nsource = { kind = \"yahoo\", symbols = \"A\" }";
        takes(&validator, kind.name, &format!("{watch}\n[[watch.a.strategy]]\n{strategy}"));
    }
    for kind in notifiers::KINDS {
        takes(&validator, kind.name, &format!("[notify.a]\nkind = \"{}\"\n{}", kind.name, kind.example));
    }
}

#[test]
fn it_takes_values_from_outside_where_the_reader_does() {
    let validator = validator();
    for text in [
        "[web]\ntoken = { credential = \"web\" }",
        "[daemon]\ntimezone = \"${TZ}\"\nretention = { runs = { file = \"runs\" } }\nlog_format = \"${FORMAT}\"",
        "[notify.a]\nkind = \"email\"\nserver = \"${SERVER}\"\nfrom = \"a@b.example\"\nto = [\"${ME}\"]",
        "[source.finnhub]\ntoken = { file = \"/run/secrets/finnhub\" }\nheaders = { a = { credential = \"a\" } }",
    ] {
        takes(&validator, "a value from outside", text);
    }
}

/// A watch with these keys beside those that it must have.
fn watch(keys: &str) -> String {
    format!("[watch.a]\nevery = \"1m\"\nsource = {{ kind = \"yahoo\", symbols = \"A\" }}\n{keys}")
}

fn strategy(keys: &str) -> String {
    watch(&format!("strategy = [{{ kind = {keys} }}]"))
}

/// What is written in a less usual way is no mistake in an editor either.
#[test]
fn it_takes_the_spellings_that_the_reader_takes() {
    let validator = validator();
    for (key, spellings) in [
        (
            "[alerting]\ncooldown",
            "30s|1h 30m|90min|400d|2w|0s|1h30m|1.5h|2 hours|1 hour, 30 minutes|PT1H|500ms|1d 2h",
        ),
        ("[daemon]\nmax_database", "512KiB|8 MiB|1GB|1048576|20 kB"),
        ("[daemon]\nproof_of_life", "@daily|0 9 * * MON|*/5 0-6,9 1 JAN *|"),
        ("[daemon]\ntimezone", "UTC|Etc/GMT+1|America/Port-au-Prince|America/Argentina/Buenos_Aires"),
        ("[alerting]\nquiet_hours", "22:00-07:00|22:00 - 07:00|22:00:30-07:00|"),
        ("[notify.a]\nkind = \"console\"\nbudget", "20/h|5 / min|100/d|10000/d"),
        ("[fetch]\nproxy", "|http://proxy.example:3128|socks5h://me:secret@127.0.0.1"),
        ("[web]\nlisten", "127.0.0.1:8787|[::1]:80|127.0.0.1:0"),
        ("[web]\ntoken = \"some-token\"\npublic_url", "https://stakeout.example.org|HTTP://a.example:1/"),
        ("[daemon]\nheartbeat_url", "|https://hc.example/some-id"),
        ("[hours.NYSE]\nearly_close.\"2026-12-24\"", "13:00"),
    ] {
        for text in spellings.split('|').map(|spelling| format!("{key} = \"{spelling}\"")) {
            assert_eq!(mistakes("a.toml", text.clone()), None, "the reader refuses\n{text}");
            takes(&validator, "a spelling", &text);
        }
    }
    let hours = ["NYSE", "crypto", "09:30-16:00 MON-FRI", "9:30-16:00 MON,WED Europe/Warsaw"];
    let hours = hours.map(|hours| watch(&format!("hours = \"{hours}\"")));
    let limits = [
        "\"rsi\", period = 2, buy_below = 0, sell_above = 100",
        "\"adaptive_pq\", period = 1000, ema = 2, low = 0.5",
        "\"threshold\", below = -5",
        "\"percent_change\", by = 0.1",
        "\"spike\", times = 1.1, at_least = 1",
        "\"price_drop\", by = 1, by_percent = 0.5",
    ];
    for text in hours.into_iter().chain(limits.map(strategy)) {
        assert_eq!(mistakes("a.toml", text.clone()), None, "the reader refuses\n{text}");
        takes(&validator, "a value at its limit", &text);
    }
}

/// Numbers that can never work, and texts that are not what they should be.
#[test]
fn it_knows_the_limits_that_the_reader_knows() {
    let validator = validator();
    let listing = |keys: &str| {
        let source = "source = { kind = \"newegg\", url = \"https://www.newegg.com/p/pl?d=a\" }";
        format!("[watch.a]\nevery = \"1m\"\n{source}\nstrategy = [{{ kind = {keys} }}]")
    };
    let page = |keys: &str| format!("[watch.a]\nevery = \"1m\"\nsource = {{ kind = \"page\", {keys} }}");
    for text in [
        "[alerting]\nafter = 0".to_owned(),
        "[alerting]\nresolve_after = 0".into(),
        "[alerting]\nfail_after = 0".into(),
        "[alerting]\nquiet_hours = \"0:00-6:30\"".into(),
        watch("after = 0"),
        watch("resolve_after = 0"),
        watch("fail_after = 0"),
        "[fetch]\nper_host.burst = 0".into(),
        "[fetch]\nper_host.max_concurrent = 0".into(),
        "[fetch]\nhost.\"a.example\" = { max_concurrent = 0 }".into(),
        "[fetch]\nproxy = \"ftp://a.example\"".into(),
        "[web]\nlisten = \"localhost:8787\"".into(),
        "[web]\ntoken = \"some-token\"\npublic_url = \"stakeout.example.org\"".into(),
        "[daemon]\nmax_concurrent_runs = 0".into(),
        "[daemon]\nheartbeat_url = \"hc.example/some-id\"".into(),
        "[hours.Foo]\nextra_closed = [\"2026-12-24\"]".into(),
        "[hours.crypto]\nextra_closed = [\"2026-12-24\"]".into(),
        "[notify.a]\nkind = \"console\"\nbudget = \"0/h\"".into(),
        "[notify.a]\nkind = \"console\"\nbudget = \"10001/h\"".into(),
        "[notify.a]\nkind = \"discord\"\nurl = \"https://a.example\"\nusername = \"\"".into(),
        "[source.page]\nmethod = \"get\"".into(),
        page("url = \"a.example\""),
        page("url = \"https://a.example\", method = \"get\""),
        strategy("\"rsi\", period = 1"),
        strategy("\"rsi\", period = 1001"),
        strategy("\"rsi\", buy_below = -1"),
        strategy("\"rsi\", sell_above = 101"),
        strategy("\"rsi\", hysteresis = -1"),
        strategy("\"adaptive_pq\", ema = 1"),
        strategy("\"adaptive_pq\", high = 101"),
        strategy("\"percent_change\", by = 0"),
        strategy("\"percent_change\", hysteresis = -0.1"),
        strategy("\"spike\", times = 1"),
        strategy("\"spike\", at_least = 0"),
        strategy("\"threshold\""),
        strategy("\"threshold\", above = 1, hysteresis = -1"),
        strategy("\"price_drop\", by = 0"),
        strategy("\"price_drop\", by_percent = -1"),
        listing("\"restock\", max_price = -1"),
        listing("\"restock\", max_price = 0"),
    ] {
        assert!(mistakes("a.toml", text.clone()).is_some(), "the reader takes\n{text}");
        assert!(!faults(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
}

#[test]
fn it_turns_away_what_the_reader_turns_away() {
    let validator = validator();
    let watch = |keys: &str| format!("[watch.a]\n{keys}");
    let yahoo = "source = { kind = \"yahoo\", symbols = \"A\" }";
    for text in [
        "[deamon]".to_owned(),
        "[daemon]\nlog = 1".into(),
        "[daemon]\nlog_format = \"xml\"".into(),
        "[daemon]\nmax_database = \"big\"".into(),
        "[daemon]\nretention = { runs = \"1y\" }".into(),
        "[daemon]\nproof_of_life = \"daily\"".into(),
        "[fetch]\ntimeout = 20".into(),
        "[fetch]\nallow_networks = [\"localhost\"]".into(),
        "[fetch]\nhost.\"a.example\" = { burst = \"1\" }".into(),
        "[alerting]\non_first = \"tell\"".into(),
        "[alerting]\nquiet_hours = \"at night\"".into(),
        "[hours.NYSE]\nextra_closed = [\"Monday\"]".into(),
        "[hours.NYSE]\nearly_close = { \"2026-12-24\" = \"noon\" }".into(),
        "[notify.a]\nkind = \"pigeon\"".into(),
        "[notify.a]\nkind = \"console\"\nbudget = \"20\"".into(),
        "[notify.a]\nkind = \"discord\"".into(),
        "[source.yaho]\nbase_url = \"https://a.example\"".into(),
        format!("[source.yahoo]\nsymbol = \"A\"\n[watch.a]\nevery = \"1m\"\n{yahoo}"),
        watch("every = \"1m\""),
        watch(yahoo),
        watch(&format!("every = \"1m\"\ncron = \"0 9 * * *\"\n{yahoo}")),
        watch(&format!("every = \"soon\"\n{yahoo}")),
        watch(&format!("every = \"1m\"\n{yahoo}\nstrategy = {{ kind = \"rsi\" }}")),
        watch(&format!("every = \"1m\"\n{yahoo}\nstrategy = [{{ kind = \"rsi\", period = \"14\" }}]")),
        watch(&format!("every = \"1m\"\n{yahoo}\nstrategy = [{{ kind = \"rsi\", periods = 14 }}]")),
        watch("every = \"1m\"\nsource = { kind = \"yahoo\", symbols = \"A\", interval = \"soon\" }"),
        watch("every = \"1m\"\nsource = { kind = \"yahoo\", symbols = \"A\", method = \"POST\" }"),
        watch("every = \"1m\"\nsource = { kind = \"ny_gas\", region = \"paris\" }"),
    ] {
        assert!(mistakes("a.toml", text.clone()).is_some(), "the reader takes\n{text}");
        assert!(!faults(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
}

/// Not at the whole table, with "fits none of eleven".
#[test]
fn a_mistake_is_told_where_it_is() {
    let validator = validator();
    let yahoo = "source = { kind = \"yahoo\", symbols = \"A\"";
    for (keys, place) in [
        (
            format!("{yahoo} }}\nstrategy = [{{ kind = \"rsi\", period = \"14\" }}]"),
            "/watch/a/strategy/0/period",
        ),
        (format!("{yahoo}, timeout = 20 }}"), "/watch/a/source/timeout"),
        ("source = { kind = \"yahooo\" }".to_owned(), "/watch/a/source/kind"),
    ] {
        let faults = faults(&validator, &format!("[watch.a]\nevery = \"1m\"\n{keys}"));
        assert!(matches!(&*faults, [one] if one.starts_with(&format!("{place}: "))), "{faults:?}");
    }
}

fn names(rows: &[KeyRow]) -> BTreeSet<String> {
    rows.iter().filter(|row| !row.key.contains('.')).map(|row| row.key.clone()).collect()
}

#[test]
fn the_keys_of_each_table_are_those_that_the_reader_knows() {
    for table in tables() {
        let example = match table.name {
            "hours.NAME" => "[hours.NYSE]\n?".to_owned(),
            "watch.NAME" => {
                "[watch.a]\nevery = \"1m\"\nsource = { kind = \"yahoo\", symbols = \"A\" }\n?".into()
            }
            "source.KIND" => OF_A_REQUEST.into(),
            "notify.NAME" => OF_ANY_NOTIFIER.into(),
            name => format!("[{name}]\n?"),
        };
        let mut known: BTreeSet<String> = keys_of(&example).into_iter().collect();
        let own = match table.name {
            "source.KIND" => own_keys(sources::KINDS, find(sources::KINDS, "page")),
            "notify.NAME" => own_keys(notifiers::KINDS, find(notifiers::KINDS, "console")),
            // These have pages of their own.
            "watch.NAME" => vec!["source".into(), "strategy".into()],
            _ => Vec::new(),
        };
        known.retain(|key| !own.contains(key));
        assert_eq!(names(&rows(&table.schema)), known, "[{}]", table.name);
        for row in rows(&table.schema) {
            if let Some((outer, _)) = row.key.split_once('.') {
                let of_inner = keys_of(&format!("[{}]\n{outer} = {{ ? }}", table.name));
                let inner = row.key.rsplit('.').next().unwrap();
                assert!(of_inner.iter().any(|key| key == inner), "{}", row.key);
            }
        }
    }
}

#[test]
fn the_keys_of_each_kind_are_those_that_the_reader_knows() {
    fn check<T: ?Sized>(kinds: &'static [Kind<T>]) {
        for kind in kinds {
            let known: BTreeSet<String> = own_keys(kinds, kind).into_iter().collect();
            assert_eq!(names(&rows(&of_kind(kind))), known, "{}", kind.name);
        }
    }
    check(sources::KINDS);
    check(strategies::KINDS);
    check(notifiers::KINDS);
}

#[test]
fn every_key_is_explained_and_says_what_it_takes() {
    fn of_all<T: ?Sized>(kinds: &'static [Kind<T>]) -> impl Iterator<Item = (String, KeyRow)> {
        kinds.iter().flat_map(|kind| rows(&of_kind(kind)).into_iter().map(|row| (kind.name.to_owned(), row)))
    }
    let of_tables = tables()
        .into_iter()
        .flat_map(|table| rows(&table.schema).into_iter().map(move |row| (table.name.to_owned(), row)));
    let of_kinds = of_all(sources::KINDS).chain(of_all(strategies::KINDS)).chain(of_all(notifiers::KINDS));
    for (place, row) in of_tables.chain(of_kinds) {
        assert!(
            row.meaning.ends_with(['.', ':']),
            "{place}: `{}` is not explained: {}",
            row.key,
            row.meaning
        );
        assert!(
            !row.takes.is_empty() && !row.meaning.contains("[`"),
            "{place}: `{}`: {}",
            row.key,
            row.meaning
        );
    }
}

/// Each default is what the reader has without the key: to write it out changes nothing.
#[test]
fn the_defaults_are_values_that_the_reader_takes() {
    for table in tables().into_iter().filter(|table| !table.name.contains('.')) {
        for row in rows(&table.schema) {
            let Some(default) = row.default else { continue };
            let text = format!("[{}]\n{} = {default}", table.name, row.key);
            // Loopback wants no token, and an empty list is none.
            assert_eq!(mistakes("defaults.toml", text.clone()), None, "{text}");
        }
    }
    let defaults = |kind: &str, rows: Vec<KeyRow>| {
        rows.into_iter()
            .filter_map(|row| Some(format!("{} = {}", row.key, row.default?)))
            .fold(format!("kind = \"{kind}\""), |text, line| format!("{text}\n{line}"))
    };
    for kind in strategies::KINDS.iter().filter(|kind| kind.name != "threshold") {
        let text = defaults(kind.name, rows(&of_kind(kind)));
        let table = toml::de::DeTable::parse(&text).unwrap();
        assert!(stakeout::plugin::build(strategies::KINDS, table).is_ok(), "{text}");
    }
}

#[test]
fn nothing_in_the_schema_is_a_secret_or_null() {
    let text = schema().to_string();
    assert!(!text.contains("[secret]") && !text.contains("null"), "{text}");
}

fn find<T: ?Sized>(kinds: &'static [Kind<T>], name: &str) -> &'static Kind<T> {
    kinds.iter().find(|kind| kind.name == name).unwrap()
}

#[test]
fn kinds_prints_every_key_of_a_kind_and_those_that_all_of_its_family_have() {
    for (kind, keys) in [
        ("yahoo", "symbols interval base_url headers timeout"),
        ("rsi", "period buy_below hysteresis"),
        ("email", "server security attach_chart bundle budget"),
    ] {
        let printed = String::from_utf8(crate::stakeout(&["kinds", kind]).stdout).unwrap();
        let first_words: BTreeSet<&str> =
            printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        for key in keys.split(' ') {
            assert!(first_words.contains(key), "{key}: {printed}");
        }
        assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");
    }
    for (kind, fact) in [
        ("yahoo", "Gives candles; the usual strategy is"),
        ("rsi", "Reads candles. At first sight it tells what fires; it does not tell when it is over"),
    ] {
        let printed = String::from_utf8(crate::stakeout(&["kinds", kind]).stdout).unwrap();
        let words: Vec<&str> = printed.split_whitespace().collect();
        assert!(words.join(" ").contains(fact), "{printed}");
    }
    let overview = String::from_utf8(crate::stakeout(&["kinds"]).stdout).unwrap();
    for kind in [names_of(sources::KINDS), names_of(strategies::KINDS), names_of(notifiers::KINDS)].concat() {
        let lines = overview.lines().filter(|line| line.trim().starts_with(&format!("{kind}: ")));
        assert_eq!(lines.count(), 1, "{kind}: {overview}");
    }
    let printed: Value = serde_json::from_slice(&crate::stakeout(&["kinds", "--json"]).stdout).unwrap();
    for kind in printed.as_array().unwrap() {
        assert!(kind["schema"]["properties"].is_object() || kind["kind"] == "text_changed", "{kind}");
    }
}

/// For whom the schema is written out.
#[test]
fn the_command_prints_it() {
    let output = crate::stakeout(&["schema"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, schema());
}
