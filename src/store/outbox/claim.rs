//! Which delivery of a notifier is sent next: read, chosen by the caller's rule, and taken, in one transaction.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{Store, WriteError, from_json, millis, time};
use super::DeliveryKind;
use crate::model::{Alert, SignalState};

/// How many waiting deliveries are looked at to choose the next: the oldest. Mostly one of a few can go; only
/// when none of them can, or when many are to be gathered, more are looked at.
const LOOKED_AT: [i64; 2] = [50, 1_000];

/// What waits for one notifier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    /// In the order in which they were written; without those that another one tells, without those that are
    /// held or wait to be tried again and whose time has not come, and without what waits behind them.
    pub waiting: Vec<Waiting>,
    /// Topics of deliveries that are not among them and not delivered, with the oldest of each.
    pub ahead: Vec<(String, i64)>,
    /// When the next time of those comes.
    pub next_at: Option<Timestamp>,
    /// What was delivered lately, oldest first.
    pub sent: Vec<(Timestamp, DeliveryKind)>,
}

/// A delivery that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its place in the order in which they were written.
    pub seq: i64,
    /// What it is.
    pub kind: DeliveryKind,
    /// What is told of in order; empty for none.
    pub topic: String,
    /// Whether it waits for nothing.
    pub urgent: bool,
    /// Whether it was written in quiet hours.
    pub held: bool,
    /// Whether someone is sending it.
    pub sending: bool,
    /// Whether it tells others, and something urgent waits behind one of them.
    pub keeps_urgent: bool,
    /// How often it was tried.
    pub attempts: i64,
    /// How many parts of it were accepted.
    pub parts_done: i64,
    /// After how many of the attempts nobody knows whether it was taken.
    pub doubts: i64,
    /// How many alerts it carries.
    pub alerts: usize,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not before this: the next attempt, the end of the quiet hours, or the end of the lease.
    pub next_at: Timestamp,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send this one.
    Send(i64),
    /// Make one message of these, and send it.
    Gather(DeliveryKind, Vec<i64>),
    /// Nothing before this.
    Wait(Option<Timestamp>),
}

/// A delivery that is to be told by another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its alerts, each with how its subject is now.
    pub alerts: Vec<(Alert, Option<SignalState>)>,
}

/// The words of a message that tells others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// A delivery is ours.
    Ours(Box<Claimed>),
    /// There is nothing to send before this.
    Nothing(Option<Timestamp>),
}

/// A delivery that is ours to send until its lease runs out.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// UUID; the same on every attempt.
    pub id: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where to look.
    pub url: Option<String>,
    /// The alerts it carries.
    pub alerts: Vec<Alert>,
    /// How the subject of each alert is now.
    pub states: Vec<Option<SignalState>>,
    /// Whether it was written in quiet hours.
    pub held: bool,
    /// Whether it waits for nothing.
    pub urgent: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many parts were accepted before.
    pub parts_done: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when we try: as it was made, or as a person asked to try again.
    pub patient_since: Timestamp,
}

type WaitingRow = (i64, String, String, bool, bool, String, bool, i64, i64, i64, i64, i64, i64);
type CarriedRow = (i64, String, String, String, Option<String>, String, i64);
type ClaimedRow =
    (String, String, String, String, Option<String>, String, bool, bool, i64, i64, i64, Option<i64>);

impl Store {
    /// Takes the delivery of a notifier that `choose` chooses, for as long as `lease`. Where it makes one of
    /// several, `compose` writes its words; both are done in the transaction in which they are read.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn claim_delivery(
        &self,
        notifier: &str,
        now: Timestamp,
        lease: Duration,
        window: Option<Duration>,
        choose: impl Fn(&Queue) -> Choice + Send + 'static,
        compose: impl FnOnce(DeliveryKind, &[Carried]) -> Text + Send + 'static,
    ) -> Result<Claim, WriteError> {
        if !self.has_waiting(notifier).await? {
            return Ok(Claim::Nothing(None));
        }
        let notifier = notifier.to_owned();
        let until = now.checked_add(lease).unwrap_or(now);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let mut choice = Choice::Wait(None);
                    for most in LOOKED_AT {
                        let queue = queue(connection, &notifier, now, window, most).await?;
                        choice = choose(&queue);
                        let is_all = i64::try_from(queue.waiting.len()).is_ok_and(|count| count < most);
                        if is_all || matches!(choice, Choice::Send(_)) {
                            break;
                        }
                    }
                    let seq = match choice {
                        Choice::Wait(until) => return Ok(Claim::Nothing(until)),
                        Choice::Send(seq) => seq,
                        Choice::Gather(kind, seqs) => {
                            let (ids, carried) = carried(connection, &seqs).await?;
                            let text = compose(kind, &carried);
                            carry(connection, &notifier, kind, text, &ids, &carried, now).await?
                        }
                    };
                    take(connection, seq, until).await.map(|claimed| Claim::Ours(Box::new(claimed)))
                })
            })
            .await
    }

    /// What waits for a notifier, for whoever only looks.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn queue(
        &self,
        notifier: &str,
        now: Timestamp,
        window: Option<Duration>,
    ) -> Result<Queue, sqlx::Error> {
        let mut connection = self.read.acquire().await?;
        let [few, _] = LOOKED_AT;
        queue(&mut connection, notifier, now, window, few).await
    }

    /// Whether anything waits for a notifier; asked often, and of the readers.
    async fn has_waiting(&self, notifier: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select exists (select 1 from delivery where notifier = ? and status in ('pending', 'sending'))",
        )
        .bind(notifier)
        .fetch_one(&self.read)
        .await
    }
}

/// Topics with something urgent in them: what is older there goes first, held or not.
macro_rules! urgent_topics {
    () => {
        "(select topic from delivery where notifier = ?1 and status in ('pending', 'sending') and urgent = 1
            and topic <> '')"
    };
}

/// Whether something urgent waits behind what it tells.
macro_rules! keeps_urgent {
    () => {
        concat!(
            "exists (select 1 from delivery told where told.carried_by = delivery.id and told.topic in ",
            urgent_topics!(),
            ")"
        )
    };
}

/// The columns of a delivery that waits and is at hand; what follows narrows it down. What no rule could let go
/// is not read: behind one that fails, any number may wait.
macro_rules! waiting {
    ($and:expr) => {
        concat!(
            "select seq, kind, topic, urgent, held, status, kind in ('brief', 'bundle', 'digest') and ",
            keeps_urgent!(),
            ", attempts, parts_done, doubts, json_array_length(alert_ids), created_at,
                    case status when 'pending' then next_attempt_at else lease_until end
             from delivery
             where notifier = ?1 and status in ('pending', 'sending') and carried_by is null
               and (attempts = 0 or status = 'sending' or next_attempt_at <= ?2)
               and (held = 0 or attempts > 0 or next_attempt_at <= ?2 or topic in ",
            urgent_topics!(),
            ") and (topic = '' or not exists (
                        select 1 from delivery older
                        where older.notifier = ?1 and older.topic = delivery.topic and older.seq < delivery.seq
                          and older.status in ('pending', 'sending')
                          and (older.carried_by is not null or older.held = 1)
                          and older.carried_by is not null)
                    and not exists (
                        select 1 from delivery older
                        where older.notifier = ?1 and older.topic = delivery.topic and older.seq < delivery.seq
                          and older.status in ('pending', 'sending') and older.attempts > 0
                          and case older.status when 'pending' then older.next_attempt_at
                              else older.lease_until end > ?2)) ",
            $and,
            " order by seq limit ?3"
        )
    };
}

async fn queue(
    connection: &mut SqliteConnection,
    notifier: &str,
    now: Timestamp,
    window: Option<Duration>,
    most: i64,
) -> Result<Queue, sqlx::Error> {
    let read = async |connection: &mut SqliteConnection, sql: &'static str| {
        let rows: Vec<WaitingRow> =
            sqlx::query_as(sql).bind(notifier).bind(millis(now)).bind(most).fetch_all(connection).await?;
        Ok::<Vec<Waiting>, sqlx::Error>(rows.into_iter().map(waiting).collect())
    };
    let mut rows = read(connection, waiting!("")).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count >= most) && has_urgent(connection, notifier).await? {
        // What is urgent stands in no queue.
        rows.extend(read(connection, waiting!(concat!("and topic in ", urgent_topics!()))).await?);
        let carriers = waiting!(concat!("and kind in ('brief', 'bundle', 'digest') and ", keeps_urgent!()));
        rows.extend(read(connection, carriers).await?);
        rows.sort_by_key(|row| row.seq);
        rows.dedup_by_key(|row| row.seq);
    }
    // Those that are carried, and the held and the tried ones that `waiting!` leaves out.
    let ahead: Vec<(String, i64, Option<i64>)> = sqlx::query_as(concat!(
        "select topic, min(seq), min(case when carried_by is null then next_attempt_at end) from delivery
         where notifier = ?1 and status in ('pending', 'sending') and (carried_by is not null or held = 1)
           and (carried_by is not null
                or not (attempts > 0 or next_attempt_at <= ?2 or topic in ",
        urgent_topics!(),
        ")) group by topic
         union all
         select topic, min(seq), min(next_attempt_at) from delivery
         where notifier = ?1 and status in ('pending', 'sending') and attempts > 0
           and status = 'pending' and carried_by is null and next_attempt_at > ?2 group by topic"
    ))
    .bind(notifier)
    .bind(millis(now))
    .fetch_all(&mut *connection)
    .await?;
    let sent: Vec<(i64, String)> = match window {
        None => Vec::new(),
        Some(window) => {
            sqlx::query_as(
                "select delivered_at, kind from delivery
                 where notifier = ? and carried_by is null and delivered_at between ? and ?
                 order by delivered_at",
            )
            .bind(notifier)
            .bind(now.checked_sub(window).map_or(i64::MIN, millis))
            // A time that is still to come is one from before the clock was set back.
            .bind(millis(now))
            .fetch_all(connection)
            .await?
        }
    };
    Ok(Queue {
        waiting: rows,
        next_at: ahead.iter().filter_map(|(_, _, at)| *at).min().map(time),
        ahead: ahead.into_iter().map(|(topic, seq, _)| (topic, seq)).collect(),
        sent: sent.into_iter().map(|(at, kind)| (time(at), DeliveryKind::of(&kind))).collect(),
    })
}

async fn has_urgent(connection: &mut SqliteConnection, notifier: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select 1 from delivery
                        where notifier = ? and status in ('pending', 'sending') and urgent = 1)",
    )
    .bind(notifier)
    .fetch_one(connection)
    .await
}

fn waiting(row: WaitingRow) -> Waiting {
    let (seq, kind, topic, urgent, held, status, keeps_urgent, attempts, parts_done, doubts, alerts, ..) =
        row;
    let (.., created_at, next_at) = row;
    Waiting {
        seq,
        kind: DeliveryKind::of(&kind),
        topic,
        urgent,
        held,
        sending: status == "sending",
        keeps_urgent,
        attempts,
        parts_done,
        doubts,
        alerts: usize::try_from(alerts).unwrap_or(0),
        created_at: time(created_at),
        next_at: time(next_at),
    }
}

/// The deliveries that are to be told by another one, with their ids.
async fn carried(
    connection: &mut SqliteConnection,
    seqs: &[i64],
) -> Result<(Vec<String>, Vec<Carried>), sqlx::Error> {
    let rows: Vec<CarriedRow> = sqlx::query_as(
        "select seq, id, title, body, url, alert_ids, created_at from delivery
         where seq in (select value from json_each(?)) order by seq",
    )
    .bind(super::super::json(&seqs)?)
    .fetch_all(&mut *connection)
    .await?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut carried = Vec::with_capacity(rows.len());
    for (_, id, title, body, url, alert_ids, created_at) in rows {
        let alerts = alerts_now(connection, &alert_ids).await?;
        ids.push(id);
        carried.push(Carried { title, body, url, created_at: time(created_at), alerts });
    }
    Ok((ids, carried))
}

/// Alerts, each with how its subject is now. What the daemon says of a host is kept under the daemon itself.
async fn alerts_now(
    connection: &mut SqliteConnection,
    alert_ids: &str,
) -> Result<Vec<(Alert, Option<SignalState>)>, sqlx::Error> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select alert.alert, coalesce(own.state, ours.state)
         from json_each(?) wanted join alert on alert.id = wanted.value
         left join signal_state own on own.watch_id = alert.watch_id and own.strategy = alert.strategy
                                   and own.subject = alert.subject
         left join signal_state ours on ours.watch_id = 0 and ours.strategy = alert.strategy
                                    and ours.subject = alert.subject
         order by wanted.key",
    )
    .bind(alert_ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(alert, state)| Ok((from_json(&alert)?, state.as_deref().map(from_json).transpose()?)))
        .collect()
}

/// Writes the message that tells the others, and answers its place.
async fn carry(
    connection: &mut SqliteConnection,
    notifier: &str,
    kind: DeliveryKind,
    text: Text,
    ids: &[String],
    carried: &[Carried],
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let id = Uuid::now_v7().to_string();
    let alerts: Vec<&str> = carried.iter().flat_map(|one| &one.alerts).map(|(alert, _)| &*alert.id).collect();
    let seq = sqlx::query_scalar(
        "insert into delivery
             (id, run_id, notifier, kind, title, body, url, alert_ids, status, created_at, next_attempt_at)
         values (?, 0, ?, ?, ?, ?, ?, ?, 'pending', ?, 0) returning seq",
    )
    .bind(&id)
    .bind(notifier)
    .bind(kind.as_str())
    .bind(text.title)
    .bind(text.body)
    .bind(text.url)
    .bind(super::super::json(&alerts)?)
    .bind(millis(now))
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("update delivery set carried_by = ? where id in (select value from json_each(?))")
        .bind(id)
        .bind(super::super::json(&ids)?)
        .execute(connection)
        .await?;
    Ok(seq)
}

/// Makes a delivery ours. It may be taken from now on, until its settlement says otherwise; and what began,
/// perhaps in quiet hours because something urgent waited behind it, goes on at once after a crash.
async fn take(connection: &mut SqliteConnection, seq: i64, until: Timestamp) -> Result<Claimed, sqlx::Error> {
    let row: ClaimedRow = sqlx::query_as(
        "update delivery set status = 'sending', attempts = attempts + 1, doubts = doubts + 1,
                next_attempt_at = 0, lease_until = ?2
         where seq = ?1
         returning id, kind, title, body, url, alert_ids, held, urgent, attempts, parts_done, created_at,
                   retried_at",
    )
    .bind(seq)
    .bind(millis(until))
    .fetch_one(&mut *connection)
    .await?;
    let (id, kind, title, body, url, alert_ids, held, urgent, attempts, parts_done, created_at, retried_at) =
        row;
    let (alerts, states) = alerts_now(connection, &alert_ids).await?.into_iter().unzip();
    let created_at = time(created_at);
    Ok(Claimed {
        id,
        kind: DeliveryKind::of(&kind),
        title,
        body,
        url,
        alerts,
        states,
        held,
        urgent,
        attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
        parts_done: u32::try_from(parts_done).unwrap_or(0),
        created_at,
        patient_since: retried_at.map_or(created_at, |at| created_at.max(time(at))),
    })
}

#[cfg(test)]
impl Store {
    /// Takes the oldest delivery whose time has come.
    pub(crate) async fn claim_oldest(&self, notifier: &str, now: Timestamp) -> Option<Claimed> {
        let oldest = move |queue: &Queue| {
            let due = queue.waiting.iter().find(|one| !one.sending && one.next_at <= now);
            due.map_or(Choice::Wait(None), |one| Choice::Send(one.seq))
        };
        let words = |_, _: &[Carried]| Text::default();
        let claimed = self.claim_delivery(notifier, now, Duration::from_secs(60), None, oldest, words).await;
        match claimed.unwrap() {
            Claim::Ours(claimed) => Some(*claimed),
            Claim::Nothing(_) => None,
        }
    }
}
