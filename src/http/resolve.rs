//! From a name to the addresses that are then connected to: one look-up, so that what was checked is what is
//! asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, Refusal};

/// Tells the addresses of a name.
type Tell = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Who knows the addresses of a name.
#[derive(Clone)]
pub(super) enum Lookup {
    System,
    Given(Arc<Tell>),
}

impl Lookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = match self {
            Self::System => tokio::net::lookup_host((name, 0)).await?.collect(),
            Self::Given(lookup) => lookup(name)?.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect(),
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name leads to no address"));
        }
        Ok(found)
    }
}

/// Answers only the addresses that may be asked.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) guard: Arc<Guard>,
    pub(super) lookup: Lookup,
    /// The owner's own proxy, which may be anywhere.
    pub(super) proxy: Option<String>,
}

impl Resolver {
    /// Refuses a name that leads only to addresses that may not be asked. One that cannot be looked up here is
    /// left to the proxy, which is asked for it anyway.
    pub(super) async fn check(&self, name: &str) -> Result<(), Refusal> {
        match self.lookup.addresses(name).await {
            Ok(found) => self.guard.pick(name, found).map(drop),
            Err(_) => Ok(()),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let mut found = this.lookup.addresses(name).await?;
            if this.proxy.as_deref() != Some(name) {
                found = this.guard.pick(name, found)?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
