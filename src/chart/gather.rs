//! From what is stored to what is drawn.

use super::{Chart, Window};
use crate::store::Store;
use crate::watchlist::Watch;

/// What is stored of one subject of a watch in a stretch of time, with what its strategies make of it. `None`
/// where there is nothing to draw: a text, or nothing seen at all.
///
/// # Errors
/// When the database refuses.
pub async fn gather(
    _store: &Store,
    _watch: (i64, &Watch),
    _subject: &str,
    _window: Window,
) -> Result<Option<Chart>, sqlx::Error> {
    Ok(None)
}
