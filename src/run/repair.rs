//! Fills gaps between the runs of a watch from the past that its service keeps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::series::{Bars, Series};
use super::slots::{Passed, passed};
use super::{Answer, Runner, Slot, after, ask_one};
use crate::http::{Request, Standing};
use crate::model::{Interval, Observation, Outcome, Reading, ReadingKind, SlotOutcome};
use crate::plugin::{FetchError, Needs, Span};
use crate::store::{Found, Gap, GapChange, Later, NextDue, RunCommit, SeenSubject, Settled, Waited};
use crate::watchlist::{Roster, Watch};

/// The waits after a try that was in vain; after the last one there is none.
const WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];

/// So many gaps are filled at the same time: runs that are due never wait behind many of them.
const MOST_AT_ONCE: usize = 4;

/// So much is asked in one try, one after the other; of a gap that wants more, its beginning is filled first.
const MOST_REQUESTS: usize = 300;

/// So many bars of each subject are filled in one try.
const MOST_BARS: usize = 100_000;

/// Markets are closed for so long, or for so many bars, at most: a service that knows none that are older
/// has forgotten them.
const LONGEST_CLOSED: (SignedDuration, u32) = (SignedDuration::from_hours(96), 4);

/// A repair that could not be stored is not tried again sooner: the service would be asked in vain.
const REFUSED_WAIT: Duration = Duration::from_secs(600);

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
    /// Those that could not be stored, by watch and first slot, and when that was.
    refused: Mutex<HashMap<(i64, Timestamp), Instant>>,
    turns: Semaphore,
}

impl Default for Repairs {
    fn default() -> Self {
        Self { watches: Mutex::default(), refused: Mutex::default(), turns: Semaphore::new(MOST_AT_ONCE) }
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

    fn was_refused(&self, slot: &Slot) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, at| at.elapsed() < REFUSED_WAIT);
        refused.contains_key(&(slot.watch_id, slot.due_at))
    }

    fn refuse(&self, slot: &Slot) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert((slot.watch_id, slot.due_at), Instant::now());
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
        if self.is_refused_everything() || self.repairs.was_refused(slot) {
            return Ok(None);
        }
        let Some(_under_way) = self.repairs.begin(slot.watch_id) else { return Ok(None) };
        let came = Instant::now();
        let _turn = self.repairs.turns.acquire().await;
        let slot = Slot { now: after(slot.now, came), ..slot.clone() };
        let tried = self.try_to_repair(roster, watch, &slot).await;
        if tried.is_err() {
            self.repairs.refuse(&slot);
        }
        tried
    }

    async fn try_to_repair(
        &self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
    ) -> anyhow::Result<Option<Repair>> {
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
        let Some(Piece { bars, first, last, span, requests }) = piece(watch, &gap, interval) else {
            // Its timetable has changed: nobody knows what would have been asked.
            return self.settle(put_off(&gap, None), &gap).await.map(Some);
        };
        let over = end_of(last, interval);
        if let (Some(piece), Some(rest)) = part(watch, &gap, interval, over) {
            let now = gap.next_attempt_at;
            let whole = put_off(&gap, now);
            return self.settle(parted(whole, put_off(&gap, now), &gap, &piece, &rest), &gap).await.map(Some);
        }
        if over > slot.now {
            return self.settle(put_off(&gap, Some(over)), &gap).await.map(Some);
        }
        let mut series = self.look_at(slot, &requests, &span, interval, &bars).await?;
        let missing = series.missing();
        if missing == 0 {
            return self.settle(repaired(&gap, "nothing was missing".into()), &gap).await.map(Some);
        }
        let mut asked = fill(roster, watch, slot, requests, &mut series).await;
        let oldest = series.oldest(first);
        let mut is_kept = true;
        if asked.went_well()
            && let Ok(oldest) = oldest
            && oldest > first
        {
            is_kept = asked.knows_of_earlier(roster, watch, slot, &series, first).await;
        }
        let is_last = gap.attempts as usize >= WAITS.len();
        let left = series.missing();
        let came = missing.saturating_sub(left);
        let done = after(slot.now, started);
        let settled = match (asked.rests_until, oldest) {
            (Some(until), _) => put_off(&gap, Some(until.max(soon_after(done)))),
            (None, Ok(oldest)) if asked.errors.is_empty() || left == 0 || (asked.looked_back && is_last) => {
                let of = if left == 0 { String::new() } else { format!(" of {missing}") };
                let repaired = repaired(&gap, format!("{came}{of} bars of {interval} came"));
                let lost = if is_kept { None } else { Some(part(watch, &gap, interval, oldest)) };
                match lost {
                    Some((Some(earlier), Some(later))) => {
                        let why = format!("the service keeps nothing older than {oldest:.0}");
                        parted(in_vain_for_good(&gap, why), repaired, &gap, &earlier, &later)
                    }
                    _ => repaired,
                }
            }
            (None, _) if asked.is_final => in_vain_for_good(&gap, said(&asked.errors).unwrap_or_default()),
            (None, Ok(_)) => in_vain(&gap, done, &asked.errors, String::new()),
            (None, Err(why)) => in_vain(&gap, done, &asked.errors, why),
        };
        if asked.requests == 0 {
            return self.settle(settled, &gap).await.map(Some);
        }
        self.commit_repair(watch, slot, started, series, asked, settled).await.map(Some)
    }

    /// Stores that a repair broke, so that it is not tried for ever.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn commit_broken_repair(&self, slot: &Slot) -> anyhow::Result<()> {
        if let Some(gap) = self.store.gap(slot.watch_id, slot.due_at).await? {
            let error = FetchError::failed("the repair broke; this is a fault of the program");
            self.settle(in_vain(&gap, slot.now, &[error], String::new()), &gap).await?;
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
            series.subjects.insert(subject.clone(), Bars { stored, missing, oldest: None });
        }
        Ok(series)
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
        asked: Asked,
        settled: Settled,
    ) -> anyhow::Result<Repair> {
        let Asked { errors, standings, .. } = asked;
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
            waited: Waited::default(),
            standings,
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

/// What was asked in one try.
#[derive(Default)]
struct Asked {
    /// How many requests went out.
    requests: usize,
    errors: Vec<FetchError>,
    /// A host that wants to be left alone was not asked: this was no try.
    rests_until: Option<Timestamp>,
    /// How hosts stand, where it has changed that.
    standings: Vec<Standing>,
    /// There will never be another answer.
    is_final: bool,
    /// All was answered, and it was asked what else the service knows.
    looked_back: bool,
}

impl Asked {
    const fn went_well(&self) -> bool {
        self.errors.is_empty() && self.rests_until.is_none()
    }

    /// Asks once more; nothing where no answer came.
    async fn ask(
        &mut self,
        roster: &Roster,
        watch: &Arc<Watch>,
        request: Request,
        slot: &Slot,
    ) -> Option<Vec<Observation>> {
        let needs = Needs { now: slot.now, bars: watch.bars() };
        let answer = ask_one(&roster.http, watch, slot.watch_id, request, &needs, &HashMap::new()).await;
        self.standings.extend(answer.standings().cloned());
        let Answer { result, rest, final_answer, .. } = answer;
        if let Some(rest) = rest {
            self.rests_until = Some(rest.until);
            return None;
        }
        self.is_final |= final_answer.is_some();
        self.requests = self.requests.saturating_add(1);
        match result {
            Ok(seen) => Some(seen.map(|(seen, _)| seen.observations).unwrap_or_default()),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn is_at_a_wall(&self) -> bool {
        self.rests_until.is_some() || matches!(self.errors.last(), Some(FetchError::Blocked { .. }))
    }

    /// Whether the service has bars from before the gap of every subject whose answers begin within it. Then
    /// it has kept them all, and what is missing is a time in which nobody traded.
    async fn knows_of_earlier(
        &mut self,
        roster: &Roster,
        watch: &Arc<Watch>,
        slot: &Slot,
        series: &Series,
        first: Timestamp,
    ) -> bool {
        self.looked_back = true;
        let (closed, bars) = LONGEST_CLOSED;
        let length = series.interval.duration().saturating_mul(bars);
        let back = SignedDuration::try_from(length).unwrap_or(closed).max(closed);
        let from = first.checked_sub(back).unwrap_or(first);
        let requests = watch.source.backfill(&Span { from, until: first }).map(|fill| fill.requests);
        for (subject, bars) in &series.subjects {
            if bars.begins().is_none_or(|oldest| oldest <= first) {
                continue;
            }
            let request = requests.iter().flatten().find(|request| request.subject == *subject);
            let Some(request) = request.cloned() else { return false };
            let Some(seen) = self.ask(roster, watch, request, slot).await else { return false };
            let is_earlier = |seen: &Observation| match &seen.reading {
                Reading::Candles { candles, .. } => candles.iter().any(|candle| candle.open_time < first),
                _ => false,
            };
            if !seen.iter().any(|seen| seen.subject == *subject && is_earlier(seen)) {
                return false;
            }
        }
        true
    }
}

/// Asks for what is missing, one request after the other. A wall ends it; a subject that cannot be had does
/// not keep the others from being asked for.
async fn fill(
    roster: &Roster,
    watch: &Arc<Watch>,
    slot: &Slot,
    requests: Vec<Request>,
    series: &mut Series,
) -> Asked {
    let (mut asked, mut failed) = (Asked::default(), HashSet::new());
    for request in requests {
        let subject = request.subject.clone();
        let is_missing = series.subjects.get(&subject).is_some_and(|bars| !bars.missing.is_empty());
        if !is_missing || failed.contains(&subject) {
            continue;
        }
        match asked.ask(roster, watch, request, slot).await {
            Some(seen) => {
                for observation in seen {
                    if let Reading::Candles { interval, candles } = observation.reading {
                        series.take(&observation.subject, interval, candles);
                    }
                }
            }
            None if asked.is_at_a_wall() => break,
            None => drop(failed.insert(subject)),
        }
    }
    asked
}

/// What of a gap is filled in one try.
struct Piece {
    /// When the bars open that stand for its slots.
    bars: BTreeSet<Timestamp>,
    first: Timestamp,
    last: Timestamp,
    /// With a little before it.
    span: Span,
    requests: Vec<Request>,
}

/// The beginning of a gap, as much of it as can be asked for in one try; `None` where the watch has no slots
/// in it.
fn piece(watch: &Watch, gap: &Gap, interval: Interval) -> Option<Piece> {
    let late = watch.spacing(gap.first_due_at).min(LONGEST_LATE);
    let mut bars = bars_of(watch, gap, interval);
    loop {
        let (first, last) = (*bars.first()?, *bars.last()?);
        let from = first.checked_sub(late).map_or(first, |at| interval.floor(at));
        let span = Span { from, until: last };
        let requests = watch.source.backfill(&span).map(|fill| fill.requests).unwrap_or_default();
        let subjects: HashSet<&str> = requests.iter().map(|request| request.subject.as_str()).collect();
        // Fewer than one for each subject it never becomes.
        if requests.len() <= MOST_REQUESTS.max(subjects.len()) || bars.len() == 1 {
            return Some(Piece { bars, first, last, span, requests });
        }
        let middle = *bars.iter().nth(bars.len().div_ceil(2))?;
        bars.split_off(&middle);
    }
}

/// When the bars open that stand for the slots of a gap, the first of them: the one that a slot lies in, or,
/// where the watch looks at closed bars, the last that was closed at it.
fn bars_of(watch: &Watch, gap: &Gap, interval: Interval) -> BTreeSet<Timestamp> {
    let closed = watch.source.yields() == ReadingKind::Candles;
    let mut bars = BTreeSet::new();
    let mut from = gap.first_due_at;
    while bars.len() < MOST_BARS
        && let Some(slot) = watch.timetable.next_after(just_before(from))
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

/// The slots of a gap that want bars older than `bar`, and the others.
fn part(watch: &Watch, gap: &Gap, interval: Interval, bar: Timestamp) -> (Option<Passed>, Option<Passed>) {
    let closed = watch.source.yields() == ReadingKind::Candles;
    let cut = just_before(if closed { end_of(bar, interval) } else { bar });
    let before = just_before(gap.first_due_at);
    let earlier = passed(&watch.timetable, before, cut.min(gap.last_due_at));
    (earlier, passed(&watch.timetable, cut.max(before), gap.last_due_at))
}

/// The slots of a gap stand differently.
fn parted(earlier: Settled, later: Settled, gap: &Gap, before: &Passed, after: &Passed) -> Settled {
    let all = u128::from(before.slots).saturating_add(u128::from(after.slots)).max(1);
    let slots = u128::from(gap.slots).saturating_mul(u128::from(after.slots)).div_euclid(all);
    let later = Later {
        first_due_at: after.first,
        earlier_last_due_at: before.last,
        slots: u64::try_from(slots).unwrap_or(gap.slots),
        outcome: later.outcome,
        attempts: later.attempts,
        next_attempt_at: later.next_attempt_at,
        why: later.why,
    };
    Settled { later: Some(later), ..earlier }
}

fn just_before(moment: Timestamp) -> Timestamp {
    moment.checked_sub(SignedDuration::from_millis(1)).unwrap_or(moment)
}

fn soon_after(moment: Timestamp) -> Timestamp {
    let [wait, ..] = WAITS;
    moment.checked_add(wait).unwrap_or(moment)
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
        later: None,
    }
}

/// The service has answered, and another try would not help.
fn in_vain_for_good(gap: &Gap, why: String) -> Settled {
    let attempts = gap.attempts.saturating_add(1);
    Settled { attempts, outcome: SlotOutcome::Failed, why: Some(why), ..put_off(gap, None) }
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
        later: None,
    }
}

/// One more try that did not help: another later, or none.
fn in_vain(gap: &Gap, now: Timestamp, errors: &[FetchError], otherwise: String) -> Settled {
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
    let why = said(errors).unwrap_or(otherwise);
    let why = format!("not repaired in {attempts} tries: {why}");
    Settled { attempts, outcome: SlotOutcome::Failed, why: Some(why), ..put_off(gap, None) }
}
