//! Every question is asked of a real database in a temporary folder.

mod due;
mod first_version;
mod moved;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::model::{
    Alert, AlertStatus, Candle, Interval, Observation, Outcome, Period, Reading, Reason, Signal, SlotOutcome,
    Trigger,
};
use crate::testing::at;

const NOW: &str = "2026-11-21T10:00:00Z";

struct Stage {
    folder: TempDir,
    store: Store,
}

impl Stage {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { store: Store::open(folder.path()).await.unwrap(), folder }
    }

    async fn with_watch() -> (Self, i64) {
        let stage = Self::new().await;
        let synced = stage.store.synchronise(vec![spec("w", 1)], at(NOW), |_| Vec::new()).await.unwrap();
        (stage, synced.ids["w"])
    }

    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(Store::path_in(self.folder.path())).connect().await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.raw().await;
        let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        count
    }
}

#[tokio::test]
async fn a_run_that_found_nothing_new_brings_how_hosts_stand_and_how_long_it_waited() {
    let (stage, id) = Stage::with_watch().await;
    let host = || "shop.example".to_owned();
    let standing = crate::http::Standing {
        host: host(),
        wait: Duration::from_secs(10),
        since: at(NOW),
        until: minutes(1),
        why: "HTTP 429".into(),
        refused: true,
        changed_at: at(NOW),
    };
    let commit = RunCommit {
        waited: Waited { time: Duration::from_secs(45), host: Some(host()) },
        standings: vec![standing.clone()],
        ..run(id, at(NOW), None)
    };
    stage.store.commit_run(commit).await.unwrap();
    assert_eq!(stage.store.host_standings().await.unwrap(), [standing]);
    let known = stage.store.run_at(id, None).await.unwrap().unwrap();
    assert_eq!(known.waited, Waited { time: Duration::from_secs(45), host: Some(host()) });
    let slots = stage.store.slots(id, at(NOW), at(NOW), Duration::from_secs(15)).await.unwrap();
    let why = slots[0].why.as_deref();
    assert_eq!(
        (slots[0].outcome, why),
        (SlotOutcome::Late, Some("waited 45 s for its turn at shop.example"))
    );
}

/// The rule of who goes next is the outbox's; here the oldest that is due does.
fn oldest_due(now: Timestamp) -> impl Fn(&Queue) -> Choice + Send + 'static {
    move |queue| match queue.waiting.iter().find(|row| row.next_at <= now) {
        Some(row) => Choice::Send(row.seq),
        None => Choice::Wait(queue.waiting.iter().map(|row| row.next_at).chain(queue.next_at).min()),
    }
}

impl Stage {
    async fn claim(&self, notifier: &str, now: Timestamp, lease: Duration) -> Option<Claimed> {
        match self.claim_by(notifier, now, lease, oldest_due(now)).await {
            Claim::Ours(claimed) => Some(*claimed),
            Claim::Nothing(_) => None,
        }
    }

    async fn claim_by(
        &self,
        notifier: &str,
        now: Timestamp,
        lease: Duration,
        choose: impl Fn(&Queue) -> Choice + Send + 'static,
    ) -> Claim {
        let text = |kind: DeliveryKind, carried: &[Carried]| Text {
            title: format!("a {} of {}", kind.as_str(), carried.len()),
            body: carried.iter().map(|one| one.title.as_str()).collect::<Vec<_>>().join("\n"),
            url: None,
        };
        self.store.claim_delivery(notifier, now, lease, None, choose, text).await.unwrap()
    }

    async fn settle(&self, id: &str, settlement: Settlement, now: Timestamp) {
        let about = ("run", "notifier x".to_owned());
        self.store.settle_delivery(id, settlement, now, about, |_, _, _| None).await.unwrap();
    }
}

fn minutes(count: i64) -> Timestamp {
    at(NOW) + SignedDuration::from_mins(count)
}

fn spec(name: &str, hash: u64) -> WatchSpec {
    WatchSpec {
        name: name.into(),
        was: None,
        spec: "{}".into(),
        spec_hash: hash,
        enabled: true,
        toml: None,
        first_due_at: Some(at(NOW)),
        next_due_at: Some(minutes(5)),
    }
}

fn run(watch_id: i64, started_at: Timestamp, found: Option<Found>) -> RunCommit {
    RunCommit {
        spec_hash: None,
        watch_id,
        trigger: Trigger::Schedule,
        due_at: started_at,
        started_at,
        finished_at: started_at,
        outcome: Outcome::Ok,
        error: None,
        next_due: NextDue::Keep,
        waited: Waited::default(),
        standings: Vec::new(),
        found: found.map(Box::new),
    }
}

fn value(subject: &str, observed_at: Timestamp, value: f64) -> SeenSubject {
    SeenSubject {
        observation: Observation {
            subject: subject.into(),
            observed_at,
            url: None,
            reading: Reading::Value { value, unit: String::new() },
            evidence: Vec::new(),
        },
        request: u64::MAX,
        hash: value.to_bits(),
        dated: true,
        newest: true,
    }
}

fn alert(id: &str) -> Alert {
    Alert {
        id: id.into(),
        watch: "w".into(),
        strategy: "threshold".into(),
        signal: Signal::level("s", "above", true),
        status: AlertStatus::Firing,
        reason: Reason::First,
        title: format!("title of {id}"),
        body: String::new(),
        url: None,
        starts_at: at(NOW),
        ends_at: None,
        labels: Default::default(),
    }
}

fn delivery(id: &str, notifier: &str, created_at: Timestamp) -> NewDelivery {
    NewDelivery {
        id: id.into(),
        notifier: notifier.into(),
        title: format!("title of {id}"),
        body: String::new(),
        url: None,
        alert_ids: vec![format!("alert-of-{id}")],
        created_at,
        topic: "w/s".into(),
        urgent: false,
        held_until: None,
    }
}

/// Commits a run that tells this.
async fn tell(stage: &Stage, watch_id: i64, deliveries: Vec<NewDelivery>) {
    let alerts = deliveries.iter().map(|delivery| alert(&delivery.alert_ids[0])).collect();
    let created_at = deliveries[0].created_at;
    let found = Found { alerts, deliveries, ..Found::default() };
    stage.store.commit_run(run(watch_id, created_at, Some(found))).await.unwrap();
}

#[tokio::test]
async fn the_file_is_what_the_table_says() {
    let stage = Stage::new().await;
    let first =
        stage.store.synchronise(vec![spec("a", 1), spec("b", 1)], at(NOW), |_| Vec::new()).await.unwrap();
    assert_eq!((first.added, first.changed, first.removed), (2, 0, 0));
    let same =
        stage.store.synchronise(vec![spec("a", 1), spec("b", 1)], minutes(1), |_| Vec::new()).await.unwrap();
    assert_eq!((same.added, same.changed, same.removed), (0, 0, 0));
    assert_eq!(same.ids, first.ids);
    let next =
        stage.store.synchronise(vec![spec("a", 2), spec("c", 1)], minutes(2), |_| Vec::new()).await.unwrap();
    assert_eq!((next.added, next.changed, next.removed), (1, 1, 1));
    assert_eq!(next.ids["a"], first.ids["a"]);
    assert!(!next.ids.contains_key("b"));
    assert_eq!(stage.store.watch("b").await.unwrap().map(|row| row.id), Some(first.ids["b"]), "it is kept");
    let back = stage
        .store
        .synchronise(vec![spec("a", 2), spec("b", 1), spec("c", 1)], minutes(3), |_| Vec::new())
        .await;
    assert_eq!(back.unwrap().ids["b"], first.ids["b"], "what comes back is the same as before");
}

#[tokio::test]
async fn a_new_name_takes_over_the_row_of_the_old_one() {
    let (stage, id) = Stage::with_watch().await;
    let renamed = WatchSpec { was: Some("w".into()), ..spec("new", 2) };
    for _ in 0..2 {
        let synced =
            stage.store.synchronise(vec![renamed.clone()], minutes(1), |_| Vec::new()).await.unwrap();
        assert_eq!(synced.ids, HashMap::from([("new".to_owned(), id)]));
    }
    assert_eq!(stage.store.watch("w").await.unwrap(), None);
}

#[tokio::test]
async fn the_longest_waiting_comes_first_and_only_what_is_due() {
    let stage = Stage::new().await;
    let due = |name: &str, minute| WatchSpec { first_due_at: Some(minutes(minute)), ..spec(name, 1) };
    let off = WatchSpec { enabled: false, ..due("off", -9) };
    let never = WatchSpec { first_due_at: None, next_due_at: None, ..spec("never", 1) };
    let specs = vec![due("late", 7), due("second", -1), due("first", -3), due("now", 0), off, never];
    stage.store.synchronise(specs, at(NOW), |_| Vec::new()).await.unwrap();
    let names = async |limit| -> Vec<String> {
        let due = stage.store.due_watches(at(NOW), limit).await.unwrap();
        due.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(10).await, ["first", "second", "now"]);
    assert_eq!(names(2).await, ["first", "second"]);
    assert_eq!(stage.store.next_due_after(at(NOW)).await.unwrap(), Some(minutes(7)));
}

#[tokio::test]
async fn a_slot_that_was_missed_stands_and_a_run_sets_the_next() {
    let (stage, id) = Stage::with_watch().await;
    stage.store.synchronise(vec![spec("w", 1)], minutes(30), |_| Vec::new()).await.unwrap();
    let due = stage.store.due_watches(minutes(30), 9).await.unwrap();
    assert_eq!(due, [("w".to_owned(), at(NOW))], "also over a restart");
    stage.store.synchronise(vec![spec("w", 2)], minutes(30), |_| Vec::new()).await.unwrap();
    assert_eq!(stage.store.due_watches(minutes(30), 9).await.unwrap(), due, "and a change");
    let manual = run(id, minutes(30), None);
    stage.store.commit_run(manual.clone()).await.unwrap();
    assert_eq!(stage.store.due_watches(minutes(30), 9).await.unwrap(), due, "a person's run changes nothing");
    let commit = RunCommit { next_due: NextDue::At(minutes(35)), ..manual.clone() };
    stage.store.commit_run(commit).await.unwrap();
    assert!(stage.store.due_watches(minutes(34), 9).await.unwrap().is_empty());
    assert_eq!(stage.store.next_due_after(minutes(30)).await.unwrap(), Some(minutes(35)));
    let last = RunCommit { next_due: NextDue::Never, ..manual };
    stage.store.commit_run(last).await.unwrap();
    assert_eq!(stage.store.due_watches(minutes(9_999), 9).await.unwrap(), [], "no slot comes again for ever");
}

#[tokio::test]
async fn a_run_that_cannot_be_stored_leaves_nothing_and_spoils_no_other() {
    let (stage, id) = Stage::with_watch().await;
    let found = |n: i64| Found { seen: vec![value(&format!("s{n}"), minutes(n), 1.0)], ..Found::default() };
    // There is no such watch.
    let poison = run(4_711, at(NOW), Some(found(99)));
    let commits = (0..40).map(|n| {
        let commit = if n == 20 { poison.clone() } else { run(id, minutes(n), Some(found(n))) };
        let store = stage.store.clone();
        async move { store.commit_run(commit).await }
    });
    let done = futures_util::future::join_all(commits).await;
    let refused: Vec<usize> =
        done.iter().enumerate().filter(|(_, done)| done.is_err()).map(|(n, _)| n).collect();
    assert_eq!(refused, [20]);
    assert_eq!(stage.count("select count(*) from run").await, 39);
    assert_eq!(stage.count("select count(*) from observation where subject = 's99'").await, 0);
    assert_eq!(stage.count("select count(*) from observation").await, 39);
}

#[tokio::test]
async fn a_run_is_stored_whole_or_not_at_all() {
    let (stage, id) = Stage::with_watch().await;
    tell(&stage, id, vec![delivery("one", "hook", at(NOW))]).await;
    // The same delivery again: its key is taken.
    let found = Found {
        seen: vec![value("s", at(NOW), 1.0)],
        alerts: vec![alert("another")],
        deliveries: vec![delivery("one", "hook", at(NOW))],
        ..Found::default()
    };
    assert!(stage.store.commit_run(run(id, minutes(1), Some(found))).await.is_err());
    assert_eq!(stage.count("select count(*) from run").await, 1);
    assert_eq!(stage.count("select count(*) from observation").await, 0);
    assert_eq!(stage.count("select count(*) from alert").await, 1);
}

#[tokio::test]
async fn a_value_is_one_row_for_each_date_and_a_revision_takes_its_place() {
    let (stage, id) = Stage::with_watch().await;
    for (run_at, price) in [(0, 3.5), (1, 3.4)] {
        let found = Found { seen: vec![value("gas", minutes(-60), price)], ..Found::default() };
        stage.store.commit_run(run(id, minutes(run_at), Some(found))).await.unwrap();
    }
    let past = stage.store.last_observations(id, &["gas", "oil"], 5).await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!(past[0].observation.reading, Reading::Value { value: 3.4, unit: String::new() });
    assert_eq!((past[0].observation.observed_at, past[0].last_seen_at), (minutes(-60), minutes(1)));
    let last = stage.store.last_seen(id).await.unwrap();
    assert_eq!((last["gas"].request, last["gas"].hash), (u64::MAX, 3.4_f64.to_bits()), "bit for bit");
}

#[tokio::test]
async fn the_past_is_answered_oldest_first_for_each_subject() {
    let (stage, id) = Stage::with_watch().await;
    let seen = (0..6).flat_map(|n| [value("a", minutes(n), n as f64), value("b", minutes(n), -n as f64)]);
    let found = Found { seen: seen.collect(), ..Found::default() };
    stage.store.commit_run(run(id, minutes(9), Some(found))).await.unwrap();
    let of = |past: &[crate::model::Past]| -> Vec<(String, i64)> {
        let minute = |time: Timestamp| time.duration_since(at(NOW)).as_mins();
        past.iter().map(|p| (p.observation.subject.clone(), minute(p.observation.observed_at))).collect()
    };
    let last = stage.store.last_observations(id, &["a", "b"], 2).await.unwrap();
    assert_eq!(of(&last), [("a".into(), 4), ("a".into(), 5), ("b".into(), 4), ("b".into(), 5)]);
    let within =
        stage.store.observations_within(id, &["b"], minutes(6), Duration::from_secs(150)).await.unwrap();
    assert_eq!(
        of(&within),
        [("b".into(), 3), ("b".into(), 4), ("b".into(), 5)],
        "and the one before the span"
    );
}

#[tokio::test]
async fn a_claimed_delivery_is_ours_until_the_lease_runs_out() {
    let (stage, id) = Stage::with_watch().await;
    tell(&stage, id, vec![delivery("one", "hook", at(NOW))]).await;
    let lease = Duration::from_secs(600);
    let claim = async |minute| stage.claim("hook", minutes(minute), lease).await;
    assert!(stage.claim("other", at(NOW), lease).await.is_none());
    let first = claim(0).await.unwrap();
    assert_eq!((first.id.as_str(), first.attempt, first.alerts.len()), ("one", 1, 1));
    assert!(claim(9).await.is_none());
    let next = stage.claim_by("hook", minutes(9), lease, oldest_due(minutes(9))).await;
    assert_eq!(next, Claim::Nothing(Some(minutes(10))));
    assert_eq!(claim(10).await.unwrap().attempt, 2);
    stage.store.release_deliveries().await.unwrap();
    assert_eq!(claim(11).await.unwrap().attempt, 3, "a start gives back at once what was being sent");
    stage.settle("one", Settlement::Delivered, minutes(11)).await;
    assert!(claim(60).await.is_none());
    assert_eq!(stage.store.delivery_counts().await.unwrap(), (0, 0));
}

#[tokio::test]
async fn a_delivery_is_tried_again_when_it_is_time_and_keeps_its_parts() {
    let (stage, id) = Stage::with_watch().await;
    tell(&stage, id, vec![delivery("one", "hook", at(NOW))]).await;
    let lease = Duration::from_secs(600);
    stage.claim("hook", at(NOW), lease).await.unwrap();
    let retry = Settlement::Retry { at: minutes(2), why: "HTTP 503".into(), parts_done: 3, declined: false };
    stage.settle("one", retry, at(NOW)).await;
    assert!(stage.claim("hook", minutes(1), lease).await.is_none());
    let again = stage.claim("hook", minutes(2), lease).await.unwrap();
    assert_eq!((again.attempt, again.parts_done, again.created_at), (2, 3, at(NOW)));
    let dead = Settlement::Dead { why: "HTTP 404".into() };
    stage.settle("one", dead, minutes(2)).await;
    assert_eq!(stage.store.delivery_counts().await.unwrap(), (0, 1));
}

#[tokio::test]
async fn what_is_buried_while_it_is_being_sent_stays_dead_unless_it_got_through() {
    for (settlement, expected) in [
        (Settlement::Retry { at: at(NOW), why: "HTTP 503".into(), parts_done: 0, declined: false }, (0, 1)),
        (Settlement::Delivered, (0, 0)),
    ] {
        let (stage, id) = Stage::with_watch().await;
        tell(&stage, id, vec![delivery("one", "hook", at(NOW)), delivery("two", "kept", at(NOW))]).await;
        stage.claim("hook", at(NOW), Duration::from_secs(60)).await.unwrap();
        assert_eq!(
            stage.store.bury_deliveries_without(vec!["kept".into()], Timestamp::MAX).await.unwrap(),
            1
        );
        stage.settle("one", settlement, at(NOW)).await;
        let (pending, dead) = stage.store.delivery_counts().await.unwrap();
        assert_eq!((pending - 1, dead), expected);
    }
}

#[tokio::test]
async fn deliveries_are_in_the_order_in_which_they_were_written() {
    let (stage, id) = Stage::with_watch().await;
    for (name, minute) in [("late", 2), ("early", 0), ("middle", 1)] {
        tell(&stage, id, vec![delivery(name, "hook", minutes(minute))]).await;
    }
    let mut order = Vec::new();
    while let Some(claimed) = stage.claim("hook", minutes(9), Duration::from_secs(60)).await {
        stage.settle(&claimed.id, Settlement::Delivered, minutes(9)).await;
        order.push(claimed.id);
    }
    assert_eq!(order, ["late", "early", "middle"], "in the order in which they were written");
}

#[tokio::test]
async fn pruning_keeps_the_last_of_each_subject_and_what_still_waits() {
    let (stage, id) = Stage::with_watch().await;
    let day = 24 * 60;
    let bar =
        |n: i64| Candle { open_time: minutes(n), open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0 };
    let interval = Interval::from_minutes(30).unwrap();
    for (n, subject) in [(-20, "a"), (-15, "a"), (-12, "b"), (-1, "a")] {
        let found = Found {
            seen: vec![value(subject, minutes(n * day), n as f64)],
            candles: vec![(subject.to_owned(), interval, bar(n * day))],
            ..Found::default()
        };
        stage.store.commit_run(run(id, minutes(n * day), Some(found))).await.unwrap();
    }
    for name in ["sent", "waits"] {
        tell(&stage, id, vec![delivery(name, "hook", minutes(-20 * day))]).await;
    }
    stage.claim("hook", at(NOW), Duration::from_secs(60)).await.unwrap();
    stage.settle("sent", Settlement::Delivered, minutes(-12 * day)).await;
    let ten_days = Period::from_secs(10 * 86_400);
    let keep = Retention { observations: ten_days, candles: ten_days, runs: ten_days, alerts: ten_days };
    let pruned = stage.store.prune(&keep, at(NOW)).await.unwrap();
    // Two observations of `a`, three bars, five runs, one delivery, its attempt and its alert.
    assert_eq!(pruned.rows, 2 + 3 + 5 + 1 + 1 + 1);
    let left = stage.store.last_observations(id, &["a", "b"], 9).await.unwrap();
    let left: Vec<&str> = left.iter().map(|past| past.observation.subject.as_str()).collect();
    assert_eq!(left, ["a", "b"], "the last of each stays, however old");
    let claimed = stage.claim("hook", at(NOW), Duration::from_secs(60)).await.unwrap();
    assert_eq!((claimed.id.as_str(), claimed.alerts.len()), ("waits", 1), "with the alert that it carries");
    assert_eq!(stage.store.prune(&keep, at(NOW)).await.unwrap().rows, 0);
}

#[tokio::test]
async fn an_old_file_is_copied_before_it_is_migrated() {
    let (stage, _) = Stage::with_watch().await;
    stage.store.close().await;
    let mut connection = stage.raw().await;
    let copies = || {
        let files = std::fs::read_dir(stage.folder.path()).unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().contains(".before-")).count()
    };
    assert_eq!(copies(), 0, "a new file needs no copy");
    Store::open(stage.folder.path()).await.unwrap().close().await;
    assert_eq!(copies(), 0, "nor does one that is up to date");
    let version = sqlx::migrate!().iter().map(|migration| migration.version).max().unwrap();
    // As if the newest migration had not been there yet.
    sqlx::query("update _sqlx_migrations set version = 0 where version = ?")
        .bind(version)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    // The tables are there already, so the migration itself fails; the copy was made before it.
    assert!(Store::open(stage.folder.path()).await.is_err());
    assert_eq!(copies(), 1);
}

#[tokio::test]
async fn a_copy_that_was_left_half_done_is_made_anew_and_for_its_owner_alone() {
    let (stage, _) = Stage::with_watch().await;
    stage.store.close().await;
    let mut connection = stage.raw().await;
    let copy = stage.folder.path().join("copy.db");
    std::fs::write(stage.folder.path().join("copy.db.partial"), "torn").unwrap();
    super::backup::copy_aside(&mut connection, &copy).await.unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let mut copied = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
    let watches: i64 = sqlx::query_scalar("select count(*) from watch").fetch_one(&mut copied).await.unwrap();
    assert_eq!(watches, 1);
    assert!(!stage.folder.path().join("copy.db.partial").exists());
}

#[tokio::test]
async fn a_database_is_opened_by_its_folder_and_not_made_for_looking() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("not/yet");
    assert!(Store::open_existing(&inner).await.unwrap().is_none());
    assert!(!inner.exists());
    let store = Store::open(&inner).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    let closed = store.commit_run(run(1, at(NOW), None)).await;
    assert!(matches!(closed, Err(WriteError::Closed)), "{closed:?}");
    assert!(Store::open_existing(&inner).await.unwrap().is_some());
}

#[tokio::test]
async fn when_something_was_first_seen_and_when_it_went_is_known_later() {
    let (stage, id) = Stage::with_watch().await;
    let interval = Interval::from_minutes(30).unwrap();
    let bar = |open_time, close| {
        let candle = Candle { open_time, open: 1.0, high: 2.0, low: 0.5, close, volume: 0.0 };
        ("AAPL".to_owned(), interval, candle)
    };
    let first = Found {
        seen: vec![value("gas", minutes(-120), 3.5), value("gas", minutes(-60), 3.4)],
        candles: vec![bar(minutes(-60), 1.0), bar(minutes(-30), 2.0)],
        ..Found::default()
    };
    stage.store.commit_run(run(id, minutes(0), Some(first))).await.unwrap();
    let revised = Found {
        seen: vec![value("gas", minutes(-60), 3.3), value("gas", minutes(0), 3.2)],
        candles: vec![bar(minutes(-30), 2.5)],
        ..Found::default()
    };
    stage.store.commit_run(run(id, minutes(9), Some(revised))).await.unwrap();
    let gone = Found { gone: vec!["gas".into()], ..Found::default() };
    stage.store.commit_run(run(id, minutes(12), Some(gone))).await.unwrap();

    let subjects = ["gas".to_owned()];
    let until = async |minute: i64, as_seen| {
        let rows =
            stage.store.observations_until(id, &subjects, minutes(minute), 5, minutes(minute), as_seen);
        let minute = |time: Timestamp| time.duration_since(at(NOW)).as_mins();
        let row = |row: SeenRow| {
            (minute(row.past.observation.observed_at), row.first_seen_at.map(minute), row.was_old)
        };
        rows.await.unwrap().into_iter().map(row).collect::<Vec<_>>()
    };
    let rows = [(-120, Some(0), true), (-60, Some(0), false), (0, Some(9), false)];
    assert_eq!(until(20, true).await, rows);
    assert_eq!(until(5, true).await, rows[..2], "the third date was not seen yet");
    assert_eq!(until(-90, false).await, rows[..1], "by its own date");
    assert_eq!(until(-90, true).await, []);
    let rows = stage.store.observations_between(id, &subjects, minutes(-60), minutes(0), 9).await.unwrap();
    assert_eq!((rows.len(), rows[0].gone_at), (1, Some(minutes(12))));

    let bars = stage.store.bars_until(id, "AAPL", interval, minutes(5), 9, true).await.unwrap();
    let seen: Vec<_> = bars.iter().map(|bar| (bar.candle.close, bar.seen_at, bar.was_old)).collect();
    assert_eq!(seen, [(1.0, Some(minutes(0)), true), (2.5, Some(minutes(0)), false)], "first seen, revised");
    assert_eq!(stage.store.history_begins(id).await.unwrap(), Some(minutes(-120)));
}

fn gap(first: i64, last: i64, next_attempt_at: Option<Timestamp>) -> NewGap {
    NewGap {
        first_due_at: minutes(first),
        last_due_at: minutes(last),
        next_due_at: Some(minutes(last + 1)),
        slots: (last - first + 1).unsigned_abs(),
        next_attempt_at,
        why: format!("down until {last}"),
    }
}

async fn leave(stage: &Stage, watch_id: i64, gap: NewGap) {
    // A run that read something new: the gap has a row of its own.
    let found = Found { gap: Some(GapChange::Left(gap)), requests: vec![1], ..Found::default() };
    stage.store.commit_run(run(watch_id, at(NOW), Some(found))).await.unwrap();
}

#[tokio::test]
async fn gaps_that_follow_upon_each_other_are_one_until_it_is_settled() {
    let (stage, id) = Stage::with_watch().await;
    let gaps = async || {
        let gaps = stage.store.gaps(id, at(NOW), minutes(99)).await.unwrap();
        gaps.iter().map(|gap| (gap.first_due_at, gap.last_due_at, gap.slots)).collect::<Vec<_>>()
    };
    leave(&stage, id, gap(1, 3, Some(minutes(5)))).await;
    leave(&stage, id, gap(4, 5, Some(minutes(7)))).await;
    assert_eq!(gaps().await, [(minutes(1), minutes(5), 5)]);
    assert_eq!(stage.store.gaps_due(minutes(6), 9).await.unwrap(), []);
    assert_eq!(stage.store.gaps_due(minutes(7), 9).await.unwrap(), [("w".to_owned(), minutes(1))]);

    // What was tried before it grew says nothing about it.
    let tried = stage.store.gap(id, minutes(1)).await.unwrap().unwrap();
    leave(&stage, id, gap(6, 6, Some(minutes(8)))).await;
    let settled = |gap: &Gap, outcome| Settled {
        id: gap.id,
        last_due_at: gap.last_due_at,
        outcome,
        attempts: 1,
        next_attempt_at: None,
        why: None,
        later: None,
    };
    stage.store.settle_gap(settled(&tried, SlotOutcome::Repaired)).await.unwrap();
    let grown = stage.store.gap(id, minutes(1)).await.unwrap().unwrap();
    assert_eq!((grown.outcome, grown.attempts, grown.slots), (SlotOutcome::Skipped, 0, 6));
    stage.store.settle_gap(settled(&grown, SlotOutcome::Repaired)).await.unwrap();
    leave(&stage, id, gap(7, 7, Some(minutes(9)))).await;
    leave(&stage, id, gap(9, 9, None)).await;
    assert_eq!(
        gaps().await,
        [(minutes(1), minutes(6), 6), (minutes(7), minutes(7), 1), (minutes(9), minutes(9), 1),]
    );
    assert_eq!(stage.store.arm_gaps(vec![id], minutes(10)).await.unwrap(), 1, "only what nobody tries");
    assert_eq!(stage.store.gaps_due(minutes(10), 9).await.unwrap(), [("w".to_owned(), minutes(7))]);
}

#[tokio::test]
async fn slots_are_told_from_runs_and_gaps_and_go_with_the_runs() {
    let (stage, id) = Stage::with_watch().await;
    for n in 0..10 {
        stage.store.commit_run(run(id, minutes(n), None)).await.unwrap();
    }
    let asked = RunCommit { trigger: Trigger::Manual, ..run(id, minutes(3), None) };
    stage.store.commit_run(asked).await.unwrap();
    // The same slot again: the later run counts.
    let again = RunCommit { outcome: Outcome::Failed, ..run(id, minutes(9), None) };
    stage.store.commit_run(again).await.unwrap();
    leave(&stage, id, gap(10, 14, None)).await;
    let slots = async |from, until| {
        let stretches = stage.store.slots(id, from, until, Duration::from_secs(10)).await.unwrap();
        stretches.iter().map(|s| (s.slots, s.outcome)).collect::<Vec<_>>()
    };
    let (ok, failed, skipped) = (SlotOutcome::Ok, SlotOutcome::Failed, SlotOutcome::Skipped);
    assert_eq!(slots(at(NOW), minutes(99)).await, [(9, ok), (1, failed), (5, skipped)]);
    assert_eq!(slots(minutes(5), minutes(10)).await, [(4, ok), (1, failed), (1, skipped)]);
    let keep = Retention { runs: Period::from_secs(3_600), ..Retention::default() };
    stage.store.prune(&keep, minutes(74)).await.unwrap();
    assert_eq!(slots(at(NOW), minutes(99)).await, [(5, skipped)], "its last slot is an hour old");
    stage.store.prune(&keep, minutes(75)).await.unwrap();
    assert_eq!(slots(at(NOW), minutes(99)).await, []);
}

#[tokio::test]
async fn slots_have_passed_also_when_the_watch_has_changed_but_its_gap_is_not_filled_by_what_it_was() {
    let (stage, id) = Stage::with_watch().await;
    let outdated = async |change| {
        let found = Found { gap: Some(change), ..Found::default() };
        let commit = RunCommit { spec_hash: Some(99), ..run(id, at(NOW), Some(found)) };
        stage.store.commit_run(commit).await.unwrap();
        stage.store.gap(id, minutes(1)).await.unwrap().unwrap()
    };
    let left = outdated(GapChange::Left(gap(1, 3, Some(minutes(4))))).await;
    assert_eq!((left.slots, left.outcome), (3, SlotOutcome::Skipped));
    let settled = Settled {
        id: left.id,
        last_due_at: left.last_due_at,
        outcome: SlotOutcome::Repaired,
        attempts: 1,
        next_attempt_at: None,
        why: None,
        later: None,
    };
    assert_eq!(outdated(GapChange::Settled(settled)).await, left);
}

#[tokio::test]
async fn nobody_else_may_look_into_the_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let store = Store::open(&data_dir).await.expect("opened");
    let of = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(of(&data_dir), 0o700);
    for file in std::fs::read_dir(&data_dir).expect("listed") {
        let path = file.expect("a file").path();
        assert_eq!(of(&path), 0o600, "{}", path.display());
    }
    store.close().await;
}
