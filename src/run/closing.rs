//! What we said began, we say ended: the open episodes of watches that are removed, disabled or changed in
//! what they mean are closed with a note.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::judge::topic;
use super::own::{RUN, lasted};
use crate::alerting::QuietHours;
use crate::config::{Alerting, mask_secrets};
use crate::model::{Alert, AlertStatus, OnFirst, Reason, Signal, SignalState};
use crate::store::{Affected, Closing, DAEMON, Fate, NewDelivery, Store};
use crate::watchlist::{Roster, Watch, Watchlist, says_only_how, usual_policy};

/// Lines of a note about many episodes.
const MOST_LINES: usize = 20;

/// What a change of the watchlist means for what was settled on.
///
/// A strategy whose table is the same keeps everything, also under another number (`rsi-2`); one that is
/// gone or changed is forgotten, and so is everything when the source looks elsewhere. A symbol that is no
/// longer in the source's list is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Strategies under their former and their present name.
    pub renamed: Vec<(String, String)>,
    /// Strategies that are gone or mean something else.
    pub changed: Vec<String>,
    /// Subjects that are no longer asked for.
    pub dropped: BTreeSet<String>,
    /// Whether all of it is because the source looks elsewhere.
    pub elsewhere: bool,
}

/// What is forgotten of a strategy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgets {
    All,
    /// What is open and ends with a note.
    Open,
    /// What is no longer asked for.
    Dropped,
}

/// Compares what a watch meant, as its table was stored, with what it means now.
#[must_use]
pub fn meaning(old: &str, watch: &Watch) -> Meaning {
    let usual = watch.source.usual_strategies();
    let (old, new) = (table(old), table(&watch.spec));
    let (before, after) = (strategies_of(&old, usual), strategies_of(&new, usual));
    let dropped = match compare_sources(old.get("source"), new.get("source")) {
        Some(dropped) => dropped,
        None => {
            let changed = before.into_iter().map(|(name, _)| name).collect();
            return Meaning { changed, elsewhere: true, ..Meaning::default() };
        }
    };
    let mut meaning = Meaning { dropped, ..Meaning::default() };
    let kept = |name: &str, table: &Value| after.iter().any(|(n, t)| n == name && same(t, table));
    let mut free: Vec<&(String, Value)> = after
        .iter()
        .filter(|(name, table)| !before.iter().any(|(n, t)| n == name && same(t, table)))
        .collect();
    for (name, table) in &before {
        if kept(name, table) {
            continue;
        }
        match free.iter().position(|(_, other)| same(other, table)) {
            Some(at) => meaning.renamed.push((name.clone(), free.remove(at).0.clone())),
            None => meaning.changed.push(name.clone()),
        }
    }
    meaning
}

fn table(spec: &str) -> Map<String, Value> {
    let mut spec = serde_json::from_str(spec).unwrap_or_default();
    // An older program may have stored what is masked now.
    mask_secrets(&mut spec);
    match spec {
        Value::Object(table) => table,
        _ => Map::new(),
    }
}

/// The strategies of a watch by the names that their states are kept under.
fn strategies_of(watch: &Map<String, Value>, usual: &str) -> Vec<(String, Value)> {
    let usual = || {
        let table: toml::Table = format!("strategy = {usual}").parse().unwrap_or_default();
        serde_json::to_value(table).ok().and_then(|mut table| table.get_mut("strategy").map(Value::take))
    };
    let Some(Value::Array(tables)) = watch.get("strategy").cloned().or_else(usual) else { return Vec::new() };
    let mut named: Vec<(String, Value)> = Vec::new();
    for table in tables {
        let kind = table.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let same = named.iter().filter(|(_, other)| other.get("kind") == table.get("kind")).count();
        named.push((if same == 0 { kind } else { format!("{kind}-{}", same.saturating_add(1)) }, table));
    }
    named
}

/// The subjects that are no longer asked for, or `None` when the source looks elsewhere.
fn compare_sources(old: Option<&Value>, new: Option<&Value>) -> Option<BTreeSet<String>> {
    let none = Map::new();
    let (old, new) =
        (old.and_then(Value::as_object).unwrap_or(&none), new.and_then(Value::as_object).unwrap_or(&none));
    let mut dropped = BTreeSet::new();
    let keys = old.keys().chain(new.keys()).filter(|key| !says_only_how(key));
    for key in keys.collect::<BTreeSet<_>>() {
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) if same(old, new) => {}
            (Some(old), Some(new)) if old.is_array() || new.is_array() => {
                let (old, new) = (list(old), list(new));
                let gone = old.iter().filter(|item| !new.contains(item));
                dropped.extend(gone.filter_map(|item| item.as_str()).map(str::to_owned));
            }
            // Leaving out, or no longer leaving out, is no other place to look at.
            (None, Some(Value::Array(_))) | (Some(Value::Array(_)), None) => {}
            _ => return None,
        }
    }
    Some(dropped)
}

/// A text where a list may stand is a list of one.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// Whether two values mean the same: `20` is `20.0`, also as a text, and the order of keys does not matter.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (a, b) {
        (Value::Number(_) | Value::String(_), Value::Number(_) | Value::String(_)) => {
            a == b || number(a).zip(number(b)).is_some_and(|(a, b): (f64, f64)| a == b)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Decides for each watch that a change of the watchlist affects what is forgotten, and what is told of it.
pub struct Closer {
    watches: HashMap<String, Arc<Watch>>,
    notifiers: Vec<String>,
    alerting: Alerting,
    zone: TimeZone,
    now: Timestamp,
}

impl Closer {
    /// With the watches and notifiers that there are from now on.
    #[must_use]
    pub fn new(watchlist: &Watchlist, now: Timestamp) -> Self {
        Self {
            watches: watchlist.watches.iter().map(|watch| (watch.name.clone(), Arc::clone(watch))).collect(),
            notifiers: watchlist.notifiers.keys().cloned().collect(),
            alerting: watchlist.alerting.clone(),
            zone: TimeZone::get(&watchlist.daemon.timezone).unwrap_or(TimeZone::UTC),
            now,
        }
    }

    /// For all of them.
    #[must_use]
    pub fn close(&self, affected: Vec<Affected>) -> Vec<Closing> {
        affected.into_iter().map(|affected| self.close_one(&affected)).collect()
    }

    fn close_one(&self, affected: &Affected) -> Closing {
        let old = table(&affected.spec);
        let watch = self.watches.get(&affected.name);
        let mut closing = Closing { watch_id: affected.watch_id, ..Closing::default() };
        let meaning = watch.map(|watch| meaning(&affected.spec, watch)).unwrap_or_default();
        let goes_on = affected.fate == Fate::Changed && watch.is_some();
        let strategies: BTreeSet<&str> =
            affected.states.iter().map(|(strategy, ..)| strategy.as_str()).collect();
        for strategy in strategies {
            let states = affected.states.iter().filter(|(name, ..)| name == strategy);
            let is_changed = meaning.changed.iter().any(|name| name == strategy);
            let (why, forgets): (&str, Forgets) = match affected.fate {
                Fate::Removed => ("the watch was removed", Forgets::All),
                Fate::Disabled if is_changed || strategy == RUN || self.is_announced(&old, strategy) => {
                    ("the watch was disabled", Forgets::All)
                }
                Fate::Disabled => ("the watch was disabled", Forgets::Open),
                Fate::Changed if !goes_on => ("the watch was removed", Forgets::All),
                Fate::Changed if is_changed && meaning.elsewhere => {
                    ("the watch looks elsewhere now", Forgets::All)
                }
                Fate::Changed if is_changed => ("its rule was changed", Forgets::All),
                Fate::Changed => ("it is no longer watched", Forgets::Dropped),
            };
            let ends = |state: &SignalState| {
                state.firing && state.told && (strategy == RUN || self.ends_are_told(&old, strategy))
            };
            let is_dropped = |subject: &String| meaning.dropped.contains(subject);
            let open = states.clone().filter(|(_, subject, state)| {
                ends(state) && (forgets != Forgets::Dropped || is_dropped(subject))
            });
            self.note(&mut closing, affected, &old, strategy, open, why);
            let forgotten = states.filter(|(_, subject, state)| match forgets {
                Forgets::All => true,
                Forgets::Open => ends(state),
                Forgets::Dropped => is_dropped(subject),
            });
            closing.forgotten.extend(forgotten.map(|(_, subject, _)| (strategy.to_owned(), subject.clone())));
        }
        closing.renamed = meaning.renamed;
        closing
    }

    /// One message for all the episodes of a strategy.
    fn note<'s>(
        &self,
        closing: &mut Closing,
        affected: &Affected,
        old: &Map<String, Value>,
        strategy: &str,
        open: impl Iterator<Item = &'s (String, String, SignalState)>,
        why: &str,
    ) {
        let name = &affected.name;
        let alerts: Vec<Alert> = open
            .map(|(_, subject, state)| {
                let last = affected.last_alerts.get(&(strategy.to_owned(), subject.clone()));
                self.end(name, strategy, subject, state, last, why)
            })
            .collect();
        let (title, body) = match alerts.as_slice() {
            [] => return,
            [one] => (one.title.clone(), one.body.clone()),
            several => {
                let lines = several.iter().take(MOST_LINES).map(|alert| {
                    let lasted = lasted(alert.starts_at, self.now);
                    format!("{} (for {lasted})", alert.title.trim_start_matches("Closed: "))
                });
                let mut lines: Vec<String> = lines.collect();
                if several.len() > MOST_LINES {
                    lines.push(format!("… and {} more", several.len().saturating_sub(MOST_LINES)));
                }
                (format!("{name}: {} open alerts are closed, {why}", several.len()), lines.join("\n"))
            }
        };
        let watch = self.watches.get(name);
        let urgent =
            watch.map_or_else(|| old.get("urgent") == Some(&Value::Bool(true)), |watch| watch.urgent);
        let held_until = match watch {
            Some(watch) => watch.quiet_until(self.now),
            None if urgent => None,
            None => self.quiet_until(old),
        };
        for notifier in self.told(old, name) {
            closing.deliveries.push(NewDelivery {
                id: Uuid::now_v7().to_string(),
                notifier,
                title: title.clone(),
                body: body.clone(),
                url: None,
                alert_ids: alerts.iter().map(|alert| alert.id.clone()).collect(),
                topic: topic(affected.watch_id, strategy),
                urgent,
                created_at: self.now,
                held_until,
            });
        }
        closing.alerts.extend(alerts);
    }

    /// The quiet hours of a watch that is gone.
    fn quiet_until(&self, old: &Map<String, Value>) -> Option<Timestamp> {
        let own = old.get("quiet_hours").and_then(Value::as_str);
        let hours = QuietHours::parse(own.unwrap_or(&self.alerting.quiet_hours)).ok()??;
        let zone = old.get("timezone").and_then(Value::as_str).and_then(|name| TimeZone::get(name).ok());
        hours.end_after(self.now, zone.as_ref().unwrap_or(&self.zone))
    }

    fn end(
        &self,
        watch: &str,
        strategy: &str,
        subject: &str,
        state: &SignalState,
        last: Option<&Alert>,
        why: &str,
    ) -> Alert {
        let what = match last {
            Some(last) => last.title.clone(),
            None if subject.is_empty() => format!("{watch}: {}", state.state),
            None => format!("{watch}: {subject} is {}", state.state.replace('_', " ")),
        };
        let signal = last.map_or_else(
            || Signal::level(subject, &state.state, false),
            |last| Signal { firing: false, ..last.signal.clone() },
        );
        Alert {
            id: Uuid::now_v7().to_string(),
            watch: watch.to_owned(),
            strategy: strategy.to_owned(),
            signal,
            status: AlertStatus::Resolved,
            reason: Reason::Resolved,
            title: format!("Closed: {what}"),
            body: format!("It was so for {}; {why}.", lasted(state.since, self.now)),
            url: last.and_then(|last| last.url.clone()),
            starts_at: state.since,
            ends_at: Some(self.now),
            labels: last.map(|last| last.labels.clone()).unwrap_or_default(),
        }
    }

    /// Whom a watch tells and told: what one heard begin it hears end.
    fn told(&self, old: &Map<String, Value>, name: &str) -> BTreeSet<String> {
        let now = self.watches.get(name).map(|watch| watch.notify.clone()).unwrap_or_default();
        let before: Vec<String> = match old.get("notify").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => self.notifiers.clone(),
        };
        now.into_iter().chain(before).filter(|name| self.notifiers.contains(name)).collect()
    }

    /// Whether a watch wanted the ends of a strategy told.
    fn ends_are_told(&self, watch: &Map<String, Value>, strategy: &str) -> bool {
        let own = watch.get("resolved").and_then(Value::as_bool);
        let usual = || usual_policy(strategy).is_some_and(|policy| policy.resolved);
        own.or(self.alerting.resolved).unwrap_or_else(usual)
    }

    /// Whether a strategy announces what it finds, so that it must begin anew when it comes back.
    fn is_announced(&self, watch: &Map<String, Value>, strategy: &str) -> bool {
        let own = watch.get("on_first").and_then(|word| serde_json::from_value(word.clone()).ok());
        let usual = || usual_policy(strategy).map(|policy| policy.on_first);
        own.or(self.alerting.on_first).or_else(usual) == Some(OnFirst::Announce)
    }
}

/// Ends what was told of a host that no watch asks any more. Answers whether anything is told.
pub(super) async fn close_host(
    store: &Store,
    roster: &Roster,
    host: &str,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let Some(state) = store.signal_state(DAEMON, RUN, host).await? else { return Ok(false) };
    let mut notifiers = store.notifiers_told(RUN, host).await?;
    notifiers.retain(|name| roster.watchlist.notifiers.contains_key(name));
    let mut closing =
        Closing { watch_id: DAEMON, forgotten: vec![(RUN.into(), host.into())], ..Closing::default() };
    let title = format!("Closed: no watch asks {host} any more");
    let body = format!("It was {} for {}.", state.state, lasted(state.since, now));
    let alert = Alert {
        id: Uuid::now_v7().to_string(),
        watch: String::new(),
        strategy: RUN.into(),
        signal: Signal::level(host, &state.state, false).summary(title.clone()),
        status: AlertStatus::Resolved,
        reason: Reason::Resolved,
        title: title.clone(),
        body: body.clone(),
        url: None,
        starts_at: state.since,
        ends_at: Some(now),
        labels: BTreeMap::new(),
    };
    closing.deliveries = notifiers
        .into_iter()
        .map(|notifier| NewDelivery {
            id: Uuid::now_v7().to_string(),
            notifier,
            title: title.clone(),
            body: body.clone(),
            url: None,
            alert_ids: vec![alert.id.clone()],
            topic: format!("host/{host}"),
            urgent: false,
            created_at: now,
            held_until: None,
        })
        .collect();
    let is_told = !closing.deliveries.is_empty();
    closing.alerts.push(alert);
    store.close_episodes(closing, now).await?;
    Ok(is_told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;

    fn watch(source: &str) -> Arc<Watch> {
        let text = format!(
            "[watch.a]\nsource = {{ kind = 'page', {source} }}\nstrategy = [{{ kind = 'text_changed' }}]\n\
             every = '1h'\n"
        );
        let files = [File { path: "config.toml".into(), text }];
        let built = Watchlist::build(&files, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Arc::clone(built.watch("a").expect("the watch"))
    }

    #[test]
    fn another_body_is_another_place_and_another_way_to_ask_is_not() {
        let lamp = "url = 'https://a.example/', headers = { x = '1' }, body = '{\"q\": \"lamp\"}'";
        let before = watch(lamp);
        for (source, elsewhere) in [
            (lamp.to_owned(), false),
            (lamp.replace("lamp", "sofa"), true),
            (lamp.replace("x = '1'", "y = '2'"), false),
            (lamp.replace("a.example", "b.example"), true),
            (format!("{lamp}, proxy = 'http://p.example:1', user_agent = 'me'"), false),
        ] {
            let after = watch(&source);
            assert_eq!(meaning(&before.spec, &after).elsewhere, elsewhere, "{source}");
            assert_eq!(before.spec_hash() == after.spec_hash(), source == lamp, "{source}");
        }
    }

    #[test]
    fn what_an_older_program_stored_unmasked_is_the_same_place() {
        let now = watch("url = 'https://a.example/?api_key=abcdef', headers = { x = '1' }");
        let stored = now.spec.replace("api_key=[secret]", "api_key=abcdef");
        assert_ne!(stored, now.spec);
        assert_eq!(meaning(&stored, &now), Meaning::default());
    }
}
