//! Prices and candles from Kraken. <https://docs.kraken.com/api/docs/rest-api/get-ohlc-data>,
//! <https://docs.kraken.com/api/docs/rest-api/get-ticker-information>

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

use super::address::join;
use super::bars;
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Candle, Interval, Observation, Quote, Reading, ReadingKind};
use crate::plugin::{Backfill, FetchError, Needs, Plugin, Seen, Source, Span};

/// A free and public interface that wants no key.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Keys")]
pub(super) struct Kraken {
    /// Without them, every market there is, in one request.
    symbols: Option<Names>,
    interval: Option<Interval>,
    base_url: Url,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// One market or a list of them, as Kraken writes them: `XBTUSD`; `"*"` is every market there is, in one request.
    symbols: Names,
    /// The length of the bars: `1m`, `5m`, `15m`, `30m`, `1h`, `4h`, `1d`, `1w` or `15d`; without it the last price is read, and the usual strategy is `spike`.
    #[serde(default, deserialize_with = "interval")]
    interval: Option<Interval>,
    /// Where Kraken answers; another address is for a stand-in or a mirror.
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
                evidence: Vec::new(),
            })
        };
        let backfilled = request.url.path().ends_with("/OHLC").then(bars::minute);
        let Some(interval) = self.interval.or(backfilled) else {
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

    /// However long ago the gap is, the answer begins no earlier than 720 bars ago.
    fn backfill(&self, gap: &Span) -> Option<Backfill> {
        let interval = self.interval.unwrap_or_else(bars::minute);
        // The second before: whether the bar of `since` itself is in the answer has changed over the years.
        let since = interval.floor(gap.from).as_second().saturating_sub(1).to_string();
        let minutes = interval.minutes().to_string();
        let request = |pair| {
            let query = [("pair", pair), ("interval", &*minutes), ("since", &*since)];
            Request::get(join(&self.base_url, &["0", "public", "OHLC"], &query)).about(pair)
        };
        Some(Backfill { interval, requests: self.symbols.as_ref()?.iter().map(request).collect() })
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
#[derive(Default, Deserialize)]
#[serde(default)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, backfilled, fixture, plugin, read, read_backfilled};

    const NOW: &str = "2026-11-20T12:10:30Z";

    fn kraken(keys: &str) -> Kraken {
        plugin(&format!("symbols = ['XBTUSD']\n{keys}"))
    }

    #[test]
    fn each_pair_is_asked_for_by_itself_and_all_of_them_at_once() {
        let urls = |toml: &str| -> Vec<String> {
            let asked = plugin::<Kraken>(toml).requests(&Needs { now: at(NOW), bars: 14 });
            asked.iter().map(|request| request.url.to_string()).collect()
        };
        let public = "https://api.kraken.com/0/public";
        assert_eq!(
            urls("symbols = ['XBTUSD', 'ETHUSD']"),
            [format!("{public}/Ticker?pair=XBTUSD"), format!("{public}/Ticker?pair=ETHUSD")]
        );
        assert_eq!(
            urls("symbols = 'XBTUSD'\ninterval = '1d'"),
            [format!("{public}/OHLC?pair=XBTUSD&interval=1440")]
        );
        assert_eq!(urls("symbols = '*'"), [format!("{public}/Ticker")]);
        for wrong in
            ["symbols = '*'\ninterval = '1m'", "symbols = 'A'\ninterval = '2m'", "symbols = 'A'\nx = 1"]
        {
            assert!(toml::from_str::<Kraken>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gap_is_filled_with_bars_also_between_quotes() {
        let asked = |keys: &str| backfilled(&kraken(keys), "2026-11-20T10:07:00Z", "2026-11-20T12:00:00Z");
        let ten = at("2026-11-20T10:00:00Z").as_second();
        assert_eq!(
            asked("interval = '30m'"),
            [format!("/0/public/OHLC?pair=XBTUSD&interval=30&since={}", ten - 1)]
        );
        assert_eq!(asked(""), [format!("/0/public/OHLC?pair=XBTUSD&interval=1&since={}", ten + 7 * 60 - 1)]);
        assert!(backfilled(&plugin::<Kraken>("symbols = '*'"), NOW, NOW).is_empty());
        let body =
            format!(r#"{{"error":[],"result":{{"XXBTZUSD":[[{ten},"1","3","1","2","2","9",4]],"last":1}}}}"#);
        let seen = read_backfilled(&kraken(""), 200, body, NOW).expect("bars").observations;
        assert_eq!(crate::plugin::candles(&seen[0]).map(|bars| bars[0].close), Some(2.0));
    }

    #[test]
    fn every_market_is_called_by_the_name_in_the_answer() {
        let body =
            r#"{"error":[],"result":{"XXBTZUSD":{"c":["100.5","1"]},"ODD":{},"ADAUSD":{"c":["2","1"]}}}"#;
        let seen = read(&plugin::<Kraken>("symbols = '*'"), 200, body, NOW).expect("quotes").observations;
        let names: Vec<_> = seen.iter().map(|seen| &*seen.subject).collect();
        assert_eq!(names, ["XXBTZUSD", "ADAUSD"]);
    }

    #[test]
    fn errors_with_http_200_are_errors_and_limits_are_walls() {
        for (body, said) in [
            (r#"{"error":["EService:Unavailable"]}"#, "`XBTUSD`: EService:Unavailable"),
            (r#"{"error":[]}"#, "`XBTUSD`: the answer holds neither a result nor an error"),
            (r#"{"error":[],"result":{}}"#, "`XBTUSD`: the answer holds no price"),
            ("<html>", "`XBTUSD`: the answer is an HTML page where JSON was due"),
        ] {
            let error = read(&kraken(""), 200, body, NOW).expect_err(said);
            assert_eq!(error, FetchError::failed(said));
        }
        for code in ["EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EGeneral:Temporary lockout"] {
            let error = read(&kraken(""), 200, format!(r#"{{"error":["{code}"]}}"#), NOW).expect_err(code);
            assert_eq!(error, FetchError::Blocked { why: format!("Kraken: {code}"), retry_after: None });
        }
        let warned = r#"{"error":["WGeneral:Slow"],"result":{"XXBTZUSD":{"c":["1","1"]}}}"#;
        assert!(read(&kraken(""), 200, warned, NOW).is_ok());
    }

    #[test]
    fn captured_candles_are_the_committed_ones() {
        for (file, interval, now, bars, first, last) in [
            (
                "ohlc_XBTUSD_1m_720_2017-08",
                "1m",
                "2017-08-11T10:01:20Z",
                719,
                ("2017-08-10T22:02:00Z", 3_449.999),
                ("2017-08-11T10:00:00Z", 3_531.999),
            ),
            (
                "ohlc_XBTUSD_1d_2026-08",
                "1d",
                "2026-08-17T12:00:00Z",
                9,
                ("2026-08-08T00:00:00Z", 64_901.1),
                ("2026-08-16T00:00:00Z", 62_819.1),
            ),
        ] {
            let Some(body) = fixture(&format!("kraken/{file}.json")) else { return };
            let source = kraken(&format!("interval = '{interval}'"));
            let seen = read(&source, 200, body, now).expect(file).observations;
            assert_eq!(seen[0].subject, "XBTUSD");
            let candles = crate::plugin::candles(&seen[0]).expect("candles");
            assert_eq!(candles.len(), bars, "{file}");
            assert_eq!((candles[0].open_time, candles[0].close), (at(first.0), first.1));
            assert_eq!((candles[bars - 1].open_time, candles[bars - 1].close), (at(last.0), last.1));
        }
    }

    #[test]
    fn captured_tickers_of_any_year_are_read() {
        for (file, quote) in [
            ("ticker_XBTEUR_2014", (560.877_11, 560.466, 562.266_51, 600.918_503_25)),
            ("ticker_XBTUSD_2026-09-03", (77_726.1, 77_726.0, 77_726.1, 2_388.567_851_14)),
        ] {
            let Some(body) = fixture(&format!("kraken/{file}.json")) else { return };
            let seen = read(&kraken(""), 200, body, "2026-09-03T06:01:43Z").expect(file).observations;
            let (price, bid, ask, volume) = quote;
            let quote =
                Quote { price, bid: Some(bid), ask: Some(ask), volume: Some(volume), quoted_at: None };
            assert_eq!((&*seen[0].subject, &seen[0].reading), ("XBTUSD", &Reading::Quote(quote)));
        }
    }

    #[test]
    fn captured_errors_are_told() {
        for (file, said) in [
            ("error_unknown_pair_http200", "unknown symbol `XBTUSD`: EQuery:Unknown asset pair"),
            ("error_invalid_arguments_http200", "`XBTUSD`: EGeneral:Invalid arguments"),
            // Not an answer to what was asked.
            ("time_2026-09-03", "`XBTUSD`: the answer holds no price"),
        ] {
            let Some(body) = fixture(&format!("kraken/{file}.json")) else { return };
            let error = read(&kraken(""), 200, body, NOW).expect_err(said);
            assert_eq!(error, FetchError::failed(said));
        }
    }
}
