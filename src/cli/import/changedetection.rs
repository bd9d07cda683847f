//! Watches of changedetection.io, as its data store and its API have them.
//! <https://changedetection.io/docs/api_v1/index.html>

use serde_json::{Map, Value as Json};
use toml::Value;

use super::draft::{Draft, Haul, Keys, LeftOut, cleaned, is_set, number, plain, truth, words_of};
use super::paths::{css_of_xpath, pointer_of_path};
use super::shared::{self, Shared};
use super::{filters, hours, restock};
use crate::model::Period;

/// What there is no place for, each with what it did or what there is instead.
pub(super) const LISTED: [(&str, &str); 38] = [
    ("body", "is sent with no GET"),
    ("browser_steps", "belong to a browser; pages are read here as they come, without one"),
    ("check_unique_lines", "told only lines that were never there before; here every change is told"),
    (
        "conditions",
        "told only where they were met; for a number, take source `json` or `shop` with `threshold`",
    ),
    ("extract_lines_containing", "kept only lines with some words; `select` takes a part of the page"),
    ("extract_text", "took what fits a regular expression; `select` takes a part of the page"),
    ("filter_text_added", "did not tell what came; here what came and what went is told"),
    ("filter_text_removed", "did not tell what went; here what came and what went is told"),
    ("filter_text_replaced", "did not tell what was replaced; here what came and what went is told"),
    ("filter_failure_notification_send", "did not tell that nothing is found; here that is a failed run"),
    ("headers", "are no table of names and values"),
    ("history_snapshot_max_length", "said how much is kept; see `retention` of [daemon]"),
    ("ignore_status_codes", "took error pages for pages; here they are failed runs"),
    ("ignore_text", "passed over lines with some words; `select` takes a part of the page"),
    ("include_filters", "are no list of texts"),
    ("llm_change_summary", "is for a language model; there is none here"),
    ("link_to_open", "was the address in messages; here it is the one that is asked"),
    ("llm_intent", "is for a language model; there is none here"),
    ("method", "is no name of a method"),
    ("notification_urls", "are no list of texts"),
    ("notification_body", "said how a message is written; here each strategy has its own words"),
    ("notification_format", "said how a message is written; here each strategy has its own words"),
    ("notification_screenshot", "sent a picture along; `attach_chart` of a notifier sends a chart"),
    ("notification_title", "said how a message is written; here each strategy has its own words"),
    ("paused", "is neither true nor false"),
    ("proxy", "is no text"),
    ("remove_duplicate_lines", "took repeated lines out"),
    (
        "sort_text_alphabetically",
        "sorted lines; a part of the page that changes its order is told as changed",
    ),
    ("strip_ignored_lines", "took out what is passed over"),
    ("subtractive_selectors", "took elements out; `select` only says what counts"),
    ("text_should_not_be_present", "told when some words go; for a shop take source `shop` and `restock`"),
    ("tags", "are no list of texts"),
    ("time_schedule_limit", "kept to hours of the week that are not written as one `hours`"),
    ("title", "is no text"),
    (
        "track_ldjson_price_data",
        "watched the price that a page tells to machines; take source `shop` and `price_drop`",
    ),
    ("trigger_text", "told only where some words are there; for a shop take source `shop` and `restock`"),
    ("webdriver_delay", "belongs to a browser; pages are read here as they come, without one"),
    ("webdriver_js_execute_code", "belongs to a browser; pages are read here as they come, without one"),
];

/// What was seen and done, and how the page looks in its list; and what is so here without being said.
pub(super) const NEEDLESS: [&str; 42] = [
    "browser_steps_last_error_step",
    "check_count",
    "conditions_match_logic",
    "consecutive_filter_failures",
    "content-type",
    "date_created",
    "error_text",
    "favicon_filename",
    "fetch_time",
    "has_ldjson_price_data",
    "has_unviewed",
    "history",
    "history_n",
    "last_changed",
    "last_check_status",
    "last_checked",
    "last_error",
    "last_notification_error",
    "last_viewed",
    "link",
    "llm_change_summary_mode",
    "llm_backend_profile",
    "llm_evaluation_cache",
    "llm_last_tokens_used",
    "llm_prefilter",
    "llm_tokens_used_cumulative",
    "newest_history_key",
    "notification_alert_count",
    "page_title",
    "previous_md5",
    "previous_md5_before_filters",
    "processor_config_restock_diff_source",
    "quit",
    "remote_server_reply",
    "restock",
    "trim_text_whitespace",
    "use_page_title_in_list",
    "uuid",
    "viewed",
    "notification_alert",
    "status_code",
    "last_filter_config_hash",
];

/// Reads a text of JSON.
///
/// # Errors
/// Where it is no JSON, or that no watches stand in it.
pub(super) fn read(text: &str) -> Result<Haul, String> {
    let root: Json = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    haul(root)
}

/// Watches and settings, as they stand in one table.
///
/// # Errors
/// That no watches stand in it.
pub(super) fn haul(root: Json) -> Result<Haul, String> {
    let mut haul = Haul::default();
    let (watches, settings) = watches(root)?;
    let shared = Shared::read(settings, &mut haul);
    for (place, watch) in watches {
        let Json::Object(map) = watch else {
            haul.left_out
                .push(LeftOut::new(cleaned(&place, 60), "is no watch: a watch is a table with a `url`"));
            continue;
        };
        let mut keys = Keys(map);
        let mut draft = Draft::new(cleaned(&place, 60));
        let page_title = keys.text("page_title");
        draft.title = keys.text("title").or(page_title);
        shared.hand_on(&mut keys);
        match carry(&mut keys, &mut draft, &shared, &mut haul) {
            Ok(()) => {
                list(keys, &mut draft);
                haul.drafts.push(draft);
            }
            Err(why) => haul.left_out.push(LeftOut::new(draft.called(), why)),
        }
    }
    shared.keep_to_own(&mut haul);
    Ok(haul)
}

/// Each watch with where it stands, and the settings beside them.
type Found = (Vec<(String, Json)>, Map<String, Json>);

fn watches(root: Json) -> Result<Found, String> {
    let none = || "there are no watches in it: neither `watching` nor tables with a `url`".to_owned();
    let numbered = |items: Vec<Json>| {
        (1_usize..).zip(items).map(|(number, item)| (format!("watch {number}"), item)).collect::<Vec<_>>()
    };
    match root {
        Json::Array(items) if items.iter().any(|item| item.get("url").is_some()) => {
            Ok((numbered(items), Map::new()))
        }
        Json::Object(mut root) => {
            let settings = match root.remove("settings") {
                Some(Json::Object(settings)) => settings,
                _ => Map::new(),
            };
            let listed = root.remove("watching").or_else(|| root.remove("watches"));
            match listed {
                Some(Json::Object(watching)) if !watching.is_empty() => {
                    Ok((watching.into_iter().collect(), settings))
                }
                Some(Json::Array(items)) if !items.is_empty() => Ok((numbered(items), settings)),
                None if root.contains_key("url") => Ok((vec![("the watch".into(), root.into())], settings)),
                None if root.values().any(|value| value.get("url").is_some()) => {
                    Ok((root.into_iter().collect(), settings))
                }
                _ if !settings.is_empty() => {
                    Err("only settings stand in it; the watches lie beside it, a folder \
                                                  each (watch.json): name the folder of them all"
                        .into())
                }
                _ => Err(none()),
            }
        }
        _ => Err(none()),
    }
}

fn carry(keys: &mut Keys, draft: &mut Draft, shared: &Shared, haul: &mut Haul) -> Result<(), String> {
    let Some(url) = keys.text("url") else { return Err("names no `url`".into()) };
    draft.url = match url.trim().strip_prefix("source:") {
        Some(url) => {
            draft.lose("source: compared the markup of the page; here the text that is shown");
            url.to_owned()
        }
        None => url.trim().to_owned(),
    };
    if is_template(&draft.url) {
        return Err("its address is a template, which is not filled in here".into());
    }
    match keys.text("processor").as_deref() {
        None | Some("text_json_diff") => pick(keys, draft),
        Some("restock_diff") => restock::carry(keys, draft),
        Some(other) => {
            return Err(format!("`{}` compares something else than texts and prices", cleaned(other, 40)));
        }
    }
    if let Some(every) = checked_every(keys, shared) {
        draft.keys.insert(0, ("every", Period::from_secs(every).written().into()));
    }
    if keys.flag("time_between_check_use_default") != Some(true)
        && let Some(times) = keys.0.get("time_between_check").filter(|times| is_set(times))
        && !times.as_object().is_some_and(are_times)
    {
        draft.lose("time_between_check: is not all numbers of weeks, days, hours, minutes and seconds");
    }
    keys.forget(&["time_between_check"]);
    ask(keys, draft, shared);
    hours::carry(keys, draft, shared.timezone.as_deref());
    if keys.flag("paused") == Some(true) || shared.paused {
        draft.set("enabled", false);
    }
    tags(keys, draft, shared);
    notify(keys, draft, haul);
    if keys.0.get("browser_steps").and_then(Json::as_array).is_some_and(|steps| steps.iter().any(is_step)) {
        draft.blocked =
            Some("takes steps in a browser before it looks, and pages are read here without one".into());
    }
    Ok(())
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn is_step(step: &Json) -> bool {
    let operation = step.get("operation").and_then(Json::as_str).unwrap_or_default();
    !["", "Choose one", "Goto site"].contains(&operation)
}

/// How often, in seconds; none where it is said nowhere.
fn checked_every(keys: &Keys, shared: &Shared) -> Option<u64> {
    let own = keys.0.get("time_between_check").and_then(Json::as_object).and_then(seconds);
    let usual = keys.0.get("time_between_check_use_default").and_then(truth);
    match usual {
        Some(true) => shared.every,
        _ => own.or(shared.every),
    }
}

const UNITS: [(&str, f64); 5] =
    [("weeks", 604_800.0), ("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0)];

fn are_times(times: &Map<String, Json>) -> bool {
    let is_unit = |name: &str| UNITS.iter().any(|(unit, _)| *unit == name);
    times.iter().all(|(name, value)| !is_set(value) || (is_unit(name) && number(value).is_some()))
}

pub(super) fn seconds(times: &Map<String, Json>) -> Option<u64> {
    let sum: f64 =
        UNITS.iter().filter_map(|(unit, each)| Some(number(times.get(*unit)?)?.max(0.0) * each)).sum();
    (sum >= 1.0).then_some(sum.min(1e12) as u64)
}

/// What of the page counts.
fn pick(keys: &mut Keys, draft: &mut Draft) {
    let wanted = keys.list("include_filters");
    let wanted: Vec<&str> =
        wanted.iter().map(|filter| filter.trim()).filter(|filter| !filter.is_empty()).collect();
    if let [only] = wanted.as_slice()
        && let Some(pointer) = in_json(only).and_then(pointer_of_path)
    {
        return filters::point(draft, &pointer);
    }
    let mut selectors = Vec::new();
    for filter in &wanted {
        let shown = cleaned(filter, 120);
        let is_xpath = filter.starts_with('/') || filter.starts_with("xpath");
        if in_json(filter).is_some() {
            draft.lose(format!(
                "filter `{shown}`: only one plain path is understood, by source `json` and its `pointer`; all of the \
                 answer is compared"
            ));
        } else if is_xpath {
            let path = filter.strip_prefix("xpath1:").unwrap_or(filter);
            match css_of_xpath(path) {
                Some(css) => selectors.push(css),
                None => draft.lose(format!("filter `{shown}`: XPath; write a CSS selector into `select`")),
            }
        } else {
            selectors.push((*filter).to_owned());
        }
    }
    if !selectors.is_empty() {
        draft.ask_with("select", selectors.join(", "));
    }
}

/// The path of a filter that picks out of JSON.
fn in_json(filter: &str) -> Option<&str> {
    ["json:", "jq:", "jqraw:"].iter().find_map(|prefix| filter.strip_prefix(prefix))
}

/// How the page is asked.
fn ask(keys: &mut Keys, draft: &mut Draft, shared: &Shared) {
    let mut headers = keys.map("headers").unwrap_or_default();
    for (name, value) in &shared.headers {
        if !headers.keys().any(|own| own.eq_ignore_ascii_case(name)) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.retain(|name, value| {
        let is_one = plain(value).is_some_and(|text| is_template(&text));
        if is_one {
            draft.lose(format!(
                "headers: `{}`: is a template, which is not filled in here",
                cleaned(name, 60)
            ));
        }
        !is_one
    });
    draft.send("headers", &headers);
    let method =
        keys.text("method").map(|method| method.to_ascii_uppercase()).filter(|method| method != "GET");
    if let Some(method) = method {
        draft.ask_with("method", method);
        match keys.text("body") {
            Some(body) if is_template(&body) => {
                draft.lose("body: is a template, which is not filled in here")
            }
            Some(body) => draft.ask_with("body", body),
            None => {}
        }
    }
    let key = keys.text("proxy").or_else(|| shared.proxy.clone());
    match key.as_ref().map(|key| shared.proxies.get(key)) {
        Some(Some(address)) => draft.ask_with("proxy", address.as_str()),
        Some(None) => draft.lose("proxy: its address stands elsewhere (proxies.json); write it into `proxy`"),
        None => {}
    }
    let backend = keys.text("fetch_backend").unwrap_or_default();
    if is_browser(&backend) || (shared.by_browser && ["", "system"].contains(&backend.as_str())) {
        draft.lose(
            "fetch_backend: a browser; pages are read as they come, and where scripts put the page together, watch what \
             they ask",
        );
    }
}

pub(super) fn is_browser(backend: &str) -> bool {
    !["", "system", "html_requests"].contains(&backend)
}

fn tags(keys: &mut Keys, draft: &mut Draft, shared: &Shared) {
    let mut names = Vec::new();
    for tag in keys.list("tags").into_iter().chain(keys.list("tag")) {
        match shared.tags.get(&tag) {
            Some(tag) => names.push(tag.name.clone()),
            // Tags are listed by an id that says nothing without the settings.
            None if tag.len() == 36 && tag.matches('-').count() == 4 => {
                draft.lose("tags: their names stand elsewhere (changedetection.json or tag.json)");
            }
            None => names.push(tag),
        }
    }
    names.dedup();
    draft.tag(&names);
}

fn notify(keys: &mut Keys, draft: &mut Draft, haul: &mut Haul) {
    let mut names: Vec<Value> = Vec::new();
    for address in keys.list("notification_urls") {
        match haul.notifier(&address) {
            Ok(name) if names.iter().any(|known| known.as_str() == Some(&name)) => {}
            Ok(name) => names.push(name.into()),
            Err(why) => draft.lose(format!("notification_urls: {why}")),
        }
    }
    if keys.flag("notification_muted") == Some(true) {
        if !names.is_empty() {
            draft.notes.push(format!("it was muted: `notify = []` instead of {}", Value::from(names)));
        }
        draft.set("notify", Vec::<Value>::new());
    } else if !names.is_empty() {
        draft.set("notify", names);
    }
}

/// Lists what is left, with the words that people looked for.
fn list(mut keys: Keys, draft: &mut Draft) {
    keys.forget(&NEEDLESS);
    // Those that are steps are told elsewhere.
    let are_steps = |steps: &Vec<Json>| steps.iter().all(|step| step.get("operation").is_some());
    if keys.0.get("browser_steps").and_then(Json::as_array).is_some_and(are_steps) {
        keys.forget(&["browser_steps"]);
    }
    // What they are where nobody said otherwise says nothing.
    for (key, usual) in [
        ("filter_text_added", true),
        ("filter_text_removed", true),
        ("filter_text_replaced", true),
        ("filter_failure_notification_send", true),
    ] {
        if keys.flag(key) == Some(!usual) {
            draft.lose(format!("{key}: {}", words_of(&LISTED, key).unwrap_or_default()));
        }
    }
    if keys.0.get("notification_format").and_then(Json::as_str) == Some("System default") {
        keys.forget(&["notification_format"]);
    }
    // Of a price's watch, in others they are there all the same.
    keys.forget(&restock::KEYS);
    // What people looked for helps to do without it.
    for key in shared::ADDED.into_iter().chain(["conditions"]) {
        let words = words_of(&LISTED, key).unwrap_or_default();
        let shown = match keys.0.get(key) {
            Some(Json::Array(items))
                if items.iter().any(|item| plain(item).is_some_and(|text| !text.is_empty())) =>
            {
                let shown: Vec<String> =
                    items.iter().take(3).filter_map(plain).map(|text| cleaned(&text, 60)).collect();
                let more = if items.len() > 3 { " …" } else { "" };
                format!("`{}`{more}", shown.join("`, `"))
            }
            _ => continue,
        };
        keys.forget(&[key]);
        draft.lose(format!("{key} {shown}: {words}"));
    }
    keys.list_left(&LISTED, &mut |what| draft.lose(what));
}
