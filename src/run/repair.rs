//! Fills gaps between the runs of a watch from the past that its service keeps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::{Runner, Slot, after, ask_one};
use crate::http::Request;
use crate::model::{Candle, Interval, Outcome, Reading, ReadingKind, SlotOutcome};
use crate::plugin::{FetchError, Needs, Span};
use crate::store::{Found, Gap, GapChange, NextDue, RunCommit, SeenSubject, Settled};
use crate::watchlist::{Roster, Watch};

/// The waits after a try that was in vain; after the last one there is none.
const WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];

/// So many gaps are filled at the same time: runs that are due never wait behind many of them.
const MOST_AT_ONCE: usize = 4;

/// So much is asked in one try, one after the other.
const MOST_REQUESTS: usize = 300;

/// What lies further back is not asked for.
const MOST_BARS: u32 = 100_000;

/// So much before its first slot a gap is filled as well, for a run that came late.
const LONGEST_LATE: Duration = Duration::from_secs(3_600);

/// How a try to fill a gap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The first slot of the gap.
    pub first_due_at: Timestamp,
    /// Repaired, failed for good, or skipped: to be tried again.
    pub outcome: SlotOutcome,
    /// How it went.
    pub why: Option<String>,
}

/// By subject: when the oldest bar of the last answer opened, and when that was read.
pub(super) type Windows = HashMap<String, (Timestamp, Timestamp)>;

/// How far back the bars go that were read just now.
pub(super) fn windows(fresh: &[SeenSubject], now: Timestamp) -> Windows {
    let window = |seen: &SeenSubject| match &seen.observation.reading {
        Reading::Candles { candles, .. } => {
            Some((seen.observation.subject.clone(), (candles.first()?.open_time, now)))
        }
        _ => None,
    };
    fresh.iter().filter_map(window).collect()
}

/// The repairs that are under way.
pub(super) struct Repairs {
    watches: Mutex<HashSet<i64>>,
    turns: Semaphore,
}

impl Default for Repairs {
    fn default() -> Self {
        Self { watches: Mutex::default(), turns: Semaphore::new(MOST_AT_ONCE) }
    }
}

/// One of them, until it is dropped.
struct UnderWay<'a>(&'a Repairs, i64);

impl Repairs {
    /// `None` while the watch has one under way already.
    fn begin(&self, watch_id: i64) -> Option<UnderWay<'_>> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.insert(watch_id).then(|| UnderWay(self, watch_id))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Runner {
    /// Tries to fill the gap of a watch that begins at `slot.due_at`; `None` where there is nothing to do,
    /// or where that is being done. It may be given up at any moment: then nothing has happened.
    ///
    /// # Errors
    /// When the database refuses; that the service does not answer is an outcome.
    pub async fn repair(
        &self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
    ) -> anyhow::Result<Option<Repair>> {
        let Some(_under_way) = self.repairs.begin(slot.watch_id) else { return Ok(None) };
        let _turn = self.repairs.turns.acquire().await;
        let started = Instant::now();
        let Some(gap) = self.store.gap(slot.watch_id, slot.due_at).await? else { return Ok(None) };
        if gap.next_attempt_at.is_none_or(|at| at > slot.now) {
            return Ok(None);
        }
        let slots = Span { from: gap.first_due_at, until: gap.last_due_at };
        let Some(interval) = watch.source.backfill(&slots).map(|fill| fill.interval) else {
            // Its source has changed.
            return self.settle(put_off(&gap, None), &gap).await.map(Some);
        };
        let bars = bars_of(watch, &gap, interval);
        let (Some(first), Some(last)) = (bars.first().copied(), bars.last().copied()) else {
            return self.settle(repaired(&gap, "nothing was missing".into()), &gap).await.map(Some);
        };
        let over = end_of(last, interval);
        if over > slot.now {
            return self.settle(put_off(&gap, Some(over)), &gap).await.map(Some);
        }
        let late = watch.spacing(gap.first_due_at).min(LONGEST_LATE);
        let from = first.checked_sub(late).map_or(first, |at| interval.floor(at));
        let span = Span { from, until: last };
        let requests = watch.source.backfill(&span).map(|fill| fill.requests).unwrap_or_default();
        let mut series = self.look_at(slot, &requests, &span, interval, &bars).await?;
        let missing = series.missing();
        if missing == 0 {
            return self.settle(repaired(&gap, "nothing was missing".into()), &gap).await.map(Some);
        }
        let errors = self.fill(roster, watch, slot, requests, &mut series).await;
        let left = series.missing();
        let came = missing.saturating_sub(left);
        let settled = if left == 0 || (came > 0 && errors.is_empty()) {
            let of = if left == 0 { String::new() } else { format!(" of {missing}") };
            repaired(&gap, format!("{came}{of} bars of {interval} came"))
        } else {
            in_vain(&gap, slot.now, &errors)
        };
        self.commit_repair(watch, slot, started, series, errors, settled).await.map(Some)
    }

    /// Stores that a repair broke, so that it is not tried for ever.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn commit_broken_repair(&self, slot: &Slot) -> anyhow::Result<()> {
        if let Some(gap) = self.store.gap(slot.watch_id, slot.due_at).await? {
            let error = FetchError::failed("the repair broke; this is a fault of the program");
            self.settle(in_vain(&gap, slot.now, &[error]), &gap).await?;
        }
        Ok(())
    }

    /// What of the bars of a gap is stored, and what is missing. Nothing is missing where a run has since
    /// read bars from before the gap to after it: what it did not find the service does not have.
    async fn look_at(
        &self,
        slot: &Slot,
        requests: &[Request],
        span: &Span,
        interval: Interval,
        bars: &BTreeSet<Timestamp>,
    ) -> Result<Series, sqlx::Error> {
        let windows = {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get(&slot.watch_id).map(|known| Arc::clone(&known.windows)).unwrap_or_default()
        };
        let (first, over) = (bars.first().copied(), bars.last().map(|last| end_of(*last, interval)));
        let mut series = Series { interval, span: *span, subjects: HashMap::new(), candles: Vec::new() };
        for request in requests {
            let subject = &request.subject;
            if series.subjects.contains_key(subject) {
                continue;
            }
            let stored =
                self.store.open_times(slot.watch_id, subject, interval, span.from, span.until).await?;
            let covered = windows
                .get(subject)
                .is_some_and(|(oldest, seen_at)| Some(*oldest) <= first && Some(*seen_at) >= over);
            let missing = if covered {
                HashSet::new()
            } else {
                bars.iter().filter(|bar| !stored.contains(bar)).copied().collect()
            };
            series.subjects.insert(subject.clone(), Bars { stored, missing });
        }
        Ok(series)
    }

    /// Asks for what is missing, one request after the other. A wall ends it; a subject that cannot be had
    /// does not keep the others from being asked for.
    async fn fill(
        &self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
        requests: Vec<Request>,
        series: &mut Series,
    ) -> Vec<FetchError> {
        let needs = Needs { now: slot.now, bars: watch.bars() };
        let (mut errors, mut failed) = (Vec::new(), HashSet::new());
        for request in requests.into_iter().take(MOST_REQUESTS) {
            let is_missing =
                series.subjects.get(&request.subject).is_some_and(|bars| !bars.missing.is_empty());
            if !is_missing || failed.contains(&request.subject) {
                continue;
            }
            let answer = ask_one(&roster.http, watch, request, &needs, &HashMap::new()).await;
            match answer.result {
                Ok(seen) => {
                    for observation in seen.into_iter().flat_map(|(seen, _)| seen.observations) {
                        if let Reading::Candles { interval, candles } = observation.reading {
                            series.take(&observation.subject, interval, candles);
                        }
                    }
                }
                Err(error @ FetchError::Failed(_)) => {
                    failed.insert(answer.request.subject);
                    errors.push(error);
                }
                Err(wall) => {
                    errors.push(wall);
                    break;
                }
            }
        }
        errors
    }

    async fn settle(&self, settled: Settled, gap: &Gap) -> anyhow::Result<Repair> {
        let repair =
            Repair { first_due_at: gap.first_due_at, outcome: settled.outcome, why: settled.why.clone() };
        self.store.settle_gap(settled).await?;
        Ok(repair)
    }

    /// Stores what came, the gap as it stands now, and the repair as a run of its own.
    async fn commit_repair(
        &self,
        watch: &Watch,
        slot: &Slot,
        started: Instant,
        series: Series,
        errors: Vec<FetchError>,
        settled: Settled,
    ) -> anyhow::Result<Repair> {
        let blocked = errors.iter().any(|error| matches!(error, FetchError::Blocked { .. }));
        let outcome = match (errors.is_empty(), blocked) {
            (true, _) => Outcome::Ok,
            (false, true) => Outcome::Blocked,
            (false, false) => Outcome::Failed,
        };
        let repair = Repair {
            first_due_at: slot.due_at,
            outcome: settled.outcome,
            why: settled.why.clone().or_else(|| said(&errors)),
        };
        let commit = RunCommit {
            spec_hash: Some(watch.spec_hash()),
            watch_id: slot.watch_id,
            trigger: slot.trigger,
            due_at: slot.due_at,
            started_at: slot.now,
            finished_at: after(slot.now, started),
            outcome,
            error: said(&errors),
            next_due: NextDue::Keep,
            found: Some(Box::new(Found {
                counts: [series.candles.len(), 0, 0],
                candles: series.candles,
                gap: Some(GapChange::Settled(settled)),
                ..Found::default()
            })),
        };
        self.store.commit_run(commit).await?;
        Ok(repair)
    }
}

/// The bars of each subject over a gap.
struct Series {
    interval: Interval,
    span: Span,
    subjects: HashMap<String, Bars>,
    /// Those that came.
    candles: Vec<(String, Interval, Candle)>,
}

/// By when they open.
struct Bars {
    stored: HashSet<Timestamp>,
    missing: HashSet<Timestamp>,
}

impl Series {
    fn missing(&self) -> usize {
        self.subjects.values().map(|bars| bars.missing.len()).sum()
    }

    /// Keeps what is of the gap and not stored.
    fn take(&mut self, subject: &str, interval: Interval, candles: Vec<Candle>) {
        let Some(bars) = self.subjects.get_mut(subject).filter(|_| interval == self.interval) else { return };
        for candle in candles {
            let open_time = candle.open_time;
            if self.span.from <= open_time && open_time <= self.span.until && bars.stored.insert(open_time) {
                bars.missing.remove(&open_time);
                self.candles.push((subject.to_owned(), interval, candle));
            }
        }
    }
}

/// When the bars open that stand for the slots of a gap: the one that a slot lies in, or, where the watch
/// looks at closed bars, the last that was closed at it.
fn bars_of(watch: &Watch, gap: &Gap, interval: Interval) -> BTreeSet<Timestamp> {
    let closed = watch.source.yields() == ReadingKind::Candles;
    let moment = SignedDuration::from_millis(1);
    let mut bars = BTreeSet::new();
    let longest = interval.duration().saturating_mul(MOST_BARS);
    let oldest = gap.last_due_at.checked_sub(longest).unwrap_or(gap.first_due_at);
    let mut from = gap.first_due_at.max(oldest);
    while let Some(slot) = from.checked_sub(moment).ok().and_then(|before| watch.timetable.next_after(before))
    {
        if slot > gap.last_due_at {
            break;
        }
        let under_way = interval.floor(slot);
        let wanted = if closed { under_way.checked_sub(interval.duration()).ok() } else { Some(under_way) };
        bars.extend(wanted);
        // The other slots of this bar want the same.
        from = end_of(under_way, interval);
    }
    bars
}

fn end_of(bar: Timestamp, interval: Interval) -> Timestamp {
    bar.checked_add(interval.duration()).unwrap_or(bar)
}

fn said(errors: &[FetchError]) -> Option<String> {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

fn repaired(gap: &Gap, why: String) -> Settled {
    Settled {
        id: gap.id,
        last_due_at: gap.last_due_at,
        outcome: SlotOutcome::Repaired,
        attempts: gap.attempts,
        next_attempt_at: None,
        why: Some(why),
    }
}

/// Not a try.
const fn put_off(gap: &Gap, until: Option<Timestamp>) -> Settled {
    Settled {
        id: gap.id,
        last_due_at: gap.last_due_at,
        outcome: gap.outcome,
        attempts: gap.attempts,
        next_attempt_at: until,
        why: None,
    }
}

/// One more try that did not help: another later, or none.
fn in_vain(gap: &Gap, now: Timestamp, errors: &[FetchError]) -> Settled {
    let asked_for = errors.iter().find_map(|error| match error {
        FetchError::Blocked { retry_after, .. } => *retry_after,
        FetchError::Failed(_) => None,
    });
    let wait = WAITS.get(gap.attempts as usize).map(|wait| asked_for.unwrap_or_default().max(*wait));
    let next_attempt_at = wait.and_then(|wait| now.checked_add(wait).ok());
    let attempts = gap.attempts.saturating_add(1);
    if next_attempt_at.is_some() {
        return Settled { attempts, ..put_off(gap, next_attempt_at) };
    }
    let why = said(errors).unwrap_or_else(|| "the service has no bars of that time".into());
    let why = format!("not repaired in {attempts} tries: {why}");
    Settled { attempts, outcome: SlotOutcome::Failed, why: Some(why), ..put_off(gap, None) }
}
