//! The text of any page, or of the elements that a CSS selector finds on it.
//! <https://developer.mozilla.org/en-US/docs/Web/CSS/CSS_selectors>

use std::collections::BTreeMap;

use scraper::Selector;
use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::html;
use crate::http::{Reply, Request};
use crate::model::{Observation, Reading, ReadingKind, Secret};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// Which page, and which part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    url: Url,
    /// The elements whose text counts; the whole page when left out.
    #[serde(default, deserialize_with = "selector")]
    select: Option<Selector>,
    /// Sent along; the values may be secrets.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// What to call it; host and path when left out.
    subject: Option<String>,
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Selector>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Selector::parse(&text)
        .map(Some)
        .map_err(|error| de::Error::custom(format!("`{text}` is not a CSS selector: {error}")))
}

impl Plugin for Page {
    const KIND: &'static str = "page";
    const ABOUT: &'static str = "the text of a page, or of what a CSS selector finds on it";
    const EXAMPLE: &'static str = "url = \"https://example.com/news\"\nselect = \"main h2\"";
}

impl Source for Page {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Text
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        let mut request = Request::get(self.url.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        vec![request]
    }

    fn read(&self, _: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let markup = reply.ok()?.text();
        if markup.trim().is_empty() {
            return Err(FetchError::failed("the page is empty"));
        }
        let text = match &self.select {
            Some(select) => selected(&markup, select)?,
            None if is_markup(reply, &markup) => html::shown(&markup),
            None => markup.into_owned(),
        };
        Ok(Seen::some(vec![Observation {
            subject: self.subject(),
            observed_at: needs.now,
            url: Some(self.url.to_string()),
            reading: Reading::Text { text },
        }]))
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"text_changed\" }]"
    }
}

impl Page {
    fn subject(&self) -> String {
        let here = || format!("{}{}", self.url.host_str().unwrap_or_default(), self.url.path());
        self.subject.clone().unwrap_or_else(here)
    }
}

/// A line for each element that is found.
fn selected(markup: &str, select: &Selector) -> Result<String, FetchError> {
    let tree = html::parse(markup)?;
    let found: Vec<String> = tree.select(select).map(|element| html::shown(&element.html())).collect();
    if found.is_empty() {
        return Err(FetchError::failed("`select` finds nothing on the page"));
    }
    Ok(found.join("\n"))
}

/// Plain text and JSON are taken as they are.
fn is_markup(reply: &Reply, text: &str) -> bool {
    match reply.header("content-type") {
        Some(kind) => kind.contains("html") || kind.contains("xml"),
        None => text.trim_start().starts_with('<'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{plugin, read};

    fn text(keys: &str, body: &str) -> Result<String, String> {
        let page: Page = plugin(&format!("url = \"https://shop.example/a/b?q=1\"\n{keys}"));
        let seen = read(&page, 200, body, "2026-11-20T10:00:00Z").map_err(|error| error.to_string())?;
        let [observation] = &seen.observations[..] else { panic!("{seen:?}") };
        assert_eq!(observation.subject, "shop.example/a/b");
        match &observation.reading {
            Reading::Text { text } => Ok(text.clone()),
            other => panic!("{other:?}"),
        }
    }

    const BODY: &str = "<html><head><title>T</title><script>var x = '<p>no</p>'</script></head><body>\
        <h1>Hi &amp; bye</h1><p class=price>1  <b>234</b></p><p class='price'>5</p></body></html>";

    #[test]
    fn the_whole_text_is_what_a_person_reads() {
        assert_eq!(text("", BODY).unwrap(), "Hi & bye\n1 234\n5");
    }

    #[test]
    fn a_selector_takes_its_elements_a_line_each() {
        assert_eq!(text("select = \"p.price\"", BODY).unwrap(), "1 234\n5");
    }

    #[test]
    fn what_is_not_there_is_a_failure_not_an_empty_text() {
        assert_eq!(text("select = \".gone\"", BODY), Err("`select` finds nothing on the page".into()));
        assert_eq!(text("", "  \n "), Err("the page is empty".into()));
    }

    #[test]
    fn plain_text_is_taken_as_it_is() {
        assert_eq!(text("", "a < b\n\n  c").unwrap(), "a < b\n\n  c");
    }

    #[test]
    fn a_selector_that_is_none_is_refused_with_the_configuration() {
        let error = toml::from_str::<Page>("url = \"https://a.example\"\nselect = \"p[\"").err().unwrap();
        assert!(error.to_string().contains("not a CSS selector"), "{error}");
    }
}
