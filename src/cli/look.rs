//! `stakeout history`, `stakeout alerts`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use super::once::line_of;
use super::table::{Format, csv, table};
use super::{ConfigFile, Misuse, moment, slots};
use crate::model::{Observation, Reading, did_you_mean, or_known};
use crate::store::{HistoryRow, Store, StoredAlert};

#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// The watch's name
    watch: String,
    /// Only this symbol, item or region
    #[arg(long)]
    subject: Option<String>,
    /// What became of its slots, and how many of them are covered, instead of what was seen
    #[arg(long, conflicts_with = "subject")]
    slots: bool,
    /// A length of time ago, or RFC 3339
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = moment)]
    since: Timestamp,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: Format,
    /// At most so many lines, the newest
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, clap::Args)]
pub(super) struct Alerts {
    /// Only those of this watch
    watch: Option<String>,
    /// A length of time ago, or RFC 3339
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = moment)]
    since: Timestamp,
    /// How to print them
    #[arg(long, default_value = "table")]
    format: Format,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    config: ConfigFile,
}

impl History {
    pub(super) async fn print(&self) -> anyhow::Result<ExitCode> {
        let store = open(&self.config.data_dir()?).await?;
        let Some(watch) = store.watch(&self.watch).await? else {
            let names = self.config.names().await;
            let hint = did_you_mean(&self.watch, names.iter().map(String::as_str));
            return Err(Misuse(format!("nothing is stored of a watch `{}`{hint}", self.watch)).into());
        };
        if self.slots {
            let watchlist = self.config.load().await?;
            let how = (self.format, self.limit);
            slots::print(&watchlist, &store, (watch.id, &watch.name), self.since, how).await?;
            store.close().await;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = store.history(watch.id, self.subject.as_deref(), self.since, self.limit).await?;
        store.close().await;
        let mut out = std::io::stdout().lock();
        match self.format {
            Format::Json => {
                let observations: Vec<&Observation> = rows.iter().map(|row| &row.observation).collect();
                writeln!(out, "{}", serde_json::to_string_pretty(&observations)?)?;
            }
            Format::Csv => write!(out, "{}", csv_of(&rows)?)?,
            Format::Table if rows.is_empty() => writeln!(out, "Nothing was seen since {:.0}.", self.since)?,
            Format::Table => {
                let lines: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| vec![format!("{:.0}", row.observation.observed_at), line_of(&row.observation)])
                    .collect();
                write!(out, "{}", table(&["TIME", "SEEN"], &lines))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Alerts {
    pub(super) async fn print(&self) -> anyhow::Result<ExitCode> {
        let store = open(&self.config.data_dir()?).await?;
        let mut alerts = store.alerts(self.watch.as_deref(), self.since, self.limit).await?;
        alerts.reverse();
        if let Some(watch) = self.watch.as_deref().filter(|_| alerts.is_empty())
            && store.watch(watch).await?.is_none()
        {
            let names = self.config.names().await;
            let hint = or_known(watch, names.iter().map(String::as_str));
            return Err(Misuse(format!("there is no watch `{watch}`{hint}")).into());
        }
        store.close().await;
        let mut out = std::io::stdout().lock();
        match self.format {
            Format::Json => {
                let alerts: Vec<_> = alerts.iter().map(|stored| &stored.alert).collect();
                writeln!(out, "{}", serde_json::to_string_pretty(&alerts)?)?;
            }
            Format::Csv => {
                let rows: Vec<Vec<String>> = alerts.iter().map(row_of).collect();
                let headings = ["created_at", "watch", "strategy", "subject", "status", "reason", "title"];
                write!(out, "{}", csv(&headings, &rows)?)?;
            }
            Format::Table if alerts.is_empty() => writeln!(out, "Nothing was told since {:.0}.", self.since)?,
            Format::Table => {
                let rows: Vec<Vec<String>> = alerts.iter().map(row_of).collect();
                let headings = ["TIME", "WATCH", "STRATEGY", "SUBJECT", "STATUS", "REASON", "TITLE"];
                write!(out, "{}", table(&headings, &rows))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) async fn open(data_dir: &Path) -> anyhow::Result<Store> {
    match Store::open_existing(data_dir).await? {
        Some(store) => Ok(store),
        None => bail!("there is no database in {} yet", data_dir.display()),
    }
}

fn row_of(stored: &StoredAlert) -> Vec<String> {
    let alert = &stored.alert;
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    vec![
        format!("{:.0}", stored.created_at),
        alert.watch.clone(),
        alert.strategy.clone(),
        alert.signal.subject.clone(),
        word(serde_json::json!(alert.status)),
        word(serde_json::json!(alert.reason)),
        alert.title.clone(),
    ]
}

/// One line an observation; the columns of all kinds beside each other, those that do not apply empty.
fn csv_of(rows: &[HistoryRow]) -> anyhow::Result<String> {
    const HEADINGS: [&str; 15] = [
        "observed_at",
        "subject",
        "kind",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "price",
        "price_currency",
        "availability",
        "name",
        "value",
        "unit",
        "text",
    ];
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let observation = &row.observation;
        let mut cells = vec![String::new(); HEADINGS.len()];
        let mut set = |column: usize, value: String| {
            if let Some(cell) = cells.get_mut(column) {
                *cell = value;
            }
        };
        set(0, observation.observed_at.to_string());
        set(1, observation.subject.clone());
        match &observation.reading {
            Reading::Candles { candles, .. } => {
                set(2, "candles".into());
                if let Some(c) = candles.last() {
                    for (column, value) in (3..).zip([c.open, c.high, c.low, c.close, c.volume]) {
                        set(column, value.to_string());
                    }
                }
            }
            Reading::Quote(quote) => {
                set(2, "quote".into());
                set(8, quote.price.to_string());
                set(7, quote.volume.map(|volume| volume.to_string()).unwrap_or_default());
            }
            Reading::Listing(listing) => {
                set(2, "listing".into());
                set(8, listing.price.map(|price| price.to_string()).unwrap_or_default());
                set(9, listing.price_currency.clone().unwrap_or_default());
                set(10, listing.availability.to_string());
                set(11, listing.name.clone());
            }
            Reading::Value { value, unit } => {
                set(2, "value".into());
                set(12, value.to_string());
                set(13, unit.clone());
            }
            Reading::Text { text } => {
                set(2, "text".into());
                set(14, text.clone());
            }
        }
        lines.push(cells);
    }
    csv(&HEADINGS, &lines)
}
