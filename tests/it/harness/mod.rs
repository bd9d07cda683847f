//! A daemon on a temporary directory beside a local server that plays the sites and the receivers of
//! messages.

mod crawl;
mod process;
mod replies;
mod rogue;
mod site;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use stakeout::daemon::{Clock, Daemon, Vigilance};
use stakeout::run::Report;
use stakeout::store::Store;
use stakeout::watchlist::Watchlist;
use tempfile::TempDir;

pub(crate) use crawl::crawl;
pub(crate) use process::{Process, command, command_in};
pub(crate) use replies::{
    Card, chart, falling, gasoline, klines, listing, minutes, number, quote, ticker, unknown_symbol,
};
pub(crate) use rogue::{Fault, Rogue};
pub(crate) use site::{Answer, Page, Post, Site};
pub(crate) use wire::{Wire, page};

/// Nothing here takes so long, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tables that a test leaves out.
const TABLES: [(&str, &str); 4] = [
    ("[daemon]", "[daemon]\nretry = { first = \"5ms\", longest = \"20ms\", give_up_after = \"3000d\" }\n"),
    (
        "[fetch]",
        "[fetch]\ntimeout = \"5s\"\nallow_private_networks = true\n\
         per_host = { min_interval = \"0s\", max_concurrent = 32 }\n",
    ),
    ("[web]", "[web]\nlisten = \"127.0.0.1:0\"\n"),
    ("[notify.", "[notify.hook]\nkind = \"webhook\"\nurl = \"{origin}/hook/hook\"\n"),
];

/// A directory with a configuration in it, beside the local server.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) folder: TempDir,
}

impl Stage {
    /// Writes the configuration; `{origin}` in it is the server's address. Tables that every test needs
    /// are added where it has none.
    pub(crate) async fn new(toml: &str) -> Self {
        // A test's own client is built as that of the program, which brings along what it computes with.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stage = Self { site: Site::start().await, folder: TempDir::new().unwrap() };
        stage.write(toml);
        stage
    }

    pub(crate) fn write(&self, toml: &str) {
        let missing = TABLES.iter().filter(|(table, _)| !toml.contains(table));
        let tables: String = missing.map(|(_, table)| *table).collect();
        let text = format!("{tables}{toml}").replace("{origin}", &self.site.origin());
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Asks the database, also while someone else has it open.
    pub(crate) async fn rows<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let pool = self.database(true).await;
        let rows = sqlx::query_as(sql).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows
    }

    /// Changes the database behind the daemon's back.
    pub(crate) async fn change(&self, sql: &'static str) {
        let pool = self.database(false).await;
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    async fn database(&self, read_only: bool) -> SqlitePool {
        let path = Store::path_in(&self.data_dir());
        let options = SqliteConnectOptions::new().filename(path).read_only(read_only);
        SqlitePool::connect_with(options.busy_timeout(PATIENCE)).await.unwrap()
    }

    /// Keeps everyone else from writing until it is dropped.
    pub(crate) async fn lock(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(Store::path_in(&self.data_dir()));
        let mut connection = options.busy_timeout(PATIENCE).connect().await.unwrap();
        sqlx::query("begin immediate").execute(&mut connection).await.unwrap();
        connection
    }

    /// The one number that a question is about.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        self.rows::<(i64,)>(sql).await[0].0
    }
}

/// A daemon that runs watches when the test says so, at the moment that it says.
pub(crate) struct Harness {
    pub(crate) stage: Stage,
    daemon: Option<Daemon>,
    clock: Clock,
    vigilance: Vigilance,
}

impl Harness {
    pub(crate) async fn start(toml: &str) -> Self {
        Self::on(Stage::new(toml).await, Clock::Stopped).await
    }

    /// By its own schedule.
    pub(crate) async fn start_running(toml: &str) -> Self {
        Self::on(Stage::new(toml).await, Clock::Running).await
    }

    pub(crate) async fn on(stage: Stage, clock: Clock) -> Self {
        Self::watched(stage, clock, Vigilance::default()).await
    }

    /// By its own schedule, and watching itself as closely as is said.
    pub(crate) async fn watched(stage: Stage, clock: Clock, vigilance: Vigilance) -> Self {
        let mut this = Self { stage, daemon: None, clock, vigilance };
        this.boot().await;
        this
    }

    /// Starts again on the same directory.
    pub(crate) async fn boot(&mut self) {
        let watchlist = Watchlist::load(&self.stage.config()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        self.daemon = Some(Daemon::start_watched(watchlist, self.clock, self.vigilance).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await;
    }

    /// Drops everything where it stands.
    pub(crate) fn crash(&mut self) {
        drop(self.daemon.take().unwrap());
    }

    pub(crate) fn site(&self) -> &Site {
        &self.stage.site
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Runs a watch as if it were `at`.
    pub(crate) async fn tick(&self, watch: &str, at: &str) -> Report {
        self.tick_at(watch, moment(at)).await
    }

    pub(crate) async fn tick_at(&self, watch: &str, at: Timestamp) -> Report {
        self.daemon().tick(watch, at).await.unwrap()
    }

    /// Runs a slot of a watch as if it were `at`.
    pub(crate) async fn slot(&self, watch: &str, due_at: &str, at: &str) -> Report {
        self.daemon().slot(watch, moment(due_at), moment(at)).await.unwrap()
    }

    /// Fills gaps as if it were `at`; how each that was tried stands after it.
    pub(crate) async fn audit(&self, at: &str) -> Vec<String> {
        let repairs = self.daemon().audit(moment(at)).await.unwrap();
        repairs.iter().map(|repair| repair.outcome.to_string()).collect()
    }

    /// Puts another configuration in the place of the old one.
    pub(crate) async fn reload(&self, toml: &str) -> bool {
        self.stage.write(toml);
        self.daemon().reload(&self.stage.config()).await
    }

    /// What was taken, once nothing waits to be sent any more.
    pub(crate) async fn messages(&self) -> Vec<Post> {
        self.settled().await;
        self.site().messages()
    }

    pub(crate) async fn titles(&self) -> Vec<String> {
        self.messages().await.iter().map(Post::title).collect()
    }

    /// Waits until nothing waits to be sent any more.
    pub(crate) async fn settled(&self) {
        let store = self.daemon().store();
        until("the outbox is idle", async || (store.delivery_counts().await.unwrap().0 == 0).then_some(()))
            .await;
    }
}

/// Waits for something, and fails if it does not come.
pub(crate) async fn until<T>(what: &str, seen: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, seen).await
}

/// The same, for what takes its time.
pub(crate) async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut seen: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = seen().await {
            return seen;
        }
        assert!(began.elapsed() < patience, "it never came so far that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// So many minutes after a moment.
pub(crate) fn minutes_after(start: &str, minutes: i64) -> Timestamp {
    moment(start) + jiff::SignedDuration::from_mins(minutes)
}
