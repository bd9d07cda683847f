//! What watches saw last, in a few numbers each: for a list of many of them.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, from_json, json, time};
use crate::model::{Interval, Reading};

/// What a watch saw last.
#[derive(Clone, Debug, PartialEq)]
pub struct Peek {
    /// The first of its subjects that are there, by name.
    pub subject: String,
    /// How many of them are there.
    pub subjects: i64,
    /// When the first one was last seen to be another.
    pub changed_at: Timestamp,
    /// What was read of it; bars are empty here.
    pub reading: Reading,
}

/// How many of a watch's products can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stock {
    /// How many can be bought now.
    pub buyable: i64,
    /// Of how many.
    pub products: i64,
    /// The least price of those that can.
    pub least: Option<f64>,
}

/// Whose numbers are asked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The watch.
    pub watch_id: i64,
    /// The subject.
    pub subject: &'a str,
    /// The length of its bars, where it has bars.
    pub interval: Option<Interval>,
}

impl Store {
    /// What each of these watches saw last; none of one that sees nothing.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn peeks(&self, watch_ids: &[i64]) -> Result<HashMap<i64, Peek>, sqlx::Error> {
        type Row = (i64, String, i64, i64, Option<String>, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "with first as materialized (
                 select wanted.value as watch_id, count(*) as subjects, min(subject) as subject
                 from json_each(?) wanted join subject on watch_id = wanted.value
                 where present group by wanted.value)
             select first.watch_id, first.subject, first.subjects, s.observed_at, s.bars -> 'reading', o.reading
             from first join subject s on s.watch_id = first.watch_id and s.subject = first.subject
             left join observation o on o.id = s.observation_id",
        )
        .bind(json(&watch_ids)?)
        .fetch_all(&self.read)
        .await?;
        let mut peeks = HashMap::with_capacity(rows.len());
        for (watch_id, subject, subjects, changed_at, bars, reading) in rows {
            // Without either, its history was pruned away.
            let Some(reading) = bars.or(reading) else { continue };
            let reading = from_json(&reading)?;
            peeks.insert(watch_id, Peek { subject, subjects, changed_at: time(changed_at), reading });
        }
        Ok(peeks)
    }

    /// How many products of each of these watches can be had.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn stocks(&self, watch_ids: &[i64]) -> Result<HashMap<i64, Stock>, sqlx::Error> {
        let rows: Vec<(i64, i64, i64, Option<f64>)> = sqlx::query_as(
            "select watch_id, count(*) filter (where buyable), count(*), min(price) filter (where buyable)
             from (select s.watch_id, o.reading ->> 'price' as price,
                          o.reading ->> 'availability' in ('in_stock', 'limited_availability') as buyable
                   from json_each(?) wanted join subject s on s.watch_id = wanted.value
                   join observation o on o.id = s.observation_id where s.present)
             group by watch_id",
        )
        .bind(json(&watch_ids)?)
        .fetch_all(&self.read)
        .await?;
        let stock = |(id, buyable, products, least)| (id, Stock { buyable, products, least });
        Ok(rows.into_iter().map(stock).collect())
    }

    /// The last numbers of each of these subjects, oldest first, at most so many.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn sparks(
        &self,
        wanted: &[Wanted<'_>],
        count: usize,
    ) -> Result<HashMap<i64, Vec<f64>>, sqlx::Error> {
        let key =
            |one: &Wanted<'_>| (one.watch_id, one.subject.to_owned(), one.interval.map(Interval::seconds));
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select value ->> 0, case when value ->> 2 is null then
                 (select json_group_array(number) from
                     (select coalesce(reading ->> 'value', reading ->> 'price') as number from observation
                      where watch_id = wanted.value ->> 0 and subject = wanted.value ->> 1
                      order by observed_at desc limit ?2))
             else
                 (select json_group_array(close) from
                     (select close from candle
                      where watch_id = wanted.value ->> 0 and subject = wanted.value ->> 1
                        and interval = wanted.value ->> 2
                      order by open_time desc limit ?2))
             end from json_each(?1) wanted",
        )
        .bind(json(&wanted.iter().map(key).collect::<Vec<_>>())?)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        let mut sparks = HashMap::with_capacity(rows.len());
        for (watch_id, numbers) in rows {
            let numbers: Vec<Option<f64>> = from_json(&numbers)?;
            sparks.insert(watch_id, numbers.into_iter().rev().flatten().collect());
        }
        Ok(sparks)
    }

    /// When each watch last saw something change, for sorting all of them.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn last_changes(&self) -> Result<HashMap<i64, Timestamp>, sqlx::Error> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("select watch_id, max(observed_at) from subject group by watch_id")
                .fetch_all(&self.read)
                .await?;
        Ok(rows.into_iter().map(|(id, at)| (id, time(at))).collect())
    }
}
