//! How a notifier stands: that it does not take messages is news to the others, once an episode, and so is
//! that it takes them again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::alerting::{Circumstances, Policy, decide};
use crate::model::{Alert, OnFirst, Period, Reason, Severity, Signal, SignalState};
use crate::store::{NewDelivery, Standing};

/// The strategy under which it is kept, as all that the daemon says about its own work.
pub(super) const RUN: &str = "run";

/// What such a note names as its watch.
const OURSELVES: &str = "stakeout";

/// One that refuses now and then is told of at most so often.
const COOLDOWN: Period = Period::from_secs(15 * 60);

/// A notifier, by the words it is told of with.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Whom to tell of it.
    pub(super) others: Vec<String>,
    /// The end of the quiet hours in which they are told.
    pub(super) held_until: Option<Timestamp>,
}

/// What has just come of a message.
#[derive(Clone, Debug)]
pub(super) enum Came {
    Taken,
    /// It will never be taken.
    Dead {
        title: String,
        why: String,
    },
}

impl Who {
    /// What its states are kept under.
    pub(super) fn subject(&self) -> String {
        format!("notifier {}", self.name)
    }

    /// How it stands now, where that has changed. `heard` are those that were told that it is in trouble;
    /// so many messages are `lost` to it as things stand.
    pub(super) fn stands(
        &self,
        came: &Came,
        known: Option<&SignalState>,
        heard: &[String],
        lost: u64,
        now: Timestamp,
    ) -> Option<Standing> {
        let in_trouble = known.filter(|known| known.firing || known.waits);
        if matches!(came, Came::Taken) && in_trouble.is_none() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody loses so many messages")]
        let value = lost as f64;
        let signal = match came {
            Came::Taken => Signal::level(self.subject(), "well", false),
            Came::Dead { why, .. } => Signal::level(self.subject(), "refusing", true).summary(why),
        };
        let signal = signal.severity(Severity::Warning).value(value);
        let policy = Policy { on_first: OnFirst::Notify, cooldown: COOLDOWN, ..Policy::default() };
        let mut decision = decide(known, &signal, &policy, Circumstances::default(), now);
        decision.next.value = Some(value);
        let Some(reason) = decision.verdict.news() else {
            return Some(Standing { state: decision.next, alert: None, notes: Vec::new() });
        };
        let lasted = Period(Duration::try_from(now.duration_since(decision.since)).unwrap_or_default());
        let Self { name, kind, .. } = self;
        let (title, body) = match came {
            Came::Dead { title, why } => (
                format!("`{name}` ({kind}) does not take messages: {why}"),
                format!("Not delivered: {title}\nSee `stakeout outbox list`."),
            ),
            Came::Taken => {
                let again = format!("`{name}` ({kind}) takes messages again after {lasted}");
                let try_again = "`stakeout outbox retry --dead` tries again.".to_owned();
                match lost {
                    0 => (again, String::new()),
                    1 => (format!("{again}; 1 was not delivered"), try_again),
                    several => (format!("{again}; {several} were not delivered"), try_again),
                }
            }
        };
        let alert = Alert {
            id: Uuid::now_v7().to_string(),
            watch: OURSELVES.into(),
            strategy: RUN.into(),
            signal,
            status: reason.status(),
            reason,
            title,
            body,
            url: None,
            starts_at: decision.since,
            ends_at: (reason == Reason::Resolved).then_some(now),
            labels: BTreeMap::new(),
        };
        let notes = self.whom_to_tell(heard).map(|notifier| self.note(notifier, &alert, now)).collect();
        Some(Standing { state: decision.next, alert: Some(alert), notes })
    }

    /// The end goes to whoever heard of the beginning.
    fn whom_to_tell<'a>(&'a self, heard: &'a [String]) -> impl Iterator<Item = &'a String> {
        let all = !self.others.iter().any(|other| heard.contains(other));
        self.others.iter().filter(move |other| all || heard.contains(other))
    }

    fn note(&self, notifier: &str, alert: &Alert, now: Timestamp) -> NewDelivery {
        NewDelivery {
            id: Uuid::now_v7().to_string(),
            notifier: notifier.to_owned(),
            title: alert.title.clone(),
            body: alert.body.clone(),
            url: None,
            alert_ids: vec![alert.id.clone()],
            topic: format!("notifier/{}", self.name),
            urgent: false,
            created_at: now,
            held_until: self.held_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn who() -> Who {
        Who {
            name: "trading".into(),
            kind: "discord",
            others: vec!["hook".into(), "mail".into()],
            held_until: None,
        }
    }

    fn dead() -> Came {
        Came::Dead { title: "gold fell".into(), why: "Unknown Webhook (10015)".into() }
    }

    /// Each step: minute, what came, and the title of what is told.
    fn play(steps: &[(i64, Came, Option<&str>)]) -> Option<SignalState> {
        let (mut known, mut lost) = (None, 0);
        for (minute, came, expected) in steps {
            let now = at("2026-11-21T10:00:00Z") + jiff::SignedDuration::from_mins(*minute);
            lost += u64::from(matches!(came, Came::Dead { .. }));
            let standing = who().stands(came, known.as_ref(), &[], lost, now);
            let told = standing.as_ref().and_then(|standing| standing.notes.first());
            assert_eq!(told.map(|note| note.title.as_str()), *expected, "minute {minute}");
            if matches!(came, Came::Taken) {
                lost = 0;
            }
            known = standing.map(|standing| standing.state).or(known);
        }
        known
    }

    #[test]
    fn the_others_hear_once_that_it_refuses_and_once_that_it_works() {
        play(&[
            (0, Came::Taken, None),
            (1, dead(), Some("`trading` (discord) does not take messages: Unknown Webhook (10015)")),
            (2, dead(), None),
            (90, dead(), None),
            (
                181,
                Came::Taken,
                Some("`trading` (discord) takes messages again after 3 h; 3 were not delivered"),
            ),
            (182, Came::Taken, None),
        ]);
    }

    #[test]
    fn one_that_refuses_now_and_then_makes_no_storm() {
        let first = Some("`trading` (discord) does not take messages: Unknown Webhook (10015)");
        let state = play(&[
            (0, dead(), first),
            (
                1,
                Came::Taken,
                Some("`trading` (discord) takes messages again after 1 min; 1 was not delivered"),
            ),
            (2, dead(), None),
            (3, Came::Taken, None),
            (4, dead(), None),
            (17, dead(), first),
        ]);
        assert_eq!(state.and_then(|state| state.value), Some(2.0), "those of this time");
    }

    #[test]
    fn what_got_through_in_the_end_was_not_lost() {
        let now = at("2026-11-21T10:00:00Z");
        let begun = who().stands(&dead(), None, &[], 1, now).unwrap();
        let later = now + jiff::SignedDuration::from_secs(50);
        let ended = who().stands(&Came::Taken, Some(&begun.state), &[], 0, later).unwrap();
        assert_eq!(ended.notes[0].title, "`trading` (discord) takes messages again after 50 s");
        assert_eq!(ended.notes[0].body, "");
    }

    #[test]
    fn the_end_goes_to_whoever_heard_of_the_beginning() {
        let now = at("2026-11-21T10:00:00Z");
        let begun = who().stands(&dead(), None, &[], 1, now).unwrap();
        assert_eq!(begun.notes.len(), 2);
        assert_eq!(begun.notes[0].body, "Not delivered: gold fell\nSee `stakeout outbox list`.");
        for (heard, told) in [(vec!["mail"], vec!["mail"]), (vec!["gone"], vec!["hook", "mail"])] {
            let heard: Vec<String> = heard.into_iter().map(str::to_owned).collect();
            let ended = who().stands(&Came::Taken, Some(&begun.state), &heard, 0, now).unwrap();
            assert!(ended.notes.iter().map(|note| note.notifier.as_str()).eq(told), "{:?}", ended.notes);
        }
    }
}
