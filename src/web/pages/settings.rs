//! The configuration as it is in force, without its secrets.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::super::Shared;
use super::layout::{Section, age, page, watch_url};
use crate::config::Stale;
use crate::http::HostRules;
use crate::model::Period;
use crate::watchlist::{Roster, Watch};

/// So many watches stand on the page; the others have pages of their own.
const MOST: usize = 500;

type Pairs = Vec<(&'static str, String)>;

pub(super) async fn show(State(shared): State<Shared>, started_at: Timestamp) -> Markup {
    let roster = shared.roster();
    let body = html! {
        h1 { "Settings" }
        p.muted { "As they are in force. They are changed in the configuration file, which is read again when it changes; what is secret is not shown." }
        div.cards.wide {
            section.card {
                h2 { "This daemon" }
                dl.pairs {
                    dt { "version" } dd { (env!("CARGO_PKG_VERSION")) }
                    dt { "running for" } dd { (age(started_at, Timestamp::now())) }
                    dt { "watches" } dd { (roster.watches.len()) }
                    dt { "data folder" } dd { code { (whole(&roster.watchlist.daemon.data_dir)) } }
                    dt { "listens on" } dd { code { (shared.address) } }
                    dt { "public address" }
                    dd { @match &shared.public_url { Some(url) => code { (url) }, None => span.muted { "none" } } }
                    dt { "token" } dd { (set(shared.token.is_some())) }
                }
            }
            (card("[daemon]", &daemon(&roster)))
            (card("[alerting]", &alerting(&roster)))
            (card("[fetch]", &fetch(&roster)))
        }
        (hosts(&roster))
        (notifiers(&roster))
        (watches(&roster))
    };
    page("Settings", Section::Settings, &body)
}

fn card(title: &str, pairs: &[(&'static str, String)]) -> Markup {
    html! {
        section.card {
            h2 { code { (title) } }
            dl.pairs { @for (key, value) in pairs { dt { (key) } dd { (value) } } }
        }
    }
}

fn daemon(roster: &Roster) -> Pairs {
    let daemon = &roster.watchlist.daemon;
    let (kept, retry, backup) = (&daemon.retention, &daemon.retry, &daemon.backup);
    vec![
        ("timezone", daemon.timezone.clone()),
        ("log_level", daemon.log_level.clone()),
        ("log_format", format!("{:?}", daemon.log_format).to_lowercase()),
        ("max_concurrent_runs", daemon.max_concurrent_runs.to_string()),
        (
            "retention",
            format!(
                "observations {}, candles {}, runs {}, alerts {}",
                kept.observations, kept.candles, kept.runs, kept.alerts
            ),
        ),
        ("heartbeat_url", set(daemon.heartbeat_url.as_ref().is_some_and(|url| !url.is_empty())).into()),
        ("proof_of_life", or_none(&daemon.proof_of_life)),
        (
            "backup",
            if backup.keep == 0 {
                "none".into()
            } else {
                format!("{} kept, at {}", backup.keep, backup.cron)
            },
        ),
        ("max_database", daemon.max_database.map_or("any".into(), |size| bytes(size.0))),
        ("retry", format!("from {} to {}, for {}", retry.first, retry.longest, retry.give_up_after)),
    ]
}

fn alerting(roster: &Roster) -> Pairs {
    let alerting = &roster.watchlist.alerting;
    let own = "as each strategy wants";
    vec![
        ("on_first", alerting.on_first.map_or(own.into(), |first| format!("{first:?}").to_lowercase())),
        ("resolved", alerting.resolved.map_or(own.into(), |told| told.to_string())),
        ("after", alerting.after.to_string()),
        ("resolve_after", alerting.resolve_after.to_string()),
        ("fail_after", alerting.fail_after.to_string()),
        (
            "stale_after",
            match alerting.stale_after {
                Stale::Auto => "auto".into(),
                Stale::Never => "never".into(),
                Stale::After(period) => period.to_string(),
            },
        ),
        ("remind_every", alerting.remind_every.0.map_or("never".into(), |period| period.to_string())),
        (
            "cooldown",
            if alerting.cooldown == Period::ZERO { "none".into() } else { alerting.cooldown.to_string() },
        ),
        ("quiet_hours", or_none(&alerting.quiet_hours)),
    ]
}

fn fetch(roster: &Roster) -> Pairs {
    let fetch = &roster.watchlist.http;
    let networks: Vec<String> = fetch.allow_networks.iter().map(ToString::to_string).collect();
    vec![
        ("timeout", Period(fetch.timeout).to_string()),
        ("user_agent", fetch.user_agent.clone()),
        ("max_body", bytes(fetch.max_body)),
        ("allow_private_networks", fetch.allow_private_networks.to_string()),
        ("allow_networks", or_none(&networks.join(", "))),
        ("ca_file", fetch.ca_file.as_deref().map_or("none".into(), whole)),
        // Its address may hold a password.
        ("proxy", fetch.proxy.as_ref().and_then(|url| url.host_str()).map_or("none".into(), str::to_owned)),
        ("backoff", format!("from {} to {}", Period(fetch.backoff.first), Period(fetch.backoff.longest))),
        ("per_host", pace(&fetch.per_host)),
    ]
}

fn hosts(roster: &Roster) -> Markup {
    let mut hosts: Vec<(&String, &HostRules)> = roster.watchlist.http.hosts.iter().collect();
    hosts.sort_by_key(|(host, _)| *host);
    html! {
        @if !hosts.is_empty() {
            section {
                h2 { "Paces of single hosts" }
                div.scroll {
                    table.list {
                        thead { tr { th scope="col" { "Host" } th scope="col" { "Pace" } } }
                        tbody { @for (host, rules) in hosts { tr { th scope="row" { (host) } td data-label="Pace" { (pace(rules)) } } } }
                    }
                }
            }
        }
    }
}

fn notifiers(roster: &Roster) -> Markup {
    html! {
        section {
            h2 { "Notifiers" }
            @if roster.watchlist.notifiers.is_empty() { p.empty { "There is none: messages go to the console." } } @else {
                div.scroll {
                    table.list {
                        thead {
                            tr {
                                th scope="col" { "Name" } th scope="col" { "Kind" }
                                th scope="col" { "Bundle" } th scope="col" { "Budget" }
                            }
                        }
                        tbody {
                            @for told in roster.watchlist.notifiers.values() {
                                tr {
                                    th scope="row" { (told.name) }
                                    td data-label="Kind" { (told.kind) }
                                    td data-label="Bundle" { @if told.bundle == Period::ZERO { span.muted { "none" } } @else { (told.bundle) } }
                                    td data-label="Budget" { @match told.budget { Some(budget) => (budget), None => span.muted { "none" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn watches(roster: &Roster) -> Markup {
    let all = &roster.watchlist.watches;
    let more = all.len().saturating_sub(MOST);
    html! {
        section {
            h2 { "Watches" }
            ul.specs {
                @for watch in all.iter().take(MOST) {
                    li.card {
                        details {
                            summary { (watch.name) " " span.muted.small { (watch.source_kind) } }
                            pre { (table(watch)) }
                            p.small { a href=(watch_url(&watch.name)) { "Its page" } }
                        }
                    }
                }
            }
            @if more > 0 { p.muted { "and " (more) " more, each with its table on its page" } }
        }
    }
}

/// The table of a watch, as it is kept: without its secrets.
fn table(watch: &Watch) -> String {
    let shown = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    serde_json::from_str(&watch.spec).map_or_else(|_| watch.spec.clone(), |value| shown(&value))
}

fn set(is_set: bool) -> &'static str {
    if is_set { "set" } else { "not set" }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".into() } else { text.into() }
}

fn whole(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

fn bytes(count: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = UNITS.iter().find(|(size, _)| count >= *size && count.is_multiple_of(*size));
    whole.map_or_else(|| format!("{count} bytes"), |(size, unit)| format!("{} {unit}", count / size))
}

fn pace(rules: &HostRules) -> String {
    let HostRules { max_concurrent, min_interval, jitter, burst } = rules;
    let every = if min_interval.is_zero() {
        "as fast as it goes".into()
    } else {
        format!("one each {}", Period(*min_interval))
    };
    let jitter =
        if jitter.is_zero() { String::new() } else { format!(" and up to {} more", Period(*jitter)) };
    let burst = if *burst > 1 { format!(", {burst} at once after a pause") } else { String::new() };
    format!("{every}{jitter}{burst}, {max_concurrent} under way at most")
}
