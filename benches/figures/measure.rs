//! What a process uses, and what `/metrics` says.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::table::seconds;

/// What `/metrics` says of lateness and outcomes.
#[derive(Default)]
pub(super) struct Metrics {
    /// How many ticks were at most so late: microseconds, or `u64::MAX` for all.
    pub(super) late_at_most: BTreeMap<u64, f64>,
    pub(super) bad_runs: f64,
}

impl Metrics {
    pub(super) async fn read(bench: &Bench) -> Result<Self> {
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

    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |bound: &u64| before.late_at_most.get(bound).copied().unwrap_or_default();
        let late_at_most = self.late_at_most.iter().map(|(bound, count)| (*bound, count - earlier(bound)));
        Self { late_at_most: late_at_most.collect(), bad_runs: self.bad_runs - before.bad_runs }
    }

    /// As Prometheus computes it: evenly spread within a bucket.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
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

/// Processor time of a process so far, its own and the kernel's for it.
pub(super) fn cpu_seconds(id: u32) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name may hold spaces; after it stands the state, and twelve fields on utime and stime.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

pub(super) struct Memory {
    pub(super) now: f64,
    /// Of `now`, without the pages of files, such as the program's own, which the system can drop at any time.
    pub(super) anonymous: f64,
    pub(super) peak: f64,
}

/// Resident memory in megabytes of a million bytes.
pub(super) fn memory(id: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory in /proc")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        anyhow::Ok(kibibytes * 1_024.0 / 1e6)
    };
    Ok(Memory { now: megabytes("VmRSS:")?, anonymous: megabytes("RssAnon:")?, peak: megabytes("VmHWM:")? })
}

pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
