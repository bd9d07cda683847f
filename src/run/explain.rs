//! Why something was told or not: one run of the past, step by step.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::around::Around;
use super::explanation::{Delivered, Explanation, Judgement, ToldAlert};
use super::judge::{MANY_VERDICTS, States, is_always_stored};
use super::own::{FAILING, RUN, STALE};
use super::past::{Hindsight, Sight};
use super::{Needs, news};
use crate::alerting::{Circumstances, Policy, decide, reason};
use crate::model::{AlertStatus, Observation, Outcome, Signal, SignalState, Silence};
use crate::plugin;
use crate::store::{RunRow, Store};
use crate::watchlist::{Judge, Watch};

/// A verdict as a run stores it.
#[derive(Deserialize)]
struct Stored {
    strategy: String,
    subject: String,
    state: String,
    value: Option<f64>,
    verdict: String,
    why: String,
    #[serde(default, deserialize_with = "present")]
    before: Option<Option<SignalState>>,
}

/// Nothing is told apart from what is not there.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<SignalState>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Stored {
    /// Whether what was settled on before it is known to have been nothing.
    fn is_first(&self) -> bool {
        self.before == Some(None) || matches!(self.verdict.as_str(), "silenced" | "suppressed")
    }

    /// What was settled on before it; a change of the configuration may have ended that since.
    fn settled(&self, known: Option<&SignalState>) -> Option<String> {
        let forgotten = || (!self.is_first()).then(|| "something that is no longer kept".into());
        known.map(settled).or_else(forgotten)
    }
}

/// Explains the last run of a watch, or the one whose slot was the last at a moment; `None` when there is
/// none.
///
/// # Errors
/// Any of SQLite's own.
pub async fn explain(
    store: &Store,
    watch: &Arc<Watch>,
    watch_id: i64,
    at: Option<Timestamp>,
    subject: Option<&str>,
) -> Result<Option<Explanation>, sqlx::Error> {
    let Some(run) = store.run_at(watch_id, at).await? else { return Ok(None) };
    let now = run.started_at;
    let stored: Vec<Stored> =
        run.verdicts.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let states = store.signal_states_before(watch_id, run.id).await?;
    let came = Came::of(&run, &stored);
    let judged: HashSet<&str> =
        stored.iter().filter(|verdict| verdict.strategy != RUN).map(|verdict| &*verdict.subject).collect();
    let past = Hindsight::of_run(store, watch, watch_id, now, &judged).await?;
    let is_complete = run.verdicts.is_some()
        && usize::try_from(run.counts[1]).is_ok_and(|signals| signals <= MANY_VERDICTS);
    let mut past = Room { watch, now, states, sight: past.sight(now), subject, is_complete, came };
    let mut remarks: Vec<String> = came.remark().map(Into::into).into_iter().collect();
    if came == Came::Judged {
        let count = usize::try_from(run.counts[0]).unwrap_or(usize::MAX);
        if count == 0 {
            past.sight.current.clear();
            remarks.push("the answer was good, but there was nothing in it".into());
        } else if !is_good(&run) && is_complete {
            // What a part of the answers that was no good would have shown was not seen.
            past.sight.current.retain(|seen| judged.contains(seen.subject.as_str()));
        } else if !is_good(&run) && count < past.sight.current.len() {
            remarks.push(
                "a part of the answers was no good, and of so many signals it is not stored which: some of \
                 what is shown here was seen before, not in this run"
                    .into(),
            );
        } else if judged.is_empty() && past.sight.current.is_empty() {
            remarks.push("nothing was seen that could be judged".into());
        }
    }
    let mut judgements = Vec::new();
    for judge in &watch.judges {
        judgements.extend(past.judgements(judge, &stored));
    }
    judgements.extend(past.own(&stored));
    let known: HashSet<&str> = watch.judges.iter().map(|judge| judge.name.as_str()).collect();
    let left = stored.iter().filter(|verdict| verdict.strategy != RUN && !known.contains(&*verdict.strategy));
    judgements.extend(left.filter(|verdict| past.is_wanted(&verdict.subject)).map(|verdict| Judgement {
        why: format!("{} (this strategy is no longer in the configuration)", verdict.why),
        ..Judgement::of(verdict)
    }));
    if !is_complete && run.counts[1] > 0 && judgements.iter().any(|judgement| !judgement.stored) {
        remarks.push(
            "of so many signals the quiet ones are not stored; their verdicts are found out now from what is \
             stored"
                .into(),
        );
    }
    if let Some(gap) = store.gaps(watch_id, run.due_at, at.unwrap_or(now).max(run.due_at)).await?.last() {
        let why = gap.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        remarks.push(format!(
            "the slots from {:.0} to {:.0} had no good run ({}{why})",
            gap.first_due_at, gap.last_due_at, gap.outcome
        ));
    }
    let same_as = if run.outcome == UNCHANGED { store.last_read_at(watch_id, &run).await? } else { None };
    let wanted = |about: &str| past.is_wanted(about) || about.is_empty();
    let alerts = store.alerts_of_run(watch_id, &run).await?;
    let told: Vec<ToldAlert> = alerts
        .iter()
        .filter(|alert| alert.strategy == RUN || wanted(&alert.signal.subject))
        .map(ToldAlert::of)
        .collect();
    let mut deliveries = store.deliveries_of_run(run.id).await?;
    if subject.is_some() {
        deliveries.retain(|one| told.iter().any(|alert| one.alert_ids.contains(&alert.id)));
    }
    for (strategy, about, status, held) in store.undelivered(watch_id, now).await? {
        let same = judgements
            .iter_mut()
            .filter(|one| one.verdict == "unchanged" && one.strategy == strategy && one.subject == about);
        let fate = match held {
            Some(until) => format!("; that message is held until {until:.0} by quiet hours"),
            None if status == "dead" => "; that message was given up".into(),
            None => "; that message waits to be sent".into(),
        };
        for one in same.filter(|one| !one.why.contains("; that message ")) {
            one.why.push_str(&fate);
        }
    }
    if let Some(paused) = store.paused_watches().await?.iter().find(|paused| paused.watch_id == watch_id) {
        let since = paused.paused_at;
        remarks.push(format!("the watch is paused since {since:.0}: it runs only when somebody asks for it"));
    }
    let RunRow { due_at, trigger, outcome, error, waited, .. } = run;
    Ok(Some(Explanation {
        watch: watch.name.clone(),
        due_at,
        trigger,
        started_at: now,
        late_ms: now.as_millisecond().saturating_sub(due_at.as_millisecond()).max(0),
        waited_ms: waited.time.as_millis().try_into().unwrap_or(u64::MAX),
        waited_for: waited.host,
        outcome,
        error,
        same_as,
        hosts: hosts(store, watch, now).await?,
        silences: silences(store, watch, now, &past).await?,
        quiet_until: Around::quiet_hours_of(watch, now).held_until,
        absent: past.absent(),
        observations: past.observations(),
        judgements,
        alerts: told,
        deliveries: deliveries.into_iter().map(Delivered::of).collect(),
        remarks,
    }))
}

/// Every subject that is known of a watch.
///
/// # Errors
/// Any of SQLite's own.
pub async fn subjects(store: &Store, watch_id: i64) -> Result<Vec<String>, sqlx::Error> {
    let mut subjects: Vec<String> = store.last_seen(watch_id).await?.into_keys().collect();
    subjects.sort();
    Ok(subjects)
}

const UNCHANGED: &str = Outcome::Unchanged.as_str();

fn is_good(run: &RunRow) -> bool {
    ![Outcome::Failed, Outcome::Blocked].map(Outcome::as_str).contains(&&*run.outcome)
}

/// How far a run came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Nothing had changed: it looked no further.
    Same,
    /// No answer was any good.
    Unanswered,
    /// What it found was not taken: its watch was another by then.
    Outdated,
    /// The strategies judged, if only that there was nothing.
    Judged,
}

impl Came {
    fn of(run: &RunRow, stored: &[Stored]) -> Self {
        let is_empty = run.counts == [0; 3];
        match &run.verdicts {
            None if run.outcome == UNCHANGED => Self::Same,
            None if is_empty && run.outcome != Outcome::Blocked.as_str() => Self::Outdated,
            _ if run.counts[0] > 0 || is_good(run) => Self::Judged,
            // A part of the answers may have been good, and empty.
            _ if stored.iter().any(|verdict| verdict.strategy != RUN) => Self::Judged,
            _ => Self::Unanswered,
        }
    }

    const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Same => {
                Some("the same bytes as before: nothing was judged anew, what was settled on stands")
            }
            Self::Unanswered => Some(
                "there was no good answer: nothing was judged, and what was settled on about its subjects \
                 stands",
            ),
            Self::Outdated => Some(
                "what it found was not taken, as when a watch is changed while it runs: the next run judges \
                 it",
            ),
            Self::Judged => None,
        }
    }

    /// Why nothing was judged, so that what was settled on stands.
    const fn standing(self) -> Option<&'static str> {
        match self {
            Self::Same | Self::Judged => None,
            Self::Unanswered => Some("there was no good answer; missing is not changed"),
            Self::Outdated => Some("what it found was not taken"),
        }
    }
}

/// What lay before a run.
struct Room<'a> {
    watch: &'a Watch,
    now: Timestamp,
    states: States,
    sight: Sight,
    /// Only this one.
    subject: Option<&'a str>,
    /// Whether every verdict of the run was stored.
    is_complete: bool,
    came: Came,
}

impl Room<'_> {
    fn is_wanted(&self, subject: &str) -> bool {
        self.subject.is_none_or(|wanted| wanted == subject)
    }

    fn observations(&self) -> Vec<Observation> {
        let seen = self.sight.current.iter();
        let seen = seen.filter(|seen| self.came.standing().is_none() && self.is_wanted(&seen.subject));
        seen.cloned().collect()
    }

    fn absent(&self) -> Vec<String> {
        let absent = self.sight.absent.iter().map(|seen| seen.subject.clone());
        absent.filter(|subject| self.is_wanted(subject)).collect()
    }

    /// What one strategy made of it.
    fn judgements(&self, judge: &Judge, stored: &[Stored]) -> Vec<Judgement> {
        let none = HashMap::new();
        let known = self.states.get(&judge.name).unwrap_or(&none);
        if let Some(why) = self.came.standing() {
            let standing = known.iter().filter(|(subject, _)| !subject.is_empty() && self.is_wanted(subject));
            let mut standing: Vec<Judgement> = standing
                .map(|(subject, state)| Judgement {
                    strategy: judge.name.clone(),
                    subject: subject.clone(),
                    state: state.state.clone(),
                    value: None,
                    summary: String::new(),
                    steps: Vec::new(),
                    verdict: "not_judged".into(),
                    why: why.into(),
                    stored: false,
                    settled: Some(settled(state)),
                })
                .collect();
            standing.sort_by(|a, b| a.subject.cmp(&b.subject));
            return standing;
        }
        let view = plugin::View {
            current: &self.sight.current,
            earlier: &self.sight.earlier,
            absent: &self.sight.absent,
            known,
            now: self.now,
            zone: &self.watch.zone,
            source: &*self.watch.source,
        };
        let signals = judge.strategy.evaluate(&view).unwrap_or_default();
        let of_judge = || stored.iter().filter(|verdict| verdict.strategy == judge.name);
        let mut seen = HashSet::new();
        let mut judgements = Vec::new();
        for signal in signals.iter().filter(|signal| self.is_wanted(&signal.subject)) {
            seen.insert(signal.subject.as_str());
            let steps = judge.strategy.steps(&view, &signal.subject);
            let before = known.get(&signal.subject);
            let found = of_judge().find(|verdict| verdict.subject == signal.subject);
            let mut judgement = match found {
                Some(verdict) => Judgement::of(verdict),
                None if self.is_complete => Judgement {
                    verdict: "not_judged".into(),
                    why: "this run had nothing to say of it".into(),
                    ..derived(judge, signal, before, self.now)
                },
                None => derived(judge, signal, before, self.now),
            };
            if found.is_some_and(|verdict| verdict.state != signal.state) {
                judgement.why.push_str(&format!(
                    " (from what is stored now it would be {}: values were revised, or the strategy has changed)",
                    signal.state
                ));
            }
            judgement.summary.clone_from(&signal.summary);
            judgement.steps = steps;
            judgement.settled = match found {
                Some(verdict) => verdict.settled(before),
                None => before.map(settled),
            };
            judgements.push(judgement);
        }
        // Stored, but nothing is left to judge it by again.
        let others = of_judge()
            .filter(|verdict| !seen.contains(verdict.subject.as_str()) && self.is_wanted(&verdict.subject));
        judgements.extend(others.map(|verdict| Judgement {
            steps: vec!["what it looked at is no longer stored, or no longer looked at".into()],
            settled: verdict.settled(known.get(&verdict.subject)),
            ..Judgement::of(verdict)
        }));
        judgements
    }

    /// What the daemon said about the run itself.
    fn own(&self, stored: &[Stored]) -> Vec<Judgement> {
        let none = HashMap::new();
        let known = self.states.get(RUN).unwrap_or(&none);
        let mut judgements: Vec<Judgement> = stored
            .iter()
            .filter(|verdict| verdict.strategy == RUN)
            .map(|verdict| Judgement {
                settled: verdict.settled(known.get(&verdict.subject)),
                ..Judgement::of(verdict)
            })
            .collect();
        for subject in [FAILING, STALE] {
            let Some(state) = known.get(subject).filter(|state| state.firing) else { continue };
            if judgements.iter().all(|judgement| judgement.subject != subject) {
                judgements.push(Judgement {
                    strategy: RUN.into(),
                    subject: subject.into(),
                    state: state.state.clone(),
                    value: None,
                    summary: String::new(),
                    steps: Vec::new(),
                    verdict: "not_judged".into(),
                    why: "nothing was judged anew".into(),
                    stored: false,
                    settled: Some(settled(state)),
                });
            }
        }
        judgements
    }
}

impl Judgement {
    fn of(verdict: &Stored) -> Self {
        Self {
            strategy: verdict.strategy.clone(),
            subject: verdict.subject.clone(),
            state: verdict.state.clone(),
            value: verdict.value,
            summary: String::new(),
            steps: Vec::new(),
            verdict: verdict.verdict.clone(),
            why: verdict.why.clone(),
            stored: true,
            settled: None,
        }
    }
}

/// What was decided where that is not stored: nothing was told, so nothing hindered it either. What would
/// have been stored was not decided then; values or the configuration have changed since.
fn derived(judge: &Judge, signal: &Signal, known: Option<&SignalState>, now: Timestamp) -> Judgement {
    let policy: &Policy = &judge.policy;
    let decision = decide(known, signal, policy, Circumstances::default(), now);
    let (verdict, why) = (decision.verdict.as_str(), reason(known, &decision, policy));
    let (verdict, why) = if is_always_stored(verdict) {
        let why = format!(": {why}");
        let why = if why.len() > 2 { why.as_str() } else { "" };
        let verdict = verdict.replace('_', " ");
        ("not_judged", format!("by what is stored and configured now it would be \"{verdict}\"{why}"))
    } else {
        (verdict, why)
    };
    Judgement {
        strategy: judge.name.clone(),
        subject: signal.subject.clone(),
        state: signal.state.clone(),
        value: signal.value,
        summary: String::new(),
        steps: Vec::new(),
        verdict: verdict.into(),
        why,
        stored: false,
        settled: None,
    }
}

/// `oversold since 2026-11-20T10:00:00Z, told at 2026-11-20T10:00:00Z`
fn settled(state: &SignalState) -> String {
    let told = match (state.firing, state.told, state.last_told_at) {
        (true, true, Some(at)) => format!(", told at {at:.0}"),
        (true, true, None) => ", announced".into(),
        (true, false, _) => ", not told".into(),
        (false, ..) => String::new(),
    };
    let streak = match state.streak {
        0 => String::new(),
        1 => ", with 1 reading against it".into(),
        several => format!(", with {several} readings against it"),
    };
    let waits = if state.waits { ", with news that waits" } else { "" };
    format!("{} since {:.0}{told}{streak}{waits}", state.state, state.since)
}

/// The hosts that it asks and that were in trouble.
async fn hosts(store: &Store, watch: &Watch, now: Timestamp) -> Result<Vec<String>, sqlx::Error> {
    let requests = watch.source.requests(&Needs { now, bars: watch.bars() });
    let mut hosts: Vec<&str> = requests.iter().map(|request| request.authority()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut troubles = Vec::new();
    for host in hosts {
        let told = store.last_told(RUN, host, now).await?;
        if let Some(alert) = told.filter(|alert| alert.status == AlertStatus::Firing) {
            troubles.push(format!("{} (since {:.0})", alert.title, alert.starts_at));
        }
    }
    Ok(troubles)
}

/// The silences that were in force and are about anything of this watch.
async fn silences(
    store: &Store,
    watch: &Watch,
    now: Timestamp,
    past: &Room<'_>,
) -> Result<Vec<Silence>, sqlx::Error> {
    let mut silences = store.silences(now, true).await?;
    let subjects: HashSet<&str> = past.sight.current.iter().map(|seen| seen.subject.as_str()).collect();
    silences.retain(|silence| {
        let matches = |strategy: &str, subject: &str| {
            past.is_wanted(subject) && silence.matchers.matches(&news::about(watch, strategy, subject))
        };
        let strategies = || watch.judges.iter().map(|judge| judge.name.as_str()).chain([RUN]);
        let about_something = || {
            strategies().any(|strategy| subjects.iter().chain(&[""]).any(|about| matches(strategy, about)))
        };
        silence.starts_at <= now && now < silence.ends_at && about_something()
    });
    Ok(silences)
}
