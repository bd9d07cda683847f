//! The table of notifiers: how to tell someone. One file and one row each.

mod answer;
mod console;
mod discord;
mod email;
mod links;
#[cfg(test)]
mod receiver;
mod webhook;

use crate::plugin::{Kind, Notifier};
pub use console::stand_aside;

/// Every notifier there is.
pub const KINDS: &[Kind<dyn Notifier>] = &[
    Kind::notifier::<console::Console>(),
    Kind::notifier::<discord::Discord>(),
    Kind::notifier::<email::Email>(),
    Kind::notifier::<webhook::Webhook>(),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use toml::de::DeTable;

    use super::receiver::{Receiver, alert, http, message};
    use super::*;
    use crate::model::Severity;
    use crate::plugin::{NotifyError, build};

    const KEY: &str = "kEy-0123456789-abcdefgh";

    /// Every notifier whose example has an address, at this address instead.
    fn posting_to(url: &str) -> Vec<(&'static str, Box<dyn Notifier>)> {
        let rows = KINDS.iter().filter_map(|kind| {
            let mut keys: toml::Table = kind.example.parse().unwrap();
            keys.insert("url".into(), url.into()).map(|_| (kind, keys))
        });
        rows.map(|(kind, mut keys)| {
            keys.insert("kind".into(), kind.name.into());
            let text = keys.to_string();
            let built = build(KINDS, DeTable::parse(&text).unwrap());
            (kind.name, built.map_err(|error| error.message).unwrap().1)
        })
        .collect()
    }

    #[derive(Debug, PartialEq)]
    enum Kept {
        Delivered,
        Refused,
        Transient(Option<u64>),
    }

    #[tokio::test]
    async fn every_answer_means_the_same_to_every_notifier() {
        use Kept::{Delivered, Refused, Transient};
        let cases: &[(&[u8], Kept)] = &[
            (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Delivered),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Delivered),
            (b"HTTP/1.1 200 OK\r\n\r\n<html><title>fine</title>", Delivered),
            (b"HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", Refused),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n{\"message\": \"no {target}\"}", Refused),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>no {target}", Refused),
            (b"HTTP/1.1 404 Not Found\r\n\r\nCannot {target}", Refused),
            (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Refused),
            (b"HTTP/1.1 408 Request Timeout\r\n\r\n", Transient(None)),
            (b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\r\n{}", Transient(Some(7))),
            (b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\r\n<html>{target}", Transient(Some(7))),
            (b"HTTP/1.1 500 Internal Server Error\r\n\r\n{target}", Transient(None)),
            (b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 9\r\n\r\n", Transient(Some(9))),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut", Transient(None)),
            (b"no HTTP at all", Transient(None)),
            (b"hang", Transient(None)),
            (b"", Transient(None)),
        ];
        let alerts = [alert("gpu", Severity::Info)];
        let told = message(&alerts);
        for (answer, expected) in cases {
            let receiver = Receiver::start(&[answer]).await;
            for (name, notifier) in posting_to(&format!("{}hook/{KEY}?token={KEY}", receiver.url())) {
                let outcome = notifier.notify(&http(), &told).await;
                let said = format!(
                    "{outcome:?} {}",
                    outcome.as_ref().err().map(ToString::to_string).unwrap_or_default()
                );
                assert!(!said.contains(KEY) && !said.contains("hook/"), "{name}: {said}");
                let kept = match outcome {
                    Ok(_) => Delivered,
                    Err(NotifyError::Refused { .. }) => Refused,
                    Err(NotifyError::Transient { retry_after, parts_done, .. }) => {
                        assert_eq!(parts_done, 0);
                        Transient(retry_after.map(|wait: Duration| wait.as_secs()))
                    }
                };
                assert_eq!(kept, *expected, "{name}, {}: {said}", String::from_utf8_lossy(answer));
                assert!(said.len() > 20, "{name} gives no reason: {said}");
            }
            assert_eq!(receiver.received().len(), posting_to("http://a.example/").len(), "one attempt each");
        }
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_tried_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{KEY}", listener.local_addr().unwrap());
        drop(listener);
        let alerts = [alert("gpu", Severity::Info)];
        for (name, notifier) in posting_to(&url) {
            let error = notifier.notify(&http(), &message(&alerts)).await.unwrap_err();
            assert!(matches!(error, NotifyError::Transient { .. }), "{name}: {error}");
            assert!(!format!("{error} {error:?}").contains(KEY), "{name}: {error}");
        }
    }

    #[test]
    fn no_notifier_shows_what_is_secret_in_it() {
        let url = format!("url = \"https://u:{KEY}@h.example/{KEY}?token={KEY}\"");
        let signed =
            format!("{url}\nsecret = \"{KEY}\"\nsecrets = [\"{KEY}\"]\nheaders = {{ a = \"{KEY}\" }}");
        for shown in [
            format!("{:?}", crate::testing::plugin::<discord::Discord>(&url)),
            format!("{:?}", crate::testing::plugin::<webhook::Webhook>(&signed)),
        ] {
            assert!(!shown.contains(KEY) && shown.contains("[secret]"), "{shown}");
        }
    }
}
