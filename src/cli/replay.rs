//! `stakeout replay`

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::look::open;
use super::once::count;
use super::{ConfigFile, Misuse, moment};
use crate::model::or_known;
use crate::run::{self, Replayed, Told};

/// How often a person is told how far it has come.
const NOW_AND_THEN: Duration = Duration::from_millis(500);

/// What is missing where a strategy is tried that looks at a span of time, and the watch's own do not.
const NOT_COUNTED: &str = "how often a value was seen was not counted, as no strategy of the watch looks at a \
                           span of time: each different reading counts once";

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The watch's name
    watch: String,
    /// From when on: a length of time ago, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Timestamp,
    /// Until when; now, if left out
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Judge by this instead: `{ kind = "rsi", buy_below = 25 }`, or a list of such tables
    #[arg(long, value_name = "TOML")]
    strategy: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Replay {
    pub(super) async fn print(&self) -> anyhow::Result<ExitCode> {
        let until = self.until.unwrap_or_else(Timestamp::now);
        if until < self.since {
            return Err(Misuse(format!("--until {until:.0} is before --since {:.0}", self.since)).into());
        }
        let strategy = self.strategy.as_deref().map(|strategy| (self.watch.as_str(), strategy));
        let watchlist = self.config.load_trying(strategy).await?;
        let Some(watch) = watchlist.watch(&self.watch).map(Arc::clone) else {
            let hint = or_known(&self.watch, watchlist.watches.iter().map(|watch| watch.name.as_str()));
            return Err(Misuse(format!("there is no watch `{}`{hint}", self.watch)).into());
        };
        let store = open(&watchlist.daemon.data_dir).await?;
        let Some(row) = store.watch(&watch.name).await? else {
            return Err(Misuse(format!("nothing is stored of watch `{}` yet", watch.name)).into());
        };
        let mut shown = Instant::now();
        let to_a_person = std::io::stderr().is_terminal();
        let progress = |at: Timestamp, messages: usize| {
            if to_a_person && shown.elapsed() >= NOW_AND_THEN {
                shown = Instant::now();
                eprint!("\r{at:.0}: {} so far …", count(messages, "message"));
            }
        };
        let now = Timestamp::now();
        // What is not yet cannot be replayed; but a clock that was set back leaves runs that lie ahead of it.
        let last = store.run_at(row.id, None).await?.map_or(now, |run| run.started_at.max(now));
        if self.since > last {
            return Err(Misuse(format!("--since {:.0} lies in the future", self.since)).into());
        }
        let kept = watchlist.daemon.retention.runs_kept_since(now);
        let until = until.min(last);
        let replayed = run::replay(&store, &watch, row.id, self.since, until, kept, progress).await;
        if to_a_person {
            eprint!("\r\x1b[K");
        }
        store.close().await;
        let mut replayed = replayed?;
        if strategy.is_some() && watch.moves_with_time() {
            let own = self.config.load().await?;
            if own.watch(&self.watch).is_some_and(|own| !own.moves_with_time()) {
                replayed.remarks.push(NOT_COUNTED.into());
            }
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&replayed)?)?;
        } else {
            write!(out, "{}", describe(&replayed))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(replayed: &Replayed) -> String {
    let mut text = String::new();
    for Told { at, title, body, held_until, .. } in &replayed.messages {
        let held = held_until.map(|until| format!(" (held until {until:.0})")).unwrap_or_default();
        text.push_str(&format!("{at:.0}  {title}{held}\n"));
        for line in body.lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if !replayed.messages.is_empty() {
        text.push('\n');
    }
    let alerts: usize = replayed.reasons.values().sum();
    let reasons: Vec<String> =
        replayed.reasons.iter().map(|(reason, times)| format!("{times} {reason}")).collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" with {} ({})", count(alerts, "alert"), reasons.join(", "))
    };
    text.push_str(&format!(
        "{}: {}{reasons} between {:.0} and {:.0}; judged at {}. Nothing was sent.\n",
        replayed.watch,
        count(replayed.messages.len(), "message"),
        replayed.since,
        replayed.until,
        count(replayed.moments, "moment"),
    ));
    for remark in &replayed.remarks {
        text.push_str(&format!("  {remark}\n"));
    }
    text
}
