//! Prices and candles from Kraken. <https://docs.kraken.com/api/docs/rest-api/get-ohlc-data>,
//! <https://docs.kraken.com/api/docs/rest-api/get-ticker-information>

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

use super::address::join;
use super::bars;
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// What to look at, and where. `"*"` is every market there is, in one request.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(super) struct Kraken {
    symbols: Option<Names>,
    interval: Option<Interval>,
    base_url: Url,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    symbols: Names,
    #[serde(default, deserialize_with = "interval")]
    interval: Option<Interval>,
    #[serde(default = "base_url")]
    base_url: Url,
}

impl TryFrom<Keys> for Kraken {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let all = keys.symbols.iter().any(|symbol| symbol == "*");
        if all && keys.interval.is_some() {
            return Err("`symbols = \"*\"` gives prices only; leave `interval` out".into());
        }
        let symbols = (!all).then_some(keys.symbols);
        Ok(Self { symbols, interval: keys.interval, base_url: keys.base_url })
    }
}

const INTERVALS: &[u32] = &[1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600];

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    bars::interval(deserializer, "Kraken", INTERVALS).map(Some)
}
fn base_url() -> Url {
    Url::parse("https://api.kraken.com").expect("the address is written well")
}

impl Plugin for Kraken {
    const KIND: &'static str = "kraken";
    const ABOUT: &'static str = "prices of one, some or all coins on Kraken, or candles with `interval`";
    const EXAMPLE: &'static str = "symbols = [\"XBTUSD\", \"ETHUSD\"]\ninterval = \"30m\"";
}

impl Source for Kraken {
    fn yields(&self) -> ReadingKind {
        if self.interval.is_some() { ReadingKind::Candles } else { ReadingKind::Quote }
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        let Some(symbols) = &self.symbols else {
            return vec![Request::get(join(&self.base_url, &["0", "public", "Ticker"], &[]))];
        };
        // One pair a request: a pair that is wrong would fail the others with it.
        let request = |pair| {
            let url = match self.interval {
                Some(interval) => {
                    let query = [("pair", pair), ("interval", &*interval.minutes().to_string())];
                    join(&self.base_url, &["0", "public", "OHLC"], &query)
                }
                None => join(&self.base_url, &["0", "public", "Ticker"], &[("pair", pair)]),
            };
            Request::get(url).about(pair)
        };
        symbols.iter().map(request).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let asked = if request.subject.is_empty() { "every market" } else { &*request.subject };
        let answer = reply.json::<Answer>();
        if let Ok(answer) = &answer
            && let Some(error) = answer.error.iter().find(|error| error.starts_with('E'))
        {
            return Err(refused(asked, error));
        }
        reply.ok().map_err(about(asked))?;
        let result = answer.map_err(about(asked))?.result.ok_or_else(|| {
            FetchError::failed(format!("`{asked}`: the answer holds neither a result nor an error"))
        })?;
        // The name in the answer is not the one that was asked for: XBTUSD is answered as XXBTZUSD.
        let quoted = |name: &str, ticker: &Value| {
            let ticker = Ticker::deserialize(ticker).ok()?;
            Some(Observation {
                subject: name.to_owned(),
                observed_at: needs.now,
                url: None,
                reading: Reading::Quote(ticker.quote()?),
            })
        };
        let Some(interval) = self.interval else {
            let several = self.symbols.is_none();
            let quotes: Vec<Observation> = result
                .iter()
                .filter_map(|(name, ticker)| quoted(if several { name } else { asked }, ticker))
                .take(if several { usize::MAX } else { 1 })
                .collect();
            if quotes.is_empty() {
                return Err(FetchError::failed(format!("`{asked}`: the answer holds no price")));
            }
            return Ok(Seen::some(quotes));
        };
        let rows = result
            .values()
            .find_map(|rows| Vec::<Row>::deserialize(rows).ok())
            .ok_or_else(|| FetchError::failed(format!("`{asked}`: the answer holds no rows of candles")))?;
        let candles = bars::closed(rows.iter().filter_map(candle).collect(), interval, needs.now);
        Ok(bars::seen(asked, None, interval, candles, needs.now))
    }

    fn usual_strategies(&self) -> &'static str {
        if self.interval.is_some() {
            "[{ kind = \"rsi\", period = 14, buy_below = 20, sell_above = 80 }]"
        } else {
            "[{ kind = \"spike\", times = 3, window = \"1h\" }]"
        }
    }
}

/// Kraken reports its errors with HTTP 200; those of its limits are a wall.
fn refused(asked: &str, error: &str) -> FetchError {
    let said = excerpt(error);
    let lower = error.to_lowercase();
    if ["too many requests", "rate limit", "lockout"].iter().any(|sign| lower.contains(sign)) {
        return FetchError::Blocked { why: format!("Kraken: {said}"), retry_after: None };
    }
    if lower.contains("unknown asset pair") {
        return FetchError::failed(format!("unknown symbol `{asked}`: {said}"));
    }
    FetchError::failed(format!("`{asked}`: {said}"))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Vec<String>,
    result: Option<Map<String, Value>>,
}

/// Time, open, high, low, close, weighted mean, volume, count.
type Row = Vec<Number>;

fn candle(row: &Row) -> Option<Candle> {
    match *row.as_slice() {
        [time, open, high, low, close, _mean, volume, ..] => {
            bars::candle(time, [open, high, low, close], volume)
        }
        _ => None,
    }
}

/// `a` ask, `b` bid and `c` last trade, price first; `v` volume of today and of the last 24 hours.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Ticker {
    a: Vec<Number>,
    b: Vec<Number>,
    c: Vec<Number>,
    v: Vec<Number>,
}

impl Ticker {
    fn quote(&self) -> Option<Quote> {
        let number = |column: &[Number], n: usize| column.get(n).and_then(|number| number.0);
        Some(Quote {
            price: number(&self.c, 0)?,
            bid: number(&self.b, 0),
            ask: number(&self.a, 0),
            volume: number(&self.v, 1),
            quoted_at: None,
        })
    }
}
