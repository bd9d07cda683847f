//! What a person sees of the outbox, and does to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;
use utoipa::ToSchema;

use super::super::{Store, WriteError, millis, time};

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits.
    Pending,
    /// It is being sent.
    Sending,
    /// It was taken.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryStatus {
    /// The word it goes by in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A delivery as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoredDelivery {
    /// UUID.
    pub id: String,
    /// To whom.
    pub notifier: String,
    /// What it is.
    #[schema(value_type = super::DeliveryKind)]
    pub kind: String,
    /// What is told of in order.
    pub topic: String,
    /// How it stands.
    #[schema(value_type = DeliveryStatus)]
    pub status: String,
    /// Whether it waits for nothing.
    pub urgent: bool,
    /// Whether it was written in quiet hours.
    pub held: bool,
    /// The delivery that tells it.
    pub carried_by: Option<String>,
    /// The oldest one of its topic, while that is not delivered and this one waits: none overtakes another.
    pub behind: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not sent before this, where it waits for a time.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
    /// When a person gave it up.
    pub dropped_at: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
}

impl StoredDelivery {
    /// Why it cannot be given up.
    #[must_use]
    pub fn why_not_dropped(&self) -> Option<String> {
        if self.status == "delivered" {
            return Some("it is delivered".into());
        }
        self.carried_by.as_ref().map(|other| format!("it is part of the delivery `{other}`"))
    }

    /// Why it cannot be tried again now, where its notifier is configured or not.
    #[must_use]
    pub fn why_not_retried(&self, is_configured: bool) -> Option<String> {
        self.why_not_dropped().or_else(|| match is_configured {
            _ if self.status == "sending" => Some("it is being sent".into()),
            true => None,
            false => Some(format!("no notifier named `{}` is configured any more", self.notifier)),
        })
    }
}

/// One try to send a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: i64,
    /// When it ended.
    pub at: Timestamp,
    /// `delivered`, `retry` or `dead`.
    #[schema(pattern = "^(delivered|retry|dead)$")]
    pub outcome: String,
    /// Why it was not taken.
    pub why: Option<String>,
}

/// Which deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Whose id, or the last part of it, begins or ends so.
    One(String),
    /// Those that are dead and nobody gave up.
    Dead,
    /// The dead ones, and those that wait to be tried again.
    Troubled,
    /// All that wait, and the dead ones.
    Open,
    /// Every one that is kept.
    All,
}

/// Deliveries as a person sees them; what follows says which.
pub(super) const SHOWN: &str = "with first as materialized (
         select notifier, topic, min(seq) as seq from delivery
         where status in ('pending', 'sending') and topic <> '' group by notifier, topic)
     select seq, id, notifier, kind, topic, status, urgent, held, carried_by,
            case when status = 'pending' and carried_by is null then
                (select older.id from first join delivery older on older.seq = first.seq
                 where first.notifier = delivery.notifier and first.topic = delivery.topic
                   and first.seq < delivery.seq) end as behind,
            attempts, created_at, next_attempt_at, delivered_at, dropped_at, last_error, title, body
     from delivery where ";

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: String,
    notifier: String,
    kind: String,
    topic: String,
    status: String,
    urgent: bool,
    held: bool,
    carried_by: Option<String>,
    behind: Option<String>,
    attempts: i64,
    created_at: i64,
    next_attempt_at: i64,
    delivered_at: Option<i64>,
    dropped_at: Option<i64>,
    last_error: Option<String>,
    title: String,
    body: String,
}

impl From<Row> for StoredDelivery {
    fn from(row: Row) -> Self {
        let waits_for_a_time = row.status == "pending" && row.next_attempt_at > 0 && row.carried_by.is_none();
        Self {
            id: row.id,
            notifier: row.notifier,
            kind: row.kind,
            topic: row.topic,
            status: row.status,
            urgent: row.urgent,
            held: row.held,
            carried_by: row.carried_by,
            behind: row.behind,
            attempts: row.attempts,
            created_at: time(row.created_at),
            next_attempt_at: waits_for_a_time.then(|| time(row.next_attempt_at)),
            delivered_at: row.delivered_at.map(time),
            dropped_at: row.dropped_at.map(time),
            last_error: row.last_error,
            title: row.title,
            body: row.body,
        }
    }
}

impl Which {
    const fn condition(&self) -> &'static str {
        match self {
            Self::One(_) | Self::All => "true",
            Self::Dead => "status = 'dead' and dropped_at is null",
            // Each part by the index that holds only such.
            Self::Troubled => {
                "seq in (select seq from delivery where status = 'dead' and dropped_at is null union all
                         select seq from delivery
                         where status in ('pending', 'sending') and status = 'pending' and attempts > 0)"
            }
            Self::Open => {
                "seq in (select seq from delivery where status = 'dead' and dropped_at is null union all
                         select seq from delivery where status in ('pending', 'sending'))"
            }
        }
    }
}

impl Store {
    /// Deliveries, the newest last; at most so many, of all of them the newest.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries(&self, which: &Which, limit: usize) -> Result<Vec<StoredDelivery>, sqlx::Error> {
        let mut query = QueryBuilder::new(SHOWN);
        query.push(which.condition());
        if let Which::One(id) = which {
            let letters = i64::try_from(id.len()).unwrap_or(i64::MAX);
            query.push(" and ").push_bind(id.to_lowercase()).push(" in (substr(id, 1, ").push_bind(letters);
            query.push("), substr(id, -").push_bind(letters).push("), substr(id, -12, min(12, ");
            query.push_bind(letters).push(")))");
        }
        query.push(" order by seq desc limit ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<Row> = query.build_query_as().fetch_all(&self.read).await?;
        Ok(rows.into_iter().rev().map(StoredDelivery::from).collect())
    }

    /// Every try to send a delivery, the first one first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn attempts(&self, delivery_id: &str) -> Result<Vec<Attempt>, sqlx::Error> {
        let rows: Vec<(i64, i64, String, Option<String>)> = sqlx::query_as(
            "select attempt, at, outcome, why from attempt where delivery_id = ? order by attempt",
        )
        .bind(delivery_id)
        .fetch_all(&self.read)
        .await?;
        let attempt = |(attempt, at, outcome, why)| Attempt { attempt, at: time(at), outcome, why };
        Ok(rows.into_iter().map(attempt).collect())
    }

    /// What another delivery tells.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn carried_titles(&self, delivery_id: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select title from delivery where carried_by = ? order by seq")
            .bind(delivery_id)
            .fetch_all(&self.read)
            .await
    }

    /// Lets these deliveries be tried again, now, and those that they tell with them.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn retry_deliveries(&self, ids: Vec<String>, now: Timestamp) -> Result<(), WriteError> {
        self.change(
            "update delivery set status = 'pending', next_attempt_at = 0, held = 0, retried_at = ?2,
                    dropped_at = null
             where status in ('pending', 'dead')
               and (id in (select value from json_each(?1)) or carried_by in (select value from json_each(?1)))",
            ids,
            now,
        )
        .await
    }

    /// Gives these deliveries up, and those that they tell with them. They stay in the list of all.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn drop_deliveries(&self, ids: Vec<String>, now: Timestamp) -> Result<(), WriteError> {
        self.change(
            "update delivery set status = 'dead', dropped_at = ?2, lease_until = null,
                    last_error = case status when 'dead' then last_error else 'dropped by hand' end
             where status <> 'delivered'
               and (id in (select value from json_each(?1)) or carried_by in (select value from json_each(?1)))",
            ids,
            now,
        )
        .await
    }

    async fn change(&self, sql: &'static str, ids: Vec<String>, now: Timestamp) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let done = sqlx::query(sql).bind(super::super::json(&ids)?).bind(millis(now));
                    done.execute(connection).await.map(drop)
                })
            })
            .await
    }
}
