//! Quotes and candles of stocks from Finnhub. <https://finnhub.io/docs/api/quote>,
//! <https://finnhub.io/docs/api/stock-candles>

use serde::{Deserialize, Deserializer};
use url::Url;

use super::address::join;
use super::bars;
use super::names::{Names, about};
use super::number::{self, Number};
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind, Secret};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// What to look at, where, and with which key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finnhub {
    symbols: Names,
    #[serde(default)]
    token: Secret,
    /// Candles instead of quotes; a free key gets quotes only.
    #[serde(default)]
    candles: bool,
    #[serde(default = "half_hour", deserialize_with = "interval")]
    interval: Interval,
    #[serde(default = "base_url")]
    base_url: Url,
}

const INTERVALS: &[u32] = &[1, 5, 15, 30, 60, DAY, WEEK];
const DAY: u32 = 1_440;
const WEEK: u32 = 7 * DAY;

fn half_hour() -> Interval {
    Interval::from_minutes(30).expect("thirty is not zero")
}
fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    bars::interval(deserializer, "Finnhub", INTERVALS)
}
fn base_url() -> Url {
    Url::parse("https://finnhub.io/api/v1").expect("the address is written well")
}

impl Plugin for Finnhub {
    const KIND: &'static str = "finnhub";
    const ABOUT: &'static str = "the last price of stocks, or their candles, from Finnhub";
    const EXAMPLE: &'static str = "symbols = [\"AAPL\", \"AMZN\"]\ntoken = \"${FINNHUB_TOKEN}\"";
}

impl Source for Finnhub {
    fn yields(&self) -> ReadingKind {
        if self.candles { ReadingKind::Candles } else { ReadingKind::Quote }
    }

    fn requests(&self, needs: &Needs) -> Vec<Request> {
        let request = |symbol| {
            let url = if self.candles {
                self.candles_url(symbol, needs)
            } else {
                join(&self.base_url, &["quote"], &[("symbol", symbol)])
            };
            let request = Request::get(url).about(symbol);
            // In a header, so that the key stands in no log of addresses.
            let keyed = !self.token.is_empty();
            if keyed { request.header("x-finnhub-token", self.token.expose()) } else { request }
        };
        self.symbols.iter().map(request).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let symbol = &*request.subject;
        if let Ok(Refusal { error }) = reply.json() {
            return Err(refused(symbol, &error));
        }
        reply.ok().map_err(about(symbol))?;
        if self.candles {
            let candles = reply.json::<Candles>().map_err(about(symbol))?.candles(self.interval);
            let candles = bars::closed(candles, self.interval, needs.now);
            return Ok(bars::seen(symbol, None, self.interval, candles, needs.now));
        }
        let last: LastPrice = reply.json().map_err(about(symbol))?;
        // A symbol that Finnhub does not know has a price of 0, last traded in 1970.
        let (Some(price), Some(traded_at)) = (last.c.0, last.t.0.filter(|t| *t != 0.0)) else {
            return Err(FetchError::failed(format!("unknown symbol `{symbol}`: it has no price")));
        };
        Ok(Seen::some(vec![Observation {
            subject: symbol.to_owned(),
            observed_at: needs.now,
            url: None,
            reading: Reading::Quote(Quote {
                price,
                quoted_at: number::seconds(traded_at),
                ..Quote::default()
            }),
        }]))
    }

    fn usual_strategies(&self) -> &'static str {
        if self.candles {
            "[{ kind = \"rsi\", period = 14, buy_below = 20, sell_above = 80 }]"
        } else {
            "[{ kind = \"percent_change\", by = 5.0, window = \"1h\" }]"
        }
    }
}

impl Finnhub {
    fn candles_url(&self, symbol: &str, needs: &Needs) -> Url {
        let minutes = self.interval.minutes();
        let resolution = match minutes {
            DAY => "D".to_owned(),
            WEEK => "W".to_owned(),
            minutes => minutes.to_string(),
        };
        // Aligned to the bar, so that the address is the same until the next one is closed.
        let to = self.interval.floor(needs.now).as_second();
        let from = to.saturating_sub(days_back(minutes, needs.bars).saturating_mul(86_400));
        let query = [
            ("symbol", symbol),
            ("resolution", &*resolution),
            ("from", &from.to_string()),
            ("to", &to.to_string()),
        ];
        join(&self.base_url, &["stock", "candle"], &query)
    }
}

/// How many days of the calendar hold so many bars: sessions of 6.5 hours, five a week, and ten days more
/// for holidays and the session under way.
fn days_back(minutes: u32, bars: usize) -> i64 {
    let bars = i64::try_from(bars).unwrap_or(i64::MAX / 7);
    let days = match minutes {
        WEEK => bars.saturating_mul(7),
        DAY => bars.saturating_mul(7) / 5,
        minutes => bars.saturating_mul(i64::from(minutes)) / 390 * 7 / 5,
    };
    days.saturating_add(10)
}

fn refused(symbol: &str, error: &str) -> FetchError {
    let said = excerpt(error);
    let lower = error.to_lowercase();
    if lower.contains("limit reached") {
        return FetchError::Blocked { why: format!("Finnhub: {said}"), retry_after: None };
    }
    let of_the_key = ["access", "subscription", "api key", "token"].iter().any(|word| lower.contains(word));
    FetchError::failed(if of_the_key {
        format!("`{symbol}`: the key may not ask this (Finnhub says: {said})")
    } else {
        format!("`{symbol}`: {said}")
    })
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// `c` current price, `t` time of the last trade.
#[derive(Deserialize)]
struct LastPrice {
    c: Number,
    t: Number,
}

/// Parallel arrays; with `s` = `no_data` there are none.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Candles {
    t: Vec<Number>,
    o: Vec<Number>,
    h: Vec<Number>,
    l: Vec<Number>,
    c: Vec<Number>,
    v: Vec<Number>,
}

impl Candles {
    fn candles(&self, interval: Interval) -> Vec<Candle> {
        let of = |column: &[Number], n: usize| column.get(n).copied().unwrap_or_default();
        let candle = |(n, time): (usize, &Number)| {
            let prices = [of(&self.o, n), of(&self.h, n), of(&self.l, n), of(&self.c, n)];
            let candle = bars::candle(*time, prices, of(&self.v, n))?;
            // A day is stamped with its opening or with midnight, as the year has it.
            Some(Candle { open_time: interval.floor(candle.open_time), ..candle })
        };
        self.t.iter().enumerate().filter_map(candle).collect()
    }
}
