//! What a watch can be made of, for who puts one together step by step.

use toml::de::DeTable;

use super::build::strategies_for;
use crate::model::ReadingKind;
use crate::plugin;
use crate::{sources, strategies};

/// A kind that one may pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name in `kind = "…"`.
    pub name: &'static str,
    /// One line: what it does.
    pub about: &'static str,
    /// The keys of a working configuration, without `kind`, one a line.
    pub example: &'static str,
}

/// What comes of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// What its observations are.
    pub yields: ReadingKind,
    /// The strategies of a watch that names none, as tables with their `kind`.
    pub usual: Vec<toml::Table>,
}

/// Every kind of source.
pub fn source_offers() -> impl Iterator<Item = Offer> {
    sources::KINDS.iter().map(|kind| Offer { name: kind.name, about: kind.about, example: kind.example })
}

/// The kinds of strategy that understand a kind of reading.
#[must_use]
pub fn strategy_offers(reading: ReadingKind) -> Vec<Offer> {
    let names = strategies_for(reading);
    let fitting = strategies::KINDS.iter().filter(|kind| names.contains(&kind.name));
    fitting.map(|kind| Offer { name: kind.name, about: kind.about, example: kind.example }).collect()
}

/// What comes of a source with this table, its `kind` included; `None` where it cannot be built.
#[must_use]
pub fn outlook(source: &toml::Table) -> Option<Outlook> {
    let text = toml::to_string(source).ok()?;
    let (_, source) = plugin::build(sources::KINDS, DeTable::parse(&text).ok()?).ok()?;
    let usual: toml::Table = toml::from_str(&format!("strategy = {}", source.usual_strategies())).ok()?;
    let usual =
        usual.get("strategy")?.as_array()?.iter().filter_map(|table| table.as_table().cloned()).collect();
    Some(Outlook { yields: source.yields(), usual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_source_it_is_known_what_comes_of_its_example_and_who_judges_that() {
        for offer in source_offers() {
            let mut table: toml::Table = toml::from_str(offer.example).expect(offer.name);
            table.insert("kind".into(), offer.name.into());
            let outlook = outlook(&table).expect(offer.name);
            let fitting = strategy_offers(outlook.yields);
            assert!(!outlook.usual.is_empty(), "{}", offer.name);
            for usual in &outlook.usual {
                let kind = usual["kind"].as_str().unwrap();
                assert!(fitting.iter().any(|fits| fits.name == kind), "{}: {kind}", offer.name);
            }
        }
        assert_eq!(outlook(&toml::Table::new()), None);
    }
}
