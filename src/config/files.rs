//! The files of a configuration: which they are, what they include, and where its data lie.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Mistakes};
use super::text_of;

/// Where the package, the unit and the image have the configuration, and where they keep its data.
const INSTALLED: (&str, &str) = ("/etc/stakeout", "/var/lib/stakeout");

/// One file of the configuration.
#[derive(Clone)]
pub struct File {
    /// Where it was read from.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads a file and those it includes, each once.
///
/// # Errors
/// When one cannot be read, with its path; a pattern that matches nothing is no error.
pub fn read(path: &Path) -> Result<Vec<File>, Mistakes> {
    let main = read_file(path)?;
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut known = BTreeSet::from([whole(path)]);
    let patterns = included(&main.text);
    let found = patterns.iter().flat_map(|pattern| matching(folder_of(path), pattern));
    let found: Vec<PathBuf> = found.filter(|path| known.insert(whole(path))).collect();
    let mut files = vec![main];
    for path in found {
        files.push(read_file(&path)?);
    }
    Ok(files)
}

/// The folders that the files of a configuration lie in, and those in which new ones may appear.
#[must_use]
pub fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let main = folder_of(path);
    let included = read_file(path).map(|file| included(&file.text)).unwrap_or_default();
    let of_pattern = |pattern: &String| main.join(pattern).parent().map(Path::to_owned);
    let folders = included.iter().filter_map(of_pattern).chain([main.to_owned()]);
    // By one spelling each; what is not there has none.
    folders.filter_map(|folder| folder.canonicalize().ok()).filter(|folder| folder.is_dir()).collect()
}

/// What a main file includes. What is wrong with it is told when the whole file is read.
fn included(text: &str) -> Vec<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let include = table.get_ref().get("include").and_then(|value| patterns(value.get_ref(), true).ok());
    include.unwrap_or_default()
}

fn read_file(path: &Path) -> Result<File, Mistakes> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(File { path: path.to_owned(), text }),
        Err(error) => Err(Mistakes::of(Mistake {
            file: path.to_owned(),
            line: None,
            place: String::new(),
            message: format!("cannot be read: {error}"),
        })),
    }
}

/// What stands after `include`, or what is wrong with it.
pub(super) fn patterns(value: &DeValue<'_>, is_main: bool) -> Result<Vec<String>, &'static str> {
    if !is_main {
        return Err("only the main file can include others; name this one there");
    }
    let texts = value.as_array().map(|items| {
        items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    texts.flatten().ok_or("must be a list of files, such as [\"watches/*.toml\"]")
}

/// The files that a pattern names, in order.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let whole = folder.join(pattern);
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    if !name.contains('*') {
        return vec![whole];
    }
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let fits =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|file| fits(name, file));
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    found
}

/// Whether a name is as the pattern says, in which each `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(end)
}

/// The folder in which a file lies; of a mere name the one we are in.
pub(super) fn folder_of(config: &Path) -> &Path {
    config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The configuration that a command reads which is told of none.
#[must_use]
pub fn usual_path() -> PathBuf {
    let (here, installed) = (PathBuf::from("config.toml"), Path::new(INSTALLED.0).join("config.toml"));
    if !here.exists() && installed.exists() { installed } else { here }
}

/// Where the data of a configuration lie: as `STAKEOUT_DATA_DIR` says, else as the file does (empty where it
/// does not).
#[must_use]
pub fn data_dir(config: &Path, written: &Path) -> PathBuf {
    if let Some(given) = env::var_os("STAKEOUT_DATA_DIR") {
        return given.into();
    }
    let folder = folder_of(config);
    match written {
        written if !written.as_os_str().is_empty() => folder.join(written),
        _ if folder.canonicalize().is_ok_and(|folder| folder == Path::new(INSTALLED.0)) => INSTALLED.1.into(),
        _ => folder.join("data"),
    }
}

/// The same of a configuration that may have mistakes in it, as for asking after a daemon that runs with an older
/// state of it.
///
/// # Errors
/// Where it says where the data lie and that cannot be understood: in no case another place is taken for it.
pub fn data_dir_of(config: &Path) -> Result<PathBuf, String> {
    if env::var_os("STAKEOUT_DATA_DIR").is_some() {
        return Ok(data_dir(config, Path::new("")));
    }
    let (files, missing) = match read(config) {
        Ok(files) => (files, None),
        // The main file may say it all the same; else the one that cannot be read may.
        Err(missing) => (read_file(config).into_iter().collect(), Some(missing)),
    };
    let mut in_doubt = missing.as_ref().and_then(|missing| missing.iter().next()).map(ToString::to_string);
    for file in &files {
        let at = |why: &str| format!("{}: {why}", file.path.display());
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        // A broken one may say it where nobody can tell of which table.
        let names_it = || file.text.lines().any(|line| line.trim_start().starts_with("data_dir"));
        if let Some(error) = errors.first().filter(|_| names_it()) {
            in_doubt.get_or_insert_with(|| at(error.message()));
        }
        let Some(daemon) = table.get_ref().get("daemon") else { continue };
        let Some(daemon) = daemon.get_ref().as_table() else {
            return Err(at("`daemon` must be a table"));
        };
        if let Some(written) = daemon.get("data_dir") {
            let written = text_of(written, folder_of(config));
            let written = written.map_err(|why| at(&format!("[daemon]: data_dir: {why}")))?;
            return Ok(data_dir(config, Path::new(&written)));
        }
    }
    in_doubt.map_or_else(|| Ok(data_dir(config, Path::new(""))), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_star_stands_for_any_text() {
        for (pattern, name, is_so) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml~", false),
            ("*-*.toml", "a-b.toml", true),
            ("*-*.toml", "ab.toml", false),
            ("w*w.toml", "w.toml", false),
            ("a*b*c", "axbxbc", true),
            ("a*b*c", "axc", false),
        ] {
            assert_eq!(fits(pattern, name), is_so, "{pattern} {name}");
        }
    }

    #[test]
    fn the_data_are_found_wherever_and_however_the_files_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let config = folder.path().join("config.toml");
        let found = |text: &str| {
            write("config.toml", text);
            data_dir_of(&config).expect("a place")
        };
        write("daemon.toml", "[daemon]\ndata_dir = '/of/included'");
        write("place", "/of/a/file\n");
        assert_eq!(found(""), folder.path().join("data"));
        assert_eq!(
            found("[daemon]\ndata_dir = 'there'\n[watch"),
            folder.path().join("there"),
            "also with mistakes"
        );
        assert_eq!(found("include = ['daemon.toml']"), Path::new("/of/included"));
        assert_eq!(found("[daemon]\ndata_dir = { file = 'place' }"), Path::new("/of/a/file"));
        assert_eq!(found("[daemon]\ndata_dir = '${CARGO_PKG_NAME}'"), folder.path().join("stakeout"));
        assert_eq!(
            found("include = ['gone.toml']\n[daemon]\ndata_dir = 'there'"),
            folder.path().join("there")
        );
    }

    #[test]
    fn no_other_place_is_taken_for_one_that_is_not_understood() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        for (text, why) in [
            ("[daemon]\ndata_dir = '${STAKEOUT_TEST_UNSET}'", "`STAKEOUT_TEST_UNSET` is not set"),
            ("[daemon]\ndata_dir = { file = 'gone' }", "cannot be read"),
            ("[daemon]\ndata_dir = 1", "is no text"),
            ("include = ['gone.toml']", "gone.toml: cannot be read"),
            ("[daemon\ndata_dir = 'there'", "config.toml: "),
            ("daemon = 1", "must be a table"),
        ] {
            std::fs::write(&config, text).expect("written");
            let told = data_dir_of(&config).expect_err(text);
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn a_file_that_two_patterns_name_is_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, "include = ['a.toml', '*.toml']").expect("written");
        std::fs::write(folder.path().join("a.toml"), "").expect("written");
        let files = read(&config).expect("files");
        let names: Vec<_> = files.iter().filter_map(|file| file.path.file_name()).collect();
        assert_eq!(names, ["config.toml", "a.toml"]);
    }

    #[test]
    fn a_folder_in_which_files_may_appear_is_known_before_there_are_any() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, "include = ['watches/*.toml', 'later/*.toml']").expect("written");
        std::fs::create_dir(folder.path().join("watches")).expect("made");
        let main = folder.path().canonicalize().expect("a path");
        assert_eq!(folders(&config), BTreeSet::from([main.clone(), main.join("watches")]));
    }
}
