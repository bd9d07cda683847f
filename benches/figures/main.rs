//! Measures the figures that the daemon is held to, against a local origin, and prints each beside its aim.
//!
//! ```sh
//! STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures
//! STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures -- check start latency
//! ```
//!
//! `small` brings its own origin.
//!
//! The origin is a small server that plays pages, listings, charts and the chat webhook, and can be told to
//! change them (`--listen 127.0.0.1:PORT --candle-end UNIX_SECONDS`). A slow figure is printed, never a
//! failure: the exit code is 1 only when something did not work at all. Linux only: it reads `/proc`.

mod answers;
mod bench;
mod dashboard;
mod example;
mod faults;
mod many;
mod measure;
mod polite;
mod small;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use bench::Bench;

const SECTIONS: [&str; 7] = ["check", "start", "lateness", "unchanged", "listing", "candles", "latency"];
/// These take minutes, and are measured only when they are named.
const ON_REQUEST: [&str; 4] = ["dashboard", "faults", "polite", ALONE];
/// This one plays its own services.
const ALONE: &str = "small";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let mut wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| !SECTIONS.contains(name) && !ON_REQUEST.contains(name)) {
        eprintln!("`{unknown}` is not one of: {} {}", SECTIONS.join(" "), ON_REQUEST.join(" "));
        return ExitCode::FAILURE;
    }
    if wanted.is_empty() {
        wanted = SECTIONS.to_vec();
    }
    let origin = std::env::var_os("STAKEOUT_ORIGIN").map(PathBuf::from);
    if origin.is_none() && wanted.iter().any(|name| *name != ALONE) {
        println!("skipped: STAKEOUT_ORIGIN does not name the program of the local origin, for example");
        println!(
            "  STAKEOUT_ORIGIN=/path/to/bench-origin cargo bench --bench figures -- {}",
            wanted.join(" ")
        );
        wanted.retain(|name| *name == ALONE);
    }
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let origin = origin.unwrap_or_default();
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
    match name {
        "faults" => return faults::faults(program).await,
        ALONE => return small::small().await,
        _ => {}
    }
    let bench = Bench::start(program).await?;
    match name {
        "check" => many::check(&bench),
        "start" => many::start(&bench).await,
        "lateness" => many::lateness(&bench).await,
        "unchanged" => many::unchanged(&bench).await,
        "listing" => answers::listing(&bench).await,
        "candles" => answers::candles(&bench).await,
        "dashboard" => dashboard::dashboard(&bench).await,
        "polite" => polite::polite(&bench).await,
        _ => many::latency(&bench).await,
    }
}
