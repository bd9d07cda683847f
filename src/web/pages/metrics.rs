//! How every number moved in the last 24 hours, and its rank within its watch.

use std::collections::HashMap;

use axum::extract::{Query, State};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Shared;
use super::Trouble;
use super::layout::{Section, page, watch_url, with_query};
use crate::model::{ReadingKind, plain, shown};
use crate::store::Moved;

/// So many watches are looked at for a page.
const WATCHES: usize = 100;

/// So many lines stand on it.
const LINES: usize = 500;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is asked of the table.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    sort: String,
    page: String,
}

/// The columns that the table can be sorted by: the word in the address, the head, and the largest first.
const COLUMNS: [(&str, &str); 8] = [
    ("last", "Last"),
    ("least", "Min"),
    ("greatest", "Max"),
    ("mean", "Mean"),
    ("deviation", "Std. deviation"),
    ("change", "Change"),
    ("rank", "Rank"),
    ("readings", "Readings"),
];

impl Asked {
    fn href(&self, sort: &str, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        with_query("/metrics-table", &[("q", self.q.trim()), ("sort", sort), ("page", &page)])
    }
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let roster = shared.roster();
    let sought = asked.q.trim().to_lowercase();
    let mut found: Vec<(&str, i64)> = roster
        .watches
        .iter()
        .filter(|(name, (_, watch))| {
            watch.source.yields() != ReadingKind::Text && name.to_lowercase().contains(&sought)
        })
        .map(|(name, (id, _))| (name.as_str(), *id))
        .collect();
    found.sort_unstable();
    let pages = found.len().div_ceil(WATCHES).max(1);
    let number = asked.page.parse().unwrap_or(1).clamp(1, pages);
    let skipped = number.saturating_sub(1).saturating_mul(WATCHES);
    let names: HashMap<i64, &str> =
        found.into_iter().skip(skipped).take(WATCHES).map(|(name, id)| (id, name)).collect();
    let ids: Vec<i64> = names.keys().copied().collect();
    let since = now.checked_sub(DAY).unwrap_or(now);
    let mut all = shared.store.moved(&ids, since, now).await?;
    sort(&mut all, &asked.sort, &names);
    let count = all.len();
    all.truncate(LINES);
    let sorted = COLUMNS.iter().find(|(word, _)| *word == asked.sort).map_or("", |(word, _)| *word);
    let body = html! {
        div.title {
            h1 { "Metrics of the last 24 hours" }
            form.search role="search" action="/metrics-table" {
                input type="hidden" name="sort" value=(sorted);
                label.unseen for="q" { "Watch" }
                input #q type="search" name="q" value=(asked.q) placeholder="Find a watch";
                button.quiet type="submit" { "Show" }
            }
        }
        section #metrics data-live="watches" {
            @if all.is_empty() {
                p.empty { "No number was seen in the last 24 hours." }
            } @else {
                (table(&all, &names, &asked, sorted))
            }
            @if count > LINES {
                p.muted { "These are " (LINES) " of " (count) "; find a watch to see all of its numbers." }
            }
            @if pages > 1 {
                nav.pages aria-label="Pages" {
                    @if number > 1 { a rel="prev" href=(asked.href(sorted, number.saturating_sub(1))) { "← Previous" } }
                    @else { span {} }
                    span.muted { "Page " (number) " of " (pages) ", " (WATCHES) " watches each"
                        @if !sorted.is_empty() { "; sorted within these" }
                    }
                    @if number < pages { a rel="next" href=(asked.href(sorted, number.saturating_add(1))) { "Next →" } }
                    @else { span {} }
                }
            }
        }
        p.muted.small {
            "The mean and the standard deviation count a bar once, and any other reading for as long as it stood. "
            "The rank is by standard deviation among the numbers of the same watch, the largest first."
        }
    };
    Ok(page("Metrics", Section::Metrics, &body))
}

fn change(one: &Moved) -> Option<f64> {
    (one.first != 0.0)
        .then(|| (one.last - one.first) / one.first.abs() * 100.0)
        .filter(|percent| percent.is_finite())
}

/// By the name of the watch and the rank within it, or by a number, the largest first.
fn sort(all: &mut [Moved], by: &str, names: &HashMap<i64, &str>) {
    let name = |one: &Moved| names.get(&one.watch_id).copied().unwrap_or_default();
    all.sort_by(|a, b| (name(a), a.place, &a.subject).cmp(&(name(b), b.place, &b.subject)));
    #[expect(clippy::cast_precision_loss, reason = "only for sorting")]
    let number = |one: &Moved| match by {
        "last" => one.last,
        "least" => one.least,
        "greatest" => one.greatest,
        "mean" => one.mean,
        "deviation" => one.deviation,
        "change" => change(one).map_or(f64::NEG_INFINITY, f64::abs),
        "rank" => -(one.place as f64),
        "readings" => one.readings as f64,
        _ => 0.0,
    };
    all.sort_by(|a, b| number(b).total_cmp(&number(a)));
}

fn table(all: &[Moved], names: &HashMap<i64, &str>, asked: &Asked, sorted: &str) -> Markup {
    let direction = |word: &str| if word == "rank" { "ascending" } else { "descending" };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Metrics" {
            table.list.metrics {
                thead {
                    tr {
                        th scope="col" aria-sort=[sorted.is_empty().then_some("ascending")] {
                            a href=(asked.href("", 1)) { "Watch" }
                        }
                        th scope="col" { "Subject" }
                        @for (word, head) in COLUMNS {
                            th.number scope="col" aria-sort=[(sorted == word).then_some(direction(word))] {
                                a href=(asked.href(word, 1)) { (head) }
                            }
                        }
                    }
                }
                tbody {
                    @for one in all {
                        @let name = names.get(&one.watch_id).copied().unwrap_or_default();
                        tr {
                            th scope="row" { a href=(watch_url(name)) { (name) } }
                            td data-label="Subject" { (one.subject) }
                            td.number.first data-label="Last" { (shown(one.last)) }
                            td.number data-label="Min" { (shown(one.least)) }
                            td.number data-label="Max" { (shown(one.greatest)) }
                            td.number data-label="Mean" { (shown(one.mean)) }
                            td.number data-label="Std. deviation" { (plain(one.deviation)) }
                            td.number.first data-label="Change" { (percent(one)) }
                            td.number data-label="Rank" { (one.place) span.muted { " of " (one.among) } }
                            td.number data-label="Readings" { (one.readings) }
                        }
                    }
                }
            }
        }
    }
}

fn percent(one: &Moved) -> Markup {
    match change(one) {
        None => html! { span.muted { "–" } },
        Some(by) if by >= 0.005 => html! { span.up { (format!("▲ {by:.2} %")) } },
        Some(by) if by <= -0.005 => html! { span.down { (format!("▼ {:.2} %", -by)) } },
        Some(_) => html! { span.muted { "0 %" } },
    }
}
