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
                    (select count(*) from delivery where status = 'delivered' and delivered_at >= ?1)",
        )
        .bind(since)
        .fetch_one(&self.read)
        .await?;
        Ok(Tally { runs: last.saturating_add(1).saturating_sub(low), failed, delivered })
    }
}
