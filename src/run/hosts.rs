//! Hosts that block us or do not answer: facts about a host, told once, whichever watches ask it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::judge::Judged;
use super::news::alert;
use super::own::{RUN, lasted};
use super::{Answer, Slot};
use crate::alerting::{Policy, decide};
use crate::model::{Severity, Signal};
use crate::plugin::{FetchError, Words};
use crate::store::{DAEMON, Store};
use crate::watchlist::{Roster, Watch};

/// What is known of the hosts that were asked.
pub(super) struct Hosts(Mutex<HashMap<String, Health>>);

#[derive(Default)]
struct Health {
    /// What we said of it and have not taken back.
    told: Option<Trouble>,
    /// Runs in a row, of any watch, in which it did not answer.
    silent_runs: u32,
    /// The watch of the first of them, and whether there were others.
    silent_for: Option<i64>,
    silent_for_several: bool,
    /// Whether it has answered since the start.
    has_answered: bool,
}

/// What can be told of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refuses programs.
    Blocked,
    /// It does not answer.
    Down,
}

/// How a host answered in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    Open,
    Blocked(String),
    Down(String),
}

/// Hosts of which a run says something new, with what was said before.
pub(super) type Turned = Vec<(String, Option<Trouble>)>;

/// How each host that was asked answered. One good answer is enough to be open; a failure with an answer
/// says nothing.
pub(super) fn stances(answers: &[Answer]) -> BTreeMap<String, Stance> {
    let mut stances: BTreeMap<String, Stance> = BTreeMap::new();
    for answer in answers {
        let stance = match &answer.result {
            Ok(_) => Stance::Open,
            Err(FetchError::Blocked { why, .. }) => Stance::Blocked(why.clone()),
            Err(FetchError::Failed(why)) if answer.unreachable => Stance::Down(why.clone()),
            Err(FetchError::Failed(_)) => continue,
        };
        let weight = |stance: &Stance| match stance {
            Stance::Blocked(_) => 2,
            Stance::Open => 1,
            Stance::Down(_) => 0,
        };
        let known = stances.entry(answer.request.host().to_owned()).or_insert_with(|| stance.clone());
        if weight(&stance) > weight(known) {
            *known = stance;
        }
    }
    stances
}

/// The host whose silence alone made a run fail, and what it was like.
pub(super) fn silent_host(
    answers: &[Answer],
    stances: &BTreeMap<String, Stance>,
) -> Option<(String, String)> {
    let mut silent = None;
    for answer in answers.iter().filter(|answer| answer.result.is_err()) {
        let host = answer.request.host();
        let Some(Stance::Down(why)) = stances.get(host) else { return None };
        silent.get_or_insert_with(|| (host.to_owned(), why.clone()));
    }
    silent
}

impl Hosts {
    pub(super) async fn load(store: &Store) -> Result<Self, sqlx::Error> {
        let states = store.signal_states(DAEMON).await?.remove(RUN).unwrap_or_default();
        let told = states.into_iter().filter(|(_, state)| state.firing).filter_map(|(host, state)| {
            let trouble = match state.state.as_str() {
                "down" => Trouble::Down,
                "blocked" => Trouble::Blocked,
                // Not of a host: how a notifier stands.
                _ => return None,
            };
            Some((host, Health { told: Some(trouble), ..Health::default() }))
        });
        Ok(Self(Mutex::new(told.collect())))
    }

    fn with<T>(&self, host: &str, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.get_mut(host) {
            Some(health) => change(health),
            None => change(hosts.entry(host.to_owned()).or_default()),
        }
    }

    /// Notes that a host answered. Answers whether nothing is to be taken back of what we said of it.
    pub(super) fn is_well(&self, host: &str) -> bool {
        self.with(host, |health| {
            health.silent_runs = 0;
            health.silent_for = None;
            health.silent_for_several = false;
            health.has_answered = true;
            health.told.is_none()
        })
    }

    pub(super) fn is_down(&self, host: &str) -> bool {
        self.with(host, |health| health.told == Some(Trouble::Down))
    }

    /// Whether the silence of a host is its own: since it last answered, several watches went without.
    pub(super) fn is_silent_for_several(&self, host: &str) -> bool {
        self.with(host, |health| health.silent_for_several)
    }

    /// Whether a silence that lasts so many runs began before our start, so that nothing is known of how
    /// other watches fare.
    pub(super) fn is_silent_since_before(&self, host: &str, runs: u32) -> bool {
        self.with(host, |health| !health.has_answered && health.silent_runs < runs)
    }

    /// Whether this is the first to hear of it, and what was so before.
    fn turn(&self, host: &str, trouble: Option<Trouble>) -> Option<Option<Trouble>> {
        self.with(host, |health| {
            let before = health.told;
            health.told = trouble;
            (before != trouble).then_some(before)
        })
    }

    /// Takes back what a run that could not be stored has claimed to tell.
    pub(super) fn take_back(&self, turned: &Turned) {
        for (host, before) in turned {
            self.turn(host, *before);
        }
    }

    /// Notes how each host answered, and tells of those that begin or cease to block us, or answer again.
    pub(super) async fn judge(
        &self,
        store: &Store,
        watch: &Watch,
        slot: &Slot,
        stances: &BTreeMap<String, Stance>,
        judged: &mut Judged,
    ) -> Result<Turned, sqlx::Error> {
        let mut turned = Turned::new();
        for (host, stance) in stances {
            match stance {
                Stance::Down(_) => {
                    self.with(host, |health| {
                        health.silent_runs = health.silent_runs.saturating_add(1);
                        health.silent_for_several |=
                            *health.silent_for.get_or_insert(slot.watch_id) != slot.watch_id;
                    });
                }
                Stance::Open => {
                    if !self.is_well(host) {
                        turned.extend(self.say(store, watch, slot, host, None, "", judged).await?);
                    }
                }
                Stance::Blocked(why) => {
                    let said = Some(Trouble::Blocked);
                    turned.extend(self.say(store, watch, slot, host, said, why, judged).await?);
                }
            }
        }
        Ok(turned)
    }

    /// Tells that a host is down, for all the watches that ask it.
    pub(super) async fn tell_down(
        &self,
        store: &Store,
        roster: &Roster,
        watch: &Watch,
        slot: &Slot,
        (host, why): &(String, String),
        judged: &mut Judged,
    ) -> Result<Turned, sqlx::Error> {
        let watches = roster.watches_asking(host, slot.now);
        let why = format!("{why}\n{watches} watches ask it; they go on trying.");
        let turned = self.say(store, watch, slot, host, Some(Trouble::Down), &why, judged).await?;
        Ok(turned.into_iter().collect())
    }

    #[expect(clippy::too_many_arguments, reason = "a sentence has many parts")]
    async fn say(
        &self,
        store: &Store,
        watch: &Watch,
        slot: &Slot,
        host: &str,
        trouble: Option<Trouble>,
        why: &str,
        judged: &mut Judged,
    ) -> Result<Option<(String, Option<Trouble>)>, sqlx::Error> {
        let Some(before) = self.turn(host, trouble) else { return Ok(None) };
        let turned = Some((host.to_owned(), before));
        let known = store.signal_state(DAEMON, RUN, host).await?;
        let state = match trouble {
            Some(Trouble::Blocked) => "blocked",
            Some(Trouble::Down) => "down",
            None => "open",
        };
        let signal = Signal::level(host, state, trouble.is_some()).severity(Severity::Warning).summary(why);
        let decision = decide(known.as_ref(), &signal, &Policy::default(), judged.held(), slot.now);
        judged.settle(DAEMON, RUN, host, decision.next);
        let Some(reason) = decision.verdict.news() else { return Ok(turned) };
        let lasted = lasted(decision.since, slot.now);
        let title = match (trouble, before) {
            (Some(Trouble::Blocked), _) => format!("{host} blocks us"),
            (Some(Trouble::Down), _) => format!("{host} does not answer"),
            (None, Some(Trouble::Down)) => format!("{host} answers again after {lasted}"),
            (None, _) => format!("{host} lets us in again after {lasted}"),
        };
        let words = Words { title, body: why.to_owned(), url: None };
        let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
        let told = if trouble.is_some() { Vec::new() } else { store.notifiers_told(RUN, host).await? };
        let notifiers = if told.is_empty() { &watch.notify } else { &told };
        judged.tell(watch, &format!("host/{host}"), notifiers, words, vec![alert]);
        Ok(turned)
    }
}
