//! Paths of other programs in ours: XPath as CSS, jq and JSONPath as JSON pointers. Only what means the same.

/// An XPath expression as a CSS selector, where it only goes down by names, places and attributes: what a browser
/// copies.
pub(super) fn css_of_xpath(path: &str) -> Option<String> {
    let mut rest = path.trim().strip_prefix("xpath:").unwrap_or(path.trim());
    let mut selector = String::new();
    while !rest.is_empty() {
        let (between, after) = match rest.strip_prefix("//") {
            Some(after) => (" ", after),
            None => (" > ", rest.strip_prefix('/')?),
        };
        let end = step_end(after)?;
        let (step, after) = after.split_at(end);
        match selector.is_empty() {
            false => selector.push_str(between),
            // From the root only `html` can be meant.
            true if between == " > " && !step.starts_with("html") => return None,
            true => {}
        }
        selector.push_str(&css_of_step(step)?);
        rest = after;
    }
    (!selector.is_empty()).then_some(selector)
}

/// Where a step ends: at the next `/` outside of brackets and quotes.
fn step_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_u32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth = depth.checked_add(1)?,
            (None, ']') => depth = depth.checked_sub(1)?,
            (None, '/') if depth == 0 => return Some(at),
            _ => {}
        }
    }
    (depth == 0 && quote.is_none()).then_some(text.len())
}

fn css_of_step(step: &str) -> Option<String> {
    let (name, mut rest) = step.split_at(step.find('[').unwrap_or(step.len()));
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if name != "*" && !is_name(name) {
        return None;
    }
    let mut css = name.to_owned();
    while let Some(inner) = rest.strip_prefix('[') {
        let (predicate, after) = inner.split_at(step_close(inner)?);
        rest = after.strip_prefix(']')?;
        let predicate = predicate.trim();
        if let Ok(place) = predicate.parse::<u32>() {
            // `[2]` after an attribute counts only those that have it.
            if place == 0 || name == "*" || css != name {
                return None;
            }
            css.push_str(&format!(":nth-of-type({place})"));
            continue;
        }
        let (attribute, sign, value) = match predicate.strip_prefix("contains(") {
            Some(inner) => {
                let (attribute, value) = inner.strip_suffix(')')?.split_once(',')?;
                (attribute.trim().strip_prefix('@')?, "*=", Some(quoted(value)?))
            }
            None => match predicate.strip_prefix('@')?.split_once('=') {
                Some((attribute, value)) => (attribute.trim(), "=", Some(quoted(value)?)),
                None => (predicate.strip_prefix('@')?.trim(), "", None),
            },
        };
        if !is_name(attribute) {
            return None;
        }
        match value {
            Some(value) => css.push_str(&format!("[{attribute}{sign}\"{value}\"]")),
            None => css.push_str(&format!("[{attribute}]")),
        }
    }
    rest.is_empty().then_some(css)
}

fn step_close(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => return None,
            (None, ']') => return Some(at),
            _ => {}
        }
    }
    None
}

/// What stands between quotes, where CSS may have it as it is.
fn quoted(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))?;
    let is_plain =
        !inner.is_empty() && !inner.chars().any(|c| c.is_control() || ['"', '\'', '\\'].contains(&c));
    is_plain.then_some(inner)
}

/// `.items[0].price` of jq and `$.items[0].price` of JSONPath as `/items/0/price`; `[]` and `[*]` are `*`.
pub(super) fn pointer_of_path(path: &str) -> Option<String> {
    let path = path.trim();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut pointer = String::new();
    while !rest.is_empty() {
        let (segment, after) = if let Some(after) = rest.strip_prefix(".[").or_else(|| rest.strip_prefix('['))
        {
            let (inner, after) = after.split_at(step_close(after)?);
            let segment = match inner.trim() {
                "" | "*" => "*".to_owned(),
                number if number.bytes().all(|byte| byte.is_ascii_digit()) => number.to_owned(),
                name => segment(quoted(name)?)?,
            };
            (segment, after.strip_prefix(']')?)
        } else if let Some(after) = rest.strip_prefix(".\"") {
            let (name, after) = after.split_once('"')?;
            (segment(name)?, after)
        } else if let Some(after) = rest.strip_prefix(".*") {
            ("*".to_owned(), after)
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            (segment(name).filter(|_| is_name)?, after)
        };
        pointer.push('/');
        pointer.push_str(&segment);
        rest = after;
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// A name as a part of a pointer; `*` would mean all.
fn segment(name: &str) -> Option<String> {
    let is_fit = !name.is_empty() && name != "*" && !name.contains('\\');
    is_fit.then(|| name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_copies_is_a_css_selector() {
        for (path, css) in [
            ("/html/body/main", Some("html > body > main")),
            ("/html/body/div[2]/p", Some("html > body > div:nth-of-type(2) > p")),
            ("//*[@id=\"price\"]/span[1]", Some("*[id=\"price\"] > span:nth-of-type(1)")),
            ("xpath://div[contains(@class, 'news')]//h2", Some("div[class*=\"news\"] h2")),
            ("//a[@href='/a/b']", Some("a[href=\"/a/b\"]")),
            ("//li[@data-id]", Some("li[data-id]")),
            ("//div[@id='a'][2]", None),
            ("//div/text()", None),
            ("(//div)[1]", None),
            ("//div[last()]", None),
            ("//a | //b", None),
            ("/body", None),
            ("//div[@id='a\"]b']", None),
            ("//item/media:keywords", None),
            ("//div[", None),
            ("", None),
        ] {
            assert_eq!(css_of_xpath(path).as_deref(), css, "{path}");
        }
    }

    #[test]
    fn a_plain_path_into_json_is_a_pointer() {
        for (path, pointer) in [
            (".price", Some("/price")),
            (".items[0].\"a/b\"", Some("/items/0/a~1b")),
            (".[].title", Some("/*/title")),
            (".items[].n", Some("/items/*/n")),
            ("$.store.book[*].price", Some("/store/book/*/price")),
            ("$['a b'].c", Some("/a b/c")),
            ("$..price", None),
            (".a | length", None),
            (".a-b", None),
            (".[-1]", None),
            (".[1:3]", None),
            (".", None),
            ("$", None),
            ("", None),
        ] {
            assert_eq!(pointer_of_path(path).as_deref(), pointer, "{path}");
        }
    }
}
