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
/// pre-order is told as such though a machine says "in stock". Without any that counts, the first weak one
/// is believed. The price is that of the part which decided, else the first.
pub(super) fn weigh(all: &[Evidence]) -> Verdict {
    let telling = |one: &&Evidence| match one.availability {
        Some(Availability::PreOrder) => 5,
        Some(Availability::BackOrder) => 4,
        Some(Availability::Discontinued) => 3,
        Some(Availability::LimitedAvailability) => 2,
        Some(Availability::InStock | Availability::OutOfStock) => 1,
        Some(Availability::Unknown) | None => 0,
    };
    let strong = || all.iter().filter(|one| !one.weak && one.availability.is_some());
    // Of several that say the same, the first.
    let decided = if Evidence::is_contradictory(all) {
        None
    } else {
        strong().rev().max_by_key(telling).or_else(|| all.iter().find(|one| one.availability.is_some()))
    };
    let availability = decided.and_then(|one| one.availability).unwrap_or(Availability::Unknown);
    let same = || all.iter().filter(|one| one.availability.is_some() && decided.is_some());
    let priced = same()
        .filter(|one| one.availability == Some(availability))
        .chain(all)
        .find(|one| one.price.is_some());
    Verdict {
        availability,
        price: priced.and_then(|one| one.price),
        currency: priced.into_iter().chain(all).find_map(|one| one.price_currency.clone()),
    }
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
        ] {
            let verdict = weigh(&all);
            assert_eq!((verdict.availability, verdict.price), (availability, price), "{all:?}");
        }
    }
}
