//! `stakeout check`

use std::io::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;

use super::ConfigFile;
use super::table::table;

pub(super) async fn check(config: &ConfigFile, now: Timestamp) -> anyhow::Result<ExitCode> {
    let watchlist = config.load().await?;
    let mut rows = Vec::with_capacity(watchlist.watches.len());
    for watch in &watchlist.watches {
        let ticks: Vec<String> = if watch.enabled {
            let slots = watch.timetable.next(now, 3).into_iter();
            slots
                .map(|slot| slot.to_zoned(watch.zone.clone()).strftime("%a %m-%d %H:%M:%S").to_string())
                .collect()
        } else {
            vec!["disabled".into()]
        };
        let strategies: Vec<&str> = watch.judges.iter().map(|judge| judge.name.as_str()).collect();
        rows.push(vec![
            watch.name.clone(),
            watch.source_kind.to_owned(),
            strategies.join(", "),
            watch.notify.join(", "),
            watch.zone.iana_name().unwrap_or("UTC").to_owned(),
            ticks.join(", "),
        ]);
    }
    let mut out = std::io::stdout().lock();
    let headings = ["WATCH", "SOURCE", "STRATEGIES", "TELLS", "ZONE", "NEXT THREE TICKS"];
    if !rows.is_empty() {
        writeln!(out, "{}", table(&headings, &rows))?;
    }
    for hurried in watchlist.hurried_hosts(now) {
        writeln!(out, "note: {hurried}.")?;
    }
    let notifiers: Vec<String> =
        watchlist.notifiers.values().map(|told| format!("{} ({})", told.name, told.kind)).collect();
    let watches = match watchlist.watches.len() {
        0 => "No watch: nothing will be watched".to_owned(),
        1 => "1 watch".to_owned(),
        several => format!("{several} watches"),
    };
    writeln!(out, "{watches}; notifiers: {}. No mistakes.", notifiers.join(", "))?;
    Ok(ExitCode::SUCCESS)
}
