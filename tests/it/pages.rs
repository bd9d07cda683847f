//! Pages that change.

use crate::harness::{Harness, Page, minutes_after};

const NEWS: &str = r##"
[watch.news]
source = { kind = "page", url = "{origin}/news", select = "#content" }
every = "1m"
"##;

fn page(text: &str, advert: usize) -> Page {
    Page::html(&format!(
        "<html><head><title>Town hall</title></head><body><p>Advert {advert}</p>\
         <div id=\"content\"><p>{text}</p></div></body></html>"
    ))
}

#[tokio::test]
async fn a_text_is_remembered_at_first_sight_and_its_changes_are_told_once() {
    let harness = Harness::start(NEWS).await;
    let mut told = Vec::new();
    for (minute, page) in (0..).zip([
        page("The counter opens at 8:00.", 1),
        page("The counter opens at 8:00.", 2),
        page("The  counter\nopens at 8:00.", 3),
        page("The counter opens at 9:00.", 4),
        page("The counter opens at 9:00.", 5),
        page("The counter opens at 8:00.", 6),
        page("The counter opens at 8:00.", 6),
    ]) {
        let before = harness.messages().await.len();
        harness.site().show("/news", page);
        harness.tick_at("news", minutes_after("2026-11-20T10:00:00Z", minute)).await;
        told.push(harness.messages().await.len() - before);
    }
    assert_eq!(told, [0, 0, 0, 1, 0, 1, 0]);
    let messages = harness.messages().await;
    assert_eq!(messages[0].title(), "news changed");
    let body = messages[0].json()["data"]["body"].as_str().unwrap().to_owned();
    assert!(body.contains("8:00") && body.contains("9:00"), "what went and what came: {body}");
}

#[tokio::test]
async fn a_page_without_the_part_that_is_watched_is_a_failure_and_no_change() {
    let harness = Harness::start(&format!("[alerting]\nfail_after = 1\n{NEWS}")).await;
    for (minute, page) in (0..).zip([
        page("The counter opens at 8:00.", 1),
        Page::html("<html><body><h1>We have a new page</h1></body></html>"),
        page("The counter opens at 8:00.", 2),
    ]) {
        harness.site().show("/news", page);
        harness.tick_at("news", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].starts_with("news is failing: "), "{titles:?}");
    assert_eq!(titles[1], "news works again after 1 min");
}
