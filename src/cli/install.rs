//! `stakeout completions`, `stakeout manual`: what a package puts beside the program.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Arguments;

pub(super) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stakeout", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// A page for the program and one for each command.
pub(super) fn manual(folder: &Path) -> anyhow::Result<ExitCode> {
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
    written.with_context(|| format!("cannot write the manual into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
