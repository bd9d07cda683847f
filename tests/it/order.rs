//! What goes out when: in order, gathered, within a limit.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::harness::{Answer, Harness, Post, minutes_after, until};

const START: &str = "2020-05-05T10:00:00Z";

/// Watches of these names, each with a page of its own.
fn watches(names: &[&str]) -> String {
    let mut toml = String::new();
    for name in names {
        let _ = write!(
            toml,
            "[watch.{name}]\nsource = {{ kind = \"json\", url = \"{{origin}}/{name}\", pointer = \"/{name}\" }}\n\
             strategy = [{{ kind = \"threshold\", above = 10 }}]\nevery = \"1m\"\n"
        );
    }
    toml
}

async fn see(harness: &Harness, watch: &str, n: i32, at: Timestamp) {
    let page = crate::harness::Page::new(format!("{{\"{watch}\": {n}}}"));
    harness.site().show(&format!("/{watch}"), page);
    harness.tick_at(watch, at).await;
}

/// Lets a receiver take nothing while all of this comes, and then everything at once.
async fn pile_up(harness: &mut Harness, coming: &[(&str, i32)]) {
    harness.site().answer("hook", [Answer::never()]);
    for (minute, (watch, n)) in (0..).zip(coming) {
        see(harness, watch, *n, minutes_after(START, minute)).await;
        if minute == 0 {
            let site = harness.site();
            until("it is being sent", async || (!site.posts("hook").is_empty()).then_some(())).await;
        }
    }
    harness.crash();
    harness.boot().await;
}

fn titles(posts: &[Post]) -> Vec<String> {
    posts.iter().map(Post::title).collect()
}

#[tokio::test]
async fn an_end_never_overtakes_its_beginning_and_holds_up_nothing_else() {
    let harness = Harness::start(&format!(
        "[daemon]\nretry = {{ first = \"500ms\", longest = \"500ms\", give_up_after = \"3000d\" }}\n{}",
        watches(&["a", "b"])
    ))
    .await;
    harness.site().answer("hook", [Answer::status(503)]);
    see(&harness, "a", 11, minutes_after(START, 0)).await;
    until("the beginning is refused", async || (!harness.site().posts("hook").is_empty()).then_some(()))
        .await;
    see(&harness, "a", 9, minutes_after(START, 1)).await;
    see(&harness, "b", 11, minutes_after(START, 2)).await;
    assert_eq!(
        harness.titles().await,
        ["b is above 10: 11", "a is above 10: 11", "a is no longer above 10: 9"]
    );
}

#[tokio::test]
async fn what_several_watches_say_within_a_bundle_is_one_message() {
    let toml = |bundle: &str| {
        format!(
            "[notify.hook]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/hook\"\nbundle = \"{bundle}\"\n\
             {}urgent = true\n",
            watches(&["a", "b", "c", "urgent"])
        )
    };
    let harness = Harness::start(&toml("1h")).await;
    let now = Timestamp::now();
    see(&harness, "a", 11, now).await;
    see(&harness, "b", 11, now).await;
    see(&harness, "urgent", 11, now).await;
    see(&harness, "a", 9, now).await;
    let site = harness.site();
    until("the urgent one comes", async || (site.messages().len() == 1).then_some(())).await;
    assert!(harness.reload(&toml("10ms")).await, "the hour is over");
    assert_eq!(
        harness.titles().await,
        [
            "urgent is above 10: 11",
            "3 messages: a is above 10: 11; b is above 10: 11; a is no longer above 10: 9"
        ]
    );
    let bundle = harness.site().messages().remove(1);
    let alerts: Vec<_> = bundle.alerts().iter().map(|alert| alert["title"].clone()).collect();
    assert_eq!(alerts, ["a is above 10: 11", "b is above 10: 11", "a is no longer above 10: 9"]);
    assert_eq!(bundle.json()["type"], "alert.firing", "not all of it is over");
    let carried = "select count(*) from delivery where status = 'delivered' and carried_by is not null";
    assert_eq!(harness.stage.count(carried).await, 3);
    see(&harness, "c", 11, Timestamp::now()).await;
    assert_eq!(harness.titles().await.last().unwrap(), "c is above 10: 11", "one alone goes as itself");
}

#[tokio::test]
async fn beyond_the_budget_messages_come_in_a_digest_that_says_so() {
    let mut harness = Harness::start(&format!(
        "[notify.hook]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/hook\"\nbudget = \"4/h\"\n{}{}",
        watches(&["a", "b", "urgent"]),
        "urgent = true\n"
    ))
    .await;
    let coming = [("a", 11), ("b", 11), ("a", 9), ("b", 9), ("a", 12), ("b", 12), ("a", 8)];
    pile_up(&mut harness, &coming).await;
    let taken = harness.messages().await;
    assert_eq!(
        titles(&taken),
        [
            "a is above 10: 11",
            "b is above 10: 11",
            "a is no longer above 10: 9",
            "Over the budget of 4/h: 4 messages in one"
        ]
    );
    let body = taken[3].json()["data"]["body"].as_str().unwrap().to_owned();
    let lines = [
        "2020-05-05 10:03 b is no longer above 10: 9",
        "2020-05-05 10:04 a is above 10: 12",
        "2020-05-05 10:05 b is above 10: 12",
        "2020-05-05 10:06 a is no longer above 10: 8",
        "The budget of 4/h is used up: for now, messages come gathered, every 1 h at most.",
    ];
    let mut rest = body.as_str();
    for line in lines {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line} is not (in its place) in\n{body}"));
        rest = &rest[at + line.len()..];
    }
    // The budget is used up altogether, and yet:
    see(&harness, "b", 9, minutes_after(START, 20)).await;
    see(&harness, "urgent", 11, minutes_after(START, 20)).await;
    let urgent = async || (harness.site().messages().len() > 4).then(|| harness.site().messages());
    assert_eq!(titles(&until("the urgent one comes", urgent).await)[4..], ["urgent is above 10: 11"]);
    // It was taken before that is stored.
    let waiting = async || harness.daemon().store().delivery_counts().await.unwrap().0;
    until("only the other one waits", async || (waiting().await == 1).then_some(())).await;
}

#[tokio::test]
async fn a_message_that_comes_late_says_when_it_happened() {
    let harness = Harness::start(&watches(&["a"]).replace("every", "timezone = \"Asia/Tokyo\"\nevery")).await;
    see(&harness, "a", 11, minutes_after(START, 0)).await;
    see(&harness, "a", 9, Timestamp::now()).await;
    let bodies: Vec<String> = harness.messages().await.iter().map(Post::body).collect();
    assert!(bodies[0].starts_with("Happened 2020-05-05 19:00, delivered "), "{bodies:?}");
    assert!(!bodies[1].contains("Happened"), "{bodies:?}");
}

#[tokio::test]
async fn forty_changes_at_once_are_all_told_through_a_limit_of_five_in_two_seconds() {
    let names: Vec<String> = (0..40).map(|n| format!("w{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let harness = Harness::start(&format!(
        "[notify.discord]\nkind = \"discord\"\nurl = \"{{origin}}/hook/discord\"\n{}",
        watches(&names)
    ))
    .await;
    harness.site().limit("discord", 5, Duration::from_secs(2));
    join_all(names.iter().map(|name| see(&harness, name, 11, Timestamp::now()))).await;
    let site = harness.site();
    until("half of them are told", async || (site.messages().len() >= 20).then_some(())).await;
    until("all of them are told", async || (site.messages().len() >= 40).then_some(())).await;
    let (taken, refused): (Vec<Post>, Vec<Post>) =
        site.posts("discord").into_iter().partition(Post::was_taken);
    for name in names {
        let title = format!("{name} is above 10: 11");
        let told = taken.iter().filter(|post| post.json()["content"] == title.as_str()).count();
        assert_eq!(told, 1, "{title}");
    }
    assert!(refused.len() <= 1, "{} refused posts", refused.len());
}

#[tokio::test]
async fn a_receiver_that_refuses_is_news_to_the_others_once_and_so_is_that_it_takes_messages_again() {
    let harness = Harness::start(&format!(
        "[notify.trading]\nkind = \"discord\"\nurl = \"{{origin}}/hook/trading/some-secret-token\"\n\
         [notify.hook]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/hook\"\n{}",
        watches(&["a"])
    ))
    .await;
    let unknown = || {
        Answer::status(404)
            .header("content-type", "application/json")
            .body("{\"message\": \"Unknown Webhook\", \"code\": 10015}")
    };
    harness.site().answer("trading", [unknown(), unknown()]);
    for (minute, n) in [(0, 11), (1, 9), (2, 11)] {
        see(&harness, "a", n, minutes_after(START, minute)).await;
        harness.settled().await;
    }
    let notes: Vec<Post> =
        harness.site().posts("hook").into_iter().filter(|post| post.title().starts_with('`')).collect();
    assert_eq!(
        notes[0].title(),
        "`trading` (discord) does not take messages: Discord says: Unknown Webhook (10015)"
    );
    assert_eq!(notes[0].body(), "Not delivered: a is above 10: 11\nSee `stakeout outbox list`.");
    assert!(notes[1].title().starts_with("`trading` (discord) takes messages again after "));
    assert!(notes[1].title().ends_with("; 2 were not delivered"), "{}", notes[1].title());
    assert_eq!(notes.len(), 2);
    assert_eq!(
        (&notes[0].json()["type"], &notes[1].json()["type"]),
        (&"alert.firing".into(), &"alert.resolved".into())
    );
    assert!(!format!("{notes:?}").contains("some-secret-token"));
}

#[tokio::test]
async fn two_receivers_that_refuse_everything_make_no_storm() {
    let harness = Harness::start(&format!(
        "[notify.one]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/one\"\n\
         [notify.two]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/two\"\n{}",
        watches(&["a"])
    ))
    .await;
    for hook in ["one", "two"] {
        harness.site().answer_always(hook, Answer::status(410));
    }
    for minute in 0..5 {
        see(&harness, "a", if minute % 2 == 0 { 11 } else { 9 }, minutes_after(START, minute)).await;
        harness.settled().await;
    }
    let posts = [harness.site().posts("one").len(), harness.site().posts("two").len()];
    assert_eq!(posts, [6, 6], "five messages each, and one note about the other");
}

#[tokio::test]
async fn a_person_sees_tries_again_and_gives_up_while_the_daemon_runs() {
    use crate::harness::command;
    let harness = Harness::start(&watches(&["a"])).await;
    harness.site().answer("hook", [Answer::status(410), Answer::status(410)]);
    for (minute, n) in [(0, 11), (1, 9)] {
        see(&harness, "a", n, minutes_after(START, minute)).await;
    }
    harness.settled().await;
    let run = async |arguments: &[&str]| {
        let output = command(&harness.stage, &[&["outbox"], arguments].concat()).await;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        (output.status.code().unwrap(), said.concat())
    };
    let (_, listed) = run(&["list"]).await;
    assert!(listed.lines().nth(1).unwrap().contains("a is above 10: 11 (HTTP 410"), "{listed}");
    let (_, listed) = run(&["list", "--dead", "--json"]).await;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let ids: Vec<&str> = listed.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((listed[0]["status"].as_str(), listed[0]["notifier"].as_str()), (Some("dead"), Some("hook")));

    let (code, said) = run(&["retry", &ids[0][24..]]).await;
    assert_eq!((code, said.as_str()), (0, "1 message: to be tried again now.\n"));
    assert_eq!(harness.messages().await[0].id(), ids[0], "the daemon has seen it");
    let (_, shown) = run(&["show", ids[0]]).await;
    assert!(shown.contains("dead       HTTP 410") && shown.contains("delivered"), "{shown}");

    for part in [&ids[0][24..30], &ids[0][30..], &ids[0][..36]] {
        assert_eq!(run(&["show", part]).await.1, shown, "{part}");
    }
    let none = (0, "There was no message to try again.\n".into());

    let (code, said) = run(&["drop", "--dead"]).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "1 message: dropped; `stakeout outbox list --all` still has them.\n")
    );
    assert_eq!(run(&["list"]).await, (0, "Nothing waits, and nothing was given up.\n".into()));
    assert!(run(&["list", "--all"]).await.1.contains("dropped"));
    assert_eq!(run(&["retry", "--dead"]).await, none);
    for (arguments, why) in [
        (&["retry", "no-such-id"][..], "there is no message `no-such-id`"),
        (&["retry", "x"], "too short"),
        (&["drop", ids[0]], "is delivered"),
        (&["retry"], "required"),
    ] {
        let (code, said) = run(arguments).await;
        assert!(code == 2 && said.contains(why), "{arguments:?}: {said}");
    }
    assert_eq!(harness.site().messages().len(), 1);
}

#[tokio::test]
async fn a_crash_while_a_bundle_is_sent_sends_it_again_under_the_same_id() {
    let mut harness = Harness::start(&format!(
        "[notify.hook]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/hook\"\nbundle = \"1h\"\n{}",
        watches(&["a", "b", "c"])
    ))
    .await;
    harness.site().answer("hook", [Answer::never(), Answer::status(503), Answer::never()]);
    see(&harness, "a", 11, minutes_after(START, 0)).await;
    until("it is being sent", async || (!harness.site().posts("hook").is_empty()).then_some(())).await;
    for (watch, n) in [("b", 11), ("c", 11), ("a", 9)] {
        see(&harness, watch, n, minutes_after(START, 5)).await;
    }
    // The first one alone, refused once more; then what came meanwhile, which may overtake it.
    harness.crash();
    harness.boot().await;
    let site = harness.site().clone();
    until("a bundle is being sent", async || (site.posts("hook").len() >= 3).then_some(())).await;
    harness.crash();
    harness.boot().await;
    let taken = harness.messages().await;
    let ids: Vec<String> = site.posts("hook").iter().map(Post::id).collect();
    let bundle = taken.iter().find(|post| post.title().starts_with("2 messages")).unwrap();
    assert_eq!(ids.iter().filter(|id| **id == bundle.id()).count(), 2, "{ids:?}");
    let mut alerts: Vec<String> = taken
        .iter()
        .flat_map(Post::alerts)
        .map(|alert| alert["title"].as_str().unwrap().to_owned())
        .collect();
    alerts.sort();
    let all = ["a is above 10: 11", "a is no longer above 10: 9", "b is above 10: 11", "c is above 10: 11"];
    assert_eq!(alerts, all, "each once");
}
