//! What the documents point to: files that are in the repository, and headings of their pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::{read, root};

/// Every file of the repository; where git cannot be asked, as in an archive of the sources, `None`.
pub(super) fn files_in_git() -> Option<BTreeSet<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().ok()?;
    let names = String::from_utf8(listed.stdout).unwrap();
    let names: BTreeSet<String> = names.split('\0').filter(|n| !n.is_empty()).map(str::to_owned).collect();
    (listed.status.success() && !names.is_empty()).then_some(names)
}

/// Whether there is such a file or folder, for whoever has a copy of the repository.
pub(super) fn is_there(path: &str) -> bool {
    let below = format!("{}/", path.trim_end_matches('/'));
    files_in_git().map_or_else(
        || root().join(path).exists(),
        |files| files.contains(path) || files.iter().any(|file| file.starts_with(&below)),
    )
}

/// Every page of the repository.
fn pages() -> Vec<String> {
    let pages = files_in_git().map_or_else(crate::pages, |files| files.into_iter().collect());
    pages.into_iter().filter(|name| name.ends_with(".md")).collect()
}

/// The lines that are no code; what stands in backticks within them is taken away.
fn prose(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        if !in_code && !is_fence {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

/// Where the links and pictures of a page lead.
fn links(text: &str) -> Vec<String> {
    let text = prose(text).join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

/// What GitHub calls the headings of a page. <https://github.com/gjtorikian/html-pipeline>
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let mut times = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if in_code || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = times.entry(anchor.clone()).and_modify(|times| *times += 1).or_insert(0);
        anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
    }
    anchors
}

/// A path without `..`, from the root of the repository.
fn resolved(page: &str, target: &str) -> String {
    let mut path = PathBuf::from(page).parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: `{target}` leads out of the repository"),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path.to_string_lossy().into_owned()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_the_repository() {
    let mut wrong = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { page.clone() } else { resolved(&page, file) };
            if !is_there(&path) {
                wrong.push(format!("{page} points to `{link}`, which is not in the repository"));
            } else if !anchor.is_empty() && !anchors(&read(&path)).contains(anchor) {
                wrong.push(format!("{page} points to `{link}`, and {path} has no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(followed > 40, "only {followed} links were found");
}

#[test]
fn a_page_that_lists_its_parts_lists_all_of_them() {
    let mut looked_at = 0;
    for page in pages() {
        let text = read(&page);
        let head = text.split("\n## ").next().unwrap_or_default();
        let listed = links(head).into_iter().filter_map(|link| Some(link.strip_prefix('#')?.to_owned()));
        let listed: BTreeSet<String> = listed.collect();
        if listed.is_empty() {
            continue;
        }
        looked_at += 1;
        let parts = text.lines().filter(|line| line.starts_with("## ")).collect::<Vec<_>>().join("\n");
        assert_eq!(listed, anchors(&parts), "{page}: what its list names, and its headings");
    }
    assert!(looked_at > 1, "only {looked_at} lists were found");
}

#[test]
fn headings_are_called_what_git_hub_calls_them() {
    let text =
        "# A dead man's switch\n## `when`: 50,000 (or so)\n```sh\n# no heading\n```\n## A_b-c\n## A_b-c\n#no";
    let expected = ["a-dead-mans-switch", "when-50000-or-so", "a_b-c", "a_b-c-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
    assert_eq!(links("`[no](x)` [a](b.md#c) ![d](e.png \"f\")\n```\n[no](y)\n```"), ["b.md#c", "e.png"]);
}
