//! A daemon to look at.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A daemon that does not outlive its test.
pub(crate) struct Daemon {
    process: Child,
    said: Vec<String>,
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
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let mut origin = None;
        // The demo says beneath it where it plays.
        let addresses = if arguments.contains(&"demo") { 2 } else { 1 };
        while origin.is_none() || said.iter().filter_map(|line: &String| address(line)).count() < addresses {
            let line = lines.next().expect("it says where its dashboard is");
            let is_dashboard = |_: &String| {
                let line = line.to_lowercase();
                line.contains("dashboard") || line.contains("web server")
            };
            origin = origin.or_else(|| address(&line).filter(is_dashboard));
            said.push(line);
        }
        // What it goes on to say is of no interest, but has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, said, origin: origin.unwrap(), _folder: folder }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// A page that the demo plays.
    pub(crate) fn played_page(&self) -> String {
        let own = |address: &String| *address != self.origin;
        let played =
            self.said.iter().filter_map(|line| address(line)).find(own).expect("where the demo plays");
        format!("{played}/p/pl?d=rtx+3070")
    }
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
