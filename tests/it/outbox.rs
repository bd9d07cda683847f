//! What was committed is delivered: once, whatever happens on the way.

use std::time::{Duration, Instant};

use crate::harness::{Answer, Harness, Post, minutes_after, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

/// Two receivers, both told by one watch.
const TWO: &str = r#"
[notify.one]
kind = "webhook"
url = "{origin}/hook/one"
[notify.two]
kind = "webhook"
url = "{origin}/hook/two"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

/// One piece of news for each minute.
async fn news(harness: &Harness, minute: i64) {
    harness.site().show("/number", number(if minute % 2 == 0 { 11 } else { 9 }));
    harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
}

fn ids(posts: &[Post]) -> Vec<String> {
    posts.iter().map(Post::id).collect()
}

#[tokio::test]
async fn what_a_crash_left_unsent_is_delivered_after_the_start() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().answer_always("hook", Answer::status(503));
    news(&harness, 0).await;
    harness.crash();
    harness.site().answer_always("hook", Answer::status(204));
    harness.boot().await;
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
    news(&harness, 2).await;
    assert_eq!(harness.messages().await.len(), 1, "once");
}

#[tokio::test]
async fn what_was_being_sent_at_a_crash_is_sent_again_under_the_same_id() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().answer("hook", [Answer::never()]);
    news(&harness, 0).await;
    until("it is being sent", async || (!harness.site().posts("hook").is_empty()).then_some(())).await;
    harness.crash();
    harness.boot().await;
    harness.settled().await;
    let ids = ids(&harness.site().posts("hook"));
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_receiver_in_trouble_gets_the_message_in_the_end_under_one_id() {
    let harness = Harness::start(NUMBER).await;
    harness.site().answer("hook", [500, 502, 503, 408].map(Answer::status));
    news(&harness, 0).await;
    assert_eq!(harness.messages().await.len(), 1);
    let ids = ids(&harness.site().posts("hook"));
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| *id == ids[0]));
    let attempts = "select attempts from delivery where status = 'delivered'";
    assert_eq!(harness.stage.count(attempts).await, 5);
}

#[tokio::test]
async fn nothing_is_sent_before_the_time_that_a_receiver_named() {
    let harness = Harness::start(NUMBER).await;
    harness.site().answer("hook", [Answer::status(429).header("retry-after", "1")]);
    let began = Instant::now();
    for minute in 0..4 {
        news(&harness, minute).await;
    }
    harness.settled().await;
    let posts = harness.site().posts("hook");
    assert_eq!(posts.len(), 5, "the one that was sent too early, and each once");
    assert!(began.elapsed() >= Duration::from_secs(1));
    for later in &posts[1..] {
        let waited = later.at.duration_since(posts[0].at);
        assert!(waited >= Duration::from_millis(950), "no other goes out before the time either: {waited:?}");
    }
}

#[tokio::test]
async fn a_refused_message_is_dead_at_once_with_the_reason_and_delays_no_other() {
    let harness = Harness::start(
        r#"
[notify.discord]
kind = "discord"
url = "{origin}/hook/discord/some-secret-token"
[notify.hook]
kind = "webhook"
url = "{origin}/hook/hook"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#,
    )
    .await;
    let unknown = Answer::status(404)
        .header("content-type", "application/json")
        .body("{\"message\": \"Unknown Webhook\", \"code\": 10015}");
    harness.site().answer("discord", [unknown]);
    news(&harness, 0).await;
    news(&harness, 1).await;
    harness.settled().await;
    assert_eq!(harness.site().posts("discord").len(), 2, "the next one is tried all the same");
    let news = harness.site().posts("hook").into_iter().filter(|post| !post.title().starts_with("`discord`"));
    assert_eq!(news.count(), 2);
    let sql = "select notifier, status, attempts, last_error from delivery where status != 'delivered'";
    let dead = harness.stage.rows::<(String, String, i64, String)>(sql).await;
    assert_eq!(dead.len(), 1);
    let (notifier, status, attempts, why) = &dead[0];
    assert_eq!((notifier.as_str(), status.as_str(), *attempts), ("discord", "dead", 1));
    assert!(why.contains("Unknown Webhook (10015)"), "{why}");
    assert!(!why.contains("some-secret-token"), "{why}");
}

#[tokio::test]
async fn a_receiver_that_fails_for_too_long_is_given_up() {
    let harness = Harness::start(&format!(
        "[daemon]\nretry = {{ first = \"5ms\", longest = \"20ms\", give_up_after = \"1s\" }}\n{NUMBER}"
    ))
    .await;
    harness.site().answer_always("hook", Answer::status(500));
    news(&harness, 0).await;
    harness.settled().await;
    let why = harness.stage.rows::<(String,)>("select last_error from delivery where status = 'dead'").await;
    assert!(why[0].0.contains("given up after"), "{}", why[0].0);
}

#[tokio::test]
async fn a_hanging_receiver_delays_neither_another_nor_a_run() {
    let harness = Harness::start(TWO).await;
    harness.site().answer_always("one", Answer::never());
    let began = Instant::now();
    for minute in 0..3 {
        news(&harness, minute).await;
    }
    let two = harness.site();
    until("the other has everything", async || (two.posts("two").len() == 3).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(4), "before the hanging one has timed out");
    assert_eq!(harness.site().posts("one").len(), 1);
}

#[tokio::test]
async fn each_receiver_gets_a_message_of_its_own() {
    let harness = Harness::start(TWO).await;
    news(&harness, 0).await;
    assert_eq!(harness.messages().await.len(), 2);
    let (one, two) = (harness.site().posts("one"), harness.site().posts("two"));
    assert_eq!((one.len(), two.len()), (1, 1));
    assert_ne!(one[0].id(), two[0].id(), "the delivery is another");
    assert_eq!(one[0].alerts(), two[0].alerts(), "the news is the same");
}

#[tokio::test]
async fn many_alerts_of_one_run_travel_in_one_message() {
    let harness = Harness::start(
        r#"
[watch.numbers]
source = { kind = "json", url = "{origin}/numbers", pointer = "/*/n" }
strategy = [{ kind = "threshold", above = 10 }, { kind = "threshold", above = 15 }]
every = "1m"
"#,
    )
    .await;
    let page = r#"{"a": {"n": 11}, "b": {"n": 20}, "c": {"n": 9}}"#;
    harness.site().show("/numbers", crate::harness::Page::new(page));
    harness.tick("numbers", "2026-11-20T10:00:00Z").await;
    let messages = harness.messages().await;
    let mut alerts: Vec<(String, usize)> =
        messages.iter().map(|post| (post.title(), post.alerts().len())).collect();
    alerts.sort();
    assert_eq!(
        alerts,
        [("a is above 10: 11; b is above 10: 20".into(), 2), ("b is above 15: 20".into(), 1)],
        "one for each strategy"
    );
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_no_longer_configured_is_dead() {
    let harness = Harness::start(TWO).await;
    harness.site().answer_always("one", Answer::status(503));
    news(&harness, 0).await;
    until("one has failed", async || (!harness.site().posts("one").is_empty()).then_some(())).await;
    let only_two = TWO.replace("[notify.one]\nkind = \"webhook\"\nurl = \"{origin}/hook/one\"\n", "");
    assert!(harness.reload(&only_two).await);
    harness.settled().await;
    let sql = "select notifier, status, last_error from delivery order by notifier";
    let rows = harness.stage.rows::<(String, String, Option<String>)>(sql).await;
    assert_eq!(rows[0].0, "one");
    assert_eq!(rows[0].1, "dead");
    assert!(rows[0].2.as_deref().unwrap().contains("no longer configured"), "{:?}", rows[0]);
    assert_eq!((rows[1].0.as_str(), rows[1].1.as_str()), ("two", "delivered"));
}
