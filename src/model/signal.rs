//! How a strategy reads one subject now, and what is remembered about it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// A person should look.
    Warning,
    /// A person should look now.
    Critical,
}

/// How a strategy reads one subject now: a state, never an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signal {
    /// Who or what it is about.
    pub subject: String,
    /// The strategy's word for how it is: `oversold`, `in_stock`, `fell`.
    pub state: String,
    /// Whether that state is worth telling.
    pub firing: bool,
    /// Equal fingerprint, same news. A level strategy uses its state, an event strategy names the
    /// occasion (`fell@2022-05-02`, a content hash).
    pub fingerprint: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line for a list: what is so, with its numbers.
    pub summary: String,
    /// More lines, where there is more to say (a diff, a comparison).
    pub detail: String,
    /// The number that decided, where there is one.
    pub value: Option<f64>,
    /// Where a person can look at it.
    pub url: Option<String>,
}

impl Signal {
    /// A level: its state is its fingerprint, everything else is empty until set.
    #[must_use]
    pub fn level(subject: impl Into<String>, state: impl Into<String>, firing: bool) -> Self {
        let state = state.into();
        Self {
            subject: subject.into(),
            fingerprint: state.clone(),
            state,
            firing,
            severity: Severity::Info,
            summary: String::new(),
            detail: String::new(),
            value: None,
            url: None,
        }
    }

    /// An event: the occasion is its fingerprint.
    #[must_use]
    pub fn event(
        subject: impl Into<String>,
        state: impl Into<String>,
        firing: bool,
        fingerprint: impl Into<String>,
    ) -> Self {
        Self { fingerprint: fingerprint.into(), ..Self::level(subject, state, firing) }
    }

    /// With its one line.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// With more lines.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With the number that decided.
    #[must_use]
    pub const fn value(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }

    /// With where to look.
    #[must_use]
    pub fn url(mut self, url: Option<String>) -> Self {
        self.url = url;
        self
    }

    /// With how bad it is.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// What is remembered about one subject under one strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalState {
    /// The state last settled on.
    pub state: String,
    /// Whether it is firing.
    pub firing: bool,
    /// The fingerprint last settled on.
    pub fingerprint: String,
    /// The last reading's number.
    pub value: Option<f64>,
    /// Since when it has been in this state (firing or not).
    pub since: Timestamp,
    /// Whether the present episode was told to anyone.
    pub told: bool,
    /// When something was last told about it.
    pub last_told_at: Option<Timestamp>,
    /// The number in what was last told.
    pub last_told_value: Option<f64>,
    /// Readings in a row that contradict the settled state and do not yet count.
    pub streak: u32,
    /// When the first of these readings was.
    #[serde(default)]
    pub streak_since: Option<Timestamp>,
    /// Whether there is news that waits: for a cooldown, a silence, or a watch that this one depends on.
    #[serde(default)]
    pub waits: bool,
}

/// What happens when a subject is seen for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFirst {
    /// Tell at once if it is firing.
    Notify,
    /// One note of what was found when the watch first runs, even if nothing fires.
    Announce,
    /// Remember, say nothing.
    #[default]
    Baseline,
}

/// What a strategy's kind wants where the watch does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyDefaults {
    /// What happens at first sight.
    pub on_first: OnFirst,
    /// Whether the end of what was told is told.
    pub resolved: bool,
}

impl PolicyDefaults {
    /// Remember what is found, tell only what comes new, no closing note.
    pub const QUIET: Self = Self { on_first: OnFirst::Baseline, resolved: false };
    /// Tell at once, no closing note.
    pub const NOTIFY: Self = Self { on_first: OnFirst::Notify, resolved: false };
    /// Tell at once, and tell the end.
    pub const EPISODE: Self = Self { on_first: OnFirst::Notify, resolved: true };
    /// One note of what was found, then what comes and what goes.
    pub const ANNOUNCE: Self = Self { on_first: OnFirst::Announce, resolved: true };
}
