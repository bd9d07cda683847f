//! The numbers of a drawing with their places, for a script that shows them under the pointer.

use serde::Serialize;

use super::frame::{Frame, Point};
use super::{Chart, Look, Seen};
use crate::model::Curve;

/// The numbers of a drawing with their places.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Points {
    /// The watch's name.
    pub watch: String,
    /// What is drawn.
    pub title: String,
    /// What its numbers count.
    pub unit: String,
    /// The zone of its moments.
    pub zone: String,
    /// From when it was asked for.
    pub from: jiff::Timestamp,
    /// Until when.
    pub until: jiff::Timestamp,
    /// The size of the drawing, in pixels.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// Where it is drawn in, from left to right.
    pub left: f64,
    /// See `left`.
    pub right: f64,
    /// Its panels from top to bottom.
    pub panels: Vec<Room>,
    /// What the numbers of each point are called.
    pub columns: Vec<String>,
    /// Oldest first, as many as are drawn.
    pub points: Vec<Spot>,
    /// When messages were sent.
    pub marks: Vec<Sign>,
}

/// One panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Room {
    /// What it is called; empty for the first one.
    pub name: String,
    /// Its upper edge, in pixels.
    pub top: f64,
    /// Its lower edge.
    pub bottom: f64,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spot {
    /// When it was so.
    pub at: jiff::Timestamp,
    /// The same in words, in the zone of the chart.
    pub when: String,
    /// Its place, in pixels.
    pub x: f64,
    /// The height of its value or close; nothing where no price was shown.
    pub y: Option<f64>,
    /// One for each column; nothing where there is none.
    pub values: Vec<Option<Figure>>,
}

/// A number or a word.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Figure {
    /// A number.
    Number(f64),
    /// A word: whether a product could be had.
    Word(String),
}

/// When a message was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sign {
    /// When.
    pub at: jiff::Timestamp,
    /// The same in words.
    pub when: String,
    /// Its place, in pixels.
    pub x: f64,
    /// What it said, in one line.
    pub title: String,
    /// Whether something began, rather than ended.
    pub firing: bool,
}

impl Chart {
    /// The numbers of the drawing of this look, with their places.
    #[must_use]
    pub fn points(&self, look: Look) -> Points {
        let mut points = Points {
            watch: self.watch.clone(),
            title: self.title.clone(),
            unit: self.unit.clone(),
            zone: self.zone.iana_name().unwrap_or("UTC").to_owned(),
            from: self.window.from,
            until: self.window.until,
            width: look.width,
            height: look.height,
            left: 0.0,
            right: 0.0,
            panels: Vec::new(),
            columns: Vec::new(),
            points: Vec::new(),
            marks: Vec::new(),
        };
        let Some(frame) = Frame::new(self, look) else {
            // Room to move in, from a stretch in which nothing was seen.
            (points.left, points.right) = (10.0, f64::from(look.width) - 10.0);
            return points;
        };
        (points.left, points.right) = frame.across.edges();
        let room = |(name, top, bottom): &(&str, f64, f64)| Room {
            name: (*name).into(),
            top: *top,
            bottom: *bottom,
        };
        points.panels = frame.rows().iter().map(room).collect();
        let own: &[&str] = match &self.seen {
            Seen::Candles(..) => &["open", "high", "low", "close", "volume"],
            Seen::Values(_) => &["value"],
            Seen::Offers(_) => &["price", "availability"],
        };
        let curves: Vec<&Curve> = self.plots.iter().flat_map(|plot| &plot.curves).collect();
        points.columns = own.iter().map(|name| (*name).to_owned()).collect();
        points.columns.extend(curves.iter().map(|curve| curve.name.clone()));
        points.points = spots(&frame);
        // What is known of a bar is so at its end, which is when the next one opens.
        let opens = frame.bars.iter().skip(1).map(|bar| bar.open_time);
        let ends: Vec<jiff::Timestamp> = opens.chain([jiff::Timestamp::MAX]).collect();
        for (nth, spot) in points.points.iter_mut().enumerate() {
            let end = ends.get(nth).filter(|_| !frame.bars.is_empty());
            spot.values.extend(curves.iter().map(|curve| {
                let until =
                    curve.points.partition_point(|(at, _)| end.map_or(*at <= spot.at, |end| at < end));
                let last = until.checked_sub(1).and_then(|last| curve.points.get(last));
                last.map(|(_, number)| Figure::Number(*number))
            }));
        }
        let sign = |mark: &super::Mark| Sign {
            at: mark.at,
            when: self.when(mark.at),
            x: tenth(frame.across.x(mark.at)),
            title: mark.title.clone(),
            firing: mark.firing,
        };
        points.marks = self.marks.iter().map(sign).collect();
        points
    }
}

fn spots(frame: &Frame<'_>) -> Vec<Spot> {
    let chart = frame.chart;
    let number = |number: f64| Some(Figure::Number(number));
    match &chart.seen {
        Seen::Candles(..) => {
            let spot = |bar: &crate::model::Candle| Spot {
                at: bar.open_time,
                when: chart.when(bar.open_time),
                x: tenth(frame.across.middle(bar.open_time)),
                y: Some(tenth(frame.main.scale.y(bar.close))),
                values: [bar.open, bar.high, bar.low, bar.close, bar.volume].map(number).to_vec(),
            };
            frame.bars.iter().map(spot).collect()
        }
        seen => {
            let spot = |point: &Point| Spot {
                at: point.at,
                when: chart.when(point.at),
                x: tenth(point.x),
                y: point.number.map(|number| tenth(frame.main.scale.y(number))),
                values: match availability(seen, point) {
                    Some(word) => vec![point.number.and_then(number), Some(Figure::Word(word))],
                    None => vec![point.number.and_then(number)],
                },
            };
            frame.numbers.iter().map(spot).collect()
        }
    }
}

fn availability(seen: &Seen, point: &Point) -> Option<String> {
    let Seen::Offers(offers) = seen else { return None };
    let until = offers.partition_point(|(at, _, _)| *at <= point.at);
    Some(super::how_available(offers.get(until.checked_sub(1)?)?.2))
}

fn tenth(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}
