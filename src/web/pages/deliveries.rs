//! What is on its way, what could not be delivered, and what was.

use std::collections::HashMap;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::{Refused, Shared};
use super::Trouble;
use super::layout::{Section, ago, back_to, escaped, message_page, moment, page, state};
use crate::outbox::{self, HeldUp};
use crate::store::{Attempt, Store, StoredDelivery, Which};
use crate::watchlist::Roster;

/// So many of each sort are shown.
const MOST: usize = 100;

/// So many that were delivered are shown.
const LATELY: usize = 30;

/// Where a form leads back to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Back {
    back: String,
}

impl Back {
    fn page(&self) -> &str {
        if self.back.is_empty() { "/deliveries" } else { &self.back }
    }
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let roster = shared.roster();
    let (waiting_count, dead_count) = shared.store.delivery_counts().await?;
    let is_alone = |one: &StoredDelivery| one.carried_by.is_none();
    let dead = shared.store.deliveries(&Which::Dead, MOST).await?;
    let dead: Vec<StoredDelivery> = dead.into_iter().rev().filter(is_alone).collect();
    let waiting = shared.store.deliveries(&Which::Open, MOST.saturating_mul(4)).await?;
    let waits = |one: &StoredDelivery| one.status != "dead" && is_alone(one);
    let waiting: Vec<StoredDelivery> = waiting.into_iter().filter(waits).take(MOST).collect();
    let lately = shared.store.deliveries(&Which::All, LATELY.saturating_mul(4)).await?;
    let is_done =
        |one: &StoredDelivery| (one.status == "delivered" || one.dropped_at.is_some()) && is_alone(one);
    let lately: Vec<StoredDelivery> = lately.into_iter().rev().filter(is_done).take(LATELY).collect();
    let tried: Vec<&str> =
        [&dead, &waiting, &lately].into_iter().flatten().map(|one| one.id.as_str()).collect();
    let attempts = shared.store.attempts_of(&tried).await?;
    let terms = Terms::now(&shared.store, &roster, now).await?;
    let item =
        |one: &StoredDelivery| entry(one, attempts.get(&one.id).map_or(&[][..], Vec::as_slice), &terms);
    let body = html! {
        h1 { "Deliveries" }
        div #deliveries.sections data-live="deliveries" {
            @if dead.is_empty() && waiting.is_empty() {
                p.empty { "Nothing waits, and nothing was given up." }
            }
            @if !dead.is_empty() {
                section {
                    h2 { "Dead " span.count.count-bad { (dead_count) } }
                    ul.feed { @for one in &dead { (item(one)) } }
                }
            }
            @if !waiting.is_empty() {
                section {
                    h2 { "Waiting " span.count { (waiting_count) } }
                    ul.feed { @for one in &waiting { (item(one)) } }
                }
            }
            @if !lately.is_empty() {
                section {
                    h2 { "Lately" }
                    ul.feed { @for one in &lately { (item(one)) } }
                }
            }
        }
        section {
            h2 { "Notifiers" }
            @if roster.watchlist.notifiers.is_empty() {
                p.empty { "There is none: messages go to the console." }
            } @else {
                (notifiers(&roster))
            }
        }
    };
    Ok(page("Deliveries", Section::Deliveries, &body))
}

fn notifiers(roster: &Roster) -> Markup {
    html! {
        div.scroll {
            table.list {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { span.unseen { "Try it" } } } }
                tbody {
                    @for told in roster.watchlist.notifiers.values() {
                        tr {
                            th scope="row" { (told.name) }
                            td data-label="Kind" { (told.kind) }
                            td.number {
                                form method="post" action={ "/notifiers/" (escaped(&told.name)) "/test" } {
                                    input type="hidden" name="back" value="/deliveries";
                                    button.quiet type="submit" aria-label={ "Send a test message to " (told.name) } {
                                        "Send a test message"
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn entry(one: &StoredDelivery, attempts: &[Attempt], terms: &Terms<'_>) -> Markup {
    let is_settled = one.status == "delivered" || one.dropped_at.is_some();
    let word = match one.status.as_str() {
        _ if one.dropped_at.is_some() => "dropped",
        "pending" if one.held && one.attempts == 0 => "held",
        status => status,
    };
    html! {
        li.card.told.delivery id={ "delivery-" (one.id) } {
            div.told-head {
                (state(word))
                h3 { (one.title) }
                span.muted.small.told-when {
                    "to " strong { (one.notifier) } " "
                    (ago(one.delivered_at.unwrap_or(one.created_at), terms.now))
                }
            }
            @if one.status == "pending" {
                @if let Some(why) = terms.waits_for(one) { p.small { (why) } }
            }
            @if let (false, Some(why)) = (one.status == "delivered", &one.last_error) {
                p.small.wrong { (why) }
            }
            @if !is_settled { (forms(one)) }
            details.small {
                summary.muted {
                    "Message" @if one.attempts > 0 { ", " (one.attempts) @if one.attempts == 1 { " try" } @else { " tries" } }
                }
                @if !one.body.is_empty() { p.lines { (one.body) } }
                p.muted {
                    (one.kind) @if one.urgent { ", urgent" } ", made " (moment(one.created_at))
                    @if let Some(at) = one.delivered_at { ", delivered " (moment(at)) }
                    @if let Some(at) = one.dropped_at { ", given up " (moment(at)) }
                    ", " code { (one.id) }
                }
                @if !attempts.is_empty() { (tries(attempts)) }
            }
        }
    }
}

fn tries(attempts: &[Attempt]) -> Markup {
    html! {
        div.scroll {
            table.list {
                thead {
                    tr {
                        th.number scope="col" { "Try" } th scope="col" { "When" }
                        th scope="col" { "Outcome" } th scope="col" { "Why" }
                    }
                }
                tbody {
                    @for one in attempts {
                        tr {
                            td.number data-label="Try" { (one.attempt) } td.nowrap data-label="When" { (moment(one.at)) }
                            td data-label="Outcome" { (one.outcome) } td data-label="Why" { (one.why.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

fn forms(one: &StoredDelivery) -> Markup {
    let is_tried = one.status == "dead" || one.attempts > 0;
    html! {
        div.actions {
            @if is_tried && one.status != "sending" {
                form method="post" action={ "/deliveries/" (one.id) "/retry" } {
                    button.quiet type="submit" aria-label={ "Try again: " (one.title) } { "Try again" }
                }
            }
            form method="post" action={ "/deliveries/" (one.id) "/drop" } {
                button.danger type="submit" aria-label={ "Give up: " (one.title) } { "Give up" }
            }
        }
    }
}

/// How the notifiers stand, for what a message waits for.
struct Terms<'a> {
    roster: &'a Roster,
    held_up: HashMap<&'a str, HeldUp>,
    now: Timestamp,
}

impl<'a> Terms<'a> {
    async fn now(store: &Store, roster: &'a Roster, now: Timestamp) -> anyhow::Result<Self> {
        let mut held_up = HashMap::new();
        for told in roster.watchlist.notifiers.values() {
            held_up.insert(told.name.as_str(), outbox::held_up(store, told, now).await?);
        }
        Ok(Self { roster, held_up, now })
    }

    /// What a message waits for that could be sent.
    fn waits_for(&self, one: &StoredDelivery) -> Option<Markup> {
        let Some(told) = self.roster.watchlist.notifiers.get(&one.notifier) else {
            return Some(html! { "Its notifier is not configured any more." });
        };
        if let Some(at) = one.next_attempt_at.filter(|at| *at > self.now) {
            let is_held = one.held && one.attempts == 0;
            return Some(html! {
                @if is_held { "Held until the quiet hours end, " } @else { "Tried again " }
                (ago(at, self.now)) "."
            });
        }
        if one.behind.is_some() {
            return Some(
                html! { "Behind an older message about the same, so that an end never comes first." },
            );
        }
        let held_up = self.held_up.get(one.notifier.as_str()).filter(|_| !one.urgent)?;
        if let (Some(at), Some(budget)) = (held_up.budget, told.budget) {
            return Some(html! { "Waits for the budget (" (budget) "): " (ago(at, self.now)) "." });
        }
        let is_fresh = one.attempts == 0 && !one.held && matches!(one.kind.as_str(), "news" | "note");
        let at = held_up.bundle.filter(|_| is_fresh)?;
        Some(html! { "Waits for its bundle to close: " (ago(at, self.now)) "." })
    }
}

pub(super) async fn retry(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Form(back): Form<Back>,
) -> Result<Response, Trouble> {
    let Some(one) = shared.store.delivery(&id).await? else { return Ok(no_such()) };
    let is_configured = shared.roster().watchlist.notifiers.contains_key(&one.notifier);
    if let Some(why) = one.why_not_retried(is_configured) {
        return Ok(refused(&one, back.page(), "It cannot be tried again", &why));
    }
    shared.store.retry_deliveries(vec![one.id], Timestamp::now()).await?;
    Ok(back_to(back.page(), "retried"))
}

pub(super) async fn give_up(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Form(back): Form<Back>,
) -> Result<Response, Trouble> {
    let Some(one) = shared.store.delivery(&id).await? else { return Ok(no_such()) };
    if let Some(why) = one.why_not_dropped() {
        return Ok(refused(&one, back.page(), "It cannot be given up", &why));
    }
    shared.store.drop_deliveries(vec![one.id], Timestamp::now()).await?;
    Ok(back_to(back.page(), "dropped"))
}

fn refused(one: &StoredDelivery, page: &str, title: &str, why: &str) -> Response {
    // That is what its reader wanted.
    if one.status == "delivered" {
        return back_to(page, "gone");
    }
    let sentence = format!("Nothing was changed: {why}.");
    (StatusCode::CONFLICT, message_page(title, &sentence)).into_response()
}

fn no_such() -> Response {
    let sentence = "There is no such message; it may have grown old and been removed.";
    (StatusCode::NOT_FOUND, message_page("Not found", sentence)).into_response()
}

/// Sends a test message.
pub(super) async fn test(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Form(back): Form<Back>,
) -> Response {
    match shared.control.test_notifier(&name).await {
        Ok(_) => back_to(back.page(), "tested"),
        Err(Refused::Unknown(why)) => {
            (StatusCode::NOT_FOUND, message_page("Not found", &why)).into_response()
        }
        Err(refused) => {
            let page = message_page("The test message was not taken", &refused.to_string());
            (StatusCode::BAD_GATEWAY, page).into_response()
        }
    }
}
