//! The stored history through the same strategies and the same decisions: what would have been told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::around::Around;
use super::judge::States;
use super::news::{self, ANNOUNCED, Bench, Decided};
use super::past::{Hindsight, Sight, Since};
use crate::alerting::is_pending;
use crate::model::{Alert, Reason};
use crate::plugin;
use crate::store::{Gap, Store};
use crate::watchlist::Watch;

/// What a replay came to.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The watch.
    pub watch: String,
    /// From when on.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What would have been told, the oldest first.
    pub messages: Vec<Told>,
    /// At how many moments something was judged.
    pub moments: usize,
    /// How many alerts of each reason the messages carry.
    pub reasons: BTreeMap<&'static str, usize>,
    /// What is to be known about it: where the history begins, what cannot be replayed.
    pub remarks: Vec<String>,
}

/// A message that would have gone out.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// When it would have been written.
    pub at: Timestamp,
    /// The strategy that has the word.
    pub strategy: String,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
    /// The end of the quiet hours in which it would have been held.
    pub held_until: Option<Timestamp>,
    /// The alerts that it carries.
    pub alerts: Vec<Alert>,
}

/// Replays the history of a watch. Runs and gaps are kept from `runs_kept_since` on. `progress` is told how far it has come, now and then; nothing is
/// written and nothing is sent.
///
/// # Errors
/// Any of SQLite's own.
pub async fn replay(
    store: &Store,
    watch: &Arc<Watch>,
    watch_id: i64,
    since: Timestamp,
    until: Timestamp,
    runs_kept_since: Timestamp,
    mut progress: impl FnMut(Timestamp, usize),
) -> Result<Replayed, sqlx::Error> {
    let before = since.checked_sub(SignedDuration::from_millis(1)).unwrap_or(since);
    let past = Hindsight::at(store, watch, watch_id, before, Since::ItsOwnTime).await?;
    let runs = store.telling_runs(watch_id, since, until).await?;
    let mut moments = Moments {
        watch,
        past,
        until,
        // What became of later ones is not known yet.
        next_due: store.next_due(watch_id).await?,
        slot: watch.timetable.next_after(before),
        gaps: store.gaps(watch_id, since, until).await?,
        failed: runs.iter().filter(|(.., seen)| *seen == 0).map(|(due, ..)| *due).collect(),
        by_hand: runs.iter().filter(|(_, _, by, _)| by == "manual").map(|(_, at, ..)| *at).collect(),
        skipped: 0,
    };
    let mut stand = Stand { watch, states: States::new(), settled: true, broken: BTreeMap::new() };
    let mut replayed = Replayed {
        watch: watch.name.clone(),
        since,
        until,
        messages: Vec::new(),
        moments: 0,
        reasons: BTreeMap::new(),
        remarks: Vec::new(),
    };
    let mut first = None;
    // The first look judges whatever is known.
    let mut anew = true;
    while let Some(now) = moments.next(anew || !stand.settled || watch.moves_with_time()).await? {
        moments.past.advance(now);
        anew = moments.past.is_empty();
        if anew {
            continue;
        }
        first.get_or_insert(now);
        stand.judge(moments.past.sight(now), now, &mut replayed.messages);
        replayed.moments = replayed.moments.saturating_add(1);
        if replayed.moments.is_multiple_of(256) {
            progress(now, replayed.messages.len());
            tokio::task::yield_now().await;
        }
    }
    for alert in replayed.messages.iter().flat_map(|message| &message.alerts) {
        let count = replayed.reasons.entry(word(alert.reason)).or_default();
        *count = count.saturating_add(1);
    }
    replayed.remarks =
        remarks(store, watch, watch_id, (since, until, runs_kept_since), &moments, first).await?;
    let broken = stand.broken.into_iter();
    replayed.remarks.extend(broken.map(|(why, times)| format!("{why} ({times} times)")));
    Ok(replayed)
}

/// The moments at which the daemon would have judged.
struct Moments<'a> {
    watch: &'a Watch,
    past: Hindsight<'a>,
    until: Timestamp,
    /// The slot that its next run is for.
    next_due: Option<Timestamp>,
    /// The next slot that has not been looked at.
    slot: Option<Timestamp>,
    gaps: Vec<Gap>,
    /// Slots whose runs got no answer.
    failed: HashSet<Timestamp>,
    /// Runs that a person asked for, beside the slots.
    by_hand: HashSet<Timestamp>,
    skipped: usize,
}

impl Moments<'_> {
    /// The next moment at which something has changed; with `every_slot` the next slot, if that is sooner.
    async fn next(&mut self, every_slot: bool) -> Result<Option<Timestamp>, sqlx::Error> {
        let mut every_slot = every_slot;
        loop {
            let change = self.past.next(self.until).await?;
            let Some(slot) = self.slot.filter(|slot| self.has_been(*slot)) else {
                // No slot any more: only what a run saw.
                let run = self.past.next_run_before(self.end()).await?;
                return Ok(run.map(|at| self.at(at)));
            };
            match change {
                Some((at, true)) if at < slot => return Ok(Some(self.at(at))),
                // What was there by its own date is seen at the next slot.
                Some((at, false)) if at <= slot => every_slot = true,
                Some((at, is_run)) if !every_slot => {
                    let instant_before = at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at);
                    if is_run {
                        return Ok(Some(self.at(at)));
                    }
                    self.slot = self.watch.timetable.next_after(instant_before);
                    every_slot = true;
                    continue;
                }
                None if !every_slot => return Ok(None),
                _ => {}
            }
            let after = self.watch.timetable.next_after(slot);
            // A run comes a little after its slot.
            let end = after.unwrap_or(self.until).min(self.end());
            if let Some(run) = self.past.next_run_before(end).await?
                && (run < slot || !self.by_hand.contains(&run))
            {
                return Ok(Some(self.at(run)));
            }
            if self.is_skipped(slot) {
                self.skipped = self.skipped.saturating_add(1);
                self.slot = after;
                continue;
            }
            return Ok(Some(self.at(slot)));
        }
    }

    fn has_been(&self, slot: Timestamp) -> bool {
        slot <= self.until && self.next_due.is_none_or(|due| slot < due)
    }

    /// Just after the last moment.
    fn end(&self) -> Timestamp {
        self.until.checked_add(SignedDuration::from_millis(1)).unwrap_or(self.until)
    }

    /// The slots until then are done with.
    fn at(&mut self, now: Timestamp) -> Timestamp {
        if self.slot.is_some_and(|slot| slot <= now) {
            self.slot = self.watch.timetable.next_after(now);
        }
        now
    }

    /// Whether the daemon was away then, or got no answer.
    fn is_skipped(&self, slot: Timestamp) -> bool {
        let gap = self.gaps.partition_point(|gap| gap.last_due_at < slot);
        let in_gap = self.gaps.get(gap).is_some_and(|gap| gap.first_due_at <= slot);
        in_gap || self.failed.contains(&slot)
    }
}

/// What the strategies have settled on.
struct Stand<'a> {
    watch: &'a Watch,
    states: States,
    /// Nothing that was settled on can change by the same coming again.
    settled: bool,
    /// Why something could not be judged, and how often.
    broken: BTreeMap<String, usize>,
}

impl Stand<'_> {
    fn judge(&mut self, sight: Sight, now: Timestamp, messages: &mut Vec<Told>) {
        let watch = self.watch;
        let Sight { current, earlier, absent } = sight;
        let around = Around::quiet_hours_of(watch, now);
        self.settled = true;
        for judge in &watch.judges {
            let known = self.states.entry(judge.name.clone()).or_default();
            let view = plugin::View {
                current: &current,
                earlier: &earlier,
                absent: &absent,
                known,
                now,
                zone: &watch.zone,
                source: &*watch.source,
            };
            let signals = match judge.strategy.evaluate(&view) {
                Ok(signals) => signals,
                Err(error) => {
                    let times = self.broken.entry(format!("{}: {error}", judge.name)).or_default();
                    *times = times.saturating_add(1);
                    continue;
                }
            };
            let bench = Bench { watch, judge, known, current: &current, around: &around, now };
            // Nothing mutes here.
            let Ok(Decided { decisions, announced, messages: told }) = news::decide_all(&bench, &signals)
            else {
                continue;
            };
            for (signal, (decision, _)) in signals.iter().zip(decisions) {
                self.settled &= !is_pending(&decision.next, &judge.policy);
                known.insert(signal.subject.clone(), decision.next);
            }
            if let Some(state) = announced {
                known.insert(ANNOUNCED.into(), state);
            }
            messages.extend(told.into_iter().map(|(words, alerts)| Told {
                at: now,
                strategy: judge.name.clone(),
                title: words.title,
                body: words.body,
                url: words.url,
                held_until: around.held_until,
                alerts,
            }));
        }
    }
}

const fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::First => "first",
        Reason::Changed => "changed",
        Reason::Reminder => "reminder",
        Reason::Resolved => "resolved",
    }
}

/// What a reader should know about a replay.
async fn remarks(
    store: &Store,
    watch: &Watch,
    watch_id: i64,
    (since, until, runs_kept_since): (Timestamp, Timestamp, Timestamp),
    moments: &Moments<'_>,
    first: Option<Timestamp>,
) -> Result<Vec<String>, sqlx::Error> {
    let mut remarks = Vec::new();
    match store.history_begins(watch_id).await? {
        None => remarks.push("nothing is stored of it yet".into()),
        Some(begin) if begin > since => remarks.push(format!("its history begins at {begin:.0}")),
        Some(_) if first.is_none() => remarks.push("nothing was known of it in that time".into()),
        Some(_) => {}
    }
    if first.is_some() {
        remarks.push(format!(
            "it begins knowing nothing of what was told before {since:.0}: what was so then counts as new"
        ));
    }
    if since < runs_kept_since {
        remarks.push(format!(
            "runs are kept since {runs_kept_since:.0} (`runs` in `retention`): before that every slot is taken for \
             one that was looked at"
        ));
    }
    if moments.skipped > 0 {
        remarks.push(format!(
            "{} slots are left out, at which the daemon was away or got no answer",
            moments.skipped
        ));
    }
    let silences = store.silences(since, true).await?;
    let touched = silences.iter().any(|silence| silence.starts_at <= until && silence.ends_at > since);
    if touched || !watch.depends_on.is_empty() {
        remarks.push("silences and `depends_on` are not replayed: what they kept quiet is shown".into());
    }
    remarks.push(
        "what cannot be replayed: failures, walls and stale data (only what was seen is kept); a value that \
         was revised is taken as it stands now"
            .into(),
    );
    Ok(remarks)
}
