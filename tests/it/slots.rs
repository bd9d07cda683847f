//! Every slot is accounted for, and what was missed is filled in where the service still knows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use stakeout::daemon::Clock;

use crate::harness::{
    Harness, Page, Stage, command, klines, minutes, minutes_after, moment, number, quote, until,
};

/// Quotes of a share every minute.
const SHARE: &str = r#"
[watch.share]
source = { kind = "finnhub", base_url = "{origin}", symbols = ["AAPL"] }
strategy = [{ kind = "percent_change", by = 5.0, window = "1h" }]
cron = "* * * * *"
"#;

/// Candles of a coin every minute.
const COIN: &str = r#"
[watch.coin]
source = { kind = "binance", base_url = "{origin}", symbols = ["BTCUSDT"], interval = "1m" }
strategy = [{ kind = "rsi" }]
cron = "* * * * *"
"#;

/// A number whose past nobody knows.
const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "* * * * *"
"#;

const TEN: &str = "2026-11-20T10:00:00Z";

async fn run_in_time(harness: &Harness, watch: &str, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let at = minutes_after(TEN, minute).to_string();
        harness.slot(watch, &at, &at).await;
    }
}

/// What became of the slots since ten, like `6 ok`.
async fn slots(harness: &Harness, watch: &str) -> Vec<String> {
    let store = harness.daemon().store();
    let id = store.watch(watch).await.unwrap().unwrap().id;
    let late_after = Duration::from_secs(15);
    let all = store.slots(id, moment(TEN), minutes_after(TEN, 100_000), late_after).await.unwrap();
    all.iter().map(|stretch| format!("{} {}", stretch.slots, stretch.outcome)).collect()
}

/// Slots without a run, with a row of their own or with the run that knows of them.
macro_rules! gaps {
    () => {
        "(select slots, first_due_at, why from gap union all
          select passed, passed_from, passed_why from run where passed > 0)"
    };
}

#[tokio::test]
async fn a_gap_of_two_hours_between_quotes_is_filled_with_candles() {
    let mut harness = Harness::start(SHARE).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    run_in_time(&harness, "share", 0..6).await;
    harness.stop().await;
    harness.boot().await;
    // The slot of 10:06 is made up for at 12:06; those up to then are gone.
    harness.slot("share", "2026-11-20T10:06:00Z", "2026-11-20T12:06:30Z").await;
    assert_eq!(slots(&harness, "share").await, ["6 ok", "1 late", "120 skipped"]);

    harness.site().show("/stock/candle", minutes(moment("2026-11-20T09:00:00Z"), 300));
    assert_eq!(harness.audit("2026-11-20T12:06:40Z").await, ["skipped"], "the minute is not over");
    assert!(harness.site().asked("/stock/candle").is_empty());
    run_in_time(&harness, "share", 127..129).await;
    assert_eq!(harness.audit("2026-11-20T12:08:05Z").await, ["repaired"]);
    assert_eq!(slots(&harness, "share").await, ["6 ok", "1 late", "120 repaired", "2 ok"]);
    let bars = harness.stage.rows::<(i64, i64, i64)>(
        "select count(*), min(open_time), max(open_time) from candle where interval = 60",
    );
    let (first, last) = (moment("2026-11-20T10:06:00Z"), moment("2026-11-20T12:06:00Z"));
    assert_eq!(
        bars.await,
        [(121, first.as_millisecond(), last.as_millisecond())],
        "the gap, with the minute of the run that came late, and nothing else"
    );
    assert_eq!(harness.audit("2026-11-20T23:00:00Z").await, [""; 0], "once is enough");
    assert_eq!(harness.site().asked("/stock/candle").len(), 1);
    assert!(harness.messages().await.is_empty(), "the past is no news");
}

#[tokio::test]
async fn where_candles_are_refused_the_slots_fail_after_three_tries_and_the_watch_goes_on() {
    let harness = Harness::start(SHARE).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    let refused = r#"{"error":"You don't have access to this resource."}"#;
    harness.site().show("/stock/candle", Page::new(refused).status(403));
    run_in_time(&harness, "share", 0..2).await;
    harness.slot("share", "2026-11-20T10:02:00Z", "2026-11-20T12:02:30Z").await;
    let mut stood = Vec::new();
    for minute in 123..150 {
        run_in_time(&harness, "share", minute..minute + 1).await;
        // The wait begins when a try is over, a little after it began.
        let at = minutes_after(TEN, minute) + SignedDuration::from_secs(minute - 123);
        let at = at.to_string();
        let tried = harness.audit(&at).await;
        if !tried.is_empty() {
            stood.push((minute, tried.join(" ")));
        }
    }
    let expected = [(123, "skipped"), (124, "skipped"), (134, "failed")];
    assert_eq!(stood, expected.map(|(minute, word)| (minute, word.to_owned())));
    assert_eq!(harness.site().asked("/stock/candle").len(), 3);
    assert_eq!(slots(&harness, "share").await, ["2 ok", "1 late", "120 failed", "27 ok"]);
    let why = harness.stage.rows::<(String, i64)>("select why, attempts from gap").await.remove(0);
    assert!(why.0.starts_with("not repaired in 3 tries: `AAPL`: the key may not ask this"), "{why:?}");
    assert_eq!(why.1, 3);
    let repairs = r#"select count(*) from run where "trigger" = 'repair' and outcome = 'failed'"#;
    assert_eq!(harness.stage.count(repairs).await, 3, "each try is a run of its own");
}

#[tokio::test]
async fn a_gap_that_the_service_knows_nothing_of_stays() {
    let harness = Harness::start(SHARE).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    harness.site().show("/stock/candle", Page::new(r#"{"s":"no_data"}"#));
    run_in_time(&harness, "share", 0..1).await;
    harness.slot("share", "2026-11-20T10:01:00Z", "2026-11-20T10:31:30Z").await;
    for (at, stands) in [("10:40", "skipped"), ("10:45", "skipped"), ("10:59", "failed")] {
        assert_eq!(harness.audit(&format!("2026-11-20T{at}:00Z")).await, [stands], "{at}");
    }
    let why = harness.stage.rows::<(String,)>("select why from gap").await.remove(0).0;
    assert_eq!(why, "not repaired in 3 tries: the service has no bars of that time");
}

#[tokio::test]
async fn runs_in_vain_are_repaired_by_the_next_good_one_without_asking() {
    let harness = Harness::start(COIN).await;
    let site = harness.site();
    site.show("/klines", klines(moment("2026-11-20T09:00:00Z"), 60));
    run_in_time(&harness, "coin", 0..1).await;
    site.show("/klines", Page::new("down").status(500));
    run_in_time(&harness, "coin", 1..4).await;
    assert_eq!(slots(&harness, "coin").await, ["1 ok", "3 failed"]);
    assert_eq!(harness.stage.count("select count(*) from gap").await, 1, "one stretch");
    assert_eq!(harness.audit("2026-11-20T10:03:30Z").await, [""; 0], "not while it may still be down");

    site.show("/klines", klines(moment("2026-11-20T09:00:00Z"), 64));
    run_in_time(&harness, "coin", 4..5).await;
    let asked = site.asked("/klines").len();
    assert_eq!(harness.audit("2026-11-20T10:04:30Z").await, ["repaired"]);
    assert_eq!(site.asked("/klines").len(), asked);
    assert_eq!(slots(&harness, "coin").await, ["1 ok", "3 repaired", "1 ok"]);
}

#[tokio::test]
async fn a_gap_in_candles_that_the_next_run_does_not_reach_is_asked_for() {
    let harness = Harness::start(COIN).await;
    let site = harness.site();
    site.show("/klines", klines(moment("2026-11-20T09:00:00Z"), 60));
    run_in_time(&harness, "coin", 0..1).await;
    site.show("/klines", klines(moment("2026-11-21T09:00:00Z"), 120));
    harness.slot("coin", "2026-11-20T10:01:00Z", "2026-11-21T11:00:01Z").await;
    site.show("/klines", klines(moment("2026-11-20T09:30:00Z"), 1_000));
    assert_eq!(harness.audit("2026-11-21T11:00:10Z").await, ["repaired"]);
    let why = harness.stage.rows::<(String,)>("select why from gap").await.remove(0).0;
    // Those from 10:01 on, but for the last two hours, which were there.
    assert_eq!(why, "969 of 1379 bars of 1m came", "within what was answered, nobody traded");
}

#[tokio::test]
async fn what_the_service_no_longer_keeps_is_not_repaired() {
    let harness = Harness::start(COIN).await;
    let site = harness.site();
    site.show("/klines", klines(moment("2026-11-20T09:00:00Z"), 60));
    run_in_time(&harness, "coin", 0..1).await;
    // Twelve hours are all that it knows.
    site.show("/klines", klines(moment("2026-11-20T23:00:00Z"), 720));
    harness.slot("coin", "2026-11-20T10:01:00Z", "2026-11-21T11:00:01Z").await;
    assert_eq!(harness.audit("2026-11-21T11:00:10Z").await, ["failed"]);
    assert_eq!(slots(&harness, "coin").await, ["1 ok", "1 late", "779 failed", "720 repaired"]);
    let why = harness.stage.rows::<(String,)>("select why from gap order by first_due_at").await;
    assert_eq!(why[0].0, "the service keeps nothing older than 2026-11-20T23:00:00Z");
    assert_eq!(harness.audit("2026-11-21T23:00:00Z").await, [""; 0], "that is settled");
}

#[tokio::test]
async fn a_host_that_rests_is_not_asked_and_that_is_no_try() {
    let harness = Harness::start(SHARE).await;
    let site = harness.site();
    site.show("/quote", quote(10.0, moment(TEN)));
    site.show("/stock/candle", minutes(moment("2026-11-20T09:00:00Z"), 300));
    run_in_time(&harness, "share", 0..1).await;
    harness.slot("share", "2026-11-20T10:01:00Z", "2026-11-20T10:31:30Z").await;
    site.show("/quote", Page::new("").status(429).header("retry-after", "3600"));
    run_in_time(&harness, "share", 32..33).await;
    assert_eq!(harness.audit("2026-11-20T10:40:00Z").await, ["skipped"]);
    assert!(site.asked("/stock/candle").is_empty());
    let stood = harness.stage.rows::<(i64, String)>("select attempts, outcome from gap").await;
    assert_eq!(stood[0], (0, "skipped".to_owned()));
    let put_off = moment("2026-11-20T10:41:00Z").as_millisecond();
    let next = harness.stage.rows::<(i64,)>("select next_attempt_at from gap").await[0].0;
    assert!(next >= put_off, "{next}");
    assert_eq!(harness.stage.count("select count(*) from run where \"trigger\" = 'repair'").await, 0);
}

#[tokio::test]
async fn a_gap_in_which_the_present_timetable_has_no_slot_stays_skipped() {
    let harness = Harness::start(SHARE).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    run_in_time(&harness, "share", 0..1).await;
    harness.slot("share", "2026-11-20T10:01:00Z", "2026-11-20T10:31:30Z").await;
    assert!(harness.reload(&SHARE.replace("* * * * *", "0 23 * * *")).await);
    assert_eq!(harness.audit("2026-11-20T10:40:00Z").await, ["skipped"]);
    assert_eq!(slots(&harness, "share").await, ["1 ok", "1 late", "30 skipped"]);
}

#[tokio::test]
async fn slots_that_pass_while_the_database_takes_nothing_are_its_doing() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    run_in_time(&harness, "number", 0..1).await;
    let one = minutes_after(TEN, 1);
    let lock = harness.stage.lock().await;
    assert!(harness.daemon().slot("number", one, one).await.is_err());
    drop(lock);
    harness.slot("number", "2026-11-20T10:01:00Z", "2026-11-20T12:00:30Z").await;
    harness.slot("number", "2026-11-20T12:01:00Z", "2026-11-20T12:05:30Z").await;
    let why = concat!("select why from ", gaps!(), " order by first_due_at");
    let why = harness.stage.rows::<(String,)>(why).await;
    assert_eq!(why[0].0, "the database took no writes");
    assert_eq!(why[1].0, "the machine slept, or was too busy", "it is over");
}

#[tokio::test]
async fn slots_that_pass_while_the_run_before_goes_on_are_its_doing() {
    let harness = Harness::start(&NUMBER.replace("cron = \"* * * * *\"", "every = \"100ms\"")).await;
    harness.site().show("/number", number(9).after(Duration::from_millis(250)));
    harness.slot("number", TEN, TEN).await;
    let why = harness.stage.rows::<(String,)>(concat!("select why from ", gaps!())).await.remove(0).0;
    assert!(why.starts_with("the run before took "), "{why}");
}

#[tokio::test]
async fn slots_whose_past_nobody_knows_stay_skipped_or_failed() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    run_in_time(&harness, "number", 0..2).await;
    harness.slot("number", "2026-11-20T10:02:00Z", "2026-11-20T10:10:30Z").await;
    harness.site().show("/number", Page::new("down").status(500));
    run_in_time(&harness, "number", 11..13).await;
    assert_eq!(slots(&harness, "number").await, ["2 ok", "1 late", "8 skipped", "2 failed"]);
    assert_eq!(harness.audit("2026-11-20T23:00:00Z").await, [""; 0]);
    let gaps = "select (select count(*) from gap) + (select count(*) from run where passed > 0)";
    assert_eq!(harness.stage.count(gaps).await, 1, "its failures speak for themselves");
    harness.tick("number", "2026-11-20T10:20:00Z").await;
    assert_eq!(slots(&harness, "number").await.last().unwrap(), "2 failed", "what a person asks is no slot");
}

#[tokio::test]
async fn closed_hours_are_no_gaps() {
    let toml = SHARE.to_owned() + "hours = \"09:30-16:00 MON-FRI America/New_York\"\n";
    let harness = Harness::start(&toml).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    // From Friday afternoon to Monday morning.
    harness.slot("share", "2026-11-20T20:58:00Z", "2026-11-23T14:31:30Z").await;
    let gap = harness.stage.rows::<(i64, i64, i64)>("select slots, first_due_at, last_due_at from gap").await;
    let [first, last] =
        ["2026-11-20T20:59:00Z", "2026-11-23T14:31:00Z"].map(|at| moment(at).as_millisecond());
    assert_eq!(gap, [(4, first, last)], "a minute and the close on Friday, two minutes on Monday");
}

#[tokio::test]
async fn every_slot_is_accounted_for_over_a_restart_and_runs_that_take_too_long() {
    let toml = NUMBER.replace("cron = \"* * * * *\"", "every = \"100ms\"");
    let mut harness = Harness::start_running(&toml).await;
    harness.site().show("/number", number(9).after(Duration::from_millis(250)));
    let asked = async |harness: &Harness, count: usize| {
        let site = harness.site();
        until("it has run", async || (site.asked("/number").len() >= count).then_some(())).await;
    };
    asked(&harness, 4).await;
    harness.stop().await;
    let stopped = Timestamp::now();
    until("some slots have passed", async || {
        (Timestamp::now().duration_since(stopped).as_millis() > 500).then_some(())
    })
    .await;
    harness.site().show("/number", number(9));
    harness.boot().await;
    asked(&harness, 12).await;
    harness.stop().await;
    let skipped = harness.stage.rows::<(i64, String)>(concat!("select slots, why from ", gaps!())).await;
    // Under load it may be that, or that the run began too late.
    assert!(skipped.iter().any(|(_, why)| why != "the daemon was not running"), "{skipped:?}");
    assert!(skipped.iter().any(|(slots, why)| *slots >= 4 && why == "the daemon was not running"));
    // The first slot of a new watch is its own; the others come every 100 ms.
    let runs = harness.stage.rows::<(i64,)>("select due_at from run order by due_at").await;
    let all = (runs[runs.len() - 1].0 - runs[1].0) / 100 + 1;
    let between = harness.stage.rows::<(i64,)>(concat!(
        "select coalesce(sum(slots), 0) from ",
        gaps!(),
        "
         where first_due_at > (select due_at from run order by due_at limit 1 offset 1)
           and first_due_at < (select max(due_at) from run)"
    ));
    let accounted = runs.len() as i64 - 1 + between.await[0].0;
    assert_eq!(accounted, all);
}

#[tokio::test]
async fn the_daemon_repairs_by_itself_while_the_watch_goes_on() {
    let toml = SHARE.replace("cron = \"* * * * *\"", "every = \"100ms\"");
    let mut harness = Harness::on(Stage::new(&toml).await, Clock::Stopped).await;
    harness.site().show("/quote", quote(10.0, moment(TEN)));
    harness.slot("share", TEN, TEN).await;
    harness.stop().await;
    let left = "insert into gap (watch_id, first_due_at, last_due_at, slots, outcome, next_attempt_at)
                values (1, 1763632860000, 1763640000000, 119, 'skipped', 1)";
    harness.stage.change(left).await;
    // A service that takes its time keeps nobody waiting.
    let slow = minutes(Timestamp::from_second(1_763_632_000).unwrap(), 400).after(Duration::from_millis(600));
    harness.site().show("/stock/candle", slow);
    let mut harness = Harness::on(harness.stage, Clock::Running).await;
    let site = harness.site();
    until("the repair has begun", async || (!site.asked("/stock/candle").is_empty()).then_some(())).await;
    let before = site.asked("/quote").len();
    until("the gap is filled", async || {
        let repaired = "select count(*) from gap where outcome = 'repaired'";
        (harness.stage.count(repaired).await == 1).then_some(())
    })
    .await;
    assert!(site.asked("/quote").len() >= before + 2, "it ran meanwhile");
    harness.stop().await;
    assert_eq!(harness.site().most_at_once("/quote"), 1, "and never over itself");
}

#[tokio::test]
async fn history_shows_what_became_of_the_slots() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    // Yesterday, as runs are not kept for ever and those to come are not shown.
    let day = Timestamp::now().as_second() - 2 * 86_400;
    let begin = Timestamp::from_second(day - day.rem_euclid(3_600)).unwrap();
    let at = |seconds: i64| (begin + SignedDuration::from_secs(seconds)).to_string();
    for (due, began) in [(0, 0), (60, 60), (120, 330)] {
        harness.slot("number", &at(due), &at(began)).await;
    }
    harness.stop().await;
    let [ten, one, two, three, five, six] = [0, 60, 120, 180, 300, 360].map(at);
    let print = async |format: &str| {
        let since = ["--slots", "--since", &ten, "--format", format];
        let output = command(&harness.stage, &[&["history", "number"], &since[..]].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let busy = "the machine slept, or was too busy";
    assert_eq!(
        print("csv").await,
        format!(
            "from,until,slots,outcome,why\n\
             {ten},{one},2,ok,\n\
             {two},{two},1,late,3 min 30 s after it was due\n\
             {three},{five},3,skipped,\"{busy}\"\n"
        )
    );
    let answer: serde_json::Value = serde_json::from_str(&print("json").await).unwrap();
    assert_eq!(
        answer,
        json!({
            "watch": "number", "since": ten, "until": six,
            "coverage": {"percent": 50.0, "slots": 6, "ok": 2, "late": 1, "failed": 0, "blocked": 0,
                         "repaired": 0, "skipped": 3},
            "stretches": [
                {"from": ten, "until": one, "slots": 2, "outcome": "ok", "why": null},
                {"from": two, "until": two, "slots": 1,
                 "outcome": "late", "why": "3 min 30 s after it was due"},
                {"from": three, "until": five, "slots": 3,
                 "outcome": "skipped", "why": busy},
            ],
        })
    );
    let table = print("table").await;
    let last = format!(
        "coverage 50.0 %: 2 ok, 1 late, 0 failed, 0 blocked, 0 repaired, 3 skipped of 6\n\
         Nothing has run since {six}; the slots after that are not counted yet.\n"
    );
    assert!(table.ends_with(&last), "{table}");
    let long = command(&harness.stage, &["history", "number", "--slots", "--since", "90d"]).await;
    assert!(String::from_utf8_lossy(&long.stdout).contains("Runs are kept since "));
    let subject = command(&harness.stage, &["history", "number", "--slots", "--subject", "n"]).await;
    assert_eq!(subject.status.code(), Some(2));
}
