//! What becomes of the slots of a watch that a person has paused.

use jiff::{SignedDuration, Timestamp};

use super::slots::passed;
use crate::store::{NewGap, PAUSED, Paused, Store};
use crate::watchlist::{Roster, Watch};

/// Ends the pause of a watch, if it is paused: it is due at its next slot. What passed meanwhile was skipped;
/// of a run that is under way nothing is said, since it speaks for its slot and those up to its end.
///
/// # Errors
/// When the database refuses.
pub async fn resume(
    store: &Store,
    (watch_id, watch): (i64, &Watch),
    is_under_way: bool,
    now: Timestamp,
) -> anyhow::Result<()> {
    let paused = store.paused_watches().await?.into_iter().find(|paused| paused.watch_id == watch_id);
    let Some(paused) = paused else { return Ok(()) };
    let skipped = if is_under_way { None } else { skipped(watch, &paused, now) };
    Ok(store.resume_watch(watch_id, watch.timetable.next_after(now), skipped).await?)
}

/// Accounts for the slots that have passed of watches that are paused, but for those under way.
///
/// # Errors
/// When the database refuses.
pub async fn account_for_pauses(
    store: &Store,
    roster: &Roster,
    is_under_way: impl Fn(i64) -> bool,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut gaps = Vec::new();
    for paused in store.paused_watches().await? {
        let Some((watch_id, watch)) = roster.watches.get(&paused.name) else { continue };
        if !is_under_way(*watch_id) {
            gaps.extend(skipped(watch, &paused, now).map(|gap| (*watch_id, gap)));
        }
    }
    if !gaps.is_empty() {
        store.skip_paused(gaps).await?;
    }
    Ok(())
}

/// The slots of a pause up to a moment that nobody stands for yet.
fn skipped(watch: &Watch, paused: &Paused, now: Timestamp) -> Option<NewGap> {
    let from = paused.from?;
    let before = from.checked_sub(SignedDuration::from_millis(1)).ok()?;
    let passed = passed(&watch.timetable, before, now)?;
    Some(NewGap {
        first_due_at: from,
        last_due_at: passed.last,
        next_due_at: watch.timetable.next_after(passed.last),
        slots: passed.slots,
        next_attempt_at: None,
        why: PAUSED.into(),
    })
}
