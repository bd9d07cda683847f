//! Quiet hours: what comes in them is told in one brief when they end, with whether it is still so.

use crate::harness::{Answer, Harness, Page, Post, moment, until};

const CONFIG: &str = r#"
[alerting]
quiet_hours = "22:00-07:00"
[watch.a]
source = { kind = "json", url = "{origin}/a", pointer = "/a" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.b]
source = { kind = "json", url = "{origin}/b", pointer = "/b" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.c]
source = { kind = "json", url = "{origin}/c", pointer = "/c" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
[watch.urgent]
source = { kind = "json", url = "{origin}/urgent", pointer = "/urgent" }
strategy = [{ kind = "threshold", above = 10 }]
every = "1m"
urgent = true
"#;

async fn see(harness: &Harness, watch: &str, n: i32, at: &str) {
    harness.site().show(&format!("/{watch}"), Page::new(format!("{{\"{watch}\": {n}}}")));
    harness.tick_at(watch, moment(at)).await;
}

/// A night of long ago, which is over when the receiver takes messages again: at first it is busy.
async fn after_a_night(coming: &[(&str, i32, &str)]) -> (Harness, Vec<Post>) {
    let mut harness = Harness::start(CONFIG).await;
    harness.site().answer("hook", [Answer::never()]);
    see(&harness, "urgent", 11, "2020-05-04T21:00:00Z").await;
    let site = harness.site().clone();
    until("it is being sent", async || (!site.posts("hook").is_empty()).then_some(())).await;
    for (watch, n, at) in coming {
        see(&harness, watch, *n, at).await;
    }
    harness.crash();
    harness.boot().await;
    let mut taken = harness.messages().await;
    assert_eq!(taken.remove(0).title(), "urgent is above 10: 11");
    (harness, taken)
}

#[tokio::test]
async fn a_night_is_one_brief_that_says_what_is_still_so() {
    let (harness, taken) = after_a_night(&[
        ("a", 11, "2020-05-04T23:14:00Z"),
        ("b", 11, "2020-05-05T02:14:00Z"),
        ("b", 9, "2020-05-05T03:10:00Z"),
        ("c", 11, "2020-05-05T04:00:00Z"),
        // Not in the night any more, but its beginning is not told yet.
        ("c", 9, "2020-05-05T07:30:00Z"),
    ])
    .await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    let brief = &taken[0];
    assert_eq!(brief.title(), "While it was quiet: 5 messages");
    assert_eq!(
        brief.body(),
        "2020-05-04 23:14 a is above 10: 11; still so\n\
         2020-05-05 02:14 b is above 10: 11; over since 2020-05-05 03:10\n  It was so for 56 min.\n\
         2020-05-05 04:00 c is above 10: 11; over since 2020-05-05 07:30\n  It was so for 3 h 30 min."
    );
    assert_eq!(brief.alerts().len(), 5);
    let open = "select count(*) from delivery where status <> 'delivered'";
    assert_eq!(harness.stage.count(open).await, 0);
}

#[tokio::test]
async fn one_message_of_a_night_is_told_as_itself() {
    let (_harness, taken) = after_a_night(&[("a", 11, "2020-05-05T02:14:00Z")]).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].title(), "a is above 10: 11");
    let body = taken[0].body();
    assert!(
        body.starts_with("Happened 2020-05-05 02:14, delivered ") && body.ends_with("; still so."),
        "{body}"
    );
    assert_eq!(taken[0].alerts()[0]["signal"]["subject"], "a");
}

#[tokio::test]
async fn what_is_urgent_is_told_at_night_and_nothing_else() {
    let harness = Harness::start(CONFIG).await;
    for watch in ["a", "urgent", "b"] {
        see(&harness, watch, 11, "2040-05-05T02:14:00Z").await;
    }
    let site = harness.site();
    until("the urgent one comes", async || (!site.messages().is_empty()).then_some(())).await;
    assert_eq!(site.posts("hook").iter().map(Post::title).collect::<Vec<_>>(), ["urgent is above 10: 11"]);
    let held = "select count(*) from delivery where status = 'pending' and held = 1";
    assert_eq!(harness.stage.count(held).await, 2);
    let (first_try, waiting) = (
        moment("2040-05-05T07:00:00Z").as_millisecond(),
        "select next_attempt_at from delivery where held = 1",
    );
    assert!(harness.stage.rows::<(i64,)>(waiting).await.iter().all(|(at,)| *at == first_try));
}

#[tokio::test]
async fn what_is_held_is_told_when_a_reload_ends_the_quiet_hours() {
    let harness = Harness::start(CONFIG).await;
    for watch in ["a", "b"] {
        see(&harness, watch, 11, "2040-05-05T02:14:00Z").await;
    }
    assert!(harness.reload(&CONFIG.replace("22:00-07:00", "")).await);
    let site = harness.site();
    until("they are told", async || (!site.messages().is_empty()).then_some(())).await;
    assert_eq!(
        site.posts("hook").iter().map(Post::title).collect::<Vec<_>>(),
        ["While it was quiet: 2 messages"]
    );
}

#[tokio::test]
async fn a_brief_is_told_to_each_receiver() {
    let two = "[notify.one]\nkind = \"webhook\"\nurl = \"{origin}/hook/one\"\n\
               [notify.two]\nkind = \"discord\"\nurl = \"{origin}/hook/two\"\n";
    let mut harness = Harness::start(&format!("{two}{CONFIG}")).await;
    for hook in ["one", "two"] {
        harness.site().answer(hook, [Answer::never()]);
    }
    see(&harness, "urgent", 11, "2020-05-04T21:00:00Z").await;
    let site = harness.site().clone();
    let busy = async || (!site.posts("one").is_empty() && !site.posts("two").is_empty()).then_some(());
    until("both are busy", busy).await;
    see(&harness, "a", 11, "2020-05-05T02:14:00Z").await;
    see(&harness, "b", 11, "2020-05-05T02:15:00Z").await;
    harness.crash();
    harness.boot().await;
    harness.settled().await;
    let last = |hook: &str| site.posts(hook).pop().unwrap();
    assert_eq!(last("one").title(), "While it was quiet: 2 messages");
    let shown = last("two").json();
    assert_eq!(shown["content"], "While it was quiet: 2 messages");
    let text = shown["embeds"][0]["description"].as_str().unwrap().to_owned();
    assert!(text.contains("02:14 a is above 10: 11; still so\n"), "{text}");
}
