//! Watches that were added while the daemon runs, beside those of the files: built by the same code.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, File, Mistakes};

use super::{Watch, Watchlist};

/// What a watchlist was built from, so that it can be built again with others beside.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) files: Vec<File>,
    /// The variables that stand in them, with what they meant.
    pub(super) variables: HashMap<String, Option<String>>,
}

impl Watchlist {
    /// The same configuration with these watches, and no others, beside those of its files, and with other strategies for one of
    /// them (see [`Watchlist::load_trying`]). What was left out stays so.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn with(&self, added: &[File], tried: Option<(&str, &str)>) -> Result<Self, Mistakes> {
        let environment = |name: &str| self.origin.variables.get(name).cloned().flatten();
        let mut with = Self::build_trying(&self.origin.files, added, &environment, tried)?;
        with.daemon.data_dir.clone_from(&self.daemon.data_dir);
        with.left_out.clone_from(&self.left_out);
        Ok(with)
    }

    /// The same configuration with those of these watches, by name and TOML, that can be built beside its files;
    /// the others are left out. One of a name that stands in a file gives way to it and is not
    /// counted.
    #[must_use]
    pub fn joined_by(self, added: &[(String, String)]) -> Self {
        // Also one that a file takes over under another name.
        let of_files: HashSet<&str> = self
            .of_files()
            .flat_map(|watch| [Some(watch.name.as_str()), watch.was.as_deref()])
            .flatten()
            .collect();
        let mut files: Vec<File> = added
            .iter()
            .filter(|(name, _)| !of_files.contains(name.as_str()))
            .map(|(name, toml)| config::added_file(name, toml.clone()))
            .collect();
        let mut wrong: Vec<(PathBuf, Mistakes)> = Vec::new();
        let joined = loop {
            let mistakes = match self.with(&files, None) {
                Ok(with) => break with,
                Err(mistakes) => mistakes,
            };
            let told: HashSet<PathBuf> = mistakes.iter().map(|mistake| mistake.file.clone()).collect();
            let (bad, good): (Vec<File>, Vec<File>) =
                files.into_iter().partition(|file| told.contains(&file.path));
            wrong.extend(bad.iter().map(|file| (file.path.clone(), mistakes.of_file(&file.path))));
            files = if bad.is_empty() { self.one_by_one(good, &mut wrong) } else { good };
            if files.is_empty() {
                break self;
            }
        };
        let why = |name: &String| {
            let path = config::added_file(name, String::new()).path;
            wrong
                .iter()
                .find(|(file, _)| *file == path)
                .map(|(_, mistakes)| (name.clone(), mistakes.to_string()))
        };
        let left_out = added.iter().filter_map(|(name, _)| why(name)).collect();
        Self { left_out, ..joined }
    }

    /// Those that can be built, where no mistake says which of them cannot.
    fn one_by_one(&self, files: Vec<File>, wrong: &mut Vec<(PathBuf, Mistakes)>) -> Vec<File> {
        let mut good = Vec::new();
        for file in files {
            let path = file.path.clone();
            good.push(file);
            if let Err(mistakes) = self.with(&good, None) {
                wrong.push((path, mistakes));
                good.pop();
            }
        }
        good
    }

    /// The watches that stand in files.
    pub fn of_files(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.watches.iter().filter(|watch| watch.toml.is_none())
    }

    /// The watches that were added, each as the file that it is.
    #[must_use]
    pub fn added(&self) -> Vec<File> {
        let file = |watch: &Arc<Watch>| Some(config::added_file(&watch.name, watch.toml.clone()?));
        self.watches.iter().filter_map(file).collect()
    }
}
