//! The keys of a table in rows, as people read them.

use serde_json::Value;

/// One key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name; `retention.runs` for a key of a table within.
    pub key: String,
    /// What it takes, in words: `length of time`, `list of texts`.
    pub takes: String,
    /// What holds without it, as it would be written.
    pub default: Option<String>,
    /// Whether it must be there.
    pub required: bool,
    /// What it means, in sentences.
    pub meaning: String,
}

/// The rows of a table, those of the tables within it behind theirs.
#[must_use]
pub fn rows(table: &Value) -> Vec<KeyRow> {
    let required = table.get("required").and_then(Value::as_array);
    let mut found = Vec::new();
    for (key, schema) in table.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let within = rows(schema);
        found.push(KeyRow {
            key: key.clone(),
            takes: takes(schema),
            default: schema.get("default").filter(|_| within.is_empty()).map(written),
            required: required.is_some_and(|required| required.iter().any(|name| name == key)),
            meaning: meaning(schema),
        });
        found.extend(within.into_iter().map(|row| KeyRow { key: format!("{key}.{}", row.key), ..row }));
    }
    found
}

fn takes(schema: &Value) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    if let Some(title) = text("title") {
        return title.to_owned();
    }
    let words = words(schema);
    if !words.is_empty() {
        return one_of(&words.iter().map(|(word, _)| written(word)).collect::<Vec<_>>());
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return one_or_list(choices)
            .unwrap_or_else(|| one_of(&choices.iter().map(takes).collect::<Vec<_>>()));
    }
    match text("type") {
        Some("string") if text("format") == Some("uri") => "address".into(),
        Some("string") => "text".into(),
        Some("boolean") => "true or false".into(),
        Some("integer") => "whole number".into(),
        Some("number") => "number".into(),
        Some("array") => format!("list of {}", schema.get("items").map_or("anything".into(), several)),
        _ => match values(schema) {
            Some(values) => format!("table of {}", several(values)),
            None => "table".into(),
        },
    }
}

/// What a table takes for any key.
fn values(schema: &Value) -> Option<&Value> {
    let by_name =
        schema.get("patternProperties").and_then(Value::as_object).and_then(|names| names.values().next());
    by_name.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
}

fn several(schema: &Value) -> String {
    let one = takes(schema);
    // A list of lists, lengths of time: the first word is what there are several of.
    let (first, rest) = match one.find(" of ") {
        Some(at) => one.split_at(at),
        None => (one.as_str(), ""),
    };
    match first {
        _ if first.ends_with('"') => one,
        "hours" | "exchange or hours" | "anything" => one,
        "proxy" => format!("proxies{rest}"),
        _ if first.ends_with('s') => format!("{first}es{rest}"),
        _ => format!("{first}s{rest}"),
    }
}

/// Many words, one of them or a list, are named once.
fn one_or_list(choices: &[Value]) -> Option<String> {
    let [one, list] = choices else { return None };
    let named = words(one);
    let is_list_of_it = named.len() > 2 && list.get("items") == Some(one);
    is_list_of_it.then(|| format!("{}, or a list of these", takes(one)))
}

fn one_of(choices: &[String]) -> String {
    match choices {
        [one, other] => format!("{one} or {other}"),
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => choices.concat(),
    }
}

/// The words that a key may be, each with what is said about it.
fn words(schema: &Value) -> Vec<(&Value, Option<&str>)> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let about = schema.get("description").and_then(Value::as_str);
    let constant = schema.get("const").map(|word| (word, about));
    constant
        .into_iter()
        .chain(list("enum").map(|word| (word, None)))
        .chain(list("oneOf").flat_map(words))
        .collect()
}

fn meaning(schema: &Value) -> String {
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let within = schema.get("items").unwrap_or(schema);
    let words = if schema.get("const").is_some() { Vec::new() } else { words(within) };
    let words =
        words.into_iter().filter_map(|(word, about)| Some(format!("`{}`: {}", written(word), lower(about?))));
    std::iter::once(about.to_owned())
        .chain(words)
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// As it stands in TOML.
fn written(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_key_takes_is_said_in_words() {
        for (schema, expected) in [
            (json!({ "type": "string" }), "text"),
            (json!({ "title": "length of time", "type": "string" }), "length of time"),
            (json!({ "type": "array", "items": { "type": "string", "format": "uri" } }), "list of addresses"),
            (
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
                "text or list of texts",
            ),
            (
                json!({ "oneOf": [{ "const": "a" }, { "const": "b" }, { "const": "c" }] }),
                "\"a\", \"b\" or \"c\"",
            ),
            (
                json!({ "anyOf": [
                    { "enum": ["a", "b", "c"] },
                    { "type": "array", "items": { "enum": ["a", "b", "c"] } },
                ] }),
                "\"a\", \"b\" or \"c\", or a list of these",
            ),
            (json!({ "type": "array", "items": { "title": "length of time" } }), "list of lengths of time"),
            (json!({ "type": "array", "items": { "title": "hours" } }), "list of hours"),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), "table of texts"),
        ] {
            assert_eq!(takes(&schema), expected);
        }
    }

    #[test]
    fn a_table_within_has_rows_of_its_own() {
        let table = json!({ "required": ["a"], "properties": {
            "a": { "type": "number", "default": 20.0, "description": "One." },
            "b": { "type": "object", "properties": { "c": { "type": "boolean" } } },
        } });
        let rows = rows(&table);
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "b.c"]);
        assert_eq!(
            (rows[0].default.as_deref(), rows[0].required, &*rows[0].meaning),
            (Some("20"), true, "One.")
        );
    }
}
