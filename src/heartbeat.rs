//! Says to those who watch the daemon that all of it moves: a service that is asked every minute and
//! raises the alarm when that stops (`heartbeat_url`), and systemd with its watchdog.
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::http::Request;
use crate::pulse::{Pulse, Remedy, Still};
use crate::watchlist::Roster;

/// How often `heartbeat_url` is asked.
pub const EVERY: Duration = Duration::from_secs(60);

/// What happens to the daemon, for systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Everything has started; also the end of a reload.
    Ready,
    /// The configuration is read again.
    Reloading,
    /// Everything is being stopped.
    Stopping,
}

/// Tells systemd, where it asked to be told (`NOTIFY_SOCKET`).
pub fn tell_systemd(moment: Moment) {
    let told = match moment {
        Moment::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Moment::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Moment::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        warn!(%error, "systemd could not be told how the daemon is");
    }
}

/// Feeds systemd's watchdog while nothing stands still that starting again would mend. Ends at once where
/// there is no watchdog.
pub async fn feed_watchdog(pulse: Pulse, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    let mut ticks = interval(limit / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if is_fed(&pulse.standing_still(Instant::now()))
            && let Err(error) = sd_notify::notify(&[NotifyState::Watchdog])
        {
            warn!(%error, "systemd's watchdog could not be fed");
        }
    }
}

/// Not while something stands still that starting again would mend.
fn is_fed(still: &[Still]) -> bool {
    !still.iter().any(|still| still.remedy == Remedy::Restart)
}

/// Asks `heartbeat_url` every so often while all parts move.
pub async fn serve(
    pulse: Pulse,
    mut roster: watch::Receiver<Arc<Roster>>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut missed = Vec::new();
    loop {
        // The first one a while after the start, when each part has had its turn.
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(every) => {}
        }
        let still = pulse.standing_still(Instant::now());
        log(&still, &missed);
        missed = still;
        if missed.is_empty() {
            let roster = Arc::clone(&roster.borrow_and_update());
            tokio::select! {
                () = stop.cancelled() => return,
                beat = timeout(every, beat(&roster)) => if beat.is_err() {
                    warn!("The heartbeat took too long");
                }
            }
        }
    }
}

/// Once for each thing that stands still, and once when all moves again.
fn log(now: &[Still], before: &[Still]) {
    for still in now.iter().filter(|still| !before.iter().any(|other| other.part == still.part)) {
        error!(part = %still.part, "No heartbeat while {still}");
    }
    if now.is_empty() && !before.is_empty() {
        info!("Every part of the daemon moves again");
    }
}

async fn beat(roster: &Roster) {
    let Some(address) = &roster.watchlist.daemon.heartbeat_url else { return };
    let Ok(url) = url::Url::parse(address.expose()) else {
        warn!("`heartbeat_url` is not a URL");
        return;
    };
    match roster.http.send(&Request::get(url)).await {
        Ok(reply) if reply.is_success() => {}
        Ok(reply) => warn!(status = reply.status, "The heartbeat was not taken"),
        Err(error) => warn!(%error, "The heartbeat did not get through"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_starves_when_a_part_hangs_and_not_when_a_disk_is_full() {
        let later = || Instant::now() + Duration::from_secs(60);
        let pulse = Pulse::default();
        assert!(is_fed(&pulse.standing_still(later())));
        let _disk = pulse.part("writing the database", Remedy::Person, Duration::ZERO);
        assert!(is_fed(&pulse.standing_still(later())), "starting again makes no room");
        let _scheduler = pulse.part("the scheduler", Remedy::Restart, Duration::ZERO);
        assert!(!is_fed(&pulse.standing_still(later())));
    }
}
