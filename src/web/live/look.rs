//! What is new in the store since the last look.

use std::collections::{HashMap, HashSet};

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::super::Status;
use crate::model::Alert;
use crate::store::{Moving, Store};

/// How far back alerts are looked for: each has its id a moment before it is stored, and another may be stored
/// meanwhile.
const BACK_MILLIS: u64 = 30_000;

/// So many ids of alerts are read at once, the newest; where there are as many, older ones may be new too.
const MOST_ALERTS: i64 = 2_000;

/// So many of the newest deliveries are looked at, and as many of the oldest that are not settled.
const DELIVERIES: i64 = 100;

/// Something new, as it is told.
pub(super) struct Event {
    name: &'static str,
    /// JSON, one line.
    body: String,
}

impl Event {
    pub(super) fn new(name: &'static str, what: &impl Serialize) -> Option<Self> {
        Some(Self { name, body: serde_json::to_string(what).ok()? })
    }

    pub(super) fn alert(alert: &Alert) -> Option<Self> {
        Self::new("alert", alert)
    }

    /// Look at everything anew.
    pub(super) fn reset() -> Self {
        Self { name: "reset", body: "{}".into() }
    }

    pub(super) fn text(&self, id: Uuid) -> Bytes {
        format!("id: {id}\nevent: {}\ndata: {}\n\n", self.name, self.body).into()
    }
}

pub(super) struct Look {
    store: Store,
    not_taken_up: watch::Receiver<Vec<String>>,
    watches: Option<HashMap<String, Status>>,
    /// Those of the last seconds, and the newest moment among them, in milliseconds.
    alerts: Option<(HashSet<String>, u64)>,
    seen_until: String,
    deliveries: Option<HashMap<String, Moving>>,
    /// What is new and has not been told yet.
    found: Vec<Event>,
}

impl Look {
    pub(super) fn new(store: Store, mut not_taken_up: watch::Receiver<Vec<String>>) -> Self {
        not_taken_up.mark_unchanged();
        Self {
            store,
            not_taken_up,
            watches: None,
            alerts: None,
            seen_until: String::new(),
            deliveries: None,
            found: Vec::new(),
        }
    }

    /// What is new; nothing, the first time. What was found before an error is told after it.
    pub(super) async fn again(&mut self) -> Result<Vec<Event>, sqlx::Error> {
        let alerts = self.alerts(Timestamp::now()).await?;
        self.found.extend(alerts);
        let deliveries = self.deliveries().await?;
        self.found.extend(deliveries);
        let watches = self.watches().await?;
        self.found.extend(watches);
        if self.not_taken_up.has_changed().unwrap_or(false) {
            self.not_taken_up.mark_unchanged();
            self.found.push(Event::reset());
        }
        Ok(std::mem::take(&mut self.found))
    }

    /// The newest alert that was there at the last look, or an id that is as new.
    pub(super) fn seen_until(&self) -> &str {
        &self.seen_until
    }

    async fn watches(&mut self) -> Result<Vec<Event>, sqlx::Error> {
        let now: HashMap<String, Status> = self
            .store
            .glances()
            .await?
            .into_iter()
            .map(|glance| (glance.name.clone(), glance.into()))
            .collect();
        let Some(before) = self.watches.replace(now) else { return Ok(Vec::new()) };
        let now = self.watches.as_ref().map(HashMap::iter).into_iter().flatten();
        let changed =
            now.filter(|(name, status)| before.get(*name) != Some(status)).map(|(_, status)| status);
        let mut changed: Vec<&Status> = changed.collect();
        changed.sort_by_key(|status| status.ran_at);
        let mut events: Vec<Event> =
            changed.into_iter().filter_map(|status| Event::new("watch", status)).collect();
        let is_left = |name: &String| self.watches.as_ref().is_some_and(|now| now.contains_key(name));
        if !before.keys().all(is_left) {
            events.push(Event::reset());
        }
        Ok(events)
    }

    async fn alerts(&mut self, now: Timestamp) -> Result<Vec<Event>, sqlx::Error> {
        let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
        // A clock that was set back has left ids of a time that is still to come.
        let newest = self.alerts.as_ref().map_or(now, |(_, newest)| (*newest).min(now));
        let after = first_id(newest.saturating_sub(BACK_MILLIS)).to_string();
        let ids = self.store.alert_ids_after(&after, MOST_ALERTS).await?;
        let seen_until = ids.last().cloned().unwrap_or(after);
        let newest = ids.last().and_then(|id| millis(id)).map_or(newest, |last| last.max(newest));
        let Some((seen, _)) = &self.alerts else {
            self.seen_until = seen_until;
            self.alerts = Some((ids.into_iter().collect(), newest));
            return Ok(Vec::new());
        };
        let new: Vec<String> = ids.iter().filter(|id| !seen.contains(*id)).cloned().collect();
        let alerts = if new.is_empty() { Vec::new() } else { self.store.alerts_by_id(&new).await? };
        let may_be_more = !new.is_empty() && ids.len() >= usize::try_from(MOST_ALERTS).unwrap_or_default();
        self.seen_until = seen_until;
        self.alerts = Some((ids.into_iter().collect(), newest));
        let told = alerts.iter().filter_map(Event::alert);
        Ok(told.chain(may_be_more.then(Event::reset)).collect())
    }

    async fn deliveries(&mut self) -> Result<Vec<Event>, sqlx::Error> {
        let now = self.store.moving_deliveries(DELIVERIES).await?;
        let now: HashMap<String, Moving> = now.into_iter().map(|one| (one.id.clone(), one)).collect();
        let Some(before) = &self.deliveries else {
            self.deliveries = Some(now);
            return Ok(Vec::new());
        };
        let gone: Vec<&str> = before.keys().filter(|id| !now.contains_key(*id)).map(String::as_str).collect();
        let gone = if gone.is_empty() { Vec::new() } else { self.store.deliveries_by_id(&gone).await? };
        // One that was not among them before has not changed when it is settled already, unless it is new: then no
        // older one is newer than it.
        let newest = before.values().map(|one| one.id.as_str()).max().unwrap_or_default();
        let is_news = |one: &&Moving| match before.get(&one.id) {
            Some(known) => known != *one,
            None => one.id.as_str() > newest || !matches!(one.status.as_str(), "delivered" | "dead"),
        };
        let changed = now.values().chain(&gone).filter(is_news);
        let told = |one: &Moving| json!({ "id": one.id, "status": one.status, "notifier": one.notifier });
        let events = changed.filter_map(|one| Event::new("delivery", &told(one))).collect();
        self.deliveries = Some(now);
        Ok(events)
    }
}

/// The smallest id of a moment.
fn first_id(millis: u64) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

fn millis(id: &str) -> Option<u64> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    Some(seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000)))
}
