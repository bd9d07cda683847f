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
    /// The same configuration with these watches, and no others, beside those of its files, and with other
    /// strategies for one of them (see [`Watchlist::load_trying`]). What was left out stays so.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn with(&self, added: &[File], tried: Option<(&str, &str)>) -> Result<Self, Mistakes> {
        let environment = |name: &str| self.origin.variables.get(name).cloned().flatten();
        let mut with = Self::build_trying(&self.origin.files, added, &environment, tried)?;
        with.daemon.data_dir.clone_from(&self.daemon.data_dir);
        with.left_out.clone_from(&self.left_out);
        with.stored.clone_from(&self.stored);
        Ok(with)
    }

    /// The same configuration without any watch that was added.
    ///
    /// # Errors
    /// None that it did not have before.
    pub fn of_files_alone(&self) -> Result<Self, Mistakes> {
        Ok(Self { left_out: Vec::new(), stored: Vec::new(), ..self.with(&[], None)? })
    }

    /// The same with one more. What was left out may come back with it.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn and(&self, name: &str, new: File) -> Result<Self, Mistakes> {
        let mut stored = self.stored.clone();
        stored.push((name.to_owned(), new.text.clone()));
        let mut added = self.added();
        added.push(new);
        let with = Self { stored: stored.clone(), ..self.with(&added, None)? };
        if self.left_out.is_empty() {
            return Ok(with);
        }
        let all = self.of_files_alone()?.joined_by(&stored);
        // But none that runs gives way to one that comes back.
        let runs: HashSet<&str> = all.watches.iter().map(|watch| watch.name.as_str()).collect();
        if with.watches.iter().all(|watch| runs.contains(watch.name.as_str())) { Ok(all) } else { Ok(with) }
    }

    /// The same without one that was added. It stays among those that are known to be stored.
    ///
    /// # Errors
    /// What needs it.
    pub fn without(&self, name: &str) -> Result<Self, Mistakes> {
        let path = config::added_file(name, String::new()).path;
        let others: Vec<File> = self.added().into_iter().filter(|file| file.path != path).collect();
        let mut without = self.with(&others, None)?;
        without.left_out.retain(|(left_out, _)| left_out != name);
        Ok(without)
    }

    /// Whether a watch was added and cannot be built beside the files.
    #[must_use]
    pub fn is_left_out(&self, name: &str) -> bool {
        self.left_out.iter().any(|(left_out, _)| left_out == name)
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
        Self { left_out, stored: added.to_vec(), ..joined }
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
