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
use super::answer::{Format, Line, cell, table};
use super::question::{Cursor, Limit, Moment, Page, after, span};
use super::watches::find;
use crate::model::{Coverage, Outcome, Reading, SignalState, SlotOutcome, Stretch, Trigger};
use crate::store::{RunRow, StoredBar, StoredObservation};

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
}

/// One execution of a watch.
#[derive(Serialize, ToSchema)]
struct Run {
    /// Its number.
    id: i64,
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
    let page = if ran.unchanged {
        let key = after(ran.cursor.as_ref())?;
        Page::of(shared.store.all_runs_page(watch, span, key, ran.limit.rows()).await?, Run::from)
    } else {
        let key = after(ran.cursor.as_ref())?;
        Page::of(shared.store.runs_page(watch, span, key, ran.limit.rows()).await?, Run::from)
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
    let since = asked.since.unwrap_or_else(|| now.checked_sub(A_DAY).unwrap_or(now)).max(kept_since);
    let until = asked.until.unwrap_or(known_until).min(known_until);
    let stretches = match since <= until {
        true => shared.store.slots(row, since, until, watch.late_after(now)).await?,
        false => Vec::new(),
    };
    let coverage = Coverage::of(&stretches);
    let key: Option<Timestamp> = after(passed.cursor.as_ref())?;
    let mut stretches: Vec<Stretch> =
        stretches.into_iter().filter(|stretch| key.is_none_or(|key| stretch.from > key)).collect();
    let more = stretches.len() > passed.limit.rows();
    stretches.truncate(passed.limit.rows());
    let last = stretches.last().map(|stretch| stretch.from).filter(|_| more);
    let page = Page::new(stretches, last)?;
    match Format::wanted(passed.format, &headers) {
        Format::Csv => table(page, Format::Csv, &uri),
        Format::Json => {
            let slots = Slots { page, coverage, percent: coverage.percent() };
            Ok(([(axum::http::header::VARY, "accept")], Json(slots)).into_response())
        }
    }
}

/// What the strategies have settled on, by strategy and subject.
#[utoipa::path(get, path = "/v1/watches/{name}/signals", tag = "history",
    params(("name" = String, Path, description = "The watch"), Settled),
    responses((status = 200, description = "By strategy and subject", body = Page<Signal>)))]
async fn signals(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(settled): Query<Settled>,
) -> Result<Json<Page<Signal>>, Problem> {
    let (watch, _) = find(&shared, &name)?;
    let (span, key) = (span(settled.since, settled.until, Timestamp::now()), after(settled.cursor.as_ref())?);
    let which = (watch, settled.subject.as_deref());
    let page = shared.store.settled_page(which, span, key, settled.limit.rows()).await?;
    let signal = |row: crate::store::SettledRow| Signal {
        strategy: row.strategy,
        subject: row.subject,
        state: row.state,
    };
    Ok(Json(Page::of(page, signal)?))
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        let [observations, signals, alerts] = row.counts;
        let verdicts = row.verdicts.as_deref().and_then(|json| serde_json::from_str(json).ok());
        Self {
            id: row.id,
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
            verdicts: verdicts.unwrap_or_default(),
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
        "value",
        "unit",
        "text",
        "url",
        "last_seen_at",
        "times_seen",
    ];

    fn cells(&self) -> Vec<String> {
        let seen = &self.observation;
        let none = String::new;
        let (kind, read) = match &seen.reading {
            Reading::Candles { .. } => ("candles", Vec::from_iter(std::iter::repeat_with(none).take(11))),
            Reading::Quote(quote) => {
                let [price, bid, ask, volume] =
                    [Some(quote.price), quote.bid, quote.ask, quote.volume].map(cell);
                (
                    "quote",
                    vec![price, none(), none(), none(), none(), bid, ask, volume, none(), none(), none()],
                )
            }
            Reading::Listing(listing) => {
                let availability = serde_json::to_value(listing.availability).unwrap_or_default();
                let availability = availability.as_str().unwrap_or_default().to_owned();
                let (name, sku) = (listing.name.clone(), listing.sku.clone());
                let offer =
                    vec![cell(listing.price), cell(listing.price_currency.clone()), availability, name, sku];
                ("listing", offer.into_iter().chain(std::iter::repeat_with(none).take(6)).collect())
            }
            Reading::Value { value, unit } => {
                let value = [value.to_string(), unit.clone(), none()];
                ("value", std::iter::repeat_with(none).take(8).chain(value).collect())
            }
            Reading::Text { text } => {
                ("text", std::iter::repeat_with(none).take(10).chain([text.clone()]).collect())
            }
        };
        let first = [seen.observed_at.to_string(), seen.subject.clone(), kind.to_owned()];
        let last = [cell(seen.url.clone()), self.last_seen_at.to_string(), self.times_seen.to_string()];
        first.into_iter().chain(read).chain(last).collect()
    }
}

impl Line for StoredBar {
    const HEADINGS: &'static [&'static str] =
        &["subject", "interval", "open_time", "open", "high", "low", "close", "volume"];

    fn cells(&self) -> Vec<String> {
        let bar = &self.candle;
        let first = [self.subject.clone(), self.interval.to_string(), bar.open_time.to_string()];
        let prices = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|price| price.to_string());
        first.into_iter().chain(prices).collect()
    }
}

impl Line for Run {
    const HEADINGS: &'static [&'static str] = &[
        "id",
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

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.trigger.clone(),
            self.due_at.to_string(),
            self.started_at.to_string(),
            self.finished_at.to_string(),
            self.outcome.clone(),
            cell(self.error.clone()),
            self.observations.to_string(),
            self.signals.to_string(),
            self.alerts.to_string(),
            self.waited_secs.to_string(),
            cell(self.waited_for.clone()),
        ]
    }
}

impl Line for Stretch {
    const HEADINGS: &'static [&'static str] = &["from", "until", "slots", "outcome", "why"];

    fn cells(&self) -> Vec<String> {
        let outcome: SlotOutcome = self.outcome;
        vec![
            self.from.to_string(),
            self.until.to_string(),
            self.slots.to_string(),
            outcome.to_string(),
            cell(self.why.clone()),
        ]
    }
}
