//! The one place that knows the signs of a wall: a page that keeps programs out. A wall is told, waited
//! out, and never taken for "out of stock".
//!
//! A wall that is not known is a failed reading; a good page taken for a wall leaves a shop alone for
//! hours. So a sign is a title, a header or a phrase that only walls carry, and a page that says what it
//! sells is none. A shop that is down for maintenance is no wall either.
//!
//! Every answer that changed comes by here, on the way of the network: only the first part of it is
//! looked at.

use std::borrow::Cow;

use memchr::memmem;

use super::Reply;

/// What a wall says, when the answer is one.
#[must_use]
pub fn sign(reply: &Reply) -> Option<String> {
    if let Some(why) = sign_of_address(reply).or_else(|| sign_of_headers(reply)) {
        return Some(why.to_owned());
    }
    // 430 is Shopify's own number for it, 999 Yahoo's. What the body says is not repeated: the reason is kept
    // for as long as the host is left alone, and a body may repeat what it was asked with.
    if matches!(reply.status, 418 | 429 | 430 | 999) {
        return Some(format!("HTTP {}: too many requests", reply.status));
    }
    let text = reply.head(LOOKED_AT);
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    if begins.starts_with(['{', '[']) {
        return None;
    }
    if reply.body.len() < TINY && begins.to_ascii_lowercase().starts_with("edge: too many requests") {
        return Some("too many requests".into());
    }
    let title = title(&text).to_lowercase();
    let refused = matches!(reply.status, 401 | 403 | 405 | 503);
    let page = Page { text, small: reply.body.len() < SMALL, tiny: reply.body.len() < TINY, refused };
    let found = TITLES.iter().find(|(is, also, _)| is.fits(&title) && page.has(*also));
    let found = found.map(|(.., name)| *name).or_else(|| page.phrase());
    let found = found.or_else(|| (refused && page.asks_for_a_human()).then_some("a robot check"));
    let found = found.filter(|_| !page.sells()).map(str::to_owned);
    // Whoever serves pages and refuses this one keeps us out, even without a word.
    found.or_else(|| (reply.status == 403).then(|| "HTTP 403: access refused".into()))
}

/// As much of a body as is looked at.
const LOOKED_AT: usize = 64 << 10;

/// Walls are small, shops are not.
const SMALL: usize = 60_000;

/// Smaller than any page of a shop.
const TINY: usize = 20_000;

/// A title in small letters.
enum Title {
    Is(&'static str),
    Begins(&'static str),
    Holds(&'static str),
}

impl Title {
    fn fits(&self, title: &str) -> bool {
        let bare = |text: &str| text.trim_end_matches(['.', '?', '!', '…', ' ']).len();
        match self {
            Self::Is(text) => title.get(..bare(title)) == Some(*text),
            Self::Begins(text) => title.starts_with(text),
            Self::Holds(text) => title.contains(text),
        }
    }
}

/// What has to come to a title that may be that of a book.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    SmallPage,
    /// A status that refuses, or another sign in the page.
    Refusal,
}

const TITLES: &[(Title, Also, &str)] = {
    use Also::{Nothing, Refusal, SmallPage};
    use Title::{Begins, Holds, Is};
    &[
        (Is("are you a human"), Nothing, "a robot check (\"Are you a human?\")"),
        (Begins("access to this page has been denied"), Nothing, "a robot check (PerimeterX)"),
        (Is("verify your identity"), Refusal, "a robot check (\"Verify Your Identity\")"),
        (Is("robot or human"), SmallPage, "a robot check (\"Robot or human?\")"),
        (Is("robot check"), SmallPage, "a robot check"),
        (Begins("pardon our interruption"), SmallPage, "a robot check (\"Pardon Our Interruption\")"),
        (Is("just a moment"), Refusal, "a robot check (Cloudflare)"),
        (Begins("attention required! | cloudflare"), Nothing, "refused by Cloudflare"),
        (Holds("used cloudflare to restrict access"), Nothing, "refused by Cloudflare"),
        (Is("access denied"), Refusal, "refused (\"Access Denied\")"),
        (Is("queue-it"), SmallPage, "a waiting room (Queue-it)"),
        (Is("you are now in line"), SmallPage, "a waiting room"),
        (Begins("waiting room powered by cloudflare"), Nothing, "a waiting room (Cloudflare)"),
    ]
};

/// Phrases that only walls carry, where a page is tiny. Scripts of gatekeepers that stand on good pages
/// too, such as Queue-it's client or Cloudflare's Turnstile, are none.
const PHRASES: &[(&str, &str)] = &[
    ("possible use of an automated program", "a ban for automated requests"),
    ("/areyouahuman?", "a robot check (\"Are you a human?\")"),
    ("id=\"px-captcha\"", "a robot check (PerimeterX)"),
    ("_cf_chl_opt", "a robot check (Cloudflare)"),
    (".queue-it.net/?c=", "a waiting room (Queue-it)"),
    ("geo.captcha-delivery.com", "a robot check (DataDome)"),
    ("incapsula incident id", "refused (Imperva)"),
    ("errors.edgesuite.net", "refused (Akamai)"),
    ("/errors/validatecaptcha", "a robot check (Amazon)"),
    ("action=\"https://consent.yahoo.com", "Yahoo's consent page"),
];

/// A phrase that walls carry, and forms of honest pages too: a sign only beside another.
const ASKS_FOR_A_HUMAN: &str = "please verify you are a human";

struct Page<'a> {
    text: Cow<'a, str>,
    small: bool,
    tiny: bool,
    refused: bool,
}

impl Page<'_> {
    fn has(&self, also: Also) -> bool {
        match also {
            Also::Nothing => true,
            Also::SmallPage => self.small,
            Also::Refusal => {
                self.small && (self.refused || self.phrase().is_some() || self.asks_for_a_human())
            }
        }
    }

    fn phrase(&self) -> Option<&'static str> {
        let text = if self.tiny { self.text.to_ascii_lowercase() } else { return None };
        PHRASES.iter().find(|(phrase, _)| holds(&text, phrase)).map(|(_, name)| *name)
    }

    fn asks_for_a_human(&self) -> bool {
        self.tiny && holds(&self.text.to_ascii_lowercase(), ASKS_FOR_A_HUMAN)
    }

    /// Whether it says to machines what it has on sale: then it is what was asked for. Walls too say whose
    /// they are.
    fn sells(&self) -> bool {
        let says = |sign: &&str| holds(&self.text, sign);
        let product = ["\"Product\"", "schema.org/Product\"", "\"ProductGroup\"", "\"offers\"", "\"Offer\""];
        ["\"product:price", "\"og:price", "itemprop=\"price"].iter().any(says)
            || says(&"application/ld+json") && product.iter().any(says)
    }
}

fn holds(text: &str, sign: &str) -> bool {
    memmem::find(text.as_bytes(), sign.as_bytes()).is_some()
}

fn sign_of_address(reply: &Reply) -> Option<&'static str> {
    let host = reply.url.host_str().unwrap_or_default();
    if reply.url.path().to_ascii_lowercase().starts_with("/areyouahuman") {
        return Some("a robot check (\"Are you a human?\")");
    }
    if reply.url.path().eq_ignore_ascii_case("/errors/validateCaptcha") {
        return Some("a robot check (Amazon)");
    }
    if ["guce.yahoo.com", "consent.yahoo.com"].iter().any(|consent| host.ends_with(consent)) {
        return Some("Yahoo's consent page");
    }
    host.ends_with(".queue-it.net").then_some("a waiting room (Queue-it)")
}

/// Some gatekeepers say what they do.
fn sign_of_headers(reply: &Reply) -> Option<&'static str> {
    if reply.header("cf-mitigated").is_some_and(|value| value.trim().eq_ignore_ascii_case("challenge")) {
        return Some("a robot check (Cloudflare)");
    }
    let by_datadome =
        reply.status == 403 && (reply.header("x-datadome").is_some() || reply.header("x-dd-b").is_some());
    by_datadome.then_some("a robot check (DataDome)")
}

/// The words of the first `<title>`.
fn title(text: &str) -> Cow<'_, str> {
    let found = || {
        let start = [&b"<title"[..], b"<TITLE", b"<Title"]
            .into_iter()
            .filter_map(|tag| memmem::find(text.as_bytes(), tag))
            .min()?;
        let rest = text.get(start..)?;
        let rest = rest.get(rest.find('>')? + 1..)?;
        rest.get(..rest.find('<')?.min(rest.floor_char_boundary(500)))
    };
    let title = found().unwrap_or_default().trim();
    match title.contains(['\n', '\t', '\r']) || title.contains("  ") {
        true => Cow::Owned(title.split_whitespace().collect::<Vec<_>>().join(" ")),
        false => Cow::Borrowed(title),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn reply(status: u16, url: &str, body: impl Into<bytes::Bytes>) -> Reply {
        Reply::captured(status, Url::parse(url).expect("a URL"), body)
    }

    const SHOP: &str = "https://shop.example/";

    #[test]
    fn walls_are_known() {
        for (status, url, body) in [
            (200, "https://www.newegg.com/areyouahuman?why=8", "<html>"),
            (200, "https://www.newegg.com/p/1", "<html><head><TITLE>Are you a human?</TITLE>"),
            (200, "https://www.newegg.com/p/1", "<script>location = '/areyouahuman?referer=%2Fp'</script>"),
            (403, SHOP, "There is possible use of an automated program. Error Code: 3"),
            (403, SHOP, "<title>Access to this page has been denied.</title>"),
            (200, SHOP, "<title>Robot or human?</title><p>Activate and hold the button"),
            (403, SHOP, "<div id=\"px-captcha\"></div>"),
            (429, "https://query1.finance.yahoo.com/", "Edge: Too Many Requests"),
            (200, "https://query1.finance.yahoo.com/", "Edge: Too Many Requests"),
            (999, "https://query1.finance.yahoo.com/", ""),
            (503, SHOP, "<title>Just a moment...</title>"),
            (200, SHOP, "<title>Just a\n moment...</title><script>window._cf_chl_opt={}</script>"),
            (403, SHOP, "<title>Attention Required! | Cloudflare</title>"),
            (403, SHOP, "<title>Access denied | shop.example used Cloudflare to restrict access</title>"),
            (403, SHOP, "<title>Access Denied</title> Reference #18. https://errors.edgesuite.net/18"),
            (403, SHOP, "<script src=https://geo.captcha-delivery.com/captcha/></script>"),
            (200, SHOP, "<iframe>Request unsuccessful. Incapsula incident ID: 1-2</iframe>"),
            (200, "https://shop.queue-it.net/?c=shop", "<p>"),
            (200, SHOP, "<script>document.location='https://shop.queue-it.net/?c=shop&e=x'</script>"),
            (200, SHOP, "<title>Queue-it</title>"),
            (200, "https://consent.yahoo.com/v2/collectConsent", "<p>"),
            (200, "https://eu.guce.yahoo.com/consent", "<p>"),
            (200, "https://www.amazon.com/errors/validateCaptcha?amzn=1", "<p>"),
            (200, SHOP, "<title>Amazon.com</title><form method=get action=\"/errors/validateCaptcha\">"),
            (430, SHOP, "<title>Lamp</title>"),
            (
                200,
                SHOP,
                "<title>Robot or human?</title><script type=\"application/ld+json\">{\"@type\": \"Organization\"}\
                 </script><div id=\"px-captcha\">",
            ),
            (403, SHOP, "<p>Please verify you are a human."),
            (200, SHOP, "<title>Verify your identity</title><p>Please verify you are a human."),
            (200, SHOP, "<title>Verify Your Identity</title><div id=\"px-captcha\">"),
        ] {
            assert!(sign(&reply(status, url, body)).is_some(), "{url} {body}");
        }
        let mut challenged = reply(403, SHOP, "<html>");
        challenged.headers.push(("cf-mitigated".into(), "challenge".into()));
        assert_eq!(sign(&challenged).as_deref(), Some("a robot check (Cloudflare)"));
    }

    #[test]
    fn pages_that_only_mention_a_wall_are_none() {
        for (status, body) in [
            (200, "<title>Robots in art</title><p>Are you a human? asks the novel."),
            (200, "{\"title\": \"are you a human\"}"),
            (200, "\u{feff} [\"Just a moment...\"]"),
            (200, "<title>RTX 3080</title><p>OUT OF STOCK"),
            (200, "<title>Just a moment</title><p>A novel by Ann Author, 9.99 €"),
            (200, "<title>Waiting room chairs</title>"),
            (200, "<title>Contact us</title><form><label>Please verify you are a human</label></form>"),
            (200, "<title>Verify your identity</title><p>Upload your passport to sell with us."),
            (200, "<title>Access Denied</title><p>The second album"),
            (
                200,
                "<title>Lamp</title><script src=https://static.queue-it.net/script/queueclient.min.js></script>",
            ),
            (
                200,
                "<title>Lamp</title><script src=https://challenges.cloudflare.com/turnstile/v0/api.js></script>",
            ),
            (200, "<title>Lamp</title><script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js></script>"),
            (
                200,
                "<title>Are you a human?</title><script type=\"application/ld+json\">{\"@type\": \"Book\", \"offers\": {}}</script>",
            ),
            (503, "<title>We will be right back</title><p>Scheduled maintenance."),
            (503, "<title>503 Service Temporarily Unavailable</title>"),
            (404, "<title>Page not found</title>"),
        ] {
            assert_eq!(sign(&reply(status, SHOP, body)), None, "{body}");
        }
        let large = format!("<title>Robot check</title>{}", "<p>text".repeat(20_000));
        assert_eq!(sign(&reply(200, SHOP, large)), None);
    }

    #[test]
    fn who_refuses_a_page_without_a_word_keeps_us_out_and_who_answers_in_json_explains_itself() {
        for body in ["", "Forbidden", "<title>403 Forbidden</title>"] {
            assert_eq!(sign(&reply(403, SHOP, body)).as_deref(), Some("HTTP 403: access refused"), "{body}");
        }
        assert_eq!(sign(&reply(403, SHOP, "{\"error\": \"You don't have access to this resource.\"}")), None);
    }

    #[test]
    fn what_a_host_says_with_too_many_requests_is_not_repeated() {
        let why = sign(&reply(429, SHOP, "Slow down, token hush-5f1d9e0c"));
        assert_eq!(why.as_deref(), Some("HTTP 429: too many requests"));
    }

    #[test]
    fn only_the_beginning_of_a_page_is_looked_at() {
        let late = format!("{}<title>Are you a human?</title>", " ".repeat(LOOKED_AT));
        assert_eq!(sign(&reply(200, SHOP, late)), None);
        let cut = format!("<title>Are you a human?</title>{}", "é".repeat(LOOKED_AT));
        assert!(sign(&reply(200, SHOP, cut)).is_some());
    }

    #[test]
    fn the_captured_walls_are_known_and_no_captured_page_is_taken_for_one() {
        let Some(folder) = crate::testing::fixtures() else { return };
        let mut judged = 0;
        for kind in std::fs::read_dir(folder).expect("the set") {
            let kind = kind.expect("a folder").path();
            if !kind.is_dir() || kind.ends_with("discord") {
                continue;
            }
            for file in std::fs::read_dir(&kind).expect("a folder") {
                let path = file.expect("a file").path();
                if !path.is_file() {
                    continue;
                }
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                let body = std::fs::read(&path).expect("a capture");
                let walled = ["robot_check", "ban_notice", "error_429", "error_418"];
                let is_wall = walled.iter().any(|wall| name.contains(wall));
                let status = match name.as_str() {
                    name if name.contains("error_429") => 429,
                    name if name.contains("error_418") => 418,
                    name if name.contains("error_4") => 400,
                    name if name.contains("ban_notice") => 403,
                    _ => 200,
                };
                judged += 1;
                let statuses = if status == 200 { vec![200, 503] } else { vec![status] };
                for status in statuses {
                    let found = sign(&reply(status, "https://shop.example/page", body.clone()));
                    assert_eq!(found.is_some(), is_wall, "{name} {status}: {found:?}");
                }
            }
        }
        assert!(judged > 40, "{judged}");
    }
}
