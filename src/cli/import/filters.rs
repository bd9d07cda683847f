//! The filters of urlwatch (<https://urlwatch.readthedocs.io/en/latest/filters.html>) and of webchanges
//! (<https://webchanges.readthedocs.io/en/stable/filters.html>).

use serde_json::Value as Json;

use super::draft::{Draft, Kind, cleaned, plain, words_of};
use super::paths::{css_of_xpath, pointer_of_path};

/// Filters that change nothing where shown text is compared and white space does not count.
const NEEDLESS: [&str; 11] = [
    "html2text",
    "strip",
    "striplines",
    "strip_each_line",
    "beautify",
    "pretty-xml",
    "format-xml",
    "format-json",
    "jsontoyaml",
    "absolute_links",
    "sha1sum",
];

/// Filters without which there is nothing to read.
const UNREADABLE: [(&str, &str); 6] = [
    ("pdf2text", "reads a PDF; only text, HTML and JSON are read here"),
    ("pypdf", "reads a PDF; only text, HTML and JSON are read here"),
    ("ocr", "reads text in a picture; only text, HTML and JSON are read here"),
    ("ascii85", "compares a file that is no text"),
    ("base64", "compares a file that is no text"),
    ("hexdump", "compares a file that is no text"),
];

/// The others, with what they did and what there is instead.
const LISTED: [(&str, &str); 21] = [
    ("grep", "kept only lines with some words; `select` takes a part of the page by a CSS selector"),
    ("grepi", "took lines with some words out; `select` takes a part of the page by a CSS selector"),
    ("keep_lines_containing", "kept only lines with some words; `select` takes a part of the page"),
    ("delete_lines_containing", "took lines with some words out; `select` takes a part of the page"),
    ("re.sub", "replaced what fits a regular expression; texts are compared as they are shown"),
    ("re.findall", "took what fits a regular expression; `select` takes a part of the page"),
    ("re.split", "split by a regular expression; texts are compared as they are shown"),
    ("sort", "sorted lines; a part of the page that changes its order is told as changed"),
    ("reverse", "turned lines around, which no comparison needs"),
    ("remove-duplicate-lines", "took repeated lines out"),
    ("remove_repeated", "took repeated lines out"),
    ("remove-duplicates", "took repeated lines out"),
    ("shellpipe", "ran a command; none is run here"),
    ("execute", "ran a command; none is run here"),
    ("csv2text", "wrote a table in other words; the table is compared as it comes"),
    ("ical2text", "wrote a calendar in other words; the calendar is compared as it comes"),
    ("element-by-style", "took elements by their style; write a CSS selector into `select`"),
    ("jinja", "wrote by a template of its own"),
    ("remove_duplicate_lines", "took repeated lines out"),
    ("jq", "picked out of JSON, of which nothing is left here"),
    ("html2markdown", "wrote Markdown; the text that is shown is compared"),
];

/// Filters whose words say what a person looked for, and are no secret.
const SHOWN: [&str; 9] = [
    "css",
    "xpath",
    "jq",
    "grep",
    "grepi",
    "keep_lines_containing",
    "delete_lines_containing",
    "re.sub",
    "re.findall",
];

/// Carries over what can be.
///
/// # Errors
/// Why nothing can be watched.
pub(super) fn carry(draft: &mut Draft, filters: &Json) -> Result<(), String> {
    let mut select: Option<String> = None;
    // After this, what comes is no page any more.
    let mut is_text = false;
    for (kind, argument) in each(filters) {
        let kind = kind.trim();
        if let Some((_, why)) = UNREADABLE.iter().find(|(name, _)| *name == kind) {
            return Err(format!("`{kind}` {why}"));
        }
        if NEEDLESS.contains(&kind) {
            is_text |= ["html2text", "sha1sum"].contains(&kind);
            continue;
        }
        match selector(kind, &argument) {
            Some(Ok(picked)) if is_text || draft.kind == Kind::Json => {
                draft.lose(format!("filter `{kind}`: `{}` after the text was taken", cleaned(&picked, 120)));
            }
            Some(Ok(picked)) => {
                list_options(draft, kind, &argument);
                select = match select {
                    None => Some(picked),
                    // What is picked within what was picked before.
                    Some(outer) if !outer.contains(',') && !picked.contains(',') => {
                        draft.notes.push(
                            "two filters are one `select`: the second looks within what the first picks, and \
                             does not pick that itself"
                                .into(),
                        );
                        Some(format!("{outer} {picked}"))
                    }
                    Some(outer) => {
                        draft.lose(format!("filter `{kind}`: `{}`, within `select`", cleaned(&picked, 120)));
                        Some(outer)
                    }
                };
            }
            Some(Err(why)) => draft.lose(format!("filter `{kind}`{}: {why}", shown(kind, &argument))),
            None if kind == "jq" && draft.kind == Kind::Page && select.is_none() && !is_text => {
                let query = text_of(&argument, "query").unwrap_or_default();
                match pointer_of_path(&query) {
                    Some(pointer) => point(draft, &pointer),
                    None if [".", ""].contains(&query.trim()) => {}
                    None => draft.lose(format!(
                        "filter `jq`{}: only plain paths are understood, by source `json` and its `pointer`; all \
                         of the answer is compared",
                        shown(kind, &argument)
                    )),
                }
            }
            None => {
                let words = words_of(&LISTED, kind).unwrap_or("nothing is known of this filter");
                draft.lose(format!("filter `{}`{}: {words}", cleaned(kind, 60), shown(kind, &argument)));
            }
        }
    }
    if let Some(select) = select {
        draft.ask_with("select", select);
    }
    Ok(())
}

/// Turns a watch of a page into one of a number.
pub(super) fn point(draft: &mut Draft, pointer: &str) {
    draft.kind = Kind::Json;
    draft.ask_with("pointer", pointer);
    draft.notes.push(
        "what `pointer` finds must be numbers; for texts, take `page`, which compares all of it".into(),
    );
}

/// Each filter with its argument. urlwatch once wrote them all into one text.
fn each(filters: &Json) -> Vec<(String, Json)> {
    match filters {
        Json::String(text) => text
            .split(',')
            .map(|filter| match filter.split_once(':') {
                Some((kind, argument)) => (kind.trim().to_owned(), argument.into()),
                None => (filter.trim().to_owned(), Json::Null),
            })
            .filter(|(kind, _)| !kind.is_empty())
            .collect(),
        Json::Array(items) => items.iter().flat_map(one).collect(),
        other => one(other),
    }
}

fn one(filter: &Json) -> Vec<(String, Json)> {
    match filter {
        Json::Object(map) => map.iter().map(|(kind, argument)| (kind.clone(), argument.clone())).collect(),
        Json::Null => Vec::new(),
        other => vec![(plain(other).unwrap_or_else(|| "?".into()), Json::Null)],
    }
}

/// The CSS selector of a filter that picks elements; none for other filters.
fn selector(kind: &str, argument: &Json) -> Option<Result<String, String>> {
    let name = |key: &str| text_of(argument, key).filter(|name| !name.trim().is_empty());
    let with = |css: Option<String>, wrong: &str| Some(css.ok_or_else(|| wrong.to_owned()));
    let by_attribute = |key: &str| {
        let value =
            name(key).filter(|value| !value.contains(['"', '\\']) && !value.chars().any(char::is_control));
        with(value.map(|value| format!("[{key}=\"{}\"]", value.trim())), "is empty, or no name")
    };
    match kind {
        "css" if is_xml(argument) => with(None, "picked out of XML; all of it is compared"),
        "css" => with(name("selector"), "names no selector"),
        "xpath" if is_xml(argument) => with(None, "picked out of XML; all of it is compared"),
        "xpath" => {
            let css = name("path").and_then(|path| css_of_xpath(&path));
            with(css, "XPath that has no plain CSS selector; write one into `select`")
        }
        "element-by-id" => by_attribute("id"),
        // The whole of it, as urlwatch compares it.
        "element-by-class" => by_attribute("class"),
        "element-by-tag" => with(name("tag"), "names no tag"),
        _ => None,
    }
}

fn is_xml(argument: &Json) -> bool {
    argument.get("method").and_then(Json::as_str) == Some("xml")
}

fn list_options(draft: &mut Draft, kind: &str, argument: &Json) {
    for (option, words) in [
        ("exclude", "took elements out; `select` only says what counts"),
        ("skip", "passed over the first elements; `:nth-of-type()` in `select` may do it"),
        ("maxitems", "took only the first elements; `:first-of-type` in `select` may do it"),
        ("sort", "sorted the elements"),
        ("namespaces", "named the spaces of XML"),
    ] {
        let is_set =
            argument.get(option).is_some_and(|value| !matches!(value, Json::Null | Json::Bool(false)));
        if is_set && argument.get(option).and_then(Json::as_i64) != Some(0) {
            draft.lose(format!("filter `{kind}`: `{option}` {words}"));
        }
    }
}

/// An argument that may stand alone or under its key.
fn text_of(argument: &Json, key: &str) -> Option<String> {
    match argument {
        Json::Object(map) => map.get(key).and_then(plain),
        other => plain(other),
    }
}

fn shown(kind: &str, argument: &Json) -> String {
    let keys = ["selector", "path", "query", "re", "text", "pattern"];
    let text = if argument.is_object() {
        keys.iter().find_map(|key| text_of(argument, key))
    } else {
        plain(argument)
    };
    match text.map(|text| cleaned(&text, 120)).filter(|text| !text.is_empty() && SHOWN.contains(&kind)) {
        Some(text) => format!(" `{text}`"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn carried(filters: Json) -> Result<Draft, String> {
        let mut draft = Draft::new("line 1");
        carry(&mut draft, &filters).map(|()| draft)
    }

    fn select(filters: Json) -> (Option<String>, usize) {
        let draft = carried(filters).expect("a watch");
        let select = draft.asks_with("select").and_then(|value| value.as_str()).map(str::to_owned);
        (select, draft.lost.len())
    }

    #[test]
    fn filters_that_pick_elements_are_selectors() {
        for (filters, expected, lost) in [
            (json!("html2text"), None, 0),
            (json!("css:.news,html2text,strip"), Some(".news"), 0),
            (json!([{"css": "#a"}, "html2text", "strip"]), Some("#a"), 0),
            (json!([{"element-by-id": "a"}, {"element-by-tag": "li"}]), Some("[id=\"a\"] li"), 0),
            (json!([{"element-by-class": {"class": "b c"}}]), Some("[class=\"b c\"]"), 0),
            (json!([{"xpath": "//div[@id='a']"}]), Some("div[@id='a']".replace('@', "").as_str()), 0),
            (json!([{"xpath": "//a/@href"}, "html2text"]), None, 1),
            (json!([{"css": {"selector": "li", "maxitems": 1, "skip": 0, "exclude": "a"}}]), Some("li"), 2),
            (json!([{"css": {"selector": "item", "method": "xml"}}]), None, 1),
            (json!(["html2text", {"css": "p"}, {"grep": "x"}]), None, 2),
            (json!([{"css": "a, b"}, {"css": "c"}]), Some("a, b"), 1),
        ] {
            let expected = expected.map(|css| css.replace('\'', "\""));
            assert_eq!(select(filters.clone()), (expected, lost), "{filters}");
        }
    }

    #[test]
    fn a_plain_path_into_json_is_a_number_s_watch() {
        let draft = carried(json!([{"jq": {"query": ".price"}}])).expect("a watch");
        assert!(draft.kind == Kind::Json && draft.lost.is_empty());
        let draft = carried(json!([{"jq": ".[] | select(.a)"}])).expect("a watch");
        assert!(draft.kind == Kind::Page);
        assert!(draft.lost.first().is_some_and(|lost| lost.contains(".[] | select(.a)")), "{:?}", draft.lost);
    }

    #[test]
    fn what_a_command_held_is_not_repeated() {
        let draft = carried(json!([{"shellpipe": "curl -u me:pa55word x"}])).expect("a watch");
        assert!(draft.lost.len() == 1 && !draft.lost.concat().contains("pa55word"), "{:?}", draft.lost);
        assert!(carried(json!(["pdf2text"])).is_err());
    }
}
