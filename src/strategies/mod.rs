//! The table of strategies: how to judge what was seen. One file and one row each.

use crate::plugin::{Kind, Strategy};

/// Every strategy there is.
pub const KINDS: &[Kind<dyn Strategy>] = &[];
