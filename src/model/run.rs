//! One execution of one watch.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// "Please run this watch."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The watch's name.
    pub watch: String,
    /// The slot it was due at.
    pub due_at: Timestamp,
    /// What asked for it.
    pub trigger: Trigger,
}

/// A run that was asked for has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The watch's name.
    pub watch: String,
    /// Whether it could be stored. If not, its slot is still due.
    pub stored: bool,
}

/// What asked for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The watch's own schedule.
    Schedule,
    /// A person.
    Manual,
    /// The schedule, for a slot that was missed while the daemon was down.
    CatchUp,
    /// The audit that fills gaps.
    Repair,
}

impl Trigger {
    /// The word it goes by in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
            Self::CatchUp => "catch_up",
            Self::Repair => "repair",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Read and judged.
    Ok,
    /// The service answered the same bytes as last time; nothing was parsed.
    Unchanged,
    /// The service did not answer, or not with what it should.
    Failed,
    /// The service refuses programs, or asks to be left alone.
    Blocked,
}

impl Outcome {
    /// The word it goes by in the database, in JSON and on labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
