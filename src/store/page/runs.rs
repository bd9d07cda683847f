//! The runs of a watch.

use sqlx::QueryBuilder;

use super::super::one_run::{RunTuple, run_columns, run_row};
use super::super::{RunRow, Store, millis};
use super::{Page, TimeSpan, push_limit};

/// The runs of watch `?3` before number `?1` and from `?2` on that began between `?4` and `?5`, the newest first:
/// at most `?6`. It is counted back from neighbourhood to neighbourhood until there are enough.
pub(in super::super) const ALL_RUNS: &str = concat!(
    "with recursive part (n, runs) as (
         select (?1 >> 10) + 1, 0
         union all
         select n - 1, runs + (select count(*) from run
                               where id >> 10 = part.n - 1 and watch_id = ?3 and id >= ?2 and id < ?1
                                 and started_at between ?4 and ?5)
         from part where runs < ?6 and n > ?2 >> 10) ",
    run_columns!(),
    "from part cross join run on run.id >> 10 = part.n and run.watch_id = ?3
     where run.id >= ?2 and run.id < ?1 and started_at between ?4 and ?5 order by id desc limit ?6"
);

impl Store {
    /// The runs of a watch that read something new or failed, the newest first; after the start and row of
    /// the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn runs_page(
        &self,
        watch_id: i64,
        span: TimeSpan,
        after: Option<(i64, i64)>,
        limit: usize,
    ) -> Result<Page<RunRow, (i64, i64)>, sqlx::Error> {
        let mut query = QueryBuilder::new(run_columns!());
        query.push("from run where outcome <> 'unchanged' and watch_id = ").push_bind(watch_id);
        span.push(&mut query, "started_at");
        if let Some((at, id)) = after {
            query.push(" and (started_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        query.push(" order by started_at desc, id desc");
        push_limit(&mut query, limit);
        let rows: Vec<RunTuple> = query.build_query_as().fetch_all(&self.read).await?;
        Ok(Page::of(rows.into_iter().map(|row| ((row.3, row.0), run_row(row))).collect(), limit))
    }

    /// Every run of a watch, the newest first; after the row of the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn all_runs_page(
        &self,
        watch_id: i64,
        span: TimeSpan,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<RunRow, i64>, sqlx::Error> {
        let Some((oldest, newest)) = self.run_ends().await? else {
            return Ok(Page { rows: Vec::new(), next: None });
        };
        let oldest = match span.since {
            Some(since) => self.first_run_since(since).await?,
            None => oldest,
        };
        let above = newest.saturating_add(1);
        let rows: Vec<RunTuple> = sqlx::query_as(ALL_RUNS)
            .bind(after.unwrap_or(above).min(above))
            .bind(oldest)
            .bind(watch_id)
            .bind(span.since.map_or(i64::MIN, millis))
            .bind(span.until.map_or(i64::MAX, millis))
            .bind(i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX))
            .fetch_all(&self.read)
            .await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.0, run_row(row))).collect(), limit))
    }
}
