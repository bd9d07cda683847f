//! One request after another, where an answer says to look elsewhere: how far it is followed, and what of the
//! first request goes along.

use std::borrow::Cow;

use url::Url;

use super::{HttpError, Request};

/// So many redirects are followed.
const MOST: usize = 10;

/// One request of a chain: the first, or one that a redirect led to.
pub(super) struct Hop<'a> {
    request: &'a Request,
    url: Cow<'a, Url>,
    /// Whether no redirect led to another origin so far.
    is_own: bool,
    /// Whether a redirect made it a plain `GET`.
    is_get: bool,
    before: Vec<(Url, bool)>,
}

impl<'a> Hop<'a> {
    pub(super) fn first(request: &'a Request) -> Self {
        Self { request, url: Cow::Borrowed(&request.url), is_own: true, is_get: false, before: Vec::new() }
    }

    pub(super) const fn is_first(&self) -> bool {
        self.before.is_empty()
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn method(&self) -> &str {
        if self.is_get { "GET" } else { &self.request.method }
    }

    pub(super) fn body(&self) -> &[u8] {
        if self.is_get { &[] } else { &self.request.body }
    }

    /// The headers that go along: to another origin only those that say nothing about who asks.
    pub(super) fn headers(&self) -> impl Iterator<Item = &(String, String)> {
        self.request.headers.iter().filter(|(name, value)| {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if self.is_own {
                return !self.is_get
                    || !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
            }
            // A user agent of one's own making may hold an address or a key; a browser's is everybody's.
            is("accept") || is("accept-language") || (is("user-agent") && value.starts_with("Mozilla/"))
        })
    }

    /// Where a redirect points.
    pub(super) fn target(&self, location: &[u8]) -> Result<Url, HttpError> {
        let mut base = Url::clone(&self.url);
        let _ = base.set_username("");
        let _ = base.set_password(None);
        let target = std::str::from_utf8(location).ok().and_then(|location| base.join(location).ok());
        target.ok_or_else(|| refused("an address that cannot be read"))
    }

    /// The next request, where it may be made; whether its host may be asked is for the guard to say.
    pub(super) fn follow(mut self, status: u16, mut target: Url) -> Result<Self, HttpError> {
        if self.before.len() >= MOST {
            return Err(HttpError::Unfit(format!("more than {MOST} redirects")));
        }
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refused("an address with a user name or a password in it"));
        }
        if self.url.scheme() == "https" && target.scheme() == "http" && !self.request.route.allow_downgrade {
            return Err(refused(
                "http from https, which others can read; `allow_downgrade = true` allows it",
            ));
        }
        let turns_get = match self.method() {
            "GET" | "HEAD" => false,
            "POST" => matches!(status, 301..=303),
            _ => status == 303,
        };
        let is_get = self.is_get || turns_get;
        let is_own = self.is_own && same_origin(&self.url, &target);
        let what = if self.request.body.is_empty() { self.method() } else { "body" };
        if !is_own && !is_get && !matches!(what, "GET" | "HEAD") {
            return Err(refused(&format!("another host, which is not sent the {what} meant for the first")));
        }
        if is_own {
            let _ = target.set_username(self.request.url.username());
            let _ = target.set_password(self.request.url.password());
        }
        target.set_fragment(None);
        self.before.push((self.url.into_owned(), self.is_get));
        if self.before.iter().any(|(url, was_get)| *url == target && *was_get == is_get) {
            return Err(HttpError::Unfit("its redirects go round in a circle".into()));
        }
        Ok(Self { url: Cow::Owned(target), is_own, is_get, ..self })
    }
}

fn refused(whither: &str) -> HttpError {
    HttpError::Refused(format!("redirected to {whither}"))
}

/// Whether two addresses are of one server; the same host asked more safely is.
fn same_origin(from: &Url, to: &Url) -> bool {
    if from.host_str() != to.host_str() {
        return false;
    }
    let is_same = from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    is_same
        || (from.scheme() == "http" && to.scheme() == "https" && from.port().is_none() && to.port().is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Route;
    use super::*;

    fn post(url: &str) -> Request {
        Request::post_json(Url::parse(url).expect("a URL"), b"{}".to_vec())
            .header("Authorization", "Bearer secret")
            .header("cookie", "id=secret")
            .header("x-key", "secret")
            .header("accept", "text/html")
            .header("user-agent", "Mozilla/5.0 (X11)")
    }

    fn next<'a>(hop: Hop<'a>, status: u16, location: &str) -> Result<Hop<'a>, String> {
        let target = hop.target(location.as_bytes()).map_err(|error| error.to_string())?;
        hop.follow(status, target).map_err(|error| error.to_string())
    }

    fn names(hop: &Hop<'_>) -> Vec<String> {
        hop.headers().map(|(name, _)| name.to_lowercase()).collect()
    }

    #[test]
    fn the_same_server_is_sent_all_of_it_and_another_nothing_that_tells_who_asks() {
        let request = post("https://me:pw@a.example/search");
        let own = next(Hop::first(&request), 307, "/other?x=1#part").expect("the same server");
        assert_eq!(own.url().as_str(), "https://me:pw@a.example/other?x=1");
        assert_eq!((own.method(), own.body()), ("POST", &b"{}"[..]));
        assert_eq!(names(&own).len(), request.headers.len());
        let other = next(own, 302, "https://b.example/").expect("another server");
        assert_eq!(other.url().as_str(), "https://b.example/");
        assert_eq!((other.method(), other.body()), ("GET", &[][..]));
        assert_eq!(names(&other), ["accept", "user-agent"]);
        let back = next(other, 302, "https://a.example/").expect("back again");
        assert_eq!(names(&back), ["accept", "user-agent"], "nor after a detour");
        assert_eq!(back.url().as_str(), "https://a.example/");
    }

    #[test]
    fn a_user_agent_of_ones_own_making_stays_at_home() {
        let request = Request::get(Url::parse("https://a.example/").expect("a URL"))
            .header("user-agent", "stakeout (me@example.com)");
        let own = next(Hop::first(&request), 302, "/b").expect("the same server");
        assert_eq!(names(&own), ["user-agent"]);
        assert_eq!(names(&next(own, 302, "//b.example/").expect("another server")), Vec::<String>::new());
    }

    #[test]
    fn other_ports_schemes_and_names_are_other_servers() {
        let same = |from: &str, to: &str| {
            same_origin(&Url::parse(from).expect("a URL"), &Url::parse(to).expect("a URL"))
        };
        assert!(same("http://a.example/", "http://a.example:80/b"));
        assert!(same("http://a.example/", "https://a.example/"), "more safely");
        assert!(!same("http://a.example:8080/", "https://a.example/"));
        assert!(!same("http://a.example/", "https://a.example:8443/"));
        assert!(!same("https://a.example/", "http://a.example/"));
        assert!(!same("https://a.example/", "https://a.example:8443/"));
        assert!(!same("https://a.example/", "https://www.a.example/"));
    }

    #[test]
    fn a_post_becomes_a_get_where_the_answer_says_so_and_is_never_posted_elsewhere() {
        let request = post("https://a.example/");
        for (status, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
            let hop = next(Hop::first(&request), status, "/b").expect("the same server");
            assert_eq!(hop.method(), method, "{status}");
            assert_eq!(names(&hop).contains(&"content-type".to_owned()), method == "POST");
        }
        for status in [307, 308] {
            let error = next(Hop::first(&request), status, "https://b.example/").err();
            let said = "redirected to another host, which is not sent the body meant for the first";
            assert_eq!(error.as_deref(), Some(said));
        }
        let get = Request { method: "GET".into(), ..request.clone() };
        assert!(next(Hop::first(&get), 302, "https://b.example/").is_err(), "a GET may have a body too");
        let delete = Request { method: "DELETE".into(), body: Vec::new(), ..request.clone() };
        assert!(next(Hop::first(&delete), 302, "https://b.example/").is_err());
        let put = Request { method: "PUT".into(), ..request };
        assert!(next(Hop::first(&put), 302, "https://b.example/").is_err());
        assert_eq!(next(Hop::first(&put), 302, "/b").expect("the same server").method(), "PUT");
    }

    #[test]
    fn https_is_left_only_where_that_is_allowed() {
        let mut request = post("https://a.example/");
        let refused = next(Hop::first(&request), 302, "http://a.example/").err().expect("a downgrade");
        assert!(refused.contains("allow_downgrade"), "{refused}");
        request.route = Arc::new(Route { allow_downgrade: true, ..Route::default() });
        let hop = next(Hop::first(&request), 302, "http://a.example/").expect("allowed");
        assert_eq!(names(&hop), ["accept", "user-agent"], "but others can read what is sent there");
    }

    #[test]
    fn addresses_with_user_info_and_those_that_are_none_are_not_followed() {
        let request = post("https://me:pw@a.example/");
        for location in ["https://me:pw@a.example/b", "https://x@b.example/", "//:pw@b.example/", "https://"]
        {
            assert!(next(Hop::first(&request), 302, location).is_err(), "{location}");
        }
        assert!(Hop::first(&request).target(b"\xff\xfe").is_err());
    }

    #[test]
    fn circles_and_long_chains_end() {
        let request = Request::get(Url::parse("https://a.example/0").expect("a URL"));
        let hop = next(Hop::first(&request), 302, "/1").expect("one");
        assert_eq!(next(hop, 302, "/0").err().as_deref(), Some("its redirects go round in a circle"));
        let mut hop = Hop::first(&request);
        for n in 1..=10 {
            hop = next(hop, 302, &format!("/{n}")).expect("ten are followed");
        }
        assert_eq!(next(hop, 302, "/11").err().as_deref(), Some("more than 10 redirects"));
        let form = post("https://a.example/");
        assert!(next(Hop::first(&form), 303, "/").is_ok(), "what a form answers is no circle");
    }
}
