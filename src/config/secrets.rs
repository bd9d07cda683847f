//! Which values of the configuration are secret, and how they are kept out of all that is shown or stored.

use toml::de::DeValue;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "[secret]";

/// Keys whose values are secrets even where they are written out.
const SECRET_KEYS: [&str; 11] = [
    "token",
    "app_token",
    "password",
    "secret",
    "secrets",
    "headers",
    "cookies",
    "body",
    "proxy",
    "authorization",
    "heartbeat_url",
];

/// Headers whose values say nothing that anyone would keep to himself.
const PUBLIC_HEADERS: [&str; 10] = [
    "accept",
    "accept-charset",
    "accept-language",
    "cache-control",
    "content-type",
    "dnt",
    "origin",
    "pragma",
    "user-agent",
    "x-requested-with",
];

/// Of a header or a cookie a part is a key by itself from so many bytes on, such as what follows `Bearer`.
const SHORTEST_PART: usize = 10;

/// A value as JSON, as it is written, but for secrets that are written out.
pub(super) fn written(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => masked(text).into(),
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| written(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| {
                let is_secret = SECRET_KEYS.contains(&key.get_ref().as_ref());
                let value = if is_secret { MASK.into() } else { written(value.get_ref()) };
                (key.get_ref().to_string(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
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
        DeValue::Array(items) => items.iter().for_each(|item| look_in(item.get_ref(), is_secret, found)),
        DeValue::Table(table) => {
            for (key, value) in table {
                let key = key.get_ref().as_ref();
                // Of a proxy only the password is one.
                let is_address = value.get_ref().as_str().is_some_and(|text| text.contains("://"));
                if key == "proxy" && is_address && !is_secret {
                    look_in(value.get_ref(), false, found);
                    continue;
                }
                let is_public = is_secret && PUBLIC_HEADERS.contains(&key.to_ascii_lowercase().as_str());
                let is_secret = (is_secret && !is_public) || SECRET_KEYS.contains(&key);
                look_in(value.get_ref(), is_secret, found);
            }
        }
        _ => {}
    }
}

/// The user info of an address, and what its query says under the name of a key.
fn secrets_of_address(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("://") else { return Vec::new() };
    let mut found: Vec<String> = user_info(rest).map(|(name, _)| name.to_owned()).into_iter().collect();
    if let Some((_, password)) = found.first().and_then(|both| both.split_once(':')) {
        found.push(password.to_owned());
    }
    if let Ok(url) = Url::parse(text) {
        let keys = url.query_pairs().filter(|(name, _)| names_a_key(name));
        found.extend(keys.map(|(_, value)| value.into_owned()));
    }
    found.retain(|value| !value.is_empty());
    found
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
    let whole = ["auth", "jwt", "pass", "pwd", "sid", "sig", "appid", "crumb", "session", "sessionid"];
    let ends = ["key", "token", "secret", "password", "passwd", "signature", "authorization", "credential"];
    whole.contains(&&*name) || ends.iter().any(|end| name.ends_with(end))
}

/// A text as it is written, without the secrets of an address.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let mut shown = match user_info(rest) {
        Some((_, rest)) => format!("{scheme}://{MASK}@{rest}"),
        None => text.to_owned(),
    };
    if let Some((before, query)) = shown.split_once('?') {
        let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((name, _)) if names_a_key(name) => format!("{name}={MASK}"),
            _ => part.to_owned(),
        });
        let query = parts.collect::<Vec<_>>().join("&");
        let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        shown = format!("{before}?{query}{fragment}");
    }
    shown
}

/// What a change of these values is noticed by: a byte of each. It is stored, and says too little about a
/// value to guess it by; all that is stored of a value in many places is the same byte.
#[must_use]
pub fn fingerprint(values: &[String]) -> Vec<u8> {
    let mut values: Vec<&String> = values.iter().collect();
    values.sort();
    values.dedup();
    values.iter().map(|value| xxh3_64(value.as_bytes()).to_le_bytes()[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::Table(DeTable::parse(text).expect(text).into_inner())
    }

    #[test]
    fn what_is_secret_is_masked_as_it_is_written() {
        for (text, shown) in [
            ("token = 'abc'", r#"{"token":"[secret]"}"#),
            ("cookies = { a = '1' }", r#"{"cookies":"[secret]"}"#),
            ("url = 'https://a.example/p?d=rtx+3070&N=4'", r#"{"url":"https://a.example/p?d=rtx+3070&N=4"}"#),
            (
                "url = 'https://me:pw@a.example/p?d=1&api_key=abc#k=1'",
                r#"{"url":"https://[secret]@a.example/p?d=1&api_key=[secret]#k=1"}"#,
            ),
            ("url = 'https://a.example/@me?q=a@b'", r#"{"url":"https://a.example/@me?q=a@b"}"#),
        ] {
            assert_eq!(written(&value(text)).to_string(), shown);
        }
    }

    #[test]
    fn secrets_are_found_where_they_are_written_out() {
        let text = "url = 'https://me:pass%20word@a.example/?q=rtx&access_token=t0ken'\n\
                    headers = { accept = 'text/html', x-key = 'k3y-k3y' }\n\
                    cookies = { session = 'hush' }\nbody = '{\"a\": 1}'\n\
                    proxy = 'http://proxy.example:3128'";
        let mut found = secrets_in(&value(text));
        found.sort();
        assert_eq!(found, ["hush", "k3y-k3y", "me:pass%20word", "pass%20word", "t0ken", "{\"a\": 1}"]);
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
