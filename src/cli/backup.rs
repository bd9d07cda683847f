//! `stakeout backup`

use std::path::PathBuf;
use std::process::ExitCode;

use super::ConfigFile;
use crate::store::back_up;

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where the copy is to lie
    file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Backup {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let copy = back_up(&self.config.data_dir()?, &self.file, self.force).await?;
        println!("Copied the database to {}: {}, checked and good.", copy.path.display(), size(copy.bytes));
        Ok(ExitCode::SUCCESS)
    }
}

/// `12.3 MiB`
fn size(bytes: u64) -> String {
    let mut size = bytes as f64 / 1_024.0;
    for unit in ["KiB", "MiB", "GiB"] {
        if size < 1_024.0 {
            return format!("{size:.1} {unit}");
        }
        size /= 1_024.0;
    }
    format!("{size:.1} TiB")
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_shown_in_their_unit() {
        for (bytes, shown) in
            [(512, "0.5 KiB"), (86_016, "84.0 KiB"), (3_407_872, "3.2 MiB"), (5 << 40, "5.0 TiB")]
        {
            assert_eq!(super::size(bytes), shown);
        }
    }
}
