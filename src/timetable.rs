//! When a watch is due: crontab's five fields in a zone, or every so often; and of these slots, where it
//! has hours, those within them. The only module that names the cron library.

use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Period;
use crate::sessions::{Hours, Session};

/// Slots of which none lies within the hours for so long are taken for such as never do.
const TWO_YEARS: Duration = Duration::from_secs(731 * 86_400);

/// When a watch is due.
#[derive(Clone, Debug)]
pub enum Timetable {
    /// At the times of a crontab line, in a zone. Across a daylight-saving change each slot comes once:
    /// one in the hour that is skipped comes right after it, one in the hour that is repeated comes the
    /// first time only (a line that runs every so many minutes goes on through both).
    Cron(Arc<Cron>, TimeZone),
    /// Every so often, at a phase of its own, so that watches with one interval are spread over it.
    Every {
        /// The interval.
        every: Period,
        /// The offset in milliseconds, less than the interval.
        phase_ms: i64,
    },
    /// Those slots of another that lie within these hours, the close included.
    Within(Arc<Self>, Hours),
}

impl Timetable {
    /// Reads a crontab line of five fields.
    ///
    /// # Errors
    /// A sentence, when it is no such line or never comes due.
    pub fn cron(line: &str, zone: TimeZone) -> Result<Self, String> {
        let fields = line.split_whitespace().count();
        if fields != 5 && !line.trim().starts_with('@') {
            let hint = if fields > 5 { "; there are no seconds and no years" } else { "" };
            return Err(format!(
                "`{line}` has {fields} fields, but crontab's five are wanted: minute hour day month weekday{hint}"
            ));
        }
        // The parser takes a list of nothing for a field, and then looks for it through thousands of years.
        if line.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(format!("`{line}` is not a crontab line: a comma has nothing before or after it"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .sloppy_ranges(true)
            .build();
        let cron = parser.parse(line).map_err(|error| format!("`{line}` is not a crontab line: {error}"))?;
        let this = Self::Cron(Arc::new(cron), zone);
        match this.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(this),
            None => Err(format!("`{line}` never comes due")),
        }
    }

    /// Every so often, spread by a stable hash of the watch's name.
    ///
    /// # Errors
    /// A sentence, when the interval is shorter than a tenth of a second or longer than a year.
    pub fn every(every: Period, name: &str) -> Result<Self, String> {
        if every.0 < Duration::from_millis(100) {
            return Err("is shorter than a tenth of a second".into());
        }
        if every.0 > Duration::from_secs(366 * 86_400) {
            return Err("is longer than a year".into());
        }
        let length = every.as_millis().unsigned_abs();
        let phase_ms = i64::try_from(xxh3_64(name.as_bytes()) % length).unwrap_or(0);
        Ok(Self::Every { every, phase_ms })
    }

    /// Leaves only the slots within these hours; all of them where there are none.
    ///
    /// # Errors
    /// A sentence, when so few slots lie within the hours that whole sessions may have none, or none does in
    /// the two years after `now`.
    pub fn within(self, hours: Option<Hours>, now: Timestamp) -> Result<Self, String> {
        let Some(hours) = hours.filter(|hours| !hours.always_open()) else { return Ok(self) };
        // A year long past has no early closes: what is said must not depend on the day.
        let session = hours.next_session(Timestamp::UNIX_EPOCH);
        let lasts = session.map_or(Duration::ZERO, |session| length(session.opens, session.closes));
        if let Some((every, _)) = self.interval().filter(|(every, _)| every.0 > lasts) {
            let lasts = Period(lasts);
            return Err(format!("they last {lasts}, less than `every` ({every}): say when, with `cron`"));
        }
        let this = Self::Within(Arc::new(self), hours);
        // But it has no holidays either.
        match this.next_after(now) {
            Some(_) => Ok(this),
            None => Err("the watch is never due within them".into()),
        }
    }

    /// The first slot after `time`; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron, zone) => cron
                .find_next_occurrence(&time.to_zoned(zone.clone()), false)
                .ok()
                .map(|next| next.timestamp()),
            Self::Every { every, phase_ms } => {
                let length = every.as_millis();
                let since = time.as_millisecond().checked_sub(*phase_ms)?;
                let next = since.div_euclid(length).checked_add(1)?.checked_mul(length)?;
                Timestamp::from_millisecond(next.checked_add(*phase_ms)?).ok()
            }
            Self::Within(slots, hours) => {
                let latest = time.checked_add(TWO_YEARS).ok()?;
                let mut slot = slots.next_after(time)?;
                while slot <= latest {
                    let session = hours.next_session(slot)?;
                    if session.opens <= slot {
                        return Some(slot);
                    }
                    // Over the night in one step.
                    slot = slots.next_from(session.opens)?;
                }
                None
            }
        }
    }

    /// The first slot at `time` or after it.
    fn next_from(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron, zone) => cron
                .find_next_occurrence(&time.to_zoned(zone.clone()), true)
                .ok()
                .map(|next| next.timestamp()),
            Self::Every { .. } | Self::Within(..) => {
                self.next_after(time.checked_sub(Duration::from_millis(1)).ok()?)
            }
        }
    }

    /// The next `count` slots after `time`.
    #[must_use]
    pub fn next(&self, time: Timestamp, count: usize) -> Vec<Timestamp> {
        successors(self.next_after(time), |slot| self.next_after(*slot)).take(count).collect()
    }

    /// When a watch that has never run is first due: at once for an interval, at its next slot otherwise.
    #[must_use]
    pub fn first_due(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(..) => self.next_after(now),
            Self::Every { .. } => Some(now),
            Self::Within(slots, hours) => {
                slots.first_due(now).filter(|due| hours.is_open(*due)).or_else(|| self.next_after(now))
            }
        }
    }

    /// The interval and its phase in milliseconds, where it is one.
    #[must_use]
    pub fn interval(&self) -> Option<(Period, i64)> {
        match self {
            Self::Cron(..) => None,
            Self::Every { every, phase_ms } => Some((*every, *phase_ms)),
            Self::Within(slots, _) => slots.interval(),
        }
    }

    /// The longest time that may lie between two slots around `now`.
    #[must_use]
    pub fn gap(&self, now: Timestamp) -> Duration {
        match self {
            Self::Every { every, .. } => every.0,
            Self::Cron(..) => self.longest(now, length),
            Self::Within(_, hours) => {
                let reopens = |session: &Session| hours.next_session(self.next_after(session.closes)?);
                let sessions = successors(hours.next_session(now), reopens).take(8);
                let closed = sessions.filter_map(|session| {
                    let slot = self.next_after(session.closes)?;
                    Some(length(session.closes, slot))
                });
                closed.max().unwrap_or_default().saturating_add(self.open_gap(now, hours))
            }
        }
    }

    /// For how long these hours may be open between two slots around `now`.
    #[must_use]
    pub fn open_gap(&self, now: Timestamp, hours: &Hours) -> Duration {
        match self {
            Self::Every { every, .. } => every.0,
            Self::Cron(..) | Self::Within(..) => self.longest(now, |a, b| hours.open_between(a, b)),
        }
    }

    fn longest(&self, now: Timestamp, between: impl Fn(Timestamp, Timestamp) -> Duration) -> Duration {
        let slots = self.next(now, 8);
        let gaps = slots.iter().zip(slots.iter().skip(1)).map(|(a, b)| between(*a, *b));
        gaps.max().unwrap_or(Duration::from_secs(86_400))
    }
}

fn length(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::at;

    fn slots(line: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let timetable = Timetable::cron(line, zone.clone()).unwrap();
        let next = timetable.next(at(from), count);
        next.iter().map(|slot| slot.to_zoned(zone.clone()).strftime("%d %H:%M %Z").to_string()).collect()
    }

    #[test]
    fn each_slot_comes_once_when_the_clocks_change() {
        let ny = "America/New_York";
        // 14 March 2027: 02:00 becomes 03:00; 7 November 2027: 02:00 becomes 01:00.
        assert_eq!(slots("30 2 * * *", ny, "2027-03-13T12:00:00Z", 2), ["14 03:00 EDT", "15 02:30 EDT"]);
        assert_eq!(slots("30 1 * * *", ny, "2027-11-06T12:00:00Z", 2), ["07 01:30 EDT", "08 01:30 EST"]);
        assert_eq!(slots("30 9 * * *", ny, "2027-03-13T12:00:00Z", 2), ["13 09:30 EST", "14 09:30 EDT"]);
        assert_eq!(
            slots("*/30 * * * *", ny, "2027-11-07T05:00:00Z", 4),
            ["07 01:30 EDT", "07 01:00 EST", "07 01:30 EST", "07 02:00 EST"]
        );
    }

    #[test]
    fn a_line_that_is_not_crontab_s_five_fields_is_explained() {
        for (line, said) in [
            ("0 */30 11-21 * * MON-FRI", "6 fields"),
            ("0/30 11-21 ? * MON-FRI *", "6 fields"),
            ("* * *", "3 fields"),
            ("61 * * * *", "not a crontab line"),
            ("0 0 31 2 *", "never comes due"),
            (", */2 * * *", "a comma has nothing before or after it"),
            ("0 9 * * 1,,2", "a comma has nothing before or after it"),
        ] {
            let error = Timetable::cron(line, TimeZone::UTC).expect_err(line);
            assert!(error.contains(said), "{error}");
        }
        assert!(Timetable::cron("0/30 11-21 * * MON-FRI", TimeZone::UTC).is_ok());
    }

    #[test]
    fn watches_of_one_interval_are_spread_over_it_and_keep_their_phase() {
        let minute = Period::from_secs(60);
        let mut seconds = std::collections::BTreeSet::new();
        for n in 0..200 {
            let timetable = Timetable::every(minute, &format!("watch-{n}")).unwrap();
            let first = timetable.next_after(at("2026-11-21T10:00:00Z")).unwrap();
            let second = timetable.next_after(first).unwrap();
            assert_eq!(second.duration_since(first).as_secs(), 60);
            seconds.insert(first.as_second() % 60);
        }
        assert!(seconds.len() > 50, "{}", seconds.len());
    }

    const NOW: &str = "2026-07-08T12:00:00Z";

    fn within(line: &str, hours: &str) -> Timetable {
        let zone = TimeZone::get("America/New_York").unwrap();
        let hours = Hours::parse(hours, &zone, &HashMap::new()).unwrap();
        Timetable::cron(line, zone).unwrap().within(Some(hours), at(NOW)).unwrap()
    }

    fn shown(timetable: &Timetable, from: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get("America/New_York").unwrap();
        let next = timetable.next(at(from), count);
        next.iter().map(|slot| slot.to_zoned(zone.clone()).strftime("%a %d %H:%M").to_string()).collect()
    }

    #[test]
    fn slots_outside_the_hours_do_not_come() {
        let half_hours = within("*/30 * * * *", "NYSE");
        // From an afternoon over Good Friday and the weekend; the slot at the close is the day's last.
        let slots = shown(&half_hours, "2026-04-02T19:29:59Z", 4);
        assert_eq!(slots, ["Thu 02 15:30", "Thu 02 16:00", "Mon 06 09:30", "Mon 06 10:00"]);
        // The day after Thanksgiving ends at one.
        let slots = shown(&half_hours, "2026-11-27T17:30:00Z", 2);
        assert_eq!(slots, ["Fri 27 13:00", "Mon 30 09:30"]);
        // New York's clocks changed on Sunday.
        assert_eq!(shown(&half_hours, "2026-03-06T21:00:00Z", 1), ["Mon 09 09:30"]);
        let nights = within("0 */2 * * *", "22:00-02:00 FRI,SAT");
        let slots = shown(&nights, "2026-07-10T12:00:00Z", 7);
        let weekend = ["Fri 10 22:00", "Sat 11 00:00", "Sat 11 02:00"];
        assert_eq!(slots[..3], weekend);
        assert_eq!(slots[3..], ["Sat 11 22:00", "Sun 12 00:00", "Sun 12 02:00", "Fri 17 22:00"]);
    }

    #[test]
    fn an_interval_goes_on_in_its_phase_when_the_hours_begin() {
        let nyse = Hours::parse("NYSE", &TimeZone::UTC, &HashMap::new()).unwrap();
        let all = Timetable::every(Period::from_secs(300), "quotes").unwrap();
        let open = all.clone().within(Some(nyse.clone()), at(NOW)).unwrap();
        let night = at("2026-07-10T20:00:01Z");
        let first = open.next_after(night).unwrap();
        assert!(first >= at("2026-07-13T13:30:00Z") && first < at("2026-07-13T13:35:00Z"), "{first}");
        assert_eq!(all.next_after(first.checked_sub(Duration::from_millis(1)).unwrap()), Some(first));
        // A new watch looks at once while it is open, and waits for the opening otherwise.
        assert_eq!(open.first_due(at("2026-07-10T15:00:00Z")), Some(at("2026-07-10T15:00:00Z")));
        assert_eq!(open.first_due(night), Some(first));
        // A weekend lies between two slots, but in open time no more than the interval.
        let weekend = Duration::from_secs((2 * 24 + 17) * 3_600 + 1_800);
        let gap = open.gap(at("2026-07-08T15:00:00Z"));
        assert!(gap >= weekend && gap <= weekend + Duration::from_secs(600), "{gap:?}");
        assert_eq!(open.open_gap(at("2026-07-10T19:45:00Z"), &nyse), Duration::from_secs(300));
    }

    #[test]
    fn hours_that_leave_no_slots_are_explained() {
        let hours = |text: &str| Some(Hours::parse(text, &TimeZone::UTC, &HashMap::new()).unwrap());
        let night = Timetable::cron("0 3 * * *", TimeZone::UTC).unwrap();
        assert_eq!(
            night.clone().within(hours("NYSE"), at(NOW)).unwrap_err(),
            "the watch is never due within them"
        );
        let new_year = Timetable::cron("0 10 1 1 *", TimeZone::get("America/New_York").unwrap()).unwrap();
        assert_eq!(
            new_year.within(hours("NYSE"), at(NOW)).unwrap_err(),
            "the watch is never due within them"
        );
        let daily = Timetable::every(Period::from_secs(86_400), "daily").unwrap();
        assert_eq!(
            daily.clone().within(hours("LSE"), at(NOW)).unwrap_err(),
            "they last 8 h 30 min, less than `every` (1 d): say when, with `cron`"
        );
        for always in [hours("crypto"), None] {
            assert!(matches!(night.clone().within(always.clone(), at(NOW)), Ok(Timetable::Cron(..))));
            assert!(matches!(daily.clone().within(always, at(NOW)), Ok(Timetable::Every { .. })));
        }
    }
}
