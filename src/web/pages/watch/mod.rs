//! One watch: how it stands, what it saw, what became of its slots, and why it told what it told.

mod actions;
mod head;
mod items;
mod numbers;
mod runs;
mod seen;
mod slots;
mod texts;
mod told;
mod why;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::{Shared, Status, assets};
use super::Trouble;
use super::layout::{Section, moment, moment_to_the_second, outside, page, watch_url, with_query};
use crate::model::{Period, or_known};
use crate::watchlist::{Roster, Watch};

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/watches/{name}", get(show))
        .route("/watches/{name}/run", post(actions::run))
        .route("/watches/{name}/pause", post(actions::pause))
        .route("/watches/{name}/resume", post(actions::resume))
        .route("/watches/{name}/silence", post(actions::silence))
        .route("/watches/{name}/remove", get(actions::ask_to_remove).post(actions::remove))
}

/// What the address may say beside the name.
#[derive(Clone, Debug, Default, Deserialize)]
struct Asked {
    /// Which subject is looked at.
    #[serde(default)]
    subject: String,
    /// How much of its past.
    range: Option<String>,
    /// Only subjects with this in their name.
    #[serde(default)]
    find: String,
    /// Which run is explained: that of the last slot until then.
    #[serde(default)]
    at: String,
    /// Which run is explained: this one.
    #[serde(default)]
    run: String,
}

/// A watch of the watchlist, and the moment at which it is looked at.
struct One<'a> {
    shared: &'a Shared,
    id: i64,
    watch: &'a Arc<Watch>,
    status: &'a Status,
    asked: &'a Asked,
    now: Timestamp,
}

impl One<'_> {
    /// What a part of the page carries that is fetched anew when something happens to the watch.
    fn topic(&self) -> String {
        format!("watch:{}", self.watch.name)
    }

    /// The same for a part that also shows what became of messages: one topic a line.
    fn topics(&self) -> String {
        format!("{}\ndeliveries", self.topic())
    }

    /// A moment; one of today to the second, where it runs more than once a minute.
    fn moment(&self, at: Timestamp) -> Markup {
        let is_today = at.duration_since(self.now).unsigned_abs() < Duration::from_secs(86_400);
        if is_today && self.watch.spacing(self.now) < Duration::from_secs(60) {
            moment_to_the_second(at)
        } else {
            moment(at)
        }
    }

    /// Where one is: its page as it is looked at, for a form that leads back.
    fn here(&self) -> String {
        let Asked { subject, range, find, at, run } = self.asked;
        let range = range.as_deref().unwrap_or_default();
        self.href(&[("subject", subject), ("range", range), ("find", find), ("at", at), ("run", run)])
    }

    /// The address of its page, with what is asked about it.
    fn href(&self, asked: &[(&str, &str)]) -> String {
        href(&self.watch.name, asked)
    }
}

/// The address of a watch's page, with what is asked about it.
fn href(name: &str, asked: &[(&str, &str)]) -> String {
    with_query(&watch_url(name), asked)
}

async fn show(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let roster = shared.roster();
    let Some((id, watch)) = roster.watches.get(&name) else { return Ok(missing(&roster, &name)) };
    let Some(glance) = shared.store.glance(*id).await? else { return Ok(missing(&roster, &name)) };
    let status = Status::from(glance);
    let one = One { shared: &shared, id: *id, watch, status: &status, asked: &asked, now: Timestamp::now() };
    // The store has three readers.
    let (head, seen, slots, runs) =
        futures_util::try_join!(head::head(&one), seen::seen(&one), slots::strip(&one), runs::runs(&one))?;
    let (why, told) = futures_util::try_join!(why::why(&one), told::told(&one))?;
    let body = html! {
        article.sections {
            link rel="stylesheet" href=(assets::url("chart.css"));
            script type="module" src=(assets::url("chart.js")) {}
            (head)
            (seen)
            (slots)
            (why)
            (told)
            (runs)
            (table(watch))
        }
    };
    Ok(page(&name, Section::Watches, &body).into_response())
}

/// What it says where there is no such watch.
fn missing(roster: &Roster, name: &str) -> Response {
    if let Some((_, why)) = roster.watchlist.left_out.iter().find(|(left_out, _)| left_out == name) {
        return left_out(name, why);
    }
    let hint = or_known(name, roster.watches.keys().map(String::as_str));
    let body = html! {
        h1 { "No such watch" }
        p { "There is no watch " b { (name) } (hint) "." }
        p { a href="/" { "All watches" } }
    };
    (StatusCode::NOT_FOUND, page("No such watch", Section::Watches, &body)).into_response()
}

/// What it says of a watch that was added here and cannot be run beside the configuration as it is now.
fn left_out(name: &str, why: &str) -> Response {
    let body = html! {
        h1 { (name) }
        p { "It was added here, and cannot be run beside the configuration as it is now:" }
        pre.text tabindex="0" { (why.trim_end()) }
        p { "It runs again once that is mended; or it is removed." }
        form.actions method="post" action={ (watch_url(name)) "/remove" } {
            button.danger type="submit" { "Remove " (name) }
            a href="/" { "All watches" }
        }
    };
    (StatusCode::NOT_FOUND, page(name, Section::Watches, &body)).into_response()
}

/// Its table as it is configured, without secrets.
fn table(watch: &Watch) -> Markup {
    let written = as_toml(&watch.name, &watch.spec);
    html! {
        section aria-labelledby="configured" {
            h2 #configured { "As it is configured" }
            details {
                summary { "Its table" }
                pre.scroll tabindex="0" { (written) }
            }
        }
    }
}

/// The table of a watch as it would stand in a file.
pub(in crate::web::pages) fn as_toml(name: &str, spec: &str) -> String {
    let Ok(table) = serde_json::from_str::<toml::Table>(spec) else { return spec.to_owned() };
    let named = toml::Table::from_iter([(name.to_owned(), toml::Value::Table(table))]);
    let file = toml::Table::from_iter([("watch".to_owned(), toml::Value::Table(named))]);
    toml::to_string_pretty(&file).unwrap_or_else(|_| spec.to_owned())
}

/// A link to where the outside world has more of it, where that is an address to follow.
fn link(address: &str, words: &str) -> Markup {
    if address.contains("[secret]") {
        html! { (words) }
    } else {
        outside(address, words)
    }
}

/// A length of time in whole seconds.
fn rough(length: std::time::Duration) -> Period {
    Period::from_secs(length.as_secs().max(1))
}

/// `1 item`, `2 items`
fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_the_web_becomes_a_link() {
        assert_eq!(
            link("https://a.example/?a=1&b=\"", "<b>").into_string(),
            "<a href=\"https://a.example/?a=1&amp;b=&quot;\" rel=\"noopener noreferrer\">&lt;b&gt;</a>"
        );
        for address in
            ["javascript:alert(1)", "data:text/html,x", "/somewhere", "https://a.example/?key=[secret]"]
        {
            assert_eq!(link(address, "it").into_string(), "it", "{address}");
        }
    }

    #[test]
    fn a_table_is_shown_as_it_would_stand_in_a_file() {
        let spec = r#"{"source":{"kind":"page","url":"https://a.example"},"every":"1h"}"#;
        let toml = as_toml("a \"b\"", spec);
        assert_eq!(
            toml,
            "[watch.'a \"b\"']\nevery = \"1h\"\n\n[watch.'a \"b\"'.source]\nkind = \"page\"\nurl = \"https://a.example\"\n"
        );
    }
}
