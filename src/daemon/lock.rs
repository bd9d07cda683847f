//! One daemon to a data directory, and where it can be asked.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The file that a daemon holds locked. Where it can be asked stands in it.
const NAME: &str = "stakeout.lock";

/// What stands there of a daemon without a web server.
const NOWHERE: &str = "nowhere";

/// Two daemons on one database would send the same deliveries.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the data directory, which is made where it is missing.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot create the data directory {}", data_dir.display()))?;
        let path = data_dir.join(NAME);
        // Not emptied: it may be another daemon's.
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        // A command that asks whether a daemon runs holds it for an instant.
        let is_ours = (0..5).any(|attempt| {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
            file.try_lock().is_ok()
        });
        if !is_ours {
            let folder = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
            bail!(
                "another stakeout is running on the data directory {}; stop it first, or give this one another \
                 `data_dir`",
                folder.display()
            );
        }
        // What the last one said.
        file.set_len(0)?;
        Ok(Self(file))
    }

    /// Writes down where the web server listens, once it does.
    pub(super) fn say_where(&mut self, address: Option<SocketAddr>) -> anyhow::Result<()> {
        let text = address.map_or_else(|| NOWHERE.to_owned(), |address| address.to_string()) + "\n";
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(text.as_bytes())?;
        Ok(())
    }
}

/// A daemon that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It has only just begun.
    Starting,
    /// It has no web server that could be asked.
    Unasked,
    /// Its web server listens here.
    At(SocketAddr),
}

/// The daemon that runs on a data directory.
#[must_use]
pub fn running(data_dir: &Path) -> Option<Running> {
    let mut lock = File::open(data_dir.join(NAME)).ok()?;
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut said = String::new();
    lock.read_to_string(&mut said).ok();
    Some(match said.trim() {
        NOWHERE => Running::Unasked,
        address => address.parse().map_or(Running::Starting, Running::At),
    })
}
