//! The API keeps to its description, whatever it is asked: schemathesis asks it, with all its checks.
//! <https://schemathesis.readthedocs.io>

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::api::stocked;

/// The program, where it is installed: `.ci/run` does that.
fn schemathesis() -> Option<PathBuf> {
    let own = std::env::var_os("STAKEOUT_SCHEMATHESIS").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    let starts = |program: &PathBuf| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    own.into_iter().chain([built, "schemathesis".into()]).find(starts)
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let Some(program) = schemathesis() else {
        eprintln!("skipped: schemathesis is not installed (`just schemathesis` installs and runs it)");
        return;
    };
    let harness = stocked().await;
    let address = harness.daemon().web().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/schemathesis.toml");
    let folder = harness.stage.folder.path().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .arg("--config-file")
            .arg(config)
            .args(["run", &format!("http://{address}/api/openapi.json"), "--continue-on-failure"])
            .args(["-H", "Authorization: Bearer open-sesame"])
            .args(["--max-examples", &std::env::var("STAKEOUT_EXAMPLES").unwrap_or_else(|_| "20".into())])
            .env("NO_COLOR", "1")
            .current_dir(folder)
            .output()
            .unwrap()
    });
    let output = asked.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
