//! Fires when the newest price is lower than the one it is compared with. Each date is judged once: a
//! value that is revised later is never news.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{Field, History, NUMBERS};
use super::{checked, words};
use crate::model::{
    Observation, Period, Place, Plot, PolicyDefaults, Reading, ReadingKind, Reason, Signal, SignalState,
    Track, money, plain, shown,
};
use crate::plugin::{EvaluateError, Lookback, News, Plugin, Story, Strategy, View, Words};

/// How many bars it looks at for the lowest.
const BARS: usize = 300;

/// Fires when a new price is lower than the one it is compared with, by any amount or by at least so much. Each dated
/// price is judged once. Ends with the next price that is not lower.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct PriceDrop {
    /// What the newest price is compared with.
    baseline: Baseline,
    /// Only a price that is at least so much lower, in the price's own unit.
    #[schemars(extend("exclusiveMinimum" = 0))]
    by: Option<f64>,
    /// Only a price that is at least so many percent lower; with `by`, both must be so.
    #[schemars(extend("exclusiveMinimum" = 0))]
    by_percent: Option<f64>,
    /// How far back `lowest` and `last_alert` look.
    window: Period,
}

/// What the newest price is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Baseline {
    /// The price before it.
    Previous,
    /// The lowest price of the window before it.
    Lowest,
    /// The price that was last told; until one was, the first that was known.
    LastAlert,
}

impl Default for PriceDrop {
    fn default() -> Self {
        // As long as observations are kept unless the configuration says otherwise.
        let window = Period::from_secs(400 * 86_400);
        Self { baseline: Baseline::Previous, by: None, by_percent: None, window }
    }
}

checked!(PriceDrop, |drop| {
    for (key, by) in [("by", drop.by), ("by_percent", drop.by_percent)] {
        if by.is_some_and(|by| !(by.is_finite() && by > 0.0)) {
            return Err(format!("`{key}` must be more than 0"));
        }
    }
    Ok(())
});

/// A price and since when it was so.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at: Timestamp,
    price: f64,
}

/// The price of comparison, and what to call it.
struct Compared {
    price: f64,
    from: String,
}

/// What is judged of one subject.
struct Fall<'a> {
    newest: Point,
    compared: Option<Compared>,
    /// How much lower the newest price is; negative where it is higher.
    drop: f64,
    /// The date of the newest price, and the one that was judged last.
    occasion: Occasion,
    judged: Option<Occasion>,
    known: Option<&'a SignalState>,
    /// `week of ` where dates are best called so.
    week: &'static str,
}

impl Fall<'_> {
    /// An old answer: the service took its newest date back, or a mirror lags.
    fn is_old(&self) -> bool {
        self.judged.is_some_and(|judged| judged > self.occasion)
    }

    /// What was settled on for this very date.
    fn settled(&self) -> Option<&SignalState> {
        self.known.filter(|_| self.judged == Some(self.occasion))
    }
}

/// A price of a subject as it is written there.
fn amount(seen: &Observation, price: f64) -> String {
    match &seen.reading {
        Reading::Listing(listing) => money(price, listing.price_currency.as_deref()),
        _ => shown(price),
    }
}

impl PriceDrop {
    fn fall<'a>(&self, history: &History<'_>, view: &View<'a>) -> Option<Fall<'a>> {
        let known = view.known.get(&history.newest.subject);
        let points = points(history, view.now);
        let (newest, before) = points.split_last()?;
        let occasion = Occasion::new(newest.at);
        let judged = known.and_then(|known| Occasion::of(&known.fingerprint));
        let week = if is_weekly(history, &points, view.now) { "week of " } else { "" };
        let when = |at| format!("{week}{}", words::date(at, view.zone));
        let compared = self.compared(before, known, when);
        let drop = compared.as_ref().map_or(0.0, |compared| compared.price - newest.price);
        Some(Fall { newest: *newest, compared, drop, occasion, judged, known, week })
    }

    /// Whether the newest price is news, had nothing been settled on for its date.
    fn fell(&self, fall: &Fall<'_>) -> bool {
        fall.compared.as_ref().is_some_and(|compared| self.is_drop(fall.drop, compared.price))
    }

    fn signal(&self, history: &History<'_>, view: &View<'_>) -> Option<Signal> {
        let seen = history.newest;
        let fall = self.fall(history, view).filter(|fall| !fall.is_old())?;
        let fell = self.fell(&fall);
        let signal = match fall.settled() {
            Some(known) => Signal::event(&seen.subject, &known.state, known.firing, &known.fingerprint),
            None if fell => Signal::event(&seen.subject, "fell", true, format!("fell@{}", fall.occasion)),
            None => Signal::event(&seen.subject, "not_fell", false, format!("at@{}", fall.occasion)),
        };
        let Fall { newest, compared, drop, week, .. } = fall;
        let amount = |price| amount(seen, price);
        let verb = if signal.firing { "fell to" } else { "is at" };
        let summary = format!("{} {verb} {}", words::name(view.source, seen), amount(newest.price));
        let detail = compared.filter(|_| drop > 0.0).map(|Compared { price, from }| {
            let (before, less) = (amount(price), amount(drop));
            let percent = match price {
                0.0 => String::new(),
                _ => format!(" ({} %)", words::percent(drop / price.abs() * 100.0)),
            };
            format!("from {before} ({from}) by {less}{percent}, {week}{}", words::date(newest.at, view.zone))
        });
        let detail = detail.unwrap_or_default();
        Some(signal.summary(summary).detail(detail).value(newest.price).url(seen.url.clone()))
    }

    fn compared(
        &self,
        before: &[Point],
        known: Option<&SignalState>,
        when: impl Fn(Timestamp) -> String,
    ) -> Option<Compared> {
        let dated = |point: &Point, word: &str| {
            let from = format!("{word}{}", when(point.at));
            Compared { price: point.price, from }
        };
        match self.baseline {
            Baseline::Previous => before.last().map(|point| dated(point, "")),
            Baseline::Lowest => {
                let lowest = before.iter().min_by(|a, b| a.price.total_cmp(&b.price));
                lowest.map(|point| dated(point, "the lowest until then, "))
            }
            Baseline::LastAlert => {
                let known = known?;
                if let Some(price) = known.last_told_value {
                    return Some(Compared { price, from: "when last told".into() });
                }
                // Until something was told, the state is the one it was first seen in.
                let first = before.iter().rfind(|point| point.at <= known.since).or(before.first());
                first
                    .map(|point| dated(point, ""))
                    .or_else(|| known.value.map(|price| Compared { price, from: "when last seen".into() }))
            }
        }
    }

    fn is_drop(&self, drop: f64, from: f64) -> bool {
        // A tiny allowance, because 3.52 - 3.47 is not quite 0.05 in binary.
        let reaches = |drop: f64, by: Option<f64>| by.is_none_or(|by| drop >= by - from.abs() * 1e-12);
        let percent = drop / from.abs() * 100.0;
        drop > 0.0 && reaches(drop, self.by) && self.by_percent.is_none_or(|by| percent >= by * (1.0 - 1e-9))
    }
}

/// Every price that is known, one a date, oldest first; this run's word on a date wins. Prices without
/// dates of their own are dated by when they were first seen, so that neighbours that are equal are one.
fn points(history: &History<'_>, now: Timestamp) -> Vec<Point> {
    let price = |reading: &Reading| Field::Price.of(reading);
    if let Reading::Candles { candles, .. } = &history.newest.reading {
        let points = candles.iter().map(|bar| Point { at: bar.open_time, price: bar.close });
        return points.filter(|point| point.price.is_finite()).collect();
    }
    if price(&history.newest.reading).is_none() {
        return vec![];
    }
    let current = history.others.iter().copied().chain([history.newest]);
    let earlier = history.earlier.iter().map(|past| &past.observation);
    let mut points: Vec<Point> = earlier
        .chain(current)
        .filter_map(|seen| Some(Point { at: seen.observed_at, price: price(&seen.reading)? }))
        .collect();
    // Stable, so that of one date the current one stays last.
    points.sort_by_key(|point| point.at);
    let dated = history.is_dated(now);
    let mut kept: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        match kept.last_mut() {
            Some(last) if last.at == point.at => *last = point,
            Some(last) if !dated && last.price == point.price => {}
            _ => kept.push(point),
        }
    }
    kept
}

/// Whether a dated series has one value a week, so that its dates are best called weeks.
fn is_weekly(history: &History<'_>, points: &[Point], now: Timestamp) -> bool {
    const WEEK: i64 = 7 * 86_400;
    let has_dates = history.is_dated(now) || history.newest.reading.kind() == ReadingKind::Candles;
    // An hour more or less, where the dates are midnights of a zone with summer time.
    matches!(points, [.., last, newest] if has_dates
        && (newest.at.duration_since(last.at).as_secs() - WEEK).abs() <= 3_600)
}

/// The date that a fingerprint names, to the second: the day alone where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Occasion(Timestamp);

impl Occasion {
    fn new(at: Timestamp) -> Self {
        // Whole seconds, because a stored time may have lost its fractions.
        Self(Timestamp::from_second(at.as_second()).unwrap_or(at))
    }

    fn of(fingerprint: &str) -> Option<Self> {
        let (_, date) = fingerprint.split_once('@')?;
        let day = || date.parse::<civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok();
        date.parse().ok().or_else(|| day().map(|midnight| midnight.timestamp())).map(Self)
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zoned = self.0.to_zoned(TimeZone::UTC);
        if zoned.time() == civil::Time::midnight() { zoned.date().fmt(f) } else { self.0.fmt(f) }
    }
}

impl Plugin for PriceDrop {
    const KIND: &'static str = "price_drop";
    const ABOUT: &'static str =
        "a price or a value fell: below the one before, the lowest, or the last one told";
    const EXAMPLE: &'static str = "baseline = \"previous\"\nby_percent = 1";
    const POLICY: PolicyDefaults = PolicyDefaults::QUIET;
}

impl Strategy for PriceDrop {
    fn reads(&self) -> &'static [ReadingKind] {
        NUMBERS
    }

    fn lookback(&self) -> Lookback {
        match self.baseline {
            // This price, the one before, and one to spare.
            Baseline::Previous => Lookback { bars: 10, observations: 3, ..Lookback::default() },
            Baseline::Lowest | Baseline::LastAlert => {
                Lookback { bars: BARS, observations: 3, span: Some(self.window.0), ..Lookback::default() }
            }
        }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        Ok(History::all(view).iter().filter_map(|history| self.signal(history, view)).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(history) = History::of(view, subject) else { return words::unseen() };
        let seen = history.newest;
        let number = Field::Price.of(&seen.reading);
        let looked = words::number_seen(seen, Field::Price.word(&seen.reading), number);
        let Some(fall) = self.fall(&history, view) else { return vec![looked] };
        let at = words::date(fall.newest.at, view.zone);
        let mut steps = vec![
            looked,
            format!("the newest price is {} of {}{at}", amount(seen, fall.newest.price), fall.week),
        ];
        if fall.is_old() {
            steps.push("a later date was judged before: an old answer, nothing is said".into());
            return steps;
        }
        let baseline = match self.baseline {
            Baseline::Previous => "previous",
            Baseline::Lowest => "lowest",
            Baseline::LastAlert => "last_alert",
        };
        steps.push(match &fall.compared {
            None => format!("baseline {baseline}: there is none yet"),
            Some(Compared { price, from }) if fall.drop > 0.0 => {
                let percent = words::percent(fall.drop / price.abs() * 100.0);
                let less = amount(seen, fall.drop);
                format!("baseline {baseline}: {} ({from}); {less} lower ({percent} %)", amount(seen, *price))
            }
            Some(Compared { price, from }) => {
                format!("baseline {baseline}: {} ({from}); not lower", amount(seen, *price))
            }
        });
        let wanted = [("by", self.by), ("by_percent", self.by_percent)];
        let wanted: Vec<String> =
            wanted.iter().filter_map(|(key, by)| Some(format!("{key} {}", plain((*by)?)))).collect();
        let wanted = if wanted.is_empty() { "any amount lower".into() } else { wanted.join(", ") };
        let found = if self.fell(&fall) { "fell" } else { "not_fell" };
        steps.push(match fall.settled() {
            Some(known) => format!("{at} was judged before, and each date is judged once → {}", known.state),
            None => format!("{wanted} → {found}"),
        });
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let points: Vec<Point> = match track {
            Track::Candles { candles, .. } => {
                let points = candles.iter().map(|bar| Point { at: bar.open_time, price: bar.close });
                points.filter(|point| point.price.is_finite()).collect()
            }
            Track::Values(values) => {
                values.iter().map(|(at, price)| Point { at: *at, price: *price }).collect()
            }
        };
        let name = match self.baseline {
            Baseline::Previous => "before",
            Baseline::Lowest => "lowest before",
            // It depends on what was told, which no track says.
            Baseline::LastAlert => return Vec::new(),
        };
        let is_bars = matches!(track, Track::Candles { .. });
        let mut plot = Plot::new(name, Place::Over);
        let mut baseline = Vec::with_capacity(points.len());
        for (nth, point) in points.iter().enumerate() {
            let start = point.at.checked_sub(self.window.0).unwrap_or(Timestamp::MIN);
            // As much of the past as it is given to judge.
            let oldest = match self.baseline {
                _ if is_bars => nth.saturating_sub(BARS - 1),
                _ => points.partition_point(|point| point.at < start).saturating_sub(1).min(nth),
            };
            let before = points.get(oldest..nth).unwrap_or_default();
            let Some(compared) = self.compared(before, None, |_| String::new()) else { continue };
            baseline.push((point.at, compared.price));
            if self.is_drop(compared.price - point.price, compared.price) {
                plot.hits.push((point.at, point.price));
            }
        }
        // The price before is the same line a step later: only the one that counts now is shown.
        vec![match (self.baseline, baseline.last()) {
            (Baseline::Previous, Some((_, before))) => plot.limit(name, *before),
            (Baseline::Previous, None) => plot,
            _ => plot.curve(name, baseline),
        }]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let sentence = |news: &News<'_>| match news.reason {
            Reason::Reminder => format!("still: {}", news.signal.summary),
            _ => news.signal.summary.clone(),
        };
        words::told(story, sentence, |news| match story.news {
            [_] => news.signal.detail.clone(),
            _ if news.signal.detail.is_empty() => sentence(news),
            _ => format!("{} {}", sentence(news), news.signal.detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{known, past, steps, tell, told};
    use super::*;
    use crate::model::{Availability, Listing};
    use crate::testing::{Described, at, candles, evaluate, plugin, quotes};

    const NOW: &str = "2026-11-18T09:00:00Z";

    fn week(date: &str, value: f64) -> Observation {
        Observation {
            subject: "new_york_state".into(),
            observed_at: at(&format!("{date}T00:00:00Z")),
            url: None,
            reading: Reading::Value { value, unit: "USD per gallon".into() },
            evidence: Vec::new(),
        }
    }

    fn judge(
        keys: &str,
        current: &[Observation],
        earlier: &[Observation],
        known: Option<SignalState>,
    ) -> Option<Signal> {
        let subject = current.first()?.subject.clone();
        let view = View {
            current,
            earlier: &past(earlier.to_vec()),
            absent: &[],
            known: &known.into_iter().map(|known| (subject.clone(), known)).collect::<HashMap<_, _>>(),
            now: at(NOW),
            zone: &TimeZone::UTC,
            source: &Described("gasoline in"),
        };
        plugin::<PriceDrop>(keys).evaluate(&view).unwrap().pop()
    }

    fn fingerprint(signal: Option<Signal>) -> (String, bool) {
        signal.map(|signal| (signal.fingerprint, signal.firing)).unwrap_or_default()
    }

    #[test]
    fn the_newest_date_is_compared_with_the_one_before_it_wherever_that_is_known_from() {
        let [w1, w2, w3] = [("2026-11-02", 3.4), ("2026-11-09", 3.52), ("2026-11-16", 3.47)]
            .map(|(date, value)| week(date, value));
        let fell = ("fell@2026-11-16".to_owned(), true);
        for (current, earlier) in [
            (vec![w3.clone(), w2.clone()], vec![]),
            (vec![w2.clone(), w1.clone(), w3.clone()], vec![]),
            (vec![w3.clone()], vec![w1.clone(), w2.clone()]),
            (vec![w3.clone(), w2.clone()], vec![week("2026-11-09", 3.0)]),
        ] {
            assert_eq!(fingerprint(judge("", &current, &earlier, None)), fell, "{current:?} {earlier:?}");
        }
        let alone = judge("", &[w3], &[], None);
        assert_eq!(fingerprint(alone), ("at@2026-11-16".into(), false), "one date is no fall");
        let rose = judge("", &[w1, w2], &[], None);
        assert_eq!(fingerprint(rose), ("at@2026-11-09".into(), false));
    }

    #[test]
    fn its_steps_show_what_was_compared_and_that_a_date_is_judged_once() {
        let weeks = [week("2026-11-16", 3.47), week("2026-11-09", 3.52)];
        let steps = |keys: &str, known| steps(&plugin::<PriceDrop>(keys), &weeks, known);
        let judged = known("not_fell", false, "at@2026-11-16");
        let newest = "the newest price is 3.47 of week of 2026-11-16";
        let compared = "baseline previous: 3.52 (week of 2026-11-09); 0.05 lower (1.4 %)";
        assert_eq!(steps("", None)[1..], [newest, compared, "any amount lower → fell"]);
        assert_eq!(steps("by = 0.1", None)[3], "by 0.1 → not_fell");
        let once = "2026-11-16 was judged before, and each date is judged once → not_fell";
        assert_eq!(steps("", Some(judged))[3], once);
        let later = steps("", Some(known("fell", true, "fell@2026-11-23")));
        assert_eq!(later[2], "a later date was judged before: an old answer, nothing is said");
    }

    #[test]
    fn a_value_that_is_revised_is_never_news() {
        let judged = |firing: bool, fingerprint: &str| {
            Some(known(if firing { "fell" } else { "not_fell" }, firing, fingerprint))
        };
        for (newest, before, expected) in [
            (3.40, judged(false, "at@2026-11-16"), ("at@2026-11-16", false)),
            (3.60, judged(true, "fell@2026-11-16"), ("fell@2026-11-16", true)),
            (3.40, judged(true, "fell@2026-11-09"), ("fell@2026-11-16", true)),
            (3.60, judged(true, "fell@2026-11-09"), ("at@2026-11-16", false)),
            (3.40, judged(true, "fell@2026-11-23"), ("", false)),
        ] {
            let current = [week("2026-11-16", newest), week("2026-11-09", 3.52)];
            let signal = judge("", &current, &[], before.clone());
            assert_eq!(fingerprint(signal), (expected.0.into(), expected.1), "{newest} {before:?}");
        }
    }

    #[test]
    fn the_fall_must_be_as_large_as_asked_for() {
        let weeks = [week("2026-11-16", 3.47), week("2026-11-09", 3.52)];
        for (keys, firing) in [
            ("by = 0.05", true),
            ("by = 0.06", false),
            ("by_percent = 1.4", true),
            ("by_percent = 1.5", false),
            ("by = 0.05\nby_percent = 1.5", false),
        ] {
            assert_eq!(judge(keys, &weeks, &[], None).unwrap().firing, firing, "{keys}");
        }
    }

    #[test]
    fn it_can_compare_with_the_lowest_and_with_the_last_price_told() {
        let weeks = |newest| {
            let old = [("2026-10-26", 3.3), ("2026-11-02", 3.6), ("2026-11-09", 3.52)];
            let mut weeks: Vec<_> = old.iter().map(|(date, value)| week(date, *value)).collect();
            weeks.push(week("2026-11-16", newest));
            weeks
        };
        let with = |told: Option<f64>, since: &str| {
            let since = at(&format!("{since}T09:00:00Z"));
            Some(SignalState { last_told_value: told, since, ..known("not_fell", false, "at@2026-11-09") })
        };
        for (keys, newest, known, firing) in [
            ("baseline = \"lowest\"", 3.4, None, false),
            ("baseline = \"lowest\"", 3.29, None, true),
            ("baseline = \"last_alert\"", 3.2, None, false),
            ("baseline = \"last_alert\"", 3.5, with(Some(3.45), "2026-10-28"), false),
            ("baseline = \"last_alert\"", 3.4, with(Some(3.45), "2026-10-28"), true),
            // First seen at 3.3 and at 3.6.
            ("baseline = \"last_alert\"", 3.4, with(None, "2026-10-28"), false),
            ("baseline = \"last_alert\"\nby = 0.1", 3.5, with(None, "2026-11-04"), true),
        ] {
            let signal = judge(keys, &weeks(newest), &[], known.clone()).unwrap();
            assert_eq!(signal.firing, firing, "{keys} {newest} {known:?}");
        }
    }

    #[test]
    fn a_price_without_dates_is_compared_with_the_last_other_one() {
        let quotes = |prices: &[f64]| quotes("AAPL", NOW, prices);
        let judge = |prices: &[f64], known| {
            let mut seen = quotes(prices);
            let current = [seen.pop().unwrap()];
            fingerprint(judge("", &current, &seen, known))
        };
        let fell = ("fell@2026-11-18T09:00:00Z".to_owned(), true);
        assert_eq!(judge(&[100.0, 90.0], None), fell);
        assert_eq!(judge(&[100.0], None), ("at@2026-11-18T09:00:00Z".into(), false));
        // Still 90 a minute later: the same occasion, whether it was settled on or not.
        let minute_ago = ("fell@2026-11-18T08:59:00Z".to_owned(), true);
        assert_eq!(judge(&[100.0, 90.0, 90.0], Some(known("fell", true, &minute_ago.0))), minute_ago);
        assert_eq!(judge(&[100.0, 90.0, 90.0], None), minute_ago);
        assert_eq!(judge(&[100.0, 90.0, 80.0], Some(known("fell", true, &minute_ago.0))), fell);
        let bars = evaluate(&PriceDrop::default(), &[candles("AAPL", &[3.0, 2.0])]);
        assert_eq!(bars[0].fingerprint, "fell@2026-11-02T00:30:00Z");
        assert_eq!(evaluate(&PriceDrop::default(), &[candles("AAPL", &[])]), vec![]);
    }

    #[test]
    fn the_words_say_from_what_by_how_much_and_which_week() {
        let weeks = [week("2026-11-16", 3.47), week("2026-11-09", 3.52)];
        let signal = judge("", &weeks, &[], None).unwrap();
        let words = tell(&PriceDrop::default(), &[told(&signal, Reason::First)], &weeks);
        assert_eq!(words.title, "gasoline in new_york_state fell to 3.47");
        assert_eq!(words.body, "from 3.52 (week of 2026-11-09) by 0.05 (1.4 %), week of 2026-11-16");

        let product = |price, observed_at| Observation {
            subject: "N82E1".into(),
            observed_at: at(observed_at),
            url: Some("https://shop.example/p/N82E1".into()),
            reading: Reading::Listing(Listing {
                sku: "N82E1".into(),
                name: "RTX 3070".into(),
                price: Some(price),
                price_currency: Some("USD".into()),
                availability: Availability::InStock,
            }),
            evidence: Vec::new(),
        };
        let dear = product(500.0, "2026-11-11T09:00:00Z");
        let signal = judge("", &[product(449.99, NOW)], &[dear], None).unwrap();
        assert_eq!(signal.summary, "RTX 3070 fell to $449.99");
        let detail = "from $500 (2026-11-11 09:00 UTC) by $50.01 (10 %), 2026-11-18 09:00 UTC";
        assert_eq!(signal.detail, detail);
    }

    #[test]
    fn what_is_drawn_ends_with_what_was_judged() {
        let prices = [3.0, 3.2, 3.1, 3.4, 2.9, 2.95, 2.8];
        let seen = candles("AAPL", &prices);
        let Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let track = Track::Candles { interval: *interval, candles };
        let values: Vec<_> = candles.iter().map(|bar| (bar.open_time, bar.close)).collect();
        for track in [track, Track::Values(&values)] {
            let [plot] = plugin::<PriceDrop>("baseline = \"lowest\"").plots(track).try_into().unwrap();
            assert_eq!(plot.curves[0].points.last(), Some(&(candles[6].open_time, 2.9)));
            let drops: Vec<f64> = plot.hits.iter().map(|(_, price)| *price).collect();
            assert_eq!(drops, [2.9, 2.8], "the lowest until then");
            let [plot] = plugin::<PriceDrop>("by = 0.15").plots(track).try_into().unwrap();
            assert_eq!(plot.limits[0].value, 2.95, "the one before");
            let drops: Vec<f64> = plot.hits.iter().map(|(_, price)| *price).collect();
            assert_eq!(drops, [2.9, 2.8]);
        }
        let lowest = plugin::<PriceDrop>("baseline = \"lowest\"");
        let judged = crate::testing::evaluate(&lowest, std::slice::from_ref(&seen)).remove(0);
        assert!(judged.firing && judged.detail.starts_with("from 2.90 "), "{}", judged.detail);
        assert_eq!(plugin::<PriceDrop>("baseline = \"last_alert\"").plots(track), []);
    }
}
