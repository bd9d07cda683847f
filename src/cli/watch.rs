//! `stakeout watch`

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::table::table;
use super::{ConfigFile, Misuse};
use crate::config;
use crate::daemon;
use crate::model::or_known;
use crate::run;
use crate::store::{Glance, Store};
use crate::watchlist::{Watch, Watchlist};

#[derive(Debug, clap::Subcommand)]
pub(super) enum WatchCommand {
    /// Every watch: where it was added, when it ran, when it is due
    List(List),
    /// Add a watch beside those of the configuration file; a running daemon takes it over within seconds
    Add(Add),
    /// Remove a watch that was added so; its history stays
    Remove(One),
    /// Do not run a watch until it is resumed
    Pause(One),
    /// Run a watch by its schedule again
    Resume(One),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The name of the new watch
    name: String,
    /// A file with what would stand under `[watch.NAME]`; `-` for what comes in
    #[arg(long, value_name = "FILE", required_unless_present = "toml")]
    file: Option<PathBuf>,
    /// The same written out: 'every = "1m"' and so on, a key an option
    #[arg(long, value_name = "KEYS", conflicts_with = "file")]
    toml: Vec<String>,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The watch's name
    name: String,
    #[command(flatten)]
    config: ConfigFile,
}

impl WatchCommand {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run().await,
            Self::Add(add) => add.run().await,
            Self::Remove(one) => one.remove().await,
            Self::Pause(one) => one.pause(Timestamp::now()).await,
            Self::Resume(one) => one.resume(Timestamp::now()).await,
        }
    }
}

/// A watch in the shape that a script reads.
#[derive(Default, Serialize)]
struct Listed<'a> {
    name: &'a str,
    origin: &'static str,
    /// None for one that cannot be built beside the configuration as it is.
    source: Option<&'static str>,
    enabled: bool,
    paused_at: Option<Timestamp>,
    ran_at: Option<Timestamp>,
    outcome: Option<&'a str>,
    next_due_at: Option<Timestamp>,
}

impl List {
    async fn run(&self) -> anyhow::Result<ExitCode> {
        let watchlist = self.config.load().await?;
        let glances = match Store::open_existing(&watchlist.daemon.data_dir).await? {
            Some(store) => {
                let glances = store.glances().await?;
                store.close().await;
                glances
            }
            None => Vec::new(),
        };
        let of_known = watchlist.watches.iter().map(|watch| listed(watch, &glances));
        let left_out =
            watchlist.left_out.iter().map(|(name, _)| Listed { name, origin: "api", ..Listed::default() });
        let listed: Vec<Listed<'_>> = of_known.chain(left_out).collect();
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&listed)?)?;
        } else if listed.is_empty() {
            writeln!(out, "No watch: nothing is watched.")?;
        } else {
            let rows: Vec<Vec<String>> = listed.iter().map(Listed::row).collect();
            write!(out, "{}", table(&["WATCH", "SOURCE", "ADDED", "LAST RUN", "", "NEXT"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn listed<'a>(watch: &'a Watch, glances: &'a [Glance]) -> Listed<'a> {
    let glance = glances.iter().find(|glance| glance.name == watch.name);
    Listed {
        name: &watch.name,
        origin: if watch.toml.is_some() { "api" } else { "file" },
        source: Some(watch.source_kind),
        enabled: watch.enabled,
        paused_at: glance.and_then(|glance| glance.paused_at),
        ran_at: glance.and_then(|glance| glance.ran_at),
        outcome: glance.and_then(|glance| glance.outcome.as_deref()),
        next_due_at: glance.and_then(|glance| glance.next_due_at),
    }
}

impl Listed<'_> {
    fn row(&self) -> Vec<String> {
        let next = match (self.enabled, self.paused_at, self.next_due_at) {
            _ if self.source.is_none() => "cannot be run".to_owned(),
            (false, ..) => "disabled".to_owned(),
            (_, Some(since), _) => format!("paused since {since:.0}"),
            (_, _, Some(next)) => format!("{next:.0}"),
            _ => "not yet known".to_owned(),
        };
        vec![
            self.name.to_owned(),
            self.source.unwrap_or_default().to_owned(),
            if self.origin == "api" { "here" } else { "in the file" }.to_owned(),
            self.ran_at.map_or_else(|| "none yet".to_owned(), |at| format!("{at:.0}")),
            self.outcome.unwrap_or_default().to_owned(),
            next,
        ]
    }
}

impl Add {
    async fn run(&self) -> anyhow::Result<ExitCode> {
        let name = &self.name;
        let watchlist = self.config.load().await?;
        if watchlist.watch(name).is_some() || watchlist.is_left_out(name) {
            return Err(Misuse(format!("there is a watch `{name}` already")).into());
        }
        let new = config::added_watch(name, &self.table()?)?;
        store(&watchlist.and(name, new)?, name).await?;
        println!("Watch `{name}` is added. A running daemon takes it over within seconds.");
        Ok(ExitCode::SUCCESS)
    }

    /// The keys of the new watch.
    fn table(&self) -> anyhow::Result<Map<String, Value>> {
        let text = match &self.file {
            Some(path) if path == Path::new("-") => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read what comes in")?;
                text
            }
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Misuse(format!("{} cannot be read: {error}", path.display())))?,
            None => self.toml.join("\n"),
        };
        let table: toml::Table = text.parse().map_err(|error| Misuse(format!("this is no TOML: {error}")))?;
        match serde_json::to_value(under_its_name(table, &self.name))? {
            Value::Object(table) => Ok(table),
            _ => Err(Misuse("a watch is a table of keys".into()).into()),
        }
    }
}

/// What stands under `[watch.NAME]`, where somebody wrote that above it.
fn under_its_name(mut table: toml::Table, name: &str) -> toml::Table {
    let own = table.get("watch").and_then(|watches| watches.as_table()).filter(|watches| watches.len() == 1);
    match own.and_then(|watches| watches.get(name)).and_then(|watch| watch.as_table()).cloned() {
        Some(own) if table.len() == 1 => own,
        _ => std::mem::take(&mut table),
    }
}

impl One {
    async fn remove(&self) -> anyhow::Result<ExitCode> {
        let name = &self.name;
        let watchlist = self.config.load().await?;
        if !watchlist.is_left_out(name) && known(&watchlist, name)?.toml.is_none() {
            let file = self.config.path();
            let file = file.display();
            return Err(Misuse(format!("watch `{name}` stands in a file; remove it there ({file})")).into());
        }
        let without = watchlist.without(name).with_context(|| format!("watch `{name}` is still needed"))?;
        store(&without, name).await?;
        println!("Watch `{name}` is removed; its history stays.");
        Ok(ExitCode::SUCCESS)
    }

    async fn pause(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let (store, watch_id, watch, _) = self.stored().await?;
        let is_paused = store.pause_watch(watch_id, now).await?;
        store.close().await;
        anyhow::ensure!(is_paused, "watch `{}` was removed meanwhile", watch.name);
        println!("Watch `{}` is paused until `stakeout watch resume {0}`.", watch.name);
        Ok(ExitCode::SUCCESS)
    }

    async fn resume(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let (store, watch_id, watch, is_running) = self.stored().await?;
        let is_paused = store.paused_watches().await?.iter().any(|paused| paused.watch_id == watch_id);
        // A daemon that runs knows whether it is running the slot that the pause began with.
        let next = if is_paused && is_running {
            store.ask_to_resume(watch_id).await?;
            watch.timetable.next_after(now).filter(|_| watch.enabled)
        } else {
            run::resume(&store, (watch_id, &watch), false, now).await?;
            store.next_due(watch_id).await?
        };
        store.close().await;
        match next {
            Some(next) => println!("Watch `{}` runs again; it is due at {next:.0}.", watch.name),
            None => println!("Watch `{}` is not paused, but has no slot to come.", watch.name),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The watch, with its row, and whether a daemon runs.
    async fn stored(&self) -> anyhow::Result<(Store, i64, Arc<Watch>, bool)> {
        let watchlist = self.config.load().await?;
        let watch = Arc::clone(known(&watchlist, &self.name)?);
        let store = Store::open(&watchlist.daemon.data_dir).await?;
        let row = match store.watch(&watch.name).await? {
            Some(row) if !row.is_removed => row.id,
            _ => {
                let row = daemon::synchronise_one(&store, &watchlist, &watch.name).await?;
                row.context("the watch was not stored")?
            }
        };
        Ok((store, row, watch, daemon::running(&watchlist.daemon.data_dir)?.is_some()))
    }
}

fn known<'w>(watchlist: &'w Watchlist, name: &str) -> Result<&'w Arc<Watch>, Misuse> {
    watchlist.watch(name).ok_or_else(|| {
        let hint = or_known(name, watchlist.watches.iter().map(|watch| watch.name.as_str()));
        Misuse(format!("there is no watch `{name}`{hint}"))
    })
}

/// Stores what a changed watchlist says of one watch, and lets a running daemon know.
async fn store(watchlist: &Watchlist, name: &str) -> anyhow::Result<()> {
    let store = Store::open(&watchlist.daemon.data_dir).await?;
    daemon::synchronise_one(&store, watchlist, name).await?;
    store.close().await;
    Ok(())
}
