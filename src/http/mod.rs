//! The one HTTP client: timeouts, size cap, per-host pace, `Retry-After`, conditional GET, the guard
//! against private addresses. The only module that names `reqwest`.
//!
//! [`Http::fetch`] asks other people's servers politely and safely; [`Http::send`] makes one plain
//! attempt for a notifier, whose address the owner configured.

mod body;
mod client;
mod dates;
mod error;
mod exchange;
mod gate;
mod guard;
mod line;
mod paces;
mod redirect;
mod reply;
mod request;
mod resolve;
mod standing;
mod wall;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use client::Ways;
pub use client::check_certificates;
pub use dates::http_date;
pub use error::HttpError;
use exchange::{Answer, exchange};
use gate::Gates;
pub use gate::HostRules;
use guard::Guard;
pub use guard::{is_public, refusal};
pub use paces::known as known_paces;
use redirect::Hop;
pub use reply::{ReadError, Reply, excerpt, redacted};
use request::authority;
pub use request::{Manner, Part, Request, Route, check_header, check_header_value, is_token};
use resolve::Lookup;
pub use standing::{Backoff, Standing};
pub use wall::sign as wall_sign;

/// What the client holds to.
#[derive(Clone, PartialEq, Eq)]
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

impl Settings {
    /// The pace of a host, given with its port where that is not the usual one.
    #[must_use]
    pub fn pace_of(&self, host: &str) -> HostRules {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        *self.hosts.get(host).or_else(|| self.hosts.get(name)).unwrap_or(&self.per_host)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("timeout", &self.timeout)
            .field("user_agent", &self.user_agent)
            .field("max_body", &self.max_body)
            .field("allow_private_networks", &self.allow_private_networks)
            .field("allow_networks", &self.allow_networks)
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.as_ref().and_then(Url::host_str))
            .field("backoff", &self.backoff)
            .field("max_concurrent", &self.max_concurrent)
            .field("per_host", &self.per_host)
            .field("hosts", &self.hosts)
            .finish()
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
    settings: Arc<Settings>,
    guard: Arc<Guard>,
    ways: Ways,
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
    /// The host that answered last, where that is not the one that was asked: with its port, where that is not
    /// the usual one.
    pub led_to: Option<String>,
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// A sentence, when the system has no certificates to check others by, or `ca_file` or the proxy cannot be
    /// used.
    pub fn new(settings: Settings) -> Result<Self, String> {
        Self::built(settings, Lookup::System)
    }

    /// Like [`new`](Self::new), with names looked up by something else than the system.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_lookup(
        settings: Settings,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        Self::built(settings, Lookup::Given(Arc::new(lookup)))
    }

    fn built(settings: Settings, lookup: Lookup) -> Result<Self, String> {
        let guard = Arc::new(Guard::of(&settings));
        let ways = Ways::new(&settings, &guard, lookup)?;
        let settings = Arc::new(settings);
        let gates = Gates::new(&settings);
        Ok(Self { inner: Arc::new(Inner { settings, guard, ways, gates }) })
    }

    /// Asks a server that is not ours: waits for its host's turn, keeps the caps, compares the answer
    /// with what is `known` of the last one.
    pub async fn fetch(&self, request: &Request, known: Option<&Mark>, asker: Asker) -> Asked {
        let (mut waited, mut led_to) = (Duration::ZERO, None);
        let result = self.hops(request, known, asker, &mut waited, &mut led_to).await;
        Asked { result, waited, led_to }
    }

    async fn hops(
        &self,
        request: &Request,
        known: Option<&Mark>,
        mut asker: Asker,
        waited: &mut Duration,
        led_to: &mut Option<String>,
    ) -> Result<Fetched, HttpError> {
        let inner = &*self.inner;
        let way = inner.ways.of(&request.route)?;
        let timeout = request.route.timeout.unwrap_or(inner.settings.timeout);
        let (mut hop, mut left) = (Hop::first(request), timeout);
        // What was left when the chain came to its present host.
        let mut given = timeout;
        loop {
            if left.is_zero() {
                return Err(HttpError::Timeout(timeout));
            }
            let started = Instant::now();
            inner.guard.check(hop.url()).map_err(|refusal| refused(&hop, &refusal.0))?;
            // One turn at a time: two hosts that redirect to each other cannot wait for each other.
            let turn = inner.gates.turn(authority(hop.url()), asker, waited).await?;
            let begun = Instant::now();
            let answered = tokio::time::timeout(left, async {
                way.check(hop.url()).await?;
                exchange(&way.client, &hop, known, &inner.settings).await
            });
            let answered = answered.await.unwrap_or(Err(HttpError::Timeout(timeout)));
            let answered = answered.map_err(|error| way.explain(error));
            left = left.saturating_sub(begun.elapsed());
            let (status, location) = match answered {
                Ok(Answer::Done(fetched)) => return turn.judge(Ok(fetched)),
                Err(HttpError::Refused(why)) => return turn.judge(Err(refused(&hop, &why))),
                // A host that was given little time, by those that sent us there, did not fall silent.
                Err(error @ HttpError::Timeout(_)) if given < timeout / 2 => return Err(error),
                Err(error) => return turn.judge(Err(error)),
                Ok(Answer::Redirect { status, location }) => (status, location),
            };
            let target = hop.target(location.as_bytes());
            // A wall on another host is a wall of the host that sent us there, and needs no second request.
            if let Ok(target) = &target {
                let reply = Reply::captured(status, target.clone(), Bytes::new());
                if wall_sign(&reply).is_some() {
                    return turn.judge(Ok(Fetched::New(reply, Mark::default())));
                }
            }
            // A host is judged by the last of its answers.
            if target.as_ref().is_ok_and(|target| authority(target) == authority(hop.url())) {
                drop(turn);
            } else {
                turn.well();
                given = left;
            }
            hop = hop.follow(status, target?)?;
            *led_to = Some(authority(hop.url()).to_owned()).filter(|host| host != request.authority());
            asker.now = asker.now.checked_add(started.elapsed()).unwrap_or(asker.now);
        }
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

    /// Takes up how hosts stand with a client of other settings, and how soon they may be asked again.
    pub fn take_over(&self, other: &Self, now: Timestamp) {
        self.inner.gates.take_over(&other.inner.gates, now);
    }

    /// How a host stands could not be stored: it is told as a change once more.
    pub fn tell_again(&self, standing: &Standing) {
        self.inner.gates.tell_again(standing);
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
        let (sender, hop) = (inner.ways.sender()?, Hop::first(request));
        let timeout = inner.settings.timeout;
        let answered = tokio::time::timeout(timeout, async {
            let response = exchange::ask(sender, &hop, None).await?;
            exchange::take(response, &hop, None, &inner.settings).await
        });
        match answered.await.map_err(|_| HttpError::Timeout(timeout))?? {
            Fetched::New(reply, _) => Ok(reply),
            Fetched::Unchanged => Err(HttpError::Broken("304 to an unconditional request".into())),
        }
    }
}

/// A refusal says whether it is the watch's own address that is refused.
fn refused(hop: &Hop<'_>, why: &str) -> HttpError {
    HttpError::Refused(if hop.is_first() { why.to_owned() } else { format!("redirected: {why}") })
}
