//! The hours in which a market, or a watch, is open: an exchange by its name, with its holidays and half
//! days, or hours written out. `exchanges.toml` is the calendar of the exchanges, and
//! `check_calendars.py` holds it to another one, day by day.

mod exchanges;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::written_as;

/// What `hours` may be by name.
pub const NAMED: &[&str] = &["NYSE", "NASDAQ", "LSE", "XETRA", "crypto"];

/// The one of them that is open always, and no exchange.
const ALWAYS_OPEN: &str = "crypto";

/// The exchanges that are known.
pub fn exchanges() -> impl Iterator<Item = &'static str> + Clone {
    NAMED.iter().copied().filter(|name| *name != ALWAYS_OPEN)
}

/// So many days without a session are taken for the end of them.
const TWO_YEARS_OF_DAYS: u16 = 731;

/// Hours in which something is open. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours(Opening);

#[derive(Clone, Debug, PartialEq)]
enum Opening {
    Always,
    Week(Arc<Week>),
}

/// The same hours on some days of every week, but for days that are named.
#[derive(Clone, Debug, PartialEq)]
struct Week {
    zone: TimeZone,
    /// From Monday on.
    weekdays: [bool; 7],
    opens: Time,
    closes: Time,
    /// Whether it closes on the day after the one that it opens on.
    closes_next_day: bool,
    closed: BTreeSet<Date>,
    early_close: BTreeMap<Date, Time>,
}

/// Days that an exchange announced late, from `[hours.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdHoc {
    /// Days on which it does not open, in its own zone.
    #[serde(deserialize_with = "parse::days")]
    #[schemars(with = "Vec<Day>")]
    pub extra_closed: BTreeSet<Date>,
    /// Days on which it closes earlier, each with the time in its own zone.
    #[serde(deserialize_with = "parse::closes")]
    #[schemars(with = "BTreeMap<Day, TimeOfDay>")]
    pub early_close: BTreeMap<Date, Time>,
}

enum Day {}
written_as!(Day, "day", r"^\d{4}-\d{2}-\d{2}$", ["2026-12-24"]);

enum TimeOfDay {}
written_as!(TimeOfDay, "time", r"^\d{1,2}:\d{2}$", ["13:00"]);

/// From an opening to the close after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The first moment.
    pub opens: Timestamp,
    /// The last moment.
    pub closes: Timestamp,
}

impl Hours {
    /// Whether it is open. The moment of the close belongs to the session: a look at it sees the last bar.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.next_session(at).is_some_and(|session| session.opens <= at)
    }

    /// The session that `at` lies in, else the next one; `None` when two years have none.
    #[must_use]
    pub fn next_session(&self, at: Timestamp) -> Option<Session> {
        match &self.0 {
            Opening::Always => Some(Session { opens: Timestamp::MIN, closes: Timestamp::MAX }),
            Opening::Week(week) => week.sessions_from(at).next(),
        }
    }

    /// For how long it is open between two moments; zero when the second is not after the first.
    #[must_use]
    pub fn open_between(&self, from: Timestamp, until: Timestamp) -> Duration {
        match &self.0 {
            Opening::Always => length(from, until),
            Opening::Week(week) => week
                .sessions_from(from)
                .take_while(|session| session.opens < until)
                .map(|session| length(session.opens.max(from), session.closes.min(until)))
                .sum(),
        }
    }

    /// The first moment by which it has been open for so long since `from`; `None` when that never comes.
    #[must_use]
    pub fn open_for(&self, from: Timestamp, mut so_long: Duration) -> Option<Timestamp> {
        let Opening::Week(week) = &self.0 else { return from.checked_add(so_long).ok() };
        for session in week.sessions_from(from) {
            let begins = session.opens.max(from);
            match so_long.checked_sub(length(begins, session.closes)) {
                Some(left) if !left.is_zero() => so_long = left,
                _ => return begins.checked_add(so_long).ok(),
            }
        }
        None
    }

    /// Whether it never closes.
    #[must_use]
    pub const fn always_open(&self) -> bool {
        matches!(self.0, Opening::Always)
    }
}

impl Week {
    /// The sessions from the one that `time` lies in on, or from the next one. They end where two years
    /// have none.
    fn sessions_from(&self, time: Timestamp) -> impl Iterator<Item = Session> + '_ {
        let today = self.zone.to_datetime(time).date();
        // Yesterday's may go on until today.
        let first = today.yesterday().unwrap_or(today);
        successors(Some(first), |day| day.tomorrow().ok())
            .scan(0, |days_without, day| {
                let session = self.session_of(day);
                *days_without = if session.is_some() { 0 } else { *days_without + 1 };
                (*days_without <= TWO_YEARS_OF_DAYS).then_some(session)
            })
            .flatten()
            .skip_while(move |session| session.closes < time)
    }

    /// The session that begins on a day.
    fn session_of(&self, day: Date) -> Option<Session> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !*self.weekdays.get(weekday)? || self.closed.contains(&day) {
            return None;
        }
        let day_after = |next: bool| if next { day.tomorrow().ok() } else { Some(day) };
        let mut closes = day_after(self.closes_next_day)?.to_datetime(self.closes);
        if let Some(early) = self.early_close.get(&day) {
            let past_midnight = self.closes_next_day && *early <= self.opens;
            closes = closes.min(day_after(past_midnight)?.to_datetime(*early));
        }
        let opens = self.zone.to_timestamp(day.to_datetime(self.opens)).ok()?;
        let closes = self.zone.to_timestamp(closes).ok()?;
        (opens < closes).then_some(Session { opens, closes })
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

    fn hours(text: &str) -> Hours {
        Hours::parse(text, &TimeZone::UTC, &HashMap::new()).unwrap()
    }

    /// The session at or after a moment, in the zone.
    fn session(hours: &Hours, time: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let session = hours.next_session(at(time)).unwrap();
        let shown = |time: Timestamp, form| time.to_zoned(zone.clone()).strftime(form).to_string();
        format!("{}-{}", shown(session.opens, "%a %F %H:%M"), shown(session.closes, "%H:%M"))
    }

    fn open_hours(hours: &Hours, from: &str, until: &str) -> f64 {
        hours.open_between(at(from), at(until)).as_secs_f64() / 3_600.0
    }

    #[test]
    fn the_opening_and_the_close_belong_to_the_session() {
        let nyse = hours("NYSE");
        for (time, open) in [
            ("2026-07-06T13:29:59Z", false),
            ("2026-07-06T13:30:00Z", true),
            ("2026-07-06T20:00:00Z", true),
            ("2026-07-06T20:00:01Z", false),
        ] {
            assert_eq!(nyse.is_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn exchanges_keep_their_holidays_and_half_days() {
        let (new_york, london, berlin) = ("America/New_York", "Europe/London", "Europe/Berlin");
        for (name, time, zone, next) in [
            // Independence Day on a Saturday is kept on the Friday, without a half day before it.
            ("NYSE", "2026-07-02T20:00:01Z", new_york, "Mon 2026-07-06 09:30-16:00"),
            ("NYSE", "2025-07-03T12:00:00Z", new_york, "Thu 2025-07-03 09:30-13:00"),
            ("NASDAQ", "2026-11-26T12:00:00Z", new_york, "Fri 2026-11-27 09:30-13:00"),
            // Closed for a day of mourning.
            ("NYSE", "2025-01-08T22:00:00Z", new_york, "Fri 2025-01-10 09:30-16:00"),
            // New Year's Day of 2028 is a Saturday, and the Friday before it is an ordinary day.
            ("NYSE", "2027-12-31T12:00:00Z", new_york, "Fri 2027-12-31 09:30-16:00"),
            ("LSE", "2026-12-24T07:00:00Z", london, "Thu 2026-12-24 08:00-12:30"),
            ("LSE", "2026-12-24T12:30:01Z", london, "Tue 2026-12-29 08:00-16:30"),
            ("LSE", "2022-09-17T12:00:00Z", london, "Tue 2022-09-20 08:00-16:30"),
            ("XETRA", "2026-12-23T18:00:00Z", berlin, "Mon 2026-12-28 09:00-17:30"),
            ("XETRA", "2026-12-30T07:00:00Z", berlin, "Wed 2026-12-30 09:00-14:00"),
            ("XETRA", "2026-12-30T13:00:01Z", berlin, "Mon 2027-01-04 09:00-17:30"),
            // Nobody knows the holidays of 2040: Christmas is an ordinary Tuesday.
            ("XETRA", "2040-12-25T00:00:00Z", berlin, "Tue 2040-12-25 09:00-17:30"),
        ] {
            assert_eq!(session(&hours(name), time, zone), next, "{name} {time}");
        }
    }

    #[test]
    fn a_session_keeps_its_local_hours_when_the_clocks_change() {
        let utc = |hours: &Hours, time: &str| session(hours, time, "UTC");
        let nyse = hours("NYSE");
        // New York changes on 8 March and 1 November 2026, Berlin on 29 March and 25 October.
        assert_eq!(utc(&nyse, "2026-03-06T12:00:00Z"), "Fri 2026-03-06 14:30-21:00");
        assert_eq!(utc(&nyse, "2026-03-09T12:00:00Z"), "Mon 2026-03-09 13:30-20:00");
        assert_eq!(utc(&nyse, "2026-10-30T12:00:00Z"), "Fri 2026-10-30 13:30-20:00");
        assert_eq!(utc(&nyse, "2026-11-02T12:00:00Z"), "Mon 2026-11-02 14:30-21:00");
        let xetra = hours("XETRA");
        assert_eq!(utc(&xetra, "2026-03-27T06:00:00Z"), "Fri 2026-03-27 08:00-16:30");
        assert_eq!(utc(&xetra, "2026-03-30T06:00:00Z"), "Mon 2026-03-30 07:00-15:30");
        assert_eq!(utc(&xetra, "2026-10-23T06:00:00Z"), "Fri 2026-10-23 07:00-15:30");
        assert_eq!(utc(&xetra, "2026-10-26T06:00:00Z"), "Mon 2026-10-26 08:00-16:30");
        // A whole Sunday is an hour shorter in spring and an hour longer in autumn.
        let sunday = hours("00:00-24:00 SUN Europe/Berlin");
        assert_eq!(open_hours(&sunday, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"), 23.0);
        assert_eq!(open_hours(&sunday, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"), 25.0);
        // One that lies in the hour that is skipped does not come.
        let skipped = hours("02:00-03:00 SUN Europe/Berlin");
        assert_eq!(session(&skipped, "2026-03-28T00:00:00Z", "Europe/Berlin"), "Sun 2026-04-05 02:00-03:00");
    }

    #[test]
    fn hours_across_midnight_belong_to_the_day_they_begin_on() {
        let futures = hours("18:00-17:00 SUN-THU America/New_York");
        let is_open = |time: &str| futures.is_open(at(&format!("{time}[America/New_York]")));
        for (time, open) in [
            ("2026-07-12T17:59:00-04:00", false),
            ("2026-07-12T18:00:00-04:00", true),
            ("2026-07-13T03:00:00-04:00", true),
            ("2026-07-13T17:30:00-04:00", false),
            // Friday has what began on Thursday, and nothing of its own.
            ("2026-07-17T16:59:00-04:00", true),
            ("2026-07-17T18:30:00-04:00", false),
        ] {
            assert_eq!(is_open(time), open, "{time}");
        }
        assert_eq!(open_hours(&futures, "2026-07-12T00:00:00Z", "2026-07-19T00:00:00Z"), 5.0 * 23.0);
    }

    #[test]
    fn days_may_be_listed_and_the_zone_may_be_the_watch_s_own() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let hours = Hours::parse("9:00-12:00 mon,wed,FRI-sun", &tokyo, &HashMap::new()).unwrap();
        let mut days = Vec::new();
        let mut time = at("2026-07-06T03:00:01Z");
        while let Some(session) = hours.next_session(time).filter(|_| days.len() < 5) {
            days.push(session.opens.to_zoned(tokyo.clone()).strftime("%a %H").to_string());
            time = session.closes.checked_add(Duration::from_secs(1)).unwrap();
        }
        assert_eq!(days, ["Wed 09", "Fri 09", "Sat 09", "Sun 09", "Mon 09"]);
    }

    #[test]
    fn only_open_time_counts() {
        let nyse = hours("NYSE");
        // From Thursday at three over Good Friday and the weekend until Monday at half past ten.
        assert_eq!(open_hours(&nyse, "2026-04-02T19:00:00Z", "2026-04-06T14:30:00Z"), 2.0);
        // Thanksgiving: half of Wednesday's last hour, nothing on Thursday, a short Friday.
        assert_eq!(open_hours(&nyse, "2026-11-25T20:30:00Z", "2026-11-30T00:00:00Z"), 4.0);
        assert_eq!(open_hours(&nyse, "2026-04-03T00:00:00Z", "2026-04-06T13:30:00Z"), 0.0);
        assert_eq!(open_hours(&nyse, "2026-04-06T14:30:00Z", "2026-04-02T19:00:00Z"), 0.0);
        assert_eq!(open_hours(&hours("crypto"), "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z"), 72.0);
        // 2025 had 250 days on which the exchange traded, three of them short.
        assert_eq!(
            open_hours(&nyse, "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            247.0 * 6.5 + 3.0 * 3.5
        );
    }

    #[test]
    fn it_is_known_by_when_it_will_have_been_open_for_so_long() {
        let nyse = hours("NYSE");
        let hour = Duration::from_secs(3_600);
        let thursday = at("2026-04-02T19:00:00Z");
        assert_eq!(nyse.open_for(thursday, hour), Some(at("2026-04-02T20:00:00Z")));
        assert_eq!(nyse.open_for(thursday, hour * 2), Some(at("2026-04-06T14:30:00Z")));
        assert_eq!(
            nyse.open_for(at("2026-04-03T12:00:00Z"), Duration::ZERO),
            Some(at("2026-04-06T13:30:00Z"))
        );
        assert_eq!(hours("crypto").open_for(thursday, hour), Some(at("2026-04-02T20:00:00Z")));
    }

    #[test]
    fn days_announced_late_come_from_the_configuration() {
        let toml = "extra_closed = [\"2026-07-06\"]\nearly_close = { \"2026-07-07\" = \"13:00\" }";
        let known = HashMap::from([("LSE".to_owned(), toml::from_str::<AdHoc>(toml).unwrap())]);
        let lse = Hours::parse("LSE", &TimeZone::UTC, &known).unwrap();
        let next = |hours: &Hours| session(hours, "2026-07-05T00:00:00Z", "Europe/London");
        assert_eq!(next(&lse), "Tue 2026-07-07 08:00-13:00");
        assert_eq!(
            next(&Hours::parse("XETRA", &TimeZone::UTC, &known).unwrap()),
            "Mon 2026-07-06 08:00-16:30"
        );
        assert_eq!(next(&hours("LSE")), "Mon 2026-07-06 08:00-16:30");
    }

    #[test]
    fn what_has_no_day_within_two_years_has_no_next_session() {
        let days = successors(Some(jiff::civil::date(2020, 1, 1)), |day| day.tomorrow().ok()).take(5_000);
        let known = HashMap::from([(
            "NYSE".to_owned(),
            AdHoc { extra_closed: days.collect(), early_close: BTreeMap::new() },
        )]);
        let nyse = Hours::parse("NYSE", &TimeZone::UTC, &known).unwrap();
        assert_eq!(nyse.next_session(at("2021-01-01T00:00:00Z")), None);
        assert_eq!(nyse.open_for(at("2021-01-01T00:00:00Z"), Duration::ZERO), None);
        assert!(nyse.next_session(at("2032-12-01T00:00:00Z")).is_some());
        assert!(!nyse.always_open());
    }

    #[test]
    fn what_never_closes_is_always_open() {
        for text in ["crypto", "00:00-24:00 MON-SUN", "00:00-24:00 * Asia/Tokyo"] {
            assert!(hours(text).always_open(), "{text}");
            assert!(hours(text).is_open(at("2026-12-25T03:00:00Z")), "{text}");
        }
        assert!(!hours("00:00-24:00 MON-SAT").always_open());
    }
}
