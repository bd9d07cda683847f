//! Candles with their wicks, and how much was traded below. A bar that rose is hollow, one that fell is filled:
//! they are told apart without their colour. Each kind is one path, which keeps a drawing small and quick.

use super::frame::Frame;
use super::scale::short;
use super::svg::{Path, Svg};
use super::theme::Part;

pub(super) fn draw_candles(svg: &mut Svg, frame: &Frame<'_>) {
    let slot = frame.across.slot();
    let half = (slot * 0.36).clamp(0.5, 9.0);
    let (mut up, mut up_wicks, mut down, mut down_wicks) =
        (Path::default(), Path::default(), Path::default(), Path::default());
    let scale = &frame.main.scale;
    for bar in &frame.bars {
        let x = frame.across.middle(bar.open_time);
        let (high, low) = (scale.y(bar.high), scale.y(bar.low));
        let (top, bottom) = (scale.y(bar.open.max(bar.close)), scale.y(bar.open.min(bar.close)));
        // A bar that ends where it began is still to be seen.
        let bottom = bottom.max(top + 0.8);
        let (body, wicks) =
            if bar.close >= bar.open { (&mut up, &mut up_wicks) } else { (&mut down, &mut down_wicks) };
        // The wick does not cross the body, which is hollow.
        for (from, to) in [(high, top), (bottom, low)] {
            if to - from > 0.4 {
                wicks.go(x, from);
                wicks.down_to(to);
            }
        }
        body.rectangle((x - half, top), (x + half, bottom));
    }
    for (part, path) in
        [(Part::UpWick, up_wicks), (Part::DownWick, down_wicks), (Part::Up, up), (Part::Down, down)]
    {
        if !path.is_empty() {
            svg.tag("path").part(part, frame.look.theme).path(&path).end();
        }
    }
}

pub(super) fn draw_volume(svg: &mut Svg, frame: &Frame<'_>) {
    let Some(panel) = &frame.volume else { return };
    let half = (frame.across.slot() * 0.36).clamp(0.5, 9.0);
    let (mut up, mut down) = (Path::default(), Path::default());
    for bar in frame.bars.iter().filter(|bar| bar.volume > 0.0) {
        let x = frame.across.middle(bar.open_time);
        let path = if bar.close >= bar.open { &mut up } else { &mut down };
        path.rectangle((x - half, panel.scale.y(bar.volume)), (x + half, panel.bottom));
    }
    for (part, path) in [(Part::UpVolume, up), (Part::DownVolume, down)] {
        if !path.is_empty() {
            svg.tag("path").part(part, frame.look.theme).path(&path).end();
        }
    }
    let most = frame.bars.iter().map(|bar| bar.volume).fold(0.0, f64::max);
    svg.tag("text")
        .part(Part::Axis, frame.look.theme)
        .number("x", frame.right() + 6.0)
        .number("y", panel.top + 9.0)
        .says(&short(most));
}
