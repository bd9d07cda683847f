//! Every parser as a function of any bytes, which panics where a promise does not hold: for `fuzz/`, which
//! looks for such bytes, and for `tests/it/corpus.rs`, which keeps to those that were found.
//!
//! Nothing here touches a file, the environment or the network.

mod configuration;
mod replies;
mod schedules;

use jiff::Timestamp;

use crate::sources;

/// A name, and what reads the bytes.
type Target = (&'static str, fn(&[u8]));

/// The target of each parser that is not a source's own.
const OTHERS: &[Target] = &[
    ("reply", replies::reply),
    ("numbers", numbers),
    ("dates", dates),
    ("crontab", |bytes| schedules::crontab(&text(bytes))),
    ("hours", |bytes| schedules::hours(&text(bytes))),
    ("quiet_hours", |bytes| schedules::quiet_hours(&text(bytes))),
    ("lengths", |bytes| schedules::lengths(&text(bytes))),
    ("config", |bytes| configuration::read(&text(bytes))),
];

/// The name of every target: the kinds of sources, whose replies are read, and the other parsers.
pub fn names() -> impl Iterator<Item = &'static str> {
    sources::KINDS.iter().map(|kind| kind.name).chain(OTHERS.iter().map(|(name, _)| *name))
}

/// Gives these bytes to the parser of that name.
///
/// # Panics
/// When it does not keep what it promises, and when there is none of this name.
pub fn run(name: &str, bytes: &[u8]) {
    match OTHERS.iter().find(|(other, _)| *other == name) {
        Some((_, target)) => target(bytes),
        None => replies::source(name, bytes),
    }
}

/// The moment at which everything is read.
fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().expect("the moment is written well")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is shown to a person is short, and cannot move the cursor of a terminal.
fn assert_fit_to_show(text: &str) {
    assert!(!text.chars().any(char::is_control), "has control characters: {text:?}");
    assert!(text.chars().count() <= LONGEST_SHOWN, "is too long: {} characters", text.chars().count());
}

/// What is wrong with a text that a person wrote, which is said with the text. Whoever shows it sees to it that
/// it is fit to be shown.
fn assert_explained(why: &str, text: &str) {
    assert!(!why.trim().is_empty(), "{text:?} is refused without a reason");
    let most = 4 * text.chars().count() + LONGEST_SHOWN;
    assert!(why.chars().count() <= most, "{text:?} needs {} characters", why.chars().count());
}

/// In characters; a mistake that lists every key there is needs about half of it.
const LONGEST_SHOWN: usize = 1_000;

/// A number as people write it, or as JSON does.
fn numbers(bytes: &[u8]) {
    let text = &*text(bytes);
    if let Some(number) = sources::figure_in(text) {
        assert!(number.is_finite(), "{text:?} is {number}");
        let again = sources::figure_in(&number.to_string());
        assert!(again.is_none_or(|again| again == number), "{text:?} is {number}, and that is {again:?}");
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    let number = sources::number_in(&value);
    assert!(number.is_none_or(f64::is_finite), "{text:?} is {number:?}");
}

/// A date as services write it.
fn dates(bytes: &[u8]) {
    let text = &*text(bytes);
    let [unknown, month_first] = sources::moments_in(text);
    if let (Some(unknown), Some(month_first)) = (unknown, month_first) {
        assert_eq!(unknown, month_first, "{text:?}");
    }
    for moment in [unknown, month_first].into_iter().flatten() {
        assert_eq!(sources::moments_in(&moment.to_string()), [Some(moment); 2], "{text:?}");
    }
}
