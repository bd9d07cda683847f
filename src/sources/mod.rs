//! The table of sources: how to look at the world. One file and one row each.

mod address;
mod bars;
mod binance;
mod coinbase;
mod finnhub;
mod json;
mod kraken;
mod names;
mod number;
mod ny_gas;
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
    Kind::source::<ny_gas::NyGas>(),
    Kind::source::<socrata::Socrata>(),
    Kind::source::<yahoo::Yahoo>(),
];
