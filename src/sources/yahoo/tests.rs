use super::*;
use crate::testing::{at, backfilled, fixture, plugin, read};

fn daily() -> Yahoo {
    plugin("symbols = ['AAPL']\ninterval = '1d'")
}

fn candles(source: &Yahoo, body: impl Into<Vec<u8>>, now: &str) -> Vec<Candle> {
    let seen = read(source, 200, body, now).expect("a chart");
    seen.observations.first().and_then(crate::plugin::candles).map(<[Candle]>::to_vec).unwrap_or_default()
}

/// A chart of half-hour bars: stamp, close, volume.
fn chart(meta: &str, rows: &[(&str, &str, u64)]) -> String {
    let column =
        |of: &dyn Fn(&(&str, &str, u64)) -> String| rows.iter().map(of).collect::<Vec<_>>().join(",");
    let (stamps, closes, volumes) = (
        column(&|row| at(row.0).as_second().to_string()),
        column(&|row| row.1.to_owned()),
        column(&|row| row.2.to_string()),
    );
    format!(
        r#"{{"chart":{{"result":[{{"meta":{{"exchangeTimezoneName":"America/New_York"{meta}}},
        "timestamp":[{stamps}],"indicators":{{"quote":[{{"close":[{closes}],"volume":[{volumes}]}}]}}}}],"error":null}}}}"#
    )
}

#[test]
fn the_smallest_range_that_holds_the_bars_is_asked_for() {
    for (interval, bars, range_asked) in [
        ("30m", 14, "5d"),
        ("30m", 140, "1mo"),
        ("30m", 5_000, "1mo"),
        ("1m", 140, "5d"),
        ("1m", 9_999, "5d"),
        ("1h", 140, "3mo"),
        ("1h", 99_999, "2y"),
        ("1d", 0, "5d"),
        ("1d", 140, "1y"),
        ("1w", 140, "5y"),
        ("1w", usize::MAX, "10y"),
    ] {
        assert_eq!(range(interval.parse().expect(interval), bars), range_asked, "{interval} {bars}");
    }
}

#[test]
fn each_symbol_is_asked_for_under_the_base_like_a_browser() {
    let source: Yahoo =
        plugin("symbols = ['^VIX', 'EURUSD=X']\ninterval = '1w'\nbase_url = 'http://127.0.0.1:9100/yahoo/'");
    let asked = source.requests(&Needs { now: at("2026-11-20T12:00:00Z"), bars: 14 });
    let urls: Vec<_> = asked.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(
        urls,
        ["%5EVIX", "EURUSD%3DX"].map(|symbol| format!(
            "http://127.0.0.1:9100/yahoo/v8/finance/chart/{symbol}?interval=1wk&range=6mo&includePrePost=false"
        ))
    );
    assert_eq!(asked[0].headers, [("user-agent".to_owned(), browser_user_agent().to_owned())]);
    let refused = toml::from_str::<Yahoo>("symbols = ['A']\ninterval = '20m'").err().expect("no such bar");
    assert!(refused.to_string().contains("Yahoo has no bars of 20m; it has those of 1m, 2m"), "{refused}");
}

#[test]
fn a_gap_is_asked_for_by_its_times() {
    let asked = |interval: &str| {
        let source: Yahoo = plugin(&format!("symbols = ['AAPL']\ninterval = '{interval}'"));
        backfilled(&source, "2026-11-20T15:07:00Z", "2026-11-28T16:00:00Z")
    };
    let second = |time: &str| at(time).as_second();
    let (from, until) = (second("2026-11-20T15:00:00Z"), second("2026-11-28T16:30:00Z"));
    assert_eq!(
        asked("30m"),
        [format!("/v8/finance/chart/AAPL?interval=30m&period1={from}&period2={until}&includePrePost=false")]
    );
    assert_eq!(asked("1m").len(), 2, "minutes come for a week at most");
    let days = asked("1d").remove(0);
    assert!(days.contains(&format!("period1={}", second("2026-11-19T00:00:00Z"))), "{days}");
}

#[test]
fn rows_without_a_price_are_no_bars() {
    let rows = [
        ("2026-11-20T14:30:00Z", "null", 0),
        ("2026-11-20T15:00:00Z", "\"Infinity\"", 5),
        ("2026-11-20T15:30:00Z", "\"7.5\"", 5),
        ("2026-11-20T16:00:00Z", "\"NaN\"", 5),
    ];
    let source: Yahoo = plugin("symbols = ['AAPL']");
    let read = candles(&source, chart("", &rows), "2026-11-20T18:00:00Z");
    let [bar] = read[..] else { panic!("{read:?}") };
    assert_eq!((bar.open, bar.high, bar.low, bar.close, bar.volume), (7.5, 7.5, 7.5, 7.5, 5.0));
}

#[test]
fn open_bars_live_prices_and_closing_prints_are_left_out() {
    let session = |day: &str| {
        let second = |time: &str| at(&format!("{day}T{time}Z")).as_second();
        format!("{{\"start\":{},\"end\":{}}}", second("14:30:00"), second("21:00:00"))
    };
    let listed = format!(",\"tradingPeriods\":[[{}]]", session("2026-11-19"));
    let usual = format!(",\"currentTradingPeriod\":{{\"regular\":{}}}", session("2026-11-20"));
    let source: Yahoo = plugin("symbols = ['AAPL']");
    let rows = [
        ("2026-11-19T20:00:00Z", "1", 9),
        ("2026-11-19T20:30:00Z", "2", 9),
        ("2026-11-19T21:00:00Z", "3", 0),
        ("2026-11-20T21:00:00Z", "4", 0),
    ];
    let kept = |meta: &str, rows: &[_], now| -> Vec<f64> {
        candles(&source, chart(meta, rows), now).iter().map(|bar| bar.close).collect()
    };
    // The print of a close, and that of the next day's, outside what was asked.
    assert_eq!(kept(&listed, &rows, "2026-11-21T12:00:00Z"), [1.0, 2.0]);
    assert_eq!(kept(&usual, &rows, "2026-11-21T12:00:00Z"), [1.0, 2.0]);
    // The bar under way, and the price of the moment.
    let rows = [
        ("2026-11-19T15:00:00Z", "1", 9),
        ("2026-11-19T15:30:00Z", "2", 0),
        ("2026-11-19T16:00:00Z", "3", 9),
        ("2026-11-19T16:12:07Z", "4", 0),
    ];
    for meta in [&*listed, &usual, ""] {
        assert_eq!(kept(meta, &rows, "2026-11-19T16:12:30Z"), [1.0, 2.0], "{meta}");
        assert_eq!(kept(meta, &rows, "2026-11-19T20:00:00Z"), [1.0, 2.0, 3.0], "{meta}");
    }
}

#[test]
fn what_never_closes_keeps_its_last_bar_of_the_day() {
    let day = at("2026-11-19T00:00:00Z").as_second();
    let meta = format!(",\"tradingPeriods\":[[{{\"start\":{day},\"end\":{}}}]]", day + 86_340);
    let source: Yahoo = plugin("symbols = ['BTC-USD']\ninterval = '1m'");
    let rows = [("2026-11-19T23:58:00Z", "1", 0), ("2026-11-19T23:59:00Z", "2", 0)];
    assert_eq!(candles(&source, chart(&meta, &rows), "2026-11-20T00:00:30Z").len(), 2);
}

#[test]
fn a_day_keeps_its_date_over_daylight_saving_and_counts_when_it_is_over() {
    let session = "\"currentTradingPeriod\":{\"regular\":{\"start\":1793975400,\"end\":1793998800}}";
    let meta = |traded_at: &str| format!(",\"regularMarketTime\":{},{session}", at(traded_at).as_second());
    let rows = [
        ("2026-10-30T13:30:00Z", "1", 9), // summer time
        ("2026-11-05T14:30:00Z", "2", 9),
        ("2026-11-06T14:30:00Z", "3", 9),
        ("2026-11-06T20:59:50Z", "4", 9), // the same day once more, as of its last trade
    ];
    let days = |traded_at: &str, now: &str| -> Vec<(String, f64)> {
        let read = candles(&daily(), chart(&meta(traded_at), &rows), now);
        read.iter().map(|bar| (bar.open_time.strftime("%F %T").to_string(), bar.close)).collect()
    };
    let day = |date: &str, close| (format!("{date} 00:00:00"), close);
    let earlier = [day("2026-10-30", 1.0), day("2026-11-05", 2.0)];
    let all = [day("2026-10-30", 1.0), day("2026-11-05", 2.0), day("2026-11-06", 4.0)];
    assert_eq!(days("2026-11-06T20:59:50Z", "2026-11-06T20:59:55Z"), earlier);
    // The session is over, but prices may be late by twenty minutes where the last is from before.
    assert_eq!(days("2026-11-06T20:59:50Z", "2026-11-06T21:05:00Z"), earlier);
    assert_eq!(days("2026-11-06T20:59:50Z", "2026-11-06T21:20:00Z"), all);
    assert_eq!(days("2026-11-06T21:00:01Z", "2026-11-06T21:00:05Z"), all);
}

#[test]
fn a_week_counts_from_the_next_monday_on() {
    let weekly: Yahoo = plugin("symbols = ['AAPL']\ninterval = '1w'");
    let rows = [("2026-11-09T05:00:00Z", "1", 9), ("2026-11-16T05:00:00Z", "2", 9)];
    for (now, weeks) in [("2026-11-22T23:00:00Z", 1), ("2026-11-23T06:00:00Z", 2)] {
        let read = candles(&weekly, chart("", &rows), now);
        assert_eq!(read.len(), weeks, "{now}");
        assert_eq!(read[0].open_time, at("2026-11-09T00:00:00Z"));
    }
}

#[test]
fn what_the_service_says_of_a_symbol_is_told() {
    for (status, body, said) in [
        (
            422,
            r#"{"chart":{"result":null,"error":{"code":"Unprocessable Entity","description":"Bad pair"}}}"#,
            "`AAPL`: Bad pair",
        ),
        (
            401,
            r#"{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}"#,
            "`AAPL`: Invalid Crumb",
        ),
        (200, r#"{"chart":{"result":[],"error":null}}"#, "`AAPL`: the answer holds no chart"),
        (200, "<html>", "`AAPL`: the answer is an HTML page where JSON was due"),
        (200, "", "`AAPL`: the answer is empty where JSON was due"),
        (502, "<html>", "`AAPL`: HTTP 502 Bad Gateway"),
    ] {
        let error = read(&daily(), status, body, "2026-11-20T12:00:00Z").expect_err(said);
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn captured_days_are_read() {
    // File, the moment right after the capture, bars, the first and the last of them.
    for (file, now, bars, first, last) in [
        (
            "AAPL_1d_2020-08-31_split_dividend",
            "2021-11-20T00:00:00Z",
            49,
            ("2020-08-31", 129.04),
            ("2020-11-06", 118.69),
        ),
        ("AAPL_1d_6mo_2025", "2025-10-29T20:00:05Z", 127, ("2025-04-30", 212.5), ("2025-10-29", 269.7)),
        ("AAPL_1d_6mo_2025", "2025-10-29T19:59:00Z", 126, ("2025-04-30", 212.5), ("2025-10-28", 269.0)),
        (
            "ALL.AX_1d_3mo_live_last_bar",
            "2022-01-13T05:10:10Z",
            63,
            ("2021-10-13", 44.7009),
            ("2022-01-12", 44.15),
        ),
        (
            "BTC-USD_1d_2020-01-01",
            "2025-02-20T12:00:00Z",
            3,
            ("2020-01-01", 7200.1743),
            ("2020-01-03", 7344.8843),
        ),
        ("EURUSD_1d_2020-01-01", "2025-02-20T12:00:00Z", 3, ("2020-01-01", 1.1221), ("2020-01-03", 1.1171)),
        (
            "WSU.DE_1d_2023-08_null_bar",
            "2023-09-04T08:00:00Z",
            2,
            ("2023-08-04", 34.45),
            ("2023-08-08", 33.2),
        ),
        (
            "MUV2.DE_1d_6mo_null_close_only",
            "2020-10-16T15:36:00Z",
            123,
            ("2017-11-27", 188.55),
            ("2018-05-25", 188.3),
        ),
    ] {
        let Some(body) = fixture(&format!("yahoo/{file}.json")) else { return };
        let read = candles(&daily(), body, now);
        assert_eq!(read.len(), bars, "{file} {now}");
        // Prices are single precision, widened.
        let close = |bar: &Candle| (bar.close * 10_000.0).round() / 10_000.0;
        let day = |bar: &Candle| (bar.open_time.strftime("%F").to_string(), close(bar));
        assert_eq!(day(&read[0]), (first.0.to_owned(), first.1), "{file}");
        assert_eq!(day(&read[bars - 1]), (last.0.to_owned(), last.1), "{file}");
        assert!(read.is_sorted_by(|a, b| a.open_time < b.open_time), "{file}");
    }
}

#[test]
fn of_a_captured_day_with_its_fringes_the_regular_bars_stay() {
    let Some(body) = fixture("yahoo/TSLA_30m_2021-11-22_prepost.json") else { return };
    let source: Yahoo = plugin("symbols = ['TSLA']");
    let read = candles(&source, body.clone(), "2021-11-23T00:00:00Z");
    assert_eq!(read.len(), 13);
    assert_eq!(read[0].open_time, at("2021-11-22T14:30:00Z"));
    assert_eq!(read[12].open_time, at("2021-11-22T20:30:00Z"));
    assert!(read.iter().all(|bar| bar.volume > 0.0));
    // Half way through the session.
    assert_eq!(candles(&source, body, "2021-11-22T16:10:00Z").len(), 3);
}

#[test]
fn captured_silences_and_errors_are_told_apart() {
    let Some(empty) = fixture("yahoo/AAPL_1m_weekend_empty.json") else { return };
    assert_eq!(candles(&plugin("symbols = ['AAPL']\ninterval = '1m'"), empty, "2025-02-20T12:00:00Z"), []);
    let body = |name: &str| fixture(&format!("yahoo/{name}")).expect("the set is whole");
    assert_eq!(candles(&daily(), body("VXAPL_1d_empty.json"), "2021-11-20T00:00:00Z"), []);
    for (status, file, said) in [
        (404, "error_404_not_found.json", "unknown symbol `AAPL`: No data found, symbol may be delisted"),
        (
            400,
            "error_400_no_data_for_range.json",
            "`AAPL`: Data doesn't exist for startDate = 1577836800, endDate = 1578009600",
        ),
    ] {
        let error = read(&daily(), status, body(file), "2021-11-20T00:00:00Z").expect_err(said);
        assert_eq!(error.to_string(), said);
    }
    for file in ["error_429_body.txt", "error_429_body_edge.txt"] {
        let url = base_url();
        let wall = crate::http::wall_sign(&Reply::captured(429, url.clone(), body(file)));
        assert_eq!(wall.as_deref(), Some("HTTP 429: too many requests"), "{file}");
        // With another status it is at least no chart.
        assert!(read(&daily(), 200, body(file), "2021-11-20T00:00:00Z").is_err());
    }
}
