//! Deliveries: written with the news they carry, claimed with a lease, settled.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{Store, WriteError, from_json, millis, time};
use crate::model::Alert;

/// A message to one notifier, not yet sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// UUID, version 7.
    pub id: String,
    /// To whom.
    pub notifier: String,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
    /// The alerts it carries.
    pub alert_ids: Vec<String>,
    /// What is told of in order: no delivery overtakes an older one of its topic.
    pub topic: String,
    /// Whether it waits for nothing: no quiet hours, no bundle, no budget.
    pub urgent: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The end of the quiet hours it was written in: until then it is held, and told in a brief.
    pub held_until: Option<Timestamp>,
}

/// A delivery that is ours to send until its lease runs out.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// UUID; the same on every attempt.
    pub id: String,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
    /// The alerts it carries.
    pub alerts: Vec<Alert>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many parts were accepted before.
    pub parts_done: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was taken.
    Delivered,
    /// Try again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// What went wrong.
        why: String,
        /// How many parts were accepted.
        parts_done: u32,
    },
    /// Never again.
    Dead {
        /// Why.
        why: String,
    },
}

pub(super) async fn enqueue(
    connection: &mut SqliteConnection,
    run_id: i64,
    deliveries: &[NewDelivery],
) -> Result<(), sqlx::Error> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = deliveries
        .iter()
        .map(|d| {
            json!([
                d.id,
                d.notifier,
                d.title,
                d.body,
                d.url,
                d.alert_ids,
                millis(d.created_at),
                d.held_until.map_or(0, millis),
                d.topic,
                d.urgent,
                d.held_until.is_some()
            ])
        })
        .collect();
    sqlx::query(
        "insert into delivery
             (id, run_id, notifier, title, body, url, alert_ids, status, created_at, next_attempt_at, topic,
              urgent, held)
         select value ->> 0, ?1, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5, 'pending',
                value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10
         from json_each(?2) order by key",
    )
    .bind(run_id)
    .bind(super::json(&rows)?)
    .execute(connection)
    .await
    .map(drop)
}

type ClaimedRow = (String, String, String, Option<String>, String, i64, i64, i64);

impl Store {
    /// Takes the next due delivery of a notifier, for as long as `lease`; the oldest first.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn claim_delivery(
        &self,
        notifier: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claimed>, WriteError> {
        let notifier = notifier.to_owned();
        let now = millis(now);
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let row: Option<ClaimedRow> = sqlx::query_as(
                        "update delivery set status = 'sending', attempts = attempts + 1, lease_until = ?3
                         where id = (select id from delivery
                                     where notifier = ?1 and next_attempt_at <= ?2
                                       and (status = 'pending' or (status = 'sending' and lease_until <= ?2))
                                     order by next_attempt_at, seq limit 1)
                         returning id, title, body, url, alert_ids, attempts, parts_done, created_at",
                    )
                    .bind(notifier)
                    .bind(now)
                    .bind(until)
                    .fetch_optional(&mut *connection)
                    .await?;
                    let Some((id, title, body, url, alert_ids, attempts, parts_done, created_at)) = row
                    else {
                        return Ok(None);
                    };
                    let alerts: Vec<String> = sqlx::query_scalar(
                        "select alert.alert from json_each(?) wanted join alert on alert.id = wanted.value
                         order by wanted.key",
                    )
                    .bind(alert_ids)
                    .fetch_all(connection)
                    .await?;
                    Ok(Some(Claimed {
                        id,
                        title,
                        body,
                        url,
                        alerts: alerts.iter().map(|alert| from_json(alert)).collect::<Result<_, _>>()?,
                        attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
                        parts_done: u32::try_from(parts_done).unwrap_or(0),
                        created_at: time(created_at),
                    }))
                })
            })
            .await
    }

    /// Writes down what came of an attempt. What was buried meanwhile stays dead, unless it got through.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn settle_delivery(
        &self,
        id: &str,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let id = id.to_owned();
        let (status, why, next, parts, delivered) = match settlement {
            Settlement::Delivered => ("delivered", None, None, None, Some(millis(now))),
            Settlement::Retry { at, why, parts_done } => {
                ("pending", Some(why), Some(millis(at)), Some(i64::from(parts_done)), None)
            }
            Settlement::Dead { why } => ("dead", Some(why), None, None, None),
        };
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set status = ?2, last_error = coalesce(?3, last_error),
                             next_attempt_at = coalesce(?4, next_attempt_at),
                             parts_done = coalesce(?5, parts_done), delivered_at = ?6, lease_until = null
                         where id = ?1 and (status = 'sending' or ?2 = 'delivered')",
                    )
                    .bind(id)
                    .bind(status)
                    .bind(why)
                    .bind(next)
                    .bind(parts)
                    .bind(delivered)
                    .execute(connection)
                    .await
                    .map(drop)
                })
            })
            .await
    }

    /// Gives back what a daemon that is gone was sending. Only for the one daemon of a database.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn release_deliveries(&self) -> Result<u64, WriteError> {
        self.writer
            .write(|connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set status = 'pending', lease_until = null where status = 'sending'",
                    )
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected())
                })
            })
            .await
    }

    /// When a notifier has something to send next.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn next_delivery_at(&self, notifier: &str) -> Result<Option<Timestamp>, sqlx::Error> {
        let next: Option<i64> = sqlx::query_scalar(
            "select min(case status when 'pending' then next_attempt_at else lease_until end)
             from delivery where notifier = ? and status in ('pending', 'sending')",
        )
        .bind(notifier)
        .fetch_one(&self.read)
        .await?;
        Ok(next.map(time))
    }

    /// How many deliveries wait, and how many are dead.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn delivery_counts(&self) -> Result<(i64, i64), sqlx::Error> {
        sqlx::query_as(
            "select coalesce(sum(status in ('pending', 'sending')), 0), coalesce(sum(status = 'dead'), 0)
             from delivery",
        )
        .fetch_one(&self.read)
        .await
    }

    /// Deliveries for notifiers that are no longer configured: nobody will ever send them.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn bury_deliveries_without(&self, notifiers: Vec<String>) -> Result<u64, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set status = 'dead', last_error = 'this notifier is no longer configured'
                         where status in ('pending', 'sending')
                           and notifier not in (select value from json_each(?))",
                    )
                    .bind(super::json(&notifiers)?)
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected())
                })
            })
            .await
    }
}
