//! The file: what was carried over as TOML, what was not as comments above it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use toml::{Table, Value};
use url::Url;

use super::draft::{Draft, Haul, Kind, LeftOut, Notifier, cleaned};
use crate::config;

/// What a line may be long.
const WIDTH: usize = 110;
/// What a name may be long, in characters; in bytes three times so much.
const LONGEST_NAME: usize = 60;

/// What came out.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) watches: usize,
    /// How many of them lack something.
    pub(super) lacking: usize,
    pub(super) left_out: Vec<LeftOut>,
    /// What was not carried over of settings that all watches share.
    pub(super) shared: Vec<String>,
    /// Whether values stand in it that are nobody's business.
    pub(super) holds_secrets: bool,
    /// What must be allowed of one's own network, as it stands in a configuration.
    pub(super) networks: Option<String>,
}

impl Written {
    /// Whether it is of use to anybody.
    pub(super) fn says_something(&self) -> bool {
        self.watches > 0 || self.left_out.iter().any(|left| left.text.is_some())
    }
}

/// Writes all of it; `every` is how often a watch runs where its file does not say.
pub(super) fn write(mut haul: Haul, every: &str) -> Written {
    let mut private = BTreeSet::new();
    let mut names = Names::default();
    let mut tables = String::new();
    let (mut watches, mut lacking) = (0_usize, 0_usize);
    let mut holds_secrets = !haul.notifiers.is_empty();
    for mut draft in std::mem::take(&mut haul.drafts) {
        let name = names.name(&draft);
        draft.drop_references();
        draft.finish(&name, every);
        match draft.fit(&name, &haul.notifiers) {
            Ok(()) => {
                holds_secrets |= draft.holds_secrets();
                private.extend(draft.private_address());
                watches = watches.saturating_add(1);
                lacking = lacking.saturating_add(usize::from(!draft.lost.is_empty()));
                tables.push('\n');
                tables.push_str(&draft.comments());
                tables.push_str(&draft.table(&name));
            }
            Err(mut left) => {
                if let Some(table) = &mut left.text {
                    holds_secrets |= draft.holds_secrets();
                    *table = draft.comments() + &commented_out(table);
                }
                haul.left_out.push(left);
            }
        }
    }
    let networks = networks(&private);
    let mut text = head(watches, holds_secrets, networks.as_deref());
    for what in &haul.shared {
        comment(&mut text, &format!("not carried over: {what}"));
    }
    for notifier in &haul.notifiers {
        text.push('\n');
        text.push_str(&notifier.text());
    }
    text.push_str(&tables);
    for left in &haul.left_out {
        text.push('\n');
        comment(&mut text, &format!("left out: {}: {}", left.name, left.why));
        text.push_str(left.text.as_deref().unwrap_or_default());
    }
    Written { text, watches, lacking, left_out: haul.left_out, shared: haul.shared, holds_secrets, networks }
}

/// The key that allows these addresses; of many, the networks around them.
fn networks(private: &BTreeSet<IpAddr>) -> Option<String> {
    let around = |address: &IpAddr| match address {
        IpAddr::V4(v4) if private.len() > 8 => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        other => other.to_string(),
    };
    let listed: BTreeSet<String> = private.iter().map(around).collect();
    let listed: Vec<Value> = listed.into_iter().map(Value::from).collect();
    (!listed.is_empty()).then(|| format!("allow_networks = {}", Value::from(listed)))
}

fn head(watches: usize, holds_secrets: bool, networks: Option<&str>) -> String {
    let mut text = String::new();
    comment(&mut text, &format!("{}, by `stakeout import`.", super::count(watches, "watch", "watches")));
    comment(&mut text, "Of a page the text that is shown is compared; white space does not count.");
    comment(&mut text, "What was seen before stays with the other program: each watch begins anew.");
    if let Some(networks) = networks {
        comment(
            &mut text,
            "Some of them look into your own network, which [fetch] of config.toml must allow:",
        );
        let _ = writeln!(text, "#     {networks}");
    }
    if holds_secrets {
        comment(
            &mut text,
            "Secrets of the other program may lie here in the clear: keep the file to yourself, or move",
        );
        comment(
            &mut text,
            "each into a file of its own, credentials/NAME beside the configuration, and write",
        );
        comment(&mut text, "{ credential = \"NAME\" } in its place (or \"${NAME}\" for a variable).");
    }
    text
}

/// What comes back when a `#` is taken from each line.
fn commented_out(table: &str) -> String {
    table.lines().map(|line| format!("#{line}\n")).collect()
}

/// A comment of one line.
fn comment(text: &mut String, words: &str) {
    let _ = writeln!(text, "# {}", cleaned(words, 400));
}

impl Notifier {
    pub(super) fn text(&self) -> String {
        let mut text = format!("[notify.{}]\n", key(&self.name));
        lines(&mut text, &self.keys);
        text
    }
}

impl Draft {
    /// What every watch needs.
    fn finish(&mut self, name: &str, every: &str) {
        // As the address will be asked.
        if let Ok(url) = Url::parse(&self.url) {
            self.url = url.into();
        }
        if self.every().is_none() {
            self.keys.insert(0, ("every", every.into()));
        }
        if self.kind == Kind::Json && self.strategies.is_empty() {
            // Any move since the last time.
            self.strategies.push(vec![("kind", "percent_change".into()), ("by", Value::Float(0.000_001))]);
            self.set("resolved", false);
            self.lose(
                "every change was told, also of texts and of what else the path finds; here each move of a number is, \
                 but none from 0, and of several one after the other the same way only the first (`page` without \
                 `pointer` compares all of the answer)",
            );
        }
        self.measure_by_every();
        self.tell_of_host();
        let title = self.title.as_deref().map(|title| cleaned(title, 120)).unwrap_or_default();
        let names_all =
            self.asks_with("pointer").and_then(Value::as_str).is_some_and(|p| p.split('/').any(|s| s == "*"));
        let is_fit = !title.is_empty() && title != name && !title.starts_with('/') && !title.contains("${");
        if is_fit && self.kind != Kind::Shop && !names_all {
            self.source.insert(0, ("subject", title.into()));
        }
    }

    /// What there is to know about where it looks.
    fn tell_of_host(&mut self) {
        let Ok(url) = Url::parse(&self.url) else { return };
        let Some(host) = url.domain() else { return };
        if host == "newegg.com" || host.ends_with(".newegg.com") {
            self.notes.push(
                "source `newegg` reads stock and prices of these pages, where others are turned away".into(),
            );
        }
        let is_own = !host.contains('.')
            || [".local", ".lan", ".home", ".internal", ".home.arpa"].iter().any(|end| host.ends_with(end));
        if is_own && self.private_address().is_none() {
            self.notes.push(format!(
                "`{}` leads into your own network, as it seems: `allow_networks` of [fetch] must allow its address",
                cleaned(host, 80)
            ));
        }
    }

    /// Its table.
    pub(super) fn table(&self, name: &str) -> String {
        let mut source: Vec<(&str, Value)> =
            vec![("kind", self.kind.name().into()), ("url", self.url.as_str().into())];
        source.extend(self.source.iter().cloned());
        let mut text = format!("[watch.{}]\n", key(name));
        let inline = format!("source = {}", inline(&source));
        let fits = inline.chars().count() <= WIDTH && !inline.contains('\n');
        if fits {
            let _ = writeln!(text, "{inline}");
        }
        lines(&mut text, &self.keys);
        match self.strategies.as_slice() {
            [] => {}
            [only] => {
                let _ = writeln!(text, "strategy = [{}]", self::inline(only));
            }
            several => {
                text.push_str("strategy = [\n");
                for strategy in several {
                    let _ = writeln!(text, "    {},", self::inline(strategy));
                }
                text.push_str("]\n");
            }
        }
        if !fits {
            let _ = writeln!(text, "[watch.{}.source]", key(name));
            lines(&mut text, &source);
        }
        text
    }

    fn comments(&self) -> String {
        let mut text = String::new();
        for what in &self.lost {
            comment(&mut text, &format!("not carried over: {what}"));
        }
        for what in &self.notes {
            comment(&mut text, &format!("note: {what}"));
        }
        text
    }

    /// Whether the configuration would hide something of it.
    fn holds_secrets(&self) -> bool {
        let source = self.source.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let source = source.chain([("url".to_owned(), self.url.as_str().into())]);
        let Ok(shown) = serde_json::to_value(Table::from_iter(source)) else { return true };
        let mut masked = shown.clone();
        config::mask_secrets(&mut masked);
        masked != shown
    }
}

fn lines(text: &mut String, keys: &[(&str, Value)]) {
    for (name, value) in keys {
        let _ = writeln!(text, "{} = {value}", key(name));
    }
}

fn inline(keys: &[(&str, Value)]) -> String {
    let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{} = {value}", key(name))).collect();
    format!("{{ {} }}", keys.join(", "))
}

/// A name as TOML writes it.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_bare {
        return name.to_owned();
    }
    let written =
        toml::to_string(&Table::from_iter([(name.to_owned(), Value::Boolean(true))])).unwrap_or_default();
    written.trim_end().strip_suffix(" = true").unwrap_or("\"\"").to_owned()
}

/// Names that were given, each once.
#[derive(Default)]
struct Names {
    given: HashSet<String>,
    /// The number that was given last to a name that several want.
    last: HashMap<String, usize>,
}

impl Names {
    /// A name that is still free, from what the watch is called or where it looks.
    fn name(&mut self, draft: &Draft) -> String {
        let own = draft.title.as_deref().map(slug).filter(|name| !name.is_empty());
        let of_address = || {
            let url = Url::parse(&draft.url).ok()?;
            let host = url.host_str()?.trim_start_matches("www.").to_owned();
            Some(slug(&format!("{host} {}", url.path()))).filter(|name| !name.is_empty())
        };
        let wanted = own
            .or_else(of_address)
            .unwrap_or_else(|| format!("watch {}", slug(&draft.place)).trim().replace(' ', "-"));
        let mut name = wanted.clone();
        while !self.given.insert(name.clone()) {
            let number = self.last.entry(wanted.clone()).or_insert(1);
            *number = number.saturating_add(1);
            let number = format!("-{number}");
            let start: String = wanted.chars().take(LONGEST_NAME.saturating_sub(number.len())).collect();
            name = format!("{start}{number}");
        }
        name
    }
}

/// Small letters and digits of any script, with `-` between words.
fn slug(text: &str) -> String {
    let mut name = String::new();
    let mut count = 0_usize;
    let mut between = false;
    for c in text.chars().take(400).flat_map(char::to_lowercase) {
        if !c.is_alphanumeric() {
            between = count > 0;
            continue;
        }
        let more = if between { 2 } else { 1 };
        if count.saturating_add(more) > LONGEST_NAME || name.len() > LONGEST_NAME.saturating_mul(3) - 10 {
            break;
        }
        if between {
            name.push('-');
        }
        name.push(c);
        count = count.saturating_add(more);
        between = false;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_each_is_given_once() {
        let mut names = Names::default();
        let mut name = |title: &str, url: &str| {
            let title = Some(title.to_owned()).filter(|title| !title.is_empty());
            names.name(&Draft { title, url: url.into(), ..Draft::default() })
        };
        assert_eq!(name("Town Hall: News!", ""), "town-hall-news");
        assert_eq!(name("town hall news", ""), "town-hall-news-2");
        assert_eq!(name("", "https://www.a.example/x/y.html?q=1"), "a-example-x-y-html");
        assert_eq!(name("Новости", ""), "новости");
        assert_eq!(name("***", "x"), "watch");
        let long = "ab ".repeat(40);
        assert!(name(&long, "").chars().count() <= 60 && name(&long, "").chars().count() <= 60);
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, written) in [("a-b", "a-b"), ("новости", "\"новости\""), ("a \"b\"", "'a \"b\"'")]
        {
            assert_eq!(key(name), written);
        }
    }
}
