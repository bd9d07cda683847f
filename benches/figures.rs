//! Measures the figures that the daemon is held to, against a local origin, and prints each beside its aim.
//!
//! ```sh
//! STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures
//! STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures -- check start latency
//! ```
//!
//! The origin is a small server that plays pages, listings, charts and the chat webhook, and can be told to
//! change them (`--listen 127.0.0.1:PORT --candle-end UNIX_SECONDS`). A slow figure is printed, never a
//! failure: the exit code is 1 only when something did not work at all. Linux only: it reads `/proc`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use stakeout::http::{Asker, Fetched, HostRules, Http, Mark, Request, Settings};
use stakeout::plugin::{self, Kind, Needs, Source, Strategy, View};
use stakeout::{sources, strategies};
use tempfile::TempDir;
use toml::de::DeTable;
use url::Url;

const SECTIONS: [&str; 7] = ["check", "start", "lateness", "unchanged", "listing", "candles", "latency"];
const MANY: usize = 10_000;
/// The size of every page watched, in KB, so that `wrk` and the daemon read the same.
const PAGE_KB: usize = 32;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let mut wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| !SECTIONS.contains(name)) {
        eprintln!("`{unknown}` is not one of: {}", SECTIONS.join(" "));
        return ExitCode::FAILURE;
    }
    if wanted.is_empty() {
        wanted = SECTIONS.to_vec();
    }
    let Some(origin) = std::env::var_os("STAKEOUT_ORIGIN").map(PathBuf::from) else {
        println!("skipped: STAKEOUT_ORIGIN does not name the program of the local origin, for example");
        println!(
            "  STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures -- {}",
            wanted.join(" ")
        );
        return ExitCode::SUCCESS;
    };
    let mut code = ExitCode::SUCCESS;
    println!("{:<66} {:>14}   {:<14}", "figure", "measured", "aim");
    for name in wanted {
        if let Err(error) = section(name, &origin).await {
            println!("{name}: BROKEN: {error:#}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Each section has an origin, a folder and a database of its own.
async fn section(name: &str, program: &Path) -> Result<()> {
    let bench = Bench::start(program).await?;
    match name {
        "check" => check(&bench),
        "start" => start(&bench).await,
        "lateness" => lateness(&bench).await,
        "unchanged" => unchanged(&bench).await,
        "listing" => listing(&bench).await,
        "candles" => candles(&bench).await,
        _ => latency(&bench).await,
    }
}

fn check(bench: &Bench) -> Result<()> {
    let file = bench.write(&pages(MANY, "10s"))?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let done =
            Command::new(STAKEOUT).arg("check").arg("-c").arg(&file).output().context("stakeout check")?;
        times.push(began.elapsed());
        ensure!(
            done.status.success(),
            "`stakeout check` says {}: {}",
            done.status,
            tail(&String::from_utf8_lossy(&done.stderr))
        );
    }
    row(
        "`check` of a file with 10,000 page watches",
        Measured::Time(middle(times)),
        Aim::Under(seconds(1.0)),
    );
    Ok(())
}

async fn start(bench: &Bench) -> Result<()> {
    for (count, aim, words) in [(1, 25, "one page watch"), (MANY, 250, "10,000 page watches")] {
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            bench.forget()?;
            fresh.push(first_fetch(bench, count).await?);
            // A slot passes, so that something is due at the start.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            again.push(first_fetch(bench, count).await?);
        }
        let aim = || Aim::Under(Duration::from_millis(aim));
        row(&format!("exec to first fetch, {words}, no database yet"), Measured::Time(middle(fresh)), aim());
        row(
            &format!("exec to first fetch, {words}, with its database"),
            Measured::Time(middle(again)),
            aim(),
        );
    }
    Ok(())
}

async fn first_fetch(bench: &Bench, count: usize) -> Result<Duration> {
    let file = bench.write(&pages(count, "1s"))?;
    bench.admin("log?on=1").await?;
    let began = unix_time();
    let daemon = bench.run(&file)?;
    let mut first = None;
    bench
        .until("the first fetch", Duration::from_secs(20), &daemon, async || {
            let log = bench.admin("log?prefix=/page/").await?;
            first = log.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).min();
            Ok(first.is_some())
        })
        .await?;
    bench.admin("log?on=0").await?;
    daemon.stop().await?;
    Ok(Duration::from_nanos(first.unwrap_or_default()).saturating_sub(began))
}

async fn lateness(bench: &Bench) -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(20);
    const PERIOD: Duration = Duration::from_secs(10);
    let file = bench.write(&pages(MANY, "10s"))?;
    let daemon = bench.run(&file)?;
    bench.all_fetched_once(&daemon).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let before = Metrics::read(bench).await?;
    bench.admin("log?on=1").await?;
    let (from, cpu_from) = (unix_time(), cpu_seconds(daemon.id())?);
    tokio::time::sleep(WINDOW).await;
    let (until, cpu_until) = (unix_time(), cpu_seconds(daemon.id())?);
    let log = bench.admin("log?prefix=/page/").await?;
    let after = Metrics::read(bench).await?;
    let memory = memory(daemon.id())?;
    daemon.stop().await?;

    let p99 =
        after.since(&before).quantile(0.99).context("no `stakeout_schedule_lateness_seconds` in /metrics")?;
    row(
        "lateness p99, 10,000 page watches, 1,000 due each second",
        Measured::Time(p99),
        Aim::Under(Duration::from_millis(20)),
    );
    let lost = lost_slots(&log, from, until, PERIOD);
    row(
        "of these, moments at which a watch was due and was not fetched",
        Measured::Count(lost),
        Aim::AtMost(0),
    );
    let failed = after.bad_runs - before.bad_runs;
    row("of these, runs that failed or were blocked", Measured::Count(failed as u64), Aim::AtMost(0));
    row("memory (resident) meanwhile", Measured::Megabytes(memory.now), Aim::Megabytes(60.0));
    row("memory (resident) at most since the start", Measured::Megabytes(memory.peak), Aim::Megabytes(60.0));
    row(
        "processor meanwhile, of one core",
        Measured::Ratio((cpu_until - cpu_from) / WINDOW.as_secs_f64()),
        Aim::Nothing,
    );
    Ok(())
}

/// How many whole periods passed between two fetches of one page, or an edge of the window and a fetch.
fn lost_slots(log: &str, from: Duration, until: Duration, period: Duration) -> u64 {
    const LATE: Duration = Duration::from_millis(500);
    let mut fetches: HashMap<&str, Vec<Duration>> = HashMap::new();
    for (time, path) in log.lines().filter_map(|line| line.split_once(' ')) {
        if let Ok(time) = time.parse() {
            fetches.entry(path).or_default().push(Duration::from_nanos(time));
        }
    }
    let lost_in = |gap: Duration| (gap.saturating_sub(LATE).as_secs_f64() / period.as_secs_f64()) as u64;
    let never = (MANY.saturating_sub(fetches.len()) as u64) * lost_in(until - from).max(1);
    let between: u64 = fetches
        .into_values()
        .map(|mut times| {
            times.extend([from, until]);
            times.sort();
            times.iter().zip(times.iter().skip(1)).map(|(a, b)| lost_in(*b - *a)).sum::<u64>()
        })
        .sum();
    never + between
}

async fn unchanged(bench: &Bench) -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(10);
    let wrk = |seconds: u64| {
        Command::new("wrk")
            .args(["-t2", "-c64", &format!("-d{seconds}s")])
            .arg(bench.url(&page_path(0))?.as_str())
            .output()
            .ok()
            .map(|done| requests_per_second(&String::from_utf8_lossy(&done.stdout)))
            .transpose()
    };
    let before = wrk(4)?;

    // Ten thousand a second are soon done, so that it would be the schedule that is measured.
    let mut file = bench.write(&pages(MANY, "100ms"))?;
    if !bench.check(&file)?.status.success() {
        println!("`every = \"100ms\"` is refused: with \"1s\" no more than 10,000 a second are due");
        file = bench.write(&pages(MANY, "1s"))?;
    }
    let daemon = bench.run(&file)?;
    bench.all_fetched_once(&daemon).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (began, fetched, cpu) = (Instant::now(), bench.page_requests().await?, cpu_seconds(daemon.id())?);
    tokio::time::sleep(WINDOW).await;
    let fetched = bench.page_requests().await? - fetched;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(daemon.id())? - cpu);
    let memory = memory(daemon.id())?;
    daemon.stop().await?;
    ensure!(fetched > 0, "no page was fetched in {WINDOW:?}");

    let rate = fetched as f64 / took;
    row("unchanged pages checked a second, 10,000 watches of one host", Measured::Rate(rate), Aim::Nothing);
    match before.zip(wrk(4)?) {
        Some((before, after)) => {
            let most = f64::max(before, after);
            row(
                "what `wrk` gets from one of these pages, 64 connections",
                Measured::Rate(most),
                Aim::Nothing,
            );
            row("ratio of the two", Measured::Ratio(rate / most), Aim::AtLeast(0.4));
        }
        None => println!("ratio to `wrk`: skipped, `wrk` is not installed (Debian: apt-get install wrk)"),
    }
    row(
        "processor a check",
        Measured::Time(seconds(cpu / fetched as f64)),
        Aim::Under(Duration::from_micros(60)),
    );
    row("memory (resident) meanwhile", Measured::Megabytes(memory.now), Aim::Megabytes(60.0));
    row("memory (resident) at most since the start", Measured::Megabytes(memory.peak), Aim::Megabytes(60.0));
    Ok(())
}

async fn listing(bench: &Bench) -> Result<()> {
    let url = bench.url("/newegg/3?kb=500&items=36")?;
    let source = source(&format!("kind = \"newegg\"\nurl = \"{url}\""))?;
    let restock = strategy("kind = \"restock\"")?;
    let needs = Needs { now: Timestamp::now(), bars: 0 };
    let request = source.requests(&needs).into_iter().next().context("the listing asks for nothing")?;
    let (reply, mark) = new_answer(bench.fetch(&request, None).await?)?;
    ensure!(!judge(&*source, &*restock, &request, &reply, &needs)?.is_empty(), "no item was read");

    let times = 1_500;
    let cpu = cpu_seconds(std::process::id())?;
    for _ in 0..times {
        let fetched = bench.fetch(&request, Some(&mark)).await?;
        ensure!(matches!(fetched, Fetched::Unchanged), "the listing changed by itself");
    }
    let cpu = cpu_seconds(std::process::id())? - cpu;
    row(
        "listing of 500 KB, unchanged: fetched and compared (processor)",
        Measured::Time(seconds(cpu / f64::from(times))),
        Aim::Under(Duration::from_micros(250)),
    );

    let times = 500;
    let other = Mark::default();
    let cpu = cpu_seconds(std::process::id())?;
    for _ in 0..times {
        let (reply, _) = new_answer(bench.fetch(&request, Some(&other)).await?)?;
        std::hint::black_box(judge(&*source, &*restock, &request, &reply, &needs)?);
    }
    let cpu = cpu_seconds(std::process::id())? - cpu;
    row(
        "listing of 500 KB, changed: fetched, read and judged (processor)",
        Measured::Time(seconds(cpu / f64::from(times))),
        Aim::Under(Duration::from_micros(1_500)),
    );
    Ok(())
}

async fn candles(bench: &Bench) -> Result<()> {
    let base_url = bench.url("")?;
    let base_url = base_url.as_str().trim_end_matches('/');
    let source = source(&format!(
        "kind = \"yahoo\"\nsymbols = [\"AAPL\"]\ninterval = \"30m\"\nbase_url = \"{base_url}\""
    ))?;
    let rsi = strategy("kind = \"rsi\"\nperiod = 14\nbuy_below = 20\nsell_above = 80")?;
    let needs = Needs { now: Timestamp::now(), bars: rsi.lookback().bars };
    let request = source.requests(&needs).into_iter().next().context("the chart asks for nothing")?;
    let (reply, _) = new_answer(bench.fetch(&request, None).await?)?;
    ensure!(!judge(&*source, &*rsi, &request, &reply, &needs)?.is_empty(), "no RSI was computed");

    let times = 5_000;
    let began = Instant::now();
    for _ in 0..times {
        std::hint::black_box(judge(&*source, &*rsi, &request, &reply, &needs)?);
    }
    let bars = reply
        .text()
        .split("\"timestamp\":[")
        .nth(1)
        .map_or(0, |rest| rest.split(']').next().unwrap_or_default().split(',').count());
    row(
        &format!("chart of {bars} candles read, and its RSI"),
        Measured::Time(began.elapsed() / times),
        Aim::Under(Duration::from_micros(60)),
    );
    Ok(())
}

async fn latency(bench: &Bench) -> Result<()> {
    let file = bench.write(&pages(1, "1s"))?;
    let daemon = bench.run(&file)?;
    bench
        .until("the first fetches", Duration::from_secs(20), &daemon, async || {
            Ok(bench.page_requests().await? >= 2)
        })
        .await?;
    let mut times = Vec::new();
    for _ in 0..11 {
        let posts = bench.posts().await?.len();
        bench.admin("page/bump?n=0").await?;
        let mut accepted = None;
        bench
            .until("the message", Duration::from_secs(15), &daemon, async || {
                accepted = bench.posts().await?.get(posts).copied();
                Ok(accepted.is_some())
            })
            .await?;
        let page: Value = serde_json::from_str(&bench.admin("page?n=0").await?)?;
        let served = page.pointer("/0/first_served_ns").and_then(Value::as_u64).context("first_served_ns")?;
        times.push(Duration::from_nanos(accepted.unwrap_or_default().saturating_sub(served)));
    }
    daemon.stop().await?;
    let most = times.iter().max().copied().unwrap_or_default();
    row(
        "change seen to message accepted, middle of 11",
        Measured::Time(middle(times)),
        Aim::Under(Duration::from_millis(6)),
    );
    row("change seen to message accepted, slowest of 11", Measured::Time(most), Aim::Nothing);
    Ok(())
}

const STAKEOUT: &str = env!("CARGO_BIN_EXE_stakeout");

/// The origin, a folder for the database and the configuration, and a client for both.
struct Bench {
    folder: TempDir,
    http: Http,
    origin: Url,
    web: Url,
    _process: Process,
}

impl Bench {
    async fn start(program: &Path) -> Result<Self> {
        // On the disk that holds the build: a folder in memory would make light of crash safety.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let http = Http::new(Settings {
            allow_private_networks: true,
            max_body: 64 << 20,
            per_host: HostRules { max_concurrent: 8, min_interval: Duration::ZERO, ..HostRules::default() },
            ..Settings::default()
        })
        .map_err(|why| anyhow!(why))?;
        let origin = free_address()?;
        let web = free_address()?;
        let nine_hours_ago = unix_time().as_secs() / 1_800 * 1_800 - 9 * 3_600;
        let process = Process(
            Command::new(program)
                .args(["--listen", origin.authority(), "--candle-end", &nine_hours_ago.to_string()])
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
    async fn fetch(&self, request: &Request, known: Option<&Mark>) -> Result<Fetched> {
        let asker = Asker { watch_id: 0, now: Timestamp::now() };
        Ok(self.http.fetch(request, known, asker).await.result?)
    }

    fn url(&self, path: &str) -> Result<Url> {
        Ok(self.origin.join(path)?)
    }

    async fn get(&self, url: Url) -> Result<String> {
        let reply = self.http.send(&Request::get(url.clone())).await.with_context(|| url.to_string())?;
        ensure!(reply.status == 200, "{url} answers {}", reply.status);
        Ok(reply.text().into_owned())
    }

    async fn admin(&self, command: &str) -> Result<String> {
        self.get(self.url(&format!("/admin/{command}"))?).await
    }

    async fn page_requests(&self) -> Result<u64> {
        let stats: Value = serde_json::from_str(&self.admin("stats").await?)?;
        stats.pointer("/requests/page").and_then(Value::as_u64).context("the origin counts no pages")
    }

    /// When each message was accepted, as nanoseconds of the Unix clock.
    async fn posts(&self) -> Result<Vec<u64>> {
        let sink: Value = serde_json::from_str(&self.admin("sink").await?)?;
        let posts = sink.get("posts").and_then(Value::as_array).context("the origin lists no posts")?;
        let accepted = |post: &&Value| post.get("status").and_then(Value::as_u64).is_some_and(|s| s < 300);
        Ok(posts.iter().filter(accepted).filter_map(|post| post.get("t_ns")?.as_u64()).collect())
    }

    /// Writes a configuration: the same daemon for every section, with these watches.
    fn write(&self, watches: &str) -> Result<PathBuf> {
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

[notify.sink]
kind = "discord"
url = "http://{origin}/api/webhooks/1/bench"

{}"#,
            watches.replace("ORIGIN", &format!("http://{origin}"))
        );
        fs::write(&file, text)?;
        Ok(file)
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn forget(&self) -> Result<()> {
        let folder = self.data_dir();
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(())
    }

    fn check(&self, file: &Path) -> Result<Output> {
        Command::new(STAKEOUT).arg("check").arg("-c").arg(file).output().context("cannot start stakeout")
    }

    fn run(&self, file: &Path) -> Result<Daemon> {
        let log = self.folder.path().join("stakeout.log");
        let output = File::create(&log)?;
        let child = Command::new(STAKEOUT)
            .arg("run")
            .arg("-c")
            .arg(file)
            .current_dir(self.folder.path())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start stakeout")?;
        Ok(Daemon { process: Process(child), log })
    }

    /// Asks every few milliseconds until it is so, the daemon is dead, or the time is up.
    async fn until(
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

    async fn all_fetched_once(&self, daemon: &Daemon) -> Result<()> {
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
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Daemon {
    process: Process,
    log: PathBuf,
}

impl Daemon {
    fn id(&self) -> u32 {
        self.process.0.id()
    }

    fn is_dead(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // Gone, or dead and not yet waited for.
        stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
    }

    fn said(&self) -> String {
        tail(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Asks it to end, and waits for it.
    async fn stop(mut self) -> Result<()> {
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

fn page_path(n: usize) -> String {
    format!("/page/{n}?kb={PAGE_KB}")
}

fn pages(count: usize, every: &str) -> String {
    let mut watches = String::with_capacity(count * 120);
    for n in 0..count {
        let _ = writeln!(
            watches,
            "[watch.page-{n}]\nsource = {{ kind = \"page\", url = \"ORIGIN{}\" }}\nevery = \"{every}\"\n",
            page_path(n)
        );
    }
    watches
}

fn source(table: &str) -> Result<Box<dyn Source>> {
    built(sources::KINDS, table)
}

fn strategy(table: &str) -> Result<Box<dyn Strategy>> {
    built(strategies::KINDS, table)
}

fn built<T: ?Sized>(kinds: &[Kind<T>], table: &str) -> Result<Box<T>> {
    let parsed = DeTable::parse(table)?;
    plugin::build(kinds, parsed).map(|(_, built)| built).map_err(|error| anyhow!("{}", error.message))
}

fn new_answer(fetched: Fetched) -> Result<(stakeout::http::Reply, Mark)> {
    match fetched {
        Fetched::New(reply, mark) => Ok((reply, mark)),
        Fetched::Unchanged => bail!("nothing new came"),
    }
}

fn judge(
    source: &dyn Source,
    strategy: &dyn Strategy,
    request: &Request,
    reply: &stakeout::http::Reply,
    needs: &Needs,
) -> Result<Vec<stakeout::model::Signal>> {
    let seen = source.read(request, reply, needs)?;
    Ok(strategy.evaluate(&View {
        current: &seen.observations,
        earlier: &[],
        absent: &[],
        known: &HashMap::new(),
        now: needs.now,
        zone: &TimeZone::UTC,
        source,
    })?)
}

/// What `/metrics` says of lateness and outcomes.
#[derive(Default)]
struct Metrics {
    /// How many ticks were at most so late: microseconds, or `u64::MAX` for all.
    late_at_most: BTreeMap<u64, f64>,
    bad_runs: f64,
}

impl Metrics {
    async fn read(bench: &Bench) -> Result<Self> {
        let mut read = Self::default();
        for line in bench.get(bench.web.join("/metrics")?).await?.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            if name.starts_with("stakeout_schedule_lateness_seconds_bucket{")
                && let Some(bound) = name.split("le=\"").nth(1).and_then(|rest| rest.split('"').next())
            {
                let micros = bound.parse::<f64>().ok().filter(|bound| bound.is_finite());
                let micros = micros.map_or(u64::MAX, |bound| (bound * 1e6).round() as u64);
                *read.late_at_most.entry(micros).or_default() += value;
            }
            let bad = ["outcome=\"failed\"", "outcome=\"blocked\""];
            if name.starts_with("stakeout_runs_total{") && bad.iter().any(|bad| name.contains(bad)) {
                read.bad_runs += value;
            }
        }
        Ok(read)
    }

    fn since(&self, before: &Self) -> Self {
        let earlier = |bound: &u64| before.late_at_most.get(bound).copied().unwrap_or_default();
        let late_at_most = self.late_at_most.iter().map(|(bound, count)| (*bound, count - earlier(bound)));
        Self { late_at_most: late_at_most.collect(), bad_runs: self.bad_runs - before.bad_runs }
    }

    /// As Prometheus computes it: evenly spread within a bucket.
    fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = self.late_at_most.values().copied().reduce(f64::max).filter(|all| *all > 0.0)? * share;
        let (mut lower_bound, mut lower_count) = (0.0, 0.0);
        for (bound, count) in &self.late_at_most {
            if *count >= wanted && *bound < u64::MAX {
                let micros = lower_bound
                    + (*bound as f64 - lower_bound) * (wanted - lower_count) / (count - lower_count);
                return Some(seconds(micros / 1e6));
            }
            if *bound < u64::MAX {
                (lower_bound, lower_count) = (*bound as f64, *count);
            }
        }
        Some(seconds(lower_bound / 1e6))
    }
}

fn requests_per_second(wrk: &str) -> Result<f64> {
    let line = wrk.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line.with_context(|| format!("`wrk` says: {}", tail(wrk)))?.trim().parse()?)
}

/// Processor time of a process so far, its own and the kernel's for it.
fn cpu_seconds(id: u32) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name may hold spaces; after it stands the state, and twelve fields on utime and stime.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

struct Memory {
    now: f64,
    peak: f64,
}

/// Resident memory in megabytes of a million bytes.
fn memory(id: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory in /proc")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        anyhow::Ok(kibibytes * 1_024.0 / 1e6)
    };
    Ok(Memory { now: megabytes("VmRSS:")?, peak: megabytes("VmHWM:")? })
}

enum Measured {
    Time(Duration),
    Count(u64),
    Megabytes(f64),
    Rate(f64),
    Ratio(f64),
}

enum Aim {
    Under(Duration),
    Megabytes(f64),
    AtLeast(f64),
    AtMost(u64),
    Nothing,
}

fn row(figure: &str, measured: Measured, aim: Aim) {
    let shown = match &measured {
        Measured::Time(time) => time_in_words(*time),
        Measured::Count(count) => count.to_string(),
        Measured::Megabytes(megabytes) => format!("{megabytes:.1} MB"),
        Measured::Rate(rate) => format!("{rate:.0}/s"),
        Measured::Ratio(ratio) => format!("{ratio:.2}"),
    };
    let (aimed, met) = match (&aim, &measured) {
        (Aim::Under(limit), Measured::Time(time)) => (format!("< {}", time_in_words(*limit)), time < limit),
        (Aim::Megabytes(limit), Measured::Megabytes(used)) => (format!("< {limit:.0} MB"), used < limit),
        (Aim::AtLeast(least), Measured::Ratio(ratio)) => (format!("at least {least}"), ratio >= least),
        (Aim::AtMost(allowed), Measured::Count(count)) => (allowed.to_string(), count <= allowed),
        _ => (String::new(), true),
    };
    println!("{figure:<66} {shown:>14}   {aimed:<14}{}", if met { "" } else { " missed" });
}

fn time_in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A port that was free a moment ago.
fn free_address() -> Result<Url> {
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    Ok(Url::parse(&format!("http://{address}/"))?)
}

/// The last lines of what a program said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" / ")
}
