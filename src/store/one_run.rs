//! One run that is over: what is stored of it, what was settled on before it, and what it told.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Store, Waited, from_json, millis, time};
use crate::model::{Alert, SignalState};

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its row.
    pub id: i64,
    /// What asked for it.
    pub trigger: String,
    /// The slot.
    pub due_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was decided.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: String,
    /// Why, where it failed or was blocked.
    pub error: Option<String>,
    /// How many observations, signals and alerts it had.
    pub counts: [i64; 3],
    /// Its verdicts as JSON; nothing where nothing was judged.
    pub verdicts: Option<String>,
    /// How long it waited for its hosts' turns.
    pub waited: Waited,
}

/// A delivery as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// UUID.
    pub id: String,
    /// To whom.
    pub notifier: String,
    /// One line.
    pub title: String,
    /// `pending`, `sending`, `delivered` or `dead`.
    pub status: String,
    /// Whether it was written in quiet hours.
    pub held: bool,
    /// The brief, bundle or digest that tells it: its id and title.
    pub carried_by: Option<(String, String)>,
    /// How many attempts there were.
    pub attempts: i64,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
    /// The alerts it carries.
    pub alert_ids: Vec<String>,
    /// Each attempt, with what came of it and why.
    pub tries: Vec<(Timestamp, String, Option<String>)>,
}

pub(super) type RunTuple =
    (i64, String, i64, i64, i64, String, Option<String>, i64, i64, i64, Option<String>, i64, Option<String>);
/// What is read of a run, in the order of [`RunTuple`].
macro_rules! run_columns {
    () => {
        r#"select id, "trigger", due_at, started_at, finished_at, outcome, error, observations,
                  signals, alerts, verdicts, waited_ms, waited_for "#
    };
}
pub(super) use run_columns;

type DeliveryTuple = (
    String,
    String,
    String,
    String,
    bool,
    Option<String>,
    Option<String>,
    i64,
    i64,
    Option<String>,
    Option<i64>,
    String,
);

impl Store {
    /// The last run of a watch, or the last one whose slot is not after a moment. Repairs are no runs of a
    /// slot.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn run_at(&self, watch_id: i64, at: Option<Timestamp>) -> Result<Option<RunRow>, sqlx::Error> {
        let id = match at {
            Some(at) => self.run_of_slot(watch_id, at).await?,
            None => self.last_run(watch_id).await?,
        };
        let row: Option<RunTuple> = sqlx::query_as(concat!(run_columns!(), "from run where id = ?"))
            .bind::<Option<i64>>(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(run_row))
    }

    /// When a watch last read an answer, at a run or before it.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_read_at(&self, watch_id: i64, run: &RunRow) -> Result<Option<Timestamp>, sqlx::Error> {
        let at: Option<i64> = sqlx::query_scalar(
            r#"select max(started_at) from run
               where watch_id = ? and outcome <> 'unchanged' and observations > 0 and started_at <= ?
                 and "trigger" <> 'repair'"#,
        )
        .bind(watch_id)
        .bind(millis(run.started_at))
        .fetch_one(&self.read)
        .await?;
        Ok(at.map(time))
    }

    /// What each strategy of a watch had settled on before a run, by strategy and subject: what the first
    /// change since then says was so before it, and where nothing changed what is so now.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn signal_states_before(
        &self,
        watch_id: i64,
        run_id: i64,
    ) -> Result<HashMap<String, HashMap<String, SignalState>>, sqlx::Error> {
        let mut states = self.signal_states(watch_id).await?;
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            r#"select strategy, subject, before from
                 (select v.value ->> 'strategy' strategy, v.value ->> 'subject' subject,
                         v.value -> 'before' before, min(r.id)
                  from run r, json_each(r.verdicts) v
                  where r.id >= ? and r.watch_id = ? and instr(r.verdicts, '"before":') > 0
                    and v.value -> 'before' is not null
                  group by 1, 2)"#,
        )
        .bind(run_id)
        .bind(watch_id)
        .fetch_all(&self.read)
        .await?;
        for (strategy, subject, before) in rows {
            let of_strategy = states.entry(strategy).or_default();
            match from_json::<Option<SignalState>>(&before)? {
                Some(state) => of_strategy.insert(subject, state),
                None => of_strategy.remove(&subject),
            };
        }
        Ok(states)
    }

    /// The alerts that a run made.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alerts_of_run(&self, watch_id: i64, run: &RunRow) -> Result<Vec<Alert>, sqlx::Error> {
        let rows: Vec<String> = sqlx::query_scalar(
            "select alert from alert where watch_id = ? and created_at = ? and run_id = ? order by id",
        )
        .bind(watch_id)
        .bind(millis(run.started_at))
        .bind(run.id)
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(|alert| from_json(alert)).collect()
    }

    /// The deliveries that a run wrote, each with its attempts.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries_of_run(&self, run_id: i64) -> Result<Vec<DeliveryRow>, sqlx::Error> {
        let rows: Vec<DeliveryTuple> = sqlx::query_as(
            "select d.id, d.notifier, d.title, d.status, d.held, d.carried_by, carrier.title, d.attempts,
                    d.next_attempt_at, d.last_error, d.delivered_at, d.alert_ids
             from delivery d left join delivery carrier on carrier.id = d.carried_by
             where d.run_id = ? order by d.seq",
        )
        .bind(run_id)
        .fetch_all(&self.read)
        .await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for (
            id,
            notifier,
            title,
            status,
            held,
            carrier,
            carrier_title,
            attempts,
            next,
            last_error,
            at,
            alert_ids,
        ) in rows
        {
            let tries: Vec<(i64, String, Option<String>)> =
                sqlx::query_as("select at, outcome, why from attempt where delivery_id = ? order by attempt")
                    .bind(&id)
                    .fetch_all(&self.read)
                    .await?;
            deliveries.push(DeliveryRow {
                id,
                notifier,
                title,
                status,
                held,
                carried_by: carrier.map(|carrier| (carrier, carrier_title.unwrap_or_default())),
                attempts,
                next_attempt_at: time(next),
                last_error,
                delivered_at: at.map(time),
                alert_ids: super::from_json(&alert_ids)?,
                tries: tries.into_iter().map(|(at, outcome, why)| (time(at), outcome, why)).collect(),
            });
        }
        Ok(deliveries)
    }

    /// What a watch decided to tell last, until a moment, about each strategy's subjects, where that is not
    /// delivered: strategy, subject, status, and until when it is held over quiet hours.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn undelivered(
        &self,
        watch_id: i64,
        until: Timestamp,
    ) -> Result<Vec<(String, String, String, Option<Timestamp>)>, sqlx::Error> {
        let rows: Vec<(String, String, String, Option<i64>)> = sqlx::query_as(
            "select alert.strategy, alert.subject, delivery.status,
                    case when delivery.held = 1 and delivery.attempts = 0 and delivery.carried_by is null
                         then nullif(delivery.next_attempt_at, 0) end
             from delivery, json_each(delivery.alert_ids) told join alert on alert.id = told.value
             where delivery.status <> 'delivered' and delivery.kind in ('news', 'note')
               and alert.watch_id = ?1 and alert.created_at <= ?2
               and not exists (select 1 from alert newer
                               where newer.watch_id = ?1 and newer.strategy = alert.strategy
                                 and newer.subject = alert.subject and newer.created_at > alert.created_at
                                 and newer.created_at <= ?2)",
        )
        .bind(watch_id)
        .bind(super::millis(until))
        .fetch_all(&self.read)
        .await?;
        let row = |(strategy, subject, status, held): (_, _, _, Option<i64>)| {
            (strategy, subject, status, held.map(time))
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// What was last told about something until a moment, whichever watch it came from.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_told(
        &self,
        strategy: &str,
        subject: &str,
        until: Timestamp,
    ) -> Result<Option<Alert>, sqlx::Error> {
        let alert: Option<String> = sqlx::query_scalar(
            "select alert from alert where strategy = ? and subject = ? and created_at <= ?
             order by created_at desc, id desc limit 1",
        )
        .bind(strategy)
        .bind(subject)
        .bind(millis(until))
        .fetch_optional(&self.read)
        .await?;
        alert.as_deref().map(from_json).transpose()
    }
}

pub(super) fn run_row(
    (
        id,
        trigger,
        due_at,
        started_at,
        finished_at,
        outcome,
        error,
        seen,
        signals,
        alerts,
        verdicts,
        waited_ms,
        host,
    ): RunTuple,
) -> RunRow {
    let waited = Waited { time: Duration::from_millis(waited_ms.unsigned_abs()), host };
    RunRow {
        id,
        trigger,
        due_at: time(due_at),
        started_at: time(started_at),
        finished_at: time(finished_at),
        outcome,
        error,
        counts: [seen, signals, alerts],
        verdicts,
        waited,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::testing::at;

    #[tokio::test]
    async fn the_run_of_a_slot_is_found_among_very_many() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let options = SqliteConnectOptions::new().filename(Store::path_in(folder.path()));
        let mut connection = options.connect().await.unwrap();
        let begin = at("2026-01-01T00:00:00Z");
        // A run a minute; each hundredth is the second watch's, and one of those came two days late.
        for statement in [
            "insert into watch (id, name, origin, spec, spec_hash, created_at)
             values (1, 'busy', 'file', '{}', 0, 0), (2, 'calm', 'file', '{}', 0, 0)",
            r#"with recursive many (n) as (select 1 union all select n + 1 from many where n < 220000)
               insert into run (id, watch_id, "trigger", due_at, started_at, finished_at, outcome)
               select n, iif(n % 100, 1, 2), iif(n % 1000 = 150, 'repair', 'schedule'),
                      ?1 + n * 60000, ?1 + n * 60000, ?1 + n * 60000, 'unchanged' from many"#,
            "update run set due_at = ?1 + 147120 * 60000 where id = 150000",
            "delete from run where watch_id = 2 and id > 147100 and id < 150000",
        ] {
            sqlx::query(statement).bind(millis(begin)).execute(&mut connection).await.unwrap();
        }
        let minute = |n: i64| begin + SignedDuration::from_mins(n);
        for (watch, slot, id) in [
            (2, 0, None),
            (2, 99, None),
            (2, 100, Some(100)),
            (2, 110_050, Some(110_000)),
            (2, 147_110, Some(147_100)),
            (2, 147_120, Some(150_000)),
            (2, 150_050, Some(150_000)),
            (2, 900_000, Some(220_000)),
            (1, 110_150, Some(110_149)),
            (1, 7, Some(7)),
        ] {
            let run = store.run_at(watch, Some(minute(slot))).await.unwrap();
            assert_eq!(run.map(|run| run.id), id, "{watch} {slot}");
        }
        assert_eq!(store.run_at(2, None).await.unwrap().unwrap().id, 220_000);
    }
}
