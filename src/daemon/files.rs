//! Notices changes of the configuration's files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tracing::warn;

use crate::config;

/// Rings `changed` when a file of the configuration changes. Its folder is watched, not the file: an
/// editor that saves by renaming puts another file in its place. Folders below it are not, because the
/// database may lie in one.
pub(super) fn watch_files(path: &Path, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_toml)) {
            changed.notify_one();
        }
    })
    .and_then(|mut watcher| {
        for folder in folders(path) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    started
        .map_err(
            |error| warn!(%error, "Changes of the configuration are not noticed; SIGHUP still reloads it"),
        )
        .ok()
}

/// The folders that the files of the configuration lie in.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let of = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    };
    let included = config::read(path).unwrap_or_default();
    included.iter().map(|file| of(&file.path)).chain([of(path)]).collect()
}
