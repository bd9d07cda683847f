//! `stakeout outbox`

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::once::count;
use super::table::table;
use super::{ConfigFile, Misuse};
use crate::model::Period;
use crate::outbox::{HeldUp, held_up};
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
        /// Its id in `stakeout outbox list`, or the beginning or end of it; also one that is held over quiet hours
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
                let (watchlist, store) = open(config).await?;
                let shown = show(&store, &watchlist, id, *json, now).await;
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
        let (watchlist, store) = open(&self.config).await?;
        let which = match (self.all, self.dead) {
            (true, _) => Which::All,
            (_, true) => Which::Dead,
            _ => Which::Open,
        };
        let deliveries = store.deliveries(&which, self.limit).await;
        let terms = Terms::now(&store, &watchlist, now).await;
        store.close().await;
        let (deliveries, terms) = (deliveries?, terms?);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&deliveries)?)?;
        } else if deliveries.is_empty() {
            writeln!(out, "Nothing waits, and nothing was given up.")?;
        } else {
            let rows: Vec<Vec<String>> = deliveries.iter().map(|one| row(one, &terms)).collect();
            write!(out, "{}", table(&["ID", "TO", "KIND", "MADE", "STATUS", "TRIED", "MESSAGE"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn open(config: &ConfigFile) -> anyhow::Result<(Watchlist, Store)> {
    let watchlist = config.load().await?;
    let store = super::look::open(&watchlist.daemon.data_dir).await?;
    Ok((watchlist, store))
}

fn row(one: &StoredDelivery, terms: &Terms<'_>) -> Vec<String> {
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
        terms.status(one),
        one.attempts.to_string(),
        message,
    ]
}

/// How the notifiers stand, for what a message waits for.
struct Terms<'a> {
    watchlist: &'a Watchlist,
    held_up: HashMap<&'a str, HeldUp>,
    zone: TimeZone,
    now: Timestamp,
}

impl<'a> Terms<'a> {
    async fn now(store: &Store, watchlist: &'a Watchlist, now: Timestamp) -> anyhow::Result<Self> {
        let mut terms = HashMap::new();
        for told in watchlist.notifiers.values() {
            terms.insert(told.name.as_str(), held_up(store, told, now).await?);
        }
        let zone = TimeZone::get(&watchlist.daemon.timezone).unwrap_or(TimeZone::UTC);
        Ok(Self { watchlist, held_up: terms, zone, now })
    }

    /// How it is, in words.
    fn status(&self, one: &StoredDelivery) -> String {
        match (one.status.as_str(), &one.carried_by) {
            ("pending" | "sending", Some(other)) => format!("part of {}", short(other)),
            ("pending", None) => self.waits_for(one).unwrap_or_else(|| "waits".into()),
            ("dead", _) if one.dropped_at.is_some() => "dropped".into(),
            (status, _) => status.to_owned(),
        }
    }

    /// What a message that could be sent waits for.
    fn waits_for(&self, one: &StoredDelivery) -> Option<String> {
        let Some(told) = self.watchlist.notifiers.get(&one.notifier) else {
            return Some("waits, but its notifier is not configured".into());
        };
        if let Some(at) = one.next_attempt_at.filter(|at| *at > self.now) {
            if one.held && one.attempts == 0 {
                return Some(format!("held until {}", self.clock(at)));
            }
            let left = Duration::try_from(at.duration_since(self.now)).unwrap_or_default();
            let left = Period(Duration::from_secs(left.as_secs().max(1)));
            return Some(format!("again in {left}"));
        }
        if let Some(older) = &one.behind {
            return Some(format!("behind the older {}", short(older)));
        }
        let held_up = self.held_up.get(one.notifier.as_str()).filter(|_| !one.urgent)?;
        let is_fresh = one.attempts == 0 && !one.held && matches!(one.kind.as_str(), "news" | "note");
        if let (Some(at), Some(budget)) = (held_up.budget, told.budget) {
            return Some(format!("waits for the budget ({budget}) until {}", self.clock(at)));
        }
        let at = held_up.bundle.filter(|_| is_fresh)?;
        let at = at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        Some(format!("waits for its bundle until {at}"))
    }

    /// The time of day here, with the date where that is another.
    fn clock(&self, at: Timestamp) -> String {
        // Times in the middle of a minute end with it.
        let at = at.checked_add(Duration::from_millis(59_999)).unwrap_or(at).to_zoned(self.zone.clone());
        let is_today = at.date() == self.now.to_zoned(self.zone.clone()).date();
        at.strftime(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }
}

fn short(id: &str) -> String {
    id.chars().skip(id.chars().count().saturating_sub(SHOWN_OF_ID)).collect()
}

/// The one delivery whose id, whole or as it is shown, begins or ends so.
async fn find(store: &Store, id: &str) -> anyhow::Result<StoredDelivery> {
    let wrong = |why: String| anyhow::Error::from(Misuse(why));
    if id.chars().count() < SHORTEST_ID {
        return Err(wrong(format!("`{id}` is too short for an id; see `stakeout outbox list`")));
    }
    let mut found = store.deliveries(&Which::One(id.to_owned()), 2).await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(wrong(format!("there is no message `{id}`; see `stakeout outbox list --all`"))),
        (Some(_), Some(_)) => Err(wrong(format!("several ids begin or end with `{id}`; write more of it"))),
    }
}

async fn show(
    store: &Store,
    watchlist: &Watchlist,
    id: &str,
    as_json: bool,
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    let one = find(store, id).await?;
    let attempts = store.attempts(&one.id).await?;
    let tells = store.carried_titles(&one.id).await?;
    let status = Terms::now(store, watchlist, now).await?.status(&one);
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
    writeln!(out, "\n{} {} to `{}`{urgent}: {status}", one.kind, one.id, one.notifier)?;
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
    let terms = Terms::now(store, watchlist, now).await?;
    let retried: HashSet<&str> = known.iter().map(|one| one.id.as_str()).collect();
    let open = store.deliveries(&Which::Open, usize::MAX).await?;
    let mut held_up: BTreeMap<String, usize> = BTreeMap::new();
    for one in open.iter().filter(|one| one.status == "pending" && retried.contains(one.id.as_str())) {
        let Some(what) = terms.waits_for(one) else { continue };
        let number = held_up.entry(what).or_default();
        *number = number.saturating_add(1);
    }
    let free = known.len().saturating_sub(held_up.values().sum());
    let mut out = std::io::stdout().lock();
    if known.is_empty() && unknown.is_empty() {
        writeln!(out, "There was no message to try again.")?;
    }
    if free > 0 {
        writeln!(out, "{}: to be tried again now.", count(free, "message"))?;
    }
    for (what, number) in held_up {
        writeln!(out, "{}: {what}.", count(number, "message"))?;
    }
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
    if wanted.is_empty() {
        writeln!(std::io::stdout(), "There was no message to drop.")?;
        return Ok(ExitCode::SUCCESS);
    }
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
