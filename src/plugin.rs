//! The contract between the daemon and its plug-ins: [`Source`], [`Strategy`], [`Notifier`], and the
//! table row ([`Kind`]) through which each is found, listed and built.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::http::{Http, ReadError, Reply, Request};
use crate::model::{
    Alert, Interval, Observation, Past, Plot, PolicyDefaults, Reading, ReadingKind, Reason, Signal,
    SignalState, Track, did_you_mean,
};

/// Looks at the world: says what to ask, and reads one answer at a time.
///
/// The asking itself belongs to the run: it paces, caps, compares with the last answer, and calls
/// [`Source::read`] only for a body that changed, away from the async threads. So a source is pure,
/// keeps no cursor and no ETag, and a captured reply is all that its tests need.
pub trait Source: Send + Sync {
    /// What its observations are.
    fn yields(&self) -> ReadingKind;

    /// What to ask, one request for each independent answer. The URL of a request must not change
    /// from run to run without need: it is what answers are compared by.
    fn requests(&self, needs: &Needs) -> Vec<Request>;

    /// Reads the answer to one of [`Source::requests`]. Any status arrives here, except walls, which
    /// are known by the run; use [`Reply::ok`] where the body of an error says nothing more.
    ///
    /// # Errors
    /// [`FetchError`] when the answer is not what the service should give.
    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError>;

    /// What to ask for the bars that opened in a stretch of the past; `None` where the service keeps none.
    /// The answers are read by [`Source::read`], also those of a source that gives no bars otherwise, and
    /// may hold more bars than were asked for.
    fn backfill(&self, _gap: &Span) -> Option<Backfill> {
        None
    }

    /// Whether the address is the owner's own, so that `method` and `body` may be his, too. Where a source says
    /// what a service is asked, they would only break it.
    fn asks_own_address(&self) -> bool {
        false
    }

    /// What to call a subject in a sentence: `gasoline in new_york_state`.
    fn describe(&self, subject: &str) -> String {
        subject.to_owned()
    }

    /// When what it looks at is open, as it would stand after `hours =`: how old its data may grow is
    /// counted in that time, where the watch does not say otherwise.
    fn hours(&self) -> Option<&'static str> {
        None
    }

    /// The strategies of a watch that names none, as the array that would stand after `strategy =`.
    fn usual_strategies(&self) -> &'static str;
}

/// What a run asks of its source.
#[derive(Clone, Debug)]
pub struct Needs {
    /// The moment of the run.
    pub now: Timestamp,
    /// How many closed bars the strategies of the watch want to see, where the source gives bars.
    pub bars: usize,
}

/// A stretch of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub until: Timestamp,
}

/// How a stretch of the past can be had.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// The length of the bars that the answers hold.
    pub interval: Interval,
    /// What to ask, each about its subject.
    pub requests: Vec<Request>,
}

/// What one answer held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Every subject of the answer. Empty is "no data", which is not an error.
    pub observations: Vec<Observation>,
    /// Whether a subject that this answer no longer mentions is gone: only true for a page that lists
    /// everything it knows.
    pub complete: bool,
}

impl Seen {
    /// Subjects that are not mentioned are simply not known about.
    #[must_use]
    pub const fn some(observations: Vec<Observation>) -> Self {
        Self { observations, complete: false }
    }

    /// Subjects that are not mentioned are gone.
    #[must_use]
    pub const fn everything(observations: Vec<Observation>) -> Self {
        Self { observations, complete: true }
    }
}

/// Why an answer could not be turned into observations. The text is shown to the owner: it says what
/// was wrong, with a short excerpt at most, and never holds a secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FetchError {
    /// The service did not answer, or not with what it should.
    #[error("{0}")]
    Failed(String),
    /// The service refuses programs or asks to be left alone.
    #[error("{why}")]
    Blocked {
        /// What the wall says.
        why: String,
        /// How long it asks to be left alone, where it says.
        retry_after: Option<Duration>,
    },
}

impl FetchError {
    /// A failure with its reason.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Judges what was seen. Pure: the same view, the same signals.
pub trait Strategy: Send + Sync {
    /// The kinds of reading it understands.
    fn reads(&self) -> &'static [ReadingKind];

    /// How much of the past it wants to see besides the current run.
    fn lookback(&self) -> Lookback {
        Lookback::default()
    }

    /// How each subject is now. A subject about which nothing can be said gets no signal: missing is
    /// not changed.
    ///
    /// # Errors
    /// [`EvaluateError`] when what was seen cannot be judged at all.
    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError>;

    /// What it could not judge in this run though it was seen, and why, a sentence for each subject: the
    /// run fails in part, and its other subjects count.
    fn unjudged(&self, _view: &View<'_>) -> Vec<String> {
        Vec::new()
    }

    /// How it came to its signal about one subject, step by step, in words with their numbers: what it
    /// looked at, what it computed, which limits it held that against.
    fn steps(&self, _view: &View<'_>, _subject: &str) -> Vec<String> {
        Vec::new()
    }

    /// What it adds to a chart of one subject: its indicator and its limits, by the code that judges.
    fn plots(&self, _track: Track<'_>) -> Vec<Plot> {
        Vec::new()
    }

    /// The words for what became news.
    fn tell(&self, story: &Story<'_>) -> Words {
        Words::plain(story)
    }
}

/// How much of the past a strategy wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookback {
    /// Closed bars in the current candles.
    pub bars: usize,
    /// The last so many different observations of each subject before this run.
    pub observations: usize,
    /// Everything observed in this span before now, and for each subject the one before it.
    pub span: Option<Duration>,
    /// Of each subject the one that was so this long before now: far less to read than the span.
    pub ago: Option<Duration>,
}

impl Lookback {
    /// Whether what is seen can change by time alone.
    #[must_use]
    pub const fn moves_with_time(&self) -> bool {
        self.span.is_some() || self.ago.is_some()
    }
}

/// What a strategy sees.
pub struct View<'a> {
    /// This run's observations.
    pub current: &'a [Observation],
    /// Earlier observations, as far back as [`Strategy::lookback`] asked; for each subject oldest first.
    pub earlier: &'a [Past],
    /// What was last seen of subjects that a complete listing no longer shows.
    pub absent: &'a [Observation],
    /// What this strategy settled on before, by subject.
    pub known: &'a HashMap<String, SignalState>,
    /// The moment of the run.
    pub now: Timestamp,
    /// The watch's zone, for times in words.
    pub zone: &'a TimeZone,
    /// The source, for what to call a subject.
    pub source: &'a dyn Source,
}

impl<'a> View<'a> {
    /// The earlier observations of one subject, oldest first.
    pub fn history(&self, subject: &str) -> impl Iterator<Item = &'a Past> {
        self.earlier.iter().filter(move |past| past.observation.subject == subject)
    }

    /// This run's observation of one subject; of a dated series the newest.
    #[must_use]
    pub fn seen(&self, subject: &str) -> Option<&'a Observation> {
        let of_one = self.current.iter().filter(|seen| seen.subject == subject);
        of_one.max_by_key(|seen| seen.observed_at)
    }

    /// The state that this strategy settled on before.
    #[must_use]
    pub fn settled(&self, subject: &str) -> Option<&'a str> {
        self.known.get(subject).map(|known| known.state.as_str())
    }
}

/// A strategy could not judge what was seen.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EvaluateError(pub String);

/// What became news in one run under one strategy.
pub struct Story<'a> {
    /// The watch's name.
    pub watch: &'a str,
    /// What is told, at least one; empty only for the announcement at first sight.
    pub news: &'a [News<'a>],
    /// How everything is now, told or not.
    pub signals: &'a [Signal],
    /// What was seen in this run.
    pub current: &'a [Observation],
    /// The moment of the run.
    pub now: Timestamp,
    /// The watch's zone, for times in words.
    pub zone: &'a TimeZone,
    /// The source, for what to call a subject.
    pub source: &'a dyn Source,
}

/// One signal that is told, and why.
pub struct News<'a> {
    /// The signal.
    pub signal: &'a Signal,
    /// Why it is told.
    pub reason: Reason,
    /// Since when it has been firing.
    pub since: Timestamp,
}

/// A message in words: plain text, which each notifier fits to its own format and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// One line.
    pub title: String,
    /// The rest, lines separated by `\n`, without an end of line at the end.
    pub body: String,
    /// Where a person can look at it.
    pub url: Option<String>,
}

impl Words {
    /// What a strategy without words of its own says: one line a signal.
    #[must_use]
    pub fn plain(story: &Story<'_>) -> Self {
        let line = |news: &News<'_>| match news.reason {
            Reason::Resolved => format!(
                "{} (over after {})",
                news.signal.summary,
                crate::model::Period(
                    Duration::try_from(story.now.duration_since(news.since)).unwrap_or_default()
                )
            ),
            Reason::Reminder => format!("still: {}", news.signal.summary),
            Reason::First | Reason::Changed => news.signal.summary.clone(),
        };
        let url = story.news.iter().find_map(|news| news.signal.url.clone());
        match story.news {
            [news] => Self {
                title: format!("{}: {}", story.watch, line(news)),
                body: news.signal.detail.clone(),
                url,
            },
            several => Self {
                title: format!("{}: {} changes", story.watch, several.len()),
                body: several.iter().map(line).collect::<Vec<_>>().join("\n"),
                url,
            },
        }
    }
}

impl Words {
    /// Every end says how long it was so, also where the words of the strategy do not.
    #[must_use]
    pub fn with_lengths(mut self, story: &Story<'_>) -> Self {
        for news in story.news.iter().filter(|news| news.reason == Reason::Resolved) {
            let lasted = Duration::try_from(story.now.duration_since(news.since)).unwrap_or_default();
            let lasted = crate::model::Period(lasted).to_string();
            if self.title.contains(&lasted) || self.body.contains(&lasted) {
                continue;
            }
            if !self.body.is_empty() {
                self.body.push('\n');
            }
            match story.news {
                [_] => self.body.push_str(&format!("It was so for {lasted}.")),
                _ => {
                    let subject = story.source.describe(&news.signal.subject);
                    self.body.push_str(&format!("{subject}: it was so for {lasted}."));
                }
            }
        }
        self
    }
}

/// Tells someone. One attempt: trying again, waiting and counting belong to the outbox.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Hands the message over.
    ///
    /// # Errors
    /// [`NotifyError`], which says whether to try again and when, and never holds a secret.
    async fn notify(&self, http: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError>;

    /// Whether its messages want a picture of what they tell about.
    fn wants_picture(&self) -> bool {
        false
    }
}

/// A chart as a picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// PNG.
    pub png: Vec<u8>,
    /// What it shows, for who cannot see it.
    pub alt: String,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.alt, self.png.len())
    }
}

/// What is told: the news of one run and one strategy.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The delivery's id, a UUID; the same on every attempt.
    pub delivery_id: &'a str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it happened.
    pub created_at: Timestamp,
    /// How many parts of a message that had to be split were already accepted.
    pub parts_done: u32,
    /// One line.
    pub title: &'a str,
    /// The rest, plain text.
    pub body: &'a str,
    /// Where a person can look at it.
    pub url: Option<&'a str>,
    /// The alerts, at least one.
    pub alerts: &'a [Alert],
    /// What it tells about, drawn, where the notifier wants that and there is something to draw.
    pub picture: Option<&'a Picture>,
}

/// The service took it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What the service answered, short, for `notify test`.
    pub answer: String,
    /// How long the service wants to be left alone before the next message.
    pub pause: Option<Duration>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotifyError {
    /// Try again: the network, the service's own trouble, too many messages.
    #[error("{why}")]
    Transient {
        /// What went wrong, without secrets.
        why: String,
        /// Not before this long from now.
        retry_after: Option<Duration>,
        /// How many parts of a split message were accepted, all attempts together.
        parts_done: u32,
    },
    /// Never again: the address is gone, the message is refused.
    #[error("{why}")]
    Refused {
        /// What the service says, without secrets.
        why: String,
    },
}

impl NotifyError {
    /// Worth another try, with no wish of when.
    #[must_use]
    pub fn transient(why: impl Into<String>) -> Self {
        Self::Transient { why: why.into(), retry_after: None, parts_done: 0 }
    }

    /// Not worth another try.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }
}

/// A plug-in is its own configuration table: what its keys say about themselves is what a person reads.
pub trait Plugin: DeserializeOwned + JsonSchema {
    /// Its name in `kind = "…"`.
    const KIND: &'static str;
    /// One line: what it does, for `stakeout kinds`.
    const ABOUT: &'static str;
    /// The keys of a working configuration, without `kind`, one a line; a test builds it.
    const EXAMPLE: &'static str;
    /// What a strategy wants where the watch does not say. Means nothing for the others.
    const POLICY: PolicyDefaults = PolicyDefaults::QUIET;
}

/// One row of a plug-in table.
pub struct Kind<T: ?Sized> {
    /// Its name in `kind = "…"`.
    pub name: &'static str,
    /// One line: what it does.
    pub about: &'static str,
    /// The keys of a working configuration, without `kind`.
    pub example: &'static str,
    /// What a strategy wants where the watch does not say.
    pub policy: PolicyDefaults,
    /// What its keys are, for a schema that holds every part of itself.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    parse: for<'i> fn(ValueDeserializer<'i>) -> Result<Box<T>, toml::de::Error>,
}

macro_rules! kind_of {
    ($name:ident, $contract:ident) => {
        impl Kind<dyn $contract> {
            /// The row of one plug-in.
            #[must_use]
            pub const fn $name<P: Plugin + $contract + 'static>() -> Self {
                Self {
                    name: P::KIND,
                    about: P::ABOUT,
                    example: P::EXAMPLE,
                    policy: P::POLICY,
                    schema: P::json_schema,
                    parse: |table| Ok(Box::new(P::deserialize(table)?)),
                }
            }
        }
    };
}
kind_of!(source, Source);
kind_of!(strategy, Strategy);
kind_of!(notifier, Notifier);

/// Why a plug-in's table could not be built.
#[derive(Clone, Debug)]
pub struct BuildError {
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where, as bytes of the file, when it is known.
    pub span: Option<std::ops::Range<usize>>,
}

/// Finds the row that `kind = "…"` names and builds the plug-in from the other keys of the table.
///
/// # Errors
/// [`BuildError`] when there is no `kind`, no such kind (with the nearest known one), or a key is
/// unknown, missing or of another type.
pub fn build<'k, T: ?Sized>(
    kinds: &'k [Kind<T>],
    table: Spanned<DeTable<'_>>,
) -> Result<(&'k Kind<T>, Box<T>), BuildError> {
    let span = table.span();
    let mut table = table.into_inner();
    let Some(name) = table.remove("kind") else {
        return Err(BuildError {
            message: format!("`kind` is missing; known: {}", names(kinds)),
            span: Some(span),
        });
    };
    let name_span = name.span();
    let Some(name) = name.get_ref().as_str() else {
        return Err(BuildError { message: "`kind` must be a text".into(), span: Some(name_span) });
    };
    let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
        let hint = did_you_mean(name, kinds.iter().map(|kind| kind.name));
        return Err(BuildError {
            message: format!("unknown kind `{name}`; known: {}{hint}", names(kinds)),
            span: Some(name_span),
        });
    };
    let value = Spanned::new(span.clone(), DeValue::Table(table));
    match (kind.parse)(ValueDeserializer::from(value)) {
        Ok(plugin) => Ok((kind, plugin)),
        Err(error) => Err(BuildError {
            message: format!("{name}: {}", error.message()),
            span: error.span().or(Some(span)),
        }),
    }
}

fn names<T: ?Sized>(kinds: &[Kind<T>]) -> String {
    kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// The candles of an observation, when it holds candles.
#[must_use]
pub fn candles(observation: &Observation) -> Option<&[crate::model::Candle]> {
    match &observation.reading {
        Reading::Candles { candles, .. } => Some(candles),
        _ => None,
    }
}
