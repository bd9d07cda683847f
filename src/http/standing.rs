//! How a host stands with us: for how long it is left alone after it refused us or did not answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Longest rest that a host can ask for; beyond it we try once a day.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3_600);

/// A host that does not answer is a nuisance to nobody: it is asked again before long.
const LONGEST_SILENCE: Duration = Duration::from_secs(120);

/// So many requests in a row without an answer open the circuit.
const SILENCES: u32 = 5;

/// Moments of runs that were under way together may differ by so much without the clock having been set back.
const LITTLE: SignedDuration = SignedDuration::from_mins(1);

/// How long a host that refused is left alone: twice as long after each refusal, half as long after each good
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, and the shortest; zero for none at all but those that a host asks for.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(10), longest: Duration::from_secs(3_600) }
    }
}

impl Backoff {
    fn after(self, wait: Duration, trouble: Trouble) -> Duration {
        if self.first.is_zero() {
            return Duration::ZERO;
        }
        let longest = match trouble {
            Trouble::Silent => self.longest.min(LONGEST_SILENCE),
            Trouble::Refused | Trouble::Unavailable => self.longest,
        };
        wait.saturating_mul(2).max(self.first).min(longest)
    }
}

/// How one host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// The present wait; zero when all is well again.
    pub wait: Duration,
    /// From when it is left alone.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What for.
    pub why: String,
    /// Whether it refused us; otherwise it did not answer, or only that it cannot.
    pub refused: bool,
    /// When this last changed.
    pub changed_at: Timestamp,
}

impl Standing {
    /// Whether the host is left alone at a moment. A clock that was set back ends it.
    #[must_use]
    pub fn is_resting(&self, now: Timestamp) -> bool {
        now < self.until && now.duration_since(self.since) > -LITTLE
    }
}

/// What a host is left alone for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refuses us.
    Refused,
    /// It says that it cannot answer.
    Unavailable,
    /// It does not answer.
    Silent,
}

/// What is known of a host's answers: a circuit breaker. Closed it lets everything through, open nothing, and
/// in between one request at a time, until the good answers have halved the wait away.
#[derive(Debug)]
pub(super) struct Circuit {
    backoff: Backoff,
    standing: Option<Standing>,
    /// Requests in a row that were not answered.
    silences: u32,
    /// What the wait was before the last good answer, which may turn out to be a refusal in other words.
    wait_before: Duration,
    is_changed: bool,
}

impl Circuit {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self { backoff, standing: None, silences: 0, wait_before: Duration::ZERO, is_changed: false }
    }

    /// How the host stands, where it does not stand well.
    pub(super) const fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// As it was known before.
    pub(super) fn restore(&mut self, standing: Standing) {
        if self.standing.as_ref().is_none_or(|known| known.changed_at < standing.changed_at) {
            self.standing = Some(standing).filter(|standing| !standing.wait.is_zero());
        }
    }

    /// Whether the circuit is neither closed nor open: one request tries it.
    pub(super) fn is_tried(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| !standing.wait.is_zero())
    }

    /// The host answered.
    pub(super) fn well(&mut self, now: Timestamp) {
        self.silences = 0;
        let Some(standing) = &mut self.standing else {
            self.wait_before = Duration::ZERO;
            return;
        };
        self.wait_before = standing.wait;
        standing.wait /= 2;
        standing.changed_at = now;
        self.is_changed = true;
        let first = self.backoff.first;
        if standing.is_resting(now) {
            // An answer to what was asked before the rest began does not end the rest.
            standing.wait = standing.wait.max(first).max(Duration::from_millis(1));
        } else if first.is_zero() || standing.wait < first {
            standing.wait = Duration::ZERO;
        }
    }

    /// The host did not answer.
    pub(super) fn silent(&mut self, host: &str, now: Timestamp, why: &str) {
        self.silences = self.silences.saturating_add(1);
        if self.silences >= SILENCES || self.is_tried() {
            self.rest(host, now, None, why, Trouble::Silent);
        }
    }

    /// The host refused us or cannot answer, perhaps saying for how long.
    pub(super) fn refused(
        &mut self,
        host: &str,
        now: Timestamp,
        asked: Option<Duration>,
        why: &str,
        trouble: Trouble,
    ) {
        self.silences = 0;
        self.wait_before = Duration::ZERO;
        self.rest(host, now, asked, why, trouble);
    }

    /// The answer that counted as a good one was a refusal, in words that only its source knows.
    pub(super) fn refused_in_words(
        &mut self,
        host: &str,
        now: Timestamp,
        asked: Option<Duration>,
        why: &str,
    ) {
        self.rest(host, now, asked, why, Trouble::Refused);
    }

    fn rest(&mut self, host: &str, now: Timestamp, asked: Option<Duration>, why: &str, trouble: Trouble) {
        let known = self.standing.as_ref().filter(|known| !known.wait.is_zero());
        let resting = known.filter(|known| known.is_resting(now));
        let before = known.map_or(Duration::ZERO, |known| known.wait);
        let wait = match resting {
            // What was asked before the rest began is answered with the same refusal: that is one, not two.
            Some(_) => before,
            // Only good answers make a wait shorter.
            None => self.backoff.after(before.max(self.wait_before), trouble).max(before),
        };
        let length = wait.max(asked.unwrap_or_default()).min(LONGEST_REST);
        let Ok(until) = now.checked_add(length) else { return };
        if length.is_zero() {
            return;
        }
        // Whoever refused us and then says nothing still refuses us.
        let refused = known.filter(|known| known.refused && trouble != Trouble::Refused);
        let standing = Standing {
            host: host.to_owned(),
            // Where only the host's own wish counts, it is all there is to remember.
            wait: if wait.is_zero() { length } else { wait },
            since: resting.map_or(now, |known| known.since),
            until: resting.map_or(until, |known| known.until.max(until)),
            why: refused.map_or(why, |known| &known.why).to_owned(),
            refused: refused.is_some() || trouble == Trouble::Refused,
            changed_at: now,
        };
        self.wait_before = Duration::ZERO;
        self.is_changed = true;
        self.standing = Some(standing);
    }

    /// Whether nothing of it need be remembered.
    pub(super) fn is_forgettable(&self, now: Timestamp) -> bool {
        let is_over = |standing: &Standing| {
            standing.wait.is_zero() || now.duration_since(standing.until) > SignedDuration::from_hours(24)
        };
        self.standing.as_ref().is_none_or(is_over)
    }

    /// What changed could not be stored: it is told once more, unless more has changed since.
    pub(super) fn tell_again(&mut self, standing: &Standing) {
        self.standing.get_or_insert_with(|| standing.clone());
        self.is_changed = true;
    }

    /// How the host stands, where that changed since this was last asked. All well again is told once, and then
    /// forgotten.
    pub(super) fn take_changed(&mut self) -> Option<Standing> {
        let changed = std::mem::take(&mut self.is_changed).then(|| self.standing.clone()).flatten();
        self.standing.take_if(|standing| standing.wait.is_zero());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    const START: &str = "2026-11-21T10:00:00Z";

    fn circuit() -> Circuit {
        Circuit::new(Backoff::default())
    }

    fn after(seconds: i64) -> Timestamp {
        at(START) + SignedDuration::from_secs(seconds)
    }

    /// How long it is left alone from that moment on.
    fn rest(circuit: &Circuit, now: Timestamp) -> Option<i64> {
        let standing = circuit.standing().filter(|standing| standing.is_resting(now))?;
        Some(standing.until.duration_since(now).as_secs())
    }

    #[test]
    fn waits_double_from_ten_seconds_to_an_hour_and_halve_with_each_good_answer() {
        let mut circuit = circuit();
        let (mut now, mut waits) = (at(START), Vec::new());
        for _ in 0..11 {
            circuit.refused("h", now, None, "HTTP 429", Trouble::Refused);
            let wait = rest(&circuit, now).unwrap();
            waits.push(wait);
            now += SignedDuration::from_secs(wait);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
        let mut good = 0;
        while circuit.is_tried() {
            circuit.well(now);
            good += 1;
        }
        assert_eq!(good, 9, "3600 s halved nine times are less than ten");
        circuit.refused("h", now, None, "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, now), Some(10), "and all begins anew");
    }

    #[test]
    fn refusals_of_what_was_under_way_together_count_once() {
        let mut circuit = circuit();
        for _ in 0..8 {
            circuit.refused("h", at(START), None, "HTTP 503", Trouble::Refused);
        }
        assert_eq!(rest(&circuit, at(START)), Some(10));
        circuit.well(after(1));
        assert_eq!(rest(&circuit, after(1)), Some(9), "a good answer does not end the rest");
    }

    #[test]
    fn what_the_host_asks_for_counts_where_it_is_longer() {
        let mut circuit = circuit();
        circuit.refused("h", at(START), Some(Duration::from_secs(90)), "HTTP 429", Trouble::Refused);
        circuit.refused("h", at(START), Some(Duration::from_secs(5)), "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, at(START)), Some(90));
        circuit.refused("h", after(100), Some(Duration::from_secs(1)), "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, after(100)), Some(20));
        circuit.refused("h", after(200), Some(Duration::MAX), "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, after(200)), Some(86_400), "but nobody is left alone for ever");
    }

    #[test]
    fn a_host_that_does_not_answer_five_times_is_tried_by_one_request_at_a_time() {
        let mut circuit = circuit();
        for _ in 0..4 {
            circuit.silent("h", at(START), "no answer");
        }
        circuit.well(at(START));
        for second in 0..4 {
            circuit.silent("h", after(second), "no answer");
        }
        assert!(!circuit.is_tried(), "a good answer between them begins the count anew");
        circuit.silent("h", after(5), "no answer");
        assert_eq!(rest(&circuit, after(5)), Some(10));
        let (mut now, mut longest) = (after(15), 0);
        for _ in 0..20 {
            circuit.silent("h", now, "no answer");
            longest = rest(&circuit, now).unwrap();
            now += SignedDuration::from_secs(longest);
        }
        assert_eq!(longest, 120);
        assert!(!circuit.standing().unwrap().refused);
    }

    #[test]
    fn silence_neither_shortens_a_refusal_nor_takes_its_place() {
        let mut circuit = circuit();
        circuit.refused("h", at(START), Some(Duration::from_secs(3_600)), "HTTP 429", Trouble::Refused);
        circuit.silent("h", after(1), "no answer");
        let standing = circuit.standing().unwrap();
        assert_eq!((standing.refused, standing.why.as_str()), (true, "HTTP 429"));
        assert_eq!(rest(&circuit, after(1)), Some(3_599));
        let (mut now, mut before) = (after(3_600), 10);
        for _ in 0..20 {
            circuit.silent("h", now, "no answer");
            let wait = rest(&circuit, now).unwrap();
            assert!(wait >= before && circuit.standing().unwrap().refused, "{wait}");
            (before, now) = (wait, now + SignedDuration::from_secs(wait));
        }
    }

    #[test]
    fn a_good_answer_that_was_a_refusal_in_other_words_does_not_shorten_the_wait() {
        let mut circuit = circuit();
        let mut now = at(START);
        for wait in [10, 20, 40, 80] {
            circuit.well(now);
            circuit.refused_in_words("h", now, None, "EAPI:Rate limit exceeded");
            assert_eq!(rest(&circuit, now), Some(wait));
            now += SignedDuration::from_secs(wait);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_a_rest() {
        let mut circuit = circuit();
        circuit.refused("h", at(START), None, "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, after(-3_600)), None);
        assert_eq!(rest(&circuit, after(-2)), Some(12), "runs that are under way together differ a little");
    }

    #[test]
    fn what_changed_is_told_once_and_the_end_as_well() {
        let mut circuit = circuit();
        assert_eq!(circuit.take_changed(), None);
        circuit.well(at(START));
        assert_eq!(circuit.take_changed(), None);
        circuit.refused("h", at(START), None, "HTTP 403", Trouble::Refused);
        let told = circuit.take_changed().unwrap();
        assert_eq!((told.wait.as_secs(), told.refused, told.why.as_str()), (10, true, "HTTP 403"));
        assert_eq!(circuit.take_changed(), None);
        circuit.tell_again(&told);
        assert_eq!(circuit.take_changed(), Some(told.clone()), "it could not be stored");
        circuit.well(after(20));
        let well = circuit.take_changed().unwrap();
        assert!(well.wait.is_zero());
        assert_eq!(circuit.take_changed(), None);
        circuit.tell_again(&well);
        assert_eq!(circuit.take_changed(), Some(well));
        assert_eq!(circuit.take_changed(), None);

        let mut later = Circuit::new(Backoff::default());
        later.restore(told);
        assert_eq!(rest(&later, after(4)), Some(6));
    }

    #[test]
    fn without_a_backoff_only_the_host_s_own_wish_counts() {
        let mut circuit =
            Circuit::new(Backoff { first: Duration::ZERO, longest: Duration::from_secs(3_600) });
        circuit.refused("h", at(START), None, "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, at(START)), None);
        circuit.refused("h", at(START), Some(Duration::from_secs(60)), "HTTP 429", Trouble::Refused);
        assert_eq!(rest(&circuit, at(START)), Some(60));
        circuit.well(after(60));
        assert!(!circuit.is_tried());
    }
}
