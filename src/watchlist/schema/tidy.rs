//! What the types say, made into what a TOML file can say.

use serde_json::Value;

/// Takes away what means nothing in a file: `null`, which TOML does not have, the formats of Rust's numbers, and the
/// ends of lines in descriptions.
pub(super) fn tidy(schema: &mut Value) {
    for part in parts(schema) {
        tidy(part);
    }
    let Value::Object(keys) = schema else { return };
    if let Some(Value::String(text)) = keys.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if keys.get("format").is_some_and(|format| format != "uri") {
        keys.remove("format");
    }
    // Whatever asks, asks by http; a name without that is the usual mistake.
    if keys.get("format").is_some_and(|format| format == "uri") {
        keys.insert("pattern".into(), r"^\s*[Hh][Tt][Tt][Pp][Ss]?://".into());
    }
    if keys.get("pattern").is_some_and(|pattern| pattern == "") {
        keys.remove("pattern");
    }
    // A secret is no default that anyone could write.
    if keys.get("default").is_some_and(|default| default.is_null() || default == "[secret]") {
        keys.remove("default");
    }
    if let Some(Value::Array(words)) = keys.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(types)) = keys.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_mut_slice() {
            let one = one.take();
            keys.insert("type".into(), one);
        }
    }
    let Some(Value::Array(choices)) = keys.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    if let [one] = choices.as_mut_slice() {
        let one = one.take();
        keys.remove("anyOf");
        if let Value::Object(one) = one {
            for (key, value) in one {
                keys.entry(key).or_insert(value);
            }
        }
    }
}

/// The schemas that a schema is made of.
pub(super) fn parts(schema: &mut Value) -> Vec<&mut Value> {
    let Value::Object(keys) = schema else { return Vec::new() };
    let mut parts = Vec::new();
    for (key, value) in keys {
        match (key.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(properties)) => {
                parts.extend(properties.values_mut());
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(choices)) => parts.extend(choices),
            ("items" | "additionalProperties", value) => parts.push(value),
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_said_that_no_file_can_say() {
        for (said, tidied) in [
            (json!({ "type": ["string", "null"], "default": null }), json!({ "type": "string" })),
            (
                json!({ "type": "string", "format": "uri" }),
                json!({ "type": "string", "format": "uri", "pattern": r"^\s*[Hh][Tt][Tt][Pp][Ss]?://" }),
            ),
            (json!({ "type": "number", "format": "double" }), json!({ "type": "number" })),
            (
                json!({ "description": "a\n b", "anyOf": [{ "description": "c", "const": 1 }, { "type": "null" }] }),
                json!({ "description": "a b", "const": 1 }),
            ),
            (
                json!({ "properties": { "default": { "default": "[secret]" } } }),
                json!({ "properties": { "default": {} } }),
            ),
        ] {
            let mut schema = said;
            tidy(&mut schema);
            assert_eq!(schema, tidied);
        }
    }
}
