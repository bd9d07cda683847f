//! A form that was filled in, and the table of a watch that it says.

use serde_json::{Map, Value};

use super::fields::{Field, fields};
use crate::config::Mistake;
use crate::watchlist::{Offer, Outlook, outlook, source_offers, strategy_offers};

/// The keys of a watch that have a field of their own beside those of its source and strategies.
pub(super) const PLAIN: [&str; 3] = ["every", "cron", "timezone"];

/// What was typed and ticked, by the names of the fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled(pub(super) Vec<(String, String)>);

/// What is wrong, and at which field; with an empty name for what belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) sentence: String,
}

/// The table of a watch.
pub(super) type Table = Map<String, Value>;

impl Filled {
    /// What stands in a field.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(key, ticked)| key == name && ticked == value)
    }

    /// Puts the example into those fields of the source that are empty.
    pub(super) fn fill_in_example(&mut self, offer: &Offer) {
        for field in fields(offer.example).into_iter().filter(|field| !field.is_secret) {
            let name = format!("source.{}", field.key);
            if self.get(&name).trim().is_empty() {
                self.0.retain(|(key, _)| *key != name);
                self.0.push((name, field.example));
            }
        }
    }

    /// The form as it is shown first: with what is usual.
    pub(super) fn fresh(offer: &Offer, notifiers: &[String]) -> Self {
        let mut filled = vec![("source".to_owned(), offer.name.to_owned()), ("every".into(), "30m".into())];
        let source = fields(offer.example).into_iter().filter(|field| !field.is_secret);
        let source = source.filter(Field::is_usual);
        filled.extend(source.map(|field| (format!("source.{}", field.key), field.example)));
        if let Some(outlook) = outlook_of_example(offer) {
            for strategy in strategy_offers(outlook.yields) {
                let kind = |table: &&toml::Table| {
                    table.get("kind").and_then(toml::Value::as_str) == Some(strategy.name)
                };
                let usual = outlook.usual.iter().find(kind);
                if usual.is_some() {
                    filled.push(("strategy".into(), strategy.name.into()));
                }
                for field in fields(strategy.example) {
                    // Of the usual ones only what is usual is said; the others need all that they show.
                    let typed = match usual {
                        Some(usual) => usual.get(&field.key).map(super::fields::typed),
                        None => Some(field.example),
                    };
                    let name = format!("strategy.{}.{}", strategy.name, field.key);
                    filled.extend(typed.map(|typed| (name, typed)));
                }
            }
        }
        filled.extend(notifiers.iter().map(|notifier| ("notify".to_owned(), notifier.clone())));
        Self(filled)
    }

    /// The kind of source that was picked.
    pub(super) fn source(&self) -> Option<Offer> {
        source_offers().find(|offer| offer.name == self.get("source"))
    }

    /// What comes of the source as it is filled in; as in its example, where that cannot be said yet.
    pub(super) fn outlook(&self, offer: &Offer) -> Option<Outlook> {
        let filled = self.table(offer, &[]).ok().and_then(|table| {
            let source: toml::Table = serde_json::from_value(table.get("source")?.clone()).ok()?;
            outlook(&source)
        });
        filled.or_else(|| outlook_of_example(offer))
    }

    /// The table of the watch that it says, or all that is wrong with how it is filled in.
    pub(super) fn table(&self, offer: &Offer, notifiers: &[String]) -> Result<Table, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut source = Table::from_iter([("kind".to_owned(), Value::from(offer.name))]);
        self.read_into(&mut source, "source", &fields(offer.example), &mut wrong);
        let mut table = Table::new();
        for key in PLAIN {
            let typed = self.get(key).trim();
            if !typed.is_empty() {
                table.insert(key.into(), typed.into());
            }
        }
        table.insert("source".into(), source.into());
        let strategies: Vec<Value> = self.strategies(&mut wrong);
        if !strategies.is_empty() {
            table.insert("strategy".into(), strategies.into());
        }
        // Everybody is told where nothing is said, also who comes later.
        let told: Vec<&String> = notifiers.iter().filter(|notifier| self.has("notify", notifier)).collect();
        if told.len() < notifiers.len() {
            table.insert("notify".into(), told.into_iter().map(|name| Value::from(name.as_str())).collect());
        }
        match toml::from_str::<Table>(self.get("more")) {
            Ok(more) => join(&mut table, more, "", &mut wrong),
            Err(error) => wrong.push(Wrong {
                field: "more".into(),
                sentence: format!("This is no TOML: {}.", error.message()),
            }),
        }
        if wrong.is_empty() { Ok(table) } else { Err(wrong) }
    }

    /// The strategies that are ticked, in the order of their table.
    fn strategies(&self, wrong: &mut Vec<Wrong>) -> Vec<Value> {
        use crate::model::ReadingKind::{Candles, Listing, Quote, Text, Value as Number};
        let mut kinds: Vec<Offer> =
            [Candles, Quote, Listing, Number, Text].into_iter().flat_map(strategy_offers).collect();
        kinds.sort_by_key(|kind| kind.name);
        kinds.dedup();
        let mut strategies = Vec::new();
        for kind in kinds.iter().filter(|kind| self.has("strategy", kind.name)) {
            let mut table = Table::from_iter([("kind".to_owned(), Value::from(kind.name))]);
            self.read_into(&mut table, &format!("strategy.{}", kind.name), &fields(kind.example), wrong);
            strategies.push(table.into());
        }
        strategies
    }

    fn read_into(&self, table: &mut Table, place: &str, fields: &[Field], wrong: &mut Vec<Wrong>) {
        for field in fields.iter().filter(|field| !field.is_secret) {
            let name = format!("{place}.{}", field.key);
            match field.read(self.get(&name)) {
                Ok(Some(value)) => drop(table.insert(field.key.clone(), value)),
                Ok(None) => {}
                Err(sentence) => wrong.push(Wrong { field: name, sentence }),
            }
        }
    }
}

/// What comes of a kind of source as its example shows it.
fn outlook_of_example(offer: &Offer) -> Option<Outlook> {
    let mut table: toml::Table = toml::from_str(offer.example).ok()?;
    table.insert("kind".into(), offer.name.into());
    outlook(&table)
}

/// Puts more keys beside those that there are. The strategies that it says stand instead of those that are ticked.
fn join(table: &mut Table, more: Table, place: &str, wrong: &mut Vec<Wrong>) {
    for (key, value) in more {
        let name = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match (table.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => join(inner, more, &name, wrong),
            (Some(_), _) if key != "strategy" && key != "notify" => {
                let sentence = format!("`{name}` stands above already; say it once.");
                wrong.push(Wrong { field: "more".into(), sentence });
            }
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// A mistake that was found when the watch was built, at its field.
pub(super) fn placed(mistake: &Mistake, name: &str) -> Wrong {
    let place = mistake.place.strip_prefix(&format!("watch `{name}`")).unwrap_or(&mistake.place);
    let place = place.trim_start_matches(": ").replace(": ", ".");
    let message = &mistake.message;
    let missing = message.split_once("missing field `").and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let kind = message.split_once(": ").map_or("", |(kind, _)| kind);
    let mut field = place;
    if let Some(of_strategy) =
        field.strip_prefix("strategy").filter(|_| !kind.is_empty() && !kind.contains(' '))
    {
        field = format!("strategy.{kind}{of_strategy}");
    }
    if let Some(missing) = missing {
        field = format!("{field}.{missing}");
    }
    let sentence = match field.as_str() {
        "" => message.clone(),
        "every" | "cron" if message.starts_with("is ") => format!("When it is due {message}"),
        _ => message.clone(),
    };
    Wrong { field, sentence }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn offer(name: &str) -> Offer {
        source_offers().find(|offer| offer.name == name).unwrap()
    }

    fn filled(fields: &[(&str, &str)]) -> Filled {
        Filled(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_filled_in_becomes_the_table_of_a_watch() {
        let form = filled(&[
            ("source", "newegg"),
            ("source.url", "https://www.newegg.com/p/pl?d=rtx"),
            ("source.include", ""),
            ("source.exclude", "combo, refurbished"),
            ("every", "1m"),
            ("cron", ""),
            ("strategy", "restock"),
            ("strategy.restock.max_price", "600"),
            ("strategy.rsi.period", "14"),
            ("notify", "mail"),
            ("more", "quiet_hours = \"22:00-07:00\"\n[source]\ntimeout = \"9s\"\n[labels]\nroom = \"a\""),
        ]);
        let notifiers = ["hook".to_owned(), "mail".into()];
        let table = form.table(&offer("newegg"), &notifiers).unwrap();
        assert_eq!(
            Value::from(table),
            json!({
                "every": "1m",
                "source": {"kind": "newegg", "url": "https://www.newegg.com/p/pl?d=rtx",
                           "exclude": ["combo", "refurbished"], "timeout": "9s"},
                "strategy": [{"kind": "restock", "max_price": 600}],
                "notify": ["mail"],
                "quiet_hours": "22:00-07:00",
                "labels": {"room": "a"},
            })
        );
    }

    #[test]
    fn who_ticks_everybody_and_no_strategy_says_nothing_about_them() {
        let form = filled(&[("source.url", "https://a.example"), ("every", "1h"), ("notify", "hook")]);
        let table = form.table(&offer("page"), &["hook".to_owned()]).unwrap();
        assert_eq!(
            Value::from(table),
            json!({"every": "1h", "source": {"kind": "page", "url": "https://a.example"}})
        );
        let table = filled(&[]).table(&offer("page"), &["hook".to_owned()]).unwrap();
        assert_eq!(table["notify"], json!([]), "nobody is ticked");
    }

    #[test]
    fn all_that_is_wrong_with_the_form_is_told_at_once() {
        let form = filled(&[
            ("source.url", "https://a.example"),
            ("strategy", "threshold"),
            ("strategy.threshold.above", "high"),
            ("every", "1h"),
            ("more", "every = \"2h\"\n[source]\nurl = \"https://b.example\""),
        ]);
        let wrong = form.table(&offer("json"), &[]).unwrap_err();
        let places: Vec<&str> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(places, ["strategy.threshold.above", "more", "more"]);
        let broken = filled(&[("more", "a = ")]).table(&offer("json"), &[]).unwrap_err();
        assert_eq!(broken[0].field, "more");
    }

    #[test]
    fn a_mistake_of_the_watch_is_told_at_its_field() {
        for (place, message, field) in [
            ("watch `a`: source: url", "shop: no address", "source.url"),
            ("watch `a`: source", "shop: missing field `url`", "source.url"),
            ("watch `a`: source.token", "is a secret", "source.token"),
            ("watch `a`: every", "is missing: say when", "every"),
            ("watch `a`: strategy: period", "rsi: expected a whole number", "strategy.rsi.period"),
            ("watch `a`: notify", "no notifier named `x`", "notify"),
            ("watch `a`", "the name is too long", ""),
        ] {
            let mistake =
                Mistake { file: PathBuf::new(), line: None, place: place.into(), message: message.into() };
            assert_eq!(placed(&mistake, "a").field, field, "{place}");
        }
    }

    #[test]
    fn every_example_is_filled_in_and_read_back_as_it_is() {
        for offer in source_offers() {
            let mut form = Filled::fresh(&offer, &[]);
            form.fill_in_example(&offer);
            let table = form.table(&offer, &[]).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", offer.name));
            let mut expected: Table = toml::from_str(offer.example).unwrap();
            expected.retain(|key, _| !super::super::fields::is_secret(key));
            expected.insert("kind".into(), offer.name.into());
            assert_eq!(table["source"].clone(), Value::from(expected), "{}", offer.name);
            assert!(table["strategy"].as_array().is_some_and(|usual| !usual.is_empty()), "{}", offer.name);
        }
    }
}
