//! What a person, a dependency or a host that is down keeps quiet: beginnings, never ends, and nothing is
//! lost by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use stakeout::model::{Outcome, Silence};

use crate::harness::{Harness, Page, Post, command, minutes_after, number};

const START: &str = "2026-11-20T10:00:00Z";

const TWO: &str = r#"
[alerting]
fail_after = 2
[watch.router]
source = { kind = "json", url = "{origin}/router", pointer = "/n" }
strategy = [{ kind = "threshold", above = 1000 }]
every = "1m"
[watch.behind]
source = { kind = "json", url = "{origin}/behind", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
depends_on = ["router"]
"#;

async fn tick(harness: &Harness, watch: &str, minute: i64) -> Outcome {
    harness.tick_at(watch, minutes_after(START, minute)).await.outcome
}

async fn silence(harness: &Harness, patterns: &[(&str, &str)], from: Timestamp, minutes: i64) {
    let patterns: BTreeMap<String, String> =
        patterns.iter().map(|(name, pattern)| ((*name).to_owned(), (*pattern).to_owned())).collect();
    let silence = Silence {
        id: 0,
        matchers: patterns.try_into().unwrap(),
        starts_at: from,
        ends_at: from + SignedDuration::from_mins(minutes),
        created_by: "test".into(),
        comment: "the fair".into(),
    };
    harness.daemon().store().add_silence(silence, from).await.unwrap();
}

#[tokio::test]
async fn a_silence_mutes_beginnings_and_the_next_message_says_that_it_has_ended() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/behind", number(9));
    tick(&harness, "behind", 0).await;
    silence(&harness, &[("watch", "beh*"), ("subject", "n")], minutes_after(START, 1), 10).await;
    harness.site().show("/behind", number(11));
    for minute in 1..=10 {
        tick(&harness, "behind", minute).await;
    }
    assert!(harness.messages().await.is_empty(), "silenced");
    // The same bytes as before, but the silence is over.
    tick(&harness, "behind", 11).await;
    let messages = harness.messages().await;
    assert_eq!(messages.iter().map(Post::title).collect::<Vec<_>>(), ["n is above 10: 11"]);
    let body = messages[0].json()["data"]["body"].as_str().unwrap().to_owned();
    assert!(
        body.contains("The silence of subject=n watch=beh* ended at 2026-11-20 10:11: the fair"),
        "{body}"
    );

    harness.site().show("/behind", number(9));
    tick(&harness, "behind", 12).await;
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 2);
    let body = messages[1].json()["data"]["body"].as_str().unwrap().to_owned();
    assert!(!body.contains("silence"), "said once: {body}");
}

#[tokio::test]
async fn the_end_of_what_was_told_passes_a_silence() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/behind", number(11));
    tick(&harness, "behind", 0).await;
    silence(&harness, &[("watch", "behind")], minutes_after(START, 1), 600).await;
    harness.site().show("/behind", number(9));
    tick(&harness, "behind", 2).await;
    harness.site().show("/behind", number(12));
    tick(&harness, "behind", 3).await;
    let titles = harness.titles().await;
    assert_eq!(titles, ["n is above 10: 11", "n is no longer above 10: 9"]);
}

#[tokio::test]
async fn what_began_and_ended_under_a_silence_is_never_told() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/behind", number(9));
    tick(&harness, "behind", 0).await;
    silence(&harness, &[("strategy", "threshold")], minutes_after(START, 1), 10).await;
    for (minute, n) in [(1, 11), (5, 9), (20, 9)] {
        harness.site().show("/behind", number(n));
        tick(&harness, "behind", minute).await;
    }
    assert!(harness.messages().await.is_empty());
}

#[tokio::test]
async fn an_announcement_waits_for_the_end_of_a_silence() {
    let harness = Harness::start(
        r#"
[watch.gpu]
source = { kind = "newegg", url = "{origin}/p/pl?d=rtx" }
every = "1m"
"#,
    )
    .await;
    let cards = |in_stock| crate::harness::listing(&[("N82E1", "RTX 3070", 499, in_stock)]);
    harness.site().show("/p/pl", cards(true));
    silence(&harness, &[("watch", "gpu")], minutes_after(START, 0), 10).await;
    tick(&harness, "gpu", 0).await;
    harness.site().show("/p/pl", cards(false));
    tick(&harness, "gpu", 5).await;
    assert!(harness.messages().await.is_empty());
    tick(&harness, "gpu", 11).await;
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].contains("Watching 1 item") || titles[0].contains("watching 1 item"), "{titles:?}");
}

#[tokio::test]
async fn while_what_it_depends_on_fails_only_ends_are_told_and_checks_go_on() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/router", number(1));
    harness.site().show("/behind", number(9));
    tick(&harness, "router", 0).await;
    tick(&harness, "behind", 0).await;
    harness.site().show("/router", Page::new("gone").status(404));
    for minute in 1..=3 {
        tick(&harness, "router", minute).await;
    }
    harness.site().show("/behind", number(11));
    for minute in 1..=4 {
        assert_ne!(tick(&harness, "behind", minute).await, Outcome::Failed);
    }
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].starts_with("router is failing"), "{titles:?}");

    harness.site().show("/router", number(1));
    tick(&harness, "router", 5).await;
    tick(&harness, "behind", 5).await;
    let titles = harness.titles().await;
    assert_eq!(titles[1..], ["router works again after 4 min", "n is above 10: 11"]);

    // What was told is ended, whatever fails.
    harness.site().show("/router", Page::new("gone").status(404));
    tick(&harness, "router", 6).await;
    tick(&harness, "router", 7).await;
    harness.site().show("/behind", number(9));
    tick(&harness, "behind", 8).await;
    assert_eq!(harness.titles().await.last().unwrap(), "n is no longer above 10: 9");
}

#[tokio::test]
async fn a_thousand_watches_of_a_host_that_is_down_are_one_message_and_one_when_it_is_back() {
    let mut watches = String::new();
    for n in 0..1_000 {
        write!(
            watches,
            "[watch.w{n}]\nsource = {{ kind = \"json\", url = \"{{origin}}/w{n}\", pointer = \"/n\" }}\n\
             strategy = [{{ kind = \"threshold\", above = 10 }}]\nevery = \"1m\"\n"
        )
        .unwrap();
    }
    let mut harness = Harness::start(&watches).await;
    let show = |page: &Page| (0..1_000).for_each(|n| harness.site().show(&format!("/w{n}"), page.clone()));
    show(&number(9));
    let minute = async |harness: &Harness, minute: i64| {
        let ticks = (0..1_000).map(|n| {
            let watch = format!("w{n}");
            async move { tick(harness, &watch, minute).await }
        });
        futures_util::future::join_all(ticks).await
    };
    minute(&harness, 0).await;
    show(&Page::new("down").status(503));
    for n in 1..=4 {
        assert!(minute(&harness, n).await.iter().all(|outcome| *outcome == Outcome::Failed));
    }
    assert_eq!(harness.titles().await, [format!("{} does not answer", harness.site().host())]);
    let body = harness.messages().await[0].json()["data"]["body"].as_str().unwrap().to_owned();
    assert!(body.contains("503") && body.contains("1000 watches"), "{body}");

    harness.stop().await;
    harness.boot().await;
    minute(&harness, 5).await;
    assert_eq!(harness.messages().await.len(), 1, "nor again after a restart");

    let show = |page: &Page| (0..1_000).for_each(|n| harness.site().show(&format!("/w{n}"), page.clone()));
    show(&number(9));
    minute(&harness, 6).await;
    minute(&harness, 7).await;
    assert_eq!(harness.titles().await[1..], [format!("{} answers again after 3 min", harness.site().host())]);
}

#[tokio::test]
async fn two_broken_pages_of_a_host_that_answers_are_told_as_themselves_and_do_not_flap() {
    let harness = Harness::start(&TWO.replace("depends_on = [\"router\"]", "").replace(
        "[watch.behind]",
        "[watch.fine]\nsource = { kind = \"json\", url = \"{origin}/fine\", pointer = \"/n\" }\nevery = \"1m\"\n[watch.behind]",
    ))
    .await;
    harness.site().show("/fine", number(1));
    for watch in ["router", "behind"] {
        harness.site().show(&format!("/{watch}"), Page::new("broken").status(500));
    }
    for minute in 0..8 {
        for watch in ["router", "fine", "behind"] {
            tick(&harness, watch, minute).await;
        }
    }
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles.iter().all(|title| title.contains("is failing: ")), "{titles:?}");
}

#[tokio::test]
async fn a_dependency_that_is_disabled_keeps_nothing_quiet() {
    let harness = Harness::start(TWO).await;
    harness.site().show("/router", Page::new("gone").status(404));
    harness.site().show("/behind", number(9));
    tick(&harness, "router", 0).await;
    tick(&harness, "behind", 0).await;
    assert!(harness.reload(&TWO.replacen("every", "enabled = false\nevery", 1)).await);
    harness.site().show("/behind", number(11));
    tick(&harness, "behind", 1).await;
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
}

#[tokio::test]
async fn a_host_that_nobody_asks_any_more_is_no_longer_spoken_of() {
    let harness = Harness::start(TWO).await;
    for watch in ["router", "behind"] {
        harness.site().show(&format!("/{watch}"), Page::new("Too Many Requests").status(429));
    }
    tick(&harness, "router", 0).await;
    let host = harness.site().host();
    let elsewhere = TWO.replace("{origin}", "http://127.0.0.1:9");
    assert!(harness.reload(&elsewhere).await);
    let titles = harness.titles().await;
    assert_eq!(titles, [format!("{host} blocks us"), format!("Closed: no watch asks {host} any more")]);
}

#[tokio::test]
async fn a_host_that_was_down_before_the_start_is_told_once_as_well() {
    let mut harness = Harness::start(TWO).await;
    for watch in ["router", "behind"] {
        harness.site().show(&format!("/{watch}"), Page::new("down").status(503));
    }
    tick(&harness, "router", 0).await;
    tick(&harness, "behind", 0).await;
    harness.stop().await;
    harness.boot().await;
    for minute in 1..=3 {
        tick(&harness, "router", minute).await;
        tick(&harness, "behind", minute).await;
    }
    assert_eq!(harness.titles().await, [format!("{} does not answer", harness.site().host())]);
}

#[tokio::test]
async fn silences_are_made_listed_and_ended_by_command() {
    let harness = Harness::start(TWO).await;
    let said = async |arguments: &[&str]| {
        let output = command(&harness.stage, arguments).await;
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) =
        said(&["silence", "add", "--watch", "behind", "--for", "2h", "--comment", "fair"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = said(&["silence", "list"]).await;
    assert!(text.contains("watch=behind") && text.contains("fair") && text.contains("1 h 59 min"), "{text}");
    let (code, text) = said(&["silence", "end", "1"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = said(&["silence", "list"]).await;
    assert_eq!(text, "Nothing is silenced.\n");
    for (arguments, expected) in [
        (&["silence", "add", "--for", "2h"][..], "must say what it is about"),
        (&["silence", "add", "--watch", "behnd", "--for", "2h"], "did you mean `behind`"),
        (&["silence", "add", "--watch", "behind"], "--for"),
        (&["silence", "add", "--watch", "behind", "--until", "2020-01-01T00:00:00Z"], "over already"),
        (&["silence", "add", "--watch", "*", "--for", "800d"], "a year at most"),
        (&["silence", "end", "7"], "no silence 7"),
    ] {
        let (code, text) = said(arguments).await;
        assert!(code == Some(2) && text.contains(expected), "{arguments:?}: {text}");
    }
}
