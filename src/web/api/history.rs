//! What a watch has seen and done.

use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Json, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use super::super::problem::Problem;
use super::answer::{Format, Line, table};
use super::question::{Cursor, Limit, Moment, Page, after, span};
use super::watches::find;
use crate::model::{Coverage, Outcome, SignalState, Stretch, Trigger};
use crate::store::{RunRow, SettledRow, StoredBar, StoredObservation};

/// Slots of so long are told where nobody says since when.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(observations))
        .routes(routes!(candles))
        .routes(routes!(runs))
        .routes(routes!(slots))
        .routes(routes!(signals))
}

/// Which part of the past.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Seen {
    /// Of this symbol, item or region.
    #[param(required = false, nullable = false)]
    subject: Option<String>,
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
    /// What the header `Accept` may say too.
    #[param(inline, required = false, nullable = false)]
    format: Option<Format>,
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ran {
    /// With what was decided about this symbol, item or region. A run is of the whole watch: which ones there are
    /// does not depend on it.
    #[param(required = false, nullable = false)]
    subject: Option<String>,
    /// Also those that found the same as the one before: most of them.
    #[serde(default)]
    #[param(required = false)]
    unchanged: bool,
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
    /// What the header `Accept` may say too.
    #[param(inline, required = false, nullable = false)]
    format: Option<Format>,
}

/// Which slots.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Passed {
    /// As for the other lists; it changes nothing, since a slot is of the whole watch.
    #[param(required = false, nullable = false)]
    #[serde(rename = "subject")]
    _subject: Option<String>,
    /// From then on; a day ago where it is not said.
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
    /// What the header `Accept` may say too.
    #[param(inline, required = false, nullable = false)]
    format: Option<Format>,
}

/// Which signals.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Settled {
    /// Of this symbol, item or region.
    #[param(required = false, nullable = false)]
    subject: Option<String>,
    /// Those that are so since then or later.
    #[param(value_type = Moment, inline, required = false)]
    since: Option<Moment>,
    /// Those that are so since then or earlier.
    #[param(value_type = Moment, inline, required = false)]
    until: Option<Moment>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
    /// What the header `Accept` may say too.
    #[param(inline, required = false, nullable = false)]
    format: Option<Format>,
}

/// One execution of a watch.
#[derive(Serialize, ToSchema)]
struct Run {
    /// Its number.
    id: i64,
    /// The watch.
    watch: String,
    /// What asked for it.
    #[schema(value_type = Trigger)]
    trigger: String,
    /// The slot it was due at.
    due_at: Timestamp,
    /// When it began.
    started_at: Timestamp,
    /// When it was decided.
    finished_at: Timestamp,
    /// How it ended.
    #[schema(value_type = Outcome)]
    outcome: String,
    /// Why, where it failed or was blocked.
    error: Option<String>,
    /// How many observations it had.
    observations: i64,
    /// How many signals.
    signals: i64,
    /// How many alerts.
    alerts: i64,
    /// How long it waited for its hosts' turns, in seconds.
    waited_secs: f64,
    /// Which host it waited for, where that was long.
    waited_for: Option<String>,
    /// What was decided about each signal, and why; of very many signals only those that say something.
    verdicts: Vec<Verdict>,
}

/// What was decided about a signal.
#[derive(Serialize, Deserialize, ToSchema)]
struct Verdict {
    /// The strategy.
    strategy: String,
    /// Who or what it is about.
    subject: String,
    /// The state that was judged.
    state: String,
    /// The number that decided.
    value: Option<f64>,
    /// Told or not.
    verdict: String,
    /// Why, in a sentence; empty where there is nothing to say.
    #[serde(default)]
    why: String,
}

/// What a strategy settled on about a subject.
#[derive(Serialize, ToSchema)]
struct Signal {
    /// The strategy; `run` for what the daemon says about the watch's own runs.
    strategy: String,
    /// Who or what it is about.
    subject: String,
    /// What was last told about it, in a line; empty where nothing was.
    summary: String,
    #[serde(flatten)]
    state: SignalState,
}

/// What became of slots.
#[derive(Serialize, ToSchema)]
struct Slots {
    #[serde(flatten)]
    page: Page<Stretch>,
    /// All slots of the time that was asked for, counted.
    coverage: Coverage,
    /// Of a hundred slots so many were seen, in time, late or afterwards; null where there was no slot.
    percent: Option<f64>,
}

/// What was seen but for candles, the newest first: a row for each different reading.
#[utoipa::path(get, path = "/v1/watches/{name}/observations", tag = "history",
    params(("name" = String, Path, description = "The watch"), Seen),
    responses((status = 200, description = "The newest first",
        content((Page<StoredObservation> = "application/json"), (String = "text/csv")))))]
async fn observations(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Query(seen): Query<Seen>,
) -> Result<Response, Problem> {
    let (watch, _) = find(&shared, &name)?;
    let (span, key) = (span(seen.since, seen.until, Timestamp::now()), after(seen.cursor.as_ref())?);
    let which = (watch, seen.subject.as_deref());
    let page = shared.store.observations_page(which, span, key, seen.limit.rows()).await?;
    table(Page::of(page, |row| row)?, Format::wanted(seen.format, &headers), &uri)
}

/// The bars that were seen: by subject, for each of them the newest first.
#[utoipa::path(get, path = "/v1/watches/{name}/candles", tag = "history",
    params(("name" = String, Path, description = "The watch"), Seen),
    responses((status = 200, description = "By subject, the newest first",
        content((Page<StoredBar> = "application/json"), (String = "text/csv")))))]
async fn candles(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Query(seen): Query<Seen>,
) -> Result<Response, Problem> {
    let (watch, _) = find(&shared, &name)?;
    let (span, key) = (span(seen.since, seen.until, Timestamp::now()), after(seen.cursor.as_ref())?);
    let which = (watch, seen.subject.as_deref());
    let page = shared.store.candles_page(which, span, key, seen.limit.rows()).await?;
    table(Page::of(page, |row| row)?, Format::wanted(seen.format, &headers), &uri)
}

/// The runs, the newest first.
#[utoipa::path(get, path = "/v1/watches/{name}/runs", tag = "history",
    params(("name" = String, Path, description = "The watch"), Ran),
    responses((status = 200, description = "The newest first",
        content((Page<Run> = "application/json"), (String = "text/csv")))))]
async fn runs(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Query(ran): Query<Ran>,
) -> Result<Response, Problem> {
    let (watch, _) = find(&shared, &name)?;
    let span = span(ran.since, ran.until, Timestamp::now());
    let run = |row: RunRow| Run::of(row, &name, ran.subject.as_deref());
    let page = if ran.unchanged {
        let key = after(ran.cursor.as_ref())?;
        Page::of(shared.store.all_runs_page(watch, span, key, ran.limit.rows()).await?, run)
    } else {
        let key = after(ran.cursor.as_ref())?;
        Page::of(shared.store.runs_page(watch, span, key, ran.limit.rows()).await?, run)
    };
    table(page?, Format::wanted(ran.format, &headers), &uri)
}

/// What became of each slot, the oldest first: a row for each stretch of slots of which the same became.
#[utoipa::path(get, path = "/v1/watches/{name}/slots", tag = "history",
    params(("name" = String, Path, description = "The watch"), Passed),
    responses((status = 200, description = "The oldest first",
        content((Slots = "application/json"), (String = "text/csv")))))]
async fn slots(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Query(passed): Query<Passed>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let (row, watch) = find(&shared, &name)?;
    let asked = span(passed.since, passed.until, now);
    // What became of later ones is known when the next run is over.
    let known_until = shared.store.next_due(row).await?.map_or(now, |due| due.min(now));
    let kept_since = shared.roster().watchlist.daemon.retention.runs_kept_since(now);
    let key: Option<SlotsKey> = after(passed.cursor.as_ref())?;
    // A length of time ago was said when the first page was asked for.
    let since = key.map(|key| key.since).or(asked.since);
    let since = since.unwrap_or_else(|| now.checked_sub(A_DAY).unwrap_or(now)).max(kept_since);
    let until = asked.until.unwrap_or(known_until).min(known_until);
    let stretches = match since <= until {
        true => shared.store.slots(row, since, until, watch.late_after(now)).await?,
        false => Vec::new(),
    };
    let coverage = Coverage::of(&stretches);
    let (stretches, next) = slots_after(stretches, key.map(|key| (key.until, key.from)), passed.limit.rows());
    let page = Page::new(stretches, next.map(|(until, from)| SlotsKey { since, until, from }))?;
    match Format::wanted(passed.format, &headers) {
        Format::Csv => table(page, Format::Csv, &uri),
        Format::Json => {
            let slots = Slots { page, coverage, percent: coverage.percent() };
            Ok(([(axum::http::header::VARY, "accept")], Json(slots)).into_response())
        }
    }
}

/// Where a page of slots ended.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct SlotsKey {
    since: Timestamp,
    until: Timestamp,
    from: Timestamp,
}

/// Some stretches after the one that ended and began then, and the end and beginning of the last where more follow.
/// They come in the order of their ends; of two that end together the one that begins later comes first.
fn slots_after(
    mut stretches: Vec<Stretch>,
    after: Option<(Timestamp, Timestamp)>,
    limit: usize,
) -> (Vec<Stretch>, Option<(Timestamp, Timestamp)>) {
    if let Some((until, from)) = after {
        stretches.retain(|one| one.until > until || (one.until == until && one.from < from));
    }
    let more = stretches.len() > limit;
    stretches.truncate(limit);
    let next = stretches.last().map(|last| (last.until, last.from)).filter(|_| more);
    (stretches, next)
}

/// What the strategies have settled on, by strategy and subject.
#[utoipa::path(get, path = "/v1/watches/{name}/signals", tag = "history",
    params(("name" = String, Path, description = "The watch"), Settled),
    responses((status = 200, description = "By strategy and subject",
        content((Page<Signal> = "application/json"), (String = "text/csv")))))]
async fn signals(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Query(settled): Query<Settled>,
) -> Result<Response, Problem> {
    let (watch, _) = find(&shared, &name)?;
    let (span, key) = (span(settled.since, settled.until, Timestamp::now()), after(settled.cursor.as_ref())?);
    let which = (watch, settled.subject.as_deref());
    let page = shared.store.settled_page(which, span, key, settled.limit.rows()).await?;
    let signal =
        |SettledRow { strategy, subject, state, summary }| Signal { strategy, subject, summary, state };
    table(Page::of(page, signal)?, Format::wanted(settled.format, &headers), &uri)
}

impl Run {
    /// With the verdicts on one subject, or on all.
    fn of(row: RunRow, watch: &str, subject: Option<&str>) -> Self {
        let [observations, signals, alerts] = row.counts;
        let verdicts = row.verdicts.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let mut verdicts: Vec<Verdict> = verdicts.unwrap_or_default();
        verdicts.retain(|verdict| subject.is_none_or(|subject| verdict.subject == subject));
        Self {
            id: row.id,
            watch: watch.to_owned(),
            trigger: row.trigger,
            due_at: row.due_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            error: row.error,
            observations,
            signals,
            alerts,
            waited_secs: row.waited.time.as_secs_f64(),
            waited_for: row.waited.host,
            verdicts,
        }
    }
}

impl Line for StoredObservation {
    const HEADINGS: &'static [&'static str] = &[
        "observed_at",
        "subject",
        "kind",
        "price",
        "price_currency",
        "availability",
        "name",
        "sku",
        "bid",
        "ask",
        "volume",
        "quoted_at",
        "value",
        "unit",
        "text",
        "url",
        "last_seen_at",
        "times_seen",
    ];
}

impl Line for StoredBar {
    const HEADINGS: &'static [&'static str] =
        &["subject", "interval", "open_time", "open", "high", "low", "close", "volume"];
}

impl Line for Run {
    const HEADINGS: &'static [&'static str] = &[
        "id",
        "watch",
        "trigger",
        "due_at",
        "started_at",
        "finished_at",
        "outcome",
        "error",
        "observations",
        "signals",
        "alerts",
        "waited_secs",
        "waited_for",
    ];
}

impl Line for Stretch {
    const HEADINGS: &'static [&'static str] = &["from", "until", "slots", "outcome", "why"];
}

impl Line for Signal {
    const HEADINGS: &'static [&'static str] = &[
        "strategy",
        "subject",
        "state",
        "firing",
        "value",
        "summary",
        "since",
        "fingerprint",
        "told",
        "last_told_at",
        "last_told_value",
        "streak",
        "streak_since",
        "waits",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Observation;

    #[test]
    fn every_key_of_every_kind_of_reading_is_a_heading() {
        for reading in [
            json!({"kind": "quote", "price": 1.0, "bid": 1.0, "ask": 1.0, "volume": 1.0,
                "quoted_at": "2026-11-21T10:00:00Z"}),
            json!({"kind": "listing", "sku": "1", "name": "n", "price": 1.0, "price_currency": "USD",
                "availability": "in_stock"}),
            json!({"kind": "value", "value": 1.0, "unit": "USD"}),
            json!({"kind": "text", "text": "t"}),
        ] {
            let mut seen = json!({"subject": "s", "observed_at": "2026-11-21T10:00:00Z", "url": null});
            seen.as_object_mut().unwrap().extend(reading.as_object().unwrap().clone());
            let observation: Observation = serde_json::from_value(seen).unwrap();
            let last_seen_at = observation.observed_at;
            let row = StoredObservation { observation, last_seen_at, times_seen: 1 };
            let Value::Object(row) = serde_json::to_value(row).unwrap() else { panic!("no object") };
            assert!(reading.as_object().unwrap().keys().all(|key| row.contains_key(key)), "{row:?}");
            for key in row.keys() {
                assert!(StoredObservation::HEADINGS.contains(&key.as_str()), "{key}");
            }
        }
    }

    fn stretch(from: i64, until: i64) -> Stretch {
        let at = |second| Timestamp::from_second(second).unwrap();
        let outcome = crate::model::SlotOutcome::Ok;
        Stretch { from: at(from), until: at(until), slots: 1, outcome, why: None }
    }

    #[test]
    fn stretches_that_begin_or_end_together_come_once_each() {
        let all = [stretch(0, 0), stretch(1, 3), stretch(1, 4), stretch(5, 9), stretch(6, 9), stretch(3, 12)];
        // In the order of their ends, of equals the shorter first.
        let all = [&all[..3], &[stretch(6, 9), stretch(5, 9)], &all[5..]].concat();
        for limit in 1..=6 {
            let (mut walked, mut key) = (Vec::new(), None);
            loop {
                let (page, next) = slots_after(all.clone(), key, limit);
                walked.extend(page);
                key = next;
                if key.is_none() {
                    break;
                }
            }
            assert_eq!(walked, all, "{limit} each");
        }
    }
}
