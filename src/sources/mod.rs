//! The table of sources: how to look at the world. One file and one row each.

mod html;

use crate::plugin::{Kind, Source};

/// Every source there is.
pub const KINDS: &[Kind<dyn Source>] = &[];
