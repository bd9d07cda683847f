//! A daemon to look at.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tempfile::TempDir;

/// A daemon that does not outlive its test.
pub(crate) struct Daemon {
    process: Child,
    played: Option<String>,
    origin: String,
    _folder: TempDir,
}

impl Daemon {
    /// `stakeout demo`.
    pub(crate) fn demo() -> Self {
        Self::start(&["demo"], TempDir::new().unwrap())
    }

    /// One that wants a token, with nothing to watch.
    pub(crate) fn with_token(token: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("config.toml");
        let text = format!("[web]\nlisten = \"127.0.0.1:0\"\ntoken = \"{token}\"\n");
        std::fs::write(&config, text).unwrap();
        Self::start(&["run", "-c", config.to_str().unwrap()], folder)
    }

    fn start(arguments: &[&str], folder: TempDir) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stakeout"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (heard, lines) = std::sync::mpsc::channel();
        listen(process.stdout.take().unwrap(), heard.clone());
        listen(process.stderr.take().unwrap(), heard);
        let (mut origin, mut played) = (None, None);
        let wants_both = arguments == ["demo"];
        while origin.is_none() || (wants_both && played.is_none()) {
            let line = lines.recv_timeout(Duration::from_secs(60)).expect("it says where its dashboard is");
            let lower = line.to_lowercase();
            if lower.contains("dashboard is at") || lower.contains("web server on") {
                origin = address(&line);
            } else if lower.contains("are played on") {
                played = address(&line);
            }
        }
        Self { process, played, origin: origin.expect("an address"), _folder: folder }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// A page that the demo plays.
    pub(crate) fn played_page(&self) -> String {
        format!("{}/page", self.played.as_deref().expect("the demo says where it plays"))
    }
}

/// Takes every line that it says, also when nobody wants to know.
fn listen(said: impl Read + Send + 'static, heard: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            let _ = heard.send(line);
        }
    });
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in a line, without its path.
fn address(line: &str) -> Option<String> {
    let from = line.find("http://127.0.0.1:")?;
    let rest = &line[from..];
    let end =
        rest.char_indices().skip(17).find(|(_, c)| !c.is_ascii_digit()).map_or(rest.len(), |(at, _)| at);
    Some(rest[..end].to_owned())
}
