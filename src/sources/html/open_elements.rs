//! How many elements a tree builder would hold open, told from the tags alone and in linear time.
//!
//! Follows the stack of open elements and the list of active formatting elements of
//! <https://html.spec.whatwg.org/multipage/parsing.html#tree-construction> closely enough for pages that
//! leave `<p>`, `<li>` or `<td>` open; where it differs, it counts too many rather than too few.

use super::{Tag, VOID, is_one_of};
use crate::plugin::FetchError;

/// More elements open at once than this is no page that a person wrote.
const MAX_DEPTH: usize = 512;
/// How many elements may come of `<b>`, `<font>` and their like that were left open and so begin again
/// in every later paragraph.
const MAX_REOPENED: usize = 100_000;

#[derive(Default)]
pub(super) struct OpenElements<'a> {
    stack: Vec<&'a str>,
    /// Formatting elements that are open or will be opened again; `None` where a cell began.
    formatting: Vec<Option<Formatting<'a>>>,
    reopened: usize,
    /// Where the form stands that began and had no `</form>` since; past the end when something else
    /// closed it. While there is one, a second form is ignored.
    form: Option<usize>,
}

struct Formatting<'a> {
    tag: Tag<'a>,
    is_open: bool,
}

impl<'a> OpenElements<'a> {
    /// A start tag.
    pub(super) fn start(&mut self, tag: Tag<'a>) -> Result<(), FetchError> {
        let name = tag.name;
        if is(name, "form") && self.form.is_some() {
            return Ok(());
        }
        if is(name, "button")
            && let Some(at) = self.find(|open| is(open, "button"), |open| is_one_of(open, SCOPES))
        {
            self.pop_from(at);
        }
        if !is_one_of(name, SPECIAL) || is_one_of(name, &["select", "button", "applet", "object", "marquee"])
        {
            self.text();
        }
        if is_one_of(name, &["select", "input"])
            && let Some(at) = self.find(|open| is(open, "select"), |open| is_one_of(open, SCOPES))
        {
            self.pop_from(at);
            if is(name, "select") {
                return self.check();
            }
        }
        if is_one_of(name, VOID) {
            return self.check();
        }
        if is_one_of(name, CLOSES_PARAGRAPH)
            && let Some(at) =
                self.find(|open| is(open, "p"), |open| is_one_of(open, SCOPES) || is(open, "button"))
        {
            self.pop_from(at);
        }
        for items in [&["li"][..], &["dd", "dt"]].into_iter().filter(|items| is_one_of(name, items)) {
            let stops = |open: &str| is_one_of(open, SPECIAL) && !is_one_of(open, &["address", "div", "p"]);
            if let Some(at) = self.find(|open| is_one_of(open, items), stops) {
                self.pop_from(at);
            }
        }
        if is(name, "option") {
            let select = self.find(|open| is(open, "select"), |open| is_one_of(open, SCOPES));
            let ends = if select.is_some() { IMPLIED_ENDS } else { &["option"] };
            while self.stack.last().is_some_and(|open| is_one_of(open, ends)) {
                self.stack.pop();
            }
        }
        if is_one_of(name, HEADINGS) && self.stack.last().is_some_and(|open| is_one_of(open, HEADINGS)) {
            self.stack.pop();
        }
        // A table straight inside a table ends that one.
        if is(name, "table")
            && let Some(at) =
                self.find(|open| is(open, "table"), |open| is_one_of(open, &["td", "th", "caption"]))
        {
            self.pop_from(at);
        }
        if let Some(rank) = rank(name) {
            // Outside a table the tag counts for nothing.
            let Some(table) = self.stack.iter().rposition(|open| is(open, "table")) else {
                return self.check();
            };
            let inside = self.stack.iter().skip(table + 1);
            let kept = inside.take_while(|open| self::rank(open).is_some_and(|outer| outer < rank)).count();
            self.pop_from(table + 1 + kept);
            // Rows and bodies that the page leaves out are made up.
            let left_out: &[&str] =
                if is_one_of(name, &["td", "th"]) { &["tbody", "tr"] } else { &["tbody"] };
            if is_one_of(name, &["td", "th", "tr"]) {
                self.stack.extend(left_out.iter().skip(kept));
            }
        }
        if is_one_of(name, CELLS) || is_one_of(name, OBJECTS) {
            self.formatting.push(None);
        } else if is_one_of(name, FORMATTING) {
            let same =
                |other: &Tag<'_>| if is(name, "a") { other.is("a") } else { other.source == tag.source };
            let most = if is(name, "a") { 1 } else { 3 };
            let active = self.formatting.iter().rev().map_while(Option::as_ref);
            if active.filter(|other| same(&other.tag)).count() >= most {
                self.forget(same);
            }
            self.formatting.push(Some(Formatting { tag, is_open: true }));
        }
        if is(name, "form") {
            self.form = Some(self.stack.len());
        }
        self.stack.push(name);
        self.check()
    }

    /// Text, or anything else before which formatting begins again.
    pub(super) fn text(&mut self) {
        let cell = self.formatting.iter().rposition(Option::is_none).map_or(0, |marker| marker + 1);
        for one in self.formatting.iter_mut().skip(cell).flatten().filter(|one| !one.is_open) {
            one.is_open = true;
            self.stack.push(one.tag.name);
            self.reopened += 1;
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, name: &str) {
        if is(name, "form") {
            // Closes the form and nothing inside it.
            let in_scope = self.find(|open| is(open, "form"), |open| is_one_of(open, SCOPES)).is_some();
            if let Some(at) = self.form.take().filter(|at| in_scope && *at < self.stack.len()) {
                while self.stack.len() > at + 1
                    && self.stack.last().is_some_and(|open| is_one_of(open, IMPLIED_ENDS))
                {
                    self.stack.pop();
                }
                self.stack.remove(at);
            }
            return;
        }
        let found = if is(name, "table") {
            self.find(|open| is(open, name), |_| false)
        } else if rank(name).is_some() {
            self.find(|open| is(open, name), |open| is_one_of(open, &["table", "caption"]))
        } else if is_one_of(name, SPECIAL) {
            let also: &[&str] = match name.to_ascii_lowercase().as_str() {
                "li" => &["ol", "ul"],
                "p" => &["button"],
                _ => &[],
            };
            let same =
                |open: &str| is(open, name) || (is_one_of(name, HEADINGS) && is_one_of(open, HEADINGS));
            self.find(same, |open| is_one_of(open, SCOPES) || is_one_of(open, also))
        } else {
            self.find(|open| is(open, name), |open| is_one_of(open, SPECIAL))
        };
        if let Some(at) = found {
            self.pop_from(at);
            if is_one_of(name, OBJECTS) {
                let object = self.formatting.iter().rposition(Option::is_none).unwrap_or_default();
                self.formatting.truncate(object);
            }
        }
        if is_one_of(name, FORMATTING) {
            self.forget(|other| other.is(name));
        }
    }

    /// How many elements are open.
    #[cfg(test)]
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The innermost element that is `wanted`, unless one that `stops` lies further in.
    fn find(&self, wanted: impl Fn(&str) -> bool, stops: impl Fn(&str) -> bool) -> Option<usize> {
        let at = self.stack.iter().rposition(|open| wanted(open) || stops(open))?;
        self.stack.get(at).is_some_and(|open| wanted(open)).then_some(at)
    }

    /// Closes the element at this place and everything inside it.
    fn pop_from(&mut self, at: usize) {
        if self.form.is_some_and(|form| form >= at) {
            self.form = Some(usize::MAX);
        }
        for name in self.stack.drain(at.min(self.stack.len())..).rev() {
            if is_one_of(name, CELLS) {
                let cell = self.formatting.iter().rposition(Option::is_none).unwrap_or_default();
                self.formatting.truncate(cell);
            } else if is_one_of(name, FORMATTING) {
                let mut inner = self.formatting.iter_mut().rev().flatten();
                if let Some(closed) = inner.find(|one| one.is_open && one.tag.is(name)) {
                    closed.is_open = false;
                }
            }
        }
    }

    /// Forgets one formatting element: the last for an end tag, which is also right enough for a start.
    fn forget(&mut self, which: impl Fn(&Tag<'_>) -> bool) {
        let found = self.formatting.iter().rposition(|one| one.as_ref().is_none_or(|one| which(&one.tag)));
        if let Some(at) = found.filter(|at| self.formatting.get(*at).is_some_and(Option::is_some)) {
            self.formatting.remove(at);
        }
    }

    fn check(&self) -> Result<(), FetchError> {
        if self.stack.len() > MAX_DEPTH || self.reopened > MAX_REOPENED {
            return Err(FetchError::failed(format!(
                "the page nests more than {MAX_DEPTH} elements, which is more than it is safe to read"
            )));
        }
        Ok(())
    }
}

fn is(open: &str, name: &str) -> bool {
    open.eq_ignore_ascii_case(name)
}

/// How far inside a table its parts lie.
fn rank(name: &str) -> Option<u8> {
    match name.to_ascii_lowercase().as_str() {
        "tbody" | "thead" | "tfoot" => Some(1),
        "tr" => Some(2),
        "td" | "th" | "caption" | "colgroup" => Some(3),
        _ => None,
    }
}

const FORMATTING: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// Where formatting from outside ends, whatever ends them.
const CELLS: &[&str] = &["td", "th", "caption"];
/// Where formatting from outside ends, if their own end tag does.
const OBJECTS: &[&str] = &["applet", "object", "marquee"];

/// Through which an end tag does not reach.
const SCOPES: &[&str] = &["table", "td", "th", "caption", "applet", "object", "marquee", "select"];

/// What is closed without a word where it stands in the way.
const IMPLIED_ENDS: &[&str] = &["p", "li", "dd", "dt", "option", "rb", "rp", "rt", "rtc"];

const HEADINGS: &[&str] = &["h1", "h2", "h3", "h4", "h5", "h6"];

const CLOSES_PARAGRAPH: &[&str] = &[
    "p",
    "div",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "header",
    "footer",
    "nav",
    "main",
    "aside",
    "form",
    "fieldset",
    "blockquote",
    "pre",
    "listing",
    "address",
    "figure",
    "figcaption",
    "details",
    "summary",
    "dialog",
    "center",
    "dir",
    "menu",
    "hgroup",
    "search",
];

const SPECIAL: &[&str] = &[
    "div",
    "p",
    "li",
    "ul",
    "ol",
    "td",
    "tr",
    "th",
    "table",
    "tbody",
    "thead",
    "tfoot",
    "caption",
    "colgroup",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "header",
    "footer",
    "nav",
    "main",
    "aside",
    "form",
    "button",
    "select",
    "dl",
    "dt",
    "dd",
    "fieldset",
    "blockquote",
    "pre",
    "listing",
    "address",
    "figure",
    "figcaption",
    "details",
    "summary",
    "center",
    "dir",
    "menu",
    "hgroup",
    "search",
    "applet",
    "object",
    "marquee",
    "frameset",
    "head",
    "iframe",
    "noembed",
    "noframes",
    "noscript",
    "plaintext",
    "script",
    "style",
    "template",
    "textarea",
    "title",
    "xmp",
];
