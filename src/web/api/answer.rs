//! What every answer has in common: problems in one shape, a tag to ask again with, and tables as JSON or CSV.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::ToSchema;
use xxhash_rust::xxh3::Xxh3;

use super::super::problem::Problem;
use super::question::Page;

/// The words of an error that is not ours yet are no longer than this.
const LONGEST_DETAIL: usize = 4_096;

/// Puts the last touch to an answer: an error becomes a problem that names its path, and what can be asked for
/// again has a tag by which it is known.
pub(super) async fn finish(uri: OriginalUri, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        return problem(response, uri.path()).await;
    }
    if is_read && response.status() == StatusCode::OK && is_whole(response.headers()) {
        return tagged(response, known.as_ref()).await;
    }
    response
}

/// Whatever an error is, it becomes a problem; what its headers say stays.
async fn problem(response: Response, path: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None => {
            let detail = to_bytes(body, LONGEST_DETAIL).await.unwrap_or_default();
            Problem::new(parts.status, String::from_utf8_lossy(&detail).trim())
        }
    };
    let mut response = problem.at(path).into_response();
    for name in [header::ALLOW, header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.remove(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether an answer is JSON or CSV, whose end is known.
fn is_whole(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["application/json", "text/csv"].iter().any(|whole| kind.starts_with(whole))
}

/// With a tag made of what it says; a caller that knows it already gets only that.
async fn tagged(response: Response, known: Option<&HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer broke off").into_response();
    };
    // Where the next page is stands beside a table, and is a part of the answer.
    let mut said = Xxh3::new();
    said.update(&body);
    said.update(parts.headers.get(header::LINK).map_or(&[][..], HeaderValue::as_bytes));
    // Weak, since the same answer may be sent compressed.
    let tag = format!("W/\"{:032x}\"", said.digest128());
    let is_known = known.and_then(|known| known.to_str().ok()).is_some_and(|known| names(known, &tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    // Ask again each time, and be told when nothing is new.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether a list of tags names one, which is compared weakly (RFC 9110, 13.1.2).
fn names(list: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|one| opaque(one) == opaque(tag))
}

/// How a table is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// A page.
    Json,
    /// A heading and a line for each row; where the next ones are stands in the header `Link`.
    Csv,
}

impl Format {
    /// The one that is said; else of those that are accepted the one that is liked most, of equals the first.
    pub(super) fn wanted(said: Option<Self>, headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best: Option<(f64, Self)> = None;
        for (weight, kind) in accepted.flat_map(|kinds| kinds.split(',')).filter_map(weighed) {
            if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, kind));
            }
        }
        said.or(best.map(|(_, kind)| kind)).unwrap_or(Self::Json)
    }
}

/// One kind of those that are accepted, and how much it is liked (RFC 9110, 12.4.2).
fn weighed(kind: &str) -> Option<(f64, Format)> {
    let mut parts = kind.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "text/csv" | "text/*" => Format::Csv,
        "application/json" | "*/*" | "application/*" => Format::Json,
        _ => return None,
    };
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((weight.map_or(Some(1.0), |weight| weight.parse().ok())?, format))
}

/// A row as a line of a table.
pub(super) trait Line: Serialize {
    /// The headings: the keys of its JSON, but for those that hold lists.
    const HEADINGS: &'static [&'static str];
}

/// A page as JSON or as CSV.
pub(super) fn table<T: Line>(page: Page<T>, format: Format, uri: &OriginalUri) -> Result<Response, Problem> {
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    match format {
        Format::Json => Ok((vary, Json(page)).into_response()),
        Format::Csv => {
            let link = page.next_cursor.as_deref().and_then(|cursor| link(uri, cursor));
            let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
            let mut response = (vary, [(header::CONTENT_TYPE, kind)], lines(&page.items)?).into_response();
            if let Some(link) = link {
                response.headers_mut().insert(header::LINK, link);
            }
            Ok(response)
        }
    }
}

/// The same question, after a cursor (RFC 8288).
fn link(uri: &OriginalUri, cursor: &str) -> Option<HeaderValue> {
    let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.filter(|(name, _)| name != "cursor")).append_pair("cursor", cursor);
    HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())).ok()
}

fn lines<T: Line>(rows: &[T]) -> Result<Bytes, Problem> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(T::HEADINGS)?;
    for row in rows {
        let row = serde_json::to_value(row)?;
        writer.write_record(T::HEADINGS.iter().map(|heading| cell(row.get(heading))))?;
    }
    let text = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(text.into())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        // A whole number without its `.0`.
        Some(Value::Number(number)) if number.is_f64() => {
            number.as_f64().map(|number| number.to_string()).unwrap_or_default()
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        name: &'static str,
        price: Option<f64>,
        times: usize,
        is_new: bool,
    }

    impl Line for Row {
        const HEADINGS: &'static [&'static str] = &["name", "times", "price", "is_new", "unknown"];
    }

    #[test]
    fn cells_with_commas_quotes_and_lines_are_quoted_and_what_is_not_there_is_empty() {
        let row = |name, price| Row { name, price, times: 2, is_new: true };
        let text = lines(&[row("a, \"b\"\nc", None), row("ü", Some(10.0)), row("", Some(0.1))]).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text),
            "name,times,price,is_new,unknown\r\n\"a, \"\"b\"\"\nc\",2,,true,\r\nü,2,10,true,\r\n,2,0.1,true,\r\n"
        );
    }

    #[tokio::test]
    async fn an_answer_whose_next_page_begins_elsewhere_is_another_answer() {
        let tag = async |link: &'static str| {
            let answer = ([(header::LINK, link)], "a,b\r\n").into_response();
            tagged(answer, None).await.headers()[header::ETAG].clone()
        };
        assert_eq!(tag("</a>").await, tag("</a>").await);
        assert_ne!(tag("</a>").await, tag("</b>").await);
    }

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_strong() {
        for (list, known) in [
            ("W/\"a\"", true),
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("", false),
        ] {
            assert_eq!(names(list, "W/\"a\""), known, "{list}");
        }
    }

    #[test]
    fn of_what_is_accepted_the_most_liked_counts_and_what_is_said_before_that() {
        let wanted = |accept: &'static str, said| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            Format::wanted(said, &headers)
        };
        assert_eq!(wanted("text/csv", None), Format::Csv);
        assert_eq!(wanted("text/html, application/json;q=0.9, text/csv", None), Format::Csv);
        assert_eq!(wanted("text/csv;q=0.5, application/json; q=0.9, */*;q=0.1", None), Format::Json);
        assert_eq!(wanted("application/json, text/csv", None), Format::Json, "of equals the first");
        assert_eq!(wanted("text/csv;q=0, */*", None), Format::Json);
        assert_eq!(wanted("text/csv;q=0", None), Format::Json);
        assert_eq!(wanted("text/csv;header=present;q=1", None), Format::Csv);
        assert_eq!(wanted("text/csv;q=much", None), Format::Json);
        assert_eq!(wanted("*/*", Some(Format::Csv)), Format::Csv);
        assert_eq!(wanted("image/png", None), Format::Json);
    }
}
