//! The text of any web page, or of the elements that a CSS selector names
//! (<https://developer.mozilla.org/docs/Web/CSS/CSS_selectors>).

use std::fmt;

use schemars::JsonSchema;
use scraper::{ElementRef, Html};
use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::html;
use crate::http::{Reply, Request};
use crate::model::{Observation, Reading, ReadingKind, written_as};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// Reads the words that a person sees: no tags, no scripts, no styles.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The page's address.
    url: Url,
    /// A CSS selector: only the text of these elements counts; all of the page without it.
    select: Option<Select>,
    /// What to call it; its host and path without it.
    subject: Option<String>,
}

impl Plugin for Page {
    const KIND: &'static str = "page";
    const ABOUT: &'static str = "the text of any web page, or of a part of it";
    const EXAMPLE: &'static str =
        "url = \"https://example.com/news\"\nselect = \"main article\"\nsubject = \"the news\"";
}

impl Source for Page {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Text
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        vec![Request::get(self.url.clone())]
    }

    fn read(&self, _: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let body = reply.ok()?.text();
        if body.trim().is_empty() {
            return Err(FetchError::failed("the page is empty"));
        }
        if body.contains('\0') {
            return Err(FetchError::failed("the answer is no text"));
        }
        let text = match &self.select {
            _ if !is_html(reply, &body) => {
                if self.select.is_some() {
                    return Err(FetchError::failed("`select` needs an HTML page, and the answer is none"));
                }
                body.into_owned()
            }
            Some(select) => select.text_of(&html::parse(&body)?)?,
            None => Some(html::shown(&body)).filter(|text| !text.is_empty()).ok_or_else(|| {
                FetchError::failed("the page shows no text; it may be put together by scripts")
            })?,
        };
        Ok(Seen::some(vec![Observation {
            subject: self.subject(),
            observed_at: needs.now,
            url: Some(self.url.to_string()),
            reading: Reading::Text { text },
            evidence: Vec::new(),
        }]))
    }

    fn asks_own_address(&self) -> bool {
        true
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"text_changed\" }]"
    }
}

impl Page {
    fn subject(&self) -> String {
        let own = || format!("{}{}", self.url.host_str().unwrap_or_default(), self.url.path());
        self.subject.clone().unwrap_or_else(own)
    }
}

/// By its content type, and where that is missing by its first character.
fn is_html(reply: &Reply, body: &str) -> bool {
    reply
        .header("content-type")
        .map_or_else(|| body.trim_start().starts_with('<'), |kind| kind.to_ascii_lowercase().contains("html"))
}

/// A CSS selector that was understood when the configuration was read.
struct Select(scraper::Selector);

impl Select {
    fn text_of(&self, page: &Html) -> Result<String, FetchError> {
        let found: Vec<ElementRef<'_>> = page.select(&self.0).collect();
        if found.is_empty() {
            return Err(FetchError::failed("`select` finds nothing on the page"));
        }
        // An element inside another that was found is already in its text.
        let is_inner = |element: &ElementRef<'_>| {
            element.ancestors().filter_map(ElementRef::wrap).any(|outer| self.0.matches(&outer))
        };
        let outer = found.into_iter().filter(|element| !is_inner(element));
        let texts = outer.map(|element| html::shown(&element.inner_html()));
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }
}

written_as!(Select, "CSS selector", "", ["main article", "#content"]);

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        scraper::Selector::parse(&text)
            .map(Self)
            .map_err(|_| de::Error::custom(format!("`{text}` is not a CSS selector, such as `main .price`")))
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, plugin, read};

    const NOW: &str = "2026-11-21T10:00:00Z";
    const PAGE: &str = "<!doctype html><title>t</title><body><nav>Home</nav>
        <main><p class=revision>rev  1</p><ul><li>a <b>b</b><li>c &amp; d</ul><script>var x = 1</script></main>
        <footer>end</footer>";

    fn text(keys: &str, body: &str) -> Result<String, String> {
        let page: Page = plugin(&format!("url = 'https://a.example/news?p=1'\n{keys}"));
        let seen = read(&page, 200, body, NOW).map_err(|error| error.to_string())?;
        match seen.observations.into_iter().next().unwrap().reading {
            Reading::Text { text } => Ok(text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_gives_the_text_it_shows() {
        for (keys, shown) in [
            ("", "Home\nrev 1\na b\nc & d\nend"),
            ("select = 'main'", "rev 1\na b\nc & d"),
            ("select = 'li, ul'", "a b\nc & d"),
            ("select = '.revision, footer'", "rev 1\nend"),
            ("select = 'title'", "t"),
        ] {
            assert_eq!(text(keys, PAGE).as_deref(), Ok(shown), "{keys}");
        }
    }

    #[test]
    fn what_is_no_page_is_taken_as_it_is() {
        for body in ["price:  5\n  next", "{\"a\":  1}"] {
            assert_eq!(text("", body).as_deref(), Ok(body));
        }
        let page: Page = plugin("url = 'https://a.example/'");
        let needs = Needs { now: at(NOW), bars: 0 };
        let request = page.requests(&needs).remove(0);
        let mut reply = Reply::captured(200, request.url.clone(), "<feed><a>1</a></feed>");
        reply.headers.push(("content-type".into(), "application/xml".into()));
        let seen = page.read(&request, &reply, &needs).unwrap();
        assert_eq!(seen.observations[0].reading, Reading::Text { text: "<feed><a>1</a></feed>".into() });
    }

    #[test]
    fn a_page_without_the_text_is_a_failure() {
        for (keys, body, why) in [
            ("", "", "the page is empty"),
            ("", " \n ", "the page is empty"),
            ("", "<html><script>app()</script>", "shows no text"),
            ("", "\u{1}\0\0", "no text"),
            ("select = '.gone'", PAGE, "`select` finds nothing on the page"),
            ("select = 'p'", "{}", "needs an HTML page"),
            ("select = 'p'", &"<div>".repeat(100_000), "nests more elements"),
        ] {
            let error = text(keys, body).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
        let page: Page = plugin("url = 'https://a.example/'");
        assert!(read(&page, 404, "<p>no", NOW).unwrap_err().to_string().contains("404"));
    }

    #[test]
    fn the_subject_is_its_address_unless_it_is_named() {
        for (keys, subject) in [("", "a.example/news"), ("subject = 'news'", "news")] {
            let page: Page = plugin(&format!("url = 'https://a.example/news?p=1'\n{keys}"));
            assert_eq!(read(&page, 200, "x", NOW).unwrap().observations[0].subject, subject);
        }
    }

    #[test]
    fn a_bad_selector_is_named() {
        let error = toml::from_str::<Page>("url = 'https://a.example/'\nselect = 'p['").unwrap_err();
        assert!(error.to_string().contains("`p[` is not a CSS selector"), "{error}");
    }
}
