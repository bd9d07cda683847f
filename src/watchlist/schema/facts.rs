//! What a kind does in the words of people: what it gives or reads, and what is usual.

use toml::de::DeTable;

use crate::model::OnFirst;
use crate::plugin::{self, Kind, Source, Strategy};
use crate::watchlist::build::table_of;
use crate::{sources, strategies};

/// What a source gives, and how that is judged where nobody says.
#[must_use]
pub fn gives(kind: &'static Kind<dyn Source>) -> String {
    built(sources::KINDS, kind).map_or_else(String::new, |source| {
        format!("Gives {}; the usual strategy is `{}`.", source.yields(), source.usual_strategies())
    })
}

/// What a strategy reads, and what it tells where nobody says.
#[must_use]
pub fn judges(kind: &'static Kind<dyn Strategy>) -> String {
    let Some(strategy) = built(strategies::KINDS, kind) else { return String::new() };
    let reads: Vec<String> = strategy.reads().iter().map(ToString::to_string).collect();
    let first = match kind.policy.on_first {
        OnFirst::Notify => "tells what fires",
        OnFirst::Announce => "tells what was found",
        OnFirst::Baseline => "says nothing",
    };
    let end = if kind.policy.resolved { "tells" } else { "does not tell" };
    format!(
        "Reads {}. At first sight it {first}; it {end} when it is over (`on_first` and `resolved` of the watch change \
         that).",
        reads.join(", ")
    )
}

/// One of this kind, as its example has it.
pub(super) fn built<T: ?Sized>(kinds: &'static [Kind<T>], kind: &'static Kind<T>) -> Option<Box<T>> {
    let mut table = DeTable::parse(kind.example).ok()?;
    table.get_mut().extend(table_of(kind.name));
    plugin::build(kinds, table).ok().map(|(_, built)| built)
}
