//! A person's "not now".

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A silence that nobody remembers is worse than noise.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// So many characters a comment has at most: it stands in a message.
const LONGEST_COMMENT: usize = 1_000;

/// How a line begins that says that a silence has ended; such a line stands under whatever is told next.
pub const SILENCE_OF: &str = "The silence of ";

/// A person's "not now": mutes openings of what it matches, never their ends, and always ends itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Silence {
    /// Its row; 0 before it is stored.
    pub id: i64,
    /// What it matches.
    #[schema(value_type = BTreeMap<String, String>)]
    pub matchers: Matchers,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

impl Silence {
    /// A silence from now on, by whom and why.
    ///
    /// # Errors
    /// A sentence: it must end, within a year, and its comment too.
    pub fn new(
        matchers: Matchers,
        ends_at: Timestamp,
        created_by: impl Into<String>,
        comment: &str,
        now: Timestamp,
    ) -> Result<Self, String> {
        let length = Duration::try_from(ends_at.duration_since(now)).unwrap_or_default();
        if length.is_zero() {
            return Err(format!("{ends_at:.0} is over already; a silence must end later than now"));
        }
        if length > LONGEST {
            return Err("a silence lasts a year at most; set `enabled = false` for longer".into());
        }
        let comment = comment.trim();
        if comment.chars().count() > LONGEST_COMMENT {
            return Err("a comment has a thousand characters at most".into());
        }
        let (created_by, comment) = (created_by.into(), comment.to_owned());
        Ok(Self { id: 0, matchers, starts_at: now, ends_at, created_by, comment })
    }
}

/// What is told of: all that a silence can be about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The watch's name.
    pub watch: &'a str,
    /// The strategy; `run` for what the daemon says about its own runs.
    pub strategy: &'a str,
    /// The subject.
    pub subject: &'a str,
    /// The watch's labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Patterns by what they are about: `watch`, `subject`, `strategy`, or `label.NAME`. All of them must
/// match; a `*` in a pattern stands for any text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Matchers(BTreeMap<String, String>);

impl TryFrom<BTreeMap<String, String>> for Matchers {
    type Error = String;

    fn try_from(patterns: BTreeMap<String, String>) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("a silence must say what it is about: watch, subject, strategy or label.NAME".into());
        }
        let is_known = |name: &str| {
            matches!(name, "watch" | "subject" | "strategy")
                || name.strip_prefix("label.").is_some_and(|label| !label.is_empty())
        };
        match patterns.keys().find(|name| !is_known(name)) {
            Some(name) => Err(format!(
                "`{name}` is nothing a silence can be about; there are watch, subject, strategy and label.NAME"
            )),
            None => Ok(Self(patterns)),
        }
    }
}

impl From<Matchers> for BTreeMap<String, String> {
    fn from(matchers: Matchers) -> Self {
        matchers.0
    }
}

impl Matchers {
    /// Whether all patterns match.
    #[must_use]
    pub fn matches(&self, about: &About<'_>) -> bool {
        self.0.iter().all(|(name, pattern)| match name.as_str() {
            "watch" => fits(pattern, about.watch),
            "strategy" => fits(pattern, about.strategy),
            "subject" => fits(pattern, about.subject),
            name => {
                let label = name.strip_prefix("label.").and_then(|label| about.labels.get(label));
                label.is_some_and(|label| fits(pattern, label))
            }
        })
    }
}

impl std::fmt::Display for Matchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(name, pattern)| format!("{name}={pattern}")).collect();
        f.write_str(&parts.join(" "))
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(before) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = text.get(at.saturating_add(piece.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn matchers(patterns: &[(&str, &str)]) -> Result<Matchers, String> {
        let patterns: BTreeMap<String, String> =
            patterns.iter().map(|(name, pattern)| ((*name).into(), (*pattern).into())).collect();
        patterns.try_into()
    }

    #[test]
    fn every_pattern_must_match() {
        let labels = BTreeMap::from([("team".to_owned(), "gpu".to_owned())]);
        let about = About { watch: "gtx3070", strategy: "restock", subject: "N82E-1", labels: &labels };
        for (patterns, expected) in [
            (vec![("watch", "gtx3070")], true),
            (vec![("watch", "gtx*")], true),
            (vec![("watch", "*30*0")], true),
            (vec![("watch", "*")], true),
            (vec![("watch", "gtx")], false),
            (vec![("watch", "gtx*9")], false),
            (vec![("watch", "gtx*"), ("subject", "N82*")], true),
            (vec![("watch", "gtx*"), ("subject", "X*")], false),
            (vec![("strategy", "restock"), ("label.team", "gpu")], true),
            (vec![("label.team", "cpu")], false),
            (vec![("label.other", "*")], false),
        ] {
            assert_eq!(matchers(&patterns).unwrap().matches(&about), expected, "{patterns:?}");
        }
    }

    #[test]
    fn a_pattern_s_pieces_do_not_overlap() {
        assert!(!fits("ab*ba", "aba"));
        assert!(fits("ab*ba", "abba"));
        assert!(fits("**", ""));
    }

    #[test]
    fn a_silence_ends_within_a_year_and_says_why_in_a_thousand_characters() {
        let now = at("2026-11-21T10:00:00Z");
        let silence = |ends_at: &str, comment: &str| {
            let matchers = matchers(&[("watch", "gtx")]).unwrap();
            Silence::new(matchers, at(ends_at), "the dashboard", comment, now)
        };
        let made = silence("2026-11-21T12:00:00Z", " building work\n").unwrap();
        assert_eq!((made.starts_at, made.ends_at), (now, at("2026-11-21T12:00:00Z")));
        assert_eq!((made.created_by.as_str(), made.comment.as_str()), ("the dashboard", "building work"));
        assert!(silence("2027-11-22T10:00:00Z", &"ü".repeat(1_000)).is_ok());
        for (ends_at, comment, why) in [
            ("2026-11-21T10:00:00Z", "", "over already"),
            ("2026-11-21T09:00:00Z", "", "over already"),
            ("2027-11-22T10:00:01Z", "", "a year at most"),
            ("2026-11-21T12:00:00Z", &"x".repeat(1_001), "a thousand characters"),
        ] {
            let said = silence(ends_at, comment).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_silence_about_nothing_or_about_something_unknown_is_refused() {
        assert!(matchers(&[]).is_err());
        assert!(matchers(&[("symbol", "AAPL")]).expect_err("unknown").contains("`symbol`"));
        assert!(matchers(&[("label.", "x")]).is_err());
    }
}
