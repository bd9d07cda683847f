//! Asks for the repair of gaps when it is time, down the same channel as the clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::model::{RunRequest, Trigger};
use crate::store::{Store, WriteError};
use crate::watchlist::Roster;

/// How often it is asked which gaps wait.
const OFTEN: Duration = Duration::from_secs(10);

/// So many times later all of them are looked at.
const TICKS_AN_HOUR: u32 = 360;

/// How many repairs are asked for at once.
const BATCH: usize = 64;

/// Asks for repairs until it is stopped. One that is under way is asked for again and does nothing then.
pub async fn audit(
    store: Store,
    roster: watch::Receiver<Arc<Roster>>,
    requests: mpsc::Sender<RunRequest>,
    stop: CancellationToken,
) {
    let mut ticks = interval(OFTEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in (0..TICKS_AN_HOUR).cycle() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // What would be fetched now could not be stored.
        if store.is_in_trouble() {
            continue;
        }
        let now = Timestamp::now();
        let roster = Arc::clone(&roster.borrow());
        if tick == 0
            && let Err(error) = look_for_gaps(&store, &roster, now).await
        {
            error!(%error, "The audit cannot write to the database");
        }
        let due = match store.gaps_due(now, BATCH).await {
            Ok(due) => due,
            Err(error) => {
                error!(%error, "The audit cannot read the database");
                continue;
            }
        };
        for (watch, due_at) in due {
            if requests.send(RunRequest { watch, due_at, trigger: Trigger::Repair }).await.is_err() {
                return;
            }
        }
    }
}

/// Lets gaps be tried that nobody meant to fill when they were left: their watch may have come to another
/// source since, or its source to a past.
///
/// # Errors
/// [`WriteError`]; then nothing is changed.
pub async fn look_for_gaps(store: &Store, roster: &Roster, now: Timestamp) -> Result<(), WriteError> {
    let can = roster.watches.values().filter(|(_, watch)| watch.enabled && watch.can_backfill(now));
    store.arm_gaps(can.map(|(id, _)| *id).collect(), now).await.map(drop)
}
