//! Builds every part, starts it, swaps the watchlist on reload, stops in reverse order.

mod control;
mod files;
mod keeper;
mod lock;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::alarm;
use crate::chores;
use crate::config::Web;
use crate::heartbeat::{self, Moment, tell_systemd};
use crate::http::Http;
use crate::model::{RunEnd, RunRequest, Trigger};
use crate::outbox::{self, Bell};
use crate::pulse::Pulse;
use crate::run::{self, Repair, Report, Runner, Slot};
use crate::schedule::{self, UnderWay};
use crate::store::Store;
use crate::watchlist::{Roster, Watchlist};
use crate::web;

use files::WatchedFiles;
use keeper::Keeper;
use lock::Lock;

pub use keeper::{synchronise, synchronise_one};
pub use lock::{Running, running};

/// How long what is under way gets to finish: less than the ten seconds after which Docker kills. What is being sent
/// would be sent again.
const DEADLINE: Duration = Duration::from_secs(9);

/// How long sending may go on where it is all that is done.
const DRAIN: Duration = Duration::from_secs(25);

/// Editors save in several steps; a reload waits until the file has been still for so long.
const SETTLE: Duration = Duration::from_millis(200);

/// What never is still is read all the same.
const LONGEST_SETTLING: Duration = Duration::from_secs(2);

/// A daemon that has started.
pub struct Daemon {
    store: Store,
    runner: Arc<Runner>,
    keeper: Arc<Keeper>,
    roster: watch::Receiver<Arc<Roster>>,
    bell: Bell,
    pulse: Pulse,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    housekeeping: Option<schedule::Housekeeping>,
    web: Option<SocketAddr>,
    _lock: Lock,
}

/// Whether watches run by their schedule, or only when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By their schedule.
    Running,
    /// Only when asked; for tests, which say themselves what time it is.
    Stopped,
    /// Neither watches run nor messages go out but when asked, at the time that the test says.
    Simulated,
}

/// How closely the daemon watches itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vigilance {
    /// Over the database.
    pub alarm: alarm::Timings,
    /// How often `heartbeat_url` is asked.
    pub heartbeat: Duration,
}

impl Default for Vigilance {
    fn default() -> Self {
        Self { alarm: alarm::Timings::default(), heartbeat: heartbeat::EVERY }
    }
}

/// Runs the daemon on a configuration file until `shutdown` ends. Once it has started, `told` hears where its web
/// server listens.
///
/// # Errors
/// When it cannot start. Once it runs, troubles are logged and told, and it goes on.
pub async fn run(
    watchlist: Watchlist,
    config: Option<PathBuf>,
    told: impl FnOnce(Option<SocketAddr>),
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // Before the start, so that a change or a SIGHUP in the middle of it is not lost.
    let changed = Arc::new(Notify::new());
    let mut watched = config.as_deref().and_then(|path| WatchedFiles::of(path, &changed));
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::pin!(shutdown);
    let daemon = tokio::select! {
        // A large database is brought up to date in one transaction, or comes to that the next time.
        () = &mut shutdown => return Ok(()),
        started = Daemon::start(watchlist, Clock::Running) => started?,
    };
    told(daemon.web());
    tell_systemd(Moment::Ready);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = changed.notified() => tokio::select! {
                () = &mut shutdown => break,
                () = settled(&changed) => {}
            },
            _ = hangup.recv() => info!("SIGHUP: reading the configuration again"),
        }
        if let Some(path) = &config {
            tell_systemd(Moment::Reloading);
            daemon.reload(path).await;
            if let Some(watched) = &mut watched {
                watched.renew(path);
            }
            tell_systemd(Moment::Ready);
        }
    }
    tell_systemd(Moment::Stopping);
    info!("Stopping: runs and deliveries under way are finished first");
    daemon.stop().await;
    info!("Stopped");
    Ok(())
}

async fn settled(changed: &Notify) {
    let still = async { while timeout(SETTLE, changed.notified()).await.is_ok() {} };
    timeout(LONGEST_SETTLING, still).await.ok();
}

impl Daemon {
    /// Starts every part.
    ///
    /// # Errors
    /// When the data directory is in use or cannot be used, or the web address is taken.
    pub async fn start(watchlist: Watchlist, clock: Clock) -> anyhow::Result<Self> {
        Self::start_watched(watchlist, clock, Vigilance::default()).await
    }

    /// Starts every part, watched over as closely as is said.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub async fn start_watched(
        watchlist: Watchlist,
        clock: Clock,
        vigilance: Vigilance,
    ) -> anyhow::Result<Self> {
        web::collect_figures();
        let data_dir = watchlist.daemon.data_dir.clone();
        // Before the tables are brought up to date, which another daemon may be using.
        let mut lock = Lock::take(&data_dir)?;
        let store = Store::open(&data_dir).await?;
        let http = Http::new(watchlist.http.clone()).map_err(anyhow::Error::msg)?;
        store.release_deliveries().await?;
        store.release_deliveries_of_the_future(Timestamp::now()).await?;
        let watchlist = keeper::join(&store, watchlist).await?;
        let synced = synchronise(&store, &watchlist).await?;
        store.limit_size(watchlist.daemon.max_database.map(|size| size.0 as u64)).await?;
        http.restore(store.host_standings().await?);
        let runner = Arc::new(Runner::new(store.clone()).await?);
        let watches = watchlist.watches.len();
        let listening = listen(watchlist.web.as_ref()).await?;
        lock.say_where(listening.as_ref().map(|listening| listening.address))?;
        let web = watchlist.web.clone().unwrap_or_default();
        let roster = Arc::new(Roster::new(watchlist, http, &synced.ids));
        runner.reloaded(&roster, Timestamp::now()).await?;
        keeper::hold_anew(&store, &roster).await?;
        let (roster, list) = watch::channel(roster);
        let (bell, under_way) = (Bell::default(), UnderWay::default());
        let (requests, asked) = mpsc::channel(schedule::MOST_IN_FLIGHT);
        let keeper = Keeper::new(
            (store.clone(), Arc::clone(&runner)),
            (roster, requests.clone()),
            bell.clone(),
            under_way.clone(),
        );
        let mut daemon = Self {
            store,
            runner,
            keeper: Arc::new(keeper),
            roster: list.clone(),
            bell,
            pulse: Pulse::default(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            housekeeping: None,
            web: None,
            _lock: lock,
        };
        if clock != Clock::Simulated {
            daemon.tasks.spawn(outbox::serve(
                daemon.store.clone(),
                list.clone(),
                daemon.bell.clone(),
                daemon.pulse.clone(),
                daemon.stop.clone(),
            ));
        }
        daemon.watch_over(&list, vigilance);
        daemon.tasks.spawn(web::keep_figures_small(daemon.stop.clone()));
        let finished = daemon.take_requests(asked);
        if clock == Clock::Running {
            daemon.start_clock(&list, requests, (finished, under_way)).await?;
        } else {
            daemon.tasks.spawn(forget_runs(finished, under_way));
        }
        if let Some(listening) = listening {
            let address = listening.address;
            let shared = web::Shared::new(
                (daemon.store.clone(), daemon.pulse.clone()),
                list.clone(),
                daemon.control(),
                address,
                (web.token, web.public_url),
            );
            daemon.tasks.spawn(listening.serve(shared, daemon.stop.clone()));
            daemon.web = Some(address);
            info!("The dashboard is at http://{address}/");
        }
        info!(
            watches,
            "Stakeout is watching ({} new, {} changed, {} gone)",
            synced.added,
            synced.changed,
            synced.removed
        );
        Ok(daemon)
    }

    /// What the daemon does about itself.
    fn watch_over(&mut self, list: &watch::Receiver<Arc<Roster>>, vigilance: Vigilance) {
        let (pulse, stop) = (self.pulse.clone(), self.stop.clone());
        let bell = self.bell.clone();
        self.tasks.spawn(alarm::serve(
            self.store.clone(),
            list.clone(),
            pulse.clone(),
            vigilance.alarm,
            move || bell.ring(),
            stop.clone(),
        ));
        self.tasks.spawn(heartbeat::feed_watchdog(pulse.clone(), stop.clone()));
        self.tasks.spawn(heartbeat::serve(pulse, list.clone(), vigilance.heartbeat, stop));
    }

    /// Runs what is asked for, by the schedule or by a person; what has ended comes out.
    fn take_requests(&mut self, asked: mpsc::Receiver<RunRequest>) -> mpsc::UnboundedReceiver<RunEnd> {
        let (finished, done) = mpsc::unbounded_channel();
        let bell = self.bell.clone();
        self.tasks.spawn(run::serve(
            Arc::clone(&self.runner),
            self.roster.clone(),
            asked,
            finished,
            move || bell.ring(),
            self.stop.clone(),
        ));
        done
    }

    async fn start_clock(
        &mut self,
        list: &watch::Receiver<Arc<Roster>>,
        requests: mpsc::Sender<RunRequest>,
        done: (mpsc::UnboundedReceiver<RunEnd>, UnderWay),
    ) -> anyhow::Result<()> {
        self.tasks.spawn(Arc::clone(&self.keeper).serve(self.stop.clone()));
        self.tasks.spawn(schedule::audit(
            self.store.clone(),
            list.clone(),
            requests.clone(),
            self.stop.clone(),
        ));
        self.tasks.spawn(schedule::serve(
            self.store.clone(),
            list.clone(),
            requests,
            done,
            self.pulse.clone(),
            Timestamp::now,
            self.stop.clone(),
        ));
        let bell = self.bell.clone();
        self.tasks.spawn(chores::serve(
            self.store.clone(),
            list.clone(),
            move || bell.ring(),
            self.stop.clone(),
        ));
        self.housekeeping = Some(schedule::Housekeeping::start(self.store.clone(), list.clone()).await?);
        Ok(())
    }

    /// Runs one watch now, as if it were `now`.
    ///
    /// # Errors
    /// When there is no such watch, or the database refuses.
    pub async fn tick(&self, name: &str, now: Timestamp) -> anyhow::Result<Report> {
        self.run_one(name, now, Trigger::Manual, now).await
    }

    /// Runs one slot of a watch, as if it were `now`; the slot may be long past.
    ///
    /// # Errors
    /// When there is no such watch, or the database refuses.
    pub async fn slot(&self, name: &str, due_at: Timestamp, now: Timestamp) -> anyhow::Result<Report> {
        self.run_one(name, due_at, Trigger::Schedule, now).await
    }

    /// Sends what is due at `now`, as if it were then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn deliver(&self, now: Timestamp) -> anyhow::Result<()> {
        let roster = Arc::clone(&self.roster.borrow());
        outbox::drain(&self.store, &roster, DRAIN, || now).await
    }

    async fn run_one(
        &self,
        name: &str,
        due_at: Timestamp,
        trigger: Trigger,
        now: Timestamp,
    ) -> anyhow::Result<Report> {
        let roster = Arc::clone(&self.roster.borrow());
        let Some((watch_id, watch)) = roster.watches.get(name) else { bail!("there is no watch `{name}`") };
        let slot = Slot { watch_id: *watch_id, due_at, trigger, now };
        let report = self.runner.run(&roster, watch, &slot).await?;
        self.bell.ring();
        Ok(report)
    }

    /// Tries to fill every gap whose time for it has come, as if it were `now`. Answers how each stands.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit(&self, now: Timestamp) -> anyhow::Result<Vec<Repair>> {
        let roster = Arc::clone(&self.roster.borrow());
        schedule::look_for_gaps(&self.store, &roster, now).await?;
        let mut repairs = Vec::new();
        loop {
            let mut settled = 0;
            for (name, due_at) in self.store.gaps_due(now, usize::MAX).await? {
                let Some((watch_id, watch)) = roster.watches.get(&name) else { continue };
                let slot = Slot { watch_id: *watch_id, due_at, trigger: Trigger::Repair, now };
                let repair = self.runner.repair(&roster, watch, &slot).await?;
                settled += usize::from(repair.is_some());
                repairs.extend(repair);
            }
            if settled == 0 {
                return Ok(repairs);
            }
        }
    }

    /// Reads the configuration again: a good one takes the place of the old, a bad one changes nothing
    /// and says why. Answers whether it was good.
    pub async fn reload(&self, path: &Path) -> bool {
        self.keeper.reload(path).await
    }

    /// What a person may have it do.
    #[must_use]
    pub fn control(&self) -> Arc<dyn web::Control> {
        Arc::clone(&self.keeper) as Arc<dyn web::Control>
    }

    /// The database, for looking.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Where the web server listens.
    #[must_use]
    pub const fn web(&self) -> Option<SocketAddr> {
        self.web
    }

    /// No new runs; those under way, and deliveries, are finished or abandoned whole at the deadline.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(housekeeping) = self.housekeeping.take() {
            housekeeping.stop().await;
        }
        let tasks = &mut self.tasks;
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(DEADLINE, all).await.is_err() {
            warn!(
                "Some runs or deliveries took too long and were abandoned; they come again after the start"
            );
            self.tasks.abort_all();
        }
        // Those that a redirect led to were written down by no run.
        let standings = self.roster.borrow().http.standings();
        if let Err(error) = self.store.note_hosts(standings).await {
            warn!(%error, "Which hosts are left alone could not be written down");
        }
        self.store.close().await;
    }
}

/// Listens where `[web]` says. Nobody may have asked for a web server: then one that cannot listen is no reason
/// not to start.
async fn listen(web: Option<&Web>) -> anyhow::Result<Option<web::Listening>> {
    let (is_asked_for, web) = (web.is_some(), web.cloned().unwrap_or_default());
    if !web.enabled {
        return Ok(None);
    }
    let mut listening = web::listen(web.listen).await;
    let is_taken = |error: &std::io::Error| error.kind() == ErrorKind::AddrInUse;
    if web.or_another_port && listening.as_ref().is_err_and(is_taken) {
        listening = web::listen((web.listen.ip(), 0).into()).await;
    }
    match listening {
        Ok(listening) => Ok(Some(listening)),
        Err(error) if is_asked_for => Err(error).with_context(|| {
            format!("cannot listen on {}; say another `listen` in `[web]`, or `enabled = false`", web.listen)
        }),
        Err(error) => {
            warn!(
                %error,
                "There is no dashboard: cannot listen on {}. Say another `listen` in `[web]`, or `enabled = false`",
                web.listen
            );
            Ok(None)
        }
    }
}

/// Without a schedule nobody else takes note that runs have ended.
async fn forget_runs(mut finished: mpsc::UnboundedReceiver<RunEnd>, under_way: UnderWay) {
    while let Some(end) = finished.recv().await {
        under_way.end(&end.watch);
    }
}
