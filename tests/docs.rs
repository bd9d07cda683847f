//! What the documents say is so: every TOML block builds, every command runs, every kind and key is shown.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes `docs/KINDS.md` anew from the tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stakeout::config::File;
use stakeout::model::{OnFirst, ReadingKind};
use stakeout::plugin::{Kind, build};
use stakeout::watchlist::Watchlist;
use stakeout::{notifiers, sources, strategies};
use toml::de::DeTable;

/// Cargo's commands that the documents may ask for.
const CARGO: [&str; 8] = [
    "cargo build --release",
    "cargo run --release -- demo",
    "cargo test",
    "cargo test --test docs",
    "cargo fmt --check",
    "cargo clippy --all-targets -- -D warnings",
    "cargo doc --no-deps",
    "cargo bench --bench figures",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md and every page of `docs/`.
fn pages() -> Vec<String> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| format!("docs/{}", name.to_string_lossy()));
    let mut pages: Vec<String> =
        pages.filter(|name| name.ends_with(".md")).chain(["README.md".into()]).collect();
    pages.sort();
    pages
}

/// The blocks of one language, each with the line it begins at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let Some(written) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        if written == language {
            blocks.push((number, block.join("\n")));
        }
    }
    blocks
}

/// A value of the right shape for every variable.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        _ if name.ends_with("_URL") => "https://hooks.example.com/some/address",
        _ if name.contains("SECRET") => "whsec_c3Rha2VvdXQgc2lnbnMgd2hhdCBpdCBzYXlz",
        _ => "some-token",
    };
    Some(value.to_owned())
}

fn mistakes(name: &str, text: String) -> Option<String> {
    let file = File { path: PathBuf::from(name), text };
    Watchlist::build(&[file], &environment).err().map(|mistakes| mistakes.to_string())
}

#[test]
fn every_configuration_in_the_documents_is_good() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, text) in blocks(&read(&page), "toml") {
            wrong.extend(mistakes(&format!("{page}, block at line {line}"), text));
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
fn everything_on() -> String {
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

/// The names that serde lists when it meets one that it does not know.
fn known_names(message: &str) -> Vec<String> {
    let known = message.split_once("expected ").map_or("", |(_, known)| known);
    let known = known.split(';').next().unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that are known where the `?` stands.
fn keys_of(table: &str) -> Vec<String> {
    let mistakes = mistakes("keys.toml", table.replace('?', "no_such_key = 1")).unwrap();
    let line = mistakes.lines().find(|line| line.contains("unknown field `no_such_key`"));
    let keys = known_names(line.unwrap_or_else(|| panic!("{table}: {mistakes}")));
    assert!(!keys.is_empty(), "{mistakes}");
    keys
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

fn names_of<T: ?Sized>(kinds: &'static [Kind<T>]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name).collect()
}

/// The keys that a plug-in's own table knows.
fn own_keys<T: ?Sized>(kinds: &[Kind<T>], kind: &Kind<T>) -> Vec<String> {
    let text = format!("kind = \"{}\"\nno_such_key = 1", kind.name);
    let error = build(kinds, DeTable::parse(&text).unwrap()).err().unwrap().message;
    assert!(error.contains("no_such_key"), "{error}");
    known_names(&error)
}

#[test]
fn the_page_of_kinds_says_what_the_tables_say() {
    let path = root().join("docs/KINDS.md");
    let written = kinds_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == written, "docs/KINDS.md is not up to date: UPDATE_DOCS=1 cargo test --test docs");
}

fn kinds_page() -> String {
    let mut page = String::from(
        "# Sources, strategies, notifiers\n\n\
         Written from the program's own tables; `stakeout kinds` prints the same. To bring this page up to \
         date:\n`UPDATE_DOCS=1 cargo test --test docs`.\n\n\
         ## Sources\n\nWhere a watch looks. A key that all watches of a source share may stand in \
         `[source.KIND]`.\n\n\
         Every kind understands, beside its own keys, how it is asked:\n\n\
         | key | |\n|---|---|\n\
         | `headers` | a table; sent beside the source's own, or in their place |\n\
         | `cookies` | a table |\n\
         | `user_agent` | what it calls itself |\n\
         | `proxy` | `http://`, `https://`, `socks5://` or `socks5h://`; empty for none |\n\
         | `timeout` | for a whole answer, all redirects together |\n\
         | `allow_downgrade` | `true`: a redirect may lead from `https` to `http` |\n\
         | `method`, `body` | only of `page`, `json` and `shop`; with a `body` alone the method is `POST` |\n\n\
         The watch's own goes before that of `[source.KIND]`, and that before `[fetch]`; `headers` and \
         `cookies` are put\ntogether name by name. They go to the host that is asked and to no other.\n",
    );
    for kind in sources::KINDS {
        let source = build(sources::KINDS, example(kind)).map_err(|error| error.message).unwrap().1;
        heading(&mut page, sources::KINDS, kind);
        let _ = write!(
            page,
            "Gives {}; the usual strategy is `{}`.\n\n```toml\n[watch.example]\nevery = \"30m\"\n\n\
             [watch.example.source]\n{}\n```\n",
            source.yields(),
            source.usual_strategies(),
            keys(kind)
        );
    }
    page.push_str("\n## Strategies\n\nHow a watch judges what it sees. A watch may have several.\n");
    for kind in strategies::KINDS {
        let strategy = build(strategies::KINDS, example(kind)).map_err(|error| error.message).unwrap().1;
        heading(&mut page, strategies::KINDS, kind);
        let reads: Vec<String> = strategy.reads().iter().map(ToString::to_string).collect();
        let first = match kind.policy.on_first {
            OnFirst::Notify => "tells what fires",
            OnFirst::Announce => "tells what was found",
            OnFirst::Baseline => "says nothing",
        };
        let end = if kind.policy.resolved { "tells" } else { "does not tell" };
        let _ = write!(
            page,
            "Reads {}. At first sight it {first}; it {end} when it is over (`on_first` and `resolved` of the \
             watch change that).\n\n```toml\n[watch.example]\nevery = \"30m\"\nsource = {}\n\n\
             [[watch.example.strategy]]\n{}\n```\n",
            reads.join(", "),
            source_for(strategy.reads()),
            keys(kind)
        );
    }
    page.push_str("\n## Notifiers\n\nWho is told.\n");
    for kind in notifiers::KINDS {
        heading(&mut page, notifiers::KINDS, kind);
        let _ = write!(page, "```toml\n[notify.example]\n{}\n```\n", keys(kind));
    }
    page
}

fn heading<T: ?Sized>(page: &mut String, kinds: &[Kind<T>], kind: &Kind<T>) {
    let keys = own_keys(kinds, kind);
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    let _ = write!(page, "\n### `{}`\n\n{}. Keys: {keys}.\n\n", kind.name, sentence(kind.about));
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The example as it stands in a file.
fn keys<T: ?Sized>(kind: &Kind<T>) -> String {
    format!("kind = \"{}\"\n{}", kind.name, kind.example).trim_end().to_owned()
}

fn example<T: ?Sized>(kind: &Kind<T>) -> toml::Spanned<DeTable<'static>> {
    DeTable::parse(keys(kind).leak()).unwrap()
}

/// A source that gives what a strategy reads.
fn source_for(reads: &[ReadingKind]) -> &'static str {
    match reads.first() {
        Some(ReadingKind::Listing) => {
            "{ kind = \"newegg\", url = \"https://www.newegg.com/p/pl?d=rtx+3070\" }"
        }
        Some(ReadingKind::Text) => "{ kind = \"page\", url = \"https://town.example/news\" }",
        _ if reads.contains(&ReadingKind::Candles) => {
            "{ kind = \"yahoo\", symbols = [\"AAPL\"], interval = \"30m\" }"
        }
        _ => "{ kind = \"ny_gas\", region = \"new_york_state\" }",
    }
}

/// What stands after `$ ` or alone on a line of the `sh` blocks, without comments.
fn commands(text: &str) -> Vec<String> {
    let blocks = blocks(text, "sh").into_iter().map(|(_, block)| block).collect::<Vec<_>>().join("\n");
    let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    blocks.lines().map(line).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_command_in_the_documents_is_one() {
    for page in pages() {
        for command in commands(&read(&page)) {
            // Variables for one command stand before it.
            let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
            match words[0] {
                "cargo" => assert!(CARGO.contains(&words.join(" ").as_str()), "{page}: `{command}`"),
                "stakeout" => understood(&page, &words[1..]),
                "cp" | "export" | "kill" | "systemctl" | "docker" | "curl" | "just" => {}
                other => panic!("{page}: `{command}`: what is `{other}`?"),
            }
        }
    }
}

/// The program knows the command, and every option that is given.
fn understood(page: &str, arguments: &[&str]) {
    let family = usize::from(matches!(arguments[0], "notify" | "outbox" | "silence" | "watch")) + 1;
    let output = stakeout(&[&arguments[..family], &["--help"]].concat());
    assert!(output.status.success(), "{page}: `stakeout {}`", arguments.join(" "));
    let help = String::from_utf8(output.stdout).unwrap();
    for option in arguments.iter().filter(|argument| argument.starts_with('-')) {
        let known = help.split_whitespace().any(|word| word.trim_end_matches(',') == *option);
        assert!(known, "{page}: `stakeout {}` has no `{option}`", arguments.join(" "));
    }
}

fn stakeout(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_stakeout"))
        .args(arguments)
        .current_dir(root())
        .env_remove("STAKEOUT_CONFIG")
        .env_remove("STAKEOUT_DATA_DIR")
        .output()
        .unwrap()
}

#[test]
fn the_readme_s_commands_that_need_no_network_run() {
    for arguments in [
        "check -c config.example.toml",
        "kinds",
        "kinds rsi",
        "kinds --json",
        "notify test console -c config.example.toml",
        "demo --seconds 1",
        "--version",
    ] {
        let output = stakeout(&arguments.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "stakeout {arguments}: {said}");
        assert!(!output.stdout.is_empty(), "stakeout {arguments} says nothing");
    }
}

#[test]
fn what_the_documents_point_to_is_there() {
    for page in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in read(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{page} points to `{link}`");
            }
        }
    }
}
