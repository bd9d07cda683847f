//! The dashboard: pages that are rendered here and useful without a script.

mod layout;
mod login;
mod overview;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;

use super::Shared;

pub(super) use login::login_page;

pub(super) fn router(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/", get(overview::show))
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
