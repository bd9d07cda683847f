//! Which signals are news. One pure function, [`decide`], serves every strategy: it compares how a
//! subject is now with what was settled on before, and says whether that is told and why, or why not.

mod quiet_hours;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{OnFirst, Period, Reason, Signal, SignalState};

pub use quiet_hours::QuietHours;

/// What a watch wants told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What happens when a subject is seen for the first time.
    pub on_first: OnFirst,
    /// Whether the end of what was told is told.
    pub resolved: bool,
    /// Firing readings in a row before it is news, at least 1.
    pub after: u32,
    /// Readings in a row that do not fire before it is over, at least 1.
    pub resolve_after: u32,
    /// After a message about a subject, no other but its end for so long.
    pub cooldown: Period,
    /// Tell again that it is still so.
    pub remind_every: Option<Period>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_first: OnFirst::Notify,
            resolved: true,
            after: 1,
            resolve_after: 1,
            cooldown: Period::ZERO,
            remind_every: None,
        }
    }
}

/// What lies around a reading, and keeps news from being told at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Keeps openings quiet. Ends are told all the same.
    pub mute: Option<Mute>,
    /// Quiet hours: news is written down, and told in a brief at their end.
    pub held: bool,
}

/// What keeps openings quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mute {
    /// A person said "not now".
    Silenced,
    /// A watch that this one depends on is failing, or the host that both ask is down.
    Suppressed,
}

/// Whether a signal is told, and why or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is news.
    Alert(Reason),
    /// It is news, and waits for the end of the quiet hours.
    Held(Reason),
    /// It is not.
    Quiet(Quiet),
}

impl Verdict {
    /// Why it is news, told at once or in a brief.
    #[must_use]
    pub const fn news(&self) -> Option<Reason> {
        match self {
            Self::Alert(reason) | Self::Held(reason) => Some(*reason),
            Self::Quiet(_) => None,
        }
    }

    /// The word it goes by where it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert(Reason::First) => "first",
            Self::Alert(Reason::Changed) => "changed",
            Self::Alert(Reason::Reminder) => "reminder",
            Self::Alert(Reason::Resolved) => "resolved",
            Self::Held(_) => "held",
            Self::Quiet(Quiet::Baseline) => "baseline",
            Self::Quiet(Quiet::NotFiring) => "not_firing",
            Self::Quiet(Quiet::NotYet) => "not_yet",
            Self::Quiet(Quiet::Unchanged) => "unchanged",
            Self::Quiet(Quiet::CoolingDown) => "cooling_down",
            Self::Quiet(Quiet::Silenced) => "silenced",
            Self::Quiet(Quiet::Suppressed) => "suppressed",
        }
    }
}

/// Why a signal is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Quiet {
    /// First sight: remembered, to know what is new later.
    Baseline,
    /// Nothing to tell.
    NotFiring,
    /// Not enough readings in a row.
    NotYet,
    /// The same news as before.
    Unchanged,
    /// Too soon after the last message; it will be told when the cooldown ends, if it is still so.
    CoolingDown,
    /// A silence; it will be told when that ends, if it is still so.
    Silenced,
    /// What it depends on is failing; it will be told when that works again, if it is still so.
    Suppressed,
}

/// A verdict, and what is to be remembered with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Told or not.
    pub verdict: Verdict,
    /// What is settled on from now on.
    pub next: SignalState,
    /// Since when the episode told of has been firing.
    pub since: Timestamp,
}

/// Decides whether `signal` is news, given what was settled on before (`None` at first sight).
///
/// The table of tests below is the contract, and the property tests hold it over any sequence of readings:
/// what we said began, we say ended; nothing is said twice; what is kept quiet is late, not lost.
#[must_use]
pub fn decide(
    known: Option<&SignalState>,
    signal: &Signal,
    policy: &Policy,
    around: Circumstances,
    now: Timestamp,
) -> Decision {
    let mut decision = match known {
        None => first_sight(signal, policy, around, now),
        Some(known) => match (known.firing, signal.firing) {
            (true, true) => goes_on(known, signal, policy, around, now),
            (false, true) => begins(known, signal, policy, around, now),
            (true, false) => ends(known, signal, policy, now),
            (false, false) => quiet(Quiet::NotFiring, settled(known, signal), known.since),
        },
    };
    if let (true, Verdict::Alert(reason)) = (around.held, decision.verdict) {
        decision.verdict = Verdict::Held(reason);
    }
    decision
}

fn first_sight(signal: &Signal, policy: &Policy, around: Circumstances, now: Timestamp) -> Decision {
    let state = SignalState {
        state: signal.state.clone(),
        firing: signal.firing,
        fingerprint: signal.fingerprint.clone(),
        value: signal.value,
        since: now,
        told: false,
        last_told_at: None,
        last_told_value: None,
        streak: 0,
        streak_since: None,
        waits: false,
    };
    match policy.on_first {
        OnFirst::Baseline => quiet(Quiet::Baseline, state, now),
        // The announcement tells of everything that fires, so its end will be told too.
        OnFirst::Announce => quiet(Quiet::Baseline, SignalState { told: signal.firing, ..state }, now),
        OnFirst::Notify if !signal.firing => quiet(Quiet::NotFiring, state, now),
        OnFirst::Notify => {
            let before = SignalState { firing: false, fingerprint: String::new(), ..state };
            begins(&before, signal, policy, around, now)
        }
    }
}

fn begins(
    known: &SignalState,
    signal: &Signal,
    policy: &Policy,
    around: Circumstances,
    now: Timestamp,
) -> Decision {
    // It began with the first of the readings in a row, whenever it is told.
    let began = known.streak_since.filter(|_| known.streak > 0).unwrap_or(now);
    let streak = known.streak.saturating_add(1);
    let counted = SignalState { streak, streak_since: Some(began), ..known.clone() };
    if counted.streak < policy.after {
        return quiet(Quiet::NotYet, SignalState { waits: false, ..counted }, known.since);
    }
    match hindrance(known, policy, around, now) {
        Some(why) => quiet(why, SignalState { waits: true, ..counted }, known.since),
        None => told(Reason::First, began, signal, now),
    }
}

fn goes_on(
    known: &SignalState,
    signal: &Signal,
    policy: &Policy,
    around: Circumstances,
    now: Timestamp,
) -> Decision {
    let same = known.fingerprint == signal.fingerprint;
    let due = |every: Period| known.told && elapsed(known.last_told_at, now) >= every.0;
    if same && !policy.remind_every.is_some_and(due) {
        return quiet(Quiet::Unchanged, settled(known, signal), known.since);
    }
    match hindrance(known, policy, around, now) {
        Some(why) => quiet(
            why,
            SignalState { streak: 0, streak_since: None, waits: true, ..known.clone() },
            known.since,
        ),
        None if same => told(Reason::Reminder, known.since, signal, now),
        None => told(Reason::Changed, known.since, signal, now),
    }
}

fn ends(known: &SignalState, signal: &Signal, policy: &Policy, now: Timestamp) -> Decision {
    let streak = known.streak.saturating_add(1);
    if streak < policy.resolve_after {
        return quiet(Quiet::NotYet, SignalState { streak, waits: false, ..known.clone() }, known.since);
    }
    if known.told && policy.resolved {
        return told(Reason::Resolved, known.since, signal, now);
    }
    let next = SignalState { since: now, told: false, ..settled(known, signal) };
    quiet(Quiet::NotFiring, next, known.since)
}

/// What keeps an opening, a change or a reminder from being told now. The state is not advanced, so it
/// is late, not lost.
fn hindrance(known: &SignalState, policy: &Policy, around: Circumstances, now: Timestamp) -> Option<Quiet> {
    match around.mute {
        Some(Mute::Silenced) => Some(Quiet::Silenced),
        Some(Mute::Suppressed) => Some(Quiet::Suppressed),
        None => cooling(known, policy, now).then_some(Quiet::CoolingDown),
    }
}

fn told(reason: Reason, since: Timestamp, signal: &Signal, now: Timestamp) -> Decision {
    let over = reason == Reason::Resolved;
    let next = SignalState {
        state: signal.state.clone(),
        firing: signal.firing,
        fingerprint: signal.fingerprint.clone(),
        value: signal.value,
        since: if over { now } else { since },
        told: !over,
        last_told_at: Some(now),
        last_told_value: signal.value,
        streak: 0,
        streak_since: None,
        waits: false,
    };
    Decision { verdict: Verdict::Alert(reason), next, since }
}

const fn quiet(why: Quiet, next: SignalState, since: Timestamp) -> Decision {
    Decision { verdict: Verdict::Quiet(why), next, since }
}

fn settled(known: &SignalState, signal: &Signal) -> SignalState {
    SignalState {
        state: signal.state.clone(),
        firing: signal.firing,
        fingerprint: signal.fingerprint.clone(),
        value: signal.value,
        streak: 0,
        streak_since: None,
        waits: false,
        ..known.clone()
    }
}

fn cooling(known: &SignalState, policy: &Policy, now: Timestamp) -> bool {
    known.last_told_at.is_some() && elapsed(known.last_told_at, now) < policy.cooldown.0
}

fn elapsed(since: Option<Timestamp>, now: Timestamp) -> Duration {
    since.and_then(|since| Duration::try_from(now.duration_since(since)).ok()).unwrap_or_default()
}

/// Why it was decided so, in a sentence; empty where there is nothing to say.
#[must_use]
pub fn reason(known: Option<&SignalState>, decision: &Decision, policy: &Policy) -> String {
    let last_told = known.and_then(|known| known.last_told_at);
    let told_at = last_told.map(|at| format!("{at:.0}")).unwrap_or_default();
    match decision.verdict {
        Verdict::Quiet(Quiet::NotFiring) => match known {
            Some(known) if known.firing && known.told => {
                "it is over, and `resolved = false` says that ends are not told".into()
            }
            Some(known) if known.firing => "it is over; its beginning was not told either".into(),
            _ => String::new(),
        },
        Verdict::Quiet(Quiet::Baseline) if policy.on_first == OnFirst::Announce => {
            "first sight: it is part of the announcement (`on_first = \"announce\"`)".into()
        }
        Verdict::Quiet(Quiet::Baseline) => {
            "first sight: remembered, to know what is new later (`on_first = \"baseline\"`)".into()
        }
        Verdict::Quiet(Quiet::NotYet) => {
            let ending = decision.next.firing;
            let (key, wanted) =
                if ending { ("resolve_after", policy.resolve_after) } else { ("after", policy.after) };
            format!("reading {} in a row of the {wanted} that `{key}` wants", decision.next.streak)
        }
        Verdict::Quiet(Quiet::Unchanged) => match (decision.next.told, policy.remind_every) {
            (false, _) => "the same as when it was first seen; its beginning was not told".into(),
            (true, None) if last_told.is_none() => "the same as was announced".into(),
            (true, None) => format!("the same news as at {told_at}; no reminders are asked for"),
            (true, Some(every)) => {
                let next = last_told.and_then(|at| at.checked_add(every.0).ok());
                let next = next.map(|at| format!("{at:.0}")).unwrap_or_default();
                format!("the same news as at {told_at}; the next reminder is due at {next}")
            }
        },
        Verdict::Quiet(Quiet::CoolingDown) => {
            let until = last_told.and_then(|at| at.checked_add(policy.cooldown.0).ok());
            let until = until.map(|at| format!("{at:.0}")).unwrap_or_default();
            format!("within the cooldown of the message of {told_at}; told after {until} if it is still so")
        }
        Verdict::Quiet(Quiet::Silenced) => "silenced; told when the silence ends, if it is still so".into(),
        Verdict::Quiet(Quiet::Suppressed) => {
            "what it depends on is failing; told when that works again, if it is still so".into()
        }
        Verdict::Held(reason) => {
            format!("{}; quiet hours: told in one brief when they end", because(reason, policy))
        }
        Verdict::Alert(reason) => because(reason, policy),
    }
}

fn because(reason: Reason, policy: &Policy) -> String {
    match reason {
        Reason::First if policy.after > 1 => format!("it began: {} readings in a row", policy.after),
        Reason::First => "it began".into(),
        Reason::Changed => "it is still so, but other news than what was told".into(),
        Reason::Reminder => "it is still so, and the reminder is due".into(),
        Reason::Resolved => "it is over, and its beginning was told".into(),
    }
}

/// Whether another reading of the same could change the verdict by itself: a streak goes on, a cooldown or
/// a silence ends, a reminder comes due.
#[must_use]
pub fn is_pending(state: &SignalState, policy: &Policy) -> bool {
    state.streak > 0 || state.waits || (state.firing && state.told && policy.remind_every.is_some())
}
