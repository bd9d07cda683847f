//! The words of messages that the outbox makes of others, and what it says beside one that comes late.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::plan::{Terms, pause_between_digests};
use crate::model::{Alert, AlertStatus, Period, SILENCE_OF, SignalState};
use crate::store::{Carried, Claimed, DeliveryKind, Text};

/// Nobody calls a message late that comes within this.
const LATE: Duration = Duration::from_secs(60);

/// Up to so many lines, a brief also says what stood under them.
const FEW_LINES: usize = 8;

/// So much of what stood under a line.
const FEW_DETAILS: usize = 4;

/// Up to so many characters, messages that are gathered keep all their words. Notifiers cut what is much
/// longer, and then the last ones would not be named at all.
const ROOM: usize = 12_000;

/// No line of a list of many is longer.
const LONGEST_LINE: usize = 240;

/// The titles that stand in a title.
const LONGEST_TITLE: usize = 150;

/// What time it is, and where.
pub(super) struct Clock<'a> {
    pub(super) now: Timestamp,
    /// The zone of a watch, by its name; that of the daemon for none.
    pub(super) zone_of: &'a dyn Fn(Option<&str>) -> TimeZone,
}

impl Clock<'_> {
    /// The time of day, with the date when it is another day.
    fn shown(&self, at: Timestamp, watch: Option<&str>) -> String {
        let zone = (self.zone_of)(watch);
        let (at, now) = (at.to_zoned(zone.clone()), self.now.to_zoned(zone));
        at.strftime(if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }

    fn since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.now.duration_since(at)).unwrap_or_default()
    }
}

/// The words of a message that tells others.
pub(super) fn compose(kind: DeliveryKind, carried: &[Carried], terms: Terms, clock: &Clock<'_>) -> Text {
    match kind {
        DeliveryKind::Brief => brief(carried, clock),
        DeliveryKind::Digest => digest(carried, terms, clock),
        DeliveryKind::News | DeliveryKind::Note | DeliveryKind::Bundle => bundle(carried, terms, clock),
    }
}

/// What is said under a message that comes late: when it happened, and after quiet hours whether it is still so.
pub(super) fn late(claimed: &Claimed, terms: Terms, clock: &Clock<'_>) -> Option<String> {
    let waits_for_others = !claimed.urgent && !claimed.held && !claimed.kind.is_carrier();
    let bundle = if waits_for_others { terms.bundle } else { Duration::ZERO };
    if clock.since(claimed.created_at) <= LATE.saturating_add(bundle) {
        return None;
    }
    let watch = claimed.alerts.first().map(|alert| alert.watch.as_str());
    let (then, now) = (clock.shown(claimed.created_at, watch), clock.shown(clock.now, watch));
    if claimed.kind.is_carrier() {
        return Some(format!("Gathered {then}, delivered {now}."));
    }
    let still = if claimed.held { still(claimed, clock) } else { String::new() };
    Some(format!("Happened {then}, delivered {now}{still}."))
}

/// Whether what a message says is still so.
fn still(claimed: &Claimed, clock: &Clock<'_>) -> String {
    let all: Vec<String> = claimed
        .alerts
        .iter()
        .zip(&claimed.states)
        .map(|(alert, state)| by_now(alert, state.as_ref(), clock))
        .collect();
    match all.split_first() {
        None => String::new(),
        Some((first, others)) if others.iter().all(|other| other == first) => {
            if first.is_empty() {
                String::new()
            } else {
                format!("; {first}")
            }
        }
        Some(_) => {
            let still = all.iter().filter(|one| *one == STILL_SO).count();
            format!("; {still} of {} {STILL_SO}", all.len())
        }
    }
}

const STILL_SO: &str = "still so";

/// How it is now with what an alert told; empty where there is nothing to say.
fn by_now(alert: &Alert, state: Option<&SignalState>, clock: &Clock<'_>) -> String {
    let Some(state) = state else { return String::new() };
    let since = || clock.shown(state.since, Some(&alert.watch));
    match alert.status {
        // What a watch found when it began.
        AlertStatus::Firing if !alert.signal.firing => String::new(),
        AlertStatus::Firing if !state.firing => format!("over since {}", since()),
        AlertStatus::Firing if state.fingerprint != alert.signal.fingerprint => "changed since".into(),
        AlertStatus::Firing => STILL_SO.into(),
        AlertStatus::Resolved if state.firing => format!("so again since {}", since()),
        AlertStatus::Resolved => String::new(),
    }
}

/// What was told of one subject in quiet hours.
struct Told<'c> {
    alerts: Vec<(&'c Carried, &'c Alert, Option<&'c SignalState>)>,
}

fn brief(carried: &[Carried], clock: &Clock<'_>) -> Text {
    enum Entry<'c> {
        Subject(Told<'c>),
        Alone(&'c Carried),
    }
    let mut entries = Vec::new();
    let mut known: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for one in carried {
        if one.alerts.is_empty() {
            entries.push(Entry::Alone(one));
        }
        for (alert, state) in &one.alerts {
            let subject = (alert.watch.as_str(), alert.strategy.as_str(), alert.signal.subject.as_str());
            let at = *known.entry(subject).or_insert(entries.len());
            let told = (one, alert, state.as_ref());
            match entries.get_mut(at) {
                Some(Entry::Subject(before)) => before.alerts.push(told),
                _ => entries.push(Entry::Subject(Told { alerts: vec![told] })),
            }
        }
    }
    let few = entries.len() <= FEW_LINES;
    let mut lines = Vec::new();
    for entry in &entries {
        let (line, body, url) = match entry {
            Entry::Subject(told) => told.line(clock),
            Entry::Alone(one) => {
                let line = format!("{} {}", clock.shown(one.created_at, None), one.title);
                (line, one.body.as_str(), one.url.as_deref())
            }
        };
        lines.push(line);
        if few {
            let url = url.filter(|url| !body.contains(url));
            lines.extend(body.lines().take(FEW_DETAILS).chain(url).map(|line| format!("  {line}")));
        }
    }
    // That a silence has ended is said under a message, and nowhere else.
    let ended = carried.iter().flat_map(|one| one.body.lines()).filter(|line| line.starts_with(SILENCE_OF));
    for line in ended {
        let line = line.to_owned();
        if !lines.iter().any(|other| other.trim_start() == line) {
            lines.push(line);
        }
    }
    Text { title: format!("While it was quiet: {}", count(carried.len())), body: lines.join("\n"), url: None }
}

impl<'c> Told<'c> {
    /// What happened when, and whether it is still so; and what stood under the last of it.
    fn line(&self, clock: &Clock<'_>) -> (String, &'c str, Option<&'c str>) {
        let mut parts: Vec<String> = Vec::new();
        let mut last_title = "";
        let mut is_on = false;
        for (one, alert, _) in &self.alerts {
            let at = clock.shown(one.created_at, Some(&alert.watch));
            match alert.status {
                AlertStatus::Firing if alert.title == last_title && is_on => {}
                AlertStatus::Resolved if is_on => parts.push(format!("over since {at}")),
                _ => parts.push(format!("{at} {}", cut(&alert.title, LONGEST_LINE))),
            }
            is_on = alert.status == AlertStatus::Firing;
            last_title = &alert.title;
        }
        let Some((_, alert, state)) = self.alerts.last() else { return (String::new(), "", None) };
        let now = by_now(alert, *state, clock);
        if !now.is_empty() {
            parts.push(now);
        }
        (parts.join("; "), &alert.body, alert.url.as_deref())
    }
}

fn bundle(carried: &[Carried], terms: Terms, clock: &Clock<'_>) -> Text {
    let titles: Vec<&str> = carried.iter().map(|one| one.title.as_str()).collect();
    let in_time = LATE.saturating_add(terms.bundle);
    let timed = carried.iter().any(|one| clock.since(one.created_at) > in_time);
    Text {
        title: cut(&format!("{}: {}", count(carried.len()), titles.join("; ")), LONGEST_TITLE),
        body: list(carried, timed, clock),
        url: None,
    }
}

fn digest(carried: &[Carried], terms: Terms, clock: &Clock<'_>) -> Text {
    let budget = terms.budget.map(|budget| budget.to_string()).unwrap_or_default();
    let pause = Period(terms.budget.map(pause_between_digests).unwrap_or_default());
    let why =
        format!("The budget of {budget} is used up: for now, messages come gathered, every {pause} at most.");
    match carried {
        [one] => {
            let body = if one.body.is_empty() { why } else { format!("{}\n{why}", one.body) };
            Text { title: one.title.clone(), body, url: one.url.clone() }
        }
        several => Text {
            title: format!("Over the budget of {budget}: {} in one", count(several.len())),
            body: format!("{}\n{why}", list(several, true, clock)),
            url: None,
        },
    }
}

/// One message after the other, as completely as there is room.
fn list(carried: &[Carried], timed: bool, clock: &Clock<'_>) -> String {
    let whole = listed(carried, timed, usize::MAX, clock);
    if whole.chars().count() <= ROOM {
        return whole;
    }
    let few = listed(carried, timed, FEW_DETAILS, clock);
    if few.chars().count() <= ROOM { few } else { listed(carried, timed, 0, clock) }
}

fn listed(carried: &[Carried], timed: bool, details: usize, clock: &Clock<'_>) -> String {
    let apart = details > 0 && carried.iter().any(|one| !one.body.is_empty() || one.url.is_some());
    let mut text = String::new();
    for one in carried {
        if apart && !text.is_empty() {
            text.push('\n');
        }
        if timed {
            let watch = one.alerts.first().map(|(alert, _)| alert.watch.as_str());
            let _ = write!(text, "{} ", clock.shown(one.created_at, watch));
        }
        let title = if details == usize::MAX { one.title.clone() } else { cut(&one.title, LONGEST_LINE) };
        let _ = writeln!(text, "{title}");
        let url = one.url.as_deref().filter(|url| details > 0 && !one.body.contains(url));
        for line in one.body.lines().take(details).chain(url) {
            let _ = writeln!(text, "{line}");
        }
    }
    text.trim_end().to_owned()
}

fn count(messages: usize) -> String {
    if messages == 1 { "1 message".into() } else { format!("{messages} messages") }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, Severity, Signal};
    use crate::testing::at;

    const NOW: &str = "2026-11-21T07:00:00Z";

    fn alert(subject: &str, fingerprint: &str, reason: Reason, title: &str, body: &str) -> Alert {
        let firing = reason != Reason::Resolved;
        Alert {
            id: format!("{subject}-{title}"),
            watch: "w".into(),
            strategy: "threshold".into(),
            signal: Signal::event(subject, "on", firing, fingerprint).severity(Severity::Info),
            status: reason.status(),
            reason,
            title: title.into(),
            body: body.into(),
            url: None,
            starts_at: at(NOW),
            ends_at: None,
            labels: Default::default(),
        }
    }

    fn state(firing: bool, fingerprint: &str, since: &str) -> Option<SignalState> {
        Some(SignalState {
            state: String::new(),
            firing,
            fingerprint: fingerprint.into(),
            value: None,
            since: at(since),
            told: firing,
            last_told_at: None,
            last_told_value: None,
            streak: 0,
            streak_since: None,
            waits: false,
        })
    }

    fn told(time: &str, alert: Alert, state: Option<SignalState>) -> Carried {
        let (title, body, url) = (alert.title.clone(), alert.body.clone(), alert.url.clone());
        Carried { title, body, url, created_at: at(time), alerts: vec![(alert, state)] }
    }

    fn plain(time: &str, title: &str, body: &str) -> Carried {
        Carried { title: title.into(), body: body.into(), url: None, created_at: at(time), alerts: vec![] }
    }

    fn composed(kind: DeliveryKind, carried: &[Carried], terms: Terms) -> Text {
        let clock = Clock { now: at(NOW), zone_of: &|_| TimeZone::UTC };
        compose(kind, carried, terms, &clock)
    }

    #[test]
    fn a_brief_says_what_happened_when_and_whether_it_is_still_so() {
        use Reason::{Changed, First, Resolved};
        let over = state(false, "-", "2026-11-21T03:10:00Z");
        let carried = [
            told(
                "2026-11-20T23:14:00Z",
                alert("a", "x", First, "a is above 10: 11", ""),
                state(true, "x", NOW),
            ),
            told("2026-11-21T02:14:00Z", alert("b", "x", First, "b is above 10: 11", ""), over.clone()),
            told("2026-11-21T02:20:00Z", alert("c", "x", First, "c says x", ""), state(true, "y", NOW)),
            told(
                "2026-11-21T03:10:00Z",
                alert("b", "-", Resolved, "b is no longer above 10: 9", "for 56 min"),
                over.clone(),
            ),
            told(
                "2026-11-21T03:30:00Z",
                alert("d", "-", Resolved, "d is no longer above 10: 9", ""),
                over.clone(),
            ),
            told("2026-11-21T04:00:00Z", alert("e", "x", First, "e is above 10: 11", "see\nhere"), over),
            told("2026-11-21T04:10:00Z", alert("f", "x", First, "f is x", ""), state(true, "y", NOW)),
            told("2026-11-21T04:20:00Z", alert("f", "y", Changed, "f is y", ""), state(true, "y", NOW)),
            plain("2026-11-21T05:00:00Z", "a note", "with a line\nThe silence of watch=w ended at 04:00"),
        ];
        let brief = composed(DeliveryKind::Brief, &carried, Terms::default());
        assert_eq!(brief.title, "While it was quiet: 9 messages");
        assert_eq!(
            brief.body,
            "2026-11-20 23:14 a is above 10: 11; still so\n\
             02:14 b is above 10: 11; over since 03:10\n  for 56 min\n\
             02:20 c says x; changed since\n\
             03:30 d is no longer above 10: 9\n\
             04:00 e is above 10: 11; over since 03:10\n  see\n  here\n\
             04:10 f is x; 04:20 f is y; still so\n\
             05:00 a note\n  with a line\n  The silence of watch=w ended at 04:00"
        );
    }

    #[test]
    fn a_long_brief_names_everything_and_leaves_the_details_out() {
        let carried: Vec<Carried> = (0..300)
            .map(|n| {
                let alert =
                    alert(&n.to_string(), "x", Reason::First, &format!("subject {n} is on"), "detail");
                told("2026-11-21T04:00:00Z", alert, None)
            })
            .collect();
        let brief = composed(DeliveryKind::Brief, &carried, Terms::default());
        assert_eq!(brief.body.lines().count(), 300);
        assert!(brief.body.ends_with("04:00 subject 299 is on"), "{}", brief.body);
    }

    #[test]
    fn a_bundle_keeps_every_word_while_there_is_room() {
        let carried = [plain(NOW, "one", "more\nof it"), plain(NOW, "two", "")];
        let bundle = composed(DeliveryKind::Bundle, &carried, Terms::default());
        assert_eq!(bundle.title, "2 messages: one; two");
        assert_eq!(bundle.body, "one\nmore\nof it\n\ntwo");
        let carried = [plain("2026-11-21T06:50:00Z", "one", ""), plain(NOW, "two", "")];
        assert_eq!(composed(DeliveryKind::Bundle, &carried, Terms::default()).body, "06:50 one\n07:00 two");
        let long: Vec<Carried> = (0..200)
            .map(|n| plain(NOW, &format!("message {n}"), &"quite a long line\n".repeat(500)))
            .collect();
        let bundle = composed(DeliveryKind::Bundle, &long, Terms::default());
        assert!(bundle.body.lines().eq((0..200).map(|n| format!("message {n}"))), "{}", bundle.body);
        assert_eq!(bundle.title.chars().count(), LONGEST_TITLE);
    }

    #[test]
    fn a_digest_says_why_it_is_one() {
        let terms = Terms { budget: Some("20/h".parse().unwrap()), ..Terms::default() };
        let why = "The budget of 20/h is used up: for now, messages come gathered, every 12 min at most.";
        let carried = [plain("2026-11-21T06:59:00Z", "one", ""), plain(NOW, "two", "")];
        let digest = composed(DeliveryKind::Digest, &carried, terms);
        assert_eq!(digest.title, "Over the budget of 20/h: 2 messages in one");
        assert_eq!(digest.body, format!("06:59 one\n07:00 two\n{why}"));
        let digest = composed(DeliveryKind::Digest, &carried[..1], terms);
        assert_eq!((digest.title.as_str(), digest.body.as_str()), ("one", why));
    }

    fn claimed(made: &str, kind: DeliveryKind, held: bool, alerts: Vec<Carried>) -> Claimed {
        let (alerts, states) = alerts.into_iter().flat_map(|one| one.alerts).unzip();
        Claimed {
            id: "d".into(),
            kind,
            title: "t".into(),
            body: String::new(),
            url: None,
            alerts,
            states,
            held,
            urgent: false,
            attempt: 1,
            parts_done: 0,
            created_at: at(made),
            patient_since: at(made),
        }
    }

    #[test]
    fn a_late_message_says_so() {
        use DeliveryKind::{Brief, News};
        let on = |fingerprint: &str| {
            let alert = alert("a", "x", Reason::First, "a", "");
            told(NOW, alert, state(true, fingerprint, NOW))
        };
        let off =
            told(NOW, alert("b", "x", Reason::First, "b", ""), state(false, "-", "2026-11-21T03:10:00Z"));
        for (made, kind, held, alerts, expected) in [
            ("2026-11-21T06:59:00Z", News, false, vec![], None),
            ("2026-11-21T07:30:00Z", News, false, vec![], None),
            ("2026-11-21T06:58:30Z", News, false, vec![], None),
            ("2026-11-21T06:31:00Z", News, false, vec![on("x")], Some("Happened 06:31, delivered 07:00.")),
            (
                "2026-11-20T22:31:00Z",
                News,
                false,
                vec![],
                Some("Happened 2026-11-20 22:31, delivered 07:00."),
            ),
            (
                "2026-11-21T02:14:00Z",
                News,
                true,
                vec![on("x")],
                Some("Happened 02:14, delivered 07:00; still so."),
            ),
            (
                "2026-11-21T02:14:00Z",
                News,
                true,
                vec![on("y")],
                Some("Happened 02:14, delivered 07:00; changed since."),
            ),
            (
                "2026-11-21T02:14:00Z",
                News,
                true,
                vec![off.clone()],
                Some("Happened 02:14, delivered 07:00; over since 03:10."),
            ),
            (
                "2026-11-21T02:14:00Z",
                News,
                true,
                vec![on("x"), off],
                Some("Happened 02:14, delivered 07:00; 1 of 2 still so."),
            ),
            ("2026-11-21T06:31:00Z", Brief, false, vec![], Some("Gathered 06:31, delivered 07:00.")),
        ] {
            let clock = Clock { now: at(NOW), zone_of: &|_| TimeZone::UTC };
            let terms = Terms { bundle: Duration::from_secs(30), ..Terms::default() };
            let line = late(&claimed(made, kind, held, alerts), terms, &clock);
            assert_eq!(line.as_deref(), expected, "{made}");
        }
    }

    #[test]
    fn times_are_those_of_the_watch() {
        let zone_of = |watch: Option<&str>| {
            TimeZone::get(if watch == Some("w") { "Asia/Tokyo" } else { "Europe/Warsaw" }).unwrap()
        };
        let clock = Clock { now: at("2026-11-21T16:00:00Z"), zone_of: &zone_of };
        assert_eq!(clock.shown(at("2026-11-21T14:59:00Z"), Some("w")), "2026-11-21 23:59");
        assert_eq!(clock.shown(at("2026-11-21T14:59:00Z"), None), "15:59");
    }
}
