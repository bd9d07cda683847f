//! What the watches of changedetection.io share: its settings, and its tags, which hand theirs on.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::changedetection::{NEEDLESS, is_browser, seconds};
use super::draft::{Draft, Haul, Keys, cleaned, is_set, plain, truth};
use super::restock;

/// What there is no place for, each with what it did or what there is instead.
const LISTED: [(&str, &str); 17] = [
    ("default_ua", "see `user_agent` of [fetch]"),
    ("empty_pages_are_a_change", "an empty page was a change; here it is a failed run"),
    ("extra_browsers", "belong to a browser; pages are read here as they come, without one"),
    ("filter_failure_notification_threshold_attempts", "see `fail_after`"),
    ("global_ignore_text", "lines with some words were passed over in every watch"),
    ("global_subtractive_selectors", "elements were taken out of every page"),
    ("history_snapshot_max_length", "said how much is kept; see `retention` of [daemon]"),
    ("ignore_status_codes", "error pages were taken for pages; here they are failed runs"),
    ("jitter_seconds", "see `jitter` of [fetch.per_host]"),
    ("llm", "is for a language model; there is none here"),
    ("notification_body", "said how a message is written; here each strategy has its own words"),
    ("notification_format", "said how a message is written; here each strategy has its own words"),
    ("notification_title", "said how a message is written; here each strategy has its own words"),
    ("password", "the dashboard has a token of its own, in [web]"),
    ("strip_ignored_lines", "took out what is passed over"),
    ("timeout", "see `timeout` of [fetch]"),
    ("webdriver_delay", "belongs to a browser; pages are read here as they come, without one"),
];

/// How its own pages look and who may see them, and what is so here without being said.
const OF_THE_PROGRAM: [&str; 13] = [
    "active_base_url",
    "api_access_token",
    "api_access_token_enabled",
    "base_url",
    "ignore_whitespace",
    "note",
    "pager_size",
    "render_anchor_tag_content",
    "schema_version",
    "shared_diff_access",
    "ssim_threshold",
    "ui",
    "workers",
];

/// What stands where nobody said anything.
const USUAL: [(&str, &str); 20] = [
    ("conditions_match_logic", "ALL"),
    ("fetch_backend", "system"),
    ("filter_failure_notification_send", "true"),
    ("filter_failure_notification_threshold_attempts", "6"),
    ("filter_text_added", "true"),
    ("filter_text_removed", "true"),
    ("filter_text_replaced", "true"),
    ("jitter_seconds", "0"),
    ("llm_backend_profile", "true"),
    ("method", "GET"),
    ("notification_body", "{{watch_url}} had a change.\n---\n{{diff}}\n---"),
    ("notification_format", "System default"),
    ("notification_format", "Text"),
    ("notification_format", "htmlcolor"),
    ("notification_format", "text"),
    ("notification_title", "ChangeDetection.io Notification - {{watch_url}}"),
    ("processor", "text_json_diff"),
    ("time_between_check_use_default", "true"),
    ("timeout", "45"),
    ("webdriver_delay", "0"),
];

/// Lists of a tag that are added to those of each of its watches.
pub(super) const ADDED: [&str; 7] = [
    "extract_lines_containing",
    "extract_text",
    "ignore_text",
    "include_filters",
    "subtractive_selectors",
    "text_should_not_be_present",
    "trigger_text",
];

/// What all watches share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) every: Option<u64>,
    pub(super) headers: Map<String, Json>,
    /// Addresses by their keys.
    pub(super) proxies: HashMap<String, String>,
    pub(super) proxy: Option<String>,
    pub(super) paused: bool,
    pub(super) by_browser: bool,
    /// By their ids.
    pub(super) tags: HashMap<String, Tag>,
    pub(super) timezone: Option<String>,
    /// Names of those that are told of all watches.
    pub(super) notifiers: Vec<String>,
    /// Whether somebody else was told of all watches who cannot be told here.
    pub(super) lacks_notifiers: bool,
}

/// A label that may hold settings.
pub(super) struct Tag {
    pub(super) name: String,
    settings: Map<String, Json>,
}

impl Tag {
    fn is(&self, key: &str) -> bool {
        self.settings.get(key).and_then(truth) == Some(true)
    }

    fn get(&self, key: &str) -> Option<&Json> {
        self.settings.get(key).filter(|value| is_set(value))
    }

    /// What of it goes before the settings of its watches for stock and price.
    fn restock(&self) -> Option<&Json> {
        let settings = || self.get("processor_config_restock_diff").or_else(|| self.get("restock_settings"));
        self.is("overrides_watch").then(settings)?
    }

    /// What it holds that is not handed on.
    fn rest(&self) -> Keys {
        let mut keys = Keys(self.settings.clone());
        keys.forget(&ADDED);
        keys.forget(&NEEDLESS);
        keys.forget(&restock::KEYS);
        keys.forget(&["title", "type", "overrides_watch", "notification_urls"]);
        let limit = keys.0.get("time_schedule_limit").and_then(|limit| limit.get("enabled"));
        if limit.and_then(truth) == Some(false) {
            keys.forget(&["time_schedule_limit"]);
        }
        forget_usual(&mut keys);
        keys
    }
}

impl Shared {
    /// Reads the settings beside the watches.
    pub(super) fn read(settings: Map<String, Json>, haul: &mut Haul) -> Self {
        let mut settings = Keys(settings);
        let headers = settings.map("headers").unwrap_or_default();
        let mut requests = Keys(settings.map("requests").unwrap_or_default());
        let mut application = Keys(settings.map("application").unwrap_or_default());
        let mut shared = Self {
            every: requests.map("time_between_check").and_then(|times| seconds(&times)),
            headers,
            proxy: requests.text("proxy"),
            paused: application.flag("all_paused") == Some(true),
            by_browser: application.text("fetch_backend").is_some_and(|backend| is_browser(&backend)),
            timezone: application.text("scheduler_timezone_default"),
            ..Self::default()
        };
        for proxy in requests.take("extra_proxies").iter().filter_map(Json::as_array).flatten() {
            let text = |key: &str| proxy.get(key).and_then(plain);
            match (text("proxy_name"), text("proxy_url")) {
                (Some(name), Some(url)) => drop(shared.proxies.insert(format!("ui-0{name}"), url)),
                _ => haul.shared.push("extra_proxies: one without a name or an address".into()),
            }
        }
        shared.proxies.insert("no-proxy".into(), String::new());
        for (id, tag) in application.map("tags").into_iter().flatten() {
            shared.tag(id, tag, haul);
        }
        for address in application.list("notification_urls") {
            match haul.notifier(&address) {
                Ok(name) if shared.notifiers.contains(&name) => {}
                Ok(name) => shared.notifiers.push(name),
                Err(why) => {
                    shared.lacks_notifiers = true;
                    haul.shared.push(why);
                }
            }
        }
        if shared.paused {
            haul.shared.push("all watches were paused: each has `enabled = false`".into());
        }
        if application.flag("all_muted") == Some(true) {
            haul.shared.push(
                "all watches were muted; here they are not: `stakeout silence` keeps them quiet".into(),
            );
        }
        let agents = requests.map("default_ua").unwrap_or_default();
        if agents.get("html_requests").is_some_and(is_set) {
            requests.0.insert("default_ua".into(), true.into());
        }
        application.0.retain(|key, _| !key.starts_with("rss_"));
        for mut keys in [settings, requests, application] {
            keys.forget(&OF_THE_PROGRAM);
            forget_usual(&mut keys);
            keys.list_left(&LISTED, &mut |what| haul.shared.push(what));
        }
        shared
    }

    fn tag(&mut self, id: String, tag: Json, haul: &mut Haul) {
        let Json::Object(settings) = tag else {
            haul.shared.push("tags: one is no table".into());
            return;
        };
        let name = settings.get("title").and_then(plain).unwrap_or_else(|| id.clone());
        let tag = Tag { name, settings };
        let shown = cleaned(&tag.name, 40);
        tag.rest().list_left(&[], &mut |what| {
            let key = what.split(':').next().unwrap_or_default();
            haul.shared
                .push(format!("tag `{shown}`: {key}: is not handed on; write it into each of its watches"));
        });
        self.tags.insert(id, tag);
    }

    /// Gives a watch what its tags hold.
    pub(super) fn hand_on(&self, keys: &mut Keys) {
        let ids = ["tags", "tag"].into_iter().filter_map(|key| keys.0.get(key)).flat_map(items);
        let tags: Vec<&Tag> = ids.filter_map(|id| self.tags.get(id.as_str()?)).collect();
        for key in ADDED {
            let added: Vec<&Json> = tags.iter().filter_map(|tag| tag.get(key)).flat_map(items).collect();
            if added.is_empty() {
                continue;
            }
            let mut all: Vec<Json> =
                keys.0.get(key).map(items).unwrap_or_default().into_iter().cloned().collect();
            for item in added {
                if !all.contains(item) {
                    all.push(item.clone());
                }
            }
            keys.0.insert(key.into(), all.into());
        }
        // The first that names somebody says whom.
        if !keys.0.get("notification_urls").is_some_and(is_set)
            && let Some(urls) = tags
                .iter()
                .filter(|tag| !tag.is("notification_muted"))
                .find_map(|tag| tag.get("notification_urls"))
        {
            keys.0.insert("notification_urls".into(), urls.clone());
        }
        if let Some(settings) = tags.iter().find_map(|tag| tag.restock()) {
            keys.0.remove("restock_settings");
            keys.0.insert("processor_config_restock_diff".into(), settings.clone());
        }
    }

    /// A watch that names nobody would tell all there are, also those of another watch alone.
    pub(super) fn keep_to_own(&self, haul: &mut Haul) {
        let names_some = |draft: &Draft| draft.keys.iter().any(|(key, _)| *key == "notify");
        let is_own = haul.notifiers.iter().any(|notifier| !self.notifiers.contains(&notifier.name));
        if haul.notifiers.is_empty() || !(is_own || haul.drafts.iter().any(names_some)) {
            return;
        }
        let mut silent = 0_usize;
        for draft in haul.drafts.iter_mut().filter(|draft| !names_some(draft)) {
            let names: Vec<toml::Value> = self.notifiers.iter().map(|name| name.as_str().into()).collect();
            if names.is_empty() {
                silent = silent.saturating_add(usize::from(draft.blocked.is_none()));
                if self.lacks_notifiers {
                    draft.lose("notification_urls: none of those for all watches can be told here: `notify = []` until you name one");
                } else {
                    draft.notes.push(
                        "nobody was told of it: `notify = []` keeps it from those of other watches".into(),
                    );
                }
            }
            draft.set("notify", names);
        }
        if silent > 0 {
            let watches = super::count(silent, "watch tells", "watches tell");
            haul.shared.push(format!(
                "notify: {watches} nobody (`notify = []`), because the notifiers here belong to other watches; name one \
                 where somebody should be told"
            ));
        }
    }
}

fn forget_usual(keys: &mut Keys) {
    keys.0.retain(|key, value| {
        let text = plain(value);
        let text = text.as_deref().map(str::trim);
        !USUAL.iter().any(|(known, usual)| known == key && text == Some(*usual))
    });
}

/// A list, or the one that stands in its place.
fn items(value: &Json) -> Vec<&Json> {
    match value {
        Json::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn carried(store: &Json) -> Haul {
        super::super::changedetection::read(&store.to_string()).expect("watches")
    }

    fn notify(draft: &Draft) -> Option<String> {
        draft.keys.iter().find_map(|(key, value)| (*key == "notify").then(|| value.to_string()))
    }

    #[test]
    fn a_tag_hands_its_settings_on() {
        let haul = carried(&json!({
            "settings": {"application": {"tags": {"t": {
                "title": "shops", "notification_urls": ["discord://1/token"], "include_filters": ["#b"],
                "trigger_text": ["sale"], "headers": {"X-Key": "s3cret"}, "time_between_check": {"hours": 2},
                "overrides_watch": true, "restock_settings": {"in_stock_processing": "all_changes"},
                "method": "GET", "notification_format": "System default"}}}},
            "watching": {
                "a": {"url": "https://a.example/", "tags": ["t"], "include_filters": ["#a"]},
                "b": {"url": "https://b.example/", "tags": ["t"], "processor": "restock_diff",
                      "restock_settings": {"in_stock_processing": "off"}},
                "c": {"url": "https://c.example/"}}}));
        let [a, b, c] = haul.drafts.as_slice() else { panic!("{}", haul.drafts.len()) };
        assert_eq!(a.asks_with("select").and_then(toml::Value::as_str), Some("#a, #b"));
        assert!(a.lost.iter().any(|lost| lost.starts_with("trigger_text `sale`: ")), "{:?}", a.lost);
        assert_eq!(notify(a), notify(b));
        assert_eq!(notify(a).as_deref(), Some("[\"discord-imported\"]"));
        assert_eq!(notify(c).as_deref(), Some("[]"), "it has no such tag");
        assert!(!b.keys.iter().any(|(key, _)| *key == "resolved"), "the tag's settings go before its own");
        let told = haul.shared.join("\n");
        for what in
            ["tag `shops`: headers: ", "tag `shops`: time_between_check: ", "notify: 1 watch tells nobody"]
        {
            assert!(told.contains(what), "{what}: {told}");
        }
        assert!(!told.contains("s3cret") && !told.contains("method"), "{told}");
    }

    #[test]
    fn settings_of_all_are_listed_and_templates_are_not_sent() {
        let haul = carried(&json!({
            "settings": {"headers": {"X-When": "{{ now }}", "X-Plain": "1"},
                         "requests": {"workers": 10, "timeout": 90, "jitter_seconds": 0, "odd": 1},
                         "application": {"base_url": "x", "notification_body": "own", "rss_diff_length": 5}},
            "watching": {"a": {"url": "https://a.example/"}}}));
        let told = haul.shared.join("\n");
        for what in ["timeout: see", "odd: nothing is known of this key", "notification_body: "] {
            assert!(told.contains(what), "{what}: {told}");
        }
        assert_eq!(haul.shared.len(), 3, "{told}");
        let draft = haul.drafts.first().expect("a watch");
        assert!(draft.lost.iter().any(|lost| lost.starts_with("headers: `X-When`")), "{:?}", draft.lost);
        assert_eq!(
            draft.asks_with("headers").map(ToString::to_string).as_deref(),
            Some("{ X-Plain = \"1\" }")
        );
    }
}
