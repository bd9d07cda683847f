//! Prices and candles from Binance.
//! <https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints>

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::address::{escaped, join};
use super::bars;
use super::moment;
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind};
use crate::plugin::{Backfill, FetchError, Needs, Plugin, Seen, Source, Span};

/// A free and public interface that wants no key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Binance {
    /// One market or a list of them, as Binance writes them: `BTCUSDT`.
    symbols: Names,
    /// The length of the bars, `1m` to `1w`, as far as Binance has them; without it the last price is read, and the usual strategy is `spike`.
    #[serde(default, deserialize_with = "interval")]
    interval: Option<Interval>,
    /// Where Binance answers; another address is for a stand-in or a mirror.
    #[serde(default = "base_url")]
    base_url: Url,
}

const INTERVALS: &[u32] = &[1, 3, 5, 15, 30, 60, 120, 240, 360, 480, 720, 1_440, 4_320, 10_080];

/// The most bars that one answer holds.
const MOST_BARS: u32 = 1_000;

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    bars::interval(deserializer, "Binance", INTERVALS).map(Some)
}
fn base_url() -> Url {
    Url::parse("https://api.binance.com/api/v3").expect("the address is written well")
}

impl Plugin for Binance {
    const KIND: &'static str = "binance";
    const ABOUT: &'static str = "prices of coins on Binance, or candles with `interval`";
    const EXAMPLE: &'static str = "symbols = [\"BTCUSDT\", \"ETHBTC\"]\ninterval = \"1h\"";
}

impl Source for Binance {
    fn yields(&self) -> ReadingKind {
        if self.interval.is_some() { ReadingKind::Candles } else { ReadingKind::Quote }
    }

    fn requests(&self, needs: &Needs) -> Vec<Request> {
        // One more than needed: the last is still open.
        let limit = needs.bars.saturating_add(1).min(MOST_BARS as usize).to_string();
        let request = |symbol| {
            let url = match self.interval {
                Some(interval) => {
                    let interval = interval.to_string();
                    let query = [("symbol", symbol), ("interval", &*interval), ("limit", &*limit)];
                    join(&self.base_url, &["klines"], &query)
                }
                None => join(&self.base_url, &["ticker", "24hr"], &[("symbol", symbol)]),
            };
            Request::get(url).about(symbol)
        };
        self.symbols.iter().map(request).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let symbol = &*request.subject;
        if let Ok(refusal) = reply.json::<Refusal>() {
            return Err(refusal.about(symbol, reply.status, needs.now));
        }
        if reply.status == 451 {
            return Err(restricted(symbol));
        }
        reply.ok().map_err(about(symbol))?;
        let url = Some(format!("https://www.binance.com/en/trade/{}", escaped(symbol)));
        let backfilled = request.url.path().ends_with("/klines").then(bars::minute);
        if let Some(interval) = self.interval.or(backfilled) {
            let rows: Vec<Vec<Number>> = reply.json().map_err(about(symbol))?;
            let candles = rows.iter().filter_map(|row| candle(row)).collect();
            let candles = bars::closed(candles, interval, needs.now);
            return Ok(bars::seen(symbol, url, interval, candles, needs.now));
        }
        let ticker: Ticker = reply.json().map_err(about(symbol))?;
        let price = ticker
            .last_price
            .0
            .ok_or_else(|| FetchError::failed(format!("`{symbol}`: the answer holds no price")))?;
        Ok(Seen::some(vec![Observation {
            subject: symbol.to_owned(),
            observed_at: needs.now,
            url,
            reading: Reading::Quote(Quote {
                price,
                bid: ticker.bid_price.0,
                ask: ticker.ask_price.0,
                volume: ticker.volume.0,
                quoted_at: ticker.close_time.0.and_then(|ms| moment::seconds(ms / 1_000.0)),
            }),
            evidence: Vec::new(),
        }]))
    }

    fn backfill(&self, gap: &Span) -> Option<Backfill> {
        let interval = self.interval.unwrap_or_else(bars::minute);
        let (length, most) = (interval.to_string(), MOST_BARS.to_string());
        let request = |symbol, from: i64, until: i64| {
            // Milliseconds, both of them counting.
            let start = from.saturating_mul(1_000).to_string();
            let end = until.saturating_mul(1_000).saturating_sub(1).to_string();
            let query = [
                ("symbol", symbol),
                ("interval", &*length),
                ("limit", &*most),
                ("startTime", &*start),
                ("endTime", &*end),
            ];
            Request::get(join(&self.base_url, &["klines"], &query)).about(symbol)
        };
        let pages = bars::pages(gap, interval, MOST_BARS);
        let of = |symbol| pages.iter().map(move |(from, until)| request(symbol, *from, *until));
        Some(Backfill { interval, requests: self.symbols.iter().flat_map(of).collect() })
    }

    fn hours(&self) -> Option<&'static str> {
        Some("crypto")
    }

    fn usual_strategies(&self) -> &'static str {
        if self.interval.is_some() {
            "[{ kind = \"rsi\", period = 14, buy_below = 20, sell_above = 80 }]"
        } else {
            "[{ kind = \"spike\", times = 3, window = \"1h\" }]"
        }
    }
}

/// Opening time in milliseconds, open, high, low, close, volume, and six more.
fn candle(row: &[Number]) -> Option<Candle> {
    match *row {
        [opened, open, high, low, close, volume, ..] => {
            bars::candle(Number(opened.0.map(|ms| ms / 1_000.0)), [open, high, low, close], volume)
        }
        _ => None,
    }
}

fn restricted(symbol: &str) -> FetchError {
    FetchError::failed(format!(
        "`{symbol}`: Binance does not serve the country this runs in; \
         `base_url = \"https://data-api.binance.vision/api/v3\"` may"
    ))
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    msg: String,
}

impl Refusal {
    fn about(&self, symbol: &str, status: u16, now: Timestamp) -> FetchError {
        let said = excerpt(&self.msg);
        match (self.code, status) {
            (_, 451) => restricted(symbol),
            (-1003, _) => {
                let why = format!("Binance: {said}");
                FetchError::Blocked { why, retry_after: self.banned_for(now) }
            }
            (-1121, _) => FetchError::failed(format!("unknown symbol `{symbol}`: {said}")),
            (code, _) => FetchError::failed(format!("`{symbol}`: {said} (code {code})")),
        }
    }

    /// How long a ban lasts: `IP banned until 1620286253180`, in milliseconds of the epoch.
    fn banned_for(&self, now: Timestamp) -> Option<Duration> {
        let (_, rest) = self.msg.split_once("until ")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let until = Timestamp::from_millisecond(digits.parse().ok()?).ok()?;
        Duration::try_from(until.duration_since(now)).ok()
    }
}

/// Of the last 24 hours; `/ticker/price` has only the price, under a shorter name.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ticker {
    #[serde(alias = "price")]
    last_price: Number,
    bid_price: Number,
    ask_price: Number,
    volume: Number,
    close_time: Number,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, backfilled, fixture, plugin, read, read_backfilled};

    const NOW: &str = "2021-05-06T07:00:00Z";

    fn binance(keys: &str) -> Binance {
        plugin(&format!("symbols = ['BTCUSDT']\n{keys}"))
    }

    #[test]
    fn as_many_bars_are_asked_for_as_are_needed() {
        let url = |keys: &str, bars| binance(keys).requests(&Needs { now: at(NOW), bars })[0].url.to_string();
        let api = "https://api.binance.com/api/v3";
        assert_eq!(url("", 0), format!("{api}/ticker/24hr?symbol=BTCUSDT"));
        assert_eq!(
            url("interval = '60m'", 140),
            format!("{api}/klines?symbol=BTCUSDT&interval=1h&limit=141")
        );
        assert_eq!(
            url("interval = '1w'\nbase_url = 'https://data-api.binance.vision/api/v3'", usize::MAX),
            "https://data-api.binance.vision/api/v3/klines?symbol=BTCUSDT&interval=1w&limit=1000"
        );
        assert!(toml::from_str::<Binance>("symbols = ['A']\ninterval = '2m'").is_err());
    }

    #[test]
    fn a_gap_is_filled_page_by_page_also_between_quotes() {
        let asked = |keys: &str| backfilled(&binance(keys), "2026-11-20T10:07:30Z", "2026-11-21T10:00:00Z");
        let ms = |time: &str| at(time).as_millisecond();
        let (first, last) = (ms("2026-11-20T10:07:00Z"), ms("2026-11-21T10:01:00Z") - 1);
        let page = |from, to| {
            format!("/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000&startTime={from}&endTime={to}")
        };
        let second = first + 60_000_000;
        assert_eq!(asked(""), [page(first, second - 1), page(second, last)]);
        assert_eq!(asked("interval = '1h'").len(), 1);
        let row = format!("[[{first},\"1\",\"3\",\"1\",\"2\",\"9\"]]");
        let seen = read_backfilled(&binance(""), 200, row, "2026-11-21T10:00:00Z").expect("bars");
        let bars = crate::plugin::candles(&seen.observations[0]).expect("bars");
        assert_eq!((bars[0].open_time, bars[0].close), (at("2026-11-20T10:07:00Z"), 2.0));
    }

    #[test]
    fn captured_candles_are_read() {
        for (file, interval, now, bars, first, last) in [
            (
                "klines_BTCUSDT_5m_24",
                "5m",
                "2020-04-15T23:47:00Z",
                23,
                ("2020-04-15T21:50:00Z", 6_727.14),
                ("2020-04-15T23:40:00Z", 6_625.56),
            ),
            (
                "klines_BTCUSDT_5m_24",
                "5m",
                "2020-04-15T23:50:00Z",
                24,
                ("2020-04-15T21:50:00Z", 6_727.14),
                ("2020-04-15T23:45:00Z", 6_625.84),
            ),
            (
                "klines_BTCUSDT_1d_2020-09",
                "1d",
                "2021-02-16T00:00:01Z",
                168,
                ("2020-09-01T00:00:00Z", 11_921.97),
                ("2021-02-15T00:00:00Z", 47_911.1),
            ),
            (
                "klines_ETHBTC_1d_2023-01",
                "1d",
                "2023-01-07T00:00:01Z",
                6,
                ("2023-01-01T00:00:00Z", 0.072_238),
                ("2023-01-06T00:00:00Z", 0.074_875),
            ),
        ] {
            let Some(body) = fixture(&format!("binance/{file}.json")) else { return };
            let source = binance(&format!("interval = '{interval}'"));
            let seen = read(&source, 200, body, now).expect(file).observations;
            let candles = crate::plugin::candles(&seen[0]).expect("candles");
            assert_eq!(candles.len(), bars, "{file} {now}");
            assert_eq!((candles[0].open_time, candles[0].close), (at(first.0), first.1), "{file}");
            assert_eq!(
                (candles[bars - 1].open_time, candles[bars - 1].close),
                (at(last.0), last.1),
                "{file}"
            );
        }
    }

    #[test]
    fn captured_tickers_are_quotes() {
        let Some(body) = fixture("binance/ticker_24hr_DOGEUSDT.json") else { return };
        let seen = read(&binance(""), 200, body, "2021-08-27T05:33:43Z").expect("a quote").observations;
        let quote = Quote {
            price: 0.2705,
            bid: Some(0.2704),
            ask: Some(0.2705),
            volume: Some(1_343_961_239.7),
            quoted_at: Some(at("2021-08-27T05:33:42.749Z")),
        };
        assert_eq!(seen[0].reading, Reading::Quote(quote));
        let body = fixture("binance/ticker_price_BTCUSDT.json").expect("the set is whole");
        let seen = read(&binance(""), 200, body, NOW).expect("a quote").observations;
        assert_eq!(seen[0].reading, Reading::Quote(Quote { price: 6_622.57, ..Quote::default() }));
    }

    #[test]
    fn captured_errors_say_what_is_to_be_done() {
        for (status, file, said) in [
            (400, "error_invalid_symbol", "unknown symbol `BTCUSDT`: Invalid symbol."),
            (400, "error_interval_too_long", "`BTCUSDT`: Maximum time interval is 200 days. (code -4088)"),
            (
                451,
                "error_451_restricted_location",
                "`BTCUSDT`: Binance does not serve the country this runs in; \
                 `base_url = \"https://data-api.binance.vision/api/v3\"` may",
            ),
        ] {
            let Some(body) = fixture(&format!("binance/{file}.json")) else { return };
            assert_eq!(read(&binance(""), status, body, NOW), Err(FetchError::failed(said)));
        }
        let html = read(&binance(""), 451, "<html>", NOW).expect_err("restricted").to_string();
        assert!(html.contains("data-api.binance.vision"), "{html}");
    }

    #[test]
    fn a_captured_ban_is_a_wall_with_its_end() {
        let Some(body) = fixture("binance/error_418_ip_banned.json") else { return };
        let wait = |now: &str| match read(&binance(""), 403, body.clone(), now) {
            Err(FetchError::Blocked { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(NOW), Some(Duration::from_millis(1_620_286_253_180 - 1_620_284_400_000)));
        assert_eq!(wait("2021-05-07T00:00:00Z"), None);
    }
}
