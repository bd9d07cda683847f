//! What was seen.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;

use super::super::{Store, from_json, time};
use super::{Page, TimeSpan, push_limit, push_text};
use crate::model::{Candle, Interval, Observation};

/// An observation, with how long it stayed so.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StoredObservation {
    /// What was seen, as it was first seen.
    #[serde(flatten)]
    pub observation: Observation,
    /// The last run that read the same.
    pub last_seen_at: Timestamp,
    /// How many runs read it.
    pub times_seen: u32,
}

/// A bar with whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StoredBar {
    /// Whose bar it is.
    pub subject: String,
    /// The length of a bar.
    #[schema(value_type = String, pattern = "^[0-9]+[mhdw]$")]
    pub interval: Interval,
    /// The bar.
    #[serde(flatten)]
    pub candle: Candle,
}

type ObservationRow = (i64, String, i64, i64, i64, Option<String>, String);
type BarRow = (i64, i64, f64, f64, f64, f64, f64);

/// The place of a bar: its subject, the seconds of its interval, the milliseconds of its moment.
type BarKey = (String, i64, i64);

/// From name to name and from length to length along the key: a watch has few of them and very many bars.
const BAR_LENGTHS: &str =
    "with recursive name (subject) as (
         select min(subject) from candle
         where watch_id = ?1 and subject >= coalesce(?2, '') and (?3 is null or subject = ?3)
         union all
         select (select min(subject) from candle where watch_id = ?1 and subject > name.subject)
         from name where name.subject is not null and ?3 is null),
     length (subject, interval) as (
         select subject, (select max(interval) from candle where watch_id = ?1 and candle.subject = name.subject)
         from name
         union all
         select subject, (select max(interval) from candle
                          where watch_id = ?1 and candle.subject = length.subject and interval < length.interval)
         from length where length.interval is not null)
     select subject, interval from length where interval is not null order by subject, interval desc";

impl Store {
    /// What a watch saw but for bars, the newest first; after the time and row of the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_page(
        &self,
        (watch_id, subject): (i64, Option<&str>),
        span: TimeSpan,
        after: Option<(i64, i64)>,
        limit: usize,
    ) -> Result<Page<StoredObservation, (i64, i64)>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "select id, subject, observed_at, last_seen_at, times_seen, url, reading from observation
             where watch_id = ",
        );
        query.push_bind(watch_id);
        push_text(&mut query, "subject", subject);
        span.push(&mut query, "observed_at");
        if let Some((at, id)) = after {
            query.push(" and (observed_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        query.push(" order by observed_at desc, id desc");
        push_limit(&mut query, limit);
        let rows: Vec<ObservationRow> = query.build_query_as().fetch_all(&self.read).await?;
        let keyed = rows.into_iter().map(|row| Ok(((row.2, row.0), observation(row)?)));
        Ok(Page::of(keyed.collect::<Result<_, sqlx::Error>>()?, limit))
    }

    /// The bars of a watch by subject, for each of them the newest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn candles_page(
        &self,
        (watch_id, subject): (i64, Option<&str>),
        span: TimeSpan,
        after: Option<BarKey>,
        limit: usize,
    ) -> Result<Page<StoredBar, BarKey>, sqlx::Error> {
        let mut found: Vec<(BarKey, StoredBar)> = Vec::new();
        for (subject, interval) in self.bar_lengths(watch_id, subject, after.as_ref()).await? {
            let within = after.as_ref().filter(|key| key.0 == subject && key.1 == interval).map(|key| key.2);
            let left = limit.saturating_sub(found.len());
            found.extend(self.bars_of((watch_id, &subject, interval), span, within, left).await?);
            if found.len() > limit {
                break;
            }
        }
        Ok(Page::of(found, limit))
    }

    /// Whose bars there are and how long, in seconds: by subject, for each of them the longest first; from one
    /// on.
    async fn bar_lengths(
        &self,
        watch_id: i64,
        subject: Option<&str>,
        from: Option<&BarKey>,
    ) -> Result<Vec<(String, i64)>, sqlx::Error> {
        let found: Vec<(String, i64)> = sqlx::query_as(BAR_LENGTHS)
            .bind(watch_id)
            .bind(from.map(|key| &key.0))
            .bind(subject)
            .fetch_all(&self.read)
            .await?;
        let is_done = |(subject, interval): &(String, i64)| {
            from.is_some_and(|key| *subject == key.0 && *interval > key.1)
        };
        Ok(found.into_iter().filter(|bars| !is_done(bars)).collect())
    }

    async fn bars_of(
        &self,
        (watch_id, subject, interval): (i64, &str, i64),
        span: TimeSpan,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(BarKey, StoredBar)>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "select interval, open_time, open, high, low, close, volume from candle where watch_id = ",
        );
        query.push_bind(watch_id).push(" and subject = ").push_bind(subject.to_owned());
        query.push(" and interval = ").push_bind(interval);
        span.push(&mut query, "open_time");
        if let Some(before) = before {
            query.push(" and open_time < ").push_bind(before);
        }
        query.push(" order by open_time desc");
        push_limit(&mut query, limit);
        let rows: Vec<BarRow> = query.build_query_as().fetch_all(&self.read).await?;
        let bar = |row: BarRow| Some(((subject.to_owned(), row.0, row.1), bar(subject, row)?));
        Ok(rows.into_iter().filter_map(bar).collect())
    }
}

fn observation(row: ObservationRow) -> Result<StoredObservation, sqlx::Error> {
    let (_, subject, observed_at, last_seen_at, times_seen, url, reading) = row;
    let (observed_at, reading) = (time(observed_at), from_json(&reading)?);
    Ok(StoredObservation {
        observation: Observation { subject, observed_at, url, reading, evidence: Vec::new() },
        last_seen_at: time(last_seen_at),
        times_seen: u32::try_from(times_seen).unwrap_or(u32::MAX),
    })
}

fn bar(subject: &str, row: BarRow) -> Option<StoredBar> {
    let (seconds, open_time, open, high, low, close, volume) = row;
    let interval = Interval::from_minutes(u32::try_from(seconds / 60).ok()?)?;
    let candle = Candle { open_time: time(open_time), open, high, low, close, volume };
    Some(StoredBar { subject: subject.to_owned(), interval, candle })
}
