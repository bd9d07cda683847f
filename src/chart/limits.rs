//! Limits: a line each, with its name where it covers least.

use super::Line;
use super::draw::text;
use super::frame::{Frame, Panel, cut, text_width};
use super::line::placed;
use super::svg::{Path, Svg};
use super::theme::Part;
use crate::model::{Limit, Place, Plot, plain};

/// Each plot with the panel that it is drawn in.
fn panels<'f>(frame: &'f Frame<'_>) -> impl Iterator<Item = (&'f Plot, &'f Panel)> {
    let over = frame.chart.plots.iter().filter(|plot| plot.place == Place::Over);
    over.map(|plot| (plot, &frame.main)).chain(frame.panels.iter().map(|(plot, panel)| (*plot, panel)))
}

/// The lines, below everything else.
pub(super) fn draw_limits(svg: &mut Svg, frame: &Frame<'_>) {
    let theme = frame.look.theme;
    let (left, right) = (frame.across.edges().0, frame.right());
    for (plot, panel) in panels(frame) {
        if let Some((low, high)) = plot.range {
            beyond(svg, frame, plot, panel, (low, high));
        }
        for limit in plot.limits.iter().filter(|limit| panel.scale.holds(limit.value)) {
            let mut path = Path::default();
            path.go(left, height(limit, panel));
            path.across_to(right);
            svg.tag("path").part(Part::Limit, theme).path(&path).end();
        }
    }
}

/// Their names, over what was seen.
pub(super) fn name_limits(svg: &mut Svg, frame: &Frame<'_>) {
    let theme = frame.look.theme;
    let (left, right) = (frame.across.edges().0, frame.right());
    let mut taken = drawn_in_main(frame);
    for (plot, panel) in panels(frame) {
        let drawn = plot.curves.iter().map(|curve| placed(curve, frame));
        for curve in drawn {
            let points: Vec<(f64, f64)> =
                curve.iter().filter_map(|point| Some((point.x, panel.scale.y(point.number?)))).collect();
            taken.extend(points.windows(2).filter_map(|two| Area::around(two.first()?, two.last()?)));
        }
        let held = plot.limits.iter().filter(|limit| panel.scale.holds(limit.value));
        taken.extend(held.filter_map(|limit| {
            let y = height(limit, panel);
            Area::around(&(left, y), &(right, y))
        }));
    }
    for (plot, panel) in panels(frame) {
        for limit in &plot.limits {
            let mut words = format!("{} {}", limit.name, plain(limit.value));
            let middle = panel.scale.middle();
            let heights = if panel.scale.holds(limit.value) {
                let y = height(limit, panel);
                // Of an index the curve is seldom beyond its limits.
                let wants_below = plot.range.is_some() && limit.value < middle;
                if wants_below { [y + 12.0, y - 5.0] } else { [y - 5.0, y + 12.0] }
            } else if limit.value > middle {
                // So far away that the rest would look flat.
                words.push_str(": higher up");
                [panel.top + 11.0, panel.top + 24.0]
            } else {
                words.push_str(": lower down");
                [panel.bottom - 4.0, panel.bottom - 17.0]
            };
            let words = cut(&words, 11.0, right - left - 8.0);
            let width = text_width(&words, 11.0);
            let places =
                heights.into_iter().flat_map(|base| [(left + 4.0, base), (right - width - 4.0, base)]);
            let areas = places.map(|(x, base)| {
                let area =
                    Area { left: x - 2.0, right: x + width + 2.0, top: base - 10.0, bottom: base + 3.0 };
                let is_outside = area.top < panel.top - 1.0 || area.bottom > panel.bottom + 2.0;
                let covered: f64 = taken.iter().map(|other| area.covers(other)).sum();
                (covered + if is_outside { 1e6 } else { 0.0 }, area)
            });
            let Some((covered, area)) = areas.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            if covered > 0.0 {
                let mut halo = Path::default();
                halo.rectangle((area.left, area.top), (area.right, area.bottom));
                svg.tag("path").part(Part::Halo, theme).path(&halo).end();
            }
            let place = (area.left + 2.0, area.bottom - 3.0);
            text(svg, theme, Part::LimitLabel, place, "start", &words);
            taken.push(area);
        }
    }
}

fn height(limit: &Limit, panel: &Panel) -> f64 {
    panel.scale.y(limit.value).round() + 0.5
}

/// Shades what lies beyond the limits of an index.
fn beyond(svg: &mut Svg, frame: &Frame<'_>, plot: &Plot, panel: &Panel, (low, high): (f64, f64)) {
    let mut path = Path::default();
    let (left, right) = (frame.across.edges().0, frame.right());
    for limit in &plot.limits {
        let edge = if limit.value < (low + high) / 2.0 { panel.bottom } else { panel.top };
        path.rectangle((left, panel.scale.y(limit.value)), (right, edge));
    }
    if !path.is_empty() {
        svg.tag("path").part(Part::Beyond, frame.look.theme).path(&path).end();
    }
}

/// What bars, values and prices cover.
fn drawn_in_main(frame: &Frame<'_>) -> Vec<Area> {
    let scale = &frame.main.scale;
    let half = frame.across.slot() / 2.0;
    let bars = frame.bars.iter().filter_map(|bar| {
        let x = frame.across.middle(bar.open_time);
        Area::around(&(x - half, scale.y(bar.high)), &(x + half, scale.y(bar.low)))
    });
    let numbers = frame.numbers.iter().filter_map(|point| Some((point.x, scale.y(point.number?))));
    let mut numbers: Vec<(f64, f64)> = numbers.collect();
    if frame.chart.line == Line::Step {
        // Each holds until the next, the last one to the edge.
        numbers.extend(numbers.last().map(|(_, y)| (frame.across.edges().1, *y)));
        let steps =
            numbers.windows(2).filter_map(|two| Some([*two.first()?, (two.last()?.0, two.first()?.1)]));
        let held: Vec<(f64, f64)> = steps.flatten().chain(numbers.last().copied()).collect();
        numbers = held;
    }
    let between = numbers.windows(2).filter_map(|two| Area::around(two.first()?, two.last()?));
    bars.chain(between).collect()
}

/// A rectangle of the drawing.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    /// The one that two points span.
    fn around(a: &(f64, f64), b: &(f64, f64)) -> Option<Self> {
        let area = Self { left: a.0.min(b.0), right: a.0.max(b.0), top: a.1.min(b.1), bottom: a.1.max(b.1) };
        (area.left.is_finite() && area.top.is_finite()).then_some(area)
    }

    /// Over how much of the width another one lies on it.
    fn covers(&self, other: &Self) -> f64 {
        if other.bottom < self.top || other.top > self.bottom {
            return 0.0;
        }
        // What is upright has no width, and is in the way all the same.
        let shared = self.right.min(other.right) - self.left.max(other.left);
        if shared < 0.0 { 0.0 } else { shared.max(0.5) }
    }
}
