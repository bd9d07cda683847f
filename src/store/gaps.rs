//! Stretches of slots that no good run stands for, and how far their repair has come.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::along::runs_of_watch;
use super::{Store, WriteError, millis, time};
use crate::model::{Interval, SlotOutcome};

/// What a run says about the slots that no good run stands for.
#[derive(Clone, Debug)]
pub enum GapChange {
    /// Some more of them.
    Left(NewGap),
    /// A try to fill them in.
    Settled(Settled),
}

/// Slots that no good run stands for. Where they follow at once upon others that wait for their repair,
/// they are one stretch with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGap {
    /// The first of them.
    pub first_due_at: Timestamp,
    /// The last of them.
    pub last_due_at: Timestamp,
    /// The slot after them.
    pub next_due_at: Option<Timestamp>,
    /// How many of them have no run of their own.
    pub slots: u64,
    /// When to try to fill them in; `None` where that cannot be done.
    pub next_attempt_at: Option<Timestamp>,
    /// What happened, shown to the owner.
    pub why: String,
}

/// A stored stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its row.
    pub id: i64,
    /// The first slot.
    pub first_due_at: Timestamp,
    /// The last slot.
    pub last_due_at: Timestamp,
    /// How many of them have no run of their own.
    pub slots: u64,
    /// Skipped, repaired or failed.
    pub outcome: SlotOutcome,
    /// How often it was tried to fill them in.
    pub attempts: u32,
    /// When that is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// What happened.
    pub why: Option<String>,
}

/// How a stretch stands after a try to fill it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its row.
    pub id: i64,
    /// Its last slot when it was tried; of one that has grown since nothing is said.
    pub last_due_at: Timestamp,
    /// Skipped, repaired or failed.
    pub outcome: SlotOutcome,
    /// How many tries there were.
    pub attempts: u32,
    /// When to try again.
    pub next_attempt_at: Option<Timestamp>,
    /// How it went; `None` leaves what is there.
    pub why: Option<String>,
    /// Its later slots, where they stand otherwise: from then on they are a gap of their own.
    pub later: Option<Later>,
}

/// The later slots of a stretch that is parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// The first of them.
    pub first_due_at: Timestamp,
    /// The last slot before them.
    pub earlier_last_due_at: Timestamp,
    /// How many of them have no run of their own.
    pub slots: u64,
    /// Skipped, repaired or failed.
    pub outcome: SlotOutcome,
    /// How many tries there were.
    pub attempts: u32,
    /// When to try again.
    pub next_attempt_at: Option<Timestamp>,
    /// How it went; `None` for what was said of the whole.
    pub why: Option<String>,
}

type Row = (i64, i64, i64, i64, String, i64, Option<i64>, Option<String>);

impl Store {
    /// The oldest gap of each watch of which it is time that it be filled in, the longest waiting first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn gaps_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, sqlx::Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select watch.name, min(gap.first_due_at) from gap join watch on watch.id = gap.watch_id
             where gap.next_attempt_at <= ? and watch.enabled and watch.removed_at is null
               and watch.paused_at is null
             group by watch.id order by min(gap.next_attempt_at) limit ?",
        )
        .bind(millis(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|(watch, first)| (watch, time(first))).collect())
    }

    /// A gap by its first slot.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn gap(&self, watch_id: i64, first_due_at: Timestamp) -> Result<Option<Gap>, sqlx::Error> {
        let row: Option<Row> = sqlx::query_as(
            "select id, first_due_at, last_due_at, slots, outcome, attempts, next_attempt_at, why from gap
             where watch_id = ? and first_due_at = ?",
        )
        .bind(watch_id)
        .bind(millis(first_due_at))
        .fetch_optional(&self.read)
        .await?;
        row.map(gap).transpose()
    }

    /// The gaps of a watch with a slot between two moments, oldest first; also those that are written with a
    /// run, whose `id` is negative.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn gaps(
        &self,
        watch_id: i64,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Gap>, sqlx::Error> {
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "select id, first_due_at, last_due_at as until, slots, outcome, attempts, next_attempt_at, why from gap
             where watch_id = ?3 and last_due_at >= ?4 and first_due_at <= ?5
             union all
             select * from (",
            runs_of_watch!(
                "-run.id, passed_from, passed_until, passed, 'skipped', 0, null, passed_why",
                "passed_until >= ?4 and passed_from <= ?5"
            ),
            ") order by until"
        ))
        .bind(self.first_run_since(from).await?)
        .bind(i64::MAX)
        .bind(watch_id)
        .bind(millis(from))
        .bind(millis(until))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(gap).collect()
    }

    /// Which bars of a stretch are stored, by when they open.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn open_times(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<HashSet<Timestamp>, sqlx::Error> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "select open_time from candle
             where watch_id = ? and subject = ? and interval = ? and open_time between ? and ?",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(from))
        .bind(millis(until))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(time).collect())
    }

    /// Says how a gap stands.
    ///
    /// # Errors
    /// [`WriteError`]; then it stands as before.
    pub async fn settle_gap(&self, settled: Settled) -> Result<(), WriteError> {
        self.writer.write(move |connection| Box::pin(async move { settle(connection, &settled).await })).await
    }

    /// Lets the skipped slots of these watches be tried, where nobody meant to.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn arm_gaps(&self, watch_ids: Vec<i64>, now: Timestamp) -> Result<u64, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let armed = sqlx::query(
                        "update gap set next_attempt_at = ?
                         where outcome = 'skipped' and next_attempt_at is null and why is not 'paused'
                           and watch_id in (select value from json_each(?))",
                    )
                    .bind(millis(now))
                    .bind(super::json(&watch_ids)?)
                    .execute(connection);
                    armed.await.map(|armed| armed.rows_affected())
                })
            })
            .await
    }
}

fn gap(row: Row) -> Result<Gap, sqlx::Error> {
    let (id, first, last, slots, outcome, attempts, next, why) = row;
    Ok(Gap {
        id,
        first_due_at: time(first),
        last_due_at: time(last),
        slots: slots.unsigned_abs(),
        outcome: outcome.parse().map_err(|why: String| sqlx::Error::Decode(why.into()))?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        next_attempt_at: next.map(time),
        why,
    })
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    watch_id: i64,
    change: &GapChange,
) -> Result<(), sqlx::Error> {
    match change {
        GapChange::Left(gap) => leave(connection, watch_id, gap).await,
        GapChange::Settled(settled) => settle(connection, settled).await,
    }
}

/// What is said of the slots that a person did not want. They follow only upon each other.
pub const PAUSED: &str = "paused";

pub(super) async fn leave(
    connection: &mut SqliteConnection,
    watch_id: i64,
    gap: &NewGap,
) -> Result<(), sqlx::Error> {
    let slots = i64::try_from(gap.slots).unwrap_or(i64::MAX);
    let grown = sqlx::query(
        "update gap set last_due_at = ?3, next_due_at = ?4, slots = slots + ?5, attempts = 0,
                        next_attempt_at = ?6, why = ?7
         where watch_id = ?1 and next_due_at = ?2 and outcome = 'skipped'
           and (next_attempt_at is null) = (?6 is null) and (why is 'paused') = (?7 is 'paused')",
    )
    .bind(watch_id)
    .bind(millis(gap.first_due_at))
    .bind(millis(gap.last_due_at))
    .bind(gap.next_due_at.map(millis))
    .bind(slots)
    .bind(gap.next_attempt_at.map(millis))
    .bind(&gap.why)
    .execute(&mut *connection)
    .await?;
    if grown.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "insert into gap
             (watch_id, first_due_at, last_due_at, next_due_at, slots, outcome, next_attempt_at, why)
         values (?, ?, ?, ?, ?, 'skipped', ?, ?)
         on conflict (watch_id, first_due_at) do update set last_due_at = excluded.last_due_at,
             next_due_at = excluded.next_due_at, slots = excluded.slots, outcome = excluded.outcome,
             attempts = 0, next_attempt_at = excluded.next_attempt_at, why = excluded.why",
    )
    .bind(watch_id)
    .bind(millis(gap.first_due_at))
    .bind(millis(gap.last_due_at))
    .bind(gap.next_due_at.map(millis))
    .bind(slots)
    .bind(gap.next_attempt_at.map(millis))
    .bind(&gap.why)
    .execute(connection)
    .await
    .map(drop)
}

async fn settle(connection: &mut SqliteConnection, settled: &Settled) -> Result<(), sqlx::Error> {
    if let Some(later) = &settled.later {
        part(connection, settled, later).await?;
    }
    let last_due_at = settled.later.as_ref().map_or(settled.last_due_at, |later| later.earlier_last_due_at);
    sqlx::query(
        "update gap set outcome = ?, attempts = ?, next_attempt_at = ?, why = coalesce(?, why)
         where id = ? and last_due_at = ?",
    )
    .bind(settled.outcome.as_str())
    .bind(settled.attempts)
    .bind(settled.next_attempt_at.map(millis))
    .bind(&settled.why)
    .bind(settled.id)
    .bind(millis(last_due_at))
    .execute(connection)
    .await
    .map(drop)
}

/// Makes the later slots of a stretch one of their own, unless it has grown since it was tried.
async fn part(connection: &mut SqliteConnection, whole: &Settled, later: &Later) -> Result<(), sqlx::Error> {
    let slots = i64::try_from(later.slots).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into gap
             (watch_id, first_due_at, last_due_at, next_due_at, slots, outcome, attempts, next_attempt_at, why)
         select watch_id, ?, last_due_at, next_due_at, ?, ?, ?, ?, coalesce(?, why)
         from gap where id = ? and last_due_at = ?
         on conflict (watch_id, first_due_at) do nothing",
    )
    .bind(millis(later.first_due_at))
    .bind(slots)
    .bind(later.outcome.as_str())
    .bind(later.attempts)
    .bind(later.next_attempt_at.map(millis))
    .bind(&later.why)
    .bind(whole.id)
    .bind(millis(whole.last_due_at))
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update gap set last_due_at = ?, next_due_at = ?, slots = max(slots - ?, 0)
         where id = ? and last_due_at = ?",
    )
    .bind(millis(later.earlier_last_due_at))
    .bind(millis(later.first_due_at))
    .bind(slots)
    .bind(whole.id)
    .bind(millis(whole.last_due_at))
    .execute(connection)
    .await
    .map(drop)
}
