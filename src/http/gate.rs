//! Per-host politeness: how many at once, how far apart, and not before a host that asked for rest
//! wants to hear from us again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{Asker, Fetched, HttpError, Settings, Standing};

/// Longest rest that a host can ask for; beyond it we try once a day.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3_600);

/// The pace of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRules {
    /// How many requests may be under way at once.
    pub max_concurrent: usize,
    /// The time between the starts of two requests: the least where `burst` is 1, else on average.
    pub min_interval: Duration,
    /// Up to so much is added to `min_interval`, by chance.
    pub jitter: Duration,
    /// How many requests may start at once after a pause; they are paid back by the pace.
    pub burst: u32,
}

impl Default for HostRules {
    fn default() -> Self {
        Self { max_concurrent: 2, min_interval: Duration::from_secs(1), jitter: Duration::ZERO, burst: 1 }
    }
}

pub(super) struct Gates {
    default: HostRules,
    rules: HashMap<String, HostRules>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    permits: Arc<Semaphore>,
}

impl Gates {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            default: settings.per_host,
            rules: settings.hosts.clone(),
            gates: Mutex::default(),
            permits: Arc::new(Semaphore::new(settings.max_concurrent.max(1))),
        }
    }

    fn of(&self, host: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(host) {
            return Arc::clone(gate);
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let rules = self.rules.get(host).or_else(|| self.rules.get(name));
        let gate = Arc::new(Gate::new(*rules.unwrap_or(&self.default)));
        gates.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits until this host may be asked, and takes the turn.
    pub(super) async fn turn(&self, host: &str, _asker: Asker) -> Result<Turn, HttpError> {
        let begun = Instant::now();
        let gate = self.of(host);
        let own = Arc::clone(&gate.permits).acquire_owned().await.ok();
        gate.pace(host).await?;
        let all = Arc::clone(&self.permits).acquire_owned().await.ok();
        Ok(Turn { gate, waited: begun.elapsed(), _permits: (own, all) })
    }

    pub(super) fn refused(&self, host: &str, _asker: Asker, wait: Option<Duration>, _why: &str) {
        if let Some(wait) = wait {
            self.of(host).rest(Timestamp::now(), wait);
        }
    }

    pub(super) fn restore(&self, _standings: Vec<Standing>) {}

    pub(super) fn standings(&self) -> Vec<Standing> {
        Vec::new()
    }

    pub(super) fn take_changed(&self, _host: &str) -> Option<Standing> {
        None
    }
}

/// The right to ask a host now; dropping it ends the turn.
pub(super) struct Turn {
    gate: Arc<Gate>,
    /// How long it was waited for.
    pub(super) waited: Duration,
    _permits: (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>),
}

impl Turn {
    /// Takes note of how the host answered, and finds out whether that is a wall.
    pub(super) fn judge(self, answered: Result<Fetched, HttpError>) -> Result<Fetched, HttpError> {
        let fetched = answered?;
        if let Fetched::New(reply, _) = &fetched
            && matches!(reply.status, 403 | 418 | 429 | 503)
            && let Some(wait) = reply.retry_after(Timestamp::now())
        {
            self.gate.rest(Timestamp::now(), wait);
        }
        Ok(fetched)
    }

    /// The host answered well, though not with an answer: with a redirect.
    pub(super) fn well(self) {}
}

struct Gate {
    permits: Arc<Semaphore>,
    min_interval: Duration,
    next: Mutex<Next>,
}

#[derive(Default)]
struct Next {
    start: Option<Instant>,
    /// By the clock that nobody sets, and by the one that people read.
    rest_until: Option<(Instant, Timestamp)>,
}

impl Gate {
    fn new(rules: HostRules) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(rules.max_concurrent.max(1))),
            min_interval: rules.min_interval,
            next: Mutex::default(),
        }
    }

    /// Waits until this host may be asked again.
    async fn pace(&self, host: &str) -> Result<(), HttpError> {
        let start = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, until)) = next.rest_until.filter(|(until, _)| *until > Instant::now()) {
                let why = "it asked for it".to_owned();
                return Err(HttpError::Resting { host: host.to_owned(), until, why, refused: true });
            }
            next.rest_until = None;
            if self.min_interval.is_zero() {
                return Ok(());
            }
            let now = Instant::now();
            let start = next.start.map_or(now, |start| start.max(now));
            next.start = Some(start + self.min_interval);
            start
        };
        tokio::time::sleep_until(start).await;
        Ok(())
    }

    /// Leaves the host alone for so long.
    fn rest(&self, now: Timestamp, wait: Duration) {
        let wait = wait.min(LONGEST_REST);
        let Ok(until) = now.checked_add(wait) else { return };
        let until = (Instant::now() + wait, until);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.rest_until = next.rest_until.max(Some(until));
    }
}
