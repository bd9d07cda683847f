//! The description of the API (OpenAPI 3.1), made of its handlers, and a page to try it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response as Described, ResponseBuilder,
    Type,
};
use utoipa::{OpenApi, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use super::super::Shared;
use super::super::guard::COOKIE_NAME;
use super::super::problem::{MEDIA_TYPE, Problem};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stakeout",
        description = "What is watched, what was seen, what was told. Lists come a page at a time: `next_cursor` of \
                       one page is `cursor` of the next. Times are RFC 3339 in UTC; what goes wrong is told as problem \
                       details (RFC 9457). An answer has an `ETag`: with `If-None-Match` it is sent again only when it \
                       has changed.",
    ),
    paths(events),
    components(schemas(Problem))
)]
struct Description;

/// What has just happened: `watch`, `alert` and `delivery`, each with its JSON; `reset` where something was
/// missed. It does not end; with `Last-Event-ID` it goes on where it broke off, and so it does with `after` for whoever
/// cannot send that header.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "The last one that was received", nullable = false),
        ("after" = Option<String>, Query, description = "The same; the header comes first", nullable = false),
    ),
    responses((status = 200, description = "Server-Sent Events", body = String, content_type = "text/event-stream")))]
#[expect(dead_code, reason = "what it describes is served by `live`")]
fn events() {}

/// The routes and what describes them.
pub(super) fn collect(wants_token: bool) -> (Router<Shared>, utoipa::openapi::OpenApi) {
    let (routes, mut described) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(super::watches::routes())
        .merge(super::history::routes())
        .merge(super::alerts::routes())
        .merge(super::deliveries::routes())
        .merge(super::silences::routes())
        .merge(super::metrics::routes())
        .merge(super::kinds::routes())
        .split_for_parts();
    for (path, mut item) in std::mem::take(&mut described.paths.paths) {
        operations(&mut item).for_each(|(is_read, operation)| answers(operation, is_read, wants_token));
        described.paths.paths.insert(format!("/api{path}"), item);
    }
    if wants_token {
        let components = described.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE_NAME)));
        components.add_security_scheme("cookie", cookie);
        let either = ["bearer", "cookie"].map(|name| SecurityRequirement::new(name, [""; 0]));
        described.security = Some(either.to_vec());
    }
    (routes, described)
}

/// Each operation of a path, with whether it only reads.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let read = item.get.iter_mut().map(|operation| (true, operation));
    read.chain(item.post.iter_mut().chain(item.delete.iter_mut()).map(|operation| (false, operation)))
}

/// What every operation may answer too: problems, and that nothing has changed.
fn answers(operation: &mut Operation, is_read: bool, wants_token: bool) {
    let has_body = operation.request_body.is_some();
    let holds = |response: &RefOr<Described>, kind: &str| matches!(response, RefOr::T(response) if response.content.contains_key(kind));
    // What happens next is always new, and is of nothing that might not be there.
    let is_stream =
        operation.responses.responses.values().any(|response| holds(response, "text/event-stream"));
    let usual = [
        (is_read && !is_stream, "304", "Nothing has changed"),
        (true, "400", "The question makes no sense"),
        (wants_token, "401", "A token or a login is wanted"),
        (!is_read, "403", "It was sent from a page of somebody else"),
        (!is_stream, "404", "There is no such thing"),
        (has_body, "413", "Too long"),
        (has_body, "415", "This is no JSON"),
        (has_body, "422", "It was understood, and is wrong"),
        (wants_token, "429", "Too many wrong tokens"),
        (true, "500", "This is ours to mend"),
        (true, "503", "Too much at once, or it is stopping"),
    ];
    for (_, status, description) in usual.into_iter().filter(|(may, ..)| *may) {
        let response = ResponseBuilder::new().description(description).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
    for (status, response) in &mut operation.responses.responses {
        let is_table = holds(response, "text/csv");
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name())));
            response.content.insert(MEDIA_TYPE.to_owned(), content.build().into());
        } else if is_read && !is_stream {
            response.headers.insert("etag".to_owned(), text("What it is known by").into());
        }
        if is_table {
            let next =
                text("Of a table as CSV where there are more rows: the next ones (RFC 8288, `rel=\"next\"`)");
            response.headers.insert("link".to_owned(), next.into());
        }
    }
}

/// A header.
fn text(description: &str) -> Header {
    let header = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    header.description(Some(description)).build()
}

/// The description, and the page to try it, whose files lie in the program.
pub(super) fn router(description: &utoipa::openapi::OpenApi) -> Router<Shared> {
    let json = description.to_json().unwrap_or_default();
    let described = get(async move || ([(header::CONTENT_TYPE, "application/json")], json));
    // Its own router would lead astray: it does not know that it lies below `/api`.
    let page = Arc::new(Config::from("/api/openapi.json"));
    let first = Arc::clone(&page);
    Router::new()
        .route("/openapi.json", described)
        .route("/docs", get(async || Redirect::to("/api/docs/")))
        .route("/docs/", get(async move || file("", first)))
        .route("/docs/{*file}", get(async move |Path(name): Path<String>| file(&name, page)))
}

/// One file of the page to try the API.
fn file(name: &str, page: Arc<Config<'static>>) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(name, page).ok().flatten();
    let file = found.ok_or_else(|| Problem::not_found(format!("there is no file `{name}`")))?;
    let mut answer = ([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response();
    if file.gzpipped {
        // Whoever tries an API in a page has a browser, and every browser unpacks it.
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(answer)
}
