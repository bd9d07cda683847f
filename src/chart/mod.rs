//! Draws the past of one subject: as SVG for a page, as PNG for a message.

mod across;
mod candles;
mod draw;
mod frame;
mod gather;
mod limits;
mod line;
mod offers;
mod png;
mod points;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod theme;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Availability, Candle, Interval, Plot, shown};

pub use gather::{gather, picture_of, shows_indicators};
pub use points::{Figure, Points, Room, Sign, Spot};

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
    /// Where its days begin.
    pub zone: TimeZone,
    /// How values are joined.
    pub line: Line,
    /// What a picture is about: the moment of its message, with a word or two.
    pub trigger: Option<Mark>,
    /// Whether so much was seen that it is put together, and what the strategies computed from each bar or value
    /// is left out.
    pub without_indicators: bool,
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
    /// A product: its price, where one was shown, and whether it could be had, from each moment on; nothing where
    /// it was not there at all.
    Offers(Vec<(Timestamp, Option<f64>, Option<Availability>)>),
}

/// How values are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Each holds until the next: what is looked at again and again.
    Step,
    /// From one to the next: a series with dates of its own.
    Straight,
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
    pub fn svg(&self, look: Look) -> String {
        draw::svg(self, look)
    }

    /// The drawing as PNG. Takes tens of milliseconds of computing: not for an async thread.
    ///
    /// # Errors
    /// A sentence, when the drawing cannot be turned into pixels.
    pub fn png(&self, look: Look) -> Result<Vec<u8>, String> {
        let theme = if look.theme == Theme::Page { Theme::Light } else { look.theme };
        png::png(&self.svg(Look { theme, ..look }))
    }

    /// What it shows, for who cannot see it.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Some((first, last)) = self.seen.ends() else {
            return format!("{}: nothing was seen in this time.", self.title);
        };
        let mut words = format!("{} from {} to {}", self.title, self.when(first), self.when(last));
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        if let Some(last) = self.seen.last_number() {
            let low = self.seen.numbers().fold(f64::INFINITY, f64::min);
            let high = self.seen.numbers().fold(f64::NEG_INFINITY, f64::max);
            words.push_str(&format!(
                ": last {}{unit}, lowest {}, highest {}",
                shown(last),
                shown(low),
                shown(high)
            ));
        }
        if let Seen::Offers(offers) = &self.seen
            && let Some((_, _, availability)) = offers.last()
        {
            words.push_str(&format!("; {}", how_available(*availability)));
        }
        words.push('.');
        match self.marks.len() {
            0 => {}
            1 => words.push_str(" One message was sent."),
            count => words.push_str(&format!(" {count} messages were sent.")),
        }
        if self.without_indicators {
            words.push_str(" This is too much for the indicators: a shorter range shows them.");
        }
        words
    }
}

/// Whether a product could be had, in words.
fn how_available(availability: Option<Availability>) -> String {
    availability.map_or_else(|| "not listed".to_owned(), |availability| availability.to_string())
}

impl Seen {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Candles(_, bars) => bars.is_empty(),
            Self::Values(values) => values.is_empty(),
            Self::Offers(offers) => offers.is_empty(),
        }
    }

    /// The newest price or value.
    #[must_use]
    pub fn last_number(&self) -> Option<f64> {
        match self {
            Self::Candles(_, bars) => bars.last().map(|bar| bar.close),
            Self::Values(values) => values.last().map(|(_, value)| *value),
            Self::Offers(offers) => offers.last().and_then(|(_, price, _)| *price),
        }
    }

    /// Whether each moment is a date alone.
    fn is_by_day(&self) -> bool {
        let is_date = |at: Timestamp| at.as_second().rem_euclid(86_400) == 0;
        match self {
            Self::Candles(interval, bars) => {
                interval.minutes().is_multiple_of(1_440) && bars.iter().all(|bar| is_date(bar.open_time))
            }
            Self::Values(values) => values.len() > 1 && values.iter().all(|(at, _)| is_date(*at)),
            Self::Offers(_) => false,
        }
    }

    const fn is_offers(&self) -> bool {
        matches!(self, Self::Offers(_))
    }

    /// Whether it goes on for days, so that a midnight is most likely a date.
    fn is_long(&self) -> bool {
        self.ends().is_some_and(|(first, last)| last.duration_since(first).as_hours() >= 48)
    }

    /// The first and the last moment.
    fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Candles(_, bars) => Some((bars.first()?.open_time, bars.last()?.open_time)),
            Self::Values(values) => Some((values.first()?.0, values.last()?.0)),
            Self::Offers(offers) => Some((offers.first()?.0, offers.last()?.0)),
        }
    }

    /// Each value or price with its moment; bars have none.
    fn moments(&self) -> Vec<(Timestamp, Option<f64>)> {
        match self {
            Self::Candles(..) => Vec::new(),
            Self::Values(values) => values.iter().map(|(at, value)| (*at, Some(*value))).collect(),
            Self::Offers(offers) => offers.iter().map(|(at, price, _)| (*at, *price)).collect(),
        }
    }

    /// Every number that has a height.
    fn numbers(&self) -> impl Iterator<Item = f64> {
        let (bars, values, offers) = match self {
            Self::Candles(_, bars) => (bars.as_slice(), [].as_slice(), [].as_slice()),
            Self::Values(values) => ([].as_slice(), values.as_slice(), [].as_slice()),
            Self::Offers(offers) => ([].as_slice(), [].as_slice(), offers.as_slice()),
        };
        let bars = bars.iter().flat_map(|bar| [bar.high, bar.low, bar.open, bar.close]);
        let values = values.iter().map(|(_, value)| *value);
        bars.chain(values).chain(offers.iter().filter_map(|(_, price, _)| *price))
    }
}
