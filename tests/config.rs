//! What is wrong with a configuration is said where it is, all of it at once, and without secrets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::process::Command;

use stakeout::config::File;
use stakeout::watchlist::Watchlist;

const TOKEN: &str = "t0ken-that-nobody-may-see";

/// Every mistake, a line each.
fn mistakes(text: &str) -> Vec<String> {
    let file = File { path: "config.toml".into(), text: text.into() };
    let environment = |name: &str| (name == "TOKEN").then(|| TOKEN.to_owned());
    match Watchlist::build(&[file], &environment) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

/// A good watch, to have something to spoil.
const GOOD: &str = r#"[watch.good]
source = { kind = "yahoo", symbols = ["AAPL"] }
every = "30m"
"#;

#[test]
fn a_good_configuration_has_no_mistakes() {
    assert_eq!(mistakes(GOOD), [""; 0]);
    assert_eq!(mistakes(""), [""; 0]);
    for url in ["http://localhost:9000", "http://127.0.0.1/", "http://[::1]:8787"] {
        assert_eq!(
            mistakes(&format!("[web]\npublic_url = '{url}'")),
            [""; 0],
            "only this machine gets there"
        );
    }
}

#[test]
fn each_mistake_says_where_it_is_and_what_to_do() {
    for (case, text, place, said) in [
        ("broken TOML", "[watch.a\nevery = 3", "config.toml:1:", &["]"] as &[&str]),
        (
            "unknown table",
            "[watches.a]\n",
            "config.toml:1:",
            &["unknown table `watches`", "did you mean `watch`?"],
        ),
        (
            "an unusual name",
            "[watch.RTX 3070]\n",
            "config.toml:1:",
            &["stands in quotes", "[watch.\"RTX 3070\"]"],
        ),
        ("not a table", "watch = 3", "config.toml:1:", &["`watch` must be a table"]),
        (
            "unknown key of the daemon",
            "[daemon]\ndata_dri = 'x'",
            "config.toml:2:1: [daemon]:",
            &["unknown field `data_dri`", "did you mean `data_dir`?"],
        ),
        (
            "depends on nothing there is",
            "[watch.router]\nsource = { kind = 'page', url = 'http://a.example' }\nevery = '1h'\n\
             [watch.b]\nsource = { kind = 'page', url = 'http://a.example' }\nevery = '1h'\ndepends_on = ['ruoter']",
            "config.toml:7:14: watch `b`: depends_on:",
            &["no watch named `ruoter`", "`router`"],
        ),
        (
            "depends on itself by way of another",
            "[watch.a]\nsource = { kind = 'page', url = 'http://a.example' }\nevery = '1h'\ndepends_on = ['b']\n\
             [watch.b]\nsource = { kind = 'page', url = 'http://a.example' }\nevery = '1h'\ndepends_on = ['a']",
            "config.toml:1:",
            &["watch `a`: depends_on", "depends on itself"],
        ),
        (
            "a proof of life at no time",
            "[daemon]\nproof_of_life = 'weekly'",
            "config.toml:2:1: [daemon]: proof_of_life:",
            &["crontab's five are wanted"],
        ),
        (
            "backups at no time",
            "[daemon]\nbackup = { keep = 3, cron = '' }",
            "config.toml:2:1: [daemon]: backup.cron:",
            &["crontab's five are wanted"],
        ),
        (
            "unknown key of a watch",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1m'\ncooldwon = '1h'",
            "config.toml:4:1: watch `a`:",
            &["unknown field `cooldwon`", "did you mean `cooldown`?"],
        ),
        (
            "unknown key of a source",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbls = 'A' }",
            "config.toml:3:28: watch `a`: source:",
            &["unknown field `symbls`", "did you mean `symbols`?"],
        ),
        (
            "misspelt key of how a source is asked",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'page', url = 'https://a.example/', useragent = 'me' }",
            "config.toml:3:55: watch `a`: source:",
            &["unknown field `useragent`", "did you mean `user_agent`?"],
        ),
        (
            "how a source is asked, in the watch's own table",
            "[watch.a]\nevery = '1m'\nproxy = ''\nsource = { kind = 'page', url = 'https://a.example/' }",
            "config.toml:3:1: watch `a`:",
            &["`proxy` says how a source is asked: it belongs into `source`"],
        ),
        (
            "unknown kind",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yaho', symbols = 'A' }",
            "config.toml:3:19: watch `a`: source:",
            &["unknown kind `yaho`", "did you mean `yahoo`?"],
        ),
        (
            "no kind",
            "[watch.a]\nevery = '1m'\nsource = {}",
            "config.toml:3:",
            &["`kind` is missing; known: "],
        ),
        ("no source", "[watch.a]\nevery = '1m'", "config.toml:1:8: watch `a`:", &["`source` is missing"]),
        (
            "missing variable",
            "[source.finnhub]\ntoken = '${FINNHUB_TOKEN}'",
            "config.toml:2:9: source `finnhub`: token:",
            &["environment variable `FINNHUB_TOKEN` is not set"],
        ),
        (
            "missing file",
            "[source.finnhub]\ntoken = { file = '/nowhere/token' }",
            "config.toml:2:9: source `finnhub`: token:",
            &["/nowhere/token cannot be read"],
        ),
        (
            "cron of six fields",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\ncron = '0 */30 11-21 * * MON-FRI'",
            "config.toml:3:8: watch `a`: cron:",
            &["has 6 fields", "minute hour day month weekday", "no seconds"],
        ),
        (
            "cron that never comes",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\ncron = '0 0 31 2 *'",
            "config.toml:3:8: watch `a`: cron:",
            &["never comes due"],
        ),
        (
            "both every and cron",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1m'\ncron = '* * * * *'",
            "config.toml:3:9: watch `a`: every:",
            &["only one of them"],
        ),
        (
            "neither every nor cron",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }",
            "config.toml:1:8: watch `a`: every:",
            &["is missing"],
        ),
        (
            "no length of time",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = 'often'",
            "config.toml:3:9: watch `a`:",
            &["`often` is not a length of time"],
        ),
        (
            "an RSI of a shop page",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'shop', url = 'https://a.example/' }\nstrategy = [{ kind = 'rsi' }]",
            "config.toml:4:13: watch `a`: strategy:",
            &["`rsi` reads candles, but this source gives"],
        ),
        (
            "no bundle",
            "[notify.a]\nkind = 'console'\nbundle = 'soon'",
            "config.toml:3:10: notify `a`: bundle:",
            &["`soon` is not a length of time"],
        ),
        (
            "no budget",
            "[notify.a]\nkind = 'console'\nbudget = '20 an hour'",
            "config.toml:3:10: notify `a`: budget:",
            &["`20 an hour` is no budget", "\"20/h\""],
        ),
        (
            "unknown notifier",
            "[notify.trading]\nkind = 'console'\n[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1m'\nnotify = ['tradin']",
            "config.toml:6:10: watch `a`: notify:",
            &["no notifier named `tradin`", "did you mean `trading`?"],
        ),
        (
            "unknown zone",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1m'\ntimezone = 'Mars/Olympus'",
            "watch `a`: timezone:",
            &["`Mars/Olympus` is no time zone"],
        ),
        (
            "hours of no exchange",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1m'\nhours = 'NYES'",
            "config.toml:4:9: watch `a`: hours:",
            &["\"09:30-16:00 MON-FRI America/New_York\"", "did you mean `NYSE`?"],
        ),
        (
            "hours without a slot",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\ncron = '0 3 * * *'\nhours = 'XETRA'",
            "config.toml:4:9: watch `a`: hours:",
            &["the watch is never due within them"],
        ),
        (
            "hours shorter than the interval",
            "[watch.a]\nsource = { kind = 'yahoo', symbols = 'A' }\nevery = '1d'\nhours = 'LSE'",
            "config.toml:4:9: watch `a`: hours:",
            &["they last 8 h 30 min, less than `every` (1 d): say when, with `cron`"],
        ),
        (
            "days of no exchange",
            "[hours.LES]\nextra_closed = ['2026-05-08']",
            "config.toml:1:8: hours `LES`:",
            &["there is no exchange of this name", "did you mean `LSE`?"],
        ),
        (
            "a close outside the hours",
            "[hours.LSE]\nearly_close = { '2026-05-08' = '18:00' }",
            "config.toml:1:8: hours `LSE`:",
            &["early_close: 18:00 on 2026-05-08 is not within 08:00-16:30"],
        ),
        (
            "a day that is none",
            "[hours.LSE]\nextra_closed = ['8 May']",
            "config.toml:2:16: hours `LSE`: extra_closed:",
            &["`8 May` is not a day; write it like \"2026-12-24\""],
        ),
        (
            "a time that is none",
            "[hours.LSE]\nearly_close = { '2026-05-08' = 'noon' }",
            "config.toml:2:15: hours `LSE`: early_close:",
            &["`noon` is not a time; write it like \"13:00\""],
        ),
        (
            "a day without quotes",
            "[hours.LSE]\nextra_closed = [2026-05-08]",
            "config.toml:2:17: hours `LSE`: extra_closed:",
            &["in quotes"],
        ),
        (
            "unknown key of hours",
            "[hours.LSE]\nearly_closed = {}",
            "config.toml:2:1: hours `LSE`:",
            &["did you mean `early_close`?"],
        ),
        (
            "a header that cannot be sent",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'shop', url = 'https://a.example/', headers = { 'x y' = '1' } }",
            "config.toml:3:75: watch `a`: source: headers.x y:",
            &["`x y` is no name of a header"],
        ),
        (
            "a header with a line break",
            "[source.shop]\nheaders = { x-key = \"a\\nb\" }",
            "config.toml:2:21: source `shop`: headers.x-key:",
            &["the value holds '\\n', which cannot be sent"],
        ),
        (
            "a header that is ours",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A', headers = { Host = 'b' } }",
            "config.toml:3:",
            &["headers.Host: `Host` is set by the program itself"],
        ),
        (
            "a cookie in both places",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A', headers = { cookie = 'a=1' }, cookies = { b = '1' } }",
            "config.toml:3:",
            &["headers.cookie: there is `cookies` too"],
        ),
        (
            "two cookies in one",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A', cookies = { a = '1; b=2' } }",
            "config.toml:3:",
            &["cookies.a: the value holds a `;`"],
        ),
        (
            "no method",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'page', url = 'https://a.example/', method = 'post' }",
            "config.toml:3:",
            &["source: method: `post` is no method", "did you mean `POST`?"],
        ),
        (
            "a method where the source knows better",
            "[source.yahoo]\nbody = 'x'\n[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A' }",
            "config.toml:2:8: source `yahoo`: body:",
            &["`yahoo` says itself what is asked"],
        ),
        (
            "a proxy that is none",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A', proxy = 'ftp://p.example' }",
            "config.toml:3:",
            &["source: proxy: `ftp:` is no proxy", "socks5://127.0.0.1:1080"],
        ),
        (
            "a source in no time",
            "[source.page]\ntimeout = '0s'",
            "config.toml:2:11: source `page`: timeout:",
            &["no answer comes in no time"],
        ),
        (
            "an address that is never fetched",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'page', url = 'file:///etc/passwd' }",
            "config.toml:3:33: watch `a`: source:",
            &["`file:` addresses are not fetched, only http and https"],
        ),
        (
            "an address in the house",
            "[watch.a]\nevery = '1m'\nsource = { kind = 'page', url = 'http://192.168.1.9/' }",
            "config.toml:3:33: watch `a`: source:",
            &["192.168.1.9 is a private address", "allow_networks = [\"192.168.1.9/32\"]"],
        ),
        (
            "no time for an answer",
            "[fetch]\ntimeout = '0s'",
            "config.toml:2:1: [fetch]: timeout:",
            &["no time"],
        ),
        (
            "a first wait longer than the longest",
            "[fetch]\nbackoff = { first = '2h', longest = '1h' }",
            "config.toml:2:1: [fetch]: backoff:",
            &["`first` (2 h) is longer than `longest` (1 h)"],
        ),
        (
            "a pace that never asks",
            "[fetch]\nper_host = { max_concurrent = 0, burst = 0 }",
            "config.toml:2:1: [fetch]: per_host:",
            &["`burst = 0` would never ask"],
        ),
        (
            "a host with its scheme",
            "[fetch]\nhost.'https://www.newegg.com/p' = { burst = 2 }",
            "config.toml:2:6: [fetch]: host.https://www.newegg.com/p:",
            &["write the host alone: \"www.newegg.com\""],
        ),
        (
            "a proxy for everything that is none",
            "[fetch]\nproxy = 'socks4://p.example'",
            "config.toml:2:1: [fetch]: proxy:",
            &["`socks4:` is no proxy"],
        ),
        (
            "certificates that are not there",
            "[fetch]\nca_file = 'nowhere.pem'",
            "config.toml:2:1: [fetch]: ca_file:",
            &["cannot read nowhere.pem"],
        ),
        ("open to the world", "[web]\nlisten = '0.0.0.0:8787'", "[web]: listen:", &["a `token` is required"]),
        (
            "open to the world by way of what stands before it",
            "[web]\npublic_url = 'https://stakeout.example'",
            "[web]: public_url:",
            &["`https://stakeout.example/` can be reached", "a `token` is required"],
        ),
        (
            "quiet hours",
            "[alerting]\nquiet_hours = 'at night'",
            "[alerting]: quiet_hours:",
            &["write them like \"22:00-07:00\""],
        ),
    ] {
        let mistakes = mistakes(text);
        assert!(!mistakes.is_empty(), "{case}: no mistake");
        let all = mistakes.join("\n");
        let found =
            mistakes.iter().any(|line| line.contains(place) && said.iter().all(|said| line.contains(said)));
        assert!(found, "{case}: wanted `{place}` and {said:?} in\n{all}");
        assert!(mistakes.iter().all(|line| line.starts_with("config.toml")), "{case}: {all}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "[daemon]\nlog_levle = 'x'\nretries = 1\n[fetch]\ntimeout = 'soon'\n[notify.a]\nkind = 'discrod'\n\
                [watch.one]\nevery = '1m'\nsource = { kind = 'yaho' }\n\
                [watch.two]\ncron = '* * *'\nsource = { kind = 'yahoo', symbols = 'A', a = 1, b = 2 }\nnotify = ['b']\nc = 3";
    let mistakes = mistakes(text);
    let lines: Vec<&str> = mistakes.iter().filter_map(|mistake| mistake.split(':').nth(1)).collect();
    for line in ["2", "3", "5", "7", "10", "12", "13", "14", "15"] {
        assert!(lines.contains(&line), "nothing about line {line} in\n{}", mistakes.join("\n"));
    }
}

#[test]
fn a_misspelt_key_is_one_mistake() {
    let mistakes = mistakes(&GOOD.replace("every", "evry"));
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].ends_with("did you mean `every`?"), "{mistakes:?}");
}

#[test]
fn mistakes_and_watches_stand_in_the_order_of_the_file() {
    let text = GOOD.to_owned() + &GOOD.replace("good", "better") + &GOOD.replace("good", "a");
    let file = |text: &str| [File { path: "config.toml".into(), text: text.into() }];
    let watchlist = Watchlist::build(&file(&text), &|_| None).map_err(|mistakes| mistakes.to_string());
    let names: Vec<String> = watchlist.unwrap().watches.iter().map(|watch| watch.name.clone()).collect();
    assert_eq!(names, ["good", "better", "a"]);
    let all = mistakes(&text.replace("every", "evry"));
    let lines: Vec<&str> = all.iter().filter_map(|mistake| mistake.split(':').nth(1)).collect();
    assert_eq!(lines, ["3", "6", "9"]);
}

#[test]
fn a_watch_keeps_to_its_own_hours_and_a_source_s_take_no_slot_away() {
    let text = "[hours.LSE]\nextra_closed = ['2026-07-13']\n\
                [watch.shares]\nsource = { kind = 'yahoo', symbols = 'VOD.L' }\ncron = '0 * * * *'\nhours = 'LSE'\n\
                [watch.own]\nsource = { kind = 'yahoo', symbols = 'A' }\ncron = '0 * * * *'\n\
                timezone = 'Asia/Tokyo'\nhours = '09:00-10:00 MON,SUN'\n\
                [watch.coins]\nsource = { kind = 'kraken', symbols = '*' }\ncron = '0 3 * * *'\n\
                [watch.any]\nsource = { kind = 'yahoo', symbols = 'A' }\ncron = '0 3 * * *'";
    let file = File { path: "config.toml".into(), text: text.into() };
    let watchlist = Watchlist::build(&[file], &|_| None).map_err(|mistakes| mistakes.to_string()).unwrap();
    let friday: jiff::Timestamp = "2026-07-10T14:30:00Z".parse().unwrap();
    let next = |name: &str| -> Vec<String> {
        let slots = watchlist.watch(name).unwrap().timetable.next(friday, 3);
        slots.iter().map(|slot| slot.strftime("%d %H:%M").to_string()).collect()
    };
    assert_eq!(next("shares"), ["10 15:00", "14 07:00", "14 08:00"]);
    assert_eq!(next("own"), ["12 00:00", "12 01:00", "13 00:00"]);
    assert_eq!(next("coins"), ["11 03:00", "12 03:00", "13 03:00"]);
    assert_eq!(next("any"), next("coins"));
    let hours = |name: &str| watchlist.watch(name).unwrap().hours.clone();
    assert!(hours("coins").is_some_and(|hours| hours.always_open()));
    assert!(
        hours("shares").is_some_and(|hours| !hours.is_open(friday + jiff::SignedDuration::from_hours(72)))
    );
    assert_eq!(hours("any"), None);
}

/// A watch of a page with these keys, and what all pages share.
fn page(keys: &str, shared: &str) -> std::sync::Arc<stakeout::watchlist::Watch> {
    let text = format!(
        "{shared}\n[watch.a]\nevery = '1m'\nsource = {{ kind = 'page', url = 'https://a.example/', {keys} }}"
    );
    let file = File { path: "config.toml".into(), text };
    let environment = |name: &str| (name == "TOKEN").then(|| TOKEN.to_owned());
    let watchlist = Watchlist::build(&[file], &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    std::sync::Arc::clone(watchlist.watch("a").unwrap())
}

#[test]
fn a_watch_is_asked_in_its_own_manner_over_that_of_its_kind() {
    let shared = "[source.page]\nheaders = { X-One = 'shared', x-two = 'shared' }\ncookies = { a = '1', b = '2' }\n\
                  proxy = 'socks5://127.0.0.1:1080'\ntimeout = '3s'\nallow_downgrade = true\nuser_agent = 'me'";
    let manner =
        &page("headers = { x-one = 'own' }, cookies = { b = '3' }, body = '{\"q\": 1}'", shared).manner;
    let header = |name: &str| {
        let found: Vec<&str> =
            manner.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value).collect();
        found.join(", ")
    };
    assert_eq!((header("x-one"), header("x-two")), ("own".into(), "shared".into()));
    assert_eq!(header("cookie"), "a=1; b=3");
    assert_eq!((header("user-agent"), header("content-type")), ("me".into(), "application/json".into()));
    assert_eq!((manner.method.as_deref(), manner.body.as_deref()), (Some("POST"), Some("{\"q\": 1}")));
    let proxy = manner.route.proxy.clone().flatten().map(|url| url.to_string());
    assert_eq!(proxy.as_deref(), Some("socks5://127.0.0.1:1080"));
    assert_eq!(manner.route.timeout, Some(std::time::Duration::from_secs(3)));
    assert!(manner.route.allow_downgrade);
    let own = &page("proxy = '', allow_downgrade = false, timeout = '1s'", shared).manner;
    assert_eq!(own.route.proxy, Some(None), "none at all");
    assert!(!own.route.allow_downgrade && own.method.is_none());
}

#[test]
fn a_changed_secret_is_a_change_of_the_watch_and_stands_nowhere_in_its_table() {
    for (keys, other) in [
        ("headers = { x-key = 'k3y-one' }", "headers = { x-key = 'k3y-two' }"),
        ("cookies = { session = 'k3y-one' }", "cookies = { session = 'k3y-two' }"),
        ("body = '{\"token\": \"k3y-one\"}'", "body = '{\"token\": \"k3y-two\"}'"),
        ("body = 'q=lamp&token=k3y-one'", "body = 'q=lamp&token=k3y-two'"),
        ("proxy = 'http://me:k3y-one@p.example'", "proxy = 'http://me:k3y-two@p.example'"),
        ("headers = { x-key = '${TOKEN}' }", "headers = { x-key = 'k3y-two' }"),
    ] {
        let (one, two) = (page(keys, ""), page(other, ""));
        assert_ne!(one.spec_hash(), two.spec_hash(), "{keys}");
        assert_eq!(one.spec, two.spec, "{keys}");
        assert!(!one.spec.contains("k3y") && !one.spec.contains(TOKEN), "{}", one.spec);
        assert_eq!(two.concealed("no k3y-two here"), "no [secret] here", "{other}");
        let shown = format!("{:?}", one.manner);
        assert!(!shown.contains("k3y") && !shown.contains(TOKEN), "{shown}");
    }
    let shared = |key: &str| format!("[source.page]\nheaders = {{ x-key = '{key}' }}");
    let (one, two) = (page("", &shared("k3y-one")), page("", &shared("k3y-two")));
    assert_ne!(one.spec_hash(), two.spec_hash(), "also one that is shared");
    assert_eq!(one.concealed("no k3y-one"), "no [secret]");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_printed() {
    for text in [
        "[daemon]\nlog_format = '${TOKEN}'",
        "[daemon]\ntimezone = '${TOKEN}'",
        "[web]\nlisten = '${TOKEN}'",
        "[fetch]\ntimeout = '${TOKEN}'",
        "[fetch]\nproxy = '${TOKEN}'",
        "[alerting]\nquiet_hours = '${TOKEN}'",
        "[notify.a]\nkind = '${TOKEN}'",
        "[notify.a]\nkind = 'discord'\nurl = '${TOKEN}'",
        "[notify.a]\nkind = 'email'\nserver = 'a.example'\nfrom = '${TOKEN}'\nto = ['${TOKEN}']",
        "[fetch]\nproxy = 'ftp://me:${TOKEN}@p.example'",
        "[fetch]\nca_file = '${TOKEN}'",
        "[source.page]\nheaders = '${TOKEN}'",
        "[source.page]\nheaders = 't0ken-that-nobody-may-see'",
        "[source.page]\nheaders = { 'a b' = '${TOKEN}' }",
        "[source.page]\ncookies = { a = '${TOKEN};' }",
        "[source.page]\nmethod = '${TOKEN}'",
        "[source.page]\nproxy = 'ftp://me:t0ken-that-nobody-may-see@p.example'",
        "[source.page]\nbody = ['t0ken-that-nobody-may-see']",
        "[watch.a]\nevery = '${TOKEN}'\nsource = { kind = 'yahoo', symbols = 'A' }",
        "[watch.a]\ncron = '${TOKEN}'\nsource = { kind = 'yahoo', symbols = 'A' }",
        "[watch.a]\nevery = '1m'\nnotify = ['${TOKEN}']\nsource = { kind = 'yahoo', symbols = 'A' }",
        "[watch.a]\nevery = '1m'\nsource = { kind = '${TOKEN}' }",
        "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A', interval = '${TOKEN}' }",
        "[watch.a]\nevery = '1m'\nsource = { kind = 'ny_gas', region = '${TOKEN}' }",
        "[watch.a]\nevery = '1m'\nsource = { kind = 'json', url = '${TOKEN}', pointer = '${TOKEN}' }",
        "[watch.a]\nevery = '1m'\nsource = { kind = 'yahoo', symbols = 'A' }\nstrategy = [{ kind = 'rsi', period = '${TOKEN}' }]",
    ] {
        let mistakes = mistakes(text);
        assert!(!mistakes.is_empty(), "no mistake in {text}");
        let all = mistakes.join("\n");
        assert!(!all.contains(TOKEN), "{text}\n{all}");
    }
}

/// `stakeout check` on a file with this text: exit code, standard output, standard error.
fn check(text: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stakeout"))
        .arg("check")
        .arg("-c")
        .arg(&path)
        .env("STAKEOUT_DATA_DIR", folder.path())
        .env("TOKEN", TOKEN)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_ends_with_0_when_all_is_well_and_shows_the_next_ticks() {
    let (code, out, err) = check(GOOD);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for said in ["good", "yahoo", "rsi", "console", "No mistakes"] {
        assert!(out.contains(said), "no `{said}` in\n{out}");
    }
}

#[test]
fn check_ends_with_2_when_there_is_a_mistake() {
    let (code, out, err) = check(&GOOD.replace("30m", "${TOKEN}"));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("config.toml:3:9: watch `good`") && err.contains("1 mistake"), "{err}");
    assert!(!err.contains(TOKEN), "{err}");
}

#[test]
fn a_wrong_call_ends_with_2() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_stakeout")).args(arguments).output().unwrap().status.code()
    };
    for arguments in [
        &["check", "-c", "/nowhere/config.toml"] as &[&str],
        &["chekc"],
        &["kinds", "yaho"],
        &["once", "nobody", "-c", concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")],
        &["notify", "test", "nobody", "-c", concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")],
    ] {
        assert_eq!(run(arguments), Some(2), "stakeout {arguments:?}");
    }
}

#[test]
fn an_included_file_is_named_in_its_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("watches")).unwrap();
    std::fs::write(folder.path().join("config.toml"), "include = [\"watches/*.toml\"]").unwrap();
    std::fs::write(folder.path().join("watches/a.toml"), GOOD).unwrap();
    std::fs::write(folder.path().join("watches/b.toml"), "[watch.b]\nevery = '1m'").unwrap();
    let mistakes = Watchlist::load(&folder.path().join("config.toml")).err().unwrap().to_string();
    assert!(mistakes.contains("watches/b.toml:1:8: watch `b`: `source` is missing"), "{mistakes}");
}

#[test]
fn a_table_in_two_files_is_told_with_the_other_file() {
    for (first, second, what) in [
        ("[fetch]\ntimeout = '5s'", "[fetch.host.'a.example']\nmin_interval = '1s'", "[fetch]"),
        ("[web]\nlisten = '127.0.0.1:1'", "[web]\nlisten = '127.0.0.1:2'", "[web]"),
        ("[notify.x]\nkind = 'stdout'", "[notify.x]\nkind = 'stdout'", "notify `x`"),
        ("[source.finnhub]\ntoken = 'a'", "[source.finnhub]\ntoken = 'b'", "source `finnhub`"),
        ("[hours.x]\nopen = ['24/7']", "[hours.x]\nopen = ['24/7']", "hours `x`"),
        (GOOD, GOOD, "watch `"),
    ] {
        let file = |name: &str, text: &str| File { path: name.into(), text: text.into() };
        let files = [file("first.toml", first), file("second.toml", second)];
        let mistakes = Watchlist::build(&files, &|_| None).err().unwrap();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let is_it = |told: &String| {
            told.starts_with("second.toml:")
                && told.contains(&format!(": {what}"))
                && told.contains("stands in first.toml too")
        };
        assert!(told.iter().any(is_it), "{told:?}");
    }
}

#[test]
fn what_an_include_cannot_be_is_told() {
    for include in ["include = 'watches/*.toml'", "include = ['a.toml', 1]", "[include]\nfile = 'a.toml'"] {
        let file = File { path: "config.toml".into(), text: include.into() };
        let mistakes = Watchlist::build(&[file], &|_| None).err().unwrap().to_string();
        assert!(
            mistakes.contains("config.toml:1") && mistakes.contains("must be a list of files"),
            "{mistakes}"
        );
    }
    let file = |name: &str, text: &str| File { path: name.into(), text: text.into() };
    let files = [file("config.toml", "include = ['w.toml']"), file("w.toml", "include = ['v.toml']")];
    let mistakes = Watchlist::build(&files, &|_| None).err().unwrap().to_string();
    assert!(mistakes.contains("w.toml:1") && mistakes.contains("only the main file"), "{mistakes}");
}

#[test]
fn a_mistake_of_the_daemon_s_own_is_told_with_its_line_once() {
    for (key, text) in [
        ("timezone", "[daemon]\ntimezone = 'Berlin'"),
        ("log_level", "[daemon]\nlog_level = 'warning'"),
        ("log_level", "[daemon]\nlog_level = 'info,stakeout=loud'"),
        ("max_concurrent_runs", "[daemon]\nmax_concurrent_runs = 0"),
        ("proof_of_life", "[daemon]\nproof_of_life = 'every day'"),
        ("quiet_hours", "[alerting]\nquiet_hours = '22-7'"),
        ("after", "[alerting]\nafter = 0"),
        ("listen", "[web]\nlisten = '0.0.0.0:8787'"),
        ("backup.cron", "[daemon]\nbackup = { keep = 1, cron = 'nightly' }"),
    ] {
        let watches = "\n[watch.a]\nevery = '1h'\nsource = { kind = 'page', url = 'https://a.example/' }\
                       \n[watch.b]\nevery = '1h'\nsource = { kind = 'page', url = 'https://b.example/' }";
        let file = File { path: "config.toml".into(), text: format!("{text}{watches}") };
        let mistakes = Watchlist::build(&[file], &|_| None).err().unwrap();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("config.toml:2:") && told[0].contains(key), "{told:?}");
    }
}
