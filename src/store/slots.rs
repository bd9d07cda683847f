//! What became of each slot of a watch: its run's word, or that of the gap it lies in.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::along::runs_of_watch;
use super::{Gap, Store, Waited, millis, time};
use crate::model::{Period, SlotOutcome, Stretch};

impl Store {
    /// What became of the slots of a watch between two moments, oldest first. A run that asked more than
    /// `late_after` after its slot was late, whether it began then or waited for a host's turn. Slots are known once a run has ended after them.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn slots(
        &self,
        watch_id: i64,
        from: Timestamp,
        until: Timestamp,
        late_after: Duration,
    ) -> Result<Vec<Stretch>, sqlx::Error> {
        let gaps = self.gaps(watch_id, from, until).await?;
        let mut slots = Slots { gaps: gaps.into(), from, until, late_after, ..Slots::default() };
        // Of two runs for one slot the later counts.
        let mut runs = sqlx::query_as::<_, (i64, i64, String, Option<String>, i64, Option<String>, i64)>(
            runs_of_watch!(
                "due_at, started_at, outcome, error, waited_ms, waited_for, max(run.id)",
                r#"due_at between ?4 and ?5 and "trigger" in ('schedule', 'catch_up')
                   group by due_at order by due_at"#
            ),
        )
        .bind(self.first_run_since(from).await?)
        .bind(i64::MAX)
        .bind(watch_id)
        .bind(millis(from))
        .bind(millis(until))
        .fetch(&self.read);
        while let Some((due_at, started_at, outcome, error, waited_ms, host, _)) = runs.try_next().await? {
            let waited = Waited { time: Duration::from_millis(waited_ms.unsigned_abs()), host };
            slots.add(Run { due_at: time(due_at), started_at: time(started_at), outcome, error, waited });
        }
        Ok(slots.finish())
    }

    /// When a watch is due next; `None` for one that never is.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn next_due(&self, watch_id: i64) -> Result<Option<Timestamp>, sqlx::Error> {
        let due: Option<Option<i64>> = sqlx::query_scalar("select next_due_at from due where watch_id = ?")
            .bind(watch_id)
            .fetch_optional(&self.read)
            .await?;
        Ok(due.flatten().map(time))
    }
}

/// A run that the schedule asked for.
struct Run {
    due_at: Timestamp,
    started_at: Timestamp,
    outcome: String,
    error: Option<String>,
    waited: Waited,
}

/// Puts runs and gaps together.
#[derive(Default)]
struct Slots {
    /// In the order of their ends.
    gaps: VecDeque<Gap>,
    from: Timestamp,
    until: Timestamp,
    late_after: Duration,
    stretches: Vec<Stretch>,
    /// Slots of the first gap that have a run of their own, which no longer counts.
    mended: u64,
    /// How late the latest of the last stretch was that began late, and how long the longest waited of those
    /// that waited for a host.
    latest: Duration,
    longest: Duration,
}

impl Slots {
    /// Takes the next run by its slot.
    fn add(&mut self, run: Run) {
        while self.gaps.front().is_some_and(|gap| gap.last_due_at < run.due_at) {
            self.close_gap();
        }
        let mended = |gap: &Gap| gap.first_due_at <= run.due_at && gap.outcome == SlotOutcome::Repaired;
        if self.gaps.front().is_some_and(mended) {
            self.mended = self.mended.saturating_add(1);
            return;
        }
        let late = Duration::try_from(run.started_at.duration_since(run.due_at)).unwrap_or_default();
        let late = late.saturating_add(run.waited.time);
        let (outcome, why) = match run.outcome.as_str() {
            "failed" => (SlotOutcome::Failed, run.error),
            "blocked" => (SlotOutcome::Blocked, run.error),
            _ if late > self.late_after => (SlotOutcome::Late, Some(self.lateness(late, &run.waited))),
            _ => (SlotOutcome::Ok, None),
        };
        self.put(Stretch { from: run.due_at, until: run.due_at, slots: 1, outcome, why });
    }

    fn finish(mut self) -> Vec<Stretch> {
        while !self.gaps.is_empty() {
            self.close_gap();
        }
        self.stretches
    }

    /// Why a run was late: because of its host's pace, where that was most of it.
    fn lateness(&mut self, late: Duration, waited: &Waited) -> String {
        if self.stretches.last().is_none_or(|last| last.outcome != SlotOutcome::Late) {
            (self.latest, self.longest) = (Duration::ZERO, Duration::ZERO);
        }
        let polite = waited.host.as_ref().filter(|_| waited.time.saturating_mul(2) >= late);
        let (most, this) = match polite {
            Some(_) => (&mut self.longest, waited.time),
            None => (&mut self.latest, late),
        };
        let up_to = if most.is_zero() { "" } else { "up to " };
        *most = this.max(*most);
        match polite {
            Some(host) => format!("waited {up_to}{} for its turn at {host}", Period(self.longest)),
            None => format!("{up_to}{} after it was due", Period(self.latest)),
        }
    }

    fn close_gap(&mut self) {
        let Some(gap) = self.gaps.pop_front() else { return };
        let slots = without_run(&gap, self.from, self.until).saturating_add(std::mem::take(&mut self.mended));
        if slots > 0 {
            self.put(Stretch {
                from: gap.first_due_at.max(self.from),
                until: gap.last_due_at.min(self.until),
                slots,
                outcome: gap.outcome,
                why: gap.why,
            });
        }
    }

    fn put(&mut self, next: Stretch) {
        match self.stretches.last_mut().filter(|last| last.outcome == next.outcome) {
            Some(last) => {
                last.until = last.until.max(next.until);
                last.slots = last.slots.saturating_add(next.slots);
                last.why = next.why.or(last.why.take());
            }
            None => self.stretches.push(next),
        }
    }
}

/// How many slots of a gap without a run of their own lie between two moments. Of one that reaches out of
/// them, as if its slots were evenly spread.
fn without_run(gap: &Gap, from: Timestamp, until: Timestamp) -> u64 {
    if from <= gap.first_due_at && gap.last_due_at <= until {
        return gap.slots;
    }
    let [first, last, from, until] = [gap.first_due_at, gap.last_due_at, from, until].map(millis);
    let steps = gap.slots.saturating_sub(1);
    let step = last.saturating_sub(first).unsigned_abs().checked_div(steps).unwrap_or(0).max(1);
    let before = |moment: i64| match moment.checked_sub(first) {
        Some(ahead) if ahead > 0 => ahead.unsigned_abs().div_ceil(step).min(gap.slots),
        _ => 0,
    };
    before(until.saturating_add(1)).saturating_sub(before(from))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::Coverage;
    use crate::testing::at;

    const TEN: &str = "2026-11-21T10:00:00Z";

    fn minute(n: i64) -> Timestamp {
        at(TEN) + SignedDuration::from_mins(n)
    }

    fn run(n: i64, late_secs: i64, outcome: &str) -> Run {
        let error = (outcome == "failed").then(|| format!("HTTP 50{n}"));
        let started_at = minute(n) + SignedDuration::from_secs(late_secs);
        Run { due_at: minute(n), started_at, outcome: outcome.into(), error, waited: Waited::default() }
    }

    fn polite(run: Run, secs: u64) -> Run {
        let host = Some("shop.example".into());
        Run { waited: Waited { time: Duration::from_secs(secs), host }, ..run }
    }

    fn gap(first: i64, last: i64, slots: u64, outcome: SlotOutcome) -> Gap {
        Gap {
            id: 1,
            first_due_at: minute(first),
            last_due_at: minute(last),
            slots,
            outcome,
            attempts: 0,
            next_attempt_at: None,
            why: Some("down".into()),
        }
    }

    fn slots(window: (i64, i64), runs: Vec<Run>, gaps: Vec<Gap>) -> Vec<Stretch> {
        let mut slots = Slots {
            gaps: gaps.into(),
            from: minute(window.0),
            until: minute(window.1),
            late_after: Duration::from_secs(15),
            ..Slots::default()
        };
        runs.into_iter().for_each(|run| slots.add(run));
        slots.finish()
    }

    fn told(stretches: &[Stretch]) -> Vec<String> {
        let line = |s: &Stretch| {
            let minute = |time: Timestamp| time.duration_since(at(TEN)).as_mins();
            let why = s.why.as_deref().unwrap_or("-");
            format!("{}..{} {} {}: {why}", minute(s.from), minute(s.until), s.slots, s.outcome)
        };
        stretches.iter().map(line).collect()
    }

    #[test]
    fn runs_speak_for_their_slots_and_gaps_for_the_others() {
        let runs = vec![
            run(0, 0, "ok"),
            run(1, 15, "unchanged"),
            run(2, 120, "ok"),
            run(3, 60, "ok"),
            run(4, 0, "failed"),
            run(5, 0, "failed"),
            run(6, 0, "blocked"),
            run(10, 0, "ok"),
        ];
        let stretches = slots((0, 20), runs, vec![gap(7, 9, 3, SlotOutcome::Skipped)]);
        assert_eq!(
            told(&stretches),
            [
                "0..1 2 ok: -",
                "2..3 2 late: up to 2 min after it was due",
                "4..5 2 failed: HTTP 505",
                "6..6 1 blocked: -",
                "7..9 3 skipped: down",
                "10..10 1 ok: -",
            ]
        );
        assert_eq!(Coverage::of(&stretches).slots, 11);
    }

    #[test]
    fn a_run_that_waited_for_its_host_was_late_and_says_so() {
        let runs = vec![
            polite(run(0, 1, "ok"), 14),
            polite(run(1, 1, "ok"), 15),
            polite(run(2, 0, "ok"), 45),
            polite(run(3, 0, "unchanged"), 30),
            run(4, 0, "ok"),
            polite(run(5, 50, "ok"), 20),
            polite(run(6, 0, "failed"), 50),
        ];
        assert_eq!(
            told(&slots((0, 9), runs, vec![])),
            [
                "0..0 1 ok: -",
                "1..3 3 late: waited up to 45 s for its turn at shop.example",
                "4..4 1 ok: -",
                "5..5 1 late: 1 min 10 s after it was due",
                "6..6 1 failed: HTTP 506",
            ]
        );
    }

    #[test]
    fn what_was_repaired_is_so_also_where_its_run_had_failed() {
        let runs = || vec![run(0, 0, "ok"), run(1, 0, "failed"), run(3, 0, "failed"), run(5, 0, "ok")];
        let repaired = slots((0, 9), runs(), vec![gap(1, 4, 2, SlotOutcome::Repaired)]);
        assert_eq!(told(&repaired), ["0..0 1 ok: -", "1..4 4 repaired: down", "5..5 1 ok: -"]);
        let failed = slots((0, 9), runs(), vec![gap(1, 4, 2, SlotOutcome::Skipped)]);
        assert_eq!(
            told(&failed),
            ["0..0 1 ok: -", "1..3 2 failed: HTTP 503", "1..4 2 skipped: down", "5..5 1 ok: -"]
        );
    }

    #[test]
    fn of_a_gap_only_what_lies_in_the_time_asked_for_is_counted() {
        let gap = |outcome| vec![gap(0, 119, 120, outcome)];
        for (window, counted) in
            [((0, 119), 120), ((60, 500), 60), ((-9, 59), 60), ((30, 30), 1), ((120, 130), 0), ((-9, -1), 0)]
        {
            let stretches = slots(window, vec![], gap(SlotOutcome::Skipped));
            assert_eq!(Coverage::of(&stretches).skipped, counted, "{window:?}");
        }
        let one = super::Gap { last_due_at: minute(0), slots: 1, ..gap(SlotOutcome::Failed).remove(0) };
        assert_eq!(Coverage::of(&slots((0, 0), vec![], vec![one])).failed, 1);
    }
}
