//! A real browser: Chromium without a window, driven by way of its own driver.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, LoggingPrefsLogLevel};

/// Nothing here takes so long, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How wide a window is, and in which colours the system is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) scheme: &'static str,
}

/// A phone and a desk, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look { width: 1_280, scheme: "light" },
    Look { width: 1_280, scheme: "dark" },
    Look { width: 360, scheme: "light" },
    Look { width: 360, scheme: "dark" },
];

/// A browser, which is closed when it is dropped.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    chromedriver: Child,
    /// Everything it asks for begins so.
    origin: String,
    requests: Vec<String>,
}

/// Whether there is a browser to test with; says so where there is none.
pub(crate) fn is_there() -> bool {
    let has = |program: &str| {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> =
        ["chromium", "chromedriver"].into_iter().filter(|program| !has(program)).collect();
    if !missing.is_empty() {
        // Not by a macro, of which nothing is shown while a test passes.
        writeln!(std::io::stderr().lock(), "skipped: there is no {} here", missing.join(" and no ")).unwrap();
    }
    missing.is_empty()
}

impl Browser {
    /// Opens a browser that is to look at one server only.
    pub(crate) async fn open(origin: &str) -> Self {
        let mut chromedriver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("a port");
        let mut wanted = DesiredCapabilities::chrome();
        // A container has little shared memory, and root no sandbox.
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"]
        {
            wanted.add_arg(argument).unwrap();
        }
        wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::All).unwrap();
        wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        // What speaks with the driver shares its client with the program, which brings this along.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let driver = WebDriver::new(&format!("http://127.0.0.1:{port}"), wanted).await.unwrap();
        Self { driver, chromedriver, origin: origin.to_owned(), requests: Vec::new() }
    }

    pub(crate) async fn go(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.origin)).await.unwrap();
    }

    pub(crate) async fn look(&self, look: Look) {
        let phone = look.width < 600;
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": phone }),
        )
        .await;
        let features = json!([
            { "name": "prefers-color-scheme", "value": look.scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "media": "", "features": features })).await;
    }

    pub(crate) async fn cdp(&self, command: &'static str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(command, parameters).await.unwrap()
    }

    /// What a script answers.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Waits until a script answers `true`.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        let began = Instant::now();
        while self.ask(script).await != json!(true) {
            assert!(began.elapsed() < PATIENCE, "it never came to this: {what}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The element, as soon as it is there.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        let found = self.driver.query(By::Css(css)).wait(PATIENCE, Duration::from_millis(50)).first().await;
        match found {
            Ok(found) => found,
            Err(error) => panic!("{css} is not there: {error}\n{}", self.text().await),
        }
    }

    /// Presses what is found, wherever on the page it is; anew where the page has just put another in its place.
    pub(crate) async fn press(&self, css: &str) {
        let began = Instant::now();
        loop {
            let found = self.find(css).await;
            let pressed = async {
                found.scroll_into_view().await?;
                found.click().await
            };
            match pressed.await {
                Ok(()) => return,
                Err(error) if began.elapsed() > PATIENCE => panic!("{css} cannot be pressed: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Writes into a field what shall stand there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.scroll_into_view().await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Moves the pointer over an element: how far from its left and its top, as shares of its size.
    pub(crate) async fn hover(&self, css: &str, x: f64, y: f64) {
        self.find(css).await;
        let place = self.ask(&format!("const e = document.querySelector({css:?}); e.scrollIntoView({{ block: \"center\" }}); const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]")).await;
        let at = |from: usize, share: f64| {
            (place[from].as_f64().unwrap() + place[from + 2].as_f64().unwrap() * share) as i64
        };
        let chain =
            self.driver.action_chain().move_to(at(0, x), at(1, y)).move_to(at(0, x) + 2, at(1, y) + 2);
        chain.perform().await.unwrap();
    }

    /// Waits until nothing moves any more.
    pub(crate) async fn settled(&self) {
        self.until(
            "the page is there",
            "return document.readyState === 'complete' && document.fonts.status === 'loaded'",
        )
        .await;
    }

    /// The text of the page.
    pub(crate) async fn text(&self) -> String {
        self.ask("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// The whole page as a picture, put where somebody can look at it.
    pub(crate) async fn picture(&self, name: &str, look: Look) {
        let shot =
            self.cdp("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let shot = shot.await;
        let png = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            shot["data"].as_str().expect("a picture"),
        );
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}-{}-{}.png", look.width, look.scheme)), png.unwrap())
            .unwrap();
    }

    /// What the browser complained about since it was asked last, but for what a test has brought about.
    pub(crate) async fn complaints(&mut self) -> Vec<String> {
        self.note_requests().await;
        let entries: Vec<BrowserLogEntry> = self.driver.get_log("browser").await.unwrap();
        let bad = |entry: &BrowserLogEntry| matches!(entry.level.as_str(), "SEVERE" | "WARNING");
        entries.into_iter().filter(bad).map(|entry| format!("{}: {}", entry.level, entry.message)).collect()
    }

    /// What was asked of anybody but the one server, from the beginning on.
    pub(crate) async fn foreign_requests(&mut self) -> Vec<String> {
        self.note_requests().await;
        let is_own = |url: &&String| {
            url.starts_with(&self.origin) || url.starts_with("data:") || url.starts_with("blob:")
        };
        assert!(self.requests.len() > 5, "requests are noticed: {:?}", self.requests);
        self.requests.iter().filter(|url| !is_own(url)).cloned().collect()
    }

    async fn note_requests(&mut self) {
        for entry in self.driver.get_log("performance").await.unwrap() {
            let event: Value = serde_json::from_str(&entry.message).unwrap();
            let event = &event["message"];
            if event["method"] == "Network.requestWillBeSent" {
                let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
        }
    }

    /// What keeps people out who see, hear or move otherwise, by WCAG 2.2 A and AA; skipped with a word where the
    /// checker is not there.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        let Some(axe) = std::env::var_os("STAKEOUT_AXE") else {
            writeln!(std::io::stderr().lock(), "skipped: STAKEOUT_AXE does not say where axe.min.js lies")
                .unwrap();
            return Vec::new();
        };
        let axe = std::fs::read_to_string(axe).expect("STAKEOUT_AXE is a file");
        self.driver.execute(axe, Vec::new()).await.unwrap();
        let found = self.driver.execute_async(AXE, Vec::new()).await.unwrap();
        let found: Vec<String> = found.convert().unwrap();
        found
    }

    /// Closes the browser, also after a test that failed.
    pub(crate) async fn close(mut self) {
        let _ = self.driver.clone().quit().await;
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
    }
}

const AXE: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, {
    runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
    resultTypes: ["violations"],
}).then(
    (found) => done(found.violations.flatMap((one) =>
        one.nodes.map((node) => `${one.id}: ${node.target.join(" ")}: ${node.failureSummary}`))),
    (error) => done([String(error)]),
);
"#;
