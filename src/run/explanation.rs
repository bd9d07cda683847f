//! The shape of an explanation: one run of the past, and why it told what it told.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Alert, Observation, Reason, Silence};
use crate::store::DeliveryRow;

/// One run, and why it told what it told.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The watch.
    pub watch: String,
    /// The slot.
    pub due_at: Timestamp,
    /// What asked for the run.
    pub trigger: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How long after its slot that was.
    pub late_ms: i64,
    /// How long it then waited for its host's turn.
    pub waited_ms: u64,
    /// Which host, where that was long.
    pub waited_for: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// Why, where it failed or was blocked.
    pub error: Option<String>,
    /// When the answer was read that this run found unchanged.
    pub same_as: Option<Timestamp>,
    /// What it saw, as far as it is still stored.
    pub observations: Vec<Observation>,
    /// What a complete answer no longer mentioned.
    pub absent: Vec<String>,
    /// What each strategy made of each subject.
    pub judgements: Vec<Judgement>,
    /// The hosts that it asks and that were in trouble then, with what was said of them.
    pub hosts: Vec<String>,
    /// The silences that were in force then.
    pub silences: Vec<Silence>,
    /// The end of the quiet hours that it ran in.
    pub quiet_until: Option<Timestamp>,
    /// What was told.
    pub alerts: Vec<ToldAlert>,
    /// The messages it wrote.
    pub deliveries: Vec<Delivered>,
    /// What else is to be known.
    pub remarks: Vec<String>,
}

/// What a strategy made of a subject, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The strategy; `run` for what the daemon says about its own runs.
    pub strategy: String,
    /// The subject.
    pub subject: String,
    /// The state that was judged.
    pub state: String,
    /// The number that decided.
    pub value: Option<f64>,
    /// One line.
    pub summary: String,
    /// How the strategy came to it.
    pub steps: Vec<String>,
    /// Told or not.
    pub verdict: String,
    /// Why.
    pub why: String,
    /// Whether that was stored with the run, rather than found out now.
    pub stored: bool,
    /// What had been settled on before.
    pub settled: Option<String>,
}

/// An alert of the run.
#[derive(Clone, Debug, Serialize)]
pub struct ToldAlert {
    /// UUID.
    pub id: String,
    /// The strategy.
    pub strategy: String,
    /// The subject.
    pub subject: String,
    /// Why it is told.
    pub reason: Reason,
    /// One line.
    pub title: String,
}

/// A message of the run, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    /// UUID.
    pub id: String,
    /// To whom.
    pub notifier: String,
    /// One line.
    pub title: String,
    /// `pending`, `sending`, `delivered` or `dead`.
    pub status: String,
    /// What became of it, or what it waits for, in a sentence.
    pub fate: Fate,
    /// Each attempt: when, what came of it, why.
    pub attempts: Vec<Attempt>,
}

/// What became of a message: words around the moment that they are about, which a page shows in the reader's zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// The words before.
    pub before: String,
    /// The moment.
    pub at: Option<Timestamp>,
    /// The words after it.
    pub after: String,
}

impl Fate {
    fn new(before: &str, at: Timestamp, after: &str) -> Self {
        Self { before: before.into(), at: Some(at), after: after.into() }
    }

    fn words(words: impl Into<String>) -> Self {
        Self { before: words.into(), ..Self::default() }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        if let Some(at) = self.at {
            write!(f, "{at:.0}")?;
        }
        f.write_str(&self.after)
    }
}

impl Serialize for Fate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One try to send a message.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// `delivered`, `retry` or `dead`.
    pub outcome: String,
    /// Why.
    pub why: Option<String>,
}

impl ToldAlert {
    pub(super) fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.clone(),
            strategy: alert.strategy.clone(),
            subject: alert.signal.subject.clone(),
            reason: alert.reason,
            title: alert.title.clone(),
        }
    }
}

impl Delivered {
    /// As it stands.
    #[must_use]
    pub fn of(row: DeliveryRow) -> Self {
        let fate = match (row.status.as_str(), &row.carried_by, row.delivered_at) {
            (_, Some((_, title)), Some(at)) => Fate::new("told at ", at, &format!(" in \"{title}\"")),
            (_, Some((_, title)), None) => Fate::words(format!("waits to be told in \"{title}\"")),
            ("delivered", None, Some(at)) => Fate::new("delivered at ", at, ""),
            ("dead", ..) => Fate::words(format!(
                "given up: {}",
                row.last_error.as_deref().unwrap_or("no reason is known")
            )),
            ("sending", ..) => Fate::words("being sent"),
            _ if row.held => Fate::new("held until the quiet hours end at ", row.next_attempt_at, ""),
            _ if row.attempts > 0 => {
                let why = format!(": {}", row.last_error.as_deref().unwrap_or_default());
                Fate::new("to be tried again at ", row.next_attempt_at, &why)
            }
            _ => Fate::words("waits to be sent"),
        };
        let attempts = row.tries.into_iter().map(|(at, outcome, why)| Attempt { at, outcome, why });
        Self {
            id: row.id,
            notifier: row.notifier,
            title: row.title,
            status: row.status,
            fate,
            attempts: attempts.collect(),
        }
    }
}
