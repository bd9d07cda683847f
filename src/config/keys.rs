//! The keys of the daemon's own tables, with their defaults.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::values::{Budget, Network, Proxy, Reminder, Size, Stale};
use crate::model::{CrontabLine, HoursOfDay, OnFirst, OpenHours, Period, Secret, ZoneName};

/// `[daemon]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// Where the database lies, seen from the configuration file; left out: `data`, or `/var/lib/stakeout` for a
    /// configuration in `/etc/stakeout`. The variable `STAKEOUT_DATA_DIR` goes before it.
    #[schemars(extend("default" = "data"))]
    pub data_dir: PathBuf,
    /// For schedules, quiet hours and times in messages, where a watch names none of its own.
    #[schemars(with = "ZoneName")]
    pub timezone: String,
    /// How much is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,stakeout::http=debug`. The
    /// variable `RUST_LOG` goes before it.
    pub log_level: String,
    /// For whom the log is written.
    pub log_format: LogFormat,
    /// How many requests may be under way at once, all hosts together.
    #[schemars(range(min = 1))]
    pub max_concurrent_runs: usize,
    /// How long what was seen, done and told is kept.
    pub retention: Retention,
    /// Asked every minute while all is well, for a service that tells you when it no longer is.
    #[schemars(extend("pattern" = "^(https?://.+)?$"))]
    pub heartbeat_url: Option<Secret>,
    /// When every notifier is told that the daemon is alive and what it did; empty for never.
    #[schemars(with = "CrontabLine")]
    pub proof_of_life: String,
    /// When the database is copied, and how many copies are kept.
    pub backup: BackupKeys,
    /// The database grows no larger: then you are told, and what comes waits until there is room.
    pub max_database: Option<Size>,
    /// How a message that was not taken is tried again.
    pub retry: Retry,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            timezone: "UTC".into(),
            log_level: "info".into(),
            log_format: LogFormat::Text,
            max_concurrent_runs: 64,
            retention: Retention::default(),
            heartbeat_url: None,
            proof_of_life: String::new(),
            backup: BackupKeys::default(),
            max_database: None,
            retry: Retry::default(),
        }
    }
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// How long rows are kept.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Quotes, listings, values and texts.
    pub observations: Period,
    /// Bars of markets.
    pub candles: Period,
    /// Runs, and what became of each time that a watch was due.
    pub runs: Period,
    /// Alerts, and messages that were delivered or given up.
    pub alerts: Period,
}

const fn days(days: u64) -> Period {
    Period::from_secs(days * 86_400)
}

impl Retention {
    /// From when on it is known what became of slots.
    #[must_use]
    pub fn runs_kept_since(&self, now: jiff::Timestamp) -> jiff::Timestamp {
        now.checked_sub(self.runs.0).unwrap_or(jiff::Timestamp::MIN)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { observations: days(400), candles: days(400), runs: days(30), alerts: days(400) }
    }
}

/// Copies of the database, in `backups` beside it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupKeys {
    /// How many copies are kept; 0: none are made.
    pub keep: usize,
    /// When a copy is made.
    #[schemars(with = "CrontabLine")]
    pub cron: String,
}

impl Default for BackupKeys {
    fn default() -> Self {
        Self { keep: 0, cron: "30 3 * * *".into() }
    }
}

/// How deliveries are tried again: the wait doubles from `first` to `longest`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first wait; each one after it is twice as long.
    pub first: Period,
    /// The longest wait.
    pub longest: Period,
    /// A message that is older than this when it fails is given up.
    pub give_up_after: Period,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Period::from_secs(2), longest: Period::from_secs(900), give_up_after: days(3) }
    }
}

/// `[web]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Whether there is a web server.
    pub enabled: bool,
    /// Where the web server listens, as `address:port`; anything but loopback wants a `token`.
    #[schemars(extend("pattern" = r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]):\d{1,5}$"))]
    pub listen: SocketAddr,
    /// What a caller must show, and what one logs in with.
    pub token: Option<Secret>,
    /// How you reach it, such as `https://stakeout.example.org`, where that is not `listen`: only this and loopback are
    /// answered by name, and messages may link there.
    pub public_url: Option<Url>,
    /// Whether another port will do where this one is taken; nobody says so in a file.
    #[serde(skip)]
    pub or_another_port: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: (Ipv4Addr::LOCALHOST, 8_787).into(),
            token: None,
            public_url: None,
            or_another_port: false,
        }
    }
}

/// `[fetch]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// For a whole answer, all redirects together.
    pub timeout: Period,
    /// What the daemon calls itself, where a source brings nothing of its own; left out: its name and version.
    pub user_agent: Option<String>,
    /// The largest answer taken, unpacked.
    pub max_body: Size,
    /// `true`: may also ask private addresses, such as `127.0.0.1` or `192.168.1.1`.
    pub allow_private_networks: bool,
    /// Private networks that may be asked all the same.
    #[schemars(extend("default" = []))]
    pub allow_networks: Vec<Network>,
    /// A file of certificates, in PEM, that are trusted beside the system's own, seen from the configuration file; empty
    /// for none.
    pub ca_file: Option<PathBuf>,
    /// How long a host is left alone that refused or did not answer: from `first`, twice as long each time, up to
    /// `longest`; half as long after each good answer. `Retry-After` is kept in any case.
    pub backoff: BackoffKeys,
    /// How gently a host is asked that has no pace of its own in `host`.
    pub per_host: Pace,
    /// The pace of single hosts, by name, or name and port; those of Newegg, Yahoo and Finnhub are known.
    /// Each has the keys of `per_host`.
    pub host: HashMap<String, Pace>,
    /// An HTTP or SOCKS proxy; empty for none.
    #[schemars(extend("default" = ""))]
    pub proxy: Proxy,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            timeout: Period::from_secs(20),
            user_agent: None,
            max_body: Size(8 << 20),
            allow_private_networks: false,
            allow_networks: Vec::new(),
            ca_file: None,
            backoff: BackoffKeys::default(),
            per_host: Pace::default(),
            host: HashMap::new(),
            proxy: Proxy(None),
        }
    }
}

/// The pace of a host.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// How many requests may be under way at once; 2 where nobody says.
    #[schemars(range(min = 1))]
    pub max_concurrent: Option<usize>,
    /// The least time between the starts of two requests; a second where nobody says.
    pub min_interval: Option<Period>,
    /// Up to so much is added to `min_interval`, by chance; nothing where nobody says.
    pub jitter: Option<Period>,
    /// How many requests may start at once after a pause; 1 where nobody says.
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
}

/// How long a host is left alone that refused or did not answer: twice as long each time, from `first` to
/// `longest`, and half as long after each good answer.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffKeys {
    /// The first wait; `"0s"`: none but those that the host asks for.
    pub first: Period,
    /// The longest wait.
    pub longest: Period,
}

impl Default for BackoffKeys {
    fn default() -> Self {
        Self { first: Period::from_secs(10), longest: Period::from_secs(3_600) }
    }
}

/// Methods that have an answer with a body.
pub const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "SEARCH", "REPORT", "PROPFIND"];

/// Of a source's table, what a source of any kind understands: how it is asked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestKeys {
    /// Headers beside those of the source, or in their place. They go to the host that is asked and to no other.
    pub headers: BTreeMap<String, Secret>,
    /// Cookies. They go to the host that is asked and to no other.
    pub cookies: BTreeMap<String, Secret>,
    /// How it is asked; left out: `GET`, and `POST` with a `body`. Only of `page`, `json` and `shop`, whose address is your
    /// own.
    #[schemars(extend("enum" = METHODS))]
    pub method: Option<String>,
    /// What is sent along. Only of `page`, `json` and `shop`, whose address is your own.
    pub body: Option<Secret>,
    /// What it calls itself; goes before that of `[fetch]`.
    pub user_agent: Option<String>,
    /// An HTTP or SOCKS proxy; empty for none. Goes before that of `[fetch]`.
    pub proxy: Option<Proxy>,
    /// For a whole answer, all redirects together. Goes before that of `[fetch]`.
    pub timeout: Option<Period>,
    /// `true`: a redirect may lead from `https` to `http`.
    pub allow_downgrade: Option<bool>,
}

/// Of `[notify.NAME]`, what a notifier of any kind understands; the other keys are its kind's own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyKeys {
    /// From the first message on so long, what comes is gathered into one.
    pub bundle: Period,
    /// At most so many messages a minute, an hour or a day; what is beyond is gathered into digests.
    pub budget: Option<Budget>,
}

/// `[alerting]`: defaults for every watch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerting {
    /// What happens at first sight; left out: what each strategy wants.
    pub on_first: Option<OnFirst>,
    /// `true`: it is told when something is over; left out: what each strategy wants.
    pub resolved: Option<bool>,
    /// How many firing readings in a row make it news.
    #[schemars(range(min = 1))]
    pub after: u32,
    /// How many quiet readings in a row before it is over.
    #[schemars(range(min = 1))]
    pub resolve_after: u32,
    /// How many failed runs in a row before you hear that a watch is failing.
    #[schemars(range(min = 1))]
    pub fail_after: u32,
    /// You hear of it when there is nothing newer for so long. `"auto"`: three times the usual, for data with dates of their
    /// own and for markets whose hours are known; closed hours do not count.
    pub stale_after: Stale,
    /// How often it is told again that it is still so.
    pub remind_every: Reminder,
    /// After a message about a subject, for so long no other about it but its end.
    pub cooldown: Period,
    /// Hours in which messages wait, every day; empty for none.
    #[schemars(with = "HoursOfDay")]
    pub quiet_hours: String,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            on_first: None,
            resolved: None,
            after: 1,
            resolve_after: 1,
            fail_after: 3,
            stale_after: Stale::Auto,
            remind_every: Reminder(None),
            cooldown: Period::ZERO,
            quiet_hours: String::new(),
        }
    }
}

/// `[watch.NAME]`, but for `source` and `strategy`, which belong to the plug-ins.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WatchKeys {
    /// How often; or `cron`, never both.
    pub every: Option<Period>,
    /// When, as crontab's five fields: minute, hour, day, month, weekday; or `every`, never both.
    #[schemars(with = "Option<CrontabLine>")]
    pub cron: Option<String>,
    /// For its schedule, quiet hours and times in messages; left out: that of `[daemon]`.
    #[schemars(with = "Option<ZoneName>")]
    pub timezone: Option<String>,
    /// When it may be due: an exchange (`NYSE`, `NASDAQ`, `LSE`, `XETRA`), `crypto` for always, or hours, days and perhaps a
    /// zone.
    #[schemars(with = "Option<OpenHours>")]
    pub hours: Option<String>,
    /// Whom to tell: names of `[notify.NAME]`; left out: every one.
    pub notify: Option<Vec<String>>,
    /// Free words that travel with the alerts.
    pub labels: BTreeMap<String, String>,
    /// `false`: it stands there, and never runs.
    #[schemars(extend("default" = true))]
    pub enabled: Option<bool>,
    /// The name it had before: its history comes along.
    pub was: Option<String>,
    /// What happens at first sight; left out: as in `[alerting]`, else what each strategy wants.
    pub on_first: Option<OnFirst>,
    /// `true`: it is told when it is over; left out: as in `[alerting]`, else what each strategy wants.
    pub resolved: Option<bool>,
    /// `true`: its messages wait for nothing: no quiet hours, no bundle, no budget.
    pub urgent: bool,
    /// Names of other watches: while one of these is failing, only the ends of this one are told.
    pub depends_on: Vec<String>,
    /// How many firing readings in a row make it news; left out: as in `[alerting]`.
    #[schemars(range(min = 1))]
    pub after: Option<u32>,
    /// How many quiet readings in a row before it is over; left out: as in `[alerting]`.
    #[schemars(range(min = 1))]
    pub resolve_after: Option<u32>,
    /// How many failed runs in a row before you hear that it is failing; left out: as in `[alerting]`.
    #[schemars(range(min = 1))]
    pub fail_after: Option<u32>,
    /// You hear of it when there is nothing newer for so long; left out: as in `[alerting]`.
    pub stale_after: Option<Stale>,
    /// How often it is told again that it is still so; left out: as in `[alerting]`.
    pub remind_every: Option<Reminder>,
    /// After a message about a subject, for so long no other about it but its end; left out: as in `[alerting]`.
    pub cooldown: Option<Period>,
    /// Hours in which messages wait, every day; empty for none; left out: as in `[alerting]`.
    #[schemars(with = "Option<HoursOfDay>")]
    pub quiet_hours: Option<String>,
}
