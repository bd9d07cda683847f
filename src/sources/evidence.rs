//! What comes of a page whose parts each say something about its product: agreement decides, and where
//! they disagree nothing is known.

use super::schema_org::Product;
use crate::http::excerpt;
use crate::model::{Availability, Evidence, Witness};

/// What all parts together say.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub availability: Availability,
    pub price: Option<f64>,
    pub currency: Option<String>,
}

/// What one kind of metadata says, where it says anything about buying.
pub(super) fn of_metadata(from: Witness, product: &Product) -> Option<Evidence> {
    let said = [product.said.as_deref(), product.unsure.as_deref()];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    let says = product.is_offer() || product.unsure.is_some();
    says.then(|| Evidence {
        from,
        availability: product.availability,
        price: product.price,
        price_currency: product.currency.clone(),
        excerpt: excerpt(&said.join("; ")),
        weak: false,
    })
}

/// What a button or a line of text says.
pub(super) fn of_words(from: Witness, availability: Availability, words: &str, weak: bool) -> Evidence {
    Evidence {
        from,
        availability: Some(availability),
        price: None,
        price_currency: None,
        excerpt: excerpt(words),
        weak,
    }
}

/// Weighs the parts, the most trusted first.
///
/// Those that agree that it can be had, or that it cannot, are summed up in the most telling word: a
/// pre-order is told as such though a machine says "in stock", and so it is where only the line about the
/// stock says so. The price is that of the part which decided, else the first, in the currency that it is
/// told with.
pub(super) fn weigh(all: &[Evidence]) -> Verdict {
    let telling = |one: &&Evidence| match one.availability {
        Some(Availability::PreOrder) => 5,
        Some(Availability::BackOrder) => 4,
        Some(Availability::Discontinued) => 3,
        Some(Availability::LimitedAvailability) => 2,
        Some(Availability::InStock | Availability::OutOfStock) => 1,
        Some(Availability::Unknown) | None => 0,
    };
    let counted: Vec<&Evidence> = Evidence::counted(all).collect();
    // Of several that say the same, the first.
    let summed = || counted.iter().copied().rev().max_by_key(telling);
    let decided = if Evidence::is_contradictory(all) { None } else { summed() };
    let is_there = decided.is_some_and(|one| one.availability.is_some_and(Availability::is_buyable));
    let to_order = |one: &&Evidence| {
        one.from == Witness::Phrase
            && matches!(one.availability, Some(Availability::PreOrder | Availability::BackOrder))
    };
    let decided = all.iter().find(to_order).filter(|_| is_there).or(decided);
    let availability = decided.and_then(|one| one.availability).unwrap_or(Availability::Unknown);
    let same = || all.iter().filter(|one| decided.is_some() && one.availability == Some(availability));
    let priced = same().chain(all).find(|one| one.price.is_some());
    // 450 of one part and pence of another make no price.
    let agrees = |one: &&Evidence| priced.is_some_and(|priced| is_same_price(one.price, priced.price, 0.005));
    let currency = priced
        .into_iter()
        .chain(all.iter().filter(agrees))
        .find_map(|one| one.price_currency.clone())
        .filter(|_| priced.is_some());
    Verdict { availability, price: priced.and_then(|one| one.price), currency }
}

/// Says of each part that counts and whose price is another than the one that counts, that it is.
pub(super) fn compare_prices(all: &mut [Evidence], price: Option<f64>, currency: Option<&str>) {
    for one in all.iter_mut().filter(|one| !one.weak && one.price.is_some()) {
        let other_money =
            one.price_currency.as_deref().zip(currency).is_some_and(|(one, other)| one != other);
        if price.is_some() && (other_money || !is_same_price(one.price, price, 0.01)) {
            let join = if one.excerpt.is_empty() { "" } else { "; " };
            one.excerpt.push_str(join);
            one.excerpt.push_str("its price is not the one that counts");
        }
    }
}

/// Whether two prices are the same, but for rounding.
fn is_same_price(one: Option<f64>, other: Option<f64>, share: f64) -> bool {
    one.zip(other).is_some_and(|(one, other)| (one - other).abs() <= share.min(share * one.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::*;

    fn said(from: Witness, availability: Option<Availability>, price: Option<f64>) -> Evidence {
        let excerpt = String::new();
        Evidence { from, availability, price, price_currency: None, excerpt, weak: false }
    }

    #[test]
    fn agreement_decides_and_disagreement_does_not() {
        use Witness::*;
        let weak = |one: Evidence| Evidence { weak: true, ..one };
        let json = |availability| said(JsonLd, Some(availability), Some(10.0));
        let graph = |availability| said(OpenGraph, Some(availability), Some(12.0));
        let button = |availability| said(Button, Some(availability), None);
        for (all, availability, price) in [
            (vec![], Unknown, None),
            (vec![json(InStock)], InStock, Some(10.0)),
            (vec![json(InStock), graph(InStock), button(InStock)], InStock, Some(10.0)),
            (vec![json(InStock), button(OutOfStock)], Unknown, Some(10.0)),
            (vec![json(InStock), weak(button(OutOfStock))], InStock, Some(10.0)),
            (vec![said(JsonLd, None, Some(10.0)), weak(button(OutOfStock))], OutOfStock, Some(10.0)),
            (vec![json(InStock), graph(PreOrder)], PreOrder, Some(12.0)),
            (vec![json(OutOfStock), button(BackOrder)], BackOrder, Some(10.0)),
            (vec![json(OutOfStock), graph(Discontinued)], Discontinued, Some(12.0)),
            (vec![said(JsonLd, None, Some(9.0)), graph(InStock)], InStock, Some(12.0)),
            // One weak word against another is none.
            (vec![weak(button(OutOfStock)), weak(button(InStock))], Unknown, None),
            // A line beside the heading tells what a machine and a button keep to themselves.
            (
                vec![json(InStock), button(InStock), weak(said(Phrase, Some(BackOrder), None))],
                BackOrder,
                Some(10.0),
            ),
            (vec![button(InStock), weak(said(Phrase, Some(OutOfStock), None))], Unknown, None),
            (vec![json(PreOrder), button(OutOfStock)], Unknown, Some(10.0)),
        ] {
            let verdict = weigh(&all);
            assert_eq!((verdict.availability, verdict.price), (availability, price), "{all:?}");
        }
    }

    #[test]
    fn a_price_has_the_currency_it_is_told_with() {
        let priced = |from, price, currency: Option<&str>| Evidence {
            price_currency: currency.map(str::to_owned),
            ..said(from, Some(InStock), Some(price))
        };
        for (first, second, currency) in [
            ((450.0, None), (4.5, Some("GBP")), None),
            ((4.5, None), (4.5, Some("GBP")), Some("GBP")),
            ((4.5, Some("EUR")), (9.0, Some("GBP")), Some("EUR")),
        ] {
            let mut all =
                [priced(Witness::JsonLd, first.0, first.1), priced(Witness::OpenGraph, second.0, second.1)];
            let verdict = weigh(&all);
            assert_eq!((verdict.price, verdict.currency.as_deref()), (Some(first.0), currency));
            compare_prices(&mut all, verdict.price, verdict.currency.as_deref());
            assert_eq!(all[0].excerpt, "");
            assert_eq!(all[1].excerpt.contains("its price is not"), first.0 != second.0, "{all:?}");
        }
    }
}
