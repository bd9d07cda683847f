//! What was known at a moment that is gone: what was seen by then.

use jiff::Timestamp;

use super::{Store, from_json, millis, time};
use crate::model::{Candle, Interval, Observation, Past};

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

type ObservationRow = (String, i64, i64, i64, Option<String>, String, Option<i64>, Option<i64>, bool);
type BarRow = (String, i64, f64, f64, f64, f64, f64, Option<i64>, bool);
/// Observations of some subjects of a watch, each with whether the next one was first seen by the same run;
/// what follows narrows them down.
macro_rules! seen {
    () => {
        "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading,
                    o.first_seen_at, o.gone_at,
                    coalesce((select n.first_seen_at from observation n
                     where n.watch_id = o.watch_id and n.subject = o.subject
                       and n.observed_at > o.observed_at order by n.observed_at limit 1)
                    = o.first_seen_at, 0)
             from json_each(?1) wanted join observation o
               on o.watch_id = ?2 and o.subject = wanted.value"
    };
}

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
        let rows: Vec<ObservationRow> = sqlx::query_as(concat!(
            seen!(),
            "
              and o.observed_at >= min(
                  coalesce((select observed_at from observation
                            where watch_id = ?2 and subject = wanted.value and observed_at <= ?3
                              and (not ?6 or coalesce(first_seen_at, observed_at) <= ?3)
                            order by observed_at desc limit 1 offset ?4), -9e18),
                  coalesce((select max(observed_at) from observation
                            where watch_id = ?2 and subject = wanted.value and observed_at <= ?5), -9e18))
             where case when ?6 then coalesce(o.first_seen_at, o.observed_at) else o.observed_at end <= ?3
             order by o.subject, o.observed_at"
        ))
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
        let rows: Vec<ObservationRow> = sqlx::query_as(concat!(
            seen!(),
            "
              and o.observed_at > ?3 and o.observed_at <= ?4
             order by o.subject, o.observed_at limit ?5"
        ))
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
}

fn seen_row(
    (subject, observed_at, last_seen_at, times_seen, url, reading, first_seen_at, gone_at, was_old): ObservationRow,
) -> Result<SeenRow, sqlx::Error> {
    let observation = Observation {
        subject,
        observed_at: time(observed_at),
        url,
        reading: from_json(&reading)?,
        evidence: Vec::new(),
    };
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
