//! What we said began, we say ended, also when the watch goes, pauses, or comes to mean something else.

use crate::harness::{Harness, minutes_after, number};

const START: &str = "2026-11-20T10:00:00Z";

const TWO: &str = r#"
[watch.one]
source = { kind = "json", url = "{origin}/one", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.two]
source = { kind = "json", url = "{origin}/two", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

/// Both watches have told that their number is above 10.
async fn both_told() -> Harness {
    let harness = Harness::start(TWO).await;
    for watch in ["one", "two"] {
        harness.site().show(&format!("/{watch}"), number(11));
        harness.tick_at(watch, minutes_after(START, 0)).await;
    }
    assert_eq!(harness.messages().await.len(), 2);
    harness
}

async fn tick(harness: &Harness, watch: &str, minute: i64) {
    harness.tick_at(watch, minutes_after(START, minute)).await;
}

#[tokio::test]
async fn a_watch_that_is_removed_while_firing_closes_its_episode_with_a_note_once() {
    let mut harness = both_told().await;
    let one = &TWO[..TWO.find("[watch.two]").unwrap()];
    for _ in 0..2 {
        assert!(harness.reload(one).await);
        let messages = harness.messages().await;
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[2].title(), "Closed: n is above 10: 11");
        let json = messages[2].json();
        assert_eq!(json["type"], "alert.resolved");
        assert!(json["data"]["body"].as_str().unwrap().contains("the watch was removed"), "{json}");
        assert!(json["data"]["body"].as_str().unwrap().contains("It was so for"), "{json}");
    }
    harness.stop().await;
    harness.boot().await;
    // It comes back, and it is so again: a new beginning.
    assert!(harness.reload(TWO).await);
    tick(&harness, "two", 1).await;
    assert_eq!(harness.titles().await[3..], ["n is above 10: 11"]);
}

#[tokio::test]
async fn a_watch_that_is_disabled_while_the_daemon_is_down_is_closed_at_the_start() {
    let mut harness = both_told().await;
    harness.settled().await;
    harness.stop().await;
    harness.stage.write(&TWO.replacen("every = \"1m\"", "every = \"1m\"\nenabled = false", 1));
    harness.boot().await;
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 3);
    assert!(messages[2].json()["data"]["body"].as_str().unwrap().contains("the watch was disabled"));
}

#[tokio::test]
async fn a_rule_that_means_the_same_keeps_its_episode() {
    let harness = both_told().await;
    let same = TWO
        .replace("above = 10 }", "above = 10.0, hysteresis = 0 }")
        .replace(", hysteresis = 0", "")
        .replace("every = \"1m\"", "cooldown = \"5m\"\nevery = \"2m\"");
    assert!(harness.reload(&same).await);
    tick(&harness, "one", 1).await;
    harness.site().show("/one", number(9));
    tick(&harness, "one", 2).await;
    assert_eq!(harness.titles().await[2..], ["n is no longer above 10: 9"]);
}

#[tokio::test]
async fn a_rule_that_means_something_else_closes_its_episode_and_begins_anew() {
    let harness = both_told().await;
    assert!(harness.reload(&TWO.replacen("above = 10", "above = 5", 1)).await);
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2].title(), "Closed: n is above 10: 11");
    assert!(messages[2].json()["data"]["body"].as_str().unwrap().contains("its rule was changed"));
    tick(&harness, "one", 1).await;
    assert_eq!(harness.titles().await[3..], ["n is above 5: 11"]);
}

#[tokio::test]
async fn another_rule_before_it_leaves_an_episode_alone() {
    let harness = both_told().await;
    let more = TWO.replacen("[{ kind", "[{ kind = \"threshold\", above = 1000 }, { kind", 1);
    assert!(harness.reload(&more).await);
    tick(&harness, "one", 1).await;
    assert_eq!(harness.messages().await.len(), 2);
    harness.site().show("/one", number(9));
    tick(&harness, "one", 2).await;
    assert_eq!(harness.titles().await[2..], ["n is no longer above 10: 9"]);
}

#[tokio::test]
async fn a_source_that_looks_elsewhere_closes_what_it_said() {
    let harness = both_told().await;
    harness.site().show("/three", number(9));
    assert!(harness.reload(&TWO.replace("{origin}/one", "{origin}/three")).await);
    assert_eq!(harness.titles().await[2..], ["Closed: n is above 10: 11"]);
    tick(&harness, "one", 1).await;
    assert_eq!(harness.messages().await.len(), 3);
}

#[tokio::test]
async fn a_symbol_that_is_taken_out_of_the_list_is_closed_and_the_others_go_on() {
    let toml = r#"
[watch.coins]
source = { kind = "kraken", base_url = "{origin}", symbols = ["XBTUSD", "ETHUSD"] }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;
    let harness = Harness::start(toml).await;
    harness.site().show("/0/public/Ticker", crate::harness::ticker(&[("XBTUSD", 11.0), ("ETHUSD", 12.0)]));
    tick(&harness, "coins", 0).await;
    let before = harness.messages().await.len();
    let report = harness.reload(&toml.replace(", \"ETHUSD\"", "")).await;
    assert!(report);
    let titles = harness.titles().await;
    assert_eq!(titles.len(), before + 1, "{titles:?}");
    assert!(titles[before].starts_with("Closed: ") && titles[before].contains("ETHUSD"), "{titles:?}");
}

#[tokio::test]
async fn a_renamed_watch_keeps_its_open_episode() {
    let harness = both_told().await;
    let renamed = TWO.replace("[watch.one]", "[watch.uno]\nwas = \"one\"");
    assert!(harness.reload(&renamed).await);
    harness.site().show("/one", number(9));
    tick(&harness, "uno", 1).await;
    assert_eq!(harness.titles().await[2..], ["n is no longer above 10: 9"]);
}

#[tokio::test]
async fn the_plan_says_what_a_reload_would_do_and_does_nothing() {
    let harness = both_told().await;
    let plan = async || {
        let output = crate::harness::command(&harness.stage, &["plan"]).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(plan().await, "Nothing would change: 2 watches stay as they are.\n");
    harness.stage.write(
        &TWO.replacen("above = 10", "above = 5", 1).replace("[watch.two]", "[watch.three]\nwas = \"two\"")
            .replace("every = \"1m\"\n[watch.three]", "every = \"1m\"\n[watch.new]\nsource = { kind = \"page\", url = \"{origin}/p\" }\nevery = \"1h\"\n[watch.three]"),
    );
    let text = plan().await;
    for line in [
        "~  one    changed: strategy; begins anew: threshold; what is open ends with a note",
        "+  new    new",
        ">  three  was `two`, keeps its history",
        "A reload would add 1, change 1, rename 1, remove 0; 0 stay as they are.",
    ] {
        assert!(text.contains(line), "{text}");
    }
    harness.stage.write(&TWO[..TWO.find("[watch.two]").unwrap()]);
    let text = plan().await;
    assert!(text.contains("-  two    removed; its history stays; what is open ends with a note"), "{text}");
    assert_eq!(harness.messages().await.len(), 2, "nothing was done");
}

#[tokio::test]
async fn a_run_that_was_under_way_during_a_reload_does_not_undo_it() {
    let harness = both_told().await;
    harness.site().show("/one", number(12).after(std::time::Duration::from_millis(400)));
    let under_way = tick(&harness, "one", 1);
    let reload = async {
        crate::harness::until("the slow page is asked", async || {
            (harness.site().asked("/one").len() > 1).then_some(())
        })
        .await;
        assert!(harness.reload(&TWO.replacen("above = 10", "above = 20", 1)).await);
    };
    tokio::join!(under_way, reload);
    harness.site().show("/one", number(12));
    tick(&harness, "one", 2).await;
    assert_eq!(
        harness.titles().await[2..],
        ["Closed: n is above 10: 11"],
        "closed once, and not begun again"
    );
    harness.site().show("/one", number(21));
    tick(&harness, "one", 3).await;
    assert_eq!(harness.titles().await[3..], ["n is above 20: 21"]);
}

#[tokio::test]
async fn an_item_whose_page_is_taken_out_of_the_list_is_closed() {
    let toml = r#"
[watch.shops]
source = { kind = "shop", url = ["{origin}/a", "{origin}/b"] }
every = "1m"
"#;
    let product = |sku: &str| {
        crate::harness::Page::html(&format!(
            "<script type=\"application/ld+json\">{{\"@context\": \"https://schema.org\", \"@type\": \"Product\", \
             \"sku\": \"{sku}\", \"name\": \"Thing {sku}\", \"offers\": {{\"@type\": \"Offer\", \"price\": \"9.99\", \
             \"priceCurrency\": \"EUR\", \"availability\": \"https://schema.org/InStock\"}}}}</script>"
        ))
    };
    let harness = Harness::start(toml).await;
    harness.site().show("/a", product("A1"));
    harness.site().show("/b", product("B1"));
    tick(&harness, "shops", 0).await;
    assert_eq!(harness.messages().await.len(), 1, "{:?}", harness.titles().await);
    assert!(harness.reload(&toml.replace(", \"{origin}/b\"", "")).await);
    tick(&harness, "shops", 1).await;
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[1].starts_with("Closed: ") && titles[1].contains("no longer watched"), "{titles:?}");
    tick(&harness, "shops", 2).await;
    assert_eq!(harness.messages().await.len(), 2);
}
