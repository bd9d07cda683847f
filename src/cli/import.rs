//! `stakeout import`: watches of other programs as a file of the configuration.

mod addresses;
mod apprise;
mod changedetection;
mod draft;
mod filters;
mod fit;
mod folder;
mod hours;
mod paths;
mod restock;
mod shared;
mod urlwatch;
mod write;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use self::draft::{Haul, cleaned};
use self::write::Written;
use super::Misuse;
use crate::config;
use crate::model::Period;

/// More than anyone has written down.
const LARGEST: u64 = 64 << 20;
const MOST_WATCHES: usize = 10_000;
/// How many of what was left out is told on the terminal.
const MOST_TOLD: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// What the other program keeps its watches in: urls.yaml of urlwatch or webchanges, JSON of changedetection.io
    /// or the folder of its data store, or a text with an address a line; `-` for standard input
    file: PathBuf,
    /// Where the watches are written to; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    force: bool,
    /// What the file is; left out: by what stands in it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How often a watch runs where the file does not say
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = every)]
    every: String,
}

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Jobs of urlwatch or webchanges, in YAML
    #[value(alias = "webchanges")]
    Urlwatch,
    /// JSON of changedetection.io: its data store, one watch.json, or what its API gives
    #[value(alias = "changedetection.io")]
    Changedetection,
    /// An address a line
    Addresses,
}

fn every(text: &str) -> Result<String, String> {
    text.parse::<Period>()?;
    let every = toml::Value::from(text.trim());
    let tried =
        format!("[watch.a]\nevery = {every}\nsource = {{ kind = \"page\", url = \"https://a.example/\" }}\n");
    fit::mistake(&tried).map_or_else(|| Ok(text.trim().to_owned()), Err)
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let target = self.output.as_deref().map(|output| target(output, self.force)).transpose()?;
        let written = self.read()?;
        if written.says_something() {
            match &target {
                Some(output) => save(output, &written)
                    .with_context(|| format!("{} cannot be written", output.display()))?,
                None => std::io::stdout().lock().write_all(written.text.as_bytes())?,
            }
        }
        self.tell(&written);
        Ok(if written.watches > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn read(&self) -> anyhow::Result<Written> {
        let name = self.file.display();
        let haul = if self.file.is_dir() {
            folder::read(&self.file).with_context(|| format!("{name}"))?
        } else {
            let text = self.text().with_context(|| format!("{name} cannot be read"))?;
            haul(&text, self.format).map_err(|why| anyhow::anyhow!("{name}: {why}"))?
        };
        if haul.drafts.len() > MOST_WATCHES {
            bail!("{name}: holds {} watches, and {MOST_WATCHES} are the most; split it", haul.drafts.len());
        }
        let written = write::write(haul, &self.every);
        // Each was tried by itself; together they must be good, too.
        if let Some(why) = fit::mistake(&written.text) {
            bail!("{name}: what came out of it is no good configuration: {}", cleaned(&why, 240));
        }
        Ok(written)
    }

    fn text(&self) -> anyhow::Result<String> {
        if self.file == Path::new("-") {
            return text_in(std::io::stdin().lock());
        }
        text_in(File::open(&self.file)?)
    }

    /// The summary, which repeats no secret.
    fn tell(&self, written: &Written) {
        let Written { watches, lacking, left_out, .. } = written;
        // Where a file is written, all of it stands there.
        let most = if written.says_something() { MOST_TOLD } else { usize::MAX };
        for left in left_out.iter().take(most) {
            eprintln!("left out: {}: {}", cleaned(&left.name, 80), cleaned(&left.why, 240));
        }
        if left_out.len() > most {
            let more = left_out.len().saturating_sub(most);
            eprintln!("left out: {more} more; all of them stand in the file");
        }
        for what in written.shared.iter().take(most) {
            eprintln!("not carried over: {}", cleaned(what, 240));
        }
        if written.shared.len() > most {
            let more = written.shared.len().saturating_sub(most);
            eprintln!("not carried over: {more} more; all of it stands in the file");
        }
        let place =
            self.output.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string());
        if *watches == 0 {
            match written.says_something() {
                true => eprintln!("wrote no watch to {place}: what could be one stands there in comments"),
                false => eprintln!("nothing was written: there is no watch that can be carried over"),
            }
            return;
        }
        eprintln!("wrote {} to {place}", count(*watches, "watch", "watches"));
        if *lacking > 0 {
            eprintln!(
                "{lacking} of them without something that is not carried over: comments above each say what"
            );
        }
        if !left_out.is_empty() {
            eprintln!("{} left out altogether", left_out.len());
        }
        if written.holds_secrets {
            eprintln!(
                "secrets may lie in it in the clear (cookies, headers, passwords, webhooks): keep it to yourself, or move \
                 them out with {{ credential = \"…\" }}"
            );
        }
        let config = config::usual_path();
        let config_name = config.display();
        if let Some(networks) = &written.networks {
            eprintln!("next: some look into your own network: add `{networks}` to [fetch] of {config_name}");
        }
        let Some(output) = &self.output else {
            eprintln!(
                "next: put them into {config_name}, or with -o into a file for `include`; then `stakeout check`"
            );
            return;
        };
        if written.holds_secrets {
            eprintln!(
                "next: only you can read it; a service with a user of its own must, too: move the secrets to \
                 credentials, then `chmod 644 {place}`"
            );
        }
        eprintln!(
            "next: add `include = [{}]` to {config_name}, or put the watches into it; then `stakeout check`",
            toml::Value::from(from_beside(&config, output))
        );
    }
}

/// How a configuration names a file: by its name where it lies beside it.
fn from_beside(config: &Path, file: &Path) -> String {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (config, file) = (whole(config), whole(file));
    let beside = config.parent().and_then(|folder| file.strip_prefix(folder).ok());
    beside.unwrap_or(&file).display().to_string()
}

/// Reads a whole file, if it is one that people write.
fn text_in(mut from: impl Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    from.by_ref().take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        bail!("it is larger than {} MiB", LARGEST >> 20);
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        anyhow::anyhow!("line {line}: no UTF-8 text")
    })
}

/// What stands in a text.
///
/// # Errors
/// Where and why it cannot be read at all.
fn haul(text: &str, format: Option<Format>) -> Result<Haul, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err("is empty".into());
    }
    if format.is_none() && text.trim_start().starts_with('<') {
        return Err("this is no list of addresses: it begins as a web page does".into());
    }
    match format.unwrap_or_else(|| guess(text)) {
        Format::Urlwatch => Ok(urlwatch::read(text)),
        Format::Addresses => addresses::read(text),
        Format::Changedetection => changedetection::read(text).map_err(|why| match format {
            Some(_) => why,
            None => format!("taken for JSON of changedetection.io: {why} (--format says what it is)"),
        }),
    }
}

/// By what stands in it: JSON begins with a bracket, and a list has lines that begin with an address.
fn guess(text: &str) -> Format {
    if text.trim_start().starts_with(['{', '[']) {
        return Format::Changedetection;
    }
    let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines = || text.lines().map(str::trim).filter(says);
    let is_key = |line: &str| {
        let line = line.trim_start_matches("- ").trim_start_matches(['"', '\'']);
        line.split_once(':').is_some_and(|(key, value)| {
            key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.\"' ".contains(c))
                && (value.is_empty() || value.starts_with(char::is_whitespace))
        })
    };
    let has_keys = lines().any(|line| !addresses::is_address(line) && (is_key(line) || line == "---"));
    if has_keys { Format::Urlwatch } else { Format::Addresses }
}

/// Where a file is written to: what a link leads to, and no device, pipe or folder.
fn target(output: &Path, force: bool) -> anyhow::Result<PathBuf> {
    let name = output.display();
    match std::fs::symlink_metadata(output) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(output.to_owned()),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be written")),
        Ok(_) => {}
    }
    let target = output.canonicalize().map_err(|_| Misuse(format!("{name} is a link that leads nowhere")))?;
    if !target.is_file() {
        return Err(Misuse(format!("{name} is no regular file")).into());
    }
    if !force {
        return Err(Misuse(format!("{name} is there already; --force writes over it")).into());
    }
    Ok(target)
}

/// Writes a file all at once; one with secrets is nobody else's to read, nor one that nobody else could read before.
fn save(path: &Path, written: &Written) -> anyhow::Result<()> {
    let before = std::fs::metadata(path).map_or(0o777, |file| file.permissions().mode());
    let mode = before & if written.holds_secrets { 0o600 } else { 0o644 };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}", fastrand::u64(..)));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let saved = file.write_all(written.text.as_bytes()).and_then(|()| {
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if saved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    Ok(saved?)
}

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
