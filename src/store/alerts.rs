//! What strategies settled on, and what was told.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{Store, from_json, millis, time};
use crate::model::{Alert, SignalState};

/// An alert, and when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was made.
    pub created_at: Timestamp,
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    run_id: i64,
    watch_id: i64,
    created_at: i64,
    alerts: &[Alert],
) -> Result<(), sqlx::Error> {
    if alerts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> =
        alerts.iter().map(|a| json!([a.id, a.watch, a.strategy, a.signal.subject, a.status, a])).collect();
    sqlx::query(
        "insert into alert (id, run_id, watch_id, watch, strategy, subject, status, created_at, alert)
         select value ->> 0, ?1, ?2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?3, value -> 5
         from json_each(?4)",
    )
    .bind(run_id)
    .bind(watch_id)
    .bind(created_at)
    .bind(super::json(&rows)?)
    .execute(connection)
    .await
    .map(drop)
}

impl Store {
    /// What each strategy of a watch settled on, by strategy and subject.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn signal_states(
        &self,
        watch_id: i64,
    ) -> Result<HashMap<String, HashMap<String, SignalState>>, sqlx::Error> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("select strategy, subject, state from signal_state where watch_id = ?")
                .bind(watch_id)
                .fetch_all(&self.read)
                .await?;
        let mut states: HashMap<String, HashMap<String, SignalState>> = HashMap::new();
        for (strategy, subject, state) in rows {
            states.entry(strategy).or_default().insert(subject, from_json(&state)?);
        }
        Ok(states)
    }

    /// What one strategy of a watch settled on about one subject.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn signal_state(
        &self,
        watch_id: i64,
        strategy: &str,
        subject: &str,
    ) -> Result<Option<SignalState>, sqlx::Error> {
        let state: Option<String> = sqlx::query_scalar(
            "select state from signal_state where watch_id = ? and strategy = ? and subject = ?",
        )
        .bind(watch_id)
        .bind(strategy)
        .bind(subject)
        .fetch_optional(&self.read)
        .await?;
        state.as_deref().map(from_json).transpose()
    }

    /// The last alerts, newest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alerts(
        &self,
        watch: Option<&str>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredAlert>, sqlx::Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select created_at, alert from alert
             where (?1 is null or watch = ?1) and created_at >= ?2 order by created_at desc, id desc limit ?3",
        )
        .bind(watch)
        .bind(millis(since))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(created_at, alert)| {
                Ok(StoredAlert { alert: from_json(&alert)?, created_at: time(created_at) })
            })
            .collect()
    }

    /// Who was told last about something, whichever watch it came from.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn notifiers_told(&self, strategy: &str, subject: &str) -> Result<Vec<String>, sqlx::Error> {
        notifiers_told(&mut *self.read.acquire().await?, strategy, subject).await
    }
}

/// Who was told last about something.
pub(super) async fn notifiers_told(
    connection: &mut SqliteConnection,
    strategy: &str,
    subject: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let last: Option<(String, i64, i64)> = sqlx::query_as(
        "select id, run_id, created_at from alert where strategy = ? and subject = ?
         order by created_at desc, id desc limit 1",
    )
    .bind(strategy)
    .bind(subject)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((alert, run, created_at)) = last else { return Ok(Vec::new()) };
    // Its messages were written with it; those without a run are told apart by their time.
    sqlx::query_scalar(
        "select distinct notifier from delivery
         where run_id = ?2 and (?2 <> 0 or created_at >= ?3)
           and exists (select 1 from json_each(alert_ids) told where told.value = ?1)",
    )
    .bind(alert)
    .bind(run)
    .bind(created_at)
    .fetch_all(connection)
    .await
}
