//! What a person has done from the page of a watch: plain forms, answered by the page again.

use std::collections::BTreeMap;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use url::Url;

use super::super::super::status::Origin;
use super::super::super::{Refused, Shared, Status};
use super::super::Trouble;
use super::super::layout::{Section, back_to, page, watch_url};
use super::{Asked, missing, show_with};
use crate::model::{Matchers, Period, Silence};

pub(super) async fn run(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.run_watch(&name).await;
    answered(&state, &name, &headers, did, "running").await
}

pub(super) async fn pause(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.pause_watch(&name).await;
    answered(&state, &name, &headers, did, "paused").await
}

pub(super) async fn resume(
    state: State<Shared>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let did = state.control.resume_watch(&name).await;
    answered(&state, &name, &headers, did, "resumed").await
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
    if !shared.roster().watches.contains_key(&name) {
        return Ok(missing(&shared.roster(), &name));
    }
    let did = match silence_of(&name, &silencing.r#for, Timestamp::now()) {
        Ok(silence) => match shared.store.add_silence(silence, Timestamp::now()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Refused::Failed(error.to_string())),
        },
        Err(why) => Err(Refused::Failed(why)),
    };
    answered(&shared, &name, &headers, did, "silenced").await
}

/// A silence of all that a watch tells.
fn silence_of(name: &str, length: &str, now: Timestamp) -> Result<Silence, String> {
    let period: Period = length.parse()?;
    let ends_at = now.checked_add(period.0).unwrap_or(Timestamp::MAX);
    // A star in a name stands for itself here as well: it fits any text, itself among them.
    let matchers = Matchers::try_from(BTreeMap::from([("watch".to_owned(), name.to_owned())]))?;
    Silence::new(matchers, ends_at, "the dashboard", "", now)
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
    match shared.control.remove_watch(&name).await {
        Ok(()) => Ok(back_to("/", "removed")),
        Err(refused) => refusal(&shared, &name, &refused).await,
    }
}

/// Back to where one came from; or the page of the watch, with what was refused above it.
async fn answered(
    shared: &Shared,
    name: &str,
    headers: &HeaderMap,
    did: Result<(), Refused>,
    done: &str,
) -> Result<Response, Trouble> {
    match did {
        Ok(()) => Ok(back_to(&came_from(headers, &watch_url(name)), done)),
        Err(refused) => refusal(shared, name, &refused).await,
    }
}

async fn refusal(shared: &Shared, name: &str, refused: &Refused) -> Result<Response, Trouble> {
    let status = match refused {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Exists(_) | Refused::InFile(_) | Refused::Busy(_) => StatusCode::CONFLICT,
        Refused::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let note = html! { p.flash.flash-bad role="alert" { (refused.to_string()) } };
    show_with(shared, name, &Asked::default(), status, Some(note)).await
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
    use crate::testing::at;

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

    #[test]
    fn a_silence_is_about_the_watch_and_ends() {
        let now = at("2026-11-20T10:00:00Z");
        let silence = silence_of("gtx", "4h", now).unwrap();
        assert_eq!(silence.matchers.to_string(), "watch=gtx");
        assert_eq!(silence.ends_at, at("2026-11-20T14:00:00Z"));
        for wrong in ["", "0s", "367d", "for ever", "-1h"] {
            assert!(silence_of("gtx", wrong, now).is_err(), "{wrong}");
        }
    }
}
