//! What the daemon remembers about itself, and what it says of itself: notes that no run makes.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::outbox::{DeliveryKind, NewDelivery, enqueue_as};
use super::{Store, WriteError};

/// A message about the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Whether it waits for nothing: no quiet hours, no bundle, no budget.
    pub urgent: bool,
    /// The end of the quiet hours it was written in.
    pub held_until: Option<Timestamp>,
}

/// What the memo is called that changes when another program adds or removes a watch.
const WATCHES: &str = "watches";

/// What is told of in order.
const TOPIC: &str = "stakeout";

impl Store {
    /// What is remembered under a name.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn memo(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("select value from memo where name = ?")
            .bind(name)
            .fetch_optional(&self.read)
            .await
    }

    /// What is another after each change of which the daemon is to know (see
    /// [`super::Change::is_news_to_the_daemon`]).
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_change_of_watches(&self) -> Result<Option<String>, sqlx::Error> {
        self.memo(WATCHES).await
    }

    /// Remembers a value under a name, and writes a note to each of these notifiers: both, or neither.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn remember_and_tell(
        &self,
        memo: Option<(&str, String)>,
        note: Option<(Note, Vec<String>)>,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let memo = memo.map(|(name, value)| (name.to_owned(), value));
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    if let Some((name, value)) = memo {
                        remember(connection, &name, &value).await?;
                    }
                    match note {
                        Some((note, notifiers)) => tell(connection, &note, &notifiers, now).await,
                        None => Ok(()),
                    }
                })
            })
            .await
    }
}

/// Lets the daemon know, should one be running, that another program has added or removed a watch.
pub(super) async fn note_change_of_watches(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    remember(connection, WATCHES, &Uuid::now_v7().to_string()).await
}

pub(super) async fn remember(
    connection: &mut SqliteConnection,
    name: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert or replace into memo (name, value) values (?, ?)")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await
        .map(drop)
}

/// Writes a note as a delivery to each of these notifiers.
pub(super) async fn tell(
    connection: &mut SqliteConnection,
    note: &Note,
    notifiers: &[String],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let delivery = |notifier: &String| NewDelivery {
        id: Uuid::now_v7().to_string(),
        notifier: notifier.clone(),
        title: note.title.clone(),
        body: note.body.clone(),
        url: None,
        alert_ids: Vec::new(),
        topic: TOPIC.into(),
        urgent: note.urgent,
        created_at: now,
        held_until: note.held_until,
    };
    let deliveries: Vec<NewDelivery> = notifiers.iter().map(delivery).collect();
    enqueue_as(connection, 0, DeliveryKind::Note, &deliveries).await
}
