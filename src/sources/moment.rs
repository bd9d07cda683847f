//! Moments as services write them. Where a date can be read in two ways it is not read at all: `03/04/2026`
//! is in March in Boston and in April in London.

use jiff::{Timestamp, civil, tz::TimeZone};

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
    /// The moment that a text means: RFC 3339; a date with or without a time but without a zone, read as
    /// UTC; a date of HTTP; `27.03.2017`; `03/27/2017`; an epoch in digits.
    pub(super) fn read(text: &str, order: Order) -> Self {
        let text = text.trim();
        if text.len() > 64 {
            return Self::None;
        }
        if let Some(number) = digits(text) {
            return number;
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
    /// ahead, 1e11 milliseconds in 1973. A number too small to be a recent epoch is not sure to be one.
    pub(super) fn epoch(number: f64) -> Self {
        let size = number.abs();
        if !number.is_finite() {
            return Self::None;
        }
        if size == 0.0 || (1e8..1e11).contains(&size) {
            return seconds(number).map_or(Self::None, Self::Sure);
        }
        if size < 1e8 {
            return Self::Unsure(format!("`{number}` is hardly an epoch"));
        }
        let per_second = match size {
            _ if size < 1e14 => 1e3,
            _ if size < 1e17 => 1e6,
            _ => 1e9,
        };
        seconds(number / per_second).map_or(Self::None, Self::Sure)
    }

    /// The moment, where it is sure.
    pub(super) fn sure(self) -> Option<Timestamp> {
        match self {
            Self::Sure(moment) => Some(moment),
            _ => None,
        }
    }
}

/// The moment so many seconds after the epoch; `None` outside the calendar.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the calendar ends earlier")]
pub(super) fn seconds(epoch: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((epoch * 1_000.0).round() as i64).ok()
}

fn at(local: civil::DateTime) -> Moment {
    local.to_zoned(TimeZone::UTC).map_or(Moment::None, |zoned| Moment::Sure(zoned.timestamp()))
}

/// A text of digits is an epoch, or eight of them a date.
fn digits(text: &str) -> Option<Moment> {
    let number = text.strip_prefix('-').unwrap_or(text);
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || !number.chars().all(|c| c.is_ascii_digit() || c == '.')
        || number.matches('.').count() > 1
    {
        return None;
    }
    if text.len() == 8
        && let Ok(date) = civil::Date::strptime("%Y%m%d", text)
        && (1900..2200).contains(&date.year())
    {
        return Some(at(date.to_datetime(civil::Time::midnight())));
    }
    Some(text.parse().map_or(Moment::None, Moment::epoch))
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
            ["", "soon", "13/45/2017", "2017-02-30", "30.02.2017", "1.2", "1/2/3/4", "99/99/9999", "."]
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

    proptest::proptest! {
        /// No text at all makes it panic.
        #[test]
        fn any_text_is_read_or_not(text in "[-0-9./:TZ ]{0,24}|.{0,40}") {
            drop(Moment::read(&text, Order::Unknown));
            drop(Moment::read(&text, Order::MonthFirst));
        }
    }
}
