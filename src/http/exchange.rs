//! One request and its answer, within the caps.

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use reqwest::{Client, Method, Response, StatusCode};

use super::body::Body;
use super::error::explain;
use super::redirect::Hop;
use super::{Fetched, HttpError, Mark, Reply, Settings};

/// The most headers of an answer, and the most bytes in them: about ten times what pages have.
const MAX_HEADERS: usize = 100;
pub(super) const MAX_HEADER_BYTES: u32 = 64 << 10;

/// What came of one request of a chain.
#[expect(clippy::large_enum_variant, reason = "one for each request, taken apart at once")]
pub(super) enum Answer {
    /// Look elsewhere.
    Redirect {
        status: u16,
        location: HeaderValue,
    },
    Done(Fetched),
}

/// Sends one request of a chain and takes its answer.
pub(super) async fn exchange(
    client: &Client,
    hop: &Hop<'_>,
    known: Option<&Mark>,
    settings: &Settings,
) -> Result<Answer, HttpError> {
    let response = ask(client, hop, known).await?;
    if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        && let Some(location) = response.headers().get(LOCATION)
    {
        return Ok(Answer::Redirect { status: response.status().as_u16(), location: location.clone() });
    }
    take(response, hop, known, settings).await.map(Answer::Done)
}

/// Sends one request; what comes back is not read yet.
pub(super) async fn ask(client: &Client, hop: &Hop<'_>, known: Option<&Mark>) -> Result<Response, HttpError> {
    let method = Method::from_bytes(hop.method().as_bytes())
        .map_err(|_| HttpError::Refused(format!("`{}` is not an HTTP method", hop.method())))?;
    let mut building = client.request(method, hop.url().clone()).headers(headers(hop, known)?);
    if !hop.body().is_empty() {
        building = building.body(hop.body().to_vec());
    }
    let response = building.send().await.map_err(|error| explain(&error))?;
    let headers = response.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES as usize {
        return Err(HttpError::Unfit(super::error::HEADERS.into()));
    }
    Ok(response)
}

/// Takes an answer.
pub(super) async fn take(
    mut response: Response,
    hop: &Hop<'_>,
    known: Option<&Mark>,
    settings: &Settings,
) -> Result<Fetched, HttpError> {
    if response.status() == StatusCode::NOT_MODIFIED {
        let why = "it says that nothing changed (304) since something that was not asked about";
        let was_asked = validators(hop, known).next().is_some();
        return if was_asked { Ok(Fetched::Unchanged) } else { Err(HttpError::Broken(why.into())) };
    }
    let body = Body::take(&mut response, settings.max_body).await?;
    let body_hash = body.hash;
    if response.status().is_success() && known.is_some_and(|mark| mark.body_hash == body_hash) {
        return Ok(Fetched::Unchanged);
    }
    let text_of = |name: HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    // The validators of a redirected answer belong to another URL than the one asked next time.
    let mark = Mark {
        etag: text_of(ETAG).filter(|_| hop.is_first()),
        last_modified: text_of(LAST_MODIFIED).filter(|_| hop.is_first()),
        body_hash,
        final_answer: None,
    };
    let reply = Reply {
        status: response.status().as_u16(),
        url: response.url().clone(),
        headers: response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: body.together(),
    };
    Ok(Fetched::New(reply, mark))
}

fn headers(hop: &Hop<'_>, known: Option<&Mark>) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in hop.headers() {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (key, mut value) = parsed
            .ok_or_else(|| HttpError::Refused(format!("header `{name}` cannot be sent as it is written")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    headers.extend(validators(hop, known));
    Ok(headers)
}

/// What an answer is asked for by that may be known already.
fn validators(hop: &Hop<'_>, known: Option<&Mark>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let known = known.filter(|_| hop.is_first());
    let known = known.map(|mark| [(IF_NONE_MATCH, &mark.etag), (IF_MODIFIED_SINCE, &mark.last_modified)]);
    known
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value.as_deref()?).ok()?)))
}
