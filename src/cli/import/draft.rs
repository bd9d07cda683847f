//! What has been read of another program's watches, on its way into a file.

use serde_json::{Map, Value as Json};
use toml::{Table, Value};

/// All that was found in a file.
#[derive(Default)]
pub(super) struct Haul {
    pub(super) drafts: Vec<Draft>,
    /// What becomes no watch.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notifiers: Vec<Notifier>,
    /// What was not carried over of settings that all watches share.
    pub(super) shared: Vec<String>,
}

/// One watch.
#[derive(Default)]
pub(super) struct Draft {
    /// Where it stood: `line 12`.
    pub(super) place: String,
    /// What people call it.
    pub(super) title: Option<String>,
    /// `page`, `json` or `shop`.
    pub(super) kind: Kind,
    pub(super) url: String,
    /// Of its source, beside kind and address.
    pub(super) source: Vec<(&'static str, Value)>,
    /// None for the usual one of its source.
    pub(super) strategies: Vec<Vec<(&'static str, Value)>>,
    /// Its other keys.
    pub(super) keys: Vec<(&'static str, Value)>,
    /// What was not carried over.
    pub(super) lost: Vec<String>,
    /// What was carried over, and is not quite the same.
    pub(super) notes: Vec<String>,
    /// Why it is of no use as it is.
    pub(super) blocked: Option<String>,
}

/// The sources that are asked at an address of one's own.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Page,
    Json,
    Shop,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Json => "json",
            Self::Shop => "shop",
        }
    }
}

/// What becomes no watch, and why.
pub(super) struct LeftOut {
    /// What it was called, or where it stood.
    pub(super) name: String,
    pub(super) why: String,
    /// The watch that it would be, where something outside of it must be changed first.
    pub(super) text: Option<String>,
}

impl LeftOut {
    pub(super) fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), why: why.into(), text: None }
    }
}

/// Whom to tell.
pub(super) struct Notifier {
    pub(super) name: String,
    /// The address it was known by, which is a secret.
    pub(super) from: String,
    pub(super) keys: Vec<(&'static str, Value)>,
}

impl Draft {
    pub(super) fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }

    pub(super) fn lose(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }

    pub(super) fn ask_with(&mut self, key: &'static str, value: impl Into<Value>) {
        self.source.retain(|(known, _)| *known != key);
        self.source.push((key, value.into()));
    }

    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.retain(|(known, _)| *known != key);
        self.keys.push((key, value.into()));
    }

    pub(super) fn asks_with(&self, key: &str) -> Option<&Value> {
        self.source.iter().find_map(|(known, value)| (*known == key).then_some(value))
    }

    /// A header, unless there is one of this name; says whether it was set.
    pub(super) fn usual_header(&mut self, name: &str, value: &str) -> bool {
        let mut headers = self.asks_with("headers").and_then(Value::as_table).cloned().unwrap_or_default();
        let is_new = !headers.keys().any(|known| known.eq_ignore_ascii_case(name));
        if is_new {
            headers.insert(name.into(), value.into());
            self.ask_with("headers", headers);
        }
        is_new
    }

    /// How often it looks, as it is written.
    pub(super) fn every(&self) -> Option<&Value> {
        self.keys.iter().find_map(|(key, value)| (*key == "every").then_some(value))
    }

    /// Moves are measured from one look to the next.
    pub(super) fn measure_by_every(&mut self) {
        let Some(every) = self.every().cloned() else { return };
        for strategy in &mut self.strategies {
            if strategy.iter().any(|(key, value)| *key == "kind" && value.as_str() == Some("percent_change"))
            {
                strategy.retain(|(key, _)| *key != "window");
                strategy.push(("window", every.clone()));
            }
        }
    }

    /// Headers or cookies. A table of a single `file` or `credential` would be read from outside.
    pub(super) fn send(&mut self, key: &'static str, values: &Map<String, Json>) {
        let mut sent = Table::new();
        for (name, value) in values {
            match plain(value) {
                _ if ["file", "credential"].contains(&name.as_str()) => {
                    self.lose(format!("{key}: one named `{name}`, which here says where a value lies"));
                }
                _ if sent.keys().any(|known| known.eq_ignore_ascii_case(name) && key == "headers") => {
                    self.lose(format!("{key}: a second `{name}`"));
                }
                Some(value) => {
                    sent.insert(name.clone(), value.into());
                }
                None if value.is_null() => {}
                None => self.lose(format!("{key}: `{name}`, which is neither a text nor a number")),
            }
        }
        if !sent.is_empty() {
            self.ask_with(key, sent);
        }
    }

    pub(super) fn tag(&mut self, tags: &[String]) {
        let tags: Vec<&str> = tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty()).collect();
        if !tags.is_empty() {
            self.label("tag", &tags.join(", "));
        }
    }

    pub(super) fn label(&mut self, name: &str, text: &str) {
        let labels = self.keys.iter().find(|(key, _)| *key == "labels");
        let mut labels = labels.and_then(|(_, value)| value.as_table()).cloned().unwrap_or_default();
        labels.insert(name.into(), cleaned(text, 200).into());
        self.set("labels", labels);
    }

    /// What to call it where nobody named it.
    pub(super) fn called(&self) -> String {
        let title = self.title.as_deref().map(|title| cleaned(title, 60)).filter(|title| !title.is_empty());
        title.unwrap_or_else(|| self.place.clone())
    }
}

/// The keys of another program's table; each is taken out once, and what is left was not understood.
pub(super) struct Keys(pub(super) Map<String, Json>);

impl Keys {
    /// A value, where there is one that says something.
    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        self.0.remove(key).filter(is_set)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        let text = plain(&value);
        if text.is_none() {
            // Told with what else is left.
            self.0.insert(key.into(), value);
        }
        text
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.0.get(key)?;
        let flag = truth(value)?;
        self.0.remove(key);
        Some(flag)
    }

    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        let number = number(self.0.get(key)?)?;
        self.0.remove(key);
        Some(number)
    }

    pub(super) fn map(&mut self, key: &str) -> Option<Map<String, Json>> {
        match self.take(key)? {
            Json::Object(map) => Some(map),
            other => {
                self.0.insert(key.into(), other);
                None
            }
        }
    }

    /// One text or a list of them. What is no text stays, and is told with what else is left.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let items = match self.take(key) {
            Some(Json::Array(items)) => items,
            Some(value) => vec![value],
            None => return Vec::new(),
        };
        let (texts, others): (Vec<Json>, Vec<Json>) =
            items.into_iter().filter(is_set).partition(|item| plain(item).is_some());
        if !others.is_empty() {
            self.0.insert(key.into(), others.into());
        }
        texts.iter().filter_map(plain).collect()
    }

    pub(super) fn forget(&mut self, keys: &[&str]) {
        self.0.retain(|key, _| !keys.contains(&key.as_str()));
    }

    /// Lists what is left: each key with what is known of it, or as unknown.
    pub(super) fn list_left(self, known: &[(&str, &str)], lose: &mut dyn FnMut(String)) {
        for (key, _) in self.0.iter().filter(|(_, value)| is_set(value)) {
            let words = words_of(known, key).unwrap_or("nothing is known of this key");
            lose(format!("{}: {words}", cleaned(key, 60)));
        }
    }
}

/// What is known of a key.
pub(super) fn words_of<'w>(known: &[(&str, &'w str)], key: &str) -> Option<&'w str> {
    known.iter().find_map(|(name, words)| (*name == key).then_some(*words))
}

pub(super) fn is_set(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.trim().is_empty(),
        Json::Array(items) => items.iter().any(is_set),
        Json::Object(map) => map.values().any(is_set),
        Json::Bool(true) | Json::Number(_) => true,
    }
}

/// A text, or what is written as one.
pub(super) fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

pub(super) fn truth(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(yes) => Some(*yes),
        Json::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some(true),
            "false" | "no" | "off" | "n" | "0" => Some(false),
            _ => None,
        },
        Json::Number(number) => match number.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn number(value: &Json) -> Option<f64> {
    let number = match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// A foreign text in one line for people: nothing in it moves a cursor or hides what is beside it.
pub(super) fn cleaned(text: &str, longest: usize) -> String {
    let shown = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    // A text may be much longer than what is shown of it.
    let shown: String = shown.take(longest.saturating_mul(4)).collect();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= longest {
        return words;
    }
    words.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_foreign_text_stays_on_its_line() {
        assert_eq!(cleaned("a\r\nb\u{1b}[31m\u{202e}c\u{85}\u{2028}d", 60), "a b [31m c d");
        assert_eq!(cleaned("abcdef", 4), "abc…");
    }

    #[test]
    fn what_says_nothing_is_not_listed() {
        let Json::Object(map) =
            json!({"a": null, "b": false, "c": "", "d": [], "e": {"f": null}, "g": 1, "h": true})
        else {
            panic!("no object")
        };
        let mut lost = Vec::new();
        Keys(map).list_left(&[("g", "is known")], &mut |what| lost.push(what));
        assert_eq!(lost, ["g: is known", "h: nothing is known of this key"]);
    }

    #[test]
    fn a_header_named_like_a_reference_is_not_carried_over() {
        let Json::Object(map) = json!({"file": "/etc/passwd"}) else { panic!("no object") };
        let mut draft = Draft::new("line 1");
        draft.send("headers", &map);
        assert!(draft.source.is_empty() && draft.lost.len() == 1);
    }
}
