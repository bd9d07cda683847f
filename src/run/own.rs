//! What the daemon says about its own runs: a watch fails and works again, its data stand still, a host
//! blocks us. These travel the same road as any other news.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::judge::{Judged, alert};
use super::{Answer, Slot};
use crate::alerting::{Policy, Verdict, decide};
use crate::config::Stale;
use crate::model::{Observation, OnFirst, Outcome, Period, Reading, Reason, Severity, Signal};
use crate::plugin::{FetchError, Words};
use crate::store::{DAEMON, Store};
use crate::watchlist::Watch;

/// The strategy under which all of this is kept.
const RUN: &str = "run";
/// The subjects of a watch's own signals.
const FAILING: &str = "";
const STALE: &str = "stale";

/// A watch that fails so often in a row is told, and so is that it works again.
pub(super) fn judge_run(
    watch: &Watch,
    slot: &Slot,
    outcome: Outcome,
    error: Option<&str>,
    judged: &mut Judged,
) {
    let (state, firing) = match outcome {
        Outcome::Ok | Outcome::Unchanged => ("ok", false),
        Outcome::Failed => ("failing", true),
        // Neither failing nor working: what was so stays so.
        Outcome::Blocked => return,
    };
    let why = error.unwrap_or_default();
    let signal = Signal::level(FAILING, state, firing).severity(Severity::Warning).summary(why);
    if !firing && judged.known(RUN, FAILING).is_none() {
        return;
    }
    let decision = judged.decide(slot.watch_id, RUN, &signal, &watch.failing);
    let Verdict::Alert(reason) = decision.verdict else { return };
    let name = &watch.name;
    let title = match reason {
        Reason::Resolved => format!("{name} works again after {}", lasted(decision.since, slot.now)),
        Reason::Reminder => format!("{name} is still failing: {why}"),
        Reason::First | Reason::Changed => format!("{name} is failing: {why}"),
    };
    let words = Words { title, ..Words::default() };
    let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
    judged.tell(&watch.notify, words, vec![alert]);
}

/// Data that stand still for too long are told, and so is that they move again. Answers from when on,
/// with nothing newer, that will be so.
pub(super) async fn judge_age(
    store: &Store,
    watch: &Watch,
    slot: &Slot,
    judged: &mut Judged,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let Some((newest, limit)) = newest_and_limit(store, watch, slot, &judged.current).await? else {
        return Ok(None);
    };
    let Ok(stale_at) = newest.checked_add(limit) else { return Ok(None) };
    let firing = slot.now >= stale_at;
    let summary =
        format!("nothing newer than {}", newest.to_zoned(watch.zone.clone()).strftime("%Y-%m-%d %H:%M"));
    let signal = Signal::level(STALE, if firing { "stale" } else { "fresh" }, firing)
        .severity(Severity::Warning)
        .summary(summary.clone());
    // Data that were old from the first look on have not stopped; only a limit that was asked for tells.
    let asked_for = matches!(watch.stale_after, Stale::After(_));
    let on_first = if asked_for { OnFirst::Notify } else { OnFirst::Baseline };
    let policy = Policy { after: 1, on_first, ..watch.failing.clone() };
    let decision = judged.decide(slot.watch_id, RUN, &signal, &policy);
    if let Verdict::Alert(reason) = decision.verdict {
        let name = &watch.name;
        let title = match reason {
            Reason::Resolved => {
                format!("{name} has fresh data again after {}", lasted(decision.since, slot.now))
            }
            _ => format!("{name} is stale: {summary} for {}", lasted(newest, slot.now)),
        };
        let words = Words { title, ..Words::default() };
        let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
        judged.tell(&watch.notify, words, vec![alert]);
    }
    Ok(Some(stale_at))
}

/// The time of the newest data, and how old they may grow.
async fn newest_and_limit(
    store: &Store,
    watch: &Watch,
    slot: &Slot,
    current: &[Observation],
) -> Result<Option<(Timestamp, Duration)>, sqlx::Error> {
    let limit = match watch.stale_after {
        Stale::Never => return Ok(None),
        Stale::After(limit) => Some(limit.0),
        Stale::Auto => None,
    };
    let dated =
        |seen: &&Observation| matches!(seen.reading, Reading::Value { .. }) && seen.observed_at != slot.now;
    if let Some(limit) = limit {
        return Ok(current.iter().filter_map(time_of_data).max().map(|newest| (newest, limit)));
    }
    // By itself only a dated series is known to have a rhythm; a market's has nights and holidays.
    let Some(newest) = current.iter().filter(dated).max_by_key(|seen| seen.observed_at) else {
        return Ok(None);
    };
    let last = store.last_observations(slot.watch_id, &[&newest.subject], 2).await?;
    let before = current
        .iter()
        .chain(last.iter().map(|past| &past.observation))
        .filter(|seen| seen.subject == newest.subject && seen.observed_at < newest.observed_at)
        .map(|seen| seen.observed_at)
        .max();
    let Some(before) = before else { return Ok(None) };
    let rhythm = Duration::try_from(newest.observed_at.duration_since(before)).unwrap_or_default();
    let limit = rhythm.max(watch.timetable.gap(slot.now)).saturating_mul(3);
    Ok(Some((newest.observed_at, limit)))
}

/// When an observation's data are from, where they say so.
fn time_of_data(observation: &Observation) -> Option<Timestamp> {
    match &observation.reading {
        Reading::Candles { interval, candles } => {
            candles.last()?.open_time.checked_add(interval.duration()).ok()
        }
        Reading::Quote(quote) => quote.quoted_at,
        Reading::Value { .. } => Some(observation.observed_at),
        Reading::Listing(_) | Reading::Text { .. } => None,
    }
}

/// How each host that was asked answered: `Some(why)` where it blocks us.
pub(super) fn hosts(answers: &[Answer]) -> BTreeMap<String, Option<String>> {
    let mut hosts: BTreeMap<String, Option<String>> = BTreeMap::new();
    for answer in answers {
        let why = match &answer.result {
            Ok(_) => None,
            Err(FetchError::Blocked { why, .. }) => Some(why.clone()),
            // A failure says nothing about being let in.
            Err(FetchError::Failed(_)) => continue,
        };
        let known = hosts.entry(answer.request.host().to_owned()).or_default();
        *known = known.take().or(why);
    }
    hosts
}

/// The hosts of which we said that they block us; each is told once, whichever watches ask it.
pub(super) struct BlockedHosts(Mutex<HashSet<String>>);

impl BlockedHosts {
    pub(super) async fn load(store: &Store) -> Result<Self, sqlx::Error> {
        let states = store.signal_states(DAEMON).await?.remove(RUN).unwrap_or_default();
        let blocked = states.into_iter().filter(|(_, state)| state.firing).map(|(host, _)| host);
        Ok(Self(Mutex::new(blocked.collect())))
    }

    pub(super) fn contains(&self, host: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }

    /// Whether this is the first to hear of it.
    fn turn(&self, host: &str, blocked: bool) -> bool {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked { hosts.insert(host.to_owned()) } else { hosts.remove(host) }
    }

    /// Takes back what a run that could not be stored has claimed to tell.
    pub(super) fn take_back(&self, hosts: &[(String, bool)]) {
        for (host, blocked) in hosts {
            self.turn(host, !blocked);
        }
    }

    /// Tells of hosts that begin or cease to block us. Answers which.
    pub(super) async fn judge(
        &self,
        store: &Store,
        watch: &Watch,
        slot: &Slot,
        hosts: &BTreeMap<String, Option<String>>,
        judged: &mut Judged,
    ) -> Result<Vec<(String, bool)>, sqlx::Error> {
        let mut turned = Vec::new();
        for (host, why) in hosts {
            let blocked = why.is_some();
            if !self.turn(host, blocked) {
                continue;
            }
            turned.push((host.clone(), blocked));
            let states = store.signal_states(DAEMON).await?.remove(RUN).unwrap_or_default();
            let known = states.get(host);
            let signal = Signal::level(host, if blocked { "blocked" } else { "open" }, blocked)
                .severity(Severity::Warning)
                .summary(why.clone().unwrap_or_default());
            let decision = decide(known, &signal, &Policy::default(), slot.now);
            judged.settle(DAEMON, RUN, host, decision.next);
            let Verdict::Alert(reason) = decision.verdict else { continue };
            let title = if blocked {
                format!("{host} blocks us")
            } else {
                format!("{host} lets us in again after {}", lasted(decision.since, slot.now))
            };
            let words = Words { title, body: why.clone().unwrap_or_default(), url: None };
            let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
            let told = if blocked { Vec::new() } else { store.notifiers_told(RUN, host).await? };
            let notifiers = if told.is_empty() { &watch.notify } else { &told };
            judged.tell(notifiers, words, vec![alert]);
        }
        Ok(turned)
    }
}

fn lasted(since: Timestamp, now: Timestamp) -> Period {
    Period(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}
