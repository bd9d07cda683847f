//! Moving in from another program.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use stakeout::config::File;
use stakeout::watchlist::Watchlist;
use tempfile::TempDir;

fn import(folder: &Path, arguments: &[&str], standard_input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stakeout"))
        .arg("import")
        .args(arguments)
        .current_dir(folder)
        .env_remove("STAKEOUT_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(standard_input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What came out, which the configuration's reader understands to the last word.
fn good(text: &str) -> Watchlist {
    // As the note at its top says.
    let allowed = text
        .lines()
        .find_map(|line| Some(format!("allow_networks{}", line.split_once("#     allow_networks")?.1)));
    let text = format!("[fetch]\n{}\n{text}", allowed.unwrap_or_default());
    let file = File { path: "watches.toml".into(), text: text.clone() };
    match Watchlist::build(&[file], &|_| None) {
        Ok(watchlist) => watchlist,
        Err(mistakes) => panic!("{mistakes}\n{text}"),
    }
}

/// Imports a text and gives the TOML, the watchlist and what was said.
fn moved(text: &str) -> (String, Watchlist, String) {
    let folder = TempDir::new().unwrap();
    let output = import(folder.path(), &["-"], text);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let toml = String::from_utf8(output.stdout.clone()).unwrap();
    let watchlist = good(&toml);
    (toml, watchlist, said(&output))
}

fn names(watchlist: &Watchlist) -> Vec<&str> {
    watchlist.watches.iter().map(|watch| watch.name.as_str()).collect()
}

/// The lines above a watch's table.
fn comments<'t>(toml: &'t str, name: &str) -> &'t str {
    let end = toml.find(&format!("[watch.{name}]")).unwrap_or_else(|| panic!("no {name} in {toml}"));
    toml[..end].rsplit("\n\n").next().unwrap()
}

const JOBS: &str = r##"
name: "Town hall: news"
url: https://town.example/news
tags: [town, news]
filter:
  - css: "#content"
  - html2text
  - grep: Meeting
headers: { Authorization: Bearer s3cret-token, Accept-Language: en }
cookies: { session: s3cret-cookie }
timeout: 12.5
max_tries: 3
user_visible_url: https://town.example/
frobnicate: yes
---
name: disk
command: df --password s3cret-shell
---
url: [
---
name: rate
url: https://api.example/v1/rate
filter:
  - jq: .rates[0].value
https_proxy: http://me:s3cret-proxy@proxy.example:3128
---
name: search
url: https://shop.example/search
data: { q: "a lamp", page: 1 }
enabled: false
---
name: router
url: http://192.168.1.1/status
---
url: file:///etc/passwd
---
name: odd
url: https://odd.example/
filter: [ { css: "p[" }, { xpath: "//div[last()]" } ]
method: BREW
---
navigate: https://app.example/
wait_for: "#app"
"##;

#[test]
fn jobs_of_urlwatch_become_watches_and_what_does_not_is_said() {
    let (toml, watchlist, said) = moved(JOBS);
    assert_eq!(names(&watchlist), ["town-hall-news", "rate", "search", "router", "odd", "app-example"]);
    let watch = |name: &str| watchlist.watches.iter().find(|watch| watch.name == name).unwrap();
    let news = watch("town-hall-news");
    assert_eq!(news.source_kind, "page");
    assert_eq!(news.labels.get("tag").map(String::as_str), Some("town, news"));
    assert_eq!(news.failing.after, 3);
    assert!(
        news.manner.headers.iter().any(|(name, value)| name == "cookie" && value == "session=s3cret-cookie")
    );
    assert_eq!(watch("rate").source_kind, "json");
    assert_eq!(watch("search").manner.body.as_deref(), Some("q=a+lamp&page=1"));
    assert_eq!(watch("search").manner.method.as_deref(), Some("POST"));
    assert!(!watch("search").enabled && news.enabled);

    let above = comments(&toml, "town-hall-news");
    for what in
        ["filter `grep` `Meeting`: ", "user_visible_url: ", "frobnicate: nothing is known of this key"]
    {
        assert!(above.contains(&format!("# not carried over: {what}")), "{what}: {above}");
    }
    let above = comments(&toml, "odd");
    for what in ["select: ", "filter `xpath` `//div[last()]`: ", "method: "] {
        assert!(above.contains(&format!("# not carried over: {what}")), "{what}: {above}");
    }
    assert!(comments(&toml, "app-example").contains("wait_for: belongs to a browser"), "{toml}");
    for left in [
        "left out: disk: runs a command",
        "left out: line 19: no YAML: line 19",
        "`file:` addresses are not fetched",
    ] {
        assert!(said.contains(left) && toml.contains(left), "{left}: {said}");
    }
    for summary in [
        "wrote 6 watches",
        "3 left out altogether",
        "secrets may lie in it",
        "add `allow_networks = [\"192.168.1.1\"]` to [fetch]",
        "with -o into a file",
        "stakeout check",
    ] {
        assert!(said.contains(summary), "{summary}: {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    assert!(!toml.contains("s3cret-shell"), "{toml}");
}

const STORE: &str = r##"{
"settings": {
  "requests": {"time_between_check": {"hours": 3},
               "extra_proxies": [{"proxy_name": "home", "proxy_url": "socks5://me:s3cret-proxy@proxy.example:1080"}]},
  "application": {"notification_urls": ["discord://12345/s3cret-discord", "mailto://me:s3cret-mail@example.com"],
                  "tags": {"0b0a0a0a-1111-2222-3333-444444444444": {"title": "shops"}}}},
"watching": {
  "a": {"url": "https://shop.example/lamp", "title": "Lamp", "processor": "restock_diff", "proxy": "ui-0home",
        "restock_settings": {"in_stock_processing": "in_stock_only", "follow_price_changes": true,
                             "price_change_min": 20.5, "price_change_max": 100, "price_change_threshold_percent": 5},
        "tags": ["0b0a0a0a-1111-2222-3333-444444444444"],
        "time_between_check": {"minutes": 20}, "time_between_check_use_default": false},
  "b": {"url": "https://news.example/", "include_filters": ["#main", "xpath://div[@id='x']", "//a/@href"],
        "subtractive_selectors": [".ad"], "trigger_text": ["In stock"], "paused": true, "last_checked": 17,
        "time_schedule_limit": {"enabled": true, "timezone": "Europe/Warsaw",
          "monday": {"enabled": true, "start_time": "09:00", "duration": {"hours": "8", "minutes": "30"}},
          "tuesday": {"enabled": false}},
        "notification_urls": ["discord://777/s3cret-own"]},
  "c": {"url": "https://api.example/x", "include_filters": ["json:$.price"], "method": "POST", "body": "{\"q\": 1}",
        "headers": {"X-Key": "s3cret-key"}, "fetch_backend": "html_webdriver",
        "conditions": [{"field": "page_filtered_text", "operator": "contains", "value": "x"}]},
  "d": {"url": "https://login.example/",
        "browser_steps": [{"operation": "Click element", "selector": "#a", "optional_value": ""}]},
  "e": {"url": "https://x.example/{{ now }}"}
}}"##;

#[test]
fn a_store_of_changedetection_becomes_watches_and_what_does_not_is_said() {
    let (toml, watchlist, said) = moved(STORE);
    assert_eq!(names(&watchlist), ["lamp", "news-example", "api-example-x"]);
    let [lamp, news, api] = watchlist.watches.as_slice() else { panic!("{toml}") };
    let kinds: Vec<&str> = lamp.judges.iter().map(|judge| judge.name.as_str()).collect();
    assert_eq!((lamp.source_kind, kinds), ("shop", vec!["restock", "threshold", "percent_change"]));
    assert_eq!(lamp.labels.get("tag").map(String::as_str), Some("shops"));
    assert!(lamp.manner.route.proxy.as_ref().is_some_and(|url| url.is_some()));
    assert!(toml.contains("every = \"20m\"") && toml.contains("every = \"3h\""), "{toml}");
    assert!(!news.enabled && news.hours.is_some());
    assert_eq!(news.notify, ["discord-imported-2"], "its own, and nobody else's");
    assert_eq!(
        (lamp.notify.as_slice(), api.notify.as_slice()),
        (&["discord-imported".to_owned()][..], &["discord-imported".to_owned()][..])
    );
    assert!(toml.contains(r##"select = '#main, div[id="x"]'"##), "{toml}");
    assert_eq!(api.source_kind, "json");
    let above = comments(&toml, "news-example");
    for what in ["trigger_text `In stock`: ", "subtractive_selectors `.ad`: ", "filter `//a/@href`: XPath"] {
        assert!(above.contains(&format!("# not carried over: {what}")), "{what}: {above}");
    }
    let above = comments(&toml, "api-example-x");
    for what in ["conditions: ", "fetch_backend: a browser", "every change was told"] {
        assert!(above.contains(&format!("# not carried over: {what}")), "{what}: {above}");
    }
    assert!(toml.contains("\n#[watch.login-example]\n"), "{toml}");
    for left in
        ["left out: login-example: takes steps in a browser", "left out: e: its address is a template"]
    {
        assert!(said.contains(left) && toml.contains(left), "{left}: {said}");
    }
    assert!(said.contains("not carried over: a notification by mailto"), "{said}");
    assert!(!said.contains("s3cret") && !toml.contains("s3cret-mail"), "{said}");
}

#[test]
fn each_shape_in_which_changedetection_gives_watches_is_understood() {
    for text in [
        r#"{"watching": {"a": {"url": "https://a.example/"}}}"#,
        r#"{"url": "https://a.example/", "uuid": "x", "last_checked": 1}"#,
        r#"{"6a": {"url": "https://a.example/", "last_error": false}}"#,
        r#"[{"url": "https://a.example/"}]"#,
    ] {
        let (toml, watchlist, _) = moved(text);
        assert_eq!(names(&watchlist), ["a-example"], "{text}");
        assert!(!toml.contains("not carried over"), "{toml}");
    }
}

#[test]
fn a_folder_of_changedetection_is_read_whole() {
    let folder = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("store/changedetection.json", r#"{"settings": {"requests": {"time_between_check": {"days": 1}}}}"#);
    write("store/t1/tag.json", r#"{"title": "lamps"}"#);
    write(
        "store/w1/watch.json",
        r#"{"url": "https://a.example/", "processor": "restock_diff", "tags": ["t1"]}"#,
    );
    write("store/w1/restock_diff.json", r#"{"restock_diff": {"in_stock_processing": "all_changes"}}"#);
    write("store/w2/watch.json", "{");
    let output = import(folder.path(), &["store"], "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let toml = String::from_utf8(output.stdout.clone()).unwrap();
    let watchlist = good(&toml);
    assert_eq!(watchlist.watches[0].labels.get("tag").map(String::as_str), Some("lamps"));
    assert!(toml.contains("every = \"1d\"") && toml.contains("\"restock\""), "{toml}");
    assert!(said(&output).contains("w2"), "{}", said(&output));
    // The file of the settings alone says where the watches are.
    let output = import(folder.path(), &["store/changedetection.json"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("name the folder of them all"), "{}", said(&output));
}

#[test]
fn a_list_of_addresses_becomes_watches_with_labels() {
    let (_, watchlist, said) =
        moved("# mine\n\nhttps://a.example/x news, town\nhttps://a.example/x\nb.example\n");
    assert_eq!(names(&watchlist), ["a-example-x"]);
    assert!(said.contains("not carried over: line 4: the address of line 3 once more"), "{said}");
    assert_eq!(watchlist.watches[0].labels.get("tag").map(String::as_str), Some("news, town"));
    assert!(said.contains("left out: line 5: is no address"), "{said}");
    assert!(!said.contains("secrets"), "{said}");
}

#[test]
fn a_file_is_written_once_and_one_with_secrets_is_nobody_else_s_to_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("watches.toml");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let output = import(folder.path(), &["-", "-o", "watches.toml"], "https://a.example/?token=s3cret-token");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(output.stdout.is_empty() && !said(&output).contains("s3cret"), "{}", said(&output));
    assert_eq!(mode(), 0o600);
    assert!(said(&output).contains("include = [\"watches.toml\"]"), "{}", said(&output));
    let before = std::fs::read_to_string(&path).unwrap();
    good(&before);
    let output = import(folder.path(), &["-", "-o", "watches.toml"], "https://b.example/");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--force"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    let output =
        import(folder.path(), &["-", "-o", "watches.toml", "--force", "--every", "2h"], "https://b.example/");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(std::fs::read_to_string(&path).unwrap().contains("every = \"2h\""));
}

#[test]
fn a_file_that_is_written_over_keeps_its_place_and_its_mode() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("real.toml"), "").unwrap();
    std::fs::set_permissions(at("real.toml"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real.toml", at("link.toml")).unwrap();
    let output = import(folder.path(), &["-", "-o", "link.toml", "--force"], "https://a.example/");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(at("link.toml").is_symlink());
    assert_eq!(std::fs::metadata(at("real.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left behind");
    std::fs::create_dir(at("folder")).unwrap();
    std::os::unix::fs::symlink("gone", at("nowhere")).unwrap();
    for (arguments, why) in [
        (&["-", "--force", "-o", "folder"][..], "is no regular file"),
        (&["-", "--force", "-o", "/dev/null"], "is no regular file"),
        (&["-", "--force", "-o", "nowhere"], "leads nowhere"),
        (&["-", "--every", "1ms"], "shorter than a tenth"),
        (&["-", "--every", "9000d"], "longer than a year"),
    ] {
        let output = import(folder.path(), arguments, "https://a.example/");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn what_could_be_a_watch_is_written_even_where_none_is() {
    let store = r#"{"watching": {"a": {"url": "https://a.example/", "browser_steps": [{"operation": "Click element"}]}}}"#;
    let folder = TempDir::new().unwrap();
    let output = import(folder.path(), &["-", "-o", "watches.toml"], store);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("wrote no watch to watches.toml"), "{}", said(&output));
    let written = std::fs::read_to_string(folder.path().join("watches.toml")).unwrap();
    assert!(written.contains("\n#[watch.a-example]\n"), "{written}");
}

#[test]
fn nobody_hears_of_another_s_watches() {
    let (_, watchlist, said) = moved(
        r#"{"settings": {"application": {"notification_urls": ["mailto://me:s3cret@example.com"]}},
            "watching": {"a": {"url": "https://a.example/", "notification_urls": ["discord://1/token"]},
                         "b": {"url": "https://b.example/"}}}"#,
    );
    let told: Vec<&[String]> = watchlist.watches.iter().map(|watch| watch.notify.as_slice()).collect();
    assert_eq!(told, [&["discord-imported".to_owned()][..], &[]]);
    assert!(said.contains("1 watch tells nobody"), "{said}");
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    let folder = TempDir::new().unwrap();
    for (arguments, text, why) in [
        (&["-"][..], "", "is empty"),
        (&["-"], "{\"watching\": {\n \"a\": x}}", "no JSON: expected value at line 2"),
        (&["-"], "{}", "there are no watches in it"),
        (&["-"], "report:\n  email: {}\n", "these are settings"),
        (&["-"], "only words\n", "no list of addresses"),
        (&["-"], "<!doctype html>\n<a href=\"https://a.example/\">a: b</a>\n", "no list of addresses"),
        (&["-"], "a = 1\n[watch.a]\nevery = \"1h\"\n", "no list of addresses"),
        (&["-", "--format", "changedetection"], "url: https://a.example/", "no JSON"),
        (&["gone.yaml"], "", "gone.yaml cannot be read"),
    ] {
        let output = import(folder.path(), arguments, text);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(said(&output).contains(why) && output.stdout.is_empty(), "{text}: {}", said(&output));
    }
}

#[test]
fn foreign_texts_stay_what_they_are() {
    let (toml, watchlist, said) = moved(
        "name: \"a\\\"]\\n[daemon]\\u202e\\e[31m\"\nurl: https://a.example/\nnote: \"'''\\n# b ${HOME}\"\n\
         headers: {X: \"${HOME}\", file: /etc/passwd}\n\"k\\n[web]\": 1\n---\nname: b\nurl: https://b.example/?a=${HOME}\n",
    );
    assert_eq!(names(&watchlist), ["a-daemon-31m", "b"]);
    assert_eq!(watchlist.watches[0].manner.headers, []);
    assert!(toml.contains("https://b.example/?a=$%7BHOME}"), "{toml}");
    let above = comments(&toml, "a-daemon-31m");
    assert!(
        above.contains("headers: `X`: holds a `${`") && above.contains("headers: one named `file`"),
        "{above}"
    );
    assert!(!toml.contains(['\u{1b}', '\u{202e}']) && !said.contains(['\u{1b}', '\u{202e}']), "{toml}");
}
