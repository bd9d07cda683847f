//! When something is due, open, quiet or over.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{assert_explained, assert_fit_to_show, now};
use crate::alerting::QuietHours;
use crate::config::{Budget, Size};
use crate::model::{Interval, Period};
use crate::sessions::Hours;
use crate::timetable::Timetable;

/// A crontab line, and on lines of their own, where they are wanted, a zone, hours, and a moment to look on
/// from.
pub(super) fn crontab(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (cron, zone, hours) = (line(), zone(line()), line());
    let from = line().parse().unwrap_or_else(|_| now());
    match Timetable::cron(cron, zone.clone()) {
        Err(why) => assert_explained(&why, cron),
        Ok(timetable) => {
            assert_goes_on(&timetable, from);
            let Ok(hours) = Hours::parse(hours, &zone, &HashMap::new()) else { return };
            assert_kept_to_hours(timetable, &hours, from);
        }
    }
}

fn assert_kept_to_hours(timetable: Timetable, hours: &Hours, from: Timestamp) {
    match timetable.within(Some(hours.clone()), from) {
        Err(why) => assert_fit_to_show(&why),
        Ok(within) => {
            assert_goes_on(&within, from);
            for slot in within.next(from, 4) {
                assert!(hours.is_open(slot), "{slot} is outside the hours");
            }
        }
    }
}

fn assert_goes_on(timetable: &Timetable, from: Timestamp) {
    let slots = timetable.next(from, 4);
    let mut before = from;
    for slot in slots {
        assert!(slot > before, "{slot} is not after {before}");
        before = slot;
    }
    assert!(timetable.first_due(from).is_none_or(|due| due >= from));
    let _ = timetable.gap(from);
}

/// Hours, and on lines of their own, where they are wanted, a zone and a moment to look on from.
pub(super) fn hours(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (hours, zone) = (line(), zone(line()));
    let from: Timestamp = line().parse().unwrap_or_else(|_| now());
    let hours = match Hours::parse(hours, &zone, &HashMap::new()) {
        Err(why) => return assert_explained(&why, hours),
        Ok(hours) => hours,
    };
    if hours.always_open() {
        return assert!(hours.is_open(from));
    }
    let Some(session) = hours.next_session(from) else { return };
    assert!(session.opens <= session.closes && session.closes >= from, "{session:?} from {from}");
    assert_eq!(hours.is_open(from), session.opens <= from);
    if let Some(next) = hours.next_session(session.closes + Duration::from_secs(1)) {
        assert!(next.closes > session.closes, "{next:?} is not after {session:?}");
    }
    let Ok(later) = from.checked_add(Duration::from_secs(10 * 86_400)) else { return };
    let open = hours.open_between(from, later);
    assert!(open <= Duration::from_secs(10 * 86_400), "open for {open:?} of ten days");
    if let Some(end) = hours.open_for(from, open).filter(|_| !open.is_zero()) {
        assert!(end <= later, "open for {open:?} from {from} to {later}, but also to {end}");
    }
}

/// Quiet hours, and on lines of their own, where they are wanted, a zone and a moment.
pub(super) fn quiet_hours(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (hours, zone) = (line(), zone(line()));
    let at = line().parse().unwrap_or_else(|_| now());
    match QuietHours::parse(hours) {
        Err(why) => assert_explained(&why, hours),
        Ok(None) => assert!(hours.trim().is_empty()),
        Ok(Some(hours)) => {
            let Some(end) = hours.end_after(at, &zone) else { return };
            assert!(end > at, "they end at {end}, before {at}");
            assert!(end.duration_since(at).as_hours() <= 49, "from {at} to {end}");
        }
    }
}

/// Lengths of time, sizes, budgets and the lengths of bars.
pub(super) fn lengths(text: &str) {
    match text.parse::<Period>() {
        Err(why) => assert_explained(&why, text),
        Ok(period) => {
            assert_fit_to_show(&period.to_string());
            assert!(period.as_millis() >= 0);
            match Timetable::every(period, "a watch") {
                Err(why) => assert_fit_to_show(&why),
                Ok(timetable) => assert_goes_on(&timetable, now()),
            }
        }
    }
    match text.parse::<Interval>() {
        Err(why) => assert_explained(&why, text),
        Ok(interval) => {
            assert_eq!(interval.to_string().parse(), Ok(interval));
            assert!(interval.floor(now()) <= now());
        }
    }
    match text.parse::<Budget>() {
        Err(why) => assert_explained(&why, text),
        Ok(budget) => {
            assert!(budget.messages > 0 && !budget.window.is_zero());
            assert_eq!(budget.to_string().parse(), Ok(budget));
        }
    }
    if let Err(why) = text.parse::<Size>() {
        assert_explained(&why, text);
    }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}
