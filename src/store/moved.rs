//! How the numbers of several watches moved in a stretch of time. A reading that has no number, such as an item
//! without a price, or an item that went, ends the number before it.

use jiff::Timestamp;

use super::{Store, json, millis, time};

/// How one number of a watch moved.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Moved {
    /// The watch.
    pub watch_id: i64,
    /// Whose number it is.
    pub subject: String,
    /// How many readings there are of it.
    pub readings: i64,
    /// The first reading: the one that stood when the time began, where there is one.
    pub first: f64,
    /// The last reading.
    pub last: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// A bar counts once, any other reading for as long as it stood.
    pub mean: f64,
    /// The square root of the mean squared distance from the mean, weighed in the same way.
    pub deviation: f64,
    /// Its place among the numbers of its watch by that, the largest first; equals share one.
    pub place: i64,
    /// Among how many.
    pub among: i64,
}

/// One reading of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was so; for a bar when it opened.
    pub at: Timestamp,
    /// The price, the last price of a bar, or the value.
    pub number: f64,
}

/// `own`, the numbers that are asked for, and `point`, their readings after ?2 and until ?3 with the one that
/// stood at ?2. Of bars only those of the length that the watch reads now.
macro_rules! points {
    ($which:literal) => {
        concat!(
            "with own as materialized (
                 select s.watch_id, s.subject, s.bars is not null as is_bar,
                        cast(s.bars ->> '$.reading.interval' as integer)
                            * case substr(s.bars ->> '$.reading.interval', -1)
                                  when 'm' then 60 when 'h' then 3600 when 'd' then 86400 else 604800 end as interval
                 from json_each(?1) wanted join subject s on s.watch_id = wanted.value ",
            $which,
            "),
             reading as materialized (
                 select own.watch_id, own.subject, o.observed_at as at, o.gone_at,
                        coalesce(o.reading ->> 'value', o.reading ->> 'price') as number
                 from own join observation o on o.watch_id = own.watch_id and o.subject = own.subject
                   and o.observed_at > ?2 and o.observed_at <= ?3
                 where not own.is_bar
                 union all
                 select own.watch_id, own.subject, o.observed_at, o.gone_at,
                        coalesce(o.reading ->> 'value', o.reading ->> 'price')
                 from own join observation o on o.id =
                     (select id from observation where watch_id = own.watch_id and subject = own.subject
                        and observed_at <= ?2 order by observed_at desc limit 1)
                 where not own.is_bar and (o.gone_at is null or o.gone_at > ?2)),
             point as (
                 select watch_id, subject, at, false as is_bar, number from reading
                 union all
                 select watch_id, subject, gone_at, false, null from reading where gone_at <= ?3
                 union all
                 select own.watch_id, own.subject, c.open_time, true, c.close
                 from own join candle c on c.watch_id = own.watch_id and c.subject = own.subject
                   and c.interval = own.interval and c.open_time > ?2 and c.open_time <= ?3
                 where own.is_bar)"
        )
    };
}

impl Store {
    /// How each number of these watches moved after one moment and until another.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn moved(
        &self,
        watch_ids: &[i64],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Moved>, sqlx::Error> {
        let mut rows: Vec<Moved> = sqlx::query_as(concat!(
            points!(""),
            ",
             stood as (
                 select watch_id, subject, at, number,
                        case when is_bar then 1.0
                             else max(lead(at, 1, ?3) over ahead - max(at, ?2), 1e-6) end as weight
                 from point window ahead as (partition by watch_id, subject order by at)),
             weighed as materialized (
                 select watch_id, subject, number, weight, row_number() over ahead as nth,
                        lead(at) over ahead is null as is_last
                 from stood where number is not null
                 window ahead as (partition by watch_id, subject order by at)),
             meant as materialized (
                 select watch_id, subject, count(*) as readings, min(number) as least, max(number) as greatest,
                        max(number) filter (where nth = 1) as first, max(number) filter (where is_last) as last,
                        sum(number * weight) / sum(weight) as mean
                 from weighed group by watch_id, subject),
             spread as (
                 select w.watch_id, w.subject,
                        -- What never moved must not be ranked by how its mean was rounded.
                        case when m.least = m.greatest then 0.0
                             else sum(w.weight * (w.number - m.mean) * (w.number - m.mean)) / sum(w.weight)
                        end as variance
                 from weighed w join meant m on m.watch_id = w.watch_id and m.subject = w.subject
                 group by w.watch_id, w.subject)
             select m.*, s.variance as deviation,
                    rank() over (partition by m.watch_id order by s.variance desc) as place,
                    count(*) over (partition by m.watch_id) as among
             from meant m join spread s on s.watch_id = m.watch_id and s.subject = m.subject
             where s.variance is not null
             order by m.watch_id, place, m.subject"
        ))
        .bind(json(&watch_ids)?)
        .bind(millis(since))
        .bind(millis(until))
        .fetch_all(&self.read)
        .await?;
        // SQLite is built without its mathematics.
        rows.iter_mut().for_each(|row| row.deviation = row.deviation.sqrt());
        Ok(rows)
    }

    /// The readings of one number that [`Store::moved`] is made of, the oldest first; the first may be older than
    /// the time, where it still stood when that began.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn points(
        &self,
        watch_id: i64,
        subject: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Point>, sqlx::Error> {
        let rows: Vec<(i64, f64)> = sqlx::query_as(concat!(
            points!("and s.subject = ?4"),
            " select at, number from point where number is not null order by at"
        ))
        .bind(json(&[watch_id])?)
        .bind(millis(since))
        .bind(millis(until))
        .bind(subject)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|(at, number)| Point { at: time(at), number }).collect())
    }
}
