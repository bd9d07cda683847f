//! From the configuration to ready things: every plug-in built, every name resolved, or every mistake
//! told. After it nothing is optional that must be there.

mod added;
mod build;
mod checks;
mod discreet;
mod manner;
mod offer;
mod pace;
pub mod schema;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use toml::de::DeTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::alerting::{Policy, QuietHours};
use crate::config::{self, Environment, Mistakes, Secrets, Stale};
use crate::http;
use crate::model::{Period, PolicyDefaults};
use crate::plugin::{Lookback, Needs, Notifier, Source, Span, Strategy};
use crate::sessions::{AdHoc, Hours};
use crate::strategies;
use crate::timetable::Timetable;

use added::Origin;
use build::{Builder, Tried};
pub use manner::says_only_how;
pub use offer::{Offer, Outlook, outlook, source_offers, strategy_offers};
pub use schema::schema;

/// What is told of a watch whose next slots are not known.
const ONE_DAY: Duration = Duration::from_secs(86_400);

/// Everything the daemon works on.
pub struct Watchlist {
    /// `[daemon]`
    pub daemon: config::Daemon,
    /// `[alerting]`
    pub alerting: config::Alerting,
    /// `[web]`, where there is one.
    pub web: Option<config::Web>,
    /// What the HTTP client holds to.
    pub http: http::Settings,
    /// When the daemon says that it is alive.
    pub proof_of_life: Option<Timetable>,
    /// When the database is copied.
    pub backup: Option<Timetable>,
    /// By name.
    pub notifiers: BTreeMap<String, Arc<Told>>,
    /// In the order of the files; those that were added stand behind them.
    pub watches: Vec<Arc<Watch>>,
    /// Added watches that cannot be built beside these files, each with why.
    pub left_out: Vec<(String, String)>,
    /// Name and TOML of every added watch that was read from the store for it, also those left out and those that
    /// a file goes before. Another one that is stored came later.
    pub stored: Vec<(String, String)>,
    origin: Origin,
}

/// The watchlist as the daemon works on it; a reload puts another in its place.
pub struct Roster {
    /// What the configuration says.
    pub watchlist: Watchlist,
    /// The client that holds to its settings.
    pub http: http::Http,
    /// Each watch with its row, by name.
    pub watches: HashMap<String, (i64, Arc<Watch>)>,
    /// Which roster of this process it is; a later one has a larger number.
    pub generation: u64,
}

impl Roster {
    /// Gives each watch its row.
    #[must_use]
    pub fn new(watchlist: Watchlist, http: http::Http, ids: &HashMap<String, i64>) -> Self {
        let row =
            |watch: &Arc<Watch>| Some((watch.name.clone(), (*ids.get(&watch.name)?, Arc::clone(watch))));
        let watches = watchlist.watches.iter().filter_map(row).collect();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let generation = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { watchlist, http, watches, generation }
    }

    /// When the quiet hours of a topic end that a moment lies in: a watch's topics begin with its row, and what
    /// the daemon says of itself keeps to its own. Of other topics it knows nothing.
    pub fn quiet_ends(&self, now: Timestamp) -> impl Fn(&str) -> Option<Option<Timestamp>> + Send + use<> {
        let own = self.watchlist.quiet_until(now);
        let watches: HashMap<i64, Option<Timestamp>> =
            self.watches.values().map(|(row, watch)| (*row, watch.quiet_until(now))).collect();
        move |topic| match topic.split_once('/') {
            None | Some(("notifier", _)) => Some(own),
            Some((row, _)) => watches.get(&row.parse().ok()?).copied(),
        }
    }

    /// The watches that ask a host.
    #[must_use]
    pub fn watches_asking(&self, host: &str, now: Timestamp) -> Vec<&Arc<Watch>> {
        let asks = |watch: &Watch| {
            let needs = Needs { now, bars: watch.bars() };
            watch.source.requests(&needs).iter().any(|request| request.authority() == host)
        };
        self.watches.values().map(|(_, watch)| watch).filter(|watch| watch.enabled && asks(watch)).collect()
    }
}

impl Watchlist {
    /// When the quiet hours end that a moment lies in, for what no watch has to say.
    #[must_use]
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.daemon.timezone).unwrap_or(TimeZone::UTC);
        QuietHours::parse(&self.alerting.quiet_hours).ok()??.end_after(now, &zone)
    }
}

/// A notifier by its name.
pub struct Told {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// The notifier.
    pub notifier: Box<dyn Notifier>,
    /// A hash of its whole table, secrets and all: never stored.
    pub table_hash: u64,
    /// From the first message on so long, what comes is gathered into one; zero for not at all.
    pub bundle: Period,
    /// How many messages it takes in how long.
    pub budget: Option<config::Budget>,
}

/// One watch, ready to run.
pub struct Watch {
    /// Its name.
    pub name: String,
    /// The name it had before.
    pub was: Option<String>,
    /// Its table as JSON, as it is written, without secrets.
    pub spec: String,
    /// Free words that travel with its alerts.
    pub labels: BTreeMap<String, String>,
    /// Whether it is to be run.
    pub enabled: bool,
    /// The TOML of one that was added by way of the API or the command line; none for one of a file.
    pub toml: Option<String>,
    /// When it is due.
    pub timetable: Timetable,
    /// When what it looks at is open: its own hours, or those that its source is known to have.
    pub hours: Option<Hours>,
    /// For quiet hours and times in messages.
    pub zone: TimeZone,
    /// The source's kind.
    pub source_kind: &'static str,
    /// Where it looks.
    pub source: Box<dyn Source>,
    /// How it is asked.
    pub manner: crate::http::Manner,
    /// How it judges.
    pub judges: Vec<Judge>,
    /// For what the daemon says about its runs.
    pub failing: Policy,
    /// When the source's data are too old.
    pub stale_after: Stale,
    /// Hours in which messages wait.
    pub quiet_hours: Option<QuietHours>,
    /// Whether its messages wait for nothing: no quiet hours, no bundle, no budget.
    pub urgent: bool,
    /// While one of these is failing, openings of this one are not told.
    pub depends_on: Vec<String>,
    /// Whom to tell.
    pub notify: Vec<String>,
    /// What each of its strategies wants to see of the past.
    pub lookbacks: Vec<Lookback>,
    secrets: Secrets,
    spec_hash: u64,
}

/// A strategy of a watch.
pub struct Judge {
    /// Its kind, with a number where the watch has several of it.
    pub name: String,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
    /// What is news.
    pub policy: Policy,
}

impl Watch {
    /// When the quiet hours end that a moment lies in.
    #[must_use]
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet_hours.and_then(|hours| hours.end_after(now, &self.zone))
    }

    /// Whether a text holds a secret of the configuration, such as the key in an address.
    #[must_use]
    pub fn reveals(&self, text: &str) -> bool {
        self.secrets.are_in(text)
    }

    /// The text with every secret of the configuration left out.
    #[must_use]
    pub fn concealed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.secrets.concealed(text)
    }

    /// The same for an excerpt, which may end in the midst of one.
    #[must_use]
    pub fn concealed_in_excerpt<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.secrets.concealed_in_excerpt(text)
    }

    /// How many closed bars its strategies want to see.
    #[must_use]
    pub fn bars(&self) -> usize {
        self.lookbacks.iter().map(|lookback| lookback.bars).max().unwrap_or(0)
    }

    /// Whether a verdict can change by time alone.
    #[must_use]
    pub fn moves_with_time(&self) -> bool {
        self.lookbacks.iter().any(Lookback::moves_with_time)
    }

    /// The shortest time between its slots around `now`.
    #[must_use]
    pub fn spacing(&self, now: Timestamp) -> Duration {
        let slots = self.timetable.next(now, 9);
        let apart = slots.iter().zip(slots.iter().skip(1)).map(|(a, b)| b.duration_since(*a).unsigned_abs());
        apart.min().unwrap_or(ONE_DAY)
    }

    /// How long after its slot a run begins late: a quarter of the time between two, but no less than ten
    /// seconds and no more than five minutes.
    #[must_use]
    pub fn late_after(&self, now: Timestamp) -> Duration {
        (self.spacing(now) / 4).clamp(Duration::from_secs(10), Duration::from_secs(300))
    }

    /// The hosts that it asks, in order.
    #[must_use]
    pub fn hosts(&self, now: Timestamp) -> BTreeSet<String> {
        let requests = self.source.requests(&Needs { now, bars: self.bars() });
        requests.iter().map(|request| request.authority().to_owned()).collect()
    }

    /// Whether its source can tell of a past that nobody looked at.
    #[must_use]
    pub fn can_backfill(&self, at: Timestamp) -> bool {
        self.source.backfill(&Span { from: at, until: at }).is_some()
    }

    /// A hash of its table and of what all sources of its kind share. A changed secret changes it too, though
    /// it tells no more than a byte of it.
    #[must_use]
    pub const fn spec_hash(&self) -> u64 {
        self.spec_hash
    }
}

impl Watchlist {
    /// Reads and builds a configuration.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        Self::load_trying(path, None)
    }

    /// The same, with other strategies for one watch: its name, and what would stand after `strategy =`,
    /// or the table of a single one.
    ///
    /// # Errors
    /// Every mistake in either.
    pub fn load_trying(path: &Path, tried: Option<(&str, &str)>) -> Result<Self, Mistakes> {
        let files = config::read(path)?;
        let environment = |name: &str| std::env::var(name).ok();
        let mut this = Self::build_trying(&files, &[], &environment, tried)?;
        this.daemon.data_dir = config::data_dir(path, &this.daemon.data_dir);
        Ok(this)
    }

    /// Builds a configuration that was read.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn build(files: &[config::File], environment: Environment<'_>) -> Result<Self, Mistakes> {
        Self::build_trying(files, &[], environment, None)
    }

    /// Builds files, with the watches that were added, each a file of its own.
    fn build_trying(
        files: &[config::File],
        added: &[config::File],
        environment: Environment<'_>,
        tried: Option<(&str, &str)>,
    ) -> Result<Self, Mistakes> {
        let variables = RefCell::new(HashMap::new());
        let environment = &|name: &str| {
            let value = environment(name);
            variables.borrow_mut().insert(name.to_owned(), value.clone());
            value
        };
        let (of_files, files) = (files, [files, added].concat());
        let files = files.as_slice();
        let strategy = tried.map_or_else(String::new, |(_, text)| match text.trim_start().starts_with('{') {
            true => format!("strategy = [{text}]"),
            false => format!("strategy = {text}"),
        });
        let tried_file = config::File { path: "--strategy".into(), text: strategy.clone() };
        let mut mistakes = Mistakes::in_files(&[files, &[tried_file]].concat());
        let tried = tried.and_then(|(watch, _)| match DeTable::parse(&strategy) {
            Ok(mut table) => {
                let strategy = table.get_mut().remove("strategy")?;
                Some(Tried { watch, strategy, file: files.len() })
            }
            Err(error) => {
                mistakes.add(files.len(), error.span(), "", error.message());
                None
            }
        });
        let config = config::parse(files, environment, &mut mistakes);
        let ad_hoc: HashMap<String, AdHoc> =
            config.hours.iter().map(|(name, (days, _))| (name.clone(), days.clone())).collect();
        let built = Builder {
            config: &config,
            folder: files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new("")),
            secrets: Secrets::new(mistakes.secrets(), &config.secrets),
            mistakes,
            crons: HashMap::new(),
            ad_hoc,
            usual: HashMap::new(),
            tried,
            files,
            first_added: of_files.len(),
        }
        .build();
        let (mut watchlist, mistakes) = built;
        watchlist.origin = Origin { files: of_files.to_vec(), variables: variables.take() };
        if mistakes.is_empty() { Ok(watchlist) } else { Err(mistakes.in_order()) }
    }

    /// What says of `[fetch]` who asks, and by which way: after a change of it a final answer may be another.
    /// It is stored, and tells no more than a byte of a password.
    #[must_use]
    pub fn asks_as(&self) -> u64 {
        let http::Settings { user_agent, proxy, ca_file, allow_private_networks, allow_networks, .. } =
            &self.http;
        let proxy = proxy.as_ref().map(url::Url::as_str).unwrap_or_default();
        let ca_file = ca_file.as_ref().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        let mut shown = serde_json::Value::from(proxy);
        config::mask_secrets(&mut shown);
        let secret = config::fingerprint(&[proxy.to_owned()]);
        let all = (user_agent, shown, secret, ca_file, allow_private_networks, allow_networks);
        xxh3_64(format!("{all:?}").as_bytes())
    }

    /// A watch by its name.
    #[must_use]
    pub fn watch(&self, name: &str) -> Option<&Arc<Watch>> {
        self.watches.iter().find(|watch| watch.name == name)
    }
}

/// What the kind of a strategy wants told, by the name that the strategy goes by in a watch.
#[must_use]
pub fn usual_policy(strategy: &str) -> Option<PolicyDefaults> {
    let kind = match strategy.rsplit_once('-') {
        Some((kind, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => kind,
        _ => strategy,
    };
    strategies::KINDS.iter().find(|row| row.name == kind).map(|row| row.policy)
}

/// The moment from which the first slots of new watches are spread.
#[must_use]
pub fn first_due(watch: &Watch, now: Timestamp, new_watches: usize) -> Option<Timestamp> {
    let first = watch.timetable.first_due(now)?;
    let Some((every, phase_ms)) = watch.timetable.interval().filter(|_| first <= now) else {
        return Some(first);
    };
    // A few watches start at once; very many start over a while, so that they do not come all together.
    let window = every.as_millis().min(i64::try_from(new_watches).unwrap_or(i64::MAX).saturating_mul(5));
    if new_watches <= 20 || window <= 0 {
        return Some(first);
    }
    first.checked_add(std::time::Duration::from_millis((phase_ms % window).unsigned_abs())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;

    fn built(text: &str) -> Result<Watchlist, Mistakes> {
        let files = [File { path: "config.toml".into(), text: text.into() }];
        Watchlist::build(&files, &|name| Some(format!("value-of-{name}")))
    }

    fn page(name: &str) -> String {
        format!(
            "[watch.{name}]\nsource = {{ kind = 'page', url = 'https://a.example/{name}', \
             cookies = {{ a = '${{{name}}}' }} }}\nevery = '1h'\n"
        )
    }

    #[test]
    fn thousands_of_watches_with_a_secret_each_are_soon_built() {
        let begun = std::time::Instant::now();
        let text: String = (0..2_000).map(|n| page(&format!("w{n}"))).collect();
        let all = built(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let hides = |watch: &Arc<Watch>| watch.reveals(&format!("it is value-of-{}", watch.name));
        assert!(all.watches.iter().all(hides));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_longer_comment_above_a_notifier_changes_nothing() {
        let hash = |text: &str| {
            let all = built(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            all.notifiers.get("hook").map(|hook| hook.table_hash)
        };
        let text = "[notify.hook]\nkind = 'webhook'\nurl = 'https://h.example/'\n";
        assert_eq!(hash(text), hash(&format!("# About it.\n{text}")));
        assert_ne!(hash(text), hash(&text.replace("h.example", "i.example")));
    }

    #[test]
    fn a_body_that_no_source_of_its_kind_takes_is_told_once() {
        let watch = |name: &str| {
            format!("[watch.{name}]\nsource = {{ kind = 'yahoo', symbols = ['A'] }}\nevery = '1h'\n")
        };
        let text = format!("[source.yahoo]\nbody = 'x'\n{}{}", watch("a"), watch("b"));
        let mistakes = built(&text).err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
        assert_eq!(mistakes.matches("says itself what is asked").count(), 1, "{mistakes}");
    }

    #[test]
    fn who_asks_is_known_without_a_password() {
        let asks_as = |fetch: &str| {
            let all = built(&format!("[fetch]\n{fetch}\n")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            all.asks_as()
        };
        assert_eq!(asks_as(""), asks_as("timeout = '7s'"));
        let proxy = |password: &str| asks_as(&format!("proxy = 'http://me:{password}@p.example:1'"));
        assert_ne!(proxy("one"), asks_as(""));
        assert_ne!(proxy("one"), proxy("two"));
        assert_ne!(asks_as("user_agent = 'me'"), asks_as(""));
    }
}
