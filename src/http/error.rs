//! Why there is no answer.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use jiff::Timestamp;

use super::excerpt;
use super::guard::Refusal;

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
    /// An answer that is not taken: endless redirects, a bomb.
    #[error("{0}")]
    Unfit(String),
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

/// What is wrong with an answer whose headers are a bomb.
pub(super) const HEADERS: &str = "the answer has more headers, or larger ones, than are taken";

pub(super) fn explain(error: &reqwest::Error) -> HttpError {
    let mut chain = std::iter::successors(error.source(), |&error| error.source());
    if let Some(refusal) = chain.find_map(|error| error.downcast_ref::<Refusal>()) {
        return HttpError::Refused(refusal.0.clone());
    }
    let why = reasons(error);
    if error.is_connect() {
        HttpError::Connect(if error.is_timeout() { "no answer in time".into() } else { why })
    } else if error.is_builder() {
        HttpError::Refused(why)
    } else if why == HEADERS {
        HttpError::Unfit(why)
    } else {
        HttpError::Broken(why)
    }
}

/// The innermost reason in plain words, without the URL, which may be a secret.
pub(super) fn reasons(error: &reqwest::Error) -> String {
    let chain = || std::iter::successors(error.source(), |&error| error.source());
    let kind = chain().filter_map(|error| error.downcast_ref::<std::io::Error>()).last();
    match kind.map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => return "nobody listens there (connection refused)".into(),
        Some(ErrorKind::ConnectionReset) => return "the connection was reset".into(),
        _ => {}
    }
    let Some(last) = chain().last().map(ToString::to_string) else {
        return if error.is_decode() { "cannot be decoded".into() } else { "no reason given".into() };
    };
    // `hyper` has no other way to tell these apart for those who do not use it themselves.
    let plain = PLAIN.iter().find(|(said, _)| last.contains(said));
    plain.map_or_else(|| excerpt(&last), |(_, plain)| (*plain).to_owned())
}

const PLAIN: &[(&str, &str)] = &[
    ("message head is too large", HEADERS),
    ("unspecific protocol error", "it breaks the rules of HTTP/2, or its headers are too large"),
    ("connection closed before message completed", "it ended in the middle"),
    ("end of file before message length reached", "it ended in the middle"),
    ("unexpected EOF during chunk", "it ended in the middle"),
    ("nvalid chunk", "its parts are not as HTTP wants them (chunks)"),
    ("chunk size", "its parts are not as HTTP wants them (chunks)"),
    ("invalid HTTP", "it is not HTTP"),
    ("invalid content-length parsed", "it does not say how long it is (content-length)"),
    ("failed to lookup address information", "its name is not known (DNS)"),
    (
        "UnknownIssuer",
        "its certificate comes from nobody trusted here (`ca_file` in `[fetch]` trusts others)",
    ),
    ("CaUsedAsEndEntity", "its certificate is one for issuing others (CA:TRUE), which no server may show"),
    ("InvalidContentType", "it does not speak HTTPS there"),
    ("certificate expired", "its certificate has expired"),
    ("certificate not valid for name", "its certificate is for another name"),
];
