//! The table of what is sent next, and the rules over any sequence of messages and answers.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::testing::at;

const NOW: &str = "2026-11-21T07:00:00Z";

fn secs(count: i64) -> Timestamp {
    at(NOW) + SignedDuration::from_secs(count)
}

/// Made so many seconds ago, and due since then.
fn row(seq: i64, topic: &str, ago: i64) -> Waiting {
    Waiting {
        seq,
        kind: DeliveryKind::News,
        topic: topic.into(),
        urgent: false,
        held: false,
        sending: false,
        keeps_urgent: false,
        attempts: 0,
        parts_done: 0,
        doubts: 0,
        alerts: 1,
        created_at: secs(-ago),
        next_at: Timestamp::UNIX_EPOCH,
    }
}

fn held(seq: i64, topic: &str, next_at: i64) -> Waiting {
    Waiting { held: true, next_at: secs(next_at), ..row(seq, topic, 3_600) }
}

fn tried(seq: i64, topic: &str, next_at: i64) -> Waiting {
    Waiting { attempts: 1, next_at: secs(next_at), ..row(seq, topic, 60) }
}

/// It may have been taken.
fn doubtful(seq: i64, topic: &str, next_at: i64) -> Waiting {
    Waiting { doubts: 1, ..tried(seq, topic, next_at) }
}

fn urgent(row: Waiting) -> Waiting {
    Waiting { urgent: true, ..row }
}

fn queue(waiting: Vec<Waiting>) -> Queue {
    Queue { waiting, ..Queue::default() }
}

fn plain() -> Terms {
    Terms::default()
}

fn bundled(seconds: u64) -> Terms {
    Terms { bundle: Duration::from_secs(seconds), budget: None }
}

fn limited(text: &str) -> Terms {
    Terms { bundle: Duration::ZERO, budget: Some(text.parse().unwrap()) }
}

#[test]
fn the_table_of_what_is_sent_next() {
    use Choice::{Gather, Send, Wait};
    use DeliveryKind::{Brief, Bundle};
    let part = Waiting { parts_done: 2, ..tried(1, "", -1) };
    let carrier = Waiting { kind: Brief, ..tried(1, "", -1) };
    let under_way = Waiting { sending: true, ..tried(1, "a", 600) };
    let many = Waiting { alerts: 299, ..held(1, "a", -5) };
    for (case, waiting, terms, expected) in [
        ("nothing", vec![], plain(), Wait(None)),
        ("the oldest", vec![row(1, "a", 9), row(2, "b", 5)], plain(), Send(1)),
        ("the oldest, after the clock was set back", vec![row(1, "a", 5), row(2, "b", 9)], plain(), Send(1)),
        ("the first of a topic", vec![row(1, "a", 5), row(2, "a", 9)], plain(), Send(1)),
        ("one without a topic", vec![tried(1, "", 9), row(2, "", 1)], plain(), Send(2)),
        (
            "its topic waits to be tried again",
            vec![tried(1, "a", 9), row(2, "a", 1)],
            plain(),
            Wait(Some(secs(9))),
        ),
        ("another topic does not", vec![tried(1, "a", 9), row(2, "b", 1)], plain(), Send(2)),
        ("someone is sending it", vec![under_way.clone(), row(2, "a", 1)], plain(), Wait(Some(secs(600)))),
        ("due for longest", vec![tried(1, "a", -3), row(2, "b", 1)], plain(), Send(1)),
        ("urgent goes first", vec![row(1, "a", 9), urgent(row(2, "b", 1))], plain(), Send(2)),
        (
            "but not before its own",
            vec![row(1, "a", 9), row(2, "b", 9), urgent(row(3, "b", 1))],
            plain(),
            Send(2),
        ),
        (
            "held ones in its way do not wait",
            vec![held(1, "b", 99), urgent(row(2, "b", 1))],
            plain(),
            Send(1),
        ),
        (
            "tried ones in its way do",
            vec![tried(1, "b", 99), urgent(row(2, "b", 1))],
            plain(),
            Wait(Some(secs(99))),
        ),
        ("held alone goes as itself", vec![held(1, "a", -1)], plain(), Send(1)),
        (
            "held ones are a brief",
            vec![held(1, "a", -1), held(2, "b", -1)],
            plain(),
            Gather(Brief, vec![1, 2]),
        ),
        (
            "with what waits behind them",
            vec![held(1, "a", -1), row(2, "a", 1), row(3, "b", 0)],
            plain(),
            Gather(Brief, vec![1, 2]),
        ),
        (
            "a brief names each alert",
            vec![many, held(2, "b", -1), held(3, "c", -1)],
            plain(),
            Gather(Brief, vec![1, 2]),
        ),
        ("a brief is tried again as it is", vec![carrier.clone(), held(2, "b", 0)], plain(), Send(1)),
        ("a bundle waits", vec![row(1, "a", 5), row(2, "b", 9)], bundled(30), Wait(Some(secs(21)))),
        (
            "a bundle goes",
            vec![row(1, "a", 5), row(2, "b", 30), row(3, "b", 0)],
            bundled(30),
            Gather(Bundle, vec![1, 2, 3]),
        ),
        ("one alone in a bundle", vec![row(1, "a", 30)], bundled(30), Send(1)),
        (
            "what tells something that is in the way of it does not wait either",
            vec![row(1, "a", 99), Waiting { keeps_urgent: true, ..carrier.clone() }, urgent(row(3, "b", 1))],
            limited("1/h"),
            Send(1),
        ),
        ("urgent waits for no bundle", vec![row(1, "a", 9), urgent(row(2, "b", 1))], bundled(30), Send(2)),
        ("what was tried is in no bundle", vec![tried(1, "a", -1), row(2, "a", 40)], bundled(30), Send(1)),
        ("the clock was set back", vec![row(1, "a", -3_600)], bundled(30), Send(1)),
        ("in parts, alone", vec![part.clone(), row(2, "b", 0)], limited("1/h"), Send(1)),
    ] {
        assert_eq!(choose(&queue(waiting), terms, at(NOW)), expected, "{case}");
    }
}

#[test]
fn what_is_not_at_hand_keeps_its_topic_closed() {
    let mut queue = queue(vec![row(5, "a", 9), row(6, "b", 5)]);
    queue.ahead = vec![("a".into(), 3), (String::new(), 1)];
    assert_eq!(choose(&queue, plain(), at(NOW)), Choice::Send(6));
    queue.ahead = vec![("a".into(), 3), ("b".into(), 4)];
    queue.next_at = Some(secs(60));
    assert_eq!(choose(&queue, plain(), at(NOW)), Choice::Wait(Some(secs(60))));
}

#[test]
fn the_table_of_the_budget() {
    use Choice::{Gather, Send, Wait};
    use DeliveryKind::{Digest, News};
    let ms = |at: Timestamp| at + SignedDuration::from_millis(1);
    let two = || vec![row(1, "a", 9), row(2, "b", 5)];
    let sent = |times: &[i64]| times.iter().map(|ago| (secs(-ago), News)).collect::<Vec<_>>();
    let digest = |ago: i64| (secs(-ago), Digest);
    // Of 4/h, 3 are told by themselves, and a digest comes at most every hour; of 8/h, 6, and every 30 min.
    for (case, waiting, budget, sent, expected) in [
        ("room", two(), "4/h", sent(&[30, 20]), Send(1)),
        ("used up", two(), "4/h", sent(&[30, 20, 10]), Gather(Digest, vec![1, 2])),
        ("even one is a digest", vec![row(1, "a", 9)], "4/h", sent(&[30, 20, 10]), Gather(Digest, vec![1])),
        ("long ago", two(), "4/h", sent(&[3_601, 3_601, 10]), Send(1)),
        (
            "a digest went out",
            two(),
            "8/h",
            [sent(&[60, 50, 40, 30, 20, 10]), vec![digest(5)]].concat(),
            Wait(Some(secs(1_795))),
        ),
        (
            "there is room before the next digest",
            two(),
            "4/h",
            [sent(&[3_590, 20, 10]), vec![digest(5)]].concat(),
            Wait(Some(ms(secs(10)))),
        ),
        ("nothing is left at all", two(), "4/h", sent(&[3_000, 20, 10, 5]), Wait(Some(ms(secs(600))))),
        ("after the clock was set back", two(), "1/h", vec![(secs(60), Digest)], Gather(Digest, vec![1, 2])),
        (
            "what may have been taken goes as itself",
            vec![doubtful(1, "a", -9), row(2, "b", 5), row(3, "a", 5)],
            "4/h",
            sent(&[30, 20, 10]),
            Send(1),
        ),
        (
            "but nothing starves behind it",
            vec![row(1, "b", 60), doubtful(2, "a", -9), row(3, "a", 5)],
            "4/h",
            sent(&[30, 20, 10]),
            Gather(Digest, vec![1]),
        ),
        ("urgent all the same", vec![urgent(row(1, "a", 9))], "1/h", sent(&[5]), Send(1)),
        ("one an hour is a digest", two(), "1/h", sent(&[]), Gather(Digest, vec![1, 2])),
        (
            "held ones, and tried ones that were surely not taken, are gathered too",
            vec![held(1, "a", -9), tried(2, "b", -1), row(3, "c", 1)],
            "4/h",
            sent(&[30, 20, 10]),
            Gather(Digest, vec![1, 2, 3]),
        ),
    ] {
        let queue = Queue { sent, ..queue(waiting) };
        assert_eq!(choose(&queue, limited(budget), at(NOW)), expected, "{case}");
    }
    let under_way = Waiting { sending: true, ..tried(9, "z", 600) };
    let queue = Queue { sent: sent(&[30, 20]), ..queue([two(), vec![under_way]].concat()) };
    assert_eq!(
        choose(&queue, limited("4/h"), at(NOW)),
        Gather(Digest, vec![1, 2]),
        "what is under way counts"
    );
}

/// A message of a run of the property: when it comes, and how its attempts end.
#[derive(Clone, Debug)]
struct Coming {
    after: i64,
    topic: usize,
    urgent: bool,
    held_for: Option<i64>,
    failures: Vec<i64>,
}

fn coming() -> impl Strategy<Value = Coming> {
    let failures = proptest::collection::vec(1_i64..300, 0..3);
    let held_for = proptest::option::weighted(0.2, 1_i64..4_000);
    (0_i64..120, 0_usize..4, proptest::bool::weighted(0.1), held_for, failures).prop_map(
        |(after, topic, urgent, held_for, failures)| {
            let held_for = held_for.filter(|_| !urgent);
            Coming { after, topic, urgent, held_for, failures }
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    let budget = proptest::option::of((1_usize..9, 60_u64..3_600));
    (prop_oneof![Just(0_u64), 1_u64..90], budget).prop_map(|(bundle, budget)| Terms {
        bundle: Duration::from_secs(bundle),
        budget: budget.map(|(messages, seconds)| Budget { messages, window: Duration::from_secs(seconds) }),
    })
}

/// The store as a notifier sees it.
#[derive(Default)]
struct Played {
    rows: Vec<(Waiting, Vec<i64>)>,
    carried: HashMap<i64, Vec<(Waiting, Vec<i64>)>>,
    /// When, what, and whether something urgent made it go.
    sent: Vec<(Timestamp, DeliveryKind, bool)>,
    told: Vec<(i64, String)>,
    next_seq: i64,
}

impl Played {
    fn queue(&self, terms: Terms, now: Timestamp) -> Queue {
        let urgent = |topic: &str| {
            !topic.is_empty() && self.rows.iter().any(|(row, _)| row.urgent && row.topic == topic)
        };
        let asleep =
            |row: &Waiting| row.held && row.attempts == 0 && row.next_at > now && !urgent(&row.topic);
        let keeps_urgent = |row: &Waiting| {
            self.carried.get(&row.seq).is_some_and(|told| told.iter().any(|(row, _)| urgent(&row.topic)))
        };
        let rows =
            self.rows.iter().map(|(row, _)| Waiting { keeps_urgent: keeps_urgent(row), ..row.clone() });
        let (away, waiting): (Vec<_>, Vec<_>) = rows.partition(|row| asleep(row));
        let carried = self.carried.values().flatten().map(|(row, _)| row);
        let ahead = carried.chain(&away).map(|row| (row.topic.clone(), row.seq));
        let mut oldest: HashMap<String, i64> = HashMap::new();
        for (topic, seq) in ahead {
            let known = oldest.entry(topic).or_insert(seq);
            *known = seq.min(*known);
        }
        let window = terms.budget.map_or(Duration::ZERO, |budget| budget.window);
        let lately = self.sent.iter().filter(|(at, ..)| *at + window >= now);
        Queue {
            next_at: away.iter().map(|row| row.next_at).min(),
            waiting,
            ahead: oldest.into_iter().collect(),
            sent: lately.map(|(at, kind, _)| (*at, *kind)).collect(),
        }
    }

    /// Tries to send one: the next of its failures, or it is taken.
    fn send(&mut self, seq: i64, now: Timestamp) {
        let hurried = self.is_hurried(seq);
        let at = self.rows.iter().position(|(row, _)| row.seq == seq).unwrap();
        let (row, failures) = &mut self.rows[at];
        row.attempts += 1;
        if !failures.is_empty() {
            let seconds = failures.remove(0);
            row.doubts += seconds % 2;
            row.next_at = now + SignedDuration::from_secs(seconds);
            return;
        }
        let (row, _) = self.rows.remove(at);
        self.sent.push((now, row.kind, hurried));
        match self.carried.remove(&seq) {
            Some(carried) => self.told.extend(carried.into_iter().map(|(row, _)| (row.seq, row.topic))),
            None => self.told.push((row.seq, row.topic)),
        }
    }

    /// Whether it is urgent, or in the way of something urgent.
    fn is_hurried(&self, seq: i64) -> bool {
        let row = |wanted: i64| self.rows.iter().map(|(row, _)| row).find(|row| row.seq == wanted);
        let this = row(seq).unwrap();
        let told = self.carried.get(&seq).into_iter().flatten().map(|(row, _)| row);
        let topics: Vec<&str> =
            told.chain([this]).map(|row| &*row.topic).filter(|at| !at.is_empty()).collect();
        let behind = |row: &Waiting| row.urgent && topics.contains(&&*row.topic);
        this.urgent || self.rows.iter().any(|(row, _)| behind(row))
    }

    fn gather(&mut self, kind: DeliveryKind, seqs: &[i64], now: Timestamp) {
        let (carried, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.rows).into_iter().partition(|(row, _)| seqs.contains(&row.seq));
        self.rows = left;
        assert_eq!(carried.len(), seqs.len());
        let failures = carried[0].1.clone();
        self.next_seq += 1;
        let seq = self.next_seq;
        self.carried.insert(seq, carried);
        let row = Waiting { kind, created_at: now, ..row(seq, "", 0) };
        self.rows.push((row, failures));
        self.send(seq, now);
    }

    /// Whether something urgent, or what is in its way, could go out: nothing older of its topic waits to be
    /// tried again, by itself or in what tells it.
    fn has_urgent(&self, now: Timestamp) -> bool {
        self.rows.iter().filter(|(row, _)| row.urgent).any(|(row, _)| {
            let same = |other: &Waiting| other.topic == row.topic && !row.topic.is_empty();
            let older = |other: &Waiting| other.seq == row.seq || (same(other) && other.seq < row.seq);
            let waits = |other: &Waiting| older(other) && other.attempts > 0 && other.next_at > now;
            let told_by = |carrier: &Waiting| self.carried.get(&carrier.seq).into_iter().flatten();
            let is_away =
                |carrier: &Waiting| carrier.next_at > now && told_by(carrier).any(|(other, _)| older(other));
            let rows = || self.rows.iter().map(|(row, _)| row);
            !rows().any(|other| waits(other) || is_away(other))
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn order_is_kept_nothing_starves_and_no_budget_is_exceeded(
        terms in terms(),
        coming in proptest::collection::vec(coming(), 1..60),
    ) {
        let mut played = Played::default();
        let mut now = at(NOW);
        let mut coming = coming.into_iter().peekable();
        let count = coming.len();
        let mut next_arrival = coming.peek().map(|next| now + SignedDuration::from_secs(next.after));
        let mut turns = 0;
        loop {
            turns += 1;
            prop_assert!(turns < 20_000, "it never ends");
            if next_arrival.is_some_and(|at| at <= now) && let Some(one) = coming.next() {
                played.next_seq += 1;
                let waiting = Waiting {
                    topic: if one.topic == 0 { String::new() } else { one.topic.to_string() },
                    urgent: one.urgent,
                    held: one.held_for.is_some(),
                    created_at: now,
                    next_at: one.held_for.map_or(Timestamp::UNIX_EPOCH, |seconds| now + SignedDuration::from_secs(seconds)),
                    ..row(played.next_seq, "", 0)
                };
                played.rows.push((waiting, one.failures));
                next_arrival = coming.peek().map(|next| now + SignedDuration::from_secs(next.after));
                continue;
            }
            let has_urgent = played.has_urgent(now);
            let until = match choose(&played.queue(terms, now), terms, now) {
                Choice::Send(seq) => {
                    prop_assert!(!has_urgent || played.is_hurried(seq), "urgent waits");
                    played.send(seq, now);
                    continue;
                }
                Choice::Gather(kind, seqs) => {
                    prop_assert!(!has_urgent, "urgent waits");
                    played.gather(kind, &seqs, now);
                    continue;
                }
                Choice::Wait(until) => until,
            };
            prop_assert!(!has_urgent, "urgent waits");
            prop_assert!(until.is_none_or(|at| at > now), "a time that has passed: {until:?}");
            match earliest(until, next_arrival) {
                Some(next) => now = next,
                None => break,
            }
        }
        prop_assert!(played.rows.is_empty(), "left behind: {:?}", played.rows);
        prop_assert_eq!(played.told.len(), count);
        let mut last: HashMap<&str, i64> = HashMap::new();
        for (seq, topic) in played.told.iter().filter(|(_, topic)| !topic.is_empty()) {
            let before = last.insert(topic, *seq).unwrap_or(0);
            prop_assert!(before < *seq, "{seq} came after {before} of topic {topic}");
        }
        if let Some(budget) = terms.budget {
            for (nth, (end, ..)) in played.sent.iter().enumerate().filter(|(_, (.., hurried))| !hurried) {
                let within = played.sent[..=nth].iter().filter(|(at, ..)| *at + budget.window > *end).count();
                prop_assert!(within <= budget.messages, "{within} in {:?}", budget.window);
            }
        }
    }
}

#[test]
fn a_used_up_budget_and_an_open_bundle_say_until_when() {
    let ten = crate::testing::at("2026-11-21T10:00:00Z");
    let hour = Duration::from_secs(3_600);
    let budget = Some(Budget { messages: 4, window: hour });
    let terms = Terms { budget, bundle: Duration::ZERO };
    let mut queue = Queue { sent: vec![(ten, DeliveryKind::News); 4], ..Queue::default() };
    let now = ten + Duration::from_secs(60);
    assert_eq!(held_up(&queue, terms, now).budget, Some(ten + hour + Duration::from_millis(1)));
    queue.sent.pop();
    assert_eq!(held_up(&queue, terms, now), HeldUp::default(), "a digest may go");
}
