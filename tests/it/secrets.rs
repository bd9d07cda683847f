//! What is secret stands in no log, no database and no output.

use base64::Engine as _;
use stakeout::config::{self, File, Mistakes};
use stakeout::watchlist::Watchlist;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::{Answer, Harness, Page, Process, Stage, command, command_in, crawl, until};

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

/// A secret for each place that a configuration has for one, written out there, or in the environment, or in
/// a file.
const PLANTED: [&str; 24] = [
    "heartbeat-5f1c90ab",
    "web-t0ken-77ab01cd",
    "finnhub-11aa22bb33",
    "portal-0a1b2c3d4e",
    "shared-header-9e8d7c",
    "header-44cc55dd66",
    "bearer-9f8e7d6c5b4a",
    "cookie-0d1e2f3a4b",
    "body-5a6b7c8d9e0f",
    "proxy-pass-1f2e3d4c",
    "user-info-6b5a4c3d",
    "query-key-8899aabb",
    "path-key-ccddeeff00",
    "file-key-1234abcd56",
    "redirect-99887766aa",
    "page-cookie-4d3c2b1a",
    "discord-t0ken-aa11bb",
    "hook-url-k3y-22cc33dd",
    "hook-sign-44ee55ff66",
    "hook-sign-before-77aa",
    "hook-bearer-88bb99cc",
    "smtp-pass-00dd11ee22",
    "json-escape-\"q\"-5e6f",
    "long-cut-abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789",
];

fn planted(beginning: &str) -> &'static str {
    PLANTED.iter().find(|secret| secret.starts_with(beginning)).unwrap()
}

/// A mail server that takes no password and repeats what it was given; a proxy that lets nothing through and
/// repeats what it was asked.
async fn refusing() -> (u16, u16) {
    let mail = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = (mail.local_addr().unwrap().port(), proxy.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = mail.accept().await {
            tokio::spawn(async move { refuse_mail(stream).await.ok() });
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = proxy.accept().await {
            tokio::spawn(async move { refuse_way(stream).await.ok() });
        }
    });
    ports
}

async fn refuse_mail(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer = match line.get(..4) {
            Some("EHLO") => "250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            _ => format!("535 no {} with {}\r\n", line.trim_end(), planted("smtp-pass")),
        };
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn refuse_way(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let body = format!("not through here: {head} {}", planted("proxy-pass"));
    let answer =
        format!("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn where_everything_fails_and_every_server_repeats_what_it_was_given_no_secret_shows() {
    let (mail, proxy) = refusing().await;
    let stage = Stage::new("").await;
    let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = stage.site.host();
    let file = stage.folder.path().join("key.txt");
    std::fs::write(&file, format!("{}\n", planted("file-key"))).unwrap();
    let toml = format!(
        r#"
[daemon]
heartbeat_url = "http://127.0.0.1:1/{heartbeat}"
retry = {{ first = "5ms", longest = "20ms", give_up_after = "1ms" }}
[web]
listen = "{web}"
token = "{web_token}"
[alerting]
fail_after = 1
[fetch]
timeout = "5s"
allow_private_networks = true
per_host = {{ min_interval = "0s", max_concurrent = 32 }}
backoff = {{ first = "0s", longest = "0s" }}
[source.finnhub]
token = "{finnhub}"
base_url = "{{origin}}"
[source.socrata]
base_url = "{{origin}}"
app_token = "{portal}"
[source.json]
headers = {{ x-shared = "{shared}" }}
[notify.discord]
kind = "discord"
url = "{{origin}}/hook/discord/{discord}"
[notify.hook]
kind = "webhook"
url = "{{origin}}/hook/hook?key={hook_url}"
secret = "{sign}"
secrets = ["{sign_before}"]
headers = {{ authorization = "Bearer {hook_bearer}" }}
[notify.mail]
kind = "email"
server = "127.0.0.1"
port = {mail}
security = "none"
username = "me"
password = "{smtp}"
from = "a@a.example"
to = ["b@b.example"]
[watch.shares]
source = {{ kind = "finnhub", symbols = ["AAPL"] }}
every = "150ms"
[watch.rows]
source = {{ kind = "socrata", dataset = "abcd-1234", value = "v", date = "d" }}
strategy = [{{ kind = "threshold", above = 1 }}]
every = "150ms"
[watch.asked]
source = {{ kind = "json", url = "http://me:{user}@{host}/asked?q=lamp&api_key={query}", pointer = "/n", headers = {{ x-key = "{header}", authorization = "Bearer {bearer}" }}, cookies = {{ session = "{cookie}", cut = "{cut}" }}, body = "{{\"secret\": \"{body}\", \"long\": true}}" }}
every = "150ms"
[watch.around]
source = {{ kind = "json", url = "http://192.0.2.1/", pointer = "/n", proxy = "http://me:{proxy_pass}@127.0.0.1:{proxy}" }}
every = "150ms"
[watch.path]
source = {{ kind = "page", url = "{{origin}}/page/${{PATH_KEY}}", headers = {{ x-escaped = '{escaped}' }} }}
every = "150ms"
[watch.filed]
source = {{ kind = "json", url = "{{origin}}/filed", pointer = "/n", headers = {{ x-key = {{ file = "{file}" }} }} }}
every = "150ms"
[watch.away]
source = {{ kind = "json", url = "{{origin}}/away?token={redirect}", pointer = "/n" }}
every = "150ms"
[watch.echo]
source = {{ kind = "page", url = "{{origin}}/echo", cookies = {{ session = "{page_cookie}" }} }}
every = "150ms"
"#,
        heartbeat = planted("heartbeat"),
        web_token = planted("web"),
        finnhub = planted("finnhub"),
        portal = planted("portal"),
        shared = planted("shared"),
        discord = planted("discord"),
        hook_url = planted("hook-url"),
        sign = planted("hook-sign-44"),
        sign_before = planted("hook-sign-before"),
        hook_bearer = planted("hook-bearer"),
        smtp = planted("smtp"),
        user = planted("user-info"),
        query = planted("query"),
        header = planted("header-"),
        bearer = planted("bearer"),
        cookie = planted("cookie"),
        cut = planted("long-cut"),
        body = planted("body"),
        proxy_pass = planted("proxy"),
        escaped = planted("json-escape"),
        file = file.display(),
        redirect = planted("redirect"),
        page_cookie = planted("page-cookie"),
    );
    stage.write(&toml);
    let json_error =
        |secret: &str| Page::new(format!("{{\"error\": \"no such key: {secret}\"}}")).status(401);
    stage.site.show("/quote", json_error(planted("finnhub")));
    stage.site.show(
        "/resource/abcd-1234.json",
        Page::new(format!("{{\"message\": \"bad token {}\"}}", planted("portal"))),
    );
    let asked = format!(
        "cut={} session={} Bearer {} {} {} {}",
        planted("long-cut"),
        planted("cookie"),
        planted("bearer"),
        planted("header-"),
        planted("query"),
        planted("user-info"),
    );
    stage.site.show("/asked", Page::new(asked).status(500));
    let escaped = serde_json::Value::from(planted("json-escape")).to_string();
    stage.site.show(
        &format!("/page/{}", planted("path-key")),
        Page::new(format!("{{\"bad\": {escaped}}}")).status(500),
    );
    stage
        .site
        .show("/filed", Page::new(format!("{{\"n\": \"{} {}\"}}", planted("file-key"), planted("shared"))));
    let away = format!("http://127.0.0.1:1/{}?token={}", planted("redirect"), planted("redirect"));
    stage.site.show("/away", Page::new("").status(302).header("location", &away));
    stage.site.show("/echo", Page::new(format!("you sent session={}", planted("page-cookie"))));
    for (hook, beginnings) in [
        ("discord", &["discord"][..]),
        ("hook", &["hook-url", "hook-bearer", "hook-sign-44", "hook-sign-before"]),
    ] {
        let own: Vec<&str> = beginnings.iter().map(|beginning| planted(beginning)).collect();
        let said = format!("{{\"message\": \"cannot POST {}\"}}", own.join(" "));
        stage.site.answer_always(hook, Answer::status(500).body(&said));
    }

    let environment = [("PATH_KEY", planted("path-key")), ("RUST_LOG", "trace")];
    let mut process = Process::run(&stage, &environment);
    until("every watch has run three times", async || {
        assert!(!process.log().contains("mistake"), "{}", process.log());
        reqwest::get(format!("http://{web}/healthz")).await.ok()?;
        let counted =
            "select min(n) from (select count(run.id) as n from watch left join run on watch_id = watch.id
                       where watch.origin = 'file' group by watch.id)";
        (stage.count(counted).await >= 3).then_some(())
    })
    .await;
    until("every notifier gave up a message", async || {
        let dead = "select count(distinct notifier) from delivery where status = 'dead'";
        (stage.count(dead).await == 3).then_some(())
    })
    .await;
    let errors: Vec<String> = stage
        .rows::<(String,)>("select distinct error from run where error is not null")
        .await
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert!(
        errors.iter().any(|error| error.contains("[secret]")),
        "what was repeated is left out: {errors:#?}"
    );
    let backup = stage.folder.path().join("copy.db");
    let copied = command_in(&stage, &["backup", backup.to_str().unwrap()], &environment[..1]).await;
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));

    let mut places: Vec<(String, Vec<u8>)> = vec![("the copy".into(), std::fs::read(&backup).unwrap())];
    for arguments in [
        &["plan"][..],
        &["alerts"],
        &["outbox", "list"],
        &["history", "asked"],
        &["history", "echo", "--format", "json"],
        &["history", "asked", "--slots"],
        &["explain", "asked"],
        &["explain", "away"],
        &["explain", "echo"],
    ] {
        places.push(said(&stage, arguments, &environment[..1]).await);
    }
    for path in ["/metrics", "/healthz", "/readyz", "/nothing"] {
        let asked = reqwest::Client::new().get(format!("http://{web}{path}")).bearer_auth(planted("web"));
        let answer = asked.send().await.unwrap().text().await.unwrap();
        assert!(path != "/metrics" || answer.contains("stakeout_runs_total"), "{answer}");
        places.push((path.to_owned(), answer.into_bytes()));
    }
    let watches = ["shares", "rows", "asked", "around", "path", "filed", "away", "echo"];
    let pages = crawl(&format!("http://{web}"), planted("web"), &watches).await;
    let has = |path: &str| pages.iter().any(|(seen, _)| seen == path);
    for path in ["/settings", "/watches/asked", "/deliveries", "/api/v1/watches/asked/runs", "/api/v1/alerts"]
    {
        assert!(
            has(path),
            "{path} was not looked at, but {:?}",
            pages.iter().map(|page| &page.0).collect::<Vec<_>>()
        );
    }
    places.extend(pages.into_iter().map(|(path, answer)| (path, answer.into_bytes())));
    process.signal("TERM");
    process.exit().await;
    for arguments in [
        &["check"][..],
        &["once", "asked", "--json", "--dry-run"],
        &["once", "away", "--dry-run"],
        &["once", "around", "--json", "--dry-run"],
        &["once", "echo", "--json", "--dry-run"],
        &["once", "path", "--json", "--dry-run"],
        &["notify", "test", "mail"],
        &["notify", "test", "discord"],
        &["replay", "echo", "--since", "1d"],
    ] {
        places.push(said(&stage, arguments, &environment[..1]).await);
    }
    places.push(("the log".into(), process.log().into_bytes()));
    places.push(("the output".into(), process.output().into_bytes()));
    for entry in std::fs::read_dir(stage.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    let mut found = Vec::new();
    for (place, bytes) in &places {
        for secret in PLANTED.iter().flat_map(|secret| forms(secret)) {
            let at = memchr::memmem::find(bytes, secret.as_bytes());
            found.extend(at.map(|at| {
                let around = &bytes[at.saturating_sub(160)..(at + 40).min(bytes.len())];
                format!("`{secret}` in {place}: {}", String::from_utf8_lossy(around).replace('\n', "⏎"))
            }));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What one command says.
async fn said(stage: &Stage, arguments: &[&str], environment: &[(&str, &str)]) -> (String, Vec<u8>) {
    let output = command_in(stage, arguments, environment).await;
    let what = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&what);
    assert!(!words.contains("Usage:") && !words.contains("unrecognized"), "{arguments:?}: {words}");
    (arguments.join(" "), what)
}

/// As it is, as JSON and an address would hold it, as mail servers hear it, and where a long one is cut off.
fn forms(secret: &str) -> Vec<String> {
    let escaped = serde_json::Value::from(secret).to_string();
    let mut forms = vec![secret.to_owned(), escaped.trim_matches('"').to_owned(), secret.replace('"', "%22")];
    forms.dedup();
    if secret.starts_with("smtp") {
        forms.push(base64::engine::general_purpose::STANDARD.encode(format!("\0me\0{secret}")));
        forms.push(base64::engine::general_purpose::STANDARD.encode(secret));
    }
    if secret.starts_with("long-cut") {
        forms.push(secret[..20].to_owned());
    }
    forms
}

#[tokio::test]
async fn a_shop_that_repeats_a_cookie_in_a_name_tells_it_to_nobody() {
    let harness = Harness::start(
        r#"
[watch.lamp]
source = { kind = "shop", url = "{origin}/lamp", cookies = { session = "cookie-0d1e2f3a4b" } }
every = "1h"
"#,
    )
    .await;
    let lamp = |stock: &str| {
        let product = format!(
            r#"<html><head><title>Lamp</title><script type="application/ld+json">{{"@context": "https://schema.org", "@type": "Product",
            "name": "Lamp for cookie-0d1e2f3a4b", "sku": "of cookie-0d1e2f3a4b", "offers": {{"@type": "Offer", "price": "9.00",
            "priceCurrency": "EUR", "availability": "https://schema.org/{stock}"}}}}</script></head><body>Lamp</body></html>"#
        );
        Page::html(&product).header("etag", "\"cookie-0d1e2f3a4b\"")
    };
    harness.site().show("/lamp", lamp("OutOfStock"));
    harness.tick("lamp", "2026-11-20T10:00:00Z").await;
    harness.site().show("/lamp", lamp("InStock"));
    let report = harness.tick("lamp", "2026-11-20T11:00:00Z").await;
    let seen = serde_json::to_string(&report.observations).unwrap();
    assert!(seen.contains("Lamp for [secret]"), "{seen}");
    let posts = harness.messages().await;
    assert!(!posts.is_empty(), "that it is in stock is told");
    assert!(posts.iter().all(|post| !post.json().to_string().contains("cookie-0d1e2f3a4b")));
    for entry in std::fs::read_dir(harness.stage.data_dir()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(memchr::memmem::find(&bytes, b"0d1e2f3a4b").is_none());
    }
}

#[test]
fn what_is_kept_in_memory_can_be_printed_without_a_secret() {
    let text = r#"
[daemon]
heartbeat_url = "http://a.example/hush-0123456789"
[web]
token = "hush-0123456789"
[fetch]
proxy = "http://me:hush-0123456789@p.example:1"
[source.page]
headers = { x-key = "hush-0123456789" }
proxy = "http://me:hush-0123456789@p.example:1"
[watch.a]
source = { kind = "page", url = "http://me:hush-0123456789@a.example/?key=hush-0123456789", body = "hush-0123456789", cookies = { a = "hush-0123456789" } }
every = "1m"
"#;
    let files = [File { path: "config.toml".into(), text: text.into() }];
    let mut mistakes = Mistakes::in_files(&files);
    let config = config::parse(&files, &|_| None, &mut mistakes);
    let watchlist = Watchlist::build(&files, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let watch = watchlist.watch("a").unwrap();
    let needs = stakeout::plugin::Needs { now: jiff::Timestamp::now(), bars: 0 };
    let request = watch.manner.apply(watch.source.requests(&needs).remove(0));
    let printed = [
        format!("{files:?} {mistakes:?}"),
        format!("{:?} {:?} {:?}", config.daemon, config.web, config.fetch),
        format!("{:?} {:?} {:?}", config.sources, config.notifiers, config.watches),
        format!("{:?} {:?} {:?}", watchlist.daemon, watchlist.web, watchlist.http),
        format!("{:?} {:?} {:?}", watch.manner, request, request.route),
        watch.spec.clone(),
    ];
    for printed in printed {
        assert!(!printed.contains("hush"), "{printed}");
    }
}
