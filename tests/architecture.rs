//! Who may know whom. The two tables stand in `docs/ARCHITECTURE.md`; this holds the code to them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the plug-ins of one room share: files beside them, and a macro.
const SHARED: [(&str, &[&str]); 3] = [
    (
        "sources",
        &[
            "address",
            "bars",
            "buttons",
            "evidence",
            "figure",
            "html",
            "microdata",
            "moment",
            "names",
            "number",
            "schema_org",
            "soda",
            "stock",
        ],
    ),
    ("strategies", &["checked", "indicator", "reading", "words"]),
    ("notifiers", &["answer", "links"]),
];

/// One file of `src/`, without its tests and comments.
struct File {
    /// `src/run/judge.rs`
    path: String,
    /// `["run", "judge"]`
    module: Vec<String>,
    code: String,
}

impl File {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Every path into this crate, from its root: `["sources", "bars", "seen"]`.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for word in ["crate", "stakeout", "super"] {
            for (start, _) in self.code.match_indices(&format!("{word}::")) {
                if is_inside_a_name(&self.code, start) {
                    continue;
                }
                let rest = &self.code[start..];
                let climbs = rest.split("::").take_while(|part| *part == "super").count();
                let from = if climbs == 0 {
                    &[]
                } else {
                    let left = self.module.len().checked_sub(climbs);
                    &self.module[..left.unwrap_or_else(|| panic!("{}: climbs out of the crate", self.path))]
                };
                let below = rest[word.len() + 2..].trim_start_matches("super::");
                for names in names(below) {
                    found.push(from.iter().cloned().chain(names).collect());
                }
            }
        }
        found.retain(|path: &Vec<String>| !path.is_empty());
        found
    }
}

/// Whether the text before makes this a part of another name or path.
fn is_inside_a_name(code: &str, start: usize) -> bool {
    code[..start].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c))
}

/// The paths in `a::{b, c::d}`: `[a, b]` and `[a, c, d]`.
fn names(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return parts(group).iter().flat_map(|part| names(part)).collect();
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return Vec::new();
    }
    let deeper = text[name.len()..].strip_prefix("::").map(names).unwrap_or_default();
    if deeper.is_empty() {
        return vec![vec![name]];
    }
    deeper.into_iter().map(|path| std::iter::once(name.clone()).chain(path).collect()).collect()
}

/// What commas separate, up to the brace that closes.
fn parts(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts
}

/// Every file of `src/` that is not there for tests alone.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    let mut files = Vec::new();
    let mut only_for_tests = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let module = module_of(root, &path);
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let declared = next.strip_suffix(';').and_then(|next| next.rsplit(' ').next());
            if let Some(name) = declared.filter(|_| line == "#[cfg(test)]") {
                only_for_tests.insert([module.clone(), vec![name.to_owned()]].concat());
            }
        }
        let path = path.strip_prefix(root).unwrap().display().to_string();
        files.push(File { path, module, code: without_tests_and_comments(&text) });
    }
    files.retain(|file| !only_for_tests.contains(&file.module));
    files
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// `src/run/judge.rs` is `run::judge`, `src/run/mod.rs` is `run`, `src/lib.rs` is the root.
fn module_of(root: &Path, path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root.join("src")).unwrap().with_extension("");
    let names = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let mut module: Vec<String> = names.collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// A module of tests ends with a `}` at the edge of the page: rustfmt sees to it.
fn without_tests_and_comments(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            if lines.next().is_some_and(|next| next.ends_with('{')) {
                lines.by_ref().find(|line| *line == "}");
            }
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The rows of the table of `docs/ARCHITECTURE.md` whose first heading this is.
fn table(first_heading: &str) -> Vec<Vec<String>> {
    let heading = format!("| {first_heading} |");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let lines =
        include_str!("../docs/ARCHITECTURE.md").lines().skip_while(|line| !line.starts_with(&heading));
    let rows: Vec<_> = lines.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "docs/ARCHITECTURE.md has no table that begins with `{first_heading}`");
    rows
}

/// The names in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_room_knows_only_the_rooms_it_may_know() {
    let row =
        |row: Vec<String>| (quoted(&row[1]).remove(0), (row[0].parse::<u8>().unwrap(), quoted(&row[2])));
    let rooms: BTreeMap<String, (u8, Vec<String>)> = table("floor").into_iter().map(row).collect();
    let modules = include_str!("../src/lib.rs").lines();
    let modules = modules.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let modules: BTreeSet<&str> = modules.chain(["main"]).collect();
    assert_eq!(rooms.keys().map(String::as_str).collect::<BTreeSet<_>>(), modules, "the rooms of the table");

    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for file in files().iter().filter(|file| file.room() != "lib") {
        let room = file.room();
        for path in file.paths() {
            let to = path[0].clone();
            if to == room || !rooms.contains_key(&to) {
                continue;
            }
            if !rooms[room].1.contains(&to) {
                wrong.push(format!("{}: `{room}` may not know `{to}`", file.path));
            }
            used.insert((room.to_owned(), to));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (room, (floor, may)) in &rooms {
        for to in may {
            assert!(rooms[to].0 < *floor, "`{room}` may know only what is below it, but `{to}` is not");
            assert!(used.contains(&(room.clone(), to.clone())), "`{room}` no longer needs `{to}`");
        }
    }
}

#[test]
fn a_crate_that_has_a_home_is_named_nowhere_else() {
    let files = files();
    let mut wrong = Vec::new();
    for row in table("crate") {
        let homes = quoted(&row[1]);
        for name in quoted(&row[0]) {
            let path = format!("{name}::");
            for file in &files {
                let mut uses = file.code.match_indices(&path);
                let named = uses.any(|(at, _)| !is_inside_a_name(&file.code, at));
                let module = file.module.join("::");
                let is_home = |home: &String| module == *home || module.starts_with(&format!("{home}::"));
                if named && !homes.iter().any(is_home) {
                    wrong.push(format!("{}: names `{name}`, whose home is {homes:?}", file.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_store_speaks_sql() {
    for file in files().iter().filter(|file| file.room() != "store") {
        for (at, _) in file.code.match_indices("sqlx::") {
            let named = &file.code[at..];
            assert!(named.starts_with("sqlx::Error"), "{}: names more of sqlx than its error", file.path);
        }
    }
}

#[test]
fn a_plug_in_knows_no_other_plug_in() {
    let mut wrong = Vec::new();
    for file in files() {
        let Some((room, shared)) = SHARED.iter().find(|(room, _)| *room == file.room()) else { continue };
        // The table at the top of the folder names them all.
        let Some(own) = file.module.get(1) else { continue };
        for path in file.paths() {
            let Some(other) = path.get(1).filter(|_| path[0] == *room) else { continue };
            if other != own && !shared.contains(&other.as_str()) {
                wrong.push(format!("{}: knows `{other}`", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_lint_is_silenced_only_with_a_reason() {
    for file in files() {
        for attribute in ["[allow(", "[expect("] {
            for (at, _) in file.code.match_indices(attribute) {
                let text = &file.code[at..];
                let text = &text[..text.find(")]").unwrap()];
                assert!(text.contains("reason = "), "{}: {text})] gives no reason", file.path);
            }
        }
    }
}

#[test]
fn paths_are_read_as_rust_reads_them() {
    let code = "use crate::{model::{Alert, self}, run};\nuse super::super::links::urls;\n\
                let x = crate::http::redacted(mysuper::y);\nuse super::Part;\n";
    let module = ["notifiers", "discord", "text"].map(str::to_owned).to_vec();
    let file = File { path: "src/notifiers/discord/text.rs".into(), module, code: code.into() };
    let paths: Vec<String> = file.paths().iter().map(|path| path.join("::")).collect();
    let expected = [
        "model::Alert",
        "model::self",
        "run",
        "http::redacted",
        "notifiers::links::urls",
        "notifiers::discord::Part",
    ];
    assert_eq!(paths, expected);
}
