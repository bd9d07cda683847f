//! What the documents say is so: every TOML block builds, every command runs, every kind and key is shown.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated pages anew from the tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod blocks;
mod commands;
mod excerpts;
mod generated;
mod keys;
mod links;
mod schema;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stakeout::config::File;
use stakeout::watchlist::Watchlist;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md and every page of `docs/`.
fn pages() -> Vec<String> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| format!("docs/{}", name.to_string_lossy()));
    let mut pages: Vec<String> =
        pages.filter(|name| name.ends_with(".md")).chain(["README.md".into()]).collect();
    pages.sort();
    pages
}

/// The blocks of one language, each with the line it begins at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let Some(written) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        if written == language {
            blocks.push((number, block.join("\n")));
        }
    }
    blocks
}

/// A value of the right shape for every variable.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        _ if name.ends_with("_URL") => "https://hooks.example.com/some/address",
        _ if name.contains("SECRET") => "whsec_c3Rha2VvdXQgc2lnbnMgd2hhdCBpdCBzYXlz",
        _ => "some-token",
    };
    Some(value.to_owned())
}

fn mistakes(name: &str, text: String) -> Option<String> {
    let file = File { path: PathBuf::from(name), text };
    Watchlist::build(&[file], &environment).err().map(|mistakes| mistakes.to_string())
}

fn stakeout(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_stakeout"))
        .args(arguments)
        .current_dir(root())
        .env_remove("STAKEOUT_CONFIG")
        .env_remove("STAKEOUT_DATA_DIR")
        .output()
        .unwrap()
}
