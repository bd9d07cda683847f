//! From what is stored to what is drawn.

use std::time::Duration;

use jiff::Timestamp;

use super::{Chart, Line, Look, Mark, Seen, Theme, Window};
use crate::model::{Alert, AlertStatus, Availability, Interval, Plot, Reading, Track, shown};
use crate::plugin::Picture;
use crate::store::{DrawnRow, Store};
use crate::watchlist::Watch;

/// How many rows of the past are read for one chart, at most: the newest ones.
const MOST_ROWS: usize = 10_000;

/// How many messages are marked, at most: the newest ones.
const MOST_MARKS: usize = 200;

/// How many bars or observations before its moment the picture of an alert shows.
const BARS_IN_A_PICTURE: i64 = 120;

/// And how far it looks back at most: a year of a weekly series, with the season before.
const MOST_OF_A_PICTURE: Duration = Duration::from_secs(400 * 86_400);

/// What is stored of one subject of a watch in a stretch of time, with what its strategies make of it. `None`
/// where there is nothing to draw: a text, or nothing seen at all.
///
/// # Errors
/// When the database refuses.
pub async fn gather(
    store: &Store,
    (watch_id, watch): (i64, &Watch),
    subject: &str,
    window: Window,
) -> Result<Option<Chart>, sqlx::Error> {
    let Some(reading) = store.last_reading(watch_id, subject).await? else { return Ok(None) };
    let past = match &reading {
        Reading::Candles { interval, .. } => {
            bars(store, (watch_id, watch), subject, *interval, window).await?
        }
        Reading::Quote(_) | Reading::Value { .. } | Reading::Listing(_) => {
            numbers(store, (watch_id, watch), subject, window).await?
        }
        Reading::Text { .. } => return Ok(None),
    };
    let (title, unit) = match &reading {
        Reading::Listing(listing) => (listing.name.clone(), listing.price_currency.clone()),
        Reading::Value { unit, .. } => (watch.source.describe(subject), Some(unit.clone())),
        _ => (watch.source.describe(subject), None),
    };
    let marks = store.alerts_of(watch_id, subject, window.from, window.until, MOST_MARKS).await?;
    let mark = |(at, alert): (Timestamp, Alert)| Mark {
        at,
        title: alert.title,
        firing: alert.status == AlertStatus::Firing,
    };
    Ok(past.map(|Past { seen, plots, line }| Chart {
        watch: watch.name.clone(),
        title,
        unit: unit.unwrap_or_default(),
        window,
        seen,
        plots,
        marks: marks.into_iter().map(mark).collect(),
        zone: watch.zone.clone(),
        line,
        trigger: None,
    }))
}

/// What an alert tells about, drawn until the moment at which it was made; `None` where there is nothing to
/// draw. Computing happens on a blocking thread.
///
/// # Errors
/// When the database refuses, or the drawing cannot be turned into pixels.
pub async fn picture_of(
    store: &Store,
    watch: (i64, &Watch),
    alert: &Alert,
) -> anyhow::Result<Option<Picture>> {
    if alert.strategy == "run" {
        return Ok(None);
    }
    let subject = &alert.signal.subject;
    let Some(reading) = store.last_reading(watch.0, subject).await? else { return Ok(None) };
    let made_at = store.alert_made_at(&alert.id).await?;
    let until = made_at.or(alert.ends_at).unwrap_or(alert.starts_at);
    let from = match reading {
        Reading::Candles { interval, .. } => {
            store.nth_bar_before(watch.0, subject, interval, until, BARS_IN_A_PICTURE).await?
        }
        _ => store.nth_observation_before(watch.0, subject, until, BARS_IN_A_PICTURE).await?,
    };
    let oldest = until.checked_sub(MOST_OF_A_PICTURE).unwrap_or(Timestamp::MIN);
    let from = from.unwrap_or(until).max(oldest);
    let Some(mut chart) = gather(store, watch, subject, Window { from, until }).await? else {
        return Ok(None);
    };
    let state = alert.signal.state.replace('_', " ");
    let said = match (&alert.status, alert.signal.value) {
        (AlertStatus::Resolved, _) => format!("over: {state}"),
        (AlertStatus::Firing, Some(value)) => format!("{state}: {}", shown(value)),
        (AlertStatus::Firing, None) => state,
    };
    chart.trigger = Some(Mark { at: until, title: said, firing: alert.status == AlertStatus::Firing });
    let look = Look { width: 800, height: 450, theme: Theme::Dark };
    let drawn = tokio::task::spawn_blocking(move || {
        chart.png(look).map(|png| Picture { png, alt: chart.in_words() })
    });
    drawn.await?.map(Some).map_err(anyhow::Error::msg)
}

/// What was seen, and what the strategies add.
struct Past {
    seen: Seen,
    plots: Vec<Plot>,
    line: Line,
}

async fn bars(
    store: &Store,
    (watch_id, watch): (i64, &Watch),
    subject: &str,
    interval: Interval,
    window: Window,
) -> Result<Option<Past>, sqlx::Error> {
    // An indicator needs a run-up.
    let before = store.nth_bar_before(watch_id, subject, interval, window.from, watch.bars() as i64).await?;
    let from = before.unwrap_or(window.from);
    let candles = store.bars_drawn(watch_id, subject, interval, (from, window.until), MOST_ROWS).await?;
    let plots = plots(watch, Track::Candles { interval, candles: &candles }, window);
    let candles: Vec<_> = candles.into_iter().filter(|bar| bar.open_time >= window.from).collect();
    let past = Past { seen: Seen::Candles(interval, candles), plots, line: Line::Straight };
    Ok(Some(past).filter(|past| !past.seen.is_empty()))
}

async fn numbers(
    store: &Store,
    (watch_id, watch): (i64, &Watch),
    subject: &str,
    window: Window,
) -> Result<Option<Past>, sqlx::Error> {
    let lookbacks = watch.lookbacks.iter();
    let span = lookbacks.filter_map(|lookback| lookback.span.max(lookback.ago)).max().unwrap_or_default();
    let from = window.from.checked_sub(span).unwrap_or(Timestamp::MIN);
    let rows = store.observations_drawn(watch_id, subject, (from, window.until), MOST_ROWS).await?;
    let is_listing = rows.iter().any(|row| row.availability.is_some());
    // A date of its own is older than the run that saw it first.
    let is_dated = !is_listing && rows.iter().any(|row| row.seen_at.is_some_and(|seen| seen > row.at));
    let line = if is_dated { Line::Straight } else { Line::Step };
    let mut values: Vec<(Timestamp, f64)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(number) = row.number.filter(|number| number.is_finite()) else { continue };
        if is_dated || values.last().is_none_or(|(_, last)| *last != number) {
            values.push((row.at, number));
        }
    }
    let plots = plots(watch, Track::Values(&values), window);
    // What was so when the window began stands at its beginning, where it holds until the next.
    let seen = if is_listing {
        let known = |row: &DrawnRow| row.availability.unwrap_or(Availability::Unknown);
        let offers = rows.iter().map(|row| (row.at, row.number.filter(|n| n.is_finite()), known(row)));
        Seen::Offers(held(offers.collect(), window.from, |offer| &mut offer.0))
    } else if is_dated {
        Seen::Values(values.into_iter().filter(|(at, _)| *at >= window.from).collect())
    } else {
        Seen::Values(held(values, window.from, |value| &mut value.0))
    };
    Ok(Some(Past { seen, plots, line }).filter(|past| !past.seen.is_empty()))
}

/// What lies in the window, with what was so at its beginning.
fn held<T: Clone>(mut points: Vec<T>, from: Timestamp, at: impl Fn(&mut T) -> &mut Timestamp) -> Vec<T> {
    let mut is_before = |point: &mut T| *at(point) < from;
    let before = points.iter_mut().map(&mut is_before).filter(|before| *before).count();
    let mut kept = points.split_off(before.saturating_sub(1));
    if let Some(first) = kept.first_mut().filter(|_| before > 0) {
        *at(first) = from;
    }
    kept
}

/// What the strategies add, cut to the window.
fn plots(watch: &Watch, track: Track<'_>, window: Window) -> Vec<Plot> {
    let mut plots: Vec<Plot> = watch.judges.iter().flat_map(|judge| judge.strategy.plots(track)).collect();
    let is_in = |(at, number): &(Timestamp, f64)| *at >= window.from && number.is_finite();
    for plot in &mut plots {
        plot.hits.retain(is_in);
        for curve in &mut plot.curves {
            curve.points.retain(is_in);
        }
        plot.limits.retain(|limit| limit.value.is_finite());
    }
    plots.retain(|plot| {
        let is_curved = plot.curves.iter().any(|curve| !curve.points.is_empty());
        is_curved || !plot.limits.is_empty() || !plot.hits.is_empty()
    });
    plots
}
