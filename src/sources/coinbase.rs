//! Prices and candles from Coinbase Exchange.
//! <https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles>

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::address::join;
use super::bars;
use super::moment::{Moment, Order};
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind};
use crate::plugin::{Backfill, FetchError, Needs, Plugin, Seen, Source, Span};

/// A free and public interface that wants no key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Coinbase {
    /// One market or a list of them, as Coinbase writes them: `BTC-USD`.
    symbols: Names,
    /// The length of the bars, `1m`, `5m`, `15m`, `1h`, `6h`, `1d` or a small multiple of these, such as `30m`; without it the last price is read, and the usual strategy is `spike`.
    #[serde(default, deserialize_with = "bars_of")]
    #[schemars(with = "Option<Interval>")]
    interval: Option<Bars>,
    /// Where Coinbase answers; another address is for a stand-in or a mirror.
    #[serde(default = "base_url")]
    base_url: Url,
}

/// The bars wanted, and those that are asked for to build them from.
#[derive(Clone, Copy)]
struct Bars {
    wanted: Interval,
    asked: Interval,
}

impl Bars {
    fn minutes() -> Self {
        Self { wanted: bars::minute(), asked: bars::minute() }
    }
}

/// What Coinbase can be asked for, in minutes.
const GRANULARITIES: [u32; 6] = [1, 5, 15, 60, 360, 1_440];

/// An answer holds 350 rows; of more than seven a bar too few bars would be left.
const MOST_ROWS_A_BAR: u32 = 7;

/// Of a stretch of time it gives no more rows than these, and refuses to begin with.
const MOST_ROWS: u32 = 300;

fn bars_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bars>, D::Error> {
    let wanted = Interval::deserialize(deserializer)?;
    let minutes = wanted.minutes();
    let builds = |asked: &u32| minutes.is_multiple_of(*asked) && minutes / asked <= MOST_ROWS_A_BAR;
    let asked = GRANULARITIES.into_iter().rev().find(builds).and_then(Interval::from_minutes);
    asked.map(|asked| Some(Bars { wanted, asked })).ok_or_else(|| {
        de::Error::custom(format!(
            "Coinbase has no bars of {wanted}, and they cannot be built from those it has: \
             1m, 5m, 15m, 1h, 6h, 1d"
        ))
    })
}
fn base_url() -> Url {
    Url::parse("https://api.exchange.coinbase.com").expect("the address is written well")
}

impl Plugin for Coinbase {
    const KIND: &'static str = "coinbase";
    const ABOUT: &'static str = "prices of coins on Coinbase Exchange, or candles with `interval`";
    const EXAMPLE: &'static str = "symbols = [\"BTC-USD\", \"ETH-USD\"]\ninterval = \"30m\"";
}

impl Source for Coinbase {
    fn yields(&self) -> ReadingKind {
        if self.interval.is_some() { ReadingKind::Candles } else { ReadingKind::Quote }
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        let request = |product| {
            let url = match self.interval {
                Some(bars) => {
                    let granularity = bars.asked.seconds().to_string();
                    let query = [("granularity", &*granularity)];
                    join(&self.base_url, &["products", product, "candles"], &query)
                }
                None => join(&self.base_url, &["products", product, "ticker"], &[]),
            };
            Request::get(url).about(product)
        };
        self.symbols.iter().map(request).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let product = &*request.subject;
        if let Ok(Refusal { message }) = reply.json() {
            return Err(refused(product, &message));
        }
        reply.ok().map_err(about(product))?;
        let url = Some(format!("https://exchange.coinbase.com/trade/{}", super::address::escaped(product)));
        let backfilled = request.url.path().ends_with("/candles").then(Bars::minutes);
        if let Some(Bars { wanted, asked }) = self.interval.or(backfilled) {
            let rows: Vec<Vec<Number>> = reply.json().map_err(about(product))?;
            let rows = bars::in_order(rows.iter().filter_map(|row| candle(row)).collect());
            let rows = if wanted == asked { rows } else { built(&rows, wanted) };
            let candles = bars::closed(rows, wanted, needs.now);
            return Ok(bars::seen(product, url, wanted, candles, needs.now));
        }
        let ticker: Ticker = reply.json().map_err(about(product))?;
        let price = ticker
            .price
            .0
            .ok_or_else(|| FetchError::failed(format!("`{product}`: the answer holds no price")))?;
        Ok(Seen::some(vec![Observation {
            subject: product.to_owned(),
            observed_at: needs.now,
            url,
            reading: Reading::Quote(Quote {
                price,
                bid: ticker.bid.0,
                ask: ticker.ask.0,
                volume: ticker.volume.0,
                quoted_at: ticker.time.as_deref().and_then(|time| Moment::read(time, Order::Unknown).sure()),
            }),
            evidence: Vec::new(),
        }]))
    }

    fn backfill(&self, gap: &Span) -> Option<Backfill> {
        let Bars { wanted, asked } = self.interval.unwrap_or_else(Bars::minutes);
        let rows_a_bar = wanted.minutes() / asked.minutes().max(1);
        let granularity = asked.seconds().to_string();
        let time = |second: i64| Some(Timestamp::from_second(second).ok()?.to_string());
        let request = |product, from: i64, until: i64| {
            // Both ends count.
            let (start, end) = (time(from)?, time(until.saturating_sub(asked.seconds()))?);
            let query = [("granularity", &*granularity), ("start", &*start), ("end", &*end)];
            Some(Request::get(join(&self.base_url, &["products", product, "candles"], &query)).about(product))
        };
        let pages = bars::pages(gap, wanted, MOST_ROWS / rows_a_bar.max(1));
        let of = |product| pages.iter().filter_map(move |(from, until)| request(product, *from, *until));
        Some(Backfill { interval: wanted, requests: self.symbols.iter().flat_map(of).collect() })
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

/// Longer bars out of shorter ones, which are in order. The oldest is left out when the answer begins in
/// its middle.
fn built(rows: &[Candle], wanted: Interval) -> Vec<Candle> {
    let start = |row: &Candle| wanted.floor(row.open_time);
    let bar = |rows: &[Candle]| {
        let (first, last) = (rows.first()?, rows.last()?);
        Some(Candle {
            open_time: start(first),
            open: first.open,
            high: rows.iter().map(|row| row.high).fold(first.high, f64::max),
            low: rows.iter().map(|row| row.low).fold(first.low, f64::min),
            close: last.close,
            volume: rows.iter().map(|row| row.volume).sum(),
        })
    };
    let begins_whole = rows.first().is_some_and(|first| first.open_time == start(first));
    rows.chunk_by(|a, b| start(a) == start(b)).skip(usize::from(!begins_whole)).filter_map(bar).collect()
}

/// Time, low, high, open, close, volume: not the usual order.
fn candle(row: &[Number]) -> Option<Candle> {
    match *row {
        [time, low, high, open, close, volume, ..] => bars::candle(time, [open, high, low, close], volume),
        _ => None,
    }
}

fn refused(product: &str, message: &str) -> FetchError {
    let said = excerpt(message);
    if message.to_lowercase().contains("rate limit") {
        return FetchError::Blocked { why: format!("Coinbase: {said}"), retry_after: None };
    }
    let unknown = if message == "NotFound" { "unknown symbol " } else { "" };
    FetchError::failed(format!("{unknown}`{product}`: {said}"))
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ticker {
    price: Number,
    bid: Number,
    ask: Number,
    volume: Number,
    time: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, backfilled, fixture, plugin, read, read_backfilled};

    use crate::sources::address::escaped;

    const NOW: &str = "2026-11-20T12:40:30Z";

    fn coinbase(keys: &str) -> Coinbase {
        plugin(&format!("symbols = ['BTC-USD']\n{keys}"))
    }

    fn candles(source: &Coinbase, body: impl Into<Vec<u8>>, now: &str) -> Vec<Candle> {
        let seen = read(source, 200, body, now).expect("candles").observations;
        seen.first().and_then(crate::plugin::candles).map(<[Candle]>::to_vec).unwrap_or_default()
    }

    #[test]
    fn bars_that_can_be_built_are_built_from_the_longest_that_can_be_asked_for() {
        let url = |keys: &str| coinbase(keys).requests(&Needs { now: at(NOW), bars: 9 })[0].url.to_string();
        let products = "https://api.exchange.coinbase.com/products/BTC-USD";
        assert_eq!(url(""), format!("{products}/ticker"));
        for (interval, granularity) in
            [("1m", 60), ("30m", 900), ("1h", 3_600), ("4h", 3_600), ("12h", 21_600), ("1w", 86_400)]
        {
            assert_eq!(
                url(&format!("interval = '{interval}'")),
                format!("{products}/candles?granularity={granularity}")
            );
        }
        for interval in ["8m", "30d"] {
            let toml = format!("symbols = ['BTC-USD']\ninterval = '{interval}'");
            let refused = toml::from_str::<Coinbase>(&toml).err().expect(interval).to_string();
            assert!(refused.contains(&format!("Coinbase has no bars of {interval}")), "{refused}");
        }
    }

    #[test]
    fn a_gap_is_filled_in_pages_of_whole_bars_also_between_quotes() {
        let asked = |keys: &str| backfilled(&coinbase(keys), "2026-11-15T10:07:30Z", "2026-11-20T12:00:00Z");
        let page = |granularity, start: &str, end: &str| {
            let (start, end) = (escaped(start), escaped(end));
            format!("/products/BTC-USD/candles?granularity={granularity}&start={start}&end={end}")
        };
        assert_eq!(
            asked("interval = '30m'"),
            [
                page(900, "2026-11-15T10:00:00Z", "2026-11-18T12:45:00Z"),
                page(900, "2026-11-18T13:00:00Z", "2026-11-20T12:15:00Z"),
            ]
        );
        assert_eq!(asked("").len(), (5 * 1_440 + 114_usize).div_ceil(300));
        let body = "[[1795176000,3,8,6,7,1]]";
        let seen = read_backfilled(&coinbase(""), 200, body, NOW).expect("bars").observations;
        assert_eq!(crate::plugin::candles(&seen[0]).map(|bars| bars[0].close), Some(7.0));
    }

    #[test]
    fn half_hours_are_built_from_quarters() {
        // Newest first: time, low, high, open, close, volume. The oldest half hour lacks its beginning,
        // the newest is not over.
        let body = r"[[1795177800,1,1,1,1,1],[1795176900,4,9,7,5,2],[1795176000,3,8,6,7,1],
            [1795174200,2,2,2,2,4],[1795173300,1,1,1,1,1]]";
        assert_eq!(
            candles(&coinbase("interval = '30m'"), body, NOW),
            [
                Candle {
                    open_time: at("2026-11-20T11:30:00Z"),
                    open: 2.0,
                    high: 2.0,
                    low: 2.0,
                    close: 2.0,
                    volume: 4.0
                },
                Candle {
                    open_time: at("2026-11-20T12:00:00Z"),
                    open: 6.0,
                    high: 9.0,
                    low: 3.0,
                    close: 5.0,
                    volume: 3.0
                },
            ]
        );
    }

    #[test]
    fn a_ticker_is_a_quote() {
        let body = r#"{"trade_id":1,"price":"84211.5","size":"0.1","time":"2026-11-20T12:40:29.5Z",
            "bid":"84211.4","ask":"84211.6","volume":"5000.25"}"#;
        let seen = read(&coinbase(""), 200, body, NOW).expect("a quote").observations;
        let quote = Quote {
            price: 84_211.5,
            bid: Some(84_211.4),
            ask: Some(84_211.6),
            volume: Some(5_000.25),
            quoted_at: Some(at("2026-11-20T12:40:29.5Z")),
        };
        assert_eq!(seen[0].reading, Reading::Quote(quote));
    }

    #[test]
    fn a_captured_answer_is_turned_round() {
        let Some(body) = fixture("coinbase/candles_BTC-USD_1m_2018-01-31.json") else { return };
        let source = coinbase("interval = '1m'");
        let read = candles(&source, body.clone(), "2018-02-01T00:10:01Z");
        assert_eq!(read.len(), 10);
        let (first, last) = (read[0], read[9]);
        assert_eq!(
            (first.open_time, first.low, first.high, first.open, first.close),
            (at("2018-02-01T00:00:00Z"), 10_099.98, 10_099.99, 10_099.99, 10_099.98)
        );
        assert_eq!((last.open_time, last.close), (at("2018-02-01T00:09:00Z"), 10_120.21));
        assert_eq!(candles(&source, body, "2018-02-01T00:09:30Z").len(), 9);
    }

    #[test]
    fn captured_errors_are_told() {
        for (status, file, said) in [
            (404, "error_404_not_found", "unknown symbol `BTC-USD`: NotFound"),
            (
                400,
                "error_400_too_many_candles",
                "`BTC-USD`: granularity too small for the requested time range. Count of aggregations",
            ),
        ] {
            let Some(body) = fixture(&format!("coinbase/{file}.json")) else { return };
            let error = read(&coinbase("interval = '1m'"), status, body, NOW).expect_err(said).to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let limit = read(&coinbase(""), 403, r#"{"message":"Public rate limit exceeded"}"#, NOW);
        assert!(matches!(limit, Err(FetchError::Blocked { .. })), "{limit:?}");
    }
}
