//! How every watch stands, for a list of them.

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::{Store, time};

/// How one watch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it was added by way of the API or the command line, and does not stand in a file.
    pub is_added: bool,
    /// Whether it is to be run.
    pub enabled: bool,
    /// When a person paused it.
    pub paused_at: Option<Timestamp>,
    /// When it is due next.
    pub next_due_at: Option<Timestamp>,
    /// When its last run was decided.
    pub ran_at: Option<Timestamp>,
    /// How that ended: `ok`, `unchanged`, `failed` or `blocked`.
    pub outcome: Option<String>,
    /// About how many subjects its strategies fire now.
    pub firing: i64,
    /// Since when the first of them does.
    pub firing_since: Option<Timestamp>,
    /// Since when it has been told that it is failing.
    pub failing_since: Option<Timestamp>,
    /// Since when it has been told that its data stand still.
    pub stale_since: Option<Timestamp>,
    /// Whether a message about it waits for the end of quiet hours.
    pub is_held: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    is_added: bool,
    enabled: bool,
    paused_at: Option<i64>,
    next_due_at: Option<i64>,
    ran_at: Option<i64>,
    outcome: Option<String>,
    firing: i64,
    firing_since: Option<String>,
    failing_since: Option<String>,
    stale_since: Option<String>,
    is_held: bool,
}

impl Store {
    /// Every watch of the watchlist, by name.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn glances(&self) -> Result<Vec<Glance>, sqlx::Error> {
        self.glances_at(None).await
    }

    /// One watch of the watchlist.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn glance(&self, watch_id: i64) -> Result<Option<Glance>, sqlx::Error> {
        Ok(self.glances_at(Some(watch_id)).await?.pop())
    }

    async fn glances_at(&self, watch_id: Option<i64>) -> Result<Vec<Glance>, sqlx::Error> {
        // What is so from the first look on and was only remembered is nothing that goes on: it was not told and
        // will not be.
        let mut query = QueryBuilder::new(
            "with firing as (
                 select watch_id,
                        count(*) filter (where strategy <> 'run') as firing,
                        min(state ->> 'since') filter (where strategy <> 'run') as firing_since,
                        min(state ->> 'since') filter (where strategy = 'run' and subject = '') as failing_since,
                        min(state ->> 'since') filter (where strategy = 'run' and subject = 'stale') as stale_since
                 from signal_state
                 where state ->> 'firing' and (strategy = 'run' or state ->> 'told' or state ->> 'waits')",
        );
        if let Some(watch_id) = watch_id {
            query.push(" and watch_id = ").push_bind(watch_id);
        }
        query.push(
            " group by watch_id),
             held as (
                 select distinct cast(substr(topic, 1, instr(topic, '/') - 1) as integer) as watch_id
                 from delivery where status in ('pending', 'sending') and held = 1)
             select watch.id, watch.name, watch.origin = 'api' as is_added, watch.enabled, watch.paused_at,
                    due.next_due_at, due.ran_at, due.outcome, coalesce(firing.firing, 0) as firing,
                    firing.firing_since, firing.failing_since, firing.stale_since,
                    watch.id in (select watch_id from held) as is_held
             from watch left join due on due.watch_id = watch.id left join firing on firing.watch_id = watch.id
             where watch.removed_at is null",
        );
        if let Some(watch_id) = watch_id {
            query.push(" and watch.id = ").push_bind(watch_id);
        }
        let rows: Vec<Row> =
            query.push(" order by watch.name").build_query_as().fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(glance).collect())
    }
}

fn glance(row: Row) -> Glance {
    let since = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Glance {
        id: row.id,
        name: row.name,
        is_added: row.is_added,
        enabled: row.enabled,
        paused_at: row.paused_at.map(time),
        next_due_at: row.next_due_at.map(time),
        ran_at: row.ran_at.map(time),
        outcome: row.outcome,
        firing: row.firing,
        firing_since: since(row.firing_since),
        failing_since: since(row.failing_since),
        stale_since: since(row.stale_since),
        is_held: row.is_held,
    }
}
