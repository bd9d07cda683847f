//! What came of an attempt, for the delivery, for those that it tells, and for how its notifier stands.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::{DAEMON, Store, WriteError, alerts, from_json, millis};
use super::{DeliveryKind, NewDelivery, enqueue_as};
use crate::model::{Alert, SignalState};

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
        /// Whether it was surely not taken.
        declined: bool,
    },
    /// Never again.
    Dead {
        /// Why.
        why: String,
    },
}

impl Settlement {
    /// The word it goes by in the list of attempts and on labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "retry",
            Self::Dead { .. } => "dead",
        }
    }
}

/// How a notifier stands from now on, and what is told of that.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What is settled on.
    pub state: SignalState,
    /// What is told.
    pub alert: Option<Alert>,
    /// To whom.
    pub notes: Vec<NewDelivery>,
}

impl Store {
    /// Writes down what came of an attempt. What was buried meanwhile stays dead, unless it got through.
    ///
    /// `stands` hears what the daemon settled on before about `subject` (the notifier, under the strategy
    /// `strategy`), who was told that it is in trouble, and how many messages it has cost since one was last
    /// delivered and are still dead; it answers how the notifier stands now. Answers how many notes were written.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn settle_delivery(
        &self,
        id: &str,
        settlement: Settlement,
        now: Timestamp,
        (strategy, subject): (&'static str, String),
        stands: impl FnOnce(Option<SignalState>, Vec<String>, u64) -> Option<Standing> + Send + 'static,
    ) -> Result<usize, WriteError> {
        let id = id.to_owned();
        let now = millis(now);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    note_attempt(connection, &id, &settlement, now).await?;
                    let died = write_down(connection, &id, &settlement, now).await?;
                    if died == 0 && settlement != Settlement::Delivered {
                        return Ok(0);
                    }
                    let known = known(connection, strategy, &subject).await?;
                    let heard = match &known {
                        // Only the end goes to whoever heard of the beginning.
                        Some(known) if known.firing && settlement == Settlement::Delivered => {
                            alerts::notifiers_told(&mut *connection, strategy, &subject).await?
                        }
                        _ => Vec::new(),
                    };
                    let lost = lost(connection, &id).await?;
                    let Some(standing) = stands(known, heard, lost) else { return Ok(0) };
                    stand(connection, strategy, &subject, standing, now).await
                })
            })
            .await
    }
}

async fn note_attempt(
    connection: &mut SqliteConnection,
    id: &str,
    settlement: &Settlement,
    now: i64,
) -> Result<(), sqlx::Error> {
    let why = match settlement {
        Settlement::Delivered => None,
        Settlement::Retry { why, .. } | Settlement::Dead { why } => Some(why),
    };
    sqlx::query(
        "insert or replace into attempt (delivery_id, attempt, at, outcome, why)
         select id, attempts, ?2, ?3, ?4 from delivery where id = ?1",
    )
    .bind(id)
    .bind(now)
    .bind(settlement.as_str())
    .bind(why)
    .execute(connection)
    .await
    .map(drop)
}

/// Settles a delivery and what it carries. Answers how many messages have died of it.
async fn write_down(
    connection: &mut SqliteConnection,
    id: &str,
    settlement: &Settlement,
    now: i64,
) -> Result<u64, sqlx::Error> {
    let done = match settlement {
        Settlement::Delivered => {
            sqlx::query(
                "update delivery set status = 'delivered', delivered_at = ?2, lease_until = null,
                        dropped_at = null
                 where id = ?1 or carried_by = ?1",
            )
            .bind(id)
            .bind(now)
            .execute(connection)
            .await?
        }
        Settlement::Retry { at, why, parts_done, declined } => {
            sqlx::query(
                "update delivery set status = 'pending', next_attempt_at = ?2, last_error = ?3,
                        parts_done = ?4, doubts = doubts - ?5, lease_until = null
                 where id = ?1 and status = 'sending'",
            )
            .bind(id)
            .bind(millis(*at))
            .bind(why)
            .bind(i64::from(*parts_done))
            .bind(*declined)
            .execute(connection)
            .await?
        }
        Settlement::Dead { why } => {
            sqlx::query(
                "update delivery set status = 'dead', last_error = ?2, lease_until = null
                 where (id = ?1 and status = 'sending') or (carried_by = ?1 and status = 'pending')",
            )
            .bind(id)
            .bind(why)
            .execute(connection)
            .await?
        }
    };
    Ok(match (settlement, done.rows_affected()) {
        // What it carries are the messages.
        (Settlement::Dead { .. }, rows) => rows.saturating_sub(u64::from(rows > 1)),
        _ => 0,
    })
}

/// How many messages of the notifier of a delivery have died since another one was delivered, and have neither
/// been tried again since nor been given up by a person.
async fn lost(connection: &mut SqliteConnection, id: &str) -> Result<u64, sqlx::Error> {
    let lost: i64 = sqlx::query_scalar(
        "with ours as (select notifier from delivery where id = ?1),
              last as (select coalesce(max(delivered_at), 0) as at from delivery
                       where notifier = (select notifier from ours) and carried_by is null
                         and delivered_at > 0 and id <> ?1)
         select count(*) from delivery
         where kind not in ('brief', 'bundle', 'digest') and status = 'dead' and dropped_at is null
           and notifier = (select notifier from ours)
           and coalesce(carried_by, id) in (select delivery_id from attempt
                                            where at >= (select at from last) and outcome = 'dead')",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(lost).unwrap_or(0))
}

async fn known(
    connection: &mut SqliteConnection,
    strategy: &str,
    subject: &str,
) -> Result<Option<SignalState>, sqlx::Error> {
    let state: Option<String> = sqlx::query_scalar(
        "select state from signal_state where watch_id = ? and strategy = ? and subject = ?",
    )
    .bind(DAEMON)
    .bind(strategy)
    .bind(subject)
    .fetch_optional(connection)
    .await?;
    state.as_deref().map(from_json).transpose()
}

async fn stand(
    connection: &mut SqliteConnection,
    strategy: &str,
    subject: &str,
    standing: Standing,
    now: i64,
) -> Result<usize, sqlx::Error> {
    sqlx::query(
        "insert or replace into signal_state (watch_id, strategy, subject, state) values (?, ?, ?, ?)",
    )
    .bind(DAEMON)
    .bind(strategy)
    .bind(subject)
    .bind(super::super::json(&standing.state)?)
    .execute(&mut *connection)
    .await?;
    alerts::insert(connection, 0, DAEMON, now, standing.alert.as_slice()).await?;
    enqueue_as(connection, 0, DeliveryKind::Note, &standing.notes).await?;
    Ok(standing.notes.len())
}
