//! Reads what is due from the store and asks for its runs; and the housekeeping jobs, for which alone
//! the cron scheduler library serves.

mod audit;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::model::{Period, RunEnd, RunRequest, Trigger};
use crate::pulse::Beat;
use crate::store::{Note, Retention, Store};
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

/// It comes by at least so often, also when the database is slow to read.
pub const PULSE: Duration = Duration::from_secs(45);

/// A run that could not be stored is tried again at the watch's next slot, but not sooner than the first and
/// not later than the second; at once when the database writes again.
const REFUSED_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Asks for every run that is due, until it is stopped. A watch is not asked for again before its run
/// has finished; a slot that passed meanwhile is not made up for. `wall` is the clock on the wall, which
/// may be set.
pub async fn serve(
    store: Store,
    mut roster: watch::Receiver<Arc<Roster>>,
    requests: mpsc::Sender<RunRequest>,
    mut finished: mpsc::UnboundedReceiver<RunEnd>,
    beat: Beat,
    wall: impl Fn() -> Timestamp + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let mut began = wall();
    let mut clocks = Clocks { wall: began, steady: Instant::now() };
    let mut set_back = SignedDuration::ZERO;
    let mut trouble = store.trouble();
    // By name, with their rows.
    let mut in_flight: HashMap<String, i64> = HashMap::new();
    let mut put_off: HashMap<String, Timestamp> = HashMap::new();
    let mut ready: VecDeque<(String, Timestamp)> = VecDeque::new();
    let mut look_at = began;
    loop {
        beat.again_within(PULSE);
        let now = wall();
        let back = clocks.set_back(now, Instant::now());
        if !back.is_zero() {
            set_back = set_back.saturating_add(back);
            (began, look_at) = (now, now);
            ready.clear();
            put_off.clear();
        }
        if !set_back.is_zero() {
            let roster = Arc::clone(&roster.borrow());
            match pull(&store, &roster, set_back, now).await {
                Ok(()) => set_back = SignedDuration::ZERO,
                Err(error) => {
                    warn!(%error, "What was due before the clock was set back waits for the database")
                }
            }
        }
        if ready.is_empty() && now >= look_at && in_flight.len() < MOST_IN_FLIGHT {
            put_off.retain(|_, until| *until > now);
            match look(&store, &in_flight, &put_off, now).await {
                Ok((due, next)) => {
                    // Another program may have put a watch there that this one has not read yet.
                    let known = Arc::clone(&roster.borrow());
                    // One that is under way under a former name is not asked for again.
                    let busy: HashSet<i64> = in_flight.values().copied().collect();
                    let is_free = |(watch, _): &(String, Timestamp)| {
                        known.watches.get(watch).is_some_and(|(id, _)| !busy.contains(id))
                    };
                    ready.extend(due.into_iter().filter(is_free));
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
            let id = roster.borrow().watches.get(&watch).map_or(0, |(id, _)| *id);
            in_flight.insert(watch.clone(), id);
            if requests.send(RunRequest { watch, due_at, trigger }).await.is_err() {
                return;
            }
        }
        let wait = Duration::try_from(look_at.duration_since(wall())).unwrap_or_default();
        let nap = if ready.is_empty() { wait.clamp(SHORTEST_NAP, LONGEST_NAP) } else { LONGEST_NAP };
        tokio::select! {
            () = stop.cancelled() => return,
            done = finished.recv() => {
                let Some(done) = done else { return };
                let now = wall();
                // It may be due again already.
                look_at = look_at.min(now.checked_add(SHORTEST_NAP).unwrap_or(look_at));
                let mut done = Some(done);
                while let Some(RunEnd { watch, stored }) = done {
                    in_flight.remove(&watch);
                    if !stored {
                        let until = refused_until(&roster.borrow(), &watch, now);
                        put_off.insert(watch, until);
                    }
                    done = finished.try_recv().ok();
                }
            }
            changed = roster.changed() => {
                if changed.is_err() {
                    return;
                }
                ready.clear();
                look_at = wall();
            }
            Ok(()) = trouble.changed() => if trouble.borrow_and_update().is_none() {
                put_off.clear();
                look_at = wall();
            },
            () = tokio::time::sleep(nap) => {}
        }
    }
}

/// What is due and not under way or put off, and when to look again.
async fn look(
    store: &Store,
    in_flight: &HashMap<String, i64>,
    put_off: &HashMap<String, Timestamp>,
    now: Timestamp,
) -> Result<(Vec<(String, Timestamp)>, Timestamp), sqlx::Error> {
    let limit = BATCH.saturating_add(in_flight.len()).saturating_add(put_off.len());
    let mut due = store.due_watches(now, limit).await?;
    due.retain(|(watch, _)| !in_flight.contains_key(watch) && !put_off.contains_key(watch));
    let soon = now.checked_add(SHORTEST_NAP).unwrap_or(now);
    let latest = now.checked_add(LONGEST_NAP).unwrap_or(now);
    let next = store.next_due_after(now).await?.into_iter().chain(put_off.values().copied()).min();
    Ok((due, next.map_or(latest, |next| next.clamp(soon, latest))))
}

fn refused_until(roster: &Roster, watch: &str, now: Timestamp) -> Timestamp {
    let (shortest, longest) = REFUSED_WAIT;
    let [soon, late] = [shortest, longest].map(|wait| now.checked_add(wait).unwrap_or(now));
    let next = roster.watches.get(watch).and_then(|(_, watch)| watch.timetable.next_after(now));
    next.unwrap_or(late).clamp(soon, late)
}

/// The clock on the wall beside the one that only goes forward.
struct Clocks {
    wall: Timestamp,
    steady: Instant,
}

impl Clocks {
    /// A clock that is a little wrong is set right all the time, and nobody need hear of it.
    const TOLERATED: SignedDuration = SignedDuration::from_secs(30);

    /// By how much the clock on the wall was set back since the last look; nothing as a rule.
    fn set_back(&mut self, wall: Timestamp, steady: Instant) -> SignedDuration {
        let passed = SignedDuration::try_from(steady.saturating_duration_since(self.steady));
        let jump = wall.duration_since(self.wall).saturating_sub(passed.unwrap_or_default());
        *self = Self { wall, steady };
        if jump > Self::TOLERATED {
            // What came due meanwhile is due now, as after any sleep.
            let jump = Period(jump.unsigned_abs());
            info!("The clock went forward by {jump}, or the machine slept");
        }
        if jump < -Self::TOLERATED { jump.abs() } else { SignedDuration::ZERO }
    }
}

/// After the clock was set back: what was due in the time that comes again is due at its next slot.
async fn pull(store: &Store, roster: &Roster, by: SignedDuration, now: Timestamp) -> anyhow::Result<()> {
    let next =
        |(id, watch): &(i64, Arc<crate::watchlist::Watch>)| Some((*id, watch.timetable.next_after(now)?));
    let due = roster.watches.values().filter_map(next).collect();
    // What is not told to the second need not be.
    let tens = by.as_secs().unsigned_abs().saturating_add(5) / 10;
    let by_words = Period::from_secs(tens.saturating_mul(10));
    warn!("The clock was set back by {by_words}: every watch goes on at its next slot");
    let note = Note {
        title: format!("The clock was set back by {by_words}"),
        body: "Every watch goes on at its next slot by the new time. Times in messages from before may lie \
               ahead of it."
            .into(),
        urgent: false,
        held_until: roster.watchlist.quiet_until(now),
    };
    let everyone = roster.watchlist.notifiers.keys().cloned().collect();
    Ok(store.clock_was_set_back(by, due, roster.quiet_ends(now), (note, everyone), now).await?)
}

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::config::File;
    use crate::http::{Http, Settings};
    use crate::pulse::{Pulse, Remedy};
    use crate::store::WatchSpec;
    use crate::testing::at;
    use crate::watchlist::Watchlist;

    #[test]
    fn only_a_clock_that_is_set_back_by_much_is_noticed() {
        let (wall, steady) = (at("2026-11-21T12:00:00Z"), Instant::now());
        for (passed, shown, back) in [
            (5, "2026-11-21T12:00:05Z", 0),
            (5, "2026-11-21T11:59:50Z", 0),
            (5, "2026-11-21T13:00:05Z", 0),
            (5, "2026-11-21T11:00:05Z", 3_600),
            (5, "2025-11-21T12:00:05Z", 365 * 86_400),
        ] {
            let mut clocks = Clocks { wall, steady };
            let now = steady + Duration::from_secs(passed);
            assert_eq!(clocks.set_back(at(shown), now), SignedDuration::from_secs(back), "{shown}");
            assert_eq!(clocks.set_back(at(shown), now), SignedDuration::ZERO, "once");
        }
    }

    /// A scheduler of one hourly watch, by a clock that the test sets. Every run is over at once.
    struct Stage {
        store: Store,
        offset_secs: Arc<AtomicI64>,
        asked: mpsc::Receiver<RunRequest>,
        finished: mpsc::UnboundedSender<RunEnd>,
        _folder: tempfile::TempDir,
        _roster: watch::Sender<Arc<Roster>>,
    }

    impl Stage {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).await.unwrap();
            let text = "[watch.w]\nevery = \"1h\"\nsource = { kind = \"page\", url = \"http://a.example/\" }\n\
                        [notify.hook]\nkind = \"console\"\n";
            let file = File { path: "c.toml".into(), text: text.into() };
            let watchlist =
                Watchlist::build(&[file], &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            let spec = WatchSpec {
                name: "w".into(),
                was: None,
                spec: "{}".into(),
                spec_hash: 1,
                enabled: true,
                first_due_at: Some(Timestamp::now()),
                next_due_at: None,
            };
            let synced = store.synchronise(vec![spec], Timestamp::now(), |_| Vec::new()).await.unwrap();
            let http = Http::new(Settings::default()).unwrap();
            let (roster, list) = watch::channel(Arc::new(Roster::new(watchlist, http, &synced.ids)));
            let (requests, asked) = mpsc::channel(9);
            let (finished, done) = mpsc::unbounded_channel();
            let offset_secs = Arc::new(AtomicI64::new(0));
            let offset = Arc::clone(&offset_secs);
            let wall = move || Timestamp::now() + SignedDuration::from_secs(offset.load(Ordering::Relaxed));
            let beat = Pulse::default().part("the scheduler", Remedy::Restart, PULSE);
            let stop = CancellationToken::new();
            tokio::spawn(serve(store.clone(), list, requests, done, beat, wall, stop));
            Self { store, offset_secs, asked, finished, _folder: folder, _roster: roster }
        }

        async fn is_asked(&mut self) -> RunRequest {
            let asking = tokio::time::timeout(Duration::from_secs(10), self.asked.recv());
            asking.await.expect("a run is asked for").unwrap()
        }

        fn end(&self, stored: bool) {
            self.finished.send(RunEnd { watch: "w".into(), stored }).unwrap();
        }

        async fn is_due(&self) -> Timestamp {
            let due = self.store.due_watches(at("2099-01-01T00:00:00Z"), 9).await.unwrap();
            due.first().unwrap().1
        }
    }

    #[tokio::test]
    async fn after_the_clock_was_set_back_a_watch_is_due_at_its_next_slot_and_that_is_told_once() {
        let mut stage = Stage::start().await;
        stage.is_asked().await;
        // It was a day ahead; the watch is due tomorrow.
        stage.offset_secs.store(-86_400, Ordering::Relaxed);
        stage.end(true);
        let waited = async {
            while stage.store.delivery_counts().await.unwrap().0 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waited).await.expect("it is told");
        let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
        assert!(
            stage.is_due().await <= yesterday + SignedDuration::from_hours(1),
            "{}",
            stage.is_due().await
        );
        stage.end(true);
        let claimed = stage.store.claim_oldest("hook", Timestamp::now()).await;
        assert_eq!(claimed.unwrap().title, "The clock was set back by 1 d");
        assert_eq!(stage.store.delivery_counts().await.unwrap().0, 1, "once");
    }

    #[tokio::test]
    async fn a_run_that_could_not_be_stored_comes_again_when_the_database_writes_again() {
        let mut stage = Stage::start().await;
        let first = stage.is_asked().await;
        // Something is refused for a reason that concerns every write.
        stage.store.limit_size(Some(4_096)).await.unwrap();
        stage.store.check_writing(true, Timestamp::now()).await.unwrap_err();
        stage.end(false);
        let soon = tokio::time::timeout(Duration::from_millis(300), stage.asked.recv()).await;
        assert!(soon.is_err(), "an hourly watch is not asked for every moment: {soon:?}");
        stage.store.trouble_is_over();
        assert_eq!(stage.is_asked().await.due_at, first.due_at, "the same slot");
    }
}
