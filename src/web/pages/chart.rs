//! The chart of one subject.

use maud::Markup;

use super::super::Shared;
use super::Trouble;
use crate::watchlist::Watch;

/// The chart of one subject in a range of time, with its legend; `None` where there is nothing to draw.
pub(super) async fn figure(
    _shared: &Shared,
    _watch: (i64, &Watch),
    _subject: &str,
    _range: Option<&str>,
) -> Result<Option<Markup>, Trouble> {
    Ok(None)
}
