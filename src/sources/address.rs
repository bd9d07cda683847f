//! Addresses below a base that the owner may move to another host or under a path.

use url::{Url, form_urlencoded};

/// `base` with these segments behind its own path and this query behind its own. Segments and the
/// values of the query are escaped, the names of the query are taken as they stand.
pub(super) fn join(base: &Url, segments: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    let mut path = base.path().trim_end_matches('/').to_owned();
    for segment in segments {
        path.push('/');
        path.push_str(&escaped(segment));
    }
    url.set_path(&path);
    if !query.is_empty() {
        let asked = query.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let all: Vec<String> = base.query().map(str::to_owned).into_iter().chain(asked).collect();
        url.set_query(Some(&all.join("&")));
    }
    url
}

/// A text fit to stand anywhere in an address: all but letters, digits and `-_.*` as `%XX`.
pub(super) fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_keeps_its_path_and_its_query() {
        for (base, joined) in [
            ("https://a.example", "https://a.example/v8/%5EVIX?x=a%20b%26"),
            ("http://127.0.0.1:9100/yahoo", "http://127.0.0.1:9100/yahoo/v8/%5EVIX?x=a%20b%26"),
            ("http://127.0.0.1:9100/yahoo/?k=1", "http://127.0.0.1:9100/yahoo/v8/%5EVIX?k=1&x=a%20b%26"),
        ] {
            let base = Url::parse(base).expect(base);
            assert_eq!(join(&base, &["v8", "^VIX"], &[("x", "a b&")]).as_str(), joined);
        }
        let base = Url::parse("https://a.example/p").expect("a URL");
        assert_eq!(join(&base, &["EURUSD=X", "A/B"], &[]).as_str(), "https://a.example/p/EURUSD%3DX/A%2FB");
    }
}
