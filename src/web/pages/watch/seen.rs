//! What was seen, by the kind of reading.

use maud::{Markup, html};

use super::super::Trouble;
use super::super::chart::{self, Range};
use super::{One, count, items, numbers, texts};
use crate::model::ReadingKind;
use crate::store::KnownSubject;

/// So many subjects are listed; the others are found by their names.
const MOST_SUBJECTS: usize = 60;

pub(super) async fn seen(one: &One<'_>) -> Result<Markup, Trouble> {
    let body = if one.watch.source.yields() == ReadingKind::Listing {
        items::items(one).await?
    } else {
        subject_by_subject(one).await?
    };
    Ok(html! {
        section #seen aria-labelledby="what-was-seen" {
            h2 #what-was-seen { "What was seen" }
            (body)
        }
    })
}

/// One subject is looked at; a list of all leads to the others.
async fn subject_by_subject(one: &One<'_>) -> Result<Markup, Trouble> {
    let store = &one.shared.store;
    let find = one.asked.find.trim();
    let (known, found) = store.known_subjects(one.id, find, MOST_SUBJECTS).await?;
    let chosen = match one.asked.subject.as_str() {
        "" => known.first().cloned(),
        subject => store.known_subject(one.id, subject).await?,
    };
    let Some(chosen) = chosen else {
        return Ok(html! {
            @if one.asked.subject.is_empty() && find.is_empty() {
                div #readings data-live=(one.topic()) { p.muted { "Nothing has been seen yet." } }
            } @else {
                p { "Nothing of this name was ever seen. " a href=(one.href(&[])) { "Everything that was" } }
            }
        });
    };
    let body = match one.watch.source.yields() {
        ReadingKind::Text => html! {
            div #readings data-live=(one.topic()) { (texts::versions(one, &chosen.subject).await?) }
        },
        _ => html! {
            @if let Some(figure) = figure(one, &chosen.subject).await? { (figure) }
            div #readings data-live=(one.topic()) { (numbers::last_readings(one, &chosen).await?) }
        },
    };
    Ok(html! {
        @if found > 1 || !find.is_empty() { (chooser(one, &known, found, &chosen)) }
        @if found > 1 || one.watch.source.describe(&chosen.subject) != one.watch.name {
            h3 {
                (one.watch.source.describe(&chosen.subject))
                @if !chosen.present { " " span.muted { "(gone)" } }
            }
        }
        (body)
    })
}

/// The chart of a subject.
pub(super) async fn figure(one: &One<'_>, subject: &str) -> Result<Option<Markup>, Trouble> {
    let asked = one.asked.range.as_deref().and_then(Range::of);
    chart::figure(one.shared, (one.id, one.watch), subject, asked).await
}

/// A list of subjects with a search.
fn chooser(one: &One<'_>, known: &[KnownSubject], found: usize, chosen: &KnownSubject) -> Markup {
    let range = one.asked.range.as_deref().unwrap_or_default();
    let find = one.asked.find.as_str();
    html! {
        nav.subjects aria-label="What is looked at" {
            @if found > known.len() || !find.is_empty() { (search(one, "Find one of them")) }
            ul {
                @for subject in known {
                    @let is_chosen = subject.subject == chosen.subject;
                    li {
                        a href=(one.href(&[("subject", &subject.subject), ("range", range), ("find", find)]))
                          aria-current=[is_chosen.then_some("true")] { (one.watch.source.describe(&subject.subject)) }
                        @if !subject.present { " " span.muted { "(gone)" } }
                    }
                }
            }
            @if found > known.len() {
                p.muted { "These are " (known.len()) " of " (count(found, "subject")) "." }
            }
        }
    }
}

/// A field that finds subjects by their names.
pub(super) fn search(one: &One<'_>, label: &str) -> Markup {
    html! {
        form.search method="get" action=(one.href(&[])) role="search" {
            label for="find" { (label) }
            input #find type="search" name="find" value=(one.asked.find) maxlength="200";
            button type="submit" { "Find" }
            @if !one.asked.find.is_empty() { " " a href=(one.href(&[])) { "All" } }
        }
    }
}
