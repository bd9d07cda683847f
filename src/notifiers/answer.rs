//! What notifiers over HTTP share: an address that is itself a key, one attempt at it, and what the
//! answer means for the outbox.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::{Position, Url};

use crate::http::{Http, Reply, Request};
use crate::model::written_as;
use crate::plugin::NotifyError;

/// Where to post. Whoever knows the address can post too, so it is never shown.
#[derive(Clone)]
pub(super) struct Address(Url);

impl Address {
    /// The address itself, for the request.
    pub(super) const fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

written_as!(Address, "address", "^\\s*https?://", ["${DISCORD_WEBHOOK_URL}"]);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(text.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .map(Self)
            .ok_or_else(|| D::Error::custom("`url` must be an address that begins with https:// or http://"))
    }
}

/// One attempt. An answer of any status comes back, with what is secret in the request taken out of
/// it: servers like to repeat the address that they do not know.
pub(super) async fn post(http: &Http, request: &Request) -> Result<Reply, NotifyError> {
    let mut reply = http.send(request).await.map_err(|error| {
        if error.is_transient() {
            NotifyError::transient(error.to_string())
        } else {
            NotifyError::refused(error.to_string())
        }
    })?;
    for secret in secrets(request) {
        reply.body = hidden(&reply.body, secret.as_bytes());
    }
    Ok(reply)
}

/// What an answer other than 2xx means: whether to try again, and when.
pub(super) fn unwelcome(status: u16, why: String, retry_after: Option<Duration>) -> NotifyError {
    match status {
        408 | 425 | 429 | 500.. => NotifyError::Transient { why, retry_after, parts_done: 0 },
        _ => NotifyError::Refused { why },
    }
}

/// Shorter pieces of an address are words of its service, not keys.
const SHORTEST_KEY: usize = 10;

/// The parts of a request that an answer must not show, the longest first.
fn secrets(request: &Request) -> Vec<Cow<'_, str>> {
    let url = &request.url;
    let mut pieces = vec![Cow::Borrowed(url.as_str()), Cow::Borrowed(&url[Position::BeforePath..])];
    pieces.push(Cow::Borrowed(url.path()));
    pieces.extend(url.password().map(Cow::Borrowed));
    pieces.extend(url.path_segments().into_iter().flatten().map(Cow::Borrowed));
    pieces.extend(url.query_pairs().map(|(_, value)| value));
    let headers = request.headers.iter().filter(|(name, _)| name != "content-type" && name != "user-agent");
    pieces.extend(headers.flat_map(|(_, value)| value.split_whitespace()).map(Cow::Borrowed));
    pieces.retain(|piece| piece.len() >= SHORTEST_KEY);
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces
}

fn hidden(body: &Bytes, secret: &[u8]) -> Bytes {
    if memmem::find(body, secret).is_none() {
        return body.clone();
    }
    let mut shown = Vec::with_capacity(body.len());
    let mut from = 0;
    for at in memmem::find_iter(body, secret) {
        shown.extend_from_slice(body.get(from..at).unwrap_or_default());
        shown.extend_from_slice("…".as_bytes());
        from = at + secret.len();
    }
    shown.extend_from_slice(body.get(from..).unwrap_or_default());
    shown.into()
}
