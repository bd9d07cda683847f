//! When each watch is due, how its last run went, and what a pause makes of both.

use super::*;
use crate::store::{Glance, NewGap, PAUSED};

async fn glance(stage: &Stage) -> Glance {
    let mut glances = stage.store.glances().await.unwrap();
    assert_eq!(glances.len(), 1);
    glances.remove(0)
}

fn ended(watch_id: i64, minute: i64, outcome: Outcome) -> RunCommit {
    RunCommit { outcome, next_due: NextDue::At(minutes(minute + 5)), ..run(watch_id, minutes(minute), None) }
}

fn skipped(first: i64, last: i64) -> NewGap {
    NewGap {
        first_due_at: minutes(first),
        last_due_at: minutes(last),
        next_due_at: Some(minutes(last + 5)),
        slots: u64::try_from((last - first) / 5 + 1).unwrap(),
        next_attempt_at: None,
        why: PAUSED.into(),
    }
}

#[tokio::test]
async fn the_later_run_says_how_a_watch_is_and_a_repair_says_nothing() {
    let (stage, id) = Stage::with_watch().await;
    assert_eq!((glance(&stage).await.ran_at, glance(&stage).await.outcome), (None, None));
    stage.store.commit_run(ended(id, 0, Outcome::Ok)).await.unwrap();
    stage.store.commit_run(ended(id, 5, Outcome::Failed)).await.unwrap();
    let repair =
        RunCommit { trigger: Trigger::Repair, next_due: NextDue::Keep, ..ended(id, 6, Outcome::Unchanged) };
    stage.store.commit_run(repair).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.ran_at, now.outcome.as_deref()), (Some(minutes(5)), Some("failed")));
    assert_eq!(now.next_due_at, Some(minutes(10)));
    let by_hand =
        RunCommit { trigger: Trigger::Manual, next_due: NextDue::Keep, ..ended(id, 7, Outcome::Blocked) };
    stage.store.commit_run(by_hand).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.ran_at, now.outcome.as_deref()), (Some(minutes(7)), Some("blocked")));
    assert_eq!(now.next_due_at, Some(minutes(10)), "a person's run moves no slot");
}

#[tokio::test]
async fn a_watch_that_is_paused_stays_so_though_a_run_under_way_ends() {
    let (stage, id) = Stage::with_watch().await;
    for _ in 0..2 {
        stage.store.pause_watch(id, minutes(1)).await.unwrap();
    }
    stage.store.commit_run(ended(id, 2, Outcome::Ok)).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.paused_at, now.next_due_at), (Some(minutes(1)), None));
    assert_eq!(now.outcome.as_deref(), Some("ok"), "that run counts");
    let paused = stage.store.paused_watches().await.unwrap();
    assert_eq!(paused[0].from, Some(minutes(7)), "the pause takes over behind its slot");
    // A start or a reload changes nothing about it, nor does another table.
    for hash in [1, 2] {
        let synced = stage.store.synchronise(vec![spec("w", hash)], minutes(20), |_| Vec::new()).await;
        assert_eq!(synced.unwrap().changed, usize::from(hash == 2));
        assert_eq!(glance(&stage).await.next_due_at, None);
    }
    stage.store.resume_watch(id, Some(minutes(25)), None).await.unwrap();
    stage.store.resume_watch(id, Some(minutes(99)), None).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.paused_at, now.next_due_at), (None, Some(minutes(25))), "doing it twice is no error");
}

#[tokio::test]
async fn slots_of_a_pause_are_one_stretch_however_often_they_are_accounted_for() {
    let (stage, id) = Stage::with_watch().await;
    stage.store.commit_run(ended(id, 0, Outcome::Ok)).await.unwrap();
    stage.store.pause_watch(id, minutes(1)).await.unwrap();
    stage.store.skip_paused(vec![(id, skipped(5, 10))]).await.unwrap();
    // By another program at the same time.
    stage.store.skip_paused(vec![(id, skipped(5, 10))]).await.unwrap();
    stage.store.resume_watch(id, Some(minutes(30)), Some(skipped(15, 25))).await.unwrap();
    let gaps = stage.store.gaps(id, at(NOW), minutes(99)).await.unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].first_due_at, gaps[0].last_due_at, gaps[0].slots), (minutes(5), minutes(25), 5));
    assert_eq!(gaps[0].why.as_deref(), Some("paused"));
    stage.store.arm_gaps(vec![id], minutes(40)).await.unwrap();
    assert_eq!(stage.store.gaps_due(minutes(50), 9).await.unwrap(), [], "nobody wanted them");
}

#[tokio::test]
async fn a_watch_that_is_gone_or_disabled_has_no_slot_and_a_pause_ends_with_it() {
    let (stage, id) = Stage::with_watch().await;
    stage.store.pause_watch(id, minutes(1)).await.unwrap();
    let off = WatchSpec { enabled: false, ..spec("w", 1) };
    stage.store.synchronise(vec![off], minutes(2), |_| Vec::new()).await.unwrap();
    assert_eq!(stage.store.paused_watches().await.unwrap()[0].from, None);
    stage.store.synchronise(vec![], minutes(3), |_| Vec::new()).await.unwrap();
    assert_eq!(stage.store.glances().await.unwrap(), [], "only what is in the watchlist");
    stage.store.synchronise(vec![spec("w", 1)], minutes(4), |_| Vec::new()).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.paused_at, now.next_due_at), (None, Some(minutes(5))), "it begins anew");
}

#[tokio::test]
async fn a_glance_tells_what_fires_since_when_and_what_is_held() {
    let (stage, id) = Stage::with_watch().await;
    let state = |fires: bool, minute: i64| crate::model::SignalState {
        state: "x".into(),
        firing: fires,
        fingerprint: "x".into(),
        value: None,
        since: minutes(minute),
        told: fires,
        last_told_at: None,
        last_told_value: None,
        streak: 0,
        streak_since: None,
        waits: false,
    };
    let states = [("rsi", "A", true, 3), ("rsi", "B", true, 2), ("rsi", "C", false, 1), ("run", "", true, 4)];
    let states = states
        .into_iter()
        .map(|(strategy, subject, fires, minute)| {
            (id, strategy.to_owned(), subject.to_owned(), state(fires, minute))
        })
        .collect();
    let held = NewDelivery {
        topic: format!("{id}/rsi"),
        held_until: Some(minutes(60)),
        ..delivery("one", "hook", minutes(3))
    };
    let found =
        Found { states, alerts: vec![alert("alert-of-one")], deliveries: vec![held], ..Found::default() };
    stage.store.commit_run(run(id, minutes(4), Some(found))).await.unwrap();
    let now = glance(&stage).await;
    assert_eq!((now.firing, now.firing_since), (2, Some(minutes(2))));
    assert_eq!((now.failing_since, now.stale_since), (Some(minutes(4)), None));
    assert!(now.is_held && now.enabled && !now.is_added);
}

#[tokio::test]
async fn a_watch_that_was_added_is_due_at_once_also_when_it_comes_back() {
    let stage = Stage::new().await;
    let added = WatchSpec { toml: Some("[watch.w]".into()), ..spec("w", 1) };
    let sync = async |specs: Vec<WatchSpec>, minute| {
        let first = |spec: WatchSpec| WatchSpec { first_due_at: Some(minutes(minute)), ..spec };
        let specs = specs.into_iter().map(first).collect();
        stage.store.synchronise(specs, minutes(minute), |_| Vec::new()).await.unwrap()
    };
    sync(vec![added.clone()], 0).await;
    assert!(glance(&stage).await.is_added);
    assert_eq!(stage.store.added_watches().await.unwrap(), [("w".to_owned(), "[watch.w]".to_owned())]);
    sync(vec![], 1).await;
    assert_eq!(stage.store.added_watches().await.unwrap(), []);
    sync(vec![added], 2).await;
    assert_eq!(glance(&stage).await.next_due_at, Some(minutes(2)));
    // The same table in a file.
    sync(vec![spec("w", 1)], 3).await;
    assert!(!glance(&stage).await.is_added);
    assert_eq!(stage.count("select count(*) from watch where toml is not null").await, 0);
}

#[tokio::test]
async fn a_watch_that_somebody_added_meanwhile_stays() {
    let stage = Stage::new().await;
    let added = |name: &str| WatchSpec { toml: Some("x = 1".into()), ..spec(name, 1) };
    let all = vec![spec("file", 1), added("known"), added("newer")];
    stage.store.synchronise(all, at(NOW), |_| Vec::new()).await.unwrap();
    let only = |name: &str| std::collections::HashSet::from([name.to_owned()]);
    for (removes, gone) in [
        (Removes::Only(only("none")), vec![]),
        (Removes::AllButNewer(only("known")), vec!["file", "known"]),
        (Removes::Only(only("newer")), vec!["file", "known", "newer"]),
    ] {
        let change = Change { removes, ..Change::default() };
        stage.store.change_watches(change, minutes(1), |_| Vec::new()).await.unwrap();
        let stored = stage.store.stored_watches().await.unwrap();
        let removed: Vec<&str> =
            stored.iter().filter(|watch| watch.is_removed).map(|watch| watch.name.as_str()).collect();
        assert_eq!(removed, gone);
    }
}

#[tokio::test]
async fn who_asks_to_resume_waits_until_it_is_done_or_somebody_pauses_again() {
    let (stage, id) = Stage::with_watch().await;
    assert!(stage.store.pause_watch(id, minutes(1)).await.unwrap());
    for _ in 0..2 {
        stage.store.ask_to_resume(id).await.unwrap();
        assert_eq!(stage.store.asked_to_resume().await.unwrap(), [id]);
        assert!(stage.store.pause_watch(id, minutes(2)).await.unwrap());
        assert_eq!(stage.store.asked_to_resume().await.unwrap(), [0; 0]);
    }
    stage.store.ask_to_resume(id).await.unwrap();
    stage.store.resume_watch(id, Some(minutes(9)), None).await.unwrap();
    assert_eq!(stage.store.asked_to_resume().await.unwrap(), [0; 0]);
    stage.store.synchronise(vec![], minutes(3), |_| Vec::new()).await.unwrap();
    assert!(!stage.store.pause_watch(id, minutes(4)).await.unwrap(), "one that is gone is not paused");
}

#[tokio::test]
async fn a_watch_that_cannot_be_built_stays_is_not_due_and_is_named_once() {
    let stage = Stage::new().await;
    let added = WatchSpec { toml: Some("[watch.w]".into()), ..spec("w", 1) };
    stage.store.synchronise(vec![added.clone()], at(NOW), |_| Vec::new()).await.unwrap();
    let why = Note { title: "w".into(), body: "why".into(), urgent: false, held_until: None };
    let change = Change {
        left_out: [("w".to_owned(), why)].into(),
        notifiers: vec!["hook".into()],
        ..Change::default()
    };
    for named in [vec!["w".to_owned()], vec![]] {
        let synced = stage.store.change_watches(change.clone(), minutes(1), |_| Vec::new()).await.unwrap();
        assert_eq!((synced.left_out, synced.removed), (named, 0));
        assert_eq!(stage.count("select count(*) from delivery").await, 1, "it is told, once");
    }
    let now = glance(&stage).await;
    assert_eq!((now.next_due_at, now.outcome.as_deref()), (None, Some("failed")));
    stage.store.synchronise(vec![added], minutes(2), |_| Vec::new()).await.unwrap();
    assert_eq!(glance(&stage).await.next_due_at, Some(minutes(5)), "it goes on when it can");
}
