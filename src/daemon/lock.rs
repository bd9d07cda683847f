//! One daemon to a data directory, and where it can be asked.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::store;

/// The file that a daemon holds locked. Where it can be asked stands in it.
const NAME: &str = "stakeout.lock";

/// What stands there of a daemon without a web server.
const NOWHERE: &str = "nowhere";

/// Two daemons on one database would send the same deliveries.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the data directory, which is made where it is missing.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        store::create_data_dir(data_dir)?;
        let path = data_dir.join(NAME);
        // Not emptied: it may be another daemon's.
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        // A command that asks whether a daemon runs holds it for an instant.
        let mut taken = file.try_lock();
        for _ in 1..5 {
            if !matches!(taken, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
                bail!(
                    "another stakeout is running on the data directory {}; stop it first, or give this one another \
                     `data_dir`",
                    folder.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
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
///
/// # Errors
/// When it may not be looked at, or there are no locks.
pub fn running(data_dir: &Path) -> io::Result<Option<Running>> {
    let mut lock = match File::open(data_dir.join(NAME)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut said = String::new();
    lock.read_to_string(&mut said)?;
    Ok(Some(match said.trim() {
        NOWHERE => Running::Unasked,
        address => address.parse().map_or(Running::Starting, Running::At),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_starting_until_it_has_said_where_it_can_be_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let running = || running(folder.path()).expect("may be looked at");
        assert_eq!(running(), None);
        let mut lock = Lock::take(folder.path()).expect("free");
        assert_eq!(running(), Some(Running::Starting));
        let address = (std::net::Ipv4Addr::LOCALHOST, 8787).into();
        lock.say_where(Some(address)).expect("written");
        assert_eq!(running(), Some(Running::At(address)));
        lock.say_where(None).expect("written");
        assert_eq!(running(), Some(Running::Unasked));
        drop(lock);
        assert_eq!(running(), None);
        let _next = Lock::take(folder.path()).expect("free again");
        assert_eq!(running(), Some(Running::Starting), "what the last one said is forgotten");
    }
}
