//! `stakeout explain` says why a message was or was not sent: a case for each verdict.

use std::collections::BTreeMap;

use serde_json::Value;
use stakeout::model::{Matchers, Silence};

use crate::harness::{
    Card, Harness, Page, Stage, chart, command, klines, listing, minutes_after, moment, number,
    unknown_symbol,
};

const START: &str = "2026-11-20T10:00:00Z";

async fn explain(stage: &Stage, arguments: &[&str]) -> Value {
    let output = command(stage, &[&["explain"], arguments, &["--json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn printed(stage: &Stage, arguments: &[&str]) -> String {
    let output = command(stage, &[&["explain"], arguments].concat()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Watches a number, ten and more of which fires.
fn watching(keys: &str) -> String {
    format!(
        "[watch.number]\nsource = {{ kind = \"json\", url = \"{{origin}}/number\", pointer = \"/n\" }}\n\
         strategy = [{{ kind = \"threshold\", above = 10 }}]\ncron = \"* * * * *\"\n{keys}\n"
    )
}

/// After these numbers, one a minute, what is said of the last: verdict, reason, whether it was stored.
async fn after(keys: &str, numbers: &[f64]) -> (Harness, Value) {
    let harness = Harness::start(&watching(keys)).await;
    for (minute, n) in (0..).zip(numbers) {
        harness.site().show("/number", number(*n));
        harness.tick_at("number", minutes_after(START, minute)).await;
    }
    harness.settled().await;
    let explained = explain(&harness.stage, &["number"]).await;
    (harness, explained)
}

fn verdict(explained: &Value) -> (&str, &str) {
    let judgement = &explained["judgements"][0];
    (judgement["verdict"].as_str().unwrap(), judgement["why"].as_str().unwrap())
}

#[tokio::test]
async fn each_verdict_has_its_reason() {
    let told_at = "the same news as at 2026-11-20T10:00:00Z";
    for (keys, numbers, expected, why) in [
        ("", vec![11.0], "first", "it began".to_owned()),
        ("remind_every = \"2m\"", vec![11.0, 11.0, 11.0], "reminder", "it is still so, and the reminder is due".into()),
        ("", vec![11.0, 9.0], "resolved", "it is over, and its beginning was told".into()),
        ("on_first = \"baseline\"", vec![11.0], "baseline",
         "first sight: remembered, to know what is new later (`on_first = \"baseline\"`)".into()),
        ("on_first = \"announce\"", vec![11.0], "baseline",
         "first sight: it is part of the announcement (`on_first = \"announce\"`)".into()),
        ("", vec![9.0], "not_firing", String::new()),
        ("after = 3", vec![9.0, 11.0, 12.0], "not_yet", "reading 2 in a row of the 3 that `after` wants".into()),
        ("resolve_after = 2", vec![11.0, 9.0], "not_yet",
         "reading 1 in a row of the 2 that `resolve_after` wants".into()),
        ("", vec![11.0, 12.0], "unchanged", format!("{told_at}; no reminders are asked for")),
        ("remind_every = \"1h\"", vec![11.0, 12.0], "unchanged",
         format!("{told_at}; the next reminder is due at 2026-11-20T11:00:00Z")),
        ("cooldown = \"1h\"", vec![11.0, 9.0, 12.0], "cooling_down",
         "within the cooldown of the message of 2026-11-20T10:01:00Z; told after 2026-11-20T11:01:00Z if it is still so".into()),
        ("resolved = false", vec![11.0, 9.0], "not_firing",
         "it is over, and `resolved = false` says that ends are not told".into()),
        ("on_first = \"baseline\"", vec![11.0, 9.0], "not_firing",
         "it is over; its beginning was not told either".into()),
        ("on_first = \"baseline\"", vec![11.0, 12.0], "unchanged",
         "the same as when it was first seen; its beginning was not told".into()),
    ] {
        let (_harness, explained) = after(keys, &numbers).await;
        assert_eq!(verdict(&explained), (expected, why.as_str()), "{keys} {numbers:?}");
        assert_eq!(explained["judgements"][0]["stored"], true, "{keys} {numbers:?}");
        let told = matches!(expected, "first" | "reminder" | "resolved") || keys.contains("announce");
        assert_eq!(explained["alerts"].as_array().unwrap().len(), usize::from(told), "{keys} {numbers:?}");
        assert_eq!(explained["deliveries"].as_array().unwrap().len(), usize::from(told), "{keys}");
    }
}

#[tokio::test]
async fn other_news_of_the_same_is_changed() {
    let harness = Harness::start(
        r#"
[watch.terms]
source = { kind = "page", url = "{origin}/terms" }
cron = "* * * * *"
"#,
    )
    .await;
    for (minute, text) in [(0, "old terms"), (1, "new terms")] {
        harness.site().show("/terms", Page::html(&format!("<title>Terms</title><p>{text}</p>")));
        harness.tick_at("terms", minutes_after(START, minute)).await;
    }
    let explained = explain(&harness.stage, &["terms"]).await;
    assert_eq!(verdict(&explained), ("changed", "it is still so, but other news than what was told"));
    let steps = explained["judgements"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap(), "compared line by line: 1 line came, 1 line went");
}

#[tokio::test]
async fn a_run_is_shown_step_by_step_to_its_delivery() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"], interval = "30m" }
strategy = [{ kind = "rsi", period = 14, buy_below = 20, sell_above = 80, hysteresis = 5 }]
cron = "*/30 * * * *"
"#,
    )
    .await;
    let closes: Vec<f64> = (0..60).map(|n| 300.0 - f64::from(n)).collect();
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T09:30:00Z"), &closes));
    harness.tick("shares", START).await;
    harness.settled().await;
    let text = printed(&harness.stage, &["shares"]).await;
    for line in [
        "shares: ok",
        "  due 2026-11-20T10:00:00Z (manual)",
        "1 observation",
        "  AAPL: 60 bars of 30m, the last from 2026-11-20T09:30:00Z: open 241 high 241 low 241 close 241 volume 1000",
        "  rsi AAPL: oversold, first",
        "    1. 60 bars of 30m up to 2026-11-20T10:00:00Z, last close 241",
        "    2. RSI(14), Wilder: average gain 0, average loss 0.987379, RSI 0.00",
        "    3. buy_below 20, sell_above 80: below 20 → oversold",
        "    4. hysteresis 5: nothing was settled on before, so that changes nothing",
        "    settled on before: nothing, this is the first sight",
        "    told: it began",
        "  time to buy AAPL (first)",
        "1 delivery",
        "  hook: time to buy AAPL",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(text.contains("    delivered at "), "{text}");
    let tried = "insert into attempt (delivery_id, attempt, at, outcome, why)
                 select id, 99, 1795168800000, 'retry', 'HTTP 503' from delivery";
    harness.stage.change(tried).await;
    let text = printed(&harness.stage, &["shares"]).await;
    assert!(text.contains("    2026-11-20T10:00:00Z retry: HTTP 503"), "{text}");
}

#[tokio::test]
async fn the_same_bytes_are_not_judged_anew_and_that_is_said() {
    let (harness, _) = after("", &[11.0, 11.0, 11.0]).await;
    let explained = explain(&harness.stage, &["number"]).await;
    assert_eq!(explained["outcome"], "unchanged");
    assert_eq!(explained["same_as"], START);
    let why = "the same news as at 2026-11-20T10:00:00Z; no reminders are asked for";
    assert_eq!(verdict(&explained), ("unchanged", why));
    assert_eq!(explained["judgements"][0]["stored"], false);
    let text = printed(&harness.stage, &["number"]).await;
    for line in [
        "the answer had the same bytes as the one of 2026-11-20T10:00:00Z",
        "the same bytes as before: nothing was judged anew, what was settled on stands",
        "settled on before: above since 2026-11-20T10:00:00Z, told at 2026-11-20T10:00:00Z",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn an_earlier_run_is_explained_by_what_was_so_then() {
    let (harness, _) = after("", &[9.0, 11.0, 12.0, 9.0, 9.0]).await;
    for (minute, expected, before, seen) in [
        (0, "not_firing", Value::Null, 9.0),
        (1, "first", "normal since 2026-11-20T10:00:00Z".into(), 11.0),
        (2, "unchanged", "above since 2026-11-20T10:01:00Z, told at 2026-11-20T10:01:00Z".into(), 12.0),
        (3, "resolved", "above since 2026-11-20T10:01:00Z, told at 2026-11-20T10:01:00Z".into(), 9.0),
        (4, "not_firing", "normal since 2026-11-20T10:03:00Z".into(), 9.0),
    ] {
        let at = minutes_after(START, minute).to_string();
        let explained = explain(&harness.stage, &["number", "--at", &at]).await;
        assert_eq!(explained["started_at"], at.as_str());
        assert_eq!(verdict(&explained).0, expected, "{at}");
        assert_eq!(explained["judgements"][0]["settled"], before, "{at}");
        assert_eq!(explained["observations"][0]["value"], seen, "{at}");
    }
    // Between two slots it is the one before.
    let explained = explain(&harness.stage, &["number", "--at", "2026-11-20T10:01:59Z"]).await;
    assert_eq!(explained["due_at"], "2026-11-20T10:01:00Z");
}

#[tokio::test]
async fn held_news_wait_for_the_end_of_the_quiet_hours() {
    let (harness, explained) = {
        let harness = Harness::start(&watching("quiet_hours = \"10:00-11:00\"")).await;
        harness.site().show("/number", number(11));
        harness.tick("number", START).await;
        let explained = explain(&harness.stage, &["number"]).await;
        (harness, explained)
    };
    let why = "it began; quiet hours: told in one brief when they end (2026-11-20T11:00:00Z)";
    assert_eq!(verdict(&explained), ("held", why));
    assert_eq!(explained["quiet_until"], "2026-11-20T11:00:00Z");
    assert_eq!(explained["deliveries"].as_array().unwrap().len(), 1);
    let text = printed(&harness.stage, &["number"]).await;
    assert!(text.contains(&format!("    held: {why}")), "{text}");
}

#[tokio::test]
async fn what_a_silence_keeps_quiet_is_said_with_the_silence() {
    let harness = Harness::start(&watching("")).await;
    let about = BTreeMap::from([("watch".to_owned(), "num*".to_owned())]);
    let silence = Silence {
        id: 0,
        matchers: Matchers::try_from(about).unwrap(),
        starts_at: moment(START),
        ends_at: minutes_after(START, 60),
        created_by: "me".into(),
        comment: "holidays".into(),
    };
    harness.daemon().store().add_silence(silence, moment(START)).await.unwrap();
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:30:00Z").await;
    let explained = explain(&harness.stage, &["number"]).await;
    let why = "silenced; told when the silence ends, if it is still so";
    assert_eq!(verdict(&explained), ("silenced", why));
    let text = printed(&harness.stage, &["number"]).await;
    assert!(text.contains("silenced until 2026-11-20T11:00:00Z: watch=num* (holidays)"), "{text}");
    assert!(text.contains("0 deliveries"), "{text}");
}

const TWO: &str = r#"
[alerting]
fail_after = 2
[watch.first]
source = { kind = "json", url = "{origin}/first", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "* * * * *"
[watch.second]
source = { kind = "json", url = "{origin}/second", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "* * * * *"
"#;

#[tokio::test]
async fn what_a_failing_watch_suppresses_is_said_with_its_name() {
    let harness = Harness::start(&format!("{TWO}depends_on = [\"first\"]\n")).await;
    harness.site().show("/first", Page::new("nothing").status(404));
    harness.site().show("/second", number(11));
    for minute in 0..2 {
        harness.tick_at("first", minutes_after(START, minute)).await;
    }
    harness.tick("second", "2026-11-20T10:02:00Z").await;
    let explained = explain(&harness.stage, &["second"]).await;
    let why = "watch `first`: what it depends on is failing; told when that works again, if it is still so";
    assert_eq!(verdict(&explained), ("suppressed", why));
}

#[tokio::test]
async fn a_failure_is_counted_before_it_is_told_and_changes_nothing_else() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/first", number(11));
    harness.tick("first", START).await;
    harness.site().show("/first", Page::new("nothing").status(404));
    harness.tick("first", "2026-11-20T10:01:00Z").await;
    let explained = explain(&harness.stage, &["first"]).await;
    assert_eq!(explained["outcome"], "failed");
    assert!(explained["error"].as_str().unwrap().contains("404"), "{explained}");
    assert_eq!(verdict(&explained), ("not_judged", "there was no good answer; missing is not changed"));
    let own = &explained["judgements"][1];
    assert_eq!((&own["strategy"], &own["verdict"]), (&"run".into(), &"not_yet".into()));
    assert_eq!(own["why"], "reading 1 in a row of the 2 that `fail_after` wants");
    harness.tick("first", "2026-11-20T10:02:00Z").await;
    let explained = explain(&harness.stage, &["first"]).await;
    assert_eq!(explained["judgements"][1]["verdict"], "first");
    assert_eq!(explained["deliveries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_down_suppresses_the_failing_of_each_watch() {
    let harness = Harness::start(TWO).await;
    for minute in 0..2 {
        for name in ["first", "second"] {
            harness.site().show(&format!("/{name}"), Page::new("").status(503));
            harness.tick_at(name, minutes_after(START, minute)).await;
        }
    }
    let explained = explain(&harness.stage, &["second"]).await;
    let own = &explained["judgements"][0];
    assert_eq!((&own["strategy"], &own["verdict"]), (&"run".into(), &"suppressed".into()), "{explained}");
    assert_eq!(own["why"], "its host does not answer, which is told once for all that ask it");
    let down = format!("{} does not answer (since 2026-11-20T10:01:00Z)", harness.site().host());
    assert_eq!(explained["hosts"][0], down);
    assert_eq!(explained["deliveries"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_product_that_is_gone_is_explained_by_itself() {
    let harness = Harness::start(
        "[watch.cards]\nsource = { kind = \"newegg\", url = \"{origin}/cards\" }\ncron = \"* * * * *\"\n",
    )
    .await;
    let one: Card = ("N82E16814137001", "RTX One", 499, true);
    let two: Card = ("N82E16814137002", "RTX Two", 599, true);
    for (minute, shelf) in [(0, [one, two].to_vec()), (1, vec![one])] {
        harness.site().show("/cards", listing(&shelf));
        harness.tick_at("cards", minutes_after(START, minute)).await;
    }
    let explained = explain(&harness.stage, &["cards", "--subject", "N82E16814137002"]).await;
    let judgements = explained["judgements"].as_array().unwrap();
    assert_eq!(judgements.len(), 1);
    assert_eq!(verdict(&explained), ("resolved", "it is over, and its beginning was told"));
    assert_eq!(judgements[0]["steps"][0], "the listing no longer shows it → gone");
    assert_eq!(judgements[0]["settled"], "in_stock since 2026-11-20T10:00:00Z, announced");
    let first = explain(&harness.stage, &["cards", "--at", START]).await;
    assert_eq!(first["observations"].as_array().unwrap().len(), 2);
    let why = "first sight: it is part of the announcement (`on_first = \"announce\"`)";
    assert_eq!(verdict(&first), ("baseline", why));
    assert_eq!(first["alerts"][0]["title"], "cards: watching 2 items, 2 in stock");
}

#[tokio::test]
async fn what_is_not_known_is_said() {
    let (harness, _) = after("", &[9.0]).await;
    for (arguments, code, said) in [
        (vec!["numbre"], 2, "there is no watch `numbre`; did you mean `number`?"),
        (vec!["number", "--subject", "m"], 2, "has never seen a subject `m`; did you mean `n`?"),
        (vec!["number", "--at", "2026-11-19T10:00:00Z"], 1, "nothing is known of a run of watch `number`"),
    ] {
        let output = command(&harness.stage, &[&["explain"], &arguments[..]].concat()).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn of_very_many_signals_the_quiet_ones_are_found_out_now() {
    let harness = Harness::start(
        r#"
[watch.rooms]
source = { kind = "json", url = "{origin}/rooms", pointer = "/rooms/*/c", subject = "/rooms/*/name" }
strategy = [{ kind = "threshold", above = 30 }]
cron = "* * * * *"
"#,
    )
    .await;
    for minute in 0..2 {
        let rooms: Vec<Value> = (0..120)
            .map(|n| serde_json::json!({"name": format!("r{n}"), "c": if n == 7 { 31 + minute } else { 20 }}))
            .collect();
        harness.site().show("/rooms", Page::new(serde_json::json!({ "rooms": rooms }).to_string()));
        harness.tick_at("rooms", minutes_after(START, minute)).await;
    }
    for (room, expected, why) in [
        ("r7", "unchanged", "the same news as at 2026-11-20T10:00:00Z; no reminders are asked for"),
        ("r8", "not_firing", ""),
    ] {
        let explained = explain(&harness.stage, &["rooms", "--subject", room]).await;
        assert_eq!(verdict(&explained), (expected, why));
        assert_eq!(explained["judgements"][0]["stored"], false);
        let remark = explained["remarks"][0].as_str().unwrap();
        assert!(remark.starts_with("of so many signals the quiet ones are not stored"), "{remark}");
    }
}

#[tokio::test]
async fn what_a_part_of_the_answers_failed_to_show_is_not_explained_as_seen() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL", "NOPE"] }
cron = "*/30 * * * *"
"#,
    )
    .await;
    let closes: Vec<f64> = (0..60).map(|n| 300.0 - f64::from(n)).collect();
    let page = |symbol| chart(symbol, moment("2026-11-20T09:30:00Z"), &closes);
    harness.site().show("/v8/finance/chart/AAPL", page("AAPL"));
    harness.site().show("/v8/finance/chart/NOPE", page("NOPE"));
    harness.tick("shares", START).await;
    harness.site().show("/v8/finance/chart/NOPE", unknown_symbol());
    harness.tick("shares", "2026-11-20T10:30:00Z").await;
    let explained = explain(&harness.stage, &["shares"]).await;
    assert_eq!(explained["outcome"], "failed");
    assert_eq!(explained["observations"].as_array().unwrap().len(), 1);
    let judged = explained["judgements"].as_array().unwrap();
    let judged: Vec<_> =
        judged.iter().map(|one| (one["strategy"].as_str(), one["subject"].as_str())).collect();
    assert_eq!(judged, [(Some("rsi"), Some("AAPL")), (Some("run"), Some(""))]);
}

#[tokio::test]
async fn a_repair_is_no_run_of_its_slot_and_slots_without_a_run_are_said_to_be_so() {
    let mut harness = Harness::start(
        r#"
[watch.coin]
source = { kind = "binance", base_url = "{origin}", symbols = ["BTCUSDT"], interval = "1m" }
strategy = [{ kind = "rsi" }]
cron = "* * * * *"
"#,
    )
    .await;
    harness.site().show("/klines", klines(moment("2026-11-20T09:00:00Z"), 60));
    harness.slot("coin", START, START).await;
    harness.stop().await;
    harness.boot().await;
    // Down for ten minutes: the slot of 10:01 is made up for, the others are gone.
    harness.site().show("/klines", klines(moment("2026-11-20T09:00:00Z"), 71));
    harness.slot("coin", "2026-11-20T10:01:00Z", "2026-11-20T10:11:30Z").await;
    let made_up = explain(&harness.stage, &["coin", "--at", "2026-11-20T10:05:00Z"]).await;
    assert_eq!(made_up["due_at"], "2026-11-20T10:01:00Z");
    let gap = "the slots from 2026-11-20T10:02:00Z to 2026-11-20T10:11:00Z had no good run (skipped";
    let says = |explained: &Value, what: &str| explained["remarks"].to_string().contains(what);
    assert!(says(&made_up, gap), "{made_up}");
    harness.slot("coin", "2026-11-20T10:12:00Z", "2026-11-20T10:12:00Z").await;
    assert_eq!(harness.audit("2026-11-20T10:12:30Z").await, ["repaired"]);
    for (arguments, due_at) in [
        (vec!["coin"], "2026-11-20T10:12:00Z"),
        (vec!["coin", "--at", "2026-11-20T10:05:00Z"], "2026-11-20T10:01:00Z"),
    ] {
        let explained = explain(&harness.stage, &arguments).await;
        assert_eq!(explained["due_at"], due_at, "{explained}");
        assert_ne!(explained["trigger"], "repair");
    }
    let last = explain(&harness.stage, &["coin"]).await;
    assert!(!says(&last, "had no good run"), "{last}");
}

#[tokio::test]
async fn an_empty_shelf_is_an_answer() {
    let harness = Harness::start(
        "[watch.cards]\nsource = { kind = \"newegg\", url = \"{origin}/cards\" }\ncron = \"* * * * *\"\n",
    )
    .await;
    let one: Card = ("N82E16814137001", "RTX One", 499, true);
    let empty = Page::html("<html><p>We found 0 items</p><div class=\"item-cells-wrap\"></div></html>");
    for (minute, shelf) in
        [(0, listing(&[one])), (1, empty.clone()), (2, Page::html(&(empty.text() + "<p>")))]
    {
        harness.site().show("/cards", shelf);
        let report = harness.tick_at("cards", minutes_after(START, minute)).await;
        assert_eq!(report.error, None);
    }
    for (minute, judged) in [(1, "resolved"), (2, "none")] {
        let at = minutes_after(START, minute).to_string();
        let explained = explain(&harness.stage, &["cards", "--at", &at]).await;
        assert_eq!(explained["outcome"], "ok");
        assert_eq!(explained["remarks"][0], "the answer was good, but there was nothing in it");
        assert_eq!(explained["observations"].as_array().unwrap().len(), 0);
        assert_eq!(explained["judgements"][0]["verdict"].as_str().unwrap_or("none"), judged, "{explained}");
    }
}

#[tokio::test]
async fn a_run_that_a_reload_outdated_says_so() {
    let (harness, _) = after("", &[9.0, 11.0]).await;
    harness
        .stage
        .change("update run set observations = 0, signals = 0, alerts = 0, verdicts = null where id = 2")
        .await;
    let explained = explain(&harness.stage, &["number"]).await;
    let remark = explained["remarks"][0].as_str().unwrap();
    assert!(
        remark.starts_with("what it found was not taken, as when a watch is changed while it runs"),
        "{remark}"
    );
    assert_eq!(verdict(&explained), ("not_judged", "what it found was not taken"));
}

#[tokio::test]
async fn what_would_be_told_by_other_limits_is_not_said_to_have_been() {
    let (mut harness, _) = after("", &[9.0, 9.0]).await;
    harness.stop().await;
    harness.stage.write(&watching("").replace("above = 10", "above = 5"));
    let explained = explain(&harness.stage, &["number"]).await;
    assert_eq!(explained["outcome"], "unchanged");
    let why = "by what is stored and configured now it would be \"first\": it began";
    assert_eq!(verdict(&explained), ("not_judged", why));
}

#[tokio::test]
async fn a_symbol_that_is_no_longer_asked_for_is_not_shown_as_seen() {
    let shares = |symbols: &str| {
        format!(
            "[watch.shares]\nsource = {{ kind = \"yahoo\", base_url = \"{{origin}}\", symbols = [{symbols}], \
             interval = \"30m\" }}\ncron = \"*/30 * * * *\"\n"
        )
    };
    let harness = Harness::start(&shares("\"AAPL\", \"MSFT\"")).await;
    let closes: Vec<f64> = (0..60).map(|n| 300.0 - f64::from(n)).collect();
    for symbol in ["AAPL", "MSFT"] {
        let page = chart(symbol, moment("2026-11-20T09:30:00Z"), &closes);
        harness.site().show(&format!("/v8/finance/chart/{symbol}"), page);
    }
    harness.tick("shares", START).await;
    harness.reload(&shares("\"AAPL\"")).await;
    harness.tick("shares", "2026-11-20T10:30:00Z").await;
    for (at, subjects) in [("2026-11-20T10:30:00Z", vec!["AAPL"]), (START, vec!["AAPL", "MSFT"])] {
        let explained = explain(&harness.stage, &["shares", "--at", at]).await;
        let seen = explained["observations"].as_array().unwrap().iter();
        let seen: Vec<&str> = seen.map(|seen| seen["subject"].as_str().unwrap()).collect();
        assert_eq!(seen, subjects, "{explained}");
    }
}

#[tokio::test]
async fn which_of_very_many_were_not_seen_is_said_to_be_unknown() {
    let symbols: Vec<String> = (0..14).map(|n| format!("S{n}")).collect();
    let harness = Harness::start(&format!(
        "[watch.shares]\nsource = {{ kind = \"yahoo\", base_url = \"{{origin}}\", symbols = {symbols:?} }}\n\
         cron = \"*/30 * * * *\"\n"
    ))
    .await;
    let closes: Vec<f64> = (0..60).map(|n| 300.0 - f64::from(n % 2)).collect();
    for symbol in &symbols {
        let page = chart(symbol, moment("2026-11-20T09:30:00Z"), &closes);
        harness.site().show(&format!("/v8/finance/chart/{symbol}"), page);
    }
    harness.tick("shares", START).await;
    harness.site().show("/v8/finance/chart/S3", unknown_symbol());
    harness.tick("shares", "2026-11-20T10:30:00Z").await;
    let explained = explain(&harness.stage, &["shares"]).await;
    assert_eq!(explained["outcome"], "failed");
    let remark = explained["remarks"][0].as_str().unwrap();
    assert!(remark.starts_with("a part of the answers was no good, and of so many signals"), "{remark}");
}
