//! Hosts that block us or do not answer: facts about a host, told once, whichever watches ask it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::judge::{Judged, Post};
use super::news::{about, alert};
use super::own::{RUN, lasted};
use super::{Answer, Slot};
use crate::alerting::{Policy, decide};
use crate::model::{Severity, Signal};
use crate::plugin::{FetchError, Words};
use crate::store::{DAEMON, Store};
use crate::watchlist::{Roster, Watch};

/// So many watches are called by their names.
const MOST_NAMES: usize = 5;

/// What is known of the hosts that were asked.
pub(super) struct Hosts {
    health: Mutex<HashMap<String, Health>>,
    /// Held from a change of what is told of a host until that is stored: what the next run reads of it
    /// must be what was told.
    changing: tokio::sync::Mutex<()>,
    /// What other programs had written when it was last read what is told of hosts.
    foreign_writes: AtomicU64,
}

#[derive(Default)]
struct Health {
    /// What we said of it and have not taken back.
    told: Option<Trouble>,
    /// The watches that it keeps out.
    walled: HashSet<i64>,
    /// The watches that it left without an answer; forgotten when it answers any watch.
    silent: HashMap<i64, Silence>,
    /// Watches that were without an answer when it answered others again.
    left_over: HashSet<i64>,
    /// Those of them that it still gave none when it answered others once more: their trouble is their own.
    own: HashSet<i64>,
    /// When it last answered, since the start.
    answered_at: Option<Instant>,
}

/// A watch is without an answer.
#[derive(Default)]
struct Silence {
    /// In so many runs in a row.
    runs: u32,
    /// Whether the host was asked in any of them, rather than left alone.
    was_asked: bool,
}

/// What can be told of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It refuses programs.
    Blocked,
    /// It does not answer.
    Down,
}

/// How a host answered in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    Open,
    Blocked(Cause),
    Down(Cause),
}

/// What a host did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    why: String,
    /// Until when it is left alone for it.
    until: Option<Timestamp>,
    /// Where it was not asked at all, because it is left alone: when that was found out.
    rested_at: Option<Instant>,
}

/// How each host that was asked answered, also by way of another that it led to: a wall counts more than a good answer, and that more than none.
/// A failure with an answer says nothing.
pub(super) fn stances(answers: &[Answer]) -> BTreeMap<String, Stance> {
    let mut stances: BTreeMap<String, Stance> = BTreeMap::new();
    for answer in answers {
        let rest = answer.rest.as_ref();
        let cause = |why: &String| Cause {
            why: rest.map_or(why, |rest| &rest.why).clone(),
            until: rest.map(|rest| rest.until).or(answer.left_alone_until()),
            rested_at: rest.map(|rest| rest.seen_at),
        };
        let stance = match &answer.result {
            Ok(_) => Stance::Open,
            Err(FetchError::Blocked { why, .. }) => Stance::Blocked(cause(why)),
            Err(FetchError::Failed(why)) if answer.unreachable => Stance::Down(cause(why)),
            Err(FetchError::Failed(_)) => continue,
        };
        let weight = |stance: &Stance| match stance {
            Stance::Blocked(_) => 2,
            Stance::Open => 1,
            Stance::Down(_) => 0,
        };
        let known = stances.entry(answer.request.authority().to_owned()).or_insert_with(|| stance.clone());
        if weight(&stance) > weight(known) {
            *known = stance;
        }
    }
    stances
}

/// The host whose silence alone made a run fail, and what it was like.
pub(super) fn silent_host(answers: &[Answer], stances: &BTreeMap<String, Stance>) -> Option<(String, Cause)> {
    let mut silent = None;
    for answer in answers.iter().filter(|answer| answer.result.is_err()) {
        let host = answer.request.authority();
        let Some(Stance::Down(cause)) = stances.get(host) else { return None };
        silent.get_or_insert_with(|| (host.to_owned(), cause.clone()));
    }
    silent
}

/// What one run says of hosts. It is taken back unless it was stored.
pub(super) struct Turning<'h> {
    hosts: &'h Hosts,
    turned: Vec<(String, Option<Trouble>)>,
    changing: Option<tokio::sync::MutexGuard<'h, ()>>,
}

impl<'h> Turning<'h> {
    /// It says nothing.
    pub(super) const fn none(hosts: &'h Hosts) -> Self {
        Self { hosts, turned: Vec::new(), changing: None }
    }

    pub(super) fn stored(mut self) {
        self.turned.clear();
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        for (host, before) in std::mem::take(&mut self.turned) {
            self.hosts.with(&host, |health| health.told = before);
        }
    }
}

/// The run that speaks.
#[derive(Clone, Copy)]
pub(super) struct Speaker<'a> {
    pub(super) store: &'a Store,
    pub(super) roster: &'a Roster,
    pub(super) watch: &'a Watch,
    pub(super) slot: &'a Slot,
}

impl Hosts {
    pub(super) async fn load(store: &Store) -> Result<Self, sqlx::Error> {
        let hosts = Self {
            health: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            foreign_writes: AtomicU64::new(store.foreign_writes()),
        };
        hosts.read(store).await?;
        Ok(hosts)
    }

    /// Another program, such as `stakeout once`, may have told of a host or taken that back.
    pub(super) async fn keep_up(&self, store: &Store) -> Result<(), sqlx::Error> {
        let writes = store.foreign_writes();
        if self.foreign_writes.swap(writes, Ordering::Relaxed) == writes {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        self.read(store).await
    }

    async fn read(&self, store: &Store) -> Result<(), sqlx::Error> {
        let states = store.signal_states(DAEMON).await?.remove(RUN).unwrap_or_default();
        let told = states.into_iter().filter(|(_, state)| state.firing).filter_map(|(host, state)| {
            let trouble = match state.state.as_str() {
                "down" => Trouble::Down,
                "blocked" => Trouble::Blocked,
                // Not of a host: how a notifier stands.
                _ => return None,
            };
            Some((host, trouble))
        });
        let mut hosts = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.values_mut().for_each(|health| health.told = None);
        for (host, trouble) in told {
            hosts.entry(host).or_default().told = Some(trouble);
        }
        Ok(())
    }

    fn with<T>(&self, host: &str, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut hosts = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(health) = hosts.get_mut(host) {
            return change(health);
        }
        change(hosts.entry(host.to_owned()).or_default())
    }

    /// Notes that a host answered a watch. Says whether what we said of the host is to be taken back.
    pub(super) fn answered(&self, host: &str, watch_id: i64) -> bool {
        self.with(host, |health| {
            let Health { told, walled, silent, left_over, own, answered_at } = health;
            *answered_at = Some(Instant::now());
            walled.remove(&watch_id);
            own.remove(&watch_id);
            left_over.remove(&watch_id);
            silent.remove(&watch_id);
            match told {
                None => {
                    let asked = silent.drain().filter(|(_, silence)| silence.was_asked);
                    own.extend(asked.map(|(watch, _)| watch).filter(|watch| left_over.contains(watch)));
                    false
                }
                Some(Trouble::Down) => true,
                Some(Trouble::Blocked) => walled.is_empty(),
            }
        })
    }

    pub(super) fn is_down(&self, host: &str) -> bool {
        self.with(host, |health| health.told == Some(Trouble::Down))
    }

    /// Whether the silence of a host is its own, and not that of this watch: since it last answered, it
    /// left this one without so often, and another nearly so.
    fn is_silent_for_several(&self, host: &str, watch_id: i64, runs: u32) -> bool {
        let nearly = runs.saturating_sub(1).max(1);
        self.with(host, |health| {
            !health.own.contains(&watch_id)
                && health.runs_without(watch_id) >= runs
                && health.silent.iter().any(|(other, silence)| *other != watch_id && silence.runs >= nearly)
        })
    }

    /// Whether a silence that lasts so many runs began before our start, so that nothing is known of how
    /// other watches fare.
    fn is_silent_since_before(&self, host: &str, watch_id: i64, runs: u32) -> bool {
        self.with(host, |health| health.answered_at.is_none() && health.runs_without(watch_id) < runs)
    }

    /// Whether a watch without an answer is given time, though it has been without for so many runs: the host
    /// has answered others since, and was not asked for this one, or not often since then.
    fn is_given_time(&self, host: &str, watch_id: i64, runs: u32, was_asked: bool) -> bool {
        self.with(host, |health| {
            // Others that were without an answer together with it may be heard a little later.
            let patience = if health.left_over.contains(&watch_id) { runs.saturating_add(1) } else { runs };
            !health.own.contains(&watch_id)
                && health.runs_without(watch_id) < patience
                && (!was_asked || patience > runs)
        })
    }

    /// Forgets watches that are no longer there.
    pub(super) fn keep_only(&self, watches: &HashSet<i64>) {
        let mut hosts = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        for health in hosts.values_mut() {
            health.walled.retain(|watch| watches.contains(watch));
            health.own.retain(|watch| watches.contains(watch));
            health.left_over.retain(|watch| watches.contains(watch));
            health.silent.retain(|watch, _| watches.contains(watch));
        }
    }

    /// The hosts of which something is told that no watch asks any more. It is forgotten.
    pub(super) fn abandoned(&self, roster: &Roster, now: Timestamp) -> Vec<String> {
        let told: Vec<String> = {
            let hosts = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.iter().filter(|(_, health)| health.told.is_some()).map(|(host, _)| host.clone()).collect()
        };
        told.into_iter().filter(|host| roster.watches_asking(host, now).is_empty()).collect()
    }

    pub(super) fn forget(&self, host: &str) {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }

    /// Notes how each host answered, and tells of those that begin or cease to block us, or answer again.
    pub(super) async fn judge(
        &self,
        speaker: Speaker<'_>,
        stances: &BTreeMap<String, Stance>,
        judged: &mut Judged,
    ) -> Result<Turning<'_>, sqlx::Error> {
        let mut turning = Turning::none(self);
        let watch_id = speaker.slot.watch_id;
        for (host, stance) in stances {
            match stance {
                Stance::Down(cause) | Stance::Blocked(cause) if self.is_over(host, cause) => {}
                Stance::Down(cause) => self.with(host, |health| {
                    let silence = health.silent.entry(watch_id).or_default();
                    silence.runs = silence.runs.saturating_add(1);
                    silence.was_asked |= cause.rested_at.is_none();
                }),
                Stance::Open => {
                    if self.answered(host, watch_id) {
                        self.say(&mut turning, speaker, host, None, judged).await?;
                    }
                }
                Stance::Blocked(cause) => {
                    // Only who was refused has to be let in again for that to be over.
                    if cause.rested_at.is_none() {
                        self.with(host, |health| health.walled.insert(watch_id));
                    }
                    let said = Some((Trouble::Blocked, cause));
                    self.say(&mut turning, speaker, host, said, judged).await?;
                }
            }
        }
        Ok(turning)
    }

    /// A watch is about to tell that it fails, because a host does not answer. Says whether that is kept
    /// quiet, because the host's silence is told for all who ask it, or is about to be.
    pub(super) async fn take_over<'h>(
        &'h self,
        turning: &mut Turning<'h>,
        speaker: Speaker<'_>,
        (host, cause): &(String, Cause),
        judged: &mut Judged,
    ) -> Result<bool, sqlx::Error> {
        let (watch_id, runs) = (speaker.slot.watch_id, speaker.watch.failing.after);
        if self.is_silent_for_several(host, watch_id, runs) {
            self.say(turning, speaker, host, Some((Trouble::Down, cause)), judged).await?;
            return Ok(true);
        }
        if self.is_given_time(host, watch_id, runs, cause.rested_at.is_none()) {
            return Ok(true);
        }
        // Others that ask it will be heard before the next run.
        Ok(self.is_silent_since_before(host, watch_id, runs)
            && speaker.roster.watches_asking(host, speaker.slot.now).len() > 1)
    }

    async fn say<'h>(
        &'h self,
        turning: &mut Turning<'h>,
        speaker: Speaker<'_>,
        host: &str,
        news: Option<(Trouble, &Cause)>,
        judged: &mut Judged,
    ) -> Result<(), sqlx::Error> {
        let Speaker { store, roster, watch, slot } = speaker;
        let trouble = news.map(|(trouble, _)| trouble);
        if self.with(host, |health| health.told) == trouble {
            return Ok(());
        }
        if trouble.is_some() && judged.is_muted(&about(watch, RUN, host)) {
            // It is told when the silence ends, if it is still so.
            return Ok(());
        }
        if turning.changing.is_none() {
            turning.changing = Some(self.changing.lock().await);
        }
        let Some(before) = self.turn(host, trouble) else { return Ok(()) };
        turning.turned.push((host.to_owned(), before));
        let known = store.signal_state(DAEMON, RUN, host).await?;
        let state = match trouble {
            Some(Trouble::Blocked) => "blocked",
            Some(Trouble::Down) => "down",
            None => "open",
        };
        let why = news.map(|(_, cause)| cause.why.clone()).unwrap_or_default();
        let signal = Signal::level(host, state, trouble.is_some()).severity(Severity::Warning).summary(why);
        let asking = roster.watches_asking(host, slot.now);
        let post = self.post(speaker, host, trouble.is_none(), &asking).await?;
        let decision = decide(known.as_ref(), &signal, &Policy::default(), post.circumstances(), slot.now);
        judged.settle(DAEMON, RUN, host, decision.next);
        let Some(reason) = decision.verdict.news() else { return Ok(()) };
        let lasted = lasted(decision.since, slot.now);
        let title = match (trouble, before) {
            (Some(Trouble::Blocked), _) => format!("{host} blocks us"),
            (Some(Trouble::Down), _) => format!("{host} does not answer"),
            (None, Some(Trouble::Down)) => format!("{host} answers again after {lasted}"),
            (None, _) => format!("{host} lets us in again after {lasted}"),
        };
        let body = news.map(|(_, cause)| told(cause, &asking, watch)).unwrap_or_default();
        let words = Words { title, body, url: None };
        let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
        judged.tell(watch, &post, words, vec![alert]);
        Ok(())
    }

    /// Whom it concerns: the notifiers of all the watches that ask it; an end goes to who heard of the
    /// beginning.
    async fn post(
        &self,
        speaker: Speaker<'_>,
        host: &str,
        is_end: bool,
        asking: &[&Arc<Watch>],
    ) -> Result<Post, sqlx::Error> {
        let Speaker { store, roster, watch, slot } = speaker;
        let mut notifiers: Vec<String> = Vec::new();
        if is_end {
            notifiers = store.notifiers_told(RUN, host).await?;
            notifiers.retain(|name| roster.watchlist.notifiers.contains_key(name));
        }
        if notifiers.is_empty() {
            let all: BTreeSet<&String> =
                asking.iter().flat_map(|watch| &watch.notify).chain(&watch.notify).collect();
            notifiers = all.into_iter().cloned().collect();
        }
        let ends: Vec<Option<Timestamp>> = asking.iter().map(|watch| watch.quiet_until(slot.now)).collect();
        Ok(Post {
            topic: format!("host/{host}"),
            notifiers,
            urgent: asking.iter().any(|watch| watch.urgent),
            held_until: if ends.is_empty() || ends.contains(&None) {
                None
            } else {
                ends.into_iter().flatten().min()
            },
        })
    }

    /// Sets what is told of a host. Answers what was told before, unless it is the same.
    fn turn(&self, host: &str, trouble: Option<Trouble>) -> Option<Option<Trouble>> {
        self.with(host, |health| {
            let before = health.told;
            if before == trouble
                || (trouble.is_none() && before == Some(Trouble::Blocked) && !health.walled.is_empty())
            {
                return None;
            }
            if trouble.is_none() && before == Some(Trouble::Down) {
                health.left_over = health.silent.drain().map(|(watch, _)| watch).collect();
            }
            health.told = trouble;
            Some(before)
        })
    }

    /// Whether a run learned that a host is left alone before it answered another: that says nothing now.
    fn is_over(&self, host: &str, cause: &Cause) -> bool {
        let Some(rested_at) = cause.rested_at else { return false };
        self.with(host, |health| health.answered_at.is_some_and(|answered_at| rested_at <= answered_at))
    }
}

impl Health {
    fn runs_without(&self, watch_id: i64) -> u32 {
        self.silent.get(&watch_id).map_or(0, |silence| silence.runs)
    }
}

/// What a host did, whom it concerns, and when it is asked again.
fn told(cause: &Cause, asking: &[&Arc<Watch>], watch: &Watch) -> String {
    let mut names: Vec<&str> = asking.iter().map(|watch| watch.name.as_str()).collect();
    names.sort_unstable();
    let who = match names.as_slice() {
        [] => watch.name.clone(),
        [name] => (*name).to_owned(),
        [names @ .., last] if names.len() < MOST_NAMES => format!("{} and {last}", names.join(", ")),
        [first, second, ..] => format!("{} watches, {first} and {second} among them", names.len()),
    };
    let asks = if names.len() < 2 { "asks" } else { "ask" };
    let next = cause.until.map_or_else(
        || if names.len() < 2 { "; it goes on trying".into() } else { "; they go on trying".into() },
        |until| {
            let until = until.to_zoned(watch.zone.clone());
            format!("; the next try is at {}", until.strftime("%Y-%m-%d %H:%M:%S %Z"))
        },
    );
    format!("{}\n{who} {asks} it{next}.", cause.why)
}
