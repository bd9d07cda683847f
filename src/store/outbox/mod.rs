//! Deliveries: written with the news they carry, claimed with a lease, settled.

mod claim;
mod look;
mod page;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::SqliteConnection;
use utoipa::ToSchema;

use super::{Store, WriteError, millis};

pub use claim::{Carried, Choice, Claim, Claimed, Queue, Text, Waiting};
pub use look::{Attempt, DeliveryStatus, StoredDelivery, Which};
pub use settle::{Settlement, Standing};

/// What a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// What one run and one strategy have to tell.
    News,
    /// What the daemon has to tell of itself.
    Note,
    /// What came in quiet hours, told when they end.
    Brief,
    /// What came within a short time.
    Bundle,
    /// What was beyond the budget.
    Digest,
}

impl DeliveryKind {
    const ALL: [Self; 5] = [Self::News, Self::Note, Self::Brief, Self::Bundle, Self::Digest];

    /// The word it goes by in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::News => "news",
            Self::Note => "note",
            Self::Brief => "brief",
            Self::Bundle => "bundle",
            Self::Digest => "digest",
        }
    }

    /// Whether it tells what other deliveries were to tell.
    #[must_use]
    pub const fn is_carrier(self) -> bool {
        matches!(self, Self::Brief | Self::Bundle | Self::Digest)
    }

    fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Self::News)
    }
}

/// Quiet hours are hours of a day.
const LONGEST_HELD: Duration = Duration::from_secs(86_400);

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

pub(super) async fn enqueue(
    connection: &mut SqliteConnection,
    run_id: i64,
    deliveries: &[NewDelivery],
) -> Result<(), sqlx::Error> {
    enqueue_as(connection, run_id, DeliveryKind::News, deliveries).await
}

pub(super) async fn enqueue_as(
    connection: &mut SqliteConnection,
    run_id: i64,
    kind: DeliveryKind,
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
             (id, run_id, kind, notifier, title, body, url, alert_ids, status, created_at, next_attempt_at,
              topic, urgent, held)
         select value ->> 0, ?1, ?3, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5,
                'pending', value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10
         from json_each(?2) order by key",
    )
    .bind(run_id)
    .bind(super::json(&rows)?)
    .bind(kind.as_str())
    .execute(connection)
    .await
    .map(drop)
}

pub(super) async fn hold_anew(
    connection: &mut SqliteConnection,
    end_of: impl Fn(&str) -> Option<Option<Timestamp>>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let held: Vec<(i64, String, i64)> = sqlx::query_as(
        "select seq, topic, next_attempt_at from delivery
         where status in ('pending', 'sending') and status = 'pending' and carried_by is null and held = 1
           and attempts = 0 and next_attempt_at > ?",
    )
    .bind(millis(now))
    .fetch_all(&mut *connection)
    .await?;
    let day_end = now.checked_add(LONGEST_HELD).map_or(i64::MAX, millis);
    let ends: Vec<(i64, i64)> = held
        .iter()
        .filter_map(|(seq, topic, at)| {
            let end = end_of(topic).map_or(day_end.min(*at), |end| end.map_or(0, millis));
            (end != *at).then_some((*seq, end))
        })
        .collect();
    sqlx::query(
        "update delivery set next_attempt_at = ends.value ->> 1
         from json_each(?) ends where delivery.seq = ends.value ->> 0",
    )
    .bind(super::json(&ends)?)
    .execute(connection)
    .await
    .map(drop)
}

/// The sign keeps SQLite from the index of what is delivered and carried by none, which holds nearly all.
const COUNTS: &str =
    "select (select count(*) from delivery where status in ('pending', 'sending') and +carried_by is null),
            (select count(*) from delivery where status = 'dead' and dropped_at is null and +carried_by is null)";

impl Store {
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

    /// What waits for a notifier to be tried again waits no longer, and begins anew: it is another one now.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn hurry_deliveries(&self, notifier: &str) -> Result<(), WriteError> {
        let notifier = notifier.to_owned();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set next_attempt_at = 0, parts_done = 0, doubts = 0
                         where notifier = ? and status in ('pending', 'sending') and attempts > 0",
                    )
                    .bind(notifier)
                    .execute(connection)
                    .await
                    .map(drop)
                })
            })
            .await
    }

    /// What is held over quiet hours, and whose time has not come, is held anew: until the time that `end_of`
    /// says for its topic (none: no longer), and where it knows nothing of one, for a day at most. After the
    /// clock or the quiet hours were changed.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn hold_anew(
        &self,
        end_of: impl Fn(&str) -> Option<Option<Timestamp>> + Send + 'static,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| Box::pin(async move { hold_anew(connection, end_of, now).await }))
            .await
    }

    /// How many messages wait, and how many are dead and nobody gave them up. What is told by another is
    /// not counted beside it.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn delivery_counts(&self) -> Result<(i64, i64), sqlx::Error> {
        sqlx::query_as(COUNTS).fetch_one(&self.read).await
    }

    /// How many messages wait for each notifier that is not among these.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries_without(
        &self,
        notifiers: Vec<String>,
    ) -> Result<BTreeMap<String, usize>, sqlx::Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select notifier, count(*) from delivery
             where status in ('pending', 'sending') and kind not in ('brief', 'bundle', 'digest')
               and notifier not in (select value from json_each(?)) group by notifier",
        )
        .bind(super::json(&notifiers)?)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|(name, count)| (name, usize::try_from(count).unwrap_or(0))).collect())
    }

    /// Deliveries for notifiers that are no longer configured: nobody will ever send them. Only those made
    /// before a moment: of a later one, a newer configuration may know the notifier.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn bury_deliveries_without(
        &self,
        notifiers: Vec<String>,
        made_before: Timestamp,
    ) -> Result<u64, WriteError> {
        let is_any: bool = sqlx::query_scalar(
            "select exists (select 1 from delivery where status in ('pending', 'sending')
                                and notifier not in (select value from json_each(?)))",
        )
        .bind(super::json(&notifiers)?)
        .fetch_one(&self.read)
        .await?;
        if !is_any {
            return Ok(0);
        }
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set status = 'dead', last_error = 'this notifier is no longer configured'
                         where status in ('pending', 'sending')
                           and notifier not in (select value from json_each(?1)) and created_at < ?2",
                    )
                    .bind(super::json(&notifiers)?)
                    .bind(millis(made_before))
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected())
                })
            })
            .await
    }
}
