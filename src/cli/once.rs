//! `stakeout once`, `stakeout notify test`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ConfigFile, Misuse, moment};
use crate::http::Http;
use crate::model::{Observation, Outcome, Reading, Trigger, money, or_known, shown};
use crate::run::{Report, Runner, Slot};
use crate::store::Store;
use crate::watchlist::{Roster, Watch, Watchlist};
use crate::{daemon, notifiers, outbox};

/// How long messages of a single run get to be delivered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of observations and signals that are shown to a person.
pub(super) const MOST_LINES: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Once {
    /// The watch's name
    watch: String,
    /// Print what would be told; store nothing, send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// As if it were then: RFC 3339, or a length of time ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Once {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let watchlist = self.config.load().await?;
        let Some(watch) = watchlist.watch(&self.watch).map(Arc::clone) else {
            let hint = or_known(&self.watch, watchlist.watches.iter().map(|watch| watch.name.as_str()));
            return Err(Misuse(format!("there is no watch `{}`{hint}", self.watch)).into());
        };
        if self.json {
            notifiers::stand_aside();
        }
        self.step(&format!("asking through `{}`, as at {}", watch.source_kind, self.now()));
        let http = Http::new(watchlist.http.clone()).map_err(anyhow::Error::msg)?;
        let report = if self.dry_run {
            self.dry(watchlist, http, &watch).await?
        } else {
            self.stored(watchlist, http, &watch).await?
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            write!(out, "{}", describe(&report))?;
        }
        let good = matches!(report.outcome, Outcome::Ok | Outcome::Unchanged);
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn now(&self) -> Timestamp {
        self.at.unwrap_or_else(Timestamp::now)
    }

    fn slot(&self, watch_id: i64) -> Slot {
        let now = self.now();
        Slot { watch_id, due_at: now, trigger: Trigger::Manual, now }
    }

    /// Judged by what the database knows, where there is one, and nothing is written to it.
    async fn dry(&self, watchlist: Watchlist, http: Http, watch: &Arc<Watch>) -> anyhow::Result<Report> {
        let known = Store::open_existing(&watchlist.daemon.data_dir).await?;
        let temporary = Temporary::new()?;
        let store = match known {
            Some(store) => store,
            None => Store::open(&temporary.0).await?,
        };
        let row = store.watch(&watch.name).await?;
        http.restore(store.host_standings().await?);
        let runner = Runner::new(store.clone()).await?;
        // A row that does not exist knows nothing.
        let id = row.map_or(-1, |row| row.id);
        let roster = Roster::new(watchlist, http, &[(watch.name.clone(), id)].into());
        let report = runner.dry_run(&roster, watch, &self.slot(id)).await;
        store.close().await;
        report
    }

    async fn stored(&self, watchlist: Watchlist, http: Http, watch: &Arc<Watch>) -> anyhow::Result<Report> {
        let store = Store::open(&watchlist.daemon.data_dir).await?;
        let synced = daemon::synchronise(&store, &watchlist).await?;
        http.restore(store.host_standings().await?);
        let roster = Arc::new(Roster::new(watchlist, http, &synced.ids));
        let runner = Runner::new(store.clone()).await?;
        let slot = self.slot(synced.ids.get(&watch.name).copied().unwrap_or_default());
        runner.expect(roster.generation);
        runner.forget(slot.watch_id);
        let report = runner.run(&roster, watch, &slot).await?;
        if report.deliveries > 0 {
            self.step(&format!("delivering {}", count(report.deliveries, "message")));
            outbox::drain(&store, &roster, PATIENCE, Timestamp::now).await?;
        }
        store.close().await;
        Ok(report)
    }

    /// What is going on, for a person who waits.
    fn step(&self, what: &str) {
        if std::io::stderr().is_terminal() {
            eprintln!("{}: {what} …", self.watch);
        }
    }
}

/// A folder that goes when the program ends.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("stakeout-once-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn describe(report: &Report) -> String {
    let mut text = format!("{}: {}", report.watch, report.outcome);
    if let Some(error) = &report.error {
        let _ = write!(text, ": {error}");
    }
    let _ = writeln!(text, "\n\n{}", count(report.observations.len(), "observation"));
    for observation in report.observations.iter().take(MOST_LINES) {
        let _ = writeln!(text, "  {}", line_of(observation));
        if !observation.evidence.is_empty() {
            let parts: Vec<String> = observation.evidence.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "    says {}", parts.join("; "));
        }
    }
    more(&mut text, report.observations.len());
    let _ = writeln!(text, "\n{}", count(report.signals.len(), "signal"));
    for (signal, verdict) in report.signals.iter().zip(&report.verdicts).take(MOST_LINES) {
        let firing = if signal.firing { "firing" } else { "quiet" };
        let about = if signal.subject.is_empty() { "" } else { " " };
        let _ = writeln!(
            text,
            "  {}{about}{}: {} ({firing}), verdict: {}  {}",
            signal.strategy, signal.subject, signal.state, verdict.verdict, signal.summary
        );
    }
    more(&mut text, report.signals.len());
    let _ = writeln!(text, "\n{}", count(report.alerts.len(), "alert"));
    for alert in &report.alerts {
        let _ = writeln!(text, "  {}", alert.title);
        for line in alert.body.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

pub(super) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn more(text: &mut String, count: usize) {
    if count > MOST_LINES {
        let _ = writeln!(text, "  … and {} more (--json shows all)", count - MOST_LINES);
    }
}

/// One observation in a line.
pub(super) fn line_of(observation: &Observation) -> String {
    let subject = &observation.subject;
    match &observation.reading {
        Reading::Candles { interval, candles } => match candles.last() {
            Some(last) => format!(
                "{subject}: {} of {interval}, the last from {}: open {} high {} low {} close {} volume {}",
                count(candles.len(), "bar"),
                last.open_time,
                shown(last.open),
                shown(last.high),
                shown(last.low),
                shown(last.close),
                shown(last.volume)
            ),
            None => format!("{subject}: no bars of {interval}"),
        },
        Reading::Quote(quote) => {
            let volume = quote.volume.map_or(String::new(), |volume| format!(", volume {}", shown(volume)));
            format!("{subject}: {}{volume}", shown(quote.price))
        }
        Reading::Listing(listing) => {
            let price = listing.price.map_or(String::new(), |price| {
                format!(", {}", money(price, listing.price_currency.as_deref()))
            });
            format!("{subject}: {}{price}, {}", listing.availability, listing.name)
        }
        Reading::Value { value, unit } => {
            let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
            format!("{subject}: {}{unit} at {}", shown(*value), observation.observed_at)
        }
        Reading::Text { text } => {
            let first: String =
                text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
            format!("{subject}: {} characters: {first}", text.chars().count())
        }
    }
}

pub(super) async fn notify_test(config: &ConfigFile, name: &str) -> anyhow::Result<ExitCode> {
    let watchlist = config.load().await?;
    let Some(told) = watchlist.notifiers.get(name) else {
        let hint = or_known(name, watchlist.notifiers.keys().map(String::as_str));
        return Err(Misuse(format!("no notifier named `{name}`{hint}")).into());
    };
    let told = Arc::clone(told);
    let http = Http::new(watchlist.http.clone()).map_err(anyhow::Error::msg)?;
    let roster = Roster::new(watchlist, http, &HashMap::new());
    match outbox::send_test(&roster, &told, Timestamp::now()).await {
        Ok(receipt) => {
            println!("`{name}` ({}) took it: {}", told.kind, receipt.answer);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("`{name}` ({}) did not take it: {error}", told.kind);
            Ok(ExitCode::FAILURE)
        }
    }
}
