//! Why there is no answer.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;

/// Why there is no answer. Never holds a URL, a header or a body.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HttpError {
    /// No complete answer in time.
    #[error("no complete answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The answer broke off or was not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// More than the cap.
    #[error("the answer is larger than {0} bytes (`max_body` in `[fetch]`)")]
    TooLarge(usize),
    /// Not asked at all: the address is of no public use, or the URL cannot be asked.
    #[error("{0}")]
    Refused(String),
    /// A wall instead of an answer: a robot check, a ban, a waiting room.
    #[error("{0}")]
    Walled(String),
    /// Not asked at all: the host is left alone for a while.
    #[error("{host} is left alone until {until:.0}: {why}")]
    Resting {
        /// The host, with its port where that is not the usual one.
        host: String,
        /// Until when.
        until: Timestamp,
        /// What it did that it is left alone for.
        why: String,
        /// Whether it refused us; otherwise it did not answer.
        refused: bool,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

pub(super) fn explain(error: &reqwest::Error) -> HttpError {
    let why = reasons(error);
    if error.is_connect() {
        HttpError::Connect(why)
    } else if error.is_redirect() || error.is_builder() {
        HttpError::Refused(why)
    } else {
        HttpError::Broken(why)
    }
}

/// The innermost reasons, without the URL, which may be a secret.
pub(super) fn reasons(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut last = None;
    while let Some(error) = source {
        last = Some(error.to_string());
        source = error.source();
    }
    last.unwrap_or_else(
        || if error.is_decode() { "cannot be decoded".into() } else { "no reason given".into() },
    )
}
