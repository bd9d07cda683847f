//! Tries what was read with the configuration's own reader, and takes out what it does not understand.

use std::net::{IpAddr, Ipv4Addr};

use toml::Value;
use url::{Host, Url};

use super::draft::{Draft, Kind, LeftOut, Notifier, cleaned};
use crate::config::File;
use crate::http;
use crate::watchlist::Watchlist;

/// Addresses of one's own network are good ones: a note says how they are allowed.
const OPEN: &str = "[fetch]\nallow_private_networks = true\n";

/// The first mistake in a configuration, if there is one.
pub(super) fn mistake(text: &str) -> Option<String> {
    let file = File { path: "import.toml".into(), text: format!("{OPEN}{text}") };
    let mistakes = Watchlist::build(&[file], &|_| None).err()?;
    let first = mistakes.iter().next().map(|mistake| mistake.message.clone());
    Some(first.unwrap_or_else(|| "it is not understood".into()))
}

impl Draft {
    /// Takes out what is not understood, and lists it.
    ///
    /// # Errors
    /// When nothing is left that could be watched; where something outside of the watch must change first, with
    /// its text. `notifiers` are those that it may name.
    pub(super) fn fit(&mut self, name: &str, notifiers: &[Notifier]) -> Result<(), LeftOut> {
        let left_out = |why: String| LeftOut::new(name, cleaned(&why, 240));
        let secrets = self.not_repeated();
        let wrong = |draft: &Self| {
            let named: String =
                notifiers.iter().filter(|one| draft.tells(&one.name)).map(Notifier::text).collect();
            mistake(&format!("{named}{}", draft.table(name))).map(|why| discreet(&why, &secrets))
        };
        if wrong(self).is_some() {
            self.drop_faults(&wrong).map_err(left_out)?;
        }
        match self.blocked.take() {
            None => Ok(()),
            Some(why) => Err(LeftOut { text: Some(self.table(name)), ..left_out(why) }),
        }
    }

    fn tells(&self, notifier: &str) -> bool {
        let named = self.keys.iter().find_map(|(key, value)| (*key == "notify").then(|| value.as_array())?);
        named.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(notifier)))
    }

    /// Texts of it that may hold secrets, the longest first.
    fn not_repeated(&self) -> Vec<String> {
        let mut texts = vec![self.url.clone()];
        for (key, value) in &self.source {
            match value {
                Value::Table(table) => {
                    texts.extend(table.values().filter_map(Value::as_str).map(str::to_owned));
                }
                Value::String(text) if !["select", "pointer", "method"].contains(key) => {
                    texts.push(text.clone())
                }
                _ => {}
            }
        }
        texts.retain(|text| text.len() > 3);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts
    }

    /// The address in one's own network that it asks, which the configuration must allow.
    pub(super) fn private_address(&self) -> Option<IpAddr> {
        let url = Url::parse(&self.url).ok()?;
        http::refusal(&url, &http::Settings::default())?;
        Some(match url.host()? {
            Host::Ipv4(v4) => v4.into(),
            Host::Ipv6(v6) => IpAddr::from(v6).to_canonical(),
            Host::Domain(_) => Ipv4Addr::LOCALHOST.into(),
        })
    }

    /// Takes out each part with which alone the watch is not understood.
    fn drop_faults(&mut self, mistake: &dyn Fn(&Self) -> Option<String>) -> Result<(), String> {
        let bare = |draft: &Self| Self {
            kind: draft.kind,
            url: draft.url.clone(),
            source: draft.source.iter().filter(|(key, _)| *key == "pointer").cloned().collect(),
            keys: vec![("every", "1h".into())],
            ..Self::default()
        };
        if let Some(why) = mistake(&bare(self)) {
            return Err(why);
        }
        for (key, value) in std::mem::take(&mut self.source) {
            let with = |draft: &Self, value: Value| {
                let mut tried = bare(draft);
                tried.ask_with(key, value);
                mistake(&tried)
            };
            if key == "pointer" {
                self.source.push((key, value));
                continue;
            }
            match (with(self, value.clone()), value) {
                (None, value) => self.source.push((key, value)),
                // Of several headers or cookies, only those that are not understood.
                (Some(_), Value::Table(table)) => {
                    let mut kept = toml::Table::new();
                    for (name, value) in table {
                        let one = toml::Table::from_iter([(name.clone(), value.clone())]);
                        match with(self, one.into()) {
                            None => drop(kept.insert(name, value)),
                            Some(why) => {
                                self.lose(format!("{key}: `{}`: {}", cleaned(&name, 60), cleaned(&why, 160)))
                            }
                        }
                    }
                    if !kept.is_empty() {
                        self.source.push((key, kept.into()));
                    }
                }
                (Some(why), _) => self.lose(format!("{key}: {}", cleaned(&why, 200))),
            }
        }
        for (key, value) in std::mem::take(&mut self.keys) {
            let mut tried = bare(self);
            tried.set(key, value.clone());
            match mistake(&tried) {
                None => self.keys.push((key, value)),
                Some(why) => {
                    self.lose(format!("{key}: {}", cleaned(&why, 200)));
                    if key == "every" {
                        self.keys.push((key, "1h".into()));
                    }
                }
            }
        }
        self.measure_by_every();
        for strategy in std::mem::take(&mut self.strategies) {
            let tried = Self { strategies: vec![strategy.clone()], ..bare(self) };
            match mistake(&tried) {
                None => self.strategies.push(strategy),
                Some(why) => self.lose(format!("strategy: {}", cleaned(&why, 200))),
            }
        }
        let Some(why) = mistake(self) else { return Ok(()) };
        // Two that do not go together, such as hours that are shorter than `every`, or a cookie said twice.
        for key in ["hours", "timezone", "cookies", "proxy", "subject"] {
            let kept = (self.source.clone(), self.keys.clone());
            self.source.retain(|(known, _)| *known != key);
            self.keys.retain(|(known, _)| *known != key);
            let is_gone = kept.0.len() != self.source.len() || kept.1.len() != self.keys.len();
            if is_gone && mistake(self).is_none() {
                self.lose(format!("{key}: {}", cleaned(&why, 200)));
                return Ok(());
            }
            (self.source, self.keys) = kept;
        }
        Err(why)
    }

    /// `${` begins the name of a variable in a configuration, and there is no other way to write it.
    pub(super) fn drop_references(&mut self) {
        self.url = self.url.replace("${", "$%7B");
        let mut lost = Vec::new();
        self.source.retain_mut(|(key, value)| {
            if let Value::Table(table) = value {
                table.retain(|name, value| {
                    let is_one = refers(value);
                    if is_one {
                        lost.push(format!(
                            "{key}: `{}`: holds a `${{`, which here begins a variable",
                            cleaned(name, 60)
                        ));
                    }
                    !is_one
                });
                return !table.is_empty();
            }
            let is_one = refers(value);
            if is_one {
                lost.push(format!("{key}: holds a `${{`, which here begins a variable"));
            }
            !is_one
        });
        for (_, value) in &mut self.keys {
            if let Value::Table(table) = value {
                for (_, value) in table.iter_mut() {
                    if let Value::String(text) = value {
                        *text = text.replace("${", "$ {");
                    }
                }
            }
        }
        if self.kind == Kind::Json && self.asks_with("pointer").is_none() {
            self.kind = Kind::Page;
            self.strategies.clear();
            self.notes.clear();
        }
        for what in lost {
            self.lose(what);
        }
    }
}

/// A mistake without what it repeats of addresses and of what is sent with them.
fn discreet(why: &str, secrets: &[String]) -> String {
    let why = secrets.iter().fold(why.to_owned(), |why, secret| why.replace(secret.as_str(), "…"));
    let words: Vec<&str> =
        why.split(' ').map(|word| if word.contains("://") && word.len() > 12 { "…" } else { word }).collect();
    words.join(" ")
}

fn refers(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${"))
}
