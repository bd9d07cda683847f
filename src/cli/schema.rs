//! `stakeout schema`

use std::io::Write as _;
use std::process::ExitCode;

use crate::watchlist;

pub(super) fn print() -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&watchlist::schema())?)?;
    Ok(ExitCode::SUCCESS)
}
