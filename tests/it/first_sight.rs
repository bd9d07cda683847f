//! What the first run of a watch says.

use crate::harness::{Harness, chart, falling, moment, number, ticker};

#[tokio::test]
async fn a_share_that_is_oversold_at_first_sight_is_told() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL", "MSFT"] }
every = "30m"
"#,
    )
    .await;
    let opened = moment("2026-11-20T10:00:00Z");
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", opened, &falling(60)));
    harness.site().show("/v8/finance/chart/MSFT", chart("MSFT", opened, &falling(60)));
    harness.tick("shares", "2026-11-20T10:31:00Z").await;
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 1, "both travel in one message");
    assert_eq!(messages[0].title(), "time to buy AAPL and MSFT");
    assert_eq!(messages[0].alerts().len(), 2);
}

#[tokio::test]
async fn bars_that_are_too_few_to_judge_say_nothing() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = "AAPL" }
every = "30m"
"#,
    )
    .await;
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T10:00:00Z"), &falling(5)));
    let report = harness.tick("shares", "2026-11-20T10:31:00Z").await;
    assert!(report.error.is_none() && report.signals.is_empty());
    assert!(harness.messages().await.is_empty());
}

#[tokio::test]
async fn a_watch_that_announces_says_once_what_it_found_even_if_nothing_fires() {
    let mut harness = Harness::start(
        r#"
[watch.coins]
source = { kind = "kraken", base_url = "{origin}", symbols = ["XBTUSD"] }
strategy = [{ kind = "threshold", above = 100_000 }]
on_first = "announce"
every = "1m"
"#,
    )
    .await;
    harness.site().show("/0/public/Ticker", ticker(&[("XXBTZUSD", 77_000.0)]));
    harness.tick("coins", "2026-11-20T10:00:00Z").await;
    harness.tick("coins", "2026-11-20T10:01:00Z").await;
    harness.site().show("/0/public/Ticker", ticker(&[("XXBTZUSD", 77_001.0)]));
    harness.tick("coins", "2026-11-20T10:02:00Z").await;
    assert_eq!(harness.titles().await, ["coins: watching XBTUSD"]);
    harness.stop().await;
    harness.boot().await;
    harness.tick("coins", "2026-11-20T10:03:00Z").await;
    assert_eq!(harness.messages().await.len(), 1, "nor after a restart");
    harness.site().show("/0/public/Ticker", ticker(&[("XXBTZUSD", 100_001.0)]));
    harness.tick("coins", "2026-11-20T10:04:00Z").await;
    assert_eq!(harness.titles().await[1], "XBTUSD is above 100000: 100001");
}

#[tokio::test]
async fn a_baseline_remembers_and_tells_what_comes_after() {
    let harness = Harness::start(
        r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
on_first = "baseline"
every = "1m"
"#,
    )
    .await;
    for (minute, n, told) in [(0, 11, 0), (1, 12, 0), (2, 9, 0), (3, 11, 1)] {
        harness.site().show("/number", number(n));
        harness.tick("number", &format!("2026-11-20T10:0{minute}:00Z")).await;
        assert_eq!(harness.messages().await.len(), told, "minute {minute}");
    }
}
