//! What has just happened is told as it happens.

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::Value;

use crate::harness::{Harness, Process, Stage, number, until};

const NUMBER: &str = r#"
[web]
listen = "127.0.0.1:0"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.other]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 100 }]
every = "1m"
"#;

/// A stream of events, as a browser reads it.
struct Events {
    reply: Response,
    text: String,
    last_id: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    body: Value,
}

impl Events {
    async fn open(address: &str, last_id: Option<&str>) -> Self {
        Self::open_with(&Client::new(), address, last_id).await
    }

    async fn open_with(client: &Client, address: &str, last_id: Option<&str>) -> Self {
        let mut request = client.get(format!("http://{address}/api/v1/events"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        Self::from(request).await
    }

    async fn from(request: reqwest::RequestBuilder) -> Self {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let mut this = Self { reply, text: String::new(), last_id: String::new() };
        this.block().await.unwrap();
        this
    }

    /// Also a block that tells nothing but an id.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    id.clone_into(&mut self.last_id);
                }
                return Some(block);
            }
            let chunk = self.reply.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let line = |start: &str| block.lines().find_map(|line| line.strip_prefix(start));
            if let (Some(name), Some(body)) = (line("event: "), line("data: ")) {
                return Some(Event { name: name.to_owned(), body: serde_json::from_str(body).unwrap() });
            }
        }
    }

    /// The next one of this name for which something holds.
    async fn find(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut others = Vec::new();
        let found = async {
            loop {
                match self.next().await.unwrap() {
                    event if event.name == name && holds(&event.body) => return event.body,
                    event => others.push(event),
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        found.unwrap_or_else(|_| panic!("no such `{name}` came, only {others:?}"))
    }
}

fn address(harness: &Harness) -> String {
    harness.daemon().web().unwrap().to_string()
}

#[tokio::test]
async fn a_run_its_alert_and_its_message_are_told_as_they_happen() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(11));
    let mut events = Events::open(&address(&harness), None).await;
    assert_eq!(events.reply.headers()["cache-control"], "no-store");
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    let alert = events.find("alert", |_| true).await;
    assert_eq!((&alert["watch"], &alert["status"]), (&"number".into(), &"firing".into()));
    let delivery = events.find("delivery", |delivery| delivery["status"] == "delivered");
    assert_eq!(delivery.await["notifier"], "hook");
    harness.tick("number", "2026-11-20T10:01:00Z").await;
    let watch = events.find("watch", |watch| watch["outcome"] == "unchanged").await;
    assert_eq!((&watch["name"], &watch["state"]), (&"number".into(), &"firing".into()));
    assert!(watch["next_due_at"].is_string(), "{watch}");
}

#[tokio::test]
async fn what_comes_after_thousands_is_told_too() {
    let harness = Harness::start(NUMBER).await;
    let now = jiff::Timestamp::now().as_millisecond();
    let many = format!(
        "insert into alert (id, run_id, watch_id, watch, strategy, subject, status, created_at, alert)
         with recursive n (n) as (select 1 union all select n + 1 from n where n < 2100)
         select printf('{:08x}-{:04x}-7000-8000-%012x', n), 0, 0, '', '', '', 'firing', 0, '{{}}' from n",
        now >> 16,
        now & 0xffff
    );
    harness.stage.change(many.leak()).await;
    let mut events = Events::open(&address(&harness), None).await;
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    assert_eq!(events.find("alert", |_| true).await["watch"], "number");
    events.find("reset", |_| true).await;
}

#[tokio::test]
async fn what_happens_between_a_page_and_its_stream_is_told() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(11));
    let address = address(&harness);
    let page = reqwest::get(format!("http://{address}/")).await.unwrap().text().await.unwrap();
    let (_, rest) = page.split_once("data-after=\"").unwrap();
    let since = rest.split('"').next().unwrap().to_owned();
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    let stream = Client::new().get(format!("http://{address}/api/v1/events?after={since}"));
    let mut events = Events::from(stream).await;
    assert_eq!(events.find("alert", |_| true).await["watch"], "number");
    events.find("reset", |_| true).await;
}

#[tokio::test]
async fn who_was_away_for_a_moment_misses_nothing() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    let mut events = Events::open(&address(&harness), None).await;
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    events.find("watch", |watch| watch["name"] == "number").await;
    let last_id = events.last_id.clone();
    drop(events);
    harness.tick("other", "2026-11-20T10:00:00Z").await;
    let mut events = Events::open(&address(&harness), Some(&last_id)).await;
    let next = events.next().await.unwrap();
    assert_eq!((next.name.as_str(), &next.body["name"]), ("watch", &"other".into()), "and nothing twice");
}

#[tokio::test]
async fn who_was_away_while_the_daemon_was_gone_is_told_the_alerts_and_to_look_anew() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    let events = Events::open(&address(&harness), None).await;
    let last_id = events.last_id.clone();
    drop(events);
    harness.stop().await;
    harness.boot().await;
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    let mut events = Events::open(&address(&harness), Some(&last_id)).await;
    let alert = events.next().await.unwrap();
    assert_eq!((alert.name.as_str(), &alert.body["watch"]), ("alert", &"number".into()));
    assert_eq!(events.next().await.unwrap().name, "reset");
    let mut events = Events::open(&address(&harness), Some("nonsense")).await;
    assert_eq!(events.next().await.unwrap().name, "reset");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let mut harness = Harness::start(NUMBER).await;
    let mut events = Events::open(&address(&harness), None).await;
    let began = Instant::now();
    harness.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn five_hundred_look_on_at_once() {
    let stage = Stage::new(&NUMBER.replace("1m", "100ms").replace("above = 100 ", "above = 10 ")).await;
    stage.site.show("/number", number(9));
    let mut process = Process::run(&stage, &[]);
    process.logs("The dashboard is at http://").await;
    let log = process.log();
    let address = log
        .split("The dashboard is at http://")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .trim_end_matches('/');
    let (client, mut all) = (Client::new(), Vec::new());
    for _ in 0..500 {
        all.push(Events::open_with(&client, address, None).await);
    }
    stage.site.show("/number", number(11));
    for events in &mut all {
        events.find("alert", |_| true).await;
    }
    // The end waits for none of them.
    let began = Instant::now();
    process.signal("TERM");
    let status = process.exit().await;
    assert_eq!(status.code(), Some(0), "{}", process.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    until("the streams have ended", async || all.pop().is_none().then_some(())).await;
}
