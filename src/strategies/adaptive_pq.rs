//! The adaptive RSI rule of the watch service `lincoln`: the RSI crossing its own mean, far from the middle.
//! <https://github.com/phvv-me/lincoln>

use schemars::JsonSchema;
use serde::Deserialize;
use ta::Next;

use super::{checked, indicator, words};
use crate::model::{
    Candle, Observation, Place, Plot, PolicyDefaults, Reading, ReadingKind, Signal, Track, shown,
};
use crate::plugin::{EvaluateError, Lookback, Plugin, Story, Strategy, View, Words};

/// Fires `buy` while the mean of the RSI is outside `low` to `high`, the last bar rose and the RSI is above its mean;
/// `sell` while the last bar fell and the RSI is below its mean. Ends with the first bar of which neither is so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct AdaptivePq {
    /// How many bars the RSI looks back on, 2 to 1,000.
    #[schemars(range(min = 2, max = 1_000))]
    period: usize,
    /// How many bars the RSI's exponential mean looks back on, 2 to 1,000.
    #[schemars(range(min = 2, max = 1_000))]
    ema: usize,
    /// Fires only while the mean is below this (or above `high`), 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    low: f64,
    /// Fires only while the mean is above this (or below `low`), 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    high: f64,
}

impl Default for AdaptivePq {
    fn default() -> Self {
        Self { period: 14, ema: 12, low: 20.0, high: 80.0 }
    }
}

checked!(AdaptivePq, |rule| {
    indicator::check_period("period", rule.period)?;
    indicator::check_period("ema", rule.ema)?;
    indicator::check_limits("low", rule.low, "high", rule.high)
});

impl AdaptivePq {
    /// The RSI after the last bar and its mean. `None` where the RSI never had a value.
    fn rsi_and_mean(&self, candles: &[Candle]) -> Option<(f64, f64)> {
        self.values(candles).last().flatten()
    }

    /// The same after each bar.
    fn values(&self, candles: &[Candle]) -> impl Iterator<Item = Option<(f64, f64)>> {
        let mut mean = indicator::mean(self.ema);
        let mut held = None;
        let values = indicator::rsi(candles.iter().map(|candle| candle.close), self.period);
        values.enumerate().map(move |(index, strength)| {
            // The original fills gaps forward, then with 0, and starts a mean of n with n - 1 zeros.
            held = strength.index.or(held);
            let rsi = if index + 1 < self.ema { 0.0 } else { held.unwrap_or(0.0) };
            let mean = mean.next(rsi);
            held.map(|_| (rsi, mean))
        })
    }

    fn is_far(&self, mean: f64) -> bool {
        mean < self.low || mean > self.high
    }

    fn state(&self, rsi: f64, mean: f64, last: &Candle) -> &'static str {
        let far = self.is_far(mean);
        if far && last.close > last.open && rsi > mean {
            "buy"
        } else if far && last.close < last.open && rsi < mean {
            "sell"
        } else {
            "hold"
        }
    }

    fn signal(&self, seen: &Observation, view: &View<'_>) -> Option<Signal> {
        let Reading::Candles { interval, candles } = &seen.reading else { return None };
        let last = candles.last().filter(|_| indicator::sound(candles))?;
        let (rsi, mean) = self.rsi_and_mean(candles)?;
        let far = self.is_far(mean);
        let state = self.state(rsi, mean, last);
        let summary = format!(
            "{}: RSI {} is {}, its mean {} ({} {} to {}), bar opened at {}, {}",
            seen.subject,
            self.period,
            words::beside(rsi, mean),
            words::beside(mean, if mean < 50.0 { self.low } else { self.high }),
            if far { "outside" } else { "inside" },
            self.low,
            self.high,
            shown(last.open),
            words::last_close(last, *interval, view.zone),
        );
        let signal = Signal::level(&seen.subject, state, state != "hold");
        Some(signal.summary(summary).value(rsi).url(seen.url.clone()))
    }
}

impl Plugin for AdaptivePq {
    const KIND: &'static str = "adaptive_pq";
    const ABOUT: &'static str = "time to buy or to sell: the RSI has passed its own mean far from the middle";
    const EXAMPLE: &'static str = "period = 14\nema = 12\nlow = 20\nhigh = 80";
    const POLICY: PolicyDefaults = PolicyDefaults::NOTIFY;
}

impl Strategy for AdaptivePq {
    fn reads(&self) -> &'static [ReadingKind] {
        &[ReadingKind::Candles]
    }

    fn lookback(&self) -> Lookback {
        Lookback { bars: indicator::bars(self.period.max(self.ema)), ..Lookback::default() }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        Ok(view.current.iter().filter_map(|seen| self.signal(seen, view)).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(seen) = view.seen(subject) else { return words::unseen() };
        let Reading::Candles { interval, candles } = &seen.reading else { return words::unseen() };
        let mut steps = vec![words::bars_seen(candles, *interval)];
        let Some(last) = candles.last().filter(|_| indicator::sound(candles)) else {
            steps.push("there are no bars that can be calculated with".into());
            return steps;
        };
        let Some((rsi, mean)) = self.rsi_and_mean(candles) else {
            steps.push(format!("RSI({}), Wilder: no value yet", self.period));
            return steps;
        };
        steps.push(format!(
            "RSI({}), Wilder: {rsi:.2}; its exponential mean of {} bars: {mean:.2}",
            self.period, self.ema
        ));
        let (low, high) = (self.low, self.high);
        let far = if self.is_far(mean) { "outside, far from the middle" } else { "inside, so hold" };
        steps.push(format!("low {low}, high {high}: the mean is {far}"));
        let turned = |from: f64, to: f64| match to.total_cmp(&from) {
            std::cmp::Ordering::Greater => "rose",
            std::cmp::Ordering::Less => "fell",
            std::cmp::Ordering::Equal => "stood still",
        };
        steps.push(format!(
            "the last bar {} from {} to {}, the RSI is {} its mean → {}",
            turned(last.open, last.close),
            shown(last.open),
            shown(last.close),
            if rsi > mean {
                "above"
            } else if rsi < mean {
                "below"
            } else {
                "at"
            },
            self.state(rsi, mean, last)
        ));
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let Track::Candles { candles, .. } = track else { return Vec::new() };
        if !indicator::sound(candles) {
            return Vec::new();
        }
        let values = candles.iter().zip(self.values(candles));
        let known = values.filter_map(|(bar, value)| Some((bar.open_time, value?)));
        let (rsi, mean) = known.map(|(at, (rsi, mean))| ((at, rsi), (at, mean))).unzip();
        let name = format!("RSI {}", self.period);
        let plot =
            Plot::new(&name, Place::Panel).curve(&name, rsi).curve(format!("its mean of {}", self.ema), mean);
        vec![plot.range(0.0, 100.0).limit("high", self.high).limit("low", self.low)]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        words::trade(story, "buy", "sell")
    }
}

#[cfg(test)]
mod tests {
    use super::super::indicator::tests::walk;
    use super::super::tests::{tell, told};
    use super::*;
    use crate::model::Reason;
    use crate::testing::{candles, evaluate, plugin};

    /// The rule, written down without any library; the closes' own opens are the closes before.
    fn by_definition(closes: &[f64]) -> &'static str {
        let (mut up, mut down, mut mean, mut rsi) = (0.0, 0.0, 0.0, 0.0);
        for n in 1..closes.len() {
            let change = closes[n] - closes[n - 1];
            up += (f64::max(change, 0.0) - up) / 14.0;
            down += (f64::max(-change, 0.0) - down) / 14.0;
            rsi = if n < 13 { 0.0 } else { 100.0 * up / (up + down) };
            mean += (rsi - mean) * 2.0 / 13.0;
        }
        let [.., open, close] = closes else { return "hold" };
        match !(20.0..=80.0).contains(&mean) {
            true if close > open && rsi > mean => "buy",
            true if close < open && rsi < mean => "sell",
            _ => "hold",
        }
    }

    #[test]
    fn it_is_the_original_s_rule_at_every_bar_and_price_level() {
        let mut seen = std::collections::HashMap::new();
        for scale in [1e-5, 100.0, 60_000.0] {
            // Long drifts up and down take the mean beyond its limits.
            let closes: Vec<f64> = (0..)
                .zip(walk(scale, 400))
                .map(|(n, close)| close * (f64::from(n) / 25.0).sin().mul_add(0.5, 1.0))
                .collect();
            for length in 14..closes.len() {
                let closes = &closes[..length];
                let signals = evaluate(&AdaptivePq::default(), &[candles("AAPL", closes)]);
                assert_eq!(signals[0].state, by_definition(closes), "{scale} {length}");
                assert_eq!(signals[0].firing, signals[0].state != "hold");
                *seen.entry(signals[0].state.clone()).or_insert(0) += 1;
            }
        }
        assert_eq!(seen.len(), 3, "buy, sell and hold all occur: {seen:?}");
    }

    #[test]
    fn too_few_bars_and_prices_that_never_moved_say_nothing() {
        for closes in [vec![], vec![1.0, 2.0, 3.0], vec![100.0; 60], vec![f64::NAN; 60]] {
            assert_eq!(evaluate(&AdaptivePq::default(), &[candles("AAPL", &closes)]), vec![]);
        }
    }

    #[test]
    fn its_steps_show_the_index_its_mean_and_the_last_bar() {
        let falling: Vec<f64> = (0..60).map(|n| 200.0 - f64::from(n)).collect();
        let seen = [candles("AAPL", &falling)];
        let steps = super::super::tests::steps(&AdaptivePq::default(), &seen, None);
        assert_eq!(
            steps,
            [
                "60 bars of 30m up to 2026-11-03T06:00:00Z, last close 141",
                "RSI(14), Wilder: 0.00; its exponential mean of 12 bars: 0.00",
                "low 20, high 80: the mean is outside, far from the middle",
                "the last bar fell from 142 to 141, the RSI is at its mean → hold",
            ]
        );
    }

    #[test]
    fn it_says_time_to_buy() {
        let buy = Signal::level("AAPL", "buy", true).summary("AAPL: RSI");
        let sell = Signal::level("TSLA", "sell", true).summary("TSLA: RSI");
        let news = [told(&buy, Reason::First), told(&sell, Reason::Changed)];
        let words = tell(&AdaptivePq::default(), &news, &[]);
        assert_eq!(words.title, "time to buy AAPL; time to sell TSLA");
        assert_eq!(words.body, "AAPL: RSI\nTSLA: RSI");
    }

    #[test]
    fn what_is_drawn_ends_with_what_was_judged() {
        let rule: AdaptivePq = plugin(AdaptivePq::EXAMPLE);
        let seen = candles("AAPL", &walk(100.0, 300));
        let Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let [plot] = rule.plots(Track::Candles { interval: *interval, candles }).try_into().unwrap();
        let (rsi, mean) = rule.rsi_and_mean(candles).unwrap();
        let last: Vec<f64> = plot.curves.iter().map(|curve| curve.points.last().unwrap().1).collect();
        assert_eq!(last, [rsi, mean]);
        assert_eq!(evaluate(&rule, std::slice::from_ref(&seen))[0].value, Some(rsi));
    }
}
