//! Takes run requests off a channel and runs each as a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use super::{Repair, Report, Runner, Slot};
use crate::model::{Outcome, RunEnd, RunRequest, SlotOutcome, Trigger};
use crate::watchlist::Roster;

/// When it is stopped, runs under way have so long to finish. A run is stored whole or not at all, and one that
/// was not is due again at the start; some would wait for minutes for their turn at a host.
const GRACE: Duration = Duration::from_millis(1_500);

/// Runs what is asked for until it is stopped; then the runs under way are finished first, or given up. Every
/// run but a repair is answered on `finished`; `told` is called when a run has written deliveries.
pub async fn serve(
    runner: Arc<Runner>,
    roster: watch::Receiver<Arc<Roster>>,
    mut requests: mpsc::Receiver<RunRequest>,
    finished: mpsc::UnboundedSender<RunEnd>,
    told: impl Fn() + Clone + Send + 'static,
    stop: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    loop {
        let request = tokio::select! {
            () = stop.cancelled() => break,
            request = requests.recv() => match request {
                Some(request) => request,
                None => break,
            },
        };
        while tasks.try_join_next().is_some() {}
        let (runner, roster) = (Arc::clone(&runner), Arc::clone(&roster.borrow()));
        let (finished, told, stop) = (finished.clone(), told.clone(), stop.clone());
        tasks.spawn(async move {
            // A repair is no run of the schedule's, and can be given up at any moment.
            if request.trigger == Trigger::Repair {
                stop.run_until_cancelled(repair(&runner, &roster, &request)).await;
                return;
            }
            let end = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                stored = run(&runner, &roster, &request, told) => {
                    let _ = finished.send(RunEnd { watch: request.watch.clone(), stored });
                }
                () = end => debug!(watch.name = %request.watch, "A run is given up; it comes again after the start"),
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Answers whether the run could be stored.
async fn run(runner: &Runner, roster: &Roster, request: &RunRequest, told: impl Fn()) -> bool {
    let name = &request.watch;
    let Some((watch_id, watch)) = roster.watches.get(name) else { return true };
    let now = Timestamp::now();
    if request.trigger == Trigger::Schedule {
        let late = Duration::try_from(now.duration_since(request.due_at)).unwrap_or_default();
        metrics::histogram!("stakeout_schedule_lateness_seconds").record(late.as_secs_f64());
    }
    let slot = Slot { watch_id: *watch_id, due_at: request.due_at, trigger: request.trigger, now };
    let span = info_span!("run", watch = %name);
    let running = AssertUnwindSafe(runner.run(roster, watch, &slot)).catch_unwind();
    match running.instrument(span).await {
        Ok(Ok(report)) => {
            if report.deliveries > 0 {
                told();
            }
            log(&report, runner.is_other_outcome(*watch_id, report.outcome));
            true
        }
        Ok(Err(_)) if runner.is_refused_everything() => false,
        Ok(Err(error)) => {
            error!(watch.name = %name, error = format!("{error:#}"), "A run of watch `{name}` could not be stored");
            false
        }
        Err(_) => {
            error!(watch.name = %name, "A run of watch `{name}` broke; the watch goes on");
            let stored = runner.commit_broken(roster, watch, &slot).await;
            match &stored {
                Ok(report) if report.deliveries > 0 => told(),
                Ok(_) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    error!(watch.name = %name, error, "The broken run could not be stored");
                }
            }
            stored.is_ok()
        }
    }
}

async fn repair(runner: &Runner, roster: &Roster, request: &RunRequest) {
    let name = &request.watch;
    let Some((watch_id, watch)) = roster.watches.get(name) else { return };
    let now = Timestamp::now();
    let slot = Slot { watch_id: *watch_id, due_at: request.due_at, trigger: request.trigger, now };
    let span = info_span!("repair", watch = %name);
    let repairing = AssertUnwindSafe(runner.repair(roster, watch, &slot)).catch_unwind();
    let stored = match repairing.instrument(span).await {
        Ok(Ok(repair)) => {
            if let Some(repair) = repair {
                log_repair(name, &repair);
            }
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            error!(watch.name = %name, "A repair of watch `{name}` broke; the watch goes on");
            runner.commit_broken_repair(&Slot { now: Timestamp::now(), ..slot }).await
        }
    };
    if let Err(error) = stored {
        error!(watch.name = %name, error = format!("{error:#}"), "A repair of watch `{name}` could not be stored");
    }
}

fn log_repair(name: &str, repair: &Repair) {
    let (since, why) = (repair.first_due_at, repair.why.as_deref().unwrap_or_default());
    match repair.outcome {
        SlotOutcome::Repaired => {
            info!(watch.name = %name, why, "The gap of watch `{name}` since {since:.0} is filled");
        }
        SlotOutcome::Failed => {
            warn!(watch.name = %name, error = %why, "The gap of watch `{name}` since {since:.0} stays");
        }
        _ => debug!(watch.name = %name, why, "The gap of watch `{name}` is not filled yet"),
    }
}

/// Says what came of a run; of one that is in vain like the one before only to whoever wants to know everything.
fn log(report: &Report, is_other: bool) {
    let name = &report.watch;
    let why = report.error.as_deref().unwrap_or_default();
    match report.outcome {
        Outcome::Ok if !report.alerts.is_empty() => {
            info!(watch.name = %name, alerts = report.alerts.len(), "Watch `{name}` has news");
        }
        Outcome::Ok => {
            debug!(watch.name = %name, observations = report.observations.len(), "Watch `{name}` ran");
        }
        Outcome::Unchanged => {}
        Outcome::Failed if is_other => warn!(watch.name = %name, error = %why, "Watch `{name}` failed"),
        Outcome::Failed => debug!(watch.name = %name, error = %why, "Watch `{name}` failed again"),
        Outcome::Blocked if is_other => warn!(watch.name = %name, error = %why, "Watch `{name}` is blocked"),
        Outcome::Blocked => debug!(watch.name = %name, error = %why, "Watch `{name}` is still blocked"),
    }
}
