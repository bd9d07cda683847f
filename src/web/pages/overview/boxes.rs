//! What is not as it should be, above the list: hosts that are left alone, messages that are dead or wait, and
//! what is kept quiet.

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::super::Shared;
use super::super::layout::ago;
use crate::watchlist::Roster;

/// So many lines stand in a box.
const LINES: usize = 5;

pub(super) async fn boxes(shared: &Shared, roster: &Roster, now: Timestamp) -> Result<Markup, sqlx::Error> {
    let mut hosts = roster.http.standings();
    hosts.retain(|host| host.is_resting(now));
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let (waiting, dead) = shared.store.delivery_counts().await?;
    let mut silences = shared.store.silences(now, false).await?;
    silences.retain(|silence| silence.starts_at <= now);
    let more = |count: usize| {
        let more = count.saturating_sub(LINES);
        html! { @if more > 0 { li.muted { "and " (more) " more" } } }
    };
    let messages = |count: i64| if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    Ok(html! {
        div #boxes data-live="deliveries\nwatches" {
            @if !hosts.is_empty() || waiting > 0 || dead > 0 || !silences.is_empty() {
                div.cards {
                    @if dead > 0 {
                        section.card.danger {
                            h2 { "Not delivered" }
                            p { a href="/deliveries" { (messages(dead)) } " could not be delivered, and nobody gave up on "
                                @if dead == 1 { "it" } @else { "them" } " yet." }
                        }
                    }
                    @if waiting > 0 {
                        section.card {
                            h2 { "On its way" }
                            p { a href="/deliveries" { (messages(waiting)) } @if waiting == 1 { " waits." } @else { " wait." } }
                        }
                    }
                    @if !hosts.is_empty() {
                        section.card.warning {
                            h2 { "Left alone for a while" }
                            ul.plain {
                                @for host in hosts.iter().take(LINES) {
                                    li {
                                        strong { (host.host) } " asked again " (ago(host.until, now))
                                        br; span.muted.small { (host.why) }
                                    }
                                }
                                (more(hosts.len()))
                            }
                        }
                    }
                    @if !silences.is_empty() {
                        section.card {
                            h2 { a href="/silences" { "Silenced" } }
                            ul.plain {
                                @for silence in silences.iter().take(LINES) {
                                    li { (silence.matchers) " " span.muted { "ends " (ago(silence.ends_at, now)) } }
                                }
                                (more(silences.len()))
                            }
                        }
                    }
                }
            }
        }
    })
}
