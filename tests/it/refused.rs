//! Whoever names an address, and however: the owner's own network is not asked, and no secret goes to
//! another host.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use stakeout::http::{Asker, Fetched, HostRules, Http, HttpError, Reply, Request, Route, Settings};
use url::Url;

use crate::harness::{Wire, page};

/// What stands for the internet here; it is the one address that is allowed.
const ALLOWED: &str = "127.0.0.2";

/// Addresses that lead to this machine or into a network of its owner. `{port}` is one on which 127.0.0.1 and
/// ::1 listen.
const TO_NOBODY: &[&str] = &[
    // 127.0.0.1 in all its spellings.
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0x7F.0x0.0x0.0x1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.01:{port}/",
    "http://00000177.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.000.000.001:{port}/",
    "http://127.0.0.3:{port}/",
    "http://127.255.255.254:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://１２７.０.０.１:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "  http://127.0.0.1:{port}/",
    // The same in IPv6.
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::0001]:{port}/",
    "http://[::]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    // Whatever runs here under another name.
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://0x0:{port}/",
    "http://localhost:{port}/",
    "http://LocalHost.:{port}/",
    "http://shop.localhost:{port}/",
    "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    // The keys of a cloud.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://0251.0376.0251.0376/latest/meta-data/",
    "http://0xa9.254.0251.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    // Networks of the owner, of the provider, and of nobody.
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://[fd00::1]/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://[2001:db8::1]/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    // User info that looks like a host.
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://example.com%2f@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127.0.0.1:{port}?@example.com/",
    "http://127.0.0.1:{port}\\@example.com/",
    // Names that lead there.
    "http://loop.test:{port}/",
    "http://LOOP.test.:{port}/",
    "http://loop6.test:{port}/",
    "http://both.test:{port}/",
    "http://mapped.test:{port}/",
    "http://nat64.test:{port}/",
    "http://any.test:{port}/",
    "http://cloud.test/",
    "http://router.test/",
    "http://example.com@loop.test:{port}/",
    // Other ways to fetch.
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "data:text/html,hello",
    "javascript:alert(1)",
    "blob:http://127.0.0.1:{port}/1",
];

/// The names of these tests. Like a resolver that someone else runs.
fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: &[&str] = match name.trim_end_matches('.') {
        "loop.test" => &["127.0.0.1"],
        "loop6.test" => &["::1"],
        "both.test" => &["::1", "127.0.0.1"],
        "mapped.test" => &["::ffff:127.0.0.1"],
        "nat64.test" => &["64:ff9b::7f00:1"],
        "any.test" => &["0.0.0.0"],
        "cloud.test" => &["169.254.169.254"],
        "router.test" => &["192.168.1.1"],
        "mixed.test" => &["127.0.0.1", ALLOWED, "::1"],
        "shop.test" => &[ALLOWED],
        "far.test" => &["93.184.216.34"],
        _ => return Err(io::Error::other("no such name")),
    };
    Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(5),
        allow_networks: vec!["127.0.0.2/32".parse().unwrap()],
        per_host: HostRules { max_concurrent: 8, min_interval: Duration::ZERO, ..HostRules::default() },
        ..Settings::default()
    }
}

fn http() -> Http {
    Http::with_lookup(settings(), lookup).unwrap()
}

fn get(url: &str) -> Request {
    Request::get(Url::parse(url).unwrap())
}

async fn fetch(http: &Http, request: &Request) -> Result<Reply, HttpError> {
    let asker = Asker { watch_id: 1, now: Timestamp::now() };
    match http.fetch(request, None, asker).await.result? {
        Fetched::New(reply, _) => Ok(reply),
        Fetched::Unchanged => panic!("nothing was known"),
    }
}

fn refusal(error: HttpError) -> String {
    match error {
        HttpError::Refused(why) => why,
        other => panic!("not refused, but {other:?}"),
    }
}

/// Listeners on 127.0.0.1 and, where there is IPv6, on ::1, under one port: nobody is to come.
async fn nobodys() -> Vec<Wire> {
    loop {
        let four = Wire::start("127.0.0.1", |_| page("200 OK", "", b"reached")).await;
        match Wire::beside("::1", four.address.port()).await {
            Some(six) => return vec![four, six],
            None if std::net::TcpListener::bind("[::1]:0").is_err() => return vec![four],
            None => {}
        }
    }
}

#[tokio::test]
async fn no_spelling_of_an_address_within_leads_there_and_each_is_explained() {
    assert!(TO_NOBODY.len() >= 60);
    let (http, nobodys) = (http(), nobodys().await);
    for pattern in TO_NOBODY {
        let text = pattern.replace("{port}", &nobodys[0].address.port().to_string());
        // What is no URL at all the configuration has already turned away.
        let Ok(url) = Url::parse(&text) else {
            assert!(text.contains('%') || text.contains("///"), "{text}");
            continue;
        };
        let why = refusal(fetch(&http, &Request::get(url)).await.expect_err(&text));
        assert!(why.contains("allow_networks") || why.contains("only http and https"), "{text}: {why}");
    }
    assert_eq!(nobodys.iter().map(Wire::connections).sum::<usize>(), 0);
}

#[tokio::test]
async fn no_redirect_leads_there_either() {
    let (http, nobodys) = (http(), nobodys().await);
    let port = nobodys[0].address.port().to_string();
    let origin = Wire::start(ALLOWED, move |request| {
        let number: usize = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        let location = TO_NOBODY[number].replace("{port}", &port);
        page("302 Found", &format!("location: {location}\r\n"), b"")
    })
    .await;
    for (number, pattern) in TO_NOBODY.iter().enumerate() {
        // A path of the same server, and a tab within a host, are what they are.
        let is_path = pattern.starts_with("http:127");
        let error = fetch(&http, &get(&origin.url(&format!("/{number}")))).await;
        match error {
            Err(HttpError::Refused(why)) => assert!(why.starts_with("redirected"), "{pattern}: {why}"),
            other => assert!(is_path, "{pattern}: {other:?}"),
        }
    }
    assert_eq!(nobodys.iter().map(Wire::connections).sum::<usize>(), 0);
    assert!(origin.connections() >= TO_NOBODY.len());
}

#[tokio::test]
async fn of_a_name_with_addresses_within_and_without_only_those_without_are_asked() {
    let origin = Wire::start(ALLOWED, |_| page("200 OK", "", b"hello")).await;
    let inside = Wire::beside("127.0.0.1", origin.address.port()).await;
    let reply = fetch(&http(), &get(&format!("http://mixed.test:{}/", origin.address.port()))).await.unwrap();
    assert_eq!(&reply.body[..], b"hello");
    assert_eq!(inside.map_or(0, |inside| inside.connections()), 0);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time() {
    let origin = Wire::start(ALLOWED, |request| match request.split(' ').nth(1).unwrap() {
        "/again" => page("302 Found", "location: /once\r\n", b""),
        _ => page("200 OK", "", b"hello"),
    })
    .await;
    let port = origin.address.port();
    let inside = Wire::beside("127.0.0.1", port).await;
    for path in ["once", "again"] {
        let lookups = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lookups);
        let rebinding = move |_: &str| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            Ok(vec![if is_first { ALLOWED } else { "127.0.0.1" }.parse().unwrap()])
        };
        let http = Http::with_lookup(settings(), rebinding).unwrap();
        let request = get(&format!("http://rebind.test:{port}/{path}"));
        if path == "once" {
            assert_eq!(&fetch(&http, &request).await.unwrap().body[..], b"hello");
            assert_eq!(lookups.load(Ordering::SeqCst), 1, "what was checked is what was asked");
        }
        let why = refusal(fetch(&http, &request).await.expect_err("within"));
        assert!(why.contains("rebind.test leads to 127.0.0.1"), "{why}");
        assert_eq!(lookups.load(Ordering::SeqCst), 2);
    }
    assert_eq!(inside.map_or(0, |inside| inside.connections()), 0);
}

#[tokio::test]
async fn what_is_allowed_is_asked() {
    let origin = Wire::start("127.0.0.1", |_| page("200 OK", "", b"hello")).await;
    let port = origin.address.port();
    let open = Settings { allow_private_networks: true, ..settings() };
    let listed = Settings { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..settings() };
    for settings in [open, listed] {
        let http = Http::with_lookup(settings, lookup).unwrap();
        for host in ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "loop.test"] {
            let reply = fetch(&http, &get(&format!("http://{host}:{port}/"))).await;
            assert_eq!(reply.unwrap().status, 200, "{host}");
        }
        refusal(fetch(&http, &get("file:///etc/passwd")).await.expect_err("whatever is allowed"));
    }
}

/// Sends along everything that may be a secret.
fn full_of_secrets(method: &str, origin: &Wire, path: &str) -> Request {
    let url = format!("http://me:secret1@{}{path}", origin.address);
    Request { method: method.into(), body: b"secret2".to_vec(), ..get(&url) }
        .header("cookie", "id=secret3")
        .header("x-api-key", "secret4")
        .header("user-agent", "secret5")
        .header("content-type", "secret6")
        .header("accept-language", "de")
}

fn secrets(heard: &[String]) -> usize {
    heard.iter().map(|request| request.matches("secret").count()).sum()
}

#[tokio::test]
async fn secrets_follow_on_one_server_and_never_to_another() {
    let elsewhere = Wire::start(ALLOWED, |_| page("200 OK", "", b"hello")).await;
    let away = elsewhere.url("/");
    let origin = Wire::start(ALLOWED, move |request| {
        let location = if request.contains(" /away ") { away.clone() } else { "/away".to_owned() };
        let status = if request.contains("/kept") { "307 Temporary Redirect" } else { "302 Found" };
        page(status, &format!("location: {location}\r\n"), b"")
    })
    .await;
    let http = http();
    fetch(&http, &full_of_secrets("POST", &origin, "/kept")).await.unwrap();
    let heard = origin.heard();
    assert_eq!(secrets(&heard[1..]), secrets(&heard[..1]), "{heard:?}");
    assert!(heard.iter().all(|request| request.contains("authorization: Basic ")), "{heard:?}");
    let heard = elsewhere.heard();
    assert_eq!((heard.len(), secrets(&heard)), (1, 0), "{heard:?}");
    let head = heard[0].to_lowercase();
    assert!(head.starts_with("get / ") && head.contains("accept-language: de"), "{head}");
    for name in ["authorization", "cookie", "x-api-key", "content-", "referer"] {
        assert!(!head.contains(name), "{head}");
    }
    assert!(head.contains("user-agent: stakeout/"), "{head}");
}

#[tokio::test]
async fn a_post_is_never_posted_to_another_host() {
    let elsewhere = Wire::start(ALLOWED, |_| page("200 OK", "", b"hello")).await;
    let away = elsewhere.url("/");
    let origin =
        Wire::start(ALLOWED, move |_| page("308 Permanent Redirect", &format!("location: {away}\r\n"), b""))
            .await;
    let error = fetch(&http(), &full_of_secrets("POST", &origin, "/")).await.expect_err("refused");
    assert_eq!(refusal(error), "redirected to another host, which is not sent the body meant for the first");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn circles_and_long_chains_are_left() {
    let origin = Wire::start(ALLOWED, |request| {
        let path = request.split(' ').nth(1).unwrap();
        let next = match path.strip_prefix("/chain/").map(|n| n.parse::<u32>().unwrap()) {
            Some(0) => return page("200 OK", "etag: \"1\"\r\n", b"the end"),
            Some(n) => format!("/chain/{}", n - 1),
            None => path.to_owned(),
        };
        page("301 Moved Permanently", &format!("location: {next}\r\n"), b"")
    })
    .await;
    let http = http();
    let asker = Asker { watch_id: 1, now: Timestamp::now() };
    match http.fetch(&get(&origin.url("/chain/10")), None, asker).await.result.unwrap() {
        Fetched::New(reply, mark) => {
            assert_eq!((&reply.body[..], reply.url.path()), (&b"the end"[..], "/chain/0"));
            assert_eq!(mark.etag, None, "it belongs to another address");
            let again = http.fetch(&get(&origin.url("/chain/10")), Some(&mark), asker).await.result;
            assert!(matches!(again, Ok(Fetched::Unchanged)), "{again:?}");
        }
        Fetched::Unchanged => panic!("nothing was known"),
    }
    let too_long = fetch(&http, &get(&origin.url("/chain/11"))).await.expect_err("too long");
    assert_eq!(too_long, HttpError::Unfit("more than 10 redirects".into()));
    let circle = fetch(&http, &get(&origin.url("/circle"))).await.expect_err("a circle");
    assert_eq!(circle, HttpError::Unfit("its redirects go round in a circle".into()));
}

#[tokio::test]
async fn a_redirect_to_a_wall_is_a_wall_and_nobody_climbs_it() {
    let origin = Wire::start(ALLOWED, |_| page("302 Found", "location: /areyouahuman?why=8\r\n", b"")).await;
    let answered = fetch(&http(), &get(&origin.url("/p/1"))).await;
    assert!(matches!(answered, Err(HttpError::Walled(_))), "{answered:?}");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn the_time_of_all_redirects_together_is_bounded() {
    let asked = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let origin = Wire::start(ALLOWED, move |request| {
        let path = request.split(' ').nth(1).unwrap().to_owned();
        *asked.lock().unwrap().entry(path.clone()).or_default() += 1;
        // Slow as a server may be; this thread is its own.
        std::thread::sleep(Duration::from_millis(60));
        page("302 Found", &format!("location: {path}x\r\n"), b"")
    })
    .await;
    let mut request = get(&origin.url("/"));
    let timeout = Duration::from_millis(200);
    request.route = Arc::new(Route { timeout: Some(timeout), ..Route::default() });
    assert_eq!(fetch(&http(), &request).await.expect_err("too slow"), HttpError::Timeout(timeout));
    assert!(origin.connections() < 6, "{}", origin.connections());
}

#[tokio::test]
async fn a_host_is_not_left_alone_for_the_time_that_another_took() {
    // Takes connections, and says nothing.
    let listener = tokio::net::TcpListener::bind((ALLOWED, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let good = format!("http://{address}/");
    let location = format!("location: {good}\r\n");
    let evil = Wire::start(ALLOWED, move |_| {
        // This thread is its own.
        std::thread::sleep(Duration::from_millis(80));
        page("302 Found", &location, b"")
    })
    .await;
    let http = http();
    let route = Arc::new(Route { timeout: Some(Duration::from_millis(120)), ..Route::default() });
    for _ in 0..6 {
        let request = Request { route: Arc::clone(&route), ..get(&evil.url("/")) };
        assert!(fetch(&http, &request).await.is_err());
    }
    let stands_badly = || http.standings().iter().any(|standing| good.contains(&standing.host));
    assert!(!stands_badly(), "{:?}", http.standings());
    for _ in 0..5 {
        let request = Request { route: Arc::clone(&route), ..get(&good) };
        assert!(fetch(&http, &request).await.is_err());
    }
    assert!(stands_badly(), "what it did itself counts");
}

#[tokio::test]
async fn a_proxy_is_not_a_way_around_and_keeps_its_password() {
    let proxy = Wire::start("127.0.0.1", |_| page("200 OK", "", b"by proxy")).await;
    let origin = Wire::start(ALLOWED, |_| page("200 OK", "", b"directly")).await;
    let through = Url::parse(&format!("http://me:secret@{}", proxy.address)).unwrap();
    let settings = Settings { proxy: Some(through), ..settings() };
    assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    let http = Http::with_lookup(settings, lookup).unwrap();
    for name in ["far.test", "shop.onion", "shop.i2p"] {
        let reply = fetch(&http, &get(&format!("http://{name}/"))).await.unwrap();
        assert_eq!(&reply.body[..], b"by proxy");
    }
    let heard = proxy.heard();
    assert!(heard[0].starts_with("GET http://far.test/ "), "{heard:?}");
    assert!(heard[0].to_lowercase().contains("proxy-authorization: basic "), "{heard:?}");
    for within in ["http://127.0.0.1/", "http://localhost/", "http://loop.test/", "http://cloud.test/"] {
        refusal(fetch(&http, &get(within)).await.expect_err(within));
    }
    // Nobody knows which of its addresses the proxy would ask, nor where it would find one that is unknown here.
    refusal(fetch(&http, &get("http://mixed.test/")).await.expect_err("one address is within"));
    let error = fetch(&http, &get("http://unknown.test/")).await.expect_err("it may lead anywhere");
    let HttpError::Connect(why) = error else { panic!("{error:?}") };
    assert!(
        why.contains("unknown.test cannot be looked up") && why.contains("allow_private_networks"),
        "{why}"
    );
    assert_eq!(proxy.connections(), 3);

    let mut request = get(&origin.url("/"));
    request.route = Arc::new(Route { proxy: Some(None), ..Route::default() });
    assert_eq!(&fetch(&http, &request).await.unwrap().body[..], b"directly");
    let nobody = Url::parse("http://me:secret@127.0.0.1:1/").unwrap();
    request.route = Arc::new(Route { proxy: Some(Some(nobody)), ..Route::default() });
    let error = fetch(&http, &request).await.expect_err("nobody listens there");
    assert!(matches!(error, HttpError::Connect(_)) && !error.to_string().contains("secret"), "{error:?}");
    assert!(!format!("{:?}", request.route).contains("secret"));
}

#[tokio::test]
async fn the_proxys_own_name_may_be_of_this_house() {
    let proxy = Wire::start("127.0.0.1", |_| page("200 OK", "", b"by proxy")).await;
    let through = Url::parse(&format!("http://loop.test:{}", proxy.address.port())).unwrap();
    let http = Http::with_lookup(Settings { proxy: Some(through), ..settings() }, lookup).unwrap();
    assert_eq!(&fetch(&http, &get("http://far.test/")).await.unwrap().body[..], b"by proxy");
    refusal(fetch(&http, &get("http://loop.test/")).await.expect_err("but not as what is asked"));
}
