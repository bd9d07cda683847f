//! The commands that the documents show. Those of the program are parsed by it, and run in a folder of their own, beside a
//! daemon that watches what the demo plays; those of the outside world are on a list that says who tries them.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::links::is_there;
use crate::world::World;
use crate::{blocks, pages, read, root, stakeout};

/// What tries a command, and the words in it that do.
type Script = (&'static str, &'static str);

/// Commands that are not run here as they stand: how they begin, why not, and what does the same, if something does.
/// What nobody tries is named in docs/CONTRIBUTING.md.
const OUTSIDE: [(&str, &str, Option<Script>); 35] = [
    (
        "cargo run --release -- demo",
        "takes a release build",
        Some(("tests/docs/commands.rs", "\"demo --seconds 1\"")),
    ),
    ("cargo test", "is what is running now", Some((".ci/run", "cargo test --locked"))),
    ("cargo install --locked --path .", "takes a release build", None),
    (
        "cargo install --locked cargo-deb",
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
        "sudo install -m 600 /dev/stdin /etc/stakeout/credentials/discord",
        "wants root",
        Some(("deploy/test-unit", "etc/stakeout/credentials/discord")),
    ),
    (
        "sudo systemctl enable --now stakeout",
        "wants root",
        Some(("deploy/test-unit", "systemctl enable --now")),
    ),
    (
        "sudo install -m 600 /dev/null /etc/stakeout/environment",
        "wants root",
        Some(("deploy/test-unit", "install -m 600 /dev/null /etc/stakeout/environment")),
    ),
    (
        "sudo install -d -m 700 /var/lib/stakeout",
        "wants root",
        Some(("deploy/test-unit", "install -d -m 700 /var/lib/stakeout")),
    ),
    (
        "sudo install -m 600 copy.db /var/lib/stakeout/stakeout.db",
        "wants root",
        Some(("deploy/test-unit", "install -m 600 /root/copy.db /var/lib/stakeout/stakeout.db")),
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
    ("docker compose -f deploy/compose.yaml", "wants an engine", None),
    ("docker run --rm -v stakeout_stakeout:/to", "wants an engine", None),
    ("sudo apt install build-essential", "wants root and the network", None),
    ("git pull", "wants the network", None),
    ("mkdir -p deploy/stakeout", "would write into the repository", ELSEWHERE),
    ("mkdir -m 700 deploy/secrets", "would write into the repository", ELSEWHERE),
    ("nano deploy/stakeout/config.toml", "is for a person", None),
    ("nano config.toml", "is for a person", None),
    (
        "echo 'https://discord.com/api/webhooks/…' > deploy/secrets/discord",
        "would write into the repository",
        ELSEWHERE,
    ),
    ("chmod 400 deploy/secrets/*", "would write into the repository", ELSEWHERE),
    ("sudo chown -R 65532:65532 deploy/secrets", "wants root", None),
    (
        "echo 'https://discord.com/api/webhooks/…' | sudo install -m 600",
        "wants root",
        Some(("deploy/test-unit", "etc/stakeout/credentials/discord")),
    ),
    (
        "sudo install -m 644 watches.toml",
        "wants root",
        Some(("deploy/test-unit", "install -m 644 /root/watches.toml /etc/stakeout/watches.toml")),
    ),
    ("openssl rand -hex 32", "is another program's, and nothing depends on it", None),
];

/// A test below runs it in a folder of its own.
const ELSEWHERE: Option<Script> =
    Some(("tests/docs/commands.rs", "shown.for_each(|command| run_in(folder.path(), command));\n"));

/// What a command of an engine has before the program's own arguments.
const IN_CONTAINERS: [&str; 2] = [
    "docker compose -f deploy/compose.yaml exec stakeout ",
    "docker compose -f deploy/compose.yaml run --rm ",
];

/// Folders in the repository that whoever runs a container makes there.
const YOURS: [&str; 2] = ["deploy/stakeout", "deploy/secrets"];

/// Commands of a shell that prepare others of their page, and are run with them.
const PREPARING: [&str; 2] =
    ["mkdir -m 700 credentials", "echo 'https://discord.com/api/webhooks/…' > credentials/discord"];

/// The restoring of a backup: with the package by deploy/test-unit, otherwise in a test of its own below.
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

/// The same, also where the program is in a container.
fn arguments_anywhere(command: &str) -> Option<Vec<String>> {
    let inner = IN_CONTAINERS.iter().find_map(|start| command.strip_prefix(start));
    arguments(inner.unwrap_or(command))
}

/// The commands of the program that a page mentions within its text, each once; those that go on with `…` say too little.
fn mentioned(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    let spans = lines.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    spans.filter(|span| !span.contains('…') && arguments_anywhere(span).is_some()).collect()
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
            if let Some(arguments) = arguments_anywhere(&command) {
                wrong.extend(misunderstood(&arguments).map(|why| format!("{page}: `{command}`: {why}")));
            } else if !is_outside
                && ![&RESTORING[..], &PREPARING].concat().iter().any(known)
                && words[0] != "curl"
                && words[0] != "just"
            {
                wrong.push(format!("{page}: `{command}`: who tries it?"));
            }
            let is_yours = |word: &str| YOURS.iter().any(|folder| word.starts_with(folder));
            for word in words.iter().filter(|word| word.starts_with("deploy/") && !is_yours(word)) {
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

#[test]
fn what_nobody_tries_is_named_for_who_contributes() {
    let text = read("docs/CONTRIBUTING.md");
    let named = text.split_once("\n**Not tried** are ").unwrap().1.split("\n\n").next().unwrap();
    let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
    let untried: Vec<&str> =
        OUTSIDE.iter().filter(|(.., script)| script.is_none()).map(|(start, ..)| *start).collect();
    for start in &untried {
        assert!(named.iter().any(|name| start.starts_with(name)), "nobody tries `{start}`, nor says so");
    }
    for name in named.iter().filter(|name| !name.starts_with("deploy/")) {
        assert!(untried.iter().any(|start| start.starts_with(name)), "`{name}` is tried, or not shown");
    }
}

#[test]
fn every_mention_of_a_command_is_one_that_the_program_takes() {
    let mut wrong = Vec::new();
    let mut read_over = 0;
    for page in pages().into_iter().chain(["CHANGELOG.md", "SECURITY.md"].map(str::to_owned)) {
        for command in mentioned(&read(&page)) {
            read_over += 1;
            let arguments = arguments_anywhere(&command).unwrap_or_default();
            wrong.extend(misunderstood(&arguments).map(|why| format!("{page}: `{command}`: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read_over > 30, "only {read_over} mentions were found");
}

#[test]
fn each_figure_that_matters_has_a_rule() {
    let text = read("docs/operations.md");
    let rules = read("deploy/prometheus-alerts.yml");
    let figures = text.lines().filter_map(|line| line.strip_prefix("| `stakeout_")?.split('`').next());
    let figures: Vec<String> = figures.map(|name| format!("stakeout_{name}")).collect();
    assert!(figures.len() > 5, "{figures:?}");
    for figure in figures {
        assert!(rules.contains(&figure), "deploy/prometheus-alerts.yml has no rule for {figure}");
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
        let is_run = |command: &str| {
            arguments(command).is_some_and(|words| words[0] != "run")
                || command.starts_with("curl ")
                || PREPARING.contains(&command)
        };
        let own: Vec<&String> = shown.iter().filter(|command| is_run(command)).collect();
        if own.is_empty() {
            continue;
        }
        let world = World::start().await;
        for command in own {
            let bare = of_this_world(command.strip_prefix("sudo ").unwrap_or(command), &world);
            let output = match bare.strip_prefix("curl ") {
                Some(rest) => {
                    // A stream of events never ends by itself.
                    let patience = if rest.starts_with("-N") { "--max-time 2" } else { "" };
                    world.sh(&format!("curl --silent --show-error --fail {patience} {rest}"))
                }
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
            let is_silent = bare.starts_with("mkdir ");
            assert!(is_silent || !written.trim().is_empty(), "{page}: `{bare}` says nothing");
            ran += 1;
        }
    }
    assert!(ran > 30, "only {ran} commands were run");
}

#[test]
fn the_first_watch_is_a_good_configuration_once_its_secrets_lie_where_the_readme_says() {
    let text = read("README.md");
    let section = text.split_once("\n## Your first watch\n").unwrap().1.split("\n## ").next().unwrap();
    let (first, web) = (blocks(section, "toml")[0].1.clone(), blocks(section, "toml")[1].1.clone());
    for (way, config, secrets, contents) in [
        ("**With cargo**", "config.toml", "credentials", first.clone()),
        ("**In a container**", "deploy/stakeout/config.toml", "deploy/secrets", format!("{web}\n{first}")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (config, secrets) = (folder.path().join(config), folder.path().join(secrets));
        let check = || stakeout(&["check", "-c", config.to_str().unwrap()]);
        let written =
            |command: &&String| ["mkdir ", "echo ", "chmod "].iter().any(|start| command.starts_with(start));
        let shown = commands(section.split_once(way).unwrap().1.split("\n**").next().unwrap());
        let mut shown = shown.iter().filter(written);
        run_in(folder.path(), shown.next().unwrap());
        std::fs::write(&config, &contents).unwrap();
        assert!(!check().status.success(), "{way}: the secret does not lie there yet");
        shown.for_each(|command| run_in(folder.path(), command));
        if way.contains("container") {
            std::fs::write(secrets.join("web_token"), "0123456789abcdef".repeat(4)).unwrap();
            // Where the container finds them.
            std::fs::rename(&secrets, config.with_file_name("credentials")).unwrap();
        }
        assert!(check().status.success(), "{way}: {}", said(&check()));
    }
}

fn run_in(folder: &std::path::Path, command: &str) {
    let output = Command::new("sh").args(["-c", command]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "`{command}`: {}", said(&output));
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
