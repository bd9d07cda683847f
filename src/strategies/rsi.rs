//! Fires while the relative strength index is beyond its thresholds.
//! <https://en.wikipedia.org/wiki/Relative_strength_index>
//!
//! Wilder's smoothing, started as in Python's `ta`; see [`indicator::rsi`].

use schemars::JsonSchema;
use serde::Deserialize;

use super::indicator::{self, Strength};
use super::{checked, words};
use crate::model::{
    Candle, Interval, Observation, Place, Plot, PolicyDefaults, Reading, ReadingKind, Signal, Track, shown,
};
use crate::plugin::{EvaluateError, Lookback, Plugin, Story, Strategy, View, Words};

/// Fires `oversold` while the RSI (Wilder's relative strength index, 0 to 100) is below `buy_below`, and `overbought`
/// while it is above `sell_above`. Ends when it is back between the limits, by at least the `hysteresis`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Rsi {
    /// How many bars the RSI looks back on, 2 to 1,000.
    #[schemars(range(min = 2, max = 1_000))]
    period: usize,
    /// Oversold, time to buy, below this; 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    buy_below: f64,
    /// Overbought, time to sell, above this; 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    sell_above: f64,
    /// How far the RSI must come back past the limit before it is over, so that it does not flap around it.
    #[schemars(range(min = 0))]
    hysteresis: f64,
}

impl Default for Rsi {
    fn default() -> Self {
        Self { period: 14, buy_below: 20.0, sell_above: 80.0, hysteresis: 0.0 }
    }
}

checked!(Rsi, |rsi| {
    indicator::check_period("period", rsi.period)?;
    indicator::check_limits("buy_below", rsi.buy_below, "sell_above", rsi.sell_above)?;
    if (0.0..rsi.sell_above - rsi.buy_below).contains(&rsi.hysteresis) {
        return Ok(());
    }
    Err("`hysteresis` must be 0 or more, and less than what lies between the limits".into())
});

/// What it sees of one subject.
struct Seen<'a> {
    interval: Interval,
    candles: &'a [Candle],
    last: &'a Candle,
    strength: Strength,
}

impl Rsi {
    fn look<'a>(&self, seen: &'a Observation) -> Option<Seen<'a>> {
        let Reading::Candles { interval, candles } = &seen.reading else { return None };
        let last = candles.last().filter(|_| indicator::sound(candles))?;
        let strength = indicator::rsi(candles.iter().map(|candle| candle.close), self.period).last()?;
        Some(Seen { interval: *interval, candles, last, strength })
    }

    /// A state that was settled on lasts until the index is back by the hysteresis.
    fn state(&self, index: f64, before: Option<&str>) -> &'static str {
        let sticky = |state| if before == Some(state) { self.hysteresis } else { 0.0 };
        if index < self.buy_below {
            "oversold"
        } else if index > self.sell_above {
            "overbought"
        } else if index < self.buy_below + sticky("oversold") {
            "oversold"
        } else if index > self.sell_above - sticky("overbought") {
            "overbought"
        } else {
            "neutral"
        }
    }

    fn signal(&self, seen: &Observation, view: &View<'_>) -> Option<Signal> {
        let Seen { interval, last, strength, .. } = self.look(seen)?;
        let index = strength.index?;
        let state = self.state(index, view.settled(&seen.subject));
        let (low, high) = (self.buy_below, self.sell_above);
        let (shown, limit) = match state {
            "oversold" if index < low => (words::beside(index, low), format!("buy below {low}")),
            "oversold" => {
                let over = low + self.hysteresis;
                (words::beside(index, low), format!("buy below {low}, over at {over}"))
            }
            "overbought" if index > high => (words::beside(index, high), format!("sell above {high}")),
            "overbought" => {
                let over = high - self.hysteresis;
                (words::beside(index, high), format!("sell above {high}, over at {over}"))
            }
            _ => (format!("{index:.1}"), format!("between {low} and {high}")),
        };
        let close = words::last_close(last, interval, view.zone);
        let summary = format!("{}: RSI {} is {shown} ({limit}), {close}", seen.subject, self.period);
        let signal = Signal::level(&seen.subject, state, state != "neutral");
        Some(signal.summary(summary).value(index).url(seen.url.clone()))
    }
}

impl Plugin for Rsi {
    const KIND: &'static str = "rsi";
    const ABOUT: &'static str = "time to buy or to sell: the RSI of the last bars is beyond its limits";
    const EXAMPLE: &'static str = "period = 14\nbuy_below = 20\nsell_above = 80\nhysteresis = 5";
    const POLICY: PolicyDefaults = PolicyDefaults::NOTIFY;
}

impl Strategy for Rsi {
    fn reads(&self) -> &'static [ReadingKind] {
        &[ReadingKind::Candles]
    }

    fn lookback(&self) -> Lookback {
        Lookback { bars: indicator::bars(self.period), ..Lookback::default() }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        Ok(view.current.iter().filter_map(|seen| self.signal(seen, view)).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(seen) = view.seen(subject) else { return words::unseen() };
        let Some(Seen { interval, candles, strength: Strength { gain, loss, index }, .. }) = self.look(seen)
        else {
            return vec!["there are no bars that can be calculated with".into()];
        };
        let mut steps = vec![words::bars_seen(candles, interval)];
        let averages = format!(
            "RSI({}), Wilder: average gain {}, average loss {}",
            self.period,
            shown(gain),
            shown(loss)
        );
        let Some(index) = index else {
            let why = if candles.len() < self.period {
                format!("no RSI from fewer than {} bars", self.period)
            } else {
                "no RSI while prices have not moved".into()
            };
            steps.push(format!("{averages}: {why}"));
            return steps;
        };
        steps.push(format!("{averages}, RSI {index:.2}"));
        let (low, high) = (self.buy_below, self.sell_above);
        let plain = self.state(index, None);
        let found = match plain {
            "oversold" => format!("below {low}"),
            "overbought" => format!("above {high}"),
            _ => format!("not below {low}, not above {high}"),
        };
        steps.push(format!("buy_below {low}, sell_above {high}: {found} → {plain}"));
        let before = view.settled(subject);
        let state = self.state(index, before);
        let over = if state == "oversold" { low + self.hysteresis } else { high - self.hysteresis };
        steps.extend(words::held(self.hysteresis, before, (plain, state), &shown(over)));
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let Track::Candles { candles, .. } = track else { return Vec::new() };
        if !indicator::sound(candles) {
            return Vec::new();
        }
        let index = indicator::rsi(candles.iter().map(|candle| candle.close), self.period);
        let points = candles.iter().zip(index).filter_map(|(bar, now)| Some((bar.open_time, now.index?)));
        let name = format!("RSI {}", self.period);
        let plot = Plot::new(&name, Place::Panel).curve(&name, points.collect()).range(0.0, 100.0);
        vec![plot.limit("sell above", self.sell_above).limit("buy below", self.buy_below)]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        words::trade(story, "oversold", "overbought")
    }
}

#[cfg(test)]
mod tests {
    use super::super::indicator::tests::walk;
    use super::super::tests::{known, steps, tell, told};
    use super::*;
    use crate::model::Reason;
    use crate::testing::{candles, evaluate, evaluate_knowing, plugin};

    fn falling(bars: usize) -> Vec<f64> {
        (0..bars).map(|n| 200.0 - n as f64).collect()
    }

    #[test]
    fn a_fall_is_oversold_and_a_rise_overbought_at_every_price_level() {
        let rsi: Rsi = plugin(Rsi::EXAMPLE);
        for scale in [1e-5, 0.08, 100.0, 60_000.0] {
            let fall: Vec<f64> = falling(60).iter().map(|close| close * scale).collect();
            let rise: Vec<f64> = fall.iter().rev().copied().collect();
            let signals = evaluate(&rsi, &[candles("FALL", &fall), candles("RISE", &rise)]);
            assert_eq!((signals[0].state.as_str(), signals[0].firing), ("oversold", true));
            assert_eq!((signals[1].state.as_str(), signals[1].firing), ("overbought", true));
            assert_eq!(signals[1].fingerprint, "overbought");
            assert_eq!(signals[1].value, Some(100.0));
        }
    }

    #[test]
    fn what_was_settled_on_lasts_until_the_index_is_back_by_the_hysteresis() {
        let rsi: Rsi = plugin("hysteresis = 5");
        for (index, before, state) in [
            (19.9, None, "oversold"),
            (20.0, None, "neutral"),
            (24.9, Some("neutral"), "neutral"),
            (24.9, Some("oversold"), "oversold"),
            (25.0, Some("oversold"), "neutral"),
            (75.1, Some("overbought"), "overbought"),
            (75.1, Some("oversold"), "neutral"),
            (75.0, Some("overbought"), "neutral"),
        ] {
            assert_eq!(rsi.state(index, before), state, "{index} {before:?}");
        }
        for keys in ["hysteresis = -1", "hysteresis = 60", "hysteresis = nan"] {
            let error = toml::from_str::<Rsi>(keys).unwrap_err().to_string();
            assert!(error.contains("`hysteresis` must be"), "{error}");
        }
    }

    #[test]
    fn its_steps_show_the_averages_the_index_the_limits_and_the_hysteresis() {
        let rsi: Rsi = plugin("period = 2\nhysteresis = 40\nbuy_below = 20\nsell_above = 80");
        // Averages of 2: gain 0, 0.5, 0.25; loss 1, 0.5, 0.75 after these.
        let seen = [candles("AAPL", &[101.0, 99.0, 100.0, 99.0])];
        let before = known("oversold", true, "oversold");
        let held = "hysteresis 40: `oversold` was settled on before, and lasts until 60 → oversold";
        assert_eq!(
            steps(&rsi, &seen, Some(before)),
            [
                "4 bars of 30m up to 2026-11-02T02:00:00Z, last close 99",
                "RSI(2), Wilder: average gain 0.25, average loss 0.75, RSI 25.00",
                "buy_below 20, sell_above 80: not below 20, not above 80 → neutral",
                held,
            ]
        );
        let summary = |known| evaluate_knowing(&rsi, &seen, &[], &known).remove(0).summary;
        let known = [("AAPL".to_owned(), known("oversold", true, "oversold"))].into();
        assert!(summary(known).starts_with("AAPL: RSI 2 is 25.0 (buy below 20, over at 60)"));
        let few = steps(&rsi, &[candles("AAPL", &[1.0])], None);
        assert!(few[1].ends_with("no RSI from fewer than 2 bars"), "{few:?}");
    }

    #[test]
    fn ups_and_downs_are_neutral() {
        let closes: Vec<f64> = (0..60).map(|n| 100.0 + f64::from(n % 2)).collect();
        let signals = evaluate(&Rsi::default(), &[candles("AAPL", &closes)]);
        assert_eq!((signals[0].state.as_str(), signals[0].firing), ("neutral", false));
    }

    #[test]
    fn too_few_bars_prices_that_do_not_move_and_holes_say_nothing() {
        for closes in [vec![], falling(13), vec![100.0; 60], vec![f64::NAN; 60]] {
            assert_eq!(evaluate(&Rsi::default(), &[candles("AAPL", &closes)]), vec![], "{closes:?}");
        }
        let mut hole = falling(60);
        hole[30] = f64::INFINITY;
        assert_eq!(evaluate(&Rsi::default(), &[candles("AAPL", &hole)]), vec![]);
        assert_eq!(evaluate(&Rsi::default(), &[candles("AAPL", &falling(14))]).len(), 1);
    }

    #[test]
    fn impossible_limits_are_refused_with_the_reason() {
        for (keys, why) in [
            ("buy_below = 80\nsell_above = 20", "below"),
            ("buy_below = -1", "between 0 and 100"),
            ("sell_above = nan", "between 0 and 100"),
            ("period = 1", "at least 2"),
            ("period = 1000000", "at most 1000"),
            ("lower = 20", "unknown field `lower`"),
        ] {
            let error = toml::from_str::<Rsi>(keys).unwrap_err().to_string();
            assert!(error.contains(why), "{keys}: {error}");
        }
    }

    #[test]
    fn it_asks_for_enough_bars_to_forget_the_start() {
        let bars = |keys| plugin::<Rsi>(keys).lookback().bars;
        assert_eq!((bars(""), bars("period = 2"), bars("period = 30")), (140, 100, 300));
    }

    #[test]
    fn it_says_time_to_buy_in_one_sentence_for_all() {
        let rsi = Rsi::default();
        let signal = |subject: &str, state: &str| {
            Signal::level(subject, state, state != "neutral").summary(format!("{subject} is {state}"))
        };
        let [aapl, msft, tsla] = ["AAPL", "MSFT", "TSLA"].map(|subject| signal(subject, "oversold"));
        let sell = signal("TSLA", "overbought");
        let over = signal("AAPL", "neutral");
        let first = |signal| told(signal, Reason::First);
        for (news, title) in [
            (vec![first(&aapl)], "time to buy AAPL"),
            (vec![first(&sell)], "time to sell TSLA"),
            (vec![first(&aapl), first(&msft)], "time to buy AAPL and MSFT"),
            (vec![first(&aapl), first(&msft), first(&tsla)], "time to buy AAPL, MSFT and TSLA"),
            (vec![first(&aapl), first(&sell)], "time to buy AAPL; time to sell TSLA"),
            (vec![told(&aapl, Reason::Changed)], "time to buy AAPL"),
            (vec![told(&aapl, Reason::Reminder)], "still time to buy AAPL"),
            (vec![told(&over, Reason::Resolved)], "time is over for AAPL"),
        ] {
            assert_eq!(tell(&rsi, &news, &[]).title, title);
        }
        let words = tell(&rsi, &[first(&aapl), first(&sell)], &[]);
        assert_eq!(words.body, "AAPL is oversold\nTSLA is overbought");
    }

    #[test]
    fn the_line_has_the_value_the_limit_and_the_last_close() {
        let mut closes = falling(60);
        closes[30] = 175.5;
        let signals = evaluate(&Rsi::default(), &[candles("AAPL", &closes)]);
        let summary = &signals[0].summary;
        assert!(summary.starts_with("AAPL: RSI 14 is "), "{summary}");
        assert!(summary.ends_with(" (buy below 20), last close 141 at 2026-11-03 06:00 UTC"), "{summary}");
    }

    #[test]
    fn what_is_drawn_ends_with_what_was_judged() {
        let rsi: Rsi = plugin(Rsi::EXAMPLE);
        let seen = candles("AAPL", &walk(100.0, 300));
        let Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let track = Track::Candles { interval: *interval, candles };
        let [plot] = rsi.plots(track).try_into().unwrap();
        let judged = evaluate(&rsi, std::slice::from_ref(&seen))[0].value;
        let [curve] = plot.curves.as_slice() else { panic!("one curve") };
        assert_eq!(
            curve.points.last().map(|(at, index)| (*at, Some(*index))),
            Some((candles[299].open_time, judged))
        );
        assert_eq!(curve.points.len(), 300 - 13, "no index before the period is full");
        assert_eq!((plot.place, plot.range), (Place::Panel, Some((0.0, 100.0))));
        let limits: Vec<_> = plot.limits.iter().map(|limit| (limit.name.as_str(), limit.value)).collect();
        assert_eq!(limits, [("sell above", 80.0), ("buy below", 20.0)]);
        assert_eq!(rsi.plots(Track::Values(&[])), []);
    }
}
