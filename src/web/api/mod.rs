//! The API: `/api/v1`, its description, and a page to try it.

use axum::Router;

use super::Shared;

/// Everything below `/api`.
pub(super) fn router(_shared: &Shared) -> Router<Shared> {
    Router::new()
}
