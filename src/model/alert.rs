//! A signal that is news.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Signal;

/// A signal that is news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// UUID, version 7.
    pub id: String,
    /// The watch it belongs to.
    pub watch: String,
    /// The strategy that saw it; `run` for what the daemon says about its own runs.
    pub strategy: String,
    /// What was seen.
    pub signal: Signal,
    /// Whether it begins (or goes on) or has ended.
    pub status: AlertStatus,
    /// Why it is told.
    pub reason: Reason,
    /// One line.
    pub title: String,
    /// The rest, plain text, lines separated by `\n`.
    pub body: String,
    /// Where a person can look at it.
    pub url: Option<String>,
    /// When the episode began.
    pub starts_at: Timestamp,
    /// When it ended.
    pub ends_at: Option<Timestamp>,
    /// The watch's labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether an alert begins (or goes on) or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It is so.
    Firing,
    /// It is over.
    Resolved,
}

/// Why an alert is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has begun.
    First,
    /// It is still so, but differently.
    Changed,
    /// It is still so, and a reminder was asked for.
    Reminder,
    /// It is over.
    Resolved,
}

impl Reason {
    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> AlertStatus {
        match self {
            Self::Resolved => AlertStatus::Resolved,
            Self::First | Self::Changed | Self::Reminder => AlertStatus::Firing,
        }
    }
}
