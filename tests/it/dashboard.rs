//! What the pages of the dashboard show, and what their forms do.

use std::fmt::Write as _;

use crate::harness::{Answer, Harness, Page, chart, minutes_after, moment, number, until};

/// Every page that shows something by itself.
const PAGES: [&str; 6] = ["/", "/alerts", "/deliveries", "/silences", "/metrics-table", "/settings"];

const NUMBER: &str = r#"
[web]
listen = "127.0.0.1:0"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
resolved = true
"#;

fn address(harness: &Harness, path: &str) -> String {
    format!("http://{}{path}", harness.daemon().web().unwrap())
}

async fn get(harness: &Harness, path: &str) -> (u16, String) {
    let reply = reqwest::get(address(harness, path)).await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// A page that there is.
async fn page(harness: &Harness, path: &str) -> String {
    let (status, text) = get(harness, path).await;
    assert_eq!(status, 200, "{path}\n{text}");
    text
}

/// Sends a form as a browser does; answers the status, and where it leads or what it says.
async fn send(harness: &Harness, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.iter().copied()).finish();
    let request = client.post(address(harness, path)).header("origin", address(harness, ""));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    match reply.headers().get("location") {
        Some(location) => (status, location.to_str().unwrap().to_owned()),
        None => (status, reply.text().await.unwrap()),
    }
}

/// The names of the watches that an overview lists, in its order.
fn listed(overview: &str) -> Vec<&str> {
    let rows = overview.split("<th class=\"who\" scope=\"row\"><a href=\"").skip(1);
    rows.map(|row| row.split_once('>').unwrap().1.split_once('<').unwrap().0).collect()
}

/// What stands in a page as its own script, style or handler, which the browser would not run.
fn own_code(page: &str) -> Vec<&str> {
    let tags = page.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
    let is_code = |tag: &&str| {
        let handles = tag.split_whitespace().skip(1).any(|word| {
            word.strip_prefix("on")
                .is_some_and(|event| event.split_once('=').is_some_and(|(name, _)| !name.is_empty()))
        });
        handles
            || tag.contains(" style=")
            || tag.starts_with("style")
            || tag.contains("javascript:")
            || (tag.starts_with("script") && !tag.contains(" src="))
    };
    tags.filter(is_code).collect()
}

#[tokio::test]
async fn every_page_answers_and_foreign_text_stays_text() {
    let harness = Harness::start(
        r#"
[web]
listen = "127.0.0.1:0"
[watch."<script>alert('name')</script> & co/%?#"]
source = { kind = "json", url = "{origin}/prices", pointer = "/prices/*/n", subject = "/prices/*/name" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
labels = { "team" = "\" onmouseover=\"alert(1)" }
[watch.page]
source = { kind = "page", url = "{origin}/page" }
every = "1m"
on_first = "notify"
"#,
    )
    .await;
    let evil = "<script>alert('subject')</script>";
    harness.site().show("/prices", Page::new(format!(r#"{{"prices": [{{"name": "{evil}", "n": 11}}]}}"#)));
    harness.site().show("/page", Page::html("<p>&lt;img src=x onerror=alert(1)&gt;</p>"));
    let name = "<script>alert('name')</script> & co/%?#";
    harness.tick(name, "2026-11-20T10:00:00Z").await;
    harness.tick("page", "2026-11-20T10:00:00Z").await;
    let silence =
        [("subject", "<script>*</script>"), ("for", "1d"), ("comment", "\"><script>alert(2)</script>")];
    assert_eq!(send(&harness, "/silences", &silence).await.0, 303);
    for path in PAGES.into_iter().chain([
        "/alerts?watch=<script>",
        "/?q=\"><script>alert(3)</script>",
        "/?page=x&sort=<b>",
    ]) {
        let page = page(&harness, path).await;
        assert_eq!(own_code(&page), Vec::<&str>::new(), "{path}");
        for mark in ["<script>", "<img src=x", "<b>"] {
            assert!(!page.contains(mark), "{path}: {mark}\n{page}");
        }
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        assert!(page.contains("<html lang=\"en\">"), "{path}");
    }
    let overview = page(&harness, "/").await;
    assert!(overview.contains("&lt;script&gt;alert('name')&lt;/script&gt; &amp; co/%?#"), "{overview}");
    assert!(overview.contains(
        "href=\"/watches/%3Cscript%3Ealert%28%27name%27%29%3C%2Fscript%3E%20%26%20co%2F%25%3F%23\""
    ));
    let (status, nothing) = get(&harness, "/no-such-page").await;
    assert_eq!(status, 404);
    assert!(nothing.contains("There is no such page"), "{nothing}");
}

#[tokio::test]
async fn the_overview_shows_how_each_watch_stands_and_what_it_saw_last() {
    let mut toml = NUMBER.to_owned();
    for (name, path) in [("quiet", "/quiet"), ("broken", "/broken")] {
        let _ = write!(
            toml,
            "[watch.{name}]\nsource = {{ kind = \"json\", url = \"{{origin}}{path}\", pointer = \"/n\", unit = \"USD\" }}\n\
             strategy = [{{ kind = \"threshold\", above = 10 }}]\nevery = \"1m\"\n"
        );
    }
    toml += "[watch.bars]\nsource = { kind = \"yahoo\", symbols = [\"AAPL\"], interval = \"30m\" }\nevery = \"1m\"\n\
             strategy = [{ kind = \"threshold\", above = 1000 }]\n[watch.idle]\nsource = { kind = \"page\", url = \"{origin}/page\" }\nevery = \"1h\"\n\
             [source.yahoo]\nbase_url = \"{origin}\"\n";
    let harness = Harness::start(&toml).await;
    harness.site().show("/quiet", number(5));
    harness.site().show("/number", number(12));
    harness.site().show("/broken", Page::new("no").status(500));
    let closes: Vec<f64> = (0..40).map(|n| 200.0 + f64::from(n)).collect();
    harness.site().show("/v8/finance/chart/AAPL", chart("AAPL", moment("2026-11-20T15:00:00Z"), &closes));
    for name in ["quiet", "number", "broken", "bars"] {
        harness.tick(name, "2026-11-20T15:40:00Z").await;
    }
    let overview = page(&harness, "/").await;
    assert_eq!(listed(&overview), ["broken", "number", "idle", "bars", "quiet"], "troubles first");
    for shown in [
        "5 USD",
        "239 <span class=\"muted\">AAPL",
        "nothing yet",
        "state-failing",
        "firing <span class=\"tally\">1</span>",
    ] {
        assert!(overview.contains(shown), "{shown}\n{overview}");
    }
    assert_eq!(overview.matches("<svg class=\"spark\"").count(), 1, "bars have a past, one number has none");
    assert_eq!(listed(&page(&harness, "/?state=firing").await), ["number"]);
    assert_eq!(listed(&page(&harness, "/?q=B&sort=name").await), ["bars", "broken", "number"]);
    assert_eq!(listed(&page(&harness, "/?q=b&state=failing").await), ["broken"]);
    assert!(page(&harness, "/?q=nobody").await.contains("No watch is like that"));
    for sort in ["change", "run", "next", "episode"] {
        assert_eq!(listed(&page(&harness, &format!("/?sort={sort}")).await).len(), 5, "{sort}");
    }
}

#[tokio::test]
async fn many_watches_are_shown_page_by_page() {
    let mut toml = "[web]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for nth in 0..205 {
        let _ = write!(
            toml,
            "[watch.w{nth:03}]\nsource = {{ kind = \"page\", url = \"{{origin}}/page/{nth}\" }}\nevery = \"1h\"\n"
        );
    }
    let harness = Harness::start(&toml).await;
    let first = page(&harness, "/?sort=name").await;
    assert_eq!(listed(&first).len(), 200);
    assert!(first.contains("rel=\"next\" href=\"/?sort=name&amp;page=2\""), "{first}");
    let second = page(&harness, "/?sort=name&page=2").await;
    assert_eq!(listed(&second), ["w200", "w201", "w202", "w203", "w204"]);
    assert!(second.contains("rel=\"prev\" href=\"/?sort=name\""));
    assert_eq!(listed(&page(&harness, "/?sort=name&page=99").await).len(), 5, "the last one");
}

#[tokio::test]
async fn alerts_are_read_from_the_newest_back_with_whom_they_reached() {
    let harness = Harness::start(NUMBER).await;
    for minute in 0..45 {
        harness.site().show("/number", number(if minute % 2 == 0 { 11 + minute } else { 1 }));
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute.into())).await;
    }
    harness.settled().await;
    let newest = page(&harness, "/alerts").await;
    assert_eq!(newest.matches("id=\"alert-").count(), 40);
    assert!(newest.contains("55") && newest.contains("sent to hook"), "{newest}");
    let older = newest.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let oldest = page(&harness, &older.replace("&amp;", "&")).await;
    assert_eq!(oldest.matches("id=\"alert-").count(), 5);
    assert!(!oldest.contains("rel=\"next\""));
    let firing = page(&harness, "/alerts?show=firing&watch=number").await;
    assert_eq!(firing.matches("id=\"alert-").count(), 1, "{firing}");
    assert!(page(&harness, "/alerts?watch=other").await.contains("Nothing was told yet"));
}

#[tokio::test]
async fn a_dead_message_can_be_tried_again_or_given_up() {
    let harness = Harness::start(NUMBER).await;
    harness.site().answer("hook", [Answer::status(410), Answer::status(410)]);
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    let dead = page(&harness, "/deliveries").await;
    assert!(dead.contains("<span class=\"count count-bad\">1 dead</span>"), "beside the navigation\n{dead}");
    assert!(dead.contains("410") && dead.contains("state-dead"), "{dead}");
    let action = |page: &str, what: &str| {
        let end = format!("/{what}\">");
        let before = page.split(&end).next().unwrap();
        assert!(before.len() < page.len(), "there is no {what}\n{page}");
        format!("{}/{what}", before.rsplit_once("action=\"").unwrap().1)
    };
    let retry = action(&dead, "retry");
    assert_eq!(send(&harness, &retry, &[]).await, (303, "/deliveries?done=retried".into()));
    until("it was refused again", async || {
        let attempts = harness.stage.count("select max(attempts) from delivery").await;
        (attempts == 2).then_some(())
    })
    .await;
    harness.settled().await;
    let dead = page(&harness, "/deliveries?done=retried").await;
    assert!(dead.contains("It is tried again now."), "what was done is said\n{dead}");
    assert_eq!(
        send(&harness, &action(&dead, "drop"), &[("back", "//evil.example")]).await,
        (303, "/?done=dropped".into())
    );
    let after = page(&harness, "/deliveries").await;
    assert!(!after.contains("count-bad") && after.contains("state-dropped"), "{after}");
    assert_eq!(send(&harness, "/deliveries/no-such/retry", &[]).await.0, 404);
}

#[tokio::test]
async fn a_silence_of_the_form_keeps_news_quiet_until_it_is_ended() {
    let harness = Harness::start(NUMBER).await;
    for (wrong, sentence) in [
        (vec![("for", "4h")], "Say what it is about"),
        (vec![("watch", "numbr"), ("for", "4h")], "did you mean `number`?"),
        (vec![("watch", "number"), ("for", "never")], "is not a length of time"),
        (vec![("watch", "number"), ("for", "0s")], "must end"),
        (vec![("watch", "number"), ("for", "900d")], "a year at most"),
        (vec![("label", "home"), ("for", "4h")], "team=home"),
    ] {
        let (status, text) = send(&harness, "/silences", &wrong).await;
        assert_eq!(status, 422, "{wrong:?}");
        assert!(text.contains(sentence), "{sentence}\n{text}");
    }
    let wish =
        [("watch", "num*"), ("strategy", ""), ("for", "4h"), ("comment", "holiday"), ("back", "/?q=n")];
    assert_eq!(send(&harness, "/silences", &wish).await, (303, "/?q=n&done=silenced".into()));
    let shown = page(&harness, "/silences").await;
    for part in ["watch=num*", "holiday", "about number"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(page(&harness, "/").await.contains("watch=num*"), "the overview says so too");
    assert_eq!(send(&harness, "/silences/1/end", &[]).await, (303, "/silences?done=ended".into()));
    assert_eq!(send(&harness, "/silences/1/end", &[]).await, (303, "/silences?done=over".into()));
    assert!(page(&harness, "/silences").await.contains("Nothing is silenced"));
    assert!(page(&harness, "/silences?all=1").await.contains("watch=num*"));
}

#[tokio::test]
async fn the_numbers_of_the_last_day_are_ranked_within_their_watch() {
    let harness = Harness::start(
        r#"
[web]
listen = "127.0.0.1:0"
[source.kraken]
base_url = "{origin}"
[watch.coins]
source = { kind = "kraken", symbols = ["AUSD", "BUSD"] }
strategy = [{ kind = "threshold", above = 1000000 }]
every = "1m"
"#,
    )
    .await;
    let now = jiff::Timestamp::now();
    for (minutes, a, b) in [(120, 100.0, 10.0), (60, 110.0, 10.0)] {
        harness.site().show("/0/public/Ticker", crate::harness::ticker(&[("AUSD", a), ("BUSD", b)]));
        harness.tick_at("coins", now - jiff::SignedDuration::from_mins(minutes)).await;
    }
    let shown = page(&harness, "/metrics-table").await;
    let line = shown.split(">AUSD</td>").nth(1).unwrap().split("</tr>").next().unwrap();
    for part in [">110<", ">100<", ">105<", ">5<", "▲ 10.00 %", ">1<span class=\"muted\"> of 2"] {
        assert!(line.contains(part), "{part}\n{line}");
    }
    assert!(shown.find("AUSD").unwrap() < shown.find("BUSD").unwrap());
    let sorted = page(&harness, "/metrics-table?sort=least&q=coin").await;
    assert!(sorted.find("AUSD").unwrap() < sorted.find("BUSD").unwrap());
    assert!(page(&harness, "/metrics-table?q=nobody").await.contains("No number was seen"));
}

#[tokio::test]
async fn no_page_shows_a_secret() {
    let harness = Harness::start(
        r#"
[daemon]
heartbeat_url = "http://127.0.0.1:1/planted-heartbeat"
[web]
listen = "127.0.0.1:0"
[fetch]
allow_private_networks = true
proxy = ""
host."shop.example" = { min_interval = "10s" }
[notify.hook]
kind = "webhook"
url = "{origin}/hook/planted-hook"
headers = { authorization = "Bearer planted-header" }
[watch.number]
source = { kind = "json", url = "{origin}/number?token=planted-query", pointer = "/n", headers = { x-key = "planted-key" } }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#,
    )
    .await;
    harness.site().show("/number", Page::new("planted-key planted-query").status(500));
    harness.site().answer_always("planted-hook", Answer::status(410).body("planted-hook planted-header"));
    for minute in 0..4 {
        harness.tick_at("number", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    harness.settled().await;
    for path in PAGES {
        let page = page(&harness, path).await;
        assert!(!page.contains("planted"), "{path}\n{page}");
    }
    let settings = page(&harness, "/settings").await;
    for part in ["heartbeat_url</dt><dd>set", "shop.example", "one each 10 s", "webhook", "pointer"] {
        assert!(settings.contains(part), "{part}\n{settings}");
    }
}

#[tokio::test]
async fn a_configuration_that_was_not_taken_up_is_told_until_it_is_mended() {
    let harness = Harness::start(NUMBER).await;
    assert!(!page(&harness, "/").await.contains("was not taken up"));
    assert!(!harness.reload(&NUMBER.replace("threshold", "treshold")).await);
    let overview = page(&harness, "/").await;
    assert!(overview.contains("was not taken up") && overview.contains("treshold"), "{overview}");
    assert!(page(&harness, "/metrics").await.contains("stakeout_config_last_reload_successful 0"));
    assert!(harness.reload(NUMBER).await);
    assert!(!page(&harness, "/").await.contains("was not taken up"));
}
