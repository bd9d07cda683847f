//! `stakeout explain`

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use jiff::Timestamp;

use super::look::open;
use super::once::{MOST_LINES, count, line_of};
use super::{ConfigFile, Misuse, whole_second};
use crate::model::{Period, or_known};
use crate::run::{self, Explanation, Judgement};

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The watch's name
    watch: String,
    /// The run of the last slot until then, instead of the last one: a length of time ago, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = whole_second)]
    at: Option<Timestamp>,
    /// Only this symbol, item or region
    #[arg(long)]
    subject: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Explain {
    pub(super) async fn print(&self) -> anyhow::Result<ExitCode> {
        let watchlist = self.config.load().await?;
        let Some(watch) = watchlist.watch(&self.watch).map(Arc::clone) else {
            let hint = or_known(&self.watch, watchlist.watches.iter().map(|watch| watch.name.as_str()));
            return Err(Misuse(format!("there is no watch `{}`{hint}", self.watch)).into());
        };
        let store = open(&watchlist.daemon.data_dir).await?;
        let row = store.watch(&watch.name).await?;
        let paused = store.paused_watches().await?.into_iter().find(|paused| paused.name == watch.name);
        let (explanation, subjects) = match &row {
            Some(row) => (
                run::explain(&store, &watch, row.id, self.at, self.subject.as_deref()).await?,
                run::subjects(&store, row.id).await?,
            ),
            None => (None, Vec::new()),
        };
        store.close().await;
        let Some(explanation) = explanation else {
            match self.at {
                Some(at) => {
                    bail!("nothing is known of a run of watch `{}` at {at:.0} or before it", watch.name)
                }
                None => match paused {
                    Some(paused) => {
                        let since = paused.paused_at;
                        bail!("watch `{}` is paused since {since:.0}, and has not run yet", watch.name)
                    }
                    None => bail!("watch `{}` has not run yet", watch.name),
                },
            }
        };
        if let Some(subject) = self.subject.as_ref().filter(|subject| !subjects.contains(subject)) {
            let hint = or_known(subject, subjects.iter().map(String::as_str));
            let message = format!("watch `{}` has never seen a subject `{subject}`{hint}", watch.name);
            return Err(Misuse(message).into());
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
        } else {
            write!(out, "{}", describe(&explanation))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(explained: &Explanation) -> String {
    let mut page = Page::default();
    let late = Period(std::time::Duration::from_millis(explained.late_ms.unsigned_abs()));
    let late = if explained.late_ms > 0 { format!(", {late} late") } else { String::new() };
    page.line(0, &format!("{}: {}", explained.watch, explained.outcome));
    page.line(1, &format!("due {:.0} ({})", explained.due_at, explained.trigger));
    page.line(1, &format!("began {:.3}{late}", explained.started_at));
    if let Some(host) = &explained.waited_for {
        let waited = Period(std::time::Duration::from_millis(explained.waited_ms));
        page.line(1, &format!("waited {waited} for its turn at {host}"));
    }
    page.some(1, explained.error.as_ref());
    if let Some(at) = explained.same_as {
        page.line(1, &format!("the answer had the same bytes as the one of {at:.0}"));
    }
    page.list(1, &explained.remarks);

    page.head(&count(explained.observations.len(), "observation"));
    page.list(1, &explained.observations.iter().map(line_of).collect::<Vec<_>>());
    page.list(1, &explained.absent.iter().map(|gone| format!("{gone}: no longer there")).collect::<Vec<_>>());

    page.head(&count(explained.judgements.len(), "signal"));
    for judgement in explained.judgements.iter().take(MOST_LINES) {
        describe_judgement(&mut page, judgement);
    }
    page.more(explained.judgements.len());

    let around: Vec<String> = explained
        .silences
        .iter()
        .map(|silence| {
            let comment = Some(&silence.comment).filter(|comment| !comment.is_empty());
            let comment = comment.map(|comment| format!(" ({comment})")).unwrap_or_default();
            format!("silenced until {:.0}: {}{comment}", silence.ends_at, silence.matchers)
        })
        .chain(explained.quiet_until.map(|until| format!("quiet hours until {until:.0}")))
        .chain(explained.hosts.iter().cloned())
        .collect();
    if !around.is_empty() {
        page.head("in force then");
        page.list(1, &around);
    }
    page.head(&count(explained.alerts.len(), "alert"));
    for alert in explained.alerts.iter().take(MOST_LINES) {
        let reason = serde_json::json!(alert.reason);
        page.line(1, &format!("{} ({})", alert.title, reason.as_str().unwrap_or_default()));
    }
    page.more(explained.alerts.len());
    page.head(&format!(
        "{} deliver{}",
        explained.deliveries.len(),
        if explained.deliveries.len() == 1 { "y" } else { "ies" }
    ));
    for delivery in explained.deliveries.iter().take(MOST_LINES) {
        page.line(1, &format!("{}: {}", delivery.notifier, delivery.title));
        page.line(2, &delivery.fate.to_string());
        for attempt in &delivery.attempts {
            let why = attempt.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            page.line(2, &format!("{:.0} {}{why}", attempt.at, attempt.outcome));
        }
    }
    page.more(explained.deliveries.len());
    page.0
}

fn describe_judgement(page: &mut Page, judgement: &Judgement) {
    let Judgement { strategy, subject, state, verdict, why, .. } = judgement;
    let about = if subject.is_empty() { String::new() } else { format!(" {subject}") };
    page.line(1, &format!("{strategy}{about}: {state}, {}", verdict.replace('_', " ")));
    if !judgement.summary.is_empty() {
        page.line(2, &judgement.summary);
    }
    for (n, step) in (1..).zip(&judgement.steps) {
        page.line(2, &format!("{n}. {step}"));
    }
    let before = judgement.settled.as_deref().unwrap_or("nothing, this is the first sight");
    page.line(2, &format!("settled on before: {before}"));
    if !why.is_empty() {
        let told = match verdict.as_str() {
            "held" => "held",
            verdict if is_told(verdict) => "told",
            _ => "not told",
        };
        page.line(2, &format!("{told}: {why}"));
    } else if !is_told(verdict) {
        page.line(2, "not told: there is nothing to tell");
    }
}

/// Whether a verdict makes a message.
fn is_told(verdict: &str) -> bool {
    matches!(verdict, "first" | "changed" | "reminder" | "resolved" | "held")
}

/// Lines, indented.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, text: &str) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn head(&mut self, text: &str) {
        self.0.push('\n');
        self.line(0, text);
    }

    fn some(&mut self, depth: usize, text: Option<&String>) {
        if let Some(text) = text {
            self.line(depth, text);
        }
    }

    fn list(&mut self, depth: usize, lines: &[String]) {
        for line in lines.iter().take(MOST_LINES) {
            self.line(depth, line);
        }
        self.more(lines.len());
    }

    fn more(&mut self, count: usize) {
        if count > MOST_LINES {
            self.line(1, &format!("… and {} more (--json shows all)", count - MOST_LINES));
        }
    }
}
