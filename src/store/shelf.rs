//! What a watch has seen, subject by subject, for whoever looks at them all.

use jiff::Timestamp;

use super::{Store, from_json, time};
use crate::model::{Interval, Listing, Reading};

/// A subject of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSubject {
    /// Its name.
    pub subject: String,
    /// Whether it is still there.
    pub present: bool,
    /// When it was last looked at and something was new.
    pub last_seen_at: Timestamp,
    /// The length of its bars, where it has bars.
    pub interval: Option<Interval>,
}

/// An item of a shop, as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The subject.
    pub subject: String,
    /// What was seen.
    pub listing: Listing,
    /// Where a person can look at it.
    pub url: Option<String>,
    /// Since when nothing about it has changed.
    pub observed_at: Timestamp,
    /// When a complete answer no longer mentioned it.
    pub gone_at: Option<Timestamp>,
    /// The lowest price that is kept.
    pub lowest_price: Option<f64>,
    /// From when on it could last be bought.
    pub in_stock_from: Option<Timestamp>,
    /// When that was over; `None` while it can be bought.
    pub in_stock_until: Option<Timestamp>,
}

type ItemRow =
    (String, i64, Option<String>, String, Option<i64>, bool, Option<f64>, Option<i64>, Option<i64>);

impl Store {
    /// The subjects of a watch whose names hold a text, those that are still there first; at most so many. And
    /// how many there are.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn known_subjects(
        &self,
        watch_id: i64,
        find: &str,
        limit: usize,
    ) -> Result<(Vec<KnownSubject>, usize), sqlx::Error> {
        let rows: Vec<(String, bool, i64, Option<String>)> = sqlx::query_as(
            "select subject, present, last_seen_at, bars -> 'reading' ->> 'interval' from subject
             where watch_id = ?1 and instr(lower(subject), lower(?2)) > 0
             order by present desc, subject limit ?3",
        )
        .bind(watch_id)
        .bind(find)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        let subject = |(subject, present, last_seen_at, interval): (_, _, _, Option<String>)| KnownSubject {
            subject,
            present,
            last_seen_at: time(last_seen_at),
            interval: interval.and_then(|interval| interval.parse().ok()),
        };
        let found: Vec<KnownSubject> = rows.into_iter().map(subject).collect();
        let count: i64 = sqlx::query_scalar(
            "select count(*) from subject where watch_id = ?1 and instr(lower(subject), lower(?2)) > 0",
        )
        .bind(watch_id)
        .bind(find)
        .fetch_one(&self.read)
        .await?;
        Ok((found, usize::try_from(count).unwrap_or_default()))
    }

    /// One subject of a watch.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn known_subject(
        &self,
        watch_id: i64,
        subject: &str,
    ) -> Result<Option<KnownSubject>, sqlx::Error> {
        let row: Option<(bool, i64, Option<String>)> = sqlx::query_as(
            "select present, last_seen_at, bars -> 'reading' ->> 'interval' from subject
             where watch_id = ? and subject = ?",
        )
        .bind(watch_id)
        .bind(subject)
        .fetch_optional(&self.read)
        .await?;
        Ok(row.map(|(present, last_seen_at, interval)| KnownSubject {
            subject: subject.to_owned(),
            present,
            last_seen_at: time(last_seen_at),
            interval: interval.and_then(|interval| interval.parse().ok()),
        }))
    }

    /// The items of a shop whose name or number holds a text: of those that are there, what can be bought first;
    /// of those that are gone, the last ones first. At most so many, or one alone.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn items(
        &self,
        watch_id: i64,
        which: Shelf<'_>,
        limit: usize,
    ) -> Result<Vec<Item>, sqlx::Error> {
        let (present, find, one) = match which {
            Shelf::There { find } => (Some(true), find, None),
            Shelf::Gone { find } => (Some(false), find, None),
            Shelf::One(subject) => (None, "", Some(subject)),
        };
        let rows: Vec<ItemRow> = sqlx::query_as(
            "with page as materialized (
                 select s.watch_id, s.subject, s.present, o.observed_at, o.url, o.reading, o.gone_at,
                        o.reading ->> 'availability' in ('in_stock', 'limited_availability') as buyable,
                        o.reading ->> 'name' as name
                 from subject s join observation o on o.id = s.observation_id
                 where s.watch_id = ?1 and (?2 is null or s.present = ?2) and (?4 is null or s.subject = ?4)
                   and o.reading ->> 'kind' = 'listing'
                   and (?3 = '' or instr(lower(s.subject || ' ' || (o.reading ->> 'name')), lower(?3)) > 0)
                 order by case when s.present then 0 else -o.gone_at end, buyable desc, name, s.subject limit ?5),
             sold as (
                 select page.*,
                        (select min(reading ->> 'price') from observation o
                         where o.watch_id = page.watch_id and o.subject = page.subject
                           and o.reading ->> 'kind' = 'listing') as lowest,
                        (select max(observed_at) from observation o
                         where o.watch_id = page.watch_id and o.subject = page.subject
                           and o.reading ->> 'availability' in ('in_stock', 'limited_availability')) as sold_at
                 from page)
             select subject, observed_at, url, reading, gone_at, present, lowest, sold_at,
                    (select min(observed_at) from observation o
                     where o.watch_id = sold.watch_id and o.subject = sold.subject
                       and o.observed_at > sold.sold_at) as sold_until
             from sold",
        )
        .bind(watch_id)
        .bind(present)
        .bind(find)
        .bind(one)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().filter_map(|row| item(row).transpose()).collect()
    }
}

/// Which items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf<'a> {
    /// Those that were there last time, with this text in their name or number.
    There {
        /// The text; empty for all.
        find: &'a str,
    },
    /// Those that a complete answer no longer mentioned.
    Gone {
        /// The text; empty for all.
        find: &'a str,
    },
    /// This subject.
    One(&'a str),
}

fn item(
    (subject, observed_at, url, reading, gone_at, present, lowest_price, sold_at, sold_until): ItemRow,
) -> Result<Option<Item>, sqlx::Error> {
    let Reading::Listing(listing) = from_json(&reading)? else { return Ok(None) };
    let gone_at = gone_at.filter(|_| !present);
    Ok(Some(Item {
        subject,
        listing,
        url,
        observed_at: time(observed_at),
        gone_at: gone_at.map(time),
        lowest_price,
        in_stock_from: sold_at.map(time),
        // Nothing came after it: it can be bought now, or could be until it was gone.
        in_stock_until: sold_until.or(gone_at).map(time),
    }))
}
