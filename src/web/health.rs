//! Whether all is well, and the way to the figures.

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::warn;

use super::{Shared, guard};

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn ready(State(shared): State<Shared>) -> Response {
    let mut wrong: Vec<String> =
        shared.pulse.standing_still(Instant::now()).iter().map(ToString::to_string).collect();
    if let Err(error) = shared.store.ping().await {
        warn!(%error, "Not ready: the database does not answer");
        wrong.push("the database does not answer".into());
    }
    if wrong.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, wrong.join("\n") + "\n").into_response()
}

async fn metrics(State(shared): State<Shared>, request: Request) -> Response {
    if let Err(refusal) = guard::let_see_figures(&shared, request.extensions(), request.headers()).await {
        return *refusal;
    }
    let Some(figures) = &shared.figures else { return StatusCode::NOT_FOUND.into_response() };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match super::figures::page(&shared, figures).await {
        Ok(page) => (kind, page).into_response(),
        Err(error) => {
            warn!(%error, "The figures could not be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
