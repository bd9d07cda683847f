//! The picture that goes along with a message.

use crate::model::Alert;
use crate::plugin::Picture;
use crate::store::Store;
use crate::watchlist::Watch;

/// The chart of what an alert tells about, until it was told. `None` where there is nothing to draw.
///
/// # Errors
/// When the database refuses, or the drawing cannot be turned into pixels.
pub async fn picture_of(
    _store: &Store,
    _watch: (i64, &Watch),
    _alert: &Alert,
) -> anyhow::Result<Option<Picture>> {
    Ok(None)
}
