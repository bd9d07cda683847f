//! The API: `/api/v1`, its description, and a page to try it. Handlers and description are collected
//! together, so that they cannot differ.

mod alerts;
mod answer;
mod deliveries;
mod description;
mod history;
mod kinds;
mod metrics;
mod question;
mod silences;
mod watches;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn;

use super::Shared;
use super::problem::Problem;

/// Everything below `/api`.
pub(super) fn router(shared: &Shared) -> Router<Shared> {
    let (routes, description) = description::collect(shared.token.is_some());
    Router::new()
        .merge(routes)
        .merge(description::router(&description))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is not done here; `Allow` says what is")
        })
        .fallback(async |uri: Uri| Problem::not_found(format!("there is nothing at `{}`", uri.path())))
        .layer(from_fn(answer::finish))
}
