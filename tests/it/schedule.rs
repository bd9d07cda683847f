//! When watches run.

use std::time::Duration;

use jiff::Timestamp;
use stakeout::daemon::Clock;

use crate::harness::{Harness, Stage, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "100ms"
"#;

#[tokio::test]
async fn a_watch_never_overlaps_itself() {
    let mut harness = Harness::start_running(NUMBER).await;
    harness.site().show("/number", number(9).after(Duration::from_millis(250)));
    let site = harness.site();
    until("it has run some times", async || (site.asked("/number").len() >= 4).then_some(())).await;
    harness.stop().await;
    assert_eq!(harness.site().most_at_once("/number"), 1);
    let runs = harness.stage.rows::<(i64, i64, i64)>("select due_at, started_at, finished_at from run").await;
    for (run, next) in runs.iter().zip(&runs[1..]) {
        assert!(next.0 > run.2 - 1, "a slot that passed meanwhile is not made up for: {runs:?}");
    }
}

#[tokio::test]
async fn slots_that_were_missed_give_one_run_after_the_start() {
    let mut harness = Harness::start_running(NUMBER).await;
    harness.site().show("/number", number(9));
    let site = harness.site();
    until("it has run", async || (site.asked("/number").len() >= 2).then_some(())).await;
    harness.stop().await;
    let stopped = Timestamp::now();
    until("some slots have passed", async || {
        (Timestamp::now().duration_since(stopped).as_millis() > 500).then_some(())
    })
    .await;
    let before = harness.site().asked("/number").len();
    harness.boot().await;
    let site = harness.site();
    until("it runs again", async || (site.asked("/number").len() >= before + 4).then_some(())).await;
    harness.stop().await;
    let sql = r#"select "trigger", due_at, started_at from run order by id"#;
    let runs = harness.stage.rows::<(String, i64, i64)>(sql).await;
    let caught_up: Vec<usize> =
        runs.iter().enumerate().filter(|(_, run)| run.0 == "catch_up").map(|(n, _)| n).collect();
    let first = runs.iter().position(|run| run.2 >= stopped.as_millisecond()).unwrap();
    assert_eq!(caught_up.iter().filter(|n| **n >= first).count(), 1, "{runs:?}");
    assert!(caught_up.contains(&first), "the first of them: {runs:?}");
    assert!(runs[first].1 <= stopped.as_millisecond() + 200, "it names the slot that was missed");
}

#[tokio::test]
async fn a_cron_watch_waits_for_its_slot_and_makes_up_for_one_that_was_missed() {
    let toml = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "30 9 * * MON"
timezone = "America/New_York"
"#;
    let mut harness = Harness::on(Stage::new(toml).await, Clock::Running).await;
    harness.site().show("/number", number(9));
    let due = harness.stage.count("select next_due_at from due").await;
    let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
    let slot = Timestamp::from_millisecond(due).unwrap().to_zoned(zone);
    assert_eq!(slot.strftime("%a %H:%M:%S").to_string(), "Mon 09:30:00");
    assert!(slot.timestamp() > Timestamp::now());
    harness.stop().await;
    assert!(harness.site().asked("/number").is_empty(), "it does not run before its slot");

    // The daemon was down for three Mondays.
    harness.stage.change("update due set next_due_at = next_due_at - 21 * 86400000").await;
    harness.boot().await;
    let site = harness.site();
    until("it has run", async || (!site.asked("/number").is_empty()).then_some(())).await;
    until("the run is stored", async || {
        (harness.stage.count("select count(*) from run").await == 1).then_some(())
    })
    .await;
    harness.stop().await;
    let runs = harness.stage.rows::<(String, i64)>(r#"select "trigger", due_at from run"#).await;
    assert_eq!(runs, [("catch_up".to_owned(), due - 21 * 86_400_000)], "one run for all of them");
    let next = harness.stage.count("select next_due_at from due").await;
    assert!(next > Timestamp::now().as_millisecond(), "then the next slot to come");
}

#[tokio::test]
async fn many_watches_all_run() {
    let mut toml = String::new();
    for n in 0..100 {
        toml += &NUMBER.replace("watch.number", &format!("watch.n{n}")).replace("100ms", "500ms");
    }
    let mut harness = Harness::start_running(&toml).await;
    harness.site().show("/number", number(9));
    until("each has run twice", async || {
        let sql = "select count(*) from (select watch_id from run group by watch_id having count(*) >= 2)";
        (harness.stage.count(sql).await == 100).then_some(())
    })
    .await;
    harness.stop().await;
    assert_eq!(
        harness.stage.count("select count(*) from run where outcome not in ('ok', 'unchanged')").await,
        0
    );
}
