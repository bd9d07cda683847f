//! The table of notifiers: how to tell someone. One file and one row each.

use crate::plugin::{Kind, Notifier};

/// Every notifier there is.
pub const KINDS: &[Kind<dyn Notifier>] = &[];
