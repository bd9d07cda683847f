//! What was told.

use axum::extract::{Path, Query, State};
use axum::response::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use super::super::problem::Problem;
use super::question::{Cursor, Limit, Moment, Page, after, span};
use crate::model::{Alert, AlertStatus};
use crate::store::StoredAlert;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which alerts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Of this watch.
    #[param(required = false, nullable = false)]
    watch: Option<String>,
    /// By this strategy; `run` for what the daemon says about its own runs.
    #[param(required = false, nullable = false)]
    strategy: Option<String>,
    /// About this symbol, item or region.
    #[param(required = false, nullable = false)]
    subject: Option<String>,
    /// Beginnings or ends.
    #[param(inline, required = false, nullable = false)]
    status: Option<AlertStatus>,
    /// From then on: RFC 3339, or a length of time ago.
    #[param(value_type = Moment, inline, required = false)]
    since: Option<Moment>,
    /// Until then.
    #[param(value_type = Moment, inline, required = false)]
    until: Option<Moment>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
}

/// An alert, with when it was made.
#[derive(Serialize, ToSchema)]
struct MadeAlert {
    #[serde(flatten)]
    alert: Alert,
    /// When it was made.
    created_at: Timestamp,
}

impl From<StoredAlert> for MadeAlert {
    fn from(StoredAlert { alert, created_at }: StoredAlert) -> Self {
        Self { alert, created_at }
    }
}

/// The alerts, the newest first.
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts", params(Which),
    responses((status = 200, description = "The newest first", body = Page<MadeAlert>)))]
async fn list(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Page<MadeAlert>>, Problem> {
    let of = (which.watch.as_deref(), which.strategy.as_deref(), which.subject.as_deref());
    let (span, key) = (span(which.since, which.until, Timestamp::now()), after(which.cursor.as_ref())?);
    let page = shared.store.alerts_page(of, which.status, span, key, which.limit.rows()).await?;
    Ok(Json(Page::of(page, MadeAlert::from)?))
}

/// One alert.
#[utoipa::path(get, path = "/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The alert, a UUID")),
    responses((status = 200, description = "The alert", body = MadeAlert)))]
async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<MadeAlert>, Problem> {
    let alert = shared.store.alert(&id).await?;
    let alert = alert.ok_or_else(|| Problem::not_found(format!("there is no alert `{id}`")))?;
    Ok(Json(alert.into()))
}
