//! Which signals are news. One pure function, [`decide`], serves every strategy: it compares how a
//! subject is now with what was settled on before, and says whether that is told and why, or why not.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::model::{OnFirst, Period, Reason, Signal, SignalState};

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

/// Whether a signal is told, and why or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is news.
    Alert(Reason),
    /// It is not.
    Quiet(Quiet),
}

impl Verdict {
    /// The word it goes by where it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert(Reason::First) => "first",
            Self::Alert(Reason::Changed) => "changed",
            Self::Alert(Reason::Reminder) => "reminder",
            Self::Alert(Reason::Resolved) => "resolved",
            Self::Quiet(Quiet::Baseline) => "baseline",
            Self::Quiet(Quiet::NotFiring) => "not_firing",
            Self::Quiet(Quiet::NotYet) => "not_yet",
            Self::Quiet(Quiet::Unchanged) => "unchanged",
            Self::Quiet(Quiet::CoolingDown) => "cooling_down",
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
/// The table of tests below is the contract.
#[must_use]
pub fn decide(known: Option<&SignalState>, signal: &Signal, policy: &Policy, now: Timestamp) -> Decision {
    let Some(known) = known else { return first_sight(signal, policy, now) };
    match (known.firing, signal.firing) {
        (true, true) if known.fingerprint == signal.fingerprint => {
            let due = |every: Period| known.told && elapsed(known.last_told_at, now) >= every.0;
            if policy.remind_every.is_some_and(due) {
                told(Reason::Reminder, known.since, signal, now)
            } else {
                quiet(Quiet::Unchanged, settled(known, signal), known.since)
            }
        }
        (true, true) if cooling(known, policy, now) => waiting(Quiet::CoolingDown, known),
        (true, true) => told(Reason::Changed, known.since, signal, now),
        (false, true) if known.streak.saturating_add(1) < policy.after => waiting(Quiet::NotYet, known),
        (false, true) if cooling(known, policy, now) => waiting(Quiet::CoolingDown, known),
        (false, true) => told(Reason::First, now, signal, now),
        (true, false) if known.streak.saturating_add(1) < policy.resolve_after => {
            waiting(Quiet::NotYet, known)
        }
        (true, false) if known.told && policy.resolved => told(Reason::Resolved, known.since, signal, now),
        (true, false) => {
            let next = SignalState { since: now, told: false, ..settled(known, signal) };
            quiet(Quiet::NotFiring, next, known.since)
        }
        (false, false) => quiet(Quiet::NotFiring, settled(known, signal), known.since),
    }
}

fn first_sight(signal: &Signal, policy: &Policy, now: Timestamp) -> Decision {
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
    };
    match policy.on_first {
        OnFirst::Baseline => quiet(Quiet::Baseline, state, now),
        // The announcement tells of everything that fires, so its end will be told too.
        OnFirst::Announce => quiet(Quiet::Baseline, SignalState { told: signal.firing, ..state }, now),
        OnFirst::Notify if !signal.firing => quiet(Quiet::NotFiring, state, now),
        OnFirst::Notify if policy.after > 1 => {
            let next = SignalState { firing: false, fingerprint: String::new(), streak: 1, ..state };
            quiet(Quiet::NotYet, next, now)
        }
        OnFirst::Notify => told(Reason::First, now, signal, now),
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
    };
    Decision { verdict: Verdict::Alert(reason), next, since }
}

const fn quiet(why: Quiet, next: SignalState, since: Timestamp) -> Decision {
    Decision { verdict: Verdict::Quiet(why), next, since }
}

/// The state is not advanced: one more reading speaks against it.
fn waiting(why: Quiet, known: &SignalState) -> Decision {
    let next = SignalState { streak: known.streak.saturating_add(1), ..known.clone() };
    quiet(why, next, known.since)
}

fn settled(known: &SignalState, signal: &Signal) -> SignalState {
    SignalState {
        state: signal.state.clone(),
        firing: signal.firing,
        fingerprint: signal.fingerprint.clone(),
        value: signal.value,
        streak: 0,
        ..known.clone()
    }
}

fn cooling(known: &SignalState, policy: &Policy, now: Timestamp) -> bool {
    known.last_told_at.is_some() && elapsed(known.last_told_at, now) < policy.cooldown.0
}

fn elapsed(since: Option<Timestamp>, now: Timestamp) -> Duration {
    since.and_then(|since| Duration::try_from(now.duration_since(since)).ok()).unwrap_or_default()
}

/// Whether another reading of the same could change the verdict by itself: a streak goes on, a cooldown
/// ends, a reminder comes due.
#[must_use]
pub fn is_pending(state: &SignalState, policy: &Policy) -> bool {
    state.streak > 0 || (state.firing && state.told && policy.remind_every.is_some())
}

/// Hours of the day in which messages wait. May cross midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    start: Time,
    end: Time,
}

impl QuietHours {
    /// Reads `22:00-07:00`; an empty text is no quiet hours.
    ///
    /// # Errors
    /// A sentence, when it is written otherwise.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let time = |text: &str| -> Option<Time> { text.trim().parse().ok() };
        let (start, end) = text
            .split_once('-')
            .and_then(|(start, end)| time(start).zip(time(end)))
            .ok_or_else(|| format!("`{text}` are not hours of the day; write them like \"22:00-07:00\""))?;
        if start == end {
            return Err(format!("`{text}` begins when it ends"));
        }
        Ok(Some(Self { start, end }))
    }

    /// When the quiet hours that `now` lies in end; `None` outside them.
    #[must_use]
    pub fn end_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_zoned(zone.clone());
        let time = here.time();
        let inside = if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        };
        if !inside {
            return None;
        }
        let day = if time < self.end { here.date() } else { here.date().tomorrow().ok()? };
        day.to_datetime(self.end).to_zoned(zone.clone()).ok().map(|end| end.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn signal(firing: bool, fingerprint: &str) -> Signal {
        Signal::event("s", if firing { "on" } else { "off" }, firing, fingerprint).value(1.0)
    }

    fn known(firing: bool, fingerprint: &str) -> SignalState {
        SignalState {
            state: String::new(),
            firing,
            fingerprint: fingerprint.into(),
            value: None,
            since: at("2026-11-21T09:00:00Z"),
            told: firing,
            last_told_at: firing.then(|| at("2026-11-21T09:00:00Z")),
            last_told_value: None,
            streak: 0,
        }
    }

    fn verdict(known: Option<&SignalState>, signal: &Signal, policy: &Policy) -> Verdict {
        decide(known, signal, policy, at("2026-11-21T10:00:00Z")).verdict
    }

    #[test]
    fn the_table_of_what_is_news() {
        use OnFirst::{Announce, Baseline, Notify};
        use Verdict::{Alert, Quiet as Q};
        let policy = |on_first| Policy { on_first, ..Policy::default() };
        let hour = Period::from_secs(3_600);
        for (case, known, signal, policy, expected) in [
            ("first sight, notify", None, signal(true, "a"), policy(Notify), Alert(Reason::First)),
            ("first sight, quiet", None, signal(false, "a"), policy(Notify), Q(Quiet::NotFiring)),
            ("first sight, announce", None, signal(true, "a"), policy(Announce), Q(Quiet::Baseline)),
            ("first sight, baseline", None, signal(true, "a"), policy(Baseline), Q(Quiet::Baseline)),
            (
                "first sight, too few",
                None,
                signal(true, "a"),
                Policy { after: 2, ..policy(Notify) },
                Q(Quiet::NotYet),
            ),
            ("begins", Some(known(false, "b")), signal(true, "a"), policy(Notify), Alert(Reason::First)),
            (
                "begins, too few",
                Some(known(false, "b")),
                signal(true, "a"),
                Policy { after: 2, ..policy(Notify) },
                Q(Quiet::NotYet),
            ),
            ("goes on", Some(known(true, "a")), signal(true, "a"), policy(Notify), Q(Quiet::Unchanged)),
            (
                "goes on, reminder due",
                Some(known(true, "a")),
                signal(true, "a"),
                Policy { remind_every: Some(hour), ..policy(Notify) },
                Alert(Reason::Reminder),
            ),
            (
                "goes on, reminder not due",
                Some(known(true, "a")),
                signal(true, "a"),
                Policy { remind_every: Some(Period::from_secs(3_601)), ..policy(Notify) },
                Q(Quiet::Unchanged),
            ),
            ("other news", Some(known(true, "a")), signal(true, "b"), policy(Notify), Alert(Reason::Changed)),
            (
                "other news, cooling",
                Some(known(true, "a")),
                signal(true, "b"),
                Policy { cooldown: Period::from_secs(3_601), ..policy(Notify) },
                Q(Quiet::CoolingDown),
            ),
            ("ends", Some(known(true, "a")), signal(false, "b"), policy(Notify), Alert(Reason::Resolved)),
            (
                "ends, cooling all the same",
                Some(known(true, "a")),
                signal(false, "b"),
                Policy { cooldown: hour, ..policy(Notify) },
                Alert(Reason::Resolved),
            ),
            (
                "ends, too few",
                Some(known(true, "a")),
                signal(false, "b"),
                Policy { resolve_after: 2, ..policy(Notify) },
                Q(Quiet::NotYet),
            ),
            (
                "ends, nobody asked",
                Some(known(true, "a")),
                signal(false, "b"),
                Policy { resolved: false, ..policy(Notify) },
                Q(Quiet::NotFiring),
            ),
            (
                "ends, never told",
                Some(SignalState { told: false, ..known(true, "a") }),
                signal(false, "b"),
                policy(Notify),
                Q(Quiet::NotFiring),
            ),
            ("nothing", Some(known(false, "a")), signal(false, "b"), policy(Notify), Q(Quiet::NotFiring)),
        ] {
            assert_eq!(verdict(known.as_ref(), &signal, &policy), expected, "{case}");
        }
    }

    #[test]
    fn so_many_readings_in_a_row_make_it_news_and_one_against_starts_again() {
        let policy = Policy { after: 3, ..Policy::default() };
        let mut known = None;
        let mut told = Vec::new();
        for firing in [true, true, false, true, true, true, true] {
            let decision = decide(known.as_ref(), &signal(firing, "x"), &policy, at("2026-11-21T10:00:00Z"));
            told.push(matches!(decision.verdict, Verdict::Alert(_)));
            known = Some(decision.next);
        }
        assert_eq!(told, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn news_within_the_cooldown_are_late_not_lost() {
        let policy = Policy { cooldown: Period::from_secs(3_600), resolved: false, ..Policy::default() };
        let first = decide(None, &signal(true, "a"), &policy, at("2026-11-21T10:00:00Z"));
        let over = decide(Some(&first.next), &signal(false, "-"), &policy, at("2026-11-21T10:10:00Z"));
        let early = decide(Some(&over.next), &signal(true, "a"), &policy, at("2026-11-21T10:20:00Z"));
        assert_eq!(early.verdict, Verdict::Quiet(Quiet::CoolingDown));
        assert!(is_pending(&early.next, &policy));
        let late = decide(Some(&early.next), &signal(true, "a"), &policy, at("2026-11-21T11:00:00Z"));
        assert_eq!(late.verdict, Verdict::Alert(Reason::First));
    }

    #[test]
    fn quiet_hours_cross_midnight_and_follow_the_zone() {
        let hours = QuietHours::parse("22:00-07:00").unwrap().unwrap();
        let zone = TimeZone::get("America/New_York").unwrap();
        for (now, end) in [
            ("2026-11-21T02:59:00Z", None),
            ("2026-11-21T03:00:00Z", Some("2026-11-21T12:00:00Z")),
            ("2026-11-21T06:00:00Z", Some("2026-11-21T12:00:00Z")),
            ("2026-11-21T12:00:00Z", None),
        ] {
            assert_eq!(hours.end_after(at(now), &zone), end.map(at), "{now}");
        }
        assert_eq!(QuietHours::parse(""), Ok(None));
        assert!(QuietHours::parse("22-7h").is_err());
        assert!(QuietHours::parse("07:00-07:00").is_err());
    }
}
