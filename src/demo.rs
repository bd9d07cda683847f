//! An origin in the process that plays every source in its own format, for `stakeout demo` and for tests.
//!
//! What it shows is a pure function of the time since it started (`scene`), so nothing is kept and
//! nothing grows. Within ten seconds a share falls and rises again, a graphics card comes into stock and
//! is gone, gasoline gets cheaper and a coin is traded like mad; then the same goes on every forty seconds.
//!
//! Two liberties are taken. Half-hour bars cannot appear every second, so the whole series slides to the
//! left under bars that all lie in the past, which rewrites history. And gasoline weeks start in 2007 and
//! pass one every twenty seconds until they have caught up with the calendar.

use std::collections::HashMap;
use std::io;
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::model::Interval;

mod shop;

/// The origin. It serves until it is dropped.
pub struct Origin {
    url: Url,
    _until_dropped: DropGuard,
}

impl Origin {
    /// Starts it on a free port of 127.0.0.1. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, or no port to listen on.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let url = Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let stop = CancellationToken::new();
        let serving = axum::serve(listener, router(Instant::now()))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        runtime.spawn(async move {
            // Should it ever end by itself, the demo's watches say so.
            let _ = serving.await;
        });
        Ok(Self { url, _until_dropped: stop.drop_guard() })
    }

    /// Where it listens, such as `http://127.0.0.1:40123/`.
    #[must_use]
    pub fn url(&self) -> Url {
        self.url.clone()
    }
}

/// The configuration of the demo: a watch for each of the services that `origin` plays, every second.
#[must_use]
pub fn config(origin: &Url, data_dir: &FilePath) -> String {
    let data_dir = toml::Value::from(data_dir.to_string_lossy().as_ref());
    let origin = origin.as_str().trim_end_matches('/');
    format!(
        r#"[daemon]
data_dir = {data_dir}

[fetch]
allow_private_networks = true
per_host = {{ max_concurrent = 8, min_interval = "0s" }}

[source.yahoo]
base_url = "{origin}"
[source.finnhub]
base_url = "{origin}/api/v1"
token = "demo"
[source.kraken]
base_url = "{origin}"
[source.ny_gas]
base_url = "{origin}"

[notify.console]
kind = "console"

[watch.tech-rsi]
source = {{ kind = "yahoo", symbols = ["AAPL", "MSFT"], interval = "30m" }}
every = "1s"
strategy = [{{ kind = "rsi", period = 14, buy_below = 20, sell_above = 80 }}]

[watch.gtx3070]
source = {{ kind = "newegg", url = "{origin}/p/pl?d=rtx+3070" }}
every = "1s"
strategy = [{{ kind = "restock" }}]

[watch.ny-gas]
source = {{ kind = "ny_gas", region = "new_york_state" }}
every = "1s"
strategy = [{{ kind = "price_drop", baseline = "previous" }}]
stale_after = "never"                      # its weeks lie years back

[watch.quotes]
source = {{ kind = "finnhub", symbols = ["AMZN", "NVDA", "TSLA"] }}
every = "1s"
strategy = [{{ kind = "percent_change", by = 10, window = "5s" }}]

[watch.crypto]
source = {{ kind = "kraken", symbols = "*" }}
every = "1s"
strategy = [{{ kind = "spike", times = 3, window = "1h", field = "volume" }}]
"#
    )
}

/// What the world looks like at one moment of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scene {
    /// The bar of the price path at the right edge of every chart.
    bar: i64,
    /// How many gasoline weeks have been published since the start.
    weeks: i64,
    /// Whether everybody trades Dogecoin.
    rush: bool,
    /// Whole seconds since the start, and within the round of forty.
    second: u64,
    second_of_round: u64,
}

/// One round of the demo; everything but the gasoline weeks then comes again.
const ROUND_MILLIS: u64 = 40_000;
const BARS_PER_ROUND: i64 = 160;
const MILLIS_PER_BAR: u64 = ROUND_MILLIS / 160;

fn scene(elapsed: Duration) -> Scene {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let of_round = millis % ROUND_MILLIS;
    Scene {
        bar: i64::try_from(millis / MILLIS_PER_BAR).unwrap_or(i64::MAX),
        // The first at four seconds, then one every twenty.
        weeks: i64::try_from(millis.saturating_add(16_000) / 20_000).unwrap_or(i64::MAX),
        rush: (7_000..10_000).contains(&of_round),
        second: millis / 1_000,
        second_of_round: of_round / 1_000,
    }
}

/// How much the price moves in one bar of a round, as a logarithm: a steep fall, a steep rise, and a slow
/// zigzag back to where the round began, so that rounds join without a jump.
fn step(bar_of_round: i64) -> f64 {
    const FALL: f64 = -0.014;
    const RISE: f64 = 0.015;
    const BACK: f64 = -(11.0 * FALL + 22.0 * RISE) / 125.0;
    match bar_of_round {
        3..14 => FALL,
        14..16 => 0.0,
        16..38 => RISE,
        zigzag if zigzag % 4 < 2 => BACK + 0.006,
        _ => BACK - 0.006,
    }
}

/// A share that is played: symbol, name, price at the start of a round, and how many bars it lags AAPL.
struct Share(&'static str, &'static str, f64, i64);

const SHARES: [Share; 5] = [
    Share("AAPL", "Apple Inc.", 228.0, 0),
    Share("MSFT", "Microsoft Corporation", 421.0, 80),
    Share("AMZN", "Amazon.com, Inc.", 197.0, 40),
    Share("NVDA", "NVIDIA Corporation", 141.0, 120),
    Share("TSLA", "Tesla, Inc.", 338.0, 100),
];

impl Share {
    fn named(symbol: &str) -> Option<&'static Self> {
        SHARES.iter().find(|share| share.0 == symbol)
    }

    /// The closes of `count` bars up to `last`, oldest first, after one more that opens the first of them.
    fn closes(&self, last: i64, count: i64) -> Vec<f64> {
        let of_round = |bar: i64| (bar - self.3).rem_euclid(BARS_PER_ROUND);
        let first = last - count;
        let mut height: f64 = (0..of_round(first)).map(step).sum();
        (first..=last)
            .map(|bar| {
                if of_round(bar) == 0 {
                    height = 0.0;
                }
                let close = self.2 * height.exp();
                height += step(of_round(bar));
                // The service computes in single precision: 227.97999572753906.
                let single = close as f32;
                f64::from(single)
            })
            .collect()
    }
}

type Asked = Query<HashMap<String, String>>;
type Started = State<Instant>;

fn router(started: Instant) -> Router {
    Router::new()
        .route("/v8/finance/chart/{symbol}", get(yahoo_chart))
        .route("/api/v1/quote", get(finnhub_quote))
        .route("/quote", get(finnhub_quote))
        .route("/0/public/Ticker", get(kraken_ticker))
        .route("/p/pl", get(newegg_listing))
        .route("/{name}/p/{item}", get(newegg_product))
        .route("/resource/nqur-w4p7.json", get(gasoline_weeks))
        .route("/page", get(page))
        .with_state(started)
}

async fn yahoo_chart(Path(symbol): Path<String>, Query(asked): Asked, State(started): Started) -> Response {
    let answer = chart(&symbol, &asked, scene(started.elapsed()), Timestamp::now());
    answer.map_or_else(
        |(status, code, description)| {
            let error = json!({"code": code, "description": description});
            (status, Json(json!({"chart": {"result": null, "error": error}}))).into_response()
        },
        |result| Json(json!({"chart": {"result": [result], "error": null}})).into_response(),
    )
}

type ChartError = (StatusCode, &'static str, &'static str);

fn chart(
    symbol: &str,
    asked: &HashMap<String, String>,
    scene: Scene,
    now: Timestamp,
) -> Result<Value, ChartError> {
    let share = Share::named(symbol).ok_or((
        StatusCode::NOT_FOUND,
        "Not Found",
        "No data found, symbol may be delisted",
    ))?;
    let text = |name: &str| asked.get(name).map(String::as_str);
    let interval: Interval = text("interval").unwrap_or("1d").parse().map_err(|_| {
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Unprocessable Entity",
            "Invalid input - interval is not supported",
        )
    })?;
    let range = text("range").unwrap_or("1d");
    let length = interval.seconds();
    // Every bar is closed: the last one ends at the latest full interval.
    let end = interval.floor(now).as_second();
    let asked_for = text("period1").and_then(|start| start.parse::<i64>().ok());
    let count = match (asked_for, range) {
        (Some(start), _) => end.saturating_sub(start) / length,
        // As many half-hour bars as there are in so many sessions of six and a half hours.
        (None, "1d") => 13,
        (None, "5d") => 65,
        (None, "1mo") => 273,
        (None, _) => 819,
    }
    .clamp(1, 2_000);

    let path = share.closes(scene.bar, count);
    let closes = path.get(1..).unwrap_or_default();
    let bars = || path.iter().zip(closes);
    let start = end - count * length;
    let last = closes.last().copied().unwrap_or_default();
    let today = end.div_euclid(86_400) * 86_400;
    let period = |from: i64, to: i64| {
        let (start, end) = (today + from * 1_800, today + to * 1_800);
        json!({"timezone": "EST", "start": start, "end": end, "gmtoffset": -18_000})
    };
    Ok(json!({
        "meta": {
            "currency": "USD", "symbol": share.0, "exchangeName": "NMS", "fullExchangeName": "NasdaqGS",
            "instrumentType": "EQUITY", "firstTradeDate": 345_479_400, "regularMarketTime": end,
            "hasPrePostMarketData": true, "gmtoffset": -18_000, "timezone": "EST",
            "exchangeTimezoneName": "America/New_York", "regularMarketPrice": last,
            "longName": share.1, "chartPreviousClose": path.first(), "previousClose": path.first(),
            "scale": 3, "priceHint": 2,
            "currentTradingPeriod": {"pre": period(18, 29), "regular": period(29, 42), "post": period(42, 50)},
            "dataGranularity": interval.to_string(), "range": range,
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        },
        "timestamp": (0..count).map(|bar| start + bar * length).collect::<Vec<_>>(),
        "indicators": {"quote": [{
            "open": bars().map(|(open, _)| *open).collect::<Vec<_>>(),
            "high": bars().map(|(open, close)| open.max(*close) * 1.001).collect::<Vec<_>>(),
            "low": bars().map(|(open, close)| open.min(*close) * 0.999).collect::<Vec<_>>(),
            "close": closes,
            "volume": (1..=count).map(|bar| 900_000 + (scene.bar - count + bar) * 7_919 % 400_000).collect::<Vec<_>>(),
        }]},
    }))
}

async fn finnhub_quote(Query(asked): Asked, State(started): Started) -> Json<Value> {
    let symbol = asked.get("symbol").map_or("", String::as_str);
    Json(quote(symbol, scene(started.elapsed()), Timestamp::now()))
}

fn quote(symbol: &str, scene: Scene, now: Timestamp) -> Value {
    let Some(share) = Share::named(symbol) else {
        return json!({"c": 0, "d": null, "dp": null, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0});
    };
    let session = share.closes(scene.bar, 13);
    let cents = |price: f64| (price * 100.0).round() / 100.0;
    let previous = cents(session.first().copied().unwrap_or_default());
    let current = cents(session.last().copied().unwrap_or_default());
    let high = session.iter().copied().fold(f64::MIN, f64::max);
    let low = session.iter().copied().fold(f64::MAX, f64::min);
    json!({
        "c": current, "d": cents(current - previous), "dp": cents((current / previous - 1.0) * 100.0),
        "h": cents(high), "l": cents(low), "o": previous, "pc": previous, "t": now.as_second(),
    })
}

/// A market: the name in the answer, another name it may be asked by, price, and coins traded in a day.
struct Market(&'static str, &'static str, f64, f64);

const MARKETS: [Market; 8] = [
    Market("XXBTZUSD", "XBTUSD", 77_726.1, 2_388.567),
    Market("XETHZUSD", "ETHUSD", 2_913.4, 31_874.2),
    Market("XDGUSD", "XDGUSD", 0.141_27, 48_120_553.0),
    Market("SOLUSD", "SOLUSD", 138.52, 402_118.7),
    Market("XXRPZUSD", "XRPUSD", 2.0441, 22_845_901.0),
    Market("ADAUSD", "ADAUSD", 0.412_66, 18_310_227.0),
    Market("XLTCZUSD", "LTCUSD", 84.37, 51_402.9),
    Market("DOTUSD", "DOTUSD", 2.3315, 1_204_338.0),
];

async fn kraken_ticker(Query(asked): Asked, State(started): Started) -> Json<Value> {
    Json(ticker(asked.get("pair").map(String::as_str), scene(started.elapsed())))
}

fn ticker(pairs: Option<&str>, scene: Scene) -> Value {
    let markets: Option<Vec<&Market>> = match pairs {
        None => Some(MARKETS.iter().collect()),
        Some(pairs) => pairs
            .split(',')
            .map(|pair| MARKETS.iter().find(|market| market.0 == pair || market.1 == pair))
            .collect(),
    };
    let Some(markets) = markets else {
        return json!({"error": ["EQuery:Unknown asset pair"]});
    };
    let row = |market: &Market| {
        // A slow wave, each market at its own place on it.
        let wave = (scene.second as f64 * 0.31 + market.3).sin();
        let rush = if scene.rush && market.0 == "XDGUSD" { 20.0 } else { 1.0 };
        let price = |share: f64| format!("{:.5}", market.2 * share * (1.0 + 0.004 * wave));
        let volume = |share: f64| format!("{:.8}", market.3 * share * rush * (1.0 + 0.01 * wave));
        json!({
            "a": [price(1.0001), "1", "1.000"], "b": [price(0.9999), "5", "5.000"],
            "c": [price(1.0), "0.00001393"], "v": [volume(0.26), volume(1.0)],
            "p": [price(0.997), price(0.993)], "t": [22_946, 103_648],
            "l": [price(0.99), price(0.981)], "h": [price(1.008), price(1.008)], "o": price(0.995),
        })
    };
    let result: Map<String, Value> =
        markets.into_iter().map(|market| (market.0.to_owned(), row(market))).collect();
    json!({"error": [], "result": result})
}

async fn newegg_listing(State(started): Started) -> Html<String> {
    Html(shop::listing(scene(started.elapsed()).second_of_round))
}

async fn newegg_product(
    Path((_, number)): Path<(String, String)>,
    State(started): Started,
) -> Result<Html<String>, StatusCode> {
    shop::product(&number, scene(started.elapsed()).second_of_round).map(Html).ok_or(StatusCode::NOT_FOUND)
}

/// The regions beside the state, in the service's order, and by how many cents a gallon they differ.
const REGIONS: [(&str, i64); 16] = [
    ("albany", -2),
    ("batavia", 1),
    ("binghamton", -4),
    ("buffalo", 2),
    ("dutchess", 5),
    ("elmira", -3),
    ("glens_falls", 0),
    ("ithaca", 3),
    ("kingston", 2),
    ("nassau", -1),
    ("new_york_city", 9),
    ("rochester", 1),
    ("syracuse", -5),
    ("utica", 4),
    ("watertown", 6),
    ("white_plains", 12),
];

const FIRST_WEEK: Date = date(2007, 10, 29);
const WEEKS_AT_START: i64 = 60;

async fn gasoline_weeks(Query(asked): Asked, State(started): Started) -> Json<Value> {
    Json(gasoline(&asked, scene(started.elapsed()).weeks, Timestamp::now()))
}

fn gasoline(asked: &HashMap<String, String>, passed: i64, now: Timestamp) -> Value {
    let number = |name: &str| asked.get(name).and_then(|text| text.parse::<usize>().ok());
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let until_today = i64::from((today - FIRST_WEEK).get_days()) / 7 + 1;
    let count = WEEKS_AT_START.saturating_add(passed).min(until_today);
    let newest_first = asked.get("$order").is_some_and(|order| order.to_lowercase().contains("desc"));
    let rows = (0..count)
        .map(|n| if newest_first { count - 1 - n } else { n })
        .skip(number("$offset").unwrap_or(0))
        .take(number("$limit").unwrap_or(1_000))
        .filter_map(gasoline_week)
        .collect();
    Value::Array(rows)
}

/// Falls one week and rises the next, along a wave of years; `None` past the end of the calendar.
fn gasoline_week(week: i64) -> Option<Value> {
    let monday = FIRST_WEEK.checked_add(week.weeks()).ok()?;
    let slow = 2 * ((week + 70) % 140 - 70).abs();
    let cents = 270 + slow + if week % 2 == 0 { -4 } else { 4 };
    let price = |cents: i64| Value::from(format!("{}.{:02}", cents / 100, cents % 100));
    let mut row = Map::new();
    row.insert("date".into(), format!("{monday}T00:00:00.000").into());
    row.insert("new_york_state_average_gal".into(), price(cents));
    for (region, more) in REGIONS {
        row.insert(format!("{region}_average_gal"), price(cents + more));
    }
    Some(Value::Object(row))
}

async fn page(State(started): Started) -> Html<String> {
    let notice = scene(started.elapsed()).second / 13;
    Html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Town hall</title></head>\n\
         <body><main><h1>Town hall</h1>\n<div id=\"content\"><p>Notice {notice}: the counter opens at \
         {}:00.</p></div></main></body></html>\n",
        8 + notice % 4
    ))
}

#[cfg(test)]
mod tests;
