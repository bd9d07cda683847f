//! What was told, page by page, with whom it reached; and what was tried for several deliveries at once.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Attempt, Store, StoredAlert, from_json, json, millis, time};

/// Which alerts.
#[derive(Clone, Debug, Default)]
pub struct Told<'a> {
    /// Of one watch.
    pub watch: Option<&'a str>,
    /// Only the last word about what is still so.
    pub firing: bool,
    /// Only those before this one: when it was made, and its id.
    pub before: Option<(Timestamp, &'a str)>,
}

/// On its way to one notifier, or there.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Reached {
    /// To whom.
    pub notifier: String,
    /// `pending`, `sending`, `delivered` or `dead`.
    pub status: String,
    /// Whether it was written in quiet hours.
    pub held: bool,
    /// Why it was not taken.
    pub last_error: Option<String>,
}

impl Store {
    /// Alerts, newest first; each with whether what it tells is still so.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn told(
        &self,
        which: &Told<'_>,
        limit: usize,
    ) -> Result<Vec<(StoredAlert, bool)>, sqlx::Error> {
        // What fires is little, and found by its own index; its last alert by that of its subject.
        let of = if which.firing {
            "from signal_state s join alert a on a.id =
                 (select id from alert where watch_id = s.watch_id and strategy = s.strategy and subject = s.subject
                  order by created_at desc, id desc limit 1)
             where s.state ->> 'firing' and a.status = 'firing'"
        } else {
            "from alert a where true"
        };
        // By its row: a watch that was renamed keeps its past, and there is an index.
        let of_watch = which.watch.map_or("", |_| "and a.watch_id = (select id from watch where name = ?1)");
        let sql = format!(
            "select a.created_at, a.alert, a.status = 'firing' and exists
                 (select 1 from signal_state now where now.watch_id = a.watch_id and now.strategy = a.strategy
                    and now.subject = a.subject and now.state ->> 'firing')
             {of} {of_watch} and (a.created_at, a.id) < (?2, ?3)
             order by a.created_at desc, a.id desc limit ?4"
        );
        let (at, id) = which.before.map_or((i64::MAX, ""), |(at, id)| (millis(at), id));
        let rows: Vec<(i64, String, bool)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(which.watch)
            .bind(at)
            .bind(id)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.read)
            .await?;
        let told = |(created_at, alert, is_so): (i64, String, bool)| {
            Ok((StoredAlert { alert: from_json(&alert)?, created_at: time(created_at) }, is_so))
        };
        rows.into_iter().map(told).collect()
    }

    /// Whom each of these alerts went to, by the alert's id.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn reached(&self, alert_ids: &[&str]) -> Result<HashMap<String, Vec<Reached>>, sqlx::Error> {
        #[derive(sqlx::FromRow)]
        struct Row {
            alert_id: String,
            #[sqlx(flatten)]
            reached: Reached,
        }
        // Those without a run are told apart by their time.
        let rows: Vec<Row> = sqlx::query_as(
            "select a.id as alert_id, d.notifier, d.status, d.held, d.last_error
             from json_each(?) wanted join alert a on a.id = wanted.value
             join delivery d on d.run_id = a.run_id and (a.run_id <> 0 or d.created_at >= a.created_at)
             where exists (select 1 from json_each(d.alert_ids) told where told.value = a.id)
             order by d.seq",
        )
        .bind(json(&alert_ids)?)
        .fetch_all(&self.read)
        .await?;
        let mut reached: HashMap<String, Vec<Reached>> = HashMap::new();
        for row in rows {
            reached.entry(row.alert_id).or_default().push(row.reached);
        }
        Ok(reached)
    }

    /// Every try to send each of these deliveries, the first one first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn attempts_of(&self, ids: &[&str]) -> Result<HashMap<String, Vec<Attempt>>, sqlx::Error> {
        let rows: Vec<(String, i64, i64, String, Option<String>)> = sqlx::query_as(
            "select delivery_id, attempt, at, outcome, why from attempt
             where delivery_id in (select value from json_each(?)) order by delivery_id, attempt",
        )
        .bind(json(&ids)?)
        .fetch_all(&self.read)
        .await?;
        let mut attempts: HashMap<String, Vec<Attempt>> = HashMap::new();
        for (id, attempt, at, outcome, why) in rows {
            attempts.entry(id).or_default().push(Attempt { attempt, at: time(at), outcome, why });
        }
        Ok(attempts)
    }
}
