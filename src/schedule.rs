//! Reads what is due from the store and asks for its runs.

mod audit;
mod clock;
mod housekeeping;
mod under_way;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::model::{RunEnd, RunRequest, Trigger};
use crate::pulse::{Pulse, Remedy};
use crate::store::Store;
use crate::watchlist::Roster;

use clock::{Clocks, pull};

pub use audit::{audit, look_for_gaps};
pub use housekeeping::Housekeeping;
pub use under_way::UnderWay;

/// How many runs may be asked for and not yet finished.
pub const MOST_IN_FLIGHT: usize = 1_024;

/// How many due watches are read at once.
const BATCH: usize = 4_096;

/// Reads of what is due are at least so far apart: many that come due together are one read.
const SHORTEST_NAP: Duration = Duration::from_millis(2);

/// Timers do not run while a machine is suspended, so none is set further ahead.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// It comes by at least so often, also when the database is slow to read.
const PULSE: Duration = Duration::from_secs(45);

/// A run that could not be stored is tried again at the watch's next slot, but not sooner than the first and
/// not later than the second; at once when the database writes again.
const REFUSED_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Asks for every run that is due, until it is stopped. A watch is not asked for again before its run
/// has finished, also one that a person asked for; a slot that passed meanwhile is not made up for. `wall` is
/// the clock on the wall, which may be set.
pub async fn serve(
    store: Store,
    mut roster: watch::Receiver<Arc<Roster>>,
    requests: mpsc::Sender<RunRequest>,
    (mut finished, under_way): (mpsc::UnboundedReceiver<RunEnd>, UnderWay),
    pulse: Pulse,
    wall: impl Fn() -> Timestamp + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let moves = pulse.part("the scheduler", Remedy::Restart, PULSE);
    let reads = pulse.part("reading what is due", Remedy::Person, PULSE);
    let mut is_blind = false;
    let mut began = wall();
    let mut clocks = Clocks::new(began);
    let mut set_back = SignedDuration::ZERO;
    let mut trouble = store.trouble();
    let mut put_off: HashMap<String, Timestamp> = HashMap::new();
    let mut ready: VecDeque<(String, Timestamp)> = VecDeque::new();
    let mut read_at = Instant::now();
    let mut look_at = began;
    loop {
        moves.again_within(PULSE);
        if !is_blind {
            reads.again_within(PULSE);
        }
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
        // Somebody may have paused one of them since.
        if !ready.is_empty() && under_way.count() < MOST_IN_FLIGHT && read_at.elapsed() >= LONGEST_NAP {
            ready.clear();
            look_at = now;
        }
        if ready.is_empty() && now >= look_at && under_way.count() < MOST_IN_FLIGHT {
            put_off.retain(|_, until| *until > now);
            match look(&store, &under_way, &put_off, now).await {
                Ok((due, next)) => {
                    if std::mem::take(&mut is_blind) {
                        info!("The scheduler reads the database again");
                    }
                    // Another program may have put a watch there that this one has not read yet.
                    let known = Arc::clone(&roster.borrow());
                    ready.extend(due.into_iter().filter(|(watch, _)| known.watches.contains_key(watch)));
                    (look_at, read_at) = (next, Instant::now());
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_blind, true) {
                        error!(%error, "The scheduler cannot read the database: no watch runs until it can");
                    }
                    look_at = now.checked_add(Duration::from_secs(1)).unwrap_or(now);
                }
            }
        }
        while under_way.count() < MOST_IN_FLIGHT
            && let Some((watch, due_at)) = ready.pop_front()
        {
            let trigger = if due_at < began { Trigger::CatchUp } else { Trigger::Schedule };
            let id = roster.borrow().watches.get(&watch).map_or(0, |(id, _)| *id);
            if !under_way.begin(&watch, id, trigger) {
                continue;
            }
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
                    under_way.end(&watch);
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
    under_way: &UnderWay,
    put_off: &HashMap<String, Timestamp>,
    now: Timestamp,
) -> Result<(Vec<(String, Timestamp)>, Timestamp), sqlx::Error> {
    let limit = BATCH.saturating_add(under_way.count()).saturating_add(put_off.len());
    let mut due = store.due_watches(now, limit).await?;
    due.retain(|(watch, _)| !under_way.has(watch) && !put_off.contains_key(watch));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::config::File;
    use crate::http::{Http, Settings};
    use crate::store::WatchSpec;
    use crate::testing::at;
    use crate::watchlist::Watchlist;

    /// A scheduler of one hourly watch, by a clock that the test sets. Every run is over at once.
    struct Stage {
        store: Store,
        pulse: Pulse,
        offset_secs: Arc<AtomicI64>,
        asked: mpsc::Receiver<RunRequest>,
        finished: mpsc::UnboundedSender<RunEnd>,
        folder: tempfile::TempDir,
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
                toml: None,
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
            let stop = CancellationToken::new();
            let pulse = Pulse::default();
            let done = (done, UnderWay::default());
            tokio::spawn(serve(store.clone(), list, requests, done, pulse.clone(), wall, stop));
            Self { store, pulse, offset_secs, asked, finished, folder, _roster: roster }
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
    async fn a_scheduler_that_cannot_read_what_is_due_moves_but_does_not_pass_for_well() {
        let mut stage = Stage::start().await;
        stage.is_asked().await;
        stage.end(true);
        let path = Store::path_in(stage.folder.path());
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        sqlx::query("alter table due rename to away").execute(&mut connection).await.unwrap();
        let lately = PULSE - Duration::from_secs(2);
        let still = async {
            loop {
                let still = stage.pulse.standing_still(Instant::now() + lately);
                if let [only] = still.as_slice() {
                    return only.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let still = tokio::time::timeout(Duration::from_secs(30), still).await.expect("it shows");
        assert_eq!((still.part.as_str(), still.remedy), ("reading what is due", Remedy::Person));
        sqlx::query("alter table away rename to due").execute(&mut connection).await.unwrap();
        let well = async {
            while !stage.pulse.standing_still(Instant::now() + lately).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), well).await.expect("it is well again");
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
