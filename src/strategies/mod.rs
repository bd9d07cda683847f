//! The table of strategies: how to judge what was seen. One file and one row each.

use crate::plugin::{Kind, Strategy};

mod adaptive_pq;
mod percent_change;
mod price_drop;
mod restock;
mod rsi;
mod spike;
mod text_changed;
mod threshold;

mod indicator;
mod reading;
mod words;

/// Every strategy there is.
pub const KINDS: &[Kind<dyn Strategy>] = &[
    Kind::strategy::<adaptive_pq::AdaptivePq>(),
    Kind::strategy::<percent_change::PercentChange>(),
    Kind::strategy::<price_drop::PriceDrop>(),
    Kind::strategy::<restock::Restock>(),
    Kind::strategy::<rsi::Rsi>(),
    Kind::strategy::<spike::Spike>(),
    Kind::strategy::<text_changed::TextChanged>(),
    Kind::strategy::<threshold::Threshold>(),
];

/// Reads a strategy whose keys must also agree with each other: the derived `Deserialize` of the struct
/// (with `remote = "Self"`), then the check.
macro_rules! checked {
    ($strategy:ty, |$built:ident| $check:expr) => {
        impl<'de> serde::Deserialize<'de> for $strategy {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let check = |$built: &Self| -> Result<(), String> { $check };
                let built = Self::deserialize(deserializer)?;
                check(&built).map_err(serde::de::Error::custom)?;
                Ok(built)
            }
        }
    };
}
use checked;

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::{Observation, Past, Reason, Signal, SignalState};
    use crate::plugin::{News, Story, View, Words};
    use crate::testing::{NoSource, at};

    /// Twelve minutes after the news began.
    const NOW: &str = "2026-11-20T00:12:00Z";

    /// One piece of news that began at midnight.
    pub(super) fn told(signal: &Signal, reason: Reason) -> News<'_> {
        News { signal, reason, since: at("2026-11-20T00:00:00Z") }
    }

    /// The words of a strategy for this news, in a watch named `watched`.
    pub(super) fn tell(strategy: &dyn Strategy, news: &[News<'_>], current: &[Observation]) -> Words {
        let signals: Vec<Signal> = news.iter().map(|news| news.signal.clone()).collect();
        tell_all(strategy, news, &signals, current)
    }

    /// The same, with signals that are no news.
    pub(super) fn tell_all(
        strategy: &dyn Strategy,
        news: &[News<'_>],
        signals: &[Signal],
        current: &[Observation],
    ) -> Words {
        strategy.tell(&Story {
            watch: "watched",
            news,
            signals,
            current,
            now: at(NOW),
            zone: &TimeZone::UTC,
            source: &NoSource,
        })
    }

    /// The steps of a strategy about the one subject, whatever it is called.
    pub(super) fn steps(
        strategy: &dyn Strategy,
        current: &[Observation],
        known: Option<SignalState>,
    ) -> Vec<String> {
        steps_after(strategy, current, &[], known)
    }

    /// The same, with a past.
    pub(super) fn steps_after(
        strategy: &dyn Strategy,
        current: &[Observation],
        earlier: &[Past],
        known: Option<SignalState>,
    ) -> Vec<String> {
        let last = current.last();
        let subject = last.map_or("AAPL", |seen| &seen.subject);
        let view = View {
            current,
            earlier,
            absent: &[],
            known: &known.into_iter().map(|known| (subject.to_owned(), known)).collect(),
            now: last.map_or_else(|| at(NOW), |seen| seen.observed_at),
            zone: &TimeZone::UTC,
            source: &NoSource,
        };
        strategy.steps(&view, subject)
    }

    /// Each seen once.
    pub(super) fn past(seen: Vec<Observation>) -> Vec<Past> {
        let once = |observation: Observation| Past {
            last_seen_at: observation.observed_at,
            observation,
            times_seen: 1,
        };
        seen.into_iter().map(once).collect()
    }

    /// What was settled on before.
    pub(super) fn known(state: &str, firing: bool, fingerprint: &str) -> SignalState {
        SignalState {
            state: state.into(),
            firing,
            fingerprint: fingerprint.into(),
            value: None,
            since: at("2026-11-01T00:00:00Z"),
            told: firing,
            last_told_at: None,
            last_told_value: None,
            streak: 0,
            streak_since: None,
            waits: false,
        }
    }

    #[test]
    fn every_example_builds() {
        for kind in KINDS {
            let text = format!("kind = \"{}\"\n{}", kind.name, kind.example);
            let table = toml::de::DeTable::parse(&text).unwrap();
            let (built, strategy) = crate::plugin::build(KINDS, table).expect(kind.name);
            assert_eq!(built.name, kind.name);
            assert!(!strategy.reads().is_empty());
        }
    }

    #[test]
    fn every_strategy_has_words_for_an_announcement() {
        for kind in KINDS {
            let text = format!("kind = \"{}\"\n{}", kind.name, kind.example);
            let table = toml::de::DeTable::parse(&text).unwrap();
            let (_, strategy) = crate::plugin::build(KINDS, table).expect(kind.name);
            let words = tell(&*strategy, &[], &[]);
            assert!(words.title.starts_with("watched: watching "), "{}: {}", kind.name, words.title);
        }
    }

    #[test]
    fn every_strategy_says_of_what_it_did_not_see_that_it_did_not_see_it() {
        for kind in KINDS {
            let text = format!("kind = \"{}\"\n{}", kind.name, kind.example);
            let table = toml::de::DeTable::parse(&text).unwrap();
            let (_, strategy) = crate::plugin::build(KINDS, table).expect(kind.name);
            assert_eq!(steps(&*strategy, &[], None), words::unseen(), "{}", kind.name);
        }
    }
}
