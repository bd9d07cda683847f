//! The table of sources: how to look at the world. One file and one row each.

mod address;
mod bars;
mod binance;
mod coinbase;
mod finnhub;
mod html;
mod json;
mod kraken;
mod names;
mod newegg;
mod number;
mod ny_gas;
mod page;
mod socrata;
mod soda;
mod yahoo;

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
    Kind::source::<socrata::Socrata>(),
    Kind::source::<yahoo::Yahoo>(),
];
