//! The housekeeping jobs, for which alone the cron scheduler library serves.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler};
use tracing::{error, info, warn};

use crate::store::{Retention, Store};
use crate::watchlist::Roster;

/// The jobs that keep the house: pruning.
pub struct Housekeeping(JobScheduler);

impl Housekeeping {
    /// Starts them.
    ///
    /// # Errors
    /// The library's own.
    pub async fn start(store: Store, roster: watch::Receiver<Arc<Roster>>) -> anyhow::Result<Self> {
        let jobs = JobScheduler::new().await?;
        jobs.add(Job::new_async("0 17 * * * *", move |_, _| {
            let (store, roster) = (store.clone(), Arc::clone(&roster.borrow()));
            Box::pin(async move { prune(&store, &roster).await })
        })?)
        .await?;
        jobs.start().await?;
        Ok(Self(jobs))
    }

    /// No new ones are started.
    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            warn!(%error, "The housekeeping did not stop cleanly");
        }
    }
}

async fn prune(store: &Store, roster: &Roster) {
    let keep = roster.watchlist.daemon.retention;
    let retention = Retention {
        observations: keep.observations,
        candles: keep.candles,
        runs: keep.runs,
        alerts: keep.alerts,
    };
    match store.prune(&retention, Timestamp::now()).await {
        Ok(pruned) if pruned.rows > 0 || pruned.bytes > 0 => {
            let (rows, bytes) = (pruned.rows, pruned.bytes);
            info!(rows, bytes, "Pruned what was older than it is kept; the file is smaller by the bytes");
        }
        Ok(_) => {}
        Err(error) => error!(%error, "Pruning failed"),
    }
}
