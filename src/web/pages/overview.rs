//! Every watch and how it stands.

mod boxes;
mod order;
mod rows;

use std::collections::HashMap;

use axum::extract::{Query, State};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::{Shared, State as Standing, Status};
use super::Trouble;
use super::layout::{Section, page, with_query};
use order::Order;
use rows::Row;

/// So many watches stand on a page.
const ON_A_PAGE: usize = 200;

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    q: String,
    sort: String,
    page: String,
}

impl Asked {
    fn state(&self) -> Option<Standing> {
        Standing::ALL.into_iter().find(|state| state.as_str() == self.state)
    }

    fn order(&self) -> Order {
        Order::ALL.into_iter().find(|order| order.word() == self.sort).unwrap_or(Order::Troubles)
    }

    /// The same list, in another state, another order, or on another page.
    fn href(&self, state: Option<Standing>, order: Order, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        let sort = if order == Order::Troubles { "" } else { order.word() };
        let state = state.map_or("", Standing::as_str);
        with_query("/", &[("state", state), ("q", self.q.trim()), ("sort", sort), ("page", &page)])
    }
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let roster = shared.roster();
    let glances = shared.store.glances().await?;
    let ids: HashMap<String, i64> = glances.iter().map(|one| (one.name.clone(), one.id)).collect();
    let all: Vec<Status> = glances.into_iter().map(Status::from).collect();
    let sought = asked.q.trim().to_lowercase();
    let found: Vec<&Status> = all.iter().filter(|one| one.name.to_lowercase().contains(&sought)).collect();
    let mut counts: HashMap<Standing, usize> = HashMap::new();
    for one in &found {
        let count = counts.entry(one.state).or_default();
        *count = count.saturating_add(1);
    }
    let mut listed: Vec<&Status> =
        found.iter().copied().filter(|one| asked.state().is_none_or(|state| state == one.state)).collect();
    let changes = match asked.order() {
        Order::Change => shared.store.last_changes().await?,
        _ => HashMap::new(),
    };
    asked.order().sort(&mut listed, |name| changes.get(ids.get(name)?).copied());
    let pages = listed.len().div_ceil(ON_A_PAGE).max(1);
    let number = asked.page.parse().unwrap_or(1).clamp(1, pages);
    let skipped = number.saturating_sub(1).saturating_mul(ON_A_PAGE);
    let shown: Vec<&Status> = listed.iter().copied().skip(skipped).take(ON_A_PAGE).collect();
    let rows = Row::of(&shared.store, &roster, &shown, &ids).await?;
    let list = html! {
        section #watches data-live="watches" {
            @if all.is_empty() {
                div.empty {
                    p { "There is no watch yet." }
                    p { a.button href="/add" { "Add a watch" } }
                }
            } @else {
                (filters(&asked, &counts, found.len()))
                @if shown.is_empty() {
                    p.empty { "No watch is like that. " a href="/" { "All watches" } }
                } @else {
                    (rows::table(&rows, &asked, now))
                    (pager(&asked, number, pages))
                }
            }
        }
    };
    let body = html! {
        div.title {
            h1 { "Watches" }
            @if !all.is_empty() { (search(&asked)) }
        }
        (not_taken_up(&shared.control.not_taken_up().borrow()))
        (boxes::boxes(&shared, &roster, now).await?)
        (list)
    };
    Ok(page("Watches", Section::Watches, &body))
}

/// Whoever edits the file may not look at the log.
fn not_taken_up(wrong: &[String]) -> Markup {
    html! {
        div #not-taken-up data-live="watches" {
            @if !wrong.is_empty() {
                div.flash.flash-bad role="alert" {
                    p { "The configuration was not taken up; the old one goes on. What is wrong with the new one:" }
                    ul { @for line in wrong { li { code { (line) } } } }
                }
            }
        }
    }
}

fn filters(asked: &Asked, counts: &HashMap<Standing, usize>, found: usize) -> Markup {
    let chosen = asked.state();
    html! {
        nav aria-label="By state" {
            ul.filters {
                li {
                    a href=(asked.href(None, asked.order(), 1)) aria-current=[chosen.is_none().then_some("true")] {
                        "all " span.tally { (found) }
                    }
                }
                @for state in order::BY_TROUBLE {
                    @let count = counts.get(&state).copied().unwrap_or(0);
                    @if count > 0 || chosen == Some(state) {
                        li {
                            a href=(asked.href(Some(state), asked.order(), 1))
                                aria-current=[(chosen == Some(state)).then_some("true")] {
                                span class={ "dot state-" (state.as_str()) } {}
                                (state.as_str()) " " span.tally { (count) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn search(asked: &Asked) -> Markup {
    html! {
        form.search role="search" action="/" {
            @if let Some(state) = asked.state() { input type="hidden" name="state" value=(state.as_str()); }
            label.unseen for="q" { "Name" }
            input #q type="search" name="q" value=(asked.q) placeholder="Find by name";
            label.unseen for="sort" { "Order" }
            select #sort name="sort" {
                @for order in Order::ALL {
                    option value=(order.word()) selected[order == asked.order()] { (order.says()) }
                }
            }
            button.quiet type="submit" { "Show" }
        }
    }
}

fn pager(asked: &Asked, number: usize, pages: usize) -> Markup {
    let href = |page: usize| asked.href(asked.state(), asked.order(), page);
    html! {
        @if pages > 1 {
            nav.pages aria-label="Pages" {
                @if number > 1 {
                    a rel="prev" href=(href(number.saturating_sub(1))) { "← Previous" }
                } @else { span {} }
                span.muted { "Page " (number) " of " (pages) }
                @if number < pages {
                    a rel="next" href=(href(number.saturating_add(1))) { "Next →" }
                } @else { span {} }
            }
        }
    }
}
