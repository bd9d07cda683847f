//! The past of one subject, as a chart draws it.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Store, from_json, millis, time};
use crate::model::{Alert, Availability, Candle, Interval, Reading};

/// One observation as a chart draws it.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnRow {
    /// When it was so.
    pub at: Timestamp,
    /// The run that saw it first; nothing where that was not written down.
    pub seen_at: Option<Timestamp>,
    /// Its price or value, where it has one.
    pub number: Option<f64>,
    /// Of a product: whether it could be had.
    pub availability: Option<Availability>,
    /// When it was no longer there.
    pub gone_at: Option<Timestamp>,
}

type Row = (i64, Option<i64>, Option<f64>, Option<String>, Option<i64>);
/// The first and the last moment of a stretch, its lowest and its highest number, and what was so at its end.
type StretchRow = (i64, i64, Option<f64>, Option<f64>, Option<f64>, Option<String>, Option<i64>);
type BarRow = (i64, f64, f64, f64, f64, f64);

#[derive(Deserialize)]
struct Bars {
    reading: Reading,
}

impl Store {
    /// What was last seen of one subject; bars are left out.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_reading(&self, watch_id: i64, subject: &str) -> Result<Option<Reading>, sqlx::Error> {
        let row: Option<(Option<String>, Option<String>)> = sqlx::query_as(
            "select s.bars, coalesce(o.reading, (select reading from observation
                 where watch_id = ?1 and subject = ?2 order by observed_at desc limit 1))
             from subject s left join observation o on o.id = s.observation_id
             where s.watch_id = ?1 and s.subject = ?2",
        )
        .bind(watch_id)
        .bind(subject)
        .fetch_optional(&self.read)
        .await?;
        match row {
            Some((Some(bars), _)) => from_json::<Bars>(&bars).map(|bars| Some(bars.reading)),
            Some((None, Some(reading))) => from_json(&reading).map(Some),
            Some((None, None)) | None => Ok(None),
        }
    }

    /// The subjects of a watch by name, the first `most` of them.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn subjects_by_name(&self, watch_id: i64, most: usize) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select subject from subject where watch_id = ? order by subject limit ?")
            .bind(watch_id)
            .bind(count(most))
            .fetch_all(&self.read)
            .await
    }

    /// The bars of a subject that opened in a stretch of time, oldest first; of too many the newest `most`. With
    /// `as_seen` only what had been seen by its end.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn bars_drawn(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        (from, until): (Timestamp, Timestamp),
        as_seen: bool,
        most: usize,
    ) -> Result<Vec<Candle>, sqlx::Error> {
        let mut rows: Vec<BarRow> = sqlx::query_as(
            "select open_time, open, high, low, close, volume from candle
             where watch_id = ?1 and subject = ?2 and interval = ?3 and open_time >= ?4 and open_time <= ?5
               and (not ?6 or coalesce(seen_at, open_time) <= ?5)
             order by open_time desc limit ?7",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(from))
        .bind(millis(until))
        .bind(as_seen)
        .bind(count(most))
        .fetch_all(&self.read)
        .await?;
        rows.reverse();
        Ok(rows.into_iter().map(bar).collect())
    }

    /// The bars of a subject that opened in a stretch of time, so many together as one; oldest first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn bars_together(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        (from, until): (Timestamp, Timestamp),
        together: u32,
    ) -> Result<Vec<Candle>, sqlx::Error> {
        let rows: Vec<BarRow> = sqlx::query_as(
            "with longer as (
                 select min(open_time) as first, max(open_time) as last, max(high) as high, min(low) as low,
                        sum(volume) as volume
                 from candle
                 where watch_id = ?1 and subject = ?2 and interval = ?3 and open_time >= ?4 and open_time <= ?5
                 group by open_time / (?3 * 1000 * ?6))
             select longer.first, opened.open, longer.high, longer.low, closed.close, longer.volume
             from longer
             join candle opened on opened.watch_id = ?1 and opened.subject = ?2 and opened.interval = ?3
                               and opened.open_time = longer.first
             join candle closed on closed.watch_id = ?1 and closed.subject = ?2 and closed.interval = ?3
                               and closed.open_time = longer.last
             order by longer.first",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(from))
        .bind(millis(until))
        .bind(together)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(bar).collect())
    }

    /// What was observed of a subject in a stretch of time, and the one before it; oldest first, of too many the
    /// newest `most`.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_drawn(
        &self,
        watch_id: i64,
        subject: &str,
        (from, until): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Vec<DrawnRow>, sqlx::Error> {
        let mut rows: Vec<Row> = sqlx::query_as(
            "select observed_at, first_seen_at, coalesce(reading ->> 'price', reading ->> 'value'),
                    reading ->> 'availability', gone_at
             from observation
             where watch_id = ?1 and subject = ?2 and observed_at <= ?4 and observed_at >= coalesce(
                 (select max(observed_at) from observation
                  where watch_id = ?1 and subject = ?2 and observed_at < ?3), ?3)
             order by observed_at desc limit ?5",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(from))
        .bind(millis(until))
        .bind(count(most))
        .fetch_all(&self.read)
        .await?;
        rows.reverse();
        let row = |(at, seen_at, number, availability, gone_at): Row| DrawnRow {
            at: time(at),
            seen_at: seen_at.map(time),
            number,
            availability: availability.and_then(availability_of),
            gone_at: gone_at.map(time),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The same of so many that they are put together: of each stretch of time so long the lowest and the highest
    /// number, and what was so at its end.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn observations_together(
        &self,
        watch_id: i64,
        subject: &str,
        (from, until): (Timestamp, Timestamp),
        length_ms: i64,
    ) -> Result<Vec<DrawnRow>, sqlx::Error> {
        let rows: Vec<StretchRow> = sqlx::query_as(
            "with stretch as (
                 select min(observed_at) as first, max(observed_at) as last,
                        min(coalesce(reading ->> 'price', reading ->> 'value')) as low,
                        max(coalesce(reading ->> 'price', reading ->> 'value')) as high
                 from observation
                 where watch_id = ?1 and subject = ?2 and observed_at <= ?4 and observed_at >= coalesce(
                     (select max(observed_at) from observation
                      where watch_id = ?1 and subject = ?2 and observed_at < ?3), ?3)
                 group by observed_at / ?5)
             select stretch.first, stretch.last, stretch.low, stretch.high,
                    coalesce(o.reading ->> 'price', o.reading ->> 'value'), o.reading ->> 'availability',
                    o.gone_at
             from stretch
             join observation o on o.watch_id = ?1 and o.subject = ?2 and o.observed_at = stretch.last
             order by stretch.first",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(from))
        .bind(millis(until))
        .bind(length_ms.max(1))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().flat_map(stretch).collect())
    }

    /// When the first bar of a subject opened at or after a moment.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn first_bar_since(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        from: Timestamp,
    ) -> Result<Option<Timestamp>, sqlx::Error> {
        let first: Option<i64> = sqlx::query_scalar(
            "select min(open_time) from candle
             where watch_id = ? and subject = ? and interval = ? and open_time >= ?",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(from))
        .fetch_one(&self.read)
        .await?;
        Ok(first.map(time))
    }

    /// When the first observation of a subject was at or after a moment.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn first_observation_since(
        &self,
        watch_id: i64,
        subject: &str,
        from: Timestamp,
    ) -> Result<Option<Timestamp>, sqlx::Error> {
        let first: Option<i64> = sqlx::query_scalar(
            "select min(observed_at) from observation where watch_id = ? and subject = ? and observed_at >= ?",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(from))
        .fetch_one(&self.read)
        .await?;
        Ok(first.map(time))
    }

    /// How many bars of a subject opened in a stretch of time; counts up to `most`.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn count_of_bars(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        (from, until): (Timestamp, Timestamp),
        most: i64,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "select count(*) from (
                 select 1 from candle
                 where watch_id = ? and subject = ? and interval = ? and open_time >= ? and open_time <= ?
                 limit ?)",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(from))
        .bind(millis(until))
        .bind(most)
        .fetch_one(&self.read)
        .await
    }

    /// When the bar opened that lies so many before a moment, or the first one where there are fewer.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn nth_bar_before(
        &self,
        watch_id: i64,
        subject: &str,
        interval: Interval,
        until: Timestamp,
        nth: i64,
    ) -> Result<Option<Timestamp>, sqlx::Error> {
        let first: Option<i64> = sqlx::query_scalar(
            "select min(open_time) from (
                 select open_time from candle
                 where watch_id = ? and subject = ? and interval = ? and open_time <= ?
                 order by open_time desc limit ?)",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(interval.seconds())
        .bind(millis(until))
        .bind(nth)
        .fetch_one(&self.read)
        .await?;
        Ok(first.map(time))
    }

    /// When the observation was that lies so many before a moment, or the first one where there are fewer.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn nth_observation_before(
        &self,
        watch_id: i64,
        subject: &str,
        until: Timestamp,
        nth: i64,
    ) -> Result<Option<Timestamp>, sqlx::Error> {
        let first: Option<i64> = sqlx::query_scalar(
            "select min(observed_at) from (
                 select observed_at from observation where watch_id = ? and subject = ? and observed_at <= ?
                 order by observed_at desc limit ?)",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(until))
        .bind(nth)
        .fetch_one(&self.read)
        .await?;
        Ok(first.map(time))
    }

    /// What was told about a subject in a stretch of time, oldest first; of too many the newest `most`. What the
    /// daemon says about its own runs is left out.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alerts_of(
        &self,
        watch_id: i64,
        subject: &str,
        from: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<(Timestamp, Alert)>, sqlx::Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select created_at, alert from alert
             where watch_id = ? and subject = ? and strategy <> 'run' and created_at >= ? and created_at <= ?
             order by created_at desc, id desc limit ?",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(from))
        .bind(millis(until))
        .bind(count(most))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().rev().map(|(at, alert)| Ok((time(at), from_json(&alert)?))).collect()
    }

    /// When an alert was made.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alert_made_at(&self, id: &str) -> Result<Option<Timestamp>, sqlx::Error> {
        let made: Option<i64> = sqlx::query_scalar("select created_at from alert where id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(made.map(time))
    }
}

fn bar((open_time, open, high, low, close, volume): BarRow) -> Candle {
    Candle { open_time: time(open_time), open, high, low, close, volume }
}

/// What a stretch is drawn as: its extremes, and its end.
fn stretch((first, last, low, high, number, availability, gone_at): StretchRow) -> Vec<DrawnRow> {
    let availability = availability.and_then(availability_of);
    let row = |at: i64, number| DrawnRow { at: time(at), seen_at: None, number, availability, gone_at: None };
    let middle = first.midpoint(last);
    let mut rows = vec![DrawnRow { gone_at: gone_at.map(time), ..row(last, number) }];
    // The end is never later than what comes before it.
    if high.is_some() && high != number && middle < last {
        rows.insert(0, row(middle, high));
    }
    if low.is_some() && low != number && first < middle {
        rows.insert(0, row(first, low));
    }
    rows
}

fn availability_of(word: String) -> Option<Availability> {
    serde_json::from_value(word.into()).ok()
}

/// A number of rows as SQLite counts them.
fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
