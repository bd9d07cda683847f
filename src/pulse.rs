//! Whether every part of the daemon still moves. Each part says by when it will come by again; one that
//! does not come stands still, and whoever asks hears which and for how long.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::Period;

/// The pulse of the whole daemon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Moments are counted from here, by the clock that only goes forward.
    start: Instant,
    parts: Mutex<Vec<Arc<Part>>>,
}

#[derive(Debug)]
struct Part {
    name: String,
    remedy: Remedy,
    /// When it came by last, and by when it said that it would come again, in milliseconds.
    came: AtomicU64,
    expected: AtomicU64,
    /// It has ended in order, and is not expected any more.
    ended: AtomicBool,
}

/// What mends a part that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Starting the daemon again.
    Restart,
    /// A person: starting again changes nothing about a full disk.
    Person,
}

/// A part that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Which.
    pub part: String,
    /// Since it came by last.
    pub lasted: Period,
    /// What mends it.
    pub remedy: Remedy,
}

impl fmt::Display for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stands still for {}", self.part, self.lasted)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Parts { start: Instant::now(), parts: Mutex::default() }))
    }
}

impl Pulse {
    /// A part that is watched from now on, and says so within `first`.
    #[must_use]
    pub fn part(&self, name: &str, remedy: Remedy, first: Duration) -> Beat {
        let part = Arc::new(Part {
            name: name.to_owned(),
            remedy,
            came: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let beat = Beat { pulse: self.clone(), part: Arc::clone(&part) };
        beat.again_within(first);
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| !part.ended.load(Ordering::Relaxed));
        parts.push(part);
        beat
    }

    /// What stands still at `now`; nothing while all is well.
    #[must_use]
    pub fn standing_still(&self, now: Instant) -> Vec<Still> {
        let now = self.millis(now);
        let parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|part| part.still(now)).collect()
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.0.start).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Part {
    fn still(&self, now: u64) -> Option<Still> {
        if self.ended.load(Ordering::Relaxed) || now <= self.expected.load(Ordering::Relaxed) {
            return None;
        }
        let lasted = now.saturating_sub(self.came.load(Ordering::Relaxed));
        Some(Still {
            part: self.name.clone(),
            lasted: Period(Duration::from_millis(lasted)),
            remedy: self.remedy,
        })
    }
}

/// By which a part says that it moves. One that is dropped without [`Beat::end`] stands still: its task
/// broke.
#[derive(Debug)]
pub struct Beat {
    pulse: Pulse,
    part: Arc<Part>,
}

impl Beat {
    /// It moves, and will say so again within this time.
    pub fn again_within(&self, time: Duration) {
        let now = Instant::now();
        self.part.came.store(self.pulse.millis(now), Ordering::Relaxed);
        let expected = now.checked_add(time).map_or(u64::MAX, |at| self.pulse.millis(at));
        self.part.expected.store(expected, Ordering::Relaxed);
    }

    /// It has ended in order.
    pub fn end(self) {
        self.part.ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn names(pulse: &Pulse, later: Duration) -> Vec<String> {
        pulse.standing_still(Instant::now() + later).into_iter().map(|still| still.part).collect()
    }

    #[test]
    fn a_part_that_does_not_come_by_in_time_stands_still_and_the_others_do_not() {
        let pulse = Pulse::default();
        let scheduler = pulse.part("the scheduler", Remedy::Restart, MINUTE);
        let lane = pulse.part("the lane of `hook`", Remedy::Restart, MINUTE);
        assert!(names(&pulse, Duration::ZERO).is_empty());
        assert!(names(&pulse, MINUTE / 2).is_empty());
        lane.again_within(15 * MINUTE); // it sends something long
        assert_eq!(names(&pulse, 2 * MINUTE), ["the scheduler"]);
        assert_eq!(names(&pulse, 16 * MINUTE), ["the scheduler", "the lane of `hook`"]);
        scheduler.again_within(20 * MINUTE);
        assert_eq!(names(&pulse, 16 * MINUTE), ["the lane of `hook`"]);
    }

    #[test]
    fn a_part_that_ended_in_order_is_not_missed_but_one_that_broke_is() {
        let pulse = Pulse::default();
        pulse.part("the lane of `old`", Remedy::Restart, MINUTE).end();
        drop(pulse.part("the lane of `broken`", Remedy::Restart, MINUTE));
        assert_eq!(names(&pulse, 2 * MINUTE), ["the lane of `broken`"]);
    }

    #[test]
    fn what_stands_still_is_said_in_a_sentence() {
        let pulse = Pulse::default();
        let _scheduler = pulse.part("the scheduler", Remedy::Restart, MINUTE);
        let still = pulse.standing_still(Instant::now() + 2 * MINUTE).remove(0);
        assert_eq!(still.to_string(), "the scheduler stands still for 2 min");
    }
}
