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
