//! Looks at everything that the web server answers, from link to link and from path to path of the API.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use scraper::{Html, Selector};
use serde_json::Value;

/// Pages of a kind (those of each item, each older page of a list) are many; the first of them are enough.
const MOST: usize = 400;

/// Every page that links lead to, and every answer that the API's description names for these watches: each with
/// its path, its headers and its body. Panics where one is broken.
pub(crate) async fn crawl(origin: &str, token: &str, watches: &[&str]) -> Vec<(String, String)> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut waiting: VecDeque<String> = ["/", "/login", "/nothing", "/api/nothing"].map(String::from).into();
    let description: Value = get(&client, origin, token, "/api/openapi.json").await.json().await.unwrap();
    for path in
        description["paths"].as_object().expect("paths").iter().filter(|(_, it)| it["get"].is_object())
    {
        for watch in watches {
            let path = path.0.replace("{name}", watch).replace("{watch}", watch);
            // What other things go by is known from the pages that link to them.
            if !path.contains('{') && !path.ends_with("/events") {
                waiting.push_back(path);
            }
        }
    }
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop_front() {
        if known.len() >= MOST || !known.insert(path.clone()) {
            continue;
        }
        let answer = get(&client, origin, token, &path).await;
        assert!(answer.status().as_u16() < 500, "{path} answers {}", answer.status());
        let head = format!("{:?}", answer.headers());
        let is_page = head.contains("text/html");
        let body = answer.bytes().await.unwrap();
        let body = String::from_utf8_lossy(&body);
        if is_page {
            waiting.extend(links(&body));
        }
        seen.push((path, format!("{head}\n{body}")));
    }
    seen
}

async fn get(client: &reqwest::Client, origin: &str, token: &str, path: &str) -> reqwest::Response {
    client.get(format!("{origin}{path}")).bearer_auth(token).send().await.unwrap()
}

/// Where a page leads to on this server.
fn links(page: &str) -> Vec<String> {
    let page = Html::parse_document(page);
    let links = Selector::parse("[href], [src], [data-chart]").unwrap();
    let of = |element: scraper::ElementRef<'_>| {
        ["href", "src", "data-chart"]
            .into_iter()
            .find_map(|name| element.attr(name))
            .unwrap_or_default()
            .to_owned()
    };
    let local = |link: String| link.split('#').next().map(str::to_owned).filter(|link| link.starts_with('/'));
    page.select(&links).map(of).filter_map(local).collect()
}
