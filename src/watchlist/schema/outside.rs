//! Any text may also come from outside the file: `"${NAME}"`, `{ file = "…" }`, `{ credential = "…" }`.

use serde_json::{Map, Value, json};

use super::tidy::parts;

/// What is said about a key and not about one way to write its value.
const ABOUT_THE_KEY: [&str; 4] = ["title", "description", "default", "examples"];

/// Lets every text come from outside.
pub(super) fn allow(schema: &mut Value) {
    if !is_text(schema) {
        for part in parts(schema) {
            allow(part);
        }
        flatten(schema);
        return;
    }
    let Value::Object(keys) = schema else { return };
    let written: Map<String, Value> = std::mem::take(keys)
        .into_iter()
        .filter_map(|(key, value)| {
            if ABOUT_THE_KEY.contains(&key.as_str()) {
                keys.insert(key, value);
                return None;
            }
            Some((key, value))
        })
        .collect();
    let any_text = written.len() == 1 && written.contains_key("type");
    let mut choices = match written.get("oneOf") {
        Some(Value::Array(words)) => words.clone(),
        _ => vec![Value::Object(written)],
    };
    if !any_text {
        choices.push(json!({ "$ref": "#/$defs/with_variable" }));
    }
    choices.push(json!({ "$ref": "#/$defs/from_file" }));
    keys.insert("anyOf".into(), choices.into());
}

/// The definitions that are referred to.
pub(super) fn definitions() -> Map<String, Value> {
    let from = |key: &str, about: &str, example: &str| {
        json!({
            "type": "object",
            "properties": { key: { "description": about, "type": "string", "examples": [example] } },
            "required": [key],
            "additionalProperties": false,
        })
    };
    let file = from(
        "file",
        "The value is what stands in this file; its path is seen from the configuration.",
        "/run/secrets/name",
    );
    let credential = from(
        "credential",
        "The value is what stands in the credential of this name: systemd's, or a file in `credentials` beside the \
         configuration.",
        "discord",
    );
    let mut definitions = Map::new();
    definitions.insert(
        "with_variable".into(),
        json!({
            "description": "A text with values from the environment: \"${NAME}\".",
            "type": "string",
            "pattern": r"\$\{[^}]+\}",
        }),
    );
    definitions.insert(
        "from_file".into(),
        json!({ "description": "A value from outside the configuration.", "oneOf": [file, credential] }),
    );
    definitions
}

fn is_text(schema: &Value) -> bool {
    let choices = schema.get("oneOf").and_then(Value::as_array);
    schema.get("type").is_some_and(|name| name == "string")
        || choices.is_some_and(|choices| !choices.is_empty() && choices.iter().all(is_text))
}

/// A choice of a choice is one of all of them.
fn flatten(schema: &mut Value) {
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    let mut flat: Vec<Value> = Vec::new();
    for mut choice in std::mem::take(choices) {
        match choice.get_mut("anyOf").map(Value::take) {
            Some(Value::Array(inner)) => {
                flat.extend(inner.into_iter().filter(|inner| !flat.contains(inner)).collect::<Vec<_>>())
            }
            _ => flat.push(choice),
        }
    }
    *choices = flat;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_come_from_outside_and_a_number_may_not() {
        let mut table = json!({ "properties": {
            "url": { "description": "Where.", "type": "string" },
            "every": { "type": "string", "pattern": "s$" },
            "port": { "type": "integer" },
        } });
        allow(&mut table);
        let choices = |key: &str| table["properties"][key]["anyOf"].as_array().map_or(0, Vec::len);
        assert_eq!((choices("url"), choices("every"), choices("port")), (2, 3, 0));
        assert_eq!(table["properties"]["url"]["description"], "Where.");
    }
}
