//! Which host was asked, and where a form was sent from.
//!
//! A page of somebody else can let its own name lead to this address (DNS rebinding); then the browser takes it
//! for one of ours. It cannot change the name that the browser asks for, so only names that are known are
//! answered. <https://developer.mozilla.org/en-US/docs/Web/Security/Attacks/DNS_rebinding>
//!
//! And it can have the browser send a form here, with the cookie of whoever looks at it (CSRF). Browsers say where
//! a form comes from, in `Sec-Fetch-Site` or in `Origin`, and no script can write these headers; that is enough,
//! and needs no token in every form. What is not a browser says neither, and nobody can make it send anything.
//! <https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html>

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};
use url::{Origin, Url};

/// The names under which the server is asked.
#[derive(Debug)]
pub(super) struct Names {
    listens_on: IpAddr,
    public: Option<Url>,
}

impl Names {
    pub(super) fn new(listens_on: SocketAddr, public: Option<Url>) -> Self {
        Self { listens_on: listens_on.ip().to_canonical(), public }
    }

    /// Whether people come by way of HTTPS.
    pub(super) fn is_https(&self) -> bool {
        self.public.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// Whether a cookie is for HTTPS alone: where people come by way of it. Who asks for an address of this house comes
    /// without, and would never send such a cookie back.
    pub(super) fn wants_https(&self, headers: &HeaderMap) -> bool {
        let is_of_this_house = |host: &str| {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            bare.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
        };
        let asked = asked(&Uri::default(), headers);
        self.is_https() && !asked.is_some_and(|asked| is_of_this_house(asked.host()))
    }

    /// Whether people come by way of another address, so that something may stand before the server.
    pub(super) fn has_public(&self) -> bool {
        self.public.is_some()
    }

    /// Whether a request asks for a name that is this server's.
    pub(super) fn allow(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(asked) = asked(uri, headers) else { return false };
        // A request may name it twice; then each has to be right.
        uri.authority().is_none_or(|authority| self.is_own(authority.host())) && self.is_own(asked.host())
    }

    fn is_own(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case("localhost") || self.is_public(host) {
            return true;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || self.listens_on.is_unspecified() || address == self.listens_on
        })
    }

    fn is_public(&self, host: &str) -> bool {
        self.public.as_ref().and_then(Url::host_str).is_some_and(|public| public.eq_ignore_ascii_case(host))
    }

    /// Whether a request that changes something comes from a page of this server, or from no page at all.
    pub(super) fn comes_from_here(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return true;
        }
        if let Some(site) = headers.get("sec-fetch-site") {
            // `none` is a person's own doing, such as a bookmark; `same-site` is a neighbour.
            return site == "same-origin" || site == "none";
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin =
                origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()).map(|url| url.origin());
            return origin.is_some_and(|origin| self.is_own_origin(&origin, uri, headers));
        }
        headers.contains_key(header::AUTHORIZATION) || !headers.contains_key(header::COOKIE)
    }

    fn is_own_origin(&self, origin: &Origin, uri: &Uri, headers: &HeaderMap) -> bool {
        if !origin.is_tuple() {
            return false;
        }
        let asked = asked(uri, headers).and_then(|asked| Url::parse(&format!("http://{asked}/")).ok());
        // What stands before the server may speak HTTPS and pass on the name that it was asked for.
        self.public.as_ref().is_some_and(|public| public.origin() == *origin)
            || asked.is_some_and(|asked| asked.origin() == *origin)
    }
}

/// The host that a request asks for, with its port.
fn asked(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok()?,
        (None, None) => uri.authority()?.clone(),
        _ => return None,
    };
    Some(host).filter(|host| !host.as_str().contains('@'))
}

/// Where a page of this server leads after logging in: a path of this server, never elsewhere.
pub(super) fn local_path(next: &str) -> String {
    // Browsers read `\` as `/`, and drop line ends and tabs; the standard's own parser knows.
    let home = Url::parse("http://here.invalid/").expect("a good address");
    home.join(next)
        .ok()
        .filter(|url| next.starts_with('/') && url.origin() == home.origin())
        .map(|url| url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
        .filter(|path| path.starts_with('/') && !path.starts_with("//"))
        .unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listens_on: &str, public: Option<&str>) -> Names {
        Names::new(listens_on.parse().unwrap(), public.map(|url| url.parse().unwrap()))
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn allows(names: &Names, host: &str) -> bool {
        names.allow(&"/".parse().unwrap(), &headers(&[("host", host)]))
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let local = names("127.0.0.1:8787", None);
        for host in ["localhost", "LOCALHOST:8787", "127.0.0.1:8787", "[::1]", "127.0.0.1:1"] {
            assert!(allows(&local, host), "{host}");
        }
        for host in [
            "evil.example",
            "192.168.1.5:8787",
            "localhost.evil.example",
            "evil.example@localhost",
            "localhost@evil.example",
            "127.0.0.1.evil.example",
            "",
            "0x7f.1",
        ] {
            assert!(!allows(&local, host), "{host}");
        }
        let public = names("192.168.1.5:8787", Some("https://stakeout.example"));
        for host in ["stakeout.example", "Stakeout.Example:443", "192.168.1.5:8787", "localhost"] {
            assert!(allows(&public, host), "{host}");
        }
        assert!(!allows(&public, "192.168.1.6:8787"));
        assert!(!allows(&public, "other.stakeout.example"));
        let anywhere = names("0.0.0.0:8787", None);
        assert!(allows(&anywhere, "192.168.1.6:8787"));
        assert!(allows(&anywhere, "[2001:db8::1]:8787"));
        assert!(!allows(&anywhere, "evil.example:8787"));
    }

    #[test]
    fn a_request_without_a_host_or_with_two_is_not_answered() {
        let local = names("127.0.0.1:8787", None);
        let path: Uri = "/".parse().unwrap();
        assert!(!local.allow(&path, &HeaderMap::new()));
        let mut two = headers(&[("host", "localhost")]);
        two.append("host", "evil.example".parse().unwrap());
        assert!(!local.allow(&path, &two));
        let whole: Uri = "http://evil.example/".parse().unwrap();
        assert!(!local.allow(&whole, &headers(&[("host", "localhost")])));
    }

    #[test]
    fn a_form_is_taken_only_from_a_page_of_this_server() {
        let local = names("127.0.0.1:8787", None);
        let public = names("127.0.0.1:8787", Some("https://stakeout.example"));
        type Case<'c> = (&'c Names, &'c [(&'static str, &'c str)], bool);
        let cases: [Case<'_>; 16] = [
            (&local, &[("sec-fetch-site", "same-origin")], true),
            (&local, &[("sec-fetch-site", "none")], true),
            (&local, &[("sec-fetch-site", "same-site")], false),
            (&local, &[("sec-fetch-site", "cross-site")], false),
            (&local, &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8787")], false),
            (&local, &[("origin", "http://localhost:8787"), ("cookie", "a=b")], true),
            (&local, &[("origin", "http://LocalHost:8787")], true),
            (&local, &[("origin", "https://localhost:8787")], false),
            (&local, &[("origin", "http://localhost:8788")], false),
            (&local, &[("origin", "http://localhost")], false),
            (&local, &[("origin", "null")], false),
            (&local, &[("origin", "https://evil.example"), ("authorization", "Bearer x")], false),
            (&local, &[("cookie", "stakeout_session=x")], false),
            (&local, &[("cookie", "stakeout_session=x"), ("authorization", "Bearer x")], true),
            (&local, &[], true),
            (&public, &[("origin", "https://stakeout.example")], true),
        ];
        for (names, list, passes) in cases {
            let list = headers(&[list, &[("host", "localhost:8787")]].concat());
            let path = "/watches/a/pause".parse().unwrap();
            assert_eq!(names.comes_from_here(&Method::POST, &path, &list), passes, "{list:?}");
            assert!(names.comes_from_here(&Method::GET, &path, &list));
        }
    }

    #[test]
    fn a_login_leads_to_a_path_of_this_server_only() {
        for (next, expected) in [
            ("/watches/a%20b?x=1&y=/", "/watches/a%20b?x=1&y=/"),
            ("/", "/"),
            ("", "/"),
            ("watches", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example/", "/"),
            ("\\\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/\n/evil.example", "/"),
            ("/.//evil.example", "/"),
            ("/a/..//evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/x\r\nset-cookie: a=b", "/xset-cookie:%20a=b"),
        ] {
            assert_eq!(local_path(next), expected, "{next:?}");
        }
    }
}
