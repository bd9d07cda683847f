//! Every table has an age limit. Old rows go a few thousand at a time, so that no run waits long.

use std::time::Duration;

use jiff::Timestamp;

use super::{Store, WriteError, millis};
use crate::model::Period;

/// How long rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Observations; the last one of each subject stays.
    pub observations: Period,
    /// Bars.
    pub candles: Period,
    /// Runs.
    pub runs: Period,
    /// Alerts, and deliveries that are settled, with their attempts.
    pub alerts: Period,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Period(Duration::from_secs(days * 86_400));
        Self { observations: days(400), candles: days(400), runs: days(30), alerts: days(400) }
    }
}

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// All tables together.
    pub rows: u64,
}

/// How many rows one transaction takes.
const STEP: i64 = 5_000;

/// Each deletes at most `?2` rows older than `?1`.
const STATEMENTS: [&str; 6] = [
    "delete from observation where id in (select id from observation where last_seen_at < ?1
         and id not in (select observation_id from subject where observation_id is not null) limit ?2)",
    "delete from candle where (watch_id, subject, interval, open_time) in
         (select watch_id, subject, interval, open_time from candle where open_time < ?1 limit ?2)",
    // Runs are numbered as they come, so the oldest have the smallest numbers.
    "delete from run where started_at < ?1 and id in (select id from run order by id limit ?2)",
    "delete from delivery where id in (select id from delivery
         where created_at < ?1 and status in ('delivered', 'dead') limit ?2)",
    "delete from attempt where (delivery_id, attempt) in (select delivery_id, attempt from attempt
         where at < ?1 and not exists (select 1 from delivery where id = delivery_id) limit ?2)",
    "delete from alert where id in (select id from alert where created_at < ?1
         and not exists (select 1 from delivery, json_each(alert_ids)
                         where status in ('pending', 'sending') and value = alert.id) limit ?2)",
];

impl Store {
    /// Deletes what is older than it is kept.
    ///
    /// # Errors
    /// [`WriteError`]; what went before it is gone.
    pub async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, WriteError> {
        let ages = [keep.observations, keep.candles, keep.runs, keep.alerts, keep.alerts, keep.alerts];
        let mut pruned = Pruned::default();
        for (statement, age) in STATEMENTS.into_iter().zip(ages) {
            let before = now.checked_sub(age.0).map_or(i64::MIN, millis);
            loop {
                let rows = self
                    .writer
                    .write(move |connection| {
                        Box::pin(async move {
                            let done = sqlx::query(statement).bind(before).bind(STEP).execute(connection);
                            done.await.map(|done| done.rows_affected())
                        })
                    })
                    .await?;
                pruned.rows += rows;
                if rows < STEP.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(pruned)
    }
}
