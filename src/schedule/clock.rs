//! Notices when the clock on the wall is set back, and what was due in the time that comes again.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::model::Period;
use crate::store::{Note, Store};
use crate::watchlist::{Roster, Watch};

/// The clock on the wall beside the one that only goes forward.
pub(super) struct Clocks {
    wall: Timestamp,
    steady: Instant,
}

impl Clocks {
    pub(super) fn new(wall: Timestamp) -> Self {
        Self { wall, steady: Instant::now() }
    }

    /// A clock that is a little wrong is set right all the time, and nobody need hear of it.
    const TOLERATED: SignedDuration = SignedDuration::from_secs(30);

    /// By how much the clock on the wall was set back since the last look; nothing as a rule.
    pub(super) fn set_back(&mut self, wall: Timestamp, steady: Instant) -> SignedDuration {
        let passed = SignedDuration::try_from(steady.saturating_duration_since(self.steady));
        let jump = wall.duration_since(self.wall).saturating_sub(passed.unwrap_or_default());
        *self = Self { wall, steady };
        if jump > Self::TOLERATED {
            // What came due meanwhile is due now, as after any sleep.
            let jump = Period(jump.unsigned_abs());
            info!("The clock went forward by {jump}, or the machine slept");
        }
        if jump < -Self::TOLERATED { jump.abs() } else { SignedDuration::ZERO }
    }
}

/// After the clock was set back: what was due in the time that comes again is due at its next slot.
pub(super) async fn pull(
    store: &Store,
    roster: &Roster,
    by: SignedDuration,
    now: Timestamp,
) -> anyhow::Result<()> {
    let next = |(id, watch): &(i64, Arc<Watch>)| Some((*id, watch.timetable.next_after(now)?));
    let due = roster.watches.values().filter_map(next).collect();
    // What is not told to the second need not be.
    let tens = by.as_secs().unsigned_abs().saturating_add(5) / 10;
    let by_words = Period::from_secs(tens.saturating_mul(10));
    warn!("The clock was set back by {by_words}: every watch goes on at its next slot");
    let note = Note {
        title: format!("The clock was set back by {by_words}"),
        body: "Every watch goes on at its next slot by the new time. Times in messages from before may lie \
               ahead of it."
            .into(),
        urgent: false,
        held_until: roster.watchlist.quiet_until(now),
    };
    let everyone = roster.watchlist.notifiers.keys().cloned().collect();
    Ok(store.clock_was_set_back(by, due, roster.quiet_ends(now), (note, everyone), now).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::at;

    #[test]
    fn only_a_clock_that_is_set_back_by_much_is_noticed() {
        let (wall, steady) = (at("2026-11-21T12:00:00Z"), Instant::now());
        for (passed, shown, back) in [
            (5, "2026-11-21T12:00:05Z", 0),
            (5, "2026-11-21T11:59:50Z", 0),
            (5, "2026-11-21T13:00:05Z", 0),
            (5, "2026-11-21T11:00:05Z", 3_600),
            (5, "2025-11-21T12:00:05Z", 365 * 86_400),
        ] {
            let mut clocks = Clocks { wall, steady };
            let now = steady + Duration::from_secs(passed);
            assert_eq!(clocks.set_back(at(shown), now), SignedDuration::from_secs(back), "{shown}");
            assert_eq!(clocks.set_back(at(shown), now), SignedDuration::ZERO, "once");
        }
    }
}
