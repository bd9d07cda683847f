//! The end is orderly: what is under way is finished.

use std::time::{Duration, Instant};

use crate::harness::{Answer, Process, Stage, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "100ms"
"#;

#[tokio::test]
async fn sigterm_ends_with_success_and_settles_what_is_being_sent() {
    for signal in ["TERM", "INT"] {
        let stage = Stage::new(NUMBER).await;
        stage.site.show("/number", number(11));
        stage.site.answer("hook", [Answer::status(204).after(Duration::from_millis(300))]);
        let mut process = Process::run(&stage, &[]);
        until("a message is being sent", async || (!stage.site.posts("hook").is_empty()).then_some(())).await;
        let began = Instant::now();
        process.signal(signal);
        let status = process.exit().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", process.log());
        assert!(began.elapsed() < Duration::from_secs(5));
        let status = stage.rows::<(String,)>("select status from delivery").await;
        assert_eq!(status, [("delivered".to_owned(),)], "{signal}");
    }
}

#[tokio::test]
async fn a_run_that_is_under_way_is_finished_and_stored() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(11).after(Duration::from_millis(300)));
    let mut process = Process::run(&stage, &[]);
    until("a run is under way", async || (!stage.site.asked("/number").is_empty()).then_some(())).await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0), "{}", process.log());
    let runs = stage.rows::<(String,)>("select outcome from run").await;
    assert_eq!(runs, [("ok".to_owned(),)]);
    let left = "select count(*) from delivery where status in ('pending', 'delivered')";
    assert_eq!(stage.count(left).await, 1, "its news is kept for the next start");
}

#[tokio::test]
async fn a_hanging_site_does_not_hold_up_the_end_for_longer_than_its_timeout() {
    let stage = Stage::new(&format!(
        "[fetch]\ntimeout = \"1s\"\nallow_private_networks = true\nper_host = {{ min_interval = \"0s\" }}\n{NUMBER}"
    ))
    .await;
    stage.site.show("/number", number(11).hanging());
    let mut process = Process::run(&stage, &[]);
    until("a run is under way", async || (!stage.site.asked("/number").is_empty()).then_some(())).await;
    let began = Instant::now();
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn two_daemons_do_not_share_a_directory() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(9));
    let mut first = Process::run(&stage, &[]);
    first.logs("Stakeout is watching").await;
    let mut second = Process::run(&stage, &[]);
    assert_eq!(second.exit().await.code(), Some(1));
    assert!(second.log().contains("another stakeout is running"), "{}", second.log());
    first.kill().await;
    let mut third = Process::run(&stage, &[]);
    third.logs("Stakeout is watching").await;
    third.signal("TERM");
    assert_eq!(third.exit().await.code(), Some(0), "a killed one leaves nothing behind");
}
