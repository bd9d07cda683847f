//! What the API promises, path by path.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, Page, chart, falling, listing, number};

const CONFIG: &str = r#"
[web]
listen = "127.0.0.1:0"
token = "open-sesame"
[notify.hook]
kind = "webhook"
url = "{origin}/hook/hook"
[watch.number]
source = { kind = "json", url = "{origin}/number?token=planted-secret", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
labels = { team = "home" }
[watch.gtx3070]
source = { kind = "newegg", url = "{origin}/shop" }
every = "1m"
[watch."tech/rsi 14"]
source = { kind = "yahoo", symbols = ["AAPL", "MSFT"], interval = "30m" }
every = "30m"
[source.yahoo]
base_url = "{origin}/yahoo"
[watch.page]
source = { kind = "page", url = "{origin}/page" }
every = "1h"
"#;

/// A daemon that has seen and told something, within the last hours.
pub(crate) async fn stocked() -> Harness {
    stocked_with(CONFIG).await
}

/// The same for whoever asks from this machine.
pub(crate) async fn stocked_without_token() -> Harness {
    stocked_with(&CONFIG.replace("token = \"open-sesame\"\n", "")).await
}

async fn stocked_with(config: &str) -> Harness {
    let harness = Harness::start(config).await;
    let now = Timestamp::now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    harness.site().show("/page", Page::html("<p>Hello, \"you\",\nthere</p>"));
    harness.tick_at("page", ago(50)).await;
    show_bars(&harness, ago(40));
    harness.tick_at("tech/rsi 14", ago(40)).await;
    for (minute, n) in [(30, 9), (29, 11), (28, 12), (27, 8), (26, 15), (25, 15)] {
        harness.site().show("/number", number(n));
        harness.daemon().slot("number", ago(minute), ago(minute)).await.unwrap();
    }
    let cards = [("N82E16814137600", "GTX 3070, OC", 499, true), ("N82E16814137601", "RTX 3080", 699, false)];
    harness.site().show("/shop", listing(&cards));
    harness.tick_at("gtx3070", ago(20)).await;
    harness.settled().await;
    harness.site().answer_always("hook", Answer::status(404));
    harness.site().show("/shop", listing(&[("N82E16814137601", "RTX 3080", 699, true)]));
    harness.tick_at("gtx3070", ago(10)).await;
    harness.settled().await;
    harness.site().show("/number", Page::new("not found").status(404));
    harness.tick_at("number", ago(5)).await;
    harness
}

/// The bars that have closed until then.
fn show_bars(harness: &Harness, at: Timestamp) {
    let bar = Timestamp::from_second((at.as_second() - 1_200) / 1_800 * 1_800).unwrap();
    harness.site().show("/yahoo/v8/finance/chart/AAPL", chart("AAPL", bar, &falling(40)));
    harness.site().show("/yahoo/v8/finance/chart/MSFT", chart("MSFT", bar, &[10.0; 40]));
}

fn request(harness: &Harness, method: Method, path: &str) -> RequestBuilder {
    let address = harness.daemon().web().unwrap();
    let request = reqwest::Client::new().request(method, format!("http://{address}{path}"));
    request.bearer_auth("open-sesame")
}

async fn get(harness: &Harness, path: &str) -> Value {
    let reply = request(harness, Method::GET, path).send().await.unwrap();
    assert_eq!(reply.status(), 200, "{path}");
    assert_eq!(reply.headers()["content-type"], "application/json", "{path}");
    serde_json::from_str(&reply.text().await.unwrap()).unwrap()
}

async fn post(harness: &Harness, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let mut asked = request(harness, Method::POST, path);
    if let Some(body) = body {
        asked = asked.header("content-type", "application/json").body(body.to_string());
    }
    let reply = asked.send().await.unwrap();
    (reply.status(), serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
}

/// Every row of a list, page by page; before each further page something may happen.
async fn walk(harness: &Harness, path: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(harness, &format!("{path}{cursor}")).await;
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
        assert!(rows.len() < 1_000, "{path} never ends");
        between().await;
    }
}

fn texts<'v>(rows: &'v Value, key: &str) -> Vec<&'v str> {
    rows["items"].as_array().unwrap().iter().map(|row| row[key].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn the_watchlist_is_listed_filtered_and_shown() {
    let harness = stocked().await;
    let all = get(&harness, "/api/v1/watches").await;
    assert_eq!(texts(&all, "name"), ["gtx3070", "number", "page", "tech/rsi 14"]);
    assert_eq!(all["next_cursor"], Value::Null);
    assert_eq!(texts(&get(&harness, "/api/v1/watches?q=UMB").await, "name"), ["number"]);
    assert_eq!(texts(&get(&harness, "/api/v1/watches?state=failing").await, "name"), ["number"]);
    let walked = walk(&harness, "/api/v1/watches?limit=1", async || ()).await;
    assert_eq!(walked.len(), 4);

    let number = get(&harness, "/api/v1/watches/number").await;
    assert_eq!((&number["origin"], &number["outcome"]), (&json!("file"), &json!("failed")));
    assert_eq!(number["table"]["labels"], json!({"team": "home"}));
    assert_eq!(get(&harness, "/api/v1/watches/tech%2Frsi%2014").await["name"], "tech/rsi 14");
}

#[tokio::test]
async fn the_past_of_a_watch_is_had_in_full() {
    let harness = stocked().await;
    let seen = get(&harness, "/api/v1/watches/number/observations").await;
    let values: Vec<f64> =
        seen["items"].as_array().unwrap().iter().map(|row| row["value"].as_f64().unwrap()).collect();
    assert_eq!(values, [15.0, 8.0, 12.0, 11.0, 9.0], "the newest first, each different one once");
    assert_eq!(seen["items"][0]["kind"], "value");
    let late = get(&harness, "/api/v1/watches/number/observations?since=1650s&subject=n").await;
    assert_eq!(late["items"].as_array().unwrap().len(), 2, "the last 27 and a half minutes");
    let early = get(&harness, "/api/v1/watches/number/observations?until=1650s").await;
    assert_eq!(early["items"].as_array().unwrap().len(), 3);
    assert_eq!(get(&harness, "/api/v1/watches/number/observations?subject=other").await["items"], json!([]));
}

#[tokio::test]
async fn candles_runs_slots_and_signals_are_told() {
    let harness = stocked().await;
    let candles = get(&harness, "/api/v1/watches/tech%2Frsi%2014/candles?limit=1000").await;
    let candles = candles["items"].as_array().unwrap();
    assert_eq!(
        (candles[0]["subject"].as_str(), candles[0]["interval"].as_str()),
        (Some("AAPL"), Some("30m"))
    );
    assert!(candles[0]["open_time"].as_str() > candles[1]["open_time"].as_str(), "the newest first");
    assert_eq!(candles.iter().filter(|candle| candle["subject"] == "MSFT").count(), candles.len() / 2);

    let told = get(&harness, "/api/v1/watches/number/runs").await;
    assert_eq!(texts(&told, "outcome"), ["failed", "ok", "ok", "ok", "ok", "ok"]);
    assert!(told["items"][0]["error"].as_str().unwrap().contains("404"));
    assert_eq!(told["items"][4]["verdicts"][0]["verdict"], "first");
    assert_eq!(told["items"][4]["watch"], "number");
    let of_other = get(&harness, "/api/v1/watches/number/runs?subject=other").await;
    assert_eq!(texts(&of_other, "outcome"), texts(&told, "outcome"), "runs are of the whole watch");
    assert_eq!(of_other["items"][4]["verdicts"], json!([]));
    let of_it = get(&harness, "/api/v1/watches/number/runs?subject=n").await;
    assert_eq!(of_it["items"][4]["verdicts"][0]["verdict"], "first");
    let all = get(&harness, "/api/v1/watches/number/runs?unchanged=true").await;
    assert_eq!(texts(&all, "outcome"), ["failed", "unchanged", "ok", "ok", "ok", "ok", "ok"]);

    let slots = get(&harness, "/api/v1/watches/number/slots?since=1h").await;
    assert!(slots["coverage"]["ok"].as_u64() >= Some(6), "{slots}");
    let of_one = get(&harness, "/api/v1/watches/number/slots?since=1h&subject=n").await;
    assert_eq!(of_one["coverage"], slots["coverage"], "slots are of the whole watch");
    let signals = get(&harness, "/api/v1/watches/number/signals?subject=n").await;
    let told = get(&harness, "/api/v1/alerts?watch=number&strategy=threshold&limit=1").await;
    assert!(signals["items"][0]["summary"].as_str().is_some_and(|summary| !summary.is_empty()));
    assert_eq!(signals["items"][0]["summary"], told["items"][0]["signal"]["summary"]);
    assert_eq!(signals["items"][0]["strategy"], "threshold");
    assert_eq!(signals["items"][0]["firing"], true);
}

#[tokio::test]
async fn what_was_told_is_listed_and_a_dead_delivery_is_retried_and_dropped() {
    let harness = stocked().await;
    let alerts = get(&harness, "/api/v1/alerts?watch=number&strategy=threshold").await;
    let first = alerts["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&first["status"], &first["reason"]), (&json!("firing"), &json!("first")));
    let id = first["id"].as_str().unwrap();
    assert_eq!(&get(&harness, &format!("/api/v1/alerts/{id}")).await, first);

    let dead = get(&harness, "/api/v1/deliveries?status=dead").await;
    let id = dead["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/deliveries/{id}");
    let shown = get(&harness, &path).await;
    assert_eq!(shown["tries"][0]["outcome"], "dead");
    assert_eq!(post(&harness, &format!("{path}/retry"), None).await.0, 200);
    harness.settled().await;
    let (status, dropped) = post(&harness, &format!("{path}/drop"), None).await;
    assert_eq!(status, 200);
    assert!(dropped["dropped_at"].is_string());
    let taken = get(&harness, "/api/v1/deliveries?status=delivered").await;
    let taken = taken["items"][0]["id"].as_str().unwrap();
    assert_eq!(post(&harness, &format!("/api/v1/deliveries/{taken}/retry"), None).await.0, 409);
}

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let harness = stocked().await;
    let new = json!({"matchers": {"watch": "number", "label.team": "home"}, "for": "2h", "comment": "building work"});
    let (status, silence) = post(&harness, "/api/v1/silences", Some(new)).await;
    assert_eq!((status.as_u16(), &silence["created_by"]), (201, &json!("api")));
    let listed = get(&harness, "/api/v1/silences").await;
    assert_eq!(listed["items"][0]["comment"], "building work");
    let path = format!("/api/v1/silences/{}", silence["id"]);
    for status in [204, 404] {
        assert_eq!(request(&harness, Method::DELETE, &path).send().await.unwrap().status(), status);
    }
    assert_eq!(get(&harness, "/api/v1/silences").await["items"], json!([]));
    assert_eq!(get(&harness, "/api/v1/silences?ended=true").await["items"][0]["id"], silence["id"]);
}

#[tokio::test]
async fn the_metric_that_moves_most_is_the_first_of_its_fellows() {
    let harness = stocked().await;
    let names = get(&harness, "/api/v1/metrics/tech%2Frsi%2014").await;
    assert_eq!(texts(&names, "subject"), ["AAPL", "MSFT"]);
    let day = get(&harness, "/api/v1/metrics/tech%2Frsi%2014/AAPL").await;
    assert_eq!(day["points"].as_array().unwrap().len() as u64, day["readings"].as_u64().unwrap());
    for (subject, rank) in [("AAPL", 1), ("MSFT", 2)] {
        let told = get(&harness, &format!("/api/v1/metrics/tech%2Frsi%2014/{subject}/rank")).await;
        assert_eq!((told["rank"].as_i64(), told["ranked"].as_i64()), (Some(rank), Some(2)), "{subject}");
    }
    assert_eq!(get(&harness, "/api/v1/metrics/page").await["items"], json!([]), "a text has no number");
    let gone = get(&harness, "/api/v1/metrics/gtx3070/N82E16814137600").await;
    assert_eq!(
        (gone["last"].as_f64(), gone["readings"].as_i64()),
        (Some(499.99), Some(1)),
        "it is gone by now"
    );
    assert_eq!((gone["rank"].as_i64(), gone["ranked"].as_i64()), (Some(1), Some(2)), "neither moved");
}

#[tokio::test]
async fn a_cursor_walks_every_row_once_while_rows_are_added() {
    let harness = stocked().await;
    let now = Timestamp::now();
    for (minute, page) in [(4, number(1)), (3, Page::new("no").status(404)), (2, number(2))] {
        harness.site().show("/number", page);
        let due_at = now - SignedDuration::from_mins(minute);
        harness.daemon().slot("number", due_at, due_at).await.unwrap();
    }
    let silence = json!({"matchers": {"watch": "page"}, "for": "1h"});
    for _ in 0..3 {
        assert_eq!(post(&harness, "/api/v1/silences", Some(silence.clone())).await.0, 201);
    }
    let mut added = 0;
    for (path, limit, key) in [
        ("/api/v1/watches/number/observations?", 2, "observed_at"),
        ("/api/v1/watches/number/runs?", 2, "id"),
        ("/api/v1/watches/number/runs?unchanged=true&", 2, "id"),
        ("/api/v1/watches/number/slots?", 1, "from"),
        ("/api/v1/watches/number/slots?since=1h&", 2, "from"),
        ("/api/v1/watches/tech%2Frsi%2014/candles?", 30, "open_time"),
        ("/api/v1/watches/number/signals?", 1, "strategy"),
        ("/api/v1/alerts?", 1, "id"),
        ("/api/v1/deliveries?", 1, "id"),
        ("/api/v1/silences?", 1, "id"),
    ] {
        let before = get(&harness, &format!("{path}limit=900")).await;
        let rows = walk(&harness, &format!("{path}limit={limit}"), async || {
            added += 1;
            harness.site().show("/number", number(if added % 2 == 0 { 100 } else { -100 }));
            harness.tick_at("number", Timestamp::now()).await;
            let later = SignedDuration::from_mins(30 * added);
            show_bars(&harness, now + later);
            harness.tick_at("tech/rsi 14", now + later).await;
            assert_eq!(post(&harness, "/api/v1/silences", Some(silence.clone())).await.0, 201);
        })
        .await;
        let name = |row: &Value| format!("{} {} {}", row[key], row["subject"], row["strategy"]);
        let walked: Vec<String> = rows.iter().map(name).collect();
        let known: Vec<String> = before["items"].as_array().unwrap().iter().map(name).collect();
        assert!(known.len() > limit, "{path}: {known:?}");
        assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "{path}: twice");
        assert!(known.iter().all(|name| walked.contains(name)), "{path}: {known:?} {walked:?}");
    }
    let bars = get(&harness, "/api/v1/watches/tech%2Frsi%2014/candles?limit=1&subject=AAPL").await;
    let newest: Timestamp = bars["items"][0]["open_time"].as_str().unwrap().parse().unwrap();
    assert!(newest > now, "bars were added");
}

#[tokio::test]
async fn history_as_csv_says_the_same_as_json() {
    let harness = stocked().await;
    for path in [
        "/api/v1/watches/gtx3070/observations",
        "/api/v1/watches/page/observations",
        "/api/v1/watches/tech%2Frsi%2014/candles",
        "/api/v1/watches/number/runs",
        "/api/v1/watches/number/slots",
        "/api/v1/watches/number/signals",
    ] {
        let page = get(&harness, path).await;
        let reply = request(&harness, Method::GET, path).header("accept", "text/csv").send().await.unwrap();
        assert!(reply.headers()["content-type"].to_str().unwrap().starts_with("text/csv"), "{path}");
        assert!(reply.headers().get_all("vary").iter().any(|vary| vary == "accept"), "{path}");
        let text = reply.text().await.unwrap();
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let headings = table.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty(), "{path}");
        assert_eq!(rows.len(), items.len(), "{path}");
        for (row, item) in rows.iter().zip(items) {
            let scalars = item.as_object().unwrap().iter().filter(|(_, value)| !value.is_array());
            for (key, value) in scalars {
                let column = headings.iter().position(|heading| heading == key);
                let cell = &row[column.unwrap_or_else(|| panic!("{path}: no heading `{key}`"))];
                match value {
                    Value::Number(number) => {
                        assert_eq!(cell.parse::<f64>().ok(), number.as_f64(), "{path} {key}");
                    }
                    Value::Bool(is_so) => assert_eq!(cell, is_so.to_string(), "{path} {key}"),
                    other => assert_eq!(cell, other.as_str().unwrap_or_default(), "{path} {key}"),
                }
            }
        }
    }
    let reply = request(&harness, Method::GET, "/api/v1/watches/number/observations?format=csv&limit=2");
    let reply = reply.send().await.unwrap();
    let link = reply.headers()["link"].to_str().unwrap().to_owned();
    let next = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap();
    assert_eq!(next.1, "; rel=\"next\"");
    let reply = request(&harness, Method::GET, next.0).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap().lines().count(), 3, "two more rows below their headings");
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let harness = stocked().await;
    for path in ["/api/v1/watches", "/api/v1/watches/number/observations?format=csv", "/api/openapi.json"] {
        let reply = request(&harness, Method::GET, path).send().await.unwrap();
        let tag = reply.headers()["etag"].clone();
        let asked = request(&harness, Method::GET, path).header("if-none-match", tag.clone());
        let again = asked.send().await.unwrap();
        assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &tag), "{path}");
        assert_eq!(again.text().await.unwrap(), "", "{path}");
        let other = request(&harness, Method::GET, path).header("if-none-match", "\"another\"");
        assert_eq!(other.send().await.unwrap().status(), 200, "{path}");
    }
    let path = "/api/v1/watches/number/observations";
    let tag = request(&harness, Method::GET, path).send().await.unwrap().headers()["etag"].clone();
    harness.site().show("/number", number(77));
    harness.tick_at("number", Timestamp::now()).await;
    let asked = request(&harness, Method::GET, path).header("if-none-match", tag);
    assert_eq!(asked.send().await.unwrap().status(), 200, "there is a new one");
}

#[tokio::test]
async fn whatever_goes_wrong_is_told_as_problem_details() {
    let harness = stocked().await;
    let json_body = Some("application/json");
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(300_000));
    for (method, path, kind, body, status) in [
        (Method::GET, "/api/nothing", None, "", 404),
        (Method::GET, "/api/v1/watches/none", None, "", 404),
        (Method::GET, "/api/v1/watches/none/runs", None, "", 404),
        (Method::GET, "/api/v1/watches/%ff", None, "", 400),
        (Method::GET, "/api/v1/alerts/none", None, "", 404),
        (Method::GET, "/api/v1/deliveries/none", None, "", 404),
        (Method::GET, "/api/v1/metrics/number/none", None, "", 404),
        (Method::PUT, "/api/v1/watches", None, "", 405),
        (Method::GET, "/api/v1/watches?limit=0", None, "", 400),
        (Method::GET, "/api/v1/watches?limit=1001", None, "", 400),
        (Method::GET, "/api/v1/watches?state=fine", None, "", 400),
        (Method::GET, "/api/v1/watches?nothing=1", None, "", 400),
        (Method::GET, "/api/v1/watches?cursor=nonsense", None, "", 404),
        (Method::GET, "/api/v1/watches/number/runs?since=yesterday", None, "", 400),
        (Method::GET, "/api/v1/watches/number/runs?since=28m30s", None, "", 400),
        (Method::POST, "/api/v1/silences", None, "{}", 415),
        (Method::POST, "/api/v1/silences", json_body, "{", 400),
        (Method::POST, "/api/v1/silences", json_body, "{}", 422),
        (Method::POST, "/api/v1/silences", json_body, r#"{"matchers": {"watch": "none"}, "for": "1h"}"#, 404),
        (Method::POST, "/api/v1/silences", json_body, r#"{"matchers": {"watch": "number"}}"#, 422),
        (Method::POST, "/api/v1/silences", json_body, r#"{"matchers": {"colour": "red"}, "for": "1h"}"#, 422),
        (Method::DELETE, "/api/v1/silences/99", None, "", 404),
        (Method::DELETE, "/api/v1/silences/first", None, "", 400),
        (Method::POST, "/api/v1/watches", json_body, &long, 413),
        (Method::POST, "/api/v1/watches/none/run", None, "", 404),
        (Method::DELETE, "/api/v1/watches/none", None, "", 404),
        (Method::POST, "/api/v1/deliveries/none/drop", None, "", 404),
    ] {
        let mut asked = request(&harness, method.clone(), path).body(body.to_owned());
        if let Some(kind) = kind {
            asked = asked.header("content-type", kind);
        }
        let reply = asked.send().await.unwrap();
        assert_eq!(reply.status(), status, "{method} {path}");
        assert_eq!(reply.headers()["content-type"], "application/problem+json", "{method} {path}");
        if status == 405 {
            assert_eq!(reply.headers()["allow"], "GET,HEAD,POST", "{method} {path}");
        }
        let problem: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
        // What is too long does not come as far as its path.
        if status != 413 {
            assert_eq!(problem["instance"], path.split('?').next().unwrap(), "{problem}");
        }
        for key in ["type", "title", "detail"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
    }
}

#[tokio::test]
async fn the_description_lists_what_there_is() {
    let harness = stocked().await;
    let description = get(&harness, "/api/openapi.json").await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut listed = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            listed.insert(format!("{} {path}", method.to_uppercase()));
            // It does not end; it has tests of its own.
            if path == "/api/v1/events" {
                continue;
            }
            let path = path.replace("{id}", "1").replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let reply = request(&harness, method.clone(), &path).send().await.unwrap();
            let status = reply.status();
            let said = reply.text().await.unwrap();
            assert!(status != 405 && !said.contains("there is nothing at"), "{method} {path}: {said}");
        }
    }
    for promised in [
        "GET /api/v1/watches",
        "POST /api/v1/watches",
        "GET /api/v1/watches/{name}",
        "DELETE /api/v1/watches/{name}",
        "POST /api/v1/watches/{name}/run",
        "POST /api/v1/watches/{name}/pause",
        "POST /api/v1/watches/{name}/resume",
        "GET /api/v1/watches/{name}/observations",
        "GET /api/v1/watches/{name}/candles",
        "GET /api/v1/watches/{name}/runs",
        "GET /api/v1/watches/{name}/slots",
        "GET /api/v1/watches/{name}/signals",
        "POST /api/v1/try",
        "GET /api/v1/alerts",
        "GET /api/v1/alerts/{id}",
        "GET /api/v1/silences",
        "POST /api/v1/silences",
        "DELETE /api/v1/silences/{id}",
        "GET /api/v1/deliveries",
        "GET /api/v1/deliveries/{id}",
        "POST /api/v1/deliveries/{id}/retry",
        "POST /api/v1/deliveries/{id}/drop",
        "GET /api/v1/metrics/{watch}",
        "GET /api/v1/metrics/{watch}/{subject}",
        "GET /api/v1/metrics/{watch}/{subject}/rank",
        "GET /api/v1/kinds",
        "GET /api/v1/hosts",
        "GET /api/v1/events",
    ] {
        assert!(listed.remove(promised), "{promised} is not described");
    }
    assert!(listed.is_empty(), "not promised: {listed:?}");

    let events = &description["paths"]["/api/v1/events"]["get"];
    let names: Vec<&str> =
        events["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Last-Event-ID", "after"]);
    assert!(events["responses"]["304"].is_null() && events["responses"]["404"].is_null(), "{events}");
    let table = &description["paths"]["/api/v1/watches/{name}/signals"]["get"]["responses"]["200"];
    assert!(table["content"]["text/csv"].is_object() && table["headers"]["link"].is_object(), "{table}");
    let delivery = &description["components"]["schemas"]["StoredDelivery"]["properties"];
    for (key, words) in [("status", "DeliveryStatus"), ("kind", "DeliveryKind")] {
        assert_eq!(delivery[key]["$ref"], format!("#/components/schemas/{words}"), "{delivery}");
        assert!(description["components"]["schemas"][words]["enum"].is_array(), "{words}");
    }
}

#[tokio::test]
async fn the_page_to_try_it_lies_in_the_program() {
    let harness = stocked().await;
    let page = request(&harness, Method::GET, "/api/docs").send().await.unwrap();
    assert_eq!(page.status(), 200, "by way of a redirect");
    assert_eq!(page.headers()["content-encoding"], "gzip", "as it lies in the program");
    let packed = page.bytes().await.unwrap();
    let page = std::io::read_to_string(flate2::read::GzDecoder::new(&*packed)).unwrap();
    assert!(!page.contains("//"), "nothing from elsewhere: {page}");
    for file in page.split(['"', '\'']).filter_map(|part| part.strip_prefix("./")) {
        let reply = request(&harness, Method::GET, &format!("/api/docs/{file}")).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{file}");
        assert!(!reply.bytes().await.unwrap().is_empty(), "{file}");
    }
}

#[tokio::test]
async fn no_answer_tells_a_secret() {
    let harness = stocked().await;
    let description = get(&harness, "/api/openapi.json").await;
    let mut asked = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        // It does not end; it has tests of its own.
        if item["get"].is_null() || path == "/api/v1/events" {
            continue;
        }
        let takes_format = item["get"]["parameters"]
            .as_array()
            .is_some_and(|parameters| parameters.iter().any(|parameter| parameter["name"] == "format"));
        let mut path =
            path.replace("{name}", "number").replace("{watch}", "number").replace("{subject}", "n");
        if let Some(list) = path.strip_suffix("/{id}") {
            let rows = get(&harness, list).await;
            path = format!("{list}/{}", rows["items"][0]["id"].as_str().unwrap());
        }
        let queries = if takes_format { &["", "?format=csv"][..] } else { &[""] };
        for query in queries {
            let reply = request(&harness, Method::GET, &format!("{path}{query}")).send().await.unwrap();
            assert_eq!(reply.status(), 200, "{path}{query}");
            let said = reply.text().await.unwrap();
            assert!(!said.contains("planted-secret") && !said.contains("open-sesame"), "{path}: {said}");
            asked += 1;
        }
    }
    assert!(asked >= 20, "{asked}");
}
