//! Moments as services write them. Where a date can be read in two ways it is not read at all: `03/04/2026`
//! is in March in Boston and in April in London.

use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{Timestamp, civil};

use crate::http::http_date;

/// What a text or a number says that should be one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Moment {
    /// It can be read in one way only.
    Sure(Timestamp),
    /// It is a moment, and which one is not sure; says why.
    Unsure(String),
    /// It is none.
    None,
}

/// Which of two numbers before a year is the month, where a service always writes it so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As Americans write.
    MonthFirst,
    /// Nobody knows.
    Unknown,
}

impl Moment {
    /// The moment that a text means: RFC 3339; a date and a time with a zone in brackets; a date with or
    /// without a time but without a zone, read as UTC; a date of HTTP; `27.03.2017`; `03/27/2017`;
    /// `20170327`; an epoch in digits.
    pub(super) fn read(text: &str, order: Order) -> Self {
        let text = text.trim();
        if text.len() > 64 {
            return Self::None;
        }
        if let Some(number) = digits(text) {
            return number;
        }
        // What would read the rest would leave the zone out.
        if text.contains('[') {
            return IN_A_ZONE.parse_zoned(text).map_or(Self::None, |zoned| Self::Sure(zoned.timestamp()));
        }
        if let Ok(moment) = text.parse() {
            return Self::Sure(moment);
        }
        if let Ok(local) = text.parse::<civil::DateTime>() {
            return at(local);
        }
        http_date(text).map_or_else(|| in_numbers(text, order), Self::Sure)
    }

    /// The moment that an epoch means, its unit told by its size: 1e11 seconds lie three thousand years
    /// ahead, 1e11 milliseconds in 1973. What is no epoch of our time may be a date in digits; else it is
    /// not sure to be a moment at all. Zero is written where there is none.
    pub(super) fn epoch(number: f64) -> Self {
        if !number.is_finite() || number == 0.0 {
            return Self::None;
        }
        let per_second = match number.abs() {
            size if size < 1e11 => 1.0,
            size if size < 1e14 => 1e3,
            size if size < 1e17 => 1e6,
            _ => 1e9,
        };
        let epoch = number / per_second;
        if let Some(date) = in_a_row(&number.to_string()) {
            return at(date);
        }
        match seconds(epoch) {
            Some(moment) if OUR_TIME.contains(&epoch) => Self::Sure(moment),
            Some(_) => Self::Unsure(format!("`{number}` is hardly an epoch")),
            None => Self::None,
        }
    }

    /// The moment, where it is sure.
    pub(super) fn sure(self) -> Option<Timestamp> {
        match self {
            Self::Sure(moment) => Some(moment),
            _ => None,
        }
    }
}

/// A time that a zone has twice or not at all, when its clocks change, can be two moments.
const IN_A_ZONE: DateTimeParser = DateTimeParser::new().disambiguation(Disambiguation::Reject);

/// In seconds, from 1990 until 2200. No number of eight, twelve or fourteen digits that is a date is such an
/// epoch too.
const OUR_TIME: std::ops::Range<f64> = 631_152_000.0..7_258_118_400.0;

/// The moment so many seconds after the epoch; `None` outside the calendar.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the calendar ends earlier")]
pub(super) fn seconds(epoch: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((epoch * 1_000.0).round() as i64).ok()
}

fn at(local: civil::DateTime) -> Moment {
    local.to_zoned(TimeZone::UTC).map_or(Moment::None, |zoned| Moment::Sure(zoned.timestamp()))
}

/// A text of digits is an epoch or a date.
fn digits(text: &str) -> Option<Moment> {
    let number = text.strip_prefix('-').unwrap_or(text);
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || !number.chars().all(|c| c.is_ascii_digit() || c == '.')
        || number.matches('.').count() > 1
    {
        return None;
    }
    Some(text.parse().map_or(Moment::None, Moment::epoch))
}

/// The date that eight digits say, or with its time twelve or fourteen.
fn in_a_row(digits: &str) -> Option<civil::DateTime> {
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let midnight = format!("{digits:0<14}");
    let date = civil::DateTime::strptime("%Y%m%d%H%M%S", midnight).ok()?;
    (1900..2200).contains(&date.year()).then_some(date)
}

/// `03/27/2017`, `27.03.2017`, `2017/03/27`, with or without a time behind it.
fn in_numbers(text: &str, order: Order) -> Moment {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let Some(mark) = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '.' | '-'))
    else {
        return Moment::None;
    };
    let parts: Vec<&str> = date.split(mark).collect();
    let [first, second, third] = parts[..] else { return Moment::None };
    let is_number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if ![first, second, third].iter().all(is_number) {
        return Moment::None;
    }
    let time = match time.trim() {
        "" => civil::Time::midnight(),
        time => match time.parse() {
            Ok(time) => time,
            Err(_) => return Moment::None,
        },
    };
    let on = |year: &str, month: &str, day: &str| {
        civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
    };
    let sure = |date: Option<civil::Date>| date.map_or(Moment::None, |date| at(date.to_datetime(time)));
    if first.len() == 4 {
        return sure(on(first, second, third));
    }
    if third.len() != 4 {
        return Moment::None;
    }
    // Dots are written where the day comes first.
    let (day_first, month_first) = (on(third, second, first), on(third, first, second));
    match (mark, order) {
        ('.', _) => sure(day_first),
        (_, Order::MonthFirst) => sure(month_first),
        (_, Order::Unknown) => match (day_first, month_first) {
            (Some(one), Some(other)) if one != other => {
                Moment::Unsure(format!("`{text}` can be {one} or {other}"))
            }
            (one, other) => sure(one.or(other)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_however_it_is_written() {
        for text in [
            "2017-03-27T00:00:00.000",
            "2017-03-27",
            "03/27/2017",
            "27/03/2017",
            "27.03.2017",
            "27.3.2017",
            "2017/03/27",
            "20170327",
            "201703270000",
            "20170327000000",
            "2017-03-26T20:00:00[America/New_York]",
            "2017-03-26T20:00:00-04:00[America/New_York]",
            "03/27/2017 00:00:00",
            "2017-03-27T00:00:00Z",
            "2017-03-27 00:00:00",
            "2017-03-26T20:00:00-04:00",
            "Mon, 27 Mar 2017 00:00:00 GMT",
            "Monday, 27-Mar-17 00:00:00 GMT",
            "Mon Mar 27 00:00:00 2017",
            "1490572800",
            "1490572800.0",
            "1490572800000",
            "1490572800000000",
            "1490572800000000000",
        ] {
            let moment = Moment::read(text, Order::Unknown).sure();
            assert_eq!(moment.expect(text).to_string(), "2017-03-27T00:00:00Z", "{text}");
        }
        for text in
            ["", "soon", "13/45/2017", "2017-02-30", "30.02.2017", "1.2", "1/2/3/4", "99/99/9999", ".", "0"]
        {
            assert_eq!(Moment::read(text, Order::Unknown).sure(), None, "{text}");
        }
        assert_eq!(Moment::epoch(f64::MAX), Moment::None);
        assert_eq!(Moment::epoch(f64::NAN), Moment::None);
    }

    #[test]
    fn a_date_that_can_be_two_is_neither_unless_the_service_always_writes_it_so() {
        let unsure = Moment::Unsure("`03/04/2026` can be 2026-04-03 or 2026-03-04".into());
        assert_eq!(Moment::read("03/04/2026", Order::Unknown), unsure);
        let sure = Moment::read("03/04/2026", Order::MonthFirst).sure().expect("a date");
        assert_eq!(sure.to_string(), "2026-03-04T00:00:00Z");
        assert_eq!(Moment::read("27/03/2026", Order::MonthFirst), Moment::None);
        let same = Moment::read("04/04/2026", Order::Unknown).sure().expect("a date");
        assert_eq!(same.to_string(), "2026-04-04T00:00:00Z");
        assert!(matches!(Moment::read("2017", Order::Unknown), Moment::Unsure(_)));
    }

    #[test]
    fn what_is_no_epoch_of_our_time_is_a_date_in_digits_or_not_sure() {
        let date = "2026-11-21T10:00:00Z".parse().map(Moment::Sure).expect("a date");
        assert_eq!(Moment::epoch(20_261_121_100_000.0), date);
        assert_eq!(Moment::epoch(202_611_211_000.0), date);
        assert_eq!(Moment::read("202611211000", Order::Unknown), date);
        for text in ["20261321", "20261121250000", "202611219900", "-86400", "631151999", "7258118400", "1e3"]
        {
            let number = text.parse().expect("a number");
            assert!(matches!(Moment::epoch(number), Moment::Unsure(_)), "{text}");
        }
        assert_eq!(Moment::epoch(0.0), Moment::None);
    }

    #[test]
    fn a_zone_in_brackets_is_heeded_or_the_moment_is_not_read() {
        let read = |text| Moment::read(text, Order::Unknown).sure().map(|moment| moment.to_string());
        let moment = Some("2026-11-21T15:00:00Z".to_owned());
        assert_eq!(read("2026-11-21T10:00:00[America/New_York]"), moment);
        // Twice a night, never, nowhere, and at odds with itself.
        for text in [
            "2026-11-01T01:30:00[America/New_York]",
            "2026-03-08T02:30:00[America/New_York]",
            "2026-11-21T10:00:00[Mars/Olympus]",
            "2026-11-21T10:00:00+02:00[America/New_York]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        /// No text at all makes it panic.
        #[test]
        fn any_text_is_read_or_not(text in "[-0-9./:TZ ]{0,24}|.{0,40}") {
            drop(Moment::read(&text, Order::Unknown));
            drop(Moment::read(&text, Order::MonthFirst));
        }
    }
}
