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
[watch.shop]
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
    let harness = Harness::start(CONFIG).await;
    let now = Timestamp::now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    harness.site().show("/page", Page::html("<p>Hello, \"you\",\nthere</p>"));
    harness.tick_at("page", ago(50)).await;
    let bar = jiff::Timestamp::from_second(ago(60).as_second() / 1_800 * 1_800).unwrap();
    harness.site().show("/yahoo/v8/finance/chart/AAPL", chart("AAPL", bar, &falling(40)));
    harness.site().show("/yahoo/v8/finance/chart/MSFT", chart("MSFT", bar, &[10.0; 40]));
    harness.tick_at("tech/rsi 14", ago(40)).await;
    for (minute, n) in [(30, 9), (29, 11), (28, 12), (27, 8), (26, 15), (25, 15)] {
        harness.site().show("/number", number(n));
        harness.tick_at("number", ago(minute)).await;
    }
    let cards =
        [("N82E16814137600", "GTX 3070, \"OC\"", 499, true), ("N82E16814137601", "RTX 3080", 699, false)];
    harness.site().show("/shop", listing(&cards));
    harness.tick_at("shop", ago(20)).await;
    harness.settled().await;
    harness.site().answer_always("hook", Answer::status(404));
    harness.site().show("/shop", listing(&[("N82E16814137601", "RTX 3080", 699, true)]));
    harness.tick_at("shop", ago(10)).await;
    harness.settled().await;
    harness.site().show("/number", Page::new("not found").status(404));
    harness.tick_at("number", ago(5)).await;
    harness
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
