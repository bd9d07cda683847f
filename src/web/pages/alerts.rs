//! What was told, the newest first.

use axum::extract::{Query, State};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Shared;
use super::Trouble;
use super::layout::{Section, ago, moment, outside, page, state, watch_url, with_query};
use crate::model::{Alert, AlertStatus, Reason};
use crate::store::{Reached, StoredAlert, Told};

/// So many stand on a page.
const ON_A_PAGE: usize = 40;

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    watch: String,
    show: String,
    before: String,
}

impl Asked {
    fn is_firing(&self) -> bool {
        self.show == "firing"
    }

    /// After which alert the list goes on: when it was made, and its id.
    fn before(&self) -> Option<(Timestamp, &str)> {
        let (millis, id) = self.before.split_once('-')?;
        Some((Timestamp::from_millisecond(millis.parse().ok()?).ok()?, id))
    }

    fn href(&self, show: &str, before: &str) -> String {
        with_query("/alerts", &[("watch", self.watch.trim()), ("show", show), ("before", before)])
    }
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let watch = Some(asked.watch.trim()).filter(|watch| !watch.is_empty());
    let which = Told { watch, firing: asked.is_firing(), before: asked.before() };
    let mut alerts = shared.store.told(&which, ON_A_PAGE.saturating_add(1)).await?;
    let is_more = alerts.len() > ON_A_PAGE;
    alerts.truncate(ON_A_PAGE);
    let ids: Vec<&str> = alerts.iter().map(|(told, _)| told.alert.id.as_str()).collect();
    let reached = shared.store.reached(&ids).await?;
    let roster = shared.roster();
    let mut names: Vec<&str> = roster.watches.keys().map(String::as_str).collect();
    names.sort_unstable();
    let show = if asked.is_firing() { "firing" } else { "" };
    let older = alerts.last().filter(|_| is_more).map(|(told, _)| {
        asked.href(show, &format!("{}-{}", told.created_at.as_millisecond(), told.alert.id))
    });
    let body = html! {
        div.title { h1 { "Alerts" } (filter(&asked, &names)) }
        nav aria-label="Which alerts" {
            ul.filters {
                @for (word, name) in [("", "all"), ("firing", "firing now")] {
                    li { a href=(asked.href(word, "")) aria-current=[(word == show).then_some("true")] { (name) } }
                }
            }
        }
        section #alerts data-live="alerts\ndeliveries" {
            @if alerts.is_empty() {
                p.empty {
                    @if asked.is_firing() { "Nothing is firing." } @else { "Nothing was told yet." }
                }
            } @else {
                ul.feed {
                    @for (told, is_so) in &alerts {
                        (entry(told, *is_so, reached.get(&told.alert.id).map_or(&[][..], Vec::as_slice), now))
                    }
                }
            }
        }
        @if !asked.before.is_empty() || older.is_some() {
            nav.pages aria-label="Pages" {
                @if asked.before.is_empty() { span {} } @else { a href=(asked.href(show, "")) { "← Newest" } }
                @if let Some(older) = older { a rel="next" href=(older) { "Older →" } }
            }
        }
    };
    Ok(page("Alerts", Section::Alerts, &body))
}

fn filter(asked: &Asked, names: &[&str]) -> Markup {
    html! {
        form.search action="/alerts" {
            @if asked.is_firing() { input type="hidden" name="show" value="firing"; }
            label.unseen for="watch" { "Watch" }
            input #watch name="watch" value=(asked.watch) list="watches" placeholder="Of one watch";
            datalist #watches { @for name in names.iter().take(500) { option value=(name) {} } }
            button.quiet type="submit" { "Show" }
        }
    }
}

fn entry(told: &StoredAlert, is_so: bool, reached: &[Reached], now: Timestamp) -> Markup {
    let alert = &told.alert;
    html! {
        li.card.told id={ "alert-" (alert.id) } {
            div.told-head {
                (status(alert, is_so))
                h2 { (alert.title) }
                span.muted.small.told-when { (ago(told.created_at, now)) ", " (moment(told.created_at)) }
            }
            (body(&alert.body))
            div.told-foot.small.muted {
                span {
                    a href=(watch_url(&alert.watch)) { (alert.watch) }
                    " · " (alert.strategy)
                    @if !alert.signal.subject.is_empty() { " · " (alert.signal.subject) }
                    @if let Some(url) = &alert.url { " · " (outside(url, "look at it")) }
                }
                @if reached.is_empty() { span { "It went to nobody." } } @else {
                    ul.reached { @for one in reached { li { (arrival(one)) } } }
                }
            }
        }
    }
}

/// The rest of the message; the first lines of a long one, such as what changed of a page.
fn body(text: &str) -> Markup {
    const FIRST: usize = 5;
    let count = text.lines().count();
    let first: Vec<&str> = text.lines().take(FIRST).collect();
    html! {
        @if count > FIRST.saturating_mul(2) {
            p.lines { (first.join("\n")) }
            details.small { summary.muted { "All " (count) " lines" } p.lines { (text) } }
        } @else if count > 0 {
            p.lines { (text) }
        }
    }
}

/// Whether it began, goes on or is over, and whether it is still so.
fn status(alert: &Alert, is_so: bool) -> Markup {
    match (alert.status, alert.reason, is_so) {
        (AlertStatus::Resolved, ..) => state("resolved"),
        (AlertStatus::Firing, _, true) => state("firing"),
        (AlertStatus::Firing, Reason::Reminder, false) => html! { span.state { "reminded" } },
        (AlertStatus::Firing, ..) => html! { span.state { "told" } },
    }
}

fn arrival(one: &Reached) -> Markup {
    html! {
        @match (one.status.as_str(), one.held) {
            ("delivered", _) => { "sent to " (one.notifier) },
            (status, held) => {
                (one.notifier) " " (state(if held && status == "pending" { "held" } else { status }))
                @if let Some(why) = &one.last_error { " " (why) }
            }
        }
    }
}
