//! `stakeout completions`, `stakeout manual`: what a package puts beside the program.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Arguments;

pub(super) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stakeout", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// A page for the program and one for each command.
pub(super) fn manual(folder: &Path) -> anyhow::Result<ExitCode> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let written = std::fs::create_dir_all(folder).and_then(|()| write_pages(&program, folder));
    written.with_context(|| format!("cannot write the manual into {}", folder.display()))?;
    println!("Wrote the manual pages into {}; `man -l` shows one", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Each page names the program and its version, since a command has none of its own.
fn write_pages(command: &clap::Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let source = concat!("stakeout ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).generate_to(folder).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_command_says_of_which_program_and_version_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        manual(folder.path()).unwrap();
        for name in ["stakeout", "stakeout-run", "stakeout-silence-add"] {
            let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            let title = format!(".TH {name} 1  \"stakeout {}\"", env!("CARGO_PKG_VERSION"));
            assert!(page.contains(&title), "{page}");
        }
    }
}
