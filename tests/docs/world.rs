//! A folder with a configuration, and a daemon that watches what the demo plays: where commands are typed as the documents
//! show them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use stakeout::demo;
use tempfile::TempDir;

/// Nothing here takes so long, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file of another program, which `stakeout import` reads.
const URLS: &str = "name: the town's news\nurl: https://town.example/news\n";

pub(super) struct World {
    folder: TempDir,
    origin: demo::Origin,
    port: u16,
    daemon: Option<Child>,
}

impl World {
    /// The demo's watches, and a notifier of the name that the documents use.
    pub(super) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let origin = demo::Origin::start().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = demo::config(&origin.url(), &folder.path().join("data"));
        let config =
            format!("{config}\n[notify.phone]\nkind = \"console\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n",);
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut world = Self { folder, origin, port, daemon: None };
        let lamp = format!(
            "every = \"1m\"\nsource = {{ kind = \"newegg\", url = \"{}/p/pl?d=lamp\" }}\n",
            world.origin()
        );
        std::fs::write(world.folder().join("lamp.toml"), lamp).unwrap();
        std::fs::write(world.folder().join("urls.yaml"), URLS).unwrap();
        world.go_on();
        world
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn origin(&self) -> String {
        self.origin.url().as_str().trim_end_matches('/').to_owned()
    }

    /// Where the daemon's web server listens.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The id of a message that went out.
    pub(super) fn some_delivery(&self) -> String {
        let listed = self.sh("stakeout outbox list --all --json").stdout;
        let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
        let first = listed.as_array().and_then(|list| list.first()).or_else(|| listed["deliveries"].get(0));
        first.and_then(|delivery| delivery["id"].as_str()).unwrap_or_else(|| panic!("{listed}")).to_owned()
    }

    /// Starts the daemon, and waits until each watch has been looked at and something was told.
    pub(super) fn go_on(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let daemon =
            self.command(env!("CARGO_BIN_EXE_stakeout")).arg("run").stdout(Stdio::null()).stderr(log).spawn();
        self.daemon = Some(daemon.unwrap());
        for ready in [
            "stakeout health",
            "stakeout explain tech-rsi",
            "stakeout explain gtx3070",
            "stakeout explain crypto",
        ] {
            self.until(ready, |output| output.status.success());
        }
        self.until("stakeout alerts", |output| String::from_utf8_lossy(&output.stdout).lines().count() > 1);
    }

    /// Stops the daemon as systemd does.
    pub(super) fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        assert!(self.sh(&format!("kill {}", daemon.id())).status.success());
        assert!(daemon.wait().unwrap().success());
    }

    /// What a shell makes of a command in the folder.
    pub(super) fn sh(&self, command: &str) -> Output {
        self.command("sh").args(["-c", command]).output().unwrap()
    }

    fn until(&self, command: &str, is_enough: impl Fn(&Output) -> bool) {
        let started = Instant::now();
        loop {
            let output = self.sh(command);
            if is_enough(&output) {
                return;
            }
            let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "`{command}`: {output:?}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn command(&self, program: &str) -> Command {
        let built = Path::new(env!("CARGO_BIN_EXE_stakeout")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.current_dir(self.folder()).env("PATH", format!("{}:{path}", built.display()));
        command
            .env_remove("STAKEOUT_CONFIG")
            .env_remove("STAKEOUT_DATA_DIR")
            .env_remove("CREDENTIALS_DIRECTORY");
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }
}
