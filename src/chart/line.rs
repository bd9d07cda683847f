//! Lines: a value or a price over time, and the curves of strategies.

use jiff::Timestamp;

use super::Line;
use super::frame::{Frame, Panel, Point};
use super::svg::{Path, Svg};
use super::theme::Part;
use crate::model::{Curve, Plot};

/// Fewer values than this are shown as dots too.
const SHOWS_DOTS: usize = 60;

/// Where there are more points than two a pixel: of each pixel the first, the lowest, the highest and the last,
/// so that no extreme is lost.
pub(super) fn thin(points: &[Point], width: f64) -> Vec<Point> {
    if points.len() as f64 <= width * 2.0 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(4 * width.max(0.0) as usize);
    // A stretch without a price ends a line, so it is kept apart.
    let is_one =
        |a: &Point, b: &Point| a.x.floor() == b.x.floor() && a.number.is_some() == b.number.is_some();
    for column in points.chunk_by(is_one) {
        let number = |(_, point): &(usize, &Point)| point.number.unwrap_or_default();
        let each = || column.iter().enumerate();
        let lowest = each().min_by(|a, b| number(a).total_cmp(&number(b))).map_or(0, |(index, _)| index);
        let highest = each().max_by(|a, b| number(a).total_cmp(&number(b))).map_or(0, |(index, _)| index);
        let mut wanted = [0, lowest.min(highest), lowest.max(highest), column.len() - 1].as_slice().to_vec();
        wanted.dedup();
        kept.extend(wanted.into_iter().filter_map(|index| column.get(index)).copied());
    }
    kept
}

/// The value or the price itself.
pub(super) fn draw_numbers(svg: &mut Svg, frame: &Frame<'_>) {
    let mut path = Path::default();
    let mut before: Option<f64> = None;
    let mut end = (0.0, None);
    for point in &frame.numbers {
        let Some(number) = point.number else {
            // A price holds until none is shown any more.
            if before.take().is_some() {
                path.across_to(point.x);
            }
            end = (point.x, None);
            continue;
        };
        let y = frame.main.scale.y(number);
        match (before, frame.chart.line) {
            (None, _) => path.go(point.x, y),
            (Some(_), Line::Straight) => path.draw(point.x, y),
            (Some(before), Line::Step) => {
                path.across_to(point.x);
                if y != before {
                    path.down_to(y);
                }
            }
        }
        before = Some(y);
        end = (point.x, Some(y));
    }
    let right = frame.across.edges().1;
    if frame.chart.line == Line::Step && end.1.is_some() && end.0 < right {
        path.across_to(right);
    }
    svg.tag("path").part(Part::Line, frame.look.theme).path(&path).end();
    let shown = frame.numbers.iter().filter(|point| point.number.is_some()).count();
    let small = frame.chart.line == Line::Straight || shown == 1;
    if shown <= SHOWS_DOTS && small {
        svg.tag("g").part(Part::Dot, frame.look.theme).open();
        for point in &frame.numbers {
            if let Some(number) = point.number {
                let y = frame.main.scale.y(number);
                svg.tag("circle").number("cx", point.x).number("cy", y).number("r", 2.2).end();
            }
        }
        svg.close("g");
    }
}

/// The curves of a strategy; what does not fit on the scale is left out.
pub(super) fn draw_curves(svg: &mut Svg, frame: &Frame<'_>, plot: &Plot, panel: &Panel, first: usize) {
    let (left, right) = frame.across.edges();
    for (nth, curve) in plot.curves.iter().enumerate() {
        let points = placed(curve, frame);
        let mut path = Path::default();
        let mut is_on = false;
        for Point { x, number, .. } in thin(&points, right - left) {
            let Some(number) = number.filter(|number| panel.scale.holds(*number)) else {
                is_on = false;
                continue;
            };
            let y = panel.scale.y(number);
            if is_on {
                path.draw(x, y)
            } else {
                path.go(x, y)
            }
            is_on = true;
        }
        if !path.is_empty() {
            svg.tag("path").part(Part::Curve(first + nth), frame.look.theme).path(&path).end();
        }
    }
}

/// The points of a curve on their places: of bars that are drawn as one, the last.
pub(super) fn placed(curve: &Curve, frame: &Frame<'_>) -> Vec<Point> {
    let place = |(at, number): &(Timestamp, f64)| Point {
        at: *at,
        x: frame.across.middle(*at),
        number: Some(*number),
    };
    let points = curve.points.iter().map(place);
    if frame.bars.is_empty() {
        return points.collect();
    }
    let mut kept: Vec<Point> = Vec::with_capacity(frame.bars.len());
    for point in points {
        match kept.last_mut() {
            Some(last) if last.x == point.x => *last = point,
            _ => kept.push(point),
        }
    }
    kept
}
