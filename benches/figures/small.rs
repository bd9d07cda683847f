//! How small and how quick it is: the program on the disk, and the daemon with the example configuration.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use stakeout::http::{Http, Request};

use crate::bench::{Daemon, STAKEOUT, client};
use crate::example::Example;
use crate::measure::{Memory, cpu_seconds, memory, unix_time};
use crate::table::{Aim, Measured, middle, row};

/// How long the daemon runs before its memory counts; `STAKEOUT_FIGURES_HOUR=3600` for a real hour.
const HOUR: Duration = Duration::from_secs(60);

/// So often somebody looks at the dashboard, and Prometheus at the figures.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

pub(super) async fn small() -> Result<()> {
    // Another build, such as that of the image, can be measured in its place.
    let program = std::env::var_os("STAKEOUT_PROGRAM").map_or_else(|| PathBuf::from(STAKEOUT), PathBuf::from);
    row("size of the program", Measured::Megabytes(megabytes_of(&program)?), Aim::Megabytes(25.0));
    for package in packages() {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        row(&format!("size of {name}"), Measured::Megabytes(megabytes_of(&package)?), Aim::Nothing);
    }
    exposure()?;
    let example = Example::start().await?;
    start(&program, &example).await?;
    after_a_while(&program, &example).await
}

fn megabytes_of(file: &Path) -> Result<f64> {
    let found = fs::metadata(file).with_context(|| format!("no {}", file.display()))?;
    Ok(found.len() as f64 / 1e6)
}

/// What `deploy/build-deb` has made, if it has.
fn packages() -> Vec<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let found = target.and_then(|target| fs::read_dir(target.join("debian")).ok()).into_iter().flatten();
    let files = found.filter_map(|file| Some(file.ok()?.path()));
    files.filter(|file| file.extension().is_some_and(|ending| ending == "deb")).collect()
}

/// What systemd thinks of the unit's rights: 0 is none at all, 10 is all there are.
fn exposure() -> Result<()> {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/stakeout.service");
    let asked =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager", unit]).output();
    let Ok(answer) = asked else {
        println!("exposure of the unit: skipped, there is no systemd-analyze here");
        return Ok(());
    };
    let said = String::from_utf8_lossy(&answer.stdout);
    let level = said.lines().find_map(|line| line.split_once("Overall exposure level")?.1.split_once(": "));
    let level = level.and_then(|(_, level)| level.split_whitespace().next()?.parse().ok());
    let Some(level) = level else {
        let why = String::from_utf8_lossy(&answer.stderr);
        println!("exposure of the unit: skipped, systemd-analyze does not say: {}", why.trim());
        return Ok(());
    };
    row("exposure of the unit, of 10", Measured::Ratio(level), Aim::RatioAtMost(1.2));
    Ok(())
}

async fn start(program: &Path, example: &Example) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        example.forget()?;
        let began = unix_time();
        let daemon = run(program, example)?;
        times.push(first_fetch(example, &daemon).await?.saturating_sub(began));
        daemon.stop().await?;
    }
    let aim = Aim::Under(Duration::from_millis(100));
    row("exec to first fetch, example configuration", Measured::Time(middle(times)), aim);
    Ok(())
}

/// When, as time of the Unix clock.
async fn first_fetch(example: &Example, daemon: &Daemon) -> Result<Duration> {
    for _ in 0..2_000 {
        if let Some(at) = example.asked_at() {
            return Ok(at);
        }
        if daemon.is_dead() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("it fetches nothing; it says: {}", daemon.said())
}

async fn after_a_while(program: &Path, example: &Example) -> Result<()> {
    let hour = match std::env::var("STAKEOUT_FIGURES_HOUR") {
        Ok(text) => {
            Duration::from_secs(text.parse().context("STAKEOUT_FIGURES_HOUR is a number of seconds")?)
        }
        Err(_) => HOUR,
    };
    example.forget()?;
    let daemon = run(program, example)?;
    let browser = client()?;
    let began = Instant::now();
    // Half way between two moments at which it counts.
    let mut next_look = LOOKED_AT_EVERY / 2;
    while began.elapsed() < hour {
        ensure!(!daemon.is_dead(), "it is dead; it said: {}", daemon.said());
        if began.elapsed() >= next_look {
            look(&browser, example).await?;
            next_look += LOOKED_AT_EVERY;
        }
        progress(began.elapsed(), hour, &memory(daemon.id())?);
        tokio::time::sleep(Duration::from_secs(1).min(hour)).await;
    }
    let used = memory(daemon.id())?;
    let processor = cpu_seconds(daemon.id())? / began.elapsed().as_secs_f64();
    daemon.stop().await?;
    clear_progress();
    let after = |what: &str| format!("{what} after {} s, example configuration", hour.as_secs());
    row(&after("memory (resident)"), Measured::Megabytes(used.now), Aim::Megabytes(25.0));
    row("of it, what is no part of a file", Measured::Megabytes(used.anonymous), Aim::Nothing);
    row("memory (resident) at most since the start", Measured::Megabytes(used.peak), Aim::Nothing);
    if hour < Duration::from_secs(3_600) {
        println!("(STAKEOUT_FIGURES_HOUR=3600 measures after the hour that the aim speaks of)");
    }
    row("processor meanwhile, of one core", Measured::Ratio(processor), Aim::Nothing);
    Ok(())
}

/// As one who looks at all of it, then at one watch, and as Prometheus.
async fn look(browser: &Http, example: &Example) -> Result<()> {
    for path in ["", "watches/crypto", "watches/gtx3070", "metrics"] {
        let reply = browser.send(&Request::get(example.web.join(path)?)).await?;
        ensure!(reply.status == 200, "/{path} answers {}", reply.status);
    }
    Ok(())
}

fn run(program: &Path, example: &Example) -> Result<Daemon> {
    Daemon::start(program, &example.file, example.folder.path())
}

fn progress(elapsed: Duration, hour: Duration, used: &Memory) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r{} of {} s, {:.1} MB ", elapsed.as_secs(), hour.as_secs(), used.now);
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
