//! Whether a product could be had, as a strip below its price: by height and pattern, not by colour alone.

use super::Seen;
use super::frame::{Frame, text_width};
use super::svg::{Path, Svg};
use super::theme::Part;
use crate::model::Availability;

/// What a strip tells apart.
const KINDS: [(Part, &str); 5] = [
    (Part::InStock, "in stock"),
    (Part::ToOrder, "to order"),
    (Part::Gone, "sold out"),
    (Part::Unknown, "unknown"),
    (Part::NotListed, "not listed"),
];

const fn kind(availability: Option<Availability>) -> Part {
    match availability {
        Some(Availability::InStock | Availability::LimitedAvailability) => Part::InStock,
        Some(Availability::PreOrder | Availability::BackOrder) => Part::ToOrder,
        Some(Availability::OutOfStock | Availability::Discontinued) => Part::Gone,
        Some(Availability::Unknown) => Part::Unknown,
        None => Part::NotListed,
    }
}

/// In stock stands tall, to be ordered half as high, gone is low, unknown a dashed line, not listed a thin one.
fn add(path: &mut Path, part: Part, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
    let height = bottom - top;
    match part {
        Part::InStock => path.rectangle((left, top), (right, bottom)),
        Part::ToOrder => path.rectangle((left, top + height * 0.45), (right, bottom)),
        Part::Gone => path.rectangle((left, bottom - 3.0), (right, bottom)),
        _ => {
            path.go(left, bottom - 1.5);
            path.across_to(right);
        }
    }
}

pub(super) fn draw_offers(svg: &mut Svg, frame: &Frame<'_>) {
    let (Some(strip), Seen::Offers(offers)) = (frame.strip, &frame.chart.seen) else { return };
    let mut paths = KINDS.map(|(part, _)| (part, Path::default()));
    let mut stretches = offers.chunk_by(|a, b| kind(a.2) == kind(b.2)).peekable();
    while let Some(stretch) = stretches.next() {
        let Some((at, _, availability)) = stretch.first() else { continue };
        let next = stretches.peek().and_then(|next| next.first());
        let left = frame.across.x(*at);
        let right = next.map_or(frame.across.edges().1, |(at, _, _)| frame.across.x(*at));
        // The shortest time in stock is still to be seen.
        let right = right.max(left + 0.7).min(frame.across.edges().1.max(left));
        let part = kind(*availability);
        if let Some((_, path)) = paths.iter_mut().find(|(kind, _)| *kind == part) {
            add(path, part, (left, right), strip);
        }
    }
    for (part, path) in &paths {
        if !path.is_empty() {
            svg.tag("path").part(*part, frame.look.theme).path(path).end();
        }
    }
    let known = paths.iter().filter(|(_, path)| !path.is_empty()).map(|(part, _)| *part);
    legend(svg, frame, strip.0, known.collect());
}

/// What the heights mean, of those that are shown, above the strip.
fn legend(svg: &mut Svg, frame: &Frame<'_>, top: f64, shown: Vec<Part>) {
    let theme = frame.look.theme;
    let mut end = frame.right();
    for (part, name) in KINDS.iter().rev().filter(|(part, _)| shown.contains(part)) {
        let start = end - text_width(name, 11.0) - 15.0;
        if start < frame.across.edges().0 {
            break;
        }
        let mut path = Path::default();
        add(&mut path, *part, (start, start + 11.0), (top - 13.0, top - 4.0));
        svg.tag("path").part(*part, theme).path(&path).end();
        svg.tag("text").part(Part::Axis, theme).number("x", start + 14.0).number("y", top - 4.5).says(name);
        end = start - 6.0;
    }
}
