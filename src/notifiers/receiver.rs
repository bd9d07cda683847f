//! A local server for the tests of notifiers: it keeps what arrives and answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Http, Settings};
use crate::model::{Alert, AlertStatus, Reason, Severity, Signal};
use crate::plugin::Message;
use crate::testing::at;

/// A client that soon gives up.
pub(super) fn http() -> Http {
    Http::new(Settings { timeout: Duration::from_millis(500), ..Settings::default() }).unwrap()
}

/// An alert that fires.
pub(super) fn alert(subject: &str, severity: Severity) -> Alert {
    Alert {
        id: "01a2b3c4-0000-7000-8000-00000000000a".into(),
        watch: "gpus".into(),
        strategy: "restock".into(),
        signal: Signal::level(subject, "in_stock", true).severity(severity),
        status: AlertStatus::Firing,
        reason: Reason::First,
        title: format!("{subject} is in stock"),
        body: String::new(),
        url: None,
        starts_at: at("2026-11-20T10:20:30Z"),
        ends_at: None,
        labels: Default::default(),
    }
}

/// A message about these alerts.
pub(super) fn message(alerts: &[Alert]) -> Message<'_> {
    Message {
        delivery_id: "01a2b3c4-0000-7000-8000-000000000001",
        attempt: 1,
        created_at: at("2026-11-20T10:20:30Z"),
        parts_done: 0,
        title: "a title",
        body: "",
        url: None,
        alerts,
        picture: None,
    }
}

/// Answers one request a connection, with the given bytes in turn; the last of them again and again.
pub(super) struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

/// What arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// `POST /path HTTP/1.1`.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Receiver {
    pub(super) async fn start(answers: &[&[u8]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers[turn.min(answers.len() - 1)].clone();
                turn += 1;
                let kept = Arc::clone(&kept);
                tokio::spawn(async move { serve(stream, &answer, &kept).await });
            }
        });
        Self { port, received }
    }

    /// Ends in a slash.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// No bytes close the connection at once; `hang` keeps it open without a word. `{target}` in an answer
/// becomes what was asked for.
async fn serve(stream: TcpStream, answer: &[u8], kept: &Mutex<Vec<Received>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let target = lines.first()?.clone();
    let headers: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut received = Received { target, headers, body: String::new() };
    let mut body = vec![0; received.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    received.body = String::from_utf8(body).ok()?;
    let answer = match answer {
        b"hang" => {
            kept.lock().unwrap().push(received);
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        answer => String::from_utf8_lossy(answer).replace("{target}", &received.target).into_bytes(),
    };
    kept.lock().unwrap().push(received);
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()
}

impl Received {
    /// A header's value, empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
