//! One answer, read and judged.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::{Timestamp, tz::TimeZone};
use stakeout::http::{Fetched, Mark, Request};
use stakeout::plugin::{self, Kind, Needs, Source, Strategy, View};
use stakeout::{sources, strategies};
use toml::de::DeTable;

use crate::bench::Bench;
use crate::measure::cpu_seconds;
use crate::table::{Aim, Measured, row, seconds};

pub(super) async fn listing(bench: &Bench) -> Result<()> {
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

pub(super) async fn candles(bench: &Bench) -> Result<()> {
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

pub(super) fn source(table: &str) -> Result<Box<dyn Source>> {
    built(sources::KINDS, table)
}

pub(super) fn strategy(table: &str) -> Result<Box<dyn Strategy>> {
    built(strategies::KINDS, table)
}

pub(super) fn built<T: ?Sized>(kinds: &[Kind<T>], table: &str) -> Result<Box<T>> {
    let parsed = DeTable::parse(table)?;
    plugin::build(kinds, parsed).map(|(_, built)| built).map_err(|error| anyhow!("{}", error.message))
}

pub(super) fn new_answer(fetched: Fetched) -> Result<(stakeout::http::Reply, Mark)> {
    match fetched {
        Fetched::New(reply, mark) => Ok((reply, mark)),
        Fetched::Unchanged => bail!("nothing new came"),
    }
}

pub(super) fn judge(
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
