//! What is wrong with the configuration as a whole, beyond a single key of a single table.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use toml::Spanned;
use url::{Host, Position, Url};

use super::Watch;
use super::build::Builder;
use super::manner::proxy_fault;
use crate::config::{self, BackoffKeys, Entry, Pace, WatchKeys, Web};
use crate::http;
use crate::model::or_known;

impl Builder<'_, '_> {
    pub(super) fn check_web(&mut self) {
        let has_no_token = |web: &&Web| web.token.as_ref().is_none_or(|token| token.is_empty());
        let Some(web) = self.config.web.as_ref().filter(|web| web.enabled).filter(has_no_token) else {
            return;
        };
        // What stands before the server brings strangers to an address that only this machine reaches.
        let (key, address) = match &web.public_url {
            _ if !web.listen.ip().is_loopback() => ("web.listen", web.listen.to_string()),
            Some(url) if !is_of_this_machine(url) => ("web.public_url", url.to_string()),
            _ => return,
        };
        let message = format!(
            "`{address}` can be reached from outside: a `token` is required, for example \
             token = \"${{STAKEOUT_WEB_TOKEN}}\""
        );
        self.config.tell(&mut self.mistakes, key, &message);
    }

    /// Values that can never work.
    pub(super) fn check_numbers(&mut self) {
        let (daemon, alerting) = (&self.config.daemon, &self.config.alerting);
        let mut wrong: Vec<(&str, &str)> = Vec::new();
        for (key, count) in [
            ("alerting.after", alerting.after),
            ("alerting.resolve_after", alerting.resolve_after),
            ("alerting.fail_after", alerting.fail_after),
        ] {
            if count == 0 {
                wrong.push((key, "0 readings are none; the least is 1"));
            }
        }
        if !config::is_log_filter(&daemon.log_level) {
            wrong.push(("daemon.log_level", config::LOG_LEVELS));
        }
        if daemon.max_concurrent_runs == 0 {
            wrong.push(("daemon.max_concurrent_runs", "0 requests at once are none; the least is 1"));
        }
        if let Some(url) = &daemon.heartbeat_url
            && !url.is_empty()
            && !url::Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            wrong.push(("daemon.heartbeat_url", "is no http or https address"));
        }
        for (key, message) in wrong {
            self.config.tell(&mut self.mistakes, key, message);
        }
    }

    /// What of `[fetch]` can never work.
    pub(super) fn check_fetch(&mut self, settings: &http::Settings) {
        let fetch = &self.config.fetch;
        let mut wrong: Vec<(String, String)> = Vec::new();
        if fetch.timeout.0.is_zero() {
            wrong.push(("timeout".into(), "no answer comes in no time; write \"20s\"".into()));
        }
        if fetch.max_body.0 == 0 {
            wrong.push(("max_body".into(), "no answer has no bytes; write \"8MiB\"".into()));
        }
        if let Some(why) = fetch.user_agent.as_deref().and_then(|agent| http::check_header_value(agent).err())
        {
            wrong.push(("user_agent".into(), why));
        }
        if let Some(why) = proxy_fault(&fetch.proxy) {
            wrong.push(("proxy".into(), why));
        }
        let BackoffKeys { first, longest } = fetch.backoff;
        if first.0 > longest.0 {
            let why = format!("`first` ({first}) is longer than `longest` ({longest})");
            wrong.push(("backoff".into(), why));
        }
        if let Some(why) = settings.ca_file.as_ref().and_then(|path| http::check_certificates(path).err()) {
            wrong.push(("ca_file".into(), why.trim_start_matches("`ca_file`: ").to_owned()));
        }
        wrong.extend(pace_faults(&fetch.per_host).map(|why| ("per_host".to_owned(), why)));
        for (host, pace) in &fetch.host {
            let key = format!("host.{host}");
            wrong.extend(pace_faults(pace).map(|why| (key.clone(), why)));
            wrong.extend(host_fault(host).map(|why| (key, why)));
        }
        for (key, why) in wrong {
            self.config.tell(&mut self.mistakes, &format!("fetch.{key}"), &why);
        }
    }

    /// Watches that depend on each other would keep each other quiet for ever.
    pub(super) fn check_circles(&mut self, watches: &[Arc<Watch>]) {
        let needs: HashMap<&str, &[String]> =
            watches.iter().map(|watch| (watch.name.as_str(), &*watch.depends_on)).collect();
        for entry in &self.config.watches {
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            let direct = needs.get(entry.name.as_str()).copied().unwrap_or_default();
            let mut next: Vec<&str> =
                direct.iter().map(String::as_str).filter(|name| *name != entry.name).collect();
            while let Some(name) = next.pop() {
                if name == entry.name {
                    let place = format!("watch `{}`: depends_on", entry.name);
                    self.mistakes.at(&entry.place, &place, "it depends on itself, by way of others");
                    break;
                }
                if seen.insert(name) {
                    next.extend(needs.get(name).copied().unwrap_or_default().iter().map(String::as_str));
                }
            }
        }
    }

    pub(super) fn check_dependencies(&mut self, entry: &Entry<'_>, keys: &WatchKeys) {
        let watches = &self.config.watches;
        for name in &keys.depends_on {
            let message = if *name == entry.name {
                "a watch cannot depend on itself".to_owned()
            } else if watches.iter().any(|watch| watch.name == *name) {
                continue;
            } else {
                format!(
                    "no watch named `{name}`{}",
                    or_known(name, watches.iter().map(|watch| watch.name.as_str()))
                )
            };
            let at = entry.table.get_ref().get("depends_on").map_or(entry.place.span.clone(), Spanned::span);
            self.mistakes.add(
                entry.place.file,
                Some(at),
                &format!("watch `{}`: depends_on", entry.name),
                &message,
            );
        }
    }

    pub(super) fn check_former_names(&mut self) {
        for entry in &self.config.watches {
            let was = entry.table.get_ref().get("was").and_then(|was| was.get_ref().as_str());
            if let Some(was) = was.filter(|was| self.config.watches.iter().any(|other| other.name == **was)) {
                let message = format!("there is still a watch named `{was}`");
                self.mistakes.at(&entry.place, &format!("watch `{}`: was", entry.name), &message);
            }
        }
    }
}

/// Whether an address leads nowhere but to the machine that asks for it.
fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

fn pace_faults(pace: &Pace) -> impl Iterator<Item = String> + use<> {
    let none = |name: &str| format!("`{name} = 0` would never ask; the least is 1");
    let concurrent = (pace.max_concurrent == Some(0)).then(|| none("max_concurrent"));
    concurrent.into_iter().chain((pace.burst == Some(0)).then(|| none("burst")))
}

/// What keeps a name from being that of a host, with a port perhaps. A host is known by nothing else.
fn host_fault(host: &str) -> Option<String> {
    let address = match host.contains("://") {
        true => Url::parse(host),
        false => Url::parse(&format!("http://{host}")),
    };
    let Ok(address) = address else { return Some("this is no name of a host".into()) };
    // The usual port of https is not asked for by its number, nor that of http.
    let is_usual = address.port() == Some(443);
    let end = if is_usual { Position::AfterHost } else { Position::AfterPort };
    let name = &address[Position::BeforeHost..end];
    (name != host).then(|| format!("write the host alone: \"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_as_it_is_known_by() {
        for (host, expected) in [
            ("www.newegg.com", None),
            ("127.0.0.1:8080", None),
            ("www.newegg.com:443", Some("write the host alone: \"www.newegg.com\"")),
            ("www.newegg.com:80", Some("write the host alone: \"www.newegg.com\"")),
            ("https://www.newegg.com/", Some("write the host alone: \"www.newegg.com\"")),
        ] {
            assert_eq!(host_fault(host).as_deref(), expected, "{host}");
        }
    }
}
