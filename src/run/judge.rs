//! Steps of a run between reading and committing: what the strategies make of it, and what is news.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use uuid::Uuid;

use super::around::Around;
use super::news::{self, ANNOUNCED, Bench, Decided, about, alert};
use super::own::{RUN, lasted};
use super::{NamedSignal, NamedVerdict, Report, Slot, View};
use crate::alerting::{Circumstances, Decision, Mute, Policy, Quiet, Verdict, decide, is_pending, reason};
use crate::model::{
    About, Alert, Candle, Interval, Observation, Outcome, Past, Reading, Reason, SILENCE_OF, Signal,
    SignalState, Silence,
};
use crate::plugin::{self, Words};
use crate::store::{Found, LastSeen, NewDelivery, Store};
use crate::watchlist::{Judge, Watch};

/// What strategies settled on before, by strategy and subject.
pub(super) type States = HashMap<String, HashMap<String, SignalState>>;

/// Verdicts stored with a run when it has more signals than this: only those that say something.
pub(super) const MANY_VERDICTS: usize = 12;

/// What a run came to.
pub(super) struct Judged {
    pub(super) states: States,
    pub(super) settled: bool,
    pub(super) current: Vec<Observation>,
    pub(super) error: Option<String>,
    /// Whether something that was seen could not be judged, and so has to be read again.
    pub(super) unjudged: bool,
    signals: Vec<NamedSignal>,
    verdicts: Vec<NamedVerdict>,
    found: Found,
    around: Around,
    now: Timestamp,
}

/// Judges what a run saw. `answered` says whether any answer was good: without one, nothing is known and
/// nothing changes.
pub(super) async fn judge(
    store: &Store,
    watch: &Arc<Watch>,
    slot: &Slot,
    view: View,
    around: Around,
    answered: bool,
) -> Result<Judged, sqlx::Error> {
    let found = remember(store, watch, slot, &view).await?;
    let orphans = orphans(&view);
    let current: Vec<Observation> =
        view.fresh.into_iter().map(|seen| seen.observation).chain(view.again).collect();
    let mut judged = Judged { current, found, ..Judged::nothing(store, slot, around).await? };
    if !answered {
        return Ok(judged);
    }
    let earlier = earlier(store, watch, slot, &judged.current).await?;
    let mut errors = Vec::new();
    let evaluated = evaluate(watch, slot, &mut judged, earlier, view.absent).await;
    for (judge, result) in watch.judges.iter().zip(evaluated) {
        match result {
            Ok((signals, unjudged)) => {
                judged.decide_all(watch, slot, judge, &signals);
                if !unjudged.is_empty() {
                    judged.unjudged = true;
                    errors.push(format!("{}: {}", judge.name, some_of(&unjudged)));
                }
            }
            Err(why) => errors.push(format!("{}: {why}", judge.name)),
        }
    }
    judged.error = (!errors.is_empty()).then(|| some_of(&errors));
    judged.close_what_is_no_longer_asked(watch, slot, &orphans);
    Ok(judged)
}

/// The first few of several sentences, and how many more there are.
fn some_of(all: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > SHOWN {
        text.push_str(&format!("; and {} more", all.len() - SHOWN));
    }
    text
}

/// Subjects that stood in an answer that is no longer asked for, when everything that is asked was answered.
fn orphans(view: &View) -> HashSet<String> {
    let Some(asked) = &view.asked else { return HashSet::new() };
    let orphan = |(subject, last): (&String, &LastSeen)| {
        (last.present && !asked.contains(&last.request)).then(|| subject.clone())
    };
    view.last.iter().filter_map(orphan).collect()
}

/// What is to be written of what was seen: only what differs from what is stored.
async fn remember(store: &Store, watch: &Watch, slot: &Slot, view: &View) -> Result<Found, sqlx::Error> {
    let mut found = Found::default();
    for seen in &view.fresh {
        let subject = &seen.observation.subject;
        let known = view.last.get(subject);
        if let Reading::Candles { interval, candles } = &seen.observation.reading {
            let wanted = candles.len().saturating_add(8);
            let stored = store.candles(slot.watch_id, subject, *interval, wanted).await?;
            found.candles.extend(changed(subject, *interval, candles, &stored));
        } else if let Some(known) = known
            && !seen.dated
            && known.hash == seen.hash
            && let Some(id) = known.observation_id
        {
            // What was gone and is there again was not there in between.
            if known.present {
                found.seen_again.push(id);
            }
            if known.present && known.request == seen.request {
                continue;
            }
        }
        found.seen.push(seen.clone());
    }
    let again = view.again.iter().filter_map(|observation| view.last.get(&observation.subject));
    if watch.moves_with_time() {
        // Strategies that look at a span of time count how often a value was seen.
        found.seen_again.extend(again.filter_map(|known| known.observation_id));
    }
    found.gone = view.absent.iter().map(|observation| observation.subject.clone()).collect();
    Ok(found)
}

fn changed(
    subject: &str,
    interval: Interval,
    candles: &[Candle],
    stored: &[Candle],
) -> Vec<(String, Interval, Candle)> {
    let stored: HashMap<Timestamp, &Candle> =
        stored.iter().map(|candle| (candle.open_time, candle)).collect();
    candles
        .iter()
        .filter(|candle| stored.get(&candle.open_time) != Some(candle))
        .map(|candle| (subject.to_owned(), interval, *candle))
        .collect()
}

async fn earlier(
    store: &Store,
    watch: &Watch,
    slot: &Slot,
    current: &[Observation],
) -> Result<Vec<Past>, sqlx::Error> {
    let subjects: Vec<&str> =
        current.iter().map(|seen| seen.subject.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut earlier = Vec::new();
    if subjects.is_empty() {
        return Ok(earlier);
    }
    let (id, now) = (slot.watch_id, slot.now);
    let count = watch.lookbacks.iter().map(|lookback| lookback.observations).max().unwrap_or(0);
    if count > 0 {
        earlier.extend(store.last_observations(id, &subjects, count).await?);
    }
    if let Some(span) = watch.lookbacks.iter().filter_map(|lookback| lookback.span).max() {
        earlier.extend(store.observations_within(id, &subjects, now, span).await?);
    }
    let moments: BTreeSet<Duration> = watch.lookbacks.iter().filter_map(|lookback| lookback.ago).collect();
    for ago in moments {
        earlier.extend(store.observations_ago(id, &subjects, now, ago).await?);
    }
    earlier.sort_by(|a, b| key(a).cmp(&key(b)));
    earlier.dedup_by(|a, b| key(a) == key(b));
    // A run that is replayed at an earlier moment must not see what came after it.
    earlier.retain(|past| past.observation.observed_at <= slot.now);
    Ok(earlier)
}

fn key(past: &Past) -> (&str, Timestamp) {
    (&past.observation.subject, past.observation.observed_at)
}

/// Lets every strategy judge, away from the async threads: they compute, they never wait.
async fn evaluate(
    watch: &Arc<Watch>,
    slot: &Slot,
    judged: &mut Judged,
    earlier: Vec<Past>,
    absent: Vec<Observation>,
) -> Vec<Result<(Vec<Signal>, Vec<String>), String>> {
    let shared = Arc::clone(watch);
    let now = slot.now;
    let (current, states) = (std::mem::take(&mut judged.current), std::mem::take(&mut judged.states));
    let work = move || {
        let none = HashMap::new();
        let results: Vec<_> = shared
            .judges
            .iter()
            .map(|judge| {
                let view = plugin::View {
                    current: &current,
                    earlier: &earlier,
                    absent: &absent,
                    known: states.get(&judge.name).unwrap_or(&none),
                    now,
                    zone: &shared.zone,
                    source: &*shared.source,
                };
                let signals = judge.strategy.evaluate(&view).map_err(|error| error.to_string())?;
                Ok((signals, judge.strategy.unjudged(&view)))
            })
            .collect();
        (results, current, states)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok((results, current, states)) => {
            judged.current = current;
            judged.states = states;
            results
        }
        Err(panic) => {
            warn!(watch.name = %watch.name, error = %panic, "A strategy of watch `{}` panicked", watch.name);
            watch.judges.iter().map(|_| Err("the strategy broke on what was seen".into())).collect()
        }
    }
}

/// To whom a message goes, and when.
pub(super) struct Post {
    /// No message overtakes an older one of its topic.
    pub(super) topic: String,
    pub(super) notifiers: Vec<String>,
    /// Whether it waits for nothing.
    pub(super) urgent: bool,
    /// The end of the quiet hours that it waits for.
    pub(super) held_until: Option<Timestamp>,
}

impl Post {
    pub(super) const fn circumstances(&self) -> Circumstances {
        Circumstances { mute: None, held: self.held_until.is_some() }
    }
}

/// What is told of in order: a watch goes by its row, which stays the same under another name.
pub(super) fn topic(watch_id: i64, strategy: &str) -> String {
    format!("{watch_id}/{strategy}")
}

impl Judged {
    /// A run of which nothing could be seen.
    pub(super) async fn nothing(store: &Store, slot: &Slot, around: Around) -> Result<Self, sqlx::Error> {
        Ok(Self {
            states: store.signal_states(slot.watch_id).await?,
            settled: true,
            current: Vec::new(),
            error: None,
            unjudged: false,
            signals: Vec::new(),
            verdicts: Vec::new(),
            found: Found::default(),
            around,
            now: slot.now,
        })
    }

    /// What fires and is no longer asked for has no end of its own: an item whose page was taken out of
    /// the list, a symbol that is no longer named.
    fn close_what_is_no_longer_asked(&mut self, watch: &Watch, slot: &Slot, orphans: &HashSet<String>) {
        if orphans.is_empty() {
            return;
        }
        for judge in watch.judges.iter().filter(|judge| judge.policy.resolved) {
            let seen: HashSet<String> = self
                .signals
                .iter()
                .filter(|signal| signal.strategy == judge.name)
                .map(|signal| signal.subject.clone())
                .collect();
            let open: Vec<(String, SignalState)> = self
                .states
                .get(&judge.name)
                .into_iter()
                .flatten()
                .filter(|(subject, state)| {
                    state.firing && state.told && orphans.contains(*subject) && !seen.contains(*subject)
                })
                .map(|(subject, state)| (subject.clone(), state.clone()))
                .collect();
            for (subject, state) in open {
                let name = watch.source.describe(&subject);
                let lasted = lasted(state.since, slot.now);
                let words = Words {
                    title: format!("Closed: {name} is no longer watched"),
                    body: format!("It was {} for {lasted}.", state.state.replace('_', " ")),
                    url: None,
                };
                let signal = Signal::level(&subject, &state.state, false).summary(words.title.clone());
                let next = SignalState { firing: false, told: false, since: slot.now, ..state.clone() };
                self.settle(slot.watch_id, &judge.name, &subject, next);
                let reason = Reason::Resolved;
                let alert = alert(watch, &judge.name, &signal, reason, state.since, slot.now, words.clone());
                let post = self.post(watch, slot.watch_id, &judge.name);
                self.tell(watch, &post, words, vec![alert]);
            }
        }
    }

    fn decide_all(&mut self, watch: &Watch, slot: &Slot, judge: &Judge, signals: &[Signal]) {
        let none = HashMap::new();
        let verdicts = news::decide_all(
            &Bench {
                watch,
                judge,
                known: self.states.get(&judge.name).unwrap_or(&none),
                current: &self.current,
                around: &self.around,
                now: slot.now,
            },
            signals,
        );
        let Decided { decisions, announced, messages } = match verdicts {
            Ok(decided) => decided,
            Err(why) => return self.put_off(&judge.name, signals, why),
        };
        for (signal, (decision, why)) in signals.iter().zip(decisions) {
            self.note(slot.watch_id, &judge.name, signal, decision, why, &judge.policy);
        }
        if let Some(state) = announced {
            self.settle(slot.watch_id, &judge.name, ANNOUNCED, state);
        }
        let post = self.post(watch, slot.watch_id, &judge.name);
        for (words, alerts) in messages {
            self.tell(watch, &post, words, alerts);
        }
    }

    pub(super) fn known(&self, strategy: &str, subject: &str) -> Option<&SignalState> {
        self.states.get(strategy)?.get(subject)
    }

    /// Decides about one signal, and keeps the verdict and what was settled on.
    pub(super) fn decide(
        &mut self,
        watch: &Watch,
        watch_id: i64,
        strategy: &str,
        signal: &Signal,
        policy: &Policy,
    ) -> Decision {
        let around = self.around.circumstances(&about(watch, strategy, &signal.subject));
        self.decide_around(watch_id, strategy, signal, policy, around)
    }

    /// The same, in circumstances that the caller knows better.
    pub(super) fn decide_around(
        &mut self,
        watch_id: i64,
        strategy: &str,
        signal: &Signal,
        policy: &Policy,
        around: Circumstances,
    ) -> Decision {
        let known = self.known(strategy, &signal.subject);
        let decision = decide(known, signal, policy, around, self.now);
        let mut why = self.around.reason(&decision, reason(known, &decision, policy));
        if strategy == RUN {
            why = why.replace("`after`", "`fail_after`");
        }
        self.note(watch_id, strategy, signal, decision.clone(), why, policy);
        decision
    }

    /// Keeps a verdict and what was settled on.
    fn note(
        &mut self,
        watch_id: i64,
        strategy: &str,
        signal: &Signal,
        decision: Decision,
        why: String,
        policy: &Policy,
    ) {
        self.settled &= !is_pending(&decision.next, policy);
        let known = self.known(strategy, &signal.subject);
        if known == Some(&decision.next) {
            return self.keep(strategy, signal, decision.verdict, why, None);
        }
        let same =
            known.is_some_and(|known| SignalState { value: known.value, ..decision.next.clone() } == *known);
        let before = (!same).then(|| known.cloned());
        self.keep(strategy, signal, decision.verdict, why, before);
        self.settle(watch_id, strategy, &signal.subject, decision.next);
    }

    fn keep(
        &mut self,
        strategy: &str,
        signal: &Signal,
        verdict: Verdict,
        why: String,
        before: Option<Option<SignalState>>,
    ) {
        self.signals.push(NamedSignal {
            strategy: strategy.to_owned(),
            subject: signal.subject.clone(),
            state: signal.state.clone(),
            firing: signal.firing,
            value: signal.value,
            summary: signal.summary.clone(),
        });
        self.verdicts.push(NamedVerdict {
            strategy: strategy.to_owned(),
            subject: signal.subject.clone(),
            state: signal.state.clone(),
            value: signal.value,
            verdict: verdict.as_str(),
            why,
            before,
        });
    }

    /// Keeps that nothing was decided yet.
    fn put_off(&mut self, strategy: &str, signals: &[Signal], why: Mute) {
        self.settled = false;
        let verdict = Verdict::Quiet(match why {
            Mute::Silenced => Quiet::Silenced,
            Mute::Suppressed => Quiet::Suppressed,
        });
        for signal in signals {
            self.keep(strategy, signal, verdict, "the announcement of what there is waits".into(), None);
        }
    }

    /// Whether a signal would be told.
    pub(super) fn would_tell(&self, watch: &Watch, strategy: &str, signal: &Signal, policy: &Policy) -> bool {
        let around = self.around.circumstances(&about(watch, strategy, &signal.subject));
        let known = self.known(strategy, &signal.subject);
        decide(known, signal, policy, around, self.now).verdict.news().is_some()
    }

    /// Whether it runs in quiet hours; nothing else keeps it quiet.
    pub(super) const fn held(&self) -> Circumstances {
        Circumstances { mute: None, held: self.around.held_until.is_some() }
    }

    /// Whether beginnings of something are kept quiet.
    pub(super) fn is_muted(&self, about: &About<'_>) -> bool {
        self.around.mute(about).is_some()
    }

    /// To whom the news of a strategy goes, and when.
    pub(super) fn post(&self, watch: &Watch, watch_id: i64, strategy: &str) -> Post {
        Post {
            topic: topic(watch_id, strategy),
            notifiers: watch.notify.clone(),
            urgent: watch.urgent,
            held_until: self.around.held_until,
        }
    }

    /// Keeps what was settled on elsewhere.
    pub(super) fn settle(&mut self, watch_id: i64, strategy: &str, subject: &str, state: SignalState) {
        self.found.states.push((watch_id, strategy.to_owned(), subject.to_owned(), state));
    }

    /// Writes one delivery for each notifier, with these alerts, to be sent in the order of their topic.
    pub(super) fn tell(&mut self, watch: &Watch, post: &Post, mut words: Words, alerts: Vec<Alert>) {
        for ended in self.around.ended(&alerts) {
            if !words.body.is_empty() {
                words.body.push('\n');
            }
            words.body.push_str(&ended_silence(&ended, watch));
            self.found.silences_told.push(ended.id);
        }
        let alert_ids: Vec<String> = alerts.iter().map(|alert| alert.id.clone()).collect();
        self.found.deliveries.extend(post.notifiers.iter().map(|notifier| NewDelivery {
            id: Uuid::now_v7().to_string(),
            notifier: notifier.clone(),
            title: words.title.clone(),
            body: words.body.clone(),
            url: words.url.clone(),
            alert_ids: alert_ids.clone(),
            topic: post.topic.clone(),
            urgent: post.urgent,
            created_at: self.now,
            held_until: post.held_until,
        }));
        self.found.alerts.extend(alerts);
    }

    /// The report for whoever asked, and what is to be committed.
    pub(super) fn finish(self, watch: &Watch, outcome: Outcome, error: Option<String>) -> (Report, Found) {
        let mut found = self.found;
        found.counts = [self.current.len(), self.signals.len(), found.alerts.len()];
        found.verdicts = verdicts_as_json(&self.verdicts);
        let report = Report {
            watch: watch.name.clone(),
            outcome,
            error,
            observations: self.current,
            signals: self.signals,
            alerts: found.alerts.clone(),
            verdicts: self.verdicts,
            deliveries: found.deliveries.len(),
        };
        (report, found)
    }
}

/// Also none at all are stored: what judged nothing has no verdicts.
fn verdicts_as_json(verdicts: &[NamedVerdict]) -> Option<String> {
    let telling = |verdict: &&NamedVerdict| {
        verdicts.len() <= MANY_VERDICTS || verdict.before.is_some() || is_always_stored(verdict.verdict)
    };
    let kept: Vec<_> = verdicts.iter().filter(telling).collect();
    serde_json::to_string(&kept).ok()
}

/// Whether a verdict is stored however many there are.
pub(super) fn is_always_stored(verdict: &str) -> bool {
    !matches!(verdict, "not_firing" | "unchanged")
}

fn ended_silence(silence: &Silence, watch: &Watch) -> String {
    let at = silence.ends_at.to_zoned(watch.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let comment = if silence.comment.is_empty() { String::new() } else { format!(": {}", silence.comment) };
    format!("{SILENCE_OF}{} ended at {at}{comment}", silence.matchers)
}
