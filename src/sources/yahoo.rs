//! Candles from Yahoo Finance's chart. Unofficial and without documentation; the facts are those that
//! <https://github.com/ranaroussi/yfinance> has collected.
//!
//! Prices are counted as the exchange counts them and as Yahoo's own pages show them: in London in pence
//! (`GBp`), in Johannesburg and Tel Aviv in hundredths too. They name no currency, so that nobody takes
//! pence for pounds, and a threshold is given in what the page shows.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use super::address::{escaped, join};
use super::bars;
use super::names::{Names, about};
use super::number::Number;
use crate::http::{Reply, Request, browser_user_agent, excerpt};
use crate::model::{Candle, Interval, ReadingKind};
use crate::plugin::{Backfill, FetchError, Needs, Plugin, Seen, Source, Span};

/// Only bars that have ended count. The hours of its markets are known: outside of them nothing is missed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Yahoo {
    /// One symbol or a list of them, as Yahoo Finance writes them: `AAPL`, `EURUSD=X`, `BTC-USD`.
    symbols: Names,
    /// The length of the bars: `1m`, `2m`, `5m`, `15m`, `30m`, `1h`, `90m`, `1d` or `1w`.
    #[serde(default = "half_hour", deserialize_with = "interval")]
    interval: Interval,
    /// Where Yahoo answers; another address is for a stand-in or a mirror.
    #[serde(default = "base_url")]
    base_url: Url,
}

const INTERVALS: &[u32] = &[1, 2, 5, 15, 30, 60, 90, DAY, WEEK];
const DAY: u32 = 1_440;
const WEEK: u32 = 7 * DAY;

/// Of minutes one answer holds seven days at most.
const MOST_BARS: u32 = 7 * 1_440;

/// How late the slowest exchanges' prices may reach Yahoo.
const DELAY: SignedDuration = SignedDuration::from_mins(20);

fn half_hour() -> Interval {
    Interval::from_minutes(30).expect("thirty is not zero")
}
fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    bars::interval(deserializer, "Yahoo", INTERVALS)
}
fn base_url() -> Url {
    Url::parse("https://query1.finance.yahoo.com").expect("the address is written well")
}

impl Plugin for Yahoo {
    const KIND: &'static str = "yahoo";
    const ABOUT: &'static str = "candles of stocks, funds, currencies and coins from Yahoo Finance";
    const EXAMPLE: &'static str = "symbols = [\"AAPL\", \"MSFT\"]\ninterval = \"30m\"";
}

impl Source for Yahoo {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Candles
    }

    fn requests(&self, needs: &Needs) -> Vec<Request> {
        let range = [("range", range(self.interval, needs.bars))];
        self.symbols.iter().map(|symbol| self.request(symbol, &range)).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let symbol = &*request.subject;
        let answer = reply.json::<Answer>();
        if let Ok(Answer { chart: Chart { error: Some(error), .. } }) = &answer {
            return Err(error.about(symbol));
        }
        reply.ok().map_err(about(symbol))?;
        let series = answer.map_err(about(symbol))?.chart.result.unwrap_or_default();
        let Some(series) = series.into_iter().next() else {
            return Err(FetchError::failed(format!("`{symbol}`: the answer holds no chart")));
        };
        let rows = series.rows();
        let candles = if self.interval.minutes() < DAY {
            bars::closed(within_sessions(rows, &series.meta, self.interval), self.interval, needs.now)
        } else {
            by_date(rows, &series.meta, self.interval, needs.now)
        };
        let url = format!("https://finance.yahoo.com/quote/{}", escaped(symbol));
        Ok(bars::seen(symbol, Some(url), self.interval, candles, needs.now))
    }

    /// Minutes can be had for the last 30 days, other bars of less than an hour for the last 60.
    fn backfill(&self, gap: &Span) -> Option<Backfill> {
        // Days and weeks are stamped with an opening, which east of Greenwich may be on the day before.
        let early = if self.interval.minutes() < DAY { 0 } else { 86_400 };
        let pages = bars::pages(gap, self.interval, MOST_BARS);
        let of = |symbol| {
            pages.iter().map(move |(from, until)| {
                let (from, until) = (from.saturating_sub(early).to_string(), until.to_string());
                self.request(symbol, &[("period1", &*from), ("period2", &*until)])
            })
        };
        Some(Backfill { interval: self.interval, requests: self.symbols.iter().flat_map(of).collect() })
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"rsi\", period = 14, buy_below = 20, sell_above = 80 }]"
    }
}

impl Yahoo {
    fn request(&self, symbol: &str, times: &[(&str, &str)]) -> Request {
        let interval = if self.interval.minutes() == WEEK { "1wk".into() } else { self.interval.to_string() };
        let (bars, sessions) = ([("interval", &*interval)], [("includePrePost", "false")]);
        let query = [&bars, times, &sessions].concat();
        // Yahoo refuses programs that say what they are, and browsers of long ago.
        Request::get(join(&self.base_url, &["v8", "finance", "chart", symbol], &query))
            .header("user-agent", browser_user_agent())
            .about(symbol)
    }
}

/// The smallest range that holds so many closed bars, within the history that Yahoo keeps. Counted in
/// sessions of 6.5 hours, with one more for the session under way; a month of the calendar is taken to
/// have 19 of them, for its holidays.
fn range(interval: Interval, bars: usize) -> &'static str {
    const RANGES: [(&str, usize); 8] = [
        ("5d", 5),
        ("1mo", 19),
        ("3mo", 60),
        ("6mo", 121),
        ("1y", 246),
        ("2y", 494),
        ("5y", 1_240),
        ("10y", 2_480),
    ];
    let minutes = interval.minutes();
    let (sessions, longest) = match minutes {
        WEEK => (bars.saturating_add(1).saturating_mul(5), "10y"),
        DAY => (bars.saturating_add(1), "10y"),
        _ => {
            let longest = match minutes {
                1 => "5d",
                60 => "2y",
                _ => "1mo",
            };
            (bars.div_ceil((390_usize).div_ceil(minutes as usize)).saturating_add(1), longest)
        }
    };
    let fits = |(name, holds): &&(&str, usize)| *holds >= sessions || *name == longest;
    RANGES.iter().find(fits).map_or(longest, |(name, _)| name)
}

/// Drops what is no bar of a regular session: the price of the moment and the closing print, which are
/// not stamped with the start of a bar, and the bars before and after the session. A closing print can
/// even carry the time of a later day's close.
fn within_sessions(mut rows: Vec<Candle>, meta: &Meta, interval: Interval) -> Vec<Candle> {
    let zone = meta.zone();
    let date = |second: i64| Timestamp::from_second(second).map(|time| zone.to_datetime(time).date()).ok();
    let sessions = sessions(&meta.trading_periods);
    let usual = meta.session();
    // Bars of an hour start on the half hour where the exchange opens so; bars of 90 minutes move with
    // daylight saving. None leaves its quarter of an hour.
    let grid = interval.seconds().min(900);
    let phase = |row: &Candle| row.open_time.as_second().rem_euclid(grid);
    let bar_phase = most_common(rows.iter().map(phase).collect());
    let volumes = rows.iter().any(|row| row.volume > 0.0);
    rows.retain(|row| {
        let opened = row.open_time.as_second();
        if Some(phase(row)) != bar_phase {
            return false;
        }
        if sessions.iter().any(|session| session.start <= opened && opened < session.end()) {
            return true;
        }
        if sessions.iter().any(|session| date(session.start) == date(opened)) {
            return false;
        }
        if row.volume > 0.0 {
            return true;
        }
        // Nothing is known of this day but the hours of another. Where others have volume and a session
        // list, a bar without either is a print; else it may be an index, or half an hour without trades.
        (sessions.is_empty() || !volumes)
            && usual.is_none_or(|session| session.has_time_of_day(row.open_time, &zone))
    });
    rows
}

/// Daily and weekly bars are stamped with the opening of a session, or, the last one, with the time of
/// the last trade. Their key is the date at the exchange, so that daylight saving does not make two.
///
/// A day is over when its session is, and its last prices have had the time to arrive. Which session is
/// the day's, the service says for the current one only; a day before today at the exchange is over.
fn by_date(rows: Vec<Candle>, meta: &Meta, interval: Interval, now: Timestamp) -> Vec<Candle> {
    let zone = meta.zone();
    let date = |time: Timestamp| zone.to_datetime(time).date();
    let today = date(now);
    let current = meta.session().and_then(|session| {
        let last = Timestamp::from_second(session.end).ok()?;
        Some((date(last), Timestamp::from_second(session.end()).ok()?))
    });
    let traded_at = meta.regular_market_time.0.and_then(super::moment::seconds);
    let day_is_over = |day: Date| match current {
        Some((session_day, end)) if session_day == day => {
            let settled = traded_at.is_none_or(|time| time >= end);
            now.duration_since(end) >= if settled { SignedDuration::ZERO } else { DELAY }
        }
        _ => day < today,
    };
    let dated = |row: Candle| {
        let day = date(row.open_time);
        let day = if interval.minutes() == WEEK {
            let monday = day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).ok()?;
            Some(monday).filter(|monday| monday.checked_add(1.week()).is_ok_and(|next| next <= today))?
        } else {
            Some(day).filter(|day| day_is_over(*day))?
        };
        Some(Candle { open_time: day.to_zoned(TimeZone::UTC).ok()?.timestamp(), ..row })
    };
    bars::in_order(rows.into_iter().filter_map(dated).collect())
}

fn most_common(mut numbers: Vec<i64>) -> Option<i64> {
    numbers.sort_unstable();
    numbers.chunk_by(|a, b| a == b).max_by_key(|same| same.len())?.first().copied()
}

#[derive(Deserialize)]
struct Answer {
    // Refusals come under another name.
    #[serde(alias = "finance")]
    chart: Chart,
}

#[derive(Deserialize)]
struct Chart {
    result: Option<Vec<Series>>,
    error: Option<Problem>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    description: String,
}

impl Problem {
    fn about(&self, symbol: &str) -> FetchError {
        let said = excerpt(if self.description.is_empty() { &self.code } else { &self.description });
        let unknown = self.code.eq_ignore_ascii_case("not found");
        FetchError::failed(format!("{}`{symbol}`: {said}", if unknown { "unknown symbol " } else { "" }))
    }
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    meta: Meta,
    timestamp: Option<Vec<Number>>,
    #[serde(default)]
    indicators: Indicators,
}

impl Series {
    /// The rows that have a price, as they came: `open_time` is the stamp of the row.
    fn rows(&self) -> Vec<Candle> {
        let stamps = self.timestamp.as_deref().unwrap_or_default();
        let Some(quote) = self.indicators.quote.iter().flatten().next() else { return Vec::new() };
        let row = |(n, stamp): (usize, &Number)| {
            let close = quote.close.as_ref()?.get(n).copied()?;
            // A column that is not there at all (some answers have only `close`) is not a missing price.
            let price = |column: &Column| match column {
                Some(column) => column.get(n).copied().unwrap_or_default(),
                None => close,
            };
            let prices = [price(&quote.open), price(&quote.high), price(&quote.low), close];
            let volume = quote.volume.as_ref().and_then(|column| column.get(n).copied());
            bars::candle(*stamp, prices, volume.unwrap_or_default())
        };
        stamps.iter().enumerate().filter_map(row).collect()
    }
}

#[derive(Default, Deserialize)]
struct Indicators {
    #[serde(default)]
    quote: Vec<Option<Quote>>,
}

type Column = Option<Vec<Number>>;

#[derive(Deserialize)]
struct Quote {
    open: Column,
    high: Column,
    low: Column,
    close: Column,
    volume: Column,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    exchange_timezone_name: Option<String>,
    gmtoffset: Number,
    regular_market_time: Number,
    current_trading_period: Value,
    trading_periods: Value,
}

impl Meta {
    /// The zone of the exchange. Its name, for the offset is only that of today.
    fn zone(&self) -> TimeZone {
        let named = self.exchange_timezone_name.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and so is refused")]
            let offset = self.gmtoffset.0.and_then(|seconds| Offset::from_seconds(seconds as i32).ok());
            offset.map_or(TimeZone::UTC, TimeZone::fixed)
        })
    }

    /// The session under way, or the next, or the last: the one that `regularMarketTime` is nearest to.
    fn session(&self) -> Option<Session> {
        sessions(&self.current_trading_period).first().copied()
    }
}

#[derive(Clone, Copy)]
struct Session {
    start: i64,
    end: i64,
}

impl Session {
    /// The first second after it. What never closes ends, as the service has it, at 23:59.
    const fn end(self) -> i64 {
        if self.end.rem_euclid(3_600) == 59 * 60 { self.end.saturating_add(60) } else { self.end }
    }

    fn has_time_of_day(self, time: Timestamp, zone: &TimeZone) -> bool {
        let of_day = |time: Timestamp| zone.to_datetime(time).time();
        let (Ok(start), Ok(end)) = (Timestamp::from_second(self.start), Timestamp::from_second(self.end()))
        else {
            return true;
        };
        let (start, time, end) = (of_day(start), of_day(time), of_day(end));
        if start < end { start <= time && time < end } else { start <= time || time < end }
    }
}

/// The regular sessions in an object of `pre`, `regular` and `post`, in lists of lists, or in one alone.
fn sessions(value: &Value) -> Vec<Session> {
    match value {
        Value::Array(several) => several.iter().flat_map(sessions).collect(),
        Value::Object(object) => match object.get("regular") {
            Some(regular) => sessions(regular),
            None => object
                .get("start")
                .and_then(Value::as_i64)
                .zip(object.get("end").and_then(Value::as_i64))
                .map(|(start, end)| Session { start, end })
                .into_iter()
                .collect(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
