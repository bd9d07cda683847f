//! Quotes and candles of stocks from Finnhub. <https://finnhub.io/docs/api/quote>,
//! <https://finnhub.io/docs/api/stock-candles>

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::address::join;
use super::bars;
use super::moment;
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind, Secret};
use crate::plugin::{Backfill, FetchError, Needs, Plugin, Seen, Source, Span};

/// Wants a key of your own, which is free for quotes of stocks in the United States.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Finnhub {
    /// One symbol or a list of them: `AAPL`.
    symbols: Names,
    /// Your key, from <https://finnhub.io>.
    #[serde(default)]
    token: Secret,
    /// `true`: candles instead of quotes, and the usual strategy is `rsi`; a free key gets quotes only.
    #[serde(default)]
    candles: bool,
    /// The length of the candles: `1m`, `5m`, `15m`, `30m`, `1h`, `1d` or `1w`.
    #[serde(default = "half_hour", deserialize_with = "interval")]
    interval: Interval,
    /// Where Finnhub answers; another address is for a stand-in or a mirror.
    #[serde(default = "base_url")]
    base_url: Url,
}

const INTERVALS: &[u32] = &[1, 5, 15, 30, 60, DAY, WEEK];
const DAY: u32 = 1_440;
const WEEK: u32 = 7 * DAY;

/// The most bars that one answer is asked for.
const MOST_BARS: u32 = 10_000;

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
                self.last_candles_url(symbol, needs)
            } else {
                join(&self.base_url, &["quote"], &[("symbol", symbol)])
            };
            self.request(url, symbol)
        };
        self.symbols.iter().map(request).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let symbol = &*request.subject;
        if let Ok(Refusal { error }) = reply.json() {
            return Err(refused(symbol, &error));
        }
        reply.ok().map_err(about(symbol))?;
        if request.url.path().ends_with("/stock/candle") {
            let interval = self.bars();
            let candles = reply.json::<Candles>().map_err(about(symbol))?.candles(interval);
            let candles = bars::closed(candles, interval, needs.now);
            return Ok(bars::seen(symbol, None, interval, candles, needs.now));
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
                quoted_at: moment::seconds(traded_at),
                ..Quote::default()
            }),
            evidence: Vec::new(),
        }]))
    }

    /// A free key is refused.
    fn backfill(&self, gap: &Span) -> Option<Backfill> {
        let interval = self.bars();
        let pages = bars::pages(gap, interval, MOST_BARS);
        let of = |symbol| {
            pages.iter().map(move |(from, until)| {
                self.request(self.candles_url(symbol, *from, until.saturating_sub(1)), symbol)
            })
        };
        Some(Backfill { interval, requests: self.symbols.iter().flat_map(of).collect() })
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
    /// The key travels in a header, so that it stands in no log of addresses.
    fn request(&self, url: Url, symbol: &str) -> Request {
        let request = Request::get(url).about(symbol);
        let keyed = !self.token.is_empty();
        if keyed { request.header("x-finnhub-token", self.token.expose()) } else { request }
    }

    /// The length of its bars; a gap between quotes is filled with those of a minute.
    fn bars(&self) -> Interval {
        if self.candles { self.interval } else { bars::minute() }
    }

    /// Its last bars. Aligned to the bar, so that the address is the same until the next one is closed.
    fn last_candles_url(&self, symbol: &str, needs: &Needs) -> Url {
        let to = self.interval.floor(needs.now).as_second();
        let back = days_back(self.interval.minutes(), needs.bars).saturating_mul(86_400);
        self.candles_url(symbol, to.saturating_sub(back), to)
    }

    fn candles_url(&self, symbol: &str, from: i64, to: i64) -> Url {
        let resolution = match self.bars().minutes() {
            DAY => "D".to_owned(),
            WEEK => "W".to_owned(),
            minutes => minutes.to_string(),
        };
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
#[derive(Default, Deserialize)]
#[serde(default)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, backfilled, fixture, plugin, read, read_backfilled};

    const NOW: &str = "2026-11-20T12:10:30Z";

    fn finnhub(keys: &str) -> Finnhub {
        plugin(&format!("symbols = ['AAPL']\ntoken = 'hush'\n{keys}"))
    }

    #[test]
    fn the_key_travels_in_a_header_and_the_address_waits_for_the_next_bar() {
        let url = |source: &Finnhub, now: &str| {
            let request = source.requests(&Needs { now: at(now), bars: 140 }).remove(0);
            assert_eq!(request.headers, [("x-finnhub-token".to_owned(), "hush".to_owned())]);
            assert_eq!(request.subject, "AAPL");
            request.url.to_string()
        };
        assert_eq!(url(&finnhub(""), NOW), "https://finnhub.io/api/v1/quote?symbol=AAPL");
        let minutes = finnhub("candles = true\ninterval = '30m'\nbase_url = 'http://127.0.0.1:9100'");
        let asked = url(&minutes, NOW);
        assert_eq!(
            asked,
            "http://127.0.0.1:9100/stock/candle?symbol=AAPL&resolution=30&from=1794009600&to=1795176000"
                .replace("1794009600", &(1_795_176_000 - (10 * 7 / 5 + 10) * 86_400).to_string())
        );
        assert_eq!(asked, url(&minutes, "2026-11-20T12:29:59Z"));
        assert_ne!(asked, url(&minutes, "2026-11-20T12:30:00Z"));
        assert!(url(&finnhub("candles = true\ninterval = '1d'"), NOW).contains("resolution=D"));
        assert!(toml::from_str::<Finnhub>("symbols = ['A']\ninterval = '2m'").is_err());
        assert_eq!(finnhub("").yields(), ReadingKind::Quote);
        assert_eq!(minutes.yields(), ReadingKind::Candles);
    }

    #[test]
    fn a_gap_between_quotes_is_filled_with_minutes_where_the_key_may() {
        let asked = |keys: &str| backfilled(&finnhub(keys), "2026-11-20T10:07:30Z", "2026-11-20T12:00:00Z");
        let second = |time: &str| at(time).as_second();
        let url = |resolution, from: &str, to: &str| {
            let (from, to) = (second(from), second(to) - 1);
            format!("/api/v1/stock/candle?symbol=AAPL&resolution={resolution}&from={from}&to={to}")
        };
        assert_eq!(asked(""), [url("1", "2026-11-20T10:07:00Z", "2026-11-20T12:01:00Z")]);
        assert_eq!(
            asked("candles = true\ninterval = '30m'"),
            [url("30", "2026-11-20T10:00:00Z", "2026-11-20T12:30:00Z")]
        );
        let ten = second("2026-11-20T10:00:00Z");
        let body = format!(r#"{{"s":"ok","t":[{ten}],"o":[1],"h":[3],"l":[1],"c":[2],"v":[9]}}"#);
        let seen = read_backfilled(&finnhub(""), 200, body, NOW).expect("bars").observations;
        assert!(matches!(&seen[0].reading, Reading::Candles { interval, candles }
                if *interval == bars::minute() && candles[0].close == 2.0));
        let refused = r#"{"error":"You don't have access to this resource."}"#;
        let error = read_backfilled(&finnhub(""), 403, refused, NOW).expect_err("refused").to_string();
        assert!(error.contains("the key may not ask this"), "{error}");
    }

    #[test]
    fn refusals_say_what_is_to_be_done() {
        for (status, body, said) in [
            (401, r#"{"error":"Please use an API key."}"#, "the key may not ask this"),
            (403, r#"{"error":"You don't have access to this resource."}"#, "the key may not ask this"),
            (500, r#"{"error":"Internal trouble"}"#, "`AAPL`: Internal trouble"),
            (502, "<html>", "`AAPL`: HTTP 502"),
            (200, r#"{"s":"ok"}"#, "`AAPL`: the answer is not the JSON expected"),
        ] {
            let error = read(&finnhub(""), status, body, NOW).expect_err(said).to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
        let limit = read(&finnhub(""), 200, r#"{"error":"API limit reached. Please try again later."}"#, NOW);
        assert!(matches!(limit, Err(FetchError::Blocked { .. })), "{limit:?}");
    }

    #[test]
    fn a_captured_quote_is_read_with_the_time_of_its_trade() {
        let Some(body) = fixture("finnhub/quote_AAPL_2022-02-24.json") else { return };
        let seen = read(&finnhub(""), 200, body, "2022-02-24T21:00:10Z").expect("a quote").observations;
        let quote = Quote { price: 162.74, quoted_at: Some(at("2022-02-24T21:00:02Z")), ..Quote::default() };
        assert_eq!(seen[0].reading, Reading::Quote(quote));
        assert_eq!(seen[0].observed_at, at("2022-02-24T21:00:10Z"));

        let nothing = fixture("finnhub/quote_unknown_symbol.json").expect("the set is whole");
        let error = read(&finnhub(""), 200, nothing, NOW).expect_err("unknown");
        assert_eq!(error.to_string(), "unknown symbol `AAPL`: it has no price");
    }

    #[test]
    fn captured_candles_are_keyed_by_their_date() {
        let Some(body) = fixture("finnhub/candle_AAPL_D_2021-09.json") else { return };
        let daily = finnhub("candles = true\ninterval = '1d'");
        let days = |body: &[u8], now: &str| {
            let seen = read(&daily, 200, body, now).expect("candles").observations;
            crate::plugin::candles(&seen[0]).expect("candles").to_vec()
        };
        let read_days = days(&body, "2021-09-23T00:00:10Z");
        assert_eq!(read_days.len(), 12);
        let (first, last) = (read_days[0], read_days[11]);
        assert_eq!(
            (first.open_time, first.close, first.volume),
            (at("2021-09-07T00:00:00Z"), 156.69, 82_278_261.0)
        );
        assert_eq!((last.open_time, last.close), (at("2021-09-22T00:00:00Z"), 145.85));
        assert_eq!(days(&body, "2021-09-22T18:00:00Z").len(), 11);

        // Until 2020 days were stamped with their opening.
        let opening = br#"{"s":"ok","t":[1600090200],"o":[1],"h":[2],"l":[1],"c":[2],"v":[3]}"#;
        assert_eq!(days(opening, "2020-09-15T00:00:00Z")[0].open_time, at("2020-09-14T00:00:00Z"));
    }

    #[test]
    fn captured_silences_and_refusals_are_told_apart() {
        let Some(body) = fixture("finnhub/candle_no_data.json") else { return };
        let candles = finnhub("candles = true");
        assert_eq!(read(&candles, 200, body, NOW), Ok(Seen::default()));
        for file in ["error_403_no_access.json", "error_subscription_required.json"] {
            let body = fixture(&format!("finnhub/{file}")).expect("the set is whole");
            for status in [200, 401, 403] {
                let error = read(&candles, status, body.clone(), NOW).expect_err(file).to_string();
                assert!(error.starts_with("`AAPL`: the key may not ask this (Finnhub says: "), "{error}");
            }
        }
    }
}
