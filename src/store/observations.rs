//! What was seen: the last view of each subject, and its history.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::runs::{Found, signed};
use super::{Store, from_json, millis, time};
use crate::model::{Candle, Interval, Observation, Past, Reading};

/// What was last seen of one subject.
#[derive(Clone, Debug)]
pub struct LastSeen {
    /// The observation; candles are empty here and read by [`Store::candles`].
    pub observation: Observation,
    /// Which request's answer it stood in.
    pub request: u64,
    /// Whether it is still there.
    pub present: bool,
    /// XXH3-64 of the reading.
    pub hash: u64,
    /// Its row of the history.
    pub observation_id: Option<i64>,
    /// When it was last seen so.
    pub last_seen_at: Timestamp,
}

/// One line of a watch's history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// What was seen.
    pub observation: Observation,
    /// The last run that still saw the same.
    pub last_seen_at: Timestamp,
}

/// Writes what a run saw. `seen_at` is when it ran.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    watch_id: i64,
    seen_at: i64,
    found: &Found,
) -> Result<(), sqlx::Error> {
    if !found.seen_again.is_empty() {
        sqlx::query(
            "update observation set last_seen_at = max(last_seen_at, ?), times_seen = times_seen + 1
             where id in (select value from json_each(?))",
        )
        .bind(seen_at)
        .bind(super::json(&found.seen_again)?)
        .execute(&mut *connection)
        .await?;
    }
    let history: Vec<Value> = found
        .seen
        .iter()
        .filter(|seen| !matches!(seen.observation.reading, Reading::Candles { .. }))
        .map(|seen| {
            let observation = &seen.observation;
            json!([
                observation.subject,
                millis(observation.observed_at),
                observation.url,
                observation.reading
            ])
        })
        .collect();
    if !history.is_empty() {
        // A dated value that was revised is an update of its date, never a new row.
        sqlx::query(
            "insert into observation
                 (watch_id, subject, observed_at, last_seen_at, first_seen_at, url, reading)
             select ?1, value ->> 0, value ->> 1, ?2, ?2, value ->> 2, value -> 3
             from json_each(?3) where true
             on conflict (watch_id, subject, observed_at) do update
             set reading = excluded.reading, url = excluded.url, last_seen_at = excluded.last_seen_at,
                 gone_at = null",
        )
        .bind(watch_id)
        .bind(seen_at)
        .bind(super::json(&history)?)
        .execute(&mut *connection)
        .await?;
    }
    let latest: Vec<Value> = found
        .seen
        .iter()
        .filter(|seen| seen.newest)
        .map(|seen| {
            let observation = &seen.observation;
            let bars = match &observation.reading {
                Reading::Candles { interval, .. } => {
                    let reading = Reading::Candles { interval: *interval, candles: Vec::new() };
                    json!({"url": observation.url, "reading": reading})
                }
                _ => Value::Null,
            };
            json!([
                observation.subject,
                signed(seen.request),
                signed(seen.hash),
                millis(observation.observed_at),
                bars
            ])
        })
        .collect();
    if !latest.is_empty() {
        sqlx::query(
            "insert or replace into subject
                 (watch_id, subject, request, present, hash, observed_at, bars, last_seen_at, observation_id)
             select ?1, value ->> 0, value ->> 1, 1, value ->> 2, value ->> 3, value ->> 4, ?2,
                    (select id from observation
                     where watch_id = ?1 and subject = value ->> 0 and observed_at = value ->> 3)
             from json_each(?3)",
        )
        .bind(watch_id)
        .bind(seen_at)
        .bind(super::json(&latest)?)
        .execute(&mut *connection)
        .await?;
    }
    if !found.gone.is_empty() {
        sqlx::query(
            "update observation set gone_at = ? where id in
                 (select observation_id from subject
                  where watch_id = ? and subject in (select value from json_each(?)))",
        )
        .bind(seen_at)
        .bind(watch_id)
        .bind(super::json(&found.gone)?)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "update subject set present = 0
             where watch_id = ? and subject in (select value from json_each(?))",
        )
        .bind(watch_id)
        .bind(super::json(&found.gone)?)
        .execute(&mut *connection)
        .await?;
    }
    if !found.candles.is_empty() {
        let rows: Vec<Value> = found
            .candles
            .iter()
            .map(|(subject, interval, c)| {
                json!([
                    subject,
                    interval.seconds(),
                    millis(c.open_time),
                    c.open,
                    c.high,
                    c.low,
                    c.close,
                    c.volume
                ])
            })
            .collect();
        sqlx::query(
            "insert into candle
                 (watch_id, subject, interval, open_time, open, high, low, close, volume, seen_at)
             select ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                    value ->> 6, value ->> 7, ?2 from json_each(?3) where true
             on conflict (watch_id, subject, interval, open_time) do update
             set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                 volume = excluded.volume",
        )
        .bind(watch_id)
        .bind(seen_at)
        .bind(super::json(&rows)?)
        .execute(connection)
        .await?;
    }
    Ok(())
}

type SubjectRow =
    (String, i64, bool, i64, i64, Option<String>, Option<String>, Option<String>, Option<i64>, i64);
type PastRow = (String, i64, i64, i64, Option<String>, String);
type CandleRow = (i64, f64, f64, f64, f64, f64);

/// What is stored of an observation of candles, which are in their own table.
#[derive(Deserialize)]
struct Bars {
    url: Option<String>,
    reading: Reading,
}

impl Store {
    /// The last view of each subject of a watch.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_seen(&self, watch_id: i64) -> Result<HashMap<String, LastSeen>, sqlx::Error> {
        let rows: Vec<SubjectRow> = sqlx::query_as(
            "select s.subject, s.request, s.present, s.hash, s.observed_at, s.bars, o.url, o.reading,
                    s.observation_id, s.last_seen_at
             from subject s left join observation o on o.id = s.observation_id where s.watch_id = ?",
        )
        .bind(watch_id)
        .fetch_all(&self.read)
        .await?;
        let mut seen = HashMap::with_capacity(rows.len());
        for (subject, request, present, hash, observed_at, bars, url, reading, observation_id, last) in rows {
            let Bars { url, reading } = match (bars, reading) {
                (Some(bars), _) => from_json(&bars)?,
                (None, Some(reading)) => Bars { url, reading: from_json(&reading)? },
                // Its history was pruned away: it is seen as if for the first time.
                (None, None) => continue,
            };
            let observed_at = time(observed_at);
            let last_seen = LastSeen {
                observation: Observation {
                    subject: subject.clone(),
                    observed_at,
                    url,
                    reading,
                    evidence: Vec::new(),
                },
                request: request.cast_unsigned(),
                present,
                hash: hash.cast_unsigned(),
                observation_id,
                last_seen_at: time(last),
            };
            seen.insert(subject, last_seen);
        }
        Ok(seen)
    }

    /// The last `count` different readings of each subject, oldest first for each.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_observations(
        &self,
        watch_id: i64,
        subjects: &[&str],
        count: usize,
    ) -> Result<Vec<Past>, sqlx::Error> {
        let rows: Vec<PastRow> = sqlx::query_as(
            "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading
             from json_each(?) wanted join observation o on o.id in
                 (select id from observation where watch_id = ? and subject = wanted.value
                  order by observed_at desc limit ?)
             order by o.subject, o.observed_at",
        )
        .bind(super::json(&subjects)?)
        .bind(watch_id)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(past).collect()
    }

    /// What was observed of each subject in the `span` before `now`, and the one before that; oldest
    /// first for each.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_within(
        &self,
        watch_id: i64,
        subjects: &[&str],
        now: Timestamp,
        span: Duration,
    ) -> Result<Vec<Past>, sqlx::Error> {
        let since = now.checked_sub(span).map_or(i64::MIN, millis);
        let rows = sqlx::query_as::<_, PastRow>(
            "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading
             from json_each(?1) wanted join observation o
               on o.watch_id = ?2 and o.subject = wanted.value and o.observed_at >= coalesce(
                  (select max(observed_at) from observation
                   where watch_id = ?2 and subject = wanted.value and observed_at < ?3), ?3)
             order by o.subject, o.observed_at",
        )
        .bind(super::json(&subjects)?)
        .bind(watch_id)
        .bind(since)
        .fetch(&self.read);
        // An hour of a whole exchange is tens of thousands of rows: each is understood as it comes.
        rows.and_then(|row| std::future::ready(past(row))).try_collect().await
    }

    /// What was so of each subject this long before `now`: the last that was observed at or before then.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_ago(
        &self,
        watch_id: i64,
        subjects: &[&str],
        now: Timestamp,
        ago: Duration,
    ) -> Result<Vec<Past>, sqlx::Error> {
        let then = now.checked_sub(ago).map_or(i64::MIN, millis);
        let rows: Vec<PastRow> = sqlx::query_as(
            "select o.subject, o.observed_at, o.last_seen_at, o.times_seen, o.url, o.reading
             from json_each(?) wanted join observation o on o.id =
                 (select id from observation where watch_id = ? and subject = wanted.value
                    and observed_at <= ? order by observed_at desc limit 1)
             order by o.subject, o.observed_at",
        )
        .bind(super::json(&subjects)?)
        .bind(watch_id)
        .bind(then)
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(past).collect()
    }

    /// The last `count` stored bars of one subject, oldest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn candles(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        count: usize,
    ) -> Result<Vec<Candle>, sqlx::Error> {
        let rows: Vec<CandleRow> = sqlx::query_as(
            "select open_time, open, high, low, close, volume from candle
             where watch_id = ? and subject = ? and interval = ? order by open_time desc limit ?",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        let candle = |(open_time, open, high, low, close, volume)| Candle {
            open_time: time(open_time),
            open,
            high,
            low,
            close,
            volume,
        };
        Ok(rows.into_iter().rev().map(candle).collect())
    }

    /// A watch's history since a moment, newest last, at most `limit` lines: the newest ones. Candles
    /// come as one observation for each bar.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn history(
        &self,
        watch_id: i64,
        subject: Option<&str>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, sqlx::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<PastRow> = sqlx::query_as(
            "select subject, observed_at, last_seen_at, times_seen, url, reading from observation
             where watch_id = ?1 and (?2 is null or subject = ?2) and last_seen_at >= ?3
             order by observed_at desc limit ?4",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(since))
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        let mut history: Vec<HistoryRow> = rows
            .into_iter()
            .map(past)
            .map(|past| past.map(|p| HistoryRow { observation: p.observation, last_seen_at: p.last_seen_at }))
            .collect::<Result<_, _>>()?;
        type BarRow = (String, i64, i64, f64, f64, f64, f64, f64);
        let bars: Vec<BarRow> = sqlx::query_as(
            "select subject, interval, open_time, open, high, low, close, volume from candle
             where watch_id = ?1 and (?2 is null or subject = ?2) and open_time >= ?3
             order by open_time desc limit ?4",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(since))
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        for (subject, seconds, open_time, open, high, low, close, volume) in bars {
            let minutes = u32::try_from(seconds / 60).unwrap_or(1);
            let Some(interval) = Interval::from_minutes(minutes) else { continue };
            let open_time = time(open_time);
            let candles = vec![Candle { open_time, open, high, low, close, volume }];
            history.push(HistoryRow {
                observation: Observation {
                    subject,
                    observed_at: open_time,
                    url: None,
                    reading: Reading::Candles { interval, candles },
                    evidence: Vec::new(),
                },
                last_seen_at: open_time,
            });
        }
        history.sort_by_key(|row| row.observation.observed_at);
        Ok(history)
    }
}

fn past(
    (subject, observed_at, last_seen_at, times_seen, url, reading): PastRow,
) -> Result<Past, sqlx::Error> {
    Ok(Past {
        observation: Observation {
            subject,
            observed_at: time(observed_at),
            url,
            reading: from_json(&reading)?,
            evidence: Vec::new(),
        },
        last_seen_at: time(last_seen_at),
        times_seen: u32::try_from(times_seen).unwrap_or(u32::MAX),
    })
}
