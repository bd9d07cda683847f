//! Watches that are added, tried, run, paused and removed while the daemon runs.

use serde_json::{Map, Value, json};
use stakeout::daemon::Clock;
use stakeout::run;
use stakeout::store::Glance;
use stakeout::watchlist::Watchlist;
use stakeout::web::Refused;

use crate::harness::{Harness, Page, Process, Stage, command, minutes_after, moment, number, until};

const NUMBER: &str = r#"
[watch.number]
source = { kind = "json", url = "{origin}/number", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "* * * * *"
"#;

const TEN: &str = "2026-11-20T10:00:00Z";

fn table(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(table) => table,
        other => panic!("{other}"),
    }
}

/// The keys of a watch of another number.
fn other(origin: &str) -> Map<String, Value> {
    table(json!({
        "source": {"kind": "json", "url": format!("{origin}/other"), "pointer": "/n"},
        "strategy": [{"kind": "threshold", "above": 10}],
        "every": "1h",
    }))
}

async fn add(harness: &Harness, name: &str, table: &Map<String, Value>) -> Result<(), Refused> {
    harness.daemon().control().add_watch(name, table).await
}

async fn glance(harness: &Harness, name: &str) -> Option<Glance> {
    let glances = harness.daemon().store().glances().await.unwrap();
    glances.into_iter().find(|glance| glance.name == name)
}

/// Waits for the end of a run that somebody asked for.
async fn ran(harness: &Harness, name: &str) -> Glance {
    until("it has run", async || glance(harness, name).await.filter(|glance| glance.ran_at.is_some())).await
}

/// The sentence with which something is refused.
fn sentence<T>(refused: Result<T, Refused>) -> String {
    refused.err().expect("it is refused").to_string()
}

fn mistakes<T>(refused: Result<T, Refused>) -> Vec<String> {
    match refused.err() {
        Some(Refused::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_watch_that_is_added_runs_at_once_and_over_restarts_and_reloads() {
    let mut harness = Harness::start_running(NUMBER).await;
    harness.site().show("/number", number(1));
    harness.site().show("/other", number(11));
    let keys = other(&harness.site().origin());
    add(&harness, "other", &keys).await.unwrap();
    until("its news is told", async || (!harness.site().messages().is_empty()).then_some(())).await;
    assert_eq!(harness.titles().await, ["n is above 10: 11"]);
    assert!(glance(&harness, "other").await.unwrap().is_added);
    assert!(matches!(add(&harness, "other", &keys).await, Err(Refused::Exists(_))));

    assert!(harness.reload(&NUMBER.replace("above = 10", "above = 20")).await);
    assert!(glance(&harness, "other").await.is_some());
    harness.stop().await;
    harness.boot().await;
    harness.site().show("/other", number(9));
    harness.tick("other", "2099-11-20T10:00:00Z").await;
    assert_eq!(harness.titles().await[1..], ["n is no longer above 10: 9"], "it is known what was told");

    harness.daemon().control().remove_watch("other").await.unwrap();
    assert!(glance(&harness, "other").await.is_none());
    let history = "select count(*) from watch join run on watch_id = watch.id where name = 'other'";
    assert_eq!(harness.stage.count(history).await, 2, "its history stays");
    harness.stop().await;
    harness.boot().await;
    assert!(harness.daemon().tick("other", moment(TEN)).await.is_err(), "it stays removed");
}

#[tokio::test]
async fn one_with_a_crontab_line_runs_at_once_too() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/other", number(11));
    let mut keys = other(&harness.site().origin());
    keys.remove("every");
    keys.insert("cron".into(), "0 0 1 1 *".into());
    add(&harness, "other", &keys).await.unwrap();
    assert_eq!(ran(&harness, "other").await.outcome.as_deref(), Some("ok"));
    let next = glance(&harness, "other").await.unwrap().next_due_at.unwrap();
    assert!(next.to_string().ends_with("-01-01T00:00:00Z"), "{next}");
}

#[tokio::test]
async fn a_watch_with_mistakes_is_not_added_and_all_of_them_are_told() {
    let harness = Harness::start(NUMBER).await;
    let keys = table(json!({
        "source": {"kind": "json", "url": "http://a.example/", "pointer": "/n"},
        "strategy": [{"kind": "treshold"}],
        "evry": "1m",
        "notify": ["nobody"],
    }));
    let all = mistakes(add(&harness, "other", &keys).await).join("\n");
    for part in ["`threshold`", "`every`", "nobody", "watch `other`, added here:"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert_eq!(mistakes(harness.daemon().control().try_watch("other", &keys).await).join("\n"), all);
    assert!(glance(&harness, "other").await.is_none());
    // No other table comes in by way of a name, and none that a file would not take.
    for name in ["", "a\nb", &"x".repeat(201)] {
        let all = mistakes(add(&harness, name, &other("http://a.example")).await).join("\n");
        assert!(all.contains("this is no usable name"), "{all}");
    }
}

#[tokio::test]
async fn watches_of_the_file_are_changed_in_the_file() {
    let harness = Harness::start(NUMBER).await;
    let keys = other("http://a.example");
    assert!(matches!(add(&harness, "number", &keys).await, Err(Refused::Exists(_))));
    let control = harness.daemon().control();
    assert!(matches!(control.try_watch("number", &keys).await, Err(Refused::Exists(_))));
    let refused = control.remove_watch("number").await;
    assert!(matches!(refused, Err(Refused::InFile(_))));
    assert!(sentence(refused).contains("remove it there"));
    let unknown = control.remove_watch("numbr").await;
    assert!(matches!(unknown, Err(Refused::Unknown(_))));
    assert_eq!(sentence(unknown), "there is no watch `numbr`; did you mean `number`?");
    for unknown in
        [control.run_watch("x").await, control.pause_watch("x").await, control.resume_watch("x").await]
    {
        assert!(matches!(unknown, Err(Refused::Unknown(_))));
    }
}

#[tokio::test]
async fn no_secret_of_the_file_can_be_sent_elsewhere_by_adding_a_watch() {
    let harness = Harness::start(&format!(
        "[source.finnhub]\ntoken = \"planted-secret\"\nbase_url = \"{{origin}}\"\n{NUMBER}"
    ))
    .await;
    let origin = harness.site().origin();
    let keys = |source: Value| table(json!({"source": source, "every": "1h"}));
    let host = origin.trim_start_matches("http://");
    for source in [
        json!({"kind": "finnhub", "symbols": ["AAPL"], "base_url": format!("{origin}/thief")}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "base_url": format!("http:{host}/thief")}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "base_url": format!("http:/{host}/thief")}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "base_url": format!(" HTTP:\\\\{host}/thief")}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "base_url": format!("ht\ntp:{host}/thief")}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "proxy": origin}),
        json!({"kind": "finnhub", "symbols": ["AAPL"], "token": "another"}),
        json!({"kind": "json", "url": "http://a.example/${HOME}", "pointer": "/n"}),
        json!({"kind": "json", "url": {"file": "/etc/hostname"}, "pointer": "/n"}),
        json!({"kind": "json", "url": "http://a.example/", "pointer": "/n", "headers": {"X-Key": "k"}}),
    ] {
        let keys = keys(source);
        for refused in [
            mistakes(add(&harness, "other", &keys).await),
            mistakes(harness.daemon().control().try_watch("other", &keys).await),
        ] {
            assert!(refused.join("\n").contains("write such a watch into the file"), "{refused:?}");
        }
    }
    assert_eq!(harness.site().asked("/thief/quote").len(), 0);
    let good = keys(json!({"kind": "finnhub", "symbols": ["AAPL"]}));
    add(&harness, "other", &good).await.unwrap();
    let stored =
        harness.stage.rows::<(String, String)>("select spec, toml from watch where toml is not null").await;
    assert!(!format!("{stored:?}").contains("planted-secret"));
}

#[tokio::test]
async fn the_file_goes_before_a_watch_of_the_same_name_that_was_added() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/other", number(11));
    add(&harness, "other", &other(&harness.site().origin())).await.unwrap();
    harness.tick("other", TEN).await;
    let own = NUMBER.replace("watch.number", "watch.other").replace("/number", "/other");
    assert!(harness.reload(&format!("{NUMBER}{own}")).await);
    let now = glance(&harness, "other").await.unwrap();
    assert!(!now.is_added);
    assert!(matches!(harness.daemon().control().remove_watch("other").await, Err(Refused::InFile(_))));
    assert_eq!(harness.stage.count("select count(*) from watch where name = 'other'").await, 1);
    assert!(harness.stage.count("select count(*) from observation").await > 0, "its history stays");
    // With the file's own, it is gone for good.
    assert!(harness.reload(NUMBER).await);
    assert!(glance(&harness, "other").await.is_none());
    // And under another name.
    add(&harness, "added", &other(&harness.site().origin())).await.unwrap();
    let renamed = own.replace("watch.other]", "watch.mine]\nwas = \"added\"");
    assert!(harness.reload(&format!("{NUMBER}{renamed}")).await);
    assert!(glance(&harness, "added").await.is_none());
    assert!(!glance(&harness, "mine").await.unwrap().is_added);
}

#[tokio::test]
async fn an_added_watch_that_the_file_no_longer_fits_is_left_out_told_and_comes_back() {
    let hooks = "[notify.hook]\nkind = \"webhook\"\nurl = \"{origin}/hook/hook\"\n";
    let two = format!("{hooks}[notify.spare]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/spare\"\n{NUMBER}");
    let mut harness = Harness::start(&two).await;
    harness.site().show("/number", number(1));
    harness.site().show("/other", number(1));
    let mut keys = other(&harness.site().origin());
    keys.insert("notify".into(), json!(["spare"]));
    add(&harness, "other", &keys).await.unwrap();
    for _ in 0..2 {
        assert!(harness.reload(&format!("{hooks}{NUMBER}")).await, "the others go on");
    }
    harness.tick("number", TEN).await;
    let now = glance(&harness, "other").await.unwrap();
    assert_eq!((now.outcome.as_deref(), now.next_due_at), (Some("failed"), None));
    let refused = sentence(harness.daemon().control().run_watch("other").await);
    assert!(refused.contains("cannot be run") && refused.contains("spare"), "{refused}");
    assert_eq!(harness.titles().await, ["Watch `other` is not run any more"], "once");
    harness.stop().await;
    let plan = command(&harness.stage, &["plan"]).await;
    assert!(String::from_utf8_lossy(&plan.stdout).contains("Nothing would change: 1 watch stays as it is"));
    let list = command(&harness.stage, &["watch", "list"]).await;
    assert!(String::from_utf8_lossy(&list.stdout).contains("cannot be run"));
    harness.boot().await;
    assert_eq!(harness.titles().await.len(), 1);
    assert!(harness.reload(&two).await);
    harness.tick("other", TEN).await;
    assert!(glance(&harness, "other").await.unwrap().next_due_at.is_some());
    // And one that nobody wants any more can be removed while it is left out.
    assert!(harness.reload(&format!("{hooks}{NUMBER}")).await);
    harness.daemon().control().remove_watch("other").await.unwrap();
    assert!(glance(&harness, "other").await.is_none());
}

#[tokio::test]
async fn a_watch_that_another_one_needs_stays() {
    let harness = Harness::start(NUMBER).await;
    let keys = other(&harness.site().origin());
    add(&harness, "first", &keys).await.unwrap();
    let mut second = keys.clone();
    second.insert("depends_on".into(), json!(["first"]));
    add(&harness, "second", &second).await.unwrap();
    let refused = sentence(harness.daemon().control().remove_watch("first").await);
    assert!(refused.contains("still needed") && refused.contains("second"), "{refused}");
    harness.daemon().control().remove_watch("second").await.unwrap();
    harness.daemon().control().remove_watch("first").await.unwrap();
}

#[tokio::test]
async fn what_the_command_line_has_just_added_is_lost_by_no_change_of_others() {
    let harness = Harness::start(NUMBER).await;
    let origin = harness.site().origin();
    let add_by_line = async |name: &str| {
        let source = format!("source = {{ kind = \"json\", url = \"{origin}/other\", pointer = \"/n\" }}");
        let add = ["watch", "add", name, "--toml", "every = \"1h\"", "--toml", &source];
        let output = command(&harness.stage, &add).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    add_by_line("mine").await;
    add(&harness, "other", &other(&origin)).await.unwrap();
    harness.tick("mine", TEN).await;
    let exists = add(&harness, "mine", &other(&origin)).await;
    assert!(matches!(exists, Err(Refused::Exists(_))), "{exists:?}");
    add_by_line("late").await;
    assert!(matches!(add(&harness, "late", &other(&origin)).await, Err(Refused::Exists(_))));
    harness.daemon().control().remove_watch("other").await.unwrap();
    harness.daemon().control().remove_watch("late").await.unwrap();
    assert!(glance(&harness, "mine").await.is_some());
    // The file as it is for a moment, which the daemon would not take, is no matter of the command line's.
    harness.stage.write("");
    add_by_line("last").await;
    assert!(glance(&harness, "number").await.is_some());
}

#[tokio::test]
async fn one_that_is_disabled_is_added_and_not_run() {
    let mut harness = Harness::start(NUMBER).await;
    let mut keys = other(&harness.site().origin());
    keys.insert("enabled".into(), json!(false));
    keys.remove("every");
    keys.insert("cron".into(), "0 0 1 1 *".into());
    add(&harness, "other", &keys).await.unwrap();
    assert!(!glance(&harness, "other").await.unwrap().enabled);
    harness.stop().await;
    assert_eq!(harness.site().asked("/other").len(), 0);
}

#[tokio::test]
async fn one_watch_is_tried_at_a_time() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/other", number(11));
    let (control, keys) = (harness.daemon().control(), other(&harness.site().origin()));
    let (first, second) = tokio::join!(control.try_watch("a", &keys), control.try_watch("b", &keys));
    assert!(first.is_ok());
    assert!(matches!(second, Err(Refused::Busy(_))));
    assert!(control.try_watch("b", &keys).await.is_ok());
}

#[tokio::test]
async fn what_is_tried_is_seen_and_leaves_nothing() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/other", number(11));
    let report = harness.daemon().control().try_watch("new", &other(&harness.site().origin())).await.unwrap();
    assert_eq!(report.watch, "new");
    assert_eq!(report.observations.len(), 1);
    assert_eq!(report.alerts[0].title, "n is above 10: 11");
    for rows in
        ["select count(*) from run", "select count(*) from delivery", "select count(*) from observation"]
    {
        assert_eq!(harness.stage.count(rows).await, 0, "{rows}");
    }
    assert!(glance(&harness, "new").await.is_none());
    harness.site().show("/other", Page::new("gone").status(404));
    let report = harness.daemon().control().try_watch("new", &other(&harness.site().origin())).await.unwrap();
    assert!(report.error.unwrap().contains("404"));
}

#[tokio::test]
async fn a_watch_is_run_by_hand_and_never_twice_at_once() {
    let harness = Harness::start(NUMBER).await;
    let control = harness.daemon().control();
    harness.site().show("/number", number(11).hanging());
    control.run_watch("number").await.unwrap();
    let busy = control.run_watch("number").await;
    assert!(matches!(busy, Err(Refused::Busy(_))));
    // It is given up after the time that a request may take.
    assert_eq!(ran(&harness, "number").await.outcome.as_deref(), Some("failed"));
    harness.site().show("/number", number(11));
    until("it can be run again", async || control.run_watch("number").await.ok()).await;
    until("it is told", async || (!harness.site().messages().is_empty()).then_some(())).await;
    let triggers = harness.stage.rows::<(String,)>("select distinct \"trigger\" from run").await;
    assert_eq!(triggers, [("manual".to_owned(),)]);
}

#[tokio::test]
async fn the_schedule_waits_for_a_run_by_hand() {
    let every = NUMBER.replace("cron = \"* * * * *\"", "every = \"1s\"");
    let harness = Harness::start_running(&every).await;
    harness.site().show("/number", number(1));
    ran(&harness, "number").await;
    harness.daemon().control().pause_watch("number").await.unwrap();
    let control = harness.daemon().control();
    until("it runs by hand though it is paused", async || control.run_watch("number").await.ok()).await;
    harness.site().show("/number", number(1).after(std::time::Duration::from_millis(1_500)));
    control.resume_watch("number").await.unwrap();
    until("it has run often", async || (harness.site().asked("/number").len() > 6).then_some(())).await;
    assert_eq!(harness.site().most_at_once("/number"), 1);
}

#[tokio::test]
async fn a_paused_watch_has_no_slots_and_what_passes_is_accounted_for() {
    let harness = Harness::start(NUMBER).await;
    harness.site().show("/number", number(1));
    harness.slot("number", TEN, TEN).await;
    let store = harness.daemon().store();
    let watchlist = Watchlist::load(&harness.stage.config()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let watch = watchlist.watch("number").unwrap();
    let id = store.watch("number").await.unwrap().unwrap().id;
    let next = minutes_after(TEN, 1);
    assert_eq!(store.next_due(id).await.unwrap(), Some(next));
    for minute in [0, 5] {
        store.pause_watch(id, minutes_after(TEN, minute)).await.unwrap();
    }
    assert_eq!(store.next_due(id).await.unwrap(), None);
    // By hand it may run, and a reload changes nothing.
    harness.tick_at("number", minutes_after(TEN, 3)).await;
    assert!(harness.reload(NUMBER).await);
    assert_eq!(store.next_due(id).await.unwrap(), None);
    let explained = command(&harness.stage, &["explain", "number"]).await;
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains(&format!("the watch is paused since {TEN}")), "{explained}");
    for _ in 0..2 {
        run::resume(store, (id, watch), false, minutes_after(TEN, 10)).await.unwrap();
    }
    assert_eq!(store.next_due(id).await.unwrap(), Some(minutes_after(TEN, 11)));
    let eleven = minutes_after(TEN, 11).to_string();
    harness.slot("number", &eleven, &eleven).await;
    let stretches = store
        .slots(id, moment(TEN), minutes_after(TEN, 60), std::time::Duration::from_secs(15))
        .await
        .unwrap();
    let told: Vec<String> = stretches
        .iter()
        .map(|stretch| {
            format!("{} {} {}", stretch.slots, stretch.outcome, stretch.why.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(told, ["1 ok -", "10 skipped paused", "1 ok -"]);
}

#[tokio::test]
async fn a_pause_outlasts_a_restart_and_its_slots_are_not_made_up_for() {
    let mut harness = Harness::start_running(&NUMBER.replace("cron = \"* * * * *\"", "every = \"1s\"")).await;
    harness.site().show("/number", number(11));
    ran(&harness, "number").await;
    harness.settled().await;
    harness.daemon().control().pause_watch("number").await.unwrap();
    harness.stop().await;
    let asked = harness.site().asked("/number").len();
    harness.boot().await;
    assert!(glance(&harness, "number").await.unwrap().paused_at.is_some());
    assert_eq!(harness.site().asked("/number").len(), asked, "nothing was asked meanwhile");
    harness.site().show("/number", number(12));
    harness.daemon().control().resume_watch("number").await.unwrap();
    until("it runs again", async || (harness.site().asked("/number").len() > asked).then_some(())).await;
    assert_eq!(harness.titles().await, ["n is above 10: 11"], "its episode stayed open");
}

#[tokio::test]
async fn a_test_message_goes_out_and_what_the_service_says_comes_back() {
    let harness = Harness::start(NUMBER).await;
    let control = harness.daemon().control();
    let answer = control.test_notifier("hook").await.unwrap();
    assert!(answer.contains("204"), "{answer}");
    assert_eq!(harness.titles().await, ["Stakeout test message"]);
    assert_eq!(harness.stage.count("select count(*) from delivery").await, 0);
    let refused = control.test_notifier("hok").await;
    assert!(matches!(refused, Err(Refused::Unknown(_))));
    harness.site().answer("hook", [crate::harness::Answer::status(404)]);
    assert!(sentence(control.test_notifier("hook").await).contains("did not take it"));
}

#[tokio::test]
async fn the_command_line_adds_pauses_resumes_and_removes_and_a_running_daemon_follows() {
    let stage = Stage::new(NUMBER).await;
    stage.site.show("/number", number(1));
    stage.site.show("/other", number(11));
    let mut daemon = Process::run(&stage, &[]);
    daemon.logs("Stakeout is watching").await;
    let said = async |arguments: &[&str]| {
        let output = command(&stage, arguments).await;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.code(), text.concat())
    };
    let url = format!("{}/other", stage.site.origin());
    let source = format!("source = {{ kind = \"json\", url = \"{url}\", pointer = \"/n\" }}");
    let strategy = "strategy = [{ kind = \"threshold\", above = 10 }]";
    let add = ["watch", "add", "other", "--toml", "every = \"1s\"", "--toml", &source, "--toml", strategy];
    let (code, text) = said(&add).await;
    assert_eq!(code, Some(0), "{text}");
    until("the daemon runs it", async || (!stage.site.messages().is_empty()).then_some(())).await;
    let (code, text) = said(&add).await;
    assert_eq!(code, Some(2));
    assert!(text.contains("there is a watch `other` already"), "{text}");

    let (code, text) = said(&["watch", "list", "--json"]).await;
    assert_eq!(code, Some(0));
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&listed[0]["origin"], &listed[1]["origin"]), (&json!("file"), &json!("api")));
    assert_eq!(listed[1]["name"], "other");
    // Other commands know it too, and none takes it for removed.
    assert_eq!(said(&["once", "other"]).await.0, Some(0));
    assert!(said(&["plan"]).await.1.contains("Nothing would change: 2 watches"));
    assert_eq!(said(&["history", "other"]).await.0, Some(0));

    for _ in 0..2 {
        assert_eq!(said(&["watch", "pause", "other"]).await.0, Some(0));
    }
    assert!(said(&["watch", "list"]).await.1.contains("paused since"));
    let (code, text) = said(&["watch", "resume", "other"]).await;
    assert_eq!(code, Some(0));
    assert!(text.contains("it is due at"), "{text}");
    for (arguments, reason) in [
        (["watch", "remove", "number"], "stands in a file"),
        (["watch", "remove", "othr"], "did you mean `other`?"),
        (["watch", "pause", "othr"], "did you mean `other`?"),
    ] {
        let (code, text) = said(&arguments).await;
        assert_eq!(code, Some(2));
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(said(&["watch", "remove", "other"]).await.0, Some(0));
    daemon.logs("Took over the watches that were added or removed: 1 now").await;
    daemon.signal("TERM");
    assert!(daemon.exit().await.success());
}

#[tokio::test]
async fn a_watch_is_added_from_a_file_and_its_mistakes_are_told_with_exit_code_2() {
    let stage = Stage::new(NUMBER).await;
    let file = stage.folder.path().join("gpu.txt");
    let path = file.to_str().unwrap().to_owned();
    let write = |text: &str| std::fs::write(&file, text.replace("{origin}", &stage.site.origin())).unwrap();
    let add = async || {
        let output = command(&stage, &["watch", "add", "gpu", "--file", &path]).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (text, reason) in [
        ("every = \"1m\"\n", "`source` is missing"),
        ("this is no TOML", "no TOML"),
        (
            "every = \"1m\"\nsource = { kind = \"page\", url = \"http://${HOST}/\" }\n",
            "write such a watch into the file",
        ),
        ("[daemon]\nlog_level = \"debug\"\n", "unknown"),
    ] {
        write(text);
        let (code, error) = add().await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    // Also with its heading, as it would stand in the configuration.
    write(&NUMBER.replace("watch.number", "watch.gpu"));
    assert_eq!(add().await, (Some(0), String::new()));
    assert_eq!(stage.count("select count(*) from watch where origin = 'api' and name = 'gpu'").await, 1);
}

#[tokio::test]
async fn there_is_a_dashboard_without_asking_and_a_taken_port_is_no_reason_not_to_start() {
    let stage = Stage::new(NUMBER).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let start = async |web: &str| {
        let text = text.replace("[web]\nlisten = \"127.0.0.1:0\"\n", web);
        std::fs::write(stage.config(), text).unwrap();
        let watchlist = Watchlist::load(&stage.config()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        stakeout::daemon::Daemon::start(watchlist, Clock::Stopped).await
    };
    let refused = start(&format!("[web]\nlisten = \"{address}\"\n")).await;
    let refused = format!("{:#}", refused.err().expect("what was asked for is needed"));
    assert!(refused.contains(&format!("cannot listen on {address}")), "{refused}");
    let off = start("[web]\nenabled = false\n").await.unwrap();
    assert_eq!(off.web(), None);
    off.stop().await;
    // Somebody else may have the usual port while this runs; then there is none, and all else is well.
    let usual = std::net::TcpListener::bind("127.0.0.1:8787");
    let daemon = start("").await.unwrap();
    assert!(usual.is_err() || daemon.web().is_none());
    daemon.stop().await;
}
