//! What `deploy/` holds is well-formed, gives few rights, and its configurations are good.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stakeout::config::File;
use stakeout::watchlist::Watchlist;
use tempfile::TempDir;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Builds it as the daemon would, with a secret for each of the names.
fn assert_good(name: &str, toml: &str, secrets: &[&str]) {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("credentials")).unwrap();
    for secret in secrets {
        let value =
            if secret.contains("token") { "a-token-of-some-length" } else { "https://hooks.example.com/x" };
        fs::write(folder.path().join("credentials").join(secret), value).unwrap();
    }
    let file = File { path: folder.path().join("config.toml"), text: toml.to_owned() };
    match Watchlist::build(&[file], &|_| None) {
        Ok(watchlist) => assert!(!watchlist.watches.is_empty(), "{name} watches nothing"),
        Err(mistakes) => panic!("{name}: {mistakes}"),
    }
    assert!(
        toml.contains(r#"listen = "0.0.0.0:8787""#),
        "{name}: nobody reaches it from outside the container"
    );
}

/// The configuration in the comment at the head of a file: what is indented there, from the first table on.
fn configuration_in_comment(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    let lines: Vec<&str> = comment.skip_while(|line| !line.starts_with("   [")).map(str::trim).collect();
    lines.join("\n")
}

#[test]
fn the_service_of_compose_has_no_rights_and_its_configuration_is_good() {
    let compose = yaml("deploy/compose.yaml");
    let service = &compose["services"]["stakeout"];
    assert_eq!(service["read_only"], true);
    assert_eq!(service["user"], "65532:65532");
    assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]));
    assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]));
    assert_eq!(service["ports"], serde_json::json!(["127.0.0.1:8787:8787"]));
    let secrets: Vec<&str> =
        service["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap()).collect();
    for secret in &secrets {
        assert!(compose["secrets"][secret]["file"].is_string(), "{secret}");
    }
    let toml = configuration_in_comment(&read("deploy/compose.yaml"));
    assert_good("deploy/compose.yaml", &toml, &secrets);
}

#[test]
fn the_package_s_own_configuration_watches_nothing_until_its_examples_are_switched_on() {
    let text = read("deploy/debian/config.toml");
    let build = |text: String| {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("credentials")).unwrap();
        fs::write(folder.path().join("credentials/discord"), "https://hooks.example.com/x").unwrap();
        let file = File { path: folder.path().join("config.toml"), text };
        Watchlist::build(&[file], &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    };
    assert!(build(text.clone()).watches.is_empty(), "somebody's machine asks somebody before it was told to");
    let on =
        text.lines().map(|line| line.strip_prefix('#').filter(|on| !on.starts_with(' ')).unwrap_or(line));
    assert_eq!(build(on.collect::<Vec<_>>().join("\n")).watches.len(), 1);
}

#[test]
fn what_the_readme_links_to_lies_beside_it_in_the_package() {
    let cargo: toml::Value = toml::from_str(&read("Cargo.toml")).unwrap();
    let assets = cargo["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let mut beside = Vec::new();
    for asset in assets {
        let [from, to] = [0_usize, 1].map(|at| asset[at].as_str().unwrap());
        let folder = to.strip_prefix("usr/share/doc/stakeout/");
        if let Some(folder) = folder.filter(|folder| *folder != "copyright") {
            assert_eq!(Path::new(from).parent().unwrap(), Path::new(folder), "{from} lies elsewhere there");
            beside.push(from);
        }
    }
    let readme = read("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links: Vec<&str> = links.filter(|link| !link.contains("://")).collect();
    for link in &links {
        let all_beside = Path::new(link).with_file_name("*");
        let is_it = |from: &&str| *from == *link || Path::new(from) == all_beside || from.starts_with(link);
        assert!(beside.iter().any(is_it), "README.md links to {link}, which is not in the package");
    }
    assert!(links.len() > 10, "only {links:?} were found");
}

/// Not in the repository that git itself may have named, as in one of its hooks.
fn alone(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null")
}

/// A repository with nothing in it but what decides the version of the package.
struct Versions(TempDir);

impl Versions {
    /// Where there is no git, as in a bare container, `None`.
    fn new() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        for (name, text) in [
            ("Cargo.toml", "[package]\nname = \"stakeout\"\nversion = \"0.1.0\"\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"stakeout\"\nversion = \"0.1.0\"\n"),
            ("src/lib.rs", ""),
            ("deploy/build-deb", &read("deploy/build-deb")),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let made = alone(Command::new("git").args(["init", "--quiet"])).current_dir(folder.path()).output();
        made.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn run(&self, command: &str) -> String {
        let mut shell = Command::new("bash");
        alone(shell.args(["-c", command])).current_dir(self.0.path());
        for (name, value) in [("NAME", "a"), ("EMAIL", "a@example.com")] {
            shell.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn of_a_commit_at(&self, moment: &str) -> String {
        self.run(&format!("GIT_COMMITTER_DATE={moment} git commit --quiet --allow-empty -m x"));
        self.run("bash deploy/build-deb --show-version")
    }

    /// As apt sees it.
    fn is_older(&self, one: &str, other: &str) -> bool {
        self.run(&format!("if dpkg --compare-versions {one} lt {other}; then echo yes; fi")) == "yes"
    }
}

#[test]
fn the_package_of_a_later_commit_is_newer_and_a_release_is_newer_than_what_led_to_it() {
    let Some(versions) = Versions::new() else {
        writeln!(
            std::io::stderr().lock(),
            "skipped: there is no git, so there are no commits with a version"
        )
        .unwrap();
        return;
    };
    let of = [
        versions.of_a_commit_at("2026-11-21T09:59:58+0100"),
        // Within the same minute.
        versions.of_a_commit_at("2026-11-21T09:59:59+0100"),
        versions.of_a_commit_at("2026-11-21T10:00:00+0100"),
    ];
    assert!(of[0].starts_with("0.1.0~20261121.085958."), "{}", of[0]);
    versions.run("git tag v0.1.0");
    let release = versions.run("bash deploy/build-deb --show-version");
    assert_eq!(release, "0.1.0-1");
    let after = versions.of_a_commit_at("2026-11-21T10:00:01+0100");
    assert!(after.starts_with("0.1.0+20261121.090001."), "{after}");
    if Command::new("dpkg").arg("--version").output().is_err() {
        writeln!(std::io::stderr().lock(), "skipped: there is no dpkg to compare versions with").unwrap();
        return;
    }
    let rising = of.iter().chain([&release, &after]).collect::<Vec<_>>();
    for pair in rising.windows(2) {
        assert!(versions.is_older(pair[0], pair[1]), "{} is not older than {}", pair[0], pair[1]);
    }
}

#[test]
fn what_is_secret_or_yours_goes_neither_into_git_nor_into_an_image() {
    let ignored = read(".gitignore");
    for yours in ["/config.toml", "/credentials/", "/data/", "/deploy/secrets/", "/deploy/stakeout/"] {
        assert!(ignored.lines().any(|line| line == yours), "git takes {yours}");
    }
    let kubernetes = read("deploy/kubernetes/kustomization.yaml");
    for file in kubernetes.split("--from-file=").skip(1) {
        assert!(file.starts_with("deploy/secrets/"), "git takes {file}");
    }
    let ignored = read(".dockerignore");
    let mut patterns = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(patterns.next(), Some("*"), "what is not named is sent to the engine");
    let sent: Vec<&str> = patterns.collect();
    assert_eq!(
        sent,
        ["!.cargo", "!Cargo.lock", "!Cargo.toml", "!benches", "!build.rs", "!migrations", "!src"]
    );
}

#[test]
fn kustomize_finds_every_file_that_it_names_and_no_other_lies_there() {
    let kustomization = yaml("deploy/kubernetes/kustomization.yaml");
    let named = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut expected = named(&kustomization["resources"]);
    expected.extend(named(&kustomization["configMapGenerator"][0]["files"]));
    expected.push("kustomization.yaml".to_owned());
    expected.sort();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes");
    let mut there: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, expected);
    assert_good("deploy/kubernetes", &read("deploy/kubernetes/config.toml"), &["discord", "web_token"]);
}

#[test]
fn one_pod_of_kubernetes_runs_without_rights_and_is_asked_how_it_is() {
    let set = yaml("deploy/kubernetes/statefulset.yaml");
    let service = yaml("deploy/kubernetes/service.yaml");
    assert_eq!(set["kind"], "StatefulSet");
    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);

    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["fsGroup"], 65532);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
    }

    // What is mounted is there to be mounted.
    let mut volumes: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    let claims = set["spec"]["volumeClaimTemplates"].as_array().unwrap();
    volumes.extend(claims.iter().map(|claim| &claim["metadata"]["name"]));
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&&mount["name"]), "{mount}");
    }
}
