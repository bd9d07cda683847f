//! Keeps secrets out of what is shown and stored: one pass over a text, however many secrets there are.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use url::form_urlencoded;

use super::secrets::MASK;

/// What is shorter is no secret, and leaving it out of every text would spoil them.
const SHORTEST: usize = 6;

/// Values that are shown nowhere, in each form that a server may repeat them in: those of the whole
/// configuration, which all share, and beside them a watch's own.
#[derive(Clone, Default)]
pub struct Secrets {
    shared: Arc<Forms>,
    own: Arc<Forms>,
}

/// In order, each once.
#[derive(Default)]
struct Forms {
    all: Vec<String>,
    longest: usize,
    search: OnceLock<Option<AhoCorasick>>,
}

impl Secrets {
    /// Those of the whole configuration. What came from outside the files counts from four bytes on; what is
    /// written out, from six.
    #[must_use]
    pub fn new<'v>(
        from_outside: impl IntoIterator<Item = &'v String>,
        written_out: impl IntoIterator<Item = &'v String>,
    ) -> Self {
        let written_out = written_out.into_iter().filter(|value| value.len() >= SHORTEST);
        let all = from_outside.into_iter().chain(written_out).flat_map(|value| forms(value)).collect();
        Self { shared: Arc::new(Forms::new(all)), own: Arc::default() }
    }

    /// The same with some beside them that are written out.
    #[must_use]
    pub fn with<'v>(&self, own: impl IntoIterator<Item = &'v String>) -> Self {
        let own = own.into_iter().filter(|value| value.len() >= SHORTEST).flat_map(|value| forms(value));
        let own: Vec<String> = own.filter(|form| self.shared.all.binary_search(form).is_err()).collect();
        let own = if own.is_empty() { Arc::default() } else { Arc::new(Forms::new(own)) };
        Self { shared: Arc::clone(&self.shared), own }
    }

    /// Whether a text holds one of them.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let holds = |forms: &Forms| forms.search().is_some_and(|search| search.is_match(text));
        holds(&self.shared) || holds(&self.own)
    }

    /// The text with all of them left out.
    #[must_use]
    pub fn concealed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        without(text, self.found_in(text))
    }

    /// The same for a short text that was cut off: also without the beginning of one right before a `…`.
    #[must_use]
    pub fn concealed_in_excerpt<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.found_in(text);
        for (end, _) in text.match_indices('…') {
            let starts = [&self.shared, &self.own].into_iter().filter_map(|forms| forms.cut_off(text, end));
            found.extend(starts.min().map(|start| start..end));
        }
        without(text, found)
    }

    fn found_in(&self, text: &str) -> Vec<Range<usize>> {
        let searches = [&self.shared, &self.own].into_iter().filter_map(|forms| forms.search());
        searches.flat_map(|search| search.find_overlapping_iter(text).map(|found| found.range())).collect()
    }
}

impl Forms {
    fn new(mut all: Vec<String>) -> Self {
        all.sort_unstable();
        all.dedup();
        let longest = all.iter().map(String::len).max().unwrap_or(0);
        Self { all, longest, search: OnceLock::new() }
    }

    /// Made when it is first needed: a check of the configuration needs none.
    fn search(&self) -> Option<&AhoCorasick> {
        let made = || {
            let mut builder = AhoCorasick::builder();
            // A long one may hold a shorter one, and one may begin within another.
            builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
            builder.build(&self.all).ok()
        };
        if self.all.is_empty() { None } else { self.search.get_or_init(made).as_ref() }
    }

    /// Where the longest beginning of one starts that ends here.
    fn cut_off(&self, text: &str, end: usize) -> Option<usize> {
        let begins = |piece: &str| {
            let at = self.all.partition_point(|form| form.as_str() < piece);
            self.all.get(at).is_some_and(|form| form.starts_with(piece))
        };
        let last = end.checked_sub(SHORTEST)?;
        (end.saturating_sub(self.longest)..=last).find(|start| text.get(*start..end).is_some_and(begins))
    }
}

/// The text without these parts of it.
fn without(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        // What begins within the one before is left out with it.
        if range.start >= end {
            shown.push_str(text.get(end..range.start).unwrap_or_default());
            shown.push_str(MASK);
        }
        end = end.max(range.end);
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(shown)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.shared.all.len().saturating_add(self.own.all.len()))
    }
}

/// As it is, escaped as in an address and as in JSON, and on one line.
fn forms(value: &str) -> Vec<String> {
    let in_query: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let in_json = serde_json::Value::from(value).to_string();
    let mut forms = vec![
        value.to_owned(),
        value.split_whitespace().collect::<Vec<_>>().join(" "),
        in_query.replace('+', "%20"),
        in_query,
        in_json.trim_matches('"').to_owned(),
    ];
    forms.retain(|form| form.len() >= 4);
    forms
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_secret_is_left_out_however_it_is_repeated() {
        let of_all = "{\"query\": \"a b\",\n \"key\": \"k3y-0123456789\"}".to_owned();
        let own = ["Bearer t0ken-abcdef".to_owned(), "t0ken-abcdef".into(), "short".into()];
        let secrets = Secrets::new([&of_all], []).with(&own);
        for (text, shown) in [
            ("HTTP 401: no t0ken-abcdef here", "HTTP 401: no [secret] here"),
            ("HTTP 401: Bearer t0ken-abcdef", "HTTP 401: [secret]"),
            ("cannot read {\"query\": \"a b\", \"key\": \"k3y-0123456789\"}", "cannot read [secret]"),
            ("cannot read {\"query\": \"a b\", \"key\": \"k3y-01…", "cannot read [secret]…"),
            ("too t0ken…; and t0ken-abc…", "too t0ken…; and [secret]…"),
            ("Bearer+t0ken-abcdef", "[secret]"),
            ("a short word", "a short word"),
        ] {
            assert_eq!(secrets.concealed_in_excerpt(text), shown);
            assert_eq!(secrets.are_in(text), text != shown && !text.contains('…'), "{text}");
        }
        let cut = "a text ends with t0ken-abc…";
        assert_eq!(secrets.concealed(cut), cut, "only an excerpt is cut off");
        assert!(!format!("{secrets:?}").contains("t0ken"));
    }

    #[test]
    fn what_overlaps_is_left_out_as_one() {
        let secrets = Secrets::new([&"abcdef-123".to_owned()], []).with(&["123-ghijkl".to_owned()]);
        assert_eq!(secrets.concealed("<abcdef-123-ghijkl>"), "<[secret]>");
    }

    #[test]
    fn a_page_that_repeats_a_secret_all_over_takes_no_time_and_neither_do_thousands_of_secrets() {
        let of_all: Vec<String> = (0..2_000).map(|n| format!("cookie-{n:030}")).collect();
        let all = Secrets::new(&of_all, []);
        let begun = Instant::now();
        let each: Vec<Secrets> = of_all.iter().map(|own| all.with([own])).collect();
        let page = "secretp…".repeat(5_000);
        let secrets = all.with(&["secretpart-0123".to_owned(), "secretp".to_owned()]);
        assert_eq!(secrets.concealed(&page), "[secret]…".repeat(5_000));
        assert_eq!(secrets.concealed_in_excerpt(&page), "[secret]…".repeat(5_000));
        assert!(each.iter().all(|one| one.are_in("cookie-000000000000000000000000001999")));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
