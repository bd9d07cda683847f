//! The clients that carry requests: one for each way they can go.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client};
use url::{Host, Url};

use super::error::reasons;
use super::exchange::MAX_HEADER_BYTES;
use super::guard::Guard;
use super::resolve::{Lookup, Resolver};
use super::{HttpError, Route, Settings, authority};

/// A way by which requests go.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) client: Client,
    /// Looks names up before a proxy does, where there is one.
    ahead: Option<Resolver>,
    /// The proxy, where there is one: its host and port.
    proxy: Option<String>,
}

impl Way {
    /// Refuses a host that a proxy would have to look up, when it leads to where nobody may go. Without a proxy
    /// the look-up of the connection itself does so.
    pub(super) async fn check(&self, url: &Url) -> Result<(), HttpError> {
        if let Some(resolver) = &self.ahead
            && let Some(Host::Domain(name)) = url.host()
        {
            resolver.check(name).await?;
        }
        Ok(())
    }

    /// Says that it was the way to a proxy that failed, where there is one.
    pub(super) fn explain(&self, error: HttpError) -> HttpError {
        match (error, &self.proxy) {
            (HttpError::Connect(why), Some(proxy)) => {
                HttpError::Connect(format!("by way of the proxy {proxy}: {why}"))
            }
            (error, _) => error,
        }
    }
}

/// All ways. There are as many as the configuration names proxies.
pub(super) struct Ways {
    plan: Plan,
    usual: Way,
    others: Mutex<HashMap<Option<Url>, Way>>,
    sender: OnceLock<Way>,
}

impl Ways {
    pub(super) fn new(settings: &Settings, guard: &Arc<Guard>, lookup: Lookup) -> Result<Self, String> {
        let plan = Plan {
            user_agent: settings.user_agent.clone(),
            connect_timeout: settings.timeout.min(Duration::from_secs(10)),
            max_idle: settings.max_concurrent.clamp(4, 64),
            certificates: settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default(),
            resolver: Resolver { guard: Arc::clone(guard), lookup, proxy: None },
        };
        let usual = plan.way(settings.proxy.as_ref())?;
        Ok(Self { plan, usual, others: Mutex::default(), sender: OnceLock::new() })
    }

    /// The way of a route.
    pub(super) fn of(&self, route: &Route) -> Result<Way, HttpError> {
        let Some(proxy) = &route.proxy else { return Ok(self.usual.clone()) };
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = others.get(proxy) {
            return Ok(way.clone());
        }
        let way = self.plan.way(proxy.as_ref()).map_err(HttpError::Refused)?;
        others.insert(proxy.clone(), way.clone());
        Ok(way)
    }

    /// The way of notifiers, who ask what the owner configured: directly, and anywhere.
    pub(super) fn sender(&self) -> Result<&Client, HttpError> {
        if let Some(way) = self.sender.get() {
            return Ok(&way.client);
        }
        let resolver = Resolver { guard: Arc::new(Guard::open()), ..self.plan.resolver.clone() };
        let plan = Plan { resolver, ..self.plan.clone() };
        let way = plan.way(None).map_err(HttpError::Refused)?;
        Ok(&self.sender.get_or_init(|| way).client)
    }
}

/// What all ways have in common.
#[derive(Clone)]
struct Plan {
    user_agent: String,
    connect_timeout: Duration,
    max_idle: usize,
    certificates: Vec<Certificate>,
    resolver: Resolver,
}

impl Plan {
    fn way(&self, proxy: Option<&Url>) -> Result<Way, String> {
        // Once in a process; whoever was first has set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver =
            Resolver { proxy: proxy.and_then(Url::host_str).map(str::to_owned), ..self.resolver.clone() };
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .default_headers(HeaderMap::from_iter([(
                ACCEPT_ENCODING,
                HeaderValue::from_static("gzip, br, zstd"),
            )]))
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.max_idle)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .tls_certs_merge(self.certificates.iter().cloned())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(resolver.clone());
        if let Some(proxy) = proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str())
                .map_err(|error| format!("`proxy` cannot be used: {}", reasons(&error)))?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| {
            let with = if self.certificates.is_empty() { "" } else { " with the certificates of `ca_file`" };
            format!("cannot set up HTTPS{with}: {}", reasons(&error))
        })?;
        let ahead = proxy.filter(|_| !resolver.guard.is_open).map(|_| resolver);
        Ok(Way { client, ahead, proxy: proxy.map(|proxy| authority(proxy).to_owned()) })
    }
}

/// Whether a file holds certificates that can be trusted beside those of the system.
///
/// # Errors
/// A sentence.
pub fn check_certificates(path: &Path) -> Result<(), String> {
    certificates(path).map(drop)
}

/// The certificates of a file of PEM.
fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("`ca_file`: cannot read {shown}: {error}"))?;
    let found = Certificate::from_pem_bundle(&pem)
        .map_err(|_| format!("`ca_file`: a certificate in {shown} cannot be read"))?;
    if found.is_empty() {
        return Err(format!("`ca_file`: {shown} holds no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(found)
}
