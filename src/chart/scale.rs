//! From numbers to heights: a scale that fits what it shows, with round numbers on its axis.

/// What a chart calculates with at most; beyond it differences would not be numbers any more.
const LARGEST: f64 = 1e300;

/// Heights for numbers, in pixels from the top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

/// A round number and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Scale {
    /// A scale that all the numbers fit on, with a little air: it never starts from zero by force.
    pub(super) fn fitting(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.map(tame) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let size = low.abs().max(high.abs());
        // What differs by rounding alone is all the same.
        let air = if high - low > size * 1e-12 {
            (high - low) * 0.06
        } else if size > 0.0 {
            size * 0.01
        } else {
            1.0
        };
        Self { low: low - air, high: high + air, top: 0.0, bottom: 1.0 }
    }

    /// A scale that shows exactly this much.
    pub(super) fn exactly(low: f64, high: f64) -> Self {
        Self { low: tame(low), high: tame(high).max(tame(low) + f64::EPSILON), top: 0.0, bottom: 1.0 }
    }

    /// The same between these heights.
    pub(super) const fn between(self, top: f64, bottom: f64) -> Self {
        Self { top, bottom, ..self }
    }

    /// The height of a number; of one that does not fit, the nearest edge.
    pub(super) fn y(&self, value: f64) -> f64 {
        let part = (tame(value) - self.low) / (self.high - self.low);
        self.bottom - part.clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    /// Whether a number lies on the scale.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The number in its middle.
    pub(super) fn middle(&self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    /// Round numbers on the scale, about so many.
    pub(super) fn ticks(&self, about: usize) -> Vec<Tick> {
        // Rather half as many again than too few.
        let step = round_step((self.high - self.low) / (about.max(1) as f64 * 1.5));
        let first = (self.low / step).ceil();
        let values = (0..50).map(|n| (first + f64::from(n)) * step).take_while(|value| *value <= self.high);
        let mut ticks: Vec<Tick> = values.map(|value| Tick { value, label: label(value, step) }).collect();
        ticks.dedup_by(|a, b| a.label == b.label);
        ticks
    }
}

fn tame(value: f64) -> f64 {
    if value.abs() < 1.0 / LARGEST { 0.0 } else { value.clamp(-LARGEST, LARGEST) }
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn round_step(at_least: f64) -> f64 {
    let power = 10_f64.powf(at_least.log10().floor());
    let times = at_least / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| times <= round * (1.0 + 1e-9)).unwrap_or(10.0);
    round * power
}

/// A round number with as many decimals as its neighbours; prices with cents have two, as
/// [`crate::model::shown`] has it.
fn label(value: f64, step: f64) -> String {
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0);
    let decimals = if decimals == 1.0 && value.abs() < 10_000.0 { 2.0 } else { decimals };
    if decimals > 12.0 || value.abs() >= 1e15 {
        return format!("{:.2e}", value + 0.0);
    }
    let text = format!("{value:.*}", decimals as usize);
    if text.trim_matches(['-', '0', '.']).is_empty() { "0".into() } else { text }
}

/// A large amount in few letters: `146M`.
pub(super) fn short(value: f64) -> String {
    for (size, letter) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if value.abs() >= size {
            let size = if letter == "k" { 1e3 } else { size };
            return format!("{}{letter}", three_digits(value / size));
        }
    }
    three_digits(value)
}

fn three_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded.abs() >= 1e15 { format!("{rounded:e}") } else { format!("{}", rounded + 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], about: usize) -> Vec<String> {
        let scale = Scale::fitting(values.iter().copied());
        scale.ticks(about).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn an_axis_fits_what_it_shows_with_round_numbers() {
        for (values, about, expected) in [
            (vec![181.0, 189.4], 4, vec!["182", "184", "186", "188"]),
            (vec![3.41, 3.58], 4, vec!["3.40", "3.45", "3.50", "3.55"]),
            (vec![185.1, 185.9], 3, vec!["185.20", "185.40", "185.60", "185.80"]),
            (vec![0.0, 100.0], 4, vec!["0", "20", "40", "60", "80", "100"]),
            (vec![-3.0, 5.0], 4, vec!["-2", "0", "2", "4"]),
            (
                vec![1e12, 1.4e12],
                3,
                vec!["1000000000000", "1100000000000", "1200000000000", "1300000000000", "1400000000000"],
            ),
            (
                vec![1e-8, 1.4e-8],
                3,
                vec!["0.000000010", "0.000000011", "0.000000012", "0.000000013", "0.000000014"],
            ),
            (vec![42.0], 2, vec!["42.00"]),
            (vec![0.0], 2, vec!["-1", "0", "1"]),
        ] {
            assert_eq!(labels(&values, about), expected, "{values:?}");
        }
    }

    #[test]
    fn any_finite_numbers_have_a_height_within_the_panel() {
        for values in [
            vec![f64::MAX, f64::MIN],
            vec![f64::MIN_POSITIVE, 0.0],
            vec![5e-324, -5e-324],
            vec![1e300, 1e300 * (1.0 - 1e-13)],
            vec![],
        ] {
            let scale = Scale::fitting(values.iter().copied()).between(10.0, 90.0);
            for value in values.iter().copied().chain([0.0, 1e308]) {
                assert!((10.0..=90.0).contains(&scale.y(value)), "{values:?} {value}");
            }
            assert!(scale.ticks(4).len() <= 12, "{values:?}");
        }
    }

    #[test]
    fn amounts_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (950.0, "950"),
            (1_234.0, "1230"),
            (48_200.0, "48.2k"),
            (145_726_175.0, "146M"),
            (2.5e12, "2.5T"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
