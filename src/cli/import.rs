//! `stakeout import`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// What the other program keeps its watches in: urls.yaml of urlwatch or webchanges, JSON of changedetection.io,
    /// or a text with an address a line; `-` for standard input
    file: PathBuf,
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        bail!("{} cannot be read yet", self.file.display())
    }
}
