//! Logging in and out.

use std::time::Instant;

use axum::Router;
use axum::extract::{Form, Query, Request, State};
use axum::http::header::{COOKIE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use tracing::{error, info};
use url::form_urlencoded;

use super::super::{Shared, pages};
use super::place::local_path;
use super::refusal::{refuse, whole_seconds};
use super::{DATABASE_REFUSES, session};

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/login", get(show).post(log_in)).route("/logout", post(log_out))
}

/// Where one logs in to get to a path.
pub(super) fn address(next: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("/login?{query}")
}

/// A link on a page of somebody else, such as a message in a browser, brings no cookie along that is `Strict`. So
/// the login is asked for by a page of this server: it leads on whoever is logged in, and never back to here.
pub(super) fn once_more(login: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content={ "0; url=" (login) };
                title { "Stakeout" }
            }
            body { p { a href=(login) { "Go on" } } }
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

async fn show(State(shared): State<Shared>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let next = local_path(&asked.next);
    if shared.guard.digest.is_none() {
        return Redirect::to("/").into_response();
    }
    match session::find(&shared, &headers, Timestamp::now()).await {
        Ok(Some(_)) => Redirect::to(&next).into_response(),
        Ok(None) => pages::login_page(&next, None).into_response(),
        Err(error) => {
            error!(%error, "Who asks could not be told");
            refuse("/login", StatusCode::SERVICE_UNAVAILABLE, DATABASE_REFUSES)
        }
    }
}

#[derive(Deserialize)]
struct Shown {
    token: String,
    #[serde(default)]
    next: String,
}

async fn log_in(State(shared): State<Shared>, request: Request) -> Response {
    if shared.guard.digest.is_none() {
        return Redirect::to("/").into_response();
    }
    let from = shared.guard.origin_of(request.extensions(), request.headers());
    let headers = request.headers().clone();
    let shown = match <Form<Shown> as axum::extract::FromRequest<_>>::from_request(request, &()).await {
        Ok(Form(shown)) => shown,
        Err(refused) => return refused.into_response(),
    };
    let next = local_path(&shown.next);
    match shared.guard.try_token(from, &shown.token, Instant::now()) {
        Ok(true) => {}
        Ok(false) => {
            let page = pages::login_page(&next, Some("That is not the token."));
            return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer realm=\"stakeout\"")], page)
                .into_response();
        }
        Err(wait) => {
            let seconds = whole_seconds(wait);
            let wrong = format!("Too many wrong tokens; try again in {seconds} s.");
            let page = pages::login_page(&next, Some(&wrong));
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())], page)
                .into_response();
        }
    }
    shared.guard.forgive(from);
    match session::begin(&shared, &headers, Timestamp::now()).await {
        Ok(cookie) => {
            info!(from = %from.address, "Somebody logged in");
            ([(SET_COOKIE, cookie)], Redirect::to(&next)).into_response()
        }
        Err(error) => {
            error!(error = format!("{error:#}"), "A login could not be written down");
            refuse("/login", StatusCode::SERVICE_UNAVAILABLE, DATABASE_REFUSES)
        }
    }
}

async fn log_out(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let leads_to = if shared.guard.digest.is_some() { "/login" } else { "/" };
    if !headers.contains_key(COOKIE) {
        return Redirect::to(leads_to).into_response();
    }
    match session::finish(&shared, &headers).await {
        Ok(cookie) => ([(SET_COOKIE, cookie)], Redirect::to(leads_to)).into_response(),
        Err(error) => {
            error!(%error, "A session could not be ended");
            refuse("/logout", StatusCode::SERVICE_UNAVAILABLE, DATABASE_REFUSES)
        }
    }
}
