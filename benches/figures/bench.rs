//! The origin and the daemon, as processes, and what they are asked.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;
use stakeout::http::{Asker, Fetched, HostRules, Http, Mark, Request, Settings};
use tempfile::TempDir;
use url::Url;

use crate::many::MANY;
use crate::measure::unix_time;

pub(super) const STAKEOUT: &str = env!("CARGO_BIN_EXE_stakeout");

/// The origin, a folder for the database and the configuration, and a client for both.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) http: Http,
    pub(super) origin: Url,
    pub(super) web: Url,
    pub(super) _process: Process,
}

impl Bench {
    pub(super) async fn start(program: &Path) -> Result<Self> {
        Self::start_on(program, 1).await
    }

    /// With an origin that listens on so many addresses from 127.0.0.1 on, all of one port.
    pub(super) async fn start_on(program: &Path, hosts: u8) -> Result<Self> {
        // On the disk that holds the build: a folder in memory would make light of crash safety.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let http = client()?;
        let origin = free_address()?;
        let web = free_address()?;
        let nine_hours_ago = unix_time().as_secs() / 1_800 * 1_800 - 9 * 3_600;
        let port = origin.port().context("no port is free")?;
        let listen = (1..=hosts).flat_map(|n| ["--listen".to_owned(), format!("127.0.0.{n}:{port}")]);
        let process = Process(
            Command::new(program)
                .args(listen)
                .args(["--candle-end", &nine_hours_ago.to_string()])
                .stdout(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot start the origin {}", program.display()))?,
        );
        let bench = Self { folder, http, origin, web, _process: process };
        for _ in 0..200 {
            if bench.admin("stats").await.is_ok() {
                return Ok(bench);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the origin {} does not answer", program.display())
    }

    /// Asks for it, as a watch does.
    pub(super) async fn fetch(&self, request: &Request, known: Option<&Mark>) -> Result<Fetched> {
        let asker = Asker { watch_id: 0, now: Timestamp::now() };
        Ok(self.http.fetch(request, known, asker).await.result?)
    }

    pub(super) fn url(&self, path: &str) -> Result<Url> {
        Ok(self.origin.join(path)?)
    }

    pub(super) async fn get(&self, url: Url) -> Result<String> {
        let reply = self.http.send(&Request::get(url.clone())).await.with_context(|| url.to_string())?;
        ensure!(reply.status == 200, "{url} answers {}", reply.status);
        Ok(reply.text().into_owned())
    }

    pub(super) async fn admin(&self, command: &str) -> Result<String> {
        self.get(self.url(&format!("/admin/{command}"))?).await
    }

    pub(super) async fn page_requests(&self) -> Result<u64> {
        let stats: Value = serde_json::from_str(&self.admin("stats").await?)?;
        stats.pointer("/requests/page").and_then(Value::as_u64).context("the origin counts no pages")
    }

    /// When each message was accepted, as nanoseconds of the Unix clock.
    pub(super) async fn posts(&self) -> Result<Vec<u64>> {
        let sink: Value = serde_json::from_str(&self.admin("sink").await?)?;
        let posts = sink.get("posts").and_then(Value::as_array).context("the origin lists no posts")?;
        let accepted = |post: &&Value| post.get("status").and_then(Value::as_u64).is_some_and(|s| s < 300);
        Ok(posts.iter().filter(accepted).filter_map(|post| post.get("t_ns")?.as_u64()).collect())
    }

    /// Writes a configuration: the same daemon for every section, with these watches.
    pub(super) fn write(&self, watches: &str) -> Result<PathBuf> {
        self.write_with("", watches)
    }

    /// The same, with more keys of `[fetch]`.
    pub(super) fn write_with(&self, fetch: &str, watches: &str) -> Result<PathBuf> {
        let file = self.folder.path().join("config.toml");
        let data_dir = toml::Value::from(self.data_dir().to_string_lossy().as_ref());
        let (origin, web) = (self.origin.authority(), self.web.authority());
        let text = format!(
            r#"[daemon]
data_dir = {data_dir}
log_level = "warn"
max_concurrent_runs = 64

[web]
listen = "{web}"

[fetch]
allow_private_networks = true
per_host = {{ max_concurrent = 64, min_interval = "0s" }}
{fetch}
[notify.sink]
kind = "discord"
url = "http://{origin}/api/webhooks/1/bench"

{}"#,
            watches.replace("ORIGIN", &format!("http://{origin}"))
        );
        fs::write(&file, text)?;
        Ok(file)
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn forget(&self) -> Result<()> {
        let folder = self.data_dir();
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(())
    }

    pub(super) fn check(&self, file: &Path) -> Result<Output> {
        Command::new(STAKEOUT).arg("check").arg("-c").arg(file).output().context("cannot start stakeout")
    }

    pub(super) fn run(&self, file: &Path) -> Result<Daemon> {
        Daemon::start(Path::new(STAKEOUT), file, self.folder.path())
    }

    /// Asks every few milliseconds until it is so, the daemon is dead, or the time is up.
    pub(super) async fn until(
        &self,
        what: &str,
        limit: Duration,
        daemon: &Daemon,
        mut is_so: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        let began = Instant::now();
        while !is_so().await? {
            if began.elapsed() > limit || daemon.is_dead() {
                bail!("waited {:?} for {what}; the daemon says: {}", began.elapsed(), daemon.said());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) async fn all_fetched_once(&self, daemon: &Daemon) -> Result<()> {
        let enough = async || {
            // Not every few milliseconds: the counting should not disturb what is counted.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let pages = self.admin(&format!("page?from=0&to={}", MANY - 1)).await?;
            let pages: Vec<Value> = serde_json::from_str(&pages)?;
            Ok(pages.iter().all(|page| page.get("hits").and_then(Value::as_u64) > Some(0)))
        };
        self.until("every page to be fetched once", Duration::from_secs(40), daemon, enough).await
    }
}

/// A process that does not outlive us.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Daemon {
    pub(super) process: Process,
    pub(super) log: PathBuf,
}

impl Daemon {
    /// With that configuration; its log goes into the folder.
    pub(super) fn start(program: &Path, file: &Path, folder: &Path) -> Result<Self> {
        let log = folder.join("stakeout.log");
        let output = File::create(&log)?;
        let child = Command::new(program)
            .arg("run")
            .arg("-c")
            .arg(file)
            .current_dir(folder)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process: Process(child), log })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.0.id()
    }

    pub(super) fn is_dead(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // Gone, or dead and not yet waited for.
        stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
    }

    pub(super) fn said(&self) -> String {
        tail(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Asks it to end, and waits for it.
    pub(super) async fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status().context("kill")?;
        ensure!(asked.success(), "the daemon was gone before its end; it says: {}", self.said());
        for _ in 0..2_000 {
            if let Some(status) = self.process.0.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}; it says: {}", self.said());
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the daemon does not end within 20 s of SIGTERM; it says: {}", self.said())
    }
}

/// Asks what is on this machine, as often as it likes.
pub(super) fn client() -> Result<Http> {
    let settings = Settings {
        allow_private_networks: true,
        max_body: 64 << 20,
        per_host: HostRules { max_concurrent: 8, min_interval: Duration::ZERO, ..HostRules::default() },
        ..Settings::default()
    };
    Http::new(settings).map_err(|why| anyhow!(why))
}

/// A port that was free a moment ago.
pub(super) fn free_address() -> Result<Url> {
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    Ok(Url::parse(&format!("http://{address}/"))?)
}

/// The last lines of what a program said.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" / ")
}
