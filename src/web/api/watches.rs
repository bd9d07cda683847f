//! The watchlist.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::problem::Problem;
use super::super::{Shared, State as Standing, Status};
use super::question::{Cursor, Limit, Page, after};
use crate::model::or_known;
use crate::run::Report;
use crate::watchlist;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, remove))
        .routes(routes!(run))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(attempt))
}

/// Which watches.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those that stand so.
    #[param(inline, required = false, nullable = false)]
    state: Option<Standing>,
    /// Those whose name holds this text, in large or small letters.
    #[param(required = false, nullable = false)]
    q: Option<String>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
}

/// A watch in full.
#[derive(Serialize, ToSchema)]
struct Watch {
    #[serde(flatten)]
    status: Status,
    /// Its table, as the configuration would have it. Secrets are left out.
    #[schema(value_type = Object)]
    table: Value,
}

/// A watch to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWatch {
    /// What it is called.
    #[schema(min_length = 1, example = "btc")]
    name: String,
    /// The keys that would stand below `[watch.NAME]` in a file: `source`, `every` or `cron`, `strategy` and so on.
    #[schema(value_type = Object, example = json!({"source": {"kind": "kraken", "pairs": ["BTC/USD"], "interval": "1h"}, "every": "1h"}))]
    table: Map<String, Value>,
}

/// The watches by name, and how each stands.
#[utoipa::path(get, path = "/v1/watches", tag = "watches", params(Which),
    responses((status = 200, description = "By name", body = Page<Status>)))]
async fn list(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Status>>, Problem> {
    let last: Option<String> = after(which.cursor.as_ref())?;
    let wanted = which.q.unwrap_or_default().to_lowercase();
    let fits = |status: &Status| {
        last.as_ref().is_none_or(|last| status.name > *last)
            && which.state.is_none_or(|state| status.state == state)
            && status.name.to_lowercase().contains(&wanted)
    };
    let watches = shared.store.glances().await?.into_iter().map(Status::from).filter(fits);
    let mut watches: Vec<Status> = watches.collect();
    watches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(Page::cut(watches, which.limit, |status| status.name.clone())?))
}

/// One watch with its table.
#[utoipa::path(get, path = "/v1/watches/{name}", tag = "watches",
    params(("name" = String, Path, description = "The watch")),
    responses((status = 200, description = "How it stands, and its table", body = Watch)))]
async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Watch>, Problem> {
    Ok(Json(shown(&shared, &name).await?))
}

/// Adds a watch beside those of the files. It runs from now on.
#[utoipa::path(post, path = "/v1/watches", tag = "watches", request_body = NewWatch,
    responses(
        (status = 201, description = "Added", body = Watch, headers(("location" = String, description = "The watch"))),
        (status = 409, description = "There is one of this name"),
    ))]
async fn add(State(shared): State<Shared>, Json(new): Json<NewWatch>) -> Result<Response, Problem> {
    shared.control.add_watch(&new.name, &new.table).await?;
    let watch = shown(&shared, &new.name).await?;
    let location = format!("/api/v1/watches/{}", segment(&new.name));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(watch)).into_response())
}

/// Removes a watch that was added this way. Its history stays, and is found again when it is added again.
#[utoipa::path(delete, path = "/v1/watches/{name}", tag = "watches",
    params(("name" = String, Path, description = "The watch")),
    responses(
        (status = 204, description = "Removed"),
        (status = 409, description = "It stands in a file, and is removed there"),
    ))]
async fn remove(State(shared): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    shared.control.remove_watch(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for a run now. What comes of it stands among the runs when it is over.
#[utoipa::path(post, path = "/v1/watches/{name}/run", tag = "watches",
    params(("name" = String, Path, description = "The watch")),
    responses(
        (status = 202, description = "It is run", body = Status),
        (status = 409, description = "It is being run already"),
    ))]
async fn run(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Response, Problem> {
    let (row, _) = find(&shared, &name)?;
    shared.control.run_watch(&name).await?;
    Ok((StatusCode::ACCEPTED, Json(status(&shared, row, &name).await?)).into_response())
}

/// No runs until it is resumed.
#[utoipa::path(post, path = "/v1/watches/{name}/pause", tag = "watches",
    params(("name" = String, Path, description = "The watch")),
    responses((status = 200, description = "It is paused", body = Status)))]
async fn pause(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Status>, Problem> {
    let (row, _) = find(&shared, &name)?;
    shared.control.pause_watch(&name).await?;
    Ok(Json(status(&shared, row, &name).await?))
}

/// Runs by its schedule again.
#[utoipa::path(post, path = "/v1/watches/{name}/resume", tag = "watches",
    params(("name" = String, Path, description = "The watch")),
    responses((status = 200, description = "It is no longer paused", body = Status)))]
async fn resume(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Status>, Problem> {
    let (row, _) = find(&shared, &name)?;
    shared.control.resume_watch(&name).await?;
    Ok(Json(status(&shared, row, &name).await?))
}

/// What one run of a watch would see and tell. Nothing is stored, nobody is told.
#[utoipa::path(post, path = "/v1/try", tag = "watches", operation_id = "try", request_body = NewWatch,
    responses(
        (status = 200, description = "What it saw", body = Report),
        (status = 409, description = "Another one is being tried, or there is one of this name"),
    ))]
async fn attempt(State(shared): State<Shared>, Json(new): Json<NewWatch>) -> Result<Json<Report>, Problem> {
    Ok(Json(shared.control.try_watch(&new.name, &new.table).await?))
}

/// A watch of the watchlist, with its row.
pub(super) fn find(shared: &Shared, name: &str) -> Result<(i64, Arc<watchlist::Watch>), Problem> {
    let roster = shared.roster();
    let found = roster.watches.get(name).map(|(row, watch)| (*row, Arc::clone(watch)));
    found.ok_or_else(|| {
        let hint = or_known(name, roster.watches.keys().map(String::as_str));
        Problem::not_found(format!("there is no watch `{name}`{hint}"))
    })
}

async fn status(shared: &Shared, row: i64, name: &str) -> Result<Status, Problem> {
    let found = shared.store.glance(row).await?;
    found.map(Status::from).ok_or_else(|| Problem::not_found(format!("there is no watch `{name}`")))
}

async fn shown(shared: &Shared, name: &str) -> Result<Watch, Problem> {
    let (row, watch) = find(shared, name)?;
    let table = serde_json::from_str(&watch.spec)?;
    Ok(Watch { status: status(shared, row, name).await?, table })
}

/// A name as a part of an address.
fn segment(name: &str) -> String {
    let mut url = url::Url::parse("http://localhost/").ok();
    if let Some(mut path) = url.as_mut().and_then(|url| url.path_segments_mut().ok()) {
        path.pop_if_empty().push(name);
    }
    url.map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_an_address_stays_one_part_of_it() {
        for (name, part) in [("btc", "btc"), ("a/b c", "a%2Fb%20c"), ("100%", "100%25"), ("ü?", "%C3%BC%3F")]
        {
            assert_eq!(segment(name), part);
        }
    }
}
