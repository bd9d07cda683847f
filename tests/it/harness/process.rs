//! The program itself, as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Stage, until};

pub(crate) struct Process {
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Process {
    /// `stakeout run` on the stage's configuration.
    pub(crate) fn run(stage: &Stage, environment: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| stage.folder.path().join(format!("{name}-{number}.txt"));
        let (output, log) = (file("output"), file("log"));
        let child = program()
            .arg("run")
            .arg("-c")
            .arg(stage.config())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, output, log }
    }

    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    pub(crate) fn output(&self) -> String {
        read(&self.output)
    }

    pub(crate) async fn logs(&self, text: &str) {
        until(&format!("the log says `{text}`"), async || self.log().contains(text).then_some(())).await;
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the process has ended", async || child.try_wait().unwrap()).await
    }

    /// Without a chance to say anything.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().unwrap();
        self.exit().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one command of the program to its end.
pub(crate) async fn command(stage: &Stage, arguments: &[&str]) -> Output {
    command_in(stage, arguments, &[]).await
}

/// The same, with variables of its own.
pub(crate) async fn command_in(stage: &Stage, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = program();
    command.args(arguments).arg("-c").arg(stage.config()).envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stakeout"));
    command.env_remove("RUST_LOG").env_remove("STAKEOUT_CONFIG").env_remove("STAKEOUT_DATA_DIR");
    command
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
