//! The last messages of a watch, and what became of each.

use maud::{Markup, html};

use super::super::Trouble;
use super::{One, count};
use crate::run::{Delivered, Fate};

/// So many are shown.
const MOST_DELIVERIES: usize = 20;

pub(super) async fn told(one: &One<'_>) -> Result<Markup, Trouble> {
    let rows = one.shared.store.deliveries_of_watch(one.id, MOST_DELIVERIES).await?;
    let deliveries: Vec<_> = rows.into_iter().map(|(at, row)| (at, Delivered::of(row))).collect();
    Ok(html! {
        section #deliveries data-live=(one.topics()) aria-labelledby="its-deliveries" {
            h2 #its-deliveries { "Messages" }
            @if deliveries.is_empty() { p.muted { "It has told nothing yet." } } @else {
                div.scroll tabindex="0" role="region" aria-label="The table of messages" {
                    table.list {
                        thead { tr {
                            th scope="col" { "Written" } th scope="col" { "To" } th scope="col" { "Message" }
                            th scope="col" { "What became of it" }
                        } }
                        tbody {
                            @for (n, (at, delivery)) in deliveries.iter().enumerate() {
                                tr {
                                    th scope="row" { (one.moment(*at)) }
                                    td data-label="To" { (delivery.notifier) }
                                    td data-label="Message" { (delivery.title) }
                                    td data-label="What became of it" {
                                        (fate(one, &delivery.fate))
                                        @if delivery.attempts.len() > 1 || delivery.status == "dead" {
                                            details id={ "attempts-" (n) } {
                                                summary { (count(delivery.attempts.len(), "attempt")) }
                                                ol {
                                                    @for attempt in delivery.attempts.iter().rev().take(20).rev() {
                                                        li {
                                                            (one.moment(attempt.at)) " " (attempt.outcome)
                                                            @if let Some(why) = &attempt.why { ": " (why) }
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
                }
                p { a href="/deliveries" { "All deliveries" } }
            }
        }
    })
}

/// What became of a message.
pub(super) fn fate(one: &One<'_>, fate: &Fate) -> Markup {
    html! { (fate.before) @if let Some(at) = fate.at { (one.moment(at)) } (fate.after) }
}
