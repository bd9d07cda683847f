//! The path of one run: ask, read, remember, judge, decide, commit.

mod around;
mod ask;
mod closing;
mod explain;
mod explanation;
mod hosts;
mod judge;
mod news;
mod own;
mod past;
mod pause;
mod reading;
mod repair;
mod replay;
mod see;
mod series;
mod serve;
mod slots;

pub use closing::{Closer, Meaning, meaning};
pub use explain::{explain, subjects};
pub use explanation::{Delivered, Explanation, Fate, Judgement};
pub use pause::{account_for_pauses, resume};
pub use repair::Repair;
pub use replay::{Replayed, Told, replay};
pub use serve::serve;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::alerting::Policy;
use crate::http::{Mark, Standing};
use crate::model::{Alert, Interval, Observation, Outcome, Reading, ReadingKind, SignalState, Trigger};
use crate::plugin::Needs;
use crate::store::{Found, GapChange, Marks, NextDue, RunCommit, Store, Waited};
use crate::watchlist::{Roster, Watch};

use around::{Around, SaidToEnd};
use ask::{Answer, ask, ask_one, key_of, outcome_of, waited};
use hosts::{Hosts, Speaker, Turning, silent_host, stances};
use judge::Judged;
use repair::{Repairs, Windows};
use see::View;

/// Runs watches, one at a time each.
pub struct Runner {
    store: Store,
    memory: Mutex<HashMap<i64, Memory>>,
    /// Hosts of which we said that they block us or do not answer.
    hosts: Hosts,
    said: Arc<SaidToEnd>,
    /// The newest roster.
    generation: AtomicU64,
    repairs: Repairs,
    /// Watches whose last run the database did not take.
    refused: Mutex<HashSet<i64>>,
    /// How the last run of each watch ended whose end was worth a word in the log.
    ended: Mutex<HashMap<i64, Outcome>>,
}

/// What is kept of a watch between its runs; all of it can be had from the store again.
#[derive(Clone, Default)]
struct Memory {
    marks: Arc<HashMap<u64, Mark>>,
    /// Nothing that was settled on can change by the same answer coming again.
    settled: bool,
    /// When its data are too old, if nothing newer comes.
    stale_at: Option<Timestamp>,
    /// When the next bar closes, which the same answer may already hold.
    reread_at: Option<Timestamp>,
    /// How far back the bars of the last answer about each subject went.
    windows: Arc<Windows>,
    /// The table and the roster it was learned under.
    spec_hash: Option<u64>,
    generation: u64,
    /// What other programs had written by then.
    foreign_writes: u64,
}

impl Memory {
    /// What the answers of a run are known by.
    fn marks_for(&self, slot: &Slot) -> Cow<'_, HashMap<u64, Mark>> {
        // A bar that was open when it was read is closed now, though the answer may be the same.
        let again = self.reread_at.is_some_and(|reread_at| slot.now >= reread_at);
        let is_manual = slot.trigger == Trigger::Manual;
        let is_final = |mark: &Mark| mark.final_answer.is_some();
        // A person asks also what was answered for good.
        let is_reopened = is_manual && self.marks.values().any(is_final);
        if !again && !is_reopened {
            return Cow::Borrowed(&self.marks);
        }
        let kept = self.marks.iter().filter(|(_, mark)| if is_final(mark) { !is_manual } else { !again });
        Cow::Owned(kept.map(|(request, mark)| (*request, mark.clone())).collect())
    }
}

/// A run up to its commit.
struct Prepared<'r> {
    report: Report,
    commit: RunCommit,
    learned: Option<Learned>,
    /// Hosts of which this run says something new.
    turning: Turning<'r>,
}

/// What a run teaches about the next one.
struct Learned {
    marks: HashMap<u64, Mark>,
    settled: bool,
    stale_at: Option<Timestamp>,
    reread_at: Option<Timestamp>,
    windows: Windows,
}

/// Which run is wanted.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The row of the watch.
    pub watch_id: i64,
    /// The slot it was due at.
    pub due_at: Timestamp,
    /// What asked for it.
    pub trigger: Trigger,
    /// The moment it runs at.
    pub now: Timestamp,
}

/// What a run found, in the shape that a script reads.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// The watch.
    pub watch: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it failed or was blocked.
    pub error: Option<String>,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// How each subject is.
    pub signals: Vec<NamedSignal>,
    /// What is told.
    pub alerts: Vec<Alert>,
    /// What was decided about each signal, and why.
    #[serde(skip)]
    pub verdicts: Vec<NamedVerdict>,
    /// How many deliveries were written.
    #[serde(skip)]
    pub deliveries: usize,
}

/// A signal with the strategy that saw it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NamedSignal {
    /// The strategy.
    pub strategy: String,
    /// Who or what it is about.
    pub subject: String,
    /// The strategy's word for how it is.
    pub state: String,
    /// Whether that is worth telling.
    pub firing: bool,
    /// The number that decided.
    pub value: Option<f64>,
    /// One line.
    pub summary: String,
}

/// A verdict with what it is about.
#[derive(Clone, Debug, Serialize)]
pub struct NamedVerdict {
    /// The strategy.
    pub strategy: String,
    /// Who or what it is about.
    pub subject: String,
    /// The state that was judged.
    pub state: String,
    /// The number that decided.
    pub value: Option<f64>,
    /// Told or not.
    pub verdict: &'static str,
    /// Why, in a sentence; empty where there is nothing to say.
    pub why: String,
    /// What was settled on before, where this changed more of it than the number: nothing at first sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Option<SignalState>>,
}

impl Runner {
    /// A runner that knows answers by these marks.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn new(store: Store) -> Result<Self, sqlx::Error> {
        let marks: Marks = store.marks().await?;
        let memory = marks
            .into_iter()
            .map(|(watch, marks)| (watch, Memory { marks: Arc::new(marks), ..Memory::default() }))
            .collect();
        let hosts = Hosts::load(&store).await?;
        Ok(Self {
            store,
            memory: Mutex::new(memory),
            hosts,
            said: Arc::default(),
            generation: AtomicU64::new(0),
            repairs: Repairs::default(),
            refused: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    /// Runs a watch and commits what it found.
    ///
    /// # Errors
    /// When the database refuses; a failure of the source is an outcome, not an error.
    pub async fn run(&self, roster: &Roster, watch: &Arc<Watch>, slot: &Slot) -> anyhow::Result<Report> {
        let Prepared { report, mut commit, learned, turning } = self.prepare(roster, watch, slot).await?;
        if roster.generation != self.generation.load(Ordering::Relaxed) {
            // Its slot stays due: when the next one is, the new timetable says.
            commit.next_due = NextDue::Keep;
        }
        let said = commit.found.as_ref().map(|found| found.silences_told.clone()).unwrap_or_default();
        let standings = commit.standings.clone();
        if let Err(error) = self.store.commit_run(commit).await {
            standings.iter().for_each(|standing| roster.http.tell_again(standing));
            self.said.take_back(&said);
            self.note_refusal(slot.watch_id, true);
            return Err(error.into());
        }
        self.note_refusal(slot.watch_id, false);
        // What a run under way during a reload said may not have been stored; the next one says it again.
        if roster.generation == self.generation.load(Ordering::Relaxed) {
            turning.stored();
        } else {
            self.said.take_back(&said);
        }
        metrics::counter!("stakeout_runs_total", "source" => watch.source_kind,
            "outcome" => report.outcome.as_str())
        .increment(1);
        if let Some(learned) = learned {
            self.remember(roster, watch, slot.watch_id, learned);
        }
        Ok(report)
    }

    /// Stores that a run broke, so that its watch is due again at its next slot.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn commit_broken(
        &self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
    ) -> anyhow::Result<Report> {
        self.forget(slot.watch_id);
        let why = "the run broke; this is a fault of the program".to_owned();
        let around = Around::look(&self.store, roster, watch, Arc::clone(&self.said), slot.now).await?;
        let mut judged = Judged::nothing(&self.store, slot, around).await?;
        own::judge_run(watch, slot, Outcome::Failed, Some(&why), false, &watch.failing, &mut judged);
        let (report, mut found) = judged.finish(watch, Outcome::Failed, Some(why.clone()));
        let finished_at = Timestamp::now();
        let was_refused = self.was_refused(slot.watch_id);
        let waited = Waited::default();
        let gap = slots::left_behind(watch, slot, true, Some(&why), was_refused, &waited, finished_at);
        found.gap = gap.map(GapChange::Left);
        let commit = RunCommit {
            spec_hash: Some(watch.spec_hash()),
            watch_id: slot.watch_id,
            trigger: slot.trigger,
            due_at: slot.due_at,
            started_at: slot.now,
            finished_at,
            outcome: Outcome::Failed,
            error: Some(why),
            next_due: next_due(watch, slot, finished_at),
            waited,
            standings: Vec::new(),
            found: Some(Box::new(found)),
        };
        let stored = self.store.commit_run(commit).await;
        self.note_refusal(slot.watch_id, stored.is_err());
        stored?;
        Ok(report)
    }

    fn was_refused(&self, watch_id: i64) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&watch_id)
    }

    /// Remembers whether the database took the last run of a watch: the slots that pass until it takes one
    /// are lost to it.
    fn note_refusal(&self, watch_id: i64, refused: bool) {
        let mut watches = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused {
            watches.insert(watch_id);
        } else {
            watches.remove(&watch_id);
        }
    }

    /// Runs a watch without leaving a trace.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn dry_run(&self, roster: &Roster, watch: &Arc<Watch>, slot: &Slot) -> anyhow::Result<Report> {
        self.forget(slot.watch_id);
        let Prepared { report, commit, .. } = self.prepare(roster, watch, slot).await?;
        // The next run that is stored brings them.
        commit.standings.iter().for_each(|standing| roster.http.tell_again(standing));
        Ok(report)
    }

    /// From now on only runs of this roster count: what others found may no longer hold.
    pub fn expect(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Takes note of a new roster: what was settled on is looked at anew, watches that are gone are
    /// forgotten, and hosts that nobody asks any more are no longer spoken of. Answers whether that is told.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reloaded(&self, roster: &Roster, now: Timestamp) -> anyhow::Result<bool> {
        self.expect(roster.generation);
        let ids: HashSet<i64> = roster.watches.values().map(|(id, _)| *id).collect();
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| ids.contains(id));
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| ids.contains(id));
        self.hosts.keep_only(&ids);
        let mut is_told = false;
        for host in self.hosts.abandoned(roster, now) {
            is_told |= closing::close_host(&self.store, roster, &host, now).await?;
            self.hosts.forget(&host);
        }
        Ok(is_told)
    }

    /// Whether a run of a watch ended otherwise than the one before.
    fn is_other_outcome(&self, watch_id: i64, outcome: Outcome) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Ok | Outcome::Unchanged => ended.remove(&watch_id).is_some(),
            Outcome::Failed | Outcome::Blocked => ended.insert(watch_id, outcome) != Some(outcome),
        }
    }

    /// Whether the database takes nothing at all, which is told of elsewhere.
    pub(crate) fn is_refused_everything(&self) -> bool {
        self.store.is_in_trouble()
    }

    /// Asks everything anew at the next run.
    pub fn forget(&self, watch_id: i64) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&watch_id);
    }

    async fn prepare(
        &self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
    ) -> anyhow::Result<Prepared<'_>> {
        let started = Instant::now();
        let needs = Needs { now: slot.now, bars: watch.bars() };
        let memory = self.recall(roster, watch, slot.watch_id).await?;
        let marks = memory.marks_for(slot);
        let answers = ask(&roster.http, watch, slot.watch_id, &needs, &marks).await;
        let waited = waited(&answers);
        let standings: Vec<Standing> = answers.iter().flat_map(Answer::standings).cloned().collect();
        let unchanged = answers.iter().all(|answer| matches!(answer.result, Ok(None)));
        // A strategy that cannot judge is a failure too, but not one that the past can mend.
        let in_vain = answers.iter().any(|answer| answer.result.is_err());
        let finished_at = after(slot.now, started);
        let was_refused = self.was_refused(slot.watch_id);
        let commit = |outcome, error: Option<String>, mut found: Option<Box<Found>>| {
            let why = error.as_deref();
            let gap = slots::left_behind(watch, slot, in_vain, why, was_refused, &waited, finished_at);
            if let Some(gap) = gap {
                found.get_or_insert_default().gap = Some(GapChange::Left(gap));
            }
            RunCommit {
                watch_id: slot.watch_id,
                spec_hash: Some(watch.spec_hash()),
                trigger: slot.trigger,
                due_at: slot.due_at,
                started_at: slot.now,
                finished_at,
                outcome,
                error,
                next_due: next_due(watch, slot, finished_at),
                waited,
                standings,
                found,
            }
        };
        // Every answer counts, also those after one that brings news of its host.
        let owes = unchanged
            && answers
                .iter()
                .map(|answer| self.hosts.answered(answer.request.authority(), slot.watch_id))
                .fold(false, |owes, host| owes | host);
        let nothing_new = unchanged
            && memory.settled
            && !watch.moves_with_time()
            && memory.stale_at.is_none_or(|stale_at| slot.now < stale_at)
            && !owes;
        if nothing_new {
            return Ok(Prepared {
                report: Report::empty(watch, Outcome::Unchanged),
                commit: commit(Outcome::Unchanged, None, None),
                learned: None,
                turning: Turning::none(&self.hosts),
            });
        }
        let (mut outcome, mut error) = outcome_of(&answers, unchanged);
        let answered = answers.iter().any(|answer| answer.result.is_ok());
        let last = self.store.last_seen(slot.watch_id).await?;
        let seen = self.see(watch, slot, &answers, last).await?;
        let around = Around::look(&self.store, roster, watch, Arc::clone(&self.said), slot.now).await?;
        let windows = repair::windows(&seen.fresh, slot.now);
        let mut judged = judge::judge(&self.store, watch, slot, seen, around, answered).await?;
        if let Some(why) = judged.error.take() {
            outcome = Outcome::Failed;
            error = Some(error.map_or(why.clone(), |error| format!("{error}; {why}")));
        }
        self.hosts.keep_up(&self.store).await?;
        let stances = stances(&answers);
        let speaker = Speaker { store: &self.store, roster, watch, slot };
        let mut turning = self.hosts.judge(speaker, &stances, &mut judged).await?;
        let stale_at =
            if answered { own::judge_age(&self.store, watch, slot, &mut judged).await? } else { None };
        let silent = silent_host(&answers, &stances).filter(|_| outcome == Outcome::Failed);
        let mut host_down = silent.as_ref().is_some_and(|(host, _)| self.hosts.is_down(host));
        if let Some(silent) = silent.filter(|_| !host_down)
            && own::would_tell(watch, outcome, error.as_deref(), &judged)
        {
            host_down = self.hosts.take_over(&mut turning, speaker, &silent, &mut judged).await?;
        }
        // Nothing is asked a second time after an answer for good, so that is told at once.
        let is_final = answers.iter().any(|answer| answer.final_answer.is_some());
        let failing = Policy { after: if is_final { 1 } else { watch.failing.after }, ..watch.failing };
        own::judge_run(watch, slot, outcome, error.as_deref(), host_down, &failing, &mut judged);
        // What failed in part works again even when the same answers come back.
        let settled = judged.settled && matches!(outcome, Outcome::Ok | Outcome::Unchanged);
        let requests: Vec<u64> = answers.iter().map(|answer| answer.key).collect();
        // What could not be judged is read again: how it came to that is not stored. A mark of nothing,
        // since an older one would take the same answer as before for no news.
        let unjudged = judged.unjudged;
        let mark = |mark: Mark| if unjudged && mark.final_answer.is_none() { Mark::default() } else { mark };
        let marks: Vec<(u64, Mark)> =
            answers.iter().filter_map(|answer| Some((answer.key, mark(answer.mark()?)))).collect();
        let mut known: HashMap<u64, Mark> = HashMap::clone(&memory.marks);
        known.retain(|request, _| requests.contains(request));
        known.extend(marks.iter().cloned());
        let reread_at = next_close(watch, &judged.current, slot.now);
        let (report, mut found) = judged.finish(watch, outcome, error.clone());
        found.marks = marks;
        found.requests = requests;
        Ok(Prepared {
            report,
            commit: commit(outcome, error, Some(Box::new(found))),
            learned: Some(Learned { marks: known, settled, stale_at, reread_at, windows }),
            turning,
        })
    }

    async fn recall(&self, roster: &Roster, watch: &Watch, watch_id: i64) -> Result<Memory, sqlx::Error> {
        if let Some(known) = self.remembered(roster, watch, watch_id) {
            return Ok(known);
        }
        // Answers are looked at anew, but for those after which nothing is asked.
        let marks = Arc::new(self.store.final_answers(watch_id).await?);
        Ok(Memory { marks, ..Memory::default() })
    }

    /// What is kept of a watch, unless it may no longer hold.
    fn remembered(&self, roster: &Roster, watch: &Watch, watch_id: i64) -> Option<Memory> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = memory.get(&watch_id).cloned()?;
        // Another table may ask for something else of the same answer. After a start there is none yet, and
        // what the store knows is known under the present one.
        // Another program may have read, and settled on, something else.
        let is_other = known.spec_hash.is_some_and(|hash| {
            hash != watch.spec_hash() || known.foreign_writes != self.store.foreign_writes()
        });
        if is_other {
            return None;
        }
        // Another roster may want something else told of it.
        known.settled &= known.generation == roster.generation;
        Some(known)
    }

    fn remember(&self, roster: &Roster, watch: &Watch, watch_id: i64, learned: Learned) {
        // A run that was under way during a reload knows nothing of the present roster.
        if roster.generation != self.generation.load(Ordering::Relaxed) {
            return self.forget(watch_id);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.entry(watch_id).or_default();
        if known.spec_hash != Some(watch.spec_hash()) {
            known.windows = Arc::default();
        }
        if !learned.windows.is_empty() {
            Arc::make_mut(&mut known.windows).extend(learned.windows);
        }
        known.marks = Arc::new(learned.marks);
        known.settled = learned.settled;
        known.stale_at = learned.stale_at;
        known.reread_at = learned.reread_at;
        known.spec_hash = Some(watch.spec_hash());
        known.generation = roster.generation;
        known.foreign_writes = self.store.foreign_writes();
    }
}

impl Report {
    fn empty(watch: &Watch, outcome: Outcome) -> Self {
        Self {
            watch: watch.name.clone(),
            outcome,
            error: None,
            observations: Vec::new(),
            signals: Vec::new(),
            alerts: Vec::new(),
            verdicts: Vec::new(),
            deliveries: 0,
        }
    }
}

/// When a bar closes next.
fn next_close(watch: &Watch, current: &[Observation], now: Timestamp) -> Option<Timestamp> {
    if watch.source.yields() != ReadingKind::Candles {
        return None;
    }
    let length = current.iter().filter_map(|seen| match &seen.reading {
        Reading::Candles { interval, .. } => Some(*interval),
        _ => None,
    });
    // Without any bar, none has closed yet or none is known: a minute is the shortest there is.
    let interval = length.min().or(Interval::from_minutes(1))?;
    interval.floor(now).checked_add(interval.duration()).ok()
}

/// When the watch is due after this run; one that a person asked for changes nothing about it.
fn next_due(watch: &Watch, slot: &Slot, finished_at: Timestamp) -> NextDue {
    if slot.trigger == Trigger::Manual {
        return NextDue::Keep;
    }
    watch.timetable.next_after(slot_done(slot.due_at, finished_at)).into()
}

/// The moment after which the next slot lies. A clock that was set back a little must not bring the same slot
/// again; one that was set back by much must not keep the watch waiting until the time comes again.
fn slot_done(due_at: Timestamp, finished_at: Timestamp) -> Timestamp {
    const LITTLE: SignedDuration = SignedDuration::from_secs(30);
    if due_at.duration_since(finished_at) > LITTLE { finished_at } else { finished_at.max(due_at) }
}

fn after(now: Timestamp, started: Instant) -> Timestamp {
    now.checked_add(started.elapsed()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::slot_done;
    use crate::testing::at;

    #[test]
    fn a_clock_set_back_during_a_run_neither_repeats_its_slot_nor_keeps_the_watch_waiting() {
        for (finished, done) in [
            ("2026-11-21T12:00:03Z", "2026-11-21T12:00:03Z"),
            ("2026-11-21T11:59:58Z", "2026-11-21T12:00:00Z"),
            ("2026-11-21T11:00:03Z", "2026-11-21T11:00:03Z"),
        ] {
            assert_eq!(slot_done(at("2026-11-21T12:00:00Z"), at(finished)), at(done));
        }
    }
}
