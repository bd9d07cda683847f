//! The watchlist: what the files and those who add watches say, and what is due.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{NewDelivery, Store, WriteError, alerts, from_json, millis, outbox, pause, time};
use crate::model::{Alert, SignalState};

/// One watch of the watchlist.
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
    /// The TOML of one that was added by way of the API or the command line; none for one of a file.
    pub toml: Option<String>,
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
    /// They have another name, whatever else of them is another.
    pub renamed: usize,
    /// No longer in the watchlist.
    pub removed: usize,
    /// Added watches that cannot be built any more, and were before.
    pub left_out: Vec<String>,
    /// Watches of which something that was settled on no longer holds.
    pub unsettled: Vec<i64>,
    /// Watches whose last answers are read anew.
    pub reread: Vec<i64>,
    /// How many messages tell of episodes that were closed by it.
    pub deliveries: usize,
}

/// What a change of the watchlist does to a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is no longer there.
    Removed,
    /// It is no longer run.
    Disabled,
    /// Its table is another.
    Changed,
}

/// A watch that a change of the watchlist affects, and what is known of it.
#[derive(Clone, Debug)]
pub struct Affected {
    /// Its row.
    pub watch_id: i64,
    /// Its name from now on.
    pub name: String,
    /// Its table as it was, as JSON.
    pub spec: String,
    /// What happens to it.
    pub fate: Fate,
    /// What was settled on: strategy, subject.
    pub states: Vec<(String, String, SignalState)>,
    /// The last alert of each of these that was told and is still so.
    pub last_alerts: HashMap<(String, String), Alert>,
}

/// What is forgotten of an affected watch, and what is told of it.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// Its row.
    pub watch_id: i64,
    /// States that no longer mean anything: strategy, subject.
    pub forgotten: Vec<(String, String)>,
    /// Strategies that go by another name now.
    pub renamed: Vec<(String, String)>,
    /// The ends of open episodes.
    pub alerts: Vec<Alert>,
    /// To whom they are told.
    pub deliveries: Vec<NewDelivery>,
}

/// One row of the watchlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRow {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A watch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWatch {
    /// Its name.
    pub name: String,
    /// Its table as JSON.
    pub spec: String,
    /// A hash of the table.
    pub spec_hash: u64,
    /// Whether it is run.
    pub enabled: bool,
    /// Whether it is no longer in the watchlist.
    pub is_removed: bool,
    /// How many of its alerts were told and are still so.
    pub open_alerts: i64,
}

/// A row as a synchronisation finds it.
#[derive(sqlx::FromRow)]
struct Stored {
    id: i64,
    name: String,
    spec_hash: i64,
    enabled: bool,
    is_removed: bool,
    is_paused: bool,
    toml: Option<String>,
    due: Option<i64>,
}

impl Stored {
    /// Whether it is as the watchlist says: then the slot that it waits for stands, also one that was missed.
    fn is_as(&self, spec: &WatchSpec) -> bool {
        self.spec_hash == spec.spec_hash.cast_signed()
            && self.toml == spec.toml
            && (self.enabled && !self.is_removed) == spec.enabled
            && (self.due.is_some() || !spec.enabled || self.is_paused)
    }
}

impl Store {
    /// Makes the table what the watchlist says, in one transaction. A watch that is no longer there keeps its
    /// history; one that comes back finds it again. `close` decides what that means for what was settled on.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn synchronise(
        &self,
        specs: Vec<WatchSpec>,
        now: Timestamp,
        close: impl FnOnce(Vec<Affected>) -> Vec<Closing> + Send + 'static,
    ) -> Result<Synced, WriteError> {
        self.synchronise_but(HashSet::new(), specs, now, close).await
    }

    /// The same, but for some that cannot be built at present, each with why: they stay as they are, and are not
    /// due.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn synchronise_but(
        &self,
        left_out: HashSet<String>,
        specs: Vec<WatchSpec>,
        now: Timestamp,
        close: impl FnOnce(Vec<Affected>) -> Vec<Closing> + Send + 'static,
    ) -> Result<Synced, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let mut fates = fates(connection, &specs).await?;
                    fates.retain(|(_, name, fate)| *fate != Fate::Removed || !left_out.contains(name));
                    let affected = affected(connection, fates).await?;
                    let closings = if affected.is_empty() { Vec::new() } else { close(affected) };
                    let mut synced = synchronise(connection, &specs, &left_out, millis(now)).await?;
                    for closing in closings {
                        synced.unsettled.push(closing.watch_id);
                        synced.deliveries = synced.deliveries.saturating_add(closing.deliveries.len());
                        apply(connection, &closing, millis(now)).await?;
                    }
                    Ok(synced)
                })
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

    /// The watches as they are stored, also those that are no longer there.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn stored_watches(&self) -> Result<Vec<StoredWatch>, sqlx::Error> {
        let rows: Vec<(String, String, i64, bool, bool, i64)> = sqlx::query_as(
            "select name, spec, spec_hash, enabled, removed_at is not null,
                    (select count(*) from signal_state
                     where watch_id = watch.id and state ->> 'firing' and state ->> 'told')
             from watch order by id",
        )
        .fetch_all(&self.read)
        .await?;
        let watch = |(name, spec, hash, enabled, is_removed, open_alerts): (_, _, i64, _, _, _)| {
            StoredWatch { name, spec, spec_hash: hash.cast_unsigned(), enabled, is_removed, open_alerts }
        };
        Ok(rows.into_iter().map(watch).collect())
    }

    /// Name and TOML of each watch that was added by way of the API or the command line and is still there, in
    /// the order in which they came.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn added_watches(&self) -> Result<Vec<(String, String)>, sqlx::Error> {
        sqlx::query_as(
            "select name, toml from watch
             where origin = 'api' and toml is not null and removed_at is null order by id",
        )
        .fetch_all(&self.read)
        .await
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

/// The watches that the watchlist removes, disables or changes: row, name from now on, table as it was.
async fn fates(
    connection: &mut SqliteConnection,
    specs: &[WatchSpec],
) -> Result<Vec<(i64, String, Fate)>, sqlx::Error> {
    // A run that was under way when its watch was removed may have opened an episode since.
    let rows: Vec<(i64, String, i64, bool, bool)> = sqlx::query_as(
        "select id, name, spec_hash, enabled,
                removed_at is null or exists (select 1 from signal_state where watch_id = watch.id)
         from watch",
    )
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    // A former name counts as long as no row has the new one, in the list or not.
    let stored: HashSet<&str> = rows.iter().map(|(_, name, ..)| name.as_str()).collect();
    let mut by_name: HashMap<&str, &WatchSpec> =
        specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    for spec in specs {
        if let Some(was) = spec.was.as_deref().filter(|_| !stored.contains(spec.name.as_str())) {
            by_name.entry(was).or_insert(spec);
        }
    }
    let fate = |(id, name, hash, enabled, counts): &(i64, String, i64, bool, bool)| match by_name
        .get(name.as_str())
        .filter(|_| *counts)
    {
        None if !counts => None,
        None => Some((*id, name.clone(), Fate::Removed)),
        Some(spec) if *enabled && !spec.enabled => Some((*id, spec.name.clone(), Fate::Disabled)),
        Some(spec) if spec.spec_hash.cast_signed() != *hash => Some((*id, spec.name.clone(), Fate::Changed)),
        Some(_) => None,
    };
    Ok(rows.iter().filter_map(fate).collect())
}

async fn affected(
    connection: &mut SqliteConnection,
    fates: Vec<(i64, String, Fate)>,
) -> Result<Vec<Affected>, sqlx::Error> {
    let ids: Vec<i64> = fates.iter().map(|(id, ..)| *id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = super::json(&ids)?;
    let specs: Vec<(i64, String)> =
        sqlx::query_as("select id, spec from watch where id in (select value from json_each(?))")
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
    let mut specs: HashMap<i64, String> = specs.into_iter().collect();
    let rows: Vec<(i64, String, String, String, Option<String>)> = sqlx::query_as(
        "select watch_id, strategy, subject, state,
                case when state ->> 'told' and state ->> 'firing' then
                    (select alert from alert
                     where alert.watch_id = signal_state.watch_id and alert.strategy = signal_state.strategy
                       and alert.subject = signal_state.subject and alert.status = 'firing'
                     order by created_at desc, id desc limit 1)
                end
         from signal_state where watch_id in (select value from json_each(?))",
    )
    .bind(&ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut affected: HashMap<i64, Affected> = fates
        .into_iter()
        .map(|(id, name, fate)| {
            let spec = specs.remove(&id).unwrap_or_default();
            let states = Vec::new();
            (id, Affected { watch_id: id, name, spec, fate, states, last_alerts: HashMap::new() })
        })
        .collect();
    for (id, strategy, subject, state, alert) in rows {
        let Some(affected) = affected.get_mut(&id) else { continue };
        if let Some(alert) = alert {
            affected.last_alerts.insert((strategy.clone(), subject.clone()), from_json(&alert)?);
        }
        affected.states.push((strategy, subject, from_json(&state)?));
    }
    let mut affected: Vec<Affected> =
        affected.into_values().filter(|affected| !affected.states.is_empty()).collect();
    affected.sort_by_key(|affected| affected.watch_id);
    Ok(affected)
}

impl Store {
    /// Forgets what no longer means anything, and stores what is told of it.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn close_episodes(&self, closing: Closing, now: Timestamp) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| Box::pin(async move { apply(connection, &closing, millis(now)).await }))
            .await
    }
}

async fn apply(connection: &mut SqliteConnection, closing: &Closing, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from signal_state where watch_id = ?1 and (strategy, subject) in
             (select value ->> 0, value ->> 1 from json_each(?2))",
    )
    .bind(closing.watch_id)
    .bind(super::json(&closing.forgotten)?)
    .execute(&mut *connection)
    .await?;
    // By way of a name that no strategy has: two may have changed places.
    let between = |to: &String| format!("{to}\n");
    let first = closing.renamed.iter().map(|(from, to)| (from.clone(), between(to)));
    let second = closing.renamed.iter().map(|(_, to)| (between(to), to.clone()));
    for (from, to) in first.chain(second) {
        sqlx::query("update or replace signal_state set strategy = ?3 where watch_id = ?1 and strategy = ?2")
            .bind(closing.watch_id)
            .bind(from)
            .bind(to)
            .execute(&mut *connection)
            .await?;
    }
    alerts::insert(connection, 0, closing.watch_id, now, &closing.alerts).await?;
    outbox::enqueue(connection, 0, &closing.deliveries).await
}

async fn synchronise(
    connection: &mut SqliteConnection,
    specs: &[WatchSpec],
    left_out: &HashSet<String>,
    now: i64,
) -> Result<Synced, sqlx::Error> {
    let mut renamed: HashSet<&str> = HashSet::new();
    for spec in specs {
        if let Some(was) = &spec.was {
            let done = sqlx::query(
                "update watch set name = ?1 where name = ?2
                 and not exists (select 1 from watch where name = ?1)",
            )
            .bind(&spec.name)
            .bind(was)
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() > 0 {
                renamed.insert(&spec.name);
            }
        }
    }
    let stored: Vec<Stored> = sqlx::query_as(
        "select id, name, spec_hash, enabled, removed_at is not null as is_removed,
                paused_at is not null as is_paused, toml, next_due_at as due
         from watch left join due on due.watch_id = watch.id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let known: HashMap<&str, &Stored> = stored.iter().map(|row| (row.name.as_str(), row)).collect();
    let mut synced = Synced { renamed: renamed.len(), ..Synced::default() };
    let mut rows: Vec<Value> = Vec::new();
    let mut due_at: HashMap<&str, Option<i64>> = HashMap::new();
    let mut pulled: Vec<(i64, i64)> = Vec::new();
    for spec in specs {
        let hash = spec.spec_hash.cast_signed();
        let row = known.get(spec.name.as_str());
        let due = match row {
            None => {
                synced.added += 1;
                spec.first_due_at
            }
            Some(row) if row.is_as(spec) => {
                synced.ids.insert(spec.name.clone(), row.id);
                // Only a clock that was set back has left a slot further ahead than the next.
                if let (Some(due), Some(next)) = (row.due, spec.next_due_at.map(millis))
                    && due > next
                {
                    pulled.push((row.id, next));
                }
                continue;
            }
            Some(row) => {
                if !renamed.contains(spec.name.as_str()) {
                    synced.changed += 1;
                }
                if row.spec_hash != hash {
                    synced.reread.push(row.id);
                }
                let waits = row.due.filter(|due| *due <= now).map(time);
                // Who adds a watch wants to see it run.
                let comes_back = spec.toml.is_some() && row.is_removed;
                waits.or(if comes_back { spec.first_due_at } else { spec.next_due_at })
            }
        };
        rows.push(json!([spec.name, spec.spec, hash, spec.enabled, spec.toml]));
        due_at.insert(&spec.name, due.filter(|_| spec.enabled).map(millis));
    }
    if !rows.is_empty() {
        let ids: Vec<(String, i64)> = sqlx::query_as(
            "insert into watch (name, origin, spec, spec_hash, enabled, toml, created_at)
             select value ->> 0, iif(value ->> 4 is null, 'file', 'api'), value ->> 1, value ->> 2, value ->> 3,
                    value ->> 4, ?1
             from json_each(?2) where true
             on conflict (name) do update set origin = excluded.origin, spec = excluded.spec,
                 spec_hash = excluded.spec_hash, enabled = excluded.enabled, toml = excluded.toml,
                 removed_at = null
             returning name, id",
        )
        .bind(now)
        .bind(super::json(&rows)?)
        .fetch_all(&mut *connection)
        .await?;
        let due: Vec<(i64, Option<i64>)> =
            ids.iter().filter_map(|(name, id)| Some((*id, *due_at.get(name.as_str())?))).collect();
        synced.ids.extend(ids);
        sqlx::query(
            "insert into due (watch_id, next_due_at) select value ->> 0, value ->> 1 from json_each(?)
             where true
             on conflict (watch_id) do update set next_due_at = excluded.next_due_at",
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
    if !synced.reread.is_empty() {
        sqlx::query("delete from http_cache where watch_id in (select value from json_each(?))")
            .bind(super::json(&synced.reread)?)
            .execute(&mut *connection)
            .await?;
    }
    let is_gone = |row: &&Stored| !synced.ids.contains_key(&row.name) && !left_out.contains(&row.name);
    let gone: Vec<i64> = stored.iter().filter(is_gone).map(|row| row.id).collect();
    if !gone.is_empty() {
        let removed = sqlx::query(
            "update watch set removed_at = ?, paused_at = null where removed_at is null
             and id in (select value from json_each(?))",
        )
        .bind(now)
        .bind(super::json(&gone)?)
        .execute(&mut *connection)
        .await?;
        synced.removed = usize::try_from(removed.rows_affected()).unwrap_or(0);
    }
    if !left_out.is_empty() {
        synced.left_out = leave_out(connection, left_out).await?;
    }
    pause::take_slots_away(connection).await?;
    Ok(synced)
}

/// They are not due, and nothing good can be said of their next run. Answers which of them were due before.
async fn leave_out(
    connection: &mut SqliteConnection,
    names: &HashSet<String>,
) -> Result<Vec<String>, sqlx::Error> {
    let names = super::json(&names.iter().collect::<Vec<_>>())?;
    let were_due = sqlx::query_scalar(
        "select watch.name from watch join due on due.watch_id = watch.id
         where watch.name in (select value from json_each(?)) and next_due_at is not null order by watch.name",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query(
        "update due set next_due_at = null, outcome = 'failed' where watch_id in
             (select id from watch where name in (select value from json_each(?)))",
    )
    .bind(&names)
    .execute(connection)
    .await?;
    Ok(were_due)
}
