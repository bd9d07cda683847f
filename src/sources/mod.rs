//! The table of sources: how to look at the world. One file and one row each.

mod html;
mod newegg;
mod page;
mod price;
mod schema_org;
mod shop;
mod stock;

use crate::plugin::{Kind, Source};

/// Every source there is.
pub const KINDS: &[Kind<dyn Source>] =
    &[Kind::source::<newegg::Newegg>(), Kind::source::<page::Page>(), Kind::source::<shop::Shop>()];
