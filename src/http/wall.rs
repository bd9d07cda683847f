//! The one place that knows the signs of a wall: a page that keeps programs out. A wall is told, waited
//! out, and never taken for "out of stock".

use super::{Reply, excerpt};

/// What a wall says, when the answer is one.
///
/// The signs are looked for in the title and in the few phrases that only walls carry, never in the
/// whole text of a page that has the content asked for.
#[must_use]
pub fn sign(reply: &Reply) -> Option<String> {
    if let Some(why) = sign_of_url(reply) {
        return Some(why);
    }
    if matches!(reply.status, 418 | 429) {
        let text = reply.text();
        let said =
            if text.trim_start().starts_with('<') { String::new() } else { format!(" ({})", excerpt(&text)) };
        return Some(format!("HTTP {}: too many requests{said}", reply.status));
    }
    let head = reply.body.get(..reply.body.len().min(512)).unwrap_or_default();
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[')) {
        return None;
    }
    let small = reply.body.len() < SMALL_PAGE;
    let text = reply.text();
    let title = title(&text).to_lowercase();
    for (needle, name) in TITLES {
        if title.contains(needle) {
            return Some((*name).to_owned());
        }
    }
    let near = if small { &*text } else { text.get(..text.floor_char_boundary(4_096)).unwrap_or_default() };
    let near = near.to_lowercase();
    PHRASES.iter().find(|(needle, _)| near.contains(needle)).map(|(_, name)| (*name).to_owned())
}

/// A page smaller than this is looked through whole: walls are small, shops are not.
const SMALL_PAGE: usize = 60_000;

const TITLES: &[(&str, &str)] = &[
    ("are you a human", "a robot check (\"Are you a human?\")"),
    ("access to this page has been denied", "a robot check (PerimeterX)"),
    ("verify your identity", "a robot check (\"Verify Your Identity\")"),
    ("robot or human", "a robot check (\"Robot or human?\")"),
    ("just a moment", "a robot check (Cloudflare)"),
    ("attention required! | cloudflare", "refused by Cloudflare"),
    ("robot check", "a robot check"),
    ("pardon our interruption", "a robot check (\"Pardon Our Interruption\")"),
    ("queue-it", "a waiting room (Queue-it)"),
    ("you are now in line", "a waiting room"),
    ("waiting room", "a waiting room"),
    ("access denied", "refused (\"Access Denied\")"),
];

const PHRASES: &[(&str, &str)] = &[
    ("possible use of an automated program", "a ban for automated requests"),
    ("areyouahuman", "a robot check (\"Are you a human?\")"),
    ("px-captcha", "a robot check (PerimeterX)"),
    ("cf-challenge", "a robot check (Cloudflare)"),
    ("challenges.cloudflare.com", "a robot check (Cloudflare)"),
    ("queue-it.net", "a waiting room (Queue-it)"),
    ("enable javascript and cookies to continue", "a robot check"),
    ("edge: too many requests", "too many requests"),
    ("please verify you are a human", "a robot check"),
    ("action=\"https://consent.yahoo.com", "Yahoo's consent page"),
];

fn sign_of_url(reply: &Reply) -> Option<String> {
    let host = reply.url.host_str().unwrap_or_default();
    if reply.url.path().contains("areyouahuman") {
        return Some("a robot check (\"Are you a human?\")".into());
    }
    if host == "guce.yahoo.com" || host == "consent.yahoo.com" {
        return Some("Yahoo's consent page".into());
    }
    host.ends_with(".queue-it.net").then(|| "a waiting room (Queue-it)".into())
}

fn title(text: &str) -> &str {
    let head = text.get(..text.floor_char_boundary(65_536)).unwrap_or_default();
    let found = || {
        let start = find_ignoring_case(head, "<title")?;
        let rest = head.get(start..)?;
        let rest = rest.get(rest.find('>')? + 1..)?;
        rest.get(..rest.find('<')?)
    };
    found().unwrap_or_default()
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes().windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn reply(status: u16, url: &str, body: &'static str) -> Reply {
        Reply::captured(status, Url::parse(url).expect("a URL"), body)
    }

    #[test]
    fn walls_are_known() {
        for (status, url, body) in [
            (200, "https://www.newegg.com/areyouahuman?why=8", "<html>"),
            (200, "https://www.newegg.com/p/1", "<html><head><TITLE>Are you a human?</TITLE>"),
            (
                403,
                "https://www.newegg.com/p/1",
                "There is possible use of an automated program. Error Code: 3",
            ),
            (403, "https://shop.example/", "<title>Access to this page has been denied.</title>"),
            (429, "https://query1.finance.yahoo.com/", "Edge: Too Many Requests"),
            (503, "https://shop.example/", "<title>Just a moment...</title>"),
            (200, "https://shop.queue-it.net/?c=shop", "<p>"),
        ] {
            assert!(sign(&reply(status, url, body)).is_some(), "{url} {body}");
        }
    }

    #[test]
    fn pages_that_only_mention_a_wall_are_none() {
        for body in [
            "<title>Robots in art</title><p>Are you a human? asks the novel.",
            "{\"title\": \"are you a human\"}",
            "<title>RTX 3080</title><p>OUT OF STOCK",
        ] {
            assert_eq!(sign(&reply(200, "https://shop.example/", body)), None, "{body}");
        }
    }

    #[test]
    fn the_captured_walls_are_known_and_no_captured_page_is_taken_for_one() {
        let url = || Url::parse("https://shop.example/page").expect("a URL");
        for (name, status, is_wall) in [
            ("newegg/robot_check_2022-07.html", 200, true),
            ("newegg/ban_notice_2020-11_text.txt", 403, true),
            ("shops/adorama_2020-12_robot_check_perimeterx.html", 200, true),
            ("shops/walmartca_2020-12_robot_check_recaptcha.html", 200, true),
            ("yahoo/error_429_body.txt", 429, true),
            ("yahoo/error_429_body_edge.txt", 429, true),
            ("newegg/listing_2020-12_rtx3080_mixed.html", 200, false),
            ("newegg/listing_2019-2020_grid_fragment.html", 200, false),
            ("newegg/product_2020-12_in_stock_raw.html", 200, false),
            ("newegg/product_2020-12_out_of_stock.html", 200, false),
            ("newegg/combo_2020-12_in_stock_raw.html", 200, false),
            ("newegg/combo_2020-12_out_of_stock_raw.html", 200, false),
            ("shops/bestbuy_2020-12_in_stock.html", 200, false),
            ("shops/bestbuy_2020-12_sold_out.html", 200, false),
            ("shops/microcenter_2020-12_in_stock.html", 200, false),
            ("shops/walmartca_2020-12_in_stock_microdata.html", 200, false),
            ("shops/teslahunt_sold_out_jsonld_car.html", 200, false),
            ("yahoo/error_404_not_found.json", 404, false),
        ] {
            let Some(body) = crate::testing::fixture(name) else { return };
            assert_eq!(sign(&Reply::captured(status, url(), body)).is_some(), is_wall, "{name}");
        }
    }
}
