//! The table of what is news, and the contract over any sequence of readings.

use proptest::prelude::*;

use super::*;
use crate::testing::at;

fn signal(firing: bool, fingerprint: &str) -> Signal {
    Signal::event("s", if firing { "on" } else { "off" }, firing, fingerprint).value(1.0)
}

fn known(firing: bool, fingerprint: &str) -> SignalState {
    SignalState {
        state: String::new(),
        firing,
        fingerprint: fingerprint.into(),
        value: None,
        since: at("2026-11-21T09:00:00Z"),
        told: firing,
        last_told_at: firing.then(|| at("2026-11-21T09:00:00Z")),
        last_told_value: None,
        streak: 0,
        streak_since: None,
        waits: false,
    }
}

fn verdict(known: Option<&SignalState>, signal: &Signal, policy: &Policy) -> Verdict {
    decide(known, signal, policy, Circumstances::default(), at("2026-11-21T10:00:00Z")).verdict
}

#[test]
fn the_table_of_what_is_news() {
    use OnFirst::{Announce, Baseline, Notify};
    use Verdict::{Alert, Quiet as Q};
    let policy = |on_first| Policy { on_first, ..Policy::default() };
    let hour = Period::from_secs(3_600);
    for (case, known, signal, policy, expected) in [
        ("first sight, notify", None, signal(true, "a"), policy(Notify), Alert(Reason::First)),
        ("first sight, quiet", None, signal(false, "a"), policy(Notify), Q(Quiet::NotFiring)),
        ("first sight, announce", None, signal(true, "a"), policy(Announce), Q(Quiet::Baseline)),
        ("first sight, baseline", None, signal(true, "a"), policy(Baseline), Q(Quiet::Baseline)),
        (
            "first sight, too few",
            None,
            signal(true, "a"),
            Policy { after: 2, ..policy(Notify) },
            Q(Quiet::NotYet),
        ),
        ("begins", Some(known(false, "b")), signal(true, "a"), policy(Notify), Alert(Reason::First)),
        (
            "begins, too few",
            Some(known(false, "b")),
            signal(true, "a"),
            Policy { after: 2, ..policy(Notify) },
            Q(Quiet::NotYet),
        ),
        ("goes on", Some(known(true, "a")), signal(true, "a"), policy(Notify), Q(Quiet::Unchanged)),
        (
            "goes on, reminder due",
            Some(known(true, "a")),
            signal(true, "a"),
            Policy { remind_every: Some(hour), ..policy(Notify) },
            Alert(Reason::Reminder),
        ),
        (
            "goes on, reminder not due",
            Some(known(true, "a")),
            signal(true, "a"),
            Policy { remind_every: Some(Period::from_secs(3_601)), ..policy(Notify) },
            Q(Quiet::Unchanged),
        ),
        ("other news", Some(known(true, "a")), signal(true, "b"), policy(Notify), Alert(Reason::Changed)),
        (
            "other news, cooling",
            Some(known(true, "a")),
            signal(true, "b"),
            Policy { cooldown: Period::from_secs(3_601), ..policy(Notify) },
            Q(Quiet::CoolingDown),
        ),
        ("ends", Some(known(true, "a")), signal(false, "b"), policy(Notify), Alert(Reason::Resolved)),
        (
            "ends, cooling all the same",
            Some(known(true, "a")),
            signal(false, "b"),
            Policy { cooldown: hour, ..policy(Notify) },
            Alert(Reason::Resolved),
        ),
        (
            "ends, too few",
            Some(known(true, "a")),
            signal(false, "b"),
            Policy { resolve_after: 2, ..policy(Notify) },
            Q(Quiet::NotYet),
        ),
        (
            "ends, nobody asked",
            Some(known(true, "a")),
            signal(false, "b"),
            Policy { resolved: false, ..policy(Notify) },
            Q(Quiet::NotFiring),
        ),
        (
            "ends, never told",
            Some(SignalState { told: false, ..known(true, "a") }),
            signal(false, "b"),
            policy(Notify),
            Q(Quiet::NotFiring),
        ),
        ("nothing", Some(known(false, "a")), signal(false, "b"), policy(Notify), Q(Quiet::NotFiring)),
    ] {
        assert_eq!(verdict(known.as_ref(), &signal, &policy), expected, "{case}");
    }
}

#[test]
fn so_many_readings_in_a_row_make_it_news_and_one_against_starts_again() {
    let policy = Policy { after: 3, ..Policy::default() };
    let mut known = None;
    let mut told = Vec::new();
    for firing in [true, true, false, true, true, true, true] {
        let decision = decide(
            known.as_ref(),
            &signal(firing, "x"),
            &policy,
            Circumstances::default(),
            at("2026-11-21T10:00:00Z"),
        );
        told.push(matches!(decision.verdict, Verdict::Alert(_)));
        known = Some(decision.next);
    }
    assert_eq!(told, [false, false, false, false, false, true, false]);
}

#[test]
fn news_within_the_cooldown_are_late_not_lost() {
    let policy = Policy { cooldown: Period::from_secs(3_600), resolved: false, ..Policy::default() };
    let first =
        decide(None, &signal(true, "a"), &policy, Circumstances::default(), at("2026-11-21T10:00:00Z"));
    let over = decide(
        Some(&first.next),
        &signal(false, "-"),
        &policy,
        Circumstances::default(),
        at("2026-11-21T10:10:00Z"),
    );
    let early = decide(
        Some(&over.next),
        &signal(true, "a"),
        &policy,
        Circumstances::default(),
        at("2026-11-21T10:20:00Z"),
    );
    assert_eq!(early.verdict, Verdict::Quiet(Quiet::CoolingDown));
    assert!(is_pending(&early.next, &policy));
    let late = decide(
        Some(&early.next),
        &signal(true, "a"),
        &policy,
        Circumstances::default(),
        at("2026-11-21T11:00:00Z"),
    );
    assert_eq!(late.verdict, Verdict::Alert(Reason::First));
}

#[test]
fn what_lies_around_mutes_openings_only() {
    let silenced = Circumstances { mute: Some(Mute::Silenced), held: false };
    let suppressed = Circumstances { mute: Some(Mute::Suppressed), held: false };
    let held = Circumstances { mute: None, held: true };
    let hourly = Policy { remind_every: Some(Period::from_secs(3_600)), ..Policy::default() };
    let cooling = Policy { cooldown: Period::from_secs(7_200), ..hourly.clone() };
    for (case, known, signal, policy, around, expected) in [
        (
            "silenced, first sight",
            None,
            signal(true, "a"),
            &hourly,
            silenced,
            Verdict::Quiet(Quiet::Silenced),
        ),
        (
            "silenced, begins",
            Some(known(false, "b")),
            signal(true, "a"),
            &hourly,
            silenced,
            Verdict::Quiet(Quiet::Silenced),
        ),
        (
            "silenced, other news",
            Some(known(true, "b")),
            signal(true, "a"),
            &hourly,
            silenced,
            Verdict::Quiet(Quiet::Silenced),
        ),
        (
            "silenced, reminder due",
            Some(known(true, "a")),
            signal(true, "a"),
            &hourly,
            silenced,
            Verdict::Quiet(Quiet::Silenced),
        ),
        (
            "silenced, ends",
            Some(known(true, "a")),
            signal(false, "b"),
            &hourly,
            silenced,
            Verdict::Alert(Reason::Resolved),
        ),
        (
            "suppressed, begins",
            Some(known(false, "b")),
            signal(true, "a"),
            &hourly,
            suppressed,
            Verdict::Quiet(Quiet::Suppressed),
        ),
        (
            "suppressed, ends",
            Some(known(true, "a")),
            signal(false, "b"),
            &hourly,
            suppressed,
            Verdict::Alert(Reason::Resolved),
        ),
        (
            "held, begins",
            Some(known(false, "b")),
            signal(true, "a"),
            &hourly,
            held,
            Verdict::Held(Reason::First),
        ),
        (
            "held, ends",
            Some(known(true, "a")),
            signal(false, "b"),
            &hourly,
            held,
            Verdict::Held(Reason::Resolved),
        ),
        (
            "held, nothing new",
            Some(known(true, "a")),
            signal(true, "a"),
            &Policy::default(),
            held,
            Verdict::Quiet(Quiet::Unchanged),
        ),
        (
            "reminder due, cooling",
            Some(known(true, "a")),
            signal(true, "a"),
            &cooling,
            Circumstances::default(),
            Verdict::Quiet(Quiet::CoolingDown),
        ),
    ] {
        let decision = decide(known.as_ref(), &signal, policy, around, at("2026-11-21T10:00:00Z"));
        assert_eq!(decision.verdict, expected, "{case}");
        assert!(!reason(known.as_ref(), &decision, policy).is_empty(), "{case}");
    }
}

#[test]
fn what_was_silenced_is_told_when_the_silence_ends_if_it_is_still_so() {
    let policy = Policy::default();
    let silenced = Circumstances { mute: Some(Mute::Silenced), held: false };
    let quiet = decide(None, &signal(true, "a"), &policy, silenced, at("2026-11-21T10:00:00Z"));
    assert!(is_pending(&quiet.next, &policy));
    let open = Circumstances::default();
    let late = decide(Some(&quiet.next), &signal(true, "a"), &policy, open, at("2026-11-21T11:00:00Z"));
    assert_eq!(late.verdict, Verdict::Alert(Reason::First));
    let over = decide(Some(&quiet.next), &signal(false, "-"), &policy, open, at("2026-11-21T11:00:00Z"));
    assert_eq!(over.verdict, Verdict::Quiet(Quiet::NotFiring));
    assert!(!is_pending(&over.next, &policy));
}

#[test]
fn news_that_was_put_off_does_not_count_as_a_reading_of_its_end() {
    let policy = Policy { resolve_after: 3, ..Policy::default() };
    let silenced = Circumstances { mute: Some(Mute::Silenced), held: false };
    let now = at("2026-11-21T10:00:00Z");
    let mut state = known(true, "a");
    for _ in 0..5 {
        state = decide(Some(&state), &signal(true, "b"), &policy, silenced, now).next;
    }
    let ending = decide(Some(&state), &signal(false, "-"), &policy, silenced, now);
    assert_eq!(ending.verdict, Verdict::Quiet(Quiet::NotYet));
}

/// One reading: whether it fires, which news it would be, what lies around, seconds since the last.
#[derive(Clone, Debug)]
struct Step {
    firing: bool,
    fingerprint: u8,
    around: Circumstances,
    seconds: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mute =
        prop_oneof![4 => Just(None), 1 => Just(Some(Mute::Silenced)), 1 => Just(Some(Mute::Suppressed))];
    let step = (any::<bool>(), 0_u8..3, mute, prop::bool::weighted(0.2), 0_i64..4_000).prop_map(
        |(firing, fingerprint, mute, held, seconds)| Step {
            firing,
            fingerprint,
            around: Circumstances { mute, held },
            seconds,
        },
    );
    prop::collection::vec(step, 1..60)
}

fn policies() -> impl Strategy<Value = Policy> {
    let on_first = prop_oneof![Just(OnFirst::Notify), Just(OnFirst::Announce), Just(OnFirst::Baseline)];
    let every = prop_oneof![Just(None), (1_u64..8_000).prop_map(|s| Some(Period::from_secs(s)))];
    let cooldown = prop_oneof![Just(0_u64), 1_u64..8_000].prop_map(Period::from_secs);
    (on_first, any::<bool>(), 1_u32..4, 1_u32..4, cooldown, every).prop_map(
        |(on_first, resolved, after, resolve_after, cooldown, remind_every)| Policy {
            on_first,
            resolved,
            after,
            resolve_after,
            cooldown,
            remind_every,
        },
    )
}

/// What was said about one subject, as whoever receives it understands it.
#[derive(Default)]
struct Heard {
    /// Since the last end: the fingerprint last told.
    open: Option<String>,
    last_at: Option<Timestamp>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_began_is_ended_and_nothing_is_said_twice(policy in policies(), steps in steps()) {
        let mut now = at("2026-11-21T10:00:00Z");
        let mut known: Option<SignalState> = None;
        let mut heard = Heard::default();
        let mut firing_in_a_row = 0_u32;
        let mut quiet_in_a_row = 0_u32;
        for step in steps {
            now += jiff::SignedDuration::from_secs(step.seconds);
            let signal = signal(step.firing, &step.fingerprint.to_string());
            let decision = decide(known.as_ref(), &signal, &policy, step.around, now);
            (firing_in_a_row, quiet_in_a_row) =
                if step.firing { (firing_in_a_row + 1, 0) } else { (0, quiet_in_a_row + 1) };
            let first_sight = known.is_none();
            let was_firing = known.as_ref().is_some_and(|known| known.firing);
            let since_last = heard.last_at.map(|at| now.duration_since(at).as_secs().unsigned_abs());

            prop_assert_eq!(
                matches!(decision.verdict, Verdict::Held(_)),
                decision.verdict.news().is_some() && step.around.held,
                "quiet hours hold news, and nothing else"
            );
            match decision.verdict.news() {
                Some(Reason::First) => {
                    prop_assert!(heard.open.is_none() || !policy.resolved, "two beginnings without an end");
                    prop_assert!(!was_firing && step.firing && firing_in_a_row >= policy.after);
                    prop_assert!(step.around.mute.is_none(), "an opening while muted");
                    prop_assert!(since_last.is_none_or(|s| s >= policy.cooldown.0.as_secs()), "cooling down");
                    heard.open = Some(signal.fingerprint.clone());
                }
                Some(Reason::Changed) => {
                    prop_assert!(step.firing && was_firing && step.around.mute.is_none());
                    prop_assert_ne!(heard.open.as_ref(), Some(&signal.fingerprint), "the same news twice");
                    prop_assert!(since_last.is_none_or(|s| s >= policy.cooldown.0.as_secs()), "cooling down");
                    heard.open = Some(signal.fingerprint.clone());
                }
                Some(Reason::Reminder) => {
                    prop_assert!(step.firing && step.around.mute.is_none());
                    prop_assert_eq!(heard.open.as_ref(), Some(&signal.fingerprint), "of something never told");
                    let every = policy.remind_every.expect("asked for");
                    prop_assert!(since_last.is_none_or(|s| s >= every.0.as_secs()), "closer than asked");
                }
                Some(Reason::Resolved) => {
                    prop_assert!(heard.open.is_some(), "an end without a beginning");
                    prop_assert!(policy.resolved && !step.firing && quiet_in_a_row >= policy.resolve_after);
                    heard.open = None;
                }
                None => {
                    if first_sight && policy.on_first == OnFirst::Announce && step.firing {
                        heard.open = Some(signal.fingerprint.clone());
                    }
                    // An end that nobody asked for.
                    if was_firing && !decision.next.firing && !policy.resolved {
                        heard.open = None;
                    }
                }
            }
            if decision.verdict.news().is_some() {
                heard.last_at = Some(now);
            }
            // Whoever was told of a beginning and asked for ends hears of it, whatever lay between.
            prop_assert_eq!(decision.next.told && decision.next.firing, heard.open.is_some(),
                "what is open here is what is open there");
            known = Some(decision.next);
        }
        // Enough quiet readings end everything, also in quiet hours and under a silence.
        let muted = Circumstances { mute: Some(Mute::Silenced), held: true };
        for _ in 0..policy.resolve_after {
            now += jiff::SignedDuration::from_secs(1);
            let decision = decide(known.as_ref(), &signal(false, "-"), &policy, muted, now);
            if decision.verdict.news() == Some(Reason::Resolved) {
                heard.open = None;
            }
            known = Some(decision.next);
        }
        prop_assert!(heard.open.is_none() || !policy.resolved, "what was said to begin was never said to end");
    }

    #[test]
    fn what_waits_is_told_as_soon_as_nothing_keeps_it_quiet(policy in policies(), steps in steps()) {
        let policy = Policy { on_first: OnFirst::Notify, ..policy };
        let mut now = at("2026-11-21T10:00:00Z");
        let mut known: Option<SignalState> = None;
        for step in &steps {
            now += jiff::SignedDuration::from_secs(step.seconds);
            let signal = signal(step.firing, &step.fingerprint.to_string());
            known = Some(decide(known.as_ref(), &signal, &policy, step.around, now).next);
        }
        // What waited goes on, undisturbed and for long enough: it is told, late or not.
        let waiting = known.as_ref().is_some_and(|known| known.waits);
        let last = steps.last().map(|step| step.fingerprint.to_string()).unwrap_or_default();
        let mut told = false;
        for _ in 0..policy.after + 1 {
            now += jiff::SignedDuration::from_secs(10_000);
            let decision = decide(known.as_ref(), &signal(true, &last), &policy, Circumstances::default(), now);
            told |= decision.verdict.news().is_some();
            known = Some(decision.next);
        }
        prop_assert!(told || !waiting);
    }

    #[test]
    fn what_is_not_pending_cannot_become_news_by_the_same_reading(
        policy in policies(), steps in steps(), later in 0_i64..100_000, held in any::<bool>(),
    ) {
        let mut now = at("2026-11-21T10:00:00Z");
        let mut known: Option<SignalState> = None;
        let policy = Policy { on_first: OnFirst::Notify, ..policy };
        for step in steps {
            now += jiff::SignedDuration::from_secs(step.seconds);
            let signal = signal(step.firing, &step.fingerprint.to_string());
            let next = decide(known.as_ref(), &signal, &policy, step.around, now).next;
            if !is_pending(&next, &policy) {
                let then = now + jiff::SignedDuration::from_secs(later);
                let around = Circumstances { mute: None, held };
                let again = decide(Some(&next), &signal, &policy, around, then);
                prop_assert!(again.verdict.news().is_none(), "{:?} after {:?}", again.verdict, next);
            }
            known = Some(next);
        }
    }
}

#[test]
fn an_episode_began_with_the_first_of_the_readings_that_made_it_news() {
    let policy = Policy { after: 3, ..Policy::default() };
    let around = Circumstances::default();
    let mut known = None;
    let mut since = None;
    for minute in ["00", "01", "02"] {
        let now = at(&format!("2026-11-21T10:{minute}:00Z"));
        let decision = decide(known.as_ref(), &signal(true, "x"), &policy, around, now);
        since = decision.verdict.news().map(|_| decision.since);
        known = Some(decision.next);
    }
    assert_eq!(since, Some(at("2026-11-21T10:00:00Z")));
}
