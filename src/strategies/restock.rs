//! Fires while a product can be bought.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checked;
use super::words::{self, count};
use crate::model::{
    Availability, Evidence, Listing, Observation, PolicyDefaults, Reading, ReadingKind, Reason, Signal,
    SignalState, money,
};
use crate::plugin::{EvaluateError, News, Plugin, Story, Strategy, View, Words};

/// Fires while a product can be bought, and costs no more than `max_price`. Ends when it is sold out, too dear, or gone
/// from a page that lists everything. What a page says nothing about has not changed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Restock {
    /// What else counts as being there: products that can be ordered but are not there yet.
    also: Vec<Also>,
    /// Counts only at or below this price; a product without a price does not count then.
    #[schemars(extend("exclusiveMinimum" = 0))]
    max_price: Option<f64>,
}

checked!(Restock, |restock| match restock.max_price {
    Some(price) if !(price.is_finite() && price > 0.0) => Err("`max_price` must be more than 0".into()),
    _ => Ok(()),
});

/// What can be ordered but is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Also {
    /// Before it is published.
    PreOrder,
    /// Will come later.
    BackOrder,
}

/// The state of a product that could be bought but costs too much.
const TOO_EXPENSIVE: &str = "too_expensive";
/// The state of a product that the listing no longer shows.
const GONE: &str = "gone";

impl Restock {
    /// Whether it counts as being there; `None` where the page does not say: missing is not changed.
    fn is_wanted(&self, availability: Availability) -> Option<bool> {
        Some(match availability {
            Availability::Unknown => return None,
            Availability::PreOrder => self.also.contains(&Also::PreOrder),
            Availability::BackOrder => self.also.contains(&Also::BackOrder),
            availability => availability.is_buyable(),
        })
    }

    fn is_affordable(&self, listing: &Listing) -> bool {
        self.max_price.is_none_or(|max| listing.price.is_some_and(|price| price <= max))
    }

    fn signal(&self, seen: &Observation) -> Option<Signal> {
        let Reading::Listing(listing) = &seen.reading else { return None };
        let wanted = self.is_wanted(listing.availability)?;
        let affordable = self.is_affordable(listing);
        let state = if wanted && !affordable { TOO_EXPENSIVE } else { word(listing.availability) };
        let mut signal = Signal::level(&seen.subject, state, wanted && affordable);
        if listing.availability.is_buyable() && affordable {
            // Few left is the same news as many left.
            signal.fingerprint = word(Availability::InStock).into();
        }
        Some(described(signal, seen, listing))
    }
}

/// With the product's name, price and link.
fn described(mut signal: Signal, seen: &Observation, listing: &Listing) -> Signal {
    let price = listing.price.map(|price| money(price, listing.price_currency.as_deref()));
    signal.value = listing.price;
    let name = if listing.name.is_empty() { &seen.subject } else { &listing.name };
    signal.summary(price.map_or(name.clone(), |price| format!("{name}, {price}"))).url(seen.url.clone())
}

/// schema.org's word in snake case.
const fn word(availability: Availability) -> &'static str {
    match availability {
        Availability::InStock => "in_stock",
        Availability::LimitedAvailability => "limited_availability",
        Availability::PreOrder => "pre_order",
        Availability::BackOrder => "back_order",
        Availability::OutOfStock => "out_of_stock",
        Availability::Discontinued => "discontinued",
        Availability::Unknown => "unknown",
    }
}

impl Plugin for Restock {
    const KIND: &'static str = "restock";
    const ABOUT: &'static str = "a product can be bought (again), or no longer";
    const EXAMPLE: &'static str = "max_price = 600\nalso = [\"pre_order\"]";
    const POLICY: PolicyDefaults = PolicyDefaults::ANNOUNCE;
}

impl Strategy for Restock {
    fn reads(&self) -> &'static [ReadingKind] {
        &[ReadingKind::Listing]
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        let mut judged = HashSet::new();
        let mut signals: Vec<Signal> = view
            .current
            .iter()
            .filter_map(|seen| self.signal(seen))
            // A page may show a product twice.
            .filter(|signal| judged.insert(signal.subject.clone()))
            .collect();
        for seen in view.absent {
            let Reading::Listing(listing) = &seen.reading else { continue };
            if judged.insert(seen.subject.clone()) {
                signals.push(described(Signal::level(&seen.subject, GONE, false), seen, listing));
            }
        }
        // A product that this run says nothing about may still be there, so nobody says "all gone".
        let unheard = |(subject, known): &(&String, &SignalState)| known.firing && !judged.contains(*subject);
        let unheard = view.known.iter().filter(unheard).count();
        if unheard > 0 {
            for signal in signals.iter_mut().filter(|signal| !signal.firing) {
                signal.detail = format!("{} in stock not seen this time", count(unheard, "other item"));
            }
        }
        Ok(signals)
    }

    fn unjudged(&self, view: &View<'_>) -> Vec<String> {
        let contradictory = view.current.iter().filter(|seen| {
            matches!(&seen.reading, Reading::Listing(listing) if listing.availability == Availability::Unknown)
                && Evidence::is_contradictory(&seen.evidence)
        });
        contradictory
            .map(|seen| format!("{}: the page contradicts itself ({})", seen.subject, heard(seen)))
            .collect()
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let of_one = |seen: &&Observation| seen.subject == subject;
        let listing = |seen: &'_ Observation| match &seen.reading {
            Reading::Listing(listing) => Some(listing.clone()),
            _ => None,
        };
        let says = |seen: &&Observation| self.signal(seen).is_some();
        let mut shown = view.current.iter().filter(of_one);
        let seen = shown.clone().find(says).or_else(|| shown.next());
        let evidence = seen.map(|seen| seen.evidence.as_slice()).unwrap_or_default();
        let Some(listing) = seen.and_then(listing) else {
            return match view.absent.iter().find(of_one) {
                Some(_) => vec![format!("the listing no longer shows it → {GONE}")],
                None => words::unseen(),
            };
        };
        let price = listing.price.map(|price| money(price, listing.price_currency.as_deref()));
        let priced = price.as_deref().unwrap_or("no price");
        let mut steps = vec![format!("{}, {priced}", listing.availability)];
        steps.extend(
            evidence.iter().map(|one| format!("{}{one}", if one.weak { "for want of better, " } else { "" })),
        );
        match self.is_wanted(listing.availability) {
            None if Evidence::is_contradictory(evidence) => {
                steps.push("the page contradicts itself: nothing is changed".into());
            }
            None => steps.push("the page does not say whether it is there: missing is not changed".into()),
            Some(false) => steps.push(format!("not to be had → {}", word(listing.availability))),
            Some(true) => {
                steps.push("counts as being there".into());
                let state = word(listing.availability);
                steps.extend(self.max_price.map(|max| {
                    let max = money(max, listing.price_currency.as_deref());
                    match self.is_affordable(&listing) {
                        true => format!("max_price: {priced} is not more than {max} → {state}"),
                        false => format!("max_price: {priced} is not within {max} → {TOO_EXPENSIVE}"),
                    }
                }));
                if self.max_price.is_none() {
                    steps.push(format!("no max_price → {state}"));
                }
            }
        }
        steps
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let of =
            |reasons: &'static [Reason]| story.news.iter().filter(move |news| reasons.contains(&news.reason));
        let new: Vec<&News<'_>> = of(&[Reason::First, Reason::Changed]).collect();
        let gone: Vec<&News<'_>> = of(&[Reason::Resolved]).collect();
        let still: Vec<&News<'_>> = of(&[Reason::Reminder]).collect();
        let in_stock: Vec<&Signal> = story.signals.iter().filter(|signal| signal.firing).collect();

        if story.news.is_empty() {
            let watched = count(story.current.len(), "item");
            let unclear = unclear(story);
            let unjudged = match unclear {
                0 => String::new(),
                all if all == story.current.len() => ", could not be judged".into(),
                some => format!(", {some} could not be judged"),
            };
            let found = match unclear == story.current.len() && unclear > 0 {
                true => String::new(),
                false => format!(", {} {}", in_stock.len(), there(&in_stock)),
            };
            return Words {
                title: format!("{}: watching {watched}{found}{unjudged}", story.watch),
                body: words::lines(in_stock.iter().map(|signal| line(signal))),
                url: in_stock.first().and_then(|signal| signal.url.clone()),
            };
        }
        let mut parts = vec![];
        if !new.is_empty() {
            let signals: Vec<&Signal> = new.iter().map(|news| news.signal).collect();
            parts.push(format!("{} {}", count(new.len(), "new item"), there(&signals)));
        }
        if !still.is_empty() {
            let signals: Vec<&Signal> = still.iter().map(|news| news.signal).collect();
            parts.push(format!("{} still {}", count(still.len(), "item"), there(&signals)));
        }
        match gone.len() {
            0 => {}
            number if !parts.is_empty() => parts.push(format!("{number} gone")),
            _ if all_gone(story) => parts.push("all items gone".into()),
            number => {
                parts.push(format!("{} gone", count(number, "item")));
                if !in_stock.is_empty() {
                    parts.push(format!("{} still {}", in_stock.len(), there(&in_stock)));
                }
            }
        }
        let there = new.iter().chain(&still).map(|news| line(news.signal));
        let lines = there.chain(gone.iter().map(|news| farewell(story, news)));
        let url = new.iter().chain(&still).chain(&gone).find_map(|news| news.signal.url.clone());
        Words { title: format!("{}: {}", story.watch, parts.join(", ")), body: words::lines(lines), url }
    }
}

/// How many of what was seen say nothing about stock that can be relied on.
fn unclear(story: &Story<'_>) -> usize {
    let is_judged = |seen: &Observation| story.signals.iter().any(|signal| signal.subject == seen.subject);
    let unclear = |seen: &&Observation| {
        matches!(&seen.reading, Reading::Listing(listing) if listing.availability == Availability::Unknown)
            && !is_judged(seen)
    };
    story.current.iter().filter(unclear).count()
}

/// What each part of a page says that counts.
fn heard(seen: &Observation) -> String {
    Evidence::counted(&seen.evidence).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Whether nothing at all is left, as far as everything was seen.
fn all_gone(story: &Story<'_>) -> bool {
    let unknown = |seen: &Observation| matches!(&seen.reading, Reading::Listing(listing) if listing.availability == Availability::Unknown);
    story.signals.iter().all(|signal| !signal.firing)
        && story.news.iter().all(|news| news.signal.detail.is_empty())
        && !story.current.iter().any(unknown)
}

/// How to say that these can be had.
fn there(signals: &[&Signal]) -> &'static str {
    let in_stock = |signal: &&Signal| signal.fingerprint == word(Availability::InStock);
    if signals.iter().all(in_stock) { "in stock" } else { "to order" }
}

/// Name, price and link.
fn line(signal: &Signal) -> String {
    let mut line = signal.summary.clone();
    if signal.firing && signal.fingerprint != word(Availability::InStock) {
        let word = match signal.state.as_str() {
            "pre_order" => "pre-order",
            "back_order" => "back order",
            other => other,
        };
        line.push_str(&format!(" ({word})"));
    }
    if let Some(url) = &signal.url {
        line.push_str(&format!(", {url}"));
    }
    line
}

/// What it was and how long it was there.
fn farewell(story: &Story<'_>, news: &News<'_>) -> String {
    let lasted = words::lasted(story, news);
    let signal = news.signal;
    let now = if signal.state == TOO_EXPENSIVE { " is too expensive now" } else { "" };
    format!("{}{now}, was there for {lasted}", signal.summary)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::tz::TimeZone;

    use super::super::tests::{known, steps, tell_all, told};
    use super::*;
    use crate::testing::{NoSource, at, evaluate, plugin};

    fn item(sku: &str, price: impl Into<Option<f64>>, availability: Availability) -> Observation {
        Observation {
            subject: sku.into(),
            observed_at: at("2026-11-20T00:00:00Z"),
            url: Some(format!("https://shop.example/p/{sku}")),
            reading: Reading::Listing(Listing {
                sku: sku.into(),
                name: format!("Card {sku}"),
                price: price.into(),
                price_currency: Some("USD".into()),
                availability,
            }),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn it_fires_while_a_product_can_be_bought_as_wanted() {
        use Availability::*;
        for (keys, price, availability, expected) in [
            ("", Some(499.99), InStock, Some(("in_stock", true, "in_stock"))),
            ("", None, InStock, Some(("in_stock", true, "in_stock"))),
            ("", None, LimitedAvailability, Some(("limited_availability", true, "in_stock"))),
            ("", None, OutOfStock, Some(("out_of_stock", false, "out_of_stock"))),
            ("", None, Discontinued, Some(("discontinued", false, "discontinued"))),
            ("", None, PreOrder, Some(("pre_order", false, "pre_order"))),
            ("", None, Unknown, None),
            ("also = [\"pre_order\"]", None, PreOrder, Some(("pre_order", true, "pre_order"))),
            ("also = [\"pre_order\"]", None, BackOrder, Some(("back_order", false, "back_order"))),
            ("also = [\"back_order\"]", None, BackOrder, Some(("back_order", true, "back_order"))),
            ("max_price = 500", Some(500.0), InStock, Some(("in_stock", true, "in_stock"))),
            ("max_price = 500", Some(500.01), InStock, Some(("too_expensive", false, "too_expensive"))),
            ("max_price = 500", None, InStock, Some(("too_expensive", false, "too_expensive"))),
            ("max_price = 500", Some(900.0), OutOfStock, Some(("out_of_stock", false, "out_of_stock"))),
        ] {
            let signals = evaluate(&plugin::<Restock>(keys), &[item("N1", price, availability)]);
            let signal = signals
                .first()
                .map(|signal| (signal.state.as_str(), signal.firing, signal.fingerprint.as_str()));
            assert_eq!(signal, expected, "{keys} {price:?} {availability:?}");
        }
        for keys in ["max_price = 0", "max_price = nan", "also = [\"in_stock\"]", "max = 5"] {
            assert!(toml::from_str::<Restock>(keys).is_err(), "{keys}");
        }
    }

    #[test]
    fn a_page_that_contradicts_itself_is_reported_with_its_evidence_and_changes_nothing() {
        use crate::model::Witness;
        let said = |from, availability, weak| Evidence {
            from,
            availability: Some(availability),
            price: None,
            price_currency: None,
            excerpt: "its words".into(),
            weak,
        };
        let mut seen = item("N1", 499.99, Availability::Unknown);
        seen.evidence = vec![
            said(Witness::JsonLd, Availability::InStock, false),
            said(Witness::Button, Availability::OutOfStock, false),
            said(Witness::Phrase, Availability::OutOfStock, true),
        ];
        let current =
            [seen, item("N2", None, Availability::InStock), item("N3", None, Availability::Unknown)];
        let restock: Restock = plugin("");
        let (known, now, zone) = (HashMap::new(), at("2026-11-20T00:12:00Z"), &TimeZone::UTC);
        let view = View {
            current: &current,
            earlier: &[],
            absent: &[],
            known: &known,
            now,
            zone,
            source: &NoSource,
        };
        let why = "N1: the page contradicts itself (JSON-LD: in stock (its words); button: out of stock (its words))";
        assert_eq!(restock.unjudged(&view), [why]);
        let signals = restock.evaluate(&view).expect("signals");
        assert_eq!(signals.iter().map(|signal| signal.subject.as_str()).collect::<Vec<_>>(), ["N2"]);
        let steps = restock.steps(&view, "N1");
        assert_eq!(steps[1], "JSON-LD: in stock (its words)");
        assert_eq!(steps.last().map(String::as_str), Some("the page contradicts itself: nothing is changed"));
    }

    #[test]
    fn its_steps_show_what_the_page_says_and_what_counts() {
        let restock: Restock = plugin("max_price = 500");
        for (price, availability, expected) in [
            (499.99, Availability::InStock, "max_price: $499.99 is not more than $500 → in_stock"),
            (600.0, Availability::InStock, "max_price: $600 is not within $500 → too_expensive"),
            (499.99, Availability::PreOrder, "not to be had → pre_order"),
            (
                499.99,
                Availability::Unknown,
                "the page does not say whether it is there: missing is not changed",
            ),
        ] {
            let steps = steps(&restock, &[item("N1", price, availability)], None);
            assert_eq!(steps.last().map(String::as_str), Some(expected));
        }
        let absent = [item("N1", None, Availability::InStock)];
        let (known, now, zone) = (HashMap::new(), at("2026-11-20T00:12:00Z"), &TimeZone::UTC);
        let view =
            View { current: &[], earlier: &[], absent: &absent, known: &known, now, zone, source: &NoSource };
        assert_eq!(restock.steps(&view, "N1"), ["the listing no longer shows it → gone"]);
    }

    #[test]
    fn a_product_has_one_signal_with_its_name_price_and_link() {
        let twice = [
            item("N1", None, Availability::Unknown),
            item("N1", 499.99, Availability::InStock),
            item("N1", None, Availability::OutOfStock),
        ];
        let signals = evaluate(&Restock::default(), &twice);
        assert_eq!(signals.len(), 1);
        assert_eq!(signals[0].summary, "Card N1, $499.99");
        assert_eq!(signals[0].value, Some(499.99));
        assert_eq!(signals[0].url.as_deref(), Some("https://shop.example/p/N1"));
    }

    /// The words for what a run saw, after one in which `before` were in stock.
    fn words(before: &[&str], current: &[Observation], absent: &[Observation]) -> Words {
        let restock = Restock::default();
        let settled = |sku: &&str| ((*sku).to_owned(), known("in_stock", true, "in_stock"));
        let known: HashMap<_, _> = before.iter().map(settled).collect();
        let now = at("2026-11-20T00:12:00Z");
        let zone = &TimeZone::UTC;
        let view = View { current, earlier: &[], absent, known: &known, now, zone, source: &NoSource };
        let signals = restock.evaluate(&view).unwrap();
        let news: Vec<News<'_>> = signals
            .iter()
            .filter_map(|signal| match (before.contains(&signal.subject.as_str()), signal.firing) {
                (false, true) => Some(told(signal, Reason::First)),
                (true, false) => Some(told(signal, Reason::Resolved)),
                _ => None,
            })
            .collect();
        tell_all(&restock, &news, &signals, current)
    }

    #[test]
    fn the_title_counts_what_came_and_what_went() {
        let here = |sku| item(sku, 499.99, Availability::InStock);
        let out = |sku| item(sku, None, Availability::OutOfStock);
        let unclear = |sku| item(sku, None, Availability::Unknown);
        for (before, current, absent, title) in [
            (vec![], vec![here("A"), out("B")], vec![], "1 new item in stock"),
            (vec![], vec![here("A"), here("B")], vec![], "2 new items in stock"),
            (vec!["A"], vec![out("A"), out("B")], vec![], "all items gone"),
            (vec!["A"], vec![], vec![here("A")], "all items gone"),
            (
                vec!["A", "B", "C"],
                vec![out("A"), here("B"), here("C")],
                vec![],
                "1 item gone, 2 still in stock",
            ),
            (
                vec!["A", "B", "C"],
                vec![here("C")],
                vec![here("A"), here("B")],
                "2 items gone, 1 still in stock",
            ),
            (vec!["B", "C"], vec![here("A"), out("B"), out("C")], vec![], "1 new item in stock, 2 gone"),
            // B may still be there: the page does not say, or was not seen.
            (vec!["A", "B"], vec![out("A"), unclear("B")], vec![], "1 item gone"),
            (vec!["A", "B"], vec![out("A")], vec![], "1 item gone"),
        ] {
            let words = words(&before, &current, &absent);
            assert_eq!(words.title, format!("watched: {title}"), "{before:?}");
        }
    }

    #[test]
    fn the_body_has_a_line_each_with_the_link_or_how_long_it_was_there() {
        let current = [
            item("A", None, Availability::OutOfStock),
            item("B", 499.99, Availability::InStock),
            item("C", 5.0, Availability::InStock),
        ];
        let words = words(&["A"], &current, &[]);
        let body = "Card B, $499.99, https://shop.example/p/B\nCard C, $5, https://shop.example/p/C\n\
                    Card A, was there for 12 min";
        assert_eq!(words.body, body);
        assert_eq!(words.url.as_deref(), Some("https://shop.example/p/B"));
    }

    #[test]
    fn what_can_only_be_ordered_is_told_as_such() {
        let restock: Restock = plugin("also = [\"pre_order\", \"back_order\"]");
        let current = [item("A", None, Availability::PreOrder), item("B", None, Availability::BackOrder)];
        let words = tell_all(&restock, &[], &evaluate(&restock, &current), &current);
        assert_eq!(words.title, "watched: watching 2 items, 2 to order");
        let body =
            "Card A (pre-order), https://shop.example/p/A\nCard B (back order), https://shop.example/p/B";
        assert_eq!(words.body, body);
    }

    #[test]
    fn first_sight_lists_what_is_in_stock() {
        let mut current = vec![item("A", 499.99, Availability::InStock)];
        current.extend((1..47).map(|n| item(&format!("N{n}"), None, Availability::OutOfStock)));
        let restock = Restock::default();
        let words = tell_all(&restock, &[], &evaluate(&restock, &current), &current);
        assert_eq!(words.title, "watched: watching 47 items, 1 in stock");
        assert_eq!(words.body, "Card A, $499.99, https://shop.example/p/A");
        assert_eq!(words.url.as_deref(), Some("https://shop.example/p/A"));
        let words = tell_all(&restock, &[], &[], &current[1..2]);
        assert_eq!(words.title, "watched: watching 1 item, 0 in stock");
    }

    #[test]
    fn first_sight_says_what_could_not_be_judged() {
        let restock = Restock::default();
        let unclear = item("U", None, Availability::Unknown);
        let both = [item("A", 499.99, Availability::InStock), unclear.clone()];
        let words = tell_all(&restock, &[], &evaluate(&restock, &both), &both);
        assert_eq!(words.title, "watched: watching 2 items, 1 in stock, 1 could not be judged");
        let words = tell_all(&restock, &[], &[], &[unclear]);
        assert_eq!(words.title, "watched: watching 1 item, could not be judged");
    }
}
