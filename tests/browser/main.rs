//! The dashboard in a real browser. Skipped with a word where there is none; `.ci/run` installs it. Pictures of
//! every page lie in `target/tmp/screenshots` afterwards.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod browser;
mod daemon;

use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;

use browser::{Browser, LOOKS};
use daemon::Daemon;

/// Runs a test with a browser that looks at a daemon, and closes both whatever comes of it.
async fn with_browser(daemon: Daemon, test: impl AsyncFnOnce(&mut Browser)) {
    let mut browser = Browser::open(daemon.origin()).await;
    let done = AssertUnwindSafe(test(&mut browser)).catch_unwind().await;
    let complaints = if done.is_ok() { browser.complaints().await } else { Vec::new() };
    let foreign = if done.is_ok() { browser.foreign_requests().await } else { Vec::new() };
    browser.close().await;
    drop(daemon);
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
    assert!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    assert!(foreign.is_empty(), "somebody else was asked: {foreign:#?}");
}

#[tokio::test]
async fn a_person_follows_the_demo_and_does_what_can_be_done() {
    if !browser::is_there() {
        return;
    }
    with_browser(Daemon::demo(), async |browser| {
        browser.look(LOOKS[0]).await;
        browser.go("/").await;
        browser.ask("window.notReloaded = true; return null").await;
        browser
            .until(
                "a message appears by itself",
                "return document.querySelector('#toasts').innerText.trim() !== ''",
            )
            .await;
        browser
            .until("the overview shows it", "return document.querySelectorAll('.state-firing').length > 0")
            .await;
        assert_eq!(browser.ask("return window.notReloaded").await, true, "without a reload");

        // A value is read from the chart.
        browser.press("a[href='/watches/tech-rsi']").await;
        browser.find("figure.chart svg").await;
        browser.hover("figure.chart svg", 0.6, 0.3).await;
        browser
            .until(
                "the chart says what it shows there",
                "return /\\d/.test(document.querySelector('.chart-readout')?.innerText ?? '')",
            )
            .await;

        // A range is clicked; its keys zoom, and say the readings.
        browser.press("figure.chart a[data-range='1d']").await;
        browser
            .until(
                "the range is marked",
                "return document.querySelector(\"a[data-range='1d']\").getAttribute('aria-current') === 'true'",
            )
            .await;
        browser.ask("window.drawn = document.querySelector('figure.chart svg'); return null").await;
        let chart = browser.find(".chart-drawing").await;
        chart.send_keys("+").await.unwrap();
        browser
            .until(
                "it is drawn anew, of no named range",
                "return document.querySelector('figure.chart svg') !== window.drawn \
                 && document.querySelector('a[data-range][aria-current]') === null",
            )
            .await;
        chart.send_keys("\u{e010}").await.unwrap();
        browser
            .until("the last reading is said", "return /\\d/.test(document.querySelector('.chart-readout').innerText)")
            .await;

        // What is chosen and not sent stays when its part of the page is put anew.
        browser
            .ask(
                "window.head = document.getElementById('head'); \
                 document.getElementById('silence-for').value = '8h'; return null",
            )
            .await;
        browser.ask("fetch('/watches/tech-rsi/run', { method: 'post' }); return null").await;
        browser
            .until("the top is put anew", "return document.getElementById('head') !== window.head")
            .await;
        assert_eq!(browser.ask("return document.getElementById('silence-for').value").await, "8h");

        // Pause, resume, run, silence.
        browser.press("form[action$='/pause'] button").await;
        browser.until("it is paused", "return document.querySelector('.title .state-paused') !== null").await;
        browser.press("form[action$='/resume'] button").await;
        browser.until("it goes on", "return document.querySelector('.title .state-paused') === null").await;
        browser.press("form[action$='/silence'] button").await;
        browser
            .until(
                "it is silenced",
                "return /silence/i.test(document.querySelector('.flash')?.innerText ?? '')",
            )
            .await;
        browser.go("/silences").await;
        browser
            .until(
                "the silence is listed",
                "return /tech-rsi/.test(document.querySelector('main').innerText)",
            )
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_watch_is_tried_and_added_by_clicking() {
    if !browser::is_there() {
        return;
    }
    let daemon = Daemon::demo();
    let page = daemon.played_page();
    with_browser(daemon, async |browser| {
        browser.look(LOOKS[0]).await;
        browser.go("/add").await;
        browser.press("a[href*='source=page']").await;
        browser.fill("input[name='name']", "the-shop").await;
        browser.fill("[name='source.url']", &page).await;
        browser.press(".actions button[name='step'][value='try']").await;
        browser
            .until(
                "it shows what one run sees",
                "return /1 seen/.test(document.querySelector('#tried')?.innerText ?? '')",
            )
            .await;
        browser.press("button[name='step'][value='save']").await;
        browser.until("it has a page of its own", "return location.pathname === '/watches/the-shop'").await;
        browser.until("it has run", "return /ok/.test(document.querySelector('main').innerText)").await;
    })
    .await;
}

#[tokio::test]
async fn nobody_comes_in_without_the_token() {
    if !browser::is_there() {
        return;
    }
    with_browser(Daemon::with_token("correct-horse-battery"), async |browser| {
        browser.look(LOOKS[2]).await;
        browser.go("/settings").await;
        browser.fill("input[name='token']", "wrong").await;
        browser.press("button[type='submit']").await;
        browser
            .until("it is refused", "return /not|wrong/i.test(document.querySelector('main').innerText)")
            .await;
        browser.picture("login", LOOKS[2]).await;
        // That the browser notes the refusal is as it should be.
        browser.complaints().await;
        browser.fill("input[name='token']", "correct-horse-battery").await;
        browser.press("button[type='submit']").await;
        browser.until("one is where one wanted to go", "return location.pathname === '/settings'").await;
        browser.press("form[action='/logout'] button").await;
        browser.go("/").await;
        browser.until("one is out", "return location.pathname === '/login'").await;
    })
    .await;
}

#[tokio::test]
async fn every_page_fits_every_window_and_keeps_nobody_out() {
    if !browser::is_there() {
        return;
    }
    let daemon = Daemon::demo();
    let played = daemon.played_page();
    with_browser(daemon, async |browser| {
        browser.go("/add?source=page").await;
        browser.fill("[name='name']", "the-page").await;
        browser.fill("[name='source.url']", &played).await;
        browser.press(".actions button[value='save']").await;
        browser.until("it has been read", "return document.querySelector('.versions') !== null").await;
        browser.go("/watches/gtx3070").await;
        browser.find(".items th a[href*='subject=']").await;
        let item = browser
            .ask("return document.querySelector(\".items th a[href*='subject=']\").getAttribute('href')")
            .await;
        let item = item.as_str().unwrap().to_owned();
        browser.go("/").await;
        browser
            .until("something has happened", "return document.querySelectorAll('.state-firing').length > 0")
            .await;
        let mut wrong = Vec::new();
        for look in LOOKS {
            browser.look(look).await;
            for (name, path, heading) in [
                ("overview", "/", "Watches"),
                ("chart", "/watches/tech-rsi", "tech-rsi"),
                ("items", "/watches/gtx3070", "gtx3070"),
                ("item", &item, "gtx3070"),
                ("value", "/watches/ny-gas", "ny-gas"),
                ("text", "/watches/the-page", "the-page"),
                ("remove", "/watches/the-page/remove", "Remove the-page?"),
                ("alerts", "/alerts", "Alerts"),
                ("deliveries", "/deliveries", "Deliveries"),
                ("silences", "/silences?watch=gtx3070", "Silences"),
                ("metrics", "/metrics-table", "Metrics of the last 24 hours"),
                ("add", "/add", "Add a watch"),
                ("add-page", "/add?source=page", "Add a watch: page"),
                ("mistakes", "/add?source=json", "Add a watch: json"),
                ("tried", "/add?source=page", "Add a watch: page"),
                ("settings", "/settings", "Settings"),
                ("missing", "/watches/nothing", "No such watch"),
            ] {
                browser.go(path).await;
                browser.settled().await;
                match name {
                    "mistakes" => {
                        browser.fill("#every", "often").await;
                        browser.fill("[name='name']", "wrong").await;
                        browser.press(".actions button[value='save']").await;
                        browser.find("#every-wrong").await;
                        // That the browser notes the refusal is as it should be.
                        browser.complaints().await;
                    }
                    "tried" => {
                        browser.fill("[name='name']", "tried").await;
                        browser.fill("[name='source.url']", &played).await;
                        browser.press(".actions button[value='try']").await;
                        browser.find("#tried").await;
                    }
                    _ => {}
                }
                let headings = browser
                    .ask("return [...document.querySelectorAll('h1')].map((h1) => h1.innerText)")
                    .await;
                if headings != serde_json::json!([heading]) {
                    wrong.push(format!("{name} at {look:?} is headed {headings}"));
                }
                browser.picture(name, look).await;
                let overflow = browser.ask("return document.documentElement.scrollWidth - innerWidth").await;
                if overflow.as_f64().unwrap_or(1.0) > 0.0 {
                    wrong.push(format!("{name} at {look:?} is {overflow} px too wide"));
                }
                wrong.extend(
                    browser.barriers().await.iter().map(|what| format!("{name} at {look:?}: {what}")),
                );
                // A page that is not there is told to the console, too.
                wrong.extend(browser.complaints().await.into_iter().filter(|_| name != "missing"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}
