//! Jobs of urlwatch (<https://urlwatch.readthedocs.io/en/latest/jobs.html>) and of webchanges
//! (<https://webchanges.readthedocs.io/en/stable/jobs.html>): YAML, a job a document.

use serde_json::{Map, Value as Json};
use serde_saphyr::options::DuplicateKeyPolicy;
use url::{Url, form_urlencoded};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::draft::{Draft, Haul, Keys, LeftOut, cleaned, plain};
use super::filters;
use crate::model::Period;

/// What there is no place for, each with what it did or what there is instead.
pub(super) const LISTED: [(&str, &str); 71] = [
    ("additions_only", "told only what came; here what came and what went is told"),
    ("block_elements", BROWSER),
    ("browser", BROWSER),
    ("compared_versions", "compared with several states; here only with the last one"),
    ("contextlines", "said how much of a difference is shown"),
    ("data_as_json", "says how `data` is sent, which there is none of"),
    ("deletions_only", "told only what went; here what came and what went is told"),
    ("diff_filter", "filtered differences; here they are told as they are"),
    ("diff_filters", "filtered differences; here they are told as they are"),
    ("diff_tool", "ran a program that compares; none is run here"),
    ("differ", "chose how differences are shown; here line by line"),
    ("empty_as_transient", "passed over an empty page; here it is a failed run, see `fail_after`"),
    ("encoding", "named the page's character set; here the page says it"),
    ("evaluate", BROWSER),
    ("fingerprints", "played a browser's handshake; see `user_agent` for what can be played"),
    ("http_client", "chose a library; there is only one here"),
    ("http_version", "chose a version of HTTP; here both sides agree on one"),
    ("ignore_cached", "asked for all of the page each time; here only for what is new"),
    ("ignore_connection_errors", "`fail_after` says after how many failed runs in a row you hear of it"),
    ("ignore_default_args", BROWSER),
    ("ignore_dh_key_too_small", "weak keys are refused here"),
    ("ignore_http_error_codes", "`fail_after` says after how many failed runs in a row you hear of it"),
    ("ignore_https_errors", CERTIFICATE),
    ("ignore_incomplete_reads", "`fail_after` says after how many failed runs in a row you hear of it"),
    ("ignore_timeout_errors", "`fail_after` says after how many failed runs in a row you hear of it"),
    ("ignore_too_many_redirects", "`fail_after` says after how many failed runs in a row you hear of it"),
    ("impersonate", "played a browser's handshake; see `user_agent` for what can be played"),
    ("init_script", BROWSER),
    ("initialization_js", BROWSER),
    ("initialization_url", "asked another page first; write the cookies that it gave into `cookies`"),
    ("is_markdown", "said how a report looks"),
    ("markdown_padded_tables", "said how a report looks"),
    ("mime_type", "named what kind of file it is; here the answer says it"),
    ("monospace", "said how a report looks"),
    ("no_conditional_request", "asked for all of the page each time; here only for what is new"),
    ("no_redirects", "followed no redirects; here they are followed"),
    ("params", "were added to the address, and are no list of names and values"),
    ("retries", "tried again at once; here at the next slot, see `fail_after`"),
    ("ssl_no_verify", CERTIFICATE),
    ("stderr", "belongs to a command; none is run here"),
    ("suppress_error_ended", "kept quiet when failing was over; see `fail_after`"),
    ("suppress_errors", "kept quiet about failing; see `fail_after`"),
    ("switches", BROWSER),
    ("tz", "zone of a report; see `timezone`"),
    ("user_data_dir", BROWSER),
    ("user_visible_url", "was the address in messages; here it is the one that is asked"),
    ("wait_for", BROWSER),
    ("wait_for_function", BROWSER),
    ("wait_for_navigation", BROWSER),
    ("wait_for_selector", BROWSER),
    ("wait_for_timeout", BROWSER),
    ("wait_for_url", BROWSER),
    ("wait_until", BROWSER),
    ("http_credentials", "is not written as NAME:PASSWORD"),
    ("cookies", "are no table of names and values"),
    ("headers", "are no table of names and values"),
    ("data", "is neither a text nor a table of texts and numbers; write what is sent into `body`"),
    ("filters", "stand beside `filter`, which is taken"),
    ("name", "is no text"),
    ("navigate", "is the address for a browser; the `url` beside it is asked"),
    ("note", "is no text"),
    ("proxy", "is no text"),
    ("referer", "is no text"),
    ("tags", "are no texts"),
    ("useragent", "is no text"),
    ("timeout", "is no number of seconds"),
    ("enabled", "is neither true nor false"),
    ("max_tries", "is no number"),
    ("http_proxy", "is for pages without encryption, and this one is with"),
    ("https_proxy", "is for pages with encryption, and this one is without"),
    ("method", "is no name of a method"),
];

const BROWSER: &str = "belongs to a browser; pages are read here as they come, without one";
const CERTIFICATE: &str =
    "trusted any certificate; name the one to trust in `ca_file` of [fetch] (https://…), or ask for http://";

/// What says nothing about what is watched, or what is so here without being said.
const NEEDLESS: [&str; 5] = ["guid", "index_number", "loop", "suppress_repeated_errors", "_delay"];

pub(super) fn read(text: &str) -> Haul {
    let mut haul = Haul::default();
    for (first_line, document) in documents(text) {
        let place = format!("line {}", first_content(&document, first_line));
        match parsed(&document, first_line) {
            Ok(Json::Null) => {}
            Ok(Json::Array(jobs)) => {
                for (number, entry) in (1_usize..).zip(jobs) {
                    job(entry, &format!("{place}, entry {number}"), &mut haul);
                }
            }
            Ok(entry) => job(entry, &place, &mut haul),
            Err(why) => haul.left_out.push(LeftOut::new(place, why)),
        }
    }
    haul
}

/// The documents with the number of their first line. A line that begins with `---` begins one, wherever it
/// stands; so one that cannot be read keeps nobody from reading the next.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1_usize..).zip(text.split_inclusive('\n')) {
        let begins = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        match documents.last_mut() {
            Some((_, document)) if !begins => document.push_str(line),
            _ => documents.push((number, line.to_owned())),
        }
    }
    let says = |line: &str| {
        let line = line.trim();
        !line.is_empty() && line != "---" && !line.starts_with(['#', '%'])
    };
    documents.retain(|(_, document)| document.lines().any(says));
    documents
}

/// The line in which a document says something.
fn first_content(document: &str, first_line: usize) -> usize {
    let says = |line: &str| !["", "---"].contains(&line.trim()) && !line.trim_start().starts_with('#');
    first_line.saturating_add(document.lines().position(says).unwrap_or(0))
}

/// Aliases that unfold without end are refused by the budget that the library has by itself.
fn parsed(document: &str, first_line: usize) -> Result<Json, String> {
    let options = serde_saphyr::options! {
        // As urlwatch reads it.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        // Lines of the file may hold secrets.
        with_snippet: false,
        // Far more than any job needs.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
    };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map(|location| {
            let line =
                usize::try_from(location.line()).unwrap_or(1).saturating_sub(1).saturating_add(first_line);
            format!("line {line}, column {}: ", location.column())
        });
        // Its own place is counted from the beginning of the document.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        format!("no YAML: {}{}", place.unwrap_or_default(), cleaned(message, 160))
    })
}

fn job(entry: Json, place: &str, haul: &mut Haul) {
    let Json::Object(map) = entry else {
        haul.left_out.push(LeftOut::new(place, "is no job: a job is a table with a `url`"));
        return;
    };
    let mut keys = Keys(map);
    let mut draft = Draft::new(place);
    draft.title = keys.text("name");
    let why = match carry(&mut keys, &mut draft) {
        Ok(()) => {
            keys.list_left(&LISTED, &mut |what| draft.lose(what));
            haul.drafts.push(draft);
            return;
        }
        Err(why) => why,
    };
    haul.left_out.push(LeftOut::new(draft.called(), why));
}

fn carry(keys: &mut Keys, draft: &mut Draft) -> Result<(), String> {
    let browses = keys.0.contains_key("navigate");
    let Some(url) = keys.text("url").or_else(|| keys.text("navigate")) else {
        return Err(not_watchable(keys));
    };
    draft.url = url.trim().to_owned();
    let browser = keys.take("use_browser");
    let is_wanted = browser.is_some_and(|value| plain(&value).is_none_or(|value| value != "false"));
    let kind = keys.text("kind").unwrap_or_default();
    let is_kind = kind.trim() == "browser" && !browses && !is_wanted;
    for (key, is_wanted) in [("navigate", browses), ("use_browser", is_wanted), ("kind", is_kind)] {
        if is_wanted {
            draft.lose(format!(
                "{key}: a browser; pages are read as they come, and where scripts put the page together, watch what \
                 they ask"
            ));
        }
    }
    if !["", "url", "browser"].contains(&kind.trim()) {
        let kind = cleaned(&kind, 40);
        draft.lose(format!("kind: `{kind}` is a program of its own; here the page is read as it comes"));
    }
    // One of them is the older name.
    if let Some(list) = keys.take("filter").or_else(|| keys.take("filters")) {
        filters::carry(draft, &list)?;
    }
    ask(keys, draft);
    if keys.flag("enabled") == Some(false) {
        draft.set("enabled", false);
    }
    match keys.number("max_tries") {
        Some(tries) if tries >= 1.0 => draft.set("fail_after", tries.min(1e6) as i64),
        Some(_) => draft.lose("max_tries: is less than one; see `fail_after`"),
        None => {}
    }
    if keys.flag("treat_new_as_changed") == Some(true) {
        draft.set("on_first", "notify");
    }
    draft.tag(&keys.list("tags"));
    if let Some(note) = keys.text("note") {
        draft.label("note", &note);
    }
    keys.forget(&NEEDLESS);
    Ok(())
}

fn not_watchable(keys: &mut Keys) -> String {
    if keys.take("command").is_some() {
        return "runs a command; none is run here (let cron write its output where a web server shows it)"
            .into();
    }
    if let Some(kind) = keys.text("kind") {
        return format!("is of kind `{}`, a program of its own", cleaned(&kind, 40));
    }
    if ["report", "display", "job_defaults"].iter().any(|key| keys.0.contains_key(*key)) {
        return "these are settings; the jobs lie in urls.yaml or jobs.yaml".into();
    }
    "names no `url`".into()
}

/// How the page is asked.
fn ask(keys: &mut Keys, draft: &mut Draft) {
    for key in ["headers", "cookies"] {
        if let Some(sent) = keys.map(key) {
            draft.send(key, &sent);
        }
    }
    let header = |draft: &mut Draft, key: &str, name: &str, value: &str| {
        if !draft.usual_header(name, value) {
            draft.lose(format!("{key}: `headers` name another one"));
        }
    };
    for (key, name) in [("useragent", "user-agent"), ("referer", "referer")] {
        if let Some(value) = keys.text(key) {
            header(draft, key, name, &value);
        }
    }
    if let Some(credentials) = keys.text("http_credentials") {
        if credentials.contains(':') && !credentials.contains("://") {
            let value = format!("Basic {}", STANDARD.encode(credentials));
            header(draft, "http_credentials", "authorization", &value);
        } else {
            keys.0.insert("http_credentials".into(), credentials.into());
        }
    }
    add_parameters(keys, draft);
    send(keys, draft);
    if let Some(seconds) = keys.number("timeout") {
        if seconds > 0.0 {
            draft.ask_with("timeout", Period::from_secs(seconds.ceil().min(1e9) as u64).written());
        } else {
            draft.lose("timeout: waited without end; here for the `timeout` of [fetch]");
        }
    }
    let of_scheme = if draft.url.starts_with("https:") { "https_proxy" } else { "http_proxy" };
    let (own, of_all) = (keys.text("proxy"), keys.text(of_scheme));
    if own.is_some() && of_all.is_some() {
        draft.lose(format!("{of_scheme}: `proxy` goes before it"));
    }
    if let Some(proxy) = own.or(of_all) {
        draft.ask_with("proxy", proxy);
    }
}

/// Puts `params` into the address.
fn add_parameters(keys: &mut Keys, draft: &mut Draft) {
    let Ok(mut url) = Url::parse(&draft.url) else { return };
    let Some(parameters) = keys.map("params") else { return };
    let pairs: Option<Vec<(&str, String)>> = pairs(&parameters);
    match pairs {
        Some(pairs) => {
            url.query_pairs_mut().extend_pairs(pairs);
            draft.url = url.into();
        }
        None => draft.lose("params: hold what is neither a text nor a number"),
    }
}

fn pairs(map: &Map<String, Json>) -> Option<Vec<(&str, String)>> {
    map.iter().map(|(name, value)| Some((name.as_str(), plain(value)?))).collect()
}

/// `method` and `data`.
fn send(keys: &mut Keys, draft: &mut Draft) {
    let method = keys.text("method").map(|method| method.trim().to_ascii_uppercase());
    let data = keys.take("data");
    // Where there is nothing to send, it is told with what else is left.
    let as_json = data.is_some() && keys.flag("data_as_json").unwrap_or(false);
    let body = match &data {
        None => None,
        Some(Json::String(text)) if as_json => Some((text.clone(), "application/json")),
        Some(value) if as_json => Some((value.to_string(), "application/json")),
        Some(Json::Object(map)) => pairs(map).map(|pairs| {
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            (form, "application/x-www-form-urlencoded")
        }),
        Some(value) => plain(value).map(|text| (text, "application/x-www-form-urlencoded")),
    };
    if let (Some(data), None) = (data, &body) {
        keys.0.insert("data".into(), data);
    }
    match (method.as_deref(), body) {
        (Some("GET" | "HEAD"), Some(_)) => {
            draft.lose("data: goes with no GET; write it into the address, or say `method`");
        }
        (method, Some((body, kind))) => {
            draft.ask_with("method", method.unwrap_or("POST"));
            draft.ask_with("body", body);
            draft.usual_header("content-type", kind);
        }
        (Some("GET") | None, None) => {}
        (Some("HEAD"), None) => draft.lose("method: HEAD has no answer to read; GET is asked"),
        (Some(method), None) => draft.ask_with("method", method),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_carried_over_or_listed() {
        for (job, body, lost) in [
            ("data: {a: 1}", Some("a=1"), ""),
            ("data: {a: {b: 1}}", None, "data: "),
            ("data: [a, b]", None, "data: "),
            ("data: {a: {b: 1}}\ndata_as_json: true", Some("{\"a\":{\"b\":1}}"), ""),
            ("data_as_json: true", None, "data_as_json: "),
            ("kind: my-own", None, "kind: `my-own`"),
            ("filter: [html2text]\nfilters: [html2text]", None, "filters: "),
            ("http_proxy: http://proxy.example", None, "http_proxy: "),
            ("tags: [a, {b: c}]", None, "tags: "),
            ("useragent: a\nheaders: {User-Agent: b}", None, "useragent: "),
        ] {
            let haul = read(&format!("url: https://a.example/\n{job}\n"));
            let [draft] = haul.drafts.as_slice() else { panic!("{job}") };
            assert_eq!(draft.asks_with("body").and_then(toml::Value::as_str), body, "{job}");
            let told = draft.lost.join("\n");
            assert!(told.starts_with(lost) && told.is_empty() == lost.is_empty(), "{job}: {told}");
        }
    }

    #[test]
    fn a_document_that_is_broken_stops_no_other() {
        let haul =
            read("url: https://a.example/\n---\nurl: [\n---\n# nothing\n---\n\nurl: https://b.example/\n");
        let urls: Vec<&str> = haul.drafts.iter().map(|draft| draft.url.as_str()).collect();
        assert_eq!(urls, ["https://a.example/", "https://b.example/"]);
        let places: Vec<&str> = haul.drafts.iter().map(|draft| draft.place.as_str()).collect();
        assert_eq!(places, ["line 1", "line 8"]);
        let [broken] = haul.left_out.as_slice() else { panic!("{}", haul.left_out.len()) };
        assert_eq!(broken.name, "line 3");
        assert!(broken.why.starts_with("no YAML: line "), "{}", broken.why);
    }

    #[test]
    fn dashes_in_a_text_begin_no_job() {
        let haul = read("name: |\n  a\n  ---\n  b\nurl: https://a.example/\n--- \nurl: https://b.example/\n");
        assert_eq!((haul.drafts.len(), haul.left_out.len()), (2, 0));
    }

    #[test]
    fn aliases_that_unfold_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{before}]\n"));
        }
        let haul = read(&text);
        assert_eq!((haul.drafts.len(), haul.left_out.len()), (0, 1));
    }

    #[test]
    fn a_secret_in_a_line_that_cannot_be_read_is_not_repeated() {
        let haul = read("url: https://a.example/\nheaders: {authorization: \"t0ken\n---\nurl: x\n");
        let [broken] = haul.left_out.as_slice() else { panic!("{}", haul.left_out.len()) };
        assert!(!broken.why.contains("t0ken"), "{}", broken.why);
    }
}
