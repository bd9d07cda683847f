//! How a host stands with us: for how long it is left alone after it refused us or did not answer.

use std::time::Duration;

use jiff::Timestamp;

/// How long a host that refused is left alone: twice as long after each refusal, half as long after each good
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, and the shortest; zero for none at all but those that a host asks for.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(10), longest: Duration::from_secs(3_600) }
    }
}

/// How one host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// The present wait; zero when all is well again.
    pub wait: Duration,
    /// From when it is left alone.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What for.
    pub why: String,
    /// Whether it refused us; otherwise it did not answer.
    pub refused: bool,
    /// When this last changed.
    pub changed_at: Timestamp,
}
