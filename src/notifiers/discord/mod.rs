//! Posts to a Discord channel through one of its webhooks.
//! <https://docs.discord.com/developers/resources/webhook#execute-webhook>

mod text;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, json};
use url::Url;

use self::text::{escaped, shortened, units};
use super::answer::{self, Address};
use crate::http::{Http, Part, Reply, Request, excerpt};
use crate::model::{AlertStatus, Severity};
use crate::plugin::{Message, Notifier, NotifyError, Picture, Plugin, Receipt};

/// The address comes from Discord: the channel's settings, Integrations, Webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Discord {
    /// The webhook's address. Whoever knows it can post: keep it out of the file.
    url: Address,
    /// Who writes, instead of the webhook's own name; 1 to 80 characters.
    #[serde(default, deserialize_with = "username")]
    #[schemars(length(min = 1, max = 80))]
    username: Option<String>,
    /// The address of a picture, instead of the webhook's own.
    avatar_url: Option<Url>,
    /// The id of a thread in the webhook's channel, to post there.
    thread_id: Option<String>,
    /// `true`: a chart of what is told goes along, as a picture.
    #[serde(default)]
    attach_chart: bool,
}

impl Plugin for Discord {
    const KIND: &'static str = "discord";
    const ABOUT: &'static str = "posts to a Discord channel through a webhook";
    const EXAMPLE: &'static str = "url = \"https://discord.com/api/webhooks/123456789/some-token\"\n\
                                   username = \"Stakeout\"\n\
                                   attach_chart = false";
}

#[async_trait]
impl Notifier for Discord {
    async fn notify(&self, http: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError> {
        let parts = self.parts(message);
        let mut receipt = Receipt { answer: "everything was accepted before".into(), pause: None };
        for (number, part) in (1_u32..).zip(&parts).filter(|(number, _)| *number > message.parts_done) {
            receipt = match self.post(http, part).await {
                Ok(receipt) => receipt,
                Err(NotifyError::Transient { why, retry_after, .. }) => {
                    return Err(NotifyError::Transient { why, retry_after, parts_done: number - 1 });
                }
                Err(NotifyError::Refused { why }) if parts.len() > 1 => {
                    return Err(NotifyError::Refused {
                        why: format!("{why}, in part {number} of {}", parts.len()),
                    });
                }
                Err(refused) => return Err(refused),
            };
            if receipt.pause.is_some() && (number as usize) < parts.len() {
                return Err(NotifyError::Transient {
                    why: format!("Discord wants a pause after part {number} of {}", parts.len()),
                    retry_after: receipt.pause,
                    parts_done: number,
                });
            }
        }
        Ok(receipt)
    }

    fn wants_picture(&self) -> bool {
        self.attach_chart
    }
}

impl Discord {
    async fn post(&self, http: &Http, part: &Post<'_>) -> Result<Receipt, NotifyError> {
        let reply = answer::post(http, &self.request(part)?).await?;
        if reply.is_success() {
            return Ok(accepted(&reply));
        }
        let retry_after = retry_after(&reply, Timestamp::now());
        Err(answer::unwelcome(reply.status, said(&reply), retry_after))
    }

    fn request(&self, part: &Post<'_>) -> Result<Request, NotifyError> {
        let body = serde_json::to_vec(part).map_err(|error| NotifyError::refused(error.to_string()))?;
        let request = match part.picture {
            None => Request::post_json(self.target(), body),
            Some(Picture { png, .. }) => {
                let of = |name, file_name, content_type, body| Part { name, file_name, content_type, body };
                let said = of("payload_json", None, "application/json", &*body);
                let shown = of("files[0]", Some(CHART), "image/png", png);
                Request::post_parts(self.target(), &[said, shown])
            }
        };
        Ok(request.header("user-agent", USER_AGENT))
    }

    /// With `wait`, because without it Discord also says yes to a message that it then drops.
    fn target(&self) -> Url {
        let mut url = self.url.url().clone();
        let ours = |name: &str| name == "wait" || (name == "thread_id" && self.thread_id.is_some());
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| !ours(name)).collect();
        let thread = self.thread_id.iter().map(|id| ("thread_id", id.as_str()));
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("wait", "true").extend_pairs(thread);
        url
    }
}

/// Discord asks for a user agent of this form.
const USER_AGENT: &str = concat!("DiscordBot (stakeout, ", env!("CARGO_PKG_VERSION"), ")");

// Discord's limits. It counts characters; counting UTF-16 units instead is never too few.
const CONTENT: usize = 2_000;
const EMBED_TITLE: usize = 256;
const EMBED_URL: usize = 2_048;
const USERNAME: usize = 80;
const ALT: usize = 1_024;

fn username<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let lower = name.to_lowercase();
    if name.trim().is_empty() || units(&name) > USERNAME {
        Err(D::Error::custom("`username` must have 1 to 80 characters"))
    } else if lower.contains("discord") || lower.contains("clyde") {
        Err(D::Error::custom("Discord takes no `username` with \"discord\" or \"clyde\" in it"))
    } else {
        Ok(Some(name))
    }
}

/// The body of one post.
#[derive(Serialize)]
struct Post<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    embeds: Vec<Embed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<&'a Url>,
    allowed_mentions: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Value>,
    /// Sent beside it.
    #[serde(skip)]
    picture: Option<&'a Picture>,
}

#[derive(Serialize)]
struct Embed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    color: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    footer: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Value>,
    timestamp: String,
}

impl Discord {
    /// What to post, in order; the same for every attempt at the same message.
    fn parts<'a>(&'a self, message: &Message<'a>) -> Vec<Post<'a>> {
        let link = message.url.filter(|url| fits_a_title(url));
        let mut body = message.body.to_owned();
        if let Some(url) = message.url.filter(|_| link.is_none()) {
            body.push('\n');
            body.push_str(url);
        }
        let mut pages: Vec<_> = text::pages(&body).into_iter().map(Some).collect();
        if pages.is_empty() {
            pages.push(None);
        }
        let count = pages.len();
        let part = |(number, page): (usize, Option<String>)| {
            let link = link.filter(|_| number == 1);
            let picture = message.picture.filter(|_| number == 1);
            let title = message.title.replace('\n', " ");
            let content = if number == 1 { shortened(&escaped(&title), CONTENT) } else { String::new() };
            let embed = Embed {
                title: link.map(|url| shortened(&escaped(&host(url)), EMBED_TITLE)),
                url: link,
                description: page,
                color: color(message),
                footer: (count > 1).then(|| json!({ "text": format!("{number} of {count}") })),
                image: picture.map(|_| json!({ "url": format!("attachment://{CHART}") })),
                timestamp: format!("{:.0}", message.created_at),
            };
            Post {
                content,
                embeds: if embed.says_more() { vec![embed] } else { vec![] },
                username: self.username.as_deref(),
                avatar_url: self.avatar_url.as_ref(),
                // Whatever stands in the text calls nobody.
                allowed_mentions: json!({ "parse": [] }),
                attachments: picture.iter().map(|picture| attachment(picture)).collect(),
                picture,
            }
        };
        (1..).zip(pages).map(part).collect()
    }
}

impl Embed<'_> {
    /// Whether it says more than the line above it.
    const fn says_more(&self) -> bool {
        self.url.is_some() || self.description.is_some() || self.image.is_some()
    }
}

/// How a post calls the picture that is sent along.
const CHART: &str = "chart.png";

fn attachment(picture: &Picture) -> Value {
    json!({ "id": 0, "filename": CHART, "description": shortened(&picture.alt, ALT) })
}

/// Green when all is over, else by the worst that fires: red, orange or blue.
fn color(message: &Message<'_>) -> u32 {
    let firing = message.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
    match firing.map(|alert| alert.signal.severity).max() {
        None if !message.alerts.is_empty() => 0x2e_cc71,
        Some(Severity::Critical) => 0xe7_4c3c,
        Some(Severity::Warning) => 0xe6_7e22,
        Some(Severity::Info) | None => 0x34_98db,
    }
}

/// Discord refuses a whole message for the sake of a link that it does not like.
fn fits_a_title(url: &str) -> bool {
    let named = |url: &Url| url.host_str().is_some_and(|host| host.contains('.'));
    units(url) <= EMBED_URL
        && Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && named(&url))
}

fn host(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn accepted(reply: &Reply) -> Receipt {
    let id = reply.json::<Value>().ok().and_then(|answer| Some(answer.get("id")?.as_str()?.to_owned()));
    let answer = match (reply.status, id) {
        (status, Some(id)) => format!("{status} OK, message id {}", excerpt(&id)),
        (204, None) => "204 No Content".into(),
        (status, None) => format!("{status} OK"),
    };
    let used_up = reply.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    Receipt { answer, pause: reset_after(reply).filter(|_| used_up) }
}

fn reset_after(reply: &Reply) -> Option<Duration> {
    let seconds = reply.header("x-ratelimit-reset-after")?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Seconds, most exactly in the body; an answer from the edge of Discord's network has no JSON.
fn retry_after(reply: &Reply, now: Timestamp) -> Option<Duration> {
    let body = reply.json::<Value>().ok();
    let seconds = body.as_ref().and_then(|answer| answer.get("retry_after")?.as_f64());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(|| reply.retry_after(now))
        .or_else(|| reset_after(reply).filter(|_| reply.status == 429))
}

/// What Discord says is wrong, with its code and the fields that it complains about.
fn said(reply: &Reply) -> String {
    let plain = || reply.ok().err().map_or_else(String::new, |error| error.to_string());
    let Ok(answer) = reply.json::<Value>() else { return plain() };
    let mut complaints = Vec::new();
    let message = answer.get("message").and_then(Value::as_str);
    let errors = if message.is_some() { answer.get("errors") } else { Some(&answer) };
    complain(errors.unwrap_or_default(), "", &mut complaints);
    let complaints = excerpt(&complaints.join("; "));
    let code = answer.get("code").and_then(Value::as_i64).filter(|code| *code != 0);
    match (message, code) {
        (None, _) if complaints.is_empty() => plain(),
        (None, _) => format!("Discord says: {complaints}"),
        (Some(message), code) => {
            let code = code.map_or_else(String::new, |code| format!(" ({code})"));
            let complaints = if complaints.is_empty() { complaints } else { format!(": {complaints}") };
            format!("Discord says: {}{code}{complaints}", excerpt(message))
        }
    }
}

/// `{"embeds": {"0": {"url": {"_errors": [{"message": "…"}]}}}}` as `embeds.0.url: …`.
fn complain(errors: &Value, path: &str, complaints: &mut Vec<String>) {
    match errors {
        Value::String(text) => {
            complaints.push(if path.is_empty() { text.clone() } else { format!("{path}: {text}") })
        }
        Value::Array(several) => several.iter().for_each(|error| complain(error, path, complaints)),
        Value::Object(fields) => {
            for (name, inner) in fields {
                match name.as_str() {
                    "code" => {}
                    "_errors" | "message" => complain(inner, path, complaints),
                    name if path.is_empty() => complain(inner, name, complaints),
                    name => complain(inner, &format!("{path}.{name}"), complaints),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::receiver::{Receiver, alert, http, message};
    use crate::testing::{at, fixture, plugin};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"id\": \"123\"}";

    fn discord(url: &str, more: &str) -> Discord {
        plugin(&format!("url = \"{url}\"\n{more}"))
    }

    fn parts_of(title: &str, body: &str, url: Option<&str>) -> Vec<Value> {
        let alerts = [alert("gpu", Severity::Info)];
        let hook = discord("https://discord.com/api/webhooks/42/tok", "");
        let parts = hook.parts(&Message { title, body, url, ..message(&alerts) });
        parts.iter().map(|part| json!(part)).collect()
    }

    fn captured(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut reply =
            Reply::captured(status, Url::parse("https://discord.com/").unwrap(), body.as_bytes().to_vec());
        reply.headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        reply
    }

    #[test]
    fn a_message_is_its_title_and_an_embed() {
        let body = "RTX_3080 *OC* [https://shop.example/p?a_b=*c*]\nRTX 3070";
        let parts = parts_of("gpu: 2 items", body, Some("https://www.shop.example/list"));
        assert_eq!(
            parts,
            [json!({
                "allowed_mentions": { "parse": [] },
                "content": "gpu: 2 items",
                "embeds": [{
                    "color": 0x3498db,
                    "title": "www.shop.example",
                    "url": "https://www.shop.example/list",
                    "description":
                        "RTX_3080 \\*OC\\* \\[https://shop.example/p?a_b=*c*]\nRTX 3070",
                    "timestamp": "2026-11-20T10:20:30Z",
                }],
            })]
        );
        assert_eq!(
            parts_of("time to BUY AAPL", "", None),
            [json!({ "allowed_mentions": { "parse": [] }, "content": "time to BUY AAPL" })]
        );
    }

    #[tokio::test]
    async fn a_chart_is_a_file_of_the_first_post_that_its_embed_shows() {
        let receiver = Receiver::start(&[OK]).await;
        let alerts = [alert("gpu", Severity::Info)];
        let picture = Picture { png: b"the bytes of a PNG".to_vec(), alt: "AAPL <30 min>".into() };
        let hook = discord(&format!("{}hook", receiver.url()), "attach_chart = true");
        assert!(hook.wants_picture());
        let long = "a line of the message\n".repeat(300);
        let told = Message { title: "t", body: &long, picture: Some(&picture), ..message(&alerts) };
        hook.notify(&http(), &told).await.unwrap();

        let received = receiver.received();
        let kind = received[0].header("content-type");
        let boundary = format!("--{}", kind.strip_prefix("multipart/form-data; boundary=").unwrap());
        let parts: Vec<&str> = received[0].body.split(&boundary).collect();
        assert_eq!((parts.len(), parts[0], parts[3]), (4, "", "--\r\n"));
        let (head, said) = parts[1].trim().split_once("\r\n\r\n").unwrap();
        assert!(head.contains("form-data; name=\"payload_json\"\r\n"), "{head}");
        let said: Value = serde_json::from_str(said).unwrap();
        assert_eq!(said["embeds"][0]["image"]["url"], "attachment://chart.png");
        assert_eq!(
            said["attachments"],
            json!([{ "id": 0, "filename": "chart.png", "description": "AAPL <30 min>" }])
        );
        assert!(parts[2].contains("name=\"files[0]\"; filename=\"chart.png\"\r\ncontent-type: image/png"));
        assert!(parts[2].ends_with("\r\n\r\nthe bytes of a PNG\r\n"));
        assert_eq!(received[1].header("content-type"), "application/json", "only the first has a picture");
        assert!(!received[1].body.contains("attachment"));
    }

    #[test]
    fn a_link_that_discord_would_refuse_stands_in_the_text() {
        for url in ["http://nas/list", "file:///x.html", "not a link"] {
            let parts = parts_of("t", "b", Some(url));
            assert_eq!(parts[0]["embeds"][0]["url"], Value::Null, "{url}");
            assert_eq!(parts[0]["embeds"][0]["description"], format!("b\n{url}"));
        }
    }

    #[test]
    fn the_color_is_that_of_the_worst() {
        let mut alerts = [alert("a", Severity::Warning), alert("b", Severity::Critical)];
        assert_eq!(color(&message(&alerts)), 0xe74c3c);
        alerts[1].status = AlertStatus::Resolved;
        assert_eq!(color(&message(&alerts)), 0xe67e22);
        alerts[0].status = AlertStatus::Resolved;
        assert_eq!(color(&message(&alerts)), 0x2ecc71);
    }

    /// Every part keeps every limit.
    fn assert_fits(parts: &[Value]) {
        for part in parts {
            let length = |value: &Value| value.as_str().map_or(0, units);
            assert!(length(&part["content"]) <= 2_000);
            let mut total = 0;
            for embed in part["embeds"].as_array().into_iter().flatten() {
                assert!(length(&embed["title"]) <= 256);
                assert!(length(&embed["description"]) <= 4_096, "{}", length(&embed["description"]));
                total += ["title", "description"].map(|key| length(&embed[key])).iter().sum::<usize>();
                total += length(&embed["footer"]["text"]);
            }
            assert!(total <= 6_000);
            assert!(part.get("content").is_some() || total > 0);
        }
    }

    #[test]
    fn a_long_body_is_split_between_lines_and_nothing_is_lost() {
        let body: Vec<String> = (0..400).map(|n| format!("item {n} 🛡 {}", "x".repeat(n % 90))).collect();
        let parts = parts_of(&"🛡".repeat(1_500), &body.join("\n"), Some("https://shop.example/"));
        assert_fits(&parts);
        assert!(parts.len() > 3);
        let pages: Vec<&str> =
            parts.iter().map(|part| part["embeds"][0]["description"].as_str().unwrap()).collect();
        assert_eq!(pages.join("\n"), body.join("\n"));
        assert_eq!(parts[1]["embeds"][0]["footer"]["text"], format!("2 of {}", parts.len()));
        assert!(parts[1].get("content").is_none());
        assert!(parts[0]["content"].as_str().unwrap().ends_with("🛡…"));
    }

    #[test]
    fn a_line_too_long_is_cut_and_a_flood_is_counted() {
        let parts = parts_of("t", &"*".repeat(9_000), None);
        assert_fits(&parts);
        let text = parts[0]["embeds"][0]["description"].as_str().unwrap();
        assert!(parts.len() == 1 && text.ends_with("\\*…"), "{}", parts.len());

        for body in ["line of text\n".repeat(20_000), "@@ -1 +1 @@\n-a\n+b\n".repeat(20_000)] {
            let parts = parts_of("t", &body, None);
            assert_fits(&parts);
            assert_eq!(parts.len(), text::MOST_PAGES);
            let last = parts.last().unwrap()["embeds"][0]["description"].as_str().unwrap();
            assert!(last.lines().last().unwrap().starts_with("… and "), "{last}");
        }
        assert_fits(&parts_of("t", &"\n".repeat(20_000), None));
    }

    #[test]
    fn a_diff_is_shown_as_one() {
        let page = |body: &str| {
            parts_of("t", body, None)[0]["embeds"][0]["description"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            page("changed:\n@@ -1,2 +1,2 @@\n a_b\n-old ```\n+new\nhttps://a.example/x_y"),
            "changed:\n```diff\n@@ -1,2 +1,2 @@\n a_b\n-old `\u{200b}``\n+new\n```\nhttps://a.example/x_y"
        );
        assert_eq!(page("-old\n+new"), "```diff\n-old\n+new\n```");
        assert_eq!(page("- a_list\n- of things"), "- a_list\n- of things");
        for page in parts_of("t", &format!("@@ -1 +1 @@\n{}", "+more text\n".repeat(2_000)), None) {
            let page = page["embeds"][0]["description"].as_str().unwrap();
            assert!(page.starts_with("```diff\n") && page.ends_with("\n```"), "{page}");
        }
    }

    #[tokio::test]
    async fn it_is_posted_to_the_address_as_it_was_given() {
        let receiver = Receiver::start(&[OK]).await;
        let url = format!("{}api/webhooks/42/tok?wait=false&with_components=true", receiver.url());
        let hook = discord(&url, "username = \"Stakeout\"\nthread_id = \"77\"");
        let alerts = [alert("gpu", Severity::Info)];
        let receipt = hook.notify(&http(), &message(&alerts)).await.unwrap();
        assert_eq!(receipt, Receipt { answer: "200 OK, message id 123".into(), pause: None });
        let posted = receiver.received().remove(0);
        assert_eq!(
            posted.target,
            "POST /api/webhooks/42/tok?with_components=true&wait=true&thread_id=77 HTTP/1.1"
        );
        assert_eq!(posted.header("user-agent"), USER_AGENT);
        assert_eq!(posted.json()["username"], "Stakeout");
        assert_eq!(posted.json()["content"], "a title");
    }

    #[tokio::test]
    async fn parts_are_sent_in_order_and_not_twice() {
        let limited = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 65\r\n\r\n{\"retry_after\": 64.57}";
        let last_one =
            b"HTTP/1.1 200 OK\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 1.5\r\n\r\n{}";
        let receiver = Receiver::start(&[OK, limited, last_one, OK]).await;
        let hook = discord(&receiver.url(), "");
        let alerts = [alert("gpu", Severity::Info)];
        let body = "y".repeat(4_000) + "\n" + &"z".repeat(4_000) + "\n" + &"w".repeat(4_000);
        let mut told = Message { body: &body, ..message(&alerts) };

        for (parts_done, wait) in [(1, 64_570), (2, 1_500)] {
            let Err(NotifyError::Transient { retry_after, parts_done: done, .. }) =
                hook.notify(&http(), &told).await
            else {
                panic!("it should have stopped after part {parts_done}")
            };
            assert_eq!((done, retry_after), (parts_done, Some(Duration::from_millis(wait))));
            told.parts_done = done;
        }
        hook.notify(&http(), &told).await.unwrap();
        told.parts_done = 3;
        hook.notify(&http(), &told).await.unwrap();
        let first_letters: Vec<String> = receiver
            .received()
            .iter()
            .map(|posted| posted.json()["embeds"][0]["description"].as_str().unwrap()[..1].to_owned())
            .collect();
        assert_eq!(first_letters, ["y", "z", "z", "w"]);
    }

    #[test]
    fn a_pause_is_wished_for_only_when_the_bucket_is_empty() {
        for (left, pause) in [("0", Some(Duration::from_millis(1_250))), ("4", None)] {
            let headers = [("x-ratelimit-remaining", left), ("x-ratelimit-reset-after", "1.25")];
            assert_eq!(accepted(&captured(204, &headers, "")).pause, pause);
        }
        assert_eq!(accepted(&captured(204, &[], "")).answer, "204 No Content");
    }

    #[test]
    fn refusals_keep_their_reason() {
        for (status, body, expected) in [
            (
                404,
                r#"{"message": "Unknown Webhook", "code": 10015}"#,
                "Discord says: Unknown Webhook (10015)",
            ),
            (
                401,
                r#"{"message": "Invalid Webhook Token", "code": 50027}"#,
                "Discord says: Invalid Webhook Token (50027)",
            ),
            (404, r#"{"message": "404: Not Found", "code": 0}"#, "Discord says: 404: Not Found"),
            (
                400,
                r#"{"code": 50035, "message": "Invalid Form Body", "errors": {"embeds": {"0": {"description":
                    {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 4096 or fewer in length."}]}}}}}"#,
                "Discord says: Invalid Form Body (50035): embeds.0.description: Must be 4096 or fewer in length.",
            ),
            (
                400,
                r#"{"content": ["Must be 2000 or fewer in length."]}"#,
                "Discord says: content: Must be 2000 or fewer in length.",
            ),
            (403, "<html><title>no", "HTTP 403 Forbidden"),
            (502, "bad gateway", "HTTP 502 Bad Gateway: bad gateway"),
            (400, "[]", "HTTP 400 Bad Request: []"),
        ] {
            assert_eq!(said(&captured(status, &[], body)), expected);
        }
    }

    #[test]
    fn the_wait_is_read_from_wherever_it_stands() {
        let now = at("2026-11-20T10:20:30Z");
        let header = [("retry-after", "65"), ("x-ratelimit-reset-after", "64.57")];
        for (headers, body, seconds) in [
            (&header[..], r#"{"retry_after": 1336.57, "global": false}"#, Some(1336.57)),
            (&header[..], "error code: 1015", Some(65.0)),
            (&header[..], r#"{"retry_after": -1}"#, Some(65.0)),
            (&header[1..], "<html>", Some(64.57)),
            (&[], "", None),
        ] {
            let wait = retry_after(&captured(429, headers, body), now);
            assert_eq!(wait.map(|wait| wait.as_secs_f64()), seconds, "{body}");
        }
    }

    #[test]
    fn the_documented_rate_limits_are_understood() {
        for (name, seconds) in [("global", 64.57), ("shared", 1336.57), ("user", 64.57)] {
            let Some(text) = fixture(&format!("discord/rate_limit_429_{name}.http")) else { return };
            let text = String::from_utf8(text).unwrap().replace("\r\n", "\n");
            let (head, body) = text.split_once("\n\n").unwrap();
            let headers: Vec<(String, String)> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let mut reply = captured(429, &[], body);
            reply.headers = headers;
            let wait = retry_after(&reply, at("2026-11-20T10:20:30Z"));
            assert_eq!(wait.map(|wait| wait.as_secs_f64()), Some(seconds), "{name}");
            let error = answer::unwelcome(reply.status, said(&reply), wait);
            assert!(matches!(error, NotifyError::Transient { .. }), "{error}");
        }
    }

    #[test]
    fn names_that_discord_refuses_are_refused_before() {
        for name in ["", "Captain Clyde", "discord bot"] {
            let keys = format!("url = \"https://discord.com/api/webhooks/1/t\"\nusername = \"{name}\"");
            assert!(toml::from_str::<Discord>(&keys).is_err(), "{name}");
        }
    }
}
