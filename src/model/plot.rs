//! What a strategy adds to a chart: its own curves and limits, in the numbers that it judged by.

use jiff::Timestamp;

use super::{Candle, Interval};

/// The past of one subject as a strategy draws it.
#[derive(Clone, Copy, Debug)]
pub enum Track<'a> {
    /// Closed bars, oldest first.
    Candles {
        /// The length of a bar.
        interval: Interval,
        /// Oldest first.
        candles: &'a [Candle],
    },
    /// Prices or values, oldest first; a price that was not shown is left out.
    Values(&'a [(Timestamp, f64)]),
}

/// What one strategy adds to the chart of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it is called: `RSI 14`.
    pub name: String,
    /// Where it is drawn.
    pub place: Place,
    /// Its curves.
    pub curves: Vec<Curve>,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// Where a plot is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Over the prices, in their unit.
    Over,
    /// In a panel of its own below, with a scale of its own.
    Panel,
}

/// A line through points, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is called.
    pub name: String,
    /// Oldest first, every number finite.
    pub points: Vec<(Timestamp, f64)>,
}

/// A level that makes a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What it is called: `oversold`.
    pub name: String,
    /// In the unit of its plot.
    pub value: f64,
}
