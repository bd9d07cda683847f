//! The watches as they are stored, and which of them are due.

use jiff::Timestamp;

use super::{Store, millis, time};

/// One row of the watchlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRow {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it is no longer in the watchlist.
    pub is_removed: bool,
}

/// A watch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWatch {
    /// Its name.
    pub name: String,
    /// Its table as JSON.
    pub spec: String,
    /// A hash of the table.
    pub spec_hash: u64,
    /// Whether it is run.
    pub enabled: bool,
    /// Whether it is no longer in the watchlist.
    pub is_removed: bool,
    /// How many of its alerts were told and are still so.
    pub open_alerts: i64,
}

impl Store {
    /// The watches that are due, the longest waiting first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn due_watches(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, sqlx::Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select watch.name, due.next_due_at from due join watch on watch.id = due.watch_id
             where due.next_due_at <= ? order by due.next_due_at limit ?",
        )
        .bind(millis(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|(name, due)| (name, time(due))).collect())
    }

    /// When the next watch after `now` is due.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn next_due_after(&self, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
        let next: Option<i64> = sqlx::query_scalar("select min(next_due_at) from due where next_due_at > ?")
            .bind(millis(now))
            .fetch_one(&self.read)
            .await?;
        Ok(next.map(time))
    }

    /// The watches as they are stored, also those that are no longer there.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn stored_watches(&self) -> Result<Vec<StoredWatch>, sqlx::Error> {
        let rows: Vec<(String, String, i64, bool, bool, i64)> = sqlx::query_as(
            "select name, spec, spec_hash, enabled, removed_at is not null,
                    (select count(*) from signal_state
                     where watch_id = watch.id and state ->> 'firing' and state ->> 'told')
             from watch order by id",
        )
        .fetch_all(&self.read)
        .await?;
        let watch = |(name, spec, hash, enabled, is_removed, open_alerts): (_, _, i64, _, _, _)| {
            StoredWatch { name, spec, spec_hash: hash.cast_unsigned(), enabled, is_removed, open_alerts }
        };
        Ok(rows.into_iter().map(watch).collect())
    }

    /// Name and TOML of each watch that was added by way of the API or the command line and is still there, in
    /// the order in which they came.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn added_watches(&self) -> Result<Vec<(String, String)>, sqlx::Error> {
        sqlx::query_as(
            "select name, toml from watch
             where origin = 'api' and toml is not null and removed_at is null order by id",
        )
        .fetch_all(&self.read)
        .await
    }

    /// A watch by its name, also one that is no longer in the watchlist.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn watch(&self, name: &str) -> Result<Option<WatchRow>, sqlx::Error> {
        let row: Option<(i64, String, bool)> =
            sqlx::query_as("select id, name, removed_at is not null from watch where name = ?")
                .bind(name)
                .fetch_optional(&self.read)
                .await?;
        Ok(row.map(|(id, name, is_removed)| WatchRow { id, name, is_removed }))
    }
}
