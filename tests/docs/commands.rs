//! The commands that the documents show.

use crate::{blocks, pages, read, stakeout};

/// Cargo's commands that the documents may ask for.
const CARGO: [&str; 8] = [
    "cargo build --release",
    "cargo run --release -- demo",
    "cargo test",
    "cargo test --test docs",
    "cargo fmt --check",
    "cargo clippy --all-targets -- -D warnings",
    "cargo doc --no-deps",
    "cargo bench --bench figures",
];

/// What stands after `$ ` or alone on a line of the `sh` blocks, without comments.
fn commands(text: &str) -> Vec<String> {
    let blocks = blocks(text, "sh").into_iter().map(|(_, block)| block).collect::<Vec<_>>().join("\n");
    let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    blocks.lines().map(line).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_command_in_the_documents_is_one() {
    for page in pages() {
        for command in commands(&read(&page)) {
            // Variables for one command stand before it.
            let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
            match words[0] {
                "cargo" => assert!(CARGO.contains(&words.join(" ").as_str()), "{page}: `{command}`"),
                "stakeout" => understood(&page, &words[1..]),
                "cp" | "export" | "kill" | "systemctl" | "docker" | "curl" | "just" => {}
                other => panic!("{page}: `{command}`: what is `{other}`?"),
            }
        }
    }
}

/// The program knows the command, and every option that is given.
fn understood(page: &str, arguments: &[&str]) {
    let family = usize::from(matches!(arguments[0], "notify" | "outbox" | "silence" | "watch")) + 1;
    let output = stakeout(&[&arguments[..family], &["--help"]].concat());
    assert!(output.status.success(), "{page}: `stakeout {}`", arguments.join(" "));
    let help = String::from_utf8(output.stdout).unwrap();
    for option in arguments.iter().filter(|argument| argument.starts_with('-')) {
        let known = help.split_whitespace().any(|word| word.trim_end_matches(',') == *option);
        assert!(known, "{page}: `stakeout {}` has no `{option}`", arguments.join(" "));
    }
}

#[test]
fn the_readme_s_commands_that_need_no_network_run() {
    for arguments in [
        "check -c config.example.toml",
        "kinds",
        "kinds rsi",
        "kinds --json",
        "notify test console -c config.example.toml",
        "demo --seconds 1",
        "--version",
    ] {
        let output = stakeout(&arguments.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "stakeout {arguments}: {said}");
        assert!(!output.stdout.is_empty(), "stakeout {arguments} says nothing");
    }
}
