//! Which values of the configuration are secret, and how they are kept out of all that is shown or stored.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};
use toml::de::DeValue;
use url::{Url, form_urlencoded};
use xxhash_rust::xxh3::xxh3_64;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "[secret]";

/// Keys whose values are secrets even where they are written out.
const SECRET_KEYS: [&str; 10] = [
    "token",
    "app_token",
    "password",
    "secret",
    "secrets",
    "headers",
    "cookies",
    "proxy",
    "authorization",
    "heartbeat_url",
];

/// Headers whose values say nothing that anyone would keep to himself.
const PUBLIC_HEADERS: [&str; 11] = [
    "accept",
    "accept-charset",
    "accept-language",
    "cache-control",
    "content-type",
    "dnt",
    "origin",
    "pragma",
    "referer",
    "user-agent",
    "x-requested-with",
];

/// Of a header or a cookie a part is a key by itself from so many bytes on, such as what follows `Bearer`.
const SHORTEST_PART: usize = 10;

/// A value as JSON, as it is written, but for secrets that are written out.
pub(super) fn written(value: &DeValue<'_>) -> Value {
    let mut written = plain(value);
    mask_secrets(&mut written);
    written
}

/// A value as JSON, secrets and all, wherever it stands.
pub(super) fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(Number::from_f64) {
            Some(number) => number.into(),
            // Neither infinity nor what is no number can be written as JSON.
            None => number.to_string().into(),
        },
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let rows = table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref())));
            rows.collect::<Map<_, _>>().into()
        }
    }
}

/// Masks the secrets that are written out in a table; what is masked stays so.
pub fn mask_secrets(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text),
        Value::Array(items) => items.iter_mut().for_each(mask_secrets),
        Value::Object(table) => {
            for (key, value) in table {
                match (key.as_str(), &mut *value) {
                    ("headers" | "cookies", Value::Object(sent)) => {
                        for (name, value) in sent {
                            let is_public = key == "headers" && is_public(name);
                            if is_public { mask_secrets(value) } else { *value = MASK.into() }
                        }
                    }
                    ("proxy", Value::String(text)) if text.contains("://") => *text = masked(text),
                    ("body", Value::String(text)) => *text = masked_body(text),
                    ("body", value) => mask_secrets(value),
                    (key, value) if SECRET_KEYS.contains(&key) => *value = MASK.into(),
                    (_, value) => mask_secrets(value),
                }
            }
        }
        _ => {}
    }
}

fn is_public(header: &str) -> bool {
    PUBLIC_HEADERS.contains(&header.to_ascii_lowercase().as_str())
}

/// What is asked with, in a shape in which values have names or in none.
enum Body {
    Json(Value),
    Form,
    Other,
}

impl Body {
    fn of(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => Self::Json(json),
            _ if is_form(text) => Self::Form,
            _ => Self::Other,
        }
    }
}

/// Whether a text is `name=value` after `name=value`. Base64 and XML with their `=` are not.
fn is_form(text: &str) -> bool {
    let names = |c: char| c.is_ascii_alphanumeric() || "-_.~%+[]".contains(c);
    let is_pair = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            !name.is_empty() && name.chars().all(names) && !value.starts_with('=') && !value.is_empty()
        })
    };
    !text.contains(char::is_whitespace) && !text.contains('<') && text.split('&').all(is_pair)
}

/// A body without the values whose names are those of keys. One in which nothing has a name says only
/// whether it is another.
fn masked_body(text: &str) -> String {
    match Body::of(text) {
        Body::Json(mut json) => {
            each_key(&mut json, &mut |value| *value = MASK.into());
            json.to_string()
        }
        Body::Form => masked_query(text),
        Body::Other if text.is_empty() || text.starts_with(MASK) => text.to_owned(),
        Body::Other => format!("{MASK} {:02x}", byte_of(text)),
    }
}

fn secrets_of_body(text: &str, found: &mut Vec<String>) {
    match Body::of(text) {
        Body::Json(mut json) => each_key(&mut json, &mut |value| all_in(value, found)),
        Body::Form => {
            for part in text.split('&').filter_map(|part| part.split_once('=')).filter(|p| names_a_key(p.0)) {
                found.push(part.1.to_owned());
            }
            let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| names_a_key(name));
            found.extend(pairs.map(|(_, value)| value.into_owned()));
        }
        Body::Other => found.push(text.to_owned()),
    }
}

/// Each value whose name is that of a key.
fn each_key(json: &mut Value, found: &mut dyn FnMut(&mut Value)) {
    match json {
        Value::Object(table) => {
            for (name, value) in table {
                if names_a_key(name) { found(value) } else { each_key(value, found) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_key(item, found)),
        _ => {}
    }
}

fn all_in(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| all_in(item, found)),
        Value::Object(table) => table.values().for_each(|value| all_in(value, found)),
        _ => {}
    }
}

/// The secrets in a value, after its variables have been put in.
pub(super) fn secrets_in(value: &DeValue<'_>) -> Vec<String> {
    let mut found = Vec::new();
    look_in(value, false, &mut found);
    found
}

/// The parts of its headers and cookies that are long enough to be keys by themselves.
pub(super) fn parts_in(value: &DeValue<'_>) -> Vec<String> {
    let mut sent = Vec::new();
    sent_with(value, &mut sent);
    let is_key = |part: &&str| part.len() >= SHORTEST_PART && part.contains(|c: char| c.is_ascii_digit());
    let parts = sent.iter().flat_map(|value| {
        value.split(|c: char| c.is_whitespace() || "\"'{}[]();,&=:".contains(c)).filter(is_key)
    });
    parts.filter(|part| !sent.iter().any(|value| value == part)).map(str::to_owned).collect()
}

/// The secret headers and cookies.
fn sent_with(value: &DeValue<'_>, found: &mut Vec<String>) {
    let DeValue::Table(table) = value else { return };
    for (key, value) in table {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("headers" | "cookies", sent) => look_in(sent, true, found),
            (_, other) => sent_with(other, found),
        }
    }
}

fn look_in(value: &DeValue<'_>, is_secret: bool, found: &mut Vec<String>) {
    match value {
        DeValue::String(text) => {
            if is_secret {
                found.push(text.to_string());
            }
            found.extend(secrets_of_address(text));
        }
        // As it would stand in the mistake that it is no text.
        DeValue::Integer(_) | DeValue::Float(_) if is_secret => found.push(plain(value).to_string()),
        DeValue::Array(items) => items.iter().for_each(|item| look_in(item.get_ref(), is_secret, found)),
        DeValue::Table(table) => {
            for (key, value) in table {
                let key = key.get_ref().as_ref();
                if key == "body"
                    && !is_secret
                    && let Some(text) = value.get_ref().as_str()
                {
                    secrets_of_body(text, found);
                    continue;
                }
                // Of a proxy only the password is one.
                let is_address = value.get_ref().as_str().is_some_and(|text| text.contains("://"));
                if key == "proxy" && is_address && !is_secret {
                    look_in(value.get_ref(), false, found);
                    continue;
                }
                let is_public = is_secret && is_public(key);
                let is_secret = (is_secret && !is_public) || SECRET_KEYS.contains(&key);
                look_in(value.get_ref(), is_secret, found);
            }
        }
        _ => {}
    }
}

/// The user info of an address, and what its query says under the name of a key.
fn secrets_of_address(text: &str) -> Vec<String> {
    let url = address(text);
    let mut found: Vec<String> = Vec::new();
    // As it is written, and as it is sent.
    for spelling in [Some(text), url.as_ref().map(Url::as_str)].into_iter().flatten() {
        let rest = spelling.split_once("://").map(|(_, rest)| rest);
        if let Some((both, _)) = rest.and_then(user_info) {
            found.push(both.to_owned());
            found.extend(both.split_once(':').map(|(_, password)| password.to_owned()));
        }
    }
    if let Some(url) = &url {
        let keys = url.query_pairs().filter(|(name, _)| names_a_key(name));
        found.extend(keys.map(|(_, value)| value.into_owned()));
    }
    found.retain(|value| !value.is_empty());
    let mut seen = HashSet::new();
    found.retain(|value| seen.insert(value.clone()));
    found
}

/// The address that a text is to whoever asks it, however it is spelt: `https:host`, `https:\\host` too.
fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(Url::has_host)
}

/// What stands before the `@` of an address, and what behind it.
fn user_info(after_scheme: &str) -> Option<(&str, &str)> {
    let end = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    let at = after_scheme.get(..end)?.rfind('@')?;
    Some((after_scheme.get(..at)?, after_scheme.get(at.saturating_add(1)..)?))
}

/// Whether a name in a query is that of a key: `key`, `api_key`, `access-token`, `sig`.
fn names_a_key(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let whole = [
        "auth",
        "jwt",
        "pass",
        "passphrase",
        "pin",
        "pw",
        "pwd",
        "sid",
        "sig",
        "appid",
        "crumb",
        "session",
        "sessionid",
    ];
    let ends = ["key", "token", "secret", "password", "passwd", "signature", "authorization", "credential"];
    whole.contains(&&*name) || ends.iter().any(|end| name.ends_with(end))
}

/// A text as it is written, without the secrets of an address. An address that is spelt so that one cannot see
/// where its parts begin is put in the usual spelling, if it holds any.
fn masked(text: &str) -> String {
    let usual = address(text).map(String::from).filter(|usual| !is_spelt_alike(text, usual));
    match usual.map(|usual| (masked_parts(&usual), usual)) {
        Some((shown, usual)) if shown != usual => shown,
        Some(_) => text.to_owned(),
        None => masked_parts(text),
    }
}

/// Whether both have the same scheme, the same slashes behind it, and no breaks in their lines.
fn is_spelt_alike(text: &str, usual: &str) -> bool {
    let start = usual.split_once("://").map_or(0, |(scheme, _)| scheme.len().saturating_add(3));
    usual
        .get(..start)
        .and_then(|start| text.strip_prefix(start))
        .is_some_and(|rest| !rest.starts_with(['/', '\\']) && !text.contains(['\t', '\r', '\n']))
}

fn masked_parts(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let mut shown = match user_info(rest) {
        Some((_, rest)) => format!("{scheme}://{MASK}@{rest}"),
        None => text.to_owned(),
    };
    if let Some((before, query)) = shown.split_once('?') {
        let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
        let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        shown = format!("{before}?{}{fragment}", masked_query(query));
    }
    shown
}

fn masked_query(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if names_a_key(name) => format!("{name}={MASK}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// What a change of these values is noticed by: a byte of each. It is stored, and says too little about a
/// value to guess it by; all that is stored of a value in many places is the same byte.
#[must_use]
pub fn fingerprint(values: &[String]) -> Vec<u8> {
    let mut values: Vec<&String> = values.iter().collect();
    values.sort();
    values.dedup();
    values.iter().map(|value| byte_of(value)).collect()
}

fn byte_of(value: &str) -> u8 {
    xxh3_64(value.as_bytes()).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::Table(DeTable::parse(text).expect(text).into_inner())
    }

    #[test]
    fn base64_and_xml_are_no_forms_though_they_hold_an_equals_sign() {
        for body in ["c2VjcmV0TWF0ZXJpYWw=", "<r><apikey>c2VjcmV0MTIz=</apikey></r>", "c2VjcmV0TWF0ZXJpYQ=="]
        {
            assert!(masked_body(body).starts_with(MASK), "{body}");
        }
        assert_eq!(masked_body("q=lamp&page=2"), "q=lamp&page=2");
    }

    #[test]
    fn what_is_secret_is_masked_as_it_is_written() {
        for (text, shown) in [
            ("token = 'abc'", r#"{"token":"[secret]"}"#),
            ("cookies = { a = '1' }", r#"{"cookies":{"a":"[secret]"}}"#),
            (
                "headers = { accept-language = 'pl', Referer = 'https://a.example/?key=b', x-key = 'c' }",
                r#"{"headers":{"Referer":"https://a.example/?key=[secret]","accept-language":"pl","x-key":"[secret]"}}"#,
            ),
            ("proxy = 'http://me:pw@p.example:1'", r#"{"proxy":"http://[secret]@p.example:1"}"#),
            ("proxy = 'me:pw@p.example:1'", r#"{"proxy":"[secret]"}"#),
            (
                "body = '{\"q\": \"lamp\", \"token\": \"abc\"}'",
                r#"{"body":"{\"q\":\"lamp\",\"token\":\"[secret]\"}"}"#,
            ),
            ("body = 'q=lamp&token=abc'", r#"{"body":"q=lamp&token=[secret]"}"#),
            ("url = 'https://a.example/p?d=rtx+3070&N=4'", r#"{"url":"https://a.example/p?d=rtx+3070&N=4"}"#),
            (
                "url = 'https://me:pw@a.example/p?d=1&api_key=abc#k=1'",
                r#"{"url":"https://[secret]@a.example/p?d=1&api_key=[secret]#k=1"}"#,
            ),
            ("url = 'https://a.example/@me?q=a@b'", r#"{"url":"https://a.example/@me?q=a@b"}"#),
            ("url = 'https:me:pw@a.example/'", r#"{"url":"https://[secret]@a.example/"}"#),
            ("url = 'HTTPS:/a.example/?key=abc'", r#"{"url":"https://a.example/?key=[secret]"}"#),
            ("url = 'https:\\\\me:pw@a.example'", r#"{"url":"https://[secret]@a.example/"}"#),
            ("url = 'https:///me:pw@a.example'", r#"{"url":"https://[secret]@a.example/"}"#),
            (r#"url = "https:/\t/me:pw@a.example""#, r#"{"url":"https://[secret]@a.example/"}"#),
            ("url = 'https:a.example'", r#"{"url":"https:a.example"}"#),
        ] {
            let mut masked = written(&value(text));
            assert_eq!(masked.to_string(), shown);
            mask_secrets(&mut masked);
            assert_eq!(masked.to_string(), shown, "what is masked stays so");
        }
        let of = |body: &str| masked_body(&masked_body(body));
        assert!(of("<lamp/>").starts_with("[secret] ") && of("<lamp/>") != of("<sofa/>"));
    }

    #[test]
    fn secrets_are_found_where_they_are_written_out() {
        let text = "url = 'https://me:pass%20word@a.example/?q=rtx&access_token=t0ken'\n\
                    headers = { accept = 'text/html', x-key = 'k3y-k3y' }\n\
                    cookies = { session = 'hush' }\nbody = '{\"skus\": [\"RTX3070-FE-0001\"], \"token\": \"b0dy\"}'\n\
                    proxy = 'http://proxy.example:3128'";
        let mut found = secrets_in(&value(text));
        found.sort();
        assert_eq!(found, ["b0dy", "hush", "k3y-k3y", "me:pass%20word", "pass%20word", "t0ken"]);
        for url in ["https:me:pw@a.example", "https:\\me:pw@a.example", "https:////me:pw@a.example"] {
            assert_eq!(secrets_in(&value(&format!("url = '{url}'"))), ["me:pw", "pw"], "{url}");
        }
    }

    #[test]
    fn a_part_of_a_header_or_a_cookie_may_be_a_key_by_itself() {
        let text = "headers = { authorization = 'Bearer t0ken-abcdef', accept-language = 'en-GB,en;q=0.123456' }\n\
                    cookies = { a = 'uid=0123456789', whole = '0123456789abc' }\n\
                    body = '{\"skus\": [\"RTX3070-FE-0001\"]}'";
        let mut found = parts_in(&value(text));
        found.sort();
        assert_eq!(found, ["0123456789", "t0ken-abcdef"]);
    }

    #[test]
    fn a_secret_may_look_like_an_address() {
        for (text, expected) in [
            ("headers = { x-api-key = 'id:secretvalue-123456' }", &["id:secretvalue-123456"][..]),
            ("headers = { authorization = 'Basic:dXNlcg' }", &["Basic:dXNlcg"]),
            ("cookies = { session = 's:abc.def' }", &["s:abc.def"]),
            ("password = 'a:b'", &["a:b"]),
            ("heartbeat_url = 'https://a.example/hush'", &["https://a.example/hush"]),
            ("proxy = 'http://p.example:3128'", &[]),
            ("proxy = 'me:hush@p.example:3128'", &["me:hush@p.example:3128"]),
        ] {
            assert_eq!(secrets_in(&value(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_is_short_and_changes() {
        let of = |values: &[&str]| fingerprint(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), of(&["b", "a", "b"]));
        assert_ne!(of(&["one"]), of(&["two"]));
        assert_eq!(of(&["a-very-long-secret"]).len(), 1, "a byte of a secret");
    }
}
