//! `stakeout silence`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::table::table;
use super::{ConfigFile, Misuse};
use crate::model::{About, Matchers, Period, Silence, or_known};
use crate::store::Store;
use crate::watchlist::Watchlist;

#[derive(Debug, clap::Subcommand)]
pub(super) enum SilenceCommand {
    /// Do not tell the beginnings of something for a while; ends are told all the same
    Add(Box<Add>),
    /// The silences that are in force or to come
    List(List),
    /// End a silence now
    End {
        /// Its number in `stakeout silence list`
        id: i64,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Of this watch; `*` stands for any text, here and below
    #[arg(long)]
    watch: Option<String>,
    /// About this symbol, item or region
    #[arg(long)]
    subject: Option<String>,
    /// By this strategy (`run` is what the daemon says about the watch's runs)
    #[arg(long)]
    strategy: Option<String>,
    /// Of watches with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// For so long
    #[arg(long = "for", value_name = "LENGTH", conflicts_with = "until")]
    length: Option<Period>,
    /// Until then (RFC 3339); this or `--for` must be given
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
    /// Why; shown in the message that says that it has ended
    #[arg(long, default_value = "")]
    comment: String,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Also those that have ended
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl SilenceCommand {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Add(add) => add.run(Timestamp::now()).await,
            Self::List(list) => list.run(Timestamp::now()).await,
            Self::End { id, config } => end(config, *id, Timestamp::now()).await,
        }
    }
}

impl Add {
    async fn run(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let watchlist = self.config.load().await?;
        let silence = self.silence(&watchlist, now)?;
        let store = Store::open(&watchlist.daemon.data_dir).await?;
        let (matchers, until) = (silence.matchers.to_string(), silence.ends_at);
        let id = store.add_silence(silence, now).await?;
        store.close().await;
        println!("Silence {id} ({matchers}) until {until:.0}; ends are told all the same.");
        println!("{}", self.reach(&watchlist));
        Ok(ExitCode::SUCCESS)
    }

    fn silence(&self, watchlist: &Watchlist, now: Timestamp) -> anyhow::Result<Silence> {
        let ends_at = match (self.length, self.until) {
            (Some(length), _) => now.checked_add(length.0).unwrap_or(Timestamp::MAX),
            (None, Some(until)) => until,
            (None, None) => {
                let message = "a silence must end: say `--for 2h`, or `--until 2026-11-21T18:00:00Z`";
                return Err(Misuse(message.into()).into());
            }
        };
        let names = || watchlist.watches.iter().map(|watch| watch.name.as_str());
        if let Some(watch) = self.watch.as_deref().filter(|watch| !watch.contains('*'))
            && watchlist.watch(watch).is_none()
        {
            return Err(Misuse(format!("there is no watch `{watch}`{}", or_known(watch, names()))).into());
        }
        let by = std::env::var("USER").unwrap_or_else(|_| "the command line".into());
        let matchers = self.matchers().map_err(Misuse)?;
        Ok(Silence::new(matchers, ends_at, by, &self.comment, now).map_err(Misuse)?)
    }

    /// Which watches it is about; a subject is only known when it is seen.
    fn reach(&self, watchlist: &Watchlist) -> String {
        let Ok(matchers) = self.matchers() else { return String::new() };
        let touches = |watch: &&std::sync::Arc<crate::watchlist::Watch>| {
            let strategies = watch.judges.iter().map(|judge| judge.name.as_str()).chain(["run"]);
            let subject = self.subject.as_deref().unwrap_or_default().replace('*', "");
            strategies.into_iter().any(|strategy| {
                matchers.matches(&About {
                    watch: &watch.name,
                    strategy,
                    subject: &subject,
                    labels: &watch.labels,
                })
            })
        };
        let names: Vec<&str> =
            watchlist.watches.iter().filter(touches).map(|watch| watch.name.as_str()).collect();
        match names.as_slice() {
            [] => "It matches no watch there is: nothing is kept quiet by it now.".into(),
            names if names.len() > 10 => format!("It is about {} watches.", names.len()),
            names => format!("It is about: {}.", names.join(", ")),
        }
    }

    fn matchers(&self) -> Result<Matchers, String> {
        let named = [("watch", &self.watch), ("subject", &self.subject), ("strategy", &self.strategy)];
        let mut patterns: BTreeMap<String, String> = named
            .into_iter()
            .filter_map(|(name, pattern)| Some((name.to_owned(), pattern.clone()?)))
            .collect();
        for label in &self.label {
            let (name, value) = label
                .split_once('=')
                .ok_or_else(|| format!("`{label}` is no label; write it like team=home"))?;
            patterns.insert(format!("label.{name}"), value.to_owned());
        }
        patterns.try_into()
    }
}

fn until(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no moment; write it like \"2026-11-21T18:00:00Z\" or \"…+01:00\""))
}

impl List {
    async fn run(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let store = Store::open_existing(&self.config.data_dir()?).await?;
        let silences = match store {
            Some(store) => {
                let silences = store.silences(now, self.all).await?;
                store.close().await;
                silences
            }
            None => Vec::new(),
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&silences)?)?;
        } else if silences.is_empty() {
            writeln!(out, "Nothing is silenced.")?;
        } else {
            let rows: Vec<Vec<String>> = silences
                .iter()
                .map(|silence| {
                    let left = Duration::try_from(silence.ends_at.duration_since(now)).unwrap_or_default();
                    let left =
                        if left.is_zero() { "ended".to_owned() } else { format!("for {}", Period(left)) };
                    vec![
                        silence.id.to_string(),
                        silence.matchers.to_string(),
                        format!("{:.0}", silence.ends_at),
                        left,
                        silence.created_by.clone(),
                        silence.comment.clone(),
                    ]
                })
                .collect();
            write!(out, "{}", table(&["ID", "SILENCES", "UNTIL", "STILL", "BY", "COMMENT"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn end(config: &ConfigFile, id: i64, now: Timestamp) -> anyhow::Result<ExitCode> {
    let store = super::look::open(&config.data_dir()?).await?;
    let ended = store.end_silence(id, now).await?;
    store.close().await;
    if !ended {
        return Err(Misuse(format!("there is no silence {id} in force; see `stakeout silence list`")).into());
    }
    println!("Silence {id} has ended. What it kept quiet and is still so is told at the watch's next run.");
    Ok(ExitCode::SUCCESS)
}
