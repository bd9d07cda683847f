//! Every table has an age limit. Old rows go a thousand at a time, and the pages they leave are given
//! back a few hundred at a time, so that no run waits long.

use std::time::Duration;

use jiff::Timestamp;

use sqlx::SqliteConnection;
use tracing::{info, warn};

use super::{Store, WriteError, millis};
use crate::model::Period;

/// How long rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Observations; the last one of each subject stays.
    pub observations: Period,
    /// Bars.
    pub candles: Period,
    /// Runs, and gaps between them.
    pub runs: Period,
    /// Alerts, and deliveries that are settled, with their attempts.
    pub alerts: Period,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Period(Duration::from_secs(days * 86_400));
        Self { observations: days(400), candles: days(400), runs: days(30), alerts: days(400) }
    }
}

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// All tables together.
    pub rows: u64,
    /// How many bytes the file is smaller.
    pub bytes: u64,
}

/// How long it is remembered of a host that it was left alone, after the end of that.
const LET_BE: Period = Period::from_secs(86_400);

/// How many rows one transaction takes.
const STEP: i64 = 1_000;

/// How many pages are given back at once.
const PAGES: i64 = 500;

/// So many free pages stay, for what is written next.
const SPARE_PAGES: i64 = 256;

/// Each deletes at most `?2` rows older than `?1`. The writer is held meanwhile, so none may look through a table
/// for each row of another.
const STATEMENTS: [&str; 10] = [
    "delete from observation where id in (select id from observation where last_seen_at < ?1
         and id not in (select observation_id from subject where observation_id is not null) limit ?2)",
    "delete from candle where (watch_id, subject, interval, open_time) in
         (select watch_id, subject, interval, open_time from candle where open_time < ?1 limit ?2)",
    "delete from gap where id in (select id from gap where last_due_at < ?1 limit ?2)",
    "delete from delivery where id in (select id from delivery
         where created_at < ?1 and status in ('delivered', 'dead') limit ?2)",
    "delete from attempt where (delivery_id, attempt) in (select delivery_id, attempt from attempt
         where at < ?1 and not exists (select 1 from delivery where id = delivery_id) limit ?2)",
    "delete from alert where id in (select id from alert where created_at < ?1
         and id not in (select value from delivery, json_each(alert_ids)
                        where status in ('pending', 'sending')) limit ?2)",
    "delete from silence where id in (select id from silence where ends_at < ?1 limit ?2)",
    "delete from subject where (watch_id, subject) in (select watch_id, subject from subject
         where last_seen_at < ?1 and (present = 0 or exists
             (select 1 from watch where id = watch_id and removed_at < ?1)) limit ?2)",
    // What was settled on about something that nobody remembers.
    "delete from signal_state where ?1 is not null and (watch_id, strategy, subject) in
         (select watch_id, strategy, subject from signal_state s
          where watch_id <> 0 and strategy <> 'run' and subject <> '' and not state ->> 'firing'
            and not exists (select 1 from subject known
                            where known.watch_id = s.watch_id and known.subject = s.subject) limit ?2)",
    "delete from host where host in (select host from host where until < ?1 limit ?2)",
];

impl Store {
    /// Deletes what is older than it is kept.
    ///
    /// # Errors
    /// [`WriteError`]; what went before it is gone.
    pub async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, WriteError> {
        let ages =
            [keep.observations, keep.candles, keep.runs, keep.alerts, keep.alerts, keep.alerts, keep.alerts];
        let ages = ages.into_iter().chain([keep.observations, keep.observations, LET_BE]);
        let before = |age: Period| now.checked_sub(age.0).map_or(i64::MIN, millis);
        let mut pruned = Pruned { rows: self.prune_runs(before(keep.runs), millis(now)).await?, bytes: 0 };
        for (statement, age) in STATEMENTS.into_iter().zip(ages) {
            let before = before(age);
            loop {
                let rows = self
                    .writer
                    .write(move |connection| {
                        Box::pin(async move {
                            let done = sqlx::query(statement).bind(before).bind(STEP).execute(connection);
                            done.await.map(|done| done.rows_affected())
                        })
                    })
                    .await?;
                pruned.rows += rows;
                if rows < STEP.unsigned_abs() {
                    break;
                }
            }
        }
        pruned.bytes = self.give_back().await?;
        Ok(pruned)
    }

    /// Runs are numbered as they come, so the oldest have the smallest numbers, and the first young one ends
    /// the search. One that is dated after `now` is of a clock that was wrong, and says nothing about the next.
    async fn prune_runs(&self, before: i64, now: i64) -> Result<u64, WriteError> {
        let mut after = i64::MIN;
        let mut gone = 0_u64;
        loop {
            let (rows, next) = self
                .writer
                .write(move |connection| {
                    Box::pin(async move { prune_runs(connection, before, now, after).await })
                })
                .await?;
            gone = gone.saturating_add(rows);
            match next {
                Some(next) => after = next,
                None => return Ok(gone),
            }
        }
    }

    /// Makes the file smaller by the pages that nothing stands on. Answers by how many bytes.
    async fn give_back(&self) -> Result<u64, WriteError> {
        let mut given_back = 0_u64;
        loop {
            let bytes = self
                .writer
                .write(|connection| Box::pin(async move { give_back_some(connection).await }))
                .await?;
            if bytes == 0 {
                return Ok(given_back);
            }
            given_back = given_back.saturating_add(bytes);
        }
    }
}

/// Deletes the old ones of the next few runs. Answers how many, and after which number to go on, if at all.
async fn prune_runs(
    connection: &mut SqliteConnection,
    before: i64,
    now: i64,
    after: i64,
) -> Result<(u64, Option<i64>), sqlx::Error> {
    let (last, young): (Option<i64>, i64) = sqlx::query_as(
        "select max(id), count(*) filter (where started_at between ?1 and ?2)
         from (select id, started_at from run where id > ?3 order by id limit ?4)",
    )
    .bind(before)
    .bind(now)
    .bind(after)
    .bind(STEP)
    .fetch_one(&mut *connection)
    .await?;
    let Some(last) = last else { return Ok((0, None)) };
    let done = sqlx::query("delete from run where id > ?1 and id <= ?2 and started_at < ?3")
        .bind(after)
        .bind(last)
        .bind(before)
        .execute(connection)
        .await?;
    Ok((done.rows_affected(), (young == 0).then_some(last)))
}

async fn give_back_some(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let free: i64 = sqlx::query_scalar("pragma freelist_count").fetch_one(&mut *connection).await?;
    let pages = free.saturating_sub(SPARE_PAGES).min(PAGES);
    if pages <= 0 {
        return Ok(0);
    }
    let before: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut *connection).await?;
    let vacuum = sqlx::AssertSqlSafe(format!("pragma incremental_vacuum({pages})"));
    sqlx::query(vacuum).fetch_all(&mut *connection).await?;
    let after: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut *connection).await?;
    let page: i64 = sqlx::query_scalar("pragma page_size").fetch_one(connection).await?;
    Ok(before.saturating_sub(after).saturating_mul(page).try_into().unwrap_or(0))
}

/// A database from before this was so is written anew once, since only then it can give pages back.
pub(super) async fn let_it_shrink(connection: &mut SqliteConnection) {
    const INCREMENTAL: i64 = 2;
    let mode = sqlx::query_scalar::<_, i64>("pragma auto_vacuum").fetch_one(&mut *connection).await;
    if mode.is_ok_and(|mode| mode == INCREMENTAL) {
        return;
    }
    info!("Writing the database anew, once, so that it can shrink from now on");
    let anew = async {
        sqlx::query("pragma auto_vacuum = incremental").execute(&mut *connection).await?;
        sqlx::query("vacuum").execute(&mut *connection).await
    };
    if let Err(error) = anew.await {
        warn!(%error, "The database was not written anew: it will not shrink when old rows are deleted");
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::testing::at;

    async fn raw(folder: &std::path::Path) -> SqliteConnection {
        SqliteConnectOptions::new().filename(Store::path_in(folder)).connect().await.unwrap()
    }

    async fn number(connection: &mut SqliteConnection, question: &'static str) -> i64 {
        sqlx::query_scalar(question).fetch_one(connection).await.unwrap()
    }

    #[tokio::test]
    async fn pruning_gives_the_room_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut connection = raw(folder.path()).await;
        for statement in [
            "insert into watch (id, name, origin, spec, spec_hash, created_at) values (1, 'w', 'file', '{}', 0, 0)",
            "with recursive many (n) as (select 1 union all select n + 1 from many where n < 12000)
             insert into run (watch_id, \"trigger\", due_at, started_at, finished_at, outcome, verdicts)
             select 1, 'schedule', 0, 0, 0, 'ok', hex(zeroblob(500)) from many",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        let before = number(&mut connection, "pragma page_count").await;
        let now = at("2026-11-21T10:00:00Z");
        let pruned = store.prune(&Retention::default(), now).await.unwrap();
        assert_eq!(pruned.rows, 12_000);
        let after = number(&mut connection, "pragma page_count").await;
        let spare = number(&mut connection, "pragma freelist_count").await;
        assert!(before > 3_000 && after < 500, "{before} pages, then {after}");
        assert!(spare <= SPARE_PAGES, "{spare}");
        assert_eq!(i64::try_from(pruned.bytes).unwrap(), (before - after) * 4_096);
        assert_eq!(store.prune(&Retention::default(), now).await.unwrap(), Pruned::default());
    }

    #[tokio::test]
    async fn runs_of_a_clock_that_was_ahead_keep_no_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut connection = raw(folder.path()).await;
        sqlx::query("pragma foreign_keys = off").execute(&mut connection).await.unwrap();
        let now = at("2026-11-21T10:00:00Z");
        for (years, days, count) in [(70, 0, 2_500), (0, 40, 1_700), (0, 2, 10)] {
            let started_at = millis(now) + (years * 365 - days) * 86_400_000;
            sqlx::query(
                "with recursive many (n) as (select 1 union all select n + 1 from many where n < ?2)
                 insert into run (watch_id, \"trigger\", due_at, started_at, finished_at, outcome)
                 select 1, 'schedule', ?1, ?1, ?1, 'ok' from many",
            )
            .bind(started_at)
            .bind(count)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        assert_eq!(store.prune(&Retention::default(), now).await.unwrap().rows, 1_700);
        assert_eq!(number(&mut connection, "select count(*) from run").await, 2_510, "nothing else");
        let long_ago = at("1970-01-02T00:00:00Z");
        assert_eq!(
            store.prune(&Retention::default(), long_ago).await.unwrap().rows,
            0,
            "nor by a wrong clock"
        );
    }

    #[tokio::test]
    async fn pruning_holds_the_writer_for_a_moment_only_though_a_hundred_thousand_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut connection = raw(folder.path()).await;
        for statement in [
            "pragma foreign_keys = off",
            "create temp table many as
                 with recursive many (n) as (select 1 union all select n + 1 from many where n < 100000)
                 select n from many",
            "insert into alert (id, run_id, watch_id, watch, strategy, subject, status, created_at, alert)
             select 'alert ' || n, 1, 1, 'w', 's', n, 'firing', 0, '{}' from many where n <= 20000",
            "insert into delivery (id, run_id, notifier, title, body, alert_ids, status, created_at,
                 next_attempt_at)
             select 'delivery ' || n, 1, 'hook', 't', 'b', json_array('alert ' || n), 'pending', 0, 0
             from many where n > 10000",
            "insert into subject (watch_id, subject, request, present, hash, observed_at, last_seen_at)
             select 1, n, 0, n % 2, 0, 0, 0 from many",
            "insert into signal_state (watch_id, strategy, subject, state)
             select 1, 's', n, '{\"firing\": false}' from many",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        let mut longest = Duration::ZERO;
        for statement in STATEMENTS {
            let began = std::time::Instant::now();
            sqlx::query(statement).bind(1).bind(STEP).execute(&mut connection).await.unwrap();
            longest = longest.max(began.elapsed());
        }
        // Row by row it would be a minute; this is so that a busy machine passes.
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        store.prune(&Retention::default(), at("2026-11-21T10:00:00Z")).await.unwrap();
        assert_eq!(number(&mut connection, "select count(*) from alert").await, 10_000, "those that wait");
        assert_eq!(number(&mut connection, "select count(*) from subject").await, 50_000);
        assert_eq!(number(&mut connection, "select count(*) from signal_state").await, 50_000);
    }

    #[tokio::test]
    async fn a_database_from_before_can_shrink_once_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path()).await.unwrap().close().await;
        let mut connection = raw(folder.path()).await;
        assert_eq!(number(&mut connection, "pragma auto_vacuum").await, 2, "a new one can");
        for statement in ["pragma auto_vacuum = none", "vacuum"] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        assert_eq!(number(&mut connection, "pragma auto_vacuum").await, 0);
        let_it_shrink(&mut connection).await;
        assert_eq!(number(&mut connection, "pragma auto_vacuum").await, 2);
        connection.close().await.unwrap();
        Store::open(folder.path()).await.unwrap().close().await;
    }
}
