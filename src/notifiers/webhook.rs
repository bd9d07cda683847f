//! Posts alerts as JSON to any address, signed so that the receiver can tell who sent them.
//! <https://www.standardwebhooks.com>

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::answer::{self, Address};
use crate::http::{Http, Request};
use crate::model::{AlertStatus, Secret, written_as};
use crate::plugin::{Message, Notifier, NotifyError, Plugin, Receipt};

/// In the form of Standard Webhooks, <https://www.standardwebhooks.com>, for a program of yours.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    /// Where to post.
    url: Address,
    /// The key to sign with: `whsec_` and base64, or any text; without one nothing is signed.
    secret: Option<Key>,
    /// More keys to sign with, while the receiver changes from one to the next.
    #[serde(default)]
    secrets: Vec<Key>,
    /// Headers that are sent along, for receivers that ask for a token of their own.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// `true`: a chart of what is told goes along, as a picture in base64.
    #[serde(default)]
    attach_chart: bool,
}

impl Plugin for Webhook {
    const KIND: &'static str = "webhook";
    const ABOUT: &'static str = "posts signed JSON to any address (Standard Webhooks)";
    const EXAMPLE: &'static str = "url = \"https://hooks.example.com/stakeout\"\n\
                                   secret = \"whsec_c3Rha2VvdXQgc2lnbnMgd2hhdCBpdCBzYXlz\"\n\
                                   headers = { authorization = \"Bearer some-token\" }\n\
                                   attach_chart = false";
}

#[async_trait]
impl Notifier for Webhook {
    async fn notify(&self, http: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError> {
        let now = Timestamp::now();
        let reply = answer::post(http, &self.request(message, now)).await?;
        match reply.ok() {
            Ok(reply) => Ok(Receipt { answer: format!("HTTP {}", reply.status), pause: None }),
            Err(why) => Err(answer::unwelcome(reply.status, why.to_string(), reply.retry_after(now))),
        }
    }

    fn wants_picture(&self) -> bool {
        self.attach_chart
    }
}

impl Webhook {
    fn request(&self, message: &Message<'_>, now: Timestamp) -> Request {
        let body = body(message).to_string();
        let id = message.delivery_id;
        let seconds = now.as_second();
        let mut request = Request::post_json(self.url.url().clone(), body.clone().into_bytes());
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        request = request.header("webhook-id", id).header("webhook-timestamp", &seconds.to_string());
        let signatures: Vec<String> = self
            .secret
            .iter()
            .chain(&self.secrets)
            .map(|key| key.sign(&format!("{id}.{seconds}.{body}")))
            .collect();
        if signatures.is_empty() {
            request
        } else {
            request.header("webhook-signature", &signatures.join(" "))
        }
    }
}

/// The first alert in the words of the whole message, and all of them beside it.
fn body(message: &Message<'_>) -> Value {
    let alerts = json!(message.alerts);
    let mut first = match alerts.get(0) {
        Some(Value::Object(alert)) => alert.clone(),
        _ => Map::new(),
    };
    first.insert("title".into(), message.title.into());
    first.insert("body".into(), message.body.into());
    first.insert("url".into(), message.url.into());
    first.insert("alerts".into(), alerts);
    if let Some(picture) = message.picture {
        let chart = json!({
            "content_type": "image/png",
            "description": picture.alt,
            "base64": STANDARD.encode(&picture.png),
        });
        first.insert("chart".into(), chart);
    }
    let firing = message.alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
    let kind = match (message.alerts.is_empty(), firing) {
        // The daemon speaks of itself.
        (true, _) => "note",
        (false, true) => "alert.firing",
        (false, false) => "alert.resolved",
    };
    json!({
        "type": kind,
        "timestamp": message.created_at,
        "data": first,
    })
}

/// A key to sign with: `whsec_` and base64, or any other text as it is.
#[derive(Clone)]
struct Key(Vec<u8>);

impl Key {
    fn sign(&self, content: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(content.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

written_as!(Key, "secret", "", ["${WEBHOOK_SECRET}"]);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        let key = match text.strip_prefix("whsec_") {
            Some(encoded) => ANY_PADDING
                .decode(encoded)
                .map_err(|_| D::Error::custom("what follows `whsec_` in `secret` must be base64"))?,
            None => text.as_bytes().to_vec(),
        };
        if key.is_empty() { Err(D::Error::custom("`secret` must not be empty")) } else { Ok(Self(key)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlertStatus, Severity};
    use crate::notifiers::receiver::{Receiver, alert, http, message};
    use crate::plugin::Picture;
    use crate::testing::{at, plugin};

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The first is the published example; the second was made with another program.
        let content = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        for (key, signature) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ("plain text key", "v1,l4wQhmWKBL2fUtQ8xA86hcZvVMXZKhLQQ6CcCtQcxfs="),
        ] {
            let hook: Webhook = plugin(&format!("url = \"https://h.example/\"\nsecret = \"{key}\""));
            assert_eq!(hook.secret.unwrap().sign(content), signature);
        }
    }

    #[tokio::test]
    async fn what_is_posted_can_be_verified() {
        let receiver = Receiver::start(&[b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"]).await;
        let hook: Webhook = plugin(&format!(
            "url = \"{}hook?key=1\"\nsecrets = [\"new key\", \"old key\"]\nheaders = {{ x-token = \"t0ken\" }}",
            receiver.url()
        ));
        let alerts = [alert("gpu", Severity::Info), alert("cpu", Severity::Info)];
        let told = Message { title: "2 changes", url: Some("https://shop.example/"), ..message(&alerts) };
        let receipt = hook.notify(&http(), &told).await.unwrap();
        assert_eq!(receipt, Receipt { answer: "HTTP 202".into(), pause: None });

        let posted = receiver.received().remove(0);
        assert_eq!(posted.target, "POST /hook?key=1 HTTP/1.1");
        assert_eq!(posted.header("content-type"), "application/json");
        assert_eq!(posted.header("x-token"), "t0ken");
        assert_eq!(posted.header("webhook-id"), message(&alerts).delivery_id);
        let signed =
            format!("{}.{}.{}", posted.header("webhook-id"), posted.header("webhook-timestamp"), posted.body);
        let expected: Vec<String> =
            ["new key", "old key"].map(|key| Key(key.as_bytes().to_vec()).sign(&signed)).to_vec();
        assert_eq!(posted.header("webhook-signature"), expected.join(" "));

        let posted = posted.json();
        assert_eq!(posted["type"], "alert.firing");
        assert_eq!(posted["timestamp"], "2026-11-20T10:20:30Z");
        assert_eq!(posted["data"]["title"], "2 changes");
        assert_eq!(posted["data"]["url"], "https://shop.example/");
        assert_eq!(posted["data"]["signal"]["subject"], "gpu");
        assert_eq!(posted["data"]["alerts"][1]["signal"]["subject"], "cpu");
        assert_eq!(posted["data"]["alerts"][0]["title"], alerts[0].title);
    }

    #[test]
    fn a_chart_goes_along_in_base64() {
        let alerts = [alert("gpu", Severity::Info)];
        let picture = Picture { png: vec![0x89, b'P'], alt: "AAPL".into() };
        assert!(plugin::<Webhook>("url = \"https://h.example/\"\nattach_chart = true").wants_picture());
        assert_eq!(
            body(&Message { picture: Some(&picture), ..message(&alerts) })["data"]["chart"],
            json!({ "content_type": "image/png", "description": "AAPL", "base64": "iVA=" })
        );
        assert_eq!(body(&message(&alerts))["data"].get("chart"), None);
    }

    #[test]
    fn a_message_is_resolved_only_when_all_of_it_is() {
        let mut alerts = [alert("gpu", Severity::Info), alert("cpu", Severity::Info)];
        alerts[0].status = AlertStatus::Resolved;
        assert_eq!(body(&message(&alerts))["type"], "alert.firing");
        alerts[1].status = AlertStatus::Resolved;
        assert_eq!(body(&message(&alerts))["type"], "alert.resolved");
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let hook: Webhook = plugin("url = \"https://h.example/\"");
        let alerts = [alert("gpu", Severity::Info)];
        let request = hook.request(&message(&alerts), at("2026-11-20T10:20:31Z"));
        assert!(request.headers.contains(&("webhook-timestamp".into(), "1795170031".into())));
        assert!(!request.headers.iter().any(|(name, _)| name == "webhook-signature"));
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_without_showing_it() {
        for keys in [
            "url = \"ftp://t0p-s3cret.example/\"",
            "url = \"t0p-s3cret\"",
            "url = \"https://h.example/\"\nsecret = \"whsec_t0p-s3cret!\"",
            "url = \"https://h.example/\"\nsecrets = [\"\"]",
        ] {
            let error = toml::from_str::<Webhook>(keys).expect_err(keys);
            assert!(!error.message().contains("s3cret"), "{error}");
        }
    }
}
