//! `stakeout run`, `stakeout demo`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, start_logging};
use crate::config::{File, LogFormat, Web};
use crate::watchlist::Watchlist;
use crate::{daemon, demo};

pub(super) async fn run(config: &ConfigFile) -> anyhow::Result<ExitCode> {
    // Watches that were added join when the daemon has opened the database.
    let watchlist = config.load_files(None)?;
    start_logging(&watchlist.daemon.log_level, watchlist.daemon.log_format)?;
    daemon::run(watchlist, Some(config.path()), |_| {}, told_to_stop()?).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn demo(seconds: Option<u64>) -> anyhow::Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("stakeout-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("cannot create a folder for the demo")?;
    let shown = show(&folder, seconds).await;
    std::fs::remove_dir_all(&folder).ok();
    shown
}

async fn show(folder: &std::path::Path, seconds: Option<u64>) -> anyhow::Result<ExitCode> {
    let origin = demo::Origin::start().context("cannot listen on loopback")?;
    let text = demo::config(&origin.url(), folder);
    let file = File { path: "the demo's own configuration".into(), text };
    let mut watchlist = Watchlist::build(&[file], &|_| None)?;
    watchlist.web = Some(Web { or_another_port: true, ..Web::default() });
    start_logging("warn", LogFormat::Text)?;
    let url = origin.url();
    let greet = move |dashboard: Option<SocketAddr>| {
        if let Some(address) = dashboard {
            println!("The dashboard is at http://{address}/\n");
        }
        println!(
            "A shop, three markets and the gasoline prices are played on {url}; the watches look every second.\n\
             Their messages follow. Stop with Ctrl-C.\n",
        );
    };
    let stop = told_to_stop()?;
    let end = async move {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => stop.await,
        }
    };
    daemon::run(watchlist, None, greet, end).await?;
    Ok(ExitCode::SUCCESS)
}

/// Ends with SIGTERM or SIGINT.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
