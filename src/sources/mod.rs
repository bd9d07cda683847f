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
mod html;
mod names;
mod number;
mod price;
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

/// What a text is read as where shops write prices, for `fuzzing`.
pub(crate) fn price_in(text: &str) -> Option<f64> {
    price::parse(text)
}

/// What a value is read as where services write numbers, for `fuzzing`.
pub(crate) fn number_in(value: &serde_json::Value) -> Option<f64> {
    number::Number::of(value)
}

/// What a text is read as where services write dates, for `fuzzing`.
pub(crate) fn moment_in(text: &str) -> Option<jiff::Timestamp> {
    number::moment(text)
}
