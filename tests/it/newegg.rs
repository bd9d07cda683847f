//! Restocks: what can be bought is told when it comes and when it goes, and a page that cannot be read is
//! never taken for "gone".

use stakeout::model::Outcome;

use crate::harness::{Card, Harness, Page, listing, minutes_after};

const CARDS: &str = r#"
[alerting]
fail_after = 1
[watch.cards]
source = { kind = "newegg", url = "{origin}/p/pl", exclude = ["combo"] }
every = "1m"
"#;

const NONE: [Card; 3] = [
    ("N82E1", "Card One", 559, false),
    ("N82E2", "Card Two", 599, false),
    ("N82E3", "Card Three", 649, false),
];
const ONE: [Card; 3] = [
    ("N82E1", "Card One", 559, true),
    ("N82E2", "Card Two", 599, false),
    ("N82E3", "Card Three", 649, false),
];

/// Shows these pages, one a minute, and answers what was told in each minute.
async fn told(harness: &Harness, pages: &[Page]) -> Vec<Vec<String>> {
    let mut told = Vec::new();
    for (minute, page) in (0..).zip(pages) {
        let before = harness.messages().await.len();
        harness.site().show("/p/pl", page.clone());
        harness.tick_at("cards", minutes_after("2026-11-20T10:00:00Z", minute)).await;
        told.push(harness.titles().await.split_off(before));
    }
    told
}

fn nothing() -> Vec<String> {
    Vec::new()
}

fn only(title: &str) -> Vec<String> {
    vec![title.to_owned()]
}

#[tokio::test]
async fn the_first_run_says_once_what_is_watched_even_when_nothing_is_in_stock() {
    let harness = Harness::start(CARDS).await;
    let dearer = [("N82E1", "Card One", 560, false), NONE[1], NONE[2]];
    let told = told(&harness, &[listing(&NONE), listing(&NONE), listing(&dearer), listing(&NONE)]).await;
    assert_eq!(told, [only("cards: watching 3 items, 0 in stock"), nothing(), nothing(), nothing()]);
}

#[tokio::test]
async fn what_is_in_stock_at_first_sight_is_listed_with_its_link_and_its_end_is_told() {
    let harness = Harness::start(CARDS).await;
    let told = told(&harness, &[listing(&ONE), listing(&ONE), listing(&NONE), listing(&NONE)]).await;
    assert_eq!(
        told,
        [only("cards: watching 3 items, 1 in stock"), nothing(), only("cards: all items gone"), nothing()]
    );
    let body = harness.messages().await[0].json()["data"]["body"].as_str().unwrap().to_owned();
    assert!(body.contains("Card One") && body.contains("559"), "{body}");
    assert!(body.contains(&format!("{}/card-one/p/N82E1", harness.site().origin())), "{body}");
}

#[tokio::test]
async fn a_restock_is_told_once_while_stock_lasts() {
    let harness = Harness::start(CARDS).await;
    let both = [ONE[0], ("N82E2", "Card Two", 599, true), ONE[2]];
    let dearer = [("N82E1", "Card One", 579, true), both[1], both[2]];
    let told = told(
        &harness,
        &[
            listing(&NONE),
            listing(&ONE),
            listing(&ONE),
            listing(&both),
            listing(&dearer),
            listing(&NONE),
            listing(&ONE),
        ],
    )
    .await;
    assert_eq!(
        told[1..],
        [
            only("cards: 1 new item in stock"),
            nothing(),
            only("cards: 1 new item in stock"),
            nothing(),
            only("cards: all items gone"),
            only("cards: 1 new item in stock"),
        ]
    );
}

#[tokio::test]
async fn items_that_come_new_are_told_when_they_are_in_stock_and_items_that_leave_are_gone() {
    let harness = Harness::start(CARDS).await;
    let more = [NONE[0], ("N82E4", "Card Four", 499, true), ("N82E5", "Card Five", 499, false)];
    let combo = [NONE[0], ("N82E6", "Combo of cards", 499, true)];
    let told = told(&harness, &[listing(&NONE), listing(&more), listing(&more), listing(&combo)]).await;
    assert_eq!(
        told[1..],
        [only("cards: 1 new item in stock"), nothing(), only("cards: all items gone")],
        "and what is excluded is not there"
    );
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_never_gone() {
    let whole = listing(&ONE).text();
    let half = whole[..whole.find("Card Two").unwrap()].to_owned();
    for (case, page, outcome) in [
        ("a robot page", Page::html("<title>Are you a human?</title>"), Outcome::Blocked),
        ("too many requests", Page::html("wait").status(429), Outcome::Blocked),
        ("a ban", Page::html("possible use of an automated program").status(403), Outcome::Blocked),
        ("an empty page", Page::html(""), Outcome::Failed),
        ("another page", Page::html("<html><body><h1>Maintenance</h1></body></html>"), Outcome::Failed),
        ("not found", Page::html("<h1>404</h1>").status(404), Outcome::Failed),
        ("a cut line", listing(&ONE).breaking_off(), Outcome::Failed),
        ("half a page", Page::html(&half), Outcome::Ok),
        (
            "half a page, nothing on it",
            Page::html(&whole[..whole.find("<div class=\"item-cell\"").unwrap()]),
            Outcome::Failed,
        ),
    ] {
        let harness = Harness::start(CARDS).await;
        let told = told(&harness, &[listing(&[ONE[0], ("N82E2", "Card Two", 599, true)])]).await;
        assert_eq!(told.len(), 1);
        harness.site().show("/p/pl", page);
        for minute in [1, 2, 3] {
            let report = harness.tick_at("cards", minutes_after("2026-11-20T10:00:00Z", minute)).await;
            assert!(
                report.outcome == outcome || report.outcome == Outcome::Unchanged,
                "{case}: {}",
                report.outcome
            );
        }
        let titles = harness.titles().await;
        assert!(titles.iter().all(|title| !title.contains("gone")), "{case}: {titles:?}");
        let present = "select count(*) from subject where present = 1";
        assert_eq!(harness.stage.count(present).await, 2, "{case}");
    }
}

#[tokio::test]
async fn items_that_a_failed_run_did_not_show_are_not_new_afterwards() {
    let harness = Harness::start(CARDS).await;
    let robot = Page::html("<title>Are you a human?</title>");
    let told =
        told(&harness, &[listing(&ONE), robot, listing(&ONE), Page::html("").status(500), listing(&ONE)])
            .await;
    assert_eq!(told[1], only(&format!("{} blocks us", harness.site().host())));
    assert_eq!(told[2], only(&format!("{} lets us in again after 1 min", harness.site().host())));
    assert!(told[3][0].starts_with("cards is failing: "), "{told:?}");
    assert_eq!(told[4], only("cards works again after 1 min"));
}
