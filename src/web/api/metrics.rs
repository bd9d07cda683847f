//! The numbers of a watch over the last 24 hours. A metric is what is watched: a subject that has a number,
//! such as a price, the last price of a bar, or a value.

use axum::extract::{Path, Query, State};
use axum::response::Json;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use super::super::metric::{Metric, Point, metrics};
use super::super::problem::Problem;
use super::question::{Cursor, Limit, Page, after};
use super::watches::find;
use crate::model::or_known;

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(rank))
}

/// How many metrics.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
}

/// A metric with its readings.
#[derive(Serialize, ToSchema)]
struct Day {
    #[serde(flatten)]
    metric: Metric,
    /// Its readings, the oldest first; the first may be older than a day, where it still stood then.
    points: Vec<Point>,
}

/// The place of a metric among its fellows.
#[derive(Serialize, ToSchema)]
struct Rank {
    /// Whose number it is.
    subject: String,
    /// Its place by standard deviation, the largest first; null where it has no reading.
    rank: Option<usize>,
    /// Among how many.
    ranked: usize,
    /// How much it moved.
    standard_deviation: Option<f64>,
}

/// The metrics of a watch by name, and how each moved within the last 24 hours.
#[utoipa::path(get, path = "/v1/metrics/{watch}", tag = "metrics", operation_id = "metrics",
    params(("watch" = String, Path, description = "The watch"), Which),
    responses((status = 200, description = "By name", body = Page<Metric>)))]
async fn list(
    State(shared): State<Shared>,
    Path(watch): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Metric>>, Problem> {
    let last: Option<String> = after(which.cursor.as_ref())?;
    let (mut metrics, _) = moved(&shared, &watch).await?;
    metrics.retain(|metric| last.as_ref().is_none_or(|last| metric.subject > *last));
    Ok(Json(Page::cut(metrics, which.limit, |metric| metric.subject.clone())?))
}

/// One metric over the last 24 hours.
#[utoipa::path(get, path = "/v1/metrics/{watch}/{subject}", tag = "metrics", operation_id = "metric",
    params(("watch" = String, Path, description = "The watch"), ("subject" = String, Path, description = "The metric")),
    responses((status = 200, description = "Its readings, and how it moved", body = Day)))]
async fn show(
    State(shared): State<Shared>,
    Path((watch, subject)): Path<(String, String)>,
) -> Result<Json<Day>, Problem> {
    let (metrics, mut readings) = moved(&shared, &watch).await?;
    let metric = one(metrics, &subject)?;
    readings.retain(|row| row.subject == subject);
    let points = readings.into_iter().map(|row| Point { at: row.at, value: row.value }).collect();
    Ok(Json(Day { metric, points }))
}

/// The rank of a metric by its standard deviation over the last 24 hours, among those of the same watch.
#[utoipa::path(get, path = "/v1/metrics/{watch}/{subject}/rank", tag = "metrics",
    params(("watch" = String, Path, description = "The watch"), ("subject" = String, Path, description = "The metric")),
    responses((status = 200, description = "Its rank", body = Rank)))]
async fn rank(
    State(shared): State<Shared>,
    Path((watch, subject)): Path<(String, String)>,
) -> Result<Json<Rank>, Problem> {
    let (metrics, _) = moved(&shared, &watch).await?;
    let Metric { subject, rank, ranked, standard_deviation, .. } = one(metrics, &subject)?;
    Ok(Json(Rank { subject, rank, ranked, standard_deviation }))
}

async fn moved(shared: &Shared, watch: &str) -> Result<(Vec<Metric>, Vec<crate::store::MetricRow>), Problem> {
    let (row, _) = find(shared, watch)?;
    let until = Timestamp::now();
    let since = until.checked_sub(A_DAY).unwrap_or(until);
    let names = shared.store.metric_names(row).await?;
    let readings = shared.store.metric_readings(row, None, since, until).await?;
    Ok((metrics(names, &readings, (since, until)), readings))
}

fn one(metrics: Vec<Metric>, subject: &str) -> Result<Metric, Problem> {
    let hint = or_known(subject, metrics.iter().map(|metric| metric.subject.as_str()));
    let found = metrics.into_iter().find(|metric| metric.subject == subject);
    found.ok_or_else(|| Problem::not_found(format!("there is no metric `{subject}`{hint}")))
}
