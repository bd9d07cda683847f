//! An answer, and how it is read.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use url::Url;

/// An answer of any status, decompressed.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Where it came from in the end, after redirects.
    pub url: Url,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The decompressed body.
    pub body: Bytes,
}

/// An answer is not what it should be. The text holds a short escaped excerpt at most.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ReadError(pub String);

impl Reply {
    /// An answer as a captured body gives it, for tests and replays.
    #[must_use]
    pub fn captured(status: u16, url: Url, body: impl Into<Bytes>) -> Self {
        Self { status, url, headers: Vec::new(), body: body.into() }
    }

    /// The first header of that name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Itself, when the status is 2xx.
    ///
    /// # Errors
    /// The status and the beginning of the body otherwise.
    pub fn ok(&self) -> Result<&Self, ReadError> {
        if self.is_success() {
            return Ok(self);
        }
        let name = match self.status {
            400 => " Bad Request",
            401 => " Unauthorized",
            403 => " Forbidden",
            404 => " Not Found",
            410 => " Gone",
            429 => " Too Many Requests",
            451 => " Unavailable For Legal Reasons",
            500 => " Internal Server Error",
            502 => " Bad Gateway",
            503 => " Service Unavailable",
            504 => " Gateway Timeout",
            _ => "",
        };
        let text = self.text();
        let said = if looks_like_html(&text) { String::new() } else { excerpt(&text) };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(ReadError(format!("HTTP {}{name}{said}", self.status)))
    }

    /// How long the host asks to be left alone: `Retry-After` in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        }
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        Duration::try_from(at.duration_since(now)).ok()
    }

    /// The body as text: by its byte-order mark, its `charset`, its `<meta charset>`, else UTF-8;
    /// what cannot be decoded becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let labelled = self.header("content-type").and_then(|value| charset(value.as_bytes()));
        let head = self.body.get(..self.body.len().min(1_024)).unwrap_or_default();
        let encoding = labelled
            .or_else(|| charset(head))
            .and_then(|label| encoding_rs::Encoding::for_label(&label))
            .unwrap_or(encoding_rs::UTF_8);
        encoding.decode(&self.body).0
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What came instead: nothing, a page, or JSON of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|error| {
            let text = self.text();
            ReadError(if text.trim().is_empty() {
                "the answer is empty where JSON was due".into()
            } else if looks_like_html(&text) {
                "the answer is an HTML page where JSON was due".into()
            } else if error.is_eof() {
                format!("the JSON breaks off after {} bytes", body.len())
            } else {
                format!("the answer is not the JSON expected: {}", excerpt(&error.to_string()))
            })
        })
    }
}

fn looks_like_html(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

/// The label after `charset=`, in a header or in the head of a page.
fn charset(bytes: &[u8]) -> Option<Vec<u8>> {
    let lower = bytes.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"charset=")? + b"charset=".len();
    let label: Vec<u8> = lower
        .get(at..)?
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '))
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        .collect();
    (!label.is_empty()).then_some(label)
}

/// The beginning of a text on one line, escaped, at most 120 characters.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut shown: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(121)
        .collect();
    if shown.chars().count() > 120 {
        shown = shown.chars().take(119).collect();
        shown.push('…');
    }
    shown
}

/// A URL fit for a log: without user info and fragment, and with the values of its query hidden.
#[must_use]
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    let Some(query) = url.query() else { return shown.into() };
    // Names as they stand, since decoding could bring line ends; a value may stand without a name.
    let hidden = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".into(),
    });
    format!("{shown}?{}", hidden.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, headers: &[(&str, &str)], body: &'static [u8]) -> Reply {
        let mut reply = Reply::captured(status, Url::parse("https://a.example/").expect("a URL"), body);
        reply.headers = headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        reply
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        for (value, seconds) in [("120", 120), ("0.5", 0), ("Sat, 21 Nov 2026 10:01:30 GMT", 90)] {
            let wait = reply(429, &[("retry-after", value)], b"").retry_after(now);
            assert_eq!(wait.map(|wait| wait.as_secs()), Some(seconds), "{value}");
        }
        assert_eq!(reply(429, &[("retry-after", "soon")], b"").retry_after(now), None);
    }

    #[test]
    fn what_came_instead_of_json_is_named() {
        for (body, said) in [
            (&b""[..], "empty"),
            (b"<!doctype html><p>hi", "HTML page"),
            (b"{\"a\": [1, 2", "breaks off after 11 bytes"),
            (b"Too Many Requests", "not the JSON expected"),
        ] {
            let error = reply(200, &[], body).json::<serde_json::Value>().expect_err(said);
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn text_is_decoded_by_header_then_by_meta() {
        assert_eq!(reply(200, &[("content-type", "text/html; charset=ISO-8859-2")], b"\xb3").text(), "ł");
        assert_eq!(
            reply(200, &[], b"<meta charset=\"iso-8859-1\">\xe9").text(),
            "<meta charset=\"iso-8859-1\">é"
        );
        assert_eq!(reply(200, &[], b"\xef\xbb\xbfa\xff").text(), "a\u{fffd}");
    }

    #[test]
    fn a_shown_url_keeps_no_secret() {
        let url = Url::parse("https://me:pw@a.example/p?token=abc&q=1").expect("a URL");
        assert_eq!(redacted(&url), "https://a.example/p?token=…&q=…");
        let url = Url::parse("https://a.example/p?s3cret&a%0Ab=1#s3cret").expect("a URL");
        assert_eq!(redacted(&url), "https://a.example/p?…&a%0Ab=…");
    }
}
