//! The pages that are written from the program's own tables.

use std::fmt::Write as _;
use std::fs;

use stakeout::model::{OnFirst, ReadingKind};
use stakeout::plugin::{Kind, build};
use stakeout::{notifiers, sources, strategies};
use toml::de::DeTable;

use crate::keys::own_keys;
use crate::root;

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
