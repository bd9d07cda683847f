//! How many elements a tree builder would hold open, told from the tags alone and in linear time.
//!
//! Follows the stack of open elements and the list of active formatting elements of
//! <https://html.spec.whatwg.org/multipage/parsing.html#tree-construction> closely enough for pages that
//! leave `<p>`, `<li>` or `<td>` open; where it differs, it counts too many rather than too few.

use std::borrow::Cow;

use super::Tag;
use crate::plugin::FetchError;

/// More elements open at once than this is no page that a person wrote.
const MAX_DEPTH: usize = 512;
/// How many elements may come of `<b>`, `<font>` and their like that were left open and so begin again
/// in every later paragraph.
const MAX_REOPENED: usize = 100_000;
/// A builder, and the look before it, may go through all open elements at every tag. Eight megabytes of a
/// page that a person wrote take half as many.
const MAX_STEPS: usize = 30_000_000;

#[derive(Default)]
pub(super) struct OpenElements<'a> {
    stack: Vec<Open<'a>>,
    /// Formatting elements that are open or will be opened again; `None` where a cell or object began.
    formatting: Vec<Option<Formatting<'a>>>,
    /// How many formatting elements began again so far.
    reopened: usize,
    /// How many open elements all tags together had above them.
    steps: usize,
    /// Where the form stands that began and had no `</form>` since; past the end when something else
    /// closed it. While there is one, a second form is ignored.
    form: Option<usize>,
}

#[derive(Clone, Copy)]
struct Open<'a> {
    name: &'a str,
    kind: u32,
}

struct Formatting<'a> {
    tag: Tag<'a>,
    is_open: bool,
}

impl<'a> Open<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, kind: kind(name) }
    }

    const fn has(self, kind: u32) -> bool {
        self.kind & kind != 0
    }

    fn is(self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl<'a> OpenElements<'a> {
    /// A start tag.
    pub(super) fn start(&mut self, tag: Tag<'a>) -> Result<(), FetchError> {
        self.steps += self.stack.len();
        let new = Open::new(tag.name);
        if new.is("form") && self.form.is_some() {
            return Ok(());
        }
        let ended = if new.is("button") {
            self.find(|open| open.is("button"), SCOPE)
        } else if new.is("select") || new.is("input") {
            self.find(|open| open.is("select"), SCOPE)
        } else {
            None
        };
        if let Some(at) = ended {
            self.pop_from(at);
            if new.is("select") {
                return Ok(());
            }
        }
        if !new.has(SPECIAL) || new.has(OBJECT | INLINE) {
            self.text();
        }
        if new.has(VOID) {
            return self.check();
        }
        if new.has(CLOSES_PARAGRAPH)
            && let Some(at) = self.find(|open| open.is("p"), SCOPE | BUTTON)
        {
            self.pop_from(at);
        }
        if let items @ 1.. = new.kind & (ITEM | TERM)
            && let Some(at) = self.find(|open| open.has(items), BARS_ITEM)
        {
            self.pop_from(at);
        }
        if new.is("option") {
            let select = self.find(|open| open.is("select"), SCOPE);
            self.pop_while(|open| open.is("option") || (select.is_some() && open.has(IMPLIED_END)));
        }
        if new.has(HEADING) && self.stack.last().is_some_and(|open| open.has(HEADING)) {
            self.stack.pop();
        }
        // A table straight inside a table ends that one.
        if new.is("table")
            && let Some(at) = self.find(|open| open.is("table"), CELL)
        {
            self.pop_from(at);
        }
        if new.has(TABLE_PART) && !self.start_table_part(new) {
            return self.check();
        }
        if new.has(CELL | OBJECT) {
            self.formatting.push(None);
        } else if new.has(FORMATTING) {
            self.start_formatting(tag);
        }
        if new.is("form") {
            self.form = Some(self.stack.len());
        }
        self.stack.push(new);
        self.check()
    }

    /// Text, or anything else before which formatting begins again.
    pub(super) fn text(&mut self) {
        if self.formatting.last().is_none_or(|last| last.as_ref().is_none_or(|last| last.is_open)) {
            return;
        }
        let outside = self.formatting.iter().rposition(Option::is_none).map_or(0, |marker| marker + 1);
        for one in self.formatting.iter_mut().skip(outside).flatten().filter(|one| !one.is_open) {
            one.is_open = true;
            self.stack.push(Open { name: one.tag.name, kind: FORMATTING });
            self.reopened += 1;
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, name: &'a str) -> Result<(), FetchError> {
        self.steps += self.stack.len();
        let ending = Open::new(name);
        if ending.is("form") {
            self.end_form();
            return self.check();
        }
        let same = |open: Open<'_>| open.is(name) || (ending.has(HEADING) && open.has(HEADING));
        let bars = if ending.is("table") {
            0
        } else if ending.has(TABLE_PART) {
            BARS_TABLE_PART
        } else if ending.is("p") {
            SCOPE | BUTTON
        } else if ending.has(ITEM) {
            SCOPE | LIST
        } else if ending.has(SPECIAL) {
            SCOPE
        } else {
            SPECIAL
        };
        if let Some(at) = self.find(same, bars) {
            self.pop_from(at);
            if ending.has(OBJECT) {
                self.leave_marker();
            }
        }
        // What is open beyond a table or a select cannot be ended from inside.
        let out_of_reach = || self.stack.iter().any(|open| same(*open)) && self.find(same, SCOPE).is_none();
        if ending.has(FORMATTING) && !out_of_reach() {
            self.forget(|other| other.is(name));
        }
        self.check()
    }

    /// A part of a table ends its fellows. Outside a table it counts for nothing.
    fn start_table_part(&mut self, new: Open<'a>) -> bool {
        let rank = rank(new);
        let Some(table) = self.stack.iter().rposition(|open| open.is("table")) else { return false };
        let inside = self.stack.iter().skip(table + 1);
        let kept = inside.take_while(|open| open.has(TABLE_PART) && self::rank(**open) < rank).count();
        self.pop_from(table + 1 + kept);
        // Bodies and rows that the page leaves out are made up.
        let needed = if new.is("td") || new.is("th") { 2 } else { usize::from(new.is("tr")) };
        self.stack.extend(["tbody", "tr"].into_iter().take(needed).skip(kept).map(Open::new));
        true
    }

    /// No formatting element is remembered more than three times, and no link within a link.
    fn start_formatting(&mut self, tag: Tag<'a>) {
        let link = tag.is("a");
        let same = |other: &Tag<'_>| if link { other.is("a") } else { other.source == tag.source };
        let active = self.formatting.iter().rev().map_while(Option::as_ref);
        if active.filter(|other| same(&other.tag)).count() >= if link { 1 } else { 3 } {
            self.forget(same);
        }
        self.formatting.push(Some(Formatting { tag, is_open: true }));
    }

    /// Closes the form and nothing inside it.
    fn end_form(&mut self) {
        let in_scope = self.find(|open| open.is("form"), SCOPE).is_some();
        if let Some(at) = self.form.take().filter(|at| in_scope && *at < self.stack.len()) {
            self.pop_while(|open| open.has(IMPLIED_END));
            self.stack.remove(at);
        }
    }

    /// The innermost element that is `wanted`, unless one of the kinds that bar the way lies further in.
    fn find(&self, wanted: impl Fn(Open<'_>) -> bool, bars: u32) -> Option<usize> {
        let at = self.stack.iter().rposition(|open| wanted(*open) || open.has(bars))?;
        self.stack.get(at).is_some_and(|open| wanted(*open)).then_some(at)
    }

    fn pop_while(&mut self, ends: impl Fn(Open<'_>) -> bool) {
        while self.stack.last().is_some_and(|open| ends(*open)) {
            self.stack.pop();
        }
    }

    /// Closes the element at this place and everything inside it.
    fn pop_from(&mut self, at: usize) {
        if self.form.is_some_and(|form| form >= at) {
            self.form = Some(usize::MAX);
        }
        while self.stack.len() > at {
            let Some(open) = self.stack.pop() else { return };
            if open.has(CELL) {
                self.leave_marker();
            } else if open.has(FORMATTING) {
                let mut inner = self.formatting.iter_mut().rev().flatten();
                if let Some(closed) = inner.find(|one| one.is_open && one.tag.is(open.name)) {
                    closed.is_open = false;
                }
            }
        }
    }

    /// Forgets the formatting inside a cell or an object.
    fn leave_marker(&mut self) {
        let marker = self.formatting.iter().rposition(Option::is_none).unwrap_or_default();
        self.formatting.truncate(marker);
    }

    /// Forgets the last formatting element that is so.
    fn forget(&mut self, which: impl Fn(&Tag<'_>) -> bool) {
        let found = self.formatting.iter().rposition(|one| one.as_ref().is_none_or(|one| which(&one.tag)));
        if let Some(at) = found.filter(|at| self.formatting.get(*at).is_some_and(Option::is_some)) {
            self.formatting.remove(at);
        }
    }

    /// How many elements are open.
    #[cfg(test)]
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    fn check(&self) -> Result<(), FetchError> {
        if self.stack.len() > MAX_DEPTH || self.reopened > MAX_REOPENED || self.steps > MAX_STEPS {
            return Err(FetchError::failed(format!(
                "the page nests more elements than is safe to read (the limit is {MAX_DEPTH})"
            )));
        }
        Ok(())
    }
}

/// How far inside a table a part of it lies.
fn rank(part: Open<'_>) -> u8 {
    match part {
        _ if part.is("tr") => 2,
        _ if part.is("tbody") || part.is("thead") || part.is("tfoot") => 1,
        _ => 3,
    }
}

// What the rules ask of an element.
/// An end tag of an ordinary element does not reach through it.
const SPECIAL: u32 = 1 << 0;
/// No end tag but those of a table reaches through it.
const SCOPE: u32 = 1 << 1;
/// Begins again behind a block that it was left open in.
const FORMATTING: u32 = 1 << 2;
/// Formatting from outside stops here, and formatting from inside ends with it.
const CELL: u32 = 1 << 3;
/// The same, but only its own end tag ends the formatting inside.
const OBJECT: u32 = 1 << 4;
/// Special, and yet part of a line of text.
const INLINE: u32 = 1 << 5;
const HEADING: u32 = 1 << 6;
const CLOSES_PARAGRAPH: u32 = 1 << 7;
const BUTTON: u32 = 1 << 8;
const LIST: u32 = 1 << 9;
const ITEM: u32 = 1 << 10;
const TERM: u32 = 1 << 11;
/// A new item does not end an item around it.
const BARS_ITEM: u32 = 1 << 12;
/// Closed without a word where it stands in the way.
const IMPLIED_END: u32 = 1 << 13;
const TABLE_PART: u32 = 1 << 14;
/// The end of a row or a body does not reach through it.
const BARS_TABLE_PART: u32 = 1 << 15;
/// Never holds anything.
const VOID: u32 = 1 << 16;

fn kind(name: &str) -> u32 {
    const BLOCK: u32 = SPECIAL | BARS_ITEM | CLOSES_PARAGRAPH;
    let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    match &*name {
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "nobr" | "s" | "small" | "strike" | "strong"
        | "tt" | "u" => FORMATTING,
        "area" | "base" | "basefont" | "bgsound" | "br" | "col" | "embed" | "frame" | "hr" | "image"
        | "img" | "input" | "keygen" | "link" | "meta" | "param" | "source" | "track" | "wbr" => VOID,
        "div" | "address" => SPECIAL | CLOSES_PARAGRAPH,
        "p" => SPECIAL | CLOSES_PARAGRAPH | IMPLIED_END,
        "li" => BLOCK | ITEM | IMPLIED_END,
        "dd" | "dt" => BLOCK | TERM | IMPLIED_END,
        "ul" | "ol" => BLOCK | LIST,
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => BLOCK | HEADING,
        "article" | "aside" | "blockquote" | "center" | "details" | "dir" | "dl" | "fieldset"
        | "figcaption" | "figure" | "footer" | "form" | "header" | "hgroup" | "listing" | "main" | "menu"
        | "nav" | "pre" | "search" | "section" | "summary" => BLOCK,
        "dialog" => CLOSES_PARAGRAPH,
        "option" | "rb" | "rp" | "rt" | "rtc" => IMPLIED_END,
        "button" => SPECIAL | BARS_ITEM | INLINE | BUTTON,
        "select" => SPECIAL | BARS_ITEM | INLINE | SCOPE,
        "applet" | "marquee" | "object" => SPECIAL | BARS_ITEM | SCOPE | OBJECT,
        "table" => SPECIAL | BARS_ITEM | SCOPE | BARS_TABLE_PART,
        "caption" => SPECIAL | BARS_ITEM | SCOPE | CELL | TABLE_PART | BARS_TABLE_PART,
        "td" | "th" => SPECIAL | BARS_ITEM | SCOPE | CELL | TABLE_PART,
        "tbody" | "thead" | "tfoot" | "tr" | "colgroup" => SPECIAL | BARS_ITEM | TABLE_PART,
        "frameset" | "head" | "iframe" | "noembed" | "noframes" | "noscript" | "plaintext" | "script"
        | "style" | "template" | "textarea" | "title" | "xmp" => SPECIAL | BARS_ITEM,
        _ => 0,
    }
}
