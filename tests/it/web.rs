//! What the web server answers.

use crate::harness::{Harness, number};

async fn ask(harness: &Harness, path: &str, token: Option<&str>) -> (u16, String) {
    let address = harness.daemon().web().unwrap();
    let mut request = reqwest::Client::new().get(format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn anyone_may_ask_whether_all_is_well_but_figures_want_the_token() {
    let harness = Harness::start(
        r#"
[web]
listen = "127.0.0.1:0"
token = "open-sesame"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#,
    )
    .await;
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&harness, path, None).await.0, 200, "{path}");
    }
    for token in [None, Some("open"), Some("open-sesamf")] {
        let (status, body) = ask(&harness, "/metrics", token).await;
        assert_eq!(status, 401);
        assert!(!body.contains("stakeout_"), "{body}");
    }
    let (status, figures) = ask(&harness, "/metrics", Some("open-sesame")).await;
    assert_eq!(status, 200);
    for name in [
        "stakeout_runs_total{source=\"json\",outcome=\"ok\"}",
        "stakeout_deliveries_total{notifier=\"webhook\",outcome=\"delivered\"}",
        "stakeout_outbox_pending 0",
        "stakeout_fetch_seconds_bucket",
        "# HELP stakeout_runs_total Runs since the start",
        "# TYPE stakeout_watch_up gauge\nstakeout_watch_up{watch=\"number\"} 1\n",
        "stakeout_watch_firing{watch=\"number\"} 1",
        "stakeout_watch_last_run_timestamp_seconds{watch=\"number\"} 1795168800\n",
        "stakeout_watches{state=\"firing\"} 1",
        "stakeout_build_info{version=",
        "stakeout_database_size_bytes ",
        "process_resident_memory_bytes ",
        "stakeout_live_listeners 0",
    ] {
        assert!(figures.contains(name), "{name}\n{figures}");
    }
    let kinds = figures.lines().filter(|line| line.starts_with("# TYPE "));
    let helps = figures.lines().filter(|line| line.starts_with("# HELP "));
    assert_eq!(kinds.count(), helps.count(), "each says what it is");
    assert_eq!(ask(&harness, "/nothing", Some("open-sesame")).await.0, 404);
}
