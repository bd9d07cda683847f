//! The configuration as a JSON Schema, from the types that read it, and its keys in rows for people.

mod facts;
mod outside;
mod rows;
mod tidy;

use crate::config::{Alerting, Daemon, Fetch, NotifyKeys, RequestKeys, WatchKeys, Web};
use crate::plugin::Kind;
use crate::sessions::AdHoc;
use crate::{notifiers, sessions, sources, strategies};
pub use facts::{gives, judges};
pub use rows::{KeyRow, rows};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A table of the configuration.
pub struct Table {
    /// What stands between its brackets.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys; of those with a kind, the ones that every kind understands.
    pub schema: Value,
}

/// Every table that may stand in a configuration file, in the order of the example.
#[must_use]
pub fn tables() -> Vec<Table> {
    let table = |name, about, of_table| Table { name, about, schema: keys_of(of_table) };
    vec![
        table(
            "daemon",
            "Where the daemon's data lie, how it logs, how long it keeps what.",
            Daemon::json_schema,
        ),
        table(
            "web",
            "The dashboard, the API, and `/metrics` for Prometheus. They are there also without this table.",
            Web::json_schema,
        ),
        table("fetch", "How hosts are asked.", Fetch::json_schema),
        table(
            "alerting",
            "What is news. This holds for every watch; a watch may say otherwise.",
            Alerting::json_schema,
        ),
        table(
            "hours.NAME",
            "Days that an exchange announced late. The name is that of the exchange: `NYSE`, `NASDAQ`, `LSE`, `XETRA`.",
            AdHoc::json_schema,
        ),
        table(
            "notify.NAME",
            "Who is told, by a name of your own. Without any, messages go to the console.",
            NotifyKeys::json_schema,
        ),
        table(
            "source.KIND",
            "What all watches of one kind of source share: any of the kind's keys. A watch's own goes before it.",
            RequestKeys::json_schema,
        ),
        table("watch.NAME", "What is watched, by a name of your own.", WatchKeys::json_schema),
    ]
}

/// The keys of a kind's own.
#[must_use]
pub fn of_kind<T: ?Sized>(kind: &Kind<T>) -> Value {
    keys_of(kind.schema)
}

/// The schema of a whole configuration file (JSON Schema, draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut whole = Whole::default();
    whole.properties.insert(
        "include".into(),
        json!({
            "description": "More files, seen from this one; `*` stands for any part of a file's name. Only the first \
                            file can include others.",
            "type": "array",
            "items": { "type": "string" },
            "examples": [["watches/*.toml"]],
        }),
    );
    for Table { name, about, mut schema } in tables() {
        outside::allow(&mut schema);
        match name {
            "hours.NAME" => whole.hours(about, schema),
            "notify.NAME" => {
                let kinds = whole.family("notifier", notifiers::KINDS, schema, &|_, _| true);
                whole.named("notify", about, kinds);
            }
            "source.KIND" => whole.sources(about, schema),
            "watch.NAME" => whole.watch(about, schema),
            name => {
                set(&mut schema, "description", about.into());
                whole.properties.insert(name.into(), schema);
            }
        }
    }
    whole.definitions.extend(outside::definitions());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of Stakeout",
        "type": "object",
        "properties": whole.properties,
        "additionalProperties": false,
        "$defs": whole.definitions,
    })
}

/// The schema while it is put together.
#[derive(Default)]
struct Whole {
    properties: Map<String, Value>,
    definitions: Map<String, Value>,
}

impl Whole {
    /// Tables that have names of their owner's.
    fn named(&mut self, name: &str, about: &str, table: Value) {
        let tables = json!({ "description": about, "type": "object", "additionalProperties": table });
        self.properties.insert(name.into(), tables);
    }

    /// A table for each exchange.
    fn hours(&mut self, about: &str, table: Value) {
        let exchange = |name: &'static str| (name.to_owned(), refer("exchange"));
        let of_each: Map<String, Value> = sessions::exchanges().map(exchange).collect();
        self.definitions.insert("exchange".into(), table);
        let tables = json!({
            "description": about, "type": "object", "properties": of_each, "additionalProperties": false
        });
        self.properties.insert("hours".into(), tables);
    }

    /// Defines every kind with its own keys and those of `common` that it understands; gives a table of any of them.
    fn family<T: ?Sized>(
        &mut self,
        family: &str,
        kinds: &'static [Kind<T>],
        common: Value,
        understands: &dyn Fn(&Kind<T>, &str) -> bool,
    ) -> Value {
        for kind in kinds {
            let mut table = of_kind(kind);
            outside::allow(&mut table);
            let mut keys = json!({ "kind": { "description": kind.about, "const": kind.name } });
            let own = table.get_mut("properties").map(Value::take).unwrap_or_default();
            extend(&mut keys, own);
            let shared = names(&common).filter(|key| understands(kind, key));
            extend(
                &mut keys,
                shared.map(|key| (key.clone(), refer(&format!("{family}/properties/{key}")))).collect(),
            );
            let required = table.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            set(&mut table, "required", ["kind".into()].into_iter().chain(required).collect());
            set(&mut table, "properties", keys);
            set(&mut table, "type", "object".into());
            let name = format!("{family}_{}", kind.name);
            self.definitions.insert(name, table);
        }
        if names(&common).next().is_some() {
            self.definitions.insert(family.into(), common);
        }
        of_any(family, kinds)
    }

    /// A watch's own source may leave to `[source.KIND]` what its kind wants.
    fn sources(&mut self, about: &str, common: Value) {
        self.family("source", sources::KINDS, common, &|kind, key| {
            !["method", "body"].contains(&key) || asks_own_address(kind.name)
        });
        let mut of_all = Map::new();
        for kind in sources::KINDS {
            let name = format!("source_{}", kind.name);
            let Some(table) = self.definitions.get_mut(&name) else { continue };
            set(table, "required", json!(["kind"]));
            let keys = names(table);
            let shared: Map<String, Value> = keys
                .filter(|key| *key != "kind")
                .map(|key| (key.clone(), refer(&format!("{name}/properties/{key}"))))
                .collect();
            let shared = json!({
                "description": kind.about, "type": "object", "properties": shared, "additionalProperties": false
            });
            of_all.insert(kind.name.into(), shared);
        }
        let of_all = json!({
            "description": about, "type": "object", "properties": of_all, "additionalProperties": false
        });
        self.properties.insert("source".into(), of_all);
    }

    fn watch(&mut self, about: &str, mut watch: Value) {
        let strategy = self.family("strategy", strategies::KINDS, json!({}), &|_, _| true);
        let mut source = of_any("source", sources::KINDS);
        set(
            &mut source,
            "description",
            "Where it looks: a table with its kind and the keys of that kind.".into(),
        );
        let keys = json!({
            "source": source,
            "strategy": {
                "description": "How it judges what it sees: a list of tables; left out: the usual one of its source.",
                "type": "array",
                "items": strategy,
            },
        });
        if let Some(properties) = watch.get_mut("properties") {
            extend(properties, keys);
        }
        set(&mut watch, "required", json!(["source"]));
        // Either, never both.
        set(&mut watch, "oneOf", json!([{ "required": ["every"] }, { "required": ["cron"] }]));
        self.named("watch", about, watch);
    }
}

/// A table of any kind of a family. What is wrong with it is said about the kind that it names, which a plain choice
/// would not do: "fits none of eleven". The choice behind it turns nothing away; an editor offers keys by it.
fn of_any<T: ?Sized>(family: &str, kinds: &'static [Kind<T>]) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let table = |name: &&str| refer(&format!("{family}_{name}"));
    let where_named = |name: &&str| {
        json!({
            "if": { "properties": { "kind": { "const": name } }, "required": ["kind"] },
            "then": table(name),
        })
    };
    let offered = names.iter().map(table).chain([true.into()]);
    json!({
        "type": "object",
        "properties": { "kind": { "enum": names } },
        "required": ["kind"],
        "allOf": names.iter().map(where_named).collect::<Value>(),
        "anyOf": offered.collect::<Value>(),
    })
}

/// Whether a source of this kind is asked at an address of the owner's.
fn asks_own_address(kind: &'static str) -> bool {
    let row = sources::KINDS.iter().find(|row| row.name == kind);
    row.and_then(|row| facts::built(sources::KINDS, row)).is_some_and(|source| source.asks_own_address())
}

/// What a type says about its keys, complete in itself.
fn keys_of(of_table: fn(&mut SchemaGenerator) -> Schema) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut keys = of_table(&mut settings.into_generator()).to_value();
    tidy::tidy(&mut keys);
    keys
}

fn refer(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

fn names(table: &Value) -> impl Iterator<Item = &String> {
    table.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.into(), value);
    }
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
