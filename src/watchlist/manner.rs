//! How a watch is asked: the keys that a source of any kind understands, its own over those of
//! `[source.KIND]`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::build::Builder;
use crate::config::{self, METHODS, Proxy, RequestKeys};
use crate::http::{self, Manner, Route};
use crate::model::{Secret, did_you_mean};

pub(super) const KEYS: [&str; 8] =
    ["headers", "cookies", "method", "body", "user_agent", "proxy", "timeout", "allow_downgrade"];

/// Whether a key of a source says only how it is asked: another of these is no other place to look at, as
/// another method or another body may be.
#[must_use]
pub fn says_only_how(key: &str) -> bool {
    (KEYS.contains(&key) && !["method", "body"].contains(&key)) || ["token", "app_token"].contains(&key)
}

/// The keys of one table, with their places.
#[derive(Default)]
pub(super) struct Asking {
    keys: RequestKeys,
    /// Where `method` and `body` stand, which not every kind understands.
    only_own: Vec<(&'static str, usize, Range<usize>)>,
}

impl Builder<'_, '_> {
    /// Takes the keys out of a source's table that one of any kind understands.
    pub(super) fn request_keys(&mut self, table: &mut DeTable<'_>, file: usize, place: &str) -> Asking {
        let mut taken = DeTable::new();
        for key in KEYS {
            taken.extend(table.remove_entry(key));
        }
        let span_of = |key: &str| taken.get(key).map(Spanned::span);
        let mut only_own = Vec::new();
        for key in ["method", "body"] {
            only_own.extend(span_of(key).map(|span| (key, file, span)));
        }
        let keys = Spanned::new(0..0, taken.clone());
        let keys: RequestKeys =
            config::deserialize(keys, file, place, &mut self.mistakes).unwrap_or_default();
        for (key, name, why) in faults(&keys) {
            let value = taken.get(key);
            let inner = value.and_then(|value| match (value.get_ref(), name) {
                (DeValue::Table(inner), Some(name)) => inner.get(name).map(Spanned::span),
                _ => None,
            });
            let span = inner.or_else(|| value.map(Spanned::span));
            let name = name.map(|name| format!(".{name}")).unwrap_or_default();
            self.mistakes.add(file, span, &format!("{place}: {key}{name}"), &why);
        }
        Asking { keys, only_own }
    }

    /// How a watch is asked. `own_address` says whether the source is asked at an address of the owner's.
    pub(super) fn manner(
        &mut self,
        kind: &str,
        own: &Asking,
        usual: &Asking,
        own_address: bool,
        place: &str,
    ) -> Manner {
        if !own_address {
            // What stands in `[source.KIND]` is told there, once for all watches.
            let shared = format!("source `{kind}`");
            let places = [(own, place), (usual, shared.as_str())];
            let all =
                places.iter().flat_map(|(keys, place)| keys.only_own.iter().map(move |key| (key, place)));
            for ((key, file, span), place) in all {
                let message = format!(
                    "`{kind}` says itself what is asked; only `page`, `json` and `shop`, whose address is your \
                     own, take a `{key}`"
                );
                self.mistakes.add(*file, Some(span.clone()), &format!("{place}: {key}"), &message);
            }
        }
        manner(&own.keys, &usual.keys)
    }
}

/// What cannot work, each with its key and the name in it.
fn faults(keys: &RequestKeys) -> Vec<(&'static str, Option<&str>, String)> {
    let mut found = Vec::new();
    let mut names = HashSet::new();
    for (name, value) in &keys.headers {
        if !names.insert(name.to_ascii_lowercase()) {
            let why = "stands there twice: capital and small letters are the same in names of headers";
            found.push(("headers", Some(name.as_str()), why.into()));
        }
        if let Err(why) = http::check_header(name, value.expose()) {
            found.push(("headers", Some(name.as_str()), why));
        }
        let instead = match name.to_ascii_lowercase().as_str() {
            "cookie" if !keys.cookies.is_empty() => "cookies",
            "user-agent" if keys.user_agent.is_some() => "user_agent",
            _ => continue,
        };
        found.push(("headers", Some(name.as_str()), format!("there is `{instead}` too: only one of them")));
    }
    for (name, value) in &keys.cookies {
        let value = value.expose();
        if !http::is_token(name) {
            found.push(("cookies", Some(name.as_str()), "this is no name of a cookie".into()));
        } else if value.contains(';') {
            let why = "the value holds a `;`, which ends a cookie; write each cookie by itself";
            found.push(("cookies", Some(name.as_str()), why.into()));
        } else if let Err(why) = http::check_header_value(value) {
            found.push(("cookies", Some(name.as_str()), why));
        }
    }
    if let Some(method) = keys.method.as_deref().filter(|method| !METHODS.contains(method)) {
        let hint = did_you_mean(&method.to_ascii_uppercase(), METHODS);
        let method = http::excerpt(method);
        found.push(("method", None, format!("`{method}` is no method with an answer to read{hint}")));
    }
    if let Some(agent) = &keys.user_agent {
        if agent.trim().is_empty() {
            found.push(("user_agent", None, "is empty; leave it out for the usual one".into()));
        } else if let Err(why) = http::check_header_value(agent) {
            found.push(("user_agent", None, why));
        }
    }
    if let Some(why) = keys.proxy.as_ref().and_then(proxy_fault) {
        found.push(("proxy", None, why));
    }
    if keys.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
        found.push(("timeout", None, "no answer comes in no time; write \"20s\"".into()));
    }
    found
}

/// What keeps a proxy from being one. The address is not repeated: it may hold a password.
pub(super) fn proxy_fault(proxy: &Proxy) -> Option<String> {
    let Proxy(Some(url)) = proxy else { return None };
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Some(format!(
            "`{}:` is no proxy; write it like \"http://proxy.example:3128\" or \"socks5://127.0.0.1:1080\"",
            url.scheme()
        ));
    }
    url.host_str().is_none_or(str::is_empty).then(|| "the address names no host".into())
}

fn manner(own: &RequestKeys, usual: &RequestKeys) -> Manner {
    let mut headers = BTreeMap::new();
    let mut cookies = BTreeMap::new();
    // A watch's own say the last word, whichever way they are written.
    for keys in [usual, own] {
        for (name, value) in &keys.headers {
            let name = name.to_ascii_lowercase();
            if name == "cookie" {
                cookies.clear();
            }
            headers.insert(name, value.expose().to_owned());
        }
        if !keys.cookies.is_empty() {
            headers.remove("cookie");
        }
        cookies.extend(keys.cookies.iter().map(|(name, value)| (name.as_str(), value.expose())));
        if let Some(agent) = &keys.user_agent {
            headers.insert("user-agent".into(), agent.clone());
        }
    }
    if !cookies.is_empty() {
        let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}"));
        headers.insert("cookie".into(), cookies.collect::<Vec<_>>().join("; "));
    }
    let body = own.body.as_ref().or(usual.body.as_ref()).map(Secret::expose);
    if body.is_some_and(is_json) && !headers.contains_key("content-type") {
        headers.insert("content-type".into(), "application/json".into());
    }
    let method = own.method.as_ref().or(usual.method.as_ref()).cloned();
    let proxy = own.proxy.as_ref().or(usual.proxy.as_ref()).map(|Proxy(url)| url.clone());
    let timeout = own.timeout.or(usual.timeout).map(|timeout| timeout.0);
    let allow_downgrade = own.allow_downgrade.or(usual.allow_downgrade).unwrap_or(false);
    Manner {
        method: method.or_else(|| body.map(|_| "POST".into())),
        body: body.map(str::to_owned),
        headers: headers.into_iter().collect(),
        route: Arc::new(Route { proxy, timeout, allow_downgrade }),
    }
}

fn is_json(body: &str) -> bool {
    body.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> RequestKeys {
        toml::from_str(text).expect(text)
    }

    fn sent(own: &str, usual: &str) -> String {
        let headers = manner(&keys(own), &keys(usual)).headers;
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_a_watch_says_counts_before_what_all_of_its_kind_say() {
        for (own, usual, expected) in [
            ("", "user_agent = 'all'\ncookies = { a = '1' }", "cookie: a=1\nuser-agent: all"),
            (
                "headers = { Cookie = 'b=2', User-Agent = 'own' }",
                "user_agent = 'all'\ncookies = { a = '1' }",
                "cookie: b=2\nuser-agent: own",
            ),
            ("cookies = { b = '2' }", "cookies = { a = '1', b = '1' }", "cookie: a=1; b=2"),
            ("cookies = { b = '2' }", "headers = { cookie = 'a=1' }", "cookie: b=2"),
            ("user_agent = 'own'", "headers = { user-agent = 'all' }", "user-agent: own"),
        ] {
            assert_eq!(sent(own, usual), expected, "{own} over {usual}");
        }
    }

    #[test]
    fn a_header_that_stands_there_twice_is_a_mistake() {
        let twice = keys("headers = { A-B = '1', a-b = '2' }");
        assert_eq!(faults(&twice).len(), 1);
        assert!(says_only_how("headers") && !says_only_how("body") && !says_only_how("url"));
    }
}
