//! What is secret stands in no log, no database and no output.

use crate::harness::{Answer, Page, Process, Stage, command, until};

const SECRETS: [(&str, &str); 5] = [
    ("FINNHUB_TOKEN", "finnhub-k3y-a81c77d0"),
    ("JSON_KEY", "json-k3y-51f0e2b9"),
    ("HOOK_TOKEN", "hook-t0ken-0c9d31aa"),
    ("HOOK_SECRET", "sign-s3cret-77b2f4e6"),
    ("DISCORD_TOKEN", "disc0rd-t0ken-e90f6b18"),
];

#[tokio::test]
async fn a_secret_stands_nowhere_but_in_the_request_that_needs_it() {
    let stage = Stage::new(
        r#"
[web]
listen = "127.0.0.1:0"
[source.finnhub]
token = "${FINNHUB_TOKEN}"
base_url = "{origin}"
[notify.hook]
kind = "webhook"
url = "{origin}/hook/hook/${HOOK_TOKEN}"
secret = "${HOOK_SECRET}"
headers = { authorization = "Bearer ${JSON_KEY}" }
[notify.discord]
kind = "discord"
url = "{origin}/hook/discord/${DISCORD_TOKEN}"
[watch.shares]
source = { kind = "finnhub", symbols = ["AAPL"] }
strategy = [{ kind = "threshold", above = 10 }]
every = "200ms"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n", headers = { x-key = "${JSON_KEY}" } }
strategy = [{ kind = "threshold", above = 10 }]
every = "200ms"
fail_after = 1
[watch.paid]
source = { kind = "json", url = "{origin}/paid?key=${JSON_KEY}", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "200ms"
"#,
    )
    .await;
    stage.site.show(
        "/quote",
        Page::new(r#"{"c": 11, "d": 0, "dp": 0, "h": 11, "l": 11, "o": 11, "pc": 11, "t": 1795000000}"#),
    );
    stage.site.show("/paid", Page::new(r#"{"n": 11}"#));
    stage.site.show("/number", Page::html("no such key: {json-k}").status(401));
    // Receivers like to repeat what they were asked.
    let echo = "cannot POST /hook/discord/disc0rd-t0ken-e90f6b18";
    stage.site.answer("discord", [Answer::status(500).body(echo), Answer::status(404).body(echo)]);
    let echo = "cannot POST /hook/hook/hook-t0ken-0c9d31aa, Bearer json-k3y-51f0e2b9";
    stage.site.answer("hook", [Answer::status(500).body(echo), Answer::status(404).body(echo)]);

    let mut environment = SECRETS.to_vec();
    environment.push(("RUST_LOG", "trace"));
    let mut process = Process::run(&stage, &environment);
    until("everything was told", async || {
        let told = |hook: &str| stage.site.posts(hook).iter().filter(|post| post.was_taken()).count();
        (told("hook") >= 1 && told("discord") >= 1).then_some(())
    })
    .await;
    let quote = &stage.site.asked("/quote")[0];
    assert_eq!(quote.header("x-finnhub-token"), Some("finnhub-k3y-a81c77d0"), "who needs it gets it");
    // A configuration with a mistake beside the secrets.
    let text = std::fs::read_to_string(stage.config()).unwrap();
    std::fs::write(stage.config(), text.replace("symbols", "symbls")).unwrap();
    process.logs("was not reloaded").await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));

    let log = process.log();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the log says all that it can");
    let mut places =
        vec![("log".to_owned(), log.into_bytes()), ("output".to_owned(), process.output().into_bytes())];
    for entry in std::fs::read_dir(stage.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    std::fs::write(stage.config(), text).unwrap();
    for arguments in [&["check"][..], &["alerts"], &["once", "number", "--json", "--dry-run"]] {
        let output = command(&stage, arguments).await;
        places.push((arguments.join(" "), [output.stdout, output.stderr].concat()));
    }
    for (place, bytes) in &places {
        for (name, secret) in SECRETS {
            let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
            let around = found.map(|at| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(200)..(at + 60).min(bytes.len())])
                    .into_owned()
            });
            assert!(around.is_none(), "{name} stands in {place}: {}", around.unwrap_or_default());
        }
    }
}
