//! Notices that the database takes no writes (a full disk, a lock, a file that is read-only), says so to
//! every notifier directly, since no delivery can be written then, and says when it is over.

use std::collections::BTreeSet;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::model::Period;
use crate::plugin::{Message, NotifyError};
use crate::pulse::{Pulse, Remedy};
use crate::store::{Note, Store};
use crate::watchlist::Roster;

/// How closely the database is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Between two tiny writes while all is well.
    pub every: Duration,
    /// Between two of them while the database refuses.
    pub in_trouble: Duration,
    /// One that takes longer counts as refused.
    pub patience: Duration,
    /// Refusals go on for so long before they are told; a lock of a moment is not news.
    pub tell_after: Duration,
    /// Without a refusal for so long, what was refused is tried again.
    pub release_after: Duration,
    /// Without a refusal for so long, it is over.
    pub over_after: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(15),
            in_trouble: Duration::from_secs(2),
            patience: Duration::from_secs(15),
            tell_after: Duration::from_secs(20),
            release_after: Duration::from_secs(3),
            over_after: Duration::from_secs(10),
        }
    }
}

/// A message that cannot wait is tried again at most so far apart.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One attempt takes at most so long.
const ATTEMPT: Duration = Duration::from_secs(120);

/// At the end, an attempt under way gets so long to be answered.
const GRACE: Duration = Duration::from_secs(3);

/// Where each release is followed by another refusal, the next one waits twice as long, so often at most.
const MOST_DOUBLINGS: u32 = 7;

/// Watches the database until it is stopped. `told` is called when a delivery was written.
pub async fn serve(
    store: Store,
    roster: watch::Receiver<Arc<Roster>>,
    pulse: Pulse,
    timings: Timings,
    told: impl Fn() + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let turn = timings.every.saturating_add(timings.patience);
    let answers = pulse.part("the database's writer", Remedy::Restart, turn.saturating_mul(8));
    let writes = pulse.part("writing the database", Remedy::Person, turn);
    let mut trouble = store.trouble();
    let mut fever = Fever::default();
    let mut telling = Telling::default();
    // An end that the database has not taken yet.
    let mut owed: Option<(Note, Vec<String>)> = None;
    loop {
        let began = Instant::now();
        let room = fever.is_on() || trouble.borrow().is_some();
        let answer = timeout(timings.patience, store.check_writing(room, Timestamp::now())).await;
        let refused_anything = trouble.has_changed().unwrap_or(false);
        let why = trouble.borrow_and_update().clone();
        if answer.is_ok() {
            answers.again_within(turn.saturating_mul(8));
        }
        let refused = match answer {
            Err(_) => Some("it does not answer".to_owned()),
            Ok(Err(error)) => Some(why.unwrap_or_else(|| error.to_string())),
            Ok(Ok(())) => {
                writes.again_within(turn);
                why.filter(|_| refused_anything)
            }
        };
        if let Some(why) = refused.as_ref().filter(|_| !fever.is_on()) {
            warn!("The database refuses to be written: {why}. The watches go on being tried");
        }
        match fever.feel(refused, began, Instant::now(), &timings) {
            Change::None => {}
            Change::Tell(why) => {
                error!("The database still refuses to be written: {why}. Every notifier is told");
                telling.begin(&why, &roster);
            }
            Change::Release => store.trouble_is_over(),
            Change::Over { lasted, told } => {
                store.trouble_is_over();
                let heard = telling.end().await;
                info!("The database takes writes again after {lasted}");
                if told {
                    owed = Some((over(lasted), heard));
                }
            }
        }
        if !fever.is_on()
            && let Some(end) = owed.take()
        {
            match store.remember_and_tell(None, Some(end.clone()), Timestamp::now()).await {
                Ok(()) => told(),
                Err(_) => owed = Some(end),
            }
        }
        let nap = if fever.is_on() { timings.in_trouble } else { timings.every };
        tokio::select! {
            () = stop.cancelled() => break,
            // A commit was refused: sooner than usual.
            Ok(()) = trouble.changed(), if !fever.is_on() => {}
            () = sleep(nap) => {}
        }
    }
    // What we said began, we say ended, if it can be written now; it is sent after the next start.
    if let Some(lasted) = fever.told_since(Instant::now()) {
        owed = Some((over(lasted), telling.end().await));
    }
    if owed.is_some()
        && timeout(timings.patience, store.remember_and_tell(None, owed, Timestamp::now())).await.is_err()
    {
        warn!("The database still does not answer");
    }
}

fn over(lasted: Period) -> Note {
    Note {
        title: format!("Stakeout writes its database again after {lasted}"),
        body: "What the watches see now is told as usual.".into(),
        urgent: true,
        held_until: None,
    }
}

/// Since when the database refuses, and what follows from it.
#[derive(Debug, Default)]
struct Fever(Option<Refusals>);

#[derive(Debug)]
struct Refusals {
    since: Instant,
    last: Instant,
    told: bool,
    released: bool,
    /// How often something was refused again after a release: a little still fits, what waits does not.
    relapses: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    None,
    /// It has gone on for long enough to be told.
    Tell(String),
    /// It seems to be over: what waits may be tried.
    Release,
    /// It is over.
    Over {
        lasted: Period,
        told: bool,
    },
}

impl Fever {
    const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// How long it has gone on, where it was told.
    fn told_since(&self, now: Instant) -> Option<Period> {
        let refusals = self.0.as_ref().filter(|refusals| refusals.told)?;
        Some(Period::from_secs(now.saturating_duration_since(refusals.since).as_secs().max(1)))
    }

    /// What follows from the last look, which began at `began`: why something was refused since the one
    /// before, or that nothing was.
    fn feel(&mut self, refused: Option<String>, began: Instant, now: Instant, timings: &Timings) -> Change {
        if let Some(why) = refused {
            let fresh = Refusals { since: began, last: now, told: false, released: false, relapses: 0 };
            let refusals = self.0.get_or_insert(fresh);
            refusals.last = now;
            if mem::take(&mut refusals.released) {
                refusals.relapses = refusals.relapses.saturating_add(1).min(MOST_DOUBLINGS);
            }
            if !refusals.told && now.saturating_duration_since(refusals.since) >= timings.tell_after {
                refusals.told = true;
                return Change::Tell(why);
            }
            return Change::None;
        }
        let Some(refusals) = &mut self.0 else { return Change::None };
        let calm = now.saturating_duration_since(refusals.last);
        // Each release makes every watch ask its site again.
        let longer = |time: Duration| time.saturating_mul(1 << refusals.relapses);
        if calm >= longer(timings.over_after) {
            let lasted = refusals.last.saturating_duration_since(refusals.since);
            let lasted = Period::from_secs(lasted.as_secs().max(1));
            let told = refusals.told;
            self.0 = None;
            return Change::Over { lasted, told };
        }
        if calm >= longer(timings.release_after) && !refusals.released {
            refusals.released = true;
            return Change::Release;
        }
        Change::None
    }
}

/// A message on its way to every notifier, without the outbox.
#[derive(Default)]
struct Telling {
    /// Each ends with who has heard of it.
    tasks: JoinSet<(String, bool)>,
    names: BTreeSet<String>,
    over: CancellationToken,
}

impl Telling {
    fn begin(&mut self, why: &str, roster: &watch::Receiver<Arc<Roster>>) {
        let title = format!("Stakeout cannot write its database: {why}");
        self.names = roster.borrow().watchlist.notifiers.keys().cloned().collect();
        let path = Store::path_in(&roster.borrow().watchlist.daemon.data_dir);
        for name in self.names.clone() {
            let (title, body, roster, over) = (title.clone(), body(&path), roster.clone(), self.over.clone());
            self.tasks.spawn(async move {
                let heard = tell(&name, &title, &body, roster, over).await;
                (name, heard)
            });
        }
    }

    /// Tries no more. Answers who has heard of it, or may have: an end without a beginning harms less than a
    /// beginning without an end.
    async fn end(&mut self) -> Vec<String> {
        let Self { mut tasks, names: mut heard, over } = mem::take(self);
        over.cancel();
        let all = async {
            while let Some(done) = tasks.join_next().await {
                if let Ok((name, false)) = done {
                    heard.remove(&name);
                }
            }
        };
        let _ = timeout(GRACE, all).await;
        tasks.shutdown().await;
        heard.into_iter().collect()
    }
}

fn body(path: &Path) -> String {
    format!(
        "The watches go on being tried. What they see is told when {} can be written again.",
        path.display()
    )
}

/// Tries until the notifier takes it or it is over. Answers whether it has heard of it, or may have.
async fn tell(
    name: &str,
    title: &str,
    body: &str,
    roster: watch::Receiver<Arc<Roster>>,
    over: CancellationToken,
) -> bool {
    let delivery_id = Uuid::now_v7().to_string();
    let created_at = Timestamp::now();
    let (mut attempt, mut parts_done) = (1_u32, 0);
    let mut heard = false;
    loop {
        let now = Arc::clone(&roster.borrow());
        let Some(told) = now.watchlist.notifiers.get(name) else { return heard };
        let message = Message {
            delivery_id: &delivery_id,
            attempt,
            created_at,
            parts_done,
            title,
            body,
            url: None,
            alerts: &[],
            picture: None,
        };
        let retry = now.watchlist.daemon.retry;
        let doubled = retry.first.0.saturating_mul(1_u32 << attempt.saturating_sub(1).min(10));
        let mut wait = doubled.min(retry.longest.0).min(LONGEST_WAIT);
        match timeout(ATTEMPT, told.notifier.notify(&now.http, &message)).await {
            Ok(Ok(_)) => {
                info!(notifier = %name, "Delivered to `{name}`: {title}");
                return true;
            }
            Ok(Err(NotifyError::Refused { why })) => {
                error!(notifier = %name, error = %why, "Notifier `{name}` refuses a message: {title}");
                return heard;
            }
            Ok(Err(NotifyError::Transient { why, retry_after, parts_done: parts })) => {
                warn!(notifier = %name, error = %why, "Notifier `{name}` did not take a message; trying again");
                wait = wait.max(retry_after.unwrap_or_default());
                parts_done = parts_done.max(parts);
                heard |= parts_done > 0;
            }
            Err(_) => {
                warn!(notifier = %name, "Notifier `{name}` took too long; trying again");
                heard = true;
            }
        }
        if timeout(wait, over.cancelled()).await.is_ok() {
            return heard;
        }
        attempt = attempt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "the disk is full";

    /// What follows from looks at these seconds, each refused or not.
    fn course(looks: &[(u64, bool)]) -> Vec<(u64, Change)> {
        let start = Instant::now();
        let mut fever = Fever::default();
        let changes = looks.iter().map(|(second, refused)| {
            let now = start + Duration::from_secs(*second);
            (*second, fever.feel(refused.then(|| FULL.into()), now, now, &Timings::default()))
        });
        changes.filter(|(_, change)| *change != Change::None).collect()
    }

    fn over(seconds: u64, told: bool) -> Change {
        Change::Over { lasted: Period::from_secs(seconds), told }
    }

    #[test]
    fn a_lock_of_a_moment_is_no_news() {
        let course = course(&[(0, true), (2, true), (4, false), (8, false), (15, false), (30, false)]);
        assert_eq!(course, [(8, Change::Release), (15, over(2, false))]);
    }

    #[test]
    fn a_disk_that_stays_full_is_told_once_and_so_is_its_end() {
        let mut looks: Vec<(u64, bool)> = (0..100).map(|n| (2 * n, true)).collect();
        looks.extend([(200, false), (202, false), (208, false), (223, false)]);
        assert_eq!(
            course(&looks),
            [(20, Change::Tell(FULL.into())), (202, Change::Release), (208, over(198, true))]
        );
    }

    #[test]
    fn a_disk_on_which_now_this_fits_and_now_that_does_not_is_one_trouble() {
        // Each time that what waits is tried, something is refused again.
        let looks: Vec<(u64, bool)> = (0..40).map(|n| (2 * n, n % 3 == 0)).collect();
        let course = course(&looks);
        assert_eq!(course.iter().filter(|(_, change)| matches!(change, Change::Tell(_))).count(), 1);
        assert!(!course.iter().any(|(_, change)| matches!(change, Change::Over { .. })), "{course:?}");
    }

    #[test]
    fn what_is_refused_after_every_release_is_released_ever_more_rarely_and_told_all_the_same() {
        let (start, mut fever) = (Instant::now(), Fever::default());
        let (mut releases, mut told, mut released) = (Vec::new(), 0, true);
        for second in 0..3_600 {
            let now = start + Duration::from_secs(second);
            // What waited is tried once, a second after each release.
            let refused = mem::take(&mut released).then(|| FULL.into());
            match fever.feel(refused, now, now, &Timings::default()) {
                Change::None => {}
                Change::Tell(_) => told += 1,
                Change::Release => {
                    released = true;
                    releases.push(second);
                }
                Change::Over { .. } => panic!("over after {second} s"),
            }
        }
        assert_eq!((&releases[..4], told), (&[3, 10, 23, 48][..], 1), "{releases:?}");
        assert!(releases.len() < 20, "{releases:?}");
    }
}
