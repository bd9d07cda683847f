//! Fires when a text is another than before; white space does not count.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use similar::{ChangeTag, TextDiff};
use xxhash_rust::xxh3::Xxh3Default;

use super::words::{self, count};
use crate::model::{Observation, PolicyDefaults, Reading, ReadingKind, Reason, Signal};
use crate::plugin::{EvaluateError, Lookback, News, Plugin, Story, Strategy, View, Words};

/// Fires each time the text is another than it was before, with the lines that came and went. White space does not
/// count. A change is an event: it has no end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextChanged {}

/// How much of a difference a person reads.
const LINES: usize = 60;
const CHARACTERS: usize = 3_000;
/// Bytes that make a line a long one.
const LONG: usize = 240;
/// Beyond so many lines that differ, lines are no longer compared in their order, which would take time
/// that grows with the square of their number.
const ORDERED: usize = 2_000;

impl Plugin for TextChanged {
    const KIND: &'static str = "text_changed";
    const ABOUT: &'static str = "a text changed; shows what came and what went";
    const EXAMPLE: &'static str = "";
    const POLICY: PolicyDefaults = PolicyDefaults::QUIET;
}

impl Strategy for TextChanged {
    fn reads(&self) -> &'static [ReadingKind] {
        &[ReadingKind::Text]
    }

    fn lookback(&self) -> Lookback {
        // The text that was settled on may not be the last one seen, where a change must last for some
        // runs or news must wait.
        Lookback { observations: 3, ..Lookback::default() }
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        let signal = |seen: &Observation| {
            let Reading::Text { text } = &seen.reading else { return None };
            let fingerprint = fingerprint(text);
            let name = view.source.describe(&seen.subject);
            let known = view.known.get(&seen.subject).map(|known| known.fingerprint.as_str());
            let mut signal = Signal::event(&seen.subject, "changed", true, fingerprint);
            if known.is_some_and(|known| known != signal.fingerprint) {
                let before = text_before(view, &seen.subject, known, &signal.fingerprint);
                signal.detail = before.map_or_else(String::new, |before| difference(before, text));
            }
            let words = count(text.split_whitespace().count(), "word");
            let verb = if signal.detail.is_empty() { "has" } else { "changed, has" };
            Some(signal.summary(format!("{name} {verb} {words}")).url(seen.url.clone()))
        };
        Ok(view.current.iter().filter_map(signal).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(seen) = view.seen(subject) else { return words::unseen() };
        let Reading::Text { text } = &seen.reading else { return words::unseen() };
        let fingerprint = fingerprint(text);
        let words = count(text.split_whitespace().count(), "word");
        let short = |fingerprint: &str| fingerprint.chars().take(8).collect::<String>();
        let mut steps =
            vec![format!("{words}; white space apart, the text's hash is {}…", short(&fingerprint))];
        let Some(known) = view.known.get(subject) else {
            steps.push("no text was settled on before: it is the first".into());
            return steps;
        };
        if known.fingerprint == fingerprint {
            steps.push("the text that was settled on has the same: it has not changed".into());
            return steps;
        }
        steps.push(format!("the text that was settled on has {}…: it is another", short(&known.fingerprint)));
        steps.push(match text_before(view, subject, Some(&known.fingerprint), &fingerprint) {
            Some(before) => {
                let lines = difference(before, text);
                let of = |sign| lines.lines().filter(|line| line.starts_with(sign)).count();
                format!(
                    "compared line by line: {} came, {} went",
                    count(of('+'), "line"),
                    count(of('-'), "line")
                )
            }
            None => "that text is no longer kept, so what changed cannot be shown".into(),
        });
        steps
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let Some(reason) = story.news.first().map(|news| news.reason) else {
            return words::announcement(story);
        };
        let title = match reason {
            Reason::First => format!("watching {}", story.watch),
            Reason::Reminder => format!("{} has not changed again", story.watch),
            Reason::Changed | Reason::Resolved => format!("{} changed", story.watch),
        };
        let part = |news: &News<'_>| match (news.signal.detail.as_str(), story.news) {
            ("", _) => news.signal.summary.clone(),
            (detail, [_]) => detail.to_owned(),
            (detail, _) => format!("{}:\n{detail}", story.source.describe(&news.signal.subject)),
        };
        let parts: Vec<String> = story.news.iter().map(part).collect();
        let parts = parts.join("\n\n");
        Words { title, body: shortened(parts.lines().map(str::to_owned)), url: words::first_url(story) }
    }
}

/// A hash of the words, whatever white space lies between them.
fn fingerprint(text: &str) -> String {
    let mut hash = Xxh3Default::new();
    for word in text.split_whitespace() {
        hash.update(word.as_bytes());
        hash.update(b" ");
    }
    format!("{:032x}", hash.digest128())
}

/// The earlier text that was settled on; if it is no longer kept, the last other one.
fn text_before<'a>(view: &View<'a>, subject: &str, known: Option<&str>, now: &str) -> Option<&'a str> {
    let texts = view.history(subject).filter_map(|past| match &past.observation.reading {
        Reading::Text { text } => Some((text.as_str(), fingerprint(text))),
        _ => None,
    });
    let texts: Vec<_> = texts.collect();
    let settled = texts.iter().rfind(|(_, fingerprint)| Some(fingerprint.as_str()) == known);
    settled.or_else(|| texts.iter().rfind(|(_, fingerprint)| fingerprint != now)).map(|(text, _)| *text)
}

/// A unified diff of the lines, without their white space and without empty ones.
fn difference(before: &str, after: &str) -> String {
    let before = lines(before);
    let after = lines(after);
    let same_start = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let same_end = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    if before.len().max(after.len()).saturating_sub(same_start + same_end) > ORDERED {
        return shortened(unordered(&before, &after).into_iter());
    }
    let [before, after] = [&before, &after].map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
    let diff = TextDiff::from_slices(&before, &after);
    let mut unified = diff.unified_diff();
    let hunks: Vec<_> = unified.context_radius(2).iter_hunks().collect();
    let lines = hunks.iter().flat_map(|hunk| {
        let sign = |tag| match tag {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        let changes =
            hunk.iter_changes().map(move |change| format!("{}{}", sign(change.tag()), change.value()));
        std::iter::once(hunk.header().to_string()).chain(changes)
    });
    shortened(lines)
}

/// The lines that are in one text only.
fn unordered(before: &[String], after: &[String]) -> Vec<String> {
    let only = |lines: &[String], others: &[String], sign: char| {
        let others: HashSet<&str> = others.iter().map(String::as_str).collect();
        let only = lines.iter().filter(|line| !others.contains(line.as_str()));
        only.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    let mut lines = only(before, after, '-');
    // Half of the room for what went, so that what came is seen.
    let more = lines.len().saturating_sub(LINES / 2);
    if more > 0 {
        lines.truncate(LINES / 2);
        lines.push(format!("… and {} gone", count(more, "more line")));
    }
    lines.extend(only(after, before, '+'));
    lines
}

/// The lines without their white space; a long one sentence by sentence, so that a text that is all one
/// line can be compared too.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![];
    for line in text.lines() {
        let mut sentence = String::new();
        for word in line.split_whitespace() {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(word);
            if line.len() > LONG
                && word.ends_with(['.', '!', '?', ';', ':', ','])
                && sentence.len() > LONG / 4
            {
                lines.push(std::mem::take(&mut sentence));
            }
        }
        if !sentence.is_empty() {
            lines.push(sentence);
        }
    }
    lines
}

/// As many lines and characters as a person reads, with a note of how many more there are.
fn shortened(lines: impl Iterator<Item = String>) -> String {
    let mut kept: Vec<String> = vec![];
    let mut room = CHARACTERS;
    let mut more = 0_usize;
    for mut line in lines {
        if let Some((cut, _)) = line.char_indices().nth(2 * LONG) {
            line.truncate(cut);
            line.push('…');
        }
        let length = line.chars().count() + 1;
        if more == 0 && kept.len() < LINES && length <= room {
            room -= length;
            kept.push(line);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        kept.push(format!("… and {}", count(more, "more line")));
    }
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{known, past, steps_after, tell, told};
    use super::*;
    use crate::testing::{at, evaluate_knowing};

    fn page(text: &str) -> Observation {
        Observation {
            subject: "terms".into(),
            observed_at: at("2026-11-20T00:00:00Z"),
            url: Some("https://shop.example/terms".into()),
            reading: Reading::Text { text: text.into() },
            evidence: Vec::new(),
        }
    }

    /// The signal for `now` after the texts `before`, of which `settled` was settled on.
    fn judge(before: &[&str], settled: Option<&str>, now: &str) -> Signal {
        let settled = settled.map(|text| ("terms".to_owned(), known("changed", true, &fingerprint(text))));
        let known: HashMap<_, _> = settled.into_iter().collect();
        let earlier = past(before.iter().map(|text| page(text)).collect());
        evaluate_knowing(&TextChanged {}, &[page(now)], &earlier, &known).remove(0)
    }

    #[test]
    fn white_space_is_no_change() {
        let fingerprint = fingerprint("Open on Monday\nand Tuesday");
        for (text, same) in [
            ("Open on Monday\nand Tuesday", true),
            ("  Open on\tMonday and\u{a0}Tuesday\r\n\n", true),
            ("Open on Mondayand Tuesday", false),
            ("open on Monday and Tuesday", false),
            ("", false),
        ] {
            let signal = judge(&[], None, text);
            assert!(signal.firing);
            assert_eq!(signal.fingerprint == fingerprint, same, "{text:?}");
            assert_eq!(signal.detail, "");
        }
    }

    #[test]
    fn a_change_is_shown_as_a_diff_against_what_was_settled_on() {
        let (old, between, new) = ("a\nb\n c\nd\ne", "a\nb\nX\nd\ne", "a\nb\nnew\nd\ne\n\nf");
        let diff = "@@ -1,5 +1,6 @@\n a\n b\n-c\n+new\n d\n e\n+f";
        assert_eq!(judge(&[old], Some(old), new).detail, diff);
        assert_eq!(judge(&[old, between], Some(old), new).detail, diff);
        assert_eq!(judge(&[old, new], Some(old), new).detail, diff, "seen before, not settled on yet");
        assert_eq!(judge(&[old], Some("forgotten"), new).detail, diff);
        assert_eq!(judge(&[old], Some(new), new).detail, "", "already settled on");
        assert_eq!(judge(&[], Some(old), new).detail, "");
    }

    #[test]
    fn its_steps_show_whether_it_is_the_text_that_was_settled_on() {
        let steps = |before: &[&str], settled: Option<&str>, now: &str| {
            let known = settled.map(|text| known("changed", true, &fingerprint(text)));
            let earlier = past(before.iter().map(|text| page(text)).collect());
            steps_after(&TextChanged {}, &[page(now)], &earlier, known).split_off(1)
        };
        assert_eq!(steps(&[], None, "a"), ["no text was settled on before: it is the first"]);
        assert_eq!(
            steps(&["a"], Some("a"), " a"),
            ["the text that was settled on has the same: it has not changed"]
        );
        let changed = steps(&["a"], Some("a"), "a\nb");
        assert!(changed[0].ends_with("it is another"), "{changed:?}");
        assert_eq!(changed[1], "compared line by line: 1 line came, 0 lines went");
    }

    #[test]
    fn a_large_change_is_cut_and_says_how_much_more_there_is() {
        let numbered = |from: u32, to: u32| (from..to).map(|n| format!("line {n}\n")).collect::<String>();
        for (old, new, end) in [
            (numbered(0, 100), numbered(1_000, 1_100), "… and 141 more lines"),
            (numbered(0, 100_000), numbered(100_000, 200_000), "… and 99971 more lines"),
            (numbered(0, 9_000), format!("{}end", numbered(0, 9_000)), "+end"),
            ("word, ".repeat(100_000), "other ".repeat(100_000), "…"),
        ] {
            let detail = judge(&[&old], Some(&old), &new).detail;
            assert!(detail.ends_with(end), "{detail}");
            assert!(detail.lines().count() <= 61 && detail.chars().count() <= 3_100, "{detail}");
        }
    }

    #[test]
    fn a_text_of_one_long_line_is_compared_sentence_by_sentence() {
        let text = |hours| {
            format!("{}We open at {hours}. {}", "It is a shop. ".repeat(40), "Welcome all. ".repeat(40))
        };
        let detail = judge(&[&text("nine")], Some(&text("nine")), &text("ten")).detail;
        assert!(detail.contains("We open at ten."), "{detail}");
        assert!(detail.lines().count() < 10, "{detail}");
    }

    #[test]
    fn the_title_names_the_watch_and_the_body_is_the_diff() {
        let signal = judge(&["a"], Some("a"), "b");
        let words = tell(&TextChanged {}, &[told(&signal, Reason::Changed)], &[]);
        assert_eq!(words.title, "watched changed");
        assert_eq!(words.body, "@@ -1 +1 @@\n-a\n+b");
        assert_eq!(words.url.as_deref(), Some("https://shop.example/terms"));
        let words = tell(&TextChanged {}, &[told(&signal, Reason::First)], &[]);
        assert_eq!(words.title, "watching watched");
    }
}
