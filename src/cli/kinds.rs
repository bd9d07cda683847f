//! `stakeout kinds`

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::Misuse;
use crate::model::or_known;
use crate::plugin::Kind;
use crate::{notifiers, sources, strategies};

struct Row {
    family: &'static str,
    name: &'static str,
    about: &'static str,
    example: &'static str,
}

pub(super) fn print(name: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    rows.extend(sources::KINDS.iter().map(|kind| row("source", kind)));
    rows.extend(strategies::KINDS.iter().map(|kind| row("strategy", kind)));
    rows.extend(notifiers::KINDS.iter().map(|kind| row("notifier", kind)));
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
            .map(|row| json!({"family": row.family, "kind": row.name, "about": row.about, "example": row.example}))
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for row in rows {
        writeln!(out, "{} {}: {}\n", row.family, row.name, row.about)?;
        writeln!(out, "    kind = \"{}\"", row.name)?;
        for line in row.example.lines() {
            writeln!(out, "    {line}")?;
        }
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row<T: ?Sized>(family: &'static str, kind: &'static Kind<T>) -> Row {
    Row { family, name: kind.name, about: kind.about, example: kind.example }
}
