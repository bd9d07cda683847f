//! The metrics of a watch: each subject that has a number, over a span of time.

use jiff::Timestamp;

use super::super::{Store, millis, time};
use futures_util::TryStreamExt as _;

/// One reading of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRow {
    /// The subject.
    pub subject: String,
    /// When it was read; for a bar when it opened.
    pub at: Timestamp,
    /// The price, the last price of a bar, or the value.
    pub value: f64,
    /// Whether it is a bar's.
    pub is_bar: bool,
}

impl Store {
    /// Every reading of the numbers of a watch after one moment and until another, by subject, oldest first;
    /// also the last one of each before that.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn metric_readings(
        &self,
        watch_id: i64,
        subject: Option<&str>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<MetricRow>, sqlx::Error> {
        let mut rows = sqlx::query_as::<_, (String, i64, f64, bool)>(
            "select subject, observed_at as at, coalesce(reading ->> 'value', reading ->> 'price') as value,
                    false as is_bar
             from observation
             where watch_id = ?1 and observed_at > ?3 and observed_at <= ?4 and (?2 is null or subject = ?2)
               and coalesce(reading ->> 'value', reading ->> 'price') is not null
             union all
             select subject, at, value, false from (
                 select subject, max(observed_at) as at,
                        coalesce(reading ->> 'value', reading ->> 'price') as value
                 from observation
                 where watch_id = ?1 and observed_at <= ?3 and (gone_at is null or gone_at > ?3)
                   and (?2 is null or subject = ?2)
                 group by subject) where value is not null
             union all
             select subject, open_time, close, true from candle
             where watch_id = ?1 and open_time > ?3 and open_time <= ?4 and (?2 is null or subject = ?2)
             order by 1, 2",
        )
        .bind(watch_id)
        .bind(subject)
        .bind(millis(since))
        .bind(millis(until))
        .fetch(&self.read);
        let mut readings = Vec::new();
        while let Some((subject, at, value, is_bar)) = rows.try_next().await? {
            readings.push(MetricRow { subject, at: time(at), value, is_bar });
        }
        Ok(readings)
    }

    /// The subjects of a watch that have ever had a number, by name.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn metric_names(&self, watch_id: i64) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(
            "select s.subject from subject s left join observation o on o.id = s.observation_id
             where s.watch_id = ?1 and (s.bars is not null
                   or coalesce(o.reading ->> 'value', o.reading ->> 'price') is not null)
             order by s.subject",
        )
        .bind(watch_id)
        .fetch_all(&self.read)
        .await
    }
}
