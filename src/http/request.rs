//! What is asked, and how a watch wants it asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;
use uuid::Uuid;

/// What to ask.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Where.
    pub url: Url,
    /// Extra headers; of two with one name the later counts. Their values may be secrets and are never logged.
    pub headers: Vec<(String, String)>,
    /// The body, empty for none.
    pub body: Vec<u8>,
    /// Which subject the answer is about, for the source that asked; empty when it is about many.
    pub subject: String,
    /// By which way it goes.
    pub route: Arc<Route>,
}

/// One part of several. The names are the program's own: they stand in the request as they are.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The name of the field.
    pub name: &'static str,
    /// The name of the file, where it is one.
    pub file_name: Option<&'static str>,
    /// `application/json`, `image/png`, …
    pub content_type: &'static str,
    /// What it holds.
    pub body: &'a [u8],
}

/// By which way a request goes, where that is not the one of all others.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Route {
    /// An HTTP or SOCKS proxy in the place of the global one; `Some(None)` for none at all.
    pub proxy: Option<Option<Url>>,
    /// From the first byte out to the last byte in, in the place of the global one.
    pub timeout: Option<Duration>,
    /// Whether a redirect may lead from `https` to `http`.
    pub allow_downgrade: bool,
}

impl Request {
    /// A plain `GET`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            method: "GET".into(),
            url,
            headers: Vec::new(),
            body: Vec::new(),
            subject: String::new(),
            route: Arc::default(),
        }
    }

    /// A `POST` of JSON.
    #[must_use]
    pub fn post_json(url: Url, body: Vec<u8>) -> Self {
        Self { method: "POST".into(), body, ..Self::get(url) }.header("content-type", "application/json")
    }

    /// A `POST` of several parts, such as a form with a file. <https://www.rfc-editor.org/rfc/rfc7578>
    #[must_use]
    pub fn post_parts(url: Url, parts: &[Part<'_>]) -> Self {
        // Nobody who wrote one of the parts can have known it.
        let boundary = format!("stakeout-{}", Uuid::new_v4().simple());
        let mut body = Vec::new();
        for part in parts {
            let file = part.file_name.map_or_else(String::new, |name| format!("; filename=\"{name}\""));
            let head = format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"{file}\r\ncontent-type: {}\r\n\r\n",
                part.name, part.content_type
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(part.body);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        Self { method: "POST".into(), body, ..Self::get(url) }.header("content-type", &kind)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// About this subject.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The host asked with its port, where that is not the usual one.
    #[must_use]
    pub fn authority(&self) -> &str {
        authority(&self.url)
    }

    /// The host asked, empty where the URL has none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// The host of a URL with its port, where that is not the usual one.
pub(super) fn authority(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

/// What keeps a header from being sent, where anything does. The value is not repeated.
///
/// # Errors
/// A sentence.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_token(name) {
        return Err(format!("`{}` is no name of a header", super::excerpt(name)));
    }
    if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("`{name}` is set by the program itself"));
    }
    check_header_value(value)
}

/// What keeps a text from being the value of a header. It is not repeated.
///
/// # Errors
/// A sentence.
pub fn check_header_value(value: &str) -> Result<(), String> {
    match value.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
        Some(c) => Err(format!("the value holds {c:?}, which cannot be sent: only plain ASCII can")),
        None if value.trim() != value => Err("the value begins or ends with a blank".into()),
        None => Ok(()),
    }
}

/// What HTTP calls a token: the names of headers and cookies. <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
#[must_use]
pub fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// Headers that the program sets by itself, by what it sends and what it knows.
const OURS: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &super::redacted(&self.url))
            .field("headers", &names)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.as_ref().and_then(Url::host_str)))
            .field("timeout", &self.timeout)
            .field("allow_downgrade", &self.allow_downgrade)
            .finish()
    }
}

/// How a watch wants everything asked that its source asks.
#[derive(Clone, Default)]
pub struct Manner {
    /// In the place of the source's method.
    pub method: Option<String>,
    /// In the place of the source's body.
    pub body: Option<String>,
    /// Beside the source's headers, or in their place: `user-agent` and `cookie` among them.
    pub headers: Vec<(String, String)>,
    /// By which way.
    pub route: Arc<Route>,
}

impl Manner {
    /// The request, asked in this manner.
    #[must_use]
    pub fn apply(&self, mut request: Request) -> Request {
        request.route = Arc::clone(&self.route);
        if let Some(method) = &self.method {
            request.method.clone_from(method);
        }
        if let Some(body) = &self.body {
            request.body = body.clone().into_bytes();
        }
        request.headers.extend(self.headers.iter().cloned());
        request
    }
}

impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Manner")
            .field("method", &self.method)
            .field("headers", &names)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
