//! Watches that a person has paused, and the slots that pass meanwhile.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{NewGap, Store, WriteError, gaps, memo, millis, time};

/// What the memo is called by which a pause is to end, before the row of the watch.
const RESUME: &str = "resume/";

/// A watch that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Its row.
    pub watch_id: i64,
    /// Its name.
    pub name: String,
    /// Since when.
    pub paused_at: Timestamp,
    /// Its first slot since then that nobody stands for yet; none for one that had no slot to come.
    pub from: Option<Timestamp>,
}

impl Store {
    /// Pauses a watch, unless it is paused already. Answers whether it is paused now: one that was removed is not.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn pause_watch(&self, watch_id: i64, now: Timestamp) -> Result<bool, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update watch set paused_at = ?
                         where id = ? and paused_at is null and removed_at is null",
                    )
                    .bind(millis(now))
                    .bind(watch_id)
                    .execute(&mut *connection)
                    .await?;
                    do_not_resume(connection, watch_id).await?;
                    take_slots_away(connection).await?;
                    sqlx::query_scalar(
                        "select exists (select 1 from watch where id = ? and paused_at is not null)",
                    )
                    .bind(watch_id)
                    .fetch_one(connection)
                    .await
                })
            })
            .await
    }

    /// Asks the daemon that runs to end the pause of a watch: it alone knows which slot it is running.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn ask_to_resume(&self, watch_id: i64) -> Result<(), WriteError> {
        let asked = format!("{RESUME}{watch_id}");
        self.writer
            .write(move |connection| {
                Box::pin(async move { memo::remember(connection, &asked, "asked").await })
            })
            .await
    }

    /// The watches whose pause the daemon was asked to end.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn asked_to_resume(&self) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar(
            "select cast(substr(name, length(?1) + 1) as integer) from memo where substr(name, 1, length(?1)) = ?1",
        )
        .bind(RESUME)
        .fetch_all(&self.read)
        .await
    }

    /// Ends the pause of a watch, if it is paused: it is due at `next_due_at`, and the slots of `skipped` are
    /// accounted for.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn resume_watch(
        &self,
        watch_id: i64,
        next_due_at: Option<Timestamp>,
        skipped: Option<NewGap>,
    ) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    if let Some(skipped) = skipped {
                        skip(connection, watch_id, &skipped).await?;
                    }
                    do_not_resume(connection, watch_id).await?;
                    let resumed = sqlx::query(
                        "update watch set paused_at = null where id = ? and paused_at is not null",
                    )
                    .bind(watch_id)
                    .execute(&mut *connection)
                    .await?;
                    if resumed.rows_affected() == 0 {
                        return Ok(());
                    }
                    sqlx::query(
                        "update due set paused_from = null, next_due_at =
                             (select ?2 from watch where id = ?1 and enabled and removed_at is null)
                         where watch_id = ?1",
                    )
                    .bind(watch_id)
                    .bind(next_due_at.map(millis))
                    .execute(connection)
                    .await
                    .map(drop)
                })
            })
            .await
    }

    /// The watches that are paused.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn paused_watches(&self) -> Result<Vec<Paused>, sqlx::Error> {
        let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(
            "select watch.id, watch.name, watch.paused_at, due.paused_from
             from watch left join due on due.watch_id = watch.id
             where watch.paused_at is not null and watch.removed_at is null order by watch.id",
        )
        .fetch_all(&self.read)
        .await?;
        let paused = |(watch_id, name, paused_at, from): (i64, String, i64, Option<i64>)| Paused {
            watch_id,
            name,
            paused_at: time(paused_at),
            from: from.map(time),
        };
        Ok(rows.into_iter().map(paused).collect())
    }

    /// Accounts for slots that have passed while their watches are paused.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn skip_paused(&self, skipped: Vec<(i64, NewGap)>) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    for (watch_id, gap) in skipped {
                        skip(connection, watch_id, &gap).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Nobody waits for the end of its pause any more.
async fn do_not_resume(connection: &mut SqliteConnection, watch_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from memo where name = ?")
        .bind(format!("{RESUME}{watch_id}"))
        .execute(connection)
        .await
        .map(drop)
}

/// Writes down skipped slots of a pause, unless somebody else has done so meanwhile.
async fn skip(connection: &mut SqliteConnection, watch_id: i64, gap: &NewGap) -> Result<(), sqlx::Error> {
    let moved = sqlx::query("update due set paused_from = ?3 where watch_id = ?1 and paused_from = ?2")
        .bind(watch_id)
        .bind(millis(gap.first_due_at))
        .bind(gap.next_due_at.map(millis))
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        return Ok(());
    }
    gaps::leave(connection, watch_id, gap).await
}

/// Watches that are disabled, removed or paused have no slot to come; a pause remembers where it took over.
pub(super) async fn take_slots_away(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update due set next_due_at = null, paused_from =
             (select coalesce(paused_from, next_due_at) from watch
              where watch.id = due.watch_id and enabled and removed_at is null and paused_at is not null)
         where (next_due_at is not null or paused_from is not null) and watch_id in
             (select id from watch where enabled = 0 or removed_at is not null or paused_at is not null)",
    )
    .execute(connection)
    .await
    .map(drop)
}
