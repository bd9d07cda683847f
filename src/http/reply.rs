//! An answer, and how it is read.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use url::Url;

use super::http_date;

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
        let text = self.text();
        let said = if looks_like_html(&text) { String::new() } else { excerpt(&text) };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(ReadError(format!("{}{said}", self.status_line())))
    }

    /// The status in words, without anything of the body: `HTTP 503 Service Unavailable`.
    #[must_use]
    pub fn status_line(&self) -> String {
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
        format!("HTTP {}{name}", self.status)
    }

    /// How long the host asks to be left alone: `Retry-After` in seconds or as a date, at most 30 days;
    /// `None` where it says nothing that can be understood.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        let is_number = value.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        if let Some(seconds) = value.parse::<f64>().ok().filter(|_| is_number) {
            // Longer than any wait that makes sense, and short enough to be added to the time.
            return Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT_SECS)).ok();
        }
        let wait = http_date(value)?.duration_since(now);
        let longest = Duration::from_secs_f64(LONGEST_WAIT_SECS);
        // A moment that is over asks for no wait.
        Some(Duration::try_from(wait).unwrap_or_default().min(longest))
    }

    /// The body as text: by its byte-order mark, the `charset` of its header, that of its `<meta>`, else
    /// UTF-8; what cannot be decoded becomes U+FFFD. A label that nobody knows counts as none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.encoding().decode(&self.body).0
    }

    /// The same of no more than the first so many bytes.
    pub(super) fn head(&self, bytes: usize) -> Cow<'_, str> {
        let mut head = self.body.get(..self.body.len().min(bytes)).unwrap_or_default();
        // Without the part of a character at its end.
        if let Err(error) = std::str::from_utf8(head)
            && error.error_len().is_none()
        {
            head = head.get(..error.valid_up_to()).unwrap_or_default();
        }
        self.encoding().decode(head).0
    }

    fn encoding(&self) -> &'static encoding_rs::Encoding {
        let of = |label: Vec<u8>| encoding_rs::Encoding::for_label(&label);
        if let Some(labelled) =
            self.header("content-type").and_then(|value| charset(value.as_bytes())).and_then(of)
        {
            return labelled;
        }
        let head = self.body.get(..self.body.len().min(1_024)).unwrap_or_default();
        match meta_charset(head).and_then(of) {
            // A page whose `<meta>` can be read byte by byte is not in UTF-16, whatever it says.
            Some(wide) if wide == encoding_rs::UTF_16LE || wide == encoding_rs::UTF_16BE => {
                encoding_rs::UTF_8
            }
            Some(encoding) => encoding,
            None => encoding_rs::UTF_8,
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What came instead: nothing, a page, or JSON of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        let read = match serde_json::from_slice(body) {
            // In another encoding, or with bytes of one inside its texts. JSON itself breaks nowhere else.
            Err(_) if std::str::from_utf8(body).is_err() || body.contains(&0) => {
                serde_json::from_str(self.wide_or_labelled().trim_start_matches('\u{feff}'))
            }
            read => read,
        };
        read.map_err(|error| {
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

impl Reply {
    /// The text of JSON that is not in UTF-8: where nothing says how, every second of its first bytes is
    /// zero in UTF-16. <https://www.rfc-editor.org/rfc/rfc4627#section-3>
    fn wide_or_labelled(&self) -> Cow<'_, str> {
        let encoding = match self.body.get(..2) {
            Some([0, low]) if *low != 0 => encoding_rs::UTF_16BE,
            Some([high, 0]) if *high != 0 => encoding_rs::UTF_16LE,
            _ => return self.text(),
        };
        encoding.decode(&self.body).0
    }
}

/// What a host may ask for at most: 30 days.
const LONGEST_WAIT_SECS: f64 = 30.0 * 86_400.0;

fn looks_like_html(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

/// The label in the first `<meta>` that has one: `<meta charset=…>`, or within the `content` of an
/// `http-equiv`.
fn meta_charset(head: &[u8]) -> Option<Vec<u8>> {
    let lower = head.to_ascii_lowercase();
    memchr::memmem::find_iter(&lower, b"<meta").find_map(|at| {
        let tag = lower.get(at..)?;
        charset(tag.get(..memchr::memchr(b'>', tag).unwrap_or(tag.len()))?)
    })
}

/// The label after `charset=`, in a header or in a tag.
fn charset(bytes: &[u8]) -> Option<Vec<u8>> {
    let lower = bytes.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"charset")? + b"charset".len();
    let label: Vec<u8> = lower
        .get(at..)?
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '))
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        .collect();
    (!label.is_empty()).then_some(label)
}

/// The beginning of a text on one line, at most 120 characters, without what nobody sees and what turns
/// the direction of the text around it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let visible = |c: &char| !c.is_control() && !is_format(*c);
    // White space and what nobody sees take no room, but a megabyte of it need not be looked through.
    let near = text.get(..text.floor_char_boundary(4_096)).unwrap_or_default();
    let seen: String =
        near.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(visible).collect();
    let mut shown: String = seen.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(121).collect();
    if shown.chars().count() > 120 {
        shown = shown.chars().take(119).collect();
        shown.push('…');
    }
    shown
}

/// Characters that are not seen: they join, turn around, tag or mark. The names are those of
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters> and general category Cf.
const fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
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
        for value in ["soon", "NaN", "inf", "infinity", "", "1 minute", "Sat, 99 Nov 2026 10:01:30 GMT"] {
            assert_eq!(reply(429, &[("retry-after", value)], b"").retry_after(now), None, "{value}");
        }
        for (value, seconds) in [
            ("-5", 0),
            ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
            ("Saturday, 21-Nov-26 10:01:30 GMT", 90),
            ("Sat Nov 21 10:01:30 2026", 90),
            ("1e300", 30 * 86_400),
            ("99999999999999999999", 30 * 86_400),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 30 * 86_400),
        ] {
            let wait = reply(429, &[("retry-after", value)], b"").retry_after(now);
            assert_eq!(wait.map(|wait| wait.as_secs()), Some(seconds), "{value}");
        }
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
        for (header, body, text) in [
            // A byte-order mark outranks what the header says, and a header what the page says.
            ("text/html; charset=iso-8859-1", &b"\xef\xbb\xbf\xc3\xa9"[..], "é"),
            ("text/html", b"\xff\xfeh\x00i\x00", "hi"),
            ("text/html", b"\xfe\xff\x00h\x00i", "hi"),
            (
                "text/html; charset=\"utf-8\"",
                b"<meta charset=iso-8859-1>\xc3\xa9",
                "<meta charset=iso-8859-1>é",
            ),
            // A label that nobody knows is none.
            ("text/html; charset=klingon", b"<meta charset=iso-8859-1>\xe9", "<meta charset=iso-8859-1>é"),
            ("text/html; charset=", b"\xc3\xa9", "é"),
            (
                "text/html",
                b"<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset = windows-1252'>\x80",
                "<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset = windows-1252'>€",
            ),
            // What says UTF-16 in single bytes is not, and a script's word is not the page's.
            ("text/html", b"<meta charset=utf-16>\xc3\xa9", "<meta charset=utf-16>é"),
            (
                "text/html",
                b"<script>s='charset=iso-8859-1'</script>\xc3\xa9",
                "<script>s='charset=iso-8859-1'</script>é",
            ),
            (
                "text/html",
                b"<!doctype html><!DOCTYPE html><meta charset=koi8-r>\xc1",
                "<!doctype html><!DOCTYPE html><meta charset=koi8-r>а",
            ),
        ] {
            assert_eq!(reply(200, &[("content-type", header)], body).text(), text, "{header}");
        }
    }

    #[test]
    fn json_is_read_in_any_encoding_of_unicode() {
        let wide = |big: bool, mark: &[u8]| -> &'static [u8] {
            let units = "{\"a\": \"zł\"}".encode_utf16();
            let bytes = units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            Box::leak(mark.iter().copied().chain(bytes).collect::<Vec<u8>>().into_boxed_slice())
        };
        for body in [
            "{\"a\": \"zł\"}".as_bytes(),
            "\u{feff}{\"a\": \"zł\"}".as_bytes(),
            wide(false, b"\xff\xfe"),
            wide(true, b"\xfe\xff"),
            wide(false, b""),
            wide(true, b""),
        ] {
            let json: serde_json::Value = reply(200, &[], body).json().expect("JSON");
            assert_eq!(json["a"], "zł", "{body:?}");
        }
        let latin =
            reply(200, &[("content-type", "application/json; charset=iso-8859-2")], b"{\"a\": \"z\xb3\"}");
        assert_eq!(latin.json::<serde_json::Value>().expect("JSON")["a"], "zł");
        let broken = reply(200, &[], b"{\"a\": \"z\xb3\"}");
        assert_eq!(broken.json::<serde_json::Value>().expect("JSON")["a"], "z\u{fffd}");
    }

    #[test]
    fn an_excerpt_holds_nothing_that_is_not_seen() {
        assert_eq!(excerpt("a\0b\u{202e}c\u{200b}d\n\t e\u{1b}[31m\u{2066}\u{feff}"), "abcd e[31m");
        assert_eq!(excerpt(&"x ".repeat(1_000_000)).chars().count(), 120);
        assert_eq!(excerpt(&" ".repeat(1_000_000)), "");
    }

    #[test]
    fn a_shown_url_keeps_no_secret() {
        let url = Url::parse("https://me:pw@a.example/p?token=abc&q=1").expect("a URL");
        assert_eq!(redacted(&url), "https://a.example/p?token=…&q=…");
        let url = Url::parse("https://a.example/p?s3cret&a%0Ab=1#s3cret").expect("a URL");
        assert_eq!(redacted(&url), "https://a.example/p?…&a%0Ab=…");
    }
}
