//! Ten thousand watches of pages: how soon they are checked, started, due and told.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::{Bench, STAKEOUT, tail};
use crate::measure::{Metrics, cpu_seconds, memory, unix_time};
use crate::table::{Aim, Measured, middle, row, seconds};

pub(super) const MANY: usize = 10_000;

/// The size of every page watched, in KB, so that `wrk` and the daemon read the same.
pub(super) const PAGE_KB: usize = 32;

pub(super) fn check(bench: &Bench) -> Result<()> {
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

pub(super) async fn start(bench: &Bench) -> Result<()> {
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

pub(super) async fn first_fetch(bench: &Bench, count: usize) -> Result<Duration> {
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

pub(super) async fn lateness(bench: &Bench) -> Result<()> {
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
pub(super) fn lost_slots(log: &str, from: Duration, until: Duration, period: Duration) -> u64 {
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

pub(super) async fn unchanged(bench: &Bench) -> Result<()> {
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

pub(super) async fn latency(bench: &Bench) -> Result<()> {
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

pub(super) fn page_path(n: usize) -> String {
    format!("/page/{n}?kb={PAGE_KB}")
}

pub(super) fn pages(count: usize, every: &str) -> String {
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

pub(super) fn requests_per_second(wrk: &str) -> Result<f64> {
    let line = wrk.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line.with_context(|| format!("`wrk` says: {}", tail(wrk)))?.trim().parse()?)
}
