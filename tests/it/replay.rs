//! `stakeout replay` says what the daemon said, and what it would have said with other strategies.

use serde_json::Value;

use crate::harness::{
    Card, Harness, Page, Stage, chart, command, gasoline, listing, minutes_after, moment, number,
};

type Message = (String, String);

/// What the daemon wrote, with its times.
async fn told(stage: &Stage) -> Vec<Message> {
    let rows: Vec<(i64, String)> =
        stage.rows("select created_at, title from delivery where topic not like '%/run' order by seq").await;
    let time = |millis| jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    rows.into_iter().map(|(at, title)| (time(at), title)).collect()
}

async fn replay(stage: &Stage, arguments: &[&str]) -> Value {
    // What a person asks for leaves the next slot where it was: by the clock on the wall.
    stage.change("update due set next_due_at = 4102444800000").await;
    let output = command(stage, &[&["replay"], arguments, &["--json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn messages(replayed: &Value) -> Vec<Message> {
    let message =
        |told: &Value| (told["at"].as_str().unwrap().to_owned(), told["title"].as_str().unwrap().to_owned());
    replayed["messages"].as_array().unwrap().iter().map(message).collect()
}

/// What was told is what is replayed, and `count` messages.
async fn says_the_same(stage: &Stage, watch: &str, since: &str, until: &str, count: usize) {
    let told = told(stage).await;
    let before =
        stage.count("select count(*) from run").await + stage.count("select count(*) from alert").await;
    let replayed = replay(stage, &[watch, "--since", since, "--until", until]).await;
    assert_eq!(messages(&replayed), told);
    assert_eq!(told.len(), count, "{told:?}");
    let after =
        stage.count("select count(*) from run").await + stage.count("select count(*) from alert").await;
    assert_eq!(before, after, "nothing is written");
}

const START: &str = "2026-11-20T10:00:00Z";
const END: &str = "2026-11-20T14:00:00Z";

fn watching_a_number(keys: &str) -> String {
    format!(
        r#"
[watch.number]
source = {{ kind = "json", url = "{{origin}}/number", pointer = "/n" }}
cron = "* * * * *"
{keys}
"#
    )
}

/// One number a minute.
async fn see(harness: &Harness, numbers: &[f64]) {
    for (minute, n) in (0..).zip(numbers) {
        harness.site().show("/number", number(*n));
        harness.tick_at("number", minutes_after(START, minute)).await;
    }
}

#[tokio::test]
async fn what_was_told_live_is_replayed_whatever_the_policy() {
    let ups_and_downs = [9, 11, 11, 12, 9, 9, 11, 9, 12, 12, 12, 12, 12, 12, 9, 13, 9, 9].map(f64::from);
    for (keys, count) in [
        ("", 8),
        ("after = 2\nresolve_after = 2", 4),
        ("cooldown = \"3m\"", 4),
        ("remind_every = \"2m\"", 11),
        ("on_first = \"announce\"\nresolved = false", 5),
    ] {
        let strategy = "strategy = [{ kind = \"threshold\", above = 10 }]";
        let harness = Harness::start(&watching_a_number(&format!("{strategy}\n{keys}"))).await;
        see(&harness, &ups_and_downs).await;
        harness.settled().await;
        says_the_same(&harness.stage, "number", START, "2026-11-20T10:17:00Z", count).await;
    }
}

#[tokio::test]
async fn what_moves_with_time_is_replayed_minute_by_minute() {
    let keys = "strategy = [{ kind = \"percent_change\", by = 5, window = \"10m\" },\
                            { kind = \"spike\", times = 1.5, window = \"10m\" }]";
    let harness = Harness::start(&watching_a_number(keys)).await;
    let numbers: Vec<f64> =
        (0..60).map(|minute| if (20..25).contains(&minute) || minute > 45 { 160.0 } else { 100.0 }).collect();
    see(&harness, &numbers).await;
    harness.settled().await;
    says_the_same(&harness.stage, "number", START, "2026-11-20T10:59:00Z", 5).await;
}

#[tokio::test]
async fn messages_of_quiet_hours_are_shown_as_held() {
    let keys = "strategy = [{ kind = \"threshold\", above = 10 }]\nquiet_hours = \"10:00-11:00\"";
    let harness = Harness::start(&watching_a_number(keys)).await;
    see(&harness, &[9.0, 11.0]).await;
    let replayed = replay(&harness.stage, &["number", "--since", START, "--until", END]).await;
    assert_eq!(replayed["messages"][0]["held_until"], "2026-11-20T11:00:00Z");
    let output = command(&harness.stage, &["replay", "number", "--since", START, "--until", END]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("2026-11-20T10:01:00Z  n is above 10: 11 (held until 2026-11-20T11:00:00Z)"),
        "{text}"
    );
    assert!(text.contains("number: 1 message with 1 alert (1 first) between"), "{text}");
    assert!(text.contains("what cannot be replayed"), "{text}");
}

#[tokio::test]
async fn a_shelf_is_replayed_with_what_went_and_came_back() {
    let harness = Harness::start(
        r#"
[watch.cards]
source = { kind = "newegg", url = "{origin}/cards" }
cron = "* * * * *"
"#,
    )
    .await;
    let one: Card = ("N82E16814137001", "RTX One", 499, true);
    let two: Card = ("N82E16814137002", "RTX Two", 599, true);
    let sold: Card = ("N82E16814137002", "RTX Two", 599, false);
    let shelves: [&[Card]; 8] =
        [&[one], &[one, two], &[two], &[two], &[one, two], &[one, sold], &[sold], &[one, two]];
    for (minute, shelf) in (0..).zip(shelves) {
        harness.site().show("/cards", listing(shelf));
        harness.tick_at("cards", minutes_after(START, minute)).await;
    }
    harness.settled().await;
    says_the_same(&harness.stage, "cards", START, "2026-11-20T10:07:00Z", 7).await;
}

#[tokio::test]
async fn a_dated_series_is_replayed_by_when_each_date_was_seen() {
    let harness = Harness::start(
        r#"
[watch.gasoline]
source = { kind = "ny_gas", base_url = "{origin}", region = "new_york_state" }
strategy = [{ kind = "price_drop", baseline = "previous" }]
cron = "0 9 * * *"
"#,
    )
    .await;
    for (day, weeks) in [
        (10, vec![("2026-11-02", 3.52), ("2026-11-09", 3.47)]),
        (18, vec![("2026-11-09", 3.47), ("2026-11-16", 3.40)]),
        (19, vec![("2026-11-09", 3.47), ("2026-11-16", 3.39)]),
        (24, vec![("2026-11-16", 3.39), ("2026-11-23", 3.41)]),
        (30, vec![("2026-11-23", 3.41), ("2026-11-30", 3.38)]),
    ] {
        harness.site().show("/resource/nqur-w4p7.json", gasoline(&weeks));
        harness.tick("gasoline", &format!("2026-11-{day:02}T09:00:00Z")).await;
    }
    harness.settled().await;
    let told = told(&harness.stage).await;
    let replayed = replay(
        &harness.stage,
        &["gasoline", "--since", "2026-11-10T09:00:00Z", "--until", "2026-12-01T00:00:00Z"],
    )
    .await;
    let replayed = messages(&replayed);
    let times = |messages: &[Message]| messages.iter().map(|(at, _)| at.clone()).collect::<Vec<_>>();
    assert_eq!(times(&replayed), times(&told));
    assert_eq!(told[0].1, "gasoline in new_york_state fell to 3.40");
    assert_eq!(replayed[0].1, "gasoline in new_york_state fell to 3.39", "revised: as it stands now");
    assert_eq!(replayed[1], told[1]);
}

const SHARES: &str = r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL", "MSFT"], interval = "30m" }
strategy = [{ kind = "rsi", period = 14, buy_below = 20, sell_above = 80 }]
cron = "*/30 * * * *"
"#;

/// Prices that fall, rise and fall.
fn waves(count: usize) -> Vec<f64> {
    (0..count).map(|n| 500.0 + 100.0 * (n as f64 / 12.0).sin()).collect()
}

async fn shares() -> Harness {
    let harness = Harness::start(SHARES).await;
    let closes = waves(200);
    for run in 0..60_usize {
        let opened = minutes_after(START, 30 * run as i64 - 30);
        for symbol in ["AAPL", "MSFT"] {
            let page = chart(symbol, opened, &closes[..140 + run]);
            harness.site().show(&format!("/v8/finance/chart/{symbol}"), page);
        }
        harness.tick_at("shares", minutes_after(START, 30 * run as i64)).await;
    }
    harness.settled().await;
    harness
}

#[tokio::test]
async fn bars_are_replayed_as_they_closed_and_with_another_strategy() {
    let harness = shares().await;
    let until = minutes_after(START, 30 * 59).to_string();
    let told = told(&harness.stage).await;
    assert!(told.len() >= 2, "{told:?}");
    assert!(told[0].1.ends_with("AAPL and MSFT"), "{told:?}");
    says_the_same(&harness.stage, "shares", START, &until, told.len()).await;

    let span = ["shares", "--since", START, "--until", &until];
    let tried = async |strategy: &str| {
        messages(&replay(&harness.stage, &[&span[..], &["--strategy", strategy]].concat()).await)
    };
    assert_eq!(tried("[{ kind = \"rsi\", buy_below = 20, sell_above = 80 }]").await, told);
    let dearer = tried("{ kind = \"threshold\", above = 590 }").await;
    assert!(dearer.iter().any(|(_, title)| title.contains("AAPL is above 590")), "{dearer:?}");

    // The bars of the days before the first run count from their own time on.
    let earlier = minutes_after(START, -30 * 100).to_string();
    let replayed = replay(&harness.stage, &["shares", "--since", &earlier, "--until", START]).await;
    let messages = messages(&replayed);
    assert!(!messages.is_empty());
    assert!(messages.iter().all(|(at, _)| moment(at) < moment(START)), "{messages:?}");
}

#[tokio::test]
async fn a_strategy_that_cannot_be_is_explained() {
    let harness = Harness::start(SHARES).await;
    for (strategy, code, said) in [
        ("{ kind = \"rsy\" }", 2, "unknown kind `rsy`"),
        ("{ kind = \"rsi\", buy = 25 }", 2, "unknown field `buy`"),
        ("{ kind = \"restock\" }", 2, "`restock` reads listings, but this source gives candles"),
        ("rsi", 2, "--strategy:1"),
        ("{ kind = \"rsi\", buy_below = 90 }", 2, "`buy_below` must be below `sell_above`"),
    ] {
        let arguments = ["replay", "shares", "--since", "90d", "--strategy", strategy];
        let output = command(&harness.stage, &arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{strategy}: {error}");
        assert!(error.contains(said) && error.contains("--strategy:1"), "{strategy}: {error}");
    }
    let output = command(&harness.stage, &["replay", "share", "--since", "90d"]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there is no watch `share`; did you mean `shares`?"), "{error}");
    let replayed = replay(&harness.stage, &["shares", "--since", "90d"]).await;
    assert_eq!(replayed["remarks"][0], "nothing is stored of it yet");
}

#[tokio::test]
async fn slots_that_are_still_to_come_are_not_replayed_and_what_is_not_known_is_said() {
    let keys = "strategy = [{ kind = \"threshold\", above = 10 }]\nremind_every = \"1m\"";
    let harness = Harness::start(&watching_a_number(keys)).await;
    see(&harness, &[9.0, 11.0]).await;
    // It is due next at four minutes past ten.
    harness.stage.change("update due set next_due_at = 1795169040000").await;
    let span = ["number", "--since", "2026-01-01T00:00:00Z", "--until", "2199-01-01T00:00:00Z", "--json"];
    let output = command(&harness.stage, &[&["replay"], &span[..]].concat()).await;
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let times: Vec<String> = messages(&replayed).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, ["2026-11-20T10:01:00Z", "2026-11-20T10:02:00Z", "2026-11-20T10:03:00Z"]);
    assert!(moment(replayed["until"].as_str().unwrap()) < moment("2199-01-01T00:00:00Z"));
    let remarks = replayed["remarks"].to_string();
    assert!(remarks.contains("it begins knowing nothing of what was told before"), "{remarks}");
    let output = command(&harness.stage, &["replay", "number", "--since", "2199-01-01T00:00:00Z"]).await;
    assert_eq!(output.status.code(), Some(2));
    let since = ["number", "--since", "60d", "--json"];
    let output = command(&harness.stage, &[&["replay"], &since[..]].concat()).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("runs are kept since "));
}

#[tokio::test]
async fn slots_that_got_no_answer_are_left_out() {
    let keys = "strategy = [{ kind = \"percent_change\", by = 5, window = \"10m\" }]\nresolved = true";
    let harness = Harness::start(&watching_a_number(keys)).await;
    for minute in 0..50 {
        let page = match minute {
            28..36 => Page::new("").status(404),
            ..20 => number(100),
            _ => number(160),
        };
        harness.site().show("/number", page);
        harness.tick_at("number", minutes_after(START, minute)).await;
    }
    harness.settled().await;
    let told = told(&harness.stage).await;
    assert_eq!(told.last().unwrap(), &("2026-11-20T10:36:00Z".into(), "n is steady again".into()));
    says_the_same(&harness.stage, "number", START, "2026-11-20T10:49:00Z", 2).await;
}

#[tokio::test]
async fn a_run_that_comes_a_little_after_its_slot_stands_for_it() {
    let keys = "strategy = [{ kind = \"threshold\", above = 10 }]\nafter = 2\nresolve_after = 3";
    let harness = Harness::start(&watching_a_number(keys)).await;
    let numbers = [9, 11, 9, 11, 12, 9, 8, 9, 7, 6, 11, 9, 12, 13, 14, 14, 14].map(f64::from);
    for (minute, n) in (0..).zip(numbers) {
        harness.site().show("/number", number(n));
        let slot = minutes_after(START, minute);
        harness.tick_at("number", slot + jiff::SignedDuration::from_millis(137)).await;
    }
    harness.settled().await;
    harness.stage.change("update run set \"trigger\" = 'schedule', due_at = due_at - 137").await;
    says_the_same(&harness.stage, "number", START, END, 3).await;
}
