//! The figures, as Prometheus reads them. Counters and histograms are collected where things happen; what is so
//! now is read from the store when it is asked for, so that a watch that is gone leaves nothing behind.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Shared, State, Status};

/// Upper bounds of the histograms, in seconds: fine where a schedule should be, coarse where it must not.
const SECONDS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How often single values are put into their buckets.
const TIDIED_EVERY: Duration = Duration::from_secs(5);

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

/// Every figure: its name, its kind and what it says.
const FIGURES: [(&str, &str, &str); 22] = [
    ("stakeout_runs_total", COUNTER, "Runs since the start, by the kind of source and how they ended."),
    (
        "stakeout_deliveries_total",
        COUNTER,
        "Attempts to send a message, by the kind of notifier and how they ended.",
    ),
    ("stakeout_wrong_tokens_total", COUNTER, "Wrong tokens that were shown to the web server."),
    (
        "stakeout_fetch_seconds",
        HISTOGRAM,
        "How long answers took, by the kind of source; without the wait for a turn.",
    ),
    ("stakeout_schedule_lateness_seconds", HISTOGRAM, "How long after it was due a run began."),
    ("stakeout_build_info", GAUGE, "Always 1; the version is a label."),
    (
        "stakeout_config_last_reload_successful",
        GAUGE,
        "0 while the configuration has mistakes and an older one goes on.",
    ),
    ("stakeout_watches", GAUGE, "How many watches stand so."),
    (
        "stakeout_watch_up",
        GAUGE,
        "1 when the last run of a watch got an answer, 0 when it failed or was blocked.",
    ),
    ("stakeout_watch_firing", GAUGE, "About how many subjects a watch fires now."),
    ("stakeout_watch_last_run_timestamp_seconds", GAUGE, "When a watch ran last."),
    ("stakeout_watch_next_run_timestamp_seconds", GAUGE, "When a watch is due next."),
    (
        "stakeout_host_resting",
        GAUGE,
        "1 for each host that is left alone now; the reason is `refused` or `silent`.",
    ),
    ("stakeout_outbox_pending", GAUGE, "Messages that wait to be sent."),
    ("stakeout_outbox_dead", GAUGE, "Messages that were given up and that nobody has looked at."),
    ("stakeout_database_size_bytes", GAUGE, "The size of the database, without its log."),
    ("stakeout_parts_standing_still", GAUGE, "Parts of the daemon that do not move; see /readyz."),
    ("stakeout_live_listeners", GAUGE, "Streams of events that are open."),
    ("stakeout_web_connections", GAUGE, "Connections to the web server that are open."),
    ("process_start_time_seconds", GAUGE, "When the process began to collect figures."),
    ("process_resident_memory_bytes", GAUGE, "Memory of the process that lies in RAM."),
    ("process_open_fds", GAUGE, "Open files and connections of the process."),
];

static STARTED: OnceLock<Timestamp> = OnceLock::new();

/// Collects figures from now on; the first call sets the process up, the others share it.
pub fn collect_figures() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            STARTED.get_or_init(Timestamp::now);
            let buckets = Matcher::Suffix("_seconds".into());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(buckets, &SECONDS).ok()?;
            match builder.install_recorder() {
                Ok(handle) => {
                    describe();
                    // Before the first there would be nothing that it could grow from.
                    metrics::counter!("stakeout_wrong_tokens_total").increment(0);
                    Some(handle)
                }
                Err(error) => {
                    warn!(%error, "No figures are collected");
                    None
                }
            }
        })
        .clone()
}

fn describe() {
    for (name, kind, help) in FIGURES {
        match kind {
            COUNTER => metrics::describe_counter!(name, help),
            HISTOGRAM => metrics::describe_histogram!(name, help),
            _ => {}
        }
    }
}

/// Puts what the histograms have gathered into their buckets from time to time, also where nobody ever asks for the
/// figures: until then every single value is kept.
pub async fn keep_figures_small(stop: CancellationToken) {
    let Some(figures) = collect_figures() else { return };
    while stop.run_until_cancelled(sleep(TIDIED_EVERY)).await.is_some() {
        figures.run_upkeep();
    }
}

/// All of them, now.
pub(super) async fn page(shared: &Shared, figures: &PrometheusHandle) -> Result<String, sqlx::Error> {
    figures.run_upkeep();
    let mut page = Page(figures.render());
    let now = Timestamp::now();
    page.one("stakeout_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.watches(shared.store.glances().await?.into_iter().map(Status::from).collect());
    let resting = shared.store.host_standings().await?;
    page.family("stakeout_host_resting");
    for host in resting.iter().filter(|host| host.is_resting(now)) {
        let reason = if host.refused { "refused" } else { "silent" };
        page.line("stakeout_host_resting", &[("host", &host.host), ("reason", reason)], 1);
    }
    let (pending, dead) = shared.store.delivery_counts().await?;
    page.one("stakeout_outbox_pending", &[], pending);
    page.one("stakeout_outbox_dead", &[], dead);
    page.one("stakeout_database_size_bytes", &[], shared.store.database_bytes().await?);
    page.one("stakeout_parts_standing_still", &[], shared.pulse.standing_still(Instant::now()).len());
    let is_taken_up = usize::from(shared.control.not_taken_up().borrow().is_empty());
    page.one("stakeout_config_last_reload_successful", &[], is_taken_up);
    page.one("stakeout_live_listeners", &[], shared.live.listeners());
    page.one("stakeout_web_connections", &[], super::connections::open());
    page.process();
    Ok(page.0)
}

/// The text, as it grows.
struct Page(String);

impl Page {
    fn watches(&mut self, watches: Vec<Status>) {
        self.family("stakeout_watches");
        for state in State::ALL {
            let count = watches.iter().filter(|watch| watch.state == state).count();
            self.line("stakeout_watches", &[("state", state.as_str())], count);
        }
        let seconds = |at: Timestamp| at.as_second();
        // One that is paused is neither well nor ill.
        let up = |watch: &Status| {
            let outcome = watch.outcome.as_deref().filter(|_| watch.state != State::Paused)?;
            Some(i64::from(!matches!(outcome, "failed" | "blocked")))
        };
        type Reads<'r> = &'r dyn Fn(&Status) -> Option<i64>;
        let families: [(&str, Reads<'_>); 4] = [
            ("stakeout_watch_up", &up),
            ("stakeout_watch_firing", &|watch| Some(watch.firing)),
            ("stakeout_watch_last_run_timestamp_seconds", &|watch| watch.ran_at.map(seconds)),
            ("stakeout_watch_next_run_timestamp_seconds", &|watch| {
                watch.next_due_at.filter(|_| watch.state != State::Paused).map(seconds)
            }),
        ];
        for (name, reads) in families {
            self.family(name);
            for watch in &watches {
                if let Some(value) = reads(watch) {
                    self.line(name, &[("watch", &watch.name)], value);
                }
            }
        }
    }

    /// What the system says of the process, where it does.
    fn process(&mut self) {
        if let Some(started) = STARTED.get() {
            self.one("process_start_time_seconds", &[], started.as_second());
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        if let Some(kibibytes) = kibibytes {
            self.one("process_resident_memory_bytes", &[], kibibytes.saturating_mul(1_024));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.one("process_open_fds", &[], files.count());
        }
    }

    fn one(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(name);
        self.line(name, labels, value);
    }

    fn family(&mut self, name: &str) {
        let known = FIGURES.iter().find(|(known, _, _)| *known == name);
        debug_assert!(known.is_some(), "`{name}` does not stand in the table");
        if let Some((name, kind, help)) = known {
            write_help_line(&mut self.0, name, None, None, help);
            write_type_line(&mut self.0, name, None, None, kind);
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", sanitize_label_value(text)))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every name of ours in a text, as it stands in the table.
    fn names(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = words.filter(|word| word.starts_with("stakeout_") || word.starts_with("process_"));
        ours.map(|word| {
            let cut = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            cut.filter(|cut| FIGURES.iter().any(|(name, kind, _)| name == cut && *kind == HISTOGRAM))
                .unwrap_or(word)
        })
        .collect()
    }

    #[test]
    fn the_dashboard_and_the_alert_rules_name_only_figures_that_there_are() {
        for (file, text) in [
            ("grafana-dashboard.json", include_str!("../../deploy/grafana-dashboard.json")),
            ("prometheus-alerts.yml", include_str!("../../deploy/prometheus-alerts.yml")),
        ] {
            let named = names(text);
            assert!(named.len() > 5, "{file}: {named:?}");
            for name in named {
                assert!(FIGURES.iter().any(|(known, _, _)| *known == name), "{file} names `{name}`");
            }
        }
    }

    #[test]
    fn figures_are_named_as_prometheus_has_it() {
        for (name, kind, help) in FIGURES {
            assert_eq!(kind == COUNTER, name.ends_with("_total"), "{name}");
            assert_eq!(kind == HISTOGRAM, name.ends_with("_seconds") && !name.contains("_time"), "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn what_others_wrote_cannot_leave_its_label() {
        let mut page = Page(String::new());
        page.line("stakeout_watch_up", &[("watch", "a\"} 7\nb\\")], 1);
        assert_eq!(page.0, "stakeout_watch_up{watch=\"a\\\"} 7\\nb\\\\\"} 1\n");
    }
}
