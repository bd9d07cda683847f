//! Prices and candles from Binance.
//! <https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints>

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::address::{escaped, join};
use super::bars;
use super::names::{Names, about};
use super::number::{self, Number};
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// What to look at, and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Binance {
    symbols: Names,
    #[serde(default, deserialize_with = "interval")]
    interval: Option<Interval>,
    #[serde(default = "base_url")]
    base_url: Url,
}

const INTERVALS: &[u32] = &[1, 3, 5, 15, 30, 60, 120, 240, 360, 480, 720, 1_440, 4_320, 10_080];

/// The most bars that one answer holds.
const MOST_BARS: usize = 1_000;

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
        let limit = needs.bars.saturating_add(1).min(MOST_BARS).to_string();
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
        if let Some(interval) = self.interval {
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
                quoted_at: ticker.close_time.0.and_then(|ms| number::seconds(ms / 1_000.0)),
            }),
        }]))
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
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Ticker {
    #[serde(alias = "price")]
    last_price: Number,
    bid_price: Number,
    ask_price: Number,
    volume: Number,
    close_time: Number,
}
