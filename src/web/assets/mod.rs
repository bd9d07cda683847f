//! Style sheet, scripts and icon, under names that hold a hash of what they are: a browser keeps them for good.

use axum::Router;

use super::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new()
}

/// Where a browser finds an asset: `/assets/style.0123abcd.css` for `style.css`.
pub(super) fn url(name: &str) -> String {
    format!("/assets/{name}")
}
