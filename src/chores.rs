//! What the daemon does on a timetable of its own: says that it is alive, and copies its database. When
//! each is due next is remembered in the database, so that a restart neither skips nor repeats it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::model::Period;
use crate::store::{Backup, Note, Store, Tally, back_up};
use crate::timetable::Timetable;
use crate::watchlist::{Roster, Watchlist};

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(20);

/// What a proof of life counts.
const DAYS: u64 = 7;

/// Looks every so often until it is stopped. `told` is called when a delivery was written.
pub async fn serve(
    store: Store,
    roster: watch::Receiver<Arc<Roster>>,
    told: impl Fn() + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let began = Timestamp::now();
    loop {
        let watchlist = Arc::clone(&roster.borrow());
        match look(&store, &watchlist.watchlist, began, Timestamp::now()).await {
            Ok(true) => told(),
            Ok(false) => {}
            Err(error) => warn!(error = format!("{error:#}"), "The chores wait for the database"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Does what is due at `now`; the daemon runs since `began`. Answers whether a delivery was written.
///
/// # Errors
/// When the database refuses; then it is due still.
pub async fn look(
    store: &Store,
    watchlist: &Watchlist,
    began: Timestamp,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let zone = TimeZone::get(&watchlist.daemon.timezone).unwrap_or(TimeZone::UTC);
    let everyone = || watchlist.notifiers.keys().cloned().collect::<Vec<_>>();
    let mut told = false;
    if let Some(timetable) = &watchlist.proof_of_life {
        let chore = Chore { name: "proof_of_life", line: &watchlist.daemon.proof_of_life, timetable, now };
        if chore.is_due(store, &zone).await? {
            let note = proof_of_life(store, watchlist, began, now, &zone).await?;
            info!("{}", note.title);
            store.remember_and_tell(chore.next(&zone), Some((note, everyone())), now).await?;
            told = true;
        }
    }
    if let Some(timetable) = &watchlist.backup {
        let keys = &watchlist.daemon.backup;
        let chore = Chore { name: "backup", line: &keys.cron, timetable, now };
        if chore.is_due(store, &zone).await? {
            let note = match copy(&watchlist.daemon.data_dir, keys.keep, now, &zone).await {
                Ok(copy) => {
                    info!(bytes = copy.bytes, "Copied the database to {}", copy.path.display());
                    None
                }
                Err(error) => Some(failed_backup(&error, watchlist, now)),
            };
            told |= note.is_some();
            let note = note.map(|note| (note, everyone()));
            store.remember_and_tell(chore.next(&zone), note, now).await?;
        }
    }
    Ok(told)
}

/// Something that is due by a crontab line.
struct Chore<'c> {
    name: &'static str,
    line: &'c str,
    timetable: &'c Timetable,
    now: Timestamp,
}

/// When a chore is due next, as it is remembered.
#[derive(Deserialize, Serialize)]
struct Due {
    at: Timestamp,
    /// By which line, and in which zone: another one counts anew.
    by: String,
}

impl Chore<'_> {
    async fn is_due(&self, store: &Store, zone: &TimeZone) -> anyhow::Result<bool> {
        let known = store.memo(self.name).await?;
        let known: Option<Due> = known.and_then(|known| serde_json::from_str(&known).ok());
        // Further ahead than its next two moments: the clock was set back by much.
        let latest = self.timetable.next(self.now, 2).pop();
        match known {
            Some(due) if due.by == self.by(zone) && latest.is_some_and(|latest| due.at <= latest) => {
                Ok(due.at <= self.now)
            }
            _ => {
                store.remember_and_tell(self.next(zone), None, self.now).await?;
                Ok(false)
            }
        }
    }

    /// The row that says when it is due next.
    fn next(&self, zone: &TimeZone) -> Option<(&'static str, String)> {
        let due = Due { at: self.timetable.next_after(self.now)?, by: self.by(zone) };
        Some((self.name, serde_json::to_string(&due).ok()?))
    }

    fn by(&self, zone: &TimeZone) -> String {
        format!("{} {}", self.line, zone.iana_name().unwrap_or("UTC"))
    }
}

async fn proof_of_life(
    store: &Store,
    watchlist: &Watchlist,
    began: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> anyhow::Result<Note> {
    let since = now.checked_sub(Duration::from_secs(DAYS * 86_400))?;
    let Tally { runs, failed, delivered } = store.tally(since).await?;
    let (waiting, dead) = store.delivery_counts().await?;
    let watches = watchlist.watches.iter().filter(|watch| watch.enabled).count();
    let watches = counted(i64::try_from(watches).unwrap_or(i64::MAX), "watch", "watches");
    let (runs, messages) = (counted(runs, "run", "runs"), counted(delivered, "message", "messages"));
    let [failed, waiting, dead] = [failed, waiting, dead].map(grouped);
    let lasted = Period::from_secs(now.duration_since(began).as_secs().max(0).unsigned_abs());
    let began = began.to_zoned(zone.clone());
    Ok(Note {
        title: format!(
            "Stakeout is alive: {watches}, {runs} in {DAYS} days ({failed} failed), {messages}, {waiting} \
             waiting, {dead} dead"
        ),
        body: format!("It has been running since {} ({lasted}).", began.strftime("%Y-%m-%d %H:%M %Z")),
        urgent: false,
        held_until: watchlist.quiet_until(now),
    })
}

fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `40,312`
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a copy into `backups`, and deletes the oldest that are more than `keep`.
async fn copy(data_dir: &Path, keep: usize, now: Timestamp, zone: &TimeZone) -> anyhow::Result<Backup> {
    let folder = data_dir.join("backups");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("cannot create {}", folder.display()))?;
    remove(&folder, |name| name.ends_with(".partial"), 0)?;
    let name = format!("stakeout-{}.db", now.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H%M"));
    let copy = back_up(data_dir, &folder.join(name), true).await?;
    remove(&folder, |name| name.ends_with(".db"), keep)?;
    Ok(copy)
}

/// Deletes all but the last `keep` of our own copies whose names are wanted. Their names are their dates.
fn remove(folder: &Path, wanted: impl Fn(&str) -> bool, keep: usize) -> anyhow::Result<()> {
    let reading = || format!("cannot tidy up {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(reading)?.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<String> = entries
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("stakeout-") && wanted(name))
        .collect();
    names.sort_unstable();
    let surplus = names.len().saturating_sub(keep);
    for name in names.iter().take(surplus) {
        std::fs::remove_file(folder.join(name)).with_context(reading)?;
    }
    Ok(())
}

fn failed_backup(error: &anyhow::Error, watchlist: &Watchlist, now: Timestamp) -> Note {
    let error = format!("{error:#}");
    error!(%error, "The database was not backed up");
    Note {
        title: "Stakeout could not back up its database".into(),
        body: format!("{error}\nIt is tried again at the next time of `backup`."),
        urgent: false,
        held_until: watchlist.quiet_until(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;
    use crate::testing::at;

    fn watchlist(daemon: &str, folder: &Path) -> Watchlist {
        let text = format!(
            "[daemon]\ntimezone = \"Europe/Warsaw\"\n{daemon}\n[notify.a]\nkind = \"console\"\n\
             [notify.b]\nkind = \"console\"\n"
        );
        let mut built = Watchlist::build(&[File { path: "c.toml".into(), text }], &|_| None)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        built.daemon.data_dir = folder.to_owned();
        built
    }

    /// The moments among these at which something was told.
    async fn told_at(store: &Store, watchlist: &Watchlist, looks: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        for look_at in looks {
            if look(store, watchlist, at("2026-11-14T06:00:00Z"), at(look_at)).await.unwrap() {
                told.push((*look_at).to_owned());
            }
        }
        told
    }

    #[tokio::test]
    async fn the_proof_of_life_comes_once_at_its_time_also_when_that_passed_while_the_daemon_was_away() {
        let folder = tempfile::tempdir().unwrap();
        let weekly = watchlist("proof_of_life = \"0 9 * * MON\"", folder.path());
        let store = Store::open(folder.path()).await.unwrap();
        // Monday the 23rd, nine o'clock in Warsaw, is eight in UTC.
        let looks = ["2026-11-21T06:00:00Z", "2026-11-23T07:59:40Z", "2026-11-23T08:00:00Z"];
        assert_eq!(told_at(&store, &weekly, &looks).await, ["2026-11-23T08:00:00Z"]);
        store.close().await;
        let store = Store::open(folder.path()).await.unwrap();
        let looks = ["2026-11-23T08:00:20Z", "2026-12-09T10:00:00Z", "2026-12-09T10:00:20Z"];
        assert_eq!(told_at(&store, &weekly, &looks).await, ["2026-12-09T10:00:00Z"], "once for two Mondays");
        // The clock is set back across it, and then right.
        let looks = ["2026-12-09T09:30:00Z", "2026-12-14T08:00:00Z", "2026-12-14T07:30:00Z"];
        assert_eq!(told_at(&store, &weekly, &looks).await, ["2026-12-14T08:00:00Z"]);
        assert_eq!(store.delivery_counts().await.unwrap().0, 6, "three times, to two notifiers");
        // Another line counts anew.
        let daily = watchlist("proof_of_life = \"0 9 * * *\"", folder.path());
        let looks = ["2026-12-14T10:00:00Z", "2026-12-15T08:00:00Z"];
        assert_eq!(told_at(&store, &daily, &looks).await, ["2026-12-15T08:00:00Z"]);
    }

    #[tokio::test]
    async fn the_proof_of_life_says_what_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let watchlist = watchlist("proof_of_life = \"0 9 * * MON\"", folder.path());
        let store = Store::open(folder.path()).await.unwrap();
        let (began, now) = (at("2026-11-16T05:00:00Z"), at("2026-11-23T08:00:00Z"));
        let note = proof_of_life(&store, &watchlist, began, now, &TimeZone::UTC).await.unwrap();
        assert_eq!(
            note.title,
            "Stakeout is alive: 0 watches, 0 runs in 7 days (0 failed), 0 messages, 0 waiting, 0 dead"
        );
        assert_eq!(note.body, "It has been running since 2026-11-16 05:00 UTC (7 d 3 h).");
        assert_eq!(counted(1, "run", "runs"), "1 run");
        for (number, text) in [(0, "0"), (999, "999"), (40_312, "40,312"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[tokio::test]
    async fn backups_are_made_on_time_and_the_last_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let nightly = watchlist("backup = { keep = 2 }", folder.path());
        let store = Store::open(folder.path()).await.unwrap();
        let backups = folder.path().join("backups");
        look(&store, &nightly, Timestamp::now(), at("2026-11-20T12:00:00Z")).await.unwrap();
        assert!(!backups.exists(), "not before its time");
        for day in 21..=24 {
            let now = at(&format!("2026-11-{day}T02:30:00Z"));
            assert!(!look(&store, &nightly, now, now).await.unwrap(), "what works is not told");
            std::fs::write(backups.join("stakeout-2026-11-01T0330.db.7.partial"), "cut off").unwrap();
            std::fs::write(backups.join("mine.db"), "of the owner").unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(&backups)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".partial"))
            .collect();
        names.sort();
        assert_eq!(names, ["mine.db", "stakeout-2026-11-23T0330.db", "stakeout-2026-11-24T0330.db"]);
    }

    #[tokio::test]
    async fn a_backup_that_fails_is_told_and_tried_again_at_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let nightly = watchlist("backup = { keep = 2 }", folder.path());
        let store = Store::open(folder.path()).await.unwrap();
        std::fs::write(folder.path().join("backups"), "a file where the folder should be").unwrap();
        let looks =
            ["2026-11-20T12:00:00Z", "2026-11-21T02:30:00Z", "2026-11-21T02:30:20Z", "2026-11-22T02:30:00Z"];
        assert_eq!(told_at(&store, &nightly, &looks).await, ["2026-11-21T02:30:00Z", "2026-11-22T02:30:00Z"]);
        std::fs::remove_file(folder.path().join("backups")).unwrap();
        assert!(told_at(&store, &nightly, &["2026-11-23T02:30:00Z"]).await.is_empty());
        assert!(folder.path().join("backups/stakeout-2026-11-23T0330.db").exists());
    }
}
