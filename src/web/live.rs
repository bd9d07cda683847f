//! What has just happened, for whoever looks at it now: Server-Sent Events.

use crate::store::Store;

/// Tells everyone who listens what is new in the store; reads it only while somebody does.
pub struct Live {
    _store: Store,
}

impl Live {
    pub(super) fn new(store: Store) -> Self {
        Self { _store: store }
    }
}
