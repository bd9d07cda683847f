//! The API keeps to its description, whatever it is asked: schemathesis asks it, with all its checks.
//! <https://schemathesis.readthedocs.io>

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::api::{stocked, stocked_without_token};
use crate::harness::Harness;

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
    let examples = std::env::var("STAKEOUT_EXAMPLES").unwrap_or_else(|_| "20".into());
    ask(&stocked_without_token().await, &["--checks", "all", "--max-examples", &examples]).await;
}

#[tokio::test]
async fn schemathesis_finds_no_way_around_the_token() {
    // So many wrong tokens are slowed down soon, and the right one with them: of what is said to a right one the
    // other test knows more.
    let checks = "ignored_auth,not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_schema_conformance";
    let few = ["--checks", checks, "--max-examples", "2", "-H", "Authorization: Bearer open-sesame"];
    ask(&stocked().await, &few).await;
}

async fn ask(harness: &Harness, options: &[&str]) {
    let Some(program) = schemathesis() else {
        writeln!(
            std::io::stderr().lock(),
            "skipped: schemathesis is not installed (`just schemathesis` runs it)"
        )
        .unwrap();
        return;
    };
    let address = harness.daemon().web().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/schemathesis.toml");
    let mut asked = Command::new(program);
    asked.arg("--config-file").arg(config).args(["run", &format!("http://{address}/api/openapi.json")]);
    asked.arg("--continue-on-failure").args(options).env("NO_COLOR", "1");
    asked.current_dir(harness.stage.folder.path());
    let output = tokio::task::spawn_blocking(move || asked.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
