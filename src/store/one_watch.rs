//! What the page of one watch asks: how it stands, what goes on, which runs said something, what they told.

use jiff::Timestamp;

use super::one_run::{DeliveryRow, RunRow, RunTuple, run_columns, run_row};
use super::{Store, from_json, time};
use crate::model::SignalState;

/// Something that is told, or about to be, and still goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The strategy; `run` for what the daemon says about its own runs.
    pub strategy: String,
    /// The subject.
    pub subject: String,
    /// How it is.
    pub state: SignalState,
}

impl Store {
    /// What fires now under the strategies of a watch, what began last first; at most so many.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn open_episodes(&self, watch_id: i64, limit: usize) -> Result<Vec<Episode>, sqlx::Error> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "select strategy, subject, state from signal_state
             where watch_id = ? and state ->> 'firing' and (subject <> '' or strategy = 'run')
             order by state ->> 'since' desc, strategy, subject limit ?",
        )
        .bind(watch_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        let episode = |(strategy, subject, state): (_, _, String)| {
            Ok(Episode { strategy, subject, state: from_json(&state)? })
        };
        rows.into_iter().map(episode).collect()
    }

    /// The last runs of a watch that did not just find the same bytes as before, newest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn notable_runs(&self, watch_id: i64, limit: usize) -> Result<Vec<RunRow>, sqlx::Error> {
        let rows: Vec<RunTuple> = sqlx::query_as(concat!(
            run_columns!(),
            "from run where watch_id = ? and outcome <> 'unchanged' order by started_at desc, id desc limit ?"
        ))
        .bind(watch_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(run_row).collect())
    }

    /// The slot of one run of a watch.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn slot_of_run(&self, watch_id: i64, run_id: i64) -> Result<Option<Timestamp>, sqlx::Error> {
        let due_at: Option<i64> = sqlx::query_scalar("select due_at from run where id = ? and watch_id = ?")
            .bind(run_id)
            .bind(watch_id)
            .fetch_optional(&self.read)
            .await?;
        Ok(due_at.map(time))
    }

    /// The last messages that runs of a watch wrote, newest first, each with when that was and its attempts.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries_of_watch(
        &self,
        watch_id: i64,
        limit: usize,
    ) -> Result<Vec<(Timestamp, DeliveryRow)>, sqlx::Error> {
        // By way of the alerts, which have an index by their watch. Run 0 stands for all that no run made.
        let runs: Vec<(i64, i64)> = sqlx::query_as(
            "select run_id, max(created_at) from
                 (select run_id, created_at from alert where watch_id = ?1 order by created_at desc limit ?2)
             where run_id > 0 group by run_id order by 2 desc, 1 desc",
        )
        .bind(watch_id)
        // A run may tell of many at once.
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_mul(8))
        .fetch_all(&self.read)
        .await?;
        let mut deliveries = Vec::new();
        for (run_id, created_at) in runs {
            let of_run = self.deliveries_of_run(run_id).await?.into_iter();
            deliveries.extend(of_run.rev().map(|delivery| (time(created_at), delivery)));
            if deliveries.len() >= limit {
                deliveries.truncate(limit);
                break;
            }
        }
        Ok(deliveries)
    }
}
