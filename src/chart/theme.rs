//! How each part of a drawing looks: a class on a page, whose style sheet knows its colours, and colours in a
//! picture.

use super::Theme;
use super::svg::Tag;

/// A part of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Ground,
    Grid,
    Axis,
    Title,
    Note,
    Label,
    Up,
    UpWick,
    Down,
    DownWick,
    UpVolume,
    DownVolume,
    Line,
    Dot,
    Curve(usize),
    Limit,
    LimitLabel,
    Beyond,
    Firing,
    Resolved,
    FiringLine,
    ResolvedLine,
    Hit,
    Trigger,
    TriggerLabel,
    Halo,
    Tag,
    TagLabel,
    InStock,
    ToOrder,
    Gone,
    Unknown,
    NotListed,
}

/// A colour by what it is for.
#[derive(Clone, Copy)]
enum Tone {
    None,
    Paper,
    Ink,
    Muted,
    Line,
    Accent,
    Up,
    Down,
    Warn,
    Second,
    Third,
}

impl Tone {
    const fn colour(self, theme: Theme) -> &'static str {
        let dark = matches!(theme, Theme::Dark);
        match (self, dark) {
            (Self::None, _) => "none",
            (Self::Paper, true) => "#16191f",
            (Self::Paper, false) => "#ffffff",
            (Self::Ink, true) => "#e8eaf0",
            (Self::Ink, false) => "#1b1f27",
            (Self::Muted, true) => "#a3abba",
            (Self::Muted, false) => "#5a6272",
            (Self::Line, true) => "#2b303b",
            (Self::Line, false) => "#e1e4ea",
            (Self::Accent, true) => "#6cb2ff",
            (Self::Accent, false) => "#0b62c4",
            (Self::Up, true) => "#3ecf8e",
            (Self::Up, false) => "#0a7d4b",
            (Self::Down, true) => "#ff6b6b",
            (Self::Down, false) => "#c62f2f",
            (Self::Warn, true) => "#ffb454",
            (Self::Warn, false) => "#a05a00",
            (Self::Second, true) => "#d7a6ff",
            (Self::Second, false) => "#7b3fc4",
            (Self::Third, true) => "#7fd8d8",
            (Self::Third, false) => "#0f7474",
        }
    }
}

/// Class, fill, stroke, and what else there is to say.
type Style = (&'static str, Tone, Tone, &'static [(&'static str, &'static str)]);

const fn style(part: Part) -> Style {
    use Tone::{Accent, Down, Ink, Line, Muted, None, Paper, Second, Third, Up, Warn};
    match part {
        Part::Ground => ("chart-ground", Paper, None, &[]),
        Part::Grid => ("chart-grid", None, Line, &[]),
        Part::Axis => ("chart-axis", Muted, None, &[("font-size", "11")]),
        Part::Title => ("chart-title", Ink, None, &[("font-size", "16")]),
        Part::Note => ("chart-note", Muted, None, &[("font-size", "12")]),
        Part::Label => ("chart-label", Ink, None, &[("font-size", "11")]),
        Part::Up => ("chart-up", Paper, Up, &[]),
        Part::UpWick => ("chart-up-wick", None, Up, &[]),
        Part::Down => ("chart-down", Down, Down, &[]),
        Part::DownWick => ("chart-down-wick", None, Down, &[]),
        Part::UpVolume => ("chart-up-volume", None, Up, &[("stroke-opacity", "0.7")]),
        Part::DownVolume => ("chart-down-volume", Down, None, &[("fill-opacity", "0.6")]),
        Part::Line => ("chart-line", None, Accent, &[("stroke-width", "1.8"), ("stroke-linejoin", "round")]),
        Part::Dot => ("chart-dot", Accent, None, &[]),
        Part::Curve(0) => {
            ("chart-curve", None, Second, &[("stroke-width", "1.5"), ("stroke-linejoin", "round")])
        }
        Part::Curve(1) => {
            ("chart-curve-2", None, Third, &[("stroke-width", "1.5"), ("stroke-dasharray", "6 3")])
        }
        Part::Curve(_) => {
            ("chart-curve-3", None, Muted, &[("stroke-width", "1.3"), ("stroke-dasharray", "2 3")])
        }
        Part::Limit => ("chart-limit", None, Warn, &[("stroke-dasharray", "5 4")]),
        Part::LimitLabel => ("chart-limit-label", Warn, None, &[("font-size", "11")]),
        Part::Beyond => ("chart-beyond", Warn, None, &[("fill-opacity", "0.1")]),
        Part::Firing => ("chart-firing", Warn, Paper, &[]),
        Part::Resolved => ("chart-resolved", Paper, Muted, &[("stroke-width", "1.5")]),
        Part::FiringLine => ("chart-firing-line", None, Warn, &[("stroke-dasharray", "4 3")]),
        Part::ResolvedLine => ("chart-resolved-line", None, Muted, &[("stroke-dasharray", "1 3")]),
        Part::Hit => ("chart-hit", Down, Paper, &[]),
        Part::Trigger => ("chart-trigger", None, Warn, &[("stroke-width", "2")]),
        Part::TriggerLabel => ("chart-trigger-label", Warn, None, &[("font-size", "13")]),
        Part::Halo => ("chart-halo", Paper, None, &[("fill-opacity", "0.85")]),
        Part::Tag => ("chart-tag", Accent, None, &[]),
        Part::TagLabel => ("chart-tag-label", Paper, None, &[("font-size", "11")]),
        Part::InStock => ("chart-in-stock", Up, None, &[]),
        Part::ToOrder => ("chart-to-order", Accent, None, &[("fill-opacity", "0.75")]),
        Part::Gone => ("chart-gone", Down, None, &[]),
        Part::Unknown => ("chart-unknown", None, Muted, &[("stroke-dasharray", "2 2")]),
        Part::NotListed => ("chart-not-listed", None, Muted, &[("stroke-width", "1")]),
    }
}

impl Tag<'_> {
    /// Makes the element look like this part.
    pub(super) fn part(self, part: Part, theme: Theme) -> Self {
        let (class, fill, stroke, more) = style(part);
        if theme == Theme::Page {
            return self.word("class", class);
        }
        let mut tag = self.word("fill", fill.colour(theme));
        if !matches!(stroke, Tone::None) {
            tag = tag.word("stroke", stroke.colour(theme));
        }
        more.iter().fold(tag, |tag, (key, value)| tag.word(key, value))
    }
}
