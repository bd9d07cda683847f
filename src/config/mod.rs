//! The configuration as data: which files it is, what stands in them, what is wrong with them. Nothing
//! is built here; `watchlist` does that.
//!
//! Values are expanded after parsing, text by text: `${NAME}` from the environment, `{ file = "…" }` and
//! `{ credential = "…" }` from a file. What was expanded never appears in a mistake.

mod added;
mod concealed;
mod fault;
mod files;
mod keys;
mod mistake;
mod outside;
mod secrets;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::model::did_you_mean;
use crate::sessions::AdHoc;
pub use added::{added_file, added_watch};
pub use concealed::Secrets;
pub use fault::{Fault, deserialize, deserialize_beside, unknown_field, with_hint};
pub use files::{File, data_dir, data_dir_of, folders, read, usual_path};
pub use keys::{
    Alerting, BackoffKeys, BackupKeys, Daemon, Fetch, LogFormat, METHODS, NotifyKeys, Pace, RequestKeys,
    Retention, Retry, WatchKeys, Web,
};
pub use mistake::{Mistake, Mistakes};
pub use secrets::{fingerprint, mask_secrets};
use secrets::{parts_in, plain, secrets_in, written};
pub use values::{Budget, LOG_LEVELS, Network, Proxy, Reminder, Size, Stale, is_log_filter};

/// A table as JSON, secrets and all, the same wherever it stands in its file.
#[must_use]
pub fn as_json(table: &DeTable<'_>) -> serde_json::Value {
    plain(&DeValue::Table(table.clone()))
}

/// Where a variable's value comes from.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The configuration, checked table by table; the plug-ins' own tables are still as they stand.
#[derive(Default)]
pub struct Config<'i> {
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[web]`
    pub web: Option<Web>,
    /// `[fetch]`
    pub fetch: Fetch,
    /// `[alerting]`
    pub alerting: Alerting,
    /// `[hours.NAME]`, each with its place.
    pub hours: BTreeMap<String, (AdHoc, Place)>,
    /// `[source.KIND]`
    pub sources: BTreeMap<String, Entry<'i>>,
    /// `[notify.NAME]`
    pub notifiers: BTreeMap<String, Entry<'i>>,
    /// `[watch.NAME]`, in the order of the files.
    pub watches: Vec<Entry<'i>>,
    /// Where the keys of `[daemon]`, `[web]`, `[fetch]` and `[alerting]` stand, as `fetch.timeout`; of
    /// `fetch.host` each host.
    pub places: HashMap<String, Place>,
    /// Secrets that are written out in these tables.
    pub secrets: Vec<String>,
}

/// A named table.
#[derive(Clone)]
pub struct Entry<'i> {
    /// Its name.
    pub name: String,
    /// Its keys, expanded.
    pub table: Spanned<DeTable<'i>>,
    /// Its keys as JSON, as they are written: nothing expanded, and nothing secret.
    pub written: String,
    /// The values in it that are shown nowhere: those that came from outside the files, and secrets that are
    /// written out.
    pub secrets: Vec<String>,
    /// Parts of them that are keys by themselves, such as what follows `Bearer`.
    pub secret_parts: Vec<String>,
    /// Where its name stands.
    pub place: Place,
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// A place in one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: usize,
    /// Which bytes.
    pub span: Range<usize>,
}

/// Understands the files; every mistake goes to `mistakes`.
pub fn parse<'i>(files: &'i [File], environment: Environment<'_>, mistakes: &mut Mistakes) -> Config<'i> {
    let mut config = Config::default();
    let folder = files.first().map_or(Path::new("."), |main| files::folder_of(&main.path));
    let mut first = HashMap::new();
    for (index, file) in files.iter().enumerate() {
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        for error in &errors {
            mistakes.add(index, error.span(), "", &in_quotes(error, &file.text));
        }
        if errors.is_empty() {
            let mut reader = Reader {
                file: index,
                files,
                first: &mut first,
                folder,
                environment,
                mistakes,
                expanded: Vec::new(),
                of_all: Vec::new(),
            };
            reader.read(table.into_inner(), &mut config);
            config.secrets.append(&mut reader.of_all);
        }
    }
    config.watches.sort_by_key(|watch| (watch.place.file, watch.place.span.start));
    config
}

const TABLES: [&str; 9] =
    ["daemon", "web", "fetch", "alerting", "hours", "source", "notify", "watch", "include"];

struct Reader<'r, 'e> {
    file: usize,
    /// All of them.
    files: &'r [File],
    /// In which file a table stands first.
    first: &'r mut HashMap<String, usize>,
    /// Where the configuration lies.
    folder: &'r Path,
    environment: Environment<'e>,
    mistakes: &'r mut Mistakes,
    /// What came from outside the files into the present table.
    expanded: Vec<String>,
    /// Secrets that are written out in a table of the daemon's own.
    of_all: Vec<String>,
}

/// A single text with what it refers to.
///
/// # Errors
/// Why it cannot be had.
fn text_of(value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<String, String> {
    let (mut value, mut mistakes) = (value.clone(), Mistakes::default());
    let mut reader = Reader {
        file: 0,
        files: &[],
        first: &mut HashMap::new(),
        folder,
        environment: &|name| std::env::var(name).ok(),
        mistakes: &mut mistakes,
        expanded: Vec::new(),
        of_all: Vec::new(),
    };
    reader.expand(&mut value, "");
    match mistakes.iter().next() {
        Some(mistake) => Err(mistake.message.clone()),
        None => value.get_ref().as_str().map(str::to_owned).ok_or_else(|| "is no text".to_owned()),
    }
}

impl Reader<'_, '_> {
    fn read<'i>(&mut self, root: DeTable<'i>, config: &mut Config<'i>) {
        for (key, value) in root {
            let name = key.get_ref().to_string();
            let span = value.span();
            if let DeValue::Table(table) = value.get_ref() {
                note_places(&name, table, self.file, &mut config.places);
            }
            match (name.as_str(), value.into_inner()) {
                ("include", value) => {
                    if let Err(why) = files::patterns(&value, self.file == 0) {
                        self.mistakes.add(self.file, Some(span), "include", why);
                    }
                }
                ("hours", DeValue::Table(table)) => {
                    for entry in self.entries("hours", table) {
                        let place = format!("hours `{}`", entry.name);
                        if let Some(days) = deserialize(entry.table, self.file, &place, self.mistakes) {
                            config.hours.insert(entry.name, (days, entry.place));
                        }
                    }
                }
                ("source", DeValue::Table(table)) => {
                    config.sources.extend(self.entries("source", table).map(|e| (e.name.clone(), e)));
                }
                ("notify", DeValue::Table(table)) => {
                    config.notifiers.extend(self.entries("notify", table).map(|e| (e.name.clone(), e)));
                }
                ("watch", DeValue::Table(table)) => config.watches.extend(self.entries("watch", table)),
                ("daemon", DeValue::Table(table)) => self.typed("daemon", span, table, &mut config.daemon),
                ("fetch", DeValue::Table(table)) => self.typed("fetch", span, table, &mut config.fetch),
                ("alerting", DeValue::Table(table)) => {
                    self.typed("alerting", span, table, &mut config.alerting)
                }
                ("web", DeValue::Table(table)) => {
                    let mut web = Web::default();
                    self.typed("web", span, table, &mut web);
                    config.web = Some(web);
                }
                (name, _) if TABLES.contains(&name) => {
                    self.mistakes.add(self.file, Some(span), "", &format!("`{name}` must be a table"));
                }
                (name, _) => {
                    let message = format!("unknown table `{name}`{}", did_you_mean(name, TABLES));
                    self.mistakes.add(self.file, Some(key.span()), "", &message);
                }
            }
        }
    }

    fn typed<T: DeserializeOwned>(
        &mut self,
        name: &str,
        span: Range<usize>,
        table: DeTable<'_>,
        into: &mut T,
    ) {
        let place = format!("[{name}]");
        if !self.is_new(&place, span.clone()) {
            return;
        }
        let mut table = Spanned::new(span, DeValue::Table(table));
        self.expand(&mut table, &place);
        for secret in secrets_in(table.get_ref()) {
            self.mistakes.hide_written(&secret);
            self.of_all.push(secret);
        }
        let span = table.span();
        if let DeValue::Table(table) = table.into_inner()
            && let Some(read) = deserialize(Spanned::new(span, table), self.file, &place, self.mistakes)
        {
            *into = read;
        }
    }

    fn entries<'i>(&mut self, group: &str, table: DeTable<'i>) -> impl Iterator<Item = Entry<'i>> + use<'i> {
        let mut entries = Vec::new();
        for (key, mut value) in table {
            let name = key.get_ref().to_string();
            let place = format!("{group} `{name}`");
            if name.is_empty() || name.chars().any(char::is_control) || name.len() > 200 {
                self.mistakes.add(self.file, Some(key.span()), &place, "this is no usable name");
            }
            if !self.is_new(&place, key.span()) {
                continue;
            }
            let written = written(value.get_ref());
            self.expanded.clear();
            self.expand(&mut value, &place);
            let mut secrets = secrets_in(value.get_ref());
            for secret in &secrets {
                self.mistakes.hide_written(secret);
            }
            secrets.append(&mut self.expanded);
            let secret_parts = parts_in(value.get_ref());
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => entries.push(Entry {
                    name,
                    table: Spanned::new(span, table),
                    written: written.to_string(),
                    secrets,
                    secret_parts,
                    place: Place { file: self.file, span: key.span() },
                }),
                _ => self.mistakes.add(self.file, Some(key.span()), &place, "must be a table"),
            }
        }
        entries.into_iter()
    }

    /// Whether a table stands in no file before this one: it would be the one or the other, by their order, and
    /// nothing is taken in silence.
    fn is_new(&mut self, table: &str, span: Range<usize>) -> bool {
        let first = *self.first.entry(table.to_owned()).or_insert(self.file);
        let before = self.files.get(first).filter(|_| first != self.file);
        if let Some(other) = before {
            let message = format!("stands in {} too; keep one of the two", other.path.display());
            self.mistakes.add(self.file, Some(span), table, &message);
        }
        before.is_none()
    }

    /// Puts the values of `${NAME}`, `{ file = … }` and `{ credential = … }` in their places.
    fn expand(&mut self, value: &mut Spanned<DeValue<'_>>, place: &str) {
        let span = value.span();
        let is_file = matches!(value.get_ref(), DeValue::Table(_));
        let expanded = match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                let text = text.to_string();
                Some(self.expand_text(&text))
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.expand(item, &format!("{place}[{index}]"));
                }
                None
            }
            DeValue::Table(table) => match outside::read(table, self.folder) {
                Some(read) => Some(read),
                None => {
                    for (key, item) in table.iter_mut() {
                        self.expand(item, &format!("{place}: {}", key.get_ref()));
                    }
                    None
                }
            },
            _ => None,
        };
        match expanded {
            Some(Ok(text)) => {
                self.mistakes.hide(&text);
                if is_file {
                    self.expanded.push(text.clone());
                }
                *value.get_mut() = DeValue::String(DeString::Owned(text));
            }
            Some(Err(message)) => self.mistakes.no_value(self.file, span, place, &message),
            None => {}
        }
    }

    fn expand_text(&mut self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("a `${` has no `}`")?;
            let value = (self.environment)(name).ok_or_else(|| {
                format!(
                    "the environment variable `{name}` is not set; set it, or write {{ file = \"…\" }} to \
                     read the value from a file"
                )
            })?;
            self.mistakes.hide(&value);
            self.expanded.push(value.clone());
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

impl<'i> Config<'i> {
    /// Tells a mistake where its key stands, in a table of the daemon's own: `daemon.timezone`.
    pub fn tell(&self, mistakes: &mut Mistakes, key: &str, message: &str) {
        let what =
            key.split_once('.').map_or_else(|| key.to_owned(), |(table, key)| format!("[{table}]: {key}"));
        // Of a table within a table, at least that one is known.
        let mut known = key;
        loop {
            if let Some(place) = self.places.get(known) {
                return mistakes.at(place, &what, message);
            }
            match known.rsplit_once('.') {
                Some((outer, _)) => known = outer,
                None => return mistakes.add(0, None, &what, message),
            }
        }
    }
}

/// Where the keys of a table of the daemon's own stand.
fn note_places(name: &str, table: &DeTable<'_>, file: usize, places: &mut HashMap<String, Place>) {
    if !["daemon", "web", "fetch", "alerting", "fetch.host"].contains(&name) {
        return;
    }
    for (key, value) in table {
        let name = format!("{name}.{}", key.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            note_places(&name, inner, file, places);
        }
        places.insert(name, Place { file, span: key.span() });
    }
}

/// What the parser says; of the head of a table also how an unusual name is written.
fn in_quotes(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |end| end + 1)..).and_then(|rest| rest.lines().next());
    let is_head = line.is_some_and(|line| line.trim_start().starts_with('[') && !line.contains('"'));
    let message = error.message();
    let hint = match message {
        _ if message.contains("must be quoted") || message.contains("invalid float") => {
            "; a text stands in quotes, such as \"never\", and a switch is true or false"
        }
        _ if message.contains("duplicate key") => "; it stands in this file twice",
        _ if is_head => "; a name with spaces or other signs stands in quotes, such as [watch.\"RTX 3070\"]",
        _ => "",
    };
    format!("{message}{hint}")
}
