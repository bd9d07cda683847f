//! From a name to the addresses that are then connected to: one look-up, so that what was checked is what is
//! asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Guard;
use super::{HttpError, excerpt};

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
    /// Refuses a name that may lead the proxy, which looks it up again, to an address that may not be asked.
    pub(super) async fn check(&self, name: &str) -> Result<(), HttpError> {
        if is_of_proxies(name) {
            return Ok(());
        }
        let found = self.lookup.addresses(name).await.map_err(|_| {
            HttpError::Connect(format!(
                "{} cannot be looked up here, so nobody knows where the proxy would lead; \
                 `allow_private_networks = true` in `[fetch]` leaves that to the proxy",
                excerpt(name)
            ))
        })?;
        self.guard.check_all(name, &found).map_err(|refusal| HttpError::Refused(refusal.0))
    }
}

/// Whether only a proxy can know a name. No resolver is to be asked for these (RFC 7686).
fn is_of_proxies(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    [".onion", ".i2p"].iter().any(|end| name.ends_with(end))
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
