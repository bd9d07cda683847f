//! Notices changes of the configuration's files.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tracing::warn;

use crate::config;

/// Rings when a file of the configuration changes. Its folder is watched, not the file: an editor that saves by
/// renaming puts another file in its place. Folders below it are not, because the database may lie in one.
pub(super) struct WatchedFiles {
    watcher: RecommendedWatcher,
    folders: BTreeSet<Folder>,
    changed: Arc<Notify>,
}

/// Two may lie at one place, one after the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Folder {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl WatchedFiles {
    /// Those of the configuration at `path`; `None`, with a word, where the system does not allow it.
    pub(super) fn of(path: &Path, changed: &Arc<Notify>) -> Option<Self> {
        // What has no ending may be a folder that comes or goes.
        let may_be_one = |path: &PathBuf| path.extension().is_none_or(|extension| extension == "toml");
        let rings = Arc::clone(changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(may_be_one)) {
                rings.notify_one();
            }
        });
        let watcher = watcher.map_err(|error| unnoticed(&error)).ok()?;
        let mut watched = Self { watcher, folders: BTreeSet::new(), changed: Arc::clone(changed) };
        watched.begin(folders(path));
        Some(watched)
    }

    /// The configuration may include other folders now, or another may lie in the place of one. What was written into
    /// a new one until now is read once more.
    pub(super) fn renew(&mut self, path: &Path) {
        let wanted = folders(path);
        let gone: Vec<Folder> = self.folders.difference(&wanted).cloned().collect();
        for folder in gone {
            // One that is no longer there is no longer watched either.
            let _ = self.watcher.unwatch(&folder.path);
            self.folders.remove(&folder);
        }
        if self.begin(wanted.difference(&self.folders).cloned().collect()) {
            self.changed.notify_one();
        }
    }

    /// Whether there is one that is watched from now on.
    fn begin(&mut self, new: BTreeSet<Folder>) -> bool {
        let before = self.folders.len();
        for folder in new {
            match self.watcher.watch(&folder.path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) => unnoticed(&error),
            }
        }
        self.folders.len() > before
    }
}

/// The folders as they lie there now.
fn folders(path: &Path) -> BTreeSet<Folder> {
    let as_it_is = |path: PathBuf| {
        let found = path.metadata().ok()?;
        Some(Folder { path, device: found.dev(), inode: found.ino() })
    };
    config::folders(path).into_iter().filter_map(as_it_is).collect()
}

fn unnoticed(error: &notify::Error) {
    warn!(%error, "Changes of the configuration are not noticed; SIGHUP still reloads it");
}
