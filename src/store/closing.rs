//! The watches that a change of the watchlist removes, disables or changes: what is forgotten and told of them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::synchronise::{Change, WatchSpec};
use super::{NewDelivery, Store, WriteError, alerts, from_json, millis, outbox};
use crate::model::{Alert, SignalState};

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

/// The watches that the watchlist removes, disables or changes: row, name from now on, table as it was.
pub(super) async fn fates(
    connection: &mut SqliteConnection,
    change: &Change,
) -> Result<Vec<(i64, String, Fate)>, sqlx::Error> {
    let specs = &change.specs;
    // A run that was under way when its watch was removed may have opened an episode since.
    let rows: Vec<(i64, String, i64, bool, bool, bool)> = sqlx::query_as(
        "select id, name, spec_hash, enabled,
                removed_at is null or exists (select 1 from signal_state where watch_id = watch.id),
                origin = 'api' and removed_at is null
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
    let goes = |name: &String, is_added| {
        !change.left_out.contains_key(name) && change.removes.concerns(name, is_added)
    };
    let fate =
        |(id, name, hash, enabled, counts, is_added): &(i64, String, i64, bool, bool, bool)| match by_name
            .get(name.as_str())
            .filter(|_| *counts)
        {
            None if !counts || !goes(name, *is_added) => None,
            None => Some((*id, name.clone(), Fate::Removed)),
            Some(spec) if *enabled && !spec.enabled => Some((*id, spec.name.clone(), Fate::Disabled)),
            Some(spec) if spec.spec_hash.cast_signed() != *hash => {
                Some((*id, spec.name.clone(), Fate::Changed))
            }
            Some(_) => None,
        };
    Ok(rows.iter().filter_map(fate).collect())
}

pub(super) async fn affected(
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

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    closing: &Closing,
    now: i64,
) -> Result<(), sqlx::Error> {
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
