//! A text: its versions, and what came and went between neighbours.

use std::time::Duration;

use maud::{Markup, html};
use similar::{ChangeTag, TextDiff};

use super::super::Trouble;
use super::super::layout::moment;
use super::{One, count};
use crate::model::{Past, Reading};

/// So many versions are shown.
const MOST_VERSIONS: usize = 6;

/// So much of a text is compared and shown.
const CHARACTERS: usize = 60_000;

/// So many lines of a difference stand open; the others are folded.
const OPEN_LINES: usize = 40;
const MOST_LINES: usize = 400;

/// Comparing takes no longer; what is not compared by then counts as replaced.
const PATIENCE: Duration = Duration::from_millis(5);

pub(super) async fn versions(one: &One<'_>, subject: &str) -> Result<Markup, Trouble> {
    let past = one.shared.store.last_observations(one.id, &[subject], MOST_VERSIONS + 1).await?;
    let before = std::iter::once(None).chain(past.iter().map(Some));
    let versions: Vec<(&Past, Option<&Past>)> = past.iter().zip(before).collect();
    let is_cut = past.len() > MOST_VERSIONS;
    Ok(html! {
        @if past.is_empty() { p.muted { "None of it is kept any more." } }
        ol.versions reversed {
            @for (n, (version, before)) in versions.iter().rev().take(MOST_VERSIONS).enumerate() {
                li {
                    h4 {
                        (moment(version.observation.observed_at))
                        @if n == 0 { " (now)" }
                        @if before.is_none() { " (the first)" }
                    }
                    @let words = text(version).split_whitespace().count();
                    p.muted { (count(words, "word")) ", last seen so " (moment(version.last_seen_at)) }
                    @if let Some(before) = before { (difference(text(before), text(version))) }
                    details id={ "text-" (version.observation.observed_at.as_millisecond()) } {
                        summary { "The whole text" }
                        pre.text tabindex="0" { (excerpt(text(version))) }
                    }
                }
            }
        }
        @if is_cut { p.muted { "Older versions are kept, and can be had over the API." } }
    })
}

fn text(past: &Past) -> &str {
    match &past.observation.reading {
        Reading::Text { text } => text,
        _ => "",
    }
}

/// A text up to what is shown of one.
fn excerpt(text: &str) -> &str {
    text.char_indices().nth(CHARACTERS).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Went(&'t str),
    Came(&'t str),
    /// Some that are the same are left out.
    Skip,
}

/// What went and what came, line by line, with a little around it.
fn compare<'t>(before: &'t str, after: &'t str) -> Vec<Line<'t>> {
    let [before, after] = [before, after].map(|text| {
        excerpt(text).lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<&str>>()
    });
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&before, &after);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(2) {
        if !lines.is_empty() {
            lines.push(Line::Skip);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = match change.tag() {
                ChangeTag::Equal => Line::Same,
                ChangeTag::Delete => Line::Went,
                ChangeTag::Insert => Line::Came,
            };
            lines.push(line(change.value()));
        }
    }
    lines
}

fn difference(before: &str, after: &str) -> Markup {
    let lines = compare(before, after);
    let came = lines.iter().filter(|line| matches!(line, Line::Came(_))).count();
    let went = lines.iter().filter(|line| matches!(line, Line::Went(_))).count();
    let (open, folded) = lines.split_at(lines.len().min(OPEN_LINES));
    html! {
        @if lines.is_empty() { p { "Only white space is another." } } @else {
            p { (count(came, "line")) " came, " (count(went, "line")) " went:" }
            div.diff { @for line in open { (drawn(line)) } }
            @if !folded.is_empty() {
                details {
                    summary { (count(folded.len(), "more line")) }
                    div.diff { @for line in folded.iter().take(MOST_LINES) { (drawn(line)) } }
                    @if folded.len() > MOST_LINES { p.muted { "… and more; the whole text is below." } }
                }
            }
        }
    }
}

fn drawn(line: &Line<'_>) -> Markup {
    html! {
        @match line {
            Line::Same(text) => { div.line { "\u{a0}\u{a0}" (text) } },
            Line::Went(text) => { div.line.went { "− " del { (text) } } },
            Line::Came(text) => { div.line.came { "+ " ins { (text) } } },
            Line::Skip => { div.line.muted { "…" } },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_told_with_a_little_around_it() {
        let before = "one\ntwo\nthree\nfour\nfive\n\n six \nseven\neight\nnine";
        let after = "one\ntwo\nTHREE\nfour\nfive\nsix\nseven\neight\nnine\nten";
        assert_eq!(
            compare(before, after),
            [
                Line::Same("one"),
                Line::Same("two"),
                Line::Went("three"),
                Line::Came("THREE"),
                Line::Same("four"),
                Line::Same("five"),
                Line::Skip,
                Line::Same("eight"),
                Line::Same("nine"),
                Line::Came("ten"),
            ]
        );
        assert_eq!(compare("a\n b", "a\nb\n"), [], "white space does not count");
    }

    #[test]
    fn a_difference_is_told_without_colour_and_escaped() {
        let page = difference("<b>old</b>", "<b>new</b>").into_string();
        assert!(page.contains("− <del>&lt;b&gt;old&lt;/b&gt;</del>"), "{page}");
        assert!(page.contains("+ <ins>&lt;b&gt;new&lt;/b&gt;</ins>"), "{page}");
    }

    #[test]
    fn long_texts_are_compared_soon_and_folded() {
        let text = |odd: usize| (0..20_000).map(|n| format!("{}\n", (n * odd) % 7_919)).collect::<String>();
        let begun = std::time::Instant::now();
        let page = difference(&text(3), &text(5)).into_string();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(page.contains("<details>") && page.len() < 60_000, "{}", page.len());
    }
}
