//! The page of one watch, and adding one: what a person reads there, and what they can have done.

use jiff::{SignedDuration, Timestamp};
use reqwest::redirect::Policy;
use stakeout::watchlist::source_offers;
use url::form_urlencoded;

use crate::harness::{Harness, Page, Stage, listing, number, until};
use stakeout::daemon::Clock;

/// An answer to a browser.
struct Answer {
    status: u16,
    location: String,
    page: String,
}

impl Answer {
    /// Fails with the page where it does not say that.
    fn says(&self, text: &str) {
        assert!(self.page.contains(text), "it does not say {text}\n{}", self.page);
    }

    fn says_nothing_of(&self, text: &str) {
        assert!(!self.page.contains(text), "it says {text}\n{}", self.page);
    }

    /// What stands between two marks.
    fn part(&self, from: &str, to: &str) -> &str {
        let (_, rest) = self.page.split_once(from).unwrap_or_else(|| panic!("no {from}\n{}", self.page));
        rest.split_once(to).map_or(rest, |(part, _)| part)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let reply = request.send().await.unwrap();
    let location = reply.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    let status = reply.status().as_u16();
    let page = reply.text().await.unwrap();
    for forbidden in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
        assert!(!page.contains(forbidden), "{forbidden} is forbidden\n{page}");
    }
    assert!(!page.contains("<script>"), "{page}");
    Answer { status, location: location.unwrap_or_default(), page }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).build().unwrap()
}

async fn get(harness: &Harness, path: &str) -> Answer {
    let address = harness.daemon().web().unwrap();
    answer(client().get(format!("http://{address}{path}"))).await
}

/// Sends a form as a browser does.
async fn post(harness: &Harness, path: &str, fields: &[(&str, &str)]) -> Answer {
    let address = harness.daemon().web().unwrap();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = client()
        .post(format!("http://{address}{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", format!("http://{address}"))
        .header("sec-fetch-site", "same-origin")
        .body(body);
    answer(request).await
}

/// A whole minute, so many before this one: pages look back from now.
fn minutes_ago(minutes: i64) -> Timestamp {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now - now % 60).unwrap() - SignedDuration::from_mins(minutes)
}

const SHOP: &str = r#"
[watch.gtx]
source = { kind = "newegg", url = "{origin}/p/pl?d=rtx" }
strategy = [{ kind = "restock" }]
every = "1m"
labels = { room = "games" }
"#;

#[tokio::test]
async fn of_a_shop_each_item_is_shown_with_its_stock_its_price_and_what_was_so_before() {
    let harness = Harness::start(SHOP).await;
    let (card, other) =
        (("N82E16814137603", "Card &amp; A", 559, false), ("N82E16814126461", "Card B", 599, false));
    harness.site().show("/p/pl", listing(&[card, other]));
    harness.tick_at("gtx", minutes_ago(90)).await;
    harness.site().show("/p/pl", listing(&[(card.0, card.1, 529, true), other]));
    harness.tick_at("gtx", minutes_ago(60)).await;
    harness.site().show("/p/pl", listing(&[(card.0, card.1, 549, false)]));
    harness.tick_at("gtx", minutes_ago(30)).await;

    let page = get(&harness, "/watches/gtx").await;
    assert_eq!(page.status, 200);
    page.says("<h1>gtx</h1>");
    page.says("room=games");
    page.says("newegg");
    page.says("1 item, 0 of them in stock");
    page.says("1 item no longer there");
    let items = page.part("<table class=\"items list\">", "</table>");
    for text in
        ["Card &amp; A", "out of stock", "$549.99", "$529.99", "30 min ago", "Price from 559.99 to 549.99"]
    {
        assert!(items.contains(text), "{text}\n{items}");
    }
    assert!(!items.contains("Card B"), "{items}");
    page.says("It told:");

    let item = get(&harness, "/watches/gtx?subject=N82E16814137603").await;
    let changes = item.part("What changed, the newest first", "</table>");
    let found: Vec<usize> =
        ["$549.99", "$529.99", "$559.99"].map(|price| changes.find(price).unwrap()).into();
    assert!(found.is_sorted(), "{changes}");
    assert!(changes.contains("▲ +20") && changes.contains("▼ −30"), "{changes}");
    get(&harness, "/watches/gtx?subject=nothing").await.says("No such item was ever seen.");
    get(&harness, "/watches/gtx?find=card+b").await.says("None of them is there now.");
    get(&harness, "/watches/gtx?find=%3Cb%3E").await.says("No item has “&lt;b&gt;”");
}

#[tokio::test]
async fn of_a_text_the_versions_are_shown_with_what_came_and_what_went() {
    let toml = r#"
[watch.terms]
source = { kind = "page", url = "{origin}/terms", select = "main", subject = "the terms" }
every = "1h"
"#;
    let harness = Harness::start(toml).await;
    let page = |second: &str| Page::html(&format!("<main><p>One.</p><p>{second}</p><p>Three.</p></main>"));
    harness.site().show("/terms", page("You pay 5 &lt;USD&gt;."));
    harness.tick_at("terms", minutes_ago(120)).await;
    harness.site().show("/terms", page("You pay 6 &lt;USD&gt;."));
    harness.tick_at("terms", minutes_ago(60)).await;
    let shown = get(&harness, "/watches/terms").await;
    shown.says("1 line came, 1 line went:");
    shown.says("− <del>You pay 5 &lt;USD&gt;.</del>");
    shown.says("+ <ins>You pay 6 &lt;USD&gt;.</ins>");
    shown.says(" (the first)");
}

#[tokio::test]
async fn of_numbers_the_last_ones_are_shown_with_their_change() {
    let toml = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n", subject = "the number", unit = "USD" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;
    let harness = Harness::start(toml).await;
    for (minutes, value) in [(3, 8.0), (2, 12.0), (1, 9.0)] {
        harness.site().show("/number", number(value));
        harness.tick_at("number", minutes_ago(minutes)).await;
    }
    let page = get(&harness, "/watches/number").await;
    let values = page.part("The last values", "</table>");
    assert!(values.contains("▲ +4 (+50.00 %)") && values.contains("▼ −3 (−25.00 %)"), "{values}");
    page.says("every 1 min");
}

#[tokio::test]
async fn a_value_of_a_day_is_called_by_its_date_in_every_zone() {
    let toml = r#"
[watch.gas]
source = { kind = "json", url = "{origin}/gas", pointer = "/n", date = "/at", subject = "/name" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;
    let harness = Harness::start(toml).await;
    for (minutes, day, value) in [(3, "2026-11-02", 3.1), (2, "2026-11-09", 3.2), (1, "2026-11-16", 3.0)] {
        harness.site().show("/gas", Page::new(format!(r#"{{"n": {value}, "at": "{day}", "name": "gas"}}"#)));
        harness.tick_at("gas", minutes_ago(minutes)).await;
    }
    let page = get(&harness, "/watches/gas").await;
    let values = page.part("The last values", "</table>");
    assert!(
        values.contains("<th scope=\"row\"><time datetime=\"2026-11-09\">2026-11-09</time></th>"),
        "{values}"
    );
}

#[tokio::test]
async fn every_slot_is_in_the_strip_and_the_coverage_is_said() {
    let toml = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "* * * * *"
"#;
    let harness = Harness::start(toml).await;
    harness.site().show("/number", number(1));
    let slot = async |due: i64| {
        let at = minutes_ago(due).to_string();
        harness.slot("number", &at, &at).await
    };
    for due in (10..20).rev() {
        slot(due).await;
    }
    harness.site().show("/number", Page::new("down").status(500));
    slot(9).await;
    harness.site().show("/number", number(1));
    // It comes two minutes late, so that one is left out.
    let (due, at) = (minutes_ago(8).to_string(), minutes_ago(6).to_string());
    harness.slot("number", &due, &at).await;

    let page = get(&harness, "/watches/number").await;
    let slots = page.part("id=\"slots\"", "</section>");
    for text in
        ["10 ok", "1 late", "1 failed", "skipped", "slot slot-late", "slot slot-failed", "role=\"img\""]
    {
        assert!(slots.contains(text), "{text}\n{slots}");
    }
    assert!(slots.contains("HTTP 500"), "what went wrong is told\n{slots}");
    let runs = page.part("id=\"runs\"", "</section>");
    assert!(runs.contains("failed") && runs.contains("?run="), "{runs}");
}

#[tokio::test]
async fn it_is_said_of_any_run_why_it_told_and_why_not() {
    let toml = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n", subject = "n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;
    let harness = Harness::start(toml).await;
    for (minutes, value) in [(3, 5.0), (2, 12.0), (1, 13.0)] {
        harness.site().show("/number", number(value));
        harness.tick_at("number", minutes_ago(minutes)).await;
    }
    harness.settled().await;
    let last = get(&harness, "/watches/number").await;
    last.says("<b>not told</b> (unchanged)");
    last.says("Going on");
    last.says("delivered at <time class=\"moment\"");
    let clock = minutes_ago(2).strftime("%Y-%m-%d+%H:%M").to_string();
    get(&harness, &format!("/watches/number?at={clock}")).await.says("<b>told</b> (first)");
    last.says("The run of (in UTC)");
    let told = get(&harness, &format!("/watches/number?at={}", minutes_ago(2))).await;
    told.says("<b>told</b> (first)");
    let run = told.part("?run=", "#why");
    assert_eq!(get(&harness, &format!("/watches/number?run={run}")).await.status, 200);
    get(&harness, "/watches/number?run=999999").await.says("There is no such run");
    get(&harness, "/watches/number?run=x").await.says("There is no such run");
    get(&harness, "/watches/number?at=yesterday").await.says("“yesterday” is no time");
    get(&harness, "/watches/number?at=2020-01-01T00:00:00Z").await.says("Nothing is known of a run");
}

#[tokio::test]
async fn a_watch_of_any_name_has_a_page_and_another_has_none() {
    let names = ["a b", "a/b", "\"quoted\"", "<script>", "50% off?#", "Ärger & Co", "it's"];
    let tables: String = names
        .iter()
        .map(|name| {
            let name = serde_json::Value::from(*name).to_string();
            format!(
                "[watch.{name}]\nsource = {{ kind = \"page\", url = \"{{origin}}/x?token=s3cr3t-of-mine\" }}\nevery = \"1h\"\n"
            )
        })
        .collect();
    let harness = Harness::start(&tables).await;
    for name in names {
        let escaped: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let path = format!("/watches/{}", escaped.replace('+', "%20"));
        let page = get(&harness, &path).await;
        assert_eq!(page.status, 200, "{name}");
        page.says("It has not run yet.");
        page.says_nothing_of("s3cr3t-of-mine");
        page.says_nothing_of("<script>");
        page.says(&format!("action=\"{path}/pause\""));
    }
    let missing = get(&harness, "/watches/a%20%3Cb%3E").await;
    assert_eq!(missing.status, 404);
    missing.says("There is no watch <b>a &lt;b&gt;</b>");
    assert_eq!(post(&harness, "/watches/nothing/pause", &[]).await.status, 404);
}

#[tokio::test]
async fn buttons_do_what_they_say_and_lead_back() {
    let harness = Harness::start(SHOP).await;
    for (verb, done) in [("pause", "paused"), ("pause", "paused"), ("resume", "resumed")] {
        let answer = post(&harness, &format!("/watches/gtx/{verb}"), &[]).await;
        assert_eq!((answer.status, answer.location.as_str()), (303, &*format!("/watches/gtx?done={done}")));
        let page = get(&harness, &answer.location).await;
        assert_eq!(page.page.contains("state-paused"), verb == "pause", "{}", page.page);
        page.says("role=\"status\"");
    }
    let answer = post(&harness, "/watches/gtx/silence", &[("for", "4h")]).await;
    assert_eq!(answer.location, "/watches/gtx?done=silenced");
    get(&harness, "/watches/gtx").await.says("<b>Silenced</b> until");
    for wrong in ["", "0s", "ten years", "900d", "-1h"] {
        let refused = post(&harness, "/watches/gtx/silence", &[("for", wrong)]).await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.says("It was not silenced");
        // Nothing refreshes itself at an address that only takes forms.
        refused.says_nothing_of("data-live");
    }

    // Who tries whom it tells comes back to what was looked at.
    let page = get(&harness, "/watches/gtx?subject=x&range=7d").await;
    let form = page.part("action=\"/notifiers/hook/test\"", "</form>");
    assert!(form.contains("name=\"back\" value=\"/watches/gtx?subject=x&amp;range=7d\""), "{form}");
    let back = "/watches/gtx?subject=x&range=7d";
    let tested = post(&harness, "/notifiers/hook/test", &[("back", back)]).await;
    assert_eq!((tested.status, tested.location), (303, format!("{back}&done=tested")));
    page.says(
        "href=\"/silences?watch=gtx&amp;subject=x&amp;back=%2Fwatches%2Fgtx%3Fsubject%3Dx%26range%3D7d\"",
    );
    let part = get(&harness, "/silences?watch=gtx&subject=x&back=%2Fwatches%2Fgtx%3Fsubject%3Dx").await;
    part.says("name=\"back\" value=\"/watches/gtx?subject=x\"");

    let question = get(&harness, "/watches/gtx/remove").await;
    question.says("It stands in a configuration file");
    question.says_nothing_of("<form method=\"post\" action=\"/watches/gtx/remove\"");
    let refused = post(&harness, "/watches/gtx/remove", &[]).await;
    assert_eq!((refused.status, refused.location.as_str()), (303, "/watches/gtx?done=in-file"));
    let page = get(&harness, &refused.location).await;
    page.says("role=\"alert\"");
    page.says("stands in the configuration file");
}

/// What a browser would send of a form: its fields with what stands in them.
fn fields_of(page: &str) -> Vec<(String, String)> {
    let (_, form) = page.split_once("<form class=\"add\"").unwrap();
    let form = form.split_once("</form>").unwrap().0;
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let attribute = |name: &str| {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            rest.split_once('"').map(|(value, _)| unescaped(value))
        };
        let (Some(name), true) = (attribute("name"), tag.starts_with("input")) else { continue };
        let is_box = attribute("type").as_deref() == Some("checkbox");
        if !is_box || tag.contains(" checked") {
            fields.push((name, attribute("value").unwrap_or_default()));
        }
    }
    fields
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[tokio::test]
async fn the_example_of_every_source_can_be_saved_from_its_form_or_is_said_to_need_the_file() {
    let harness = Harness::start("").await;
    let list = get(&harness, "/add").await;
    for offer in source_offers() {
        list.says(&format!("href=\"/add?source={}\"", offer.name));
        let fresh = get(&harness, &format!("/add?source={}", offer.name)).await;
        let mut fields = fields_of(&fresh.page);
        fields.push(("step".into(), "example".into()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let page = post(&harness, "/add", &fields).await;
        assert_eq!(page.status, 200, "{}\n{}", offer.name, page.page);
        let mut fields = fields_of(&page.page);
        // Nobody waits for the first slot, which asks a server that is not here.
        for (name, value) in &mut fields {
            match name.as_str() {
                "name" => *value = format!("new <{}>", offer.name),
                "every" => *value = String::new(),
                "cron" => *value = "0 0 29 2 *".into(),
                _ => {}
            }
        }
        fields.push(("step".into(), "save".into()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let saved = post(&harness, "/add", &fields).await;
        if offer.example.contains("token = ") {
            // It may stand there already.
            page.says("secrets stand in the configuration file alone");
            page.says("token = &quot;${FINNHUB_TOKEN}&quot;");
        }
        assert_eq!(saved.status, 303, "{}\n{}", offer.name, saved.page);
        let page = get(&harness, &saved.location).await;
        page.says(&format!("new &lt;{}&gt;", offer.name));
        page.says("Remove …");
    }
}

#[tokio::test]
async fn what_was_filled_in_is_kept_and_mistakes_stand_at_their_fields() {
    let harness = Harness::start("").await;
    get(&harness, "/add?source=%3Cb%3E").await.says("There is no source “&lt;b&gt;”.");
    let fields = [
        ("source", "json"),
        ("name", ""),
        ("source.url", "no <address>"),
        ("source.pointer", "/n"),
        ("every", "often"),
        ("strategy", "threshold"),
        ("strategy.threshold.above", "10"),
        ("notify", "hook"),
        ("more", "quiet_hours = \"</textarea>\""),
        ("step", "save"),
    ];
    // The example fills what is empty, and keeps the rest.
    let kept = fields.map(|(name, value)| (name, if name == "step" { "example" } else { value }));
    let kept: Vec<(&str, &str)> = kept.into_iter().filter(|(name, _)| *name != "source.pointer").collect();
    let example = post(&harness, "/add", &kept).await;
    assert_eq!(example.status, 200);
    for text in ["value=\"no &lt;address&gt;\"", "value=\"often\"", "&lt;/textarea&gt;"] {
        example.says(text);
    }
    let pointer = example.part("name=\"source.pointer\"", ">");
    assert!(pointer.contains("value=\"/"), "{pointer}");
    example.says_nothing_of("Give it a name.");

    let nameless = post(&harness, "/add", &fields).await;
    assert_eq!(nameless.status, 422);
    nameless.says("Give it a name.");
    let fields = fields.map(|(name, value)| (name, if name == "name" { "n" } else { value }));
    let wrong = post(&harness, "/add", &fields).await;
    assert_eq!(wrong.status, 422);
    for text in
        ["value=\"no &lt;address&gt;\"", "id=\"source.url-wrong\"", "id=\"every-wrong\"", "&lt;/textarea&gt;"]
    {
        wrong.says(text);
    }
    assert_eq!(get(&harness, "/watches/n").await.status, 404, "nothing was added");
    assert_eq!(post(&harness, "/add", &[("source", "nothing")]).await.status, 422);
}

#[tokio::test]
async fn a_watch_is_tried_before_it_is_saved_and_removed_after_one_more_question() {
    let harness = Harness::on(Stage::new("").await, Clock::Running).await;
    harness.site().show("/number", number(12));
    let url = format!("{}/number", harness.site().origin());
    let fields = |step| {
        vec![
            ("source", "json"),
            ("name", "my number"),
            ("source.url", url.as_str()),
            ("source.pointer", "/n"),
            ("source.subject", "n"),
            ("every", "1h"),
            ("strategy", "threshold"),
            ("strategy.threshold.above", "10"),
            ("notify", "hook"),
            ("step", step),
        ]
    };
    let tried = post(&harness, "/add", &fields("try")).await;
    assert_eq!(tried.status, 200, "{}", tried.page);
    tried.says("What one run sees");
    tried.says("It would tell");
    tried.says("threshold");
    tried.says("[watch.&quot;my number&quot;]");
    assert_eq!(get(&harness, "/watches/my%20number").await.status, 404, "trying adds nothing");

    let saved = post(&harness, "/add", &fields("save")).await;
    assert_eq!((saved.status, saved.location.as_str()), (303, "/watches/my%20number?done=added"));
    until("it has run", async || {
        get(&harness, "/watches/my%20number").await.page.contains("state-firing").then_some(())
    })
    .await;
    let again = post(&harness, "/add", &fields("save")).await;
    assert_eq!(again.status, 422);
    again.says("id=\"name-wrong\"");

    get(&harness, "/watches/my%20number/remove").await.says("Remove my number?");
    let removed = post(&harness, "/watches/my%20number/remove", &[]).await;
    assert_eq!((removed.status, removed.location.as_str()), (303, "/?done=removed"));
    assert_eq!(get(&harness, "/watches/my%20number").await.status, 404);
}
