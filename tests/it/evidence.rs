//! Shop pages that contradict themselves.

use crate::harness::{Harness, Page, minutes_after};

const SHOP: &str = r##"
[alerting]
fail_after = 1

[watch.shop]
source = { kind = "shop", url = ["{origin}/lamp", "{origin}/chair"] }
strategy = [{ kind = "restock" }]
every = "1m"
"##;

fn product(name: &str, availability: &str, button: &str) -> Page {
    Page::html(&format!(
        "<html><head><title>{name}</title><script type='application/ld+json'>{{\"@type\": \"Product\", \
         \"name\": \"{name}\", \"sku\": \"{name}\", \"offers\": {{\"price\": 5, \"priceCurrency\": \"EUR\", \
         \"availability\": \"https://schema.org/{availability}\"}}}}</script></head>\
         <body><h1>{name}</h1><form><button>{button}</button></form></body></html>"
    ))
}

#[tokio::test]
async fn what_each_strategy_cannot_judge_is_told() {
    let two = SHOP.replace("[{ kind = \"restock\" }]", "[{ kind = \"restock\" }, { kind = \"restock\" }]");
    let harness = Harness::start(&two).await;
    for page in ["lamp", "chair"] {
        harness.site().show(&format!("/{page}"), product(page, "OutOfStock", "Add to cart"));
    }
    harness.tick_at("shop", minutes_after("2026-11-20T10:00:00Z", 0)).await;
    let messages = harness.messages().await;
    let all: Vec<_> = messages.iter().map(|one| one.json().to_string()).collect();
    assert!(all.iter().any(|one| one.contains("restock: ") && one.contains("restock-2: ")), "{all:?}");
}

#[tokio::test]
async fn a_page_that_contradicts_itself_is_told_once_with_its_evidence_and_the_others_count() {
    let harness = Harness::start(SHOP).await;
    let mut told = Vec::new();
    for (minute, (lamp, chair)) in (0..).zip([
        (("OutOfStock", "Sold out"), ("OutOfStock", "Sold out")),
        (("OutOfStock", "Add to cart"), ("InStock", "Add to cart")),
        (("OutOfStock", "Add to cart"), ("InStock", "Add to cart")),
        (("OutOfStock", "Sold out"), ("InStock", "Add to cart")),
        (("InStock", "Add to cart"), ("InStock", "Add to cart")),
    ]) {
        let before = harness.titles().await.len();
        harness.site().show("/lamp", product("lamp", lamp.0, lamp.1));
        harness.site().show("/chair", product("chair", chair.0, chair.1));
        harness.tick_at("shop", minutes_after("2026-11-20T10:00:00Z", minute)).await;
        told.push(harness.titles().await.split_off(before));
    }
    let starts = |titles: &[String], start: &str| titles.iter().any(|title| title.starts_with(start));
    let counts: Vec<usize> = told.iter().map(Vec::len).collect();
    assert_eq!(counts[1..], [2, 0, 1, 1], "{told:?}");
    assert!(starts(&told[1], "shop: 1 new item in stock"), "{told:?}");
    assert!(starts(&told[1], "shop is failing: "), "{told:?}");
    assert!(starts(&told[3], "shop works again"), "{told:?}");
    assert!(starts(&told[4], "shop: 1 new item in stock"), "{told:?}");
    let all = format!(
        "{:?}",
        harness.messages().await.iter().map(|one| one.json().to_string()).collect::<Vec<_>>()
    );
    assert!(all.contains("the page contradicts itself (JSON-LD: out of stock"), "{all}");
}
