//! Whether all is well, and the figures.

use std::sync::OnceLock;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::warn;

use super::{Shared, guard};

/// Upper bounds of the histograms, in seconds: fine where a schedule should be, coarse where it must not.
const SECONDS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Collects figures from now on; the first call sets the process up, the others share it.
pub fn collect_figures() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let buckets = Matcher::Suffix("_seconds".into());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(buckets, &SECONDS).ok()?;
            match builder.install_recorder() {
                Ok(handle) => Some(handle),
                Err(error) => {
                    warn!(%error, "No figures are collected");
                    None
                }
            }
        })
        .clone()
}

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn ready(State(shared): State<Shared>) -> Response {
    let mut wrong: Vec<String> =
        shared.pulse.standing_still(Instant::now()).iter().map(ToString::to_string).collect();
    if let Err(error) = shared.store.ping().await {
        warn!(%error, "Not ready: the database does not answer");
        wrong.push("the database does not answer".into());
    }
    if wrong.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, wrong.join("\n") + "\n").into_response()
}

async fn metrics(State(shared): State<Shared>, request: Request) -> Response {
    if let Err(refusal) = guard::let_see_figures(&shared, request.extensions(), request.headers()).await {
        return *refusal;
    }
    let Some(figures) = &shared.figures else { return StatusCode::NOT_FOUND.into_response() };
    if let Ok((pending, dead)) = shared.store.delivery_counts().await {
        gauge("stakeout_outbox_pending", pending);
        gauge("stakeout_outbox_dead", dead);
    }
    figures.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, figures.render()).into_response()
}

fn gauge(name: &'static str, value: i64) {
    metrics::gauge!(name).set(f64::from(i32::try_from(value).unwrap_or(i32::MAX)));
}
