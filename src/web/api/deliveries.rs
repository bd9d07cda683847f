//! Messages on their way.

use axum::extract::{Path, Query, State};
use axum::response::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use super::super::problem::Problem;
use super::question::{Cursor, Limit, Page, after};
use crate::store::{Attempt, DeliveryStatus, StoredDelivery};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(give_up))
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those that stand so.
    #[param(inline, required = false, nullable = false)]
    status: Option<DeliveryStatus>,
    /// Those to this notifier.
    #[param(required = false, nullable = false)]
    notifier: Option<String>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
}

/// A delivery with every attempt to send it.
#[derive(Serialize, ToSchema)]
struct Delivery {
    #[serde(flatten)]
    delivery: StoredDelivery,
    /// Every try, the first one first.
    tries: Vec<Attempt>,
    /// The titles of the deliveries that it tells, where it is a brief, a bundle or a digest.
    tells: Vec<String>,
}

/// The deliveries, the newest first.
#[utoipa::path(get, path = "/v1/deliveries", tag = "deliveries", params(Which),
    responses((status = 200, description = "The newest first", body = Page<StoredDelivery>)))]
async fn list(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Page<StoredDelivery>>, Problem> {
    let (status, key) = (which.status.map(DeliveryStatus::as_str), after(which.cursor.as_ref())?);
    let page =
        shared.store.deliveries_page(status, which.notifier.as_deref(), key, which.limit.rows()).await?;
    Ok(Json(Page::of(page, |row| row)?))
}

/// One delivery, with every attempt to send it.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery, a UUID")),
    responses((status = 200, description = "The delivery", body = Delivery)))]
async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Delivery>, Problem> {
    Ok(Json(shown(&shared, &id).await?))
}

/// Tries again now, and those that it tells with it.
#[utoipa::path(post, path = "/v1/deliveries/{id}/retry", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery, a UUID")),
    responses(
        (status = 200, description = "It is tried again as soon as its turn comes", body = Delivery),
        (status = 409, description = "It is delivered, is being sent, is part of another, or its notifier is no longer configured"),
    ))]
async fn retry(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Delivery>, Problem> {
    let delivery = find(&shared, &id).await?;
    let is_configured = shared.roster().watchlist.notifiers.contains_key(&delivery.notifier);
    if let Some(why) = delivery.why_not_retried(is_configured) {
        return Err(Problem::conflict(why));
    }
    shared.store.retry_deliveries(vec![delivery.id], Timestamp::now()).await?;
    Ok(Json(shown(&shared, &id).await?))
}

/// Gives it up, and those that it tells with it. It is not sent, but stays in the list.
#[utoipa::path(post, path = "/v1/deliveries/{id}/drop", tag = "deliveries", operation_id = "drop",
    params(("id" = String, Path, description = "The delivery, a UUID")),
    responses(
        (status = 200, description = "It was given up", body = Delivery),
        (status = 409, description = "It is delivered, or is part of another"),
    ))]
async fn give_up(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Delivery>, Problem> {
    let delivery = find(&shared, &id).await?;
    if let Some(why) = delivery.why_not_dropped() {
        return Err(Problem::conflict(why));
    }
    shared.store.drop_deliveries(vec![delivery.id], Timestamp::now()).await?;
    Ok(Json(shown(&shared, &id).await?))
}

async fn find(shared: &Shared, id: &str) -> Result<StoredDelivery, Problem> {
    let found = shared.store.delivery(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no delivery `{id}`")))
}

async fn shown(shared: &Shared, id: &str) -> Result<Delivery, Problem> {
    let delivery = find(shared, id).await?;
    let tries = shared.store.attempts(&delivery.id).await?;
    let tells = shared.store.carried_titles(&delivery.id).await?;
    Ok(Delivery { delivery, tries, tells })
}
