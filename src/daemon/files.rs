//! Notices changes of the configuration's files.

use std::collections::BTreeSet;
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
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl WatchedFiles {
    /// Those of the configuration at `path`; `None`, with a word, where the system does not allow it.
    pub(super) fn of(path: &Path, changed: &Arc<Notify>) -> Option<Self> {
        let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
        let rings = Arc::clone(changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_toml)) {
                rings.notify_one();
            }
        });
        let watcher = watcher.map_err(|error| unnoticed(&error)).ok()?;
        let mut watched = Self { watcher, folders: BTreeSet::new(), changed: Arc::clone(changed) };
        watched.folders = watched.begin(config::folders(path));
        Some(watched)
    }

    /// The configuration may include other folders now. Where one is new, what was written into it until now is read
    /// once more.
    pub(super) fn renew(&mut self, path: &Path) {
        let wanted = config::folders(path);
        let gone: Vec<PathBuf> = self.folders.difference(&wanted).cloned().collect();
        for folder in gone {
            // A folder that is no longer there is no longer watched either.
            let _ = self.watcher.unwatch(&folder);
            self.folders.remove(&folder);
        }
        let new = self.begin(wanted.difference(&self.folders).cloned().collect());
        if !new.is_empty() {
            self.folders.extend(new);
            self.changed.notify_one();
        }
    }

    /// Those of them that are watched from now on.
    fn begin(&mut self, folders: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let watcher = &mut self.watcher;
        let mut is_watched = |folder: &PathBuf| {
            let begun = watcher.watch(folder, RecursiveMode::NonRecursive);
            begun.inspect_err(unnoticed).is_ok()
        };
        folders.into_iter().filter(|folder| is_watched(folder)).collect()
    }
}

fn unnoticed(error: &notify::Error) {
    warn!(%error, "Changes of the configuration are not noticed; SIGHUP still reloads it");
}
