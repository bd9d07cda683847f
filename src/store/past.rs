//! What was known at a moment that is gone: what was seen by then, and what is stored of a run.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, from_json, millis, time};
use crate::model::{Alert, Candle, Interval, Observation, Past, SignalState};

/// An observation, with when it came and went.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRow {
    /// What was seen, and how often until now.
    pub past: Past,
    /// The run that saw it first; nothing where that was not written down.
    pub first_seen_at: Option<Timestamp>,
    /// The run in which a complete answer no longer mentioned it.
    pub gone_at: Option<Timestamp>,
    /// Whether the same run first saw a later one of the same subject too: it was old when it was seen.
    pub was_old: bool,
}

/// A bar, with when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenBar {
    /// Whose bar it is.
    pub subject: String,
    /// The bar.
    pub candle: Candle,
    /// The run that saw it first; nothing where that was not written down.
    pub seen_at: Option<Timestamp>,
    /// Whether the same run first saw a later one of the same subject too: it was old when it was seen.
    pub was_old: bool,
}

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
    /// Each attempt, with what came of it and why.
    pub tries: Vec<(Timestamp, String, Option<String>)>,
}

/// Slots that no good run stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRow {
    /// The first of them.
    pub first_due_at: Timestamp,
    /// The last of them.
    pub last_due_at: Timestamp,
    /// `skipped`, `repaired` or `failed`.
    pub outcome: String,
    /// Why.
    pub why: Option<String>,
}

type ObservationRow = (String, i64, i64, i64, Option<String>, String, Option<i64>, Option<i64>, bool);
type BarRow = (String, i64, f64, f64, f64, f64, f64, Option<i64>, bool);
type RunTuple = (i64, String, i64, i64, i64, String, Option<String>, i64, i64, i64, Option<String>);
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
);

impl Store {
    /// What was observed of each subject until a moment: the last `count`, and all since `since` with the
    /// one before that; oldest first for each. With `as_seen` only what had been seen by then.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_until(
        &self,
        watch_id: i64,
        subjects: &[String],
        until: Timestamp,
        count: usize,
        since: Timestamp,
        as_seen: bool,
    ) -> Result<Vec<SeenRow>, sqlx::Error> {
        let rows: Vec<ObservationRow> = sqlx::query_as(
            "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading,
                    o.first_seen_at, o.gone_at,
                    coalesce((select n.first_seen_at from observation n
                     where n.watch_id = o.watch_id and n.subject = o.subject
                       and n.observed_at > o.observed_at order by n.observed_at limit 1)
                    = o.first_seen_at, 0)
             from json_each(?1) wanted join observation o
               on o.watch_id = ?2 and o.subject = wanted.value
              and o.observed_at >= min(
                  coalesce((select observed_at from observation
                            where watch_id = ?2 and subject = wanted.value and observed_at <= ?3
                              and (not ?6 or coalesce(first_seen_at, observed_at) <= ?3)
                            order by observed_at desc limit 1 offset ?4), -9e18),
                  coalesce((select max(observed_at) from observation
                            where watch_id = ?2 and subject = wanted.value and observed_at <= ?5), -9e18))
             where case when ?6 then coalesce(o.first_seen_at, o.observed_at) else o.observed_at end <= ?3
             order by o.subject, o.observed_at",
        )
        .bind(super::json(&subjects)?)
        .bind(watch_id)
        .bind(millis(until))
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .bind(millis(since))
        .bind(as_seen)
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(seen_row).collect()
    }

    /// What was observed of each subject after one moment and until another, oldest first for each; `most`
    /// of it, whichever.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_between(
        &self,
        watch_id: i64,
        subjects: &[String],
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<SeenRow>, sqlx::Error> {
        let rows: Vec<ObservationRow> = sqlx::query_as(
            "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading,
                    o.first_seen_at, o.gone_at,
                    coalesce((select n.first_seen_at from observation n
                     where n.watch_id = o.watch_id and n.subject = o.subject
                       and n.observed_at > o.observed_at order by n.observed_at limit 1)
                    = o.first_seen_at, 0)
             from json_each(?1) wanted join observation o
               on o.watch_id = ?2 and o.subject = wanted.value
              and o.observed_at > ?3 and o.observed_at <= ?4
             order by o.subject, o.observed_at limit ?5",
        )
        .bind(super::json(&subjects)?)
        .bind(watch_id)
        .bind(millis(after))
        .bind(millis(until))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(seen_row).collect()
    }

    /// The last `count` bars of a subject that had opened by a moment, oldest first. With `as_seen` only
    /// what had been seen by then.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn bars_until(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        until: Timestamp,
        count: usize,
        as_seen: bool,
    ) -> Result<Vec<SeenBar>, sqlx::Error> {
        let mut rows: Vec<BarRow> = sqlx::query_as(
            "select c.subject, c.open_time, c.open, c.high, c.low, c.close, c.volume, c.seen_at,
                    coalesce((select n.seen_at from candle n
                     where n.watch_id = c.watch_id and n.subject = c.subject and n.interval = c.interval
                       and n.open_time > c.open_time order by n.open_time limit 1) = c.seen_at, 0)
             from candle c
             where c.watch_id = ?1 and c.subject = ?2 and c.interval = ?3 and c.open_time <= ?4
               and (not ?6 or coalesce(c.seen_at, c.open_time + ?3 * 1000) <= ?4)
             order by c.open_time desc limit ?5",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(until))
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .bind(as_seen)
        .fetch_all(&self.read)
        .await?;
        rows.reverse();
        Ok(rows.into_iter().map(seen_bar).collect())
    }

    /// The bars of some subjects that opened after one moment and until another, oldest first for each; `most`
    /// of them, whichever.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn bars_between(
        &self,
        watch_id: i64,
        subjects: &[(String, Interval)],
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<SeenBar>, sqlx::Error> {
        let wanted: Vec<(&str, i64)> =
            subjects.iter().map(|(subject, interval)| (subject.as_str(), interval.seconds())).collect();
        let rows: Vec<BarRow> = sqlx::query_as(
            "select c.subject, c.open_time, c.open, c.high, c.low, c.close, c.volume, c.seen_at,
                    coalesce((select n.seen_at from candle n
                     where n.watch_id = c.watch_id and n.subject = c.subject and n.interval = c.interval
                       and n.open_time > c.open_time order by n.open_time limit 1) = c.seen_at, 0)
             from json_each(?1) wanted join candle c
               on c.watch_id = ?2 and c.subject = wanted.value ->> 0 and c.interval = wanted.value ->> 1
              and c.open_time > ?3 and c.open_time <= ?4
             order by c.subject, c.open_time limit ?5",
        )
        .bind(super::json(&wanted)?)
        .bind(watch_id)
        .bind(millis(after))
        .bind(millis(until))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(seen_bar).collect())
    }

    /// When the oldest of what is kept of a watch is from.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn history_begins(&self, watch_id: i64) -> Result<Option<Timestamp>, sqlx::Error> {
        let oldest: Option<i64> = sqlx::query_scalar(
            "select min(at) from (select min(observed_at) at from observation where watch_id = ?1
                                  union all select min(open_time) from candle where watch_id = ?1)",
        )
        .bind(watch_id)
        .fetch_one(&self.read)
        .await?;
        Ok(oldest.map(time))
    }

    /// The last run of a watch, or the last one whose slot is not after a moment.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn run_at(&self, watch_id: i64, at: Option<Timestamp>) -> Result<Option<RunRow>, sqlx::Error> {
        let row: Option<RunTuple> =
            match at {
                // Runs are numbered as they come.
                None => sqlx::query_as(
                    r#"select id, "trigger", due_at, started_at, finished_at, outcome, error, observations,
                              signals, alerts, verdicts
                       from run where watch_id = ? order by id desc limit 1"#,
                )
                .bind(watch_id)
                .fetch_optional(&self.read)
                .await?,
                Some(at) => sqlx::query_as(
                    r#"select id, "trigger", due_at, started_at, finished_at, outcome, error, observations,
                              signals, alerts, verdicts
                       from run where watch_id = ? and due_at <= ? order by due_at desc, id desc limit 1"#,
                )
                .bind(watch_id)
                .bind(millis(at))
                .fetch_optional(&self.read)
                .await?,
            };
        Ok(row.map(run_row))
    }

    /// When a watch last read an answer, at a run or before it.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_read_at(&self, watch_id: i64, run: &RunRow) -> Result<Option<Timestamp>, sqlx::Error> {
        let at: Option<i64> = sqlx::query_scalar(
            "select max(started_at) from run
             where watch_id = ? and outcome <> 'unchanged' and observations > 0 and started_at <= ?",
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
            "select strategy, subject, before from
                 (select v.value ->> 'strategy' strategy, v.value ->> 'subject' subject,
                         v.value -> 'before' before, min(r.id)
                  from run r, json_each(r.verdicts) v
                  where r.id >= ? and r.watch_id = ? and r.verdicts is not null
                    and v.value -> 'before' is not null
                  group by 1, 2)",
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

    /// Runs of a watch in a span that read something new or failed: slot, start, what asked for it, how
    /// many observations.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn telling_runs(
        &self,
        watch_id: i64,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp, String, i64)>, sqlx::Error> {
        let rows: Vec<(i64, i64, String, i64)> = sqlx::query_as(
            r#"select due_at, started_at, "trigger", observations from run
               where watch_id = ? and outcome <> 'unchanged' and started_at >= ? and started_at <= ?"#,
        )
        .bind(watch_id)
        .bind(millis(from))
        .bind(millis(until))
        .fetch_all(&self.read)
        .await?;
        let row = |(due, started, trigger, observations)| (time(due), time(started), trigger, observations);
        Ok(rows.into_iter().map(row).collect())
    }

    /// The stretches of a watch's slots in a span that no good run stands for.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn gaps_between(
        &self,
        watch_id: i64,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<GapRow>, sqlx::Error> {
        let rows: Vec<(i64, i64, String, Option<String>)> = sqlx::query_as(
            "select first_due_at, last_due_at, outcome, why from gap
             where watch_id = ? and last_due_at >= ? and first_due_at <= ? order by first_due_at",
        )
        .bind(watch_id)
        .bind(millis(from))
        .bind(millis(until))
        .fetch_all(&self.read)
        .await?;
        let row = |(first, last, outcome, why)| GapRow {
            first_due_at: time(first),
            last_due_at: time(last),
            outcome,
            why,
        };
        Ok(rows.into_iter().map(row).collect())
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
                    d.next_attempt_at, d.last_error, d.delivered_at
             from delivery d left join delivery carrier on carrier.id = d.carried_by
             where d.run_id = ? order by d.seq",
        )
        .bind(run_id)
        .fetch_all(&self.read)
        .await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for (id, notifier, title, status, held, carrier, carrier_title, attempts, next, last_error, at) in
            rows
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
                tries: tries.into_iter().map(|(at, outcome, why)| (time(at), outcome, why)).collect(),
            });
        }
        Ok(deliveries)
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

fn seen_row(
    (subject, observed_at, last_seen_at, times_seen, url, reading, first_seen_at, gone_at, was_old): ObservationRow,
) -> Result<SeenRow, sqlx::Error> {
    let observation =
        Observation { subject, observed_at: time(observed_at), url, reading: from_json(&reading)? };
    let times_seen = u32::try_from(times_seen).unwrap_or(u32::MAX);
    Ok(SeenRow {
        past: Past { observation, last_seen_at: time(last_seen_at), times_seen },
        first_seen_at: first_seen_at.map(time),
        gone_at: gone_at.map(time),
        was_old,
    })
}

fn seen_bar((subject, open_time, open, high, low, close, volume, seen_at, was_old): BarRow) -> SeenBar {
    let candle = Candle { open_time: time(open_time), open, high, low, close, volume };
    SeenBar { subject, candle, seen_at: seen_at.map(time), was_old }
}

fn run_row(
    (id, trigger, due_at, started_at, finished_at, outcome, error, seen, signals, alerts, verdicts): RunTuple,
) -> RunRow {
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
    }
}
