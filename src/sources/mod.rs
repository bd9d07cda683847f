//! The table of sources: how to look at the world. One file and one row each.

mod binance;
mod coinbase;
mod finnhub;
mod json;
mod kraken;
mod newegg;
mod ny_gas;
mod page;
mod shop;
mod socrata;
mod yahoo;

// What several of them share.
mod address;
mod bars;
mod buttons;
mod evidence;
mod figure;
mod html;
mod microdata;
mod moment;
mod names;
mod number;
mod schema_org;
mod soda;
mod stock;

use crate::plugin::{Kind, Source};

/// Every source there is.
pub const KINDS: &[Kind<dyn Source>] = &[
    Kind::source::<binance::Binance>(),
    Kind::source::<coinbase::Coinbase>(),
    Kind::source::<finnhub::Finnhub>(),
    Kind::source::<json::Json>(),
    Kind::source::<kraken::Kraken>(),
    Kind::source::<newegg::Newegg>(),
    Kind::source::<ny_gas::NyGas>(),
    Kind::source::<page::Page>(),
    Kind::source::<shop::Shop>(),
    Kind::source::<socrata::Socrata>(),
    Kind::source::<yahoo::Yahoo>(),
];

/// The number that a text is sure to say, for `fuzzing`.
pub(crate) fn figure_in(text: &str) -> Option<f64> {
    match figure::Figure::read(text) {
        figure::Figure::Sure { number, .. } => Some(number),
        figure::Figure::Unsure(_) | figure::Figure::None => None,
    }
}

/// The number that a value of JSON is or spells, for `fuzzing`.
pub(crate) fn number_in(value: &serde_json::Value) -> Option<f64> {
    number::Number::of(value)
}

/// The moment that a text is sure to mean, where nobody knows whether the month goes first, and where it does,
/// for `fuzzing`.
pub(crate) fn moments_in(text: &str) -> [Option<jiff::Timestamp>; 2] {
    [moment::Order::Unknown, moment::Order::MonthFirst].map(|order| moment::Moment::read(text, order).sure())
}
