//! Per-host politeness: how many at once, how far apart, whose turn it is, and not before a host that refused
//! us wants to hear from us again.

use std::collections::{HashMap, HashSet};
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
    settings: Arc<Settings>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// All hosts together.
    permits: Arc<Semaphore>,
}

impl Gates {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            gates: Mutex::default(),
            permits: Arc::new(Semaphore::new(settings.max_concurrent.max(1))),
        }
    }

    fn of(&self, host: &str, now: Timestamp) -> Arc<Gate> {
        // `shop.example.` is the same host as `shop.example`.
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(host) {
            return Arc::clone(gate);
        }
        if gates.len() >= MANY_HOSTS {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.state().is_idle(now));
        }
        let gate = Arc::new(Gate::new(host, self.settings.pace_of(host), self.settings.backoff));
        gates.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits until this host may be asked, and takes the turn. How long that took is added to `waited`.
    pub(super) async fn turn(
        &self,
        host: &str,
        asker: Asker,
        waited: &mut Duration,
    ) -> Result<Turn, HttpError> {
        let clock = Clock { now: asker.now, begun: Instant::now() };
        let turn = self.take_turn(host, asker.watch_id, clock).await;
        *waited = waited.saturating_add(clock.begun.elapsed());
        turn
    }

    async fn take_turn(&self, host: &str, watch_id: i64, clock: Clock) -> Result<Turn, HttpError> {
        let gate = self.of(host, clock.now);
        let _baton = gate.line.join(watch_id).await;
        let mut permit = None;
        loop {
            // A rest that is no longer than a request may take is waited for.
            match gate.step(watch_id, clock.now(), self.settings.timeout, permit.is_some()) {
                Step::Start => return Ok(Turn { gate, watch_id, clock, _permit: permit }),
                Step::Permit => permit = Arc::clone(&self.permits).acquire_owned().await.ok(),
                Step::Rest(error) => return Err(error),
                // While it waits for one host, it keeps nobody from another.
                Step::Wait(until) => {
                    permit = None;
                    tokio::time::sleep_until(until).await;
                }
                Step::Room => {
                    permit = None;
                    gate.room.notified().await;
                }
            }
        }
    }

    /// A host refused us in words of its own.
    pub(super) fn refused(&self, host: &str, asker: Asker, wait: Option<Duration>, why: &str) {
        let gate = self.of(host, asker.now);
        let mut state = gate.state();
        state.turned.refused(asker.watch_id);
        state.circuit.refused_in_words(host, asker.now, wait, why);
    }

    pub(super) fn restore(&self, standings: Vec<Standing>) {
        for standing in standings {
            self.of(&standing.host.clone(), standing.changed_at).state().circuit.restore(standing);
        }
    }

    /// Takes up how hosts stand with others, and how soon they may be asked again.
    pub(super) fn take_over(&self, others: &Self, now: Timestamp) {
        let others = others.gates.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, other) in &*others {
            let gate = self.of(host, now);
            let (mut state, other) = (gate.state(), other.state());
            // No more is owed than the new pace would have anybody owe.
            let HostRules { min_interval, jitter, burst, .. } = gate.rules;
            let most = Instant::now().checked_add(min_interval.saturating_add(jitter).saturating_mul(burst));
            state.full_at = other.full_at.map(|full_at| most.map_or(full_at, |most| full_at.min(most)));
            if let Some(standing) = other.circuit.standing() {
                state.circuit.restore(standing.clone());
            }
        }
    }

    pub(super) fn tell_again(&self, standing: &Standing) {
        let gate = self.of(&standing.host, standing.changed_at);
        gate.state().circuit.tell_again(standing);
    }

    pub(super) fn standings(&self) -> Vec<Standing> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.values().filter_map(|gate| gate.state().circuit.standing().cloned()).collect()
    }

    pub(super) fn take_changed(&self, host: &str) -> Option<Standing> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.get(host.strip_suffix('.').unwrap_or(host))?.state().circuit.take_changed()
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
    watch_id: i64,
    clock: Clock,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Takes note of how the host answered, and finds out whether that is a wall.
    pub(super) fn judge(self, answered: Result<Fetched, HttpError>) -> Result<Fetched, HttpError> {
        match &answered {
            Ok(Fetched::Unchanged) => self.well(),
            Ok(Fetched::New(reply, _)) => {
                let now = self.clock.now();
                // Every watch of the host hears why it is left alone: neither a sign nor a status line holds anything
                // of the body, which may repeat one watch's secrets to another.
                let asked = reply.retry_after(now);
                if let Some(why) = wall::sign(reply) {
                    self.refused(now, asked, &why);
                    return Err(HttpError::Walled(why));
                }
                let status = reply.status_line();
                match reply.status {
                    // In words that only its source knows.
                    403 => self.refused(now, asked, &status),
                    503 => self.circuit(|circuit, host| {
                        circuit.refused(host, now, asked, &status, Trouble::Unavailable);
                    }),
                    500.. => self.circuit(|circuit, host| circuit.silent(host, now, &status)),
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

    fn refused(&self, now: Timestamp, asked: Option<Duration>, why: &str) {
        self.gate.state().turned.refused(self.watch_id);
        self.circuit(|circuit, host| circuit.refused(host, now, asked, why, Trouble::Refused));
    }

    /// The host answered.
    pub(super) fn well(self) {
        let now = self.clock.now();
        self.gate.state().turned.well(self.watch_id);
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
    turned: Turned,
}

/// Who was turned away while the host is left alone. Where one page is always refused and another is not, the
/// one that is not goes first when the host is tried again: the other alone would keep it closed for ever.
#[derive(Default)]
struct Turned {
    /// Watches that the host refused when it was last asked for them.
    refused: HashSet<i64>,
    /// Others that came meanwhile and were not let through.
    away: HashSet<i64>,
}

impl Turned {
    fn refused(&mut self, watch_id: i64) {
        self.refused.insert(watch_id);
        self.away.remove(&watch_id);
    }

    fn well(&mut self, watch_id: i64) {
        self.refused.remove(&watch_id);
        self.away.remove(&watch_id);
    }

    fn away(&mut self, watch_id: i64) {
        if !self.refused.contains(&watch_id) {
            self.away.insert(watch_id);
        }
    }

    /// Whether this watch lets others try first.
    fn is_behind(&self, watch_id: i64) -> bool {
        self.refused.contains(&watch_id) && !self.away.is_empty()
    }

    fn forget(&mut self) {
        self.refused.clear();
        self.away.clear();
    }
}

impl State {
    fn is_idle(&self, now: Timestamp) -> bool {
        self.under_way == 0
            && self.circuit.is_forgettable(now)
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
        let circuit = Circuit::new(backoff);
        let state = State { under_way: 0, full_at: None, circuit, turned: Turned::default() };
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

    fn step(&self, watch_id: i64, now: Timestamp, patience: Duration, has_permit: bool) -> Step {
        let mut guard = self.state();
        let state = &mut *guard;
        let here = Instant::now();
        if let Some(standing) = state.circuit.standing().filter(|standing| !standing.wait.is_zero()) {
            let until = standing.until;
            let left = until.duration_since(now);
            let is_resting = standing.is_resting(now);
            if is_resting && left.unsigned_abs() <= patience {
                return Step::Wait(here + left.unsigned_abs());
            }
            // Others are let ahead for as long again as the host was left alone.
            let others_until = until.checked_add(standing.wait).unwrap_or(until);
            let is_behind = state.turned.is_behind(watch_id) && until <= now && now < others_until;
            if is_resting || is_behind {
                let until = if is_resting { until } else { others_until };
                state.turned.away(watch_id);
                return Step::Rest(HttpError::Resting {
                    host: self.host.clone(),
                    until,
                    why: standing.why.clone(),
                    refused: standing.refused,
                });
            }
        } else {
            state.turned.forget();
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
