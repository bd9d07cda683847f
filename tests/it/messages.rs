//! What arrives is what the receiver expects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::harness::{Harness, Page, minutes_after, number};

#[tokio::test]
async fn a_webhook_is_signed_so_that_the_receiver_can_verify_it() {
    let harness = Harness::start(
        r#"
[notify.hook]
kind = "webhook"
url = "{origin}/hook/hook"
secret = "whsec_c3Rha2VvdXQgc2lnbnMgd2hhdCBpdCBzYXlz"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
labels = { room = "cellar" }
every = "1m"
"#,
    )
    .await;
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.site().show("/number", number(9));
    harness.tick("number", "2026-11-20T11:30:00Z").await;
    let messages = harness.messages().await;
    for post in &messages {
        let sent_at: i64 = post.header("webhook-timestamp").parse().unwrap();
        assert!((Timestamp::now().as_second() - sent_at).abs() < 60, "the time of the attempt");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"stakeout signs what it says").unwrap();
        mac.update(format!("{}.{sent_at}.{}", post.id(), post.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(post.header("webhook-signature"), expected);
        assert_eq!(post.header("content-type"), "application/json");
    }
    let [first, last] = [messages[0].json(), messages[1].json()];
    assert_eq!((&first["type"], &last["type"]), (&json!("alert.firing"), &json!("alert.resolved")));
    assert_eq!(first["timestamp"], "2026-11-20T10:00:00Z");
    let alert = &last["data"]["alerts"][0];
    for (field, expected) in [
        ("watch", json!("number")),
        ("strategy", json!("threshold")),
        ("status", json!("resolved")),
        ("reason", json!("resolved")),
        ("starts_at", json!("2026-11-20T10:00:00Z")),
        ("ends_at", json!("2026-11-20T11:30:00Z")),
        ("labels", json!({"room": "cellar"})),
        ("body", json!("It was so for 1 h 30 min.")),
    ] {
        assert_eq!(alert[field], expected, "{field}");
    }
}

#[tokio::test]
async fn a_message_is_fitted_to_discord_s_limits() {
    let harness = Harness::start(
        r#"
[notify.discord]
kind = "discord"
url = "{origin}/hook/discord"
[watch.numbers]
source = { kind = "json", url = "{origin}/numbers", pointer = "/*" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#,
    )
    .await;
    let numbers: Map<String, Value> =
        (0..300).map(|n| (format!("{n:03} {}", "long name ".repeat(30)), json!(20))).collect();
    harness.site().show("/numbers", Page::new(Value::Object(numbers).to_string()));
    harness.tick("numbers", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    let posts = harness.site().posts("discord");
    assert!(!posts.is_empty());
    for post in posts {
        let body = post.json();
        let length = |value: &Value| value.as_str().unwrap_or_default().chars().count();
        let embeds = body["embeds"].as_array().cloned().unwrap_or_default();
        assert!(length(&body["content"]) <= 2_000 && embeds.len() <= 10);
        for embed in &embeds {
            assert!(length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4_096);
        }
        let shown = embeds.iter().map(|embed| length(&embed["title"]) + length(&embed["description"]));
        assert!(shown.sum::<usize>() <= 6_000);
        assert!(length(&body["content"]) > 0 || !embeds.is_empty(), "Discord refuses what is empty");
        assert_eq!(body["allowed_mentions"], json!({"parse": []}), "it calls nobody");
    }
}

#[tokio::test]
async fn every_end_says_how_long_it_lasted() {
    let harness = Harness::start(
        r#"
[alerting]
resolved = true
on_first = "notify"
[watch.limit]
source = { kind = "json", url = "{origin}/n", pointer = "/n" }
strategy = [
    { kind = "threshold", above = 10 },
    { kind = "percent_change", by = 50, window = "30m" },
]
every = "1m"
"#,
    )
    .await;
    for (minute, n) in [(0, 9), (20, 20), (63, 9), (120, 9)] {
        harness.site().show("/n", number(n));
        harness.tick_at("limit", minutes_after("2026-11-20T10:00:00Z", minute)).await;
    }
    let ends: Vec<_> =
        harness.messages().await.into_iter().filter(|p| p.json()["type"] == "alert.resolved").collect();
    assert!(ends.len() >= 2, "{ends:?}");
    for end in ends {
        let data = end.json()["data"].clone();
        let said = format!("{} {}", data["title"], data["body"]);
        assert!(said.contains(" min") || said.contains(" h"), "{said}");
    }
}
