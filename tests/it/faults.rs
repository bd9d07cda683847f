//! A full disk, a locked database: no watch stops being tried, it is told, it passes by itself, and nothing
//! is lost or told twice.

use std::time::Duration;

use sqlx::Connection as _;
use stakeout::alarm::Timings;
use stakeout::daemon::{Clock, Vigilance};

use crate::harness::{Answer, Harness, Page, Stage, until};

/// Many numbers, so that what a run sees takes some room.
const NUMBERS: &str = r#"
[notify.one]
kind = "webhook"
url = "{origin}/hook/one"
[notify.two]
kind = "webhook"
url = "{origin}/hook/two"
[watch.numbers]
source = { kind = "json", url = "{origin}/numbers", pointer = "/*/n" }
strategy = [{ kind = "threshold", above = 10 }]
on_first = "baseline"
every = "100ms"
"#;

const RETRY: &str = "retry = { first = \"5ms\", longest = \"20ms\", give_up_after = \"3000d\" }";

const COUNT: usize = 400;

const QUICK: Vigilance = Vigilance {
    alarm: Timings {
        every: Duration::from_millis(200),
        in_trouble: Duration::from_millis(50),
        patience: Duration::from_secs(5),
        tell_after: Duration::from_millis(300),
        release_after: Duration::from_millis(100),
        over_after: Duration::from_millis(1_500),
    },
    heartbeat: Duration::from_secs(60),
};

fn numbers(n: usize) -> Page {
    let each: Vec<String> =
        (0..COUNT).map(|subject| format!("\"subject-{subject:03}\": {{\"n\": {n}}}")).collect();
    Page::new(format!("{{{}}}", each.join(",")))
}

fn titles(harness: &Harness, hook: &str) -> Vec<String> {
    let posts = harness.site().posts(hook);
    posts.iter().filter(|post| post.was_taken()).map(|post| post.title()).collect()
}

fn alarms(harness: &Harness, hook: &str) -> Vec<String> {
    titles(harness, hook).into_iter().filter(|title| title.starts_with("Stakeout")).collect()
}

/// How many subjects are named as above the limit, in all messages to a hook that were taken.
fn news(harness: &Harness, hook: &str) -> usize {
    let posts = harness.site().posts(hook);
    posts.iter().filter(|post| post.was_taken()).map(|post| post.alerts().len()).sum()
}

/// Runs until the first sight of all numbers is stored.
async fn start(toml: &str) -> Harness {
    let stage = Stage::new(toml).await;
    stage.site.show("/numbers", numbers(9));
    let harness = Harness::watched(stage, Clock::Running, QUICK).await;
    until("it has run", async || {
        (harness.stage.count("select count(*) from subject").await == COUNT as i64).then_some(())
    })
    .await;
    harness
}

/// The watch is asked for again and again.
async fn goes_on(harness: &Harness) {
    let before = harness.site().asked("/numbers").len();
    until("the watch is tried all the same", async || {
        (harness.site().asked("/numbers").len() >= before + 2).then_some(())
    })
    .await;
}

/// `both` says whether the second receiver heard of the beginning, too.
async fn recovers(harness: &mut Harness, why: &str, both: bool) {
    until("it is told that it is over", async || (alarms(harness, "one").len() == 2).then_some(())).await;
    until("what was seen meanwhile is told", async || {
        (news(harness, "one") == COUNT && news(harness, "two") == COUNT).then_some(())
    })
    .await;
    goes_on(harness).await;
    harness.settled().await;
    harness.stop().await;
    for (hook, heard) in [("one", true), ("two", both)] {
        let said = alarms(harness, hook);
        if heard {
            assert_eq!(said[0], format!("Stakeout cannot write its database: {why}"));
            assert!(said[1].starts_with("Stakeout writes its database again after "), "{said:?}");
        }
        assert_eq!(
            said.len(),
            if heard { 2 } else { 0 },
            "each once, and no end without a beginning: {said:?}"
        );
    }
    assert_eq!((news(harness, "one"), news(harness, "two")), (COUNT, COUNT), "nothing twice");
}

#[tokio::test]
async fn a_full_database_stops_no_watch_is_told_and_passes() {
    let mut harness = start(&format!("[daemon]\nmax_database = \"1MiB\"\n{RETRY}\n{NUMBERS}")).await;
    // One receiver takes a while to take it.
    harness.site().answer("two", [503, 500].map(Answer::status));
    harness.stage.change("insert into memo (name, value) values ('fill', zeroblob(2000000))").await;
    harness.site().show("/numbers", numbers(11));
    until("it is told", async || {
        ["one", "two"].iter().all(|hook| !alarms(&harness, hook).is_empty()).then_some(())
    })
    .await;
    goes_on(&harness).await;
    assert_eq!(news(&harness, "one"), 0, "what cannot be written is not told");
    harness.stage.change("delete from memo where name = 'fill'").await;
    recovers(&mut harness, "it has grown to `max_database`", true).await;
}

#[tokio::test]
async fn a_locked_database_stops_no_watch_is_told_and_passes() {
    let mut harness = start(NUMBERS).await;
    harness.site().answer_always("two", Answer::status(503));
    // One receiver takes nothing all the while.
    let lock = harness.stage.lock().await;
    harness.site().show("/numbers", numbers(11));
    until("it is told", async || (!alarms(&harness, "one").is_empty()).then_some(())).await;
    goes_on(&harness).await;
    assert_eq!(news(&harness, "one"), 0, "what cannot be written is not told");
    lock.close().await.unwrap();
    until("it is over", async || (alarms(&harness, "one").len() == 2).then_some(())).await;
    harness.site().answer_always("two", Answer::status(204));
    recovers(&mut harness, "another program holds it locked", false).await;
}

#[tokio::test]
async fn a_message_that_was_taken_while_the_database_was_locked_is_not_sent_again() {
    let stage = Stage::new(NUMBERS).await;
    stage.site.show("/numbers", numbers(9));
    let mut harness = Harness::watched(stage, Clock::Stopped, QUICK).await;
    harness.tick("numbers", "2026-11-20T10:00:00Z").await;
    for hook in ["one", "two"] {
        harness.site().answer_always(hook, Answer::status(204).held());
    }
    harness.site().show("/numbers", numbers(11));
    harness.tick("numbers", "2026-11-20T10:01:00Z").await;
    until("it is being sent", async || {
        ["one", "two"].iter().all(|hook| !harness.site().posts(hook).is_empty()).then_some(())
    })
    .await;
    let lock = harness.stage.lock().await;
    let sending = "select count(*) from delivery where kind = 'news' and status = 'sending'";
    assert_eq!(harness.stage.count(sending).await, 2);
    for hook in ["one", "two"] {
        harness.site().let_go(hook);
    }
    until("it was taken", async || {
        ((news(&harness, "one"), news(&harness, "two")) == (COUNT, COUNT)).then_some(())
    })
    .await;
    until("the database refuses", async || harness.daemon().store().is_in_trouble().then_some(())).await;
    assert_eq!(harness.stage.count(sending).await, 2, "that it was taken is not written yet");
    lock.close().await.unwrap();
    harness.settled().await;
    let attempts =
        "select count(*) from delivery where kind = 'news' and status = 'delivered' and attempts = 1";
    assert_eq!(harness.stage.count(attempts).await, 2);
    harness.stop().await;
    assert_eq!((news(&harness, "one"), news(&harness, "two")), (COUNT, COUNT), "once");
}
