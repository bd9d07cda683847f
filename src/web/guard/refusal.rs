//! How a request is refused: in words for a person, as a problem (RFC 9457) for a program.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// A refusal, with a sentence that says what to do about it.
pub(in crate::web) fn refuse(path: &str, status: StatusCode, sentence: &str) -> Response {
    let (kind, body) = if is_for_programs(path) {
        let title = status.canonical_reason().unwrap_or("refused");
        let problem =
            json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": sentence });
        ("application/problem+json", problem.to_string())
    } else {
        ("text/plain; charset=utf-8", format!("{sentence}\n"))
    };
    let mut response = (status, Body::from(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::UNAUTHORIZED {
        let ask = HeaderValue::from_static("Bearer realm=\"stakeout\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, ask);
    }
    response
}

/// Too many wrong tokens.
pub(super) fn ask_to_wait(path: &str, wait: Duration) -> Response {
    let seconds = whole_seconds(wait);
    let sentence = format!("Too many wrong tokens; try again in {seconds} s.");
    let mut response = refuse(path, StatusCode::TOO_MANY_REQUESTS, &sentence);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// The wait in whole seconds, none too few.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// The API and the figures; its page to try it is for people.
pub(super) fn is_for_programs(path: &str) -> bool {
    let is_api = path == "/api" || path.starts_with("/api/");
    (is_api && !is_below(path, "/api/docs")) || path == "/metrics"
}

/// Whether a path is this one, or below it.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
