//! The past of one subject, drawn: for the page of its watch, and by itself as SVG, PNG and numbers.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::super::Shared;
use super::Trouble;
use crate::chart::{self, Chart, Look, Theme, Window};
use crate::watchlist::Watch;

/// The drawing of a page before its script has measured the room: fits a phone when scaled, and a screen.
const WIDTH: u32 = 960;

/// See [`WIDTH`].
const HEIGHT: u32 = 420;

/// How far back a chart looks, by the word in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Day,
    Week,
    Month,
    Quarter,
    Year,
    All,
}

impl Range {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Day, "1d", "1 day"),
        (Self::Week, "1w", "1 week"),
        (Self::Month, "1m", "1 month"),
        (Self::Quarter, "3m", "3 months"),
        (Self::Year, "1y", "1 year"),
        (Self::All, "all", "All"),
    ];

    /// The range of a word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name, _)| *name == word).map(|(range, _, _)| range)
    }

    const fn days(self) -> Option<u64> {
        match self {
            Self::Day => Some(1),
            Self::Week => Some(7),
            Self::Month => Some(30),
            Self::Quarter => Some(91),
            Self::Year => Some(365),
            Self::All => None,
        }
    }

    fn window(self, now: Timestamp) -> Window {
        let back = self.days().map(|days| Duration::from_secs(days.saturating_mul(86_400)));
        let from = back.map_or(Timestamp::UNIX_EPOCH, |back| now.checked_sub(back).unwrap_or(now));
        Window { from, until: now }
    }
}

/// What is asked of a drawing. All of it are texts, so that a mistake can be told in a sentence.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Asked {
    subject: Option<String>,
    range: Option<String>,
    from: Option<String>,
    until: Option<String>,
    width: Option<String>,
    height: Option<String>,
    theme: Option<String>,
}

impl Asked {
    fn window(&self, now: Timestamp) -> Result<Window, String> {
        let moment = |key: &str, text: &Option<String>| match text.as_deref() {
            None => Ok(None),
            Some(text) => text
                .parse::<Timestamp>()
                .map(Some)
                .map_err(|_| format!("`{key}` is no moment; write it like 2026-11-20T14:00:00Z")),
        };
        let range = match self.range.as_deref() {
            None if self.from.is_some() => Range::All,
            None => Range::Month,
            Some(word) => Range::of(word)
                .ok_or_else(|| "`range` must be one of 1d, 1w, 1m, 3m, 1y and all".to_owned())?,
        };
        let until = moment("until", &self.until)?.unwrap_or(now);
        let from = moment("from", &self.from)?.unwrap_or_else(|| range.window(until).from);
        if from >= until {
            return Err("`from` must be before `until`".into());
        }
        Ok(Window { from, until })
    }

    fn look(&self) -> Result<Look, String> {
        let side = |key: &str, text: &Option<String>, (least, most), usual| match text.as_deref() {
            None => Ok(usual),
            Some(text) => text
                .parse::<u32>()
                .ok()
                .filter(|side| (least..=most).contains(side))
                .ok_or_else(|| format!("`{key}` must be a number of pixels from {least} to {most}")),
        };
        let theme = match self.theme.as_deref() {
            None | Some("page") => Theme::Page,
            Some("dark") => Theme::Dark,
            Some("light") => Theme::Light,
            Some(_) => return Err("`theme` must be one of page, dark and light".into()),
        };
        let width = side("width", &self.width, (280, 2_000), 800)?;
        let height = side("height", &self.height, (120, 1_500), 450)?;
        Ok(Look { width, height, theme })
    }
}

/// What is answered: the drawing with how it is drawn, or why not.
async fn drawn(shared: &Shared, name: &str, asked: &Asked) -> Result<(Chart, Look), Response> {
    let wrong = |sentence: String| (StatusCode::BAD_REQUEST, sentence + "\n").into_response();
    let look = asked.look().map_err(wrong)?;
    let window = asked.window(Timestamp::now()).map_err(wrong)?;
    let gone = |sentence: &str| (StatusCode::NOT_FOUND, format!("{sentence}\n")).into_response();
    let roster = shared.roster();
    let Some((id, watch)) = roster.watches.get(name) else { return Err(gone("There is no such watch.")) };
    let trouble = |error: sqlx::Error| Trouble::from(error).into_response();
    let subject = match &asked.subject {
        Some(subject) => subject.clone(),
        None => {
            let subjects = shared.store.subjects_by_name(*id, 1).await.map_err(trouble)?;
            subjects.into_iter().next().unwrap_or_default()
        }
    };
    let chart = chart::gather(&shared.store, (*id, watch), &subject, window).await.map_err(trouble)?;
    chart.map(|chart| (chart, look)).ok_or_else(|| gone("There is nothing to draw."))
}

/// The answer with a tag by which a browser asks whether it is still the same.
fn tagged(headers: &HeaderMap, kind: &'static str, body: Vec<u8>) -> Response {
    let tag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(&body));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let same =
        known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if same {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// `/watches/{name}/chart.svg`
pub(super) async fn svg(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    match drawn(&shared, &name, &asked).await {
        Ok((chart, look)) => tagged(&headers, "image/svg+xml", chart.svg(look).into_bytes()),
        Err(refused) => refused,
    }
}

/// `/watches/{name}/chart.json`: the numbers of the drawing of this size, with their places.
pub(super) async fn json(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    match drawn(&shared, &name, &asked).await {
        Ok((chart, look)) => match serde_json::to_vec(&chart.points(look)) {
            Ok(points) => tagged(&headers, "application/json", points),
            Err(error) => Trouble::from(error).into_response(),
        },
        Err(refused) => refused,
    }
}

/// `/watches/{name}/chart.png`
pub(super) async fn png(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let (chart, look) = match drawn(&shared, &name, &asked).await {
        Ok(drawn) => drawn,
        Err(refused) => return refused,
    };
    // Pixels are computed away from the threads that answer others.
    match tokio::task::spawn_blocking(move || chart.png(look)).await {
        Ok(Ok(png)) => tagged(&headers, "image/png", png),
        Ok(Err(sentence)) => Trouble::from(anyhow::anyhow!(sentence)).into_response(),
        Err(error) => Trouble::from(error).into_response(),
    }
}

/// The chart of one subject on the page of its watch, with links to other ranges; `None` where there is nothing
/// to draw: a text, or nothing seen at all.
pub(super) async fn figure(
    shared: &Shared,
    (id, watch): (i64, &Watch),
    subject: &str,
    range: Option<Range>,
) -> Result<Option<Markup>, Trouble> {
    let now = Timestamp::now();
    let mut chosen = range.unwrap_or(Range::Month);
    if range.is_none() {
        // Where nobody asks for a range, the longest up to a month that shows each bar and its indicators.
        for shorter in [Range::Month, Range::Week, Range::Day] {
            chosen = shorter;
            if chart::shows_indicators(&shared.store, (id, watch), subject, shorter.window(now)).await? {
                break;
            }
        }
    }
    let mut chart = chart::gather(&shared.store, (id, watch), subject, chosen.window(now)).await?;
    if chosen != Range::All && chart.as_ref().is_some_and(|chart| chart.seen.is_empty()) {
        // What was seen long ago is better than an empty chart.
        chosen = Range::All;
        chart = chart::gather(&shared.store, (id, watch), subject, chosen.window(now)).await?;
    }
    let range = chosen;
    let Some(chart) = chart.filter(|chart| !chart.seen.is_empty()) else { return Ok(None) };
    let svg = chart.svg(Look { width: WIDTH, height: HEIGHT, theme: Theme::Page });
    let query = |pairs: &[(&str, &str)]| {
        Serializer::new(String::new()).append_pair("subject", subject).extend_pairs(pairs).finish()
    };
    let mut address = url::Url::parse("http://stakeout.invalid/watches/").map_err(anyhow::Error::from)?;
    if let Ok(mut path) = address.path_segments_mut() {
        path.pop_if_empty().push(&watch.name);
    }
    let page = address.path();
    let word = Range::ALL.iter().find(|(one, _, _)| *one == range).map_or("1m", |(_, word, _)| word);
    let numbers = match chart.seen {
        chart::Seen::Candles(..) => "candles",
        chart::Seen::Values(_) | chart::Seen::Offers(_) => "observations",
    };
    let history = format!("/api/v1{page}/{numbers}?{}", query(&[]));
    Ok(Some(html! {
        figure.chart id="chart" data-chart=(format!("{page}/chart.json?{}", query(&[])))
            data-range=(word) data-watch=(watch.name) {
            nav.chart-ranges aria-label="How far back the chart looks" {
                @for (one, word, name) in Range::ALL {
                    a href=(format!("{page}?{}#chart", query(&[("range", word)])))
                        data-range=(word) aria-current=[(one == range).then_some("true")] { (name) }
                }
            }
            div.chart-drawing tabindex="0" role="group" aria-label=(format!("Chart of {}", chart.title)) {
                (PreEscaped(svg))
            }
            // For who has the script, which shows them.
            div.chart-tools hidden {
                button.quiet type="button" data-chart-do="in" aria-label="Zoom in" { "+" }
                button.quiet type="button" data-chart-do="out" aria-label="Zoom out" { "−" }
                button.quiet type="button" data-chart-do="whole" aria-label="Show the whole range" { "Whole" }
                span.muted { "Keys: ← → read, Shift with them moves, + and − zoom, 0 shows the whole." }
                span.chart-resting role="status" {}
            }
            p.chart-readout aria-live="polite" {}
            figcaption {
                (chart.in_words()) " "
                a href=(format!("{history}&format=csv")) { "The numbers as CSV" }
                ", " a href=(history) { "as JSON" }
                ", " a href=(format!("{page}/chart.png?{}&theme=light", query(&[("range", word)]))) { "as a picture" } "."
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value: serde_json::Map<String, serde_json::Value> =
            pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        serde_json::from_value(value.into()).unwrap()
    }

    #[test]
    fn a_stretch_is_a_word_or_two_moments() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (query, from, until) in [
            ("", "2026-10-21T12:00:00Z", "2026-11-20T12:00:00Z"),
            ("range=1d", "2026-11-19T12:00:00Z", "2026-11-20T12:00:00Z"),
            ("range=all", "1970-01-01T00:00:00Z", "2026-11-20T12:00:00Z"),
            ("from=2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-20T12:00:00Z"),
            (
                "from=2026-11-01T00:00:00%2B01:00&until=2026-11-02T00:00:00Z",
                "2026-10-31T23:00:00Z",
                "2026-11-02T00:00:00Z",
            ),
            ("range=1w&until=2026-11-10T00:00:00Z", "2026-11-03T00:00:00Z", "2026-11-10T00:00:00Z"),
        ] {
            let window = asked(query).window(now).unwrap();
            assert_eq!(
                (window.from.to_string(), window.until.to_string()),
                (from.into(), until.into()),
                "{query}"
            );
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_a_sentence() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (query, why) in [
            ("range=2d", "`range` must be one of"),
            ("from=yesterday", "`from` is no moment"),
            ("from=2026-11-21T00:00:00Z", "`from` must be before `until`"),
        ] {
            assert!(asked(query).window(now).unwrap_err().starts_with(why), "{query}");
        }
        for (query, why) in [
            ("width=279", "`width` must be a number of pixels from 280 to 2000"),
            ("width=2001", "`width` must be"),
            ("width=-1", "`width` must be"),
            ("height=1e9", "`height` must be"),
            ("theme=red", "`theme` must be one of"),
        ] {
            assert!(asked(query).look().unwrap_err().starts_with(why), "{query}");
        }
    }
}
