//! What has just happened, for whoever looks on.

use super::{Store, from_json};
use crate::model::Alert;

/// A delivery, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct Moving {
    /// UUID.
    pub id: String,
    /// To whom.
    pub notifier: String,
    /// `pending`, `sending`, `delivered` or `dead`.
    pub status: String,
    /// How often it was tried.
    pub attempts: i64,
}

impl Store {
    /// The ids of the newest alerts after one, the oldest of them first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alert_ids_after(&self, id: &str, limit: i64) -> Result<Vec<String>, sqlx::Error> {
        let mut ids: Vec<String> =
            sqlx::query_scalar("select id from alert where id > ? order by id desc limit ?")
                .bind(id)
                .bind(limit)
                .fetch_all(&self.read)
                .await?;
        ids.reverse();
        Ok(ids)
    }

    /// These alerts, the oldest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alerts_by_id(&self, ids: &[String]) -> Result<Vec<Alert>, sqlx::Error> {
        let rows: Vec<String> = sqlx::query_scalar(
            "select alert from alert where id in (select value from json_each(?)) order by id",
        )
        .bind(super::json(&ids)?)
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(|alert| from_json(alert)).collect()
    }

    /// The last alerts after one, up to another and with it, the oldest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_alerts_between(
        &self,
        id: &str,
        until: &str,
        limit: i64,
    ) -> Result<Vec<Alert>, sqlx::Error> {
        let rows: Vec<String> =
            sqlx::query_scalar("select alert from alert where id > ? and id <= ? order by id desc limit ?")
                .bind(id)
                .bind(until)
                .bind(limit)
                .fetch_all(&self.read)
                .await?;
        rows.iter().rev().map(|alert| from_json(alert)).collect()
    }

    /// The newest deliveries, and the oldest of those that are not settled: where something moves.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn moving_deliveries(&self, limit: i64) -> Result<Vec<Moving>, sqlx::Error> {
        // By itself SQLite would go through all that were ever delivered to find the few that wait.
        sqlx::query_as(
            "select id, notifier, status, attempts from delivery where seq in (
                 select seq from (select seq from delivery order by seq desc limit ?1)
                 union
                 select seq from (select seq from delivery indexed by delivery_waiting
                                  where status in ('pending', 'sending') order by seq limit ?1))
             order by seq",
        )
        .bind(limit)
        .fetch_all(&self.read)
        .await
    }

    /// How these deliveries stand.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries_by_id(&self, ids: &[&str]) -> Result<Vec<Moving>, sqlx::Error> {
        sqlx::query_as(
            "select id, notifier, status, attempts from delivery
             where id in (select value from json_each(?)) order by seq",
        )
        .bind(super::json(&ids)?)
        .fetch_all(&self.read)
        .await
    }
}
