//! Values that lie in files: `{ file = "…" }` and `{ credential = "…" }`.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

/// What `LoadCredential=` of the unit calls the folder, and so what systemd writes before each name in it.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#LoadCredential=ID:PATH>
const FOLDER: &str = "credentials";

/// Reads the value where a table is only `file` or only `credential`; `None` for any other table.
/// A relative path is meant from `folder`, where the configuration lies.
pub(super) fn read(table: &DeTable<'_>, folder: &Path) -> Option<Result<String, String>> {
    let path = path(table, folder, env::var_os("CREDENTIALS_DIRECTORY"))?;
    Some(path.and_then(|path| {
        std::fs::read_to_string(&path).map(|text| text.trim_end_matches(['\n', '\r']).to_owned()).map_err(
            |error| {
                // A service has what lay there when it was started.
                let is_new = error.kind() == ErrorKind::NotFound && path.starts_with("/run/credentials");
                let hint = if is_new {
                    "; systemd hands credentials over when a service starts: restart it"
                } else {
                    ""
                };
                format!("{} cannot be read: {error}{hint}", path.display())
            },
        )
    }))
}

fn path(table: &DeTable<'_>, folder: &Path, given: Option<OsString>) -> Option<Result<PathBuf, String>> {
    let mut keys = table.iter();
    let (key, value) = keys.next()?;
    if keys.next().is_some() {
        return None;
    }
    let value = value.get_ref().as_str()?;
    match key.get_ref().as_ref() {
        "file" => Some(Ok(folder.join(value))),
        "credential" if value.is_empty() || value.contains('/') || value.starts_with('.') => {
            Some(Err(format!("`{value}` is not the name of a credential")))
        }
        "credential" => Some(Ok(credential(value, folder, given))),
        _ => None,
    }
}

/// systemd hands a service its credentials in a folder of its own: one that has a line for itself by its name, and
/// those of a whole folder with its name before theirs. Without systemd, as for commands that are typed, they
/// lie in `credentials` beside the configuration.
fn credential(name: &str, folder: &Path, given: Option<OsString>) -> PathBuf {
    let Some(given) = given.map(PathBuf::from) else { return folder.join(FOLDER).join(name) };
    let of_folder = given.join(format!("{FOLDER}_{name}"));
    if of_folder.exists() { of_folder } else { given.join(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(table: &str, given: Option<&Path>) -> Option<Result<PathBuf, String>> {
        let table = DeTable::parse(table).expect("TOML").into_inner();
        path(&table, Path::new("/etc/stakeout"), given.map(|path| path.as_os_str().to_owned()))
    }

    fn found(table: &str, given: Option<&Path>) -> PathBuf {
        path_of(table, given).expect("a reference").expect("a path")
    }

    #[test]
    fn a_file_is_found_from_where_the_configuration_lies() {
        assert_eq!(found("file = 'key'", None), Path::new("/etc/stakeout/key"));
        assert_eq!(found("file = '/run/secrets/key'", None), Path::new("/run/secrets/key"));
    }

    #[test]
    fn a_credential_has_a_line_of_its_own_or_comes_with_its_folder() {
        let given = tempfile::tempdir().expect("a folder");
        std::fs::write(given.path().join("credentials_discord"), "x").expect("written");
        assert_eq!(
            found("credential = 'discord'", Some(given.path())),
            given.path().join("credentials_discord")
        );
        assert_eq!(found("credential = 'finnhub'", Some(given.path())), given.path().join("finnhub"));
    }

    #[test]
    fn commands_that_are_typed_find_credentials_beside_the_configuration() {
        assert_eq!(found("credential = 'discord'", None), Path::new("/etc/stakeout/credentials/discord"));
    }

    #[test]
    fn a_credential_is_a_name_and_leads_nowhere_else() {
        for name in ["../shadow", "/etc/shadow", "", "."] {
            let path = path_of(&format!("credential = '{name}'"), None).expect("a reference");
            assert!(path.is_err(), "{name}");
        }
    }

    #[test]
    fn other_tables_are_left_as_they_are() {
        assert!(path_of("file = 'a'\nother = 'b'", None).is_none());
        assert!(path_of("file = 1", None).is_none());
    }
}
