//! `stakeout outbox`

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::once::count;
use super::table::table;
use super::{ConfigFile, Misuse};
use crate::model::Period;
use crate::store::{Attempt, Store, StoredDelivery, Which};
use crate::watchlist::Watchlist;

/// So much of an id is shown: its end, which is random.
const SHOWN_OF_ID: usize = 12;

/// A few letters would name many.
const SHORTEST_ID: usize = 4;

/// The longest title in the list.
const LONGEST_TITLE: usize = 60;

#[derive(Debug, clap::Subcommand)]
pub(super) enum OutboxCommand {
    /// The messages that wait, and those that were given up
    List(List),
    /// One message, with every attempt to send it
    Show {
        /// Its id in `stakeout outbox list`
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Try again now; the daemon, when it runs, does so within seconds
    Retry {
        /// Its id in `stakeout outbox list`; also one that is held over quiet hours
        #[arg(required_unless_present_any = ["dead", "all"])]
        id: Option<String>,
        /// All that were given up
        #[arg(long, conflicts_with = "id")]
        dead: bool,
        /// All that were given up, and all that wait to be tried again
        #[arg(long, conflicts_with_all = ["id", "dead"])]
        all: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Give up: it is not sent, but stays in `stakeout outbox list --all`
    Drop {
        /// Its id in `stakeout outbox list`
        #[arg(required_unless_present = "dead")]
        id: Option<String>,
        /// All that were given up: they need not be looked at again
        #[arg(long, conflicts_with = "id")]
        dead: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Also those that were delivered or dropped
    #[arg(long)]
    all: bool,
    /// Only those that were given up
    #[arg(long, conflicts_with = "all")]
    dead: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// At most so many, the newest
    #[arg(long, default_value_t = 200)]
    limit: usize,
    #[command(flatten)]
    config: ConfigFile,
}

impl OutboxCommand {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        match self {
            Self::List(list) => list.run(now).await,
            Self::Show { id, json, config } => {
                let (_, store) = open(config).await?;
                let shown = show(&store, id, *json, now).await;
                store.close().await;
                shown
            }
            Self::Retry { id, dead, config, .. } => {
                let which = if *dead { Which::Dead } else { Which::Troubled };
                let (watchlist, store) = open(config).await?;
                let done = retry(&store, &watchlist, id.as_deref(), which, now).await;
                store.close().await;
                done
            }
            Self::Drop { id, config, .. } => {
                let (_, store) = open(config).await?;
                let done = give_up(&store, id.as_deref(), now).await;
                store.close().await;
                done
            }
        }
    }
}

impl List {
    async fn run(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let (_, store) = open(&self.config).await?;
        let which = match (self.all, self.dead) {
            (true, _) => Which::All,
            (_, true) => Which::Dead,
            _ => Which::Open,
        };
        let deliveries = store.deliveries(&which, self.limit).await;
        store.close().await;
        let deliveries = deliveries?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&deliveries)?)?;
        } else if deliveries.is_empty() {
            writeln!(out, "Nothing waits, and nothing was given up.")?;
        } else {
            let rows: Vec<Vec<String>> = deliveries.iter().map(|one| row(one, now)).collect();
            write!(out, "{}", table(&["ID", "TO", "KIND", "MADE", "STATUS", "TRIED", "MESSAGE"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn open(config: &ConfigFile) -> anyhow::Result<(Watchlist, Store)> {
    let watchlist = config.load()?;
    let store = super::look::open(&watchlist).await?;
    Ok((watchlist, store))
}

fn row(one: &StoredDelivery, now: Timestamp) -> Vec<String> {
    let mut message: String = one.title.chars().take(LONGEST_TITLE).collect();
    if message.len() < one.title.len() {
        message.push('…');
    }
    if let (Some(why), "dead" | "pending") = (&one.last_error, one.status.as_str()) {
        message = format!("{message} ({why})");
    }
    vec![
        short(&one.id),
        one.notifier.clone(),
        one.kind.clone(),
        format!("{:.0}", one.created_at),
        status(one, now),
        one.attempts.to_string(),
        message,
    ]
}

/// How it is, in words.
fn status(one: &StoredDelivery, now: Timestamp) -> String {
    let left = one.next_attempt_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let left = left.filter(|left| left.as_secs() > 0).map(|left| Period(Duration::from_secs(left.as_secs())));
    match (one.status.as_str(), &one.carried_by, left) {
        ("pending" | "sending", Some(other), _) => format!("part of {}", short(other)),
        ("pending", None, Some(left)) if one.held && one.attempts == 0 => format!("held for {left}"),
        ("pending", None, Some(left)) => format!("again in {left}"),
        ("pending", None, None) => "waits".into(),
        ("dead", ..) if one.dropped_at.is_some() => "dropped".into(),
        (status, ..) => status.to_owned(),
    }
}

fn short(id: &str) -> String {
    id.chars().skip(id.chars().count().saturating_sub(SHOWN_OF_ID)).collect()
}

/// The one delivery whose id is, or ends in, this.
async fn find(store: &Store, id: &str) -> anyhow::Result<StoredDelivery> {
    let wrong = |why: String| anyhow::Error::from(Misuse(why));
    if id.chars().count() < SHORTEST_ID {
        return Err(wrong(format!("`{id}` is too short for an id; see `stakeout outbox list`")));
    }
    let mut found = store.deliveries(&Which::One(id.to_owned()), 2).await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(wrong(format!("there is no message `{id}`; see `stakeout outbox list --all`"))),
        (Some(_), Some(_)) => Err(wrong(format!("several ids end in `{id}`; write more of it"))),
    }
}

async fn show(store: &Store, id: &str, as_json: bool, now: Timestamp) -> anyhow::Result<ExitCode> {
    let one = find(store, id).await?;
    let attempts = store.attempts(&one.id).await?;
    let tells = store.carried_titles(&one.id).await?;
    let mut out = std::io::stdout().lock();
    if as_json {
        let mut shown = json!(one);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("tells".into(), json!(tells));
            shown.insert("attempts".into(), json!(attempts));
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", one.title)?;
    for line in one.body.lines() {
        writeln!(out, "  {line}")?;
    }
    let urgent = if one.urgent { ", urgent" } else { "" };
    writeln!(out, "\n{} {} to `{}`{urgent}: {}", one.kind, one.id, one.notifier, status(&one, now))?;
    writeln!(out, "made at {:.0}{}", one.created_at, told_at(&one))?;
    if let Some(other) = &one.carried_by {
        writeln!(out, "told by {other}")?;
    }
    if !tells.is_empty() {
        writeln!(out, "\ntells {} messages", tells.len())?;
        tells.iter().try_for_each(|title| writeln!(out, "  {title}"))?;
    }
    if !attempts.is_empty() {
        let row = |one: &Attempt| {
            vec![
                one.attempt.to_string(),
                format!("{:.0}", one.at),
                one.outcome.clone(),
                one.why.clone().unwrap_or_default(),
            ]
        };
        let rows: Vec<Vec<String>> = attempts.iter().map(row).collect();
        write!(out, "\n{}", table(&["ATTEMPT", "TIME", "OUTCOME", "WHY"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told_at(one: &StoredDelivery) -> String {
    one.delivered_at.map(|at| format!(", delivered at {at:.0}")).unwrap_or_default()
}

async fn retry(
    store: &Store,
    watchlist: &Watchlist,
    id: Option<&str>,
    which: Which,
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    let wanted = match id {
        Some(id) => vec![changeable(find(store, id).await?, "retry")?],
        None => on_their_own(store, &which).await?,
    };
    let (known, unknown): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|one| watchlist.notifiers.contains_key(&one.notifier));
    if let (Some(_), Some(one)) = (id, unknown.first()) {
        let why = format!("no notifier named `{}` is configured any more", one.notifier);
        return Err(Misuse(why).into());
    }
    store.retry_deliveries(ids(&known), now).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: to be tried again now.", count(known.len(), "message"))?;
    if !unknown.is_empty() {
        writeln!(
            out,
            "{}: left alone, their notifiers are no longer configured.",
            count(unknown.len(), "message")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn give_up(store: &Store, id: Option<&str>, now: Timestamp) -> anyhow::Result<ExitCode> {
    let wanted = match id {
        Some(id) => vec![changeable(find(store, id).await?, "drop")?],
        None => on_their_own(store, &Which::Dead).await?,
    };
    store.drop_deliveries(ids(&wanted), now).await?;
    writeln!(
        std::io::stdout(),
        "{}: dropped; `stakeout outbox list --all` still has them.",
        count(wanted.len(), "message")
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What is told by another follows it.
async fn on_their_own(store: &Store, which: &Which) -> anyhow::Result<Vec<StoredDelivery>> {
    let mut found = store.deliveries(which, usize::MAX).await?;
    found.retain(|one| one.carried_by.is_none());
    Ok(found)
}

/// A delivery of which it can still be decided what becomes of it.
fn changeable(one: StoredDelivery, command: &str) -> anyhow::Result<StoredDelivery> {
    let why = match (&one.carried_by, one.status.as_str()) {
        (_, "delivered") => format!("`{}` is delivered", short(&one.id)),
        (Some(other), _) => {
            let other = short(other);
            format!("`{}` is part of another message: stakeout outbox {command} {other}", short(&one.id))
        }
        (None, "sending") if command == "retry" => format!("`{}` is being sent", short(&one.id)),
        _ => return Ok(one),
    };
    Err(Misuse(why).into())
}

fn ids(deliveries: &[StoredDelivery]) -> Vec<String> {
    deliveries.iter().map(|one| one.id.clone()).collect()
}
