//! Keeps the watchlist: whatever changes it, one change at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::http::Http;
use crate::model::RunRequest;
use crate::outbox::Bell;
use crate::run::{self, Closer, Runner};
use crate::schedule::UnderWay;
use crate::store::{Change, Note, Removes, Store, Synced, WatchSpec};
use crate::watchlist::{Roster, Watch, Watchlist, first_due};

/// How often it is looked whether the command line has added or removed a watch.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// After so many looks the slots are accounted for that have passed of watches that are paused.
const LOOKS_A_MINUTE: u32 = 30;

/// Keeps the watchlist.
pub(super) struct Keeper {
    pub(super) store: Store,
    runner: Arc<Runner>,
    pub(super) published: watch::Sender<Arc<Roster>>,
    bell: Bell,
    pub(super) under_way: UnderWay,
    pub(super) requests: mpsc::Sender<RunRequest>,
    /// Held by whoever changes something.
    pub(super) turn: Mutex<()>,
    /// Held while a watch is tried.
    pub(super) trying: Mutex<()>,
    /// What is wrong with the configuration that was read last.
    pub(super) not_taken_up: watch::Sender<Vec<String>>,
}

impl Keeper {
    pub(super) fn new(
        (store, runner): (Store, Arc<Runner>),
        (published, requests): (watch::Sender<Arc<Roster>>, mpsc::Sender<RunRequest>),
        bell: Bell,
        under_way: UnderWay,
    ) -> Self {
        let (turn, trying) = (Mutex::default(), Mutex::default());
        Self {
            store,
            runner,
            published,
            bell,
            under_way,
            requests,
            turn,
            trying,
            not_taken_up: watch::Sender::default(),
        }
    }

    /// The watchlist as it is at this moment.
    pub(super) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.published.borrow())
    }

    /// Notices what the command line changes, and accounts for pauses, until it is stopped.
    pub(super) async fn serve(self: Arc<Self>, stop: CancellationToken) {
        let mut known = self.store.last_change_of_watches().await.unwrap_or_default();
        // Something may have been changed before that was read.
        let mut is_new = self.is_behind().await;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in (0..LOOKS_A_MINUTE).cycle() {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // What cannot be read now is read later: the scheduler says that it cannot.
            if let Ok(newest) = self.store.last_change_of_watches().await
                && newest != known
            {
                (known, is_new) = (newest, true);
            }
            if std::mem::take(&mut is_new) {
                self.take_over_added().await;
            }
            self.resume_what_was_asked(Timestamp::now()).await;
            if look == 0 {
                self.account_for_pauses(Timestamp::now()).await;
            }
        }
    }

    /// Whether other watches are stored as added than those that are run.
    async fn is_behind(&self) -> bool {
        let Ok(stored) = self.store.added_watches().await else { return false };
        stored != self.roster().watchlist.stored
    }

    /// Ends the pauses that the command line was asked to end.
    async fn resume_what_was_asked(&self, now: Timestamp) {
        for watch_id in self.store.asked_to_resume().await.unwrap_or_default() {
            let _turn = self.turn.lock().await;
            let roster = self.roster();
            let Some((_, watch)) = roster.watches.values().find(|(id, _)| *id == watch_id) else { continue };
            let is_under_way = self.under_way.runs_a_slot_of(watch_id);
            let name = &watch.name;
            match run::resume(&self.store, (watch_id, watch), is_under_way, now).await {
                Ok(()) => info!(watch.name = %name, "Watch `{name}` is resumed"),
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(watch.name = %name, error, "Watch `{name}` is not resumed yet");
                }
            }
        }
    }

    async fn account_for_pauses(&self, now: Timestamp) {
        let is_under_way = |watch_id| self.under_way.runs_a_slot_of(watch_id);
        if let Err(error) = run::account_for_pauses(&self.store, &self.roster(), is_under_way, now).await {
            warn!(error = format!("{error:#}"), "The slots of paused watches are not accounted for yet");
        }
    }

    /// Runs what another program has added, and no longer what it has removed.
    pub(super) async fn take_over_added(&self) {
        let _turn = self.turn.lock().await;
        let roster = self.roster();
        let swapped = match aside(move || roster.watchlist.of_files_alone()).await {
            Ok(Ok(of_files)) => self.swap(of_files).await,
            Ok(Err(mistakes)) => Err(mistakes.into()),
            Err(error) => Err(error),
        };
        match swapped {
            Ok(Synced { removed, .. }) => {
                let watches = self.roster().watches.len();
                info!("Took over the watches that were added or removed: {watches} now, {removed} gone");
            }
            Err(error) => {
                error!(
                    error = format!("{error:#}"),
                    "Watches that were added or removed wait for the next reload"
                );
            }
        }
    }

    /// See [`super::Daemon::reload`].
    pub(super) async fn reload(&self, path: &Path) -> bool {
        let wrong = self.try_reload(path).await.err().unwrap_or_default();
        let is_taken = wrong.is_empty();
        if !is_taken {
            error!(
                "The configuration was not reloaded; the old one goes on. What is wrong with the new one:"
            );
            for line in &wrong {
                error!("{line}");
            }
        }
        self.not_taken_up.send_if_modified(|before| std::mem::replace(before, wrong.clone()) != wrong);
        is_taken
    }

    /// Answers why it was not taken up otherwise.
    async fn try_reload(&self, path: &Path) -> Result<(), Vec<String>> {
        let _turn = self.turn.lock().await;
        let path = path.to_owned();
        let watchlist = match aside(move || Watchlist::load(&path)).await {
            Ok(Ok(watchlist)) => watchlist,
            Err(error) => return Err(vec![format!("{error:#}")]),
            Ok(Err(mistakes)) => return Err(mistakes.iter().map(ToString::to_string).collect()),
        };
        let watches = self.roster().watchlist.of_files().count();
        if watchlist.watches.is_empty() && watches > 0 {
            // An editor, or a full disk, may have left an empty file for a moment.
            return Err(vec![format!(
                "it names no watch at all any more, and {watches} go on. Restart to have none, or set \
                 `enabled = false`"
            )]);
        }
        warn_of_restart(&self.roster().watchlist, &watchlist);
        match self.swap(watchlist).await {
            Ok(synced) => {
                let Synced { added, changed, renamed, removed, .. } = synced;
                info!(
                    "Reloaded the configuration: {added} new, {changed} changed, {renamed} renamed, {removed} gone"
                );
                Ok(())
            }
            Err(error) => Err(vec![format!("{error:#}")]),
        }
    }

    /// Puts a configuration in the place of the present one, with the watches that were added.
    async fn swap(&self, mut of_files: Watchlist) -> anyhow::Result<Synced> {
        of_files.daemon.data_dir.clone_from(&self.roster().watchlist.daemon.data_dir);
        self.publish(join(&self.store, of_files).await?).await
    }

    /// Puts a watchlist in the place of the present one.
    pub(super) async fn publish(&self, watchlist: Watchlist) -> anyhow::Result<Synced> {
        let old = self.roster();
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
        self.published.send_replace(roster);
        self.bell.ring();
        Ok(synced)
    }
}

/// Does what takes a while off the threads that everything else waits for.
///
/// # Errors
/// When it broke.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("building the watchlist broke; this is a fault of the program")
}

/// A configuration with the watches that were added beside its files.
///
/// # Errors
/// When the database cannot be read.
pub(super) async fn join(store: &Store, of_files: Watchlist) -> anyhow::Result<Watchlist> {
    let added = store.added_watches().await?;
    if added.is_empty() {
        return Ok(of_files);
    }
    for (name, _) in &added {
        let is_taken_over = |watch: &Arc<Watch>| watch.name == *name || watch.was.as_ref() == Some(name);
        if of_files.watches.iter().any(is_taken_over) {
            warn!(watch.name = %name, "Watch `{name}` stands in a file now, which goes before the one that was added");
        }
    }
    let joined = aside(move || of_files.joined_by(&added)).await?;
    for (name, why) in &joined.left_out {
        error!(watch.name = %name, "Watch `{name}`, which was added, cannot be run beside this configuration: {why}");
    }
    Ok(joined)
}

/// What a reload does not change.
fn warn_of_restart(old: &Watchlist, new: &Watchlist) {
    let web = |list: &Watchlist| {
        let web = list.web.clone().unwrap_or_default();
        let token = web.token.as_ref().map(|token| token.expose().to_owned());
        (web.enabled, web.listen, token, web.public_url)
    };
    for (key, changed) in [
        ("data_dir", old.daemon.data_dir != new.daemon.data_dir),
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
pub(super) async fn hold_anew(store: &Store, roster: &Roster) -> anyhow::Result<()> {
    let now = Timestamp::now();
    Ok(store.hold_anew(roster.quiet_ends(now), now).await?)
}

/// Makes the table of watches what the watchlist says, and buries deliveries that nobody will send. A watch that
/// was added since the watchlist was read stays.
///
/// # Errors
/// When the database refuses; then nothing is changed.
pub async fn synchronise(store: &Store, watchlist: &Watchlist) -> anyhow::Result<Synced> {
    let now = Timestamp::now();
    let left_out = watchlist.left_out.iter();
    let known = watchlist.stored.iter().map(|(name, _)| name.clone()).collect();
    let change = Change {
        specs: watchlist.watches.iter().map(|watch| spec(watchlist, watch, now)).collect(),
        left_out: left_out
            .map(|(name, why)| (name.clone(), of_left_out(watchlist, name, why, now)))
            .collect(),
        notifiers: watchlist.notifiers.keys().cloned().collect(),
        removes: Removes::AllButNewer(known),
        is_news_to_the_daemon: false,
    };
    let closer = Closer::new(watchlist, now);
    let mut synced = store.change_watches(change, now, move |affected| closer.close(affected)).await?;
    // What follows is tried again with the next change.
    match store.reopen_final_answers(watchlist.asks_as()).await {
        Ok(reopened) => synced.reread.extend(reopened),
        Err(error) => warn!(%error, "Final answers are not asked for again yet"),
    }
    let notifiers = watchlist.notifiers.keys().cloned().collect();
    match store.bury_deliveries_without(notifiers, Timestamp::MAX).await {
        Ok(0) => {}
        Ok(buried) => {
            warn!(
                deliveries = buried,
                "Messages for notifiers that are no longer configured will not be sent"
            );
        }
        Err(error) => warn!(%error, "Messages for notifiers that are no longer configured are still kept"),
    }
    Ok(synced)
}

/// Makes the table of watches say of one watch what the watchlist says, and leaves all others as they are. A daemon
/// that runs takes it over. Answers its row, if there is one.
///
/// # Errors
/// When the database refuses; then nothing is changed.
pub async fn synchronise_one(
    store: &Store,
    watchlist: &Watchlist,
    name: &str,
) -> anyhow::Result<Option<i64>> {
    let now = Timestamp::now();
    let change = Change {
        specs: watchlist.watch(name).map(|watch| spec(watchlist, watch, now)).into_iter().collect(),
        removes: Removes::Only([name.to_owned()].into()),
        is_news_to_the_daemon: true,
        ..Change::default()
    };
    let closer = Closer::new(watchlist, now);
    let synced = store.change_watches(change, now, move |affected| closer.close(affected)).await?;
    Ok(synced.ids.get(name).copied())
}

fn spec(watchlist: &Watchlist, watch: &Watch, now: Timestamp) -> WatchSpec {
    // Who adds one waits for it.
    let new_watches = if watch.toml.is_some() { 1 } else { watchlist.watches.len() };
    WatchSpec {
        name: watch.name.clone(),
        was: watch.was.clone(),
        spec: watch.spec.clone(),
        spec_hash: watch.spec_hash(),
        enabled: watch.enabled,
        toml: watch.toml.clone(),
        first_due_at: first_due(watch, now, new_watches),
        next_due_at: watch.timetable.next_after(now),
    }
}

/// A watch never ends unheard, also one that a change of the configuration leaves without its notifier.
fn of_left_out(watchlist: &Watchlist, name: &str, why: &str, now: Timestamp) -> Note {
    Note {
        title: format!("Watch `{name}` is not run any more"),
        body: format!(
            "It was added beside the configuration file, and cannot be run beside it as it is now:\n{why}"
        ),
        urgent: false,
        held_until: watchlist.quiet_until(now),
    }
}
