//! What the handlers share.

use std::net::SocketAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use url::Url;

use super::{Control, guard, live};
use crate::model::Secret;
use crate::pulse::Pulse;
use crate::store::Store;
use crate::watchlist::Roster;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<Parts>);

/// See [`Shared`].
pub struct Parts {
    /// What is stored.
    pub store: Store,
    /// Whether every part still moves.
    pub pulse: Pulse,
    /// The watchlist as it runs now.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// What a person may have done.
    pub control: Arc<dyn Control>,
    /// Where the server listens.
    pub address: SocketAddr,
    /// What a caller must show, where anything.
    pub token: Option<Secret>,
    /// How people reach it, where that is not the address.
    pub public_url: Option<Url>,
    pub(super) figures: Option<PrometheusHandle>,
    pub(super) live: live::Live,
    pub(super) guard: guard::Guard,
}

impl Shared {
    /// Puts together what the handlers share.
    #[must_use]
    pub fn new(
        (store, pulse): (Store, Pulse),
        roster: watch::Receiver<Arc<Roster>>,
        control: Arc<dyn Control>,
        address: SocketAddr,
        (token, public_url): (Option<Secret>, Option<Url>),
    ) -> Self {
        // However many look on, no run waits for them.
        let store = store.for_onlookers();
        let token = token.filter(|token| !token.is_empty());
        let figures = super::collect_figures();
        let live = live::Live::new(store.clone(), control.not_taken_up());
        let guard = guard::Guard::new(token.as_ref(), address, public_url.clone());
        Self(Arc::new(Parts {
            store,
            pulse,
            roster,
            control,
            address,
            token,
            public_url,
            figures,
            live,
            guard,
        }))
    }

    /// The watchlist as it is at this moment.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.borrow())
    }
}

impl std::ops::Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
