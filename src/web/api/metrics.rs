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
use super::super::problem::Problem;
use super::question::{Cursor, Limit, Page, after};
use super::watches::find;
use crate::model::or_known;
use crate::store::{self, Moved};

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

/// How one number of a watch moved.
#[derive(Serialize, ToSchema)]
struct Metric {
    /// Whose number it is: a subject of the watch.
    subject: String,
    /// How many readings there are of it.
    readings: i64,
    /// The last reading.
    last: f64,
    /// The least.
    minimum: f64,
    /// The greatest.
    maximum: f64,
    /// A bar counts once, any other reading for as long as it stood; null where that is too large to be told.
    average: Option<f64>,
    /// The square root of the mean squared distance from the average, weighed in the same way.
    standard_deviation: Option<f64>,
    /// Its place by standard deviation, the largest first; equals share one.
    rank: i64,
    /// Among how many.
    ranked: i64,
}

/// One reading.
#[derive(Serialize, ToSchema)]
struct Point {
    /// When it was so; for a bar when it opened.
    at: Timestamp,
    /// The number.
    value: f64,
}

/// A metric with its readings.
#[derive(Serialize, ToSchema)]
struct Day {
    #[serde(flatten)]
    metric: Metric,
    /// Its readings, the oldest first; the first may be older than a day, where it still stood then. While there was
    /// no number, such as the price of an item that is gone, there is no reading.
    points: Vec<Point>,
}

/// The place of a metric among its fellows.
#[derive(Serialize, ToSchema)]
struct Rank {
    /// Whose number it is.
    subject: String,
    /// Its place by standard deviation, the largest first; equals share one.
    rank: i64,
    /// Among how many.
    ranked: i64,
    /// How much it moved.
    standard_deviation: Option<f64>,
}

/// The metrics of a watch by name, and how each moved within the last 24 hours: those that had a number then.
#[utoipa::path(get, path = "/v1/metrics/{watch}", tag = "metrics", operation_id = "metrics",
    params(("watch" = String, Path, description = "The watch"), Which),
    responses((status = 200, description = "By name", body = Page<Metric>)))]
async fn list(
    State(shared): State<Shared>,
    Path(watch): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Metric>>, Problem> {
    let last: Option<String> = after(which.cursor.as_ref())?;
    let (row, _) = find(&shared, &watch)?;
    let mut metrics = moved(&shared, row, the_last_day()).await?;
    metrics.retain(|metric| last.as_ref().is_none_or(|last| metric.subject > *last));
    metrics.sort_by(|one, other| one.subject.cmp(&other.subject));
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
    let (row, _) = find(&shared, &watch)?;
    let day = the_last_day();
    let metric = one(moved(&shared, row, day).await?, &subject)?;
    let points = shared.store.points(row, &subject, day.0, day.1).await?;
    let points = points.into_iter().map(|store::Point { at, number }| Point { at, value: number }).collect();
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
    let (row, _) = find(&shared, &watch)?;
    let metrics = moved(&shared, row, the_last_day()).await?;
    let Metric { subject, rank, ranked, standard_deviation, .. } = one(metrics, &subject)?;
    Ok(Json(Rank { subject, rank, ranked, standard_deviation }))
}

fn the_last_day() -> (Timestamp, Timestamp) {
    let now = Timestamp::now();
    (now.checked_sub(A_DAY).unwrap_or(now), now)
}

async fn moved(
    shared: &Shared,
    row: i64,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Metric>, Problem> {
    Ok(shared.store.moved(&[row], since, until).await?.into_iter().map(Metric::from).collect())
}

impl From<Moved> for Metric {
    fn from(moved: Moved) -> Self {
        Self {
            subject: moved.subject,
            readings: moved.readings,
            last: moved.last,
            minimum: moved.least,
            maximum: moved.greatest,
            average: Some(moved.mean).filter(|number| number.is_finite()),
            standard_deviation: Some(moved.deviation).filter(|number| number.is_finite()),
            rank: moved.place,
            ranked: moved.among,
        }
    }
}

fn one(metrics: Vec<Metric>, subject: &str) -> Result<Metric, Problem> {
    let hint = or_known(subject, metrics.iter().map(|metric| metric.subject.as_str()));
    let found = metrics.into_iter().find(|metric| metric.subject == subject);
    found.ok_or_else(|| {
        Problem::not_found(format!("`{subject}` had no number within the last 24 hours{hint}"))
    })
}
