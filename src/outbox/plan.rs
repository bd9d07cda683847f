//! What a notifier is sent next. One pure function, [`choose`], knows all the rules:
//!
//! * No message overtakes an older one of the same topic that is not delivered yet.
//! * What is urgent waits for nothing else; older ones of its topic go first, and do not wait either, nor does
//!   a message that tells one of them.
//! * What was held over quiet hours is gathered into a brief when its time has come.
//! * With a bundle, what comes within that time of the first is one message.
//! * With a budget, no more messages than that in any such stretch of time, whatever is not urgent. A quarter
//!   of it is kept for digests, which gather what is beyond the rest.
//! * Otherwise what has been due for longest goes first, so nothing starves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Budget;
use crate::store::{Choice, DeliveryKind, Queue, Waiting};

/// A message that gathers others tells at most so many alerts: each of them is to be named.
const MOST_ALERTS: usize = 300;

/// What a notifier's configuration says of when it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) bundle: Duration,
    pub(super) budget: Option<Budget>,
}

/// What is to be done now.
pub(super) fn choose(queue: &Queue, terms: Terms, now: Timestamp) -> Choice {
    let (ready, mut wait) = ready(queue, now);
    let heads = || ready.iter().filter(|one| one.head);
    if let Some(urgent) = heads().filter(|one| one.urgent).min_by_key(|one| one.turn()) {
        return Choice::Send(urgent.row.seq);
    }
    let room = terms.budget.map_or(Room::endless(now), |budget| Room::of(queue, budget, now));
    if room.for_any.is_none_or(|at| at > now) {
        wait = if ready.is_empty() { wait } else { earliest(wait, room.for_any) };
        return Choice::Wait(wait);
    }
    let has_room = room.for_one.is_some_and(|at| at <= now);
    let begun = heads().filter(|one| if has_room { !one.is_fresh() } else { one.must_go_alone() });
    let begun = begun.min_by_key(|one| one.turn());
    if !has_room {
        let beyond = gather(&ready, |one, _| !one.must_go_alone());
        let first = heads().filter(|one| !one.must_go_alone()).map(Ready::turn).min();
        let digest = first.filter(|_| room.for_digest <= now);
        return match (begun, digest) {
            (Some(begun), digest) if digest.is_none_or(|first| begun.turn() < first) => {
                Choice::Send(begun.row.seq)
            }
            (_, Some(_)) => Choice::Gather(DeliveryKind::Digest, beyond),
            _ if beyond.is_empty() => Choice::Wait(wait),
            _ => Choice::Wait(earliest(earliest(wait, Some(room.for_digest)), room.for_one)),
        };
    }
    let mut options: Vec<((Timestamp, i64), Choice)> =
        begun.map(|one| (one.turn(), Choice::Send(one.row.seq))).into_iter().collect();
    if let Some(held) = heads().filter(|one| one.is_fresh() && one.row.held).min_by_key(|one| one.turn()) {
        let brief = gather(&ready, |one, topics| {
            one.is_fresh() && (one.row.held || topics.contains(one.row.topic.as_str()))
        });
        options.push((held.turn(), one_or_all(DeliveryKind::Brief, brief)));
    }
    let fresh = || heads().filter(|one| one.is_fresh() && !one.row.held);
    if let Some(first) = fresh().min_by_key(|one| one.turn()) {
        let opened_at = fresh().map(|one| one.row.created_at).min().unwrap_or(now);
        // A clock that was set back must not hold anything up.
        let due = if opened_at > now { Ok(now) } else { opened_at.checked_add(terms.bundle) };
        match due {
            _ if terms.bundle.is_zero() => options.push((first.turn(), Choice::Send(first.row.seq))),
            Ok(due) if due > now => wait = earliest(wait, Some(due)),
            _ => {
                let bundle = gather(&ready, |one, _| one.is_fresh() && !one.row.held);
                options.push((first.turn(), one_or_all(DeliveryKind::Bundle, bundle)));
            }
        }
    }
    let next = options.into_iter().min_by_key(|(turn, _)| *turn);
    next.map_or(Choice::Wait(wait), |(_, choice)| choice)
}

/// Until when a notifier's terms keep its messages, as things stand; what is urgent does not wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldUp {
    /// Its budget is used up.
    pub budget: Option<Timestamp>,
    /// Its bundle is not closed.
    pub bundle: Option<Timestamp>,
}

pub(super) fn held_up(queue: &Queue, terms: Terms, now: Timestamp) -> HeldUp {
    let room = terms.budget.map(|budget| Room::of(queue, budget, now));
    let budget = room.and_then(|room| earliest(room.for_one, Some(room.for_digest)));
    let (ready, _) = ready(queue, now);
    let fresh = ready.iter().filter(|one| one.head && one.is_fresh() && !one.row.held && !one.urgent);
    let opened_at = fresh.map(|one| one.row.created_at).min().filter(|at| *at <= now);
    let bundle = opened_at.and_then(|at| at.checked_add(terms.bundle).ok());
    HeldUp { budget: budget.filter(|at| *at > now), bundle: bundle.filter(|at| *at > now) }
}

/// A delivery that may go out now, as far as its own time and its topic are concerned.
struct Ready<'q> {
    row: &'q Waiting,
    /// Whether no older one of its topic is ready too.
    head: bool,
    /// It is, or one behind it is.
    urgent: bool,
    /// Since when it has been due.
    due_at: Timestamp,
}

impl Ready<'_> {
    /// Whoever has been due for longest goes first.
    fn turn(&self) -> (Timestamp, i64) {
        (self.due_at, self.row.seq)
    }

    /// What was tried may have arrived: it goes on as it is.
    const fn is_fresh(&self) -> bool {
        self.row.attempts == 0 && !self.row.kind.is_carrier()
    }

    /// What gathers others, or may have been taken, can be no part of another message: it would be told twice.
    const fn must_go_alone(&self) -> bool {
        self.row.kind.is_carrier() || self.row.parts_done > 0 || self.row.doubts > 0
    }
}

/// What may go out now, and when there may be more.
fn ready(queue: &Queue, now: Timestamp) -> (Vec<Ready<'_>>, Option<Timestamp>) {
    let mut last_urgent: HashMap<&str, i64> = HashMap::new();
    for row in queue.waiting.iter().filter(|row| row.urgent && !row.topic.is_empty()) {
        last_urgent.insert(&row.topic, row.seq);
    }
    // The oldest of each topic that is not delivered and cannot go out now.
    let mut closed: HashMap<&str, i64> = HashMap::new();
    for (topic, seq) in queue.ahead.iter().filter(|(topic, _)| !topic.is_empty()) {
        closed.insert(topic, *seq);
    }
    let mut open: HashSet<&str> = HashSet::new();
    let mut ready = Vec::new();
    let mut wait = queue.next_at;
    // What was written later is never due earlier, also when the clock was set back between.
    let mut written_at = Timestamp::MIN;
    for row in &queue.waiting {
        written_at = written_at.max(row.created_at);
        let topic = row.topic.as_str();
        if closed.get(topic).is_some_and(|first| *first < row.seq) {
            continue;
        }
        let urgent =
            row.urgent || row.keeps_urgent || last_urgent.get(topic).is_some_and(|last| row.seq < *last);
        let is_held = row.held && row.attempts == 0 && !row.sending;
        if row.next_at > now && !(urgent && is_held) {
            wait = earliest(wait, Some(row.next_at));
            if !topic.is_empty() {
                closed.insert(topic, row.seq);
            }
            continue;
        }
        let head = topic.is_empty() || open.insert(topic);
        ready.push(Ready { row, head, urgent, due_at: row.next_at.max(written_at) });
    }
    (ready, wait)
}

/// The oldest of those that `may` be gathered, without any that would overtake one of its topic; `may` is
/// told the topics of those before.
fn gather<'q>(ready: &[Ready<'q>], may: impl Fn(&Ready<'q>, &HashSet<&'q str>) -> bool) -> Vec<i64> {
    let (mut gathered, mut topics, mut left) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut alerts = 0_usize;
    for one in ready {
        let topic = one.row.topic.as_str();
        if left.contains(topic) || !may(one, &topics) {
            if !topic.is_empty() {
                left.insert(topic);
            }
            continue;
        }
        alerts = alerts.saturating_add(one.row.alerts.max(1));
        if alerts > MOST_ALERTS && !gathered.is_empty() {
            break;
        }
        gathered.push(one.row.seq);
        if !topic.is_empty() {
            topics.insert(topic);
        }
    }
    gathered
}

/// One alone goes as itself.
fn one_or_all(kind: DeliveryKind, seqs: Vec<i64>) -> Choice {
    match *seqs {
        [one] => Choice::Send(one),
        _ => Choice::Gather(kind, seqs),
    }
}

/// When a budget lets the next message through.
struct Room {
    /// Any at all.
    for_any: Option<Timestamp>,
    /// One that is told by itself.
    for_one: Option<Timestamp>,
    /// A digest.
    for_digest: Timestamp,
}

impl Room {
    const fn endless(now: Timestamp) -> Self {
        Self { for_any: Some(now), for_one: Some(now), for_digest: now }
    }

    fn of(queue: &Queue, budget: Budget, now: Timestamp) -> Self {
        let digests = digests(budget);
        let under_way = queue.waiting.iter().filter(|row| row.sending && row.next_at > now);
        let sent = queue
            .sent
            .iter()
            .copied()
            .filter(|(at, _)| *at <= now)
            .chain(under_way.map(|row| (now, row.kind)));
        let (gathered, alone): (Vec<_>, Vec<_>) =
            sent.partition(|(_, kind)| matches!(kind, DeliveryKind::Digest));
        let times = |sent: &[(Timestamp, DeliveryKind)]| sent.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        let all = [times(&gathered), times(&alone)].concat();
        let for_any = free_at(all, budget.messages, budget.window, now);
        let for_one = free_at(times(&alone), budget.messages.saturating_sub(digests), budget.window, now);
        let pause = pause_between_digests(budget);
        let last = gathered.iter().map(|(at, _)| *at).max();
        let after_last = last.and_then(|last| last.checked_add(pause).ok()).unwrap_or(now);
        Self {
            for_any,
            for_one: for_one.zip(for_any).map(|(one, any)| one.max(any)),
            for_digest: for_any.map_or(after_last, |any| any.max(after_last)),
        }
    }
}

/// How many messages of a budget are kept for digests.
fn digests(budget: Budget) -> usize {
    (budget.messages / 4).max(1)
}

/// A digest comes at most so often.
pub(super) fn pause_between_digests(budget: Budget) -> Duration {
    budget.window.checked_div(u32::try_from(digests(budget)).unwrap_or(u32::MAX)).unwrap_or_default()
}

/// When fewer than `most` of these times lie within `window` of it; never, when nothing is allowed.
fn free_at(mut times: Vec<Timestamp>, most: usize, window: Duration, now: Timestamp) -> Option<Timestamp> {
    times.retain(|at| at.checked_add(window).is_ok_and(|end| end >= now));
    times.sort_unstable();
    let Some(over) = times.len().checked_sub(most) else { return Some(now) };
    // Times are kept in milliseconds, so one more is to be on the safe side.
    times.get(over)?.checked_add(window).ok()?.checked_add(Duration::from_millis(1)).ok()
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
