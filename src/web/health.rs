//! Whether all is well, and the figures.

use std::sync::OnceLock;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::warn;

use super::Shared;
use crate::model::Secret;

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

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_allowed(shared.token.as_ref(), &headers) {
        let ask = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, ask, "a token is required\n").into_response();
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

fn is_allowed(token: Option<&Secret>, headers: &HeaderMap) -> bool {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return true };
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    is_same(shown.as_bytes(), token.expose().as_bytes())
}

/// Compares in a time that does not tell where the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
