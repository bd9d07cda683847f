//! A market is judged in the time it is open: a night, a weekend and a holiday are never stale, an
//! afternoon without a newer bar is.

use serde_json::json;

use crate::harness::{Harness, Page, chart, minutes_after, moment};

const SHARES: &str = r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"], interval = "30m" }
every = "30m"
hours = "NYSE"
"#;

/// Bars until one that opened then; each run sees them as they are.
fn bars(last: &str) -> Page {
    chart("AAPL", moment(last), &[10.0, 11.0])
}

#[tokio::test]
async fn a_night_a_holiday_and_a_weekend_are_not_stale_and_a_morning_without_bars_is() {
    let harness = Harness::start(SHARES).await;
    let path = "/v8/finance/chart/AAPL";
    harness.site().show(path, bars("2026-04-02T19:30:00Z"));
    for time in [
        "2026-04-02T20:00:00Z",
        "2026-04-03T03:00:00Z",
        // Good Friday, at an hour when the exchange would be open.
        "2026-04-03T18:00:00Z",
        "2026-04-05T12:00:00Z",
        "2026-04-06T13:30:00Z",
        "2026-04-06T14:59:00Z",
    ] {
        harness.tick("shares", time).await;
        assert_eq!(harness.titles().await, [""; 0], "{time}");
    }
    harness.tick("shares", "2026-04-06T15:00:00Z").await;
    let stale = "shares is stale: nothing newer than 2026-04-02 20:00 for 1 h 30 min of open hours";
    assert_eq!(harness.titles().await, [stale]);
    harness.tick("shares", "2026-04-06T15:30:00Z").await;
    harness.site().show(path, bars("2026-04-06T15:30:00Z"));
    harness.tick("shares", "2026-04-06T16:00:00Z").await;
    assert_eq!(harness.titles().await, [stale, "shares has fresh data again after 1 h"]);
}

#[tokio::test]
async fn a_limit_that_is_asked_for_counts_open_time_too() {
    let harness = Harness::start(&format!("{SHARES}stale_after = \"3h\"")).await;
    harness.site().show("/v8/finance/chart/AAPL", bars("2026-11-25T19:30:00Z"));
    // Wednesday has an hour left, Thursday is Thanksgiving, and Friday opens at half past nine.
    for time in ["2026-11-25T20:30:00Z", "2026-11-26T18:00:00Z", "2026-11-27T16:29:00Z"] {
        harness.tick("shares", time).await;
        assert_eq!(harness.titles().await, [""; 0], "{time}");
    }
    harness.tick("shares", "2026-11-27T16:30:00Z").await;
    let stale = "shares is stale: nothing newer than 2026-11-25 20:00 for 3 h of open hours";
    assert_eq!(harness.titles().await, [stale]);
}

#[tokio::test]
async fn without_hours_the_bars_of_a_market_are_not_judged() {
    let harness = Harness::start(&SHARES.replace("hours = \"NYSE\"", "")).await;
    harness.site().show("/v8/finance/chart/AAPL", bars("2026-04-02T19:30:00Z"));
    for time in ["2026-04-02T20:00:00Z", "2026-04-06T20:00:00Z", "2026-05-06T20:00:00Z"] {
        harness.tick("shares", time).await;
    }
    assert_eq!(harness.titles().await, [""; 0]);
}

#[tokio::test]
async fn a_market_of_coins_never_closes() {
    let watch = r#"
[watch.bitcoin]
source = { kind = "kraken", base_url = "{origin}", symbols = "XBTUSD", interval = "15m" }
every = "15m"
"#;
    let harness = Harness::start(watch).await;
    // A Sunday, from midnight on.
    let start = "2026-07-12T00:00:00Z";
    let row = |n: i64| json!([moment(start).as_second() + (n - 2) * 900, "1", "2", "1", "2", "1", "5", 9]);
    let answer = json!({"error": [], "result": {"XXBTZUSD": [row(0), row(1)], "last": 0}});
    harness.site().show("/0/public/OHLC", Page::new(answer.to_string()));
    for minutes in [0, 15, 30, 44] {
        harness.tick_at("bitcoin", minutes_after(start, minutes)).await;
        assert_eq!(harness.titles().await, [""; 0], "{minutes}");
    }
    harness.tick_at("bitcoin", minutes_after(start, 45)).await;
    let stale = "bitcoin is stale: nothing newer than 2026-07-12 00:00 for 45 min";
    assert_eq!(harness.titles().await, [stale]);
}
