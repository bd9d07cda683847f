//! Per-host politeness: how many at once, how far apart, whose turn it is, and not before a host that refused
//! us wants to hear from us again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::line::Line;
use super::standing::{Circuit, Trouble};
use super::{Asker, Backoff, Fetched, HttpError, Settings, Standing, wall};

/// When so many hosts are known, those that nobody asks any more are forgotten.
const MANY_HOSTS: usize = 1_024;

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

/// The gates of all hosts.
pub(super) struct Gates {
    default: HostRules,
    rules: HashMap<String, HostRules>,
    backoff: Backoff,
    /// A rest that is no longer than this is waited for.
    patience: Duration,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// All hosts together.
    permits: Arc<Semaphore>,
}

impl Gates {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            default: settings.per_host,
            rules: settings.hosts.clone(),
            backoff: settings.backoff,
            patience: settings.timeout,
            gates: Mutex::default(),
            permits: Arc::new(Semaphore::new(settings.max_concurrent.max(1))),
        }
    }

    fn of(&self, host: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(host) {
            return Arc::clone(gate);
        }
        if gates.len() >= MANY_HOSTS {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.state().is_idle());
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let rules = self.rules.get(host).or_else(|| self.rules.get(name));
        let gate = Arc::new(Gate::new(host, *rules.unwrap_or(&self.default), self.backoff));
        gates.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits until this host may be asked, and takes the turn.
    pub(super) async fn turn(&self, host: &str, asker: Asker) -> Result<Turn, HttpError> {
        let clock = Clock { now: asker.now, begun: Instant::now() };
        let gate = self.of(host);
        let _baton = gate.line.join(asker.watch_id).await;
        let mut permit = None;
        loop {
            match gate.step(clock.now(), self.patience, permit.is_some()) {
                Step::Start => break,
                Step::Wait(until) => {
                    permit = None;
                    tokio::time::sleep_until(until).await;
                }
                Step::Room => gate.room.notified().await,
                Step::Permit => permit = Arc::clone(&self.permits).acquire_owned().await.ok(),
                Step::Rest(error) => return Err(error),
            }
        }
        Ok(Turn { gate, clock, waited: clock.begun.elapsed(), _permit: permit })
    }

    /// A host refused us in words of its own.
    pub(super) fn refused(&self, host: &str, asker: Asker, wait: Option<Duration>, why: &str) {
        self.of(host).state().circuit.refused_in_words(host, asker.now, wait, why);
    }

    pub(super) fn restore(&self, standings: Vec<Standing>) {
        for standing in standings {
            self.of(&standing.host.clone()).state().circuit.restore(standing);
        }
    }

    pub(super) fn standings(&self) -> Vec<Standing> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.values().filter_map(|gate| gate.state().circuit.standing().cloned()).collect()
    }

    pub(super) fn take_changed(&self, host: &str) -> Option<Standing> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.get(host)?.state().circuit.take_changed()
    }
}

/// The moment by the run's own clock, which goes on while it waits.
#[derive(Clone, Copy)]
struct Clock {
    now: Timestamp,
    begun: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.now.checked_add(self.begun.elapsed()).unwrap_or(self.now)
    }
}

/// The right to ask a host now; dropping it ends the turn.
pub(super) struct Turn {
    gate: Arc<Gate>,
    clock: Clock,
    /// How long it was waited for.
    pub(super) waited: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Takes note of how the host answered, and finds out whether that is a wall.
    pub(super) fn judge(self, answered: Result<Fetched, HttpError>) -> Result<Fetched, HttpError> {
        match &answered {
            Ok(Fetched::Unchanged) => self.well(),
            Ok(Fetched::New(reply, _)) => {
                let now = self.clock.now();
                let refused = |why: &str, trouble| {
                    let asked = reply.retry_after(now);
                    self.circuit(|circuit, host| circuit.refused(host, now, asked, why, trouble));
                };
                if let Some(why) = wall::sign(reply) {
                    refused(&why, Trouble::Refused);
                    return Err(HttpError::Walled(why));
                }
                let said = || reply.ok().err().map_or_else(String::new, |error| error.to_string());
                match reply.status {
                    403 | 418 | 429 => refused(&said(), Trouble::Refused),
                    503 => refused(&said(), Trouble::Unavailable),
                    500.. => self.circuit(|circuit, host| circuit.silent(host, now, &said())),
                    _ => self.well(),
                }
            }
            Err(error @ (HttpError::Timeout(_) | HttpError::Connect(_) | HttpError::Broken(_))) => {
                let now = self.clock.now();
                self.circuit(|circuit, host| circuit.silent(host, now, &error.to_string()));
            }
            // It did answer, with what we do not take.
            Err(HttpError::TooLarge(_) | HttpError::Unfit(_)) => self.well(),
            // It was not asked.
            Err(_) => {}
        }
        answered
    }

    /// The host answered.
    pub(super) fn well(self) {
        let now = self.clock.now();
        self.circuit(|circuit, _| circuit.well(now));
    }

    fn circuit(&self, change: impl FnOnce(&mut Circuit, &str)) {
        change(&mut self.gate.state().circuit, &self.gate.host);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.gate.room.notify_one();
    }
}

/// The way to one host.
struct Gate {
    host: String,
    rules: HostRules,
    line: Arc<Line>,
    state: Mutex<State>,
    /// Rung when a request has ended, for whoever is next.
    room: Notify,
}

struct State {
    under_way: usize,
    /// A token bucket as one number: when it will be full again.
    full_at: Option<Instant>,
    circuit: Circuit,
}

impl State {
    fn is_idle(&self) -> bool {
        self.under_way == 0
            && self.circuit.standing().is_none()
            && self.full_at.is_none_or(|full_at| full_at <= Instant::now())
    }
}

/// What whoever is next has to do.
enum Step {
    /// Ask.
    Start,
    /// Wait until then.
    Wait(Instant),
    /// Wait until a request has ended.
    Room,
    /// Get a permit of those for all hosts together.
    Permit,
    /// Go without an answer.
    Rest(HttpError),
}

impl Gate {
    fn new(host: &str, rules: HostRules, backoff: Backoff) -> Self {
        let state = State { under_way: 0, full_at: None, circuit: Circuit::new(backoff) };
        Self {
            host: host.to_owned(),
            rules,
            line: Arc::default(),
            state: Mutex::new(state),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, now: Timestamp, patience: Duration, has_permit: bool) -> Step {
        let mut state = self.state();
        let here = Instant::now();
        if let Some(standing) = state.circuit.standing().filter(|standing| standing.is_resting(now)) {
            let left = standing.until.duration_since(now).unsigned_abs();
            if left <= patience {
                return Step::Wait(here + left);
            }
            return Step::Rest(HttpError::Resting {
                host: self.host.clone(),
                until: standing.until,
                why: standing.why.clone(),
                refused: standing.refused,
            });
        }
        let at_once = if state.circuit.is_tried() { 1 } else { self.rules.max_concurrent.max(1) };
        if state.under_way >= at_once {
            return Step::Room;
        }
        let HostRules { min_interval, jitter, burst, .. } = self.rules;
        let saved = min_interval.saturating_mul(burst.saturating_sub(1));
        let full_at = state.full_at.map_or(here, |full_at| full_at.max(here));
        if let Some(start) = full_at.checked_sub(saved).filter(|start| *start > here) {
            return Step::Wait(start);
        }
        if !has_permit {
            return Step::Permit;
        }
        if !min_interval.is_zero() || !jitter.is_zero() {
            state.full_at = full_at.checked_add(min_interval.saturating_add(jitter.mul_f64(fastrand::f64())));
        }
        state.under_way = state.under_way.saturating_add(1);
        Step::Start
    }
}

#[cfg(test)]
mod tests;
