//! Who may come in, and what every answer says to a browser.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Harness, Stage};
use stakeout::daemon::Clock;
use stakeout::watchlist::Watchlist;

const WATCH: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

/// The heads of answers, without the bodies.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn with_web(keys: &str) -> Harness {
    Harness::start(&format!("[web]\nlisten = \"127.0.0.1:0\"\n{keys}\n{WATCH}")).await
}

fn ask(harness: &Harness, method: Method, path: &str) -> RequestBuilder {
    let address = harness.daemon().web().unwrap();
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    client.request(method, format!("http://{address}{path}"))
}

async fn answer(request: RequestBuilder) -> Answer {
    let reply = request.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    Answer { status, headers, body: reply.text().await.unwrap() }
}

async fn get(harness: &Harness, path: &str) -> Answer {
    answer(ask(harness, Method::GET, path)).await
}

async fn get_with(harness: &Harness, path: &str, name: &str, value: &str) -> Answer {
    answer(ask(harness, Method::GET, path).header(name, value)).await
}

async fn log_in(harness: &Harness, token: &str, next: &str) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("next", next)
        .finish();
    let request = ask(harness, Method::POST, "/login").body(form);
    answer(request.header("content-type", "application/x-www-form-urlencoded")).await
}

/// The cookie as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_token_nothing_asks_for_a_login() {
    let harness = with_web("").await;
    assert_eq!(get(&harness, "/").await.status, 200);
    let login = get(&harness, "/login?next=/watches/x").await;
    assert_eq!((login.status, login.header("location")), (303, "/"));
    assert_eq!(get(&harness, "/metrics").await.status, 200);
}

#[tokio::test]
async fn off_loopback_there_is_no_server_without_a_token() {
    let stage = Stage::new(&format!("[web]\nlisten = \"0.0.0.0:0\"\n{WATCH}")).await;
    let mistakes = Watchlist::load(&stage.config()).err().unwrap().to_string();
    assert!(mistakes.contains("a `token` is required"), "{mistakes}");
    stage.write(&format!("[web]\nlisten = \"0.0.0.0:0\"\ntoken = \"open-sesame\"\n{WATCH}"));
    let harness = Harness::on(stage, Clock::Stopped).await;
    let port = harness.daemon().web().unwrap().port();
    let reply = Client::new().get(format!("http://127.0.0.1:{port}/api/v1/events")).send().await.unwrap();
    assert_eq!(reply.status(), 401);
}

#[tokio::test]
async fn a_program_is_told_what_is_wanted_and_a_person_is_led_to_the_login() {
    let harness = with_web("token = \"open-sesame\"").await;
    let program = get(&harness, "/api/v1/events").await;
    assert_eq!((program.status, program.header("content-type")), (401, "application/problem+json"));
    assert!(program.header("www-authenticate").starts_with("Bearer"));
    let problem: serde_json::Value = serde_json::from_str(&program.body).unwrap();
    assert_eq!((&problem["status"], &problem["title"]), (&401.into(), &"Unauthorized".into()));
    let person = get(&harness, "/?state=failing&q=a%20b").await;
    assert_eq!(person.status, 303);
    assert_eq!(person.header("location"), "/login?next=%2F%3Fstate%3Dfailing%26q%3Da%2520b");
    for open in ["/healthz", "/readyz", "/login", "/favicon.ico"] {
        assert_eq!(get(&harness, open).await.status, 200, "{open}");
    }
    assert_eq!(get(&harness, "/nothing").await.status, 303, "nor does it say what there is");
    let bearer = get_with(&harness, "/", "authorization", "Bearer open-sesame").await;
    assert_eq!(bearer.status, 200);
    let wrong = get_with(&harness, "/api/v1/events", "authorization", "Bearer open-sesamf").await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn a_person_logs_in_looks_around_and_logs_out() {
    let harness = with_web("token = \"open-sesame\"").await;
    let page = get(&harness, "/login?next=%2Fwatches%2Fnumber").await;
    assert!(page.body.contains("value=\"/watches/number\""), "{}", page.body);
    let entered = log_in(&harness, "open-sesame", "/watches/number?x=1").await;
    assert_eq!((entered.status, entered.header("location")), (303, "/watches/number?x=1"));
    let attributes = entered.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    assert!(!attributes.contains("Secure"), "it would not come back without HTTPS");
    let session = cookie(&entered);
    assert!(session.len() > "stakeout_session=".len() + 42, "256 bits");
    for path in ["/", "/metrics"] {
        assert_eq!(get_with(&harness, path, "cookie", &session).await.status, 200, "{path}");
    }
    let again = get_with(&harness, "/login?next=/alerts", "cookie", &session).await;
    assert_eq!((again.status, again.header("location")), (303, "/alerts"));
    let hashes = harness.stage.rows::<(Vec<u8>,)>("select id_hash from session").await;
    assert_eq!((hashes.len(), hashes[0].0.len()), (1, 32), "only a hash is stored");
    assert_ne!(log_in(&harness, "open-sesame", "/").await.header("set-cookie"), attributes);

    let left = answer(
        ask(&harness, Method::POST, "/logout")
            .header("cookie", &session)
            .header("origin", format!("http://{}", harness.daemon().web().unwrap())),
    )
    .await;
    assert_eq!((left.status, left.header("location")), (303, "/login"));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 303, "it is over also for a thief");
}

#[tokio::test]
async fn a_session_outlives_a_restart_but_not_another_token_nor_a_month() {
    let mut harness = with_web("token = \"open-sesame\"").await;
    let session = cookie(&log_in(&harness, "open-sesame", "/").await);
    harness.stop().await;
    harness.boot().await;
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 200);

    // A day later it is extended, and the browser is told; not at every look.
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.header("set-cookie"), "");
    harness.stage.change("update session set expires_at = expires_at - 86400000 - 1000").await;
    let extended = get_with(&harness, "/", "cookie", &session).await;
    assert!(extended.header("set-cookie").starts_with(&session), "{:?}", extended.headers);
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.header("set-cookie"), "");
    harness.stop().await;

    harness.stage.write(&format!("[web]\nlisten = \"127.0.0.1:0\"\ntoken = \"another\"\n{WATCH}"));
    harness.boot().await;
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 303);
    let session = cookie(&log_in(&harness, "another", "/").await);
    harness.stage.change("update session set expires_at = 1000").await;
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 303);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_in_the_login_and_in_the_api_alike() {
    let harness = with_web("token = \"open-sesame\"").await;
    for token in ["open", "openn"] {
        let wrong = log_in(&harness, token, "/").await;
        assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
        assert!(wrong.body.contains("That is not the token."), "{}", wrong.body);
    }
    assert_eq!(get_with(&harness, "/api/v1/events", "authorization", "Bearer x").await.status, 401);
    let slowed = log_in(&harness, "open-sesame", "/").await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, "1"), "{}", slowed.body);
    let slowed = get_with(&harness, "/api/v1/events", "authorization", "Bearer open-sesame").await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, "1"));
    assert_eq!(slowed.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn nobody_is_kept_out_by_others_who_show_wrong_tokens() {
    let harness = with_web("token = \"open-sesame\"").await;
    // A program with an old token, on the same machine.
    for _ in 0..10 {
        assert_eq!(get_with(&harness, "/metrics", "authorization", "Bearer old").await.status, 401);
    }
    let session = cookie(&log_in(&harness, "open-sesame", "/").await);
    for n in 0..10 {
        get_with(&harness, "/metrics", "authorization", &format!("Bearer guess-{n}")).await;
    }
    assert_eq!(get_with(&harness, "/metrics", "authorization", "Bearer guess").await.status, 429);
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 200, "who is in stays in");
    assert_eq!(log_in(&harness, "open-sesame", "/").await.status, 303, "and may come in again");
    // Somebody stands before the server who does not say for whom: nobody waits for the mistakes of another.
    let harness = with_web("token = \"open-sesame\"\npublic_url = \"https://stakeout.example\"").await;
    for n in 0..10 {
        let guess = format!("Bearer guess-{n}");
        assert_eq!(get_with(&harness, "/metrics", "authorization", &guess).await.status, 401);
    }
    assert_eq!(log_in(&harness, "open-sesame", "/").await.status, 303);
}

#[tokio::test]
async fn a_login_leads_nowhere_else() {
    let harness = with_web("token = \"open-sesame\"").await;
    for next in ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""] {
        assert_eq!(log_in(&harness, "open-sesame", next).await.header("location"), "/", "{next}");
    }
    let page = get(&harness, "/login?next=%2F%22%3E%3Cscript%3E").await;
    assert!(!page.body.contains("<script>"), "{}", page.body);
}

#[tokio::test]
async fn a_link_from_elsewhere_finds_the_login_that_the_browser_held_back() {
    let harness = with_web("token = \"open-sesame\"").await;
    let from_a_message = get_with(&harness, "/watches/number?x=1&y=2", "sec-fetch-site", "cross-site").await;
    let again = "content=\"0; url=/login?next=%2Fwatches%2Fnumber%3Fx%3D1%26y%3D2\"";
    assert!(from_a_message.body.contains(again), "{}", from_a_message.body);
    let home = get_with(&harness, "/", "sec-fetch-site", "cross-site").await;
    assert!(home.body.contains("content=\"0; url=/login?next=%2F\""), "{}", home.body);
    // Without HTTPS a browser does not say where the link stood.
    let plain = get_with(&harness, "/alerts", "accept", "text/html,application/xhtml+xml").await;
    assert!(plain.body.contains("content=\"0; url=/login?next=%2Falerts\""), "{}", plain.body);
    assert_eq!(get_with(&harness, "/", "sec-fetch-site", "same-origin").await.status, 303);
}

#[tokio::test]
async fn only_a_host_that_is_known_is_answered() {
    let harness = with_web("token = \"open-sesame\"\npublic_url = \"https://stakeout.example\"").await;
    for host in ["localhost:8787", "127.0.0.1", "[::1]:9", "stakeout.example"] {
        assert_eq!(get_with(&harness, "/login", "host", host).await.status, 200, "{host}");
    }
    for path in ["/", "/metrics", "/api/v1/events", "/login", "/favicon.ico", "/nothing"] {
        let refused = get_with(&harness, path, "host", "evil.example").await;
        assert_eq!(refused.status, 421, "{path}");
        assert!(refused.body.contains("public_url"), "{}", refused.body);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get_with(&harness, path, "host", "10.0.0.7:8787").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn who_shows_the_token_may_ask_by_another_name() {
    let harness = with_web("token = \"open-sesame\"").await;
    let ask_as = |token: &str| {
        let request = ask(&harness, Method::GET, "/metrics").bearer_auth(token);
        answer(request.header("host", "stakeout:8787"))
    };
    assert_eq!(ask_as("open-sesame").await.status, 200);
    for (token, status) in [("a", 421), ("b", 421), ("c", 421), ("d", 429), ("open-sesame", 200)] {
        assert_eq!(ask_as(token).await.status, status, "{token}");
    }
}

#[tokio::test]
async fn what_changes_something_is_taken_only_from_a_page_of_ours() {
    let harness = with_web("token = \"open-sesame\"").await;
    let own = format!("http://{}", harness.daemon().web().unwrap());
    let session = cookie(&log_in(&harness, "open-sesame", "/").await);
    let post = |headers: &[(&str, &str)]| {
        let mut request = ask(&harness, Method::POST, "/logout");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request)
    };
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("cookie", session.as_str())][..],
        &[("sec-fetch-site", "same-site"), ("origin", &own), ("cookie", &session)],
        &[("origin", "https://evil.example"), ("cookie", &session)],
        &[("origin", "null"), ("cookie", &session)],
        &[("cookie", &session)],
        &[("origin", "https://evil.example")],
    ] {
        let refused = post(headers).await;
        assert_eq!(refused.status, 403, "{headers:?}");
        assert!(refused.body.contains("public_url"), "{}", refused.body);
    }
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 200, "nothing was done");
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("cookie", &session)]).await.status, 303);
    assert_eq!(get_with(&harness, "/", "cookie", &session).await.status, 303);
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may_not_do() {
    let harness = with_web("token = \"open-sesame\"").await;
    let login = get(&harness, "/login").await;
    let style = login.body.split('"').find(|word| word.starts_with("/assets/")).map(str::to_owned);
    let session = cookie(&log_in(&harness, "open-sesame", "/").await);
    let mut answers = vec![
        ("login", login),
        ("overview", get_with(&harness, "/", "cookie", &session).await),
        ("redirect", get(&harness, "/").await),
        ("unauthorized", get(&harness, "/api/v1/events").await),
        ("figures", get_with(&harness, "/metrics", "cookie", &session).await),
        ("health", get(&harness, "/healthz").await),
        ("nothing", get_with(&harness, "/nothing", "cookie", &session).await),
        ("no asset", get(&harness, "/assets/style.css").await),
        ("misdirected", get_with(&harness, "/", "host", "evil.example").await),
        ("forbidden", answer(ask(&harness, Method::POST, "/logout").header("origin", "null")).await),
        ("no such method", answer(ask(&harness, Method::DELETE, "/healthz")).await),
        ("too large", answer(ask(&harness, Method::POST, "/login").body(vec![b'x'; 65 << 10])).await),
    ];
    if let Some(style) = style {
        answers.push(("style", get(&harness, &style).await));
    }
    for (what, answer) in &answers {
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{what}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{what}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{what}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{what}");
        assert!(answer.header("permissions-policy").contains("camera=()"), "{what}");
        assert_eq!(answer.header("strict-transport-security"), "", "{what}: it is not HTTPS");
        let keep = if *what == "style" { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), keep, "{what}");
        assert!(!answer.body.contains("open-sesame"), "{what}");
    }
    let statuses: Vec<u16> = answers.iter().map(|(_, answer)| answer.status).take(12).collect();
    assert_eq!(statuses, [200, 200, 303, 401, 200, 200, 404, 404, 421, 403, 405, 413]);
}

#[tokio::test]
async fn behind_https_the_cookie_and_the_browser_keep_to_it() {
    let harness = with_web("token = \"open-sesame\"\npublic_url = \"https://stakeout.example\"").await;
    let entered = log_in(&harness, "open-sesame", "/").await;
    assert!(entered.header("set-cookie").ends_with("; Secure"));
    assert!(entered.header("strict-transport-security").starts_with("max-age="));
    let origin = ask(&harness, Method::POST, "/logout").header("origin", "https://stakeout.example");
    assert_eq!(answer(origin.header("cookie", cookie(&entered))).await.status, 303);
    // What stands before the server says for whom it asks: each has mistakes of their own.
    for n in 0..5 {
        let guess = ask(&harness, Method::GET, "/api/v1/events").bearer_auth("x");
        let guess = guess.header("x-forwarded-for", format!("198.51.100.1, 192.0.2.{n}"));
        assert_eq!(answer(guess).await.status, 401, "{n}");
    }
}

#[tokio::test]
async fn assets_are_kept_for_good_and_pages_are_compressed_but_events_and_pictures_are_not() {
    let harness = with_web("").await;
    let page = get(&harness, "/").await;
    let path = page.body.split('"').find(|word| word.starts_with("/assets/style.")).unwrap().to_owned();
    let style = get(&harness, &path).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(style.header("cache-control"), "public, max-age=31536000, immutable");
    let known = get_with(&harness, &path, "if-none-match", style.header("etag")).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    assert_eq!(get(&harness, "/favicon.ico").await.header("content-type"), "image/svg+xml");
    for (asked, encoding) in [("br, gzip", "gzip"), ("gzip", "gzip"), ("identity", "")] {
        let page = ask(&harness, Method::GET, "/metrics").header("accept-encoding", asked);
        let page = page.send().await.unwrap();
        let header = |name: &str| page.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("content-encoding"), encoding);
        assert_eq!(header("vary"), "accept-encoding");
    }
    let events =
        ask(&harness, Method::GET, "/api/v1/events").header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(events.headers().get("content-encoding"), None);
    assert_eq!(events.headers()["content-type"], "text/event-stream");
}

#[tokio::test]
async fn who_sends_half_a_request_does_not_hold_up_the_end() {
    let mut harness = with_web("").await;
    let address = harness.daemon().web().unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: localh").await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    harness.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
