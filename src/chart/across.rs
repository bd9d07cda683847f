//! From moments to places from left to right. Bars stand side by side, so that nights, weekends and holidays
//! take no room; everything else lies where its time is.

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Places for moments, in pixels from the left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Across {
    left: f64,
    right: f64,
    by: By,
}

#[derive(Clone, Debug, PartialEq)]
enum By {
    /// Milliseconds since the epoch.
    Time { from: i64, until: i64 },
    /// When each bar opens, and how long one is, in milliseconds.
    Bars { opens: Vec<i64>, length: i64 },
}

/// A moment on the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) x: f64,
    pub(super) label: String,
}

impl Across {
    pub(super) fn of_time((left, right): (f64, f64), from: Timestamp, until: Timestamp) -> Self {
        let (from, until) = (from.as_millisecond(), until.as_millisecond());
        // A single moment stands in the middle of two hours.
        let air = if until > from { 0 } else { 3_600_000 };
        Self { left, right, by: By::Time { from: from - air, until: until.max(from) + air } }
    }

    pub(super) fn of_bars((left, right): (f64, f64), opens: Vec<i64>, length: i64) -> Self {
        Self { left, right, by: By::Bars { opens, length: length.max(1) } }
    }

    pub(super) const fn edges(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// Where a moment is: of one that lies before or after everything, the edge.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let at = at.as_millisecond();
        let part = match &self.by {
            By::Time { from, until } => (at as f64 - *from as f64) / (*until as f64 - *from as f64),
            By::Bars { opens, length } => {
                let begun = opens.partition_point(|open| *open <= at);
                let Some(open) = begun.checked_sub(1).and_then(|last| opens.get(last)) else {
                    return self.left;
                };
                let inside = ((at - open) as f64 / *length as f64).min(1.0);
                (begun as f64 - 1.0 + inside) / opens.len() as f64
            }
        };
        self.left + part.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// Where what is known of a bar stands, by when it opened: in its middle. Elsewhere as [`Across::x`].
    pub(super) fn middle(&self, at: Timestamp) -> f64 {
        match &self.by {
            By::Time { .. } => self.x(at),
            By::Bars { opens, .. } => {
                let begun = opens.partition_point(|open| *open <= at.as_millisecond());
                self.left + (begun as f64 - 0.5).max(0.0) * self.slot()
            }
        }
    }

    /// The room of one bar.
    pub(super) fn slot(&self) -> f64 {
        match &self.by {
            By::Time { .. } => 0.0,
            By::Bars { opens, .. } => (self.right - self.left) / opens.len().max(1) as f64,
        }
    }

    fn ends(&self) -> (i64, i64) {
        match &self.by {
            By::Time { from, until } => (*from, *until),
            By::Bars { opens, length } => {
                let first = opens.first().copied().unwrap_or_default();
                (first, opens.last().copied().unwrap_or_default().saturating_add(*length))
            }
        }
    }

    /// Round moments in a zone, as many as have room for a label of so many pixels each.
    pub(super) fn moments(&self, zone: &TimeZone, label_width: f64) -> Vec<Moment> {
        let (from, until) = self.ends();
        let room = ((self.right - self.left) / label_width).max(1.0);
        let span_minutes = (until.saturating_sub(from) as f64 / 60_000.0).max(1.0);
        // Nights and weekends take no room between bars, so that there may be more moments than places.
        let spare = if matches!(self.by, By::Bars { .. }) { 8.0 } else { 1.0 };
        for step in STEPS {
            if span_minutes / step.minutes() > room * spare {
                continue;
            }
            let found = self.places(step, zone, (from, until));
            if found.len() as f64 <= room {
                return apart(found, label_width);
            }
        }
        Vec::new()
    }

    /// Where the moments of a step are, one a place: the one that matters most.
    fn places(&self, step: Step, zone: &TimeZone, (from, until): (i64, i64)) -> Vec<(Rank, Moment)> {
        let mut found: Vec<(Rank, Moment)> = Vec::new();
        for at in step.moments(zone, from, until) {
            let local = zone.to_datetime(at);
            let (rank, label) = step.label(local);
            let x = self.x(at);
            let moment = Moment { x, label };
            match found.last_mut() {
                Some(last) if x - last.1.x < 1.0 => {
                    if rank >= last.0 {
                        *last = (rank, moment);
                    }
                }
                _ => found.push((rank, moment)),
            }
        }
        // What a first bar begins is only known where something lies before it.
        if matches!(self.by, By::Bars { .. }) && found.first().is_some_and(|(_, first)| first.x <= self.left)
        {
            found.remove(0);
        }
        found
    }
}

/// What begins at a moment, by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Time,
    Day,
    Month,
    Year,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Minutes(i64),
    Days(i64),
    Weeks,
    Months(i16),
    Years(i16),
}

const STEPS: [Step; 26] = [
    Step::Minutes(1),
    Step::Minutes(2),
    Step::Minutes(5),
    Step::Minutes(10),
    Step::Minutes(15),
    Step::Minutes(30),
    Step::Minutes(60),
    Step::Minutes(120),
    Step::Minutes(180),
    Step::Minutes(360),
    Step::Minutes(720),
    Step::Days(1),
    Step::Days(2),
    Step::Days(3),
    Step::Weeks,
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Years(1),
    Step::Years(2),
    Step::Years(5),
    Step::Years(10),
    Step::Years(50),
    Step::Years(200),
    Step::Years(1_000),
];

impl Step {
    fn minutes(self) -> f64 {
        match self {
            Self::Minutes(minutes) => minutes as f64,
            Self::Days(days) => days as f64 * 1_440.0,
            Self::Weeks => 7.0 * 1_440.0,
            Self::Months(months) => f64::from(months) * 30.4 * 1_440.0,
            Self::Years(years) => f64::from(years) * 365.25 * 1_440.0,
        }
    }

    fn label(self, local: DateTime) -> (Rank, String) {
        let midnight = local.time() == jiff::civil::Time::midnight();
        let first = midnight && local.day() == 1;
        if first && local.month() == 1 && !matches!(self, Self::Minutes(_)) {
            (Rank::Year, local.year().to_string())
        } else if matches!(self, Self::Months(_)) {
            (Rank::Month, local.strftime("%b").to_string())
        } else if midnight {
            (if first { Rank::Month } else { Rank::Day }, local.strftime("%-d %b").to_string())
        } else {
            (Rank::Time, local.strftime("%H:%M").to_string())
        }
    }

    /// The round moments of a stretch, a bounded number of them.
    fn moments(self, zone: &TimeZone, from: i64, until: i64) -> Vec<Timestamp> {
        const MOST: usize = 2_000;
        let moment = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
        let (from, until) = (moment(from), moment(until));
        let mut moments = Vec::new();
        let mut local = self.floor(zone.to_datetime(from));
        while moments.len() < MOST {
            let Ok(zoned) = local.to_zoned(zone.clone()) else { break };
            let at = zoned.timestamp();
            if at > until {
                break;
            }
            // An hour that summer time leaves out is told as the next one.
            if at >= from && zoned.datetime() == local {
                moments.push(at);
            }
            let Some(next) = self.next(local) else { break };
            local = next;
        }
        moments
    }

    fn floor(self, local: DateTime) -> DateTime {
        let date = local.date();
        let floored = match self {
            Self::Minutes(minutes) => {
                let now = i64::from(local.hour()) * 60 + i64::from(local.minute());
                return date
                    .to_datetime(jiff::civil::Time::midnight())
                    .checked_add((now - now.rem_euclid(minutes)).minutes())
                    .unwrap_or(local);
            }
            Self::Days(days) => {
                let odd = i64::from(date.day() - 1).rem_euclid(days);
                date.checked_sub(odd.days()).unwrap_or(date)
            }
            Self::Weeks => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(since_monday.days()).unwrap_or(date)
            }
            Self::Months(months) => {
                let month = i16::from(date.month()) - 1;
                let month = month - month.rem_euclid(months) + 1;
                Date::new(date.year(), i8::try_from(month).unwrap_or(1), 1).unwrap_or(date)
            }
            Self::Years(years) => {
                Date::new(date.year() - date.year().rem_euclid(years), 1, 1).unwrap_or(date)
            }
        };
        floored.to_datetime(jiff::civil::Time::midnight())
    }

    fn next(self, local: DateTime) -> Option<DateTime> {
        let step = match self {
            Self::Minutes(minutes) => minutes.minutes(),
            Self::Days(days) => {
                // Every other day counts from the first of the month, so that months begin with a label.
                let next = local.checked_add(days.days()).ok()?;
                return Some(if next.month() == local.month() {
                    next
                } else {
                    next.date().first_of_month().into()
                });
            }
            Self::Weeks => 7.days(),
            Self::Months(months) => months.months(),
            Self::Years(years) => years.years(),
        };
        local.checked_add(step).ok()
    }
}

/// Those whose labels do not touch; the weightier ones stay.
fn apart(found: Vec<(Rank, Moment)>, label_width: f64) -> Vec<Moment> {
    let mut order: Vec<&(Rank, Moment)> = found.iter().collect();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.x.total_cmp(&b.1.x)));
    let mut kept: Vec<Moment> = Vec::new();
    for (_, moment) in order {
        if kept.iter().all(|other| (other.x - moment.x).abs() >= label_width * 0.8) {
            kept.push(moment.clone());
        }
    }
    kept.sort_by(|a, b| a.x.total_cmp(&b.x));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn labels(from: &str, until: &str, zone: &str, width: f64) -> Vec<String> {
        let across = Across::of_time((0.0, width), at(from), at(until));
        let moments = across.moments(&TimeZone::get(zone).unwrap(), 60.0);
        moments.into_iter().map(|moment| moment.label).collect()
    }

    #[test]
    fn round_moments_are_told_in_the_zone_of_the_chart() {
        for (from, until, zone, expected) in [
            ("2026-11-20T09:07:00Z", "2026-11-20T09:28:00Z", "UTC", vec!["09:10", "09:15", "09:20", "09:25"]),
            (
                "2026-11-20T21:00:00Z",
                "2026-11-21T06:00:00Z",
                "UTC",
                vec!["22:00", "21 Nov", "02:00", "04:00", "06:00"],
            ),
            (
                "2026-11-20T21:00:00Z",
                "2026-11-21T06:00:00Z",
                "America/New_York",
                vec!["16:00", "18:00", "20:00", "22:00", "21 Nov"],
            ),
            (
                "2026-11-19T00:00:00Z",
                "2026-12-18T00:00:00Z",
                "UTC",
                vec!["23 Nov", "30 Nov", "7 Dec", "14 Dec"],
            ),
            ("2026-09-19T00:00:00Z", "2027-02-18T00:00:00Z", "UTC", vec!["Oct", "Nov", "Dec", "2027", "Feb"]),
            (
                "2017-01-02T00:00:00Z",
                "2022-05-09T00:00:00Z",
                "UTC",
                vec!["2018", "2019", "2020", "2021", "2022"],
            ),
        ] {
            assert_eq!(labels(from, until, zone, 360.0), expected, "{from} {until} {zone}");
        }
    }

    #[test]
    fn the_hour_that_summer_time_leaves_out_has_no_label() {
        let told = labels("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z", "Europe/Berlin", 400.0);
        assert_eq!(told, ["01:00", "03:00", "04:00", "05:00"]);
    }

    #[test]
    fn bars_stand_side_by_side_over_a_night() {
        let day = |text: &'static str| (0..13).map(move |n| at(text).as_millisecond() + n * 1_800_000);
        let opens: Vec<i64> = day("2026-11-19T14:30:00Z").chain(day("2026-11-20T14:30:00Z")).collect();
        let across = Across::of_bars((0.0, 260.0), opens, 1_800_000);
        assert_eq!(across.x(at("2026-11-19T21:00:00Z")), 130.0);
        assert_eq!(across.x(at("2026-11-20T03:00:00Z")), 130.0, "the night has no room");
        assert_eq!(across.x(at("2026-11-20T14:45:00Z")), 135.0);
        assert_eq!(across.middle(at("2026-11-20T14:30:00Z")), 135.0);
        let labels: Vec<String> =
            across.moments(&TimeZone::UTC, 50.0).into_iter().map(|moment| moment.label).collect();
        assert_eq!(labels, ["18:00", "20 Nov", "18:00"]);
    }

    #[test]
    fn labels_never_touch() {
        for days in [0, 1, 3, 8, 40, 100, 400, 4_000, 400_000] {
            let from = at("2026-10-29T23:17:03Z");
            let until = from.checked_add((days * 24 + 5).hours()).unwrap();
            for width in [120.0, 300.0, 760.0, 1_900.0] {
                let across = Across::of_time((0.0, width), from, until);
                let moments = across.moments(&TimeZone::get("Asia/Kolkata").unwrap(), 60.0);
                assert!(width < 150.0 || days > 10_000 || moments.len() >= 2, "{days} {width}: {moments:?}");
                assert!(moments.windows(2).all(|two| two[1].x - two[0].x >= 48.0), "{days} {width}");
            }
        }
    }
}
