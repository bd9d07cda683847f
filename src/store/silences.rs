//! Silences: what a person does not want to hear now.

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::{Store, WriteError, from_json, millis, time};
use crate::model::Silence;

/// That a silence has ended is said in the next message, but not after so long.
const OLD_NEWS: SignedDuration = SignedDuration::from_hours(7 * 24);

type Row = (i64, String, i64, i64, String, String);

impl Store {
    /// The silences that are in force, and those that have ended and of which no message has said so yet.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn silences_to_judge_by(&self, now: Timestamp) -> Result<Vec<Silence>, sqlx::Error> {
        let oldest = now.checked_sub(OLD_NEWS).unwrap_or(now);
        let rows: Vec<Row> = sqlx::query_as(
            "select id, matchers, starts_at, ends_at, created_by, comment from silence
             where ends_at > ?1 and starts_at <= ?2 and told_at is null order by id",
        )
        .bind(millis(oldest))
        .bind(millis(now))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(silence).collect()
    }

    /// The silences that are in force or to come, or every one that is kept.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn silences(&self, now: Timestamp, ended_too: bool) -> Result<Vec<Silence>, sqlx::Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "select id, matchers, starts_at, ends_at, created_by, comment from silence
             where ?1 or ends_at > ?2 order by ends_at, id",
        )
        .bind(ended_too)
        .bind(millis(now))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(silence).collect()
    }

    /// Stores a silence and answers its row.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn add_silence(&self, silence: Silence, now: Timestamp) -> Result<i64, WriteError> {
        let matchers = super::json(&silence.matchers)?;
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query_scalar(
                        "insert into silence (matchers, starts_at, ends_at, created_at, created_by, comment)
                         values (?, ?, ?, ?, ?, ?) returning id",
                    )
                    .bind(matchers)
                    .bind(millis(silence.starts_at))
                    .bind(millis(silence.ends_at))
                    .bind(millis(now))
                    .bind(silence.created_by)
                    .bind(silence.comment)
                    .fetch_one(connection)
                    .await
                })
            })
            .await
    }

    /// Ends a silence now. Answers whether it was still in force or to come.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn end_silence(&self, id: i64, now: Timestamp) -> Result<bool, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update silence set ends_at = ?2, starts_at = min(starts_at, ?2)
                         where id = ?1 and ends_at > ?2",
                    )
                    .bind(id)
                    .bind(millis(now))
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected() > 0)
                })
            })
            .await
    }
}

/// A message has said that these have ended.
pub(super) async fn mark_told(
    connection: &mut SqliteConnection,
    silences: &[i64],
    now: i64,
) -> Result<(), sqlx::Error> {
    if silences.is_empty() {
        return Ok(());
    }
    sqlx::query("update silence set told_at = ? where id in (select value from json_each(?))")
        .bind(now)
        .bind(super::json(&silences)?)
        .execute(connection)
        .await
        .map(drop)
}

fn silence((id, matchers, starts_at, ends_at, created_by, comment): Row) -> Result<Silence, sqlx::Error> {
    Ok(Silence {
        id,
        matchers: from_json(&matchers)?,
        starts_at: time(starts_at),
        ends_at: time(ends_at),
        created_by,
        comment,
    })
}
