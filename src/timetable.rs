//! When a watch is due: crontab's five fields in a zone, or every so often. The only module that names
//! the cron library.

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Period;

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
        }
    }

    /// The next `count` slots after `time`.
    #[must_use]
    pub fn next(&self, time: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(time), |slot| self.next_after(*slot)).take(count).collect()
    }

    /// When a watch that has never run is first due: at once for an interval, at its next slot otherwise.
    #[must_use]
    pub fn first_due(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(..) => self.next_after(now),
            Self::Every { .. } => Some(now),
        }
    }

    /// The longest time that may lie between two slots around `now`.
    #[must_use]
    pub fn gap(&self, now: Timestamp) -> Duration {
        match self {
            Self::Every { every, .. } => every.0,
            Self::Cron(..) => {
                let slots = self.next(now, 8);
                slots
                    .iter()
                    .zip(slots.iter().skip(1))
                    .filter_map(|(a, b)| Duration::try_from(b.duration_since(*a)).ok())
                    .max()
                    .unwrap_or(Duration::from_secs(86_400))
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
}
