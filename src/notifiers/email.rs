//! Sends mail over SMTP. <https://docs.rs/lettre>

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, transport::smtp};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::links::{Piece, pieces};
use crate::http::{Http, excerpt};
use crate::model::Secret;
use crate::plugin::{Message, Notifier, NotifyError, Plugin, Receipt};

/// Through a mail server of yours or of your provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Email {
    /// The mail server's name.
    server: String,
    /// The mail server's port; without it 587 for `starttls`, 465 for `tls`, 25 for `none`.
    port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    security: Security,
    /// What to log in as; without it nobody logs in.
    username: Option<String>,
    /// What to log in with.
    password: Option<Secret>,
    /// Who writes: `Stakeout <me@example.com>`.
    #[serde(deserialize_with = "mailbox")]
    #[schemars(with = "String")]
    from: Mailbox,
    /// Whom to write to, at least one.
    #[serde(deserialize_with = "mailboxes")]
    #[schemars(with = "Vec<String>", length(min = 1))]
    to: Vec<Mailbox>,
    /// `true`: a chart of what is told goes along, as a picture.
    #[serde(default)]
    attach_chart: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Security {
    /// Begins in the open and goes on encrypted, or not at all.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// In the open, password and all: only for a server on this machine or in this house.
    None,
}

impl Plugin for Email {
    const KIND: &'static str = "email";
    const ABOUT: &'static str = "sends mail over SMTP";
    const EXAMPLE: &'static str = "server = \"smtp.example.com\"\n\
                                   security = \"starttls\"\n\
                                   username = \"me@example.com\"\n\
                                   password = \"some-password\"\n\
                                   from = \"Stakeout <me@example.com>\"\n\
                                   to = [\"me@example.com\"]\n\
                                   attach_chart = false";
}

/// From the connection to the server's last word.
const TIMEOUT: Duration = Duration::from_secs(20);

#[async_trait]
impl Notifier for Email {
    async fn notify(&self, _: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError> {
        let mail = self.mail(message)?;
        let transport = self.transport()?;
        let sent = tokio::time::timeout(TIMEOUT, transport.send(mail)).await;
        let sent = sent.map_err(|_| {
            NotifyError::transient(format!("no complete answer within {} s", TIMEOUT.as_secs()))
        })?;
        let response = sent.map_err(|error| self.concealed(explain(&error)))?;
        let words: Vec<&str> = response.message().collect();
        Ok(Receipt { answer: excerpt(&format!("{} {}", response.code(), words.join(" "))), pause: None })
    }

    fn wants_picture(&self) -> bool {
        self.attach_chart
    }
}

impl Email {
    fn mail(&self, message: &Message<'_>) -> Result<lettre::Message, NotifyError> {
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(title(message))
            .date(SystemTime::from(message.created_at))
            // The same on every attempt, so that a mail program can drop the second of two.
            .message_id(Some(format!("<{}@{}>", message.delivery_id, self.from.email.domain())))
            // Keeps absence notes from being sent back. <https://www.rfc-editor.org/rfc/rfc3834>
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        mail.multipart(content(message))
            .map_err(|error| NotifyError::refused(format!("cannot write the mail: {error}")))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, NotifyError> {
        let parameters = || TlsParameters::new(self.server.clone()).map_err(|error| explain(&error));
        let (port, tls) = match self.security {
            Security::Starttls => (587, Tls::Required(parameters()?)),
            Security::Tls => (465, Tls::Wrapper(parameters()?)),
            Security::None => (25, Tls::None),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(TIMEOUT));
        match (&self.username, &self.password) {
            (Some(username), Some(password)) => {
                let password = password.expose().to_owned();
                builder = builder.credentials(Credentials::new(username.clone(), password));
            }
            (None, None) => {}
            _ => return Err(NotifyError::refused("`username` and `password` only go together")),
        }
        Ok(builder.build())
    }
}

impl Email {
    /// Servers like to repeat what they do not accept, as it came: in base64.
    fn concealed(&self, error: NotifyError) -> NotifyError {
        let Some(password) = self.password.as_ref().filter(|password| !password.is_empty()) else {
            return error;
        };
        let (name, password) = (self.username.as_deref().unwrap_or_default(), password.expose());
        let forms = [
            STANDARD.encode(format!("\0{name}\0{password}")),
            STANDARD.encode(password),
            password.to_owned(),
        ];
        let hide = |why: String| {
            // What is cut off may end in a part of one.
            let words = why.split(' ').map(|word| {
                let beginning = word.trim_end_matches('…');
                let is_part = word != beginning && beginning.len() >= 6;
                match is_part && forms.iter().any(|form| form.starts_with(beginning)) {
                    true => "…",
                    false => word,
                }
            });
            forms.iter().fold(words.collect::<Vec<_>>().join(" "), |why, form| why.replace(form, "…"))
        };
        match error {
            NotifyError::Transient { why, retry_after, parts_done } => {
                NotifyError::Transient { why: hide(why), retry_after, parts_done }
            }
            NotifyError::Refused { why } => NotifyError::Refused { why: hide(why) },
        }
    }
}

fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mailbox, D::Error> {
    parsed(&String::deserialize(deserializer)?)
}

fn mailboxes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mailbox>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.is_empty() {
        return Err(D::Error::custom("`to` names nobody"));
    }
    texts.iter().map(|text| parsed(text)).collect()
}

fn parsed<E: serde::de::Error>(text: &str) -> Result<Mailbox, E> {
    text.parse().map_err(|_| {
        E::custom(format!(
            "`{}` is not a mail address like `me@example.com` or `Me <me@example.com>`",
            excerpt(text)
        ))
    })
}

/// What went wrong, and whether it may go better another time.
fn explain(error: &smtp::Error) -> NotifyError {
    let words = std::error::Error::source(error).map(|source| excerpt(&source.to_string()));
    let words = words.unwrap_or_default();
    match error.status().map(|code| code.to_string()) {
        Some(code) if code == "535" => NotifyError::refused(format!(
            "the mail server does not accept the username and password: 535 {words}"
        )),
        Some(code) if error.is_permanent() => {
            NotifyError::refused(format!("the mail server says no: {code} {words}"))
        }
        Some(code) => NotifyError::transient(format!("the mail server says not now: {code} {words}")),
        // What lettre finds wrong by itself: no STARTTLS, no common way to log in.
        None if error.is_client() => NotifyError::refused(format!("cannot send mail: {words}")),
        None => NotifyError::transient(format!("cannot reach the mail server: {words}")),
    }
}

/// The same as plain text and as HTML, which shows the picture.
fn content(message: &Message<'_>) -> MultiPart {
    let Some(picture) = message.picture else {
        return MultiPart::alternative_plain_html(plain(message), html(message));
    };
    let png = ContentType::parse("image/png").expect("this is a content type");
    let shown = MultiPart::related()
        .singlepart(SinglePart::html(html(message)))
        .singlepart(Attachment::new_inline(CHART.into()).body(picture.png.clone(), png));
    MultiPart::alternative().singlepart(SinglePart::plain(plain(message))).multipart(shown)
}

/// How the HTML calls the picture that is sent along.
const CHART: &str = "chart.png";

/// One line, whatever it was made of.
fn title(message: &Message<'_>) -> String {
    message.title.split(char::is_control).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

fn plain(message: &Message<'_>) -> String {
    let title = title(message);
    let said = [&*title, message.body, message.url.unwrap_or_default()];
    said.iter().filter(|text| !text.is_empty()).map(|text| format!("{text}\n")).collect::<Vec<_>>().join("\n")
}

/// The same, with the links to click on.
fn html(message: &Message<'_>) -> String {
    let mut html = String::from("<!doctype html>\n<html><body>\n<p><strong>");
    push_words(&mut html, &title(message));
    html.push_str("</strong></p>\n");
    if !message.body.is_empty() {
        html.push_str("<pre style=\"font: inherit; white-space: pre-wrap\">");
        push_words(&mut html, message.body);
        html.push_str("</pre>\n");
    }
    if let Some(url) = message.url {
        html.push_str("<p>");
        push_words(&mut html, url);
        html.push_str("</p>\n");
    }
    if let Some(picture) = message.picture {
        html.push_str(&format!("<p><img src=\"cid:{CHART}\" width=\"800\" style=\"max-width: 100%\" alt=\""));
        push_escaped(&mut html, &picture.alt);
        html.push_str("\"></p>\n");
    }
    html.push_str("</body></html>\n");
    html
}

fn push_words(html: &mut String, text: &str) {
    for piece in pieces(text) {
        match piece {
            Piece::Text(words) => push_escaped(html, words),
            Piece::Link(link) => {
                html.push_str("<a href=\"");
                push_escaped(html, link);
                html.push_str("\">");
                push_escaped(html, link);
                html.push_str("</a>");
            }
        }
    }
}

fn push_escaped(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::model::Severity;
    use crate::notifiers::receiver::{alert, http, message};
    use crate::plugin::Picture;
    use crate::testing::plugin;

    /// A mail server that answers every command with 250, except those for which an answer is given.
    struct MailServer {
        port: u16,
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl MailServer {
        async fn start(answers: &'static [(&'static str, &'static str)]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let heard = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&heard);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    converse(stream, answers, &kept).await;
                }
            });
            Self { port, heard }
        }

        fn email(&self, more: &str) -> Email {
            plugin(&format!(
                "server = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
                 from = \"Stakeout <watch@house.example>\"\nto = [\"a@house.example\", \"B <b@house.example>\"]\n{more}",
                self.port
            ))
        }

        fn heard(&self) -> Vec<String> {
            self.heard.lock().unwrap().clone()
        }
    }

    async fn converse(stream: TcpStream, answers: &[(&str, &str)], heard: &Mutex<Vec<String>>) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let answer_to = |line: &str| {
            let given = answers.iter().find(|(command, _)| line.starts_with(command));
            given.map(|(_, answer)| *answer)
        };
        let greeting = answer_to("greeting").unwrap_or("220 mail.example ESMTP");
        stream.write_all(format!("{greeting}\r\n").as_bytes()).await.ok()?;
        let mut in_data = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            heard.lock().unwrap().push(line.clone());
            let answer = match &*line {
                "." if in_data => {
                    in_data = false;
                    answer_to(".").unwrap_or("250 2.0.0 queued as 4711")
                }
                _ if in_data => continue,
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                line if line.starts_with("EHLO") => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
                line => answer_to(line).unwrap_or("250 ok"),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }

    fn unquoted(lines: &[String]) -> String {
        let text = lines.join("\n").replace("=\n", "");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let hex = std::str::from_utf8(after.get(..2).unwrap_or_default()).unwrap_or_default();
            match u8::from_str_radix(hex, 16) {
                Ok(decoded) if byte == b'=' => {
                    bytes.push(decoded);
                    rest = &after[2..];
                }
                _ => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn a_mail_arrives_as_text_and_as_html() {
        let server = MailServer::start(&[]).await;
        let alerts = [alert("gpu", Severity::Info)];
        let told = Message {
            title: "gpu: RTX <3080>\r\nBcc: someone@evil.example",
            body: "Preis: 799 €\n.\nhttps://shop.example/p?a=1&b=2.",
            url: Some("https://shop.example/"),
            ..message(&alerts)
        };
        let email = server.email("username = \"me\"\npassword = \"pass word\"");
        let receipt = email.notify(&http(), &told).await.unwrap();
        assert_eq!(receipt.answer, "250 2.0.0 queued as 4711");

        let heard = server.heard();
        let said = |text: &str| heard.iter().any(|line| line == text);
        for line in [
            "AUTH PLAIN AG1lAHBhc3Mgd29yZA==",
            "MAIL FROM:<watch@house.example>",
            "RCPT TO:<a@house.example>",
            "RCPT TO:<b@house.example>",
            "From: Stakeout <watch@house.example>",
            "To: a@house.example, B <b@house.example>",
            "Message-ID: <01a2b3c4-0000-7000-8000-000000000001@house.example>",
            "Date: Fri, 20 Nov 2026 10:20:30 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(said(line), "{line} is not in\n{}", heard.join("\n"));
        }
        assert!(heard.iter().any(|line| line.starts_with("Subject: gpu: RTX <3080>")), "{heard:?}");
        assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:?}");
        let text = unquoted(&heard);
        assert!(
            text.contains("Preis: 799 €\n..\nhttps://shop.example/p?a=1&b=2.\n\nhttps://shop.example/"),
            "{text}"
        );
        assert!(text.contains("gpu: RTX &lt;3080&gt;"), "{text}");
        assert!(text.contains("<a href=\"https://shop.example/p?a=1&amp;b=2\">"), "{text}");
    }

    #[tokio::test]
    async fn a_mail_shows_its_chart() {
        let server = MailServer::start(&[]).await;
        let alerts = [alert("gpu", Severity::Info)];
        let picture = Picture { png: vec![0x89; 90], alt: "AAPL \"30m\"".into() };
        let email = server.email("attach_chart = true");
        assert!(email.wants_picture());
        email.notify(&http(), &Message { picture: Some(&picture), ..message(&alerts) }).await.unwrap();
        let heard = server.heard();
        for line in ["Content-Type: image/png", "Content-ID: <chart.png>", "Content-Disposition: inline"] {
            assert!(heard.iter().any(|said| said == line), "{line} is not in\n{}", heard.join("\n"));
        }
        assert!(heard.iter().any(|line| line.starts_with("iYmJiYmJ")), "{heard:?}");
        let text = unquoted(&heard);
        assert!(text.contains("<img src=\"cid:chart.png\""), "{text}");
        assert!(text.contains("alt=\"AAPL &quot;30m&quot;\""), "{text}");
    }

    #[tokio::test]
    async fn the_servers_no_is_final_and_its_not_now_is_not() {
        for (answers, refused, reason) in [
            (&[("RCPT", "550 5.1.1 no such user")][..], true, "550 5.1.1 no such user"),
            (&[("RCPT", "451 4.7.1 greylisted")], false, "451 4.7.1 greylisted"),
            (&[(".", "554 5.7.1 spam")], true, "554 5.7.1 spam"),
            (&[(".", "452 4.2.2 full")], false, "452 4.2.2 full"),
            (&[("AUTH", "535 5.7.8 no")], true, "does not accept the username and password: 535 5.7.8 no"),
            (&[("AUTH", "454 4.7.0 later")], false, "454"),
            (&[("greeting", "421 too busy")], false, "421 too busy"),
            (&[("greeting", "nonsense")], false, "cannot reach"),
        ] {
            let server = MailServer::start(answers).await;
            let alerts = [alert("gpu", Severity::Info)];
            let email = server.email("username = \"me\"\npassword = \"t0p-s3cret\"");
            let error = email.notify(&http(), &message(&alerts)).await.expect_err(reason);
            assert_eq!(matches!(error, NotifyError::Refused { .. }), refused, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!format!("{error:?} {email:?}").contains("s3cret"), "{error:?} {email:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_tried_again_and_one_that_cannot_encrypt_is_not() {
        let server = MailServer::start(&[]).await;
        let alerts = [alert("gpu", Severity::Info)];
        let mut email = server.email("");
        email.security = Security::Starttls;
        let error = email.notify(&http(), &message(&alerts)).await.unwrap_err();
        assert!(matches!(error, NotifyError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("STARTTLS"), "{error}");

        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        email.port = Some(gone);
        let error = email.notify(&http(), &message(&alerts)).await.unwrap_err();
        assert!(matches!(error, NotifyError::Transient { .. }), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }

    #[test]
    fn addresses_are_checked_when_they_are_read() {
        let keys = |to: &str| format!("server = \"s\"\nfrom = \"a@b.example\"\nto = {to}");
        for to in ["[]", "[\"nobody\"]", "[\"a@b.example\\r\\nRCPT TO:<x@y.example>\"]"] {
            assert!(toml::from_str::<Email>(&keys(to)).is_err(), "{to}");
        }
        assert!(toml::from_str::<Email>(&keys("[\"a@b.example\"]")).is_ok());
    }
}
