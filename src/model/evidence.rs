//! What the parts of a page say about a product, each for itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Availability, money};

/// What one part of a page says about the product that the page is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Which part.
    pub from: Witness,
    /// Whether the product can be had, where this part says.
    pub availability: Option<Availability>,
    /// Its price, where this part says one that can be read in one way only.
    pub price: Option<f64>,
    /// ISO 4217, where this part says.
    pub price_currency: Option<String>,
    /// Its own words, shortened; with the reason where its price cannot be read.
    pub excerpt: String,
    /// Whether it is only heard where nothing better speaks: it never contradicts anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// A part of a page that tells of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// JSON-LD, said to machines.
    JsonLd,
    /// Microdata, said to machines.
    Microdata,
    /// Open Graph, said to machines.
    OpenGraph,
    /// The button to buy it with.
    Button,
    /// A line about its stock.
    Phrase,
}

impl Evidence {
    /// Those whose word about stock counts: all that are not weak. Where a button stands alone, what the line
    /// about the stock says against it counts too; where nothing else speaks, all that is weak does.
    pub fn counted(all: &[Self]) -> impl Iterator<Item = &Self> {
        let says = |one: &&Self| one.availability.is_some_and(|said| said != Availability::Unknown);
        let strong = || all.iter().filter(|one| !one.weak).filter(says);
        let any_strong = strong().next().is_some();
        let only_buttons = strong().all(|one| one.from == Witness::Button);
        all.iter().filter(says).filter(move |one| {
            let denies =
                one.from == Witness::Phrase && !one.availability.is_some_and(Availability::is_buyable);
            !one.weak || !any_strong || (only_buttons && denies)
        })
    }

    /// Whether some of those that count say that the product is there, or can be ordered, and others that it
    /// is not.
    #[must_use]
    pub fn is_contradictory(all: &[Self]) -> bool {
        let any = |which: &dyn Fn(&Self, Availability) -> bool| {
            Self::counted(all).any(|one| one.availability.is_some_and(|said| which(one, said)))
        };
        let to_people = |one: &Self| matches!(one.from, Witness::Button | Witness::Phrase);
        let ordered = |said| matches!(said, Availability::PreOrder | Availability::BackOrder);
        let there = any(&|_, said| said.is_buyable());
        let absent = any(&|_, said| said == Availability::OutOfStock);
        let over = any(&|_, said| said == Availability::Discontinued);
        // What can be ordered may well be out of stock to a machine: that is why it is ordered. But a button
        // that says "sold out" takes no order, whatever a machine says.
        let promised = any(&|one, said| !to_people(one) && ordered(said))
            && any(&|one, said| one.from == Witness::Button && said == Availability::OutOfStock);
        (there && (absent || over)) || (any(&|_, said| ordered(said)) && over) || promised
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.from)?;
        match self.availability {
            Some(availability) => write!(f, "{availability}")?,
            None => f.write_str("nothing about stock")?,
        }
        if let Some(price) = self.price {
            write!(f, ", {}", money(price, self.price_currency.as_deref()))?;
        }
        if !self.excerpt.is_empty() {
            write!(f, " ({})", self.excerpt)?;
        }
        Ok(())
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonLd => "JSON-LD",
            Self::Microdata => "microdata",
            Self::OpenGraph => "Open Graph",
            Self::Button => "button",
            Self::Phrase => "stock line",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::*;

    fn said(availability: Availability, weak: bool) -> Evidence {
        Evidence {
            from: Witness::JsonLd,
            availability: Some(availability),
            price: None,
            price_currency: None,
            excerpt: String::new(),
            weak,
        }
    }

    #[test]
    fn only_what_cannot_both_be_true_is_a_contradiction() {
        for (all, contradictory) in [
            (&[][..], false),
            (&[InStock, LimitedAvailability][..], false),
            (&[InStock, PreOrder], false),
            (&[OutOfStock, BackOrder], false),
            (&[OutOfStock, Discontinued], false),
            (&[InStock, OutOfStock], true),
            (&[LimitedAvailability, BackOrder, Discontinued], true),
            (&[PreOrder, Discontinued], true),
        ] {
            let all: Vec<_> = all.iter().map(|one| said(*one, false)).collect();
            assert_eq!(Evidence::is_contradictory(&all), contradictory, "{all:?}");
        }
        assert!(!Evidence::is_contradictory(&[said(InStock, false), said(OutOfStock, true)]));
        // Where nothing better speaks, what is weak can disagree too.
        assert!(Evidence::is_contradictory(&[said(InStock, true), said(OutOfStock, true)]));
    }

    #[test]
    fn a_button_that_is_sold_out_takes_no_order_and_one_alone_does_not_outdo_the_stock_line() {
        let by = |from, one: Evidence| Evidence { from, ..one };
        let button = |availability| by(Witness::Button, said(availability, false));
        let line = |availability| by(Witness::Phrase, said(availability, true));
        for (all, contradictory) in [
            ([said(PreOrder, false), button(OutOfStock)], true),
            ([said(BackOrder, false), button(OutOfStock)], true),
            ([said(OutOfStock, false), button(BackOrder)], false),
            ([button(InStock), line(OutOfStock)], true),
            ([button(OutOfStock), line(InStock)], false),
            ([said(InStock, false), line(OutOfStock)], false),
        ] {
            assert_eq!(Evidence::is_contradictory(&all), contradictory, "{all:?}");
        }
    }

    #[test]
    fn it_is_shown_in_one_line_and_its_json_keeps_its_shape() {
        let mut one = said(InStock, false);
        one.price = Some(4.5);
        one.price_currency = Some("GBP".into());
        one.excerpt = "schema.org/InStock".into();
        assert_eq!(one.to_string(), "JSON-LD: in stock, 4.50 GBP (schema.org/InStock)");
        let json = serde_json::json!({"from": "json_ld", "availability": "in_stock", "price": 4.5,
            "price_currency": "GBP", "excerpt": "schema.org/InStock"});
        assert_eq!(serde_json::to_value(&one).expect("JSON"), json);
    }
}
