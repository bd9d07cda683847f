//! Per-host politeness: how many at once, how far apart, and not before a host that asked for rest
//! wants to hear from us again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::HttpError;

/// Longest rest that a host can ask for; beyond it we try once a day.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3_600);

/// The pace of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRules {
    /// How many requests may be under way at once.
    pub max_concurrent: usize,
    /// The least time between the starts of two requests.
    pub min_interval: Duration,
}

impl Default for HostRules {
    fn default() -> Self {
        Self { max_concurrent: 2, min_interval: Duration::from_secs(1) }
    }
}

pub(super) struct Gates {
    default: HostRules,
    rules: HashMap<String, HostRules>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

impl Gates {
    pub(super) fn new(default: HostRules, rules: HashMap<String, HostRules>) -> Self {
        Self { default, rules, gates: Mutex::default() }
    }

    pub(super) fn of(&self, host: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(host) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Gate::new(*self.rules.get(host).unwrap_or(&self.default)));
        gates.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }
}

pub(super) struct Gate {
    permits: Semaphore,
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
            permits: Semaphore::new(rules.max_concurrent.max(1)),
            min_interval: rules.min_interval,
            next: Mutex::default(),
        }
    }

    /// Waits until this host may be asked again; the permit ends the turn.
    pub(super) async fn turn(&self, host: &str) -> Result<Option<SemaphorePermit<'_>>, HttpError> {
        let permit = self.permits.acquire().await.ok();
        let start = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, until)) = next.rest_until.filter(|(until, _)| *until > Instant::now()) {
                return Err(HttpError::Resting { host: host.to_owned(), until });
            }
            next.rest_until = None;
            if self.min_interval.is_zero() {
                return Ok(permit);
            }
            let now = Instant::now();
            let start = next.start.map_or(now, |start| start.max(now));
            next.start = Some(start + self.min_interval);
            start
        };
        tokio::time::sleep_until(start).await;
        Ok(permit)
    }

    /// Leaves the host alone for so long.
    pub(super) fn rest(&self, now: Timestamp, wait: Duration) {
        let wait = wait.min(LONGEST_REST);
        let Ok(until) = now.checked_add(wait) else { return };
        let until = (Instant::now() + wait, until);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.rest_until = next.rest_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_requests_to_one_host_start_its_interval_apart() {
        let gates = Gates::new(
            HostRules { max_concurrent: 1, min_interval: Duration::from_secs(10) },
            HashMap::from([(
                "quick.example".to_owned(),
                HostRules { max_concurrent: 9, min_interval: Duration::ZERO },
            )]),
        );
        let begun = Instant::now();
        for _ in 0..3 {
            drop(gates.of("slow.example").turn("slow.example").await.expect("a turn"));
            drop(gates.of("quick.example").turn("quick.example").await.expect("a turn"));
        }
        assert_eq!(begun.elapsed().as_secs(), 20);
    }

    #[tokio::test]
    async fn a_host_that_asked_for_rest_is_not_asked() {
        let gate = Gate::new(HostRules::default());
        let now = Timestamp::now();
        gate.rest(now, Duration::from_secs(60));
        gate.rest(now, Duration::from_secs(5)); // a shorter wish does not shorten a longer one
        let Err(HttpError::Resting { host, until }) = gate.turn("h.example").await else { panic!("asked") };
        assert_eq!(host, "h.example");
        assert_eq!(until.duration_since(now).as_secs(), 60);
    }
}
