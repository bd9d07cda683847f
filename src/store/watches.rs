//! The watchlist: what the file says, and what is due.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{Store, WriteError, millis, time};

/// One watch of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// Its name.
    pub name: String,
    /// The name it had before, whose history it takes over.
    pub was: Option<String>,
    /// Its TOML table, secrets as they are written there, never resolved.
    pub spec: String,
    /// A hash of the table: when it differs, the last answers are read anew.
    pub spec_hash: u64,
    /// Whether it is to be run.
    pub enabled: bool,
    /// When it is due first, if it has never run or its schedule changed.
    pub first_due_at: Option<Timestamp>,
    /// When it is due after that.
    pub next_due_at: Option<Timestamp>,
}

/// What a synchronisation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The row of each watch, by name.
    pub ids: HashMap<String, i64>,
    /// How many are new, changed, gone.
    pub added: usize,
    /// Their table is another.
    pub changed: usize,
    /// No longer in the file.
    pub removed: usize,
}

/// One row of the watchlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRow {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
}

type Stored = (i64, String, i64, bool, Option<i64>);

impl Store {
    /// Makes the table what the file says, in one transaction. A watch that is no longer there keeps its
    /// history; one that comes back finds it again.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn synchronise(&self, specs: Vec<WatchSpec>, now: Timestamp) -> Result<Synced, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move { synchronise(connection, &specs, millis(now)).await })
            })
            .await
    }

    /// The watches that are due, the longest waiting first.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn due_watches(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, sqlx::Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select watch.name, due.next_due_at from due join watch on watch.id = due.watch_id
             where due.next_due_at <= ? order by due.next_due_at limit ?",
        )
        .bind(millis(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|(name, due)| (name, time(due))).collect())
    }

    /// When the next watch after `now` is due.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn next_due_after(&self, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
        let next: Option<i64> = sqlx::query_scalar("select min(next_due_at) from due where next_due_at > ?")
            .bind(millis(now))
            .fetch_one(&self.read)
            .await?;
        Ok(next.map(time))
    }

    /// A watch by its name, also one that is no longer in the watchlist.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn watch(&self, name: &str) -> Result<Option<WatchRow>, sqlx::Error> {
        let row: Option<(i64, String)> = sqlx::query_as("select id, name from watch where name = ?")
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(|(id, name)| WatchRow { id, name }))
    }
}

async fn synchronise(
    connection: &mut SqliteConnection,
    specs: &[WatchSpec],
    now: i64,
) -> Result<Synced, sqlx::Error> {
    for spec in specs {
        if let Some(was) = &spec.was {
            sqlx::query(
                "update watch set name = ?1 where name = ?2
                 and not exists (select 1 from watch where name = ?1)",
            )
            .bind(&spec.name)
            .bind(was)
            .execute(&mut *connection)
            .await?;
        }
    }
    let stored: Vec<Stored> = sqlx::query_as(
        "select id, name, spec_hash, enabled and removed_at is null, next_due_at
         from watch left join due on due.watch_id = watch.id
         where origin = 'file'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let known: HashMap<&str, &Stored> = stored.iter().map(|row| (row.1.as_str(), row)).collect();
    let mut synced = Synced::default();
    let mut rows: Vec<Value> = Vec::new();
    let mut due_at: HashMap<&str, i64> = HashMap::new();
    let mut reread: Vec<i64> = Vec::new();
    let mut pulled: Vec<(i64, i64)> = Vec::new();
    for spec in specs {
        let hash = spec.spec_hash.cast_signed();
        let row = known.get(spec.name.as_str());
        let due = match row {
            None => {
                synced.added += 1;
                spec.first_due_at
            }
            // The same table: the slot it waits for stands, also one that was missed.
            Some((id, _, stored_hash, active, due)) => {
                if *stored_hash == hash && *active == spec.enabled && (due.is_some() || !spec.enabled) {
                    synced.ids.insert(spec.name.clone(), *id);
                    // Only a clock that was set back has left a slot further ahead than the next.
                    if let (Some(due), Some(next)) = (due, spec.next_due_at.map(millis))
                        && *due > next
                    {
                        pulled.push((*id, next));
                    }
                    continue;
                }
                synced.changed += 1;
                if *stored_hash != hash {
                    reread.push(*id);
                }
                due.filter(|due| *due <= now).map(time).or(spec.next_due_at)
            }
        };
        rows.push(json!([spec.name, spec.spec, hash, spec.enabled]));
        if let Some(due) = due.filter(|_| spec.enabled) {
            due_at.insert(&spec.name, millis(due));
        }
    }
    if !rows.is_empty() {
        let ids: Vec<(String, i64)> = sqlx::query_as(
            "insert into watch (name, origin, spec, spec_hash, enabled, created_at)
             select value ->> 0, 'file', value ->> 1, value ->> 2, value ->> 3, ?1
             from json_each(?2) where true
             on conflict (name) do update set origin = 'file', spec = excluded.spec,
                 spec_hash = excluded.spec_hash, enabled = excluded.enabled, removed_at = null
             returning name, id",
        )
        .bind(now)
        .bind(super::json(&rows)?)
        .fetch_all(&mut *connection)
        .await?;
        let due: Vec<(i64, i64)> =
            ids.iter().filter_map(|(name, id)| Some((*id, *due_at.get(name.as_str())?))).collect();
        synced.ids.extend(ids);
        sqlx::query(
            "insert or replace into due (watch_id, next_due_at)
             select value ->> 0, value ->> 1 from json_each(?)",
        )
        .bind(super::json(&due)?)
        .execute(&mut *connection)
        .await?;
    }
    if !pulled.is_empty() {
        sqlx::query(
            "update due set next_due_at = next.value ->> 1
             from json_each(?) next where due.watch_id = next.value ->> 0",
        )
        .bind(super::json(&pulled)?)
        .execute(&mut *connection)
        .await?;
    }
    if !reread.is_empty() {
        sqlx::query("delete from http_cache where watch_id in (select value from json_each(?))")
            .bind(super::json(&reread)?)
            .execute(&mut *connection)
            .await?;
    }
    let gone: Vec<i64> =
        stored.iter().filter(|(_, name, ..)| !synced.ids.contains_key(name)).map(|(id, ..)| *id).collect();
    if !gone.is_empty() {
        let removed = sqlx::query(
            "update watch set removed_at = ? where removed_at is null
             and id in (select value from json_each(?))",
        )
        .bind(now)
        .bind(super::json(&gone)?)
        .execute(&mut *connection)
        .await?;
        synced.removed = usize::try_from(removed.rows_affected()).unwrap_or(0);
    }
    sqlx::query(
        "delete from due where watch_id in
             (select id from watch where enabled = 0 or removed_at is not null)",
    )
    .execute(connection)
    .await?;
    Ok(synced)
}
