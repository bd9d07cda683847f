//! What the sources of web pages share: one linear scan over markup, the text that a page shows, and a
//! guarded way to a tree.
//!
//! A tree costs about 25 ms a megabyte, and its builder is quadratic in the nesting of a page that means
//! harm (<https://github.com/servo/html5ever/issues/788>). So the scan reads tags as a browser does
//! (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>), a source cuts out what it wants,
//! and only that becomes a tree, through [`parse`].

mod open_elements;

use std::borrow::Cow;

use memchr::memchr;
use scraper::{ElementRef, Html};

use crate::plugin::FetchError;
use open_elements::OpenElements;

/// More attributes on one tag than this is no page that a person wrote.
const MAX_ATTRIBUTES: usize = 1_000;

/// A part of a page, in order.
pub(super) enum Piece<'a> {
    /// Text between tags, entities not yet decoded.
    Text(&'a str),
    /// A start tag.
    Open(Tag<'a>),
    /// An end tag.
    Close(Tag<'a>),
    /// What stands inside the script, style or the like that was just opened.
    Raw(&'a str),
}

/// A start or end tag.
#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    /// All of it, from `<` to `>`.
    pub source: &'a str,
    /// As written; compare with [`Tag::is`].
    pub name: &'a str,
    /// How many attributes it has.
    attributes: usize,
    /// The value of `class`, entities not decoded.
    class: &'a str,
    /// The value of `id`.
    id: &'a str,
    /// Whether it ends in `/>`, which only means something in SVG.
    closed: bool,
}

impl<'a> Tag<'a> {
    /// Whether it is this element.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether its class list holds this class.
    pub(super) fn has_class(&self, class: &str) -> bool {
        self.class.len() >= class.len() && self.class.split_ascii_whitespace().any(|word| word == class)
    }

    /// Whether this is its id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.id == id
    }

    /// The value of an attribute, decoded.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let start = 1 + self.name.len();
        Attributes { text: self.source, at: start, closed: false }
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| decode(value))
    }
}

/// Goes over the markup once. Comments and a tag that the page breaks off in are left out.
pub(super) fn scan(text: &str) -> Scan<'_> {
    Scan { text, at: 0, raw: None }
}

/// See [`scan`].
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// The element whose raw content begins here.
    raw: Option<&'a str>,
}

impl<'a> Iterator for Scan<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(name) = self.raw.take() {
            let end = end_of_raw(self.text, self.at, name);
            let raw = self.text.get(self.at..end).unwrap_or_default();
            self.at = end;
            if !raw.is_empty() {
                return Some(Piece::Raw(raw));
            }
        }
        let bytes = self.text.as_bytes();
        // A `<` that begins no tag is text.
        let mut from = self.at;
        loop {
            let Some(found) = memchr(b'<', bytes.get(from..)?) else {
                let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty());
                self.at = bytes.len();
                return rest.map(Piece::Text);
            };
            let start = from + found;
            let begins = match bytes.get(start + 1) {
                Some(b'!' | b'?') => true,
                Some(b'/') => bytes.get(start + 2).is_some(),
                Some(letter) => letter.is_ascii_alphabetic(),
                None => false,
            };
            if !begins {
                from = start + 1;
                continue;
            }
            if start > self.at {
                let text = self.text.get(self.at..start)?;
                self.at = start;
                return Some(Piece::Text(text));
            }
            let letter = if bytes.get(start + 1) == Some(&b'/') { start + 2 } else { start + 1 };
            if bytes.get(letter).is_some_and(u8::is_ascii_alphabetic) {
                return self.tag(start, letter);
            }
            self.at = end_of_comment(self.text, start)?;
            from = self.at;
        }
    }
}

impl<'a> Scan<'a> {
    fn tag(&mut self, start: usize, letter: usize) -> Option<Piece<'a>> {
        let after = self.text.as_bytes().get(letter..)?;
        let length = after
            .iter()
            .position(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
            .unwrap_or(after.len());
        let name = self.text.get(letter..letter + length)?;
        let mut rest = Attributes { text: self.text, at: letter + length, closed: false };
        let (mut attributes, mut class, mut id) = (0, "", "");
        for (key, value) in rest.by_ref() {
            attributes += 1;
            if class.is_empty() && key.eq_ignore_ascii_case("class") {
                class = value;
            } else if id.is_empty() && key.eq_ignore_ascii_case("id") {
                id = value;
            }
        }
        let source = self.text.get(start..=rest.at).filter(|source| source.ends_with('>'))?;
        self.at = rest.at + 1;
        let tag = Tag { source, name, attributes, class, id, closed: rest.closed };
        if letter > start + 1 {
            return Some(Piece::Close(tag));
        }
        if is_one_of(name, RAW) || (is_one_of(name, DRAWINGS) && !tag.closed) {
            self.raw = Some(name);
        }
        Some(Piece::Open(tag))
    }
}

/// The attributes of a tag as they are written, from behind its name up to its `>`, where `at` then is.
struct Attributes<'a> {
    text: &'a str,
    at: usize,
    closed: bool,
}

impl Attributes<'_> {
    /// Goes on to the first byte that `stops`.
    fn until(&mut self, stops: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let found = rest.iter().position(|byte| stops(*byte));
        self.at += found.unwrap_or(rest.len());
        found.and_then(|found| rest.get(found).copied())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.until(|byte| !is_space(byte))? {
                b'>' => return None,
                b'/' => {
                    self.at += 1;
                    self.closed = self.text.as_bytes().get(self.at) == Some(&b'>');
                }
                _ => break,
            }
        }
        let start = self.at;
        // A name may begin with `=`.
        self.at += 1;
        let next = self.until(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='));
        let name = self.text.get(start..self.at)?;
        let next = if next.is_some_and(is_space) { self.until(|byte| !is_space(byte)) } else { next };
        if next? != b'=' {
            return Some((name, ""));
        }
        self.at += 1;
        let value = match self.until(|byte| !is_space(byte))? {
            b'>' => "",
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let end = start + memchr(quote, self.text.as_bytes().get(start..)?)?;
                self.at = end + 1;
                self.text.get(start..end)?
            }
            _ => {
                let start = self.at;
                self.until(|byte| is_space(byte) || byte == b'>')?;
                self.text.get(start..self.at)?
            }
        };
        Some((name, value))
    }
}

/// Elements whose content is not markup.
const RAW: &[&str] =
    &["script", "style", "title", "textarea", "noscript", "iframe", "template", "xmp", "noembed", "noframes"];

/// Elements whose content is markup of another kind, which nothing here has a use for.
const DRAWINGS: &[&str] = &["svg", "math"];

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// Where the `</name` stands that ends a raw element, or the end of the page.
fn end_of_raw(text: &str, from: usize, name: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memmem::find(rest, b"</")) {
        let start = at + found;
        let word = start + 2;
        if text.get(word..word + name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name))
            && bytes.get(word + name.len()).is_none_or(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
        {
            return start;
        }
        at = word;
    }
    text.len()
}

/// Where a comment, a doctype or another declaration that begins at `start` has ended.
fn end_of_comment(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    if let Some(comment) = rest.strip_prefix("<!--") {
        // `<!-->` and `<!--->` are whole comments.
        if let Some(short) = [">", "->"].into_iter().find(|short| comment.starts_with(short)) {
            return Some(start + 4 + short.len());
        }
        let mut at = 0;
        while let Some(found) = memchr::memmem::find(comment.as_bytes().get(at..)?, b"--") {
            at += found + 2;
            let after = comment.get(at..)?;
            if after.starts_with('>') {
                return Some(start + 4 + at + 1);
            }
            if after.starts_with("!>") {
                return Some(start + 4 + at + 2);
            }
            at -= 1;
        }
        return None;
    }
    memchr(b'>', rest.as_bytes()).map(|found| start + found + 1)
}

/// Entities decoded.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    // Without a `<` there is nothing to nest, so no guard is needed.
    let html = Html::parse_fragment(&escaped(text));
    Cow::Owned(html.root_element().text().collect())
}

fn escaped(text: &str) -> Cow<'_, str> {
    match memchr(b'<', text.as_bytes()) {
        Some(_) => Cow::Owned(text.replace('<', "&lt;")),
        None => Cow::Borrowed(text),
    }
}

/// White space collapsed.
pub(super) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The text of an element on one line.
pub(super) fn line(element: ElementRef<'_>) -> String {
    collapse(&element.text().collect::<String>())
}

/// The text of an element on one line when it is short, such as that of a button; empty when it is long.
/// Looks at the first few nodes only, so that elements within elements cost no more than those beside
/// each other.
pub(super) fn short(element: ElementRef<'_>) -> String {
    const NODES: usize = 64;
    const BYTES: usize = 1_000;
    let mut text = String::new();
    for (count, node) in element.descendants().enumerate() {
        if let Some(part) = node.value().as_text() {
            text.push_str(part);
        }
        if count >= NODES || text.len() > BYTES {
            return String::new();
        }
    }
    collapse(&text)
}

/// The text that markup shows: a line for a block, white space collapsed, empty lines left out, and
/// nothing of scripts, styles, titles or templates.
pub(super) fn shown(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len() / 4);
    let mut gap = Gap::Line;
    for piece in scan(markup) {
        match piece {
            Piece::Text(text) => {
                for (index, word) in text.split(char::is_whitespace).enumerate() {
                    if index > 0 {
                        gap = gap.max(Gap::Space);
                    }
                    if word.is_empty() {
                        continue;
                    }
                    match gap {
                        _ if out.is_empty() => {}
                        Gap::Line => out.push('\n'),
                        Gap::Space => out.push(' '),
                        Gap::None => {}
                    }
                    gap = Gap::None;
                    // A loose `<` must not become a tag when entities are decoded.
                    let mut parts = word.split('<');
                    out.push_str(parts.next().unwrap_or_default());
                    for part in parts {
                        out.push_str("&lt;");
                        out.push_str(part);
                    }
                }
            }
            Piece::Open(tag) | Piece::Close(tag) => {
                if is_one_of(tag.name, &["td", "th"]) {
                    gap = gap.max(Gap::Space);
                } else if is_one_of(tag.name, BLOCKS) {
                    gap = Gap::Line;
                }
            }
            Piece::Raw(_) => {}
        }
    }
    match decode(&out) {
        Cow::Borrowed(_) => out,
        // Decoding may have brought white space of its own, such as `&nbsp;`.
        Cow::Owned(text) => {
            text.lines().map(collapse).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

/// Elements that stand on lines of their own.
const BLOCKS: &[&str] = &[
    "br",
    "div",
    "p",
    "li",
    "tr",
    "ul",
    "ol",
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
    "table",
    "caption",
    "tbody",
    "thead",
    "tfoot",
    "dl",
    "dt",
    "dd",
    "form",
    "fieldset",
    "legend",
    "blockquote",
    "pre",
    "hr",
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
    "option",
    "optgroup",
    "body",
    "html",
    "head",
];

/// Markup as a tree, without comments and without the content of scripts, styles and drawings.
///
/// # Errors
/// When the markup is so deep or so crowded that building the tree would take minutes.
pub(super) fn parse(markup: &str) -> Result<Html, FetchError> {
    Ok(Html::parse_document(&lean(markup)?))
}

/// The same markup without what makes it long: comments and everything inside scripts, styles and
/// drawings. The emptied elements stay, so that a selector which counts children still counts right.
fn lean(markup: &str) -> Result<String, FetchError> {
    let mut out = String::with_capacity(markup.len() / 2);
    let mut open = OpenElements::default();
    let mut root_seen = [false; 2];
    let mut opened = "";
    for piece in scan(markup) {
        match piece {
            Piece::Text(text) => {
                open.text();
                // Behind a comment that is left out, a loose `<` could become a tag.
                out.push_str(&escaped(text));
            }
            Piece::Raw(text) => {
                if is_one_of(opened, &["title", "textarea"]) {
                    out.push_str(&escaped(text));
                }
            }
            Piece::Open(tag) => {
                if tag.attributes > MAX_ATTRIBUTES {
                    return Err(FetchError::failed(format!(
                        "the page has a tag with {} attributes, which is more than is safe to read",
                        tag.attributes
                    )));
                }
                // A second `<body>` would only add its attributes to the first.
                if let Some(root) = ["html", "body"].iter().position(|name| tag.is(name)) {
                    if std::mem::replace(root_seen.get_mut(root).unwrap_or(&mut true), true) {
                        continue;
                    }
                } else {
                    open.start(tag)?;
                }
                out.push_str(tag.source);
                opened = tag.name;
            }
            Piece::Close(tag) => {
                open.end(tag.name)?;
                out.push_str(tag.source);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::test_runner::{Config as ProptestConfig, RngSeed};

    use super::*;

    #[test]
    fn what_is_shown_is_what_a_person_reads() {
        for (markup, text) in [
            ("<p>a<p>b", "a\nb"),
            ("a <b>b</b>c\n\n d<br>e", "a bc d\ne"),
            ("<TITLE>t</TITLE><Script>if (a<b) '<p>'</SCRIPT ><p>x<!-- <p>no --><style>p{}</style>", "x"),
            ("<table><tr><td>1<td>2</tr><tr><td>3</table>", "1 2\n3"),
            ("a &amp; b&nbsp;&nbsp;c &lt;p&gt; &eacute;&#8364;", "a & b c <p> é€"),
            ("3 < 4 <i>&</i> <b><</b>p>q", "3 < 4 & <p>q"),
            ("<a title='>' href=x>in</a><a title=\"it's\">side", "inside"),
            (
                "<div>&nbsp;</div><div>x</div><noscript>turn it on</noscript><template><p>y</p></template>",
                "x",
            ),
            ("<svg><title>no</title><text>no</text></svg>yes<svg/>!", "yes!"),
            ("<!doctype html><?php no ?></>x<!-->y<!--->z<!-- a --!>!", "xyz!"),
            ("text <unfinished href=\"", "text"),
        ] {
            assert_eq!(shown(markup), text, "{markup}");
        }
    }

    #[test]
    fn attributes_are_read_however_they_are_written() {
        let page = "<A CLASS='one two' data-x=1 href = \"/p?a=1&amp;b=2\" checked =x title=it's/>";
        let Some(Piece::Open(tag)) = scan(page).next() else { panic!("no tag") };
        assert!(tag.is("a") && tag.has_class("two") && !tag.has_class("tw"));
        for (name, value) in
            [("href", Some("/p?a=1&b=2")), ("data-x", Some("1")), ("=x", None), ("title", Some("it's/"))]
        {
            assert_eq!(tag.attribute(name).as_deref(), value, "{name}");
        }
        assert_eq!(tag.attributes, 5);
    }

    #[test]
    fn a_tree_keeps_what_was_shown() {
        let page = "<body><script>1</script><div id=a>x<svg><path/></svg></div><title>a<b</title>";
        let html = parse(page).expect("a tree");
        let select = |selector: &str| {
            html.select(&scraper::Selector::parse(selector).expect("a selector")).next().map(line)
        };
        assert_eq!(select("body > div:nth-child(2)").as_deref(), Some("x"));
        assert_eq!(select("title").as_deref(), Some("a<b"));
        assert_eq!(select("svg > path"), None);
        let html = parse("<b>1 <<!-- -->i>2</b>").expect("a tree");
        assert_eq!(html.root_element().text().collect::<String>(), "1 <i>2");
    }

    #[test]
    fn a_page_that_means_harm_is_refused() {
        let crowded: String = (0..100_000).fold("<p".into(), |mut page, n| {
            let _ = write!(page, " a{n}");
            page
        });
        let formatting: String = (0..50_000).fold(String::new(), |mut page, n| {
            let _ = write!(page, "<p><b id={n}></p>");
            page
        });
        for page in [
            "<div>".repeat(200_000),
            "<span><div></span>".repeat(50_000),
            "<form><div></form>".repeat(50_000),
            "<dd><li>".repeat(50_000),
            "<table><tr><td>".repeat(50_000),
            "<svg><g></svg><g>".repeat(50_000),
            "<span>".repeat(500) + &"</b>".repeat(250_000),
            format!("{crowded}>"),
            formatting,
        ] {
            assert!(parse(&page).is_err(), "{}", &page[..40]);
        }
    }

    /// Eight times the page takes about eight times the time; were every tag held against every other, it
    /// would take sixty-four times.
    #[test]
    fn a_page_is_looked_over_in_time_with_its_length_before_a_tree_is_built() {
        let pages: [(&str, &dyn Fn(usize) -> String); 12] = [
            ("nested", &|bytes| "<div>".repeat(bytes / 5)),
            ("a tag that never ends", &|bytes| "<a ".repeat(bytes / 3)),
            ("attributes", &|bytes| format!("<p{}>", " a=1".repeat(bytes / 4))),
            ("comments", &|bytes| "<!--".repeat(bytes / 4)),
            ("hyphens", &|bytes| format!("<!--{}", "-".repeat(bytes))),
            ("quotes", &|bytes| "<a href=\"".repeat(bytes / 9)),
            ("quotes that end", &|bytes| "<a href='\"'>".repeat(bytes / 12)),
            ("scripts", &|bytes| "<script></".repeat(bytes / 10)),
            ("drawings", &|bytes| "<svg></a".repeat(bytes / 8)),
            ("signs", &|bytes| "<".repeat(bytes)),
            ("ends", &|bytes| "</b>".repeat(bytes / 4)),
            ("entities", &|bytes| "&amp&".repeat(bytes / 5)),
        ];
        let took = |page: &str| {
            let once = || {
                let begun = std::time::Instant::now();
                drop(lean(page));
                begun.elapsed()
            };
            (0..2).map(|_| once()).min().expect("twice")
        };
        for (name, page) in pages {
            let [short, long] = [128 << 10, 1 << 20].map(|bytes| took(&page(bytes)));
            let most = short * 24 + std::time::Duration::from_millis(100);
            assert!(long < most, "{name}: {short:?} became {long:?}");
        }
    }

    #[test]
    fn a_page_that_leaves_its_tags_open_is_read() {
        for (part, count) in [
            ("<li>a", 5_000),
            ("<p>a<p>b", 5_000),
            ("<dt>a<dd>b", 5_000),
            ("<option>a", 5_000),
            ("<div><p>a<b>b</div>", 600),
            ("<b>a<i>b</b>c</i>", 5_000),
            ("<img><br><input>", 5_000),
            ("<p><font size=2>a", 500),
            ("<path/></svg>", 100),
        ] {
            assert!(parse(&part.repeat(count)).is_ok(), "{part}");
        }
        let rows = "<tr><td><font color=red>a<td>b".repeat(5_000);
        assert!(parse(&format!("<table>{rows}</table>")).is_ok());
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(2026), ..ProptestConfig::default() })]

        /// The tags alone must never promise a flatter tree than the one that is built.
        #[test]
        fn no_tree_is_much_deeper_than_its_tags_say(
            tags in proptest::collection::vec((0..NAMES.len(), proptest::bool::weighted(0.4)), 0..60),
        ) {
            let mut unit = String::new();
            for (name, closing) in tags {
                let _ = write!(unit, "<{}{}>{}", if closing { "/" } else { "" }, NAMES[name], ["", "x"][name % 2]);
            }
            let page = unit.repeat(20);
            let mut open = OpenElements::default();
            let mut deepest = 0;
            for piece in scan(&page) {
                match piece {
                    Piece::Open(tag) => {
                        if open.start(tag).is_err() {
                            return Ok(());
                        }
                        deepest = deepest.max(open.depth());
                    }
                    Piece::Close(tag) => drop(open.end(tag.name)),
                    Piece::Text(_) => open.text(),
                    Piece::Raw(_) => {}
                }
            }
            let tree = Html::parse_document(&page);
            let real = tree.tree.nodes().map(|node| node.ancestors().count()).max().unwrap_or_default();
            // The document, html, body, and the rows and bodies that a table makes up.
            proptest::prop_assert!(real <= 3 * deepest + 8, "{real} deep, {deepest} by its tags: {unit}");
        }
    }

    const NAMES: &[&str] = &[
        "div", "p", "span", "b", "a", "i", "li", "ul", "dd", "dt", "table", "tr", "td", "tbody", "form",
        "button", "h1", "h2", "select", "option", "object", "caption", "em", "section", "font", "nobr",
        "center", "pre",
    ];
}
