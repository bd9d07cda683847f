use super::*;

const NOW: &str = "2026-11-21T10:44:31Z";

fn now() -> Timestamp {
    crate::testing::at(NOW)
}

fn asked(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn closes(symbol: &str, millis: u64, range: &str) -> Vec<f64> {
    let asked = asked(&[("interval", "30m"), ("range", range)]);
    let chart = chart(symbol, &asked, scene(Duration::from_millis(millis)), now()).expect("a chart");
    let closes = chart["indicators"]["quote"][0]["close"].as_array().expect("closes").clone();
    closes.iter().map(|close| close.as_f64().expect("a number")).collect()
}

/// Wilder's smoothing, started from the first row.
fn rsi(closes: &[f64]) -> f64 {
    let (mut gain, mut loss) = (0.0, 0.0);
    for pair in closes.windows(2) {
        let change = pair[1] - pair[0];
        gain += (change.max(0.0) - gain) / 14.0;
        loss += ((-change).max(0.0) - loss) / 14.0;
    }
    100.0 * gain / (gain + loss)
}

#[test]
fn apple_is_a_buy_and_then_a_sell_within_ten_seconds_of_every_round() {
    for range in ["5d", "1mo"] {
        for round in [0, 40_000, 4_000_000] {
            let at = |millis: u64| rsi(&closes("AAPL", round + millis, range));
            assert!((25.0..75.0).contains(&at(0)), "{range}: starts calm, at {}", at(0));
            for (from, to, below, above) in [(2_500, 4_000, 20.0, 0.0), (8_000, 9_400, 100.0, 80.0)] {
                for millis in (from..to).step_by(250) {
                    let now = at(millis);
                    assert!(now < below && now > above, "{range}: {now} at {millis} ms");
                }
            }
            for millis in (12_000..40_000).step_by(250) {
                assert!((20.0..80.0).contains(&at(millis)), "{range}: {} at {millis} ms", at(millis));
            }
        }
    }
    assert!((25.0..75.0).contains(&rsi(&closes("MSFT", 3_000, "1mo"))));
    assert!(rsi(&closes("MSFT", 23_000, "1mo")) < 20.0);
}

#[test]
fn rounds_join_without_a_jump() {
    let path = closes("AAPL", 100_000, "1mo");
    for pair in path.windows(2) {
        assert!((pair[1] / pair[0]).ln().abs() < 0.0151, "{pair:?}");
    }
    assert!((path[0] / path[160] - 1.0).abs() < 1e-6);
}

#[test]
fn every_bar_of_a_chart_is_closed_and_has_five_numbers() {
    for (interval, seconds) in [("30m", 1_800), ("1h", 3_600), ("1d", 86_400)] {
        let asked = asked(&[("interval", interval), ("range", "1mo")]);
        let chart = chart("AAPL", &asked, scene(Duration::ZERO), now()).expect("a chart");
        let times = chart["timestamp"].as_array().expect("times");
        assert_eq!(times.len(), 273);
        let last = times.last().and_then(Value::as_i64).expect("a time");
        assert!(last + seconds <= now().as_second() && last + 2 * seconds > now().as_second());
        assert_eq!(last % seconds, 0);
        for name in ["open", "high", "low", "close", "volume"] {
            let row = chart["indicators"]["quote"][0][name].as_array().expect(name);
            assert!(row.len() == 273 && row.iter().all(|n| n.as_f64().is_some_and(|n| n > 0.0)), "{name}");
        }
    }
    let since = (now().as_second() - 10 * 1_800).to_string();
    let since = asked(&[("interval", "30m"), ("period1", &since)]);
    let chart = chart("AAPL", &since, scene(Duration::ZERO), now()).expect("a chart");
    assert_eq!(chart["timestamp"].as_array().map(Vec::len), Some(9));
}

#[test]
fn what_is_not_known_is_refused_as_the_services_do() {
    let nobody = chart("NONE", &asked(&[]), scene(Duration::ZERO), now());
    assert_eq!(nobody.err().map(|error| error.0), Some(StatusCode::NOT_FOUND));
    assert_eq!(quote("NONE", scene(Duration::ZERO), now())["t"], 0);
    assert_eq!(ticker(Some("XBTUSD,NONE"), scene(Duration::ZERO))["error"][0], "EQuery:Unknown asset pair");
}

#[test]
fn a_quote_follows_the_chart() {
    let scene = scene(Duration::from_millis(3_200));
    let quote = quote("AAPL", scene, now());
    let last = *closes("AAPL", 3_200, "1d").last().expect("a bar");
    assert!((quote["c"].as_f64().expect("a price") - last).abs() < 0.01);
    assert!(quote["dp"].as_f64().expect("a share") < -10.0, "{quote}");
    assert_eq!(quote["t"], now().as_second());
}

#[test]
fn a_coin_is_traded_many_times_its_usual_amount_for_three_seconds() {
    let volume = |millis: u64| {
        let all = ticker(None, scene(Duration::from_millis(millis)));
        assert_eq!(all["result"].as_object().map(Map::len), Some(MARKETS.len()));
        let volume = all["result"]["XDGUSD"]["v"][1].as_str().map(str::parse::<f64>);
        volume.expect("a text").expect("a number")
    };
    let usual = volume(0);
    for (millis, times) in [(6_900, 1.0), (7_000, 20.0), (9_900, 20.0), (10_100, 1.0), (48_000, 20.0)] {
        assert!((volume(millis) / usual / times - 1.0).abs() < 0.05, "{millis} ms");
    }
    assert!(ticker(Some("XBTUSD"), scene(Duration::ZERO))["result"]["XXBTZUSD"]["c"][0].is_string());
}

#[test]
fn a_card_comes_into_stock_and_is_gone() {
    let in_stock = |second: u64| shop::listing(second).matches("Add to cart <i").count();
    for (second, count) in [(0, 1), (2, 1), (3, 2), (5, 2), (6, 1), (16, 3), (39, 1)] {
        assert_eq!(in_stock(second), count, "second {second}");
        let page = shop::listing(second);
        assert_eq!(page.matches("OUT OF STOCK").count(), 8 - count);
    }
    let page = |second| shop::product("N82E16814137603", second).expect("a page");
    assert!(page(4).contains("In stock.") && page(7).contains("OUT OF STOCK."));
    assert_eq!(shop::product("N82E1", 0), None);
}

#[test]
fn gasoline_falls_at_four_seconds_and_goes_on_falling_and_rising() {
    let newest = |millis: u64, limit: &str| {
        let asked = asked(&[("$order", "date DESC"), ("$limit", limit)]);
        let rows = gasoline(&asked, scene(Duration::from_millis(millis)).weeks, now());
        rows.as_array().expect("rows").clone()
    };
    let price = |row: &Value| -> f64 {
        row["new_york_state_average_gal"].as_str().expect("a text").parse().expect("a number")
    };
    assert_eq!(newest(3_900, "1")[0]["date"], newest(0, "1")[0]["date"]);
    for (millis, falls) in [(4_000, true), (24_000, false), (44_000, true), (444_000, true)] {
        let rows = newest(millis, "2");
        assert_eq!(rows.len(), 2);
        assert!(rows[0]["date"].as_str() > rows[1]["date"].as_str());
        assert_eq!(price(&rows[0]) < price(&rows[1]), falls, "{millis} ms: {rows:?}");
    }
    let caught_up = newest(1_000_000_000, "1");
    assert_eq!(caught_up[0]["date"], "2026-11-16T00:00:00.000");
    assert_eq!(caught_up[0].as_object().map(Map::len), Some(18));
    let oldest_first = gasoline(&asked(&[]), 0, now());
    assert_eq!(oldest_first[0]["date"], "2007-10-29T00:00:00.000");
}

#[test]
fn the_configuration_is_toml_that_names_the_origin_and_the_folder() {
    let origin = Url::parse("http://127.0.0.1:4000/").expect("a URL");
    let text = config(&origin, FilePath::new("/tmp/a \"b\" c"));
    let table: toml::Table = text.parse().expect("TOML");
    assert_eq!(table["daemon"]["data_dir"].as_str(), Some("/tmp/a \"b\" c"));
    assert_eq!(table["source"]["yahoo"]["base_url"].as_str(), Some("http://127.0.0.1:4000"));
    assert_eq!(table["watch"].as_table().map(toml::Table::len), Some(5));
}

#[tokio::test]
async fn the_origin_answers_until_it_is_dropped() {
    use crate::http::{Http, Request, Settings};

    let origin = Origin::start().expect("a free port");
    let http = Http::new(Settings::default()).expect("a client");
    for (path, part) in [
        ("v8/finance/chart/AAPL?interval=30m&range=1mo", "\"timestamp\":["),
        ("quote?symbol=AAPL", "\"pc\":"),
        ("api/v1/quote?symbol=NONE", "\"t\":0"),
        ("0/public/Ticker", "XXBTZUSD"),
        ("p/pl?d=rtx+3070", "item-cell"),
        ("x/p/N82E16814137603", "product-inventory"),
        ("resource/nqur-w4p7.json?$order=date%20DESC&$limit=2", "new_york_state_average_gal"),
        ("page", "Town hall"),
    ] {
        let url = origin.url().join(path).expect("a URL");
        let reply = http.send(&Request::get(url)).await.expect(path);
        assert!(reply.status == 200 && reply.text().contains(part), "{path}: {}", reply.text());
    }
    let url = origin.url();
    drop(origin);
    for _ in 0..1_000 {
        if http.send(&Request::get(url.clone())).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it still answers");
}
