//! What the commands print.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Page, Stage, chart, command, falling, moment, number, unknown_symbol};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n", unit = "USD" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn read(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", text(output), String::from_utf8_lossy(&output.stderr))
    })
}

#[tokio::test]
async fn once_prints_the_run_in_the_shape_that_scripts_read() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(11.5));
    let output = command(&stage, &["once", "number", "--json", "--at", "2026-11-20T10:00:00Z"]).await;
    assert_eq!(output.status.code(), Some(0));
    let report = read(&output);
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["watch", "outcome", "error", "observations", "signals", "alerts"]);
    assert_eq!(report["watch"], "number");
    assert_eq!(report["outcome"], "ok");
    assert_eq!(report["error"], Value::Null);
    assert_eq!(
        report["observations"],
        json!([{
            "subject": "n", "observed_at": "2026-11-20T10:00:00Z", "url": null,
            "kind": "value", "value": 11.5, "unit": "USD",
        }])
    );
    assert_eq!(
        report["signals"],
        json!([{
            "strategy": "threshold", "subject": "n", "state": "above", "firing": true, "value": 11.5,
            "summary": "n is above 10: 11.5",
        }])
    );
    assert_eq!(report["alerts"][0]["title"], "n is above 10: 11.5");
    assert_eq!(stage.site.posts("hook").len(), 1, "and it is told");
}

#[tokio::test]
async fn once_prints_candles_in_the_shape_that_scripts_read() {
    let stage = Stage::new(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["AAPL"] }
every = "30m"
"#,
    )
    .await;
    let opened = moment("2026-11-20T10:00:00Z");
    stage.site.show("/v8/finance/chart/AAPL", chart("AAPL", opened, &falling(60)));
    let output =
        command(&stage, &["once", "shares", "--json", "--dry-run", "--at", "2026-11-20T10:45:00Z"]).await;
    let seen = &read(&output)["observations"][0];
    assert_eq!((&seen["kind"], &seen["interval"]), (&json!("candles"), &json!("30m")));
    let candles = seen["candles"].as_array().unwrap();
    assert_eq!(candles.len(), 60, "the bar of 10:00 is closed at 10:45");
    assert_eq!(
        candles[59],
        json!({"open_time": "2026-11-20T10:00:00Z", "open": 941.0, "high": 941.0, "low": 941.0,
               "close": 941.0, "volume": 1000.0})
    );
    let output =
        command(&stage, &["once", "shares", "--json", "--dry-run", "--at", "2026-11-20T10:15:00Z"]).await;
    let seen = read(&output);
    let candles = seen["observations"][0]["candles"].as_array().unwrap();
    assert_eq!(candles.last().unwrap()["open_time"], "2026-11-20T09:30:00Z", "at 10:15 it is still open");
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(11));
    let output = command(&stage, &["once", "number", "--dry-run"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains("n is above 10: 11"), "{}", text(&output));
    assert!(!stage.data_dir().exists(), "not even a database");
    assert!(stage.site.posts("hook").is_empty());

    // Nor beside what is stored; but it is judged by it.
    command(&stage, &["once", "number"]).await;
    let told = stage.site.posts("hook").len();
    let counts = "select (select count(*) from run) + (select count(*) from alert) * 1000
                  + (select count(*) from observation) * 1000000";
    let before = stage.count(counts).await;
    let report = read(&command(&stage, &["once", "number", "--dry-run", "--json"]).await);
    assert_eq!(report["observations"].as_array().unwrap().len(), 1, "it shows what it sees");
    assert_eq!(report["alerts"], json!([]), "which is no news");
    assert_eq!(stage.count(counts).await, before);
    assert_eq!(stage.site.posts("hook").len(), told);
}

#[tokio::test]
async fn once_answers_by_its_exit_code() {
    let stage = Stage::new(
        r#"
[watch.shares]
source = { kind = "yahoo", base_url = "{origin}", symbols = ["NOPE"] }
every = "30m"
"#,
    )
    .await;
    stage.site.show("/v8/finance/chart/NOPE", unknown_symbol());
    let output = command(&stage, &["once", "shares", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report = read(&output);
    assert_eq!(report["outcome"], "failed");
    assert!(report["error"].as_str().unwrap().contains("unknown symbol `NOPE`"));
    stage.site.show("/v8/finance/chart/NOPE", Page::new("Edge: Too Many Requests").status(429));
    let report = read(&command(&stage, &["once", "shares", "--json"]).await);
    assert_eq!(report["outcome"], "blocked");
    let output = command(&stage, &["once", "share"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no watch `share`") && said.contains("`shares`"), "{said}");
    stage.write("[watch.shares]\nevry = \"1m\"\nsource = { kind = \"yaho\" }\n");
    let output = command(&stage, &["check"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("evry") && said.contains("yaho") && said.contains("mistakes"),
        "all at once: {said}"
    );
}

#[tokio::test]
async fn history_and_alerts_print_what_was_seen_and_told() {
    let stage = Stage::new(NUMBER).await;
    for (minute, n) in [(0, 9), (1, 11), (2, 9)] {
        stage.site.show("/number", number(n));
        let at = format!("2026-11-20T10:0{minute}:00Z");
        assert!(command(&stage, &["once", "number", "--at", &at]).await.status.success());
    }
    let since = ["--since", "2026-11-20T00:00:00Z"];
    let history = async |format: &str| {
        command(&stage, &["history", "number", since[0], since[1], "--format", format]).await
    };
    assert_eq!(
        text(&history("csv").await),
        "observed_at,subject,kind,open,high,low,close,volume,price,price_currency,availability,name,value,unit,text\n\
         2026-11-20T10:00:00Z,n,value,,,,,,,,,,9,USD,\n\
         2026-11-20T10:01:00Z,n,value,,,,,,,,,,11,USD,\n\
         2026-11-20T10:02:00Z,n,value,,,,,,,,,,9,USD,\n"
    );
    let seen = read(&history("json").await);
    assert_eq!(seen.as_array().unwrap().len(), 3);
    assert_eq!(
        seen[1],
        json!({"subject": "n", "observed_at": "2026-11-20T10:01:00Z", "url": null, "kind": "value",
               "value": 11.0, "unit": "USD"})
    );
    assert!(text(&history("table").await).contains("2026-11-20T10:01:00Z"));
    let nobody = command(&stage, &["history", "nobody"]).await;
    assert_eq!(nobody.status.code(), Some(2));

    let output = command(&stage, &["alerts", since[0], since[1], "--format", "json"]).await;
    let alerts = read(&output);
    let told: Vec<_> = alerts.as_array().unwrap().iter().map(|alert| alert["status"].clone()).collect();
    assert_eq!(told, ["firing", "resolved"], "the oldest first");
    let output = command(&stage, &["alerts", "number", since[0], since[1], "--format", "csv"]).await;
    let lines: Vec<String> = text(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "created_at,watch,strategy,subject,status,reason,title");
    assert_eq!(lines.len(), 3);
    let output = command(&stage, &["alerts", since[0], since[1]]).await;
    assert!(text(&output).contains("n is above 10: 11"));
}

#[tokio::test]
async fn json_stands_alone_on_standard_output_also_where_messages_are_printed() {
    let stage = Stage::new(&format!("[notify.console]\nkind = \"console\"\n{NUMBER}")).await;
    stage.site.show("/number", number(11));
    let output = command(&stage, &["once", "number", "--json"]).await;
    assert_eq!(read(&output)["alerts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_evidence_of_a_shop_s_page_is_listed() {
    let shop = "[watch.lamp]\nsource = { kind = \"shop\", url = \"{origin}/lamp\" }\nevery = \"1m\"\n";
    let stage = Stage::new(shop).await;
    let page = "<html><head><script type='application/ld+json'>{\"@type\": \"Product\", \"name\": \"Lamp\", \
        \"offers\": {\"price\": \"1.400\", \"availability\": \"InStock\"}}</script></head>\
        <body><h1>Lamp</h1><form><button>Sold out</button></form></body></html>";
    stage.site.show("/lamp", Page::html(page));
    let json = read(&command(&stage, &["once", "lamp", "--dry-run", "--json"]).await);
    assert_eq!(json["outcome"], "failed");
    let seen = &json["observations"][0];
    assert_eq!(seen["availability"], "unknown");
    let heard: Vec<_> = seen["evidence"].as_array().unwrap().iter().map(|one| &one["from"]).collect();
    assert_eq!(heard, ["json_ld", "button"]);
    assert_eq!(seen["evidence"][0]["excerpt"], "InStock; `1.400` can be 1.400 or 1400");
    let text = text(&command(&stage, &["once", "lamp", "--dry-run"]).await);
    assert!(text.contains("says JSON-LD: in stock (InStock; "), "{text}");
    assert!(text.contains("button: out of stock (Sold out)"), "{text}");
}

#[tokio::test]
async fn check_says_which_host_is_asked_more_often_than_its_pace_allows() {
    let table = |every: &str| {
        let watch = |name| {
            format!(
                "[watch.{name}]\nsource = {{ kind = \"page\", url = \"https://shop.example/{name}\" }}\nevery = \"{every}\"\n"
            )
        };
        format!("[fetch]\nper_host = {{ min_interval = \"10s\" }}\n{}{}", watch("one"), watch("two"))
    };
    let stage = Stage::new(&table("15s")).await;
    let said = String::from_utf8(command(&stage, &["check"]).await.stdout).unwrap();
    let note =
        "note: shop.example: 2 requests want it 8.0 times a minute, but its pace allows 6.0 (one each 10 s)";
    assert!(said.contains(note), "{said}");
    stage.write(&table("20s"));
    let said = String::from_utf8(command(&stage, &["check"]).await.stdout).unwrap();
    assert!(!said.contains("note:"), "{said}");
}

#[tokio::test]
async fn what_is_stored_can_be_looked_at_and_copied_while_the_configuration_has_mistakes() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(11));
    command(&stage, &["once", "number"]).await;
    stage.write("[watch.number]\nsorce = 1\n[watch");
    let copy = stage.folder.path().join("copy.db");
    let copy = copy.to_str().unwrap();
    for arguments in
        [vec!["alerts"], vec!["history", "number"], vec!["silence", "list"], vec!["backup", copy]]
    {
        let output = command(&stage, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
    }
    assert_eq!(command(&stage, &["check"]).await.status.code(), Some(2));
}
