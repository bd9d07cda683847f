//! One request and its answer, within the caps.

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use xxhash_rust::xxh3::Xxh3Default;

use super::error::explain;
use super::{Fetched, HttpError, Mark, Reply, Request, Settings};

/// Sends one request and takes its answer.
pub(super) async fn exchange(
    client: &reqwest::Client,
    request: &Request,
    known: Option<&Mark>,
    settings: &Settings,
) -> Result<Fetched, HttpError> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| HttpError::Refused(format!("`{}` is not an HTTP method", request.method)))?;
    let mut building = client.request(method, request.url.clone()).headers(headers(request, known)?);
    if !request.body.is_empty() {
        building = building.body(request.body.clone());
    }
    let mut response = building.send().await.map_err(|error| explain(&error))?;
    if response.status() == reqwest::StatusCode::NOT_MODIFIED && known.is_some() {
        return Ok(Fetched::Unchanged);
    }
    let max_body = settings.max_body;
    let expected = response.content_length().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if expected > max_body {
        return Err(HttpError::TooLarge(max_body));
    }
    // Most bodies are the same as last time, so their parts are put together only when they are not.
    let mut hasher = Xxh3Default::new();
    let (mut parts, mut length) = (Vec::new(), 0_usize);
    while let Some(part) = response.chunk().await.map_err(|error| explain(&error))? {
        length = length.saturating_add(part.len());
        if length > max_body {
            return Err(HttpError::TooLarge(max_body));
        }
        hasher.update(&part);
        parts.push(part);
    }
    let body_hash = hasher.digest128();
    let status = response.status().as_u16();
    if (200..300).contains(&status) && known.is_some_and(|mark| mark.body_hash == body_hash) {
        return Ok(Fetched::Unchanged);
    }
    let text_of = |name: HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    // The validators of a redirected answer belong to another URL than the one asked next time.
    let own = *response.url() == request.url;
    let mark = Mark {
        etag: text_of(ETAG).filter(|_| own),
        last_modified: text_of(LAST_MODIFIED).filter(|_| own),
        body_hash,
        final_answer: None,
    };
    let reply = Reply {
        status,
        url: response.url().clone(),
        headers: response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: together(parts, length),
    };
    Ok(Fetched::New(reply, mark))
}

fn together(mut parts: Vec<Bytes>, length: usize) -> Bytes {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut body = BytesMut::with_capacity(length);
    for part in parts {
        body.extend_from_slice(&part);
    }
    body.freeze()
}

fn headers(request: &Request, known: Option<&Mark>) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    for (name, value) in &request.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (key, mut value) = parsed
            .ok_or_else(|| HttpError::Refused(format!("header `{name}` cannot be sent as it is written")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    let validators =
        known.map(|mark| [(IF_NONE_MATCH, &mark.etag), (IF_MODIFIED_SINCE, &mark.last_modified)]);
    for (name, value) in validators.into_iter().flatten() {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}
