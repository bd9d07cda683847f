//! Takes due deliveries, sends them, and marks each delivered, to be tried again, or dead. Every notifier
//! has a lane of its own, so one that fails delays no other.

mod picture;
mod plan;
mod standing;
mod trial;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Retry;
use crate::plugin::{Message, NotifyError, Receipt};
use crate::pulse::{Beat, Pulse, Remedy};
use crate::store::{Carried, Claim, Claimed, DeliveryKind, Settlement, Store, WriteError};
use crate::watchlist::{Roster, Told};

pub use plan::HeldUp;
pub use trial::send_test;

use plan::Terms;
use standing::{Came, Who};
use words::Clock;

/// How long a delivery is ours: longer than the slowest service takes for a message of many parts. After
/// a crash the next start gives everything back at once.
const LEASE: Duration = Duration::from_secs(15 * 60);

/// A delivery is not given up before so many attempts, however old it is.
const FEWEST_ATTEMPTS: u32 = 5;

/// How long a message that is being sent gets to be finished, when there is no more time for others.
const LONGEST_SENDING: Duration = Duration::from_secs(120);

/// When the database refuses, a lane tries again after so long.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// A lane looks at least this often, whatever it was told: another program may have written to the database.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// How often it is looked for messages that no lane will ever send, and how old they are at least.
const BURY_EVERY: Duration = Duration::from_secs(60);

/// A lane that naps comes by at least so often, also when the database is slow.
const PULSE: Duration = Duration::from_secs(120);

/// Rung when a run has written deliveries.
#[derive(Clone, Debug)]
pub struct Bell(watch::Sender<()>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Bell {
    /// Wakes every lane.
    pub fn ring(&self) {
        self.0.send_replace(());
    }
}

/// Sends until it is stopped; then what is being sent is finished first.
pub async fn serve(
    store: Store,
    mut roster: watch::Receiver<Arc<Roster>>,
    bell: Bell,
    pulse: Pulse,
    stop: CancellationToken,
) {
    let mut lanes: HashMap<String, CancellationToken> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let names: Vec<String> = roster.borrow_and_update().watchlist.notifiers.keys().cloned().collect();
        for (_, lane) in lanes.extract_if(|name, _| !names.contains(name)) {
            lane.cancel();
        }
        for name in names {
            if !lanes.contains_key(&name) {
                let lane = stop.child_token();
                lanes.insert(name.clone(), lane.clone());
                let beat = pulse.part(&format!("the lane of notifier `{name}`"), Remedy::Restart, PULSE);
                let (store, roster, bell) = (store.clone(), roster.clone(), bell.clone());
                tasks.spawn(async move {
                    lane_of(name, store, roster, bell, &beat, lane).await;
                    beat.end();
                });
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = roster.changed() => if changed.is_err() { break },
            // A run that began before a reload may still tell a notifier that is gone since.
            () = sleep(BURY_EVERY) => {
                let names = lanes.keys().cloned().collect();
                let made_before = Timestamp::now().checked_sub(BURY_EVERY).unwrap_or(Timestamp::MIN);
                match store.bury_deliveries_without(names, made_before).await {
                    Ok(0) => {}
                    Ok(deliveries) => warn!(
                        deliveries, "Messages for notifiers that are no longer configured will not be sent"
                    ),
                    Err(error) => tracing::debug!(%error, "The outbox cannot use the database"),
                }
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn lane_of(
    name: String,
    store: Store,
    mut roster: watch::Receiver<Arc<Roster>>,
    bell: Bell,
    beat: &Beat,
    stop: CancellationToken,
) {
    let mut rings = bell.0.subscribe();
    let mut last: Option<Arc<Told>> = None;
    while !stop.is_cancelled() {
        // A message of many parts may take its time; a lease bounds it.
        beat.again_within(LEASE.saturating_add(PULSE));
        rings.mark_unchanged();
        let list = Arc::clone(&roster.borrow_and_update());
        let Some(told) = list.watchlist.notifiers.get(&name) else {
            // Whoever began the lane ends it; the notifier may be back before that.
            tokio::select! {
                () = stop.cancelled() => return,
                changed = roster.changed() => if changed.is_err() { return },
            }
            continue;
        };
        if last.as_ref().is_some_and(|last| last.table_hash != told.table_hash)
            && let Err(error) = store.hurry_deliveries(&name).await
        {
            tracing::debug!(notifier = %name, %error, "The outbox cannot use the database");
            beat.again_within(PULSE);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(REFUSED_WAIT) => continue,
            }
        }
        last = Some(Arc::clone(told));
        let terms = Terms { bundle: told.bundle.0, budget: told.budget };
        let nap =
            match send_next(&store, &list, told, terms, Timestamp::now, || beat.again_within(PULSE)).await {
                Ok(Next::Sent { pause, notes }) => {
                    if notes > 0 {
                        bell.ring();
                    }
                    if pause.is_zero() {
                        continue;
                    }
                    beat.again_within(pause.saturating_add(PULSE));
                    // News does not end what the service asked for; another configuration may.
                    let over = sleep(pause);
                    tokio::pin!(over);
                    loop {
                        tokio::select! {
                            () = stop.cancelled() => return,
                            changed = roster.changed() => if changed.is_err() { return },
                            () = &mut over => break,
                        }
                        let now = roster.borrow_and_update().watchlist.notifiers.get(&name).map(Arc::clone);
                        if now.is_none_or(|now| now.table_hash != told.table_hash) {
                            break;
                        }
                    }
                    continue;
                }
                Ok(Next::NotBefore(next)) => {
                    next.map_or(LONGEST_NAP, until).clamp(Duration::from_millis(1), LONGEST_NAP)
                }
                Err(error) => {
                    // Said once by those who watch the database.
                    tracing::debug!(notifier = %name, %error, "The outbox cannot use the database");
                    REFUSED_WAIT
                }
            };
        drop(list);
        beat.again_within(nap.saturating_add(PULSE));
        tokio::select! {
            () = stop.cancelled() => return,
            rung = rings.changed() => if rung.is_err() { return },
            changed = roster.changed() => if changed.is_err() { return },
            () = sleep(nap) => {}
        }
    }
}

/// Sends what is due at the moment that `wall` shows, without waiting for more to bundle it with, and answers
/// when there is no more, or when the time is up: what is being sent then is finished first. For a single run
/// without the daemon, and for tests.
pub async fn drain(
    store: &Store,
    roster: &Arc<Roster>,
    patience: Duration,
    wall: impl Fn() -> Timestamp,
) -> anyhow::Result<()> {
    let end = Instant::now().checked_add(patience);
    let left = || end.map_or(patience, |end| end.saturating_duration_since(Instant::now()));
    let all = async {
        for told in roster.watchlist.notifiers.values() {
            let terms = Terms { bundle: Duration::ZERO, budget: told.budget };
            while !left().is_zero()
                && let Next::Sent { pause, .. } = send_next(store, roster, told, terms, &wall, || {}).await?
            {
                sleep(pause.min(left())).await;
            }
        }
        Ok(())
    };
    // One that never ends, as on a full disk, is left to its lease.
    timeout(patience.saturating_add(LONGEST_SENDING), all).await.unwrap_or(Ok(()))
}

/// Until when the terms of a notifier keep what waits for it.
///
/// # Errors
/// Any of SQLite's own.
pub async fn held_up(store: &Store, told: &Told, now: Timestamp) -> anyhow::Result<HeldUp> {
    let terms = Terms { bundle: told.bundle.0, budget: told.budget };
    let queue = store.queue(&told.name, now, terms.budget.map(|budget| budget.window)).await?;
    Ok(plan::held_up(&queue, terms, now))
}

/// What came of looking for something to send.
enum Next {
    /// It was sent, or at least tried.
    Sent {
        /// How long the service wants to be left alone.
        pause: Duration,
        /// How many notes were written to other notifiers.
        notes: usize,
    },
    /// There is nothing to send before this.
    NotBefore(Option<Timestamp>),
}

/// Sends what a notifier is to be sent next. Calls `moves` while it waits for the database.
async fn send_next(
    store: &Store,
    roster: &Arc<Roster>,
    told: &Told,
    terms: Terms,
    wall: impl Fn() -> Timestamp,
    moves: impl Fn(),
) -> anyhow::Result<Next> {
    let now = wall();
    let words_of = {
        let roster = Arc::clone(roster);
        move |kind: DeliveryKind, carried: &[Carried]| {
            words::compose(kind, carried, terms, &clock(&roster_zones(&roster), now))
        }
    };
    let window = terms.budget.map(|budget| budget.window);
    let choose = move |queue: &_| plan::choose(queue, terms, now);
    let mut claimed = match store.claim_delivery(&told.name, now, LEASE, window, choose, words_of).await? {
        Claim::Ours(claimed) => *claimed,
        Claim::Nothing(next) => return Ok(Next::NotBefore(next)),
    };
    if let Some(line) = words::late(&claimed, terms, &clock(&roster_zones(roster), wall())) {
        if !claimed.body.is_empty() {
            claimed.body.push('\n');
        }
        claimed.body.push_str(&line);
    }
    // The parts that are left of a message that was accepted in part have none.
    let picture = match claimed.parts_done {
        0 => picture::picture(store, roster, told, &claimed.alerts).await,
        _ => None,
    };
    let message = Message {
        delivery_id: &claimed.id,
        attempt: claimed.attempt,
        created_at: claimed.created_at,
        parts_done: claimed.parts_done,
        title: &claimed.title,
        body: &claimed.body,
        url: claimed.url.as_deref(),
        alerts: &claimed.alerts,
        picture: picture.as_ref(),
    };
    let result = told.notifier.notify(&roster.http, &message).await;
    let now = wall();
    let (settlement, pause) = settle(&claimed, &result, &roster.watchlist.daemon.retry, now);
    log(told, &claimed, &settlement);
    let outcome = settlement.as_str();
    metrics::counter!("stakeout_deliveries_total", "notifier" => told.kind, "outcome" => outcome)
        .increment(1);
    let others = roster.watchlist.notifiers.keys().filter(|name| **name != told.name);
    let who = Who {
        name: told.name.clone(),
        kind: told.kind,
        others: others.cloned().collect(),
        held_until: roster.watchlist.quiet_until(now),
    };
    let came = match &settlement {
        Settlement::Dead { why } => Came::Dead { title: claimed.title.clone(), why: why.clone() },
        Settlement::Delivered | Settlement::Retry { .. } => Came::Taken,
    };
    let stands = (standing::RUN, who.subject());
    // The service may have it: forgotten, it would be sent again. A full disk is waited for.
    loop {
        let (who, came) = (who.clone(), came.clone());
        let stands = stands.clone();
        let settled = store
            .settle_delivery(&claimed.id, settlement.clone(), now, stands, move |known, heard, died| {
                who.stands(&came, known.as_ref(), &heard, died, now)
            })
            .await;
        match settled {
            Ok(notes) => return Ok(Next::Sent { pause, notes }),
            Err(error @ WriteError::Closed) => return Err(error.into()),
            Err(_) => {
                moves();
                sleep(REFUSED_WAIT).await;
            }
        }
    }
}

/// The zone of each watch; that of the daemon where there is none.
fn roster_zones(roster: &Roster) -> impl Fn(Option<&str>) -> TimeZone {
    |watch| {
        let watch = watch.and_then(|name| roster.watches.get(name));
        let usual = || TimeZone::get(&roster.watchlist.daemon.timezone).unwrap_or(TimeZone::UTC);
        watch.map_or_else(usual, |(_, watch)| watch.zone.clone())
    }
}

fn clock(zone_of: &dyn Fn(Option<&str>) -> TimeZone, now: Timestamp) -> Clock<'_> {
    Clock { now, zone_of }
}

fn settle(
    claimed: &Claimed,
    result: &Result<Receipt, NotifyError>,
    retry: &Retry,
    now: Timestamp,
) -> (Settlement, Duration) {
    match result {
        Ok(receipt) => (Settlement::Delivered, receipt.pause.unwrap_or_default()),
        Err(NotifyError::Refused { why }) => (Settlement::Dead { why: why.clone() }, Duration::ZERO),
        Err(NotifyError::Transient { why, retry_after, parts_done }) => {
            let age = Duration::try_from(now.duration_since(claimed.patient_since)).unwrap_or_default();
            // A message that gets on in parts is not failing.
            let gets_on = *parts_done > claimed.parts_done;
            // One that was written long before its first attempt gets its attempts all the same.
            if !gets_on && age > retry.give_up_after.0 && claimed.attempt >= FEWEST_ATTEMPTS {
                let why = format!("{why} (given up after {} attempts)", claimed.attempt);
                return (Settlement::Dead { why }, Duration::ZERO);
            }
            let failures = if gets_on { 1 } else { claimed.attempt };
            let wait = backoff(failures, retry, fastrand::f64()).max(retry_after.unwrap_or_default());
            let at = now.checked_add(wait).unwrap_or(now);
            let parts_done = (*parts_done).max(claimed.parts_done);
            // The whole service wants to be left alone, not only this message.
            let pause = retry_after.unwrap_or_default();
            // Whoever says when to come again has not taken it; whoever breaks off may have.
            let declined = retry_after.is_some();
            (Settlement::Retry { at, why: why.clone(), parts_done, declined }, pause)
        }
    }
}

/// The wait doubles with each failure up to the longest; `chance` in 0..1 spreads it by a fifth.
fn backoff(failures: u32, retry: &Retry, chance: f64) -> Duration {
    let doubled =
        retry.first.0.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1).min(30)).unwrap_or(1));
    doubled.min(retry.longest.0).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

fn log(told: &Told, claimed: &Claimed, settlement: &Settlement) {
    let (name, id, title) = (&told.name, &claimed.id, &claimed.title);
    match settlement {
        Settlement::Delivered => {
            info!(delivery.id = %id, notifier = %name, "Delivered to `{name}`: {title}");
        }
        Settlement::Retry { at, why, .. } => warn!(
            delivery.id = %id, notifier = %name, attempt = claimed.attempt, error = %why,
            "Notifier `{name}` did not take a message; next attempt at {at:.0}"
        ),
        Settlement::Dead { why } => error!(
            delivery.id = %id, notifier = %name, attempt = claimed.attempt, error = %why,
            "Notifier `{name}` refuses a message; it will not be sent: {title}"
        ),
    }
}

fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Period;
    use crate::testing::at;

    fn claimed(attempt: u32) -> Claimed {
        Claimed {
            id: "d".into(),
            kind: DeliveryKind::News,
            title: "t".into(),
            body: String::new(),
            url: None,
            alerts: Vec::new(),
            states: Vec::new(),
            held: false,
            urgent: false,
            attempt,
            parts_done: 1,
            created_at: at("2026-11-11T10:00:00Z"),
            patient_since: at("2026-11-21T10:00:00Z"),
        }
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest_and_is_spread() {
        let retry = Retry { first: Period::from_secs(2), longest: Period::from_secs(60), ..Retry::default() };
        for (failures, seconds) in [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0), (6, 60.0), (40, 60.0)] {
            assert_eq!(backoff(failures, &retry, 0.5).as_secs_f64(), seconds);
            assert!(backoff(failures, &retry, 0.0) < backoff(failures, &retry, 1.0));
        }
    }

    #[test]
    fn a_message_is_never_tried_before_the_service_wants_it() {
        let now = at("2026-11-21T10:00:01Z");
        let wait = Some(Duration::from_secs(2_285));
        let result = Err(NotifyError::Transient { why: "429".into(), retry_after: wait, parts_done: 3 });
        let (settlement, pause) = settle(&claimed(1), &result, &Retry::default(), now);
        let Settlement::Retry { at, parts_done, .. } = settlement else { panic!("{settlement:?}") };
        assert_eq!((at.duration_since(now).as_secs(), parts_done), (2_285, 3));
        assert_eq!(Some(pause), wait);
    }

    #[test]
    fn refused_is_dead_at_once_and_failing_too_long_is_dead_in_the_end() {
        let refused = Err(NotifyError::refused("Unknown Webhook (10015)"));
        let (settlement, _) = settle(&claimed(1), &refused, &Retry::default(), at("2026-11-21T10:00:01Z"));
        assert_eq!(settlement, Settlement::Dead { why: "Unknown Webhook (10015)".into() });
        let failing = Err(NotifyError::transient("503"));
        let (settlement, _) = settle(&claimed(9), &failing, &Retry::default(), at("2026-11-25T10:00:01Z"));
        assert_eq!(settlement, Settlement::Dead { why: "503 (given up after 9 attempts)".into() });
        let gets_on = Err(NotifyError::Transient { why: "429".into(), retry_after: None, parts_done: 2 });
        let (settlement, _) = settle(&claimed(9), &gets_on, &Retry::default(), at("2026-11-25T10:00:01Z"));
        assert!(matches!(settlement, Settlement::Retry { parts_done: 2, .. }), "{settlement:?}");
    }
}
