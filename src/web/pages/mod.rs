//! The dashboard: pages that are rendered here and useful without a script.

mod add;
mod alerts;
mod chart;
#[cfg(test)]
mod contrast;
mod deliveries;
mod layout;
mod login;
mod metrics;
mod overview;
mod settings;
mod silences;
mod watch;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::Markup;

use super::Shared;

pub(super) use login::login_page;

pub(super) fn router(shared: &Shared) -> Router<Shared> {
    let started_at = Timestamp::now();
    Router::new()
        .route("/", get(overview::show))
        .route("/alerts", get(alerts::show))
        .route("/deliveries", get(deliveries::show))
        .route("/deliveries/{id}/retry", post(deliveries::retry))
        .route("/deliveries/{id}/drop", post(deliveries::give_up))
        .route("/notifiers/{name}/test", post(deliveries::test))
        .route("/silences", get(silences::show).post(silences::add))
        .route("/silences/{id}/end", post(silences::end))
        .route("/metrics-table", get(metrics::show))
        .route("/settings", get(move |state| settings::show(state, started_at)))
        .merge(watch::router())
        .merge(add::router())
        .route("/watches/{name}/chart.svg", get(chart::svg))
        .route("/watches/{name}/chart.json", get(chart::json))
        .route("/watches/{name}/chart.png", get(chart::png))
        .fallback(nothing_here)
        .layer(from_fn_with_state(shared.clone(), layout::around))
}

async fn nothing_here() -> (StatusCode, Markup) {
    let sentence = "There is no such page. It may have been moved, or its watch renamed.";
    (StatusCode::NOT_FOUND, layout::message_page("Not found", sentence))
}

/// A page could not be put together: the reason goes into the log, a page with a sentence to the person.
pub(super) struct Trouble(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "A page could not be shown");
        let sentence = "This page could not be put together; the daemon's log says why.";
        let page = layout::message_page("Something went wrong", sentence);
        (StatusCode::INTERNAL_SERVER_ERROR, page).into_response()
    }
}
