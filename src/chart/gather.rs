//! From what is stored to what is drawn.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Chart, Line, Look, Mark, Seen, Theme, Window};
use crate::model::{Alert, AlertStatus, Availability, Interval, Place, Plot, Reading, Track, shown};
use crate::plugin::Picture;
use crate::store::{DrawnRow, Store};
use crate::watchlist::Watch;

/// How many rows of the past are read for one chart, at most: the newest ones.
const MOST_ROWS: usize = 10_000;

/// About how many bars are shown where there are more than that, put together to longer ones.
const LONGER_BARS: i64 = 2_000;

/// How many messages are marked, at most: the newest ones.
const MOST_MARKS: usize = 200;

/// How many bars or observations before its moment the picture of an alert shows.
const BARS_IN_A_PICTURE: i64 = 120;

/// And how far it looks back at most: a year of a weekly series, with the season before.
const MOST_OF_A_PICTURE: Duration = Duration::from_secs(400 * 86_400);

/// What is stored of one subject of a watch in a stretch of time, with what its strategies make of it: empty where
/// nothing was seen then, `None` where there is never anything to draw: a text, or nothing seen at all.
///
/// # Errors
/// When the database refuses.
pub async fn gather(
    store: &Store,
    watch: (i64, &Watch),
    subject: &str,
    window: Window,
) -> Result<Option<Chart>, sqlx::Error> {
    let Some(reading) = store.last_reading(watch.0, subject).await? else { return Ok(None) };
    Wanted { store, watch, subject, window, strategy: None }.chart(&reading).await
}

/// Whether a stretch of time has so few bars that they are drawn one by one, with what strategies make of them.
///
/// # Errors
/// When the database refuses.
pub async fn shows_indicators(
    store: &Store,
    watch: (i64, &Watch),
    subject: &str,
    window: Window,
) -> Result<bool, sqlx::Error> {
    let Some(Reading::Candles { interval, .. }) = store.last_reading(watch.0, subject).await? else {
        return Ok(true);
    };
    let run_up = i64::try_from(watch.1.bars()).unwrap_or(i64::MAX);
    let most = i64::try_from(MOST_ROWS).unwrap_or(i64::MAX).saturating_sub(run_up).max(1);
    let bars = store.count_of_bars(watch.0, subject, interval, (window.from, window.until), most).await?;
    Ok(bars < most)
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
    let from = match &reading {
        Reading::Candles { interval, .. } => {
            store.nth_bar_before(watch.0, subject, *interval, until, BARS_IN_A_PICTURE).await?
        }
        _ => store.nth_observation_before(watch.0, subject, until, BARS_IN_A_PICTURE).await?,
    };
    let oldest = until.checked_sub(MOST_OF_A_PICTURE).unwrap_or(Timestamp::MIN);
    let from = from.unwrap_or(until).max(oldest);
    let window = Window { from, until };
    let wanted = Wanted { store, watch, subject, window, strategy: Some(&alert.strategy) };
    let Some(mut chart) = wanted.chart(&reading).await?.filter(|chart| !chart.seen.is_empty()) else {
        return Ok(None);
    };
    let is_index = chart.plots.iter().any(|plot| plot.range.is_some());
    let said = said(&alert.signal.state, alert.signal.value, is_index);
    chart.trigger =
        Some(Mark { at: chart.window.until, title: said, firing: alert.status == AlertStatus::Firing });
    let look = Look { width: 800, height: 450, theme: Theme::Dark };
    let drawn = tokio::task::spawn_blocking(move || {
        chart.png(look).map(|png| Picture { png, alt: chart.in_words() })
    });
    drawn.await?.map(Some).map_err(anyhow::Error::msg)
}

/// What a message says is so, with its value. What has ended carries what is so now, which is said as it is.
fn said(state: &str, value: Option<f64>, is_index: bool) -> String {
    let state = state.replace('_', " ");
    match value {
        Some(value) if is_index => format!("{state}: {value:.1}"),
        Some(value) => format!("{state}: {}", shown(value)),
        None => state,
    }
}

/// What was seen, and what the strategies add.
struct Past {
    seen: Seen,
    plots: Vec<Plot>,
    line: Line,
    /// Of values with dates of their own, oldest first: when each was first seen, and its date.
    dates: Vec<(Timestamp, Timestamp)>,
    without_indicators: bool,
}

impl Past {
    /// Where something stands that happened at a moment: a message about a dated value at its date.
    fn place(&self, at: Timestamp) -> Timestamp {
        let told = self.dates.iter().rev().find(|(seen_at, _)| *seen_at <= at);
        told.map_or(at, |(_, date)| *date)
    }
}

/// What is to be gathered.
struct Wanted<'a> {
    store: &'a Store,
    watch: (i64, &'a Watch),
    subject: &'a str,
    window: Window,
    /// For the picture of a message: the strategy that told it. Then nothing counts that was seen later.
    strategy: Option<&'a str>,
}

impl Wanted<'_> {
    async fn chart(&self, reading: &Reading) -> Result<Option<Chart>, sqlx::Error> {
        let past = match reading {
            Reading::Candles { interval, .. } => self.bars(*interval).await?,
            Reading::Quote(_) | Reading::Value { .. } | Reading::Listing(_) => self.numbers().await?,
            Reading::Text { .. } => return Ok(None),
        };
        let Self { watch: (id, watch), subject, window, .. } = *self;
        let (title, unit) = match reading {
            Reading::Listing(listing) => (listing.name.clone(), listing.price_currency.clone()),
            Reading::Value { unit, .. } => (watch.source.describe(subject), Some(unit.clone())),
            _ => (watch.source.describe(subject), None),
        };
        let marks = self.store.alerts_of(id, subject, window.from, window.until, MOST_MARKS).await?;
        let mark = |(at, alert): (Timestamp, Alert)| Mark {
            at: past.place(at),
            title: alert.title,
            firing: alert.status == AlertStatus::Firing,
        };
        let marks = marks.into_iter().map(mark).collect();
        let until = past.place(window.until);
        let Past { seen, plots, line, without_indicators, .. } = past;
        // A day is called by its own date, wherever it is read.
        let zone = if seen.is_by_day() { TimeZone::UTC } else { watch.zone.clone() };
        Ok(Some(Chart {
            watch: watch.name.clone(),
            title,
            unit: unit.unwrap_or_default(),
            window: Window { until, ..window },
            seen,
            plots,
            marks,
            zone,
            line,
            trigger: None,
            without_indicators,
        }))
    }

    async fn bars(&self, interval: Interval) -> Result<Past, sqlx::Error> {
        let Self { store, watch: (id, watch), subject, window, strategy } = *self;
        // An indicator needs a run-up.
        let run_up = i64::try_from(watch.bars()).unwrap_or(i64::MAX);
        let before = store.nth_bar_before(id, subject, interval, window.from, run_up).await?;
        let from = before.unwrap_or(window.from);
        let as_seen = strategy.is_some();
        let candles =
            store.bars_drawn(id, subject, interval, (from, window.until), as_seen, MOST_ROWS).await?;
        if candles.len() == MOST_ROWS {
            return self.longer_bars(interval).await;
        }
        let plots = self.plots(Track::Candles { interval, candles: &candles });
        let candles: Vec<_> = candles.into_iter().filter(|bar| bar.open_time >= window.from).collect();
        Ok(Past {
            seen: Seen::Candles(interval, candles),
            plots,
            line: Line::Straight,
            dates: Vec::new(),
            without_indicators: false,
        })
    }

    /// Longer bars where there are more than anybody could tell apart. What a strategy computes from bars as long
    /// as it is told would be something else for these, so of it only the limits in prices are shown.
    async fn longer_bars(&self, interval: Interval) -> Result<Past, sqlx::Error> {
        let Self { store, watch: (id, _), subject, window, .. } = *self;
        let from = store.first_bar_since(id, subject, interval, window.from).await?.unwrap_or(window.from);
        let bars = window.until.duration_since(from).as_secs() / interval.seconds().max(1);
        let together = u32::try_from(bars / LONGER_BARS).unwrap_or(u32::MAX).saturating_add(1);
        let candles = store.bars_together(id, subject, interval, (from, window.until), together).await?;
        let length = interval.minutes().saturating_mul(together);
        let interval = Interval::from_minutes(length).unwrap_or(interval);
        let plots = self.plots(Track::Candles { interval, candles: &candles });
        let (plots, without_indicators) = only_limits(plots);
        Ok(Past {
            seen: Seen::Candles(interval, candles),
            plots,
            line: Line::Straight,
            dates: Vec::new(),
            without_indicators,
        })
    }

    async fn numbers(&self) -> Result<Past, sqlx::Error> {
        let Self { store, watch: (id, watch), subject, window, strategy } = *self;
        let lookbacks = watch.lookbacks.iter();
        let span = lookbacks.filter_map(|lookback| lookback.span.max(lookback.ago)).max().unwrap_or_default();
        let from = window.from.checked_sub(span).unwrap_or(Timestamp::MIN);
        let mut rows = store.observations_drawn(id, subject, (from, window.until), MOST_ROWS).await?;
        // A picture shows few; of it nothing is put together.
        let is_too_much = rows.len() == MOST_ROWS && strategy.is_none();
        if strategy.is_some() {
            rows.retain(|row| row.seen_at.is_none_or(|seen_at| seen_at <= window.until));
        }
        let is_listing = rows.iter().any(|row| row.availability.is_some());
        // A date of its own is older than the run that saw it first.
        let is_dated = !is_listing && rows.iter().any(|row| row.seen_at.is_some_and(|seen| seen > row.at));
        let line = if is_dated { Line::Straight } else { Line::Step };
        if is_too_much {
            rows = self.longer_stretches().await?;
        }
        let mut values: Vec<(Timestamp, f64)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(number) = row.number.filter(|number| number.is_finite()) else { continue };
            if is_dated || values.last().is_none_or(|(_, last)| *last != number) {
                values.push((row.at, number));
            }
        }
        let plots = self.plots(Track::Values(&values));
        let (plots, without_indicators) = if is_too_much { only_limits(plots) } else { (plots, false) };
        // What was so when the window began stands at its beginning, where it holds until the next.
        let seen = if is_listing {
            Seen::Offers(held(offers(&rows, window.until), window.from, |offer| &mut offer.0))
        } else if is_dated {
            Seen::Values(values.into_iter().filter(|(at, _)| *at >= window.from).collect())
        } else {
            Seen::Values(held(values, window.from, |value| &mut value.0))
        };
        let dates = rows.iter().filter(|_| is_dated).filter_map(|row| Some((row.seen_at?, row.at))).collect();
        Ok(Past { seen, plots, line, dates, without_indicators })
    }

    /// What was observed, put together where it is more than anybody could tell apart.
    async fn longer_stretches(&self) -> Result<Vec<DrawnRow>, sqlx::Error> {
        let Self { store, watch: (id, _), subject, window, .. } = *self;
        let first = store.first_observation_since(id, subject, window.from).await?.unwrap_or(window.from);
        let span = u64::try_from(window.until.duration_since(first).as_millis()).unwrap_or_default();
        // A power of two stays the same while time goes on, so that what is drawn does not change its shape.
        let length = (span / LONGER_BARS.unsigned_abs()).max(1).next_power_of_two();
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        store.observations_together(id, subject, (window.from, window.until), length).await
    }

    /// What the strategies add, cut to the window.
    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let (_, watch) = self.watch;
        let judges = watch.judges.iter().filter(|judge| self.strategy.is_none_or(|name| judge.name == name));
        let mut plots: Vec<Plot> = judges.flat_map(|judge| judge.strategy.plots(track)).collect();
        let is_in = |(at, number): &(Timestamp, f64)| *at >= self.window.from && number.is_finite();
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
}

/// Of what strategies add the limits over prices and values, and whether anything else is left out by that.
fn only_limits(plots: Vec<Plot>) -> (Vec<Plot>, bool) {
    let mut is_less = false;
    let mut kept = Vec::new();
    for mut plot in plots {
        is_less |= plot.place == Place::Panel || !plot.curves.is_empty() || !plot.hits.is_empty();
        plot.curves.clear();
        plot.hits.clear();
        if plot.place == Place::Over && !plot.limits.is_empty() {
            kept.push(plot);
        }
    }
    (kept, is_less)
}

/// A product from each moment on; from when it was no longer listed until it was again it is not there.
fn offers(rows: &[DrawnRow], until: Timestamp) -> Vec<(Timestamp, Option<f64>, Option<Availability>)> {
    let mut offers = Vec::with_capacity(rows.len());
    for (nth, row) in rows.iter().enumerate() {
        let number = row.number.filter(|number| number.is_finite());
        offers.push((row.at, number, Some(row.availability.unwrap_or(Availability::Unknown))));
        let next = rows.get(nth.saturating_add(1)).map_or(until, |next| next.at);
        if let Some(gone_at) = row.gone_at.filter(|gone_at| *gone_at <= next && *gone_at <= until) {
            offers.push((gone_at, None, None));
        }
    }
    offers
}

/// What lies in the window, with what was so at its beginning.
fn held<T>(mut points: Vec<T>, from: Timestamp, at: impl Fn(&mut T) -> &mut Timestamp) -> Vec<T> {
    let mut is_before = |point: &mut T| *at(point) < from;
    let before = points.iter_mut().map(&mut is_before).filter(|before| *before).count();
    let mut kept = points.split_off(before.saturating_sub(1));
    if let Some(first) = kept.first_mut().filter(|_| before > 0) {
        *at(first) = from;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_picture_says_what_is_so_at_a_beginning_and_at_an_end() {
        for (state, value, is_index, expected) in [
            ("in_stock", Some(499.99), false, "in stock: 499.99"),
            ("out_of_stock", None, false, "out of stock"),
            ("neutral", Some(41.26), true, "neutral: 41.3"),
        ] {
            assert_eq!(said(state, value, is_index), expected);
        }
    }
}
