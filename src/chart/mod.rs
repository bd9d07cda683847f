//! Draws the past of one subject: as SVG for a page, as PNG for a message.

mod gather;
mod picture;

use jiff::Timestamp;

use crate::model::{Availability, Candle, Interval, Plot};

pub use gather::gather;
pub use picture::picture_of;

/// One subject's past with what its strategies saw in it, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// The watch's name.
    pub watch: String,
    /// What is drawn, in words: `AAPL`, `gasoline in new_york_state`.
    pub title: String,
    /// What its numbers count: `USD`, `USD per gallon`; empty where nobody says.
    pub unit: String,
    /// From when until when.
    pub window: Window,
    /// What was seen.
    pub seen: Seen,
    /// What the watch's strategies add.
    pub plots: Vec<Plot>,
    /// When messages were sent about it.
    pub marks: Vec<Mark>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub until: Timestamp,
}

/// What was seen, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Closed bars.
    Candles(Interval, Vec<Candle>),
    /// A number at each moment at which it was another; it stays so until the next.
    Values(Vec<(Timestamp, f64)>),
    /// A product: its price, where one was shown, and whether it could be had, from each moment on.
    Offers(Vec<(Timestamp, Option<f64>, Availability)>),
}

/// When a message was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What it said, in one line.
    pub title: String,
    /// Whether something began, rather than ended.
    pub firing: bool,
}

/// How a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Its colours.
    pub theme: Theme,
}

/// Which colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Those of the page around it, by classes that its style sheet knows.
    Page,
    /// For a picture on something dark.
    Dark,
    /// For a picture on something light.
    Light,
}

impl Chart {
    /// The drawing as an `<svg>` element, with a `<title>` and a `<desc>` for who cannot see it.
    #[must_use]
    pub fn svg(&self, _look: Look) -> String {
        String::new()
    }

    /// The drawing as PNG. Takes tens of milliseconds of computing: not for an async thread.
    ///
    /// # Errors
    /// A sentence, when the drawing cannot be turned into pixels.
    pub fn png(&self, _look: Look) -> Result<Vec<u8>, String> {
        Err("charts are not drawn yet".into())
    }
}
