//! Whether the database takes writes, how large it may grow, and what it did lately.

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Store, WriteError, memo, millis};

/// The row of the tiny write.
const ALIVE: &str = "alive_at";

/// Larger than what most runs write.
const ROOM_BYTES: i64 = 256 << 10;

/// What happened in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub runs: i64,
    /// Those of them that failed.
    pub failed: i64,
    /// Messages that were taken.
    pub delivered: i64,
}

impl Store {
    /// Writes a little, to know that the database takes it. With `room`, only when there is room for more:
    /// on a full disk a row may still fit where another was.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn check_writing(&self, room: bool, now: Timestamp) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    if room {
                        sqlx::query("insert or replace into memo (name, value) values ('room', zeroblob(?))")
                            .bind(ROOM_BYTES)
                            .execute(&mut *connection)
                            .await?;
                        sqlx::query("delete from memo where name = 'room'").execute(&mut *connection).await?;
                    }
                    memo::remember(connection, ALIVE, &millis(now).to_string()).await
                })
            })
            .await
    }

    /// Why the database takes nothing, since it last refused for a reason that concerns every write; none
    /// while it writes. Changes at each refusal.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.writer.trouble.subscribe()
    }

    /// How often another program was seen to have written to the database: what is remembered of it may no
    /// longer hold.
    #[must_use]
    pub fn foreign_writes(&self) -> u64 {
        self.writer.foreign.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether it refused lately, and does not yet write again.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.writer.trouble.borrow().is_some()
    }

    /// It writes again: what was refused may be tried again.
    pub fn trouble_is_over(&self) {
        self.writer.trouble.send_replace(None);
    }

    /// Lets the database grow to so many bytes and no further; one that is larger stays as large as it is.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn limit_size(&self, bytes: Option<u64>) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let page: i64 =
                        sqlx::query_scalar("pragma page_size").fetch_one(&mut *connection).await?;
                    let most = i64::from(u32::MAX - 1);
                    let pages = bytes.and_then(|bytes| i64::try_from(bytes).ok()?.checked_div(page));
                    // Zero would be taken for the question how many there may be.
                    let pages = pages.unwrap_or(most).clamp(1, most);
                    let limit = sqlx::AssertSqlSafe(format!("pragma max_page_count = {pages}"));
                    sqlx::query(limit).fetch_all(connection).await.map(drop)
                })
            })
            .await
    }

    /// What happened since a moment.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn tally(&self, since: Timestamp) -> Result<Tally, sqlx::Error> {
        let since = millis(since);
        // Runs are numbered as they come, and only the oldest are ever deleted: the first that counts is
        // searched by halves, and the rest need not be read.
        let (mut low, last): (i64, i64) =
            sqlx::query_as("select coalesce(min(id), 1), coalesce(max(id), 0) from run")
                .fetch_one(&self.read)
                .await?;
        let mut high = last.saturating_add(1);
        while low < high {
            let middle = low.midpoint(high);
            let began: Option<i64> =
                sqlx::query_scalar("select started_at from run where id >= ? order by id limit 1")
                    .bind(middle)
                    .fetch_optional(&self.read)
                    .await?;
            if began.is_some_and(|began| began < since) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let (failed, delivered) = sqlx::query_as(
            "select (select count(*) from watch cross join run on run.watch_id = watch.id
                     where run.started_at >= ?1 and outcome <> 'unchanged' and outcome = 'failed'),
                    (select count(*) from delivery where carried_by is null and status = 'delivered' and delivered_at >= ?1)",
        )
        .bind(since)
        .fetch_one(&self.read)
        .await?;
        Ok(Tally { runs: last.saturating_add(1).saturating_sub(low), failed, delivered })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::store::Waited;
    use crate::store::{NextDue, RunCommit};
    use crate::testing::at;

    const NOW: &str = "2026-11-21T10:00:00Z";

    async fn open() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        (folder, store)
    }

    async fn write(store: &Store, bytes: usize) -> Result<(), WriteError> {
        store.remember_and_tell(Some(("page", "x".repeat(bytes))), None, at(NOW)).await
    }

    #[tokio::test]
    async fn a_database_at_its_limit_says_so_and_writes_again_when_there_is_room() {
        let (_folder, store) = open().await;
        store.limit_size(Some(1 << 20)).await.unwrap();
        write(&store, 10_000).await.unwrap();
        assert_eq!(*store.trouble().borrow(), None);
        for _ in 0..3 {
            let refused = write(&store, 2_000_000).await.unwrap_err();
            assert!(refused.to_string().contains("full"), "{refused}");
        }
        assert_eq!(store.trouble().borrow().as_deref(), Some("it has grown to `max_database`"));
        assert_eq!(store.memo("page").await.unwrap().unwrap().len(), 10_000, "what was there stays");
        store.check_writing(true, at(NOW)).await.unwrap();
        store.trouble_is_over();
        assert_eq!(*store.trouble().borrow(), None);
        store.limit_size(None).await.unwrap();
        write(&store, 2_000_000).await.unwrap();
        // It is not made smaller than it is; and a row fits where one was, but nothing more.
        store.limit_size(Some(4_096)).await.unwrap();
        store.check_writing(false, at(NOW)).await.unwrap();
        store.check_writing(true, at(NOW)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_lock_is_waited_for_once_and_then_what_comes_is_refused_soon() {
        let (folder, store) = open().await;
        let options = SqliteConnectOptions::new().filename(Store::path_in(folder.path()));
        let mut other = options.connect().await.unwrap();
        sqlx::query("begin immediate").execute(&mut other).await.unwrap();
        write(&store, 1).await.unwrap_err();
        assert_eq!(store.trouble().borrow().as_deref(), Some("another program holds it locked"));
        let began = Instant::now();
        for _ in 0..3 {
            write(&store, 1).await.unwrap_err();
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        other.close().await.unwrap();
        write(&store, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_cannot_be_stored_is_no_trouble_of_the_database() {
        let (_folder, store) = open().await;
        store.commit_run(run(404, NOW, "ok")).await.unwrap_err();
        assert_eq!(*store.trouble().borrow(), None);
    }

    fn run(watch_id: i64, started_at: &str, outcome: &str) -> RunCommit {
        use crate::model::{Outcome, Trigger};
        let outcome = [Outcome::Ok, Outcome::Unchanged, Outcome::Failed]
            .into_iter()
            .find(|each| each.as_str() == outcome)
            .unwrap();
        RunCommit {
            spec_hash: None,
            watch_id,
            trigger: Trigger::Schedule,
            due_at: at(started_at),
            started_at: at(started_at),
            finished_at: at(started_at),
            outcome,
            error: None,
            next_due: NextDue::Keep,
            waited: Waited::default(),
            standings: Vec::new(),
            found: None,
        }
    }

    #[tokio::test]
    async fn what_happened_is_counted_from_a_moment_on() {
        let (folder, store) = open().await;
        assert_eq!(store.tally(at(NOW)).await.unwrap(), Tally::default());
        let mut raw =
            SqliteConnectOptions::new().filename(Store::path_in(folder.path())).connect().await.unwrap();
        let watch = "insert into watch (id, name, origin, spec, spec_hash, created_at)
                     values (1, 'w', 'file', '{}', 0, 0)";
        sqlx::query(watch).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        for (started_at, outcome) in [
            ("2026-11-20T10:00:00Z", "failed"),
            ("2026-11-20T11:00:00Z", "ok"),
            ("2026-11-21T10:00:00Z", "ok"),
            ("2026-11-21T11:00:00Z", "failed"),
            ("2026-11-21T12:00:00Z", "unchanged"),
        ] {
            store.commit_run(run(1, started_at, outcome)).await.unwrap();
        }
        for (since, runs, failed) in [
            ("2026-11-01T00:00:00Z", 5, 2),
            (NOW, 3, 1),
            ("2026-11-21T11:30:00Z", 1, 0),
            ("2026-11-22T00:00:00Z", 0, 0),
        ] {
            let tally = store.tally(at(since)).await.unwrap();
            assert_eq!((tally.runs, tally.failed, tally.delivered), (runs, failed, 0), "{since}");
        }
    }
}
