//! The one HTTP client: timeouts, size cap, per-host pace, `Retry-After`, conditional GET, the guard
//! against private addresses. The only module that names `reqwest`.
//!
//! [`Http::fetch`] asks other people's servers politely and safely; [`Http::send`] makes one plain
//! attempt for a notifier, whose address the owner configured.

mod client;
mod error;
mod exchange;
mod gate;
mod guard;
mod paces;
mod reply;
mod request;
mod standing;
mod wall;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use client::client;
pub use error::HttpError;
use exchange::exchange;
use gate::Gates;
pub use gate::HostRules;
pub use guard::is_public;
pub use paces::known as known_paces;
pub use reply::{ReadError, Reply, excerpt, redacted};
use request::authority;
pub use request::{Manner, Request, Route, check_header, check_header_value, is_token};
pub use standing::{Backoff, Standing};
pub use wall::sign as wall_sign;

/// What the client holds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the first byte out to the last byte in, over all redirects; waiting for a turn does not count.
    pub timeout: Duration,
    /// Sent where a request brings none of its own.
    pub user_agent: String,
    /// Largest body taken, in bytes after decompression.
    pub max_body: usize,
    /// Whether loopback, private, link-local and other addresses of no public use may be fetched.
    pub allow_private_networks: bool,
    /// Networks that may be fetched all the same, such as `192.168.1.0/24`.
    pub allow_networks: Vec<ipnet::IpNet>,
    /// Certificates that are trusted beside those of the system: a file of PEM.
    pub ca_file: Option<std::path::PathBuf>,
    /// An HTTP or SOCKS proxy for everything fetched.
    pub proxy: Option<Url>,
    /// How long a host that refused is left alone.
    pub backoff: Backoff,
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
            allow_networks: Vec::new(),
            ca_file: None,
            backoff: Backoff::default(),
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

/// What a browser calls itself, for services that turn away whatever does not.
#[must_use]
pub const fn browser_user_agent() -> &'static str {
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
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
    /// Why nothing is asked again until the watch changes, where the answer was of that kind.
    pub final_answer: Option<String>,
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
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The row of the watch: turns are dealt out fairly among them.
    pub watch_id: i64,
    /// The moment of its run.
    pub now: Timestamp,
}

/// What came of asking.
#[derive(Debug)]
pub struct Asked {
    /// The answer. One of any status is not an error here, unless it is a wall.
    pub result: Result<Fetched, HttpError>,
    /// How long it waited for its hosts' turns.
    pub waited: Duration,
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
                gates: Gates::new(&settings),
                settings,
            }),
        })
    }

    /// Asks a server that is not ours: waits for its host's turn, keeps the caps, compares the answer
    /// with what is `known` of the last one.
    pub async fn fetch(&self, request: &Request, known: Option<&Mark>, asker: Asker) -> Asked {
        let mut waited = Duration::ZERO;
        let result = self.hops(request, known, asker, &mut waited).await;
        Asked { result, waited }
    }

    async fn hops(
        &self,
        request: &Request,
        known: Option<&Mark>,
        asker: Asker,
        waited: &mut Duration,
    ) -> Result<Fetched, HttpError> {
        let inner = &*self.inner;
        if !inner.settings.allow_private_networks {
            guard::check(&request.url).map_err(HttpError::Refused)?;
        }
        let timeout = request.route.timeout.unwrap_or(inner.settings.timeout);
        let turn = inner.gates.turn(authority(&request.url), asker).await?;
        *waited = waited.saturating_add(turn.waited);
        let answered = exchange(&inner.fetcher, request, known, &inner.settings);
        let answered = tokio::time::timeout(timeout, answered).await;
        turn.judge(answered.unwrap_or(Err(HttpError::Timeout(timeout))))
    }

    /// Leaves a host alone, for as long as it asks where it says so, because its answer refused us in the
    /// words of its own that its source knows.
    pub fn refused(&self, host: &str, asker: Asker, wait: Option<Duration>, why: &str) {
        self.inner.gates.refused(host, asker, wait, why);
    }

    /// Takes up what is known of how hosts stand, from before a start or a change of the settings.
    pub fn restore(&self, standings: Vec<Standing>) {
        self.inner.gates.restore(standings);
    }

    /// How every host stands that is left alone, or was until a short while ago.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.inner.gates.standings()
    }

    /// How a host stands, where that changed since this was last asked.
    #[must_use]
    pub fn take_changed(&self, host: &str) -> Option<Standing> {
        self.inner.gates.take_changed(host)
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
        let answered = tokio::time::timeout(timeout, exchange(sender, request, None, &inner.settings)).await;
        match answered.map_err(|_| HttpError::Timeout(timeout))?? {
            Fetched::New(reply, _) => Ok(reply),
            Fetched::Unchanged => Err(HttpError::Broken("304 to an unconditional request".into())),
        }
    }
}
