//! The drawing, from back to front.

use jiff::Timestamp;

use super::frame::{Frame, Panel, cut, text_width};
use super::scale::short;
use super::svg::{Path, Svg};
use super::theme::Part;
use super::{Chart, Line, Look, Mark, Seen, Theme};
use super::{candles, limits, line, offers};
use crate::model::{Interval, Place, Plot, plain, shown};

/// With more messages than this only their triangles are drawn, without lines through everything.
const MOST_LINES: usize = 12;

pub(super) fn svg(chart: &Chart, look: Look) -> String {
    let look = Look { width: look.width.clamp(160, 4_000), height: look.height.clamp(100, 4_000), ..look };
    let (width, height) = (f64::from(look.width), f64::from(look.height));
    let mut svg = Svg::new();
    let tag = svg
        .tag("svg")
        .word("xmlns", "http://www.w3.org/2000/svg")
        .word("viewBox", &format!("0 0 {} {}", look.width, look.height))
        .number("width", width)
        .number("height", height)
        .word("role", "img");
    let tag = match look.theme {
        Theme::Page => tag.word("class", "chart-svg"),
        // What resvg finds in the fonts that come along.
        Theme::Dark | Theme::Light => tag.word("font-family", "Ubuntu, sans-serif"),
    };
    tag.open();
    svg.tag("title").says(&chart.title);
    svg.tag("desc").says(&chart.in_words());
    svg.tag("rect")
        .part(Part::Ground, look.theme)
        .number("x", 0.0)
        .number("y", 0.0)
        .number("width", width)
        .number("height", height)
        .end();
    text(&mut svg, look.theme, Part::Title, (10.0, 20.0), "start", &cut(&chart.title, 16.0, width - 16.0));
    match Frame::new(chart, look) {
        Some(frame) => everything(&mut svg, &frame),
        None => {
            let middle = (width / 2.0, height / 2.0);
            text(&mut svg, look.theme, Part::Note, middle, "middle", "Nothing was seen in this time.");
        }
    }
    svg.close("svg");
    svg.finish()
}

fn everything(svg: &mut Svg, frame: &Frame<'_>) {
    let chart = frame.chart;
    notes(svg, frame);
    axes(svg, frame);
    svg.tag("g").word("class", "chart-moving").open();
    limits::draw_limits(svg, frame);
    svg.tag("g").word("shape-rendering", "crispEdges").open();
    candles::draw_volume(svg, frame);
    candles::draw_candles(svg, frame);
    svg.close("g");
    let mut drawn = 0;
    for plot in chart.plots.iter().filter(|plot| plot.place == Place::Over) {
        line::draw_curves(svg, frame, plot, &frame.main, drawn);
        drawn += plot.curves.len();
    }
    if frame.bars.is_empty() {
        line::draw_numbers(svg, frame);
    }
    offers::draw_offers(svg, frame);
    for (plot, panel) in &frame.panels {
        line::draw_curves(svg, frame, plot, panel, 0);
        panel_name(svg, frame, plot, panel);
    }
    limits::name_limits(svg, frame);
    hits(svg, frame);
    marks(svg, frame);
    trigger(svg, frame);
    svg.close("g");
    last_number(svg, frame);
}

pub(super) fn text(svg: &mut Svg, theme: Theme, part: Part, (x, y): (f64, f64), anchor: &str, words: &str) {
    let tag = svg.tag("text").part(part, theme).number("x", x).number("y", y);
    let tag = if anchor == "start" { tag } else { tag.word("text-anchor", anchor) };
    tag.says(words);
}

/// Unit, length of a bar, the curves by name; and from when until when, where there is room.
fn notes(svg: &mut Svg, frame: &Frame<'_>) {
    let (chart, theme) = (frame.chart, frame.look.theme);
    if frame.main.top < 40.0 {
        return;
    }
    let width = f64::from(frame.look.width);
    let bars = match &chart.seen {
        Seen::Candles(interval, _) => bars_in_words(*interval, frame.together),
        Seen::Values(_) | Seen::Offers(_) => String::new(),
    };
    let left_out = if chart.without_indicators { "too many for the indicators" } else { "" };
    let words = [chart.unit.as_str(), bars.as_str(), left_out];
    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
    let room = if chart.without_indicators { width - 16.0 } else { width * 0.5 };
    let words = cut(&words.join(", "), 12.0, room);
    text(svg, theme, Part::Note, (10.0, 40.0), "start", &words);
    let mut x = 10.0 + text_width(&words, 12.0) + if words.is_empty() { 0.0 } else { 12.0 };
    let over = chart.plots.iter().filter(|plot| plot.place == Place::Over);
    for (nth, curve) in over.flat_map(|plot| &plot.curves).enumerate() {
        let end = x + 22.0 + text_width(&curve.name, 12.0);
        if curve.points.is_empty() || end > width - 10.0 {
            continue;
        }
        let mut path = Path::default();
        path.go(x, 36.0);
        path.across_to(x + 18.0);
        svg.tag("path").part(Part::Curve(nth), theme).path(&path).end();
        text(svg, theme, Part::Note, (x + 22.0, 40.0), "start", &curve.name);
        x = end + 12.0;
    }
    let stretch = chart.stretch();
    if x + text_width(&stretch, 12.0) + 10.0 < width {
        text(svg, theme, Part::Note, (width - 8.0, 40.0), "end", &stretch);
    }
}

/// How long a bar is, and of how many it is made where they are drawn as one.
fn bars_in_words(interval: Interval, together: u32) -> String {
    let length = interval.minutes().checked_mul(together).and_then(Interval::from_minutes);
    match length {
        Some(length) if together > 1 => format!("bars of {length} ({together} × {interval})"),
        _ => format!("bars of {interval}"),
    }
}

fn axes(svg: &mut Svg, frame: &Frame<'_>) {
    let theme = frame.look.theme;
    let (left, _) = frame.across.edges();
    let right = frame.right();
    let mut grid = Path::default();
    let mut labels: Vec<(f64, f64, &'static str, String)> = Vec::new();
    let tag = frame.last_number().map(|number| frame.main.scale.y(number));
    let main = std::iter::once((&frame.main, tag));
    for (panel, tag) in main.chain(frame.panels.iter().map(|(_, panel)| (panel, None))) {
        for tick in &panel.ticks {
            let y = panel.scale.y(tick.value).round() + 0.5;
            grid.go(left, y);
            grid.across_to(right);
            if tag.is_none_or(|tag| (tag - y).abs() > 14.0) {
                labels.push((right + 6.0, y + 3.5, "start", tick.label.clone()));
            }
        }
    }
    for (_, _, bottom) in frame.rows() {
        grid.go(left, bottom.round() + 0.5);
        grid.across_to(right);
    }
    let floor = frame.floor();
    for moment in frame.across.moments(&frame.chart.zone, 62.0) {
        let x = moment.x.round() + 0.5;
        grid.go(x, frame.main.top);
        grid.down_to(floor);
        let half = text_width(&moment.label, 11.0) / 2.0;
        labels.push((
            x.clamp(half + 2.0, f64::from(frame.look.width) - half - 2.0),
            floor + 15.0,
            "middle",
            moment.label,
        ));
    }
    svg.tag("path").part(Part::Grid, theme).word("shape-rendering", "crispEdges").path(&grid).end();
    for (x, y, anchor, label) in labels {
        text(svg, theme, Part::Axis, (x, y), anchor, &label);
    }
}

/// What a panel shows, with its newest number.
fn panel_name(svg: &mut Svg, frame: &Frame<'_>, plot: &Plot, panel: &Panel) {
    let last = plot.curves.first().and_then(|curve| curve.points.last());
    let words =
        last.map_or_else(|| plot.name.clone(), |(_, number)| format!("{} {}", plot.name, in_short(*number)));
    let x = frame.right() - 4.0;
    // In the gap above its panel, where nothing is drawn.
    let y = panel.top - 4.0;
    let wide = text_width(&words, 11.0) + 4.0;
    text(svg, frame.look.theme, Part::Label, (x, y), "end", &words);
    // The others by name, towards the left.
    let mut end = x - wide - 10.0;
    for (nth, curve) in plot.curves.iter().enumerate().skip(1) {
        let start = end - text_width(&curve.name, 11.0) - 18.0;
        if start < frame.across.edges().0 + 90.0 {
            break;
        }
        let mut path = Path::default();
        path.go(start, y - 4.0);
        path.across_to(start + 15.0);
        svg.tag("path").part(Part::Curve(nth), frame.look.theme).path(&path).end();
        text(svg, frame.look.theme, Part::Label, (start + 18.0, y), "start", &curve.name);
        end = start - 10.0;
    }
}

/// A number of a panel in few letters: of an index one decimal.
fn in_short(number: f64) -> String {
    match number.abs() {
        1.0..=1_000.0 => format!("{number:.1}"),
        1_000.0.. => short(number),
        _ => plain(number),
    }
}

/// What a strategy found: a small triangle pointing down below each drop.
fn hits(svg: &mut Svg, frame: &Frame<'_>) {
    let mut path = Path::default();
    let over = frame.chart.plots.iter().filter(|plot| plot.place == Place::Over);
    for (at, number) in over.flat_map(|plot| &plot.hits) {
        let (x, y) = (frame.across.middle(*at), frame.main.scale.y(*number));
        let y = (y + 3.0).min(frame.main.bottom - 6.0);
        path.go(x - 3.5, y);
        path.draw(x + 3.5, y);
        path.draw(x, y + 6.0);
        path.shut();
    }
    if !path.is_empty() {
        svg.tag("path").part(Part::Hit, frame.look.theme).path(&path).end();
    }
}

/// Where messages were sent: a filled triangle where something began, a hollow diamond where it ended.
fn marks(svg: &mut Svg, frame: &Frame<'_>) {
    let theme = frame.look.theme;
    let triggered = frame.chart.trigger.as_ref().map(|trigger| trigger.at);
    let marks: Vec<&Mark> = frame.chart.marks.iter().filter(|mark| Some(mark.at) != triggered).collect();
    let top = frame.main.top;
    for mark in &marks {
        let x = frame.across.x(mark.at).clamp(6.0, f64::from(frame.look.width) - 6.0);
        svg.tag("g").word("class", "chart-mark").open();
        svg.tag("title").says(&format!("{}: {}", frame.chart.when(mark.at), mark.title));
        if marks.len() <= MOST_LINES {
            let mut path = Path::default();
            path.go(x, top + 9.0);
            path.down_to(frame.floor());
            let part = if mark.firing { Part::FiringLine } else { Part::ResolvedLine };
            svg.tag("path").part(part, theme).path(&path).end();
        }
        draw_sign(svg, theme, (x, top + 4.0), mark.firing);
        svg.close("g");
    }
}

fn draw_sign(svg: &mut Svg, theme: Theme, (x, y): (f64, f64), is_firing: bool) {
    let mut path = Path::default();
    if is_firing {
        path.go(x - 5.5, y - 5.0);
        path.draw(x + 5.5, y - 5.0);
        path.draw(x, y + 5.0);
    } else {
        path.go(x, y - 5.0);
        path.draw(x + 4.5, y);
        path.draw(x, y + 5.0);
        path.draw(x - 4.5, y);
    }
    path.shut();
    let part = if is_firing { Part::Firing } else { Part::Resolved };
    svg.tag("path").part(part, theme).path(&path).end();
}

/// What a picture is about: a ring around the newest of what was seen, with a word beside it.
fn trigger(svg: &mut Svg, frame: &Frame<'_>) {
    let (Some(trigger), Some((newest, y))) = (&frame.chart.trigger, frame.newest()) else { return };
    let theme = frame.look.theme;
    let holds = frame.bars.is_empty() && frame.chart.line == Line::Step;
    let x = if holds { frame.across.x(trigger.at) } else { newest };
    let mut path = Path::default();
    path.go(x, frame.main.top + 9.0);
    path.down_to(frame.floor());
    let part = if trigger.firing { Part::FiringLine } else { Part::ResolvedLine };
    svg.tag("path").part(part, theme).path(&path).end();
    draw_sign(svg, theme, (x, frame.main.top + 4.0), trigger.firing);
    let mut rings = vec![y];
    for (plot, panel) in &frame.panels {
        let last = plot.curves.first().and_then(|curve| curve.points.last());
        rings.extend(last.map(|(_, number)| panel.scale.y(*number)));
    }
    for y in &rings {
        svg.tag("circle").part(Part::Trigger, theme).number("cx", x).number("cy", *y).number("r", 6.0).end();
    }
    let words = cut(&trigger.title, 13.0, x - 30.0);
    let wide = text_width(&words, 13.0) + 10.0;
    let right = (x - 10.0).max(wide);
    let base = free_height(frame, (right - wide, x), y);
    let mut halo = Path::default();
    halo.rectangle((right - wide, base - 14.0), (right, base + 5.0));
    svg.tag("path").part(Part::Halo, theme).path(&halo).end();
    text(svg, theme, Part::TriggerLabel, (right - 5.0, base), "end", &words);
}

/// The height of a line of words near a point that covers nothing of what was seen between two places.
fn free_height(frame: &Frame<'_>, (left, right): (f64, f64), y: f64) -> f64 {
    let scale = &frame.main.scale;
    let is_near = |x: f64| (left - 8.0..=right).contains(&x);
    let bars = frame.bars.iter().filter(|bar| is_near(frame.across.middle(bar.open_time)));
    let heights = bars.flat_map(|bar| [scale.y(bar.high), scale.y(bar.low)]);
    let numbers = frame.numbers.iter().filter(|point| is_near(point.x));
    let heights = heights.chain(numbers.filter_map(|point| point.number).map(|number| scale.y(number)));
    // What held before the first of them is drawn up to it.
    let before = frame.numbers.iter().rev().find(|point| point.x < left - 8.0).and_then(|point| point.number);
    let heights = heights.chain(before.map(|number| scale.y(number)));
    let (highest, lowest) = heights.fold((y, y), |(high, low), y| (high.min(y), low.max(y)));
    let (above, below) = (highest - 12.0, lowest + 24.0);
    let (fits_above, fits_below) = (above - 14.0 > frame.main.top + 12.0, below + 4.0 < frame.main.bottom);
    match (fits_above, fits_below) {
        (true, true) if y - above <= below - y => above,
        (_, true) => below,
        (true, false) => above,
        (false, false) => (y + 24.0).min(frame.main.bottom - 6.0),
    }
}

/// The newest number at the right edge.
fn last_number(svg: &mut Svg, frame: &Frame<'_>) {
    let Some(number) = frame.last_number() else { return };
    let theme = frame.look.theme;
    let words = shown(number);
    let (x, y) = (frame.right() + 1.0, frame.main.scale.y(number));
    let width = (text_width(&words, 11.0) + 10.0).min(f64::from(frame.look.width) - x);
    svg.tag("rect")
        .part(Part::Tag, theme)
        .number("x", x)
        .number("y", y - 8.5)
        .number("width", width)
        .number("height", 17.0)
        .number("rx", 3.0)
        .end();
    text(svg, theme, Part::TagLabel, (x + 5.0, y + 4.0), "start", &words);
}

impl Chart {
    /// A moment in the zone of the chart; of a date alone the day.
    pub(super) fn when(&self, at: Timestamp) -> String {
        let zoned = at.to_zoned(self.zone.clone());
        let is_date = self.seen.is_long() && zoned.time() == jiff::civil::Time::midnight();
        zoned.strftime(if is_date { "%-d %b %Y" } else { "%-d %b %Y %H:%M" }).to_string()
    }

    /// From when until when something was seen, in the zone of the chart.
    fn stretch(&self) -> String {
        let Some((first, last)) = self.seen.ends() else { return String::new() };
        let (from, until) = (first.to_zoned(self.zone.clone()), last.to_zoned(self.zone.clone()));
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let from = if from.date() == until.date() {
            from.strftime("%H:%M")
        } else if from.year() == until.year() {
            from.strftime("%-d %b")
        } else {
            from.strftime("%-d %b %Y")
        };
        let until = if first.duration_since(last).unsigned_abs().as_secs() < 2 * 86_400 {
            until.strftime("%-d %b %Y %H:%M")
        } else {
            until.strftime("%-d %b %Y")
        };
        if first == last { format!("{until}, {zone}") } else { format!("{from} – {until}, {zone}") }
    }
}
