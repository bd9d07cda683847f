//! What lies around a run and keeps news from being told at once: silences, quiet hours, a watch that it
//! depends on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::own::{FAILING, RUN};
use crate::alerting::{Circumstances, Decision, Mute, Quiet, Verdict};
use crate::model::{About, Alert, Silence};
use crate::store::Store;
use crate::watchlist::{Roster, Watch};

/// The silences of which a message says that they have ended: of several runs at once, only one says it.
#[derive(Default)]
pub(super) struct SaidToEnd(Mutex<HashSet<i64>>);

impl SaidToEnd {
    /// Takes it back for a run that could not be stored.
    pub(super) fn take_back(&self, silences: &[i64]) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|silence| !silences.contains(silence));
    }
}

/// What lies around a run.
pub(super) struct Around {
    silences: Vec<Silence>,
    /// The watch that this one depends on and that is failing.
    failing: Option<String>,
    /// When the quiet hours end that it runs in.
    pub(super) held_until: Option<Timestamp>,
    said: Arc<SaidToEnd>,
    now: Timestamp,
}

impl Around {
    pub(super) async fn look(
        store: &Store,
        roster: &Roster,
        watch: &Watch,
        said: Arc<SaidToEnd>,
        now: Timestamp,
    ) -> Result<Self, sqlx::Error> {
        let mut failing = None;
        for name in &watch.depends_on {
            let Some((id, _)) = roster.watches.get(name).filter(|(_, watch)| watch.enabled) else { continue };
            let state = store.signal_state(*id, RUN, FAILING).await?;
            // Also while it has begun to fail or to work again: which of the two fails first is chance.
            if state.is_some_and(|state| state.firing || state.streak > 0) {
                failing = Some(name.clone());
                break;
            }
        }
        Ok(Self {
            silences: store.silences_to_judge_by(now).await?,
            failing,
            held_until: watch.quiet_until(now),
            said,
            now,
        })
    }

    /// What keeps openings quiet.
    pub(super) fn mute(&self, about: &About<'_>) -> Option<Mute> {
        if self.failing.is_some() {
            return Some(Mute::Suppressed);
        }
        let in_force = |silence: &&Silence| silence.starts_at <= self.now && self.now < silence.ends_at;
        let silenced = self.silences.iter().filter(in_force).any(|silence| silence.matchers.matches(about));
        silenced.then_some(Mute::Silenced)
    }

    pub(super) fn circumstances(&self, about: &About<'_>) -> Circumstances {
        Circumstances { mute: self.mute(about), held: self.held_until.is_some() }
    }

    /// The silences of what is told now that have ended, and of which no message has said so.
    pub(super) fn ended(&mut self, alerts: &[Alert]) -> Vec<Silence> {
        let now = self.now;
        let (ended, others): (Vec<Silence>, _) =
            std::mem::take(&mut self.silences).into_iter().partition(|silence| {
                silence.ends_at <= now
                    && alerts.iter().any(|alert| {
                        silence.matchers.matches(&About {
                            watch: &alert.watch,
                            strategy: &alert.strategy,
                            subject: &alert.signal.subject,
                            labels: &alert.labels,
                        })
                    })
            });
        self.silences = others;
        let mut said = self.said.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.into_iter().filter(|silence| said.insert(silence.id)).collect()
    }

    /// The reason of a decision, with what only the surroundings know.
    pub(super) fn reason(&self, decision: &Decision, reason: String) -> String {
        match (decision.verdict, &self.failing, self.held_until) {
            (Verdict::Quiet(Quiet::Suppressed), Some(watch), _) => format!("watch `{watch}`: {reason}"),
            (Verdict::Held(_), _, Some(until)) => format!("{reason} ({until:.0})"),
            _ => reason,
        }
    }
}
