//! What became of the slots of a watch.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// Run in time.
    Ok,
    /// Run, but later than it should have been.
    Late,
    /// Run in vain; or what it missed could not be filled in either.
    Failed,
    /// Run into a wall.
    Blocked,
    /// Not run.
    Skipped,
    /// What it missed was filled in from the service's past.
    Repaired,
}

impl SlotOutcome {
    /// Each of them, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Late, Self::Failed, Self::Blocked, Self::Repaired, Self::Skipped];

    /// The word it goes by in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Skipped => "skipped",
            Self::Repaired => "repaired",
        }
    }
}

impl fmt::Display for SlotOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SlotOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is no outcome of a slot"))
    }
}

/// Slots one after another of which the same became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stretch {
    /// The first slot.
    pub from: Timestamp,
    /// The last slot.
    pub until: Timestamp,
    /// How many they are.
    pub slots: u64,
    /// What became of them.
    pub outcome: SlotOutcome,
    /// Why, where that says something; of the last of them where each has its own reason.
    pub why: Option<String>,
}

/// What became of all slots of a time, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Coverage {
    /// All of them.
    pub slots: u64,
    /// Run in time.
    pub ok: u64,
    /// Run late.
    pub late: u64,
    /// Run in vain, or not to be repaired.
    pub failed: u64,
    /// Run into a wall.
    pub blocked: u64,
    /// Filled in afterwards.
    pub repaired: u64,
    /// Not run.
    pub skipped: u64,
}

impl Coverage {
    /// Counts.
    #[must_use]
    pub fn of(stretches: &[Stretch]) -> Self {
        let mut counts = Self::default();
        for Stretch { slots, outcome, .. } in stretches {
            let count = match outcome {
                SlotOutcome::Ok => &mut counts.ok,
                SlotOutcome::Late => &mut counts.late,
                SlotOutcome::Failed => &mut counts.failed,
                SlotOutcome::Blocked => &mut counts.blocked,
                SlotOutcome::Skipped => &mut counts.skipped,
                SlotOutcome::Repaired => &mut counts.repaired,
            };
            *count = count.saturating_add(*slots);
            counts.slots = counts.slots.saturating_add(*slots);
        }
        counts
    }

    /// How many had one outcome.
    #[must_use]
    pub const fn count(&self, outcome: SlotOutcome) -> u64 {
        match outcome {
            SlotOutcome::Ok => self.ok,
            SlotOutcome::Late => self.late,
            SlotOutcome::Failed => self.failed,
            SlotOutcome::Blocked => self.blocked,
            SlotOutcome::Skipped => self.skipped,
            SlotOutcome::Repaired => self.repaired,
        }
    }

    /// Of a hundred slots so many were seen, in time, late or afterwards; `None` where there was no slot.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "slots are far fewer than 2^53")]
    pub fn percent(&self) -> Option<f64> {
        let seen = self.ok.saturating_add(self.late).saturating_add(self.repaired);
        (self.slots > 0).then(|| seen as f64 / self.slots as f64 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_counted_once_and_what_was_seen_is_covered() {
        let stretch = |outcome, slots| Stretch {
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            slots,
            outcome,
            why: None,
        };
        let stretches: Vec<Stretch> =
            SlotOutcome::ALL.into_iter().zip([70, 10, 9, 1, 8, 2]).map(|(o, n)| stretch(o, n)).collect();
        let coverage = Coverage::of(&stretches);
        assert_eq!(coverage.slots, 100);
        assert_eq!(coverage.percent(), Some(88.0));
        assert_eq!(SlotOutcome::ALL.map(|outcome| coverage.count(outcome)), [70, 10, 9, 1, 8, 2]);
        assert_eq!(Coverage::default().percent(), None);
        for outcome in SlotOutcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
    }
}
