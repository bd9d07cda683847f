//! What cannot be read is told with the watch's name, costs nothing that was known, and stops no other.

use std::time::Duration;

use stakeout::model::Outcome;

use crate::harness::{Harness, Page, chart, falling, minutes_after, moment, number, unknown_symbol};

const NUMBERS: &str = r#"
[fetch]
timeout = "300ms"
allow_private_networks = true
per_host = { min_interval = "0s", max_concurrent = 32 }
[alerting]
fail_after = 2
[watch.good]
source = { kind = "json", url = "{origin}/good", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.prices]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

/// Fails for four runs, then works again; in between the other watch has news.
async fn tells_its_end_and_stops_no_other(case: &str, page: Page) {
    let harness = Harness::start(NUMBERS).await;
    harness.site().show("/number", number(11));
    harness.site().show("/good", number(9));
    harness.tick("prices", "2026-11-20T10:00:00Z").await;
    harness.tick("good", "2026-11-20T10:00:00Z").await;
    let seen = known(&harness).await;
    assert_eq!(harness.titles().await, ["n is above 10: 11"], "{case}");

    harness.site().show("/number", page);
    for minute in 1..=4 {
        let report = harness.tick_at("prices", minutes_after("2026-11-20T10:00:00Z", minute)).await;
        assert_eq!(report.outcome, Outcome::Failed, "{case}");
        assert!(report.error.is_some_and(|why| !why.is_empty()), "{case}");
    }
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 2, "{case}: told once");
    let title = messages[1].title();
    assert!(title.starts_with("prices is failing: "), "{case}: {title}");
    assert_eq!(messages[1].alerts()[0]["strategy"], "run", "{case}");
    assert_eq!(known(&harness).await, seen, "{case}: nothing that was known is lost");

    harness.site().show("/good", number(12));
    assert_eq!(harness.tick("good", "2026-11-20T10:04:00Z").await.outcome, Outcome::Ok, "{case}");

    harness.site().show("/number", number(11));
    for minute in 5..=7 {
        harness.tick_at("prices", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    let titles = harness.titles().await;
    assert_eq!(titles[2..], ["n is above 10: 12", "prices works again after 4 min"], "{case}");
}

/// What is known of the watch's subjects.
async fn known(harness: &Harness) -> String {
    let store = harness.daemon().store();
    let watch = store.watch("prices").await.unwrap().unwrap();
    format!("{:?}", store.last_seen(watch.id).await.unwrap())
}

#[tokio::test]
async fn a_page_that_is_not_found_is_told() {
    tells_its_end_and_stops_no_other("404", Page::new("{\"n\": 9}").status(404)).await;
}

#[tokio::test]
async fn a_server_in_trouble_is_told() {
    tells_its_end_and_stops_no_other("500", Page::html("<h1>Internal Server Error</h1>").status(500)).await;
}

#[tokio::test]
async fn a_page_instead_of_json_is_told() {
    let page = Page::html("<!DOCTYPE html><title>Welcome</title><p>We have moved");
    tells_its_end_and_stops_no_other("HTML", page).await;
}

#[tokio::test]
async fn an_empty_answer_is_told() {
    tells_its_end_and_stops_no_other("empty", Page::new("")).await;
}

#[tokio::test]
async fn half_an_answer_is_told() {
    tells_its_end_and_stops_no_other("half", Page::new("{\"n\": 1")).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told() {
    tells_its_end_and_stops_no_other("cut", Page::new("{\"n\": 12, \"m\": 1234567890}").breaking_off()).await;
}

#[tokio::test]
async fn an_answer_of_another_shape_is_told() {
    tells_its_end_and_stops_no_other("shape", Page::new("{\"m\": 12}")).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told() {
    tells_its_end_and_stops_no_other("hang", number(11).hanging()).await;
}

#[tokio::test]
async fn a_hanging_watch_does_not_hold_up_another() {
    let harness = Harness::start(NUMBERS).await;
    harness.site().show("/number", number(11).hanging());
    harness.site().show("/good", number(11).after(Duration::from_millis(1)));
    let hanging = harness.tick("prices", "2026-11-20T10:00:00Z");
    let good = async {
        harness.tick("good", "2026-11-20T10:00:00Z").await;
        harness.site().asked("/number").len()
    };
    let (failed, asked) = tokio::join!(hanging, good);
    assert_eq!((failed.outcome, asked), (Outcome::Failed, 1));
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
}

#[tokio::test]
async fn a_failure_that_ends_while_the_daemon_is_down_is_told_to_be_over() {
    let mut harness = Harness::start(NUMBERS).await;
    harness.site().show("/number", number(9));
    harness.tick("prices", "2026-11-20T10:00:00Z").await;
    harness.site().show("/number", Page::new("").status(500));
    for minute in 1..=3 {
        harness.tick_at("prices", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(harness.messages().await.len(), 1);
    harness.stop().await;
    harness.site().show("/number", number(9));
    harness.boot().await;
    for minute in 60..=62 {
        harness.tick_at("prices", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(harness.titles().await[1..], ["prices works again after 59 min"]);
}

const SHARES: &str = r#"
[alerting]
fail_after = 1
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL", "NOPE"] }
every = "30m"
"#;

#[tokio::test]
async fn an_unknown_symbol_is_named_and_the_others_are_judged() {
    let harness = Harness::start(SHARES).await;
    let opened = moment("2026-11-20T10:00:00Z");
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", opened, &falling(60)));
    harness.site().show("/v8/finance/chart/NOPE", unknown_symbol());
    let report = harness.tick("shares", "2026-11-20T10:31:00Z").await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.signals[0].state, "oversold");
    let titles = harness.titles().await;
    assert!(titles.contains(&"time to buy AAPL".to_owned()), "{titles:?}");
    let failing = titles.iter().find(|title| title.starts_with("shares is failing: ")).unwrap();
    assert!(failing.contains("unknown symbol `NOPE`"), "{failing}");
}

#[tokio::test]
async fn a_part_that_failed_and_comes_back_as_it_was_is_told_to_work_again() {
    let harness = Harness::start(SHARES).await;
    let opened = moment("2026-11-20T10:00:00Z");
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", opened, &falling(5)));
    harness.site().show("/v8/finance/chart/NOPE", chart("NOPE", opened, &falling(5)));
    harness.tick("shares", "2026-11-20T10:31:00Z").await;
    harness.site().show("/v8/finance/chart/NOPE", unknown_symbol());
    for minute in 32..36 {
        harness.tick("shares", &format!("2026-11-20T10:{minute}:00Z")).await;
    }
    harness.site().show("/v8/finance/chart/NOPE", chart("NOPE", opened, &falling(5)));
    let report = harness.tick("shares", "2026-11-20T10:36:00Z").await;
    assert_eq!(report.outcome, Outcome::Unchanged);
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert_eq!(titles[1], "shares works again after 4 min");
}

#[tokio::test]
async fn a_failure_does_not_make_old_news_new() {
    let harness = Harness::start(SHARES).await;
    let opened = moment("2026-11-20T10:00:00Z");
    for (minute, page) in [
        (31, chart("AAPL", opened, &falling(60))),
        (32, Page::new("").status(503)),
        (33, chart("AAPL", opened, &falling(61))),
    ] {
        harness.site().show("/v8/finance/chart/AAPL", page.clone());
        harness.site().show("/v8/finance/chart/NOPE", page);
        harness.tick("shares", &format!("2026-11-20T10:{minute}:00Z")).await;
    }
    let titles = harness.titles().await;
    assert_eq!(titles.iter().filter(|title| title.contains("time to buy")).count(), 1, "{titles:?}");
}

#[tokio::test]
async fn data_that_stand_still_are_told_and_so_is_that_they_move_again() {
    let harness = Harness::start(
        r#"
[watch.gasoline]
source = { kind = "ny_gas", base_url = "{origin}", region = "new_york_state" }
every = "1d"
stale_after = "10d"
"#,
    )
    .await;
    let weeks = |last: &str| crate::harness::gasoline(&[("2026-11-02", 3.4), (last, 3.5)]);
    let portal = "/resource/nqur-w4p7.json";
    harness.site().show(portal, weeks("2026-11-09"));
    for day in [10, 15, 20, 21] {
        harness.tick("gasoline", &format!("2026-11-{day}T09:00:00Z")).await;
    }
    harness.site().show(portal, weeks("2026-11-23"));
    harness.tick("gasoline", "2026-11-24T09:00:00Z").await;
    harness.tick("gasoline", "2026-11-25T09:00:00Z").await;
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].starts_with("gasoline is stale: nothing newer than 2026-11-09"), "{}", titles[0]);
    assert!(titles[1].starts_with("gasoline has fresh data again"), "{}", titles[1]);
}

#[tokio::test]
async fn a_number_without_a_date_that_stays_the_same_is_not_stale() {
    let harness = Harness::start(NUMBERS).await;
    for (minute, n) in [(0, 8), (1, 9)] {
        harness.site().show("/good", number(n));
        harness.tick_at("good", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    for minute in [2, 30, 300, 3_000] {
        harness.tick_at("good", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert!(harness.messages().await.is_empty(), "{:?}", harness.titles().await);
}
