//! Builds every part, starts it, swaps the watchlist on reload, stops in reverse order.

mod control;

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::alarm;
use crate::chores;
use crate::config;
use crate::heartbeat::{self, Moment, tell_systemd};
use crate::http::Http;
use crate::model::Trigger;
use crate::outbox::{self, Bell};
use crate::pulse::Pulse;
use crate::run::{self, Closer, Repair, Report, Runner, Slot};
use crate::schedule;
use crate::store::{Store, Synced, WatchSpec};
use crate::watchlist::{Roster, Watchlist, first_due};
use crate::web;

/// How long runs and deliveries that are under way get to finish.
const DEADLINE: Duration = Duration::from_secs(25);

/// Editors save in several steps; a reload waits until the file has been still for so long.
const SETTLE: Duration = Duration::from_millis(200);

/// A daemon that has started.
pub struct Daemon {
    store: Store,
    runner: Arc<Runner>,
    roster: watch::Sender<Arc<Roster>>,
    bell: Bell,
    pulse: Pulse,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    housekeeping: Option<schedule::Housekeeping>,
    web: Option<SocketAddr>,
    _lock: File,
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

/// Runs the daemon on a configuration file until `shutdown` ends.
///
/// # Errors
/// When it cannot start. Once it runs, troubles are logged and told, and it goes on.
pub async fn run(
    watchlist: Watchlist,
    config: Option<PathBuf>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // Before the start, so that a change or a SIGHUP in the middle of it is not lost.
    let changed = Arc::new(Notify::new());
    let _watcher = config.as_deref().and_then(|path| watch_files(path, Arc::clone(&changed)));
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let daemon = Daemon::start(watchlist, Clock::Running).await?;
    tell_systemd(Moment::Ready);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = changed.notified() => while timeout(SETTLE, changed.notified()).await.is_ok() {},
            _ = hangup.recv() => info!("SIGHUP: reading the configuration again"),
        }
        if let Some(path) = &config {
            tell_systemd(Moment::Reloading);
            daemon.reload(path).await;
            tell_systemd(Moment::Ready);
        }
    }
    tell_systemd(Moment::Stopping);
    info!("Stopping: runs and deliveries under way are finished first");
    daemon.stop().await;
    info!("Stopped");
    Ok(())
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
        let lock = lock(&data_dir)?;
        let store = Store::open(&data_dir).await?;
        let http = Http::new(watchlist.http.clone()).map_err(anyhow::Error::msg)?;
        store.release_deliveries().await?;
        store.release_deliveries_of_the_future(Timestamp::now()).await?;
        let synced = synchronise(&store, &watchlist).await?;
        store.limit_size(watchlist.daemon.max_database.map(|size| size.0 as u64)).await?;
        http.restore(store.host_standings().await?);
        let runner = Arc::new(Runner::new(store.clone()).await?);
        let (watches, web) = (watchlist.watches.len(), watchlist.web.clone());
        let roster = Arc::new(Roster::new(watchlist, http, &synced.ids));
        runner.reloaded(&roster, Timestamp::now()).await?;
        hold_anew(&store, &roster).await?;
        let (roster, list) = watch::channel(roster);
        let mut daemon = Self {
            store,
            runner,
            roster,
            bell: Bell::default(),
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
        if clock == Clock::Running {
            daemon.start_clock(&list).await?;
        }
        if let Some(web) = web {
            let listening = web::listen(web.listen).await;
            let listening = listening.with_context(|| format!("cannot listen on {}", web.listen))?;
            let address = listening.address;
            let shared = web::Shared::new(
                (daemon.store.clone(), daemon.pulse.clone()),
                list.clone(),
                Arc::new(control::Hands),
                address,
                (web.token.clone(), web.public_url.clone()),
            );
            daemon.tasks.spawn(listening.serve(shared, daemon.stop.clone()));
            daemon.web = Some(address);
            info!("Web server on http://{address}");
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

    async fn start_clock(&mut self, list: &watch::Receiver<Arc<Roster>>) -> anyhow::Result<()> {
        let (requests, asked) = mpsc::channel(schedule::MOST_IN_FLIGHT);
        let (finished, done) = mpsc::unbounded_channel();
        let bell = self.bell.clone();
        self.tasks.spawn(run::serve(
            Arc::clone(&self.runner),
            list.clone(),
            asked,
            finished,
            move || bell.ring(),
            self.stop.clone(),
        ));
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
        outbox::drain(&self.store, &roster, DEADLINE, || now).await
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
        let watchlist = match Watchlist::load(path) {
            Ok(watchlist) => watchlist,
            Err(mistakes) => {
                error!(
                    "The configuration was not reloaded; the old one goes on. What is wrong with the new one:"
                );
                for mistake in mistakes.iter() {
                    error!("{mistake}");
                }
                return false;
            }
        };
        let watches = self.roster.borrow().watchlist.watches.len();
        if watchlist.watches.is_empty() && watches > 0 {
            // An editor, or a full disk, may have left an empty file for a moment.
            error!(
                "The configuration was not reloaded: it names no watch at all any more, and {watches} go on. \
                 Restart to have none, or set `enabled = false`"
            );
            return false;
        }
        match self.swap(watchlist).await {
            Ok(synced) => {
                let Synced { added, changed, renamed, removed, .. } = synced;
                info!(
                    "Reloaded the configuration: {added} new, {changed} changed, {renamed} renamed, {removed} gone"
                );
                true
            }
            Err(error) => {
                error!(
                    error = format!("{error:#}"),
                    "The configuration was not reloaded; the old one goes on"
                );
                false
            }
        }
    }

    async fn swap(&self, mut watchlist: Watchlist) -> anyhow::Result<Synced> {
        let old = Arc::clone(&self.roster.borrow());
        if watchlist.daemon.data_dir != old.watchlist.daemon.data_dir {
            warn!("`data_dir` changes only with a restart");
            watchlist.daemon.data_dir.clone_from(&old.watchlist.daemon.data_dir);
        }
        warn_of_restart(&old.watchlist, &watchlist);
        // The same settings keep their connections and the pace of each host; others, which hosts are left alone.
        let http = if watchlist.http == old.watchlist.http {
            old.http.clone()
        } else {
            let new = Http::new(watchlist.http.clone()).map_err(anyhow::Error::msg)?;
            new.take_over(&old.http, Timestamp::now());
            new
        };
        self.store.limit_size(watchlist.daemon.max_database.map(|size| size.0 as u64)).await?;
        self.runner.expect(u64::MAX);
        let synced = synchronise(&self.store, &watchlist).await;
        let synced = synced.inspect_err(|_| self.runner.expect(old.generation))?;
        for watch_id in synced.unsettled.iter().chain(&synced.reread) {
            self.runner.forget(*watch_id);
        }
        let roster = Arc::new(Roster::new(watchlist, http, &synced.ids));
        if let Err(error) = self.runner.reloaded(&roster, Timestamp::now()).await {
            warn!(error = format!("{error:#}"), "What was said of hosts that nobody asks could not be ended");
        }
        if let Err(error) = hold_anew(&self.store, &roster).await {
            warn!(error = format!("{error:#}"), "What is held keeps to the quiet hours of before");
        }
        self.roster.send_replace(roster);
        self.bell.ring();
        Ok(synced)
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

/// What a reload does not change.
fn warn_of_restart(old: &Watchlist, new: &Watchlist) {
    let web = |list: &Watchlist| {
        let web = list.web.as_ref()?;
        Some((web.listen, web.token.as_ref().map(|token| token.expose().to_owned())))
    };
    for (key, changed) in [
        ("[web]", web(old) != web(new)),
        ("log_level", old.daemon.log_level != new.daemon.log_level),
        ("log_format", old.daemon.log_format != new.daemon.log_format),
    ] {
        if changed {
            warn!("`{key}` changes only with a restart");
        }
    }
}

/// The clock or the quiet hours may be others than when it was written.
async fn hold_anew(store: &Store, roster: &Roster) -> anyhow::Result<()> {
    let now = Timestamp::now();
    Ok(store.hold_anew(roster.quiet_ends(now), now).await?)
}

/// Two daemons on one database would send the same deliveries.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create the data directory {}", data_dir.display()))?;
    let path = data_dir.join("stakeout.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        let folder = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        bail!(
            "another stakeout is running on the data directory {}; stop it first, or give this one another \
             `data_dir`",
            folder.display()
        );
    }
    Ok(file)
}

/// Makes the table of watches what the watchlist says, and buries deliveries that nobody will send.
///
/// # Errors
/// When the database refuses.
pub async fn synchronise(store: &Store, watchlist: &Watchlist) -> anyhow::Result<Synced> {
    let now = Timestamp::now();
    let specs = watchlist
        .watches
        .iter()
        .map(|watch| WatchSpec {
            name: watch.name.clone(),
            was: watch.was.clone(),
            spec: watch.spec.clone(),
            spec_hash: watch.spec_hash(),
            enabled: watch.enabled,
            first_due_at: first_due(watch, now, watchlist.watches.len()),
            next_due_at: watch.timetable.next_after(now),
        })
        .collect();
    let notifiers: Vec<String> = watchlist.notifiers.keys().cloned().collect();
    let closer = Closer::new(watchlist, now);
    let mut synced = store.synchronise(specs, now, move |affected| closer.close(affected)).await?;
    synced.reread.extend(store.reopen_final_answers(watchlist.asks_as()).await?);
    let buried = store.bury_deliveries_without(notifiers, Timestamp::MAX).await?;
    if buried > 0 {
        warn!(deliveries = buried, "Messages for notifiers that are no longer configured will not be sent");
    }
    Ok(synced)
}

/// Rings `changed` when a file of the configuration changes. Its folder is watched, not the file: an
/// editor that saves by renaming puts another file in its place. Folders below it are not, because the
/// database may lie in one.
fn watch_files(path: &Path, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_toml)) {
            changed.notify_one();
        }
    })
    .and_then(|mut watcher| {
        for folder in folders(path) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    started
        .map_err(
            |error| warn!(%error, "Changes of the configuration are not noticed; SIGHUP still reloads it"),
        )
        .ok()
}

/// The folders that the files of the configuration lie in.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let of = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    };
    let included = config::read(path).unwrap_or_default();
    included.iter().map(|file| of(&file.path)).chain([of(path)]).collect()
}
