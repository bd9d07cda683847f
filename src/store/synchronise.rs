//! Makes the table of watches what the files and those who add watches say.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::closing::{Affected, Closing, affected, apply, fates};
use super::{Note, Store, WriteError, memo, millis, pause, time};

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

/// A change of the watchlist.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The watches as they are from now on.
    pub specs: Vec<WatchSpec>,
    /// Added watches that cannot be built at present: they stay as they are, and are not due. With each what is
    /// told of that, the first time.
    pub left_out: HashMap<String, Note>,
    /// The notifiers that are told.
    pub notifiers: Vec<String>,
    /// What goes that is neither among `specs` nor left out.
    pub removes: Removes,
    /// Whether a daemon that runs is to take it over.
    pub is_news_to_the_daemon: bool,
}

/// Which watches a change removes that it does not name.
#[derive(Clone, Debug, Default)]
pub enum Removes {
    /// All of them.
    #[default]
    All,
    /// Those of files, and of those that were added only these: another one was added meanwhile, by somebody
    /// whom this change knows nothing of.
    AllButNewer(HashSet<String>),
    /// Only these.
    Only(HashSet<String>),
}

impl Removes {
    pub(super) fn concerns(&self, name: &str, is_added: bool) -> bool {
        match self {
            Self::All => true,
            Self::AllButNewer(known) => !is_added || known.contains(name),
            Self::Only(names) => names.contains(name),
        }
    }
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

/// A row as a synchronisation finds it.
#[derive(sqlx::FromRow)]
struct Stored {
    id: i64,
    name: String,
    spec_hash: i64,
    enabled: bool,
    is_removed: bool,
    is_added: bool,
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
        self.change_watches(Change { specs, ..Change::default() }, now, close).await
    }

    /// The same for a change that does not name, or does not concern, each and every watch. What it tells of those
    /// that are left out is written with it.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn change_watches(
        &self,
        change: Change,
        now: Timestamp,
        close: impl FnOnce(Vec<Affected>) -> Vec<Closing> + Send + 'static,
    ) -> Result<Synced, WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let fates = fates(connection, &change).await?;
                    let affected = affected(connection, fates).await?;
                    let closings = if affected.is_empty() { Vec::new() } else { close(affected) };
                    let mut synced = synchronise(connection, &change, now).await?;
                    for closing in closings {
                        synced.unsettled.push(closing.watch_id);
                        synced.deliveries = synced.deliveries.saturating_add(closing.deliveries.len());
                        apply(connection, &closing, millis(now)).await?;
                    }
                    if change.is_news_to_the_daemon {
                        memo::note_change_of_watches(connection).await?;
                    }
                    Ok(synced)
                })
            })
            .await
    }
}

async fn synchronise(
    connection: &mut SqliteConnection,
    change: &Change,
    now: Timestamp,
) -> Result<Synced, sqlx::Error> {
    let Change { specs, left_out, removes, .. } = change;
    let at = now;
    let now = millis(at);
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
                origin = 'api' and removed_at is null as is_added, paused_at is not null as is_paused, toml, next_due_at as due
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
    let is_gone = |row: &&Stored| {
        !synced.ids.contains_key(&row.name)
            && !left_out.contains_key(&row.name)
            && removes.concerns(&row.name, row.is_added)
    };
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
        for name in leave_out(connection, left_out.keys().collect()).await? {
            if let Some(note) = left_out.get(&name) {
                memo::tell(connection, note, &change.notifiers, at).await?;
            }
            synced.left_out.push(name);
        }
    }
    pause::take_slots_away(connection).await?;
    Ok(synced)
}

/// They are not due, and nothing good can be said of their next run. Answers which of them were due before.
async fn leave_out(
    connection: &mut SqliteConnection,
    names: Vec<&String>,
) -> Result<Vec<String>, sqlx::Error> {
    let names = super::json(&names)?;
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
