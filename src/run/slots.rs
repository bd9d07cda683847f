//! Which slots a run leaves without anybody who stands for them.

use jiff::{SignedDuration, Timestamp};

use super::Slot;
use crate::model::{Period, Trigger};
use crate::store::{NewGap, Waited};
use crate::timetable::Timetable;
use crate::watchlist::Watch;

/// So many slots are counted one by one; beyond them, as if they went on as they began.
const MOST_COUNTED: u64 = 20_000;

/// A repair waits so long after the slot that may show whether the service is well again, and twice as long
/// as the run took that found it was not.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// But no longer than this; a daily watch has had its next slot by then.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(25);

/// What a run that the schedule asked for leaves behind: the slots that passed before it was over, and its
/// own where it was in vain and the service keeps a past to fill it from. `was_refused` says that the database
/// did not take a run of the watch before this one; `waited`, how long this run waited for a host.
pub(super) fn left_behind(
    watch: &Watch,
    slot: &Slot,
    in_vain: bool,
    error: Option<&str>,
    was_refused: bool,
    waited: &Waited,
    finished_at: Timestamp,
) -> Option<NewGap> {
    if !matches!(slot.trigger, Trigger::Schedule | Trigger::CatchUp) {
        return None;
    }
    let passed = passed(&watch.timetable, slot.due_at, finished_at);
    if !in_vain && passed.is_none() {
        return None;
    }
    let repairable = watch.can_backfill(slot.due_at);
    let own = in_vain && repairable;
    let first_due_at = if own { slot.due_at } else { passed.as_ref()?.first };
    let last_due_at = passed.as_ref().map_or(slot.due_at, |passed| passed.last);
    let next_due_at = watch.timetable.next_after(last_due_at);
    let next_attempt_at = if own {
        let took = finished_at.duration_since(slot.now);
        let seen_to_be_well =
            next_due_at.and_then(|next| next.checked_add(GRACE.saturating_add(took.saturating_mul(2))).ok());
        let latest = finished_at.checked_add(LONGEST_WAIT).unwrap_or(finished_at);
        seen_to_be_well.map_or(latest, |at| at.min(latest))
    } else {
        finished_at
    };
    let why = match (error, &passed) {
        (Some(error), _) if own => error.to_owned(),
        (_, Some(passed)) if passed.first > slot.now => {
            let took = finished_at.duration_since(slot.now).unsigned_abs();
            match waited.host.as_ref().filter(|_| waited.time.saturating_mul(2) >= took) {
                Some(host) => {
                    format!("the run before waited {} for its turn at {host}", Period(waited.time))
                }
                None => format!("the run before took {}", Period(took)),
            }
        }
        _ if slot.trigger == Trigger::CatchUp => "the daemon was not running".into(),
        _ if was_refused => "the database took no writes".into(),
        _ => "the machine slept, or was too busy".into(),
    };
    Some(NewGap {
        first_due_at,
        last_due_at,
        next_due_at,
        slots: passed.map_or(0, |passed| passed.slots),
        next_attempt_at: repairable.then_some(next_attempt_at),
        why,
    })
}

/// Slots one after another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) slots: u64,
}

/// The slots after one moment and up to another.
pub(super) fn passed(timetable: &Timetable, after: Timestamp, until: Timestamp) -> Option<Passed> {
    let first = timetable.next_after(after).filter(|first| *first <= until)?;
    let millis = |from: Timestamp, until: Timestamp| {
        until.as_millisecond().saturating_sub(from.as_millisecond()).max(0).unsigned_abs()
    };
    if let Timetable::Every { every, .. } = timetable {
        let every = every.as_millis().max(1);
        let steps = millis(first, until) / every.unsigned_abs();
        let whole = i64::try_from(steps).unwrap_or(i64::MAX).saturating_mul(every);
        let last = first.checked_add(SignedDuration::from_millis(whole)).unwrap_or(until);
        return Some(Passed { first, last, slots: steps.saturating_add(1) });
    }
    let (mut last, mut slots) = (first, 1_u64);
    while let Some(next) = timetable.next_after(last).filter(|next| *next <= until) {
        if slots >= MOST_COUNTED {
            let rate =
                |span: u64| u128::from(slots) * u128::from(span) / u128::from(millis(first, last).max(1));
            slots = u64::try_from(rate(millis(first, until))).unwrap_or(u64::MAX);
            return Some(Passed { first, last: until, slots });
        }
        (last, slots) = (next, slots.saturating_add(1));
    }
    Some(Passed { first, last, slots })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::testing::at;

    fn counted(timetable: &Timetable, after: &str, until: &str) -> Option<(String, String, u64)> {
        let passed = passed(timetable, at(after), at(until))?;
        Some((passed.first.to_string(), passed.last.to_string(), passed.slots))
    }

    fn some(first: &str, last: &str, slots: u64) -> Option<(String, String, u64)> {
        Some((first.to_owned(), last.to_owned(), slots))
    }

    #[test]
    fn intervals_are_counted_whatever_their_number() {
        let minute = Timetable::Every { every: Period::from_secs(60), phase_ms: 7_000 };
        let ten = "2026-11-21T10:00:07Z";
        assert_eq!(counted(&minute, ten, "2026-11-21T10:01:06Z"), None);
        assert_eq!(
            counted(&minute, ten, "2026-11-21T10:01:07Z"),
            some("2026-11-21T10:01:07Z", "2026-11-21T10:01:07Z", 1)
        );
        assert_eq!(
            counted(&minute, ten, "2027-11-21T10:00:30Z"),
            some("2026-11-21T10:01:07Z", "2027-11-21T10:00:07Z", 365 * 1_440)
        );
        // The clock was set back.
        assert_eq!(counted(&minute, ten, "2026-11-21T09:00:00Z"), None);
    }

    #[test]
    fn crontab_lines_are_counted_also_over_the_change_of_the_clocks() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let hourly = Timetable::cron("0 * * * *", zone.clone()).unwrap();
        // The day on which the clocks go back has 25 hours.
        assert_eq!(
            counted(&hourly, "2026-11-01T03:59:59Z", "2026-11-02T04:59:59Z"),
            some("2026-11-01T04:00:00Z", "2026-11-02T04:00:00Z", 25)
        );
        let weekdays = Timetable::cron("30 9 * * MON-FRI", zone).unwrap();
        assert_eq!(
            counted(&weekdays, "2026-11-20T14:30:00Z", "2026-11-24T14:30:00Z"),
            some("2026-11-23T14:30:00Z", "2026-11-24T14:30:00Z", 2)
        );
    }

    #[test]
    fn very_many_are_counted_as_they_began() {
        let minutes = Timetable::cron("* * * * *", TimeZone::UTC).unwrap();
        let passed = passed(&minutes, at("2026-01-01T00:00:00Z"), at("2026-03-02T00:00:00Z")).unwrap();
        assert!((86_395..=86_405).contains(&passed.slots), "{}", passed.slots);
        assert_eq!(passed.last, at("2026-03-02T00:00:00Z"));
    }
}
