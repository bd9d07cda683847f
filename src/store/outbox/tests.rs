//! Deliveries that tell others, and what a person does to them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::super::{Found, NextDue, RunCommit, Waited, WatchSpec};
use super::*;
use crate::model::{Alert, AlertStatus, Outcome, Reason, Signal, SignalState, Trigger};
use crate::testing::at;

const NOW: &str = "2026-11-21T10:00:00Z";
const LEASE: Duration = Duration::from_secs(600);

struct Stage {
    _folder: TempDir,
    store: Store,
    watch_id: i64,
}

fn minutes(count: i64) -> Timestamp {
    at(NOW) + SignedDuration::from_mins(count)
}

impl Stage {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let spec = WatchSpec {
            name: "w".into(),
            was: None,
            spec: "{}".into(),
            spec_hash: 1,
            enabled: true,
            toml: None,
            first_due_at: None,
            next_due_at: None,
        };
        let watch_id = store.synchronise(vec![spec], at(NOW), |_| Vec::new()).await.unwrap().ids["w"];
        Self { _folder: folder, store, watch_id }
    }

    /// Commits a run that tells this, each with an alert about a subject of its name.
    async fn tell(&self, deliveries: Vec<NewDelivery>) {
        let alerts: Vec<Alert> = deliveries.iter().map(|delivery| alert(&delivery.id)).collect();
        let state = |alert: &Alert| {
            (self.watch_id, "threshold".to_owned(), alert.signal.subject.clone(), state(&alert.signal))
        };
        let states = alerts.iter().map(state).collect();
        let found = Found { alerts, deliveries, states, ..Found::default() };
        let commit = RunCommit {
            spec_hash: None,
            watch_id: self.watch_id,
            trigger: Trigger::Manual,
            due_at: at(NOW),
            started_at: at(NOW),
            finished_at: at(NOW),
            outcome: Outcome::Ok,
            error: None,
            next_due: NextDue::Keep,
            waited: Waited::default(),
            standings: Vec::new(),
            found: Some(Box::new(found)),
        };
        self.store.commit_run(commit).await.unwrap();
    }

    async fn claim(&self, choice: impl Fn(&Queue) -> Choice + Send + 'static) -> Claim {
        let window = Some(Duration::from_secs(3_600));
        let words = |kind: DeliveryKind, carried: &[Carried]| Text {
            title: kind.as_str().into(),
            body: json!(
                carried.iter().map(|one| (&one.title, one.alerts[0].1.is_some())).collect::<Vec<_>>()
            )
            .to_string(),
            url: None,
        };
        self.store.claim_delivery("hook", at(NOW), LEASE, window, choice, words).await.unwrap()
    }

    async fn gather(&self, kind: DeliveryKind, seqs: Vec<i64>) -> Claimed {
        match self.claim(move |_| Choice::Gather(kind, seqs.clone())).await {
            Claim::Ours(claimed) => *claimed,
            nothing @ Claim::Nothing(_) => panic!("{nothing:?}"),
        }
    }

    async fn queue(&self) -> Queue {
        let (sender, seen) = std::sync::mpsc::channel();
        self.claim(move |queue| {
            sender.send(queue.clone()).unwrap();
            Choice::Wait(None)
        })
        .await;
        seen.try_iter().last().unwrap_or_default()
    }

    async fn settle(&self, id: &str, settlement: Settlement) -> u64 {
        let about = ("run", "notifier hook".to_owned());
        let (sender, seen) = std::sync::mpsc::channel();
        let stands = move |_, _, died| {
            sender.send(died).unwrap();
            None
        };
        self.store.settle_delivery(id, settlement, minutes(1), about, stands).await.unwrap();
        seen.try_recv().unwrap_or(0)
    }

    /// Each delivery with its status.
    async fn statuses(&self) -> Vec<(String, String)> {
        let all = self.store.deliveries(&Which::All, 99).await.unwrap();
        all.into_iter().map(|one| (one.title, one.status)).collect()
    }
}

fn alert(subject: &str) -> Alert {
    Alert {
        id: format!("alert-of-{subject}"),
        watch: "w".into(),
        strategy: "threshold".into(),
        signal: Signal::level(subject, "above", true),
        status: AlertStatus::Firing,
        reason: Reason::First,
        title: String::new(),
        body: String::new(),
        url: None,
        starts_at: at(NOW),
        ends_at: None,
        labels: Default::default(),
    }
}

fn state(signal: &Signal) -> SignalState {
    SignalState {
        state: signal.state.clone(),
        firing: true,
        fingerprint: signal.fingerprint.clone(),
        value: None,
        since: at(NOW),
        told: true,
        last_told_at: Some(at(NOW)),
        last_told_value: None,
        streak: 0,
        streak_since: None,
        waits: false,
    }
}

fn delivery(id: &str, topic: &str) -> NewDelivery {
    NewDelivery {
        id: id.into(),
        notifier: "hook".into(),
        title: id.into(),
        body: String::new(),
        url: None,
        alert_ids: vec![format!("alert-of-{id}")],
        topic: topic.into(),
        urgent: false,
        created_at: at(NOW),
        held_until: None,
    }
}

fn held(id: &str, topic: &str) -> NewDelivery {
    NewDelivery { held_until: Some(minutes(60)), ..delivery(id, topic) }
}

fn dead() -> Settlement {
    Settlement::Dead { why: "HTTP 404".into() }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).into(), (*other).into())).collect()
}

#[tokio::test]
async fn what_another_delivery_tells_is_settled_with_it() {
    for (settlement, status, died) in [
        (Settlement::Delivered, "delivered", 0),
        (dead(), "dead", 2),
        (
            Settlement::Retry { at: minutes(5), why: "HTTP 503".into(), parts_done: 0, declined: false },
            "pending",
            0,
        ),
    ] {
        let stage = Stage::new().await;
        stage.tell(vec![delivery("a", "t"), delivery("b", "u"), delivery("c", "t")]).await;
        let brief = stage.gather(DeliveryKind::Brief, vec![1, 2]).await;
        assert_eq!((brief.kind, brief.attempt, brief.alerts.len()), (DeliveryKind::Brief, 1, 2));
        assert_eq!(brief.body, r#"[["a",true],["b",true]]"#, "with how each subject is now");
        assert_eq!(stage.store.delivery_counts().await.unwrap(), (2, 0), "a message is counted once");
        let queue = stage.queue().await;
        assert_eq!(queue.ahead, [("t".to_owned(), 1), ("u".to_owned(), 2)], "they keep their topics closed");
        assert_eq!(stage.settle(&brief.id, settlement).await, died);
        let statuses = stage.statuses().await;
        assert_eq!(statuses, owned(&[("a", status), ("b", status), ("c", "pending"), ("brief", status)]));
        let attempts = stage.store.attempts(&brief.id).await.unwrap();
        assert_eq!((attempts.len(), attempts[0].attempt, attempts[0].at), (1, 1, minutes(1)));
    }
}

#[tokio::test]
async fn a_message_that_tells_others_keeps_its_id_and_its_words_over_a_crash() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), delivery("b", "u")]).await;
    let first = stage.gather(DeliveryKind::Bundle, vec![1, 2]).await;
    stage.store.release_deliveries().await.unwrap();
    let queue = stage.queue().await;
    assert_eq!(queue.waiting.iter().map(|row| row.kind).collect::<Vec<_>>(), [DeliveryKind::Bundle]);
    let seq = queue.waiting[0].seq;
    let Claim::Ours(again) = stage.claim(move |_| Choice::Send(seq)).await else { panic!("it waits") };
    assert_eq!((again.id, again.title, again.body), (first.id, first.title, first.body));
    assert_eq!(again.attempt, 2);
}

#[tokio::test]
async fn what_is_held_is_at_hand_when_its_time_has_come_or_something_urgent_is_behind_it() {
    let stage = Stage::new().await;
    stage.tell(vec![held("a", "t"), held("b", "u"), delivery("c", "v")]).await;
    let queue = stage.queue().await;
    assert_eq!(queue.waiting.iter().map(|row| row.seq).collect::<Vec<_>>(), [3]);
    assert_eq!(queue.ahead, [("t".to_owned(), 1), ("u".to_owned(), 2)]);
    assert_eq!(queue.next_at, Some(minutes(60)));
    stage.tell(vec![NewDelivery { urgent: true, ..delivery("d", "t") }]).await;
    let queue = stage.queue().await;
    assert_eq!(queue.waiting.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(queue.ahead, [("u".to_owned(), 2)]);
}

#[tokio::test]
async fn what_is_urgent_is_seen_behind_any_backlog() {
    let stage = Stage::new().await;
    let backlog = (0..1_200).map(|n| delivery(&format!("n{n}"), &format!("t{}", n % 7)));
    stage.tell(backlog.collect()).await;
    let first = NewDelivery { urgent: false, ..delivery("before", "x") };
    stage.tell(vec![first, NewDelivery { urgent: true, ..delivery("urgent", "x") }]).await;
    let queue = stage.queue().await;
    assert_eq!(queue.waiting.len(), 1_002);
    assert_eq!(queue.waiting[1_000..].iter().map(|row| row.seq).collect::<Vec<_>>(), [1_201, 1_202]);
}

#[tokio::test]
async fn a_person_tries_again_or_gives_up_and_nothing_is_forgotten() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), delivery("b", "u"), delivery("c", "v"), held("d", "w")]).await;
    let digest = stage.gather(DeliveryKind::Digest, vec![1, 2]).await;
    stage.settle(&digest.id, dead()).await;
    let titles = async |which: Which| -> Vec<String> {
        let found = stage.store.deliveries(&which, 99).await.unwrap();
        found.into_iter().map(|one| one.title).collect()
    };
    assert_eq!(titles(Which::Dead).await, ["a", "b", "digest"]);
    assert_eq!(titles(Which::Open).await, ["a", "b", "c", "d", "digest"]);
    let end = digest.id[digest.id.len() - 8..].to_owned();
    assert_eq!(titles(Which::One(end)).await, ["digest"], "by the end of its id");

    stage.store.retry_deliveries(vec![digest.id.clone(), "d".into()], minutes(2)).await.unwrap();
    assert!(stage.statuses().await.iter().all(|(_, status)| status == "pending"));
    let queue = stage.queue().await;
    assert_eq!(queue.next_at, None, "a person wants it now");
    let again = stage.claim(|_| Choice::Send(5)).await;
    assert!(matches!(again, Claim::Ours(claimed) if claimed.patient_since == minutes(2)));

    stage.store.drop_deliveries(vec![digest.id.clone(), "c".into()], minutes(3)).await.unwrap();
    stage
        .settle(
            &digest.id,
            Settlement::Retry { at: minutes(5), why: "503".into(), parts_done: 0, declined: false },
        )
        .await;
    assert_eq!(titles(Which::Open).await, ["d"]);
    assert_eq!(stage.store.delivery_counts().await.unwrap(), (1, 0));
    let all = stage.store.deliveries(&Which::All, 99).await.unwrap();
    assert_eq!(all.len(), 5);
    let dropped = all.iter().find(|one| one.title == "c").unwrap();
    assert_eq!(dropped.last_error.as_deref(), Some("dropped by hand"));
}

#[tokio::test]
async fn a_topic_that_cannot_go_on_hides_no_other_however_much_waits_in_it() {
    let stage = Stage::new().await;
    let poison = (0..1_100).map(|n| delivery(&format!("n{n}"), "poison"));
    stage.tell(poison.collect()).await;
    let Claim::Ours(first) = stage.claim(|_| Choice::Send(1)).await else { panic!("it waits") };
    let fails = Settlement::Retry { at: minutes(9), why: "503".into(), parts_done: 0, declined: false };
    stage.settle(&first.id, fails).await;
    stage.tell(vec![delivery("well", "well")]).await;
    let queue = stage.queue().await;
    assert_eq!(queue.waiting.iter().map(|row| row.seq).collect::<Vec<_>>(), [1_101]);
    assert_eq!(queue.ahead, [("poison".to_owned(), 1)]);
    assert_eq!(queue.next_at, Some(minutes(9)));
}

#[tokio::test]
async fn what_tells_something_in_the_way_of_something_urgent_says_so() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), delivery("b", "u")]).await;
    let brief = stage.gather(DeliveryKind::Brief, vec![1, 2]).await;
    let fails = Settlement::Retry { at: at(NOW), why: "503".into(), parts_done: 0, declined: false };
    stage.settle(&brief.id, fails).await;
    assert!(!stage.queue().await.waiting[0].keeps_urgent);
    stage.tell(vec![NewDelivery { urgent: true, ..delivery("c", "u") }]).await;
    let waiting = stage.queue().await.waiting;
    assert_eq!(
        waiting.iter().map(|row| (row.kind, row.keeps_urgent)).collect::<Vec<_>>(),
        [(DeliveryKind::Brief, true)]
    );
}

#[tokio::test]
async fn what_was_hurried_in_quiet_hours_goes_on_at_once_after_a_crash() {
    let stage = Stage::new().await;
    stage.tell(vec![held("a", "t"), NewDelivery { urgent: true, ..delivery("b", "t") }]).await;
    stage.claim(|_| Choice::Send(1)).await;
    stage.store.release_deliveries().await.unwrap();
    let waiting = stage.queue().await.waiting;
    assert!(waiting[0].next_at <= at(NOW) && waiting[0].doubts == 1, "{waiting:?}");
}

#[tokio::test]
async fn only_an_answer_that_declines_leaves_no_doubt() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t")]).await;
    for (declined, doubts) in [(true, 0), (false, 1), (true, 1)] {
        let Claim::Ours(claimed) = stage.claim(|_| Choice::Send(1)).await else { panic!("it waits") };
        let fails = Settlement::Retry { at: at(NOW), why: "503".into(), parts_done: 0, declined };
        stage.settle(&claimed.id, fails).await;
        assert_eq!(stage.queue().await.waiting[0].doubts, doubts);
    }
    stage.store.hurry_deliveries("hook").await.unwrap();
    assert_eq!(stage.queue().await.waiting[0].doubts, 0, "another service never had it");
}

#[tokio::test]
async fn what_is_held_follows_the_clock_and_the_quiet_hours() {
    let stage = Stage::new().await;
    let far = NewDelivery { held_until: Some(minutes(5_000)), ..delivery("c", "host/shop") };
    let over = NewDelivery { held_until: Some(minutes(-1)), ..delivery("d", "1/x") };
    stage.tell(vec![held("a", "1/x"), held("b", "2/x"), far, over]).await;
    let ends = |topic: &str| match topic {
        "1/x" => Some(None),
        "2/x" => Some(Some(minutes(180))),
        _ => None,
    };
    stage.store.hold_anew(ends, at(NOW)).await.unwrap();
    let all = stage.store.deliveries(&Which::Open, 9).await.unwrap();
    let times: Vec<_> = all.iter().map(|one| one.next_attempt_at).collect();
    assert_eq!(times, [None, Some(minutes(180)), Some(minutes(1_440)), Some(minutes(-1))]);
}

#[tokio::test]
async fn what_was_delivered_in_a_time_still_to_come_fills_no_budget() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), delivery("b", "u")]).await;
    let Claim::Ours(claimed) = stage.claim(|_| Choice::Send(1)).await else { panic!("it waits") };
    stage.settle(&claimed.id, Settlement::Delivered).await;
    assert_eq!(stage.queue().await.sent, [], "a minute ahead of now");
}

#[tokio::test]
async fn only_what_was_made_before_is_buried() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), NewDelivery { created_at: minutes(5), ..delivery("b", "u") }]).await;
    assert_eq!(stage.store.bury_deliveries_without(vec!["x".into()], minutes(1)).await.unwrap(), 1);
    assert_eq!(stage.statuses().await, owned(&[("a", "dead"), ("b", "pending")]));
}

#[tokio::test]
async fn a_message_that_got_through_at_another_try_is_not_lost() {
    let stage = Stage::new().await;
    stage.tell(vec![delivery("a", "t"), delivery("b", "u"), delivery("c", "v"), delivery("d", "w")]).await;
    for (seq, id, lost) in [(1, "a", 1), (2, "b", 2)] {
        stage.claim(move |_| Choice::Send(seq)).await;
        assert_eq!(stage.settle(id, dead()).await, lost);
    }
    stage.store.retry_deliveries(vec!["a".into()], minutes(1)).await.unwrap();
    stage.claim(|_| Choice::Send(1)).await;
    assert_eq!(stage.settle("a", Settlement::Delivered).await, 1, "`b` is dead, and `a` is told");
    stage.store.drop_deliveries(vec!["b".into()], minutes(1)).await.unwrap();
    stage.claim(|_| Choice::Send(3)).await;
    assert_eq!(stage.settle("c", dead()).await, 1, "what was given up by hand is settled");
}
