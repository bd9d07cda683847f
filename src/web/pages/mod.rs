//! The dashboard: pages that are rendered here and useful without a script.

mod chart;
mod layout;
mod overview;
mod watch;

use axum::Router;
use axum::response::{IntoResponse, Response};

use super::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/", axum::routing::get(overview::show)).merge(watch::router())
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
        let sentence = "This page could not be put together; the daemon's log says why.\n";
        (axum::http::StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response()
    }
}
