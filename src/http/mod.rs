//! The one HTTP client: timeouts, size cap, per-host pace, `Retry-After`, conditional GET, the guard
//! against private addresses. The only module that names `reqwest`.
//!
//! [`Http::fetch`] asks other people's servers politely and safely; [`Http::send`] makes one plain
//! attempt for a notifier, whose address the owner configured.

mod gate;
mod guard;
mod reply;
mod wall;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use tokio::sync::Semaphore;
use url::Url;
use xxhash_rust::xxh3::Xxh3Default;

use gate::Gates;
pub use gate::HostRules;
pub use guard::is_public;
pub use reply::{ReadError, Reply, excerpt, redacted};
pub use wall::sign as wall_sign;

/// What the client holds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the first byte out to the last byte in.
    pub timeout: Duration,
    /// Sent where a request brings none of its own.
    pub user_agent: String,
    /// Largest body taken, in bytes after decompression.
    pub max_body: usize,
    /// Whether loopback, private, link-local and other addresses of no public use may be fetched.
    pub allow_private_networks: bool,
    /// An HTTP or SOCKS proxy for everything fetched.
    pub proxy: Option<Url>,
    /// How many requests may be under way at once, all hosts together.
    pub max_concurrent: usize,
    /// The pace for a host that has none of its own.
    pub per_host: HostRules,
    /// The pace of single hosts.
    pub hosts: HashMap<String, HostRules>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            user_agent: default_user_agent().to_owned(),
            max_body: 8 << 20,
            allow_private_networks: false,
            proxy: None,
            max_concurrent: 64,
            per_host: HostRules::default(),
            hosts: HashMap::new(),
        }
    }
}

/// What the daemon calls itself where the configuration does not say.
#[must_use]
pub const fn default_user_agent() -> &'static str {
    concat!("stakeout/", env!("CARGO_PKG_VERSION"), " (self-hosted watcher)")
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Where.
    pub url: Url,
    /// Extra headers. Their values may be secrets and are never logged.
    pub headers: Vec<(String, String)>,
    /// The body, empty for none.
    pub body: Vec<u8>,
    /// Which subject the answer is about, for the source that asked; empty when it is about many.
    pub subject: String,
}

impl Request {
    /// A plain `GET`.
    #[must_use]
    pub const fn get(url: Url) -> Self {
        Self { method: "GET", url, headers: Vec::new(), body: Vec::new(), subject: String::new() }
    }

    /// A `POST` of JSON.
    #[must_use]
    pub fn post_json(url: Url, body: Vec<u8>) -> Self {
        Self { method: "POST", body, ..Self::get(url) }.header("content-type", "application/json")
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// About this subject.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The host asked with its port, where that is not the usual one.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// The host asked, empty where the URL has none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// What is kept of an answer, to know the next one by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The answer's `ETag`.
    pub etag: Option<String>,
    /// The answer's `Last-Modified`.
    pub last_modified: Option<String>,
    /// XXH3-128 of the decompressed body.
    pub body_hash: u128,
}

/// What came of a fetch.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each fetch, taken apart at once")]
pub enum Fetched {
    /// The same as the mark says: a 304, or the same bytes.
    Unchanged,
    /// An answer, of any status, and what to know the next one by.
    New(Reply, Mark),
}

/// Why there is no answer. Never holds a URL, a header or a body.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HttpError {
    /// No complete answer in time.
    #[error("no complete answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The answer broke off or was not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// More than the cap.
    #[error("the answer is larger than {0} bytes (`max_body` in `[fetch]`)")]
    TooLarge(usize),
    /// Not asked at all: the address is of no public use, or the URL cannot be asked.
    #[error("{0}")]
    Refused(String),
    /// Not asked at all: the host wants to be left alone.
    #[error("{host} asked to be left alone until {until:.0}")]
    Resting {
        /// The host.
        host: String,
        /// Until when.
        until: Timestamp,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// The client. Cheap to clone; every clone shares connections and pace.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    fetcher: reqwest::Client,
    sender: OnceLock<reqwest::Client>,
    gates: Gates,
    permits: Semaphore,
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// A sentence, when the system has no certificates to check others by, or the proxy cannot be used.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let fetcher = client(&settings, true)?;
        Ok(Self {
            inner: Arc::new(Inner {
                fetcher,
                sender: OnceLock::new(),
                gates: Gates::new(settings.per_host, settings.hosts.clone()),
                permits: Semaphore::new(settings.max_concurrent.max(1)),
                settings,
            }),
        })
    }

    /// Asks a server that is not ours: waits for its host's turn, keeps the caps, compares the answer
    /// with what is `known` of the last one.
    ///
    /// # Errors
    /// [`HttpError`] when there is no complete answer. An answer of any status is not an error here.
    pub async fn fetch(&self, request: &Request, known: Option<&Mark>) -> Result<Fetched, HttpError> {
        let inner = &*self.inner;
        if !inner.settings.allow_private_networks {
            guard::check(&request.url).map_err(HttpError::Refused)?;
        }
        let host = request.host();
        let gate = inner.gates.of(host);
        let _turn = gate.turn(host).await?;
        let _permit = inner.permits.acquire().await.ok();
        let timeout = inner.settings.timeout;
        let answered = tokio::time::timeout(timeout, self.exchange(&inner.fetcher, request, known));
        let fetched = answered.await.map_err(|_| HttpError::Timeout(timeout))??;
        if let Fetched::New(reply, _) = &fetched
            && matches!(reply.status, 403 | 418 | 429 | 503)
            && let Some(wait) = reply.retry_after(Timestamp::now())
        {
            gate.rest(Timestamp::now(), wait);
        }
        Ok(fetched)
    }

    /// Leaves a host alone for so long, because its answer asked for it in its own words.
    pub fn rest(&self, host: &str, wait: Duration) {
        self.inner.gates.of(host).rest(Timestamp::now(), wait);
    }

    /// One plain attempt at an address that the owner configured: no pace, no guard, no comparison. A
    /// redirect is an answer like any other: followed, a post would arrive as a `GET`, or somewhere else.
    ///
    /// # Errors
    /// [`HttpError`] when there is no complete answer.
    pub async fn send(&self, request: &Request) -> Result<Reply, HttpError> {
        let inner = &*self.inner;
        let sender = match inner.sender.get() {
            Some(sender) => sender,
            None => {
                let built = client(&inner.settings, false).map_err(HttpError::Refused)?;
                inner.sender.get_or_init(|| built)
            }
        };
        let timeout = inner.settings.timeout;
        let answered = tokio::time::timeout(timeout, self.exchange(sender, request, None)).await;
        match answered.map_err(|_| HttpError::Timeout(timeout))?? {
            Fetched::New(reply, _) => Ok(reply),
            Fetched::Unchanged => Err(HttpError::Broken("304 to an unconditional request".into())),
        }
    }

    async fn exchange(
        &self,
        client: &reqwest::Client,
        request: &Request,
        known: Option<&Mark>,
    ) -> Result<Fetched, HttpError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::Refused(format!("`{}` is not an HTTP method", request.method)))?;
        let mut building = client.request(method, request.url.clone()).headers(headers(request, known)?);
        if !request.body.is_empty() {
            building = building.body(request.body.clone());
        }
        let mut response = building.send().await.map_err(|error| explain(&error))?;
        if response.status() == reqwest::StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(Fetched::Unchanged);
        }
        let max_body = self.inner.settings.max_body;
        let expected = response.content_length().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if expected > max_body {
            return Err(HttpError::TooLarge(max_body));
        }
        // Most bodies are the same as last time, so their parts are put together only when they are not.
        let mut hasher = Xxh3Default::new();
        let (mut parts, mut length) = (Vec::new(), 0_usize);
        while let Some(part) = response.chunk().await.map_err(|error| explain(&error))? {
            length = length.saturating_add(part.len());
            if length > max_body {
                return Err(HttpError::TooLarge(max_body));
            }
            hasher.update(&part);
            parts.push(part);
        }
        let body_hash = hasher.digest128();
        let status = response.status().as_u16();
        if (200..300).contains(&status) && known.is_some_and(|mark| mark.body_hash == body_hash) {
            return Ok(Fetched::Unchanged);
        }
        let text_of = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        // The validators of a redirected answer belong to another URL than the one asked next time.
        let own = *response.url() == request.url;
        let mark = Mark {
            etag: text_of(ETAG).filter(|_| own),
            last_modified: text_of(LAST_MODIFIED).filter(|_| own),
            body_hash,
        };
        let reply = Reply {
            status,
            url: response.url().clone(),
            headers: response
                .headers()
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect(),
            body: together(parts, length),
        };
        Ok(Fetched::New(reply, mark))
    }
}

fn together(mut parts: Vec<Bytes>, length: usize) -> Bytes {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut body = BytesMut::with_capacity(length);
    for part in parts {
        body.extend_from_slice(&part);
    }
    body.freeze()
}

fn client(settings: &Settings, guarded: bool) -> Result<reqwest::Client, String> {
    let strict = guarded && !settings.allow_private_networks;
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.timeout.min(Duration::from_secs(10)))
        .pool_max_idle_per_host(settings.max_concurrent.clamp(4, 64))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::custom(move |attempt| {
            if !guarded {
                return attempt.stop();
            }
            if attempt.previous().len() > 10 {
                return attempt.error("more than 10 redirects");
            }
            if strict && let Err(why) = guard::check(attempt.url()) {
                return attempt.error(why);
            }
            attempt.follow()
        }));
    if strict {
        builder = builder.dns_resolver(guard::PublicOnly);
    }
    if let Some(proxy) = settings.proxy.as_ref().filter(|_| guarded) {
        let proxy = reqwest::Proxy::all(proxy.as_str())
            .map_err(|error| format!("`proxy` cannot be used: {}", error.without_url()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| format!("cannot set up HTTPS: {}", reasons(&error)))
}

fn headers(request: &Request, known: Option<&Mark>) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    for (name, value) in &request.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (key, mut value) = parsed
            .ok_or_else(|| HttpError::Refused(format!("header `{name}` cannot be sent as it is written")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    let validators =
        known.map(|mark| [(IF_NONE_MATCH, &mark.etag), (IF_MODIFIED_SINCE, &mark.last_modified)]);
    for (name, value) in validators.into_iter().flatten() {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

fn explain(error: &reqwest::Error) -> HttpError {
    let why = reasons(error);
    if error.is_connect() {
        HttpError::Connect(why)
    } else if error.is_redirect() || error.is_builder() {
        HttpError::Refused(why)
    } else {
        HttpError::Broken(why)
    }
}

/// The innermost reasons, without the URL, which may be a secret.
fn reasons(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut last = None;
    while let Some(error) = source {
        last = Some(error.to_string());
        source = error.source();
    }
    last.unwrap_or_else(
        || if error.is_decode() { "cannot be decoded".into() } else { "no reason given".into() },
    )
}
