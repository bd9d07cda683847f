//! Reads what is due from the store and asks for its runs; and the housekeeping jobs, for which alone
//! the cron scheduler library serves.

mod audit;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::http::Request;
use crate::model::{RunRequest, Trigger};
use crate::store::{Retention, Store};
use crate::watchlist::Roster;

pub use audit::{audit, look_for_gaps};

/// How many runs may be asked for and not yet finished.
pub const MOST_IN_FLIGHT: usize = 1_024;

/// How many due watches are read at once.
const BATCH: usize = 4_096;

/// Reads of what is due are at least so far apart: many that come due together are one read.
const SHORTEST_NAP: Duration = Duration::from_millis(2);

/// Timers do not run while a machine is suspended, so none is set further ahead.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// Asks for every run that is due, until it is stopped. A watch is not asked for again before its run
/// has finished; a slot that passed meanwhile is not made up for.
pub async fn serve(
    store: Store,
    mut roster: watch::Receiver<Arc<Roster>>,
    requests: mpsc::Sender<RunRequest>,
    mut finished: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
) {
    let began = Timestamp::now();
    let mut in_flight: HashSet<String> = HashSet::new();
    let mut ready: VecDeque<(String, Timestamp)> = VecDeque::new();
    let mut look_at = began;
    loop {
        let now = Timestamp::now();
        if ready.is_empty() && now >= look_at && in_flight.len() < MOST_IN_FLIGHT {
            match look(&store, &in_flight, now).await {
                Ok((due, next)) => {
                    // Another program may have put a watch there that this one has not read yet.
                    let known = Arc::clone(&roster.borrow());
                    ready.extend(due.into_iter().filter(|(watch, _)| known.watches.contains_key(watch)));
                    look_at = next;
                }
                Err(error) => {
                    error!(%error, "The scheduler cannot read the database");
                    look_at = now.checked_add(Duration::from_secs(1)).unwrap_or(now);
                }
            }
        }
        while in_flight.len() < MOST_IN_FLIGHT
            && let Some((watch, due_at)) = ready.pop_front()
        {
            let trigger = if due_at < began { Trigger::CatchUp } else { Trigger::Schedule };
            in_flight.insert(watch.clone());
            if requests.send(RunRequest { watch, due_at, trigger }).await.is_err() {
                return;
            }
        }
        let wait = Duration::try_from(look_at.duration_since(Timestamp::now())).unwrap_or_default();
        let nap = if ready.is_empty() { wait.clamp(SHORTEST_NAP, LONGEST_NAP) } else { LONGEST_NAP };
        tokio::select! {
            () = stop.cancelled() => return,
            done = finished.recv() => {
                let Some(done) = done else { return };
                in_flight.remove(&done);
                // It may be due again already.
                look_at = look_at.min(Timestamp::now().checked_add(SHORTEST_NAP).unwrap_or(look_at));
                while let Ok(done) = finished.try_recv() {
                    in_flight.remove(&done);
                }
            }
            changed = roster.changed() => {
                if changed.is_err() {
                    return;
                }
                ready.clear();
                look_at = Timestamp::now();
            }
            () = tokio::time::sleep(nap) => {}
        }
    }
}

/// What is due and not under way, and when to look again.
async fn look(
    store: &Store,
    in_flight: &HashSet<String>,
    now: Timestamp,
) -> Result<(Vec<(String, Timestamp)>, Timestamp), sqlx::Error> {
    let mut due = store.due_watches(now, BATCH.saturating_add(in_flight.len())).await?;
    due.retain(|(watch, _)| !in_flight.contains(watch));
    let soon = now.checked_add(SHORTEST_NAP).unwrap_or(now);
    let next = store.next_due_after(now).await?;
    let latest = now.checked_add(LONGEST_NAP).unwrap_or(now);
    Ok((due, next.map_or(latest, |next| next.clamp(soon, latest))))
}

/// The jobs that keep the house: pruning, and the heartbeat.
pub struct Housekeeping(JobScheduler);

impl Housekeeping {
    /// Starts them.
    ///
    /// # Errors
    /// The library's own.
    pub async fn start(store: Store, roster: watch::Receiver<Arc<Roster>>) -> anyhow::Result<Self> {
        let jobs = JobScheduler::new().await?;
        let (pruned, list) = (store.clone(), roster.clone());
        jobs.add(Job::new_async("0 17 * * * *", move |_, _| {
            let (store, roster) = (pruned.clone(), Arc::clone(&list.borrow()));
            Box::pin(async move { prune(&store, &roster).await })
        })?)
        .await?;
        jobs.add(Job::new_async("30 * * * * *", move |_, _| {
            let (store, roster) = (store.clone(), Arc::clone(&roster.borrow()));
            Box::pin(async move { heartbeat(&store, &roster).await })
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
        Ok(pruned) if pruned.rows > 0 => info!(rows = pruned.rows, "Pruned what was older than it is kept"),
        Ok(_) => {}
        Err(error) => error!(%error, "Pruning failed"),
    }
}

/// Tells whoever watches the watcher that all is well: the database answers.
async fn heartbeat(store: &Store, roster: &Roster) {
    let Some(address) = &roster.watchlist.daemon.heartbeat_url else { return };
    if let Err(error) = store.ping().await {
        error!(%error, "No heartbeat: the database does not answer");
        return;
    }
    let Ok(url) = url::Url::parse(address.expose()) else {
        warn!("`heartbeat_url` is not a URL");
        return;
    };
    let answer = roster.http.send(&Request::get(url)).await;
    match answer {
        Ok(reply) if reply.is_success() => {}
        Ok(reply) => warn!(status = reply.status, "The heartbeat was not taken"),
        Err(error) => warn!(%error, "The heartbeat did not get through"),
    }
}
