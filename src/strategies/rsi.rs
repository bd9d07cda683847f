//! Fires while the relative strength index is beyond its thresholds.
//! <https://en.wikipedia.org/wiki/Relative_strength_index>
//!
//! Wilder's smoothing, started as in Python's `ta`; see [`indicator::rsi`].

use serde::Deserialize;

use super::{checked, indicator, words};
use crate::model::{PolicyDefaults, Reading, ReadingKind, Signal};
use crate::plugin::{EvaluateError, Lookback, Plugin, Story, Strategy, View, Words};

/// Time to buy below one limit, time to sell above the other.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Rsi {
    /// Bars that the index looks back on, 2 to 1,000.
    period: usize,
    /// Oversold below this, 0 to 100.
    buy_below: f64,
    /// Overbought above this, 0 to 100.
    sell_above: f64,
}

impl Default for Rsi {
    fn default() -> Self {
        Self { period: 14, buy_below: 20.0, sell_above: 80.0 }
    }
}

checked!(Rsi, |rsi| {
    indicator::check_period("period", rsi.period)?;
    indicator::check_limits("buy_below", rsi.buy_below, "sell_above", rsi.sell_above)
});

impl Plugin for Rsi {
    const KIND: &'static str = "rsi";
    const ABOUT: &'static str = "time to buy or to sell: the RSI of the last bars is beyond its limits";
    const EXAMPLE: &'static str = "period = 14\nbuy_below = 20\nsell_above = 80";
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
        let signal = |seen: &crate::model::Observation| {
            let Reading::Candles { interval, candles } = &seen.reading else { return None };
            let last = candles.last().filter(|_| indicator::sound(candles))?;
            let value = indicator::rsi(candles.iter().map(|candle| candle.close), self.period).last()??;
            let (state, shown, limit) = if value < self.buy_below {
                ("oversold", words::beside(value, self.buy_below), format!("buy below {}", self.buy_below))
            } else if value > self.sell_above {
                let limit = format!("sell above {}", self.sell_above);
                ("overbought", words::beside(value, self.sell_above), limit)
            } else {
                let limits = format!("between {} and {}", self.buy_below, self.sell_above);
                ("neutral", format!("{value:.1}"), limits)
            };
            let close = words::last_close(last, *interval, view.zone);
            let summary = format!("{}: RSI {} is {shown} ({limit}), {close}", seen.subject, self.period);
            let signal = Signal::level(&seen.subject, state, state != "neutral");
            Some(signal.summary(summary).value(value).url(seen.url.clone()))
        };
        Ok(view.current.iter().filter_map(signal).collect())
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        words::trade(story, "oversold", "overbought")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{tell, told};
    use super::*;
    use crate::model::Reason;
    use crate::testing::{candles, evaluate, plugin};

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
}
