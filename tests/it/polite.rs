//! Other people's servers: each host is asked at its pace and in turns, one that refuses us is left alone for
//! longer each time, and what is gone for good is not asked for again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stakeout::model::{Outcome, SlotOutcome};

use crate::harness::{Harness, Page, command, moment, number, until};

const START: &str = "2026-11-20T10:00:00Z";

/// With the pace of a host left as it is by `rules`.
fn fetch(rules: &str) -> String {
    format!("[fetch]\ntimeout = \"5s\"\nallow_private_networks = true\nper_host = {{ {rules} }}\n")
}

fn watch(name: &str, every: &str) -> String {
    format!(
        "[watch.{name}]\nsource = {{ kind = \"json\", url = \"{{origin}}/{name}\", pointer = \"/n\" }}\n\
         strategy = [{{ kind = \"threshold\", above = 10 }}]\nevery = \"{every}\"\n"
    )
}

const AT_ONCE: &str = "min_interval = \"0s\", max_concurrent = 32";

fn second(n: i64) -> Timestamp {
    moment(START) + SignedDuration::from_secs(n)
}

/// Runs a slot of a watch at that second.
async fn slot(harness: &Harness, watch: &str, at: i64) -> Outcome {
    harness.daemon().slot(watch, second(at), second(at)).await.unwrap().outcome
}

#[tokio::test]
async fn forty_watches_of_a_host_keep_its_pace_have_equal_turns_and_say_why_they_were_late() {
    const WATCHES: usize = 40;
    const INTERVAL: Duration = Duration::from_millis(25);
    let names: Vec<String> = (0..WATCHES).map(|n| format!("w{n}")).collect();
    let watches: String = names.iter().map(|name| watch(name, "1250ms")).collect();
    let rules = "min_interval = \"25ms\", max_concurrent = 4";
    let mut harness = Harness::start_running(&(fetch(rules) + &watches)).await;
    names.iter().for_each(|name| harness.site().show(&format!("/{name}"), number(9)));
    let site = harness.site();
    let asked = || names.iter().map(|name| site.served(&format!("/{name}")));
    until("each was asked three times", async || asked().all(|times| times >= 3).then_some(())).await;
    // All of them begin together, so that the last ones wait for nearly a second.
    let store = harness.daemon().store();
    let (hour, late_after) = (SignedDuration::from_hours(1), Duration::from_millis(500));
    let (mut polite, turn) = (0, format!(" for its turn at {}", site.host()));
    for name in &names {
        let id = store.watch(name).await.unwrap().unwrap().id;
        let (from, until) = (Timestamp::now() - hour, Timestamp::now() + hour);
        let stretches = store.slots(id, from, until, late_after).await.unwrap();
        let is_polite = |why: &String| why.starts_with("waited ") && why.ends_with(&turn);
        let late = stretches.iter().filter(|stretch| stretch.outcome == SlotOutcome::Late);
        polite += late.filter(|stretch| stretch.why.as_ref().is_some_and(is_polite)).count();
    }
    assert!(polite >= 5, "{polite} say why they were late");
    harness.stop().await;

    let site = harness.site();
    let asked: Vec<_> = names.iter().map(|name| site.asked(&format!("/{name}"))).collect();
    let (least, most) =
        (asked.iter().map(Vec::len).min().unwrap(), asked.iter().map(Vec::len).max().unwrap());
    assert!(most - least <= 1, "between {least} and {most} times");
    let mut arrivals: Vec<_> = asked.iter().flatten().map(|asked| asked.at).collect();
    arrivals.sort();
    // A request may take a little longer to arrive than the one after it, but that does not add up.
    for (window, tolerance) in [(arrivals.len(), 50), (11, 150)] {
        for some in arrivals.windows(window) {
            let took = some[window - 1].duration_since(some[0]) + Duration::from_millis(tolerance);
            assert!(took >= INTERVAL * (window as u32 - 1), "{window} requests within {took:?}");
        }
    }
}

#[tokio::test]
async fn a_host_that_refuses_us_is_left_alone_twice_as_long_each_time_and_half_as_long_when_it_is_well() {
    let config = fetch(AT_ONCE) + &watch("shop", "1h");
    let mut harness = Harness::start(&config).await;
    harness.site().show("/shop", Page::new("Too Many Requests").status(429));
    let mut at = 0;
    let mut waits = Vec::new();
    for round in 0..11 {
        assert_eq!(slot(&harness, "shop", at).await, Outcome::Blocked);
        let asked = harness.site().served("/shop");
        assert_eq!(asked, round + 1, "it is asked when the wait is over");
        let wait = remembered(&harness).await;
        waits.push(wait);
        assert_eq!(slot(&harness, "shop", at + 1).await, Outcome::Blocked);
        assert_eq!(harness.site().served("/shop"), asked, "left alone");
        match round {
            3 => {
                harness.stop().await;
                harness.boot().await;
            }
            5 => assert!(harness.reload(&config.replace("timeout = \"5s\"", "timeout = \"4s\"")).await),
            7 => {
                harness.settled().await;
                harness.crash();
                harness.boot().await;
            }
            _ => {}
        }
        assert_eq!(slot(&harness, "shop", at + wait - 6).await, Outcome::Blocked);
        assert_eq!(harness.site().served("/shop"), asked, "also by a daemon that was not told so itself");
        at += wait + 1;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
    let titles = harness.titles().await;
    assert_eq!(titles, [format!("{} blocks us", harness.site().host())], "told once");

    harness.site().show("/shop", number(9));
    for wait in [1_800, 900, 450] {
        assert_ne!(slot(&harness, "shop", at).await, Outcome::Blocked);
        assert_eq!(remembered(&harness).await, wait);
        at += 60;
    }
    for _ in 0..6 {
        slot(&harness, "shop", at).await;
        at += 60;
    }
    assert_eq!(harness.stage.count("select count(*) from host").await, 0, "all is well again");
    assert_eq!(harness.titles().await.len(), 2, "and that is told once");
}

/// How long the one host is left alone, as it is written down.
async fn remembered(harness: &Harness) -> i64 {
    harness.stage.count("select wait_ms from host").await / 1_000
}

#[tokio::test]
async fn who_is_told_that_a_host_blocks_us_hears_which_watches_ask_it_and_when_it_is_asked_again() {
    let config = fetch(AT_ONCE) + &watch("first", "1h") + &watch("second", "1h");
    let harness = Harness::start(&config).await;
    for name in ["/first", "/second"] {
        harness.site().show(name, Page::new("Too Many Requests").status(429).header("retry-after", "7200"));
    }
    slot(&harness, "first", 0).await;
    for minute in 1..100 {
        assert_eq!(slot(&harness, "second", minute * 60).await, Outcome::Blocked);
    }
    assert!(harness.site().asked("/second").is_empty(), "what one watch was told counts for all of them");
    let messages = harness.messages().await;
    assert_eq!(messages.len(), 1);
    let body = messages[0].body();
    assert!(body.contains("first and second ask it; the next try is at 2026-11-20 12:00:0"), "{body}");
}

#[tokio::test]
async fn a_host_that_answers_now_and_then_is_told_to_be_down_and_no_watch_of_it_as_failing() {
    let mut watches = fetch(AT_ONCE);
    for n in 0..60 {
        watches += &watch(&format!("w{n}"), "1m");
    }
    let harness = Harness::start(&watches).await;
    let show = |n: usize, page: Page| harness.site().show(&format!("/w{n}"), page);
    (0..60).for_each(|n| show(n, number(9)));
    for minute in 0..24 {
        // One of them is answered at every sixth minute after the first.
        let is_well = minute == 0;
        for n in 0..60 {
            let is_answered = is_well || (minute % 6 == 0 && n == 0);
            show(n, if is_answered { number(9) } else { Page::new("down").status(503) });
        }
        let names: Vec<String> = (0..60).map(|n| format!("w{n}")).collect();
        futures_util::future::join_all(names.iter().map(|name| slot(&harness, name, minute * 60))).await;
    }
    let titles = harness.titles().await;
    assert!(!titles.is_empty() && titles.iter().all(|title| !title.contains("is failing")), "{titles:?}");
}

#[tokio::test]
async fn what_is_gone_for_good_is_not_asked_for_again_until_the_watch_is_changed() {
    let config = "[alerting]\nfail_after = 2\n".to_owned() + &watch("page", "1h");
    let mut harness = Harness::start(&config).await;
    let gone = || Page::new("for legal reasons").status(451);
    harness.site().show("/page", number(9));
    slot(&harness, "page", 0).await;
    harness.site().show("/page", gone());
    let asked = |harness: &Harness| harness.site().served("/page");
    for n in 1..5 {
        assert_eq!(slot(&harness, "page", n * 3_600).await, Outcome::Failed);
    }
    assert_eq!(asked(&harness), 2);
    let titles = harness.titles().await;
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].contains("HTTP 451") && titles[0].contains("not asked again until"), "{titles:?}");

    // Neither a restart, nor a reload that leaves the watch as it is, nor another program's writing.
    harness.stop().await;
    harness.boot().await;
    assert_eq!(slot(&harness, "page", 5 * 3_600).await, Outcome::Failed);
    assert!(harness.reload(&(config.clone() + &watch("other", "1h"))).await);
    assert_eq!(slot(&harness, "page", 6 * 3_600).await, Outcome::Failed);
    let silence = ["silence", "add", "--watch", "other", "--for", "1h", "--comment", "x"];
    assert!(command(&harness.stage, &silence).await.status.success());
    slot(&harness, "other", 7 * 3_600).await;
    assert_eq!(slot(&harness, "page", 7 * 3_600).await, Outcome::Failed);
    assert_eq!(asked(&harness), 2);

    // A person asks all the same, which changes nothing when the answer is the same.
    assert!(!command(&harness.stage, &["once", "page"]).await.status.success());
    assert_eq!(asked(&harness), 3);
    slot(&harness, "page", 8 * 3_600).await;
    assert_eq!(asked(&harness), 3);

    assert!(harness.reload(&config.replace("above = 10", "above = 11")).await);
    assert_eq!(slot(&harness, "page", 9 * 3_600).await, Outcome::Failed);
    assert_eq!(asked(&harness), 4, "it was changed");
    slot(&harness, "page", 10 * 3_600).await;
    assert_eq!(asked(&harness), 4);

    // Who asks, or by which way, may be why.
    let agent = "backoff = { first = \"0s\", longest = \"0s\" }\nuser_agent = \"me\"\n";
    let other = fetch(AT_ONCE) + agent + &config.replace("above = 10", "above = 11");
    assert!(harness.reload(&other).await);
    slot(&harness, "page", 10 * 3_600 + 1).await;
    slot(&harness, "page", 10 * 3_600 + 2).await;
    assert_eq!(asked(&harness), 5, "it is asked once more");

    // Once it is there again for a person, it is there for the schedule.
    harness.site().show("/page", number(9));
    assert_eq!(harness.tick_at("page", second(11 * 3_600)).await.outcome, Outcome::Ok);
    slot(&harness, "page", 12 * 3_600).await;
    assert_eq!(asked(&harness), 7);
    assert_eq!(
        harness.stage.count("select count(*) from http_cache where final_answer is not null").await,
        0
    );
    assert_eq!(harness.titles().await.len(), 2, "that it works again is told");
}

#[tokio::test]
async fn a_run_that_waited_for_its_host_says_how_long_and_so_do_the_slots_that_passed_meanwhile() {
    let names: Vec<String> = (0..4).map(|n| format!("w{n}")).collect();
    let mut config = fetch("min_interval = \"600ms\", max_concurrent = 4");
    names.iter().for_each(|name| config += &watch(name, "1s"));
    let harness = Harness::start(&config).await;
    names.iter().for_each(|name| harness.site().show(&format!("/{name}"), number(9)));
    futures_util::future::join_all(names.iter().map(|name| slot(&harness, name, 0))).await;
    let turn = format!(" for its turn at {}", harness.site().host());
    let mut texts = Vec::new();
    for name in &names {
        let output = command(&harness.stage, &["explain", name]).await;
        texts.push(String::from_utf8(output.stdout).unwrap());
    }
    let waited = format!("\n  waited 1 s{turn}\n");
    assert_eq!(texts.iter().filter(|text| text.contains(&waited)).count(), 2, "{texts:?}");
    let sql = "select passed_why from run where passed_why is not null
               union all select why from gap where why is not null";
    let passed = harness.stage.rows::<(String,)>(sql).await;
    assert!(passed.len() >= 2, "{passed:?}");
    let says_so = |why: &str| why.starts_with("the run before waited ") && why.ends_with(&turn);
    assert!(passed.iter().all(|(why,)| says_so(why)), "{passed:?}");
    let long = format!("the run before waited 1 s{turn}");
    assert!(passed.iter().filter(|(why,)| *why == long).count() >= 2, "{passed:?}");
}
