//! Rows of a market made into what candles promise: closed, oldest first, one per bar, finite.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use super::moment;
use super::number::Number;
use crate::model::{Candle, Interval, Observation, Reading};
use crate::plugin::{Seen, Span};

/// The length of a bar, refused where the service has no such bars.
pub(super) fn interval<'de, D: Deserializer<'de>>(
    deserializer: D,
    service: &str,
    minutes: &[u32],
) -> Result<Interval, D::Error> {
    let interval = Interval::deserialize(deserializer)?;
    if minutes.contains(&interval.minutes()) {
        return Ok(interval);
    }
    let known: Vec<String> =
        minutes.iter().filter_map(|m| Interval::from_minutes(*m)).map(|known| known.to_string()).collect();
    Err(de::Error::custom(format!(
        "{service} has no bars of {interval}; it has those of {}",
        known.join(", ")
    )))
}

/// A bar that opened so many seconds after the epoch; `None` when one of its prices is missing. No
/// volume is a volume of zero.
pub(super) fn candle(opened: Number, prices: [Number; 4], volume: Number) -> Option<Candle> {
    let [open, high, low, close] = prices;
    Some(Candle {
        open_time: moment::seconds(opened.0?)?,
        open: open.0?,
        high: high.0?,
        low: low.0?,
        close: close.0?,
        volume: volume.0.unwrap_or(0.0),
    })
}

/// Keeps the bars that have ended, each at the start of its interval. A bar ends one interval after the
/// service says it opened, which is not always where the interval's grid has it: Kraken's weeks begin on
/// Thursdays.
pub(super) fn closed(mut candles: Vec<Candle>, interval: Interval, now: Timestamp) -> Vec<Candle> {
    candles.retain(|candle| candle.open_time.checked_add(interval.duration()).is_ok_and(|end| end <= now));
    for candle in &mut candles {
        candle.open_time = interval.floor(candle.open_time);
    }
    in_order(candles)
}

/// Oldest first; of several with one time the last counts.
pub(super) fn in_order(mut candles: Vec<Candle>) -> Vec<Candle> {
    candles.sort_by_key(|candle| candle.open_time);
    candles.dedup_by(|later, kept| {
        let same = later.open_time == kept.open_time;
        if same {
            *kept = *later;
        }
        same
    });
    candles
}

/// What was seen when these are the closed bars: nothing when there are none.
pub(super) fn seen(
    subject: &str,
    url: Option<String>,
    interval: Interval,
    candles: Vec<Candle>,
    now: Timestamp,
) -> Seen {
    if candles.is_empty() {
        return Seen::default();
    }
    Seen::some(vec![Observation {
        subject: subject.to_owned(),
        observed_at: now,
        url,
        reading: Reading::Candles { interval, candles },
        evidence: Vec::new(),
    }])
}

/// The bars that a gap in a series of prices is filled with.
pub(super) fn minute() -> Interval {
    Interval::from_minutes(1).expect("one is not zero")
}

/// The pages in which the bars of a stretch can be had, none with more than `most` of them: each from the
/// second in which its first bar opens to the second after its last one ends.
pub(super) fn pages(gap: &Span, interval: Interval, most: u32) -> Vec<(i64, i64)> {
    let length = interval.seconds();
    let until = interval.floor(gap.until).as_second().saturating_add(length);
    let page = length.saturating_mul(i64::from(most.max(1)));
    let next = |from: &i64| Some(from.saturating_add(page));
    std::iter::successors(Some(interval.floor(gap.from).as_second()), next)
        .take_while(|from| *from < until)
        .map(|from| (from, from.saturating_add(page).min(until)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn bar(opened: &str, close: f64) -> Candle {
        let n = Number(Some(close));
        let mut candle = candle(Number(Some(0.0)), [n, n, n, n], Number(None)).expect("a bar");
        candle.open_time = at(opened);
        candle
    }

    #[test]
    fn only_closed_bars_stay_oldest_first_and_the_last_of_a_kind_counts() {
        let hour = Interval::from_minutes(60).expect("an hour");
        let bars = vec![
            bar("2026-11-20T12:30:00Z", 4.0),
            bar("2026-11-20T11:30:00Z", 3.0),
            bar("2026-11-20T10:30:00Z", 1.0),
            bar("2026-11-20T10:30:00Z", 2.0),
        ];
        let kept = closed(bars, hour, at("2026-11-20T12:30:00Z"));
        assert_eq!(kept, [bar("2026-11-20T10:00:00Z", 2.0), bar("2026-11-20T11:00:00Z", 3.0)]);
    }

    #[test]
    fn a_stretch_is_asked_for_in_pages_of_whole_bars() {
        let gap = Span { from: at("2026-11-20T10:07:00Z"), until: at("2026-11-20T11:30:00Z") };
        let half_hour = Interval::from_minutes(30).expect("half an hour");
        let (ten, minutes) = (at("2026-11-20T10:00:00Z").as_second(), |n: i64| n * 60);
        assert_eq!(pages(&gap, half_hour, 1_000), [(ten, ten + minutes(120))]);
        assert_eq!(
            pages(&gap, half_hour, 3),
            [(ten, ten + minutes(90)), (ten + minutes(90), ten + minutes(120))]
        );
        assert_eq!(pages(&gap, minute(), 60).len(), 2);
        assert_eq!(pages(&Span { from: gap.until, until: gap.from }, minute(), 60), []);
    }

    #[test]
    fn a_bar_without_a_price_is_none() {
        let (some, none) = (Number(Some(1.0)), Number(None));
        assert!(candle(some, [some, none, some, some], some).is_none());
        assert!(candle(none, [some; 4], some).is_none());
        assert_eq!(candle(some, [some; 4], none).map(|candle| candle.volume), Some(0.0));
    }
}
