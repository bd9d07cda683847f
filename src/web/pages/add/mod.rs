//! Adding a watch: pick a source, fill in its form, try what one run sees, save.

mod fields;
mod filled;
mod form;
mod tried;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::{Refused, Shared};
use super::Trouble;
use super::layout::{Section, back_to, page, watch_url};
use crate::watchlist::source_offers;
use filled::{Filled, Wrong, placed};

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/add", get(show).post(add))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    source: String,
}

/// The list of sources; or the form of the one that was picked.
async fn show(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let Some(offer) = source_offers().find(|offer| offer.name == asked.source) else {
        return page("Add a watch", Section::Add, &sources(&asked.source)).into_response();
    };
    let filled = Filled::fresh(&offer, &notifiers(&shared));
    form::page_of(&shared, &offer, &filled, &[], None)
}

fn sources(unknown: &str) -> Markup {
    html! {
        h1 { "Add a watch" }
        @if !unknown.is_empty() { p.flash.flash-bad { "There is no source “" (unknown) "”." } }
        p { "Where shall it look?" }
        ul.plain.cards {
            @for offer in source_offers() {
                li.card {
                    h2 { a href={ "/add?source=" (offer.name) } { (offer.name) } }
                    p { (offer.about) }
                }
            }
        }
        p.muted { "A watch with a secret of its own (a token, headers, cookies, a proxy) stands in the configuration file." }
    }
}

/// The names of those who can be told.
fn notifiers(shared: &Shared) -> Vec<String> {
    shared.roster().watchlist.notifiers.keys().cloned().collect()
}

/// Tries or saves what was filled in.
async fn add(
    State(shared): State<Shared>,
    Form(typed): Form<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let mut filled = Filled(typed);
    let Some(offer) = filled.source() else {
        let body = sources(filled.get("source"));
        return Ok(
            (StatusCode::UNPROCESSABLE_ENTITY, page("Add a watch", Section::Add, &body)).into_response()
        );
    };
    if filled.get("step") == "example" {
        filled.fill_in_example(&offer);
        return Ok(form::page_of(&shared, &offer, &filled, &[], None));
    }
    let name = filled.get("name").trim();
    let mut wrong = Vec::new();
    if name.is_empty() {
        wrong.push(Wrong { field: "name".into(), sentence: "Give it a name.".into() });
    }
    let table = match filled.table(&offer, &notifiers(&shared)) {
        Ok(table) if wrong.is_empty() => table,
        Ok(_) => return Ok(form::page_of(&shared, &offer, &filled, &wrong, None)),
        Err(others) => {
            wrong.extend(others);
            return Ok(form::page_of(&shared, &offer, &filled, &wrong, None));
        }
    };
    let wrong = match filled.get("step") {
        "save" => match shared.control.add_watch(name, &table).await {
            Ok(()) => return Ok(back_to(&watch_url(name), "added")),
            Err(refused) => wrongs(&refused, name),
        },
        _ => match shared.control.try_watch(name, &table).await {
            Ok(report) => {
                return Ok(form::page_of(&shared, &offer, &filled, &[], Some(&tried::tried(&report))));
            }
            Err(refused) => wrongs(&refused, name),
        },
    };
    Ok(form::page_of(&shared, &offer, &filled, &wrong, None))
}

/// Why it was not done, at the fields that it is about.
fn wrongs(refused: &Refused, name: &str) -> Vec<Wrong> {
    match refused {
        Refused::Mistakes(mistakes) => mistakes.iter().map(|mistake| placed(mistake, name)).collect(),
        Refused::Exists(sentence) => vec![Wrong { field: "name".into(), sentence: sentence.clone() }],
        other => vec![Wrong { field: String::new(), sentence: other.to_string() }],
    }
}
