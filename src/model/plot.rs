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
    /// What its numbers can be at all, lowest and highest, where that is known: 0 to 100 of an index. Its panel
    /// shows all of it, and what lies beyond the limits is shaded.
    pub range: Option<(f64, f64)>,
    /// The moments at which what it looks for was so, with the price or value of then: drops.
    pub hits: Vec<(Timestamp, f64)>,
}

impl Plot {
    /// A plot without curves and limits.
    #[must_use]
    pub fn new(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            place,
            curves: Vec::new(),
            limits: Vec::new(),
            range: None,
            hits: Vec::new(),
        }
    }

    /// With one more curve.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, points: Vec<(Timestamp, f64)>) -> Self {
        self.curves.push(Curve { name: name.into(), points });
        self
    }

    /// With one more limit.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>, value: f64) -> Self {
        self.limits.push(Limit { name: name.into(), value });
        self
    }

    /// With what its numbers can be at all.
    #[must_use]
    pub const fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
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
    /// Oldest first, every number finite; what was computed from a bar is dated by when that opened.
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
