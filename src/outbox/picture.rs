//! The chart that goes along with a message.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::chart;
use crate::model::Alert;
use crate::plugin::Picture;
use crate::store::Store;
use crate::watchlist::{Roster, Told};

/// A message does not wait longer for its picture.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many alerts of a message are tried for a picture: those of one message are mostly of one kind.
const TRIED: usize = 3;

/// A chart of the first of these alerts that can be drawn, where the notifier wants one. A message goes without
/// rather than not at all.
pub(super) async fn picture(
    store: &Store,
    roster: &Roster,
    told: &Told,
    alerts: &[Alert],
) -> Option<Picture> {
    if !told.notifier.wants_picture() {
        return None;
    }
    let drawing = async {
        for alert in alerts.iter().take(TRIED) {
            let Some((id, watch)) = roster.watches.get(&alert.watch) else { continue };
            match chart::picture_of(store, (*id, watch), alert).await {
                Ok(Some(picture)) => return Some(picture),
                Ok(None) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(watch.name = %alert.watch, error, "A message of watch `{}` goes without its chart", alert.watch);
                }
            }
        }
        None
    };
    timeout(PATIENCE, drawing).await.ok().flatten()
}
