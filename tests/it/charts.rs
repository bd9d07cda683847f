//! From what was stored to what is drawn.

use serde_json::Value;
use stakeout::chart::{self, Seen, Window};
use stakeout::watchlist::Watchlist;

use crate::harness::{Harness, chart, falling, gasoline, listing, moment, ticker};

const WEB: &str = "[web]\nlisten = \"127.0.0.1:0\"\n";

const SPAN: &str = "from=2026-11-01T00:00:00Z&until=2026-11-21T00:00:00Z";

async fn ask(harness: &Harness, path: &str, known: &str) -> reqwest::Response {
    let address = harness.daemon().web().unwrap();
    let request = reqwest::Client::new().get(format!("http://{address}{path}"));
    request.header("if-none-match", known).send().await.unwrap()
}

async fn json(harness: &Harness, path: &str) -> Value {
    let reply = ask(harness, path, "").await;
    assert_eq!(reply.status(), 200, "{path}");
    serde_json::from_str(&reply.text().await.unwrap()).unwrap()
}

/// What is gathered of a subject of the only watch.
async fn gathered(harness: &Harness, subject: &str, from: &str, until: &str) -> Option<chart::Chart> {
    let watchlist = Watchlist::load(&harness.stage.config()).unwrap();
    let window = Window { from: moment(from), until: moment(until) };
    let watch = &watchlist.watches[0];
    let id = harness.stage.count("select id from watch").await;
    chart::gather(harness.daemon().store(), (id, watch), subject, window).await.unwrap()
}

#[tokio::test]
async fn a_share_is_drawn_with_its_index_and_its_messages_and_as_the_picture_of_one() {
    let toml = r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"] }
every = "30m"
"#;
    let harness = Harness::start(&format!("{WEB}{toml}")).await;
    harness
        .site()
        .show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T10:00:00Z"), &falling(60)));
    let report = harness.tick("shares", "2026-11-20T10:31:00Z").await;
    let judged = report.signals[0].value.unwrap();
    harness.settled().await;

    let drawn = json(&harness, &format!("/watches/shares/chart.json?{SPAN}&width=900")).await;
    let columns: Vec<&str> = drawn["columns"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(columns, ["open", "high", "low", "close", "volume", "RSI 14"]);
    let points = drawn["points"].as_array().unwrap();
    assert_eq!(points.len(), 60);
    assert_eq!(points[59]["values"][5].as_f64(), Some(judged), "drawn as it was judged");
    assert_eq!(drawn["marks"][0]["title"], "time to buy AAPL");
    assert_eq!(
        drawn["panels"].as_array().unwrap().iter().filter(|panel| panel["name"] == "RSI 14").count(),
        1
    );

    let svg = ask(&harness, &format!("/watches/shares/chart.svg?{SPAN}&subject=AAPL"), "").await;
    assert_eq!(svg.headers()["content-type"], "image/svg+xml");
    let tag = svg.headers()["etag"].to_str().unwrap().to_owned();
    assert!(svg.text().await.unwrap().contains("buy below 20"));
    let again = ask(&harness, &format!("/watches/shares/chart.svg?{SPAN}&subject=AAPL"), &tag).await;
    assert_eq!(again.status(), 304);
    let png =
        ask(&harness, &format!("/watches/shares/chart.png?{SPAN}&width=640&height=360&theme=dark"), "").await;
    assert_eq!(png.headers()["content-type"], "image/png");
    let png = png.bytes().await.unwrap();
    assert_eq!((&png[1..4], &png[16..24]), (b"PNG".as_slice(), [0, 0, 2, 128, 0, 0, 1, 104].as_slice()));

    // A message that is sent late shows what was known when it was written.
    harness
        .site()
        .show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T10:30:00Z"), &falling(61)));
    harness.tick("shares", "2026-11-20T11:01:00Z").await;
    let store = harness.daemon().store();
    let alert = store.alerts(None, moment("2026-11-01T00:00:00Z"), 1).await.unwrap().remove(0).alert;
    let watchlist = Watchlist::load(&harness.stage.config()).unwrap();
    let id = harness.stage.count("select id from watch").await;
    let picture = chart::picture_of(store, (id, &watchlist.watches[0]), &alert).await.unwrap().unwrap();
    assert_eq!(&picture.png[16..24], [0, 0, 3, 32, 0, 0, 1, 194].as_slice(), "800 by 450");
    assert!(
        picture.alt.starts_with("AAPL from 19 Nov 2026 04:30 to 20 Nov 2026 10:00: last 941"),
        "{}",
        picture.alt
    );

    for (path, status, why) in [
        ("/watches/nothing/chart.svg", 404, "There is no such watch."),
        ("/watches/shares/chart.svg?subject=MSFT", 404, "There is nothing to draw"),
        ("/watches/shares/chart.json?range=2y", 400, "`range` must be one of"),
        ("/watches/shares/chart.png?width=90000", 400, "`width` must be"),
        ("/watches/shares/chart.svg?until=now", 400, "`until` is no moment"),
    ] {
        let reply = ask(&harness, path, "").await;
        assert_eq!(reply.status(), status, "{path}");
        assert!(reply.text().await.unwrap().starts_with(why), "{path}");
    }
}

#[tokio::test]
async fn a_price_holds_from_before_the_window_until_it_is_another() {
    let harness = Harness::start(
        r#"
[watch.coins]
source = { kind = "kraken", base_url = "{origin}", symbols = ["XBTUSD"] }
strategy = [{ kind = "percent_change", by = 5, window = "10m" }, { kind = "threshold", above = 100_000 }]
every = "1m"
"#,
    )
    .await;
    for (minute, price) in [(0, 50_000.0), (1, 50_000.0), (5, 51_000.0), (20, 52_000.0)] {
        harness.site().show("/0/public/Ticker", ticker(&[("XXBTZUSD", price)]));
        harness.tick("coins", &format!("2026-11-20T10:{minute:02}:00Z")).await;
    }
    let drawn = gathered(&harness, "XBTUSD", "2026-11-20T10:03:00Z", "2026-11-20T10:30:00Z").await.unwrap();
    let values = [("10:03", 50_000.0), ("10:05", 51_000.0), ("10:20", 52_000.0)];
    let values = values.map(|(at, price)| (moment(&format!("2026-11-20T{at}:00Z")), price));
    assert_eq!((drawn.seen, drawn.line), (Seen::Values(values.to_vec()), chart::Line::Step));
    let then: Vec<f64> = drawn.plots[0].curves[0].points.iter().map(|(_, then)| *then).collect();
    assert_eq!(then, [51_000.0], "ten minutes before 10:20; nothing is known of before 10:05");
    assert_eq!(drawn.plots[1].limits[0].value, 100_000.0);
    let empty = gathered(&harness, "XBTUSD", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z").await.unwrap();
    assert!(empty.seen.is_empty(), "a stretch in which nothing was seen is drawn as such");
    assert_eq!(gathered(&harness, "ETHUSD", "2026-11-01T00:00:00Z", "2026-11-21T00:00:00Z").await, None);

    // More than anybody could tell apart is put together, and nothing of it is left out.
    let more =
        "insert into observation (watch_id, subject, observed_at, first_seen_at, last_seen_at, reading)
                with recursive n(n) as (select 1 union all select n + 1 from n where n < 12000)
                select watch_id, subject, observed_at - n * 60000, observed_at - n * 60000,
                       observed_at - n * 60000, json_set(reading, '$.price', 40000.0 + n % 100)
                from n, (select * from observation order by observed_at limit 1)";
    harness.stage.change(more).await;
    let all = gathered(&harness, "XBTUSD", "1970-01-01T00:00:00Z", "2026-11-20T10:30:00Z").await.unwrap();
    let Seen::Values(values) = &all.seen else { panic!("values") };
    assert!((2_000..8_000).contains(&values.len()), "{}", values.len());
    assert!(values.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(values.last(), Some(&(moment("2026-11-20T10:20:00Z"), 52_000.0)));
    let oldest = moment("2026-11-12T02:00:00Z");
    assert!(values[0].0 <= oldest.checked_add(jiff::SignedDuration::from_mins(10)).unwrap());
    for extreme in [40_000.0, 40_099.0] {
        assert!(values.iter().any(|(_, value)| *value == extreme), "{extreme}");
    }
    assert!(all.without_indicators && all.in_words().contains("too much for the indicators"));
    let limits: Vec<f64> = all.plots.iter().flat_map(|plot| &plot.limits).map(|limit| limit.value).collect();
    assert_eq!(limits, [100_000.0]);
}

#[tokio::test]
async fn a_dated_series_is_drawn_by_its_dates_with_its_drops() {
    let harness = Harness::start(
        r#"
[watch.gas]
source = { kind = "ny_gas", region = "new_york_state", base_url = "{origin}" }
strategy = [{ kind = "price_drop" }]
every = "1d"
"#,
    )
    .await;
    let weeks = [("2026-10-26", 3.52), ("2026-11-02", 3.47), ("2026-11-09", 3.47), ("2026-11-16", 3.41)];
    harness.site().show("/resource/nqur-w4p7.json", gasoline(&weeks));
    let report = harness.tick("gas", "2026-11-20T09:00:00Z").await;
    assert!(report.error.is_none(), "{:?}", report.error);
    let subject = report.signals[0].subject.clone();
    let drawn = gathered(&harness, &subject, "2026-10-20T00:00:00Z", "2026-11-20T10:00:00Z").await.unwrap();
    let Seen::Values(values) = &drawn.seen else { panic!("values") };
    assert_eq!(
        (values.len(), drawn.line),
        (4, chart::Line::Straight),
        "each date, also where nothing changed"
    );
    let after = gasoline(&[("2026-11-16", 3.41), ("2026-11-23", 3.30)]);
    harness.site().show("/resource/nqur-w4p7.json", after);
    harness.tick("gas", "2026-11-27T09:00:00Z").await;
    let later = gathered(&harness, &subject, "2026-10-20T00:00:00Z", "2026-11-30T00:00:00Z").await.unwrap();
    let marked: Vec<String> = later.marks.iter().map(|mark| mark.at.to_string()).collect();
    assert_eq!(marked, ["2026-11-23T00:00:00Z"], "a message stands at the date that it told about");
    let drops: Vec<f64> = drawn.plots[0].hits.iter().map(|(_, price)| *price).collect();
    assert_eq!(drops, [3.47, 3.41]);
    assert_eq!(drawn.unit, "USD per gallon");
}

#[tokio::test]
async fn an_item_of_a_shop_is_drawn_with_its_price_and_whether_it_could_be_had() {
    let harness = Harness::start(
        r#"
[watch.cards]
source = { kind = "newegg", url = "{origin}/p/pl?d=rtx" }
every = "1m"
"#,
    )
    .await;
    for (minute, dollars, stock) in [(0, 549, true), (7, 549, false), (9, 499, true)] {
        harness.site().show("/p/pl", listing(&[("N82E1", "Card One", dollars, stock)]));
        harness.tick("cards", &format!("2026-11-20T10:{minute:02}:00Z")).await;
    }
    let drawn = gathered(&harness, "N82E1", "2026-11-20T09:00:00Z", "2026-11-20T11:00:00Z").await.unwrap();
    let Seen::Offers(offers) = &drawn.seen else { panic!("offers") };
    let told: Vec<(Option<f64>, String)> =
        offers.iter().map(|(_, price, stock)| (*price, stock.unwrap().to_string())).collect();
    let expected = [(549.99, "in stock"), (549.99, "out of stock"), (499.99, "in stock")];
    assert_eq!(told, expected.map(|(price, stock)| (Some(price), stock.to_owned())));
    assert_eq!(drawn.unit, "USD");
    let marks: Vec<bool> = drawn.marks.iter().map(|mark| mark.firing).collect();
    assert!(marks.contains(&true) && marks.contains(&false), "{marks:?}");

    // It is no longer shown, and comes back.
    for (minute, shows) in [(12, false), (15, true)] {
        let both = [("N82E2", "Card Two", 300, true), ("N82E1", "Card One", 499, true)];
        harness.site().show("/p/pl", listing(&both[..if shows { 2 } else { 1 }]));
        harness.tick("cards", &format!("2026-11-20T10:{minute:02}:00Z")).await;
        let until = format!("2026-11-20T10:{}:30Z", minute);
        let drawn = gathered(&harness, "N82E1", "2026-11-20T10:08:00Z", &until).await.unwrap();
        let Seen::Offers(offers) = &drawn.seen else { panic!("offers") };
        let (_, price, stock) = offers.last().unwrap();
        assert_eq!((price.is_some(), stock.is_some()), (shows, shows), "{offers:?}");
        assert_eq!(drawn.in_words().contains("; not listed"), !shows);
        if shows {
            let gone = (moment("2026-11-20T10:12:00Z"), None, None);
            assert!(offers.contains(&gone), "{offers:?}");
        }
    }
}

#[tokio::test]
async fn of_more_bars_than_can_be_told_apart_longer_ones_are_drawn() {
    let harness = Harness::start(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"] }
every = "30m"
"#,
    )
    .await;
    harness
        .site()
        .show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T10:00:00Z"), &falling(60)));
    harness.tick("shares", "2026-11-20T10:31:00Z").await;
    let more = "insert into candle (watch_id, subject, interval, open_time, open, high, low, close, volume)
                with recursive n(n) as (select 1 union all select n + 1 from n where n < 12000)
                select watch_id, subject, interval, open_time - n * 1800000, open, high + n, low, close, 2
                from n, (select * from candle order by open_time limit 1)";
    harness.stage.change(more).await;
    let drawn = gathered(&harness, "AAPL", "2025-01-01T00:00:00Z", "2026-11-20T11:00:00Z").await.unwrap();
    let Seen::Candles(interval, bars) = &drawn.seen else { panic!("bars") };
    assert_eq!(interval.to_string(), "210m");
    assert!((1_700..=2_000).contains(&bars.len()), "{}", bars.len());
    assert_eq!(bars.last().unwrap().close, 941.0, "up to the newest");
    assert_eq!(bars[0].high, 13_000.0, "no extreme is lost");
    assert!(drawn.plots.is_empty(), "an index of longer bars would be another");
    assert!(drawn.without_indicators, "and that is said");
}

#[tokio::test]
async fn a_message_carries_the_chart_of_what_it_tells() {
    let harness = Harness::start(
        r#"
[notify.hook]
kind = "webhook"
url = "{origin}/hook/hook"
attach_chart = true
[notify.discord]
kind = "discord"
url = "{origin}/hook/discord"
attach_chart = true
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"] }
every = "30m"
[watch.cards]
source = { kind = "newegg", url = "{origin}/p/pl?d=rtx" }
every = "1m"
[watch.gas]
source = { kind = "ny_gas", region = "new_york_state", base_url = "{origin}" }
every = "1d"
"#,
    )
    .await;
    let site = harness.site();
    site.show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T10:00:00Z"), &falling(60)));
    harness.tick("shares", "2026-11-20T10:31:00Z").await;
    for (minute, stock) in [(0, false), (7, true)] {
        harness.site().show("/p/pl", listing(&[("N82E1", "Card One", 549, stock)]));
        harness.tick("cards", &format!("2026-11-20T10:{minute:02}:00Z")).await;
    }
    for (day, week, price) in [(13, "2026-11-09", 3.47), (20, "2026-11-16", 3.41)] {
        harness.site().show("/resource/nqur-w4p7.json", gasoline(&[("2026-11-02", 3.47), (week, price)]));
        harness.tick("gas", &format!("2026-11-{day}T09:00:00Z")).await;
    }
    harness.settled().await;

    let mut pictured = Vec::new();
    for post in harness.site().posts("hook") {
        let told = &post.json()["data"];
        let Some(png) = told["chart"]["base64"].as_str() else { continue };
        let png = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, png).unwrap();
        assert_eq!((&png[1..4], &png[16..24]), (b"PNG".as_slice(), [0, 0, 3, 32, 0, 0, 1, 194].as_slice()));
        assert!(!told["chart"]["description"].as_str().unwrap().is_empty());
        pictured.push(told["watch"].as_str().unwrap().to_owned());
    }
    pictured.sort();
    pictured.dedup();
    assert_eq!(pictured, ["cards", "gas", "shares"]);
    let files = harness.site().posts("discord");
    let files = files.iter().filter(|post| {
        post.header("content-type").starts_with("multipart/form-data; boundary=")
            && post.body.contains("name=\"files[0]\"; filename=\"chart.png\"")
            && post.answered.is_some_and(|status| status < 300)
    });
    assert!(files.count() >= 3);
}
