//! Fires while a number is so many times its own mean of a window of time before it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::{Field, History};
use super::{checked, words};
use crate::model::{
    Candle, Interval, Past, Period, Place, Plot, PolicyDefaults, Reading, ReadingKind, Reason, Signal, Track,
    plain, shown,
};
use crate::plugin::{EvaluateError, Lookback, News, Plugin, Story, Strategy, View, Words};

/// How many bars it looks at.
const BARS: usize = 200;

/// Fires while the number is more than `times` times its mean over the `window` before, once that mean is made of
/// at least `at_least` readings. Ends when it is no more than `times` less the `hysteresis` times the mean.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Spike {
    /// Fires above so many times the mean; more than 1.
    #[schemars(extend("exclusiveMinimum" = 1))]
    times: f64,
    /// The time before now that the mean is taken over.
    window: Period,
    /// Which number is judged.
    field: Field,
    /// How many readings the mean needs; with fewer nothing is said.
    #[schemars(range(min = 1))]
    at_least: u32,
    /// How far it must come back before it is over, in times the mean; less than `times`.
    #[schemars(range(min = 0))]
    hysteresis: f64,
}

impl Default for Spike {
    fn default() -> Self {
        Self {
            times: 3.0,
            window: Period::from_secs(3_600),
            field: Field::Price,
            at_least: 3,
            hysteresis: 0.0,
        }
    }
}

checked!(Spike, |spike| {
    if !(spike.times.is_finite() && spike.times > 1.0) {
        return Err("`times` must be more than 1".into());
    }
    if !(0.0..spike.times).contains(&spike.hysteresis) {
        return Err("`hysteresis` must be 0 or more, and less than `times`".into());
    }
    if spike.window.0.is_zero() {
        return Err("`window` must be longer than nothing".into());
    }
    if spike.at_least == 0 {
        return Err("`at_least` must be 1 or more".into());
    }
    Ok(())
});

/// The mean of a window and how many sightings it is of.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, number: f64, times: u32) {
        self.sum += number * f64::from(times);
        self.count = self.count.saturating_add(times);
    }
}

impl Spike {
    /// A spike that was settled on lasts until the number is back by the hysteresis.
    fn state(&self, number: f64, mean: f64, before: Option<&str>) -> &'static str {
        let held = if before == Some("spike") { self.hysteresis } else { 0.0 };
        if mean > 0.0 && number > (self.times - held) * mean { "spike" } else { "normal" }
    }

    fn mean(&self, history: &History<'_>, now: Timestamp) -> Option<Mean> {
        let mut mean = Mean::default();
        if let Reading::Candles { interval, candles } = &history.newest.reading {
            return self.mean_of_bars(candles, *interval);
        }
        let start = now.checked_sub(self.window.0).ok()?;
        let dated = history.is_dated(now);
        for past in &history.earlier {
            let at = past.observation.observed_at;
            let times = match dated {
                // A date counts once, and this run's word on it wins.
                true if history.others.iter().any(|seen| seen.observed_at == at) => 0,
                true => u32::from((start..history.newest.observed_at).contains(&at)),
                false => sightings_since(past, start),
            };
            if let Some(number) = self.field.of(&past.observation.reading).filter(|_| times > 0) {
                mean.add(number, times);
            }
        }
        for seen in history.others.iter().filter(|seen| seen.observed_at >= start) {
            if let Some(number) = self.field.of(&seen.reading) {
                mean.add(number, 1);
            }
        }
        Some(mean)
    }

    /// The mean of the bars before the last one. Counted from that, because bars come late and markets close.
    fn mean_of_bars(&self, candles: &[Candle], interval: Interval) -> Option<Mean> {
        let mut mean = Mean::default();
        let (last, before) = candles.split_last()?;
        let start = words::closed_at(last, interval).checked_sub(self.window.0).ok()?;
        for bar in before.iter().rev().take_while(|bar| words::closed_at(bar, interval) >= start) {
            mean.add(self.field.of_candle(bar), 1);
        }
        Some(mean)
    }
}

/// How many sightings of an observation lie at or after `start`, taken as evenly spread from the first
/// to the last.
fn sightings_since(past: &Past, start: Timestamp) -> u32 {
    let millis = |from: Timestamp, to: Timestamp| to.as_millisecond().saturating_sub(from.as_millisecond());
    let first = past.observation.observed_at;
    if first >= start {
        return past.times_seen;
    }
    let length = millis(first, past.last_seen_at);
    let outside = millis(first, start);
    if outside > length || length <= 0 {
        return 0;
    }
    let steps = i128::from(past.times_seen.saturating_sub(1));
    // The sighting exactly at the start is inside.
    let before = (i128::from(outside) * steps + i128::from(length) - 1) / i128::from(length);
    past.times_seen.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
}

impl Plugin for Spike {
    const KIND: &'static str = "spike";
    const ABOUT: &'static str = "a price, a volume or a value is many times its own recent mean";
    const EXAMPLE: &'static str = "times = 3\nwindow = \"1h\"\nfield = \"volume\"\nhysteresis = 0.5";
    const POLICY: PolicyDefaults = PolicyDefaults::NOTIFY;
}

impl Strategy for Spike {
    fn reads(&self) -> &'static [ReadingKind] {
        &[ReadingKind::Candles, ReadingKind::Quote, ReadingKind::Value]
    }

    fn lookback(&self) -> Lookback {
        Lookback { bars: BARS, span: Some(self.window.0), ..Lookback::default() }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        let signal = |history: History<'_>| {
            let seen = history.newest;
            let number = self.field.of(&seen.reading)?;
            let Mean { sum, count } = self.mean(&history, view.now)?;
            let mean = sum / f64::from(count);
            if count < self.at_least || !mean.is_finite() {
                return None;
            }
            let state = self.state(number, mean, view.settled(&seen.subject));
            let word = self.field.word(&seen.reading);
            let show = if word == "price" { shown } else { plain };
            let name = words::name(view.source, seen);
            let summary = if mean > 0.0 {
                let window = words::last(self.window);
                let times = number / mean;
                format!("{word} of {name} is {times:.1} times its mean of the {window}")
            } else {
                format!("{word} of {name} is {}", show(number))
            };
            let detail = format!(
                "now {}, mean {} of {}",
                show(number),
                show(mean),
                words::count(count as usize, "reading")
            );
            let signal = Signal::level(&seen.subject, state, state == "spike");
            Some(signal.summary(summary).detail(detail).value(number).url(seen.url.clone()))
        };
        Ok(History::all(view).into_iter().filter_map(signal).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(history) = History::of(view, subject) else { return words::unseen() };
        let reading = &history.newest.reading;
        let word = self.field.word(reading);
        let show = if word == "price" { shown } else { plain };
        let number = self.field.of(reading);
        let mut steps = vec![words::number_seen(history.newest, word, number)];
        let (Some(number), Some(Mean { sum, count })) = (number, self.mean(&history, view.now)) else {
            return steps;
        };
        let mean = sum / f64::from(count);
        let readings = words::count(count as usize, "reading");
        if count < self.at_least || !mean.is_finite() {
            let wanted = self.at_least;
            steps.push(format!(
                "{readings} in the {}, at_least {wanted}: no mean yet",
                words::last(self.window)
            ));
            return steps;
        }
        steps.push(format!(
            "mean of {readings} in the {} before: {}; now {} is {:.2} times that",
            words::last(self.window),
            show(mean),
            show(number),
            number / mean
        ));
        let before = view.settled(subject);
        let (found, state) = (self.state(number, mean, None), self.state(number, mean, before));
        let than = if found == "spike" { "more than" } else { "not more than" };
        steps.push(format!("times {}: {than} {} → {found}", self.times, show(self.times * mean)));
        let over = format!("{} or less", show((self.times - self.hysteresis) * mean));
        steps.extend(words::held(self.hysteresis, before, (found, state), &over));
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        // What is looked at again and again counts by how often it was seen, which a track of values does not say.
        let Track::Candles { interval, candles } = track else { return Vec::new() };
        let mean = |until: usize| {
            let seen = candles.get(until.saturating_sub(BARS)..until)?;
            let Mean { sum, count } = self.mean_of_bars(seen, interval)?;
            let mean = sum / f64::from(count);
            (count >= self.at_least && mean.is_finite()).then_some((seen.last()?.open_time, mean))
        };
        let mean: Vec<_> = (1..=candles.len()).filter_map(mean).collect();
        let limit = mean.iter().filter(|(_, mean)| *mean > 0.0).map(|(at, mean)| (*at, self.times * mean));
        let limit = limit.collect();
        let plot = if self.field == Field::Volume {
            let volume = candles.iter().map(|bar| (bar.open_time, bar.volume));
            let volume = volume.filter(|(_, volume)| volume.is_finite()).collect();
            Plot::new("volume", Place::Panel).curve("volume", volume)
        } else {
            Plot::new("mean", Place::Over)
        };
        let window = words::last(self.window);
        vec![
            plot.curve(format!("mean of the {window}"), mean)
                .curve(format!("{} times that", self.times), limit),
        ]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let sentence = |news: &News<'_>| match news.reason {
            Reason::Reminder => format!("still: {}", news.signal.summary),
            Reason::Resolved => format!("over: {}", news.signal.summary),
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
    use std::collections::{BTreeMap, HashMap};

    use super::super::tests::{known, past, steps_after, tell, told};
    use super::*;
    use crate::model::{Observation, Quote};
    use crate::testing::{at, candles, evaluate, evaluate_knowing, fixture, plugin, quotes};

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn judge(keys: &str, prices: &[f64]) -> Option<Signal> {
        let mut seen = quotes("XBTUSD", NOW, prices);
        let current = [seen.pop()?];
        evaluate_knowing(&plugin::<Spike>(keys), &current, &past(seen), &HashMap::new()).pop()
    }

    #[test]
    fn it_fires_above_three_times_the_mean_of_the_hour() {
        for (before, last, firing) in [
            (vec![100.0; 60], 300.0, false),
            (vec![100.0; 60], 300.1, true),
            (vec![50.0, 100.0, 150.0], 300.1, true),
            (vec![0.0; 60], 300.0, false),
            (vec![-1.0; 60], 300.0, false),
        ] {
            let signal = judge("", &[before.clone(), vec![last]].concat()).unwrap();
            assert_eq!(signal.firing, firing, "{before:?} {last}");
        }
        assert_eq!(judge("", &[100.0, 100.0, 900.0]), None, "two readings make no mean");
        assert!(judge("at_least = 2", &[100.0, 100.0, 900.0]).unwrap().firing);
        assert!(!judge("times = 10", &[100.0, 100.0, 100.0, 900.0]).unwrap().firing);
    }

    #[test]
    fn a_spike_lasts_until_it_is_back_by_the_hysteresis() {
        let spike: Spike = plugin("hysteresis = 0.5");
        for (number, before, state) in [
            (300.0, None, "normal"),
            (280.0, Some("normal"), "normal"),
            (280.0, Some("spike"), "spike"),
            (250.0, Some("spike"), "normal"),
            (301.0, Some("normal"), "spike"),
        ] {
            assert_eq!(spike.state(number, 100.0, before), state, "{number} {before:?}");
        }
        assert!(toml::from_str::<Spike>("hysteresis = 3").is_err());
    }

    #[test]
    fn its_steps_show_the_mean_and_what_the_hysteresis_holds_on_to() {
        let spike: Spike = plugin("hysteresis = 0.5");
        let mut seen = quotes("XBTUSD", NOW, &[vec![100.0; 60], vec![280.0]].concat());
        let current = [seen.pop().unwrap()];
        let steps = steps_after(&spike, &current, &past(seen), Some(known("spike", true, "spike")));
        assert_eq!(
            steps,
            [
                "price 280 of 2026-11-20T12:00:00Z",
                "mean of 60 readings in the last hour before: 100; now 280 is 2.80 times that",
                "times 3: not more than 300 → normal",
                "hysteresis 0.5: `spike` was settled on before, and lasts until 250 or less → spike",
            ]
        );
        let young = steps_after(&spike, &current, &[], None);
        assert_eq!(young[1], "0 readings in the last hour, at_least 3: no mean yet");
    }

    #[test]
    fn only_what_was_seen_within_the_window_counts() {
        // Ten minutes at 1000 lie more than an hour back.
        let prices = [vec![1_000.0; 10], vec![100.0; 60], vec![301.0]].concat();
        let signal = judge("", &prices).unwrap();
        assert!(signal.firing);
        assert_eq!(signal.detail, "now 301, mean 100 of 60 readings");
        assert_eq!(
            judge("window = \"1m\"\nat_least = 1", &prices).unwrap().detail,
            "now 301, mean 100 of 1 reading"
        );
    }

    #[test]
    fn what_was_seen_often_counts_often_and_only_for_its_share_of_the_window() {
        let sightings = |first: &str, last: &str, times_seen: u32| {
            let observation = quotes("XBTUSD", first, &[1.0]).remove(0);
            sightings_since(
                &Past { observation, last_seen_at: at(last), times_seen },
                at("2026-11-20T11:00:00Z"),
            )
        };
        for (first, last, times, inside) in [
            ("2026-11-20T11:00:00Z", "2026-11-20T11:09:00Z", 10, 10),
            ("2026-11-20T10:50:00Z", "2026-11-20T11:09:00Z", 20, 10),
            ("2026-11-20T10:50:00Z", "2026-11-20T11:00:00Z", 11, 1),
            ("2026-11-20T10:50:00Z", "2026-11-20T10:59:00Z", 10, 0),
            ("2026-11-20T10:50:00Z", "2026-11-20T10:50:00Z", 1, 0),
            ("2026-11-20T10:59:59Z", "2026-11-20T11:59:00Z", 2, 1),
        ] {
            assert_eq!(sightings(first, last, times), inside, "{first} {last} {times}");
        }
    }

    #[test]
    fn bars_are_judged_by_those_before_them() {
        let spike: Spike = plugin("window = \"2h\"");
        let firing =
            |closes: &[f64]| evaluate(&spike, &[candles("A", closes)]).pop().map(|signal| signal.firing);
        assert_eq!(firing(&[9_000.0, 100.0, 100.0, 100.0, 100.0, 301.0]), Some(true));
        assert_eq!(firing(&[100.0, 100.0, 100.0, 299.0]), Some(false));
        assert_eq!(firing(&[100.0, 301.0]), None);
        assert_eq!(firing(&[]), None);
    }

    #[test]
    fn the_title_names_the_number_and_the_window() {
        let mut seen = quotes("XBTUSD", NOW, &[1.0; 5]);
        for (n, quote) in seen.iter_mut().enumerate() {
            let volume = Some(if n == 4 { 3_400.0 } else { 1_000.0 });
            quote.reading = Reading::Quote(Quote { price: 1.0, volume, ..Quote::default() });
        }
        let current = [seen.pop().unwrap()];
        let spike: Spike = plugin("field = \"volume\"");
        let signals = evaluate_knowing(&spike, &current, &past(seen), &HashMap::new());
        let words = tell(&spike, &[told(&signals[0], Reason::First)], &current);
        assert_eq!(words.title, "volume of XBTUSD is 3.4 times its mean of the last hour");
        assert_eq!(words.body, "now 3400, mean 1000 of 4 readings");
    }

    /// One market's captures, kept as the store keeps them: equal neighbours are one observation.
    #[test]
    fn the_spikes_of_october_2021_are_found_in_small_markets_only() {
        let Some(csv) = fixture("cryptowatch/extracted/summaries_1m.csv") else { return };
        let spike: Spike = plugin("field = \"volume\"");
        let mut earlier: BTreeMap<String, Vec<Past>> = BTreeMap::new();
        let mut spikes: BTreeMap<String, u32> = BTreeMap::new();
        for row in String::from_utf8(csv).unwrap().lines().skip(1) {
            let columns: Vec<&str> = row.split(',').collect();
            let number = |n: usize| columns[n].parse::<f64>().unwrap();
            let now = Timestamp::from_second(columns[0].parse().unwrap()).unwrap();
            let quote = Quote { price: number(2), volume: Some(number(7)), ..Quote::default() };
            let reading = Reading::Quote(quote);
            let seen = Observation {
                subject: columns[1].into(),
                observed_at: now,
                url: None,
                reading,
                evidence: Vec::new(),
            };
            let past = earlier.entry(seen.subject.clone()).or_default();
            let found = evaluate_knowing(&spike, std::slice::from_ref(&seen), past, &HashMap::new());
            *spikes.entry(seen.subject.clone()).or_default() += u32::from(found.iter().any(|s| s.firing));
            match past.last_mut() {
                Some(last) if last.observation.reading == seen.reading => {
                    (last.last_seen_at, last.times_seen) = (now, last.times_seen + 1);
                }
                _ => past.push(Past { observation: seen, last_seen_at: now, times_seen: 1 }),
            }
        }
        let small = [
            "gateio:lymeth",
            "hitbtc:poeeth",
            "poloniex:ctsiusdt",
            "bitbay:bsvbtc",
            "hitbtc:elecbtc",
            "uniswap-v2:nuxweth",
        ];
        for (market, count) in &spikes {
            assert_eq!(*count > 0, small.contains(&market.as_str()), "{market}: {count}");
        }
        assert_eq!(spikes.len(), 11);
    }

    #[test]
    fn what_is_drawn_ends_with_what_was_judged() {
        let spike: Spike = plugin("times = 3\nwindow = \"6h\"");
        let closes: Vec<f64> = (0..400).map(|n| 100.0 + f64::from(n % 17)).collect();
        let seen = candles("AAPL", &closes);
        let Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let [plot] = spike.plots(Track::Candles { interval: *interval, candles }).try_into().unwrap();
        let mean = plot.curves[0].points.last().unwrap().1;
        let detail = evaluate(&spike, std::slice::from_ref(&seen)).remove(0).detail;
        assert!(detail.contains(&format!("mean {} of", shown(mean))), "{detail} {mean}");
        assert_eq!(plot.curves[1].points.last().unwrap().1, 3.0 * mean);
        let volume = plugin::<Spike>(Spike::EXAMPLE);
        assert_eq!(volume.plots(Track::Candles { interval: *interval, candles })[0].place, Place::Panel);
    }
}
