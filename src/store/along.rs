//! The runs of one watch, found along the numbers of all runs. Runs are numbered as they come. Their index has the
//! neighbourhood of a run in front of its watch, so that it grows only at its end: by the watch alone each run
//! of another watch would go to another page. Who asks goes from neighbourhood to neighbourhood.

use jiff::{SignedDuration, Timestamp};

use super::{Store, millis};

/// With so few runs they are all looked at.
const FEW_RUNS: i64 = 50_000;

/// A clock that was set back puts runs so far out of order at most.
const OUT_OF_ORDER: SignedDuration = SignedDuration::from_hours(24);

/// Some columns of the runs of watch `?3` from number `?1` to `?2`. `id >> 10` is spelled as in the index.
macro_rules! runs_of_watch {
    ($columns:literal, $rest:literal) => {
        concat!(
            "with recursive part (n) as (
                 select ?1 >> 10
                 union all
                 select n + 1 from part where n < min(?2, (select max(id) from run)) >> 10)
             select ",
            $columns,
            " from part cross join run on run.id >> 10 = part.n and run.watch_id = ?3
              where run.id between ?1 and ?2 and ",
            $rest
        )
    };
}
pub(super) use runs_of_watch;

/// The nearest run of watch `?3` from number `?1` on towards `?2` with a slot on the same side of `?4`. Repairs
/// are no runs of a slot.
macro_rules! nearest_run {
    ($step:literal, $first:literal, $is_left:literal, $side:literal, $order:literal) => {
        concat!(
            "with recursive part (n, found) as (
                 select ",
            $first,
            ", null
                 union all
                 select n ",
            $step,
            ", (select id from run where id >> 10 = part.n ",
            $step,
            " and watch_id = ?3 and ",
            $side,
            r#" and "trigger" <> 'repair' order by id "#,
            $order,
            " limit 1)
                 from part where found is null and ",
            $is_left,
            ") select found from part where found is not null"
        )
    };
}

const NEAREST_BEFORE: &str =
    nearest_run!("- 1", "(?1 >> 10) + 1", "n > ?2 >> 10", "id between ?2 and ?1 and due_at <= ?4", "desc");
const NEAREST_AFTER: &str =
    nearest_run!("+ 1", "(?1 >> 10) - 1", "n < ?2 >> 10", "id between ?1 and ?2 and due_at > ?4", "asc");

impl Store {
    /// The first and the last of all runs.
    pub(super) async fn run_ends(&self) -> Result<Option<(i64, i64)>, sqlx::Error> {
        let ends: (Option<i64>, Option<i64>) =
            sqlx::query_as("select (select min(id) from run), (select max(id) from run)")
                .fetch_one(&self.read)
                .await?;
        Ok(ends.0.zip(ends.1))
    }

    /// A run that began at about a moment: with those after it the moment is over.
    pub(super) async fn run_around(&self, at: Timestamp) -> Result<i64, sqlx::Error> {
        let first = self.first_run_since(at.checked_add(OUT_OF_ORDER).unwrap_or(Timestamp::MAX)).await?;
        Ok(first.saturating_add(FEW_RUNS))
    }

    /// A run such that those before it began before a moment. Runs have no index by their time, which each of
    /// them would have to pay for.
    pub(super) async fn first_run_since(&self, since: Timestamp) -> Result<i64, sqlx::Error> {
        let Some((mut low, mut high)) = self.run_ends().await? else { return Ok(0) };
        let since = millis(since.checked_sub(OUT_OF_ORDER).unwrap_or(Timestamp::MIN));
        while high.saturating_sub(low) > FEW_RUNS {
            let middle = low.midpoint(high);
            // Runs that a person asked for may claim to be of any time.
            let started_at: Option<i64> = sqlx::query_scalar(
                r#"select started_at from run
                   where id >= ? and "trigger" in ('schedule', 'catch_up') order by id limit 1"#,
            )
            .bind(middle)
            .fetch_optional(&self.read)
            .await?;
            if started_at.is_some_and(|started_at| started_at < since) { low = middle } else { high = middle }
        }
        Ok(low)
    }

    /// The last run of a watch; repairs do not count.
    pub(super) async fn last_run(&self, watch_id: i64) -> Result<Option<i64>, sqlx::Error> {
        let Some((first, last)) = self.run_ends().await? else { return Ok(None) };
        let known: Option<Option<i64>> = sqlx::query_scalar("select run_id from due where watch_id = ?")
            .bind(watch_id)
            .fetch_optional(&self.read)
            .await?;
        let from = known.flatten().unwrap_or(last).min(last);
        self.nearest(NEAREST_BEFORE, (from, first), watch_id, Timestamp::MAX).await
    }

    /// The run of a watch with the last slot that is not after a moment. It is looked for among the runs
    /// around that moment, from there to the next of the watch on either side: all of them are too many.
    pub(super) async fn run_of_slot(&self, watch_id: i64, at: Timestamp) -> Result<Option<i64>, sqlx::Error> {
        let Some((first, last)) = self.run_ends().await? else { return Ok(None) };
        let near = self.run_around(at).await?.clamp(first, last);
        let before = self.nearest(NEAREST_BEFORE, (near, first), watch_id, at).await?;
        // A slot may be made up for much later.
        let after = self.nearest(NEAREST_AFTER, (near, last), watch_id, at).await?;
        sqlx::query_scalar(runs_of_watch!(
            "run.id",
            r#"due_at <= ?4 and "trigger" <> 'repair' order by due_at desc, run.id desc limit 1"#
        ))
        .bind(before.unwrap_or(near))
        .bind(after.unwrap_or(last))
        .bind(watch_id)
        .bind(millis(at))
        .fetch_optional(&self.read)
        .await
    }

    async fn nearest(
        &self,
        sql: &'static str,
        (from, to): (i64, i64),
        watch_id: i64,
        at: Timestamp,
    ) -> Result<Option<i64>, sqlx::Error> {
        let found = sqlx::query_scalar(sql).bind(from).bind(to).bind(watch_id).bind(millis(at));
        found.fetch_optional(&self.read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_runs_of_a_watch_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for sql in
            [NEAREST_BEFORE, NEAREST_AFTER, runs_of_watch!("run.id", "true"), super::super::page::ALL_RUNS]
        {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("explain query plan {sql}")))
                    .fetch_all(&store.read)
                    .await
                    .unwrap();
            let steps: Vec<&str> = plan.iter().map(|step| step.3.as_str()).collect();
            let by_index = "INDEX run_of_watch (<expr>=? AND watch_id=?";
            assert!(steps.iter().any(|step| step.contains(by_index)), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN run")), "{steps:?}");
        }
    }
}
