//! Fires while a price is so many percent higher or lower than at the start of a window of time.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{Field, History, NUMBERS};
use super::{checked, words};
use crate::model::{
    Candle, Interval, Period, Place, Plot, PolicyDefaults, Reading, ReadingKind, Reason, Signal, Track, shown,
};
use crate::plugin::{EvaluateError, Lookback, News, Plugin, Story, Strategy, View, Words};

/// How many bars it looks at.
const BARS: usize = 200;

/// Fires while the number is at least `by` percent above or below what it was one `window` before. Ends when the move
/// is smaller than `by` less the `hysteresis`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct PercentChange {
    /// How far it must move, in percent; more than 0.
    #[schemars(extend("exclusiveMinimum" = 0))]
    by: f64,
    /// Which way it must move.
    direction: Direction,
    /// How far back to compare.
    window: Period,
    /// Which number is judged.
    field: Field,
    /// How far the move must come back before it is over, in percent; less than `by`.
    #[schemars(range(min = 0))]
    hysteresis: f64,
}

/// Which way a price must move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// Either way.
    Any,
    /// Only a rise.
    Up,
    /// Only a fall.
    Down,
}

impl Default for PercentChange {
    fn default() -> Self {
        let window = Period::from_secs(3_600);
        Self { by: 5.0, direction: Direction::Any, window, field: Field::Price, hysteresis: 0.0 }
    }
}

checked!(PercentChange, |change| {
    if !(change.by.is_finite() && change.by > 0.0) {
        return Err("`by` must be more than 0".into());
    }
    if !(0.0..change.by).contains(&change.hysteresis) {
        return Err("`hysteresis` must be 0 or more, and less than `by`".into());
    }
    if change.window.0.is_zero() {
        return Err("`window` must be longer than nothing".into());
    }
    Ok(())
});

/// What it compares.
struct Compared {
    then: f64,
    since: Timestamp,
    now: f64,
    percent: f64,
}

impl PercentChange {
    fn compare(&self, history: &History<'_>, now: Timestamp) -> Option<Compared> {
        let number = self.field.of(&history.newest.reading)?;
        let (since, then) = self.at_start(history, now)?;
        let usable = then.is_finite() && then != 0.0;
        let percent = (number - then) / then.abs() * 100.0;
        usable.then_some(Compared { then, since, now: number, percent })
    }

    /// A state that was settled on lasts until the move is back by the hysteresis.
    fn state(&self, percent: f64, before: Option<&str>) -> &'static str {
        let is_so = |state, allowed: bool, moved: f64| {
            let by = if before == Some(state) { self.by - self.hysteresis } else { self.by };
            // A tiny allowance, because 105 against 100 is not quite 5 % in binary.
            allowed && moved > 0.0 && moved >= by * (1.0 - 1e-12)
        };
        if is_so("rose", self.direction != Direction::Down, percent) {
            "rose"
        } else if is_so("fell", self.direction != Direction::Up, -percent) {
            "fell"
        } else {
            "steady"
        }
    }

    /// The number at the start of the window, and since when it was so: the newest one at or before it.
    fn at_start(&self, history: &History<'_>, now: Timestamp) -> Option<(Timestamp, f64)> {
        if let Reading::Candles { interval, candles } = &history.newest.reading {
            return self.bar_at_start(candles, *interval);
        }
        let start = now.checked_sub(self.window.0).ok()?;
        let earlier = history.earlier.iter().map(|past| &past.observation);
        earlier
            .chain(history.others.iter().copied())
            .chain([history.newest])
            .filter(|seen| seen.observed_at <= start)
            .filter_map(|seen| Some((seen.observed_at, self.field.of(&seen.reading)?)))
            .max_by_key(|(at, _)| *at)
    }

    /// The same among bars. Counted from the last one, so that a night or a weekend does not end what the day
    /// began.
    fn bar_at_start(&self, candles: &[Candle], interval: Interval) -> Option<(Timestamp, f64)> {
        let start = words::closed_at(candles.last()?, interval).checked_sub(self.window.0).ok()?;
        let closed = candles.partition_point(|bar| words::closed_at(bar, interval) <= start);
        let bar = candles.get(closed.checked_sub(1)?)?;
        Some((words::closed_at(bar, interval), self.field.of_candle(bar)))
    }

    /// What each point of a track was compared with.
    fn baseline(&self, track: Track<'_>) -> Vec<(Timestamp, f64)> {
        match track {
            Track::Candles { interval, candles } => (1..=candles.len())
                .filter_map(|seen| {
                    let seen = candles.get(seen.saturating_sub(BARS)..seen)?;
                    Some((seen.last()?.open_time, self.bar_at_start(seen, interval)?.1))
                })
                .collect(),
            Track::Values(values) => {
                let then = |at: Timestamp| {
                    let start = at.checked_sub(self.window.0).ok()?;
                    let before = values.partition_point(|(at, _)| *at <= start).checked_sub(1)?;
                    values.get(before)
                };
                values.iter().filter_map(|(at, _)| Some((*at, then(*at)?.1))).collect()
            }
        }
    }
}

impl Plugin for PercentChange {
    const KIND: &'static str = "percent_change";
    const ABOUT: &'static str =
        "a price, a volume or a value rose or fell by so many percent within a window";
    const EXAMPLE: &'static str = "by = 5\ndirection = \"any\"\nwindow = \"1h\"\nhysteresis = 1";
    const POLICY: PolicyDefaults = PolicyDefaults::NOTIFY;
}

impl Strategy for PercentChange {
    fn reads(&self) -> &'static [ReadingKind] {
        NUMBERS
    }

    fn lookback(&self) -> Lookback {
        Lookback { bars: BARS, ago: Some(self.window.0), ..Lookback::default() }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        let signal = |history: History<'_>| {
            let seen = history.newest;
            let Compared { then, now, percent, .. } = self.compare(&history, view.now)?;
            let state = self.state(percent, view.settled(&seen.subject));
            let name = match self.field {
                Field::Volume => format!("volume of {}", words::name(view.source, seen)),
                Field::Price | Field::Value => words::name(view.source, seen),
            };
            let (moved, window) = (words::percent(percent), words::span(self.window));
            let summary = match state {
                "steady" => format!("{name} moved {moved} % in {window}"),
                _ => format!("{name} {state} {moved} % in {window}"),
            };
            let signal = Signal::level(&seen.subject, state, state != "steady");
            let detail = format!("from {} to {}", shown(then), shown(now));
            Some(signal.summary(summary).detail(detail).value(now).url(seen.url.clone()))
        };
        Ok(History::all(view).into_iter().filter_map(signal).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(history) = History::of(view, subject) else { return words::unseen() };
        let reading = &history.newest.reading;
        let word = self.field.word(reading);
        let mut steps = vec![words::number_seen(history.newest, word, self.field.of(reading))];
        let window = words::span(self.window);
        let Some(Compared { then, since, now, percent }) = self.compare(&history, view.now) else {
            steps.push(format!("no {word} is known from {window} before, so nothing can be said"));
            return steps;
        };
        steps.push(format!(
            "{window} before: {} of {since:.0}; from there to {} is {percent:+.2} %",
            shown(then),
            shown(now)
        ));
        let way = match self.direction {
            Direction::Any => "either way",
            Direction::Up => "up only",
            Direction::Down => "down only",
        };
        let before = view.settled(subject);
        let (found, state) = (self.state(percent, None), self.state(percent, before));
        steps.push(format!("by {} %, {way} → {found}", self.by));
        let over = format!("it is less than {} %", shown(self.by - self.hysteresis));
        steps.extend(words::held(self.hysteresis, before, (found, state), &over));
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let place = match (self.field, track) {
            (Field::Volume, Track::Values(_)) => return Vec::new(),
            (Field::Volume, Track::Candles { .. }) => Place::Panel,
            (Field::Price | Field::Value, _) => Place::Over,
        };
        let mut baseline = self.baseline(track);
        baseline.retain(|(_, then)| then.is_finite() && *then != 0.0);
        let moved =
            |by: f64| baseline.iter().map(|(at, then)| (*at, then + then.abs() * by / 100.0)).collect();
        let (up, down) = (moved(self.by), moved(-self.by));
        let (by, window) = (self.by, words::span(self.window));
        let mut plot = Plot::new(format!("{window} before"), place);
        if let (Place::Panel, Track::Candles { candles, .. }) = (place, track) {
            let volume = candles.iter().map(|bar| (bar.open_time, bar.volume));
            plot = plot.curve("volume", volume.filter(|(_, volume)| volume.is_finite()).collect());
        }
        plot = plot.curve(format!("{window} before"), baseline);
        if self.direction != Direction::Down {
            plot = plot.curve(format!("+{by} %"), up);
        }
        if self.direction != Direction::Up {
            plot = plot.curve(format!("−{by} %"), down);
        }
        vec![plot]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let sentence = |news: &News<'_>| match news.reason {
            Reason::Reminder => format!("still: {}", news.signal.summary),
            Reason::Resolved => format!("{} is steady again", story.source.describe(&news.signal.subject)),
            Reason::First | Reason::Changed => news.signal.summary.clone(),
        };
        words::told(story, sentence, |news| match story.news {
            [_] => news.signal.detail.clone(),
            _ => format!("{}: {}", sentence(news), news.signal.detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{known, past, steps_after, tell, told};
    use super::*;
    use crate::model::Observation;
    use crate::testing::{candles, evaluate, evaluate_knowing, plugin, quotes};

    const NOW: &str = "2026-11-20T12:00:00Z";

    /// Summary and state of a price now, with one a minute before it.
    fn judge(keys: &str, prices: &[f64]) -> Option<(String, String)> {
        let mut seen = quotes("AAPL", NOW, prices);
        let current = [seen.pop()?];
        let signals =
            evaluate_knowing(&plugin::<PercentChange>(keys), &current, &past(seen), &HashMap::new());
        signals.into_iter().next().map(|signal| (signal.state, signal.summary))
    }

    #[test]
    fn it_compares_with_the_start_of_the_window() {
        // An hour and more of minutes at 100, then the last price.
        let hour = |last: f64| [vec![100.0; 61], vec![last]].concat();
        for (keys, last, state, summary) in [
            ("", 105.2, "rose", "AAPL rose 5.2 % in 1 hour"),
            ("", 105.0, "rose", "AAPL rose 5 % in 1 hour"),
            ("", 104.9, "steady", "AAPL moved 4.9 % in 1 hour"),
            ("", 94.0, "fell", "AAPL fell 6 % in 1 hour"),
            ("direction = \"up\"", 94.0, "steady", "AAPL moved 6 % in 1 hour"),
            ("direction = \"down\"", 94.0, "fell", "AAPL fell 6 % in 1 hour"),
            ("direction = \"down\"", 106.0, "steady", "AAPL moved 6 % in 1 hour"),
            ("by = 0.01\nwindow = \"15m\"", 100.02, "rose", "AAPL rose 0.02 % in 15 minutes"),
        ] {
            assert_eq!(judge(keys, &hour(last)), Some((state.into(), summary.into())), "{keys} {last}");
        }
    }

    #[test]
    fn it_says_nothing_until_the_window_is_covered() {
        assert_eq!(judge("", &[100.0]), None);
        assert_eq!(judge("", &[vec![100.0; 59], vec![200.0]].concat()), None);
        assert!(judge("", &[vec![100.0; 60], vec![200.0]].concat()).is_some());
        assert_eq!(judge("", &[vec![0.0; 61], vec![200.0]].concat()), None);
    }

    #[test]
    fn bars_are_compared_with_each_other() {
        let change: PercentChange = plugin("window = \"1h\"");
        let state = |closes: &[f64]| {
            evaluate(&change, &[candles("AAPL", closes)]).first().map(|signal| signal.state.clone())
        };
        assert_eq!(state(&[100.0, 100.0, 103.0, 106.0]).as_deref(), Some("rose"));
        assert_eq!(state(&[106.0, 100.0, 103.0, 104.0]).as_deref(), Some("steady"));
        assert_eq!(state(&[100.0, 106.0]), None, "half an hour is no hour");
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn a_move_that_was_settled_on_lasts_until_it_is_back_by_the_hysteresis() {
        let change: PercentChange = plugin("by = 5\nhysteresis = 1");
        for (percent, before, state) in [
            (4.9, None, "steady"),
            (4.9, Some("steady"), "steady"),
            (4.9, Some("rose"), "rose"),
            (4.9, Some("fell"), "steady"),
            (3.9, Some("rose"), "steady"),
            (-4.0, Some("fell"), "fell"),
            (-5.0, Some("rose"), "fell"),
            (0.0, Some("rose"), "steady"),
        ] {
            assert_eq!(change.state(percent, before), state, "{percent} {before:?}");
        }
    }

    #[test]
    fn its_steps_show_both_prices_and_what_the_hysteresis_holds_on_to() {
        let change: PercentChange = plugin("by = 5\nhysteresis = 1");
        let mut seen = quotes("AAPL", NOW, &[vec![100.0; 61], vec![104.5]].concat());
        let current = [seen.pop().unwrap()];
        let steps = steps_after(&change, &current, &past(seen), Some(known("rose", true, "rose")));
        assert_eq!(
            steps,
            [
                "price 104.50 of 2026-11-20T12:00:00Z",
                "1 hour before: 100 of 2026-11-20T11:00:00Z; from there to 104.50 is +4.50 %",
                "by 5 %, either way → steady",
                "hysteresis 1: `rose` was settled on before, and lasts until it is less than 4 % → rose",
            ]
        );
        let young = steps_after(&change, &current, &[], None);
        assert_eq!(young[1], "no price is known from 1 hour before, so nothing can be said");
    }

    #[test]
    fn impossible_moves_are_refused_with_the_reason() {
        for (keys, why) in [
            ("by = 0", "more than 0"),
            ("by = nan", "more than 0"),
            ("by = 5\nhysteresis = 5", "less than `by`"),
            ("hysteresis = -1", "0 or more"),
            ("window = \"0s\"", "longer than nothing"),
            ("window = \"soon\"", "soon"),
            ("direction = \"sideways\"", "sideways"),
        ] {
            let error = toml::from_str::<PercentChange>(keys).unwrap_err().to_string();
            assert!(error.contains(why), "{keys}: {error}");
        }
    }

    #[test]
    fn the_title_is_the_sentence_and_the_body_the_prices() {
        let change = PercentChange::default();
        let rose =
            Signal::level("AAPL", "rose", true).summary("AAPL rose 5.2 % in 1 hour").detail("from 1 to 2");
        let words = tell(&change, &[told(&rose, Reason::First)], &[]);
        assert_eq!(words.title, "AAPL rose 5.2 % in 1 hour");
        assert_eq!(words.body, "from 1 to 2");
        let steady = Signal::level("AAPL", "steady", false);
        assert_eq!(tell(&change, &[told(&steady, Reason::Resolved)], &[]).title, "AAPL is steady again");
    }

    #[test]
    fn what_is_drawn_ends_with_what_was_judged() {
        let change: PercentChange = plugin("by = 5\nwindow = \"1h\"");
        let judged = |seen: &[Observation], earlier: &[Observation]| {
            let past = past(earlier.to_vec());
            evaluate_knowing(&change, seen, &past, &HashMap::new()).remove(0).detail
        };
        let closes: Vec<f64> = (0..400).map(|n| 100.0 + f64::from(n % 17)).collect();
        let seen = candles("AAPL", &closes);
        let Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let [plot] = change.plots(Track::Candles { interval: *interval, candles }).try_into().unwrap();
        let then = plot.curves[0].points.last().unwrap().1;
        assert!(judged(std::slice::from_ref(&seen), &[]).starts_with(&format!("from {then} ")));
        assert!((plot.curves[1].points.last().unwrap().1 - then * 1.05).abs() < 1e-9);
        assert!((plot.curves[2].points.last().unwrap().1 - then * 0.95).abs() < 1e-9);

        let prices: Vec<f64> = (0..200).map(|n| 100.0 + f64::from(n % 17)).collect();
        let seen = quotes("AAPL", "2026-11-20T00:00:00Z", &prices);
        let values: Vec<_> =
            seen.iter().zip(&prices).map(|(seen, price)| (seen.observed_at, *price)).collect();
        let [plot] = change.plots(Track::Values(&values)).try_into().unwrap();
        let then = plot.curves[0].points.last().unwrap().1;
        assert!(judged(&seen[199..], &seen[..199]).starts_with(&format!("from {then} ")));
    }
}
