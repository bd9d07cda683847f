//! Which watches are being run, whoever asked for it: a watch never overlaps itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Trigger;

/// The watches that are being run. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<Mutex<Runs>>);

/// By name: the row, which stays when a watch gets another name, and what asked for the run.
type Runs = HashMap<String, (i64, Trigger)>;

impl UnderWay {
    /// Takes a watch into work, unless it is already, also under a former name.
    #[must_use]
    pub fn begin(&self, watch: &str, watch_id: i64, trigger: Trigger) -> bool {
        let mut runs = self.runs();
        if runs.contains_key(watch) || runs.values().any(|(id, _)| *id == watch_id) {
            return false;
        }
        runs.insert(watch.to_owned(), (watch_id, trigger));
        true
    }

    /// The run of a watch has ended.
    pub fn end(&self, watch: &str) {
        self.runs().remove(watch);
    }

    /// How many are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.runs().len()
    }

    /// Whether a slot of the schedule is being run of a watch.
    #[must_use]
    pub fn runs_a_slot_of(&self, watch_id: i64) -> bool {
        self.runs().values().any(|(id, trigger)| *id == watch_id && *trigger != Trigger::Manual)
    }

    pub(super) fn has(&self, watch: &str) -> bool {
        self.runs().contains_key(watch)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_run_once_at_a_time_whoever_asks_and_whatever_it_is_called() {
        let under_way = UnderWay::default();
        assert!(under_way.begin("w", 1, Trigger::Manual));
        assert!(!under_way.begin("w", 1, Trigger::Schedule));
        assert!(!under_way.begin("renamed", 1, Trigger::Schedule));
        assert!(under_way.begin("other", 2, Trigger::Schedule));
        assert_eq!(under_way.count(), 2);
        assert!(!under_way.runs_a_slot_of(1) && under_way.runs_a_slot_of(2));
        under_way.end("w");
        assert!(under_way.begin("w", 1, Trigger::Schedule));
    }
}
