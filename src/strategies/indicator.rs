//! Indicators over bars, as Python's `ta` defines them.

use ta::Next;
use ta::indicators::ExponentialMovingAverage;

use crate::model::Candle;

/// The relative strength index after each close: Wilder's smoothing (factor 1/`period`), started as in
/// Python's `ta`: the first difference counts as 0, and there are values from the `period`-th close on.
/// No value either while prices have not moved at all.
///
/// <https://technical-analysis-library-in-python.readthedocs.io/en/latest/ta.html#ta.momentum.RSIIndicator>
pub(crate) fn rsi(closes: impl Iterator<Item = f64>, period: usize) -> impl Iterator<Item = Strength> {
    // The crate's own RSI smooths by 2/(n+1) and starts from 0.1, which drowns small prices.
    let mut gains = wilder(period);
    let mut losses = wilder(period);
    let mut before = None;
    closes.enumerate().map(move |(index, close)| {
        let change = close - before.replace(close).unwrap_or(close);
        let gain = gains.next(change.max(0.0));
        let loss = losses.next((-change).max(0.0));
        let moved = gain + loss;
        let index = (index + 1 >= period && moved > 0.0).then(|| 100.0 * gain / moved);
        Strength { gain, loss, index }
    })
}

/// How closes rose and fell lately, in the price's own unit, and what the index makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strength {
    pub(crate) gain: f64,
    pub(crate) loss: f64,
    pub(crate) index: Option<f64>,
}

/// The exponential mean of factor 1/`period`, started with the first number.
fn wilder(period: usize) -> ExponentialMovingAverage {
    mean(period.saturating_mul(2).saturating_sub(1))
}

/// The exponential mean of factor 2/(`period` + 1), started with the first number.
pub(crate) fn mean(period: usize) -> ExponentialMovingAverage {
    ExponentialMovingAverage::new(period.max(1)).expect("every period but zero makes a mean")
}

/// Whether every bar can be calculated with.
pub(crate) fn sound(candles: &[Candle]) -> bool {
    candles.iter().all(|candle| candle.open.is_finite() && candle.close.is_finite())
}

/// How many bars to ask for, so that the start of the smoothing is all but forgotten.
pub(crate) fn bars(period: usize) -> usize {
    period.saturating_mul(10).max(100)
}

/// Refuses a number of bars that no indicator can be made of, or no source will give.
pub(crate) fn check_period(key: &str, period: usize) -> Result<(), String> {
    match period {
        0 | 1 => Err(format!("`{key}` must be at least 2")),
        2..=1_000 => Ok(()),
        _ => Err(format!("`{key}` must be at most 1000")),
    }
}

/// Refuses limits of an index that goes from 0 to 100 where they leave nothing between them.
pub(crate) fn check_limits(low_key: &str, low: f64, high_key: &str, high: f64) -> Result<(), String> {
    for (key, limit) in [(low_key, low), (high_key, high)] {
        if !(0.0..=100.0).contains(&limit) {
            return Err(format!("`{key}` must be between 0 and 100"));
        }
    }
    if low < high { Ok(()) } else { Err(format!("`{low_key}` must be below `{high_key}`")) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A random walk of whole steps, the same on every machine, at one price level.
    pub(crate) fn walk(scale: f64, length: usize) -> Vec<f64> {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut price = 1.0;
        (0..length)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                price *= 1.0 + ((random % 401) as f64 - 200.0) / 10_000.0;
                price * scale
            })
            .collect()
    }

    /// The definition, written down without any library.
    fn by_definition(closes: &[f64], period: usize) -> Vec<Option<f64>> {
        let alpha = 1.0 / period as f64;
        let (mut up, mut down) = (0.0, 0.0);
        (0..closes.len())
            .map(|n| {
                let change = if n == 0 { 0.0 } else { closes[n] - closes[n - 1] };
                if n > 0 {
                    up = (1.0 - alpha) * up + alpha * if change > 0.0 { change } else { 0.0 };
                    down = (1.0 - alpha) * down + alpha * if change < 0.0 { -change } else { 0.0 };
                }
                match n + 1 >= period {
                    true if down > 0.0 => Some(100.0 - 100.0 / (1.0 + up / down)),
                    true if up > 0.0 => Some(100.0),
                    _ => None,
                }
            })
            .collect()
    }

    #[test]
    fn rsi_is_python_s_ta_at_every_price_level() {
        for scale in [1e-5, 0.08, 100.0, 60_000.0] {
            for period in [2, 14, 21] {
                let closes = walk(scale, 400);
                let expected = by_definition(&closes, period);
                let actual: Vec<_> = rsi(closes.iter().copied(), period).map(|now| now.index).collect();
                assert_eq!(actual.len(), expected.len());
                for (n, pair) in actual.iter().zip(&expected).enumerate() {
                    match pair {
                        (Some(actual), Some(expected)) => {
                            assert!((actual - expected).abs() < 1e-9, "{scale} {period} {n}");
                        }
                        (actual, expected) => assert_eq!(actual, expected, "{scale} {period} {n}"),
                    }
                }
                assert_eq!(actual.iter().position(Option::is_some), Some(period - 1));
            }
        }
    }

    #[test]
    fn rsi_is_ta_lib_s_once_the_start_is_forgotten() {
        for scale in [1e-5, 0.08, 100.0, 60_000.0] {
            let closes = walk(scale, 600);
            let mut expected = vec![0.0; closes.len()];
            let range = ta_lib::Core::new().rsi(0, closes.len() - 1, &closes, 14, &mut expected).unwrap();
            let actual: Vec<_> = rsi(closes.iter().copied(), 14).map(|now| now.index).collect();
            for n in 300..closes.len() {
                let difference = actual[n].unwrap() - expected[n - range.beg_idx];
                assert!(difference.abs() < 1e-6, "{scale} {n}: {difference}");
            }
        }
    }

    #[test]
    fn rsi_has_no_value_before_its_period_and_none_for_prices_that_do_not_move() {
        let last =
            |closes: &[f64], period| rsi(closes.iter().copied(), period).last().and_then(|now| now.index);
        assert_eq!(last(&[], 3), None);
        assert_eq!(last(&[1.0, 2.0], 3), None);
        assert_eq!(last(&[1.0, 2.0, 3.0], 3), Some(100.0));
        assert_eq!(last(&[3.0, 2.0, 1.0], 3), Some(0.0));
        assert_eq!(last(&[5.0; 50], 14), None);
    }
}
