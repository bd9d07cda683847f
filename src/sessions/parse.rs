//! Hours as they are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::exchanges::named;
use super::{ALWAYS_OPEN, AdHoc, Hours, NAMED, Opening, Week};
use crate::model::or_known;

const EXAMPLE: &str = "\"09:30-16:00 MON-FRI America/New_York\"";
const WEEKDAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

impl Hours {
    /// Reads a name of [`NAMED`], or hours, days and perhaps a zone: `09:30-16:00 MON-FRI
    /// America/New_York`. Days are written as crontab writes them. Hours may cross midnight, and then
    /// belong to the day they begin on. Without a zone they are in `zone`.
    ///
    /// # Errors
    /// A sentence with an example, or with the nearest known name.
    pub fn parse(text: &str, zone: &TimeZone, ad_hoc: &HashMap<String, AdHoc>) -> Result<Self, String> {
        let text = text.trim();
        if text == ALWAYS_OPEN {
            return Ok(Self(Opening::Always));
        }
        if let Some(exchange) = named(text) {
            let week = ad_hoc.get(text).map_or_else(|| Arc::clone(exchange), |days| days.added_to(exchange));
            return Ok(Self(Opening::Week(week)));
        }
        if !text.contains(char::is_whitespace) && !text.contains(':') {
            let hint = match NAMED.iter().find(|name| name.eq_ignore_ascii_case(text)) {
                Some(name) => format!("; did you mean `{name}`?"),
                None => or_known(text, NAMED.iter().copied()),
            };
            return Err(format!("`{text}` is neither the name of hours nor hours like {EXAMPLE}{hint}"));
        }
        let week = week(text, zone)?;
        let never_closes = week.opens == Time::midnight()
            && week.closes == Time::midnight()
            && week.weekdays.iter().all(|open| *open);
        Ok(Self(if never_closes { Opening::Always } else { Opening::Week(Arc::new(week)) }))
    }
}

impl AdHoc {
    /// Whether these are days of an exchange that is known, within its hours.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let Some(exchange) = named(name) else {
            return Err(format!("there is no exchange of this name{}", or_known(name, super::exchanges())));
        };
        match self.early_close.iter().find(|(_, time)| !(exchange.opens..exchange.closes).contains(time)) {
            None => Ok(()),
            Some((day, time)) => Err(format!(
                "early_close: {} on {day} is not within {}-{}",
                shown(*time),
                shown(exchange.opens),
                shown(exchange.closes)
            )),
        }
    }

    fn added_to(&self, exchange: &Week) -> Arc<Week> {
        let mut week = exchange.clone();
        week.closed.extend(&self.extra_closed);
        week.early_close.extend(&self.early_close);
        Arc::new(week)
    }
}

/// Reads a list of days.
pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Date>, D::Error> {
    let days = Vec::<String>::deserialize(deserializer)?;
    days.iter().map(|text| day(text).map_err(D::Error::custom)).collect()
}

/// Reads a table of days, each with a time.
pub(super) fn closes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Date, Time>, D::Error> {
    let days = BTreeMap::<String, String>::deserialize(deserializer)?;
    let close = |(text, at): (&String, &String)| {
        let time = time(at).ok_or_else(|| format!("`{at}` is not a time; write it like \"13:00\""))?;
        Ok((day(text)?, time))
    };
    days.iter().map(close).collect::<Result<_, String>>().map_err(D::Error::custom)
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day; write it like \"2026-12-24\""))
}

/// Reads hours, days and perhaps a zone; without one they are in `zone`.
pub(super) fn week(text: &str, zone: &TimeZone) -> Result<Week, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (hours, days, zone) = match *words {
        [hours, days] => (hours, days, zone.clone()),
        [hours, days, name] => {
            let wrong = |_| format!("`{name}` is no time zone; write it like \"Europe/Warsaw\" or \"UTC\"");
            (hours, days, TimeZone::get(name).map_err(wrong)?)
        }
        [_] => return Err(format!("`{text}` has no days; write it like {EXAMPLE}")),
        _ => return Err(format!("`{text}` is not hours, days and a zone; write it like {EXAMPLE}")),
    };
    let wrong = || format!("`{hours}` is not a range of hours; write it like {EXAMPLE}");
    let (opens, closes) = hours.split_once('-').ok_or_else(wrong)?;
    let opens = time(opens).ok_or_else(wrong)?;
    let until_midnight = closes == "24:00";
    let closes = if until_midnight { Time::midnight() } else { time(closes).ok_or_else(wrong)? };
    if opens == closes && !until_midnight {
        return Err(format!("`{hours}` ends when it begins; a whole day is \"00:00-24:00\""));
    }
    Ok(Week {
        zone,
        weekdays: weekdays(days)?,
        opens,
        closes,
        closes_next_day: closes <= opens,
        closed: BTreeSet::<Date>::new(),
        early_close: BTreeMap::new(),
    })
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()).then_some(())?;
        text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        text.parse::<i8>().ok()
    };
    (minute.len() == 2).then_some(())?;
    Time::new(number(hour, 2)?, number(minute, 2)?, 0, 0).ok()
}

fn shown(time: Time) -> impl std::fmt::Display {
    time.strftime("%H:%M")
}

/// Reads `MON-FRI`, `MON,WED`, `FRI-MON`, `*`; days may be numbers too, as in crontab.
fn weekdays(text: &str) -> Result<[bool; 7], String> {
    let wrong = || format!("`{text}` are not days; write them like \"MON-FRI\", \"MON,WED\" or \"SUN\"");
    if text == "*" {
        return Ok([true; 7]);
    }
    let mut weekdays = [false; 7];
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (weekday(first).ok_or_else(wrong)?, weekday(last).ok_or_else(wrong)?);
        for (day, open) in weekdays.iter_mut().enumerate() {
            // A range may go over the end of the week.
            *open |= if first <= last { (first..=last).contains(&day) } else { day >= first || day <= last };
        }
    }
    Ok(weekdays)
}

/// Which day of the week, from Monday on.
fn weekday(text: &str) -> Option<usize> {
    // Crontab counts from Sunday, which is 0 or 7.
    let number = text.parse::<usize>().ok().filter(|number| *number <= 7).map(|number| (number + 6) % 7);
    number.or_else(|| WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hours_is_explained() {
        for (text, said) in [
            ("", "known: `NYSE`"),
            ("NYES", "did you mean `NYSE`?"),
            ("nasdaq", "did you mean `NASDAQ`?"),
            ("Tokyo", "known: `NYSE`"),
            ("Tokyo", "\"09:30-16:00 MON-FRI America/New_York\""),
            ("09:30-16:00", "has no days"),
            ("09:30 16:00", "`09:30` is not a range of hours"),
            ("MON-FRI 09:30-16:00", "`MON-FRI` is not a range of hours"),
            ("9:3-16:00 MON-FRI", "`9:3-16:00` is not a range of hours"),
            ("24:00-08:00 MON-FRI", "is not a range of hours"),
            ("09:30-25:00 MON-FRI", "is not a range of hours"),
            ("09:00-09:00 MON-FRI", "a whole day is \"00:00-24:00\""),
            ("09:30-16:00 MON-FRY", "`MON-FRY` are not days"),
            ("09:30-16:00 8", "`8` are not days"),
            ("09:30-16:00 MON,", "are not days"),
            ("09:30-16:00 MON-FRI New_York", "`New_York` is no time zone"),
            ("09:30-16:00 MON - FRI UTC", "is not hours, days and a zone"),
        ] {
            let error = Hours::parse(text, &TimeZone::UTC, &HashMap::new()).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn days_are_read_as_crontab_reads_them() {
        for (text, days) in [
            ("MON-FRI", "1111100"),
            ("1-5", "1111100"),
            ("mon,Wed", "1010000"),
            ("SUN", "0000001"),
            ("0", "0000001"),
            ("7", "0000001"),
            ("FRI-MON", "1000111"),
            ("SUN-THU", "1111001"),
            ("*", "1111111"),
        ] {
            let read = weekdays(text).unwrap().map(|open| if open { '1' } else { '0' });
            assert_eq!(read.iter().collect::<String>(), days, "{text}");
        }
    }

    #[test]
    fn ad_hoc_days_must_be_of_an_exchange_and_within_its_hours() {
        let early = |time: &str| -> AdHoc {
            toml::from_str(&format!("early_close = {{ \"2026-07-02\" = \"{time}\" }}")).unwrap()
        };
        assert_eq!(early("13:00").check("NYSE"), Ok(()));
        let error = early("17:00").check("NYSE").unwrap_err();
        assert_eq!(error, "early_close: 17:00 on 2026-07-02 is not within 09:30-16:00");
        assert!(early("13:00").check("NYES").unwrap_err().contains("did you mean `NYSE`?"));
        assert!(early("13:00").check("crypto").unwrap_err().contains("known: `NYSE`, `NASDAQ`"));
    }
}
