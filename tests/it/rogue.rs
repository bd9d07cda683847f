//! Whatever one server does, the other watches go on, the run ends in time and says what happened, nothing
//! that was known changes, and the owner hears of it and of its end.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use stakeout::model::Outcome;

use crate::harness::{Fault, Harness, Page, Rogue, Stage, moment, number};

const TIMEOUT: Duration = Duration::from_millis(300);

/// A run ends so much after its timeout at the latest.
const PATIENCE: Duration = Duration::from_secs(1);

const OTHERS: [&str; 4] = ["one", "two", "three", "four"];

/// Five watches, one of which asks a server that can fall ill.
struct Five {
    harness: Harness,
    rogue: Rogue,
    now: Timestamp,
    told: usize,
}

impl Five {
    async fn start() -> Self {
        let rogue = Rogue::start(11).await;
        let mut toml = format!(
            r#"
[fetch]
timeout = "5s"
max_body = "1MiB"
allow_private_networks = true
per_host = {{ min_interval = "0s", max_concurrent = 32 }}
backoff = {{ first = "0s", longest = "0s" }}
[alerting]
fail_after = 2
[watch.ill]
source = {{ kind = "json", url = "{}/number", pointer = "/n", timeout = "300ms" }}
strategy = [{{ kind = "threshold", above = 10 }}]
every = "1m"
"#,
            rogue.origin()
        );
        for name in OTHERS {
            toml += &format!(
                "[watch.{name}]\nsource = {{ kind = \"json\", url = \"{{origin}}/{name}\", pointer = \"/n\" }}\n\
                 strategy = [{{ kind = \"threshold\", above = 10 }}]\nevery = \"1m\"\n"
            );
        }
        let stage = Stage::new(&toml).await;
        for name in OTHERS {
            stage.site.show(&format!("/{name}"), number(9));
        }
        let harness = Harness::on(stage, stakeout::daemon::Clock::Stopped).await;
        let mut this = Self { harness, rogue, now: moment("2026-11-20T10:00:00Z"), told: 1 };
        assert_eq!(this.run().await.0, Outcome::Ok);
        assert_eq!(this.harness.titles().await, ["n is above 10: 11"]);
        this
    }

    /// Runs all five at once, a minute later; how the one that may be ill ended, and what it said.
    async fn run(&mut self) -> (Outcome, String) {
        self.now += SignedDuration::from_mins(1);
        let began = Instant::now();
        let ill = async {
            let report = self.harness.tick_at("ill", self.now).await;
            (report, began.elapsed())
        };
        let others = futures_util::future::join_all(OTHERS.map(|name| self.harness.tick_at(name, self.now)));
        let ((ill, took), others) = tokio::join!(ill, others);
        for (name, other) in OTHERS.iter().zip(others) {
            assert!(matches!(other.outcome, Outcome::Ok | Outcome::Unchanged), "{name}: {:?}", other.error);
        }
        assert!(took < TIMEOUT + PATIENCE, "it took {took:?}");
        (ill.outcome, ill.error.unwrap_or_default())
    }

    /// Subjects as they were last seen, and states as they were settled, of the watch that may be ill.
    async fn known(&self) -> String {
        let store = self.harness.daemon().store();
        let watch = store.watch("ill").await.unwrap().unwrap();
        let states =
            "select strategy, subject, state from signal_state where strategy <> 'run' and watch_id > 0";
        let states = self.harness.stage.rows::<(String, String, String)>(states).await;
        let present = self.harness.stage.count("select count(*) from subject where present = 1").await;
        let mut seen: Vec<String> =
            store.last_seen(watch.id).await.unwrap().into_values().map(|last| format!("{last:?}")).collect();
        seen.sort();
        format!("{seen:?} {states:?} {present}")
    }

    async fn new_titles(&mut self) -> Vec<String> {
        let all = self.harness.titles().await;
        let new = all.get(self.told..).unwrap_or_default().to_vec();
        self.told = all.len();
        new
    }

    /// One way to be ill, with words of which one is said.
    async fn survives(&mut self, fault: Fault, outcome: Outcome, said: &[&str]) {
        let before = self.known().await;
        let told = match outcome {
            Outcome::Blocked => format!("{} blocks us", self.rogue.host()),
            _ => "ill is failing: ".to_owned(),
        };
        self.rogue.fall_ill(fault.clone());
        for _ in 0..3 {
            let (ended, why) = self.run().await;
            assert_eq!(ended, outcome, "{fault:?}: {why}");
            assert!(said.iter().any(|said| why.to_lowercase().contains(said)), "{fault:?} says only: {why}");
            assert!(why.chars().count() < 500, "{fault:?} says too much: {why}");
            assert!(!why.contains(|c: char| c.is_control()), "{fault:?}: {why:?}");
        }
        assert_eq!(self.known().await, before, "{fault:?}: nothing that was known changes");
        let titles = self.new_titles().await;
        assert!(titles.len() == 1 && titles[0].starts_with(&told), "{fault:?}: {titles:?}");
        self.rogue.recover();
        let (ended, why) = self.run().await;
        assert!(matches!(ended, Outcome::Ok | Outcome::Unchanged), "{fault:?}: {ended:?} {why}");
        let titles = self.new_titles().await;
        let over = if outcome == Outcome::Blocked { "lets us in again" } else { "ill works again" };
        assert!(titles.len() == 1 && titles[0].contains(over), "{fault:?}: {titles:?}");
    }

    async fn fails(&mut self, fault: Fault, said: &[&str]) {
        self.survives(fault, Outcome::Failed, said).await;
    }
}

#[tokio::test]
async fn a_server_that_takes_its_time_does_not_hold_a_run() {
    let mut five = Five::start().await;
    for fault in [Fault::Hang, Fault::Stall, Fault::Slowloris, Fault::Drip] {
        five.fails(fault, &["within 0.3 s"]).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_damaged_is_a_failure_with_its_reason() {
    let mut five = Five::start().await;
    for fault in [Fault::Truncate, Fault::BadChunk, Fault::BadGzip] {
        five.fails(fault, &["broke off", "unpack", "decod"]).await;
    }
    for fault in [Fault::Close, Fault::Reset] {
        five.fails(fault, &["broke off", "connect", "closed", "reset"]).await;
    }
    five.fails(Fault::Garbage, &["broke off", "http"]).await;
    for line in ["HTTP/1.1 2000 OK", "HTTP/1.1 OK", "HTTP/9.9 200 OK", "ICY 200 OK", "HTTP/1.1 \u{1} OK", ""]
    {
        five.fails(Fault::StatusLine(line), &["broke off", "http"]).await;
    }
}

#[tokio::test]
async fn an_answer_without_measure_is_cut_at_its_cap() {
    let mut five = Five::start().await;
    five.fails(Fault::GzipBomb, &["larger than", "unpacks to"]).await;
    for fault in [Fault::Huge, Fault::Endless] {
        five.fails(fault, &["larger than"]).await;
    }
    for fault in [Fault::TinyBlocks, Fault::TinyChunks] {
        five.fails(fault, &["larger than", "within 0.3 s"]).await;
    }
    five.fails(Fault::HeaderBomb, &["header", "broke off"]).await;
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_a_failure() {
    let mut five = Five::start().await;
    five.fails(Fault::RedirectLoop, &["redirect"]).await;
    five.fails(Fault::RedirectChain(50), &["redirect"]).await;
    for to in
        ["file:///etc/passwd", "ftp://a.example/", "gopher://a.example/1", "data:text/plain,{}", "http://"]
    {
        five.fails(Fault::RedirectTo(to.into()), &["redirect", "only http and https", "lead"]).await;
    }
    five.fails(Fault::RedirectTo("http://127.0.0.1:1/".into()), &["connect"]).await;
    // A short way round is none of these.
    five.rogue.fall_ill(Fault::RedirectChain(3));
    assert!(matches!(five.run().await.0, Outcome::Ok | Outcome::Unchanged));
    let asked = five.rogue.asked();
    five.run().await;
    assert_eq!(five.rogue.asked() - asked, 4);
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_told_and_taken_for_nothing_else() {
    let mut five = Five::start().await;
    let page = b"<!doctype html><title>Welcome</title><p>We have moved.";
    five.fails(Fault::Instead("text/html", page), &["html page"]).await;
    five.fails(Fault::Instead("application/json", b""), &["empty"]).await;
    five.fails(Fault::Instead("application/json", b"{\"n\": 1\xff\xfe2}"), &["not the json", "number"]).await;
    five.fails(
        Fault::Instead("application/json", b"{\"n\": \"\xff\xfe\xfd\"}"),
        &["not the json", "not a number"],
    )
    .await;
    let maintenance = b"<!doctype html><title>Maintenance</title><p>Back soon.";
    five.fails(Fault::Instead("text/html", maintenance), &["html page", "maintenance"]).await;
    five.fails(Fault::Status(500), &["http 500"]).await;
    five.fails(Fault::Status(404), &["http 404"]).await;
}

#[tokio::test]
async fn a_wall_is_blocked_and_never_taken_for_the_page() {
    let mut five = Five::start().await;
    let wall = b"<!doctype html><html><head><title>Are you a human?</title></head><body>Prove it.";
    five.survives(Fault::Instead("text/html", wall), Outcome::Blocked, &["robot check", "human"]).await;
}

#[tokio::test]
async fn a_value_that_is_missing_today_changes_nothing() {
    let mut five = Five::start().await;
    let before = five.known().await;
    five.rogue.fall_ill(Fault::Instead("application/json", b"{\"n\": null}"));
    for _ in 0..3 {
        five.run().await;
    }
    assert_eq!(five.known().await, before);
    five.rogue.recover();
    five.run().await;
    assert_eq!(five.new_titles().await, [""; 0], "neither an end nor a beginning");
}

#[tokio::test]
async fn a_page_that_shows_something_else_for_a_while_is_not_out_of_stock() {
    const OFFER: &str = r#"<!doctype html><title>Lamp</title><script type="application/ld+json">
        {"@context": "https://schema.org", "@type": "Product", "name": "Lamp", "sku": "L1", "offers":
        {"@type": "Offer", "price": "20", "priceCurrency": "EUR", "availability": "https://schema.org/InStock"}}
        </script>"#;
    let harness = Harness::start(
        "[alerting]\nfail_after = 2\n[watch.lamp]\nsource = { kind = \"shop\", url = \"{origin}/lamp\" }\nevery = \"1m\"",
    )
    .await;
    harness.site().show("/lamp", Page::html(OFFER));
    harness.tick("lamp", "2026-11-20T10:00:00Z").await;
    let states = "select subject, state from signal_state where strategy <> 'run' and watch_id > 0";
    let before = harness.stage.rows::<(String, String)>(states).await;
    assert!(!before.is_empty());
    let others = [
        Page::html("<!doctype html><title>Maintenance</title><p>Our shop is down. Back soon."),
        Page::html(""),
        Page::html("<!doctype html><title>Welcome</title><p>We have moved."),
        Page::new("{\"n\": 9}"),
        Page::html("<h1>Oops").status(500),
    ];
    for (minute, page) in (1..).zip(others) {
        harness.site().show("/lamp", page);
        let at = moment("2026-11-20T10:00:00Z") + SignedDuration::from_mins(minute);
        let report = harness.tick_at("lamp", at).await;
        assert_eq!(report.outcome, Outcome::Failed, "{minute}: {:?}", report.error);
    }
    assert_eq!(harness.stage.rows::<(String, String)>(states).await, before);
}
