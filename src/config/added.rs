//! A watch that somebody adds while the daemon runs, beside those of the files.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::secrets::mask_secrets;
use super::{File, Mistake, Mistakes};

/// The largest table of a watch that is added.
const LONGEST: usize = 64 << 10;

/// A watch that is added, as a file of the configuration, which it joins. It says the same with the keys of a
/// `[watch.NAME]` table as it would in a file, but refers to nothing outside it and holds no secret: what is
/// stored can be read by whoever may look at the watch.
///
/// # Errors
/// What may not stand in it. The rest is found when it is built.
pub fn added_watch(name: &str, table: &Map<String, Value>) -> Result<File, Mistakes> {
    let mut mistakes = Mistakes::default();
    let file = path_of(name);
    let mut refuse = |key: &str, message: &str| {
        let place = format!("watch `{name}`");
        let place = if key.is_empty() { place } else { format!("{place}: {key}") };
        mistakes.push(Mistake { file: file.clone(), line: None, place, message: message.to_owned() });
    };
    let table = Value::Object(table.clone());
    let mut masked = table.clone();
    mask_secrets(&mut masked);
    look("", &table, &masked, &mut refuse);
    if table.pointer("/source/proxy").is_some_and(|proxy| proxy != "") {
        // It may be at an address that is asked of nobody else.
        refuse("source.proxy", "only a file may name a proxy; write such a watch into the file");
    }
    if table.get("was").is_some() {
        refuse(
            "was",
            "a watch that is added takes over no other's history; such a watch belongs into the file",
        );
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let whole = serde_json::json!({"watch": {name: table}});
    match toml::to_string(&whole) {
        Ok(text) if text.len() <= LONGEST => Ok(added_file(name, text)),
        Ok(_) => {
            let message = "is larger than 64 KiB; such a watch belongs into the file".to_owned();
            let place = format!("watch `{name}`");
            Err(Mistakes::of(Mistake { file: path_of(name), line: None, place, message }))
        }
        Err(error) => {
            let message = format!("cannot be written as TOML: {error}");
            let place = format!("watch `{name}`");
            Err(Mistakes::of(Mistake { file: path_of(name), line: None, place, message }))
        }
    }
}

/// The file that an added watch is, by its name and its TOML.
#[must_use]
pub fn added_file(name: &str, text: String) -> File {
    File { path: path_of(name), text }
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(format!("watch `{name}`, added here"))
}

/// Looks for what may only stand in a file, beside the same value without its secrets.
fn look(key: &str, value: &Value, masked: &Value, refuse: &mut dyn FnMut(&str, &str)) {
    let within = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Null => refuse(key, "there is no `null` here; leave the key out instead"),
        Value::String(text) if text.contains("${") => refuse(
            key,
            "refers to a variable of the environment, which only a file may; write such a watch into the file",
        ),
        Value::Object(table) if is_reference(table) => refuse(
            key,
            "refers to a file or a credential, which only a file may; write such a watch into the file",
        ),
        Value::Object(table) => {
            for (name, value) in table {
                look(&within(name), value, masked.get(name).unwrap_or(&Value::Null), refuse);
            }
        }
        Value::Array(items) if masked.is_array() => {
            for (index, item) in items.iter().enumerate() {
                let masked = masked.get(index).unwrap_or(&Value::Null);
                look(&format!("{key}[{index}]"), item, masked, refuse);
            }
        }
        value if value != masked => refuse(
            key,
            "holds a secret, which everybody could read who may look at the watch; write such a watch into the \
             file",
        ),
        _ => {}
    }
}

/// What the files read from elsewhere: a table of only `file` or only `credential`.
fn is_reference(table: &Map<String, Value>) -> bool {
    let mut keys = table.iter();
    matches!((keys.next(), keys.next()), (Some((key, Value::String(_))), None) if key == "file" || key == "credential")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn added(table: Value) -> Result<String, Vec<String>> {
        let Value::Object(table) = table else { panic!("no table") };
        added_watch("gpu", &table)
            .map(|file| file.text)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_table_in_json_becomes_the_same_table_in_toml() {
        let text = added(json!({
            "every": "1m", "labels": {"team": "home"}, "urgent": true, "after": 2,
            "source": {"kind": "newegg", "url": "https://shop.example/p?d=rtx+3070&q=%22a%22", "headers": {"Accept": "*/*"}},
            "strategy": [{"kind": "price_drop", "below": 1.5}, {"kind": "restock"}],
        }))
        .unwrap();
        let table: toml::Table = text.parse().unwrap();
        let watch = &table["watch"]["gpu"];
        assert_eq!(watch["every"].as_str(), Some("1m"));
        assert_eq!(watch["after"].as_integer(), Some(2));
        assert_eq!(watch["source"]["url"].as_str(), Some("https://shop.example/p?d=rtx+3070&q=%22a%22"));
        assert_eq!(watch["strategy"][0]["below"].as_float(), Some(1.5));
    }

    #[test]
    fn a_name_is_quoted_whatever_stands_in_it() {
        for name in ["a.b", "a\"]\n[daemon]", "with space", "ü"] {
            let file = added_watch(name, &Map::new()).unwrap();
            let table: toml::Table = file.text.parse().unwrap();
            assert_eq!(table.keys().collect::<Vec<_>>(), ["watch"], "{name}");
            assert!(table["watch"].as_table().unwrap().contains_key(name));
        }
    }

    #[test]
    fn secrets_and_references_belong_into_a_file_and_each_is_told_with_its_key() {
        for (source, key) in [
            (json!({"kind": "finnhub", "token": "abc"}), "source.token"),
            (json!({"kind": "page", "url": "https://me:pass@shop.example/"}), "source.url"),
            (json!({"kind": "page", "url": "https:me:pass@shop.example/"}), "source.url"),
            (json!({"kind": "page", "url": "https:\\\\me:pass@shop.example/"}), "source.url"),
            (json!({"kind": "page", "url": "https:///me:pass@shop.example/"}), "source.url"),
            (json!({"kind": "page", "url": " https:/shop.example/?api_key=abc"}), "source.url"),
            (json!({"kind": "page", "url": "https://shop.example/?api_key=abc"}), "source.url"),
            (
                json!({"kind": "page", "headers": {"Authorization": "Bearer abc"}}),
                "source.headers.Authorization",
            ),
            (json!({"kind": "page", "cookies": {"session": "abc"}}), "source.cookies.session"),
            (json!({"kind": "page", "body": "{\"password\": \"abc\"}"}), "source.body"),
            (json!({"kind": "page", "url": "https://${HOME}/"}), "source.url"),
            (json!({"kind": "page", "url": {"file": "/etc/passwd"}}), "source.url"),
            (json!({"kind": "page", "url": {"credential": "token"}}), "source.url"),
            (json!({"kind": "page", "symbols": ["A", "${TOKEN}"]}), "source.symbols[1]"),
            (json!({"kind": "page", "proxy": "http://127.0.0.1:22"}), "source.proxy"),
        ] {
            let mistakes = added(json!({"every": "1m", "source": source})).unwrap_err();
            let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
            assert!(mistake.contains(&format!("watch `gpu`: {key}: ")), "{mistake}");
            assert!(mistake.contains("write such a watch into the file"), "{mistake}");
            assert!(!mistake.contains("abc") && !mistake.contains("pass@"), "{mistake}");
        }
        let both = added(json!({"was": "b", "every": null})).unwrap_err();
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
