//! A copy of the database, consistent while the daemon goes on writing. Putting it in the place of
//! `stakeout.db` is all there is to restoring it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::Store;

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it lies.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
}

/// Copies the database of a data directory to `to`, on a connection of its own, and checks the copy. It
/// appears under its name only when it is whole and good, and only its owner can read it.
///
/// # Errors
/// When there is no database, or a file of that name unless it may be replaced, or the copy cannot be
/// written; then nothing is left behind.
pub async fn back_up(data_dir: &Path, to: &Path, replace: bool) -> anyhow::Result<Backup> {
    let database = Store::path_in(data_dir);
    ensure!(database.exists(), "there is no database at {}", database.display());
    if !replace && to.exists() {
        bail!("{} exists; name another file, or say --force to replace it", to.display());
    }
    ensure!(!is_same(&database, to), "{} is the database itself", to.display());
    let mut name = to.file_name().context("that is no name of a file")?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = to.with_file_name(name);
    let made = copy(&database, &partial).await;
    let made = made.and_then(|bytes| {
        std::fs::rename(&partial, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Backup { path: to.to_owned(), bytes })
    });
    if made.is_err() {
        // What is half done helps nobody.
        let _ = std::fs::remove_file(&partial);
    }
    made.with_context(|| format!("cannot back up to {}", to.display()))
}

async fn copy(database: &Path, to: &Path) -> anyhow::Result<u64> {
    // SQLite fills an empty file that is there, and so its permissions are ours to say.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let options = |path: &Path| {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
        options.busy_timeout(Duration::from_secs(10)).disable_statement_logging()
    };
    let mut source = options(database).connect().await?;
    let written = sqlx::query("vacuum into ?").bind(to.to_string_lossy().into_owned());
    written.execute(&mut source).await?;
    source.close().await?;
    let mut copied = options(to).read_only(true).connect().await?;
    let verdict: String = sqlx::query_scalar("pragma quick_check(1)").fetch_one(&mut copied).await?;
    copied.close().await?;
    ensure!(verdict == "ok", "the copy is damaged: {verdict}");
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Copies the database of this connection to a file that is there only when it is whole, for its owner alone.
pub(super) async fn copy_aside(connection: &mut SqliteConnection, to: &Path) -> anyhow::Result<()> {
    let mut name = to.file_name().context("that is no name of a file")?.to_owned();
    name.push(".partial");
    let partial = to.with_file_name(name);
    // One that an earlier start has left half done.
    if partial.exists() {
        std::fs::remove_file(&partial)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    sqlx::query("vacuum into ?").bind(partial.to_string_lossy().into_owned()).execute(connection).await?;
    file.sync_all()?;
    std::fs::rename(&partial, to)?;
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    let [a, b] = [a, b].map(std::fs::metadata);
    matches!((a, b), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}
