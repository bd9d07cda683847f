//! What the signals of one strategy come to in one run: verdicts, and the words for what is news. Pure, so
//! that a run and its replay say the same.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::around::Around;
use crate::alerting::{Circumstances, Decision, Mute, Policy, decide, reason};
use crate::model::{About, Alert, Observation, OnFirst, Reason, Signal, SignalState};
use crate::plugin::{News, Story, Words};
use crate::watchlist::{Judge, Watch};

/// The subject under which a strategy remembers that it has announced what it found.
pub(super) const ANNOUNCED: &str = "";

/// What signals are judged by.
pub(super) struct Bench<'a> {
    pub(super) watch: &'a Watch,
    pub(super) judge: &'a Judge,
    /// What the strategy settled on before, by subject.
    pub(super) known: &'a HashMap<String, SignalState>,
    /// What was seen.
    pub(super) current: &'a [Observation],
    pub(super) around: &'a Around,
    pub(super) now: Timestamp,
}

/// What signals came to.
pub(super) struct Decided {
    /// For each signal, with the reason in a sentence.
    pub(super) decisions: Vec<(Decision, String)>,
    /// What is remembered of the announcement that is made now.
    pub(super) announced: Option<SignalState>,
    /// What is told: each with the alerts that it carries.
    pub(super) messages: Vec<(Words, Vec<Alert>)>,
}

/// Decides about the signals of one strategy.
///
/// # Errors
/// What keeps the announcement quiet. Nothing is settled on before it was made, so that all of it is part
/// of the announcement.
pub(super) fn decide_all(bench: &Bench<'_>, signals: &[Signal]) -> Result<Decided, Mute> {
    let Bench { watch, judge, known, around, now, .. } = *bench;
    let announced = known.contains_key(ANNOUNCED);
    let announcing = judge.policy.on_first == OnFirst::Announce && !announced;
    if announcing && let Some(why) = around.mute(&about(watch, &judge.name, ANNOUNCED)) {
        return Err(why);
    }
    let on_first = match judge.policy.on_first {
        // What comes new after the announcement is told.
        OnFirst::Announce if announced => OnFirst::Notify,
        other => other,
    };
    let policy = Policy { on_first, ..judge.policy.clone() };
    let mut decided =
        Decided { decisions: Vec::with_capacity(signals.len()), announced: None, messages: vec![] };
    let mut news = Vec::new();
    for signal in signals {
        let known = known.get(&signal.subject);
        let circumstances = around.circumstances(&about(watch, &judge.name, &signal.subject));
        let mut decision = decide(known, signal, &policy, circumstances, now);
        // The announcement lists it, also where it was known before.
        decision.next.told |= announcing && decision.next.firing;
        let why = around.reason(&decision, reason(known, &decision, &policy));
        if let Some(reason) = decision.verdict.news() {
            news.push(News { signal, reason, since: decision.since });
        }
        decided.decisions.push((decision, why));
    }
    if announcing {
        let words = bench.tell(signals, &[]);
        let quietly = Circumstances::default();
        let signal = Signal::level(ANNOUNCED, "announced", false).summary(words.title.clone());
        let policy = Policy { on_first: OnFirst::Baseline, ..policy };
        decided.announced = Some(decide(None, &signal, &policy, quietly, now).next);
        let alert = alert(watch, &judge.name, &signal, Reason::First, now, now, words.clone());
        decided.messages.push((words, vec![alert]));
    }
    if !news.is_empty() {
        let alerts = news
            .iter()
            .map(|one| {
                let words = bench.tell(signals, std::slice::from_ref(one));
                alert(watch, &judge.name, one.signal, one.reason, one.since, now, words)
            })
            .collect();
        decided.messages.push((bench.tell(signals, &news), alerts));
    }
    Ok(decided)
}

impl Bench<'_> {
    fn tell(&self, signals: &[Signal], news: &[News<'_>]) -> Words {
        let story = Story {
            watch: &self.watch.name,
            news,
            signals,
            current: self.current,
            now: self.now,
            zone: &self.watch.zone,
            source: &*self.watch.source,
        };
        self.judge.strategy.tell(&story).with_lengths(&story)
    }
}

/// What a silence, the announcement and a dependency go by.
pub(super) fn about<'a>(watch: &'a Watch, strategy: &'a str, subject: &'a str) -> About<'a> {
    About { watch: &watch.name, strategy, subject, labels: &watch.labels }
}

/// An alert from its parts.
pub(super) fn alert(
    watch: &Watch,
    strategy: &str,
    signal: &Signal,
    reason: Reason,
    since: Timestamp,
    now: Timestamp,
    words: Words,
) -> Alert {
    Alert {
        id: Uuid::now_v7().to_string(),
        watch: watch.name.clone(),
        strategy: strategy.to_owned(),
        signal: signal.clone(),
        status: reason.status(),
        reason,
        title: words.title,
        body: words.body,
        url: words.url.or_else(|| signal.url.clone()),
        starts_at: since,
        ends_at: (reason == Reason::Resolved).then_some(now),
        labels: watch.labels.clone(),
    }
}
