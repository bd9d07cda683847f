//! What a person has done from the page of a watch: plain forms, answered by the page again.

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::super::super::status::Origin;
use super::super::super::{Refused, Shared, Status};
use super::super::Trouble;
use super::super::layout::{Section, back_to, message_page, page, watch_url};
use super::super::silences::Wish;
use super::missing;

pub(super) async fn run(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.run_watch(&name).await;
    answered(&state, &name, &headers, did, "running")
}

pub(super) async fn pause(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.pause_watch(&name).await;
    answered(&state, &name, &headers, did, "paused")
}

pub(super) async fn resume(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.resume_watch(&name).await;
    answered(&state, &name, &headers, did, "resumed")
}

/// For how long.
#[derive(Deserialize)]
pub(super) struct Silencing {
    #[serde(default)]
    r#for: String,
}

pub(super) async fn silence(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(silencing): Form<Silencing>,
) -> Result<Response, Trouble> {
    let roster = shared.roster();
    if !roster.watches.contains_key(&name) {
        return Ok(missing(&roster, &name));
    }
    let now = Timestamp::now();
    match Wish::of_watch(&name, &silencing.r#for).silence(&roster, now) {
        Ok(silence) => {
            shared.store.add_silence(silence, now).await?;
            answered(&shared, &name, &headers, Ok(()), "silenced")
        }
        Err(why) => {
            let page = message_page("It was not silenced", &why);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Asks once more: a click must not be enough.
pub(super) async fn ask_to_remove(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let roster = shared.roster();
    let Some((id, _)) = roster.watches.get(&name) else { return Ok(missing(&roster, &name)) };
    let Some(glance) = shared.store.glance(*id).await? else { return Ok(missing(&roster, &name)) };
    Ok(page("Remove a watch", Section::Watches, &confirmation(&Status::from(glance))).into_response())
}

fn confirmation(status: &Status) -> Markup {
    let name = &status.name;
    html! {
        h1 { "Remove " (name) "?" }
        @if status.origin == Origin::Api {
            p { "It is no longer run, and what goes on under it ends with a note. What it saw and told is kept." }
            form.actions method="post" action={ (watch_url(name)) "/remove" } {
                button.danger type="submit" { "Remove " (name) }
                a href=(watch_url(name)) { "Keep it" }
            }
        } @else {
            p { "It stands in a configuration file, and is removed there." }
            p { a href=(watch_url(name)) { "Back to it" } }
        }
    }
}

pub(super) async fn remove(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let did = shared.control.remove_watch(&name).await;
    match did {
        Ok(()) => Ok(back_to("/", "removed")),
        Err(refused) => Ok(refusal(&shared, &name, &watch_url(&name), &refused)),
    }
}

/// Back to where one came from, with a word for what was done or why it was not.
fn answered(
    shared: &Shared,
    name: &str,
    headers: &HeaderMap,
    did: Result<(), Refused>,
    done: &str,
) -> Result<Response, Trouble> {
    let page = came_from(headers, &watch_url(name));
    Ok(match did {
        Ok(()) => back_to(&page, done),
        Err(refused) => refusal(shared, name, &page, &refused),
    })
}

/// A page of its own would stand at an address that only takes forms: a reload would send it again.
fn refusal(shared: &Shared, name: &str, page: &str, refused: &Refused) -> Response {
    let word = match refused {
        Refused::Unknown(_) => return missing(&shared.roster(), name),
        Refused::Busy(_) => "busy",
        Refused::InFile(_) => "in-file",
        Refused::Exists(_) | Refused::Mistakes(_) | Refused::Failed(_) => {
            warn!(watch.name = %name, error = %refused, "What was asked for watch `{name}` was not done");
            "failed"
        }
    };
    back_to(page, word)
}

/// The page that a form was sent from, where that is the overview or the page of the watch itself.
fn came_from(headers: &HeaderMap, own: &str) -> String {
    let from = headers.get(header::REFERER).and_then(|from| Url::parse(from.to_str().ok()?).ok());
    match from.filter(|from| from.path() == "/" || from.path() == own) {
        Some(from) => format!("{}?{}", from.path(), from.query().unwrap_or_default()),
        None => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_where_one_was_and_never_to_another_server() {
        for (from, to) in [
            (None, "/watches/a%20b"),
            (Some("http://127.0.0.1:8787/?state=firing"), "/?state=firing"),
            (Some("http://127.0.0.1:8787/watches/a%20b?subject=x"), "/watches/a%20b?subject=x"),
            (Some("http://evil.example//evil.example/"), "/watches/a%20b"),
            (Some("http://127.0.0.1:8787/add"), "/watches/a%20b"),
            (Some("nonsense"), "/watches/a%20b"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(from) = from {
                headers.insert(header::REFERER, from.parse().unwrap());
            }
            assert_eq!(came_from(&headers, "/watches/a%20b"), to, "{from:?}");
        }
    }
}
