//! The pages that are written from the program's own tables: behind their heads, which people write.

use std::fmt::Write as _;
use std::fs;

use stakeout::model::ReadingKind;
use stakeout::plugin::{Kind, build};
use stakeout::watchlist::schema::{KeyRow, gives, judges, of_kind, rows, tables};
use stakeout::{notifiers, sources, strategies};
use toml::de::DeTable;

use crate::{read, root};

/// What stands above it is kept as it is written.
const MARK: &str = "<!-- generated from here: UPDATE_DOCS=1 cargo test --test docs -->\n";

#[test]
fn the_pages_of_keys_and_kinds_say_what_the_tables_say() {
    for (page, written) in [
        ("docs/configuration.md", configuration()),
        ("docs/sources.md", sources_page()),
        ("docs/strategies.md", strategies_page()),
        ("docs/notifiers.md", notifiers_page()),
    ] {
        let stands = read(page);
        let (head, _) = stands.split_once(MARK).unwrap_or_else(|| panic!("{page} has no line {MARK}"));
        let written = format!("{head}{MARK}{written}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(root().join(page), &written).unwrap();
        } else {
            assert!(stands == written, "{page} is not up to date: UPDATE_DOCS=1 cargo test --test docs");
        }
    }
}

fn configuration() -> String {
    let mut page = String::new();
    for table in tables() {
        let _ = write!(page, "\n## `[{}]`\n\n{}\n\n", table.name, table.about);
        page.push_str(match table.name {
            "notify.NAME" => {
                "Each has a `kind`, the keys of that kind, which are in [notifiers.md](notifiers.md), and these:\n\n"
            }
            "source.KIND" => {
                "Each kind has its own keys, which are in [sources.md](sources.md). Every kind understands these too, \
                 here and in the `source` of a watch. A watch's own goes before that of `[source.KIND]`, and that \
                 before `[fetch]`; `headers` and `cookies` are put together name by name.\n\n"
            }
            "watch.NAME" => {
                "Its `source` has a `kind` and the keys of that kind, and so has each table of its `strategy`. When it \
                 runs, say `every` or `cron`: one of them, never both.\n\n"
            }
            _ => "",
        });
        let mut keys = rows(&table.schema);
        if table.name == "watch.NAME" {
            keys.splice(0..0, of_kinds());
        }
        page.push_str(&key_table(&keys));
    }
    page
}

/// The keys of a watch that have kinds.
fn of_kinds() -> [KeyRow; 2] {
    let row = |key: &str, takes: &str, required, meaning: &str| KeyRow {
        key: key.into(),
        takes: takes.into(),
        default: None,
        required,
        meaning: meaning.into(),
    };
    [
        row("source", "table", true, "Where it looks, as in [sources.md](sources.md)."),
        row(
            "strategy",
            "list of tables",
            false,
            "How it judges what it sees, as in [strategies.md](strategies.md); left out: the usual one of its source.",
        ),
    ]
}

fn sources_page() -> String {
    let mut page = String::new();
    for kind in sources::KINDS {
        let example = format!("[watch.example]\nevery = \"30m\"\n\n[watch.example.source]\n{}", keys(kind));
        page.push_str(&section(kind, &gives(kind), &example));
    }
    page
}

fn strategies_page() -> String {
    let mut page = String::new();
    for kind in strategies::KINDS {
        let strategy = build(strategies::KINDS, example(kind)).map_err(|error| error.message).unwrap().1;
        let source = source_for(strategy.reads());
        let example = format!(
            "[watch.example]\nevery = \"30m\"\nsource = {source}\n\n[[watch.example.strategy]]\n{}",
            keys(kind)
        );
        page.push_str(&section(kind, &judges(kind), &example));
    }
    page
}

fn notifiers_page() -> String {
    let kinds = notifiers::KINDS.iter();
    kinds.map(|kind| section(kind, "", &format!("[notify.example]\n{}", keys(kind)))).collect()
}

/// One kind: what it does, its keys, an example.
fn section<T: ?Sized>(kind: &Kind<T>, more: &str, example: &str) -> String {
    let schema = of_kind(kind);
    let about = schema["description"].as_str().unwrap_or_default();
    let paragraphs = [sentence(kind.about), about.to_owned(), more.to_owned()];
    let paragraphs: Vec<String> = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
    let keys = rows(&schema);
    let keys = if keys.is_empty() { "It has no keys of its own.\n".to_owned() } else { key_table(&keys) };
    format!("\n## `{}`\n\n{}\n\n{keys}\n```toml\n{example}\n```\n", kind.name, paragraphs.join("\n\n"))
}

fn key_table(rows: &[KeyRow]) -> String {
    let mut table = String::from("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for row in rows {
        let default = match &row.default {
            _ if row.required => "**required**".to_owned(),
            Some(default) => format!("`{default}`"),
            None => String::new(),
        };
        let cells = [format!("`{}`", row.key), quoted(&row.takes), default, row.meaning.clone()];
        let _ = writeln!(table, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    table
}

/// Words that are written as they stand, as code.
fn quoted(takes: &str) -> String {
    let parts = takes.split('"').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("`\"{part}\"`") } else { part.to_owned() }).collect()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
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
