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
        let of_files: HashSet<&str> = self.of_files().map(|watch| watch.name.as_str()).collect();
        let mut files: Vec<(&str, File)> = added
            .iter()
            .filter(|(name, _)| !of_files.contains(name.as_str()))
            .map(|(name, toml)| (name.as_str(), config::added_file(name, toml.clone())))
            .collect();
        let mut left_out: Vec<(String, String)> = Vec::new();
        while !files.is_empty() {
            let all: Vec<File> = files.iter().map(|(_, file)| file.clone()).collect();
            let mistakes = match self.with(&all, None) {
                Ok(with) => return Self { left_out, ..with },
                Err(mistakes) => mistakes,
            };
            let wrong: HashSet<PathBuf> = mistakes.iter().map(|mistake| mistake.file.clone()).collect();
            // Without them the configuration is good: one of them it is.
            let is_known = files.iter().any(|(_, file)| wrong.contains(&file.path));
            let (bad, good): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|(_, file)| !is_known || wrong.contains(&file.path));
            for (name, file) in bad {
                let own = if is_known { mistakes.of_file(&file.path) } else { mistakes.clone() };
                left_out.push((name.to_owned(), own.to_string()));
            }
            files = good;
        }
        Self { left_out, ..self }
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
