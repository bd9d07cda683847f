//! A configuration that is read again takes the place of the old one, or changes nothing.

use crate::harness::{Answer, Harness, Page, Process, Stage, moment, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
on_first = "announce"
every = "1m"
"#;

const OTHER: &str = r#"
[watch.other]
source = { kind = "json", url = "{origin}/other", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
"#;

#[tokio::test]
async fn a_bad_file_changes_nothing() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(9));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    let watches = "select name, spec_hash, next_due_at, removed_at from watch left join due on watch_id = id";
    let before = harness.stage.rows::<(String, i64, i64, Option<i64>)>(watches).await;
    for bad in [
        "[watch.number]\nevery = \"1m\"\n".to_owned(),
        NUMBER.replace("threshold", "treshold"),
        NUMBER.replace("every = \"1m\"", "every = \"1m\"\nnotify = [\"nobody\"]"),
        "this is no TOML".to_owned(),
    ] {
        assert!(!harness.reload(&bad).await, "{bad}");
        harness.site().show("/number", number(9));
        harness.tick("number", "2026-11-20T10:01:00Z").await;
    }
    assert_eq!(harness.stage.rows::<(String, i64, i64, Option<i64>)>(watches).await, before);
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:02:00Z").await;
    assert_eq!(harness.titles().await[1..], ["n is above 10: 11"]);
}

#[tokio::test]
async fn a_good_file_adds_changes_and_removes_and_keeps_the_history() {
    let harness = Harness::start(&format!("{NUMBER}{OTHER}")).await;
    harness.site().show("/number", number(12));
    harness.site().show("/other", number(12));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.tick("other", "2026-11-20T10:00:00Z").await;
    assert_eq!(harness.messages().await.len(), 2);

    // The limit of one rises, the other goes.
    assert!(harness.reload(&NUMBER.replace("above = 10", "above = 15")).await);
    let report = harness.tick("number", "2026-11-20T10:01:00Z").await;
    assert!(!report.signals[0].firing, "the same answer is judged by the new rule");
    let closed = ["Closed: number: n is above", "Closed: n is above 10: 12"];
    assert_eq!(harness.titles().await[2..4], closed, "what we said began, we say ended");
    assert_eq!(harness.titles().await[4..], ["number: watching n"], "another rule announces anew");
    assert!(harness.daemon().tick("other", moment("2026-11-20T10:01:00Z")).await.is_err());
    let removed = "select count(*) from watch join observation on watch_id = watch.id
                   where name = 'other' and removed_at is not null";
    assert_eq!(harness.stage.count(removed).await, 1, "its history stays");

    // The other comes back.
    assert!(harness.reload(&format!("{NUMBER}{OTHER}")).await);
    harness.tick("other", "2026-11-20T10:02:00Z").await;
    assert_eq!(harness.titles().await[5..], ["n is above 10: 12"], "and says that it has begun again");
    assert_eq!(harness.stage.count("select count(*) from watch").await, 2);
}

#[tokio::test]
async fn a_renamed_watch_keeps_its_history_and_does_not_announce_again() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(12));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    assert_eq!(harness.messages().await.len(), 1);
    let renamed =
        NUMBER.replace("[watch.number]", "[watch.figure]").replace("every", "was = \"number\"\nevery");
    for _ in 0..2 {
        assert!(harness.reload(&renamed).await);
        harness.tick("figure", "2026-11-20T10:01:00Z").await;
    }
    harness.site().show("/number", number(13));
    harness.tick("figure", "2026-11-20T10:02:00Z").await;
    assert_eq!(harness.messages().await.len(), 1);
    let rows = harness.stage.rows::<(String, Option<i64>)>("select name, removed_at from watch").await;
    assert_eq!(rows, [("figure".to_owned(), None)]);
    assert_eq!(harness.stage.count("select count(*) from observation").await, 2);
}

#[tokio::test]
async fn what_waits_goes_to_where_the_receiver_is_now() {
    let hook = "[notify.hook]\nkind = \"webhook\"\nurl = \"{origin}/hook/old\"\n";
    let number_then = NUMBER.replace("on_first = \"announce\"\n", "");
    let harness = Harness::start(&format!("{hook}{number_then}")).await;
    // The old place asks to be left alone for an hour.
    harness.site().answer_always("old", Answer::status(429).header("retry-after", "3600"));
    harness.site().show("/number", number(11));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    until("the old place has refused", async || (!harness.site().posts("old").is_empty()).then_some(()))
        .await;
    assert!(harness.reload(&format!("{}{number_then}", hook.replace("/old", "/new"))).await);
    harness.site().show("/number", number(9));
    harness.tick("number", "2026-11-20T10:01:00Z").await;
    until("the new place is told", async || (!harness.site().posts("new").is_empty()).then_some(())).await;
    assert_eq!(harness.site().posts("old").len(), 1);
}

#[tokio::test]
async fn a_paused_watch_is_not_due() {
    let harness = Harness::start(NUMBER).await;
    assert!(harness.reload(&NUMBER.replace("every", "enabled = false\nevery")).await);
    let due = "select count(*) from watch where enabled = 1";
    assert_eq!(harness.stage.count(due).await, 0);
    assert!(harness.reload(NUMBER).await);
    assert_eq!(harness.stage.count(due).await, 1);
}

#[tokio::test]
async fn the_process_reloads_when_its_file_changes_or_when_it_is_told() {
    let stage = Stage::new(&NUMBER.replace("1m", "100ms")).await;
    stage.site.show("/number", number(9));
    stage.site.show("/other", number(9));
    let mut process = Process::run(&stage, &[]);
    until("the watch runs", async || (!stage.site.asked("/number").is_empty()).then_some(())).await;

    stage.write("[watch.number]\nevery = \"soon\"\n");
    process.logs("The configuration was not reloaded; the old one goes on").await;
    // It says where, in a line of its own.
    process.logs("config.toml:").await;
    let asked = stage.site.asked("/number").len();
    until("the old one goes on", async || (stage.site.asked("/number").len() > asked).then_some(())).await;

    // Saved as editors do: another file takes its place.
    let draft = stage.folder.path().join("config.toml.draft");
    stage.write(&NUMBER.replace("1m", "100ms").replace("/number\"", "/other\""));
    std::fs::copy(stage.config(), &draft).unwrap();
    std::fs::rename(&draft, stage.config()).unwrap();
    until("the new one is in its place", async || (!stage.site.asked("/other").is_empty()).then_some(()))
        .await;

    process.signal("HUP");
    until("it was read again", async || {
        let log = process.log();
        log.split_once("SIGHUP")
            .is_some_and(|(_, then)| then.contains("Reloaded the configuration"))
            .then_some(())
    })
    .await;
    process.signal("TERM");
    assert!(process.exit().await.success());
}

#[tokio::test]
async fn a_file_that_appears_in_an_included_folder_is_taken_up() {
    let stage = Stage::new("").await;
    let tables = std::fs::read_to_string(stage.config()).unwrap();
    let include = "include = [\"watches/*.toml\", \"later/*.toml\"]";
    std::fs::write(stage.config(), format!("{include}\n{tables}")).unwrap();
    let folder = |name: &str| stage.config().parent().unwrap().join(name);
    std::fs::create_dir(folder("watches")).unwrap();
    stage.site.show("/number", number(9));
    stage.site.show("/other", number(9));
    let mut process = Process::run(&stage, &[]);
    process.logs("Stakeout is watching").await;
    let watch = NUMBER.replace("1m", "100ms").replace("{origin}", &stage.site.origin());

    std::fs::write(folder("watches/a.toml"), &watch).unwrap();
    until("the first runs", async || (!stage.site.asked("/number").is_empty()).then_some(())).await;

    // A folder that was not there at the start, from the next time that anything changes.
    std::fs::create_dir(folder("later")).unwrap();
    let other = watch.replace("/number\"", "/other\"").replace("[watch.number]", "[watch.other]");
    std::fs::write(folder("later/b.toml"), other).unwrap();
    process.signal("HUP");
    until("the other runs", async || (!stage.site.asked("/other").is_empty()).then_some(())).await;
    std::fs::remove_file(folder("later/b.toml")).unwrap();
    process.logs("0 renamed, 1 gone").await;

    // Another folder in the place of one, as when a whole tree is swapped, and then a file in it.
    let named = |name: &str| {
        stage.site.show(&format!("/{name}"), number(9));
        watch
            .replace("/number\"", &format!("/{name}\""))
            .replace("[watch.number]", &format!("[watch.{name}]"))
    };
    std::fs::create_dir(folder("next")).unwrap();
    std::fs::write(folder("next/c.toml"), named("third")).unwrap();
    std::fs::rename(folder("watches"), folder("before")).unwrap();
    std::fs::rename(folder("next"), folder("watches")).unwrap();
    until("the third runs", async || (!stage.site.asked("/third").is_empty()).then_some(())).await;
    std::fs::write(folder("watches/d.toml"), named("fourth")).unwrap();
    until("the fourth runs", async || (!stage.site.asked("/fourth").is_empty()).then_some(())).await;
    process.signal("TERM");
    assert!(process.exit().await.success());
}

#[tokio::test]
async fn the_same_answer_is_read_anew_when_the_watch_asks_for_something_else_of_it() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", Page::new(r#"{"n": 12, "m": 3}"#));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    assert!(harness.reload(&NUMBER.replace("\"/n\"", "\"/m\"")).await);
    let report = harness.tick("number", "2026-11-20T10:01:00Z").await;
    assert_eq!(report.observations.iter().map(|seen| seen.subject.as_str()).collect::<Vec<_>>(), ["m"]);
}

#[tokio::test]
async fn a_file_that_is_empty_for_a_moment_takes_nothing_away() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(12));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    std::fs::write(harness.stage.config(), "").unwrap();
    assert!(!harness.daemon().reload(&harness.stage.config()).await);
    harness.tick("number", "2026-11-20T10:01:00Z").await;
    assert_eq!(harness.titles().await, ["number: watching n"], "nothing is closed");
}

#[tokio::test]
async fn a_clean_stop_leaves_one_file_that_is_the_whole_database() {
    let mut harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(12));
    harness.tick("number", "2026-11-20T10:00:00Z").await;
    harness.settled().await;
    harness.stop().await;
    let left: Vec<_> =
        std::fs::read_dir(harness.stage.data_dir()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("-wal")), "{left:?}");
}
