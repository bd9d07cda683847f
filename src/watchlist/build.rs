//! Builds the watchlist, table by table, and tells every mistake on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::added::Origin;
use super::discreet::Discreet;
use super::manner::Asking;
use super::{Judge, Told, Watch, Watchlist, manner};
use crate::alerting::{Policy, QuietHours};
use crate::config::{self, Alerting, Config, Entry, Fault, Mistakes, NotifyKeys, Secrets, WatchKeys};
use crate::http::{self, HostRules};
use crate::model::{OnFirst, Period, ReadingKind, did_you_mean, or_known};
use crate::plugin::{self, Kind, Lookback, Needs, Notifier, Source, Strategy};
use crate::sessions::{AdHoc, Hours};
use crate::timetable::Timetable;
use crate::{notifiers, sources, strategies};

/// What a notifier of any kind understands.
const NOTIFY_KEYS: [&str; 2] = ["bundle", "budget"];

pub(super) struct Builder<'c, 'i> {
    pub(super) config: &'c Config<'i>,
    /// Where the configuration lies.
    pub(super) folder: &'c Path,
    pub(super) mistakes: Mistakes,
    /// Timetables by line and zone: a parsed line is large, and many watches share one.
    pub(super) crons: HashMap<(String, String), Timetable>,
    /// Days that exchanges announced late.
    pub(super) ad_hoc: HashMap<String, AdHoc>,
    /// What the files say of how all sources of a kind are asked.
    pub(super) usual: HashMap<String, Asking>,
    /// What no watch shows, whichever it is of.
    pub(super) secrets: Secrets,
    pub(super) tried: Option<Tried<'i>>,
    /// All that is built, and which of it is the first watch that was added.
    pub(super) files: &'c [config::File],
    pub(super) first_added: usize,
}

/// Strategies that a watch is tried with, in the place of its own.
pub(super) struct Tried<'i> {
    pub(super) watch: &'i str,
    pub(super) strategy: Spanned<DeValue<'i>>,
    /// What stands for them in the list of files.
    pub(super) file: usize,
}

impl Builder<'_, '_> {
    pub(super) fn build(mut self) -> (Watchlist, Mistakes) {
        let config = self.config;
        let http = self.http_settings();
        let zone = self.zone(&config.daemon.timezone, None);
        let (proof, backup) = (&config.daemon.proof_of_life, &config.daemon.backup);
        let proof_of_life = self.chore(proof, !proof.trim().is_empty(), "proof_of_life", zone.as_ref());
        let backup = self.chore(&backup.cron, backup.keep > 0, "backup.cron", zone.as_ref());
        if let Err(why) = QuietHours::parse(&config.alerting.quiet_hours) {
            config.tell(&mut self.mistakes, "alerting.quiet_hours", &why);
        }
        self.check_web();
        self.check_numbers();
        self.check_fetch(&http);
        for (name, (days, place)) in &config.hours {
            if let Err(why) = days.check(name) {
                self.mistakes.at(place, &format!("hours `{name}`"), &why);
            }
        }
        for entry in config.sources.values() {
            if !sources::KINDS.iter().any(|kind| kind.name == entry.name) {
                let hint = did_you_mean(&entry.name, sources::KINDS.iter().map(|kind| kind.name));
                let message = format!("there is no source of this kind{hint}");
                self.mistakes.at(&entry.place, &format!("source `{}`", entry.name), &message);
            }
            let mut table = entry.table.get_ref().clone();
            let place = format!("source `{}`", entry.name);
            let asking = self.request_keys(&mut table, entry.place.file, &place);
            self.usual.insert(entry.name.clone(), asking);
        }
        let notifiers = self.notifiers();
        let watches: Vec<Arc<Watch>> =
            config.watches.iter().filter_map(|entry| self.watch(entry, &notifiers, &http)).collect();
        self.check_former_names();
        self.check_circles(&watches);
        let watchlist = Watchlist {
            daemon: config.daemon.clone(),
            alerting: config.alerting.clone(),
            web: config.web.clone(),
            http,
            proof_of_life,
            backup,
            notifiers,
            watches,
            left_out: Vec::new(),
            stored: Vec::new(),
            origin: Origin::default(),
        };
        (watchlist, self.mistakes)
    }

    /// When the daemon does something for itself, if it does. A line that is wrong is told all the same.
    fn chore(&mut self, line: &str, wanted: bool, key: &str, zone: Option<&TimeZone>) -> Option<Timetable> {
        if line.trim().is_empty() && !wanted {
            return None;
        }
        match Timetable::cron(line, zone.cloned().unwrap_or(TimeZone::UTC)) {
            Ok(timetable) => wanted.then_some(timetable),
            Err(why) => {
                self.config.tell(&mut self.mistakes, &format!("daemon.{key}"), &why);
                None
            }
        }
    }

    fn http_settings(&self) -> http::Settings {
        let fetch = &self.config.fetch;
        let usual = HostRules::default();
        let rules = |pace: &config::Pace, usual: HostRules| HostRules {
            max_concurrent: pace.max_concurrent.unwrap_or(usual.max_concurrent),
            min_interval: pace.min_interval.map_or(usual.min_interval, |interval| interval.0),
            jitter: pace.jitter.map_or(usual.jitter, |jitter| jitter.0),
            burst: pace.burst.unwrap_or(usual.burst).max(1),
        };
        let per_host = rules(&fetch.per_host, usual);
        let ca_file = fetch.ca_file.as_ref().filter(|path| !path.as_os_str().is_empty());
        let mut hosts = http::known_paces();
        for (host, pace) in &fetch.host {
            let usual = hosts.get(host).copied().unwrap_or(per_host);
            hosts.insert(host.clone(), rules(pace, usual));
        }
        http::Settings {
            timeout: fetch.timeout.0,
            user_agent: fetch.user_agent.clone().unwrap_or_else(|| http::default_user_agent().into()),
            max_body: fetch.max_body.0,
            allow_private_networks: fetch.allow_private_networks,
            allow_networks: fetch.allow_networks.iter().map(|network| network.0).collect(),
            ca_file: ca_file.map(|path| self.folder.join(path)),
            backoff: http::Backoff { first: fetch.backoff.first.0, longest: fetch.backoff.longest.0 },
            proxy: fetch.proxy.0.clone(),
            max_concurrent: self.config.daemon.max_concurrent_runs,
            per_host,
            hosts,
        }
    }

    /// Builds a plug-in. A key that is wrong is told and left out, so that the mistakes of the others are
    /// found too. A key of `shared` that is not among its `own` came from there, and is told there.
    fn plugin<T: ?Sized>(
        &mut self,
        kinds: &'static [Kind<T>],
        mut table: Spanned<DeTable<'_>>,
        at: &Spot<'_>,
        shared: Option<(&Entry<'_>, &[String])>,
    ) -> Option<(&'static Kind<T>, Box<T>)> {
        let mut left_out = Vec::new();
        loop {
            let error = match plugin::build(kinds, table.clone()) {
                Ok(built) => return if left_out.is_empty() { Some(built) } else { None },
                Err(error) => error,
            };
            let mut message = error.message;
            if config::unknown_field(&message).is_some() {
                message.extend(at.also.iter().map(|key| format!(", `{key}`")));
            }
            let fault = Fault::of(&message, error.span.clone(), table.get_ref());
            if fault.is_missing(&left_out) {
                return None;
            }
            let elsewhere = fault.key.as_deref().and_then(|key| {
                let (entry, own) = shared?;
                let value = entry.table.get_ref().get(key)?;
                (!own.iter().any(|name| name == key)).then(|| (entry, value.span()))
            });
            match elsewhere {
                Some((entry, span)) => {
                    let place = fault.place(&format!("source `{}`", entry.name));
                    self.mistakes.add(entry.place.file, Some(span), &place, &fault.message);
                }
                None => {
                    let span = error.span.filter(|span| !span.is_empty()).unwrap_or_else(|| at.span.clone());
                    self.mistakes.add(at.file, Some(span), &fault.place(at.place), &fault.message);
                }
            }
            // Without its kind nothing more can be said.
            left_out.push(fault.leave_out(table.get_mut()).filter(|key| key != "kind")?);
        }
    }

    fn notifiers(&mut self) -> BTreeMap<String, Arc<Told>> {
        let mut built = BTreeMap::new();
        for entry in self.config.notifiers.values() {
            let place = format!("notify `{}`", entry.name);
            let at = Spot {
                file: entry.place.file,
                span: entry.place.span.clone(),
                place: &place,
                also: &NOTIFY_KEYS,
            };
            let mut own = entry.table.clone();
            let keys = self.notify_keys(&mut own, &at);
            if let Some((kind, notifier)) = self.plugin(notifiers::KINDS, own, &at, None) {
                let name = entry.name.clone();
                let hash = xxh3_64(config::as_json(entry.table.get_ref()).to_string().as_bytes());
                let secrets = self.secrets.with(entry.secrets.iter().chain(&entry.secret_parts));
                let notifier = Box::new(Discreet { notifier, secrets });
                built.insert(name.clone(), told(name, kind.name, notifier, hash, keys));
            }
        }
        if self.config.notifiers.is_empty() {
            let table = Spanned::new(0..0, table_of("console"));
            let at = Spot { file: 0, span: 0..0, place: "notify `console`", also: &NOTIFY_KEYS };
            if let Some((kind, notifier)) = self.plugin(notifiers::KINDS, table, &at, None) {
                let name = "console".to_owned();
                let keys = NotifyKeys::default();
                built.insert(name.clone(), told(name, kind.name, notifier, 0, keys));
            }
        }
        built
    }

    /// Takes the keys out of a notifier's table that one of any kind understands.
    fn notify_keys(&mut self, table: &mut Spanned<DeTable<'_>>, at: &Spot<'_>) -> NotifyKeys {
        let mut taken = DeTable::new();
        for key in NOTIFY_KEYS {
            taken.extend(table.get_mut().remove_entry(key));
        }
        let taken = Spanned::new(table.span(), taken);
        config::deserialize(taken, at.file, at.place, &mut self.mistakes).unwrap_or_default()
    }

    fn watch(
        &mut self,
        entry: &Entry<'_>,
        notifiers: &BTreeMap<String, Arc<Told>>,
        settings: &http::Settings,
    ) -> Option<Arc<Watch>> {
        let place = format!("watch `{}`", entry.name);
        let (file, within) = (entry.place.file, entry.place.span.clone());
        let span = entry.table.span();
        let mut table = entry.table.get_ref().clone();
        let source = table.remove("source");
        let strategy = table.remove("strategy");
        let before = self.mistakes.count();
        for key in manner::KEYS {
            if let Some((key, _)) = table.remove_entry(key) {
                let message =
                    format!("`{}` says how a source is asked: it belongs into `source`", key.get_ref());
                self.mistakes.add(file, Some(key.span()), &place, &message);
            }
        }
        let keys: Option<WatchKeys> = config::deserialize_beside(
            &["source", "strategy"],
            Spanned::new(if span.is_empty() { within.clone() } else { span }, table),
            file,
            &place,
            &mut self.mistakes,
        );
        // Where a key is unknown, what seems to be missing may only be misspelt.
        let is_complete = self.mistakes.count() == before;
        let source = match source {
            Some(source) => self.source(source, file, &place, settings),
            None => {
                self.mistakes.add(file, Some(within.clone()), &place, "`source` is missing");
                None
            }
        };
        let keys = keys?;
        let zone = match &keys.timezone {
            Some(name) => {
                let span = entry.table.get_ref().get("timezone").map_or(within.clone(), Spanned::span);
                self.zone(name, Some((file, &span, &place)))
            }
            None => self.zone(&self.config.daemon.timezone.clone(), None).or(Some(TimeZone::UTC)),
        };
        let slots_zone = zone.clone().unwrap_or(TimeZone::UTC);
        let timetable = self.timetable(entry, &keys, &slots_zone, is_complete);
        let (timetable, hours) = self.hours(entry, &keys, &slots_zone, timetable);
        let quiet = keys.quiet_hours.as_ref().unwrap_or(&self.config.alerting.quiet_hours);
        let quiet_hours = match QuietHours::parse(quiet) {
            Ok(hours) => hours.filter(|_| !keys.urgent),
            Err(why) => {
                // Those of `[alerting]` are told there.
                if let Some(written) = entry.table.get_ref().get("quiet_hours") {
                    self.mistakes.add(file, Some(written.span()), &format!("{place}: quiet_hours"), &why);
                }
                None
            }
        };
        let notify = self.notify(entry, &keys, notifiers);
        self.check_dependencies(entry, &keys);
        for (key, count) in
            [("after", keys.after), ("resolve_after", keys.resolve_after), ("fail_after", keys.fail_after)]
        {
            if count == Some(0) {
                let at = entry.table.get_ref().get(key).map_or(within.clone(), Spanned::span);
                self.mistakes.add(
                    file,
                    Some(at),
                    &format!("{place}: {key}"),
                    "0 readings are none; the least is 1",
                );
            }
        }
        let (source_kind, source, manner) = source?;
        let tried = self.tried.as_ref().filter(|tried| tried.watch == entry.name);
        let (strategy, file, within) = match tried {
            Some(tried) => (Some(tried.strategy.clone()), tried.file, 0..0),
            None => (strategy, file, within),
        };
        let judges = self.judges(strategy, &*source, &keys, file, &place, &within);
        let alerting = &self.config.alerting;
        let failing = Policy {
            on_first: OnFirst::Notify,
            resolved: true,
            after: keys.fail_after.unwrap_or(alerting.fail_after).max(1),
            ..self.policy(&keys, OnFirst::Notify, true)
        };
        let (secrets, spec_hash) = self.secrets_of(entry, source_kind);
        let lookbacks: Vec<Lookback> = judges.iter().map(|judge| judge.strategy.lookback()).collect();
        Some(Arc::new(Watch {
            name: entry.name.clone(),
            was: keys.was,
            spec: entry.written.clone(),
            labels: keys.labels,
            enabled: keys.enabled.unwrap_or(true),
            toml: self.added(entry.place.file).map(|file| file.text.clone()),
            timetable: timetable?,
            hours: hours.or_else(|| Hours::parse(source.hours()?, &TimeZone::UTC, &self.ad_hoc).ok()),
            zone: zone?,
            source_kind,
            source,
            manner,
            judges,
            failing: Policy { resolve_after: 1, cooldown: Period::ZERO, ..failing },
            stale_after: keys.stale_after.unwrap_or(alerting.stale_after),
            quiet_hours,
            urgent: keys.urgent,
            depends_on: keys.depends_on,
            notify,
            lookbacks,
            secrets,
            spec_hash,
        }))
    }

    /// A watch that was added, by its place among the files.
    fn added(&self, file: usize) -> Option<&config::File> {
        self.files.get(file).filter(|_| file >= self.first_added)
    }

    /// The source's own table, with what `[source.KIND]` says for all of its kind.
    fn source(
        &mut self,
        source: Spanned<DeValue<'_>>,
        file: usize,
        place: &str,
        settings: &http::Settings,
    ) -> Option<(&'static str, Box<dyn Source>, http::Manner)> {
        let place = format!("{place}: source");
        let span = source.span();
        let DeValue::Table(mut table) = source.into_inner() else {
            let message = "must be a table, such as { kind = \"page\", url = \"https://…\" }";
            self.mistakes.add(file, Some(span), &place, message);
            return None;
        };
        let own: Vec<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
        let addresses: Vec<_> =
            ["url", "base_url"].iter().filter_map(|key| table.get(*key)).map(Spanned::span).collect();
        let own_way = names_an_address(&table);
        let asking = self.request_keys(&mut table, file, &place);
        let kind = table.get("kind").and_then(|kind| kind.get_ref().as_str());
        let shared = kind.and_then(|kind| self.config.sources.get(kind));
        if let Some(shared) = shared.filter(|shared| !shared.secrets.is_empty())
            && self.added(file).is_some()
            && let Some((key, value)) = own_way.as_ref()
        {
            let message = format!(
                "`[source.{}]` holds a secret, which this would be told; write such a watch into the file",
                shared.name
            );
            self.mistakes.add(file, Some(value.clone()), &format!("{place}.{key}"), &message);
        }
        if let Some(shared) = shared {
            for (key, value) in shared.table.get_ref() {
                if !super::manner::KEYS.contains(&key.get_ref().as_ref())
                    && !table.contains_key(key.get_ref().as_ref())
                {
                    table.insert(key.clone(), value.clone());
                }
            }
        }
        let at = Spot { file, span: span.clone(), place: &place, also: &manner::KEYS };
        let shared = shared.map(|entry| (entry, &*own));
        let (kind, source) = self.plugin(sources::KINDS, Spanned::new(span.clone(), table), &at, shared)?;
        let usual = self.usual.remove(kind.name).unwrap_or_default();
        let manner = self.manner(kind.name, &asking, &usual, source.asks_own_address(), &place);
        self.usual.insert(kind.name.to_owned(), usual);
        let needs = Needs { now: Timestamp::now(), bars: 0 };
        let requests = source.requests(&needs);
        if let Some(why) = requests.iter().find_map(|request| http::refusal(&request.url, settings)) {
            let span = addresses.first().cloned().unwrap_or(span);
            self.mistakes.add(file, Some(span), &place, &why);
        }
        Some((kind.name, source, manner))
    }

    /// What a watch shows nowhere, and what its table is known by: as it is written, with what all sources of
    /// its kind share, and a byte of each secret.
    fn secrets_of(&self, entry: &Entry<'_>, source_kind: &str) -> (Secrets, u64) {
        let shared = self.config.sources.get(source_kind);
        let entries = || shared.into_iter().chain([entry]);
        let own: Vec<String> = entries().flat_map(|entry| &entry.secrets).cloned().collect();
        let mut known_by = entry.written.clone().into_bytes();
        if let Some(shared) = shared {
            known_by.extend_from_slice(shared.written.as_bytes());
        }
        known_by.extend(config::fingerprint(&own));
        let parts = entries().flat_map(|entry| &entry.secret_parts);
        (self.secrets.with(own.iter().chain(parts)), xxh3_64(&known_by))
    }

    fn judges(
        &mut self,
        strategy: Option<Spanned<DeValue<'_>>>,
        source: &dyn Source,
        keys: &WatchKeys,
        file: usize,
        place: &str,
        within: &std::ops::Range<usize>,
    ) -> Vec<Judge> {
        let usual = format!("strategy = {}", source.usual_strategies());
        let tables: Vec<Spanned<DeTable<'_>>> = match strategy {
            None => DeTable::parse(&usual)
                .ok()
                .and_then(|mut table| table.get_mut().remove("strategy"))
                .map_or(Vec::new(), |value| tables_in(value).unwrap_or_default()),
            Some(value) => {
                let span = value.span();
                tables_in(value).unwrap_or_else(|| {
                    let message = "must be a list of tables, such as [{ kind = \"restock\" }]";
                    self.mistakes.add(file, Some(span), &format!("{place}: strategy"), message);
                    Vec::new()
                })
            }
        };
        let mut judges: Vec<Judge> = Vec::new();
        for table in tables {
            let place = format!("{place}: strategy");
            let span = table.span();
            let at = Spot { file, span: within.clone(), place: &place, also: &[] };
            let Some((kind, strategy)) = self.plugin(strategies::KINDS, table, &at, None) else { continue };
            if !strategy.reads().contains(&source.yields()) {
                let reads: Vec<String> = strategy.reads().iter().map(ToString::to_string).collect();
                let message = format!(
                    "`{}` reads {}, but this source gives {given}; for {given} there are: {}",
                    kind.name,
                    reads.join(", "),
                    strategies_for(source.yields()).join(", "),
                    given = source.yields()
                );
                self.mistakes.add(file, Some(span), &place, &message);
                continue;
            }
            let same = judges.iter().filter(|judge| judge.name.split('-').next() == Some(kind.name)).count();
            let name = if same == 0 { kind.name.to_owned() } else { format!("{}-{}", kind.name, same + 1) };
            let policy = self.policy(keys, kind.policy.on_first, kind.policy.resolved);
            judges.push(Judge { name, strategy, policy });
        }
        judges
    }

    fn policy(&self, keys: &WatchKeys, on_first: OnFirst, resolved: bool) -> Policy {
        let alerting: &Alerting = &self.config.alerting;
        Policy {
            on_first: keys.on_first.or(alerting.on_first).unwrap_or(on_first),
            resolved: keys.resolved.or(alerting.resolved).unwrap_or(resolved),
            after: keys.after.unwrap_or(alerting.after).max(1),
            resolve_after: keys.resolve_after.unwrap_or(alerting.resolve_after).max(1),
            cooldown: keys.cooldown.unwrap_or(alerting.cooldown),
            remind_every: keys.remind_every.unwrap_or(alerting.remind_every).0,
        }
    }

    fn timetable(
        &mut self,
        entry: &Entry<'_>,
        keys: &WatchKeys,
        zone: &TimeZone,
        is_complete: bool,
    ) -> Option<Timetable> {
        let place = format!("watch `{}`", entry.name);
        let (key, read) = match (&keys.every, &keys.cron) {
            (Some(every), None) => ("every", Timetable::every(*every, &entry.name)),
            (None, Some(line)) => {
                let shared = (line.clone(), zone.iana_name().unwrap_or_default().to_owned());
                if let Some(known) = self.crons.get(&shared) {
                    return Some(known.clone());
                }
                let read = Timetable::cron(line, zone.clone());
                if let Ok(timetable) = &read {
                    self.crons.insert(shared, timetable.clone());
                }
                ("cron", read)
            }
            (Some(_), Some(_)) => ("every", Err("there is `cron` too: only one of them says when".into())),
            (None, None) if !is_complete => return None,
            (None, None) => (
                "every",
                Err("is missing: say when, with every = \"5m\" or cron = \"*/30 9-17 * * MON-FRI\"".into()),
            ),
        };
        read.map_err(|why| {
            let at = entry.table.get_ref().get(key).map_or(entry.place.span.clone(), Spanned::span);
            self.mistakes.add(entry.place.file, Some(at), &format!("{place}: {key}"), &why);
        })
        .ok()
    }

    /// Keeps the watch to its hours.
    fn hours(
        &mut self,
        entry: &Entry<'_>,
        keys: &WatchKeys,
        zone: &TimeZone,
        timetable: Option<Timetable>,
    ) -> (Option<Timetable>, Option<Hours>) {
        let Some(text) = &keys.hours else { return (timetable, None) };
        let hours = Hours::parse(text, zone, &self.ad_hoc);
        let within = hours.and_then(|hours| {
            let timetable =
                timetable.map(|all| all.within(Some(hours.clone()), Timestamp::now())).transpose()?;
            Ok((timetable, Some(hours)))
        });
        within.unwrap_or_else(|why| {
            let at = entry.table.get_ref().get("hours").map_or(entry.place.span.clone(), Spanned::span);
            self.mistakes.add(entry.place.file, Some(at), &format!("watch `{}`: hours", entry.name), &why);
            (None, None)
        })
    }

    fn notify(
        &mut self,
        entry: &Entry<'_>,
        keys: &WatchKeys,
        notifiers: &BTreeMap<String, Arc<Told>>,
    ) -> Vec<String> {
        let Some(names) = &keys.notify else { return notifiers.keys().cloned().collect() };
        for name in names {
            // One that could not be built has its own mistake.
            if !notifiers.contains_key(name) && !self.config.notifiers.contains_key(name) {
                let at = entry.table.get_ref().get("notify").map_or(entry.place.span.clone(), Spanned::span);
                let known = notifiers.keys().chain(self.config.notifiers.keys()).collect::<BTreeSet<_>>();
                let hint = or_known(name, known.iter().map(|name| name.as_str()));
                let message = format!("no notifier named `{name}`{hint}");
                let place = format!("watch `{}`: notify", entry.name);
                self.mistakes.add(entry.place.file, Some(at), &place, &message);
            }
        }
        names.clone()
    }

    fn zone(
        &mut self,
        name: &str,
        watch: Option<(usize, &std::ops::Range<usize>, &str)>,
    ) -> Option<TimeZone> {
        if let Ok(zone) = TimeZone::get(name) {
            return Some(zone);
        }
        let message = format!("`{name}` is no time zone; write it like \"Europe/Warsaw\" or \"UTC\"");
        match watch {
            Some((file, span, place)) => {
                self.mistakes.add(file, Some(span.clone()), &format!("{place}: timezone"), &message);
            }
            None => self.config.tell(&mut self.mistakes, "daemon.timezone", &message),
        }
        None
    }
}

fn told(
    name: String,
    kind: &'static str,
    notifier: Box<dyn Notifier>,
    table_hash: u64,
    keys: NotifyKeys,
) -> Arc<Told> {
    let NotifyKeys { bundle, budget } = keys;
    Arc::new(Told { name, kind, notifier, table_hash, bundle, budget })
}

/// Where a plug-in's table stands, and what to call it.
struct Spot<'a> {
    file: usize,
    span: std::ops::Range<usize>,
    place: &'a str,
    /// Keys that it may hold beside those of its kind.
    also: &'static [&'static str],
}

/// The strategies that understand a kind of reading.
pub(super) fn strategies_for(reading: ReadingKind) -> Vec<&'static str> {
    let understands = |kind: &&Kind<dyn Strategy>| {
        let table = DeTable::parse(kind.example).ok().map(|mut table| {
            table.get_mut().extend(table_of(kind.name));
            table
        });
        let built = table.and_then(|table| plugin::build(strategies::KINDS, table).ok());
        built.is_some_and(|(_, strategy)| strategy.reads().contains(&reading))
    };
    strategies::KINDS.iter().filter(understands).map(|kind| kind.name).collect()
}

fn tables_in(value: Spanned<DeValue<'_>>) -> Option<Vec<Spanned<DeTable<'_>>>> {
    let DeValue::Array(items) = value.into_inner() else { return None };
    items
        .into_iter()
        .map(|item| {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => Some(Spanned::new(span, table)),
                _ => None,
            }
        })
        .collect()
}

pub(super) fn table_of(kind: &'static str) -> DeTable<'static> {
    let mut table = DeTable::new();
    table.insert(
        Spanned::new(0..0, DeString::Borrowed("kind")),
        Spanned::new(0..0, DeValue::String(DeString::Borrowed(kind))),
    );
    table
}

/// A key of a source that says whom it asks, or by way of whom, with its place. What an address is says who reads
/// it: `https:host` and `https:\\host` are ones too.
fn names_an_address(table: &DeTable<'_>) -> Option<(String, std::ops::Range<usize>)> {
    fn is_one(value: &DeValue<'_>) -> bool {
        match value {
            DeValue::String(text) => Url::parse(text).is_ok_and(|url| url.has_host()),
            DeValue::Array(items) => items.iter().any(|item| is_one(item.get_ref())),
            DeValue::Table(table) => table.values().any(|value| is_one(value.get_ref())),
            _ => false,
        }
    }
    let key = table.iter().find(|(_, value)| is_one(value.get_ref()));
    key.map(|(key, value)| (key.get_ref().to_string(), value.span()))
}
