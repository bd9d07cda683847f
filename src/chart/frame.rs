//! What goes where: panels, one below the other, each with its scale, and one axis of time for all of them.

use jiff::{SignedDuration, Timestamp};

use super::across::Across;
use super::line::thin;
use super::scale::{Scale, Tick};
use super::{Chart, Look, Seen};
use crate::model::{Candle, Place, Plot};

/// A bar that would be narrower than so many pixels is merged with its neighbours.
const NARROWEST_BAR: f64 = 3.0;

/// About how wide a letter is, as a part of its size.
const LETTER: f64 = 0.56;

/// Between panels; the name of the lower one stands in it.
const GAP: f64 = 15.0;
const FOOT: f64 = 22.0;

/// What goes where.
pub(super) struct Frame<'c> {
    pub(super) chart: &'c Chart,
    pub(super) look: Look,
    pub(super) across: Across,
    /// Where prices, values and bars are.
    pub(super) main: Panel,
    /// Where it is shown whether a product could be had: top and bottom.
    pub(super) strip: Option<(f64, f64)>,
    pub(super) volume: Option<Panel>,
    /// Of plots that have a panel of their own.
    pub(super) panels: Vec<(&'c Plot, Panel)>,
    /// The bars as they are drawn: merged where they would be too narrow.
    pub(super) bars: Vec<Candle>,
    /// How many bars at most are drawn as one.
    pub(super) together: u32,
    /// The values or prices as they are drawn: where there are more than pixels, the extremes of each.
    pub(super) numbers: Vec<Point>,
    right: f64,
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) scale: Scale,
    pub(super) ticks: Vec<Tick>,
}

/// One value or price on its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) x: f64,
    /// Nothing where no price was shown.
    pub(super) number: Option<f64>,
}

impl Panel {
    fn new(scale: Scale, (top, bottom): (f64, f64)) -> Self {
        let about = ((bottom - top) / 42.0).clamp(2.0, 8.0) as usize;
        let scale = scale.between(top, bottom);
        Self { top, bottom, scale, ticks: scale.ticks(about) }
    }
}

impl<'c> Frame<'c> {
    /// `None` where there is nothing to draw.
    pub(super) fn new(chart: &'c Chart, look: Look) -> Option<Self> {
        if chart.seen.is_empty() {
            return None;
        }
        let (width, height) = (f64::from(look.width), f64::from(look.height));
        let head = if height < 200.0 { 26.0 } else { 48.0 };
        let body = (head, (height - FOOT).max(head + 20.0));
        let rooms = Rooms::new(chart, body);
        let main = Panel::new(main_scale(chart), rooms.main);
        let volume = rooms.volume.map(|room| {
            let most = volumes(chart).fold(0.0, f64::max);
            Panel { ticks: Vec::new(), ..Panel::new(Scale::exactly(0.0, most), room) }
        });
        let panels: Vec<(&Plot, Panel)> = own_panels(chart)
            .zip(rooms.panels)
            .map(|(plot, room)| (plot, Panel::new(plot_scale(plot), room)))
            .collect();
        let every = [&main].into_iter().chain(panels.iter().map(|(_, panel)| panel));
        let labels = every.flat_map(|panel| &panel.ticks).map(|tick| tick.label.as_str());
        let last = chart.seen.last_number().map(crate::model::shown);
        let widest = labels.chain(last.as_deref()).map(|label| text_width(label, 11.0)).fold(24.0, f64::max);
        let left = 10.0;
        // A label as long as the chart is wide would leave no room to draw in.
        let right = (width - widest - 14.0).max(width * 0.5).max(left + 10.0);
        let Places { across, bars, together, numbers } = places(chart, (left, right));
        let strip = rooms.strip;
        Some(Self { chart, look, across, main, strip, volume, panels, bars, together, numbers, right })
    }

    /// Where the axis of numbers is: a few bars may end before it.
    pub(super) const fn right(&self) -> f64 {
        self.right
    }

    /// The newest price or value.
    pub(super) fn last_number(&self) -> Option<f64> {
        self.chart.seen.last_number()
    }

    /// Every panel from top to bottom, with what it is called.
    pub(super) fn rows(&self) -> Vec<(&str, f64, f64)> {
        let mut rows = vec![("", self.main.top, self.main.bottom)];
        rows.extend(self.strip.map(|(top, bottom)| ("availability", top, bottom)));
        rows.extend(self.volume.as_ref().map(|panel| ("volume", panel.top, panel.bottom)));
        rows.extend(self.panels.iter().map(|(plot, panel)| (plot.name.as_str(), panel.top, panel.bottom)));
        rows
    }

    /// Where the last panel ends.
    pub(super) fn floor(&self) -> f64 {
        self.rows().iter().map(|(_, _, bottom)| *bottom).fold(self.main.bottom, f64::max)
    }

    /// Where the newest of what was seen is drawn.
    pub(super) fn newest(&self) -> Option<(f64, f64)> {
        match self.bars.last() {
            Some(bar) => Some((self.across.middle(bar.open_time), self.main.scale.y(bar.close))),
            None => {
                let last = self.numbers.iter().rev().find(|point| point.number.is_some())?;
                Some((last.x, self.main.scale.y(last.number?)))
            }
        }
    }
}

/// From top to bottom: what each panel has of the height.
struct Rooms {
    main: (f64, f64),
    strip: Option<(f64, f64)>,
    volume: Option<(f64, f64)>,
    panels: Vec<(f64, f64)>,
}

impl Rooms {
    fn new(chart: &Chart, (top, bottom): (f64, f64)) -> Self {
        let body = bottom - top;
        let mut left = body;
        let mut take = |wanted: f64| {
            let keeps_enough = left - wanted - GAP >= (body * 0.4).max(50.0);
            keeps_enough.then(|| {
                left -= wanted + GAP;
                wanted
            })
        };
        let strip = if chart.seen.is_offers() { take(22.0) } else { None };
        let own = (body * 0.22).clamp(44.0, 150.0);
        let panels: Vec<f64> = own_panels(chart).map_while(|_| take(own)).collect();
        let shows_volume = volumes(chart).any(|volume| volume > 0.0)
            && !own_panels(chart).any(|plot| plot.curves.iter().any(|curve| curve.name == "volume"));
        let volume = if shows_volume { take((body * 0.14).clamp(20.0, 90.0)) } else { None };
        let mut end = top + left;
        let main = (top, end);
        let mut next = |height: f64| {
            let start = end + GAP;
            end = start + height;
            (start, end)
        };
        Self {
            main,
            strip: strip.map(&mut next),
            volume: volume.map(&mut next),
            panels: panels.into_iter().map(next).collect(),
        }
    }
}

fn own_panels(chart: &Chart) -> impl Iterator<Item = &Plot> {
    chart.plots.iter().filter(|plot| plot.place == Place::Panel)
}

fn volumes(chart: &Chart) -> impl Iterator<Item = f64> {
    let bars = if let Seen::Candles(_, bars) = &chart.seen { bars.as_slice() } else { &[] };
    bars.iter().map(|bar| bar.volume)
}

/// Fits what was seen; curves and limits where they are not so far away that it would look flat.
fn main_scale(chart: &Chart) -> Scale {
    let seen = || chart.seen.numbers();
    let (low, high) = seen()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
    let size = low.abs().max(high.abs());
    let near = if high - low > size * 1e-12 { (high - low) * 0.9 } else { size * 0.1 };
    let over = chart.plots.iter().filter(|plot| plot.place == Place::Over);
    let added = over.flat_map(|plot| {
        let curves = plot.curves.iter().flat_map(|curve| curve.points.iter().map(|(_, number)| *number));
        curves.chain(plot.limits.iter().map(|limit| limit.value))
    });
    Scale::fitting(seen().chain(added.filter(|number| (low - near..=high + near).contains(number))))
}

fn plot_scale(plot: &Plot) -> Scale {
    if let Some((low, high)) = plot.range {
        return Scale::exactly(low, high);
    }
    let curves = plot.curves.iter().flat_map(|curve| curve.points.iter().map(|(_, number)| *number));
    Scale::fitting(curves.chain(plot.limits.iter().map(|limit| limit.value)))
}

struct Places {
    across: Across,
    bars: Vec<Candle>,
    together: u32,
    numbers: Vec<Point>,
}

fn places(chart: &Chart, (left, right): (f64, f64)) -> Places {
    match &chart.seen {
        Seen::Candles(interval, bars) => {
            let one = interval.seconds().saturating_mul(1_000);
            let mut together = (NARROWEST_BAR * bars.len() as f64 / (right - left)).ceil().max(1.0) as u32;
            let mut drawn = if together > 1 { merged(bars, one, together) } else { bars.clone() };
            // Where nights and weekends lie between bars, fewer than that are together.
            while drawn.len() as f64 * NARROWEST_BAR > (right - left).max(NARROWEST_BAR)
                && together < u32::MAX
            {
                together = together.saturating_add((together / 8).max(1));
                drawn = merged(bars, one, together);
            }
            let bars = drawn;
            let opens = bars.iter().map(|bar| bar.open_time.as_millisecond()).collect();
            let length = one.saturating_mul(i64::from(together));
            // A few bars are not as wide as they could be.
            let right = right.min(left + (right - left).min(60.0 * bars.len() as f64));
            let across = Across::of_bars((left, right), opens, length);
            Places { across, bars, together, numbers: Vec::new() }
        }
        seen => {
            let points: Vec<(Timestamp, Option<f64>)> = seen.moments();
            let first = points.first().map_or(chart.window.from, |(at, _)| *at);
            let last = points.last().map_or(chart.window.until, |(at, _)| *at);
            let (from, until) = (first.max(chart.window.from), last.max(chart.window.until));
            // What a picture is about has just begun: a little room shows what it became.
            let room =
                if chart.trigger.is_some() { until.duration_since(from) / 24 } else { SignedDuration::ZERO };
            let across = Across::of_time((left, right), from, until.checked_add(room).unwrap_or(until));
            let points: Vec<Point> =
                points.into_iter().map(|(at, number)| Point { at, x: across.x(at), number }).collect();
            let numbers = thin(&points, right - left);
            Places { across, bars: Vec::new(), together: 1, numbers }
        }
    }
}

/// The bars of so many times their length as one, by the clock: a new bar changes the last of them alone.
fn merged(bars: &[Candle], one_ms: i64, together: u32) -> Vec<Candle> {
    let length = one_ms.saturating_mul(i64::from(together)).max(1);
    let nth = |bar: &Candle| bar.open_time.as_millisecond().div_euclid(length);
    let join = |bars: &[Candle]| {
        let (first, last) = (bars.first()?, bars.last()?);
        Some(Candle {
            open_time: first.open_time,
            open: first.open,
            high: bars.iter().map(|bar| bar.high).fold(f64::NEG_INFINITY, f64::max),
            low: bars.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min),
            close: last.close,
            volume: bars.iter().map(|bar| bar.volume).sum::<f64>().min(f64::MAX),
        })
    };
    bars.chunk_by(|a, b| nth(a) == nth(b)).filter_map(join).collect()
}

/// About how wide a text is.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

/// The text, cut to about so many pixels.
pub(super) fn cut(text: &str, size: f64, width: f64) -> String {
    let most = (width / (size * LETTER)).max(0.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
