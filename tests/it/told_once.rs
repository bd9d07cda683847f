//! News is told once, however often it is seen.

use stakeout::model::Outcome;

use crate::harness::{Harness, Page, chart, falling, gasoline, minutes_after, moment, number};

const SHARES: &str = r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"], interval = "30m" }
strategy = [{ kind = "rsi", period = 14, buy_below = 20, sell_above = 80 }]
every = "30m"
"#;

const GASOLINE: &str = r#"
[watch.gasoline]
source = { kind = "ny_gas", base_url = "{origin}", region = "new_york_state" }
strategy = [{ kind = "price_drop", baseline = "previous" }]
every = "1d"
"#;

const WEEKS: &str = "/resource/nqur-w4p7.json";

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

#[tokio::test]
async fn a_crossing_is_told_once_over_a_hundred_further_runs() {
    let harness = Harness::start(SHARES).await;
    let start = "2026-11-02T00:00:00Z";
    let closes = falling(201);
    for run in 0..101_usize {
        let opened = minutes_after(start, 30 * run as i64);
        // Each run sees one bar more, and the share falls on.
        harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", opened, &closes[..100 + run]));
        let report = harness.tick_at("shares", minutes_after(start, 30 * run as i64 + 31)).await;
        assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.error);
        assert!(report.signals[0].firing);
    }
    assert_eq!(harness.titles().await, ["time to buy AAPL"]);
    assert_eq!(harness.stage.count("select count(*) from candle").await, 200);
}

#[tokio::test]
async fn a_crossing_that_comes_again_is_told_again() {
    let harness = Harness::start(SHARES).await;
    let down = falling(60);
    let flat: Vec<f64> = (0..60).map(|n| 900.0 + f64::from(n % 2)).collect();
    for (hour, closes) in [(10, &down), (11, &flat), (12, &down)] {
        let opened = moment(&format!("2026-11-20T{hour}:00:00Z"));
        harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", opened, closes));
        harness.tick("shares", &format!("2026-11-20T{hour}:31:00Z")).await;
    }
    assert_eq!(harness.titles().await, ["time to buy AAPL", "time to buy AAPL"]);
}

#[tokio::test]
async fn a_fall_of_a_week_is_told_once_and_a_revised_value_never() {
    let harness = Harness::start(GASOLINE).await;
    let mut told = 0;
    for (day, weeks, falls, why) in [
        (9, vec![("2026-11-02", 3.52), ("2026-11-09", 3.47)], 0, "first sight is remembered, not told"),
        (16, vec![("2026-11-09", 3.47), ("2026-11-16", 3.40)], 1, "a new week fell"),
        (17, vec![("2026-11-09", 3.47), ("2026-11-16", 3.40)], 0, "the same answer"),
        (18, vec![("2026-11-09", 3.47), ("2026-11-16", 3.39)], 0, "the newest week was revised"),
        (19, vec![("2026-11-09", 3.60), ("2026-11-16", 3.39)], 0, "an older week was revised"),
        (20, vec![("2026-11-02", 3.52), ("2026-11-09", 3.47)], 0, "a mirror lags"),
        (23, vec![("2026-11-16", 3.39), ("2026-11-23", 3.41)], 0, "a new week rose"),
        (30, vec![("2026-11-23", 3.41), ("2026-11-30", 3.38)], 1, "another week fell"),
    ] {
        harness.site().show(WEEKS, gasoline(&weeks));
        for hour in [9, 12, 15] {
            let report = harness.tick("gasoline", &format!("2026-11-{day:02}T{hour:02}:00:00Z")).await;
            assert!(report.error.is_none(), "{why}: {:?}", report.error);
        }
        told += falls;
        assert_eq!(harness.messages().await.len(), told, "{why}");
    }
    let titles = harness.titles().await;
    assert_eq!(
        titles,
        ["gasoline in new_york_state fell to 3.40", "gasoline in new_york_state fell to 3.38"]
    );
    let sql = "select reading ->> 'value' from observation where observed_at = 1794787200000";
    assert_eq!(harness.stage.rows::<(f64,)>(sql).await, [(3.39,)], "a revised week is one row");
}

#[tokio::test]
async fn an_unchanged_answer_is_not_read_again_and_yet_counts() {
    let harness = Harness::start(&format!("[alerting]\nafter = 3\n{NUMBER}")).await;
    harness.site().show("/number", number(11));
    for (run, expected, told) in [
        (0, Outcome::Ok, 0),
        (1, Outcome::Unchanged, 0),
        (2, Outcome::Unchanged, 1),
        (3, Outcome::Unchanged, 1),
    ] {
        let report = harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", run)).await;
        assert_eq!(report.outcome, expected, "run {run}");
        assert_eq!(harness.messages().await.len(), told, "run {run}");
    }
    let report = harness.tick("number", "2026-11-20T10:30:00Z").await;
    assert!(report.observations.is_empty() && report.signals.is_empty(), "nothing is judged again");
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
}

#[tokio::test]
async fn a_reminder_comes_on_time_though_nothing_changes() {
    let harness = Harness::start(&format!("[alerting]\nremind_every = \"1h\"\n{NUMBER}")).await;
    harness.site().show("/number", number(11));
    for minute in (0..=150).step_by(10) {
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    let titles = harness.titles().await;
    assert_eq!(titles, ["n is above 10: 11", "still: n is above 10: 11", "still: n is above 10: 11"]);
}

#[tokio::test]
async fn a_known_answer_is_asked_for_by_its_etag() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(11).header("etag", "\"one\""));
    assert_eq!(harness.tick("number", "2026-11-20T10:00:00Z").await.outcome, Outcome::Ok);
    assert_eq!(harness.tick("number", "2026-11-20T10:01:00Z").await.outcome, Outcome::Unchanged);
    harness.site().show("/number", number(9).header("etag", "\"two\""));
    assert_eq!(harness.tick("number", "2026-11-20T10:02:00Z").await.outcome, Outcome::Ok);
    assert_eq!(harness.tick("number", "2026-11-20T10:03:00Z").await.outcome, Outcome::Unchanged);
    let asked = harness.site().asked("/number");
    let etags: Vec<_> = asked.iter().map(|asked| asked.header("if-none-match")).collect();
    assert_eq!(etags, [None, Some("\"one\""), Some("\"one\""), Some("\"two\"")]);
    assert_eq!(harness.titles().await, ["n is above 10: 11", "n is no longer above 10: 9"]);
}

#[tokio::test]
async fn a_known_answer_is_known_after_a_restart() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(11).header("etag", "\"one\""));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    harness.stop().await;
    harness.boot().await;
    assert_eq!(harness.tick("number", "2026-11-20T10:01:00Z").await.outcome, Outcome::Unchanged);
    assert_eq!(harness.site().asked("/number")[1].header("if-none-match"), Some("\"one\""));
    assert_eq!(harness.messages().await.len(), 1, "and what was told is not told again");
}

#[tokio::test]
async fn an_answer_that_turns_back_is_noticed() {
    let harness = Harness::start(NUMBER).await;
    for (minute, n) in [(0, 11), (1, 9), (2, 11), (3, 11), (4, 9)] {
        harness.site().show("/number", number(n));
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(
        harness.titles().await,
        [
            "n is above 10: 11",
            "n is no longer above 10: 9",
            "n is above 10: 11",
            "n is no longer above 10: 9"
        ]
    );
}

#[tokio::test]
async fn news_within_the_cooldown_comes_late_though_the_answer_stays_the_same() {
    let harness = Harness::start(&format!("[alerting]\ncooldown = \"1h\"\n{NUMBER}")).await;
    for (minute, n) in [(0, 11), (10, 9), (20, 12), (30, 12), (59, 12)] {
        harness.site().show("/number", number(n));
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(harness.titles().await, ["n is above 10: 11", "n is no longer above 10: 9"]);
    harness.tick("number", "2026-11-20T11:10:00Z").await;
    assert_eq!(harness.titles().await.last().unwrap(), "n is above 10: 12");
    assert_eq!(harness.messages().await.len(), 3);
}

#[tokio::test]
async fn white_space_in_an_answer_is_another_body_but_no_news() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.site().show("/number", Page::new("{ \"n\":   11.0 }\n"));
    assert_eq!(harness.tick("number", "2026-11-20T10:01:00Z").await.outcome, Outcome::Ok);
    assert_eq!(harness.messages().await.len(), 1);
    assert_eq!(harness.stage.count("select count(*) from observation").await, 1);
}

#[tokio::test]
async fn what_another_program_told_to_begin_the_daemon_tells_to_end() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    for minute in 0..3 {
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    harness.site().show("/number", number(11));
    let once = crate::harness::command(&harness.stage, &["once", "number"]).await;
    assert!(once.status.success(), "{once:?}");
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
    // To the daemon nothing has changed.
    harness.site().show("/number", number(9));
    for minute in 3..6 {
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    assert_eq!(harness.titles().await[1..], ["n is no longer above 10: 9"]);
}

#[tokio::test]
async fn bars_that_an_answer_leaves_out_are_as_they_were_and_change_nothing() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"], interval = "30m" }
strategy = [{ kind = "rsi", buy_below = 20, sell_above = 80 }]
cron = "*/30 * * * *"
"#,
    )
    .await;
    // The last two bars lift it out of the range in which one buys.
    let mut closes: Vec<f64> = (0..58).map(|n| 300.0 - f64::from(n)).collect();
    closes.extend([290.0, 340.0]);
    let last = moment("2026-11-20T09:30:00Z");
    let show = |closes: &[f64]| harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", last, closes));
    show(&closes);
    let whole = harness.tick("shares", "2026-11-20T10:00:00Z").await;
    for left_out in [1..2, 30..32, 58..60, 40..60] {
        let mut closes = closes.clone();
        for close in closes.get_mut(left_out).unwrap() {
            *close = f64::NAN;
        }
        show(&closes);
        let report = harness.tick("shares", "2026-11-20T10:01:00Z").await;
        assert_eq!(report.signals[0].value, whole.signals[0].value);
        assert!(report.alerts.is_empty());
    }
}
