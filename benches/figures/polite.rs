//! Two hundred watches of one host that may be asked once a second: never sooner, and each in its turn.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::{Bench, STAKEOUT};
use crate::many::pages;
use crate::table::{Aim, Measured, row};

const COUNT: usize = 200;

/// Each watch's turn comes once in two hundred seconds.
const WINDOW: Duration = Duration::from_secs(240);

pub(super) async fn polite(bench: &Bench) -> Result<()> {
    let host = bench.origin.authority().to_owned();
    let fetch = format!("host.\"{host}\" = {{ max_concurrent = 4, min_interval = \"1s\" }}\n");
    let file = bench.write_with(&fetch, &pages(COUNT, "1m"))?;
    bench.admin("log?on=1").await?;
    let daemon = bench.run(&file)?;
    tokio::time::sleep(WINDOW).await;
    let log = bench.admin("log?prefix=/page/").await?;
    bench.admin("log?on=0").await?;
    daemon.stop().await?;

    let mut times = Vec::new();
    let mut asked: HashMap<&str, u64> = HashMap::new();
    for (time, path) in log.lines().filter_map(|line| line.split_once(' ')) {
        times.extend(time.parse().ok().map(Duration::from_nanos));
        *asked.entry(path.split('?').next().unwrap_or(path)).or_default() += 1;
    }
    times.sort();
    let apart = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a));
    let closest = apart.clone().min().context("the host was not asked twice")?;
    // Two that are sent a second apart may arrive a little closer.
    let too_close = apart.filter(|apart| *apart < Duration::from_millis(990)).count();
    row("smallest distance of two requests, min_interval = \"1s\"", Measured::Time(closest), Aim::Nothing);
    row("requests less than 990 ms after another", Measured::Count(too_close as u64), Aim::AtMost(0));
    let most = WINDOW.as_secs_f64();
    row(
        "requests in all, of what the pace allows",
        Measured::Ratio(times.len() as f64 / most),
        Aim::AtLeast(0.95),
    );
    let counts = || (0..COUNT).map(|n| asked.get(&*format!("/page/{n}")).copied().unwrap_or_default());
    let (least, most) = (counts().min().unwrap_or_default(), counts().max().unwrap_or_default());
    row("how often a watch was asked, least", Measured::Count(least), Aim::Nothing);
    row("how often a watch was asked, most", Measured::Count(most), Aim::Nothing);
    row("between the two", Measured::Count(most - least), Aim::AtMost(1));

    let (mut late, mut skipped, mut silent) = (0, 0, 0);
    for n in 0..COUNT {
        let name = format!("page-{n}");
        let said = Command::new(STAKEOUT)
            .args(["history", &name, "--slots", "--since", "1h", "--format", "json", "-c"])
            .arg(&file)
            .output()
            .context("stakeout history")?;
        let said: Value =
            serde_json::from_slice(&said.stdout).with_context(|| format!("history of {name}"))?;
        for stretch in said.get("stretches").and_then(Value::as_array).into_iter().flatten() {
            let slots = stretch.get("slots").and_then(Value::as_u64).unwrap_or_default();
            match stretch.get("outcome").and_then(Value::as_str) {
                Some("late") => late += slots,
                Some("skipped") => skipped += slots,
                _ => continue,
            }
            let why = stretch.get("why").and_then(Value::as_str).unwrap_or_default();
            silent += if why.is_empty() { slots } else { 0 };
        }
    }
    row("slots that the coverage calls late", Measured::Count(late), Aim::Nothing);
    row("slots that it calls skipped", Measured::Count(skipped), Aim::Nothing);
    row("of these, without a reason", Measured::Count(silent), Aim::AtMost(0));
    Ok(())
}
