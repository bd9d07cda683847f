//! A host that keeps programs out is told once, whichever watches ask it, and is never taken for news.

use stakeout::model::Outcome;

use crate::harness::{Harness, Page, minutes_after, number};

const TWO: &str = r#"
[alerting]
fail_after = 1
[watch.first]
source = { kind = "json", url = "{origin}/first", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.second]
source = { kind = "json", url = "{origin}/second", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

fn robot_page() -> Page {
    Page::html("<html><head><title>Are you a human?</title></head><body>Prove it.</body></html>")
}

async fn both(harness: &Harness, minute: i64) -> (Outcome, Outcome) {
    let at = minutes_after("2026-11-20T10:00:00Z", minute);
    let (first, second) = tokio::join!(harness.tick_at("first", at), harness.tick_at("second", at));
    (first.outcome, second.outcome)
}

#[tokio::test]
async fn two_watches_on_one_host_tell_once_that_it_blocks_us_and_once_that_it_lets_us_in_again() {
    let mut harness = Harness::start(TWO).await;
    harness.site().show("/first", number(11));
    harness.site().show("/second", number(11));
    both(&harness, 0).await;
    assert_eq!(harness.messages().await.len(), 2);

    harness.site().show("/first", Page::new("Too Many Requests").status(429));
    harness.site().show("/second", robot_page());
    for minute in 1..=4 {
        assert_eq!(both(&harness, minute).await, (Outcome::Blocked, Outcome::Blocked));
    }
    let titles = harness.titles().await;
    assert_eq!(titles[2..], [format!("{} blocks us", harness.site().host())], "neither gone nor failing");

    harness.settled().await;
    harness.stop().await;
    harness.boot().await;
    both(&harness, 5).await;
    assert_eq!(harness.messages().await.len(), 3, "nor again after a restart");

    harness.site().show("/first", number(11));
    harness.site().show("/second", number(11));
    for minute in 6..=8 {
        both(&harness, minute).await;
    }
    assert_eq!(
        harness.titles().await[3..],
        [format!("{} lets us in again after 5 min", harness.site().host())]
    );
}

#[tokio::test]
async fn a_host_that_blocks_us_again_is_told_again() {
    let harness = Harness::start(TWO).await;
    for (minute, page) in [(0, robot_page()), (1, number(9)), (2, robot_page()), (3, number(9))] {
        harness.site().show("/first", page);
        harness.tick_at("first", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(
        harness.titles().await,
        ["blocks us", "lets us in again after 1 min", "blocks us", "lets us in again after 1 min"]
            .map(|said| format!("{} {said}", harness.site().host()))
    );
}

#[tokio::test]
async fn a_wall_changes_nothing_that_was_settled_on() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/first", number(11));
    harness.tick("first", "2026-11-20T10:00:00Z").await;
    let states = "select strategy, subject, state from signal_state where watch_id > 0";
    let before = harness.stage.rows::<(String, String, String)>(states).await;
    harness.site().show("/first", robot_page());
    harness.tick("first", "2026-11-20T10:01:00Z").await;
    assert_eq!(harness.stage.rows::<(String, String, String)>(states).await, before);
    assert_eq!(harness.stage.count("select count(*) from subject where present = 1").await, 1);
}

#[tokio::test]
async fn a_host_that_names_a_time_is_not_asked_before_it() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/first", Page::new("slow down").status(429).header("retry-after", "600"));
    harness.site().show("/second", number(9));
    harness.tick("first", "2026-11-20T10:00:00Z").await;
    harness.site().show("/first", number(9));
    for minute in 1..10 {
        assert_eq!(both(&harness, minute).await, (Outcome::Blocked, Outcome::Blocked));
    }
    assert_eq!(harness.site().asked("/first").len(), 1, "neither watch asks before");
    assert_eq!(harness.site().asked("/second").len(), 0);
    // Whoever was refused lets whoever was not go first.
    assert_eq!(both(&harness, 10).await, (Outcome::Blocked, Outcome::Ok));
    assert_eq!(both(&harness, 11).await, (Outcome::Ok, Outcome::Unchanged));
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert_eq!(titles[0], format!("{} blocks us", harness.site().host()));
}

#[tokio::test]
async fn everyone_whose_watch_asks_a_host_is_told_of_its_wall_and_of_its_end_once() {
    let harness = Harness::start(
        r#"
[notify.one]
kind = "webhook"
url = "{origin}/hook/one"
[notify.two]
kind = "webhook"
url = "{origin}/hook/two"
[watch.first]
source = { kind = "json", url = "{origin}/first", pointer = "/n" }
every = "1m"
notify = ["one"]
[watch.second]
source = { kind = "json", url = "{origin}/second", pointer = "/n" }
every = "1m"
notify = ["two"]
"#,
    )
    .await;
    harness.site().show("/first", robot_page());
    harness.site().show("/second", number(9));
    for minute in 0..4 {
        both(&harness, minute).await;
    }
    harness.settled().await;
    let titles = |hook: &str| -> Vec<String> {
        harness.site().posts(hook).iter().map(crate::harness::Post::title).collect()
    };
    let said = |what: &str| format!("{} {what}", harness.site().host());
    assert_eq!(titles("one"), [said("blocks us")], "one page is still walled, whatever the other shows");
    harness.site().show("/first", number(9));
    both(&harness, 6).await;
    harness.settled().await;
    for hook in ["one", "two"] {
        assert_eq!(titles(hook), [said("blocks us"), said("lets us in again after 6 min")]);
    }
}
