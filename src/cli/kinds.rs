//! `stakeout kinds`

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Misuse;
use super::table::{paragraph, wrapped};
use crate::model::or_known;
use crate::plugin::Kind;
use crate::watchlist::schema::{self, KeyRow};
use crate::{notifiers, sources, strategies};

struct Row {
    family: &'static str,
    name: &'static str,
    about: &'static str,
    example: &'static str,
    schema: Value,
    /// What it gives or reads, and what is usual.
    facts: String,
}

pub(super) fn print(name: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    rows.extend(sources::KINDS.iter().map(|kind| row("source", kind, schema::gives(kind))));
    rows.extend(strategies::KINDS.iter().map(|kind| row("strategy", kind, schema::judges(kind))));
    rows.extend(notifiers::KINDS.iter().map(|kind| row("notifier", kind, String::new())));
    if let Some(name) = name {
        let hint = or_known(name, rows.iter().map(|row| row.name));
        rows.retain(|row| row.name == name);
        if rows.is_empty() {
            return Err(Misuse(format!("there is no kind `{name}`{hint}")).into());
        }
    }
    let mut out = std::io::stdout().lock();
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "family": row.family, "kind": row.name, "about": row.about, "example": row.example,
                    "schema": row.schema,
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    match name {
        None => write!(out, "{}", overview(&rows))?,
        Some(_) => {
            for row in &rows {
                write!(out, "{}", whole(row))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each.
fn overview(rows: &[Row]) -> String {
    let mut text = String::new();
    for family in rows.chunk_by(|one, other| one.family == other.family) {
        let heading = match family.first().map_or("", |row| row.family) {
            "source" => "Sources: where a watch looks",
            "strategy" => "Strategies: how it judges what it sees",
            _ => "Notifiers: who is told",
        };
        text.push_str(&format!("{heading}\n\n"));
        for row in family {
            text.push_str(&format!("  {}: {}\n", row.name, row.about));
        }
        text.push('\n');
    }
    text.push_str("`stakeout kinds NAME` prints the keys of one, and an example.\n");
    text
}

/// All there is to say of one.
fn whole(row: &Row) -> String {
    let example: String = row.example.lines().map(|line| format!("    {line}\n")).collect();
    let head =
        format!("{} {}: {}\n\n    kind = \"{}\"\n{example}\n", row.family, row.name, row.about, row.name);
    head + &explained(row)
}

/// What it does in more words, and each of its keys.
fn explained(row: &Row) -> String {
    let mut text = String::new();
    if let Some(more) = row.schema.get("description").and_then(Value::as_str) {
        text.push_str(&paragraph(more));
        text.push('\n');
    }
    if !row.facts.is_empty() {
        text.push_str(&paragraph(&row.facts));
        text.push('\n');
    }
    let own = schema::rows(&row.schema);
    if !own.is_empty() {
        text.push_str(&keys(&own));
    }
    let (name, of_every) = match row.family {
        "source" => ("source.KIND", "How it is asked, as every source:"),
        "notifier" => ("notify.NAME", "As every notifier:"),
        _ => return text,
    };
    if let Some(table) = schema::tables().iter().find(|table| table.name == name) {
        text.push_str(&format!("\n{of_every}\n\n{}", keys(&schema::rows(&table.schema))));
    }
    text
}

fn keys(rows: &[KeyRow]) -> String {
    let cells = |row: &KeyRow| {
        let default =
            if row.required { "required".into() } else { row.default.clone().unwrap_or_else(|| "-".into()) };
        vec![row.key.clone(), row.takes.clone(), default, row.meaning.clone()]
    };
    wrapped(&["key", "takes", "default", "meaning"], &rows.iter().map(cells).collect::<Vec<_>>())
}

fn row<T: ?Sized>(family: &'static str, kind: &'static Kind<T>, facts: String) -> Row {
    let schema = schema::of_kind(kind);
    Row { family, name: kind.name, about: kind.about, example: kind.example, schema, facts }
}
