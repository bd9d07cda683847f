//! The turns of phrase that strategies share.

use std::time::Duration;

use jiff::{Timestamp, civil::Time, tz::TimeZone};

use crate::model::{Candle, Interval, Observation, Period, Reading, Reason, plain, shown};
use crate::plugin::{News, Source, Story, Words};

/// How many lines of a kind a message holds, and how many names a title.
const LINES: usize = 50;
const NAMES: usize = 10;
const SENTENCES: usize = 3;

/// A message of one sentence and one line for each piece of news; the note of what was found when
/// there is none.
pub(super) fn told(
    story: &Story<'_>,
    sentence: impl Fn(&News<'_>) -> String,
    line: impl Fn(&News<'_>) -> String,
) -> Words {
    if story.news.is_empty() {
        return announcement(story);
    }
    let mut title = story.news.iter().take(SENTENCES).map(sentence).collect::<Vec<_>>().join("; ");
    if story.news.len() > SENTENCES {
        title.push_str(&format!("; and {} more", story.news.len() - SENTENCES));
    }
    Words { title, body: lines(story.news.iter().map(line)), url: first_url(story) }
}

/// What was found when a watch first ran, for the policy that tells it.
pub(super) fn announcement(story: &Story<'_>) -> Words {
    let what = match story.signals {
        [only] => story.source.describe(&only.subject),
        several => format!("{} subjects", several.len()),
    };
    Words {
        title: format!("{}: watching {what}", story.watch),
        body: lines(story.signals.iter().map(|signal| signal.summary.clone())),
        url: None,
    }
}

/// Where to look at the first piece of news that says where.
pub(super) fn first_url(story: &Story<'_>) -> Option<String> {
    story.news.iter().find_map(|news| news.signal.url.clone())
}

/// Lines, as many as a person reads, without empty ones.
pub(super) fn lines(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES);
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// `AAPL`, `AAPL and MSFT`, `AAPL, MSFT and TSLA`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        several if several.len() > NAMES => {
            let (first, rest) = several.split_at(NAMES);
            format!("{} and {} more", first.join(", "), rest.len())
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 item`, `2 items`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// How long the news has been so.
pub(super) fn lasted(story: &Story<'_>, news: &News<'_>) -> Period {
    Period(Duration::try_from(story.now.duration_since(news.since)).unwrap_or_default())
}

/// What to call what was seen: a product by its name, everything else as the source says.
pub(super) fn name(source: &dyn Source, seen: &Observation) -> String {
    match &seen.reading {
        Reading::Listing(listing) if !listing.name.is_empty() => listing.name.clone(),
        _ => source.describe(&seen.subject),
    }
}

/// The sentences of strategies that trade: `time to buy AAPL and MSFT; time to sell TSLA`.
pub(super) fn trade(story: &Story<'_>, buy: &str, sell: &str) -> Words {
    if story.news.is_empty() {
        return announcement(story);
    }
    let subjects = |state: &str, reminder: bool| {
        let matching =
            |news: &&News<'_>| news.signal.state == state && (news.reason == Reason::Reminder) == reminder;
        let going_on = story.news.iter().filter(|news| news.reason != Reason::Resolved);
        list(&going_on.filter(matching).map(|news| news.signal.subject.as_str()).collect::<Vec<_>>())
    };
    let over: Vec<&str> = story
        .news
        .iter()
        .filter(|news| news.reason == Reason::Resolved)
        .map(|news| news.signal.subject.as_str())
        .collect();
    let title = [
        ("time to buy", subjects(buy, false)),
        ("time to sell", subjects(sell, false)),
        ("still time to buy", subjects(buy, true)),
        ("still time to sell", subjects(sell, true)),
        ("time is over for", list(&over)),
    ]
    .iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(verb, names)| format!("{verb} {names}"))
    .collect::<Vec<_>>()
    .join("; ");
    let body = lines(story.news.iter().map(|news| news.signal.summary.clone()));
    Words { title, body, url: first_url(story) }
}

/// `last close 182.31 at 2026-11-20 15:30 EST`; bars of a day and longer by their date.
pub(super) fn last_close(candle: &Candle, interval: Interval, zone: &TimeZone) -> String {
    let close = shown(candle.close);
    if interval.seconds() >= 86_400 {
        let day = candle.open_time.to_zoned(TimeZone::UTC).date();
        return format!("last close {close} of {day}");
    }
    format!("last close {close} at {}", minute(closed_at(candle, interval), zone))
}

/// What an explanation says of a subject that the run did not see.
pub(super) fn unseen() -> Vec<String> {
    vec!["it was not seen, so nothing can be said of it".into()]
}

/// `273 bars of 30m up to 2026-11-20T15:30:00Z, last close 189.20`.
pub(super) fn bars_seen(candles: &[Candle], interval: Interval) -> String {
    let number = count(candles.len(), "bar");
    match candles.last() {
        None => format!("{number} of {interval}"),
        Some(last) => {
            let end = closed_at(last, interval);
            format!("{number} of {interval} up to {end:.0}, last close {}", shown(last.close))
        }
    }
}

/// What was looked at: `price 189.20 of 2026-11-20T15:30:00Z`; bars as [`bars_seen`].
pub(super) fn number_seen(seen: &Observation, word: &str, number: Option<f64>) -> String {
    match (&seen.reading, number) {
        (Reading::Candles { interval, candles }, _) => bars_seen(candles, *interval),
        (_, Some(number)) => format!("{word} {} of {:.0}", shown(number), seen.observed_at),
        (_, None) => format!("no {word} at {:.0}", seen.observed_at),
    }
}

/// What the hysteresis did: nothing, or it holds on to what was settled on. `found` and `state` are
/// without and with it; `over` is where it lets go.
pub(super) fn held(
    hysteresis: f64,
    before: Option<&str>,
    (found, state): (&str, &str),
    over: &str,
) -> Option<String> {
    let before = before.map_or("nothing".into(), |before| format!("`{before}`"));
    let said = if found == state {
        format!("{before} was settled on before, so that changes nothing")
    } else {
        format!("{before} was settled on before, and lasts until {over} → {state}")
    };
    (hysteresis > 0.0).then(|| format!("hysteresis {}: {said}", plain(hysteresis)))
}

/// When a bar closed.
pub(super) fn closed_at(candle: &Candle, interval: Interval) -> Timestamp {
    candle.open_time.saturating_add(interval.duration()).unwrap_or(candle.open_time)
}

/// `2026-11-20 15:30 EST`.
pub(super) fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// The date alone for a value that is dated by the day, else with the time of day.
pub(super) fn date(time: Timestamp, zone: &TimeZone) -> String {
    [&TimeZone::UTC, zone]
        .into_iter()
        .map(|zone| time.to_zoned(zone.clone()))
        .find(|zoned| zoned.time() == Time::midnight())
        .map_or_else(|| minute(time, zone), |midnight| midnight.date().to_string())
}

/// `1 hour`, `15 minutes`, `24 hours`, `7 days`.
pub(super) fn span(period: Period) -> String {
    let (number, unit) = units(period);
    number.map_or_else(|| period.to_string(), |number| count(number, unit))
}

/// `last hour`, `last 15 minutes`, `last 24 hours`.
pub(super) fn last(period: Period) -> String {
    match units(period) {
        (Some(1), unit) => format!("last {unit}"),
        _ => format!("last {}", span(period)),
    }
}

/// The largest unit that measures a period in whole numbers, except that one day is 24 hours.
fn units(period: Period) -> (Option<usize>, &'static str) {
    let seconds = period.0.as_secs();
    [(86_400, 2, "day"), (3_600, 1, "hour"), (60, 1, "minute"), (1, 1, "second")]
        .into_iter()
        .find(|(size, at_least, _)| seconds.is_multiple_of(*size) && seconds / size >= *at_least)
        .filter(|(size, _, _)| seconds / size < 1_000)
        .map_or((None, ""), |(size, _, unit)| (usize::try_from(seconds / size).ok(), unit))
}

/// A percentage without its sign: `5.2`, `12`, `0.04`.
pub(super) fn percent(value: f64) -> String {
    let value = value.abs();
    let text = if value < 0.1 { format!("{value:.2}") } else { format!("{value:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number beside the limit that it has passed, with as many decimals as it takes to tell them apart.
pub(super) fn beside(value: f64, limit: f64) -> String {
    (1..6)
        .map(|decimals| format!("{value:.decimals$}"))
        .find(|text| value == limit || text.parse() != Ok(limit))
        .unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn spans_are_named_as_people_name_them() {
        for (text, of, in_the_last) in [
            ("1h", "1 hour", "last hour"),
            ("15m", "15 minutes", "last 15 minutes"),
            ("24h", "24 hours", "last 24 hours"),
            ("1d", "24 hours", "last 24 hours"),
            ("7d", "7 days", "last 7 days"),
            ("1h 30m", "90 minutes", "last 90 minutes"),
            ("30s", "30 seconds", "last 30 seconds"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((span(period), last(period)), (of.into(), in_the_last.into()), "{text}");
        }
    }

    #[test]
    fn names_are_listed_with_commas_and_an_and() {
        assert_eq!(list(&["AAPL"]), "AAPL");
        assert_eq!(list(&["AAPL", "MSFT"]), "AAPL and MSFT");
        assert_eq!(list(&["AAPL", "MSFT", "TSLA"]), "AAPL, MSFT and TSLA");
        assert_eq!(list(&["A"; 12]), "A, A, A, A, A, A, A, A, A, A and 2 more");
    }

    #[test]
    fn a_day_s_value_is_dated_by_the_day() {
        let new_york = TimeZone::get("America/New_York").unwrap();
        for (time, shown) in [
            ("2026-11-16T00:00:00Z", "2026-11-16"),
            ("2026-11-16T05:00:00Z", "2026-11-16"),
            ("2026-11-20T20:30:00Z", "2026-11-20 15:30 EST"),
        ] {
            assert_eq!(date(at(time), &new_york), shown);
        }
    }

    #[test]
    fn small_differences_stay_visible() {
        for (value, limit, shown) in [(18.23, 20.0, "18.2"), (19.97, 20.0, "19.97"), (20.0, 20.0, "20.0")] {
            assert_eq!(beside(value, limit), shown);
        }
        for (value, shown) in [(5.2, "5.2"), (5.0, "5"), (-1.42, "1.4"), (0.042, "0.04"), (10.0, "10")] {
            assert_eq!(percent(value), shown);
        }
    }
}
