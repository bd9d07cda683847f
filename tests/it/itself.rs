//! The daemon watches itself: those who watch it hear from it only while all of it moves, and its database
//! can be copied and put back.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use sqlx::Connection as _;
use stakeout::alarm::Timings;
use stakeout::daemon::{Clock, Vigilance};
use stakeout::store::Store;

use crate::harness::{Harness, Page, Process, Stage, command, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "100ms"
"#;

/// A minute is a few hundred milliseconds here.
const CLOSE: Vigilance = Vigilance {
    alarm: Timings {
        every: Duration::from_millis(100),
        in_trouble: Duration::from_millis(50),
        patience: Duration::from_millis(300),
        tell_after: Duration::from_secs(600),
        release_after: Duration::from_millis(50),
        over_after: Duration::from_millis(200),
    },
    heartbeat: Duration::from_millis(50),
};

async fn readiness(harness: &Harness) -> (u16, String) {
    let address = harness.daemon().web().unwrap();
    let reply = reqwest::get(format!("http://{address}/readyz")).await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn the_heartbeat_is_heard_only_while_all_parts_move_and_readyz_says_which_does_not() {
    let toml =
        format!("[daemon]\nheartbeat_url = \"{{origin}}/alive\"\n[web]\nlisten = \"127.0.0.1:0\"\n{NUMBER}");
    let mut harness = Harness::watched(Stage::new(&toml).await, Clock::Running, CLOSE).await;
    harness.site().show("/number", number(9));
    harness.site().show("/alive", Page::new("ok"));
    let beats = || harness.site().asked("/alive").len();
    until("its heart beats", async || (beats() >= 3).then_some(())).await;
    let is_ready = async || (readiness(&harness).await == (200, "ready\n".into())).then_some(());
    until("it is ready", is_ready).await;

    let lock = harness.stage.lock().await;
    until("it is no longer ready", async || (readiness(&harness).await.0 == 503).then_some(())).await;
    let (_, said) = readiness(&harness).await;
    assert!(said.contains("writing the database stands still for"), "{said}");
    assert!(!said.contains("scheduler") && !said.contains("lane"), "only that: {said}");
    let before = beats();
    tokio::time::sleep(8 * CLOSE.heartbeat).await;
    assert!(beats() <= before + 1, "the heart has stopped");

    lock.close().await.unwrap();
    let before = beats();
    until("its heart beats again", async || (beats() >= before + 3).then_some(())).await;
    until("it is ready again", is_ready).await;
    harness.stop().await;
}

/// What the service manager has heard so far, a line each.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Waits until this line was heard so often.
    async fn hears(&mut self, line: &str, times: usize) {
        until(&format!("the service manager hears {line} {times} times"), async || {
            let mut message = [0; 4_096];
            while let Ok(length) = self.socket.recv(&mut message) {
                let text = String::from_utf8(message[..length].to_vec()).unwrap();
                self.heard.extend(text.lines().map(str::to_owned));
            }
            (self.heard.iter().filter(|heard| *heard == line).count() >= times).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn systemd_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(9));
    let path = stage.folder.path().join("notify");
    let mut manager = Manager::listen(&path);
    let socket = path.to_str().unwrap();
    let mut process = Process::run(&stage, &[("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "200000")]);
    manager.hears("READY=1", 1).await;
    assert!(process.log().contains("Stakeout is watching"), "not before all has started");
    manager.hears("WATCHDOG=1", 4).await;
    process.signal("HUP");
    manager.hears("RELOADING=1", 1).await;
    manager.hears("READY=1", 2).await;
    assert!(manager.heard.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{:?}", manager.heard);
    process.signal("TERM");
    manager.hears("STOPPING=1", 1).await;
    assert_eq!(process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn without_a_service_manager_nothing_is_said_of_it() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(9));
    let mut process = Process::run(&stage, &[]);
    process.logs("Stakeout is watching").await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
    assert!(!process.log().contains("systemd"), "{}", process.log());
}

#[tokio::test]
async fn a_backup_made_while_it_runs_is_whole_and_can_be_put_back() {
    let mut harness = Harness::start_running(NUMBER).await;
    harness.site().show("/number", number(11));
    let site = harness.site();
    until("it was told", async || (site.messages().len() == 1).then_some(())).await;
    let file = harness.stage.folder.path().join("copy.db");
    let backup = ["backup", file.to_str().unwrap()];
    let made = command(&harness.stage, &backup).await;
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert_eq!(made.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&made.stderr));
    assert!(said.contains("KiB, checked and good"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let refused = command(&harness.stage, &backup).await;
    assert_eq!(refused.status.code(), Some(1), "it does not write over a file");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    let forced = command(&harness.stage, &[&backup[..], &["--force"]].concat()).await;
    assert_eq!(forced.status.code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(harness.stage.folder.path()).unwrap().flatten().collect();
    assert!(!left.iter().any(|entry| entry.file_name().to_string_lossy().contains("partial")), "{left:?}");

    // The database is lost, and the copy takes its place.
    harness.stop().await;
    let runs = harness.stage.count("select count(*) from run").await;
    std::fs::remove_dir_all(harness.stage.data_dir()).unwrap();
    std::fs::create_dir(harness.stage.data_dir()).unwrap();
    std::fs::copy(&file, Store::path_in(&harness.stage.data_dir())).unwrap();
    harness.boot().await;
    let restored = harness.stage.count("select count(*) from run").await;
    assert!(restored > 0 && restored <= runs);
    harness.site().show("/number", number(9));
    let site = harness.site();
    until("the end is told", async || (site.messages().len() >= 2).then_some(())).await;
    harness.stop().await;
    let titles: Vec<String> = harness.site().messages().iter().map(|post| post.title()).collect();
    assert_eq!(titles, ["n is above 10: 11", "n is no longer above 10: 9"], "it knows what it had told");
}
