//! The commands that the documents show. Those of the program are parsed by it, and run in a folder of their own, beside a
//! daemon that watches what the demo plays; those of the outside world are on a list that says who tries them.

use std::process::{Command, Output};

use crate::links::is_there;
use crate::world::World;
use crate::{blocks, pages, read, root, stakeout};

/// What tries a command, and the words in it that do.
type Script = (&'static str, &'static str);

/// Commands that are not run here: how they begin, why not, and the script that does it.
const OUTSIDE: [(&str, &str, Option<Script>); 23] = [
    ("cargo run --release -- demo", "takes a release build; the demo is run below", None),
    ("cargo test", "is what is running now", None),
    ("cargo install --path .", "takes a release build", None),
    (
        "cargo install cargo-deb",
        "wants the network",
        Some(("deploy/test-unit", "cargo install --locked cargo-deb")),
    ),
    ("cargo fmt --check", "is a part of it", Some((".ci/run", "cargo fmt --check"))),
    ("cargo clippy --all-targets", "is a part of it", Some((".ci/run", "cargo clippy --all-targets"))),
    ("cargo doc --no-deps", "is a part of it", Some((".ci/run", "cargo doc --no-deps"))),
    ("cargo deny check", "wants the network and cargo-deny", Some(("justfile", "cargo deny check"))),
    ("deploy/build-deb", "wants cargo-deb", Some(("deploy/test-unit", "deploy/build-deb"))),
    (
        "sudo apt install ./target/debian/stakeout_",
        "wants root",
        Some(("deploy/test-unit", "apt-get install")),
    ),
    (
        "sudo nano /etc/stakeout/config.toml",
        "is for a person",
        Some(("deploy/test-unit", "etc/stakeout/config.toml")),
    ),
    (
        "sudo nano /etc/stakeout/credentials/discord",
        "is for a person",
        Some(("deploy/test-unit", "etc/stakeout/credentials/discord")),
    ),
    (
        "sudo install -m 600 /dev/stdin /etc/stakeout/credentials/discord",
        "wants root",
        Some(("deploy/test-unit", "etc/stakeout/credentials/discord")),
    ),
    (
        "sudo systemctl enable --now stakeout",
        "wants root",
        Some(("deploy/test-unit", "systemctl enable --now")),
    ),
    ("sudo systemctl stop stakeout", "wants root", Some(("deploy/test-unit", "systemctl stop stakeout"))),
    ("sudo systemctl start stakeout", "wants root", Some(("deploy/test-unit", "systemctl start stakeout"))),
    (
        "sudo systemctl restart stakeout",
        "wants root",
        Some(("deploy/test-unit", "systemctl restart stakeout")),
    ),
    ("journalctl -u stakeout", "wants the service", Some(("deploy/test-unit", "journalctl --unit stakeout"))),
    ("docker build -t stakeout .", "wants an engine", Some(("deploy/test-image", "buildah bud"))),
    (
        "docker compose -f deploy/compose.yaml",
        "wants an engine",
        Some(("tests/deploy.rs", "deploy/compose.yaml")),
    ),
    ("docker run --rm -v stakeout_stakeout:/to", "wants an engine", None),
    ("git pull", "wants the network", None),
    ("openssl rand -hex 32", "is another program's, and nothing depends on it", None),
];

/// The restoring of a backup: with the package as root, otherwise in a test of its own below.
const RESTORING: [&str; 5] = [
    "rm -f data/stakeout.db-wal data/stakeout.db-shm",
    "cp copy.db data/stakeout.db",
    "sudo rm -f /var/lib/stakeout/stakeout.db-wal /var/lib/stakeout/stakeout.db-shm",
    "sudo cp copy.db /var/lib/stakeout/stakeout.db",
    "sudo chown --reference=/var/lib/stakeout/. /var/lib/stakeout/stakeout.db",
];

/// The commands of the `sh` blocks of a page, a line each, without comments.
fn commands(text: &str) -> Vec<String> {
    let blocks = blocks(text, "sh").into_iter().map(|(_, block)| block).collect::<Vec<_>>().join("\n");
    let blocks = blocks.replace("\\\n", " ");
    let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    blocks.lines().map(line).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What the shell makes of a command, without where its output goes.
fn words(command: &str) -> Vec<String> {
    let command = command.split(" > ").next().unwrap_or_default();
    let script = format!("set -f; set -- {command}\nprintf '%s\\n' \"$@\"");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The program's arguments, where the command is the program's, also as root.
fn arguments(command: &str) -> Option<Vec<String>> {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    command.starts_with("stakeout ").then(|| words(command).split_off(1))
}

#[test]
fn every_command_in_the_documents_is_one() {
    let mut wrong = Vec::new();
    for page in pages() {
        for command in commands(&read(&page)) {
            let known = |start: &&str| command == **start || command.starts_with(&format!("{start} "));
            let words = words(&command);
            // Variables for one command stand before it.
            let bare =
                words.iter().skip_while(|word| word.contains('=')).cloned().collect::<Vec<_>>().join(" ");
            let is_outside =
                OUTSIDE.iter().any(|(start, ..)| command.starts_with(start) || bare.starts_with(start));
            if let Some(arguments) = arguments(&command) {
                wrong.extend(misunderstood(&arguments).map(|why| format!("{page}: `{command}`: {why}")));
            } else if !is_outside && !RESTORING.iter().any(known) && words[0] != "curl" && words[0] != "just"
            {
                wrong.push(format!("{page}: `{command}`: who tries it?"));
            }
            for word in words.iter().filter(|word| word.starts_with("deploy/")) {
                if !is_there(word) {
                    wrong.push(format!("{page}: `{command}`: there is no {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_run_here_is_shown_and_run_by_the_script_that_is_named() {
    let shown: Vec<String> = pages().iter().flat_map(|page| commands(&read(page))).collect();
    for (start, why, script) in OUTSIDE {
        assert!(shown.iter().any(|command| command.contains(start)), "no page shows `{start}`, which {why}");
        if let Some((script, does)) = script {
            assert!(
                read(script).contains(does),
                "{script} does not say `{does}`, and nobody tries `{start}`"
            );
        }
    }
    let recipes = read("justfile");
    for recipe in shown.iter().filter_map(|command| command.strip_prefix("just ")) {
        let name = recipe.split(' ').next().unwrap_or_default();
        assert!(recipes.lines().any(|line| line.starts_with(name)), "there is no `just {name}`");
    }
}

/// Why the program's own command line does not take these; whether something is missing is found by running.
fn misunderstood(arguments: &[String]) -> Option<String> {
    let asked: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
    let output = stakeout(&asked);
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The same about this world: its shop, its address, a message of its own, and a past that is a second old.
fn of_this_world(command: &str, world: &World) -> String {
    let command = command.replace("https://www.newegg.com", &world.origin());
    let command = command.replace("127.0.0.1:8787", &world.address()).replace("--at 30m", "--at 0s");
    match command.split_once("outbox show ") {
        Some((before, _)) => format!("{before}outbox show {}", world.some_delivery()),
        None => command,
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, b"\n", &*output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_program_runs_as_it_stands_beside_a_daemon() {
    let mut ran = 0;
    for page in pages() {
        let shown = commands(&read(&page));
        let is_run = |command: &&String| arguments(command).is_some_and(|words| words[0] != "run");
        let own: Vec<&String> =
            shown.iter().filter(|command| is_run(command) || command.starts_with("curl ")).collect();
        if own.is_empty() {
            continue;
        }
        let world = World::start().await;
        for command in own {
            let bare = of_this_world(command.strip_prefix("sudo ").unwrap_or(command), &world);
            let output = match bare.strip_prefix("curl ") {
                // A stream of events never ends by itself.
                Some(rest) => world.sh(&format!("curl --silent --show-error --fail --max-time 2 {rest}")),
                None => world.sh(&bare),
            };
            if bare.starts_with("curl ") && output.status.code() == Some(127) {
                eprintln!("skipped: `{command}`, because there is no curl");
                continue;
            }
            let is_stream = bare.starts_with("curl -N") && output.status.code() == Some(28);
            assert!(output.status.success() || is_stream, "{page}: `{bare}`: {}", said(&output));
            let written = match bare.split_once(" > ") {
                Some((_, file)) => std::fs::read_to_string(world.folder().join(file)).unwrap(),
                None => said(&output),
            };
            assert!(!written.trim().is_empty(), "{page}: `{bare}` says nothing");
            ran += 1;
        }
    }
    assert!(ran > 30, "only {ran} commands were run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_as_the_page_says() {
    let text = read("docs/operations.md");
    let section = |title: &str| {
        let section = text.split_once(&format!("\n## {title}\n")).expect(title).1;
        commands(section.split("\n## ").next().unwrap_or_default())
    };
    let (back_up, restore) = (section("Back up"), section("Restore a backup"));
    assert_eq!(restore[..2], RESTORING[..2]);
    let mut world = World::start().await;
    let silence = world.sh("stakeout silence add --watch crypto --for 2h --comment 'of the first day'");
    assert!(silence.status.success(), "{}", said(&silence));
    for command in back_up.iter().filter(|command| command.starts_with("stakeout ")) {
        let output = world.sh(command);
        assert!(output.status.success(), "`{command}`: {}", said(&output));
    }
    world.sh("stakeout silence end 1");
    world.stop();
    // Whoever is killed leaves these two behind.
    std::fs::write(world.folder().join("data/stakeout.db-wal"), "of the old database").unwrap();
    for command in &restore[..2] {
        let output = world.sh(command);
        assert!(output.status.success(), "`{command}`: {}", said(&output));
    }
    world.go_on();
    let listed = said(&world.sh("stakeout silence list"));
    assert!(listed.contains("of the first day"), "{listed}");
}

#[test]
fn the_readme_s_commands_that_need_no_daemon_run() {
    for arguments in [
        "check -c config.example.toml",
        "kinds",
        "kinds rsi",
        "kinds restock",
        "kinds --json",
        "notify test console -c config.example.toml",
        "demo --seconds 1",
        "--version",
    ] {
        let output = stakeout(&arguments.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "stakeout {arguments}: {}", said(&output));
        assert!(!output.stdout.is_empty(), "stakeout {arguments} says nothing");
    }
}

/// All documents of a YAML text.
fn yaml(name: &str, text: &str) {
    for document in text.split("\n---\n") {
        if let Err(error) = serde_saphyr::from_str::<serde_json::Value>(document) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn every_yaml_is_yaml() {
    for page in pages() {
        for (line, text) in blocks(&read(&page), "yaml") {
            yaml(&format!("{page}, block at line {line}"), &text);
        }
    }
    let mut folders = vec![root().join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                yaml(&path.to_string_lossy(), &std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}
