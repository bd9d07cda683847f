//! `stakeout health` says whether a daemon runs and every part of it moves, for those who start it anew otherwise.

use std::process::Output;

use crate::harness::{Process, Stage, command};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1h"
"#;

async fn health(stage: &Stage) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(stage, &["health"]).await;
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

async fn running(stage: &Stage) -> Process {
    let process = Process::run(stage, &[]);
    process.logs("Stakeout is watching").await;
    process
}

#[tokio::test]
async fn a_daemon_whose_parts_move_is_well() {
    let stage = Stage::new(NUMBER).await;
    let _process = running(&stage).await;
    assert_eq!(health(&stage).await, (Some(0), "ready\n".to_owned()));
}

#[tokio::test]
async fn where_no_daemon_runs_it_says_where_it_looked() {
    let stage = Stage::new(NUMBER).await;
    let looked = format!(
        "error: no daemon is running on the data directory {}; one that runs takes up a changed `data_dir` at its next start\n",
        stage.data_dir().display()
    );
    assert_eq!(health(&stage).await, (Some(1), looked.clone()));
    let mut process = running(&stage).await;
    process.kill().await;
    assert_eq!(health(&stage).await, (Some(1), looked), "what a killed one leaves behind is not it");
}

#[tokio::test]
async fn one_without_a_web_server_is_known_to_run() {
    let stage = Stage::new(&format!("[web]\nenabled = false\n{NUMBER}")).await;
    let _process = running(&stage).await;
    let (code, said) = health(&stage).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("running"), "{said}");
}

#[tokio::test]
async fn a_mistake_that_it_has_not_taken_up_does_not_make_it_ill() {
    let stage = Stage::new(NUMBER).await;
    let process = running(&stage).await;
    stage.write(&format!("{NUMBER}\nno_such_key = 1\n[watch"));
    process.logs("the old one goes on").await;
    assert_eq!(health(&stage).await.0, Some(0));
}

#[tokio::test]
async fn another_that_is_refused_the_data_does_not_hide_it() {
    let stage = Stage::new(NUMBER).await;
    let _process = running(&stage).await;
    let mut second = Process::run(&stage, &[]);
    assert_eq!(second.exit().await.code(), Some(1), "{}", second.log());
    assert_eq!(health(&stage).await, (Some(0), "ready\n".to_owned()));
}

#[tokio::test]
async fn one_that_does_not_answer_is_not_well() {
    let stage = Stage::new(NUMBER).await;
    let process = running(&stage).await;
    process.signal("STOP");
    let (code, said) = health(&stage).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not say how it is"), "{said}");
}
