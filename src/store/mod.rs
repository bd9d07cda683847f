//! SQLite, the only place that holds state: WAL, one writer task that commits many finished runs in one
//! transaction, a small pool of readers. No transaction waits on the network.

mod alerts;
mod along;
mod backup;
mod clock;
mod closing;
mod drawn;
mod gaps;
mod glance;
mod health;
mod hosts;
mod live;
mod memo;
mod moved;
mod observations;
mod one_run;
mod one_watch;
mod outbox;
mod page;
mod past;
mod pause;
mod prune;
mod runs;
mod session;
mod shelf;
mod silences;
mod slots;
mod spark;
mod synchronise;
#[cfg(test)]
mod tests;
mod told;
mod trouble;
mod watches;
mod writer;

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlitePool};

pub use alerts::StoredAlert;
pub use backup::{Backup, back_up};
pub use closing::{Affected, Closing, Fate};
pub use drawn::DrawnRow;
pub use gaps::{Gap, GapChange, Later, NewGap, PAUSED, Settled};
pub use glance::Glance;
pub use health::Tally;
pub use live::Moving;
pub use memo::Note;
pub use moved::{Moved, Point};
pub use observations::{HistoryRow, LastSeen};
pub use one_run::{DeliveryRow, RunRow};
pub use one_watch::Episode;
pub use outbox::{
    Attempt, Carried, Choice, Claim, Claimed, DeliveryKind, DeliveryStatus, NewDelivery, Queue, Settlement,
    Standing, StoredDelivery, Text, Waiting, Which,
};
pub use page::{Page, SettledRow, StoredBar, StoredObservation, TimeSpan};
pub use past::{SeenBar, SeenRow};
pub use pause::Paused;
pub use prune::{Pruned, Retention};
pub use runs::{Found, Marks, NextDue, RunCommit, SeenSubject, Waited};
pub use session::SessionHash;
pub use shelf::{Item, KnownSubject, Shelf};
pub use spark::{Peek, Stock, Wanted};
pub use synchronise::{Change, Removes, Synced, WatchSpec};
pub use told::{Reached, Told};
pub use watches::{StoredWatch, WatchRow};
pub use writer::WriteError;

use writer::Writer;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    read: SqlitePool,
    /// Readers of those who only look on.
    onlookers: SqlitePool,
    writer: Writer,
}

/// How many rows the library's thread may be ahead of its reader: a wake-up for each would cost more than
/// the row.
const ROW_BUFFER: usize = 1_024;

/// Readers look up a few rows at a time, and the system caches the file anyway: 512 KiB each.
const READER_CACHE: &str = "-512";

/// Each connection is a thread, a cache and everything it has prepared; nobody looks on all day.
const ONLOOKERS_STAY: Duration = Duration::from_secs(20);

/// The daemon itself, where a state belongs to no watch.
pub const DAEMON: i64 = 0;

/// Creates a data directory where there is none; nobody else looks into it.
///
/// # Errors
/// Any of the file system's, with the path.
pub fn create_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.with_context(|| format!("cannot create the data directory {}", data_dir.display()))
}

/// Creates an empty database that nobody else may read; SQLite gives the files beside it the same rights. Answers
/// whether there was none.
fn create_for_its_owner(path: &Path) -> std::io::Result<bool> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

impl Store {
    /// Opens the database of a data directory, creating both, and brings its tables up to date. Before a
    /// migration runs on an old file, the file is copied beside itself.
    ///
    /// # Errors
    /// Any of SQLite's own, or of the file system's, with the path.
    pub async fn open(data_dir: &Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        create_data_dir(data_dir)?;
        let path = Self::path_in(data_dir);
        let opening = || format!("cannot open the database {}", path.display());
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .row_buffer_size(ROW_BUFFER)
            .disable_statement_logging();
        let first = if create_for_its_owner(&path).with_context(opening)? {
            // To be able to shrink is said before the first table.
            options.clone().auto_vacuum(SqliteAutoVacuum::Incremental)
        } else {
            options.clone()
        };
        let mut connection = first.connect().await.with_context(opening)?;
        let migrator = sqlx::migrate!();
        let is_old = copy_before_migrating(&mut connection, &migrator, &path).await.with_context(opening)?;
        migrator.run(&mut connection).await.with_context(opening)?;
        if is_old {
            prune::let_it_shrink(&mut connection).await;
        }
        writer::prepare(&mut connection).await.with_context(opening)?;
        let options = options.create_if_missing(false).read_only(true).pragma("cache_size", READER_CACHE);
        let readers = || SqlitePoolOptions::new().max_connections(3);
        let onlookers = readers().idle_timeout(ONLOOKERS_STAY).connect_lazy_with(options.clone());
        Ok(Self { read: readers().connect_lazy_with(options), onlookers, writer: Writer::start(connection) })
    }

    /// The same database with readers of its own, however many of which are busy: what has to run in time waits for
    /// none of them.
    #[must_use]
    pub fn for_onlookers(&self) -> Self {
        Self { read: self.onlookers.clone(), ..self.clone() }
    }

    /// Opens the database for looking only; `None` when there is none yet.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn open_existing(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        if Self::path_in(data_dir).exists() { Self::open(data_dir).await.map(Some) } else { Ok(None) }
    }

    /// Where the database of a data directory lies.
    #[must_use]
    pub fn path_in(data_dir: &Path) -> PathBuf {
        data_dir.join("stakeout.db")
    }

    /// Commits what is under way and closes the file. The writer goes last: only then does SQLite put what
    /// is in the log into the file and delete the log, so that the file alone is the database.
    pub async fn close(&self) {
        self.read.close().await;
        self.onlookers.close().await;
        self.writer.stop().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("select 1").execute(&self.read).await.map(drop)
    }

    /// How large the database is, in bytes, without its log.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn database_bytes(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("select page_count * page_size from pragma_page_count(), pragma_page_size()")
            .fetch_one(&self.read)
            .await
    }
}

/// Copies an old file; answers whether it is one that is migrated now.
async fn copy_before_migrating(
    connection: &mut sqlx::SqliteConnection,
    migrator: &sqlx::migrate::Migrator,
    path: &Path,
) -> anyhow::Result<bool> {
    let known: bool =
        sqlx::query_scalar("select exists (select 1 from sqlite_schema where name = '_sqlx_migrations')")
            .fetch_one(&mut *connection)
            .await?;
    if !known {
        return Ok(false);
    }
    let done: Option<i64> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&mut *connection).await?;
    let newest = migrator.iter().map(|migration| migration.version).max();
    if done < newest {
        let copy = path.with_extension(format!("before-{}.db", newest.unwrap_or_default()));
        if !copy.exists() {
            backup::copy_aside(connection, &copy).await?;
        }
    }
    Ok(done < newest)
}

/// The integer a time is stored as: milliseconds since the Unix epoch.
fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// The time that an integer stands for; the epoch for what is none.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// JSON for `json_each`, which carries many rows in one statement.
fn json<T: serde::Serialize>(rows: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// What was stored as JSON.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
