//! The runs of a watch.

use sqlx::QueryBuilder;

use super::super::one_run::{RunTuple, run_row};
use super::super::{RunRow, Store};
use super::{Page, TimeSpan, push_limit};

/// Runs that found nothing new have no index of their own: so many runs, of whichever watch, are looked
/// through for one page.
const LOOKED_THROUGH: i64 = 100_000;

macro_rules! runs {
    () => {
        r#"select id, "trigger", due_at, started_at, finished_at, outcome, error, observations, signals, alerts,
                  verdicts, waited_ms, waited_for from run where "#
    };
}

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
        let mut query = QueryBuilder::new(runs!());
        query.push("outcome <> 'unchanged' and watch_id = ").push_bind(watch_id);
        span.push(&mut query, "started_at");
        if let Some((at, id)) = after {
            query.push(" and (started_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        query.push(" order by started_at desc, id desc");
        push_limit(&mut query, limit);
        let rows: Vec<RunTuple> = query.build_query_as().fetch_all(&self.read).await?;
        Ok(Page::of(rows.into_iter().map(|row| ((row.3, row.0), run_row(row))).collect(), limit))
    }

    /// Every run of a watch, the newest first; after the row of the last one. A page may hold fewer than were
    /// asked for, though there are more.
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
        let newest: Option<i64> = sqlx::query_scalar("select max(id) from run").fetch_one(&self.read).await?;
        let oldest = match span.since {
            Some(since) => Some(self.first_run_since(since).await?),
            None => sqlx::query_scalar("select min(id) from run").fetch_one(&self.read).await?,
        };
        let (Some(newest), Some(oldest)) = (newest, oldest) else {
            return Ok(Page { rows: Vec::new(), next: None });
        };
        let above = newest.saturating_add(1);
        let before = after.unwrap_or(above).min(above);
        let lowest = before.saturating_sub(LOOKED_THROUGH).max(oldest);
        let mut query = QueryBuilder::new(runs!());
        query.push("id >= ").push_bind(lowest).push(" and id < ").push_bind(before);
        query.push(" and watch_id = ").push_bind(watch_id);
        span.push(&mut query, "started_at");
        query.push(" order by id desc");
        push_limit(&mut query, limit);
        let rows: Vec<RunTuple> = query.build_query_as().fetch_all(&self.read).await?;
        let page = Page::of(rows.into_iter().map(|row| (row.0, run_row(row))).collect(), limit);
        let next = page.next.or_else(|| Some(lowest).filter(|lowest| *lowest > oldest));
        Ok(Page { next, ..page })
    }
}
