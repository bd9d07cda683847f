//! What a run sees: what changed as it was read just now, the rest as it was last seen.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::{Answer, Runner, Slot, series};
use crate::model::{Observation, Reading};
use crate::plugin::Seen;
use crate::store::{LastSeen, SeenSubject};
use crate::watchlist::Watch;

/// What one run sees.
#[derive(Default)]
pub(super) struct View {
    /// As it was read just now.
    pub(super) fresh: Vec<SeenSubject>,
    /// Unchanged, as it was last seen.
    pub(super) again: Vec<Observation>,
    /// No longer mentioned by a complete answer.
    pub(super) absent: Vec<Observation>,
    /// The last view of every subject.
    pub(super) last: HashMap<String, LastSeen>,
    /// Everything that is asked, when all of it was answered.
    pub(super) asked: Option<HashSet<u64>>,
}

impl Runner {
    /// Puts together what this run sees: what changed as it was read, the rest as it was last seen.
    pub(super) async fn see(
        &self,
        watch: &Watch,
        slot: &Slot,
        answers: &[Answer],
        last: HashMap<String, LastSeen>,
    ) -> Result<View, sqlx::Error> {
        let all_answered = answers.iter().all(|answer| answer.result.is_ok());
        let asked = all_answered.then(|| answers.iter().map(|answer| answer.key).collect());
        let mut view = View { last, asked, ..View::default() };
        let mut same = HashSet::new();
        let mut complete = HashSet::new();
        for answer in answers {
            match &answer.result {
                Ok(Some((seen, _))) => {
                    if seen.complete {
                        complete.insert(answer.key);
                    }
                    let observations = self.with_known_bars(slot.watch_id, &view.last, seen).await?;
                    view.fresh.extend(seen_subjects(&observations, answer.key, slot.now));
                }
                Ok(None) => drop(same.insert(answer.key)),
                Err(_) => {}
            }
        }
        let fresh: HashSet<&str> = view.fresh.iter().map(|s| s.observation.subject.as_str()).collect();
        for (subject, known) in &view.last {
            if !known.present || fresh.contains(subject.as_str()) {
                continue;
            }
            if same.contains(&known.request) {
                let mut observation = known.observation.clone();
                // Without a date of its own it is from now, as if it had been read again.
                if observation.observed_at == known.last_seen_at {
                    observation.observed_at = slot.now;
                }
                if let Reading::Candles { interval, candles } = &mut observation.reading {
                    *candles = self.store.candles(slot.watch_id, subject, *interval, watch.bars()).await?;
                }
                view.again.push(observation);
            } else if complete.contains(&known.request) {
                view.absent.push(known.observation.clone());
            }
        }
        Ok(view)
    }

    /// Bars that an answer leaves out within its time, or does not have yet, are as they were seen before: what is
    /// missing has not changed.
    async fn with_known_bars<'s>(
        &self,
        watch_id: i64,
        last: &HashMap<String, LastSeen>,
        seen: &'s Seen,
    ) -> Result<Cow<'s, [Observation]>, sqlx::Error> {
        let mut observations = Cow::Borrowed(&*seen.observations);
        for (index, observation) in seen.observations.iter().enumerate() {
            let Reading::Candles { interval, candles: fresh } = &observation.reading else { continue };
            if fresh.is_empty() || !last.contains_key(&observation.subject) {
                continue;
            }
            // As many as came, and as many again, for those that were left out.
            let count = fresh.len().saturating_mul(2);
            let known = self.store.candles(watch_id, &observation.subject, *interval, count).await?;
            let left_out = series::left_out(fresh, known);
            if left_out.is_empty() {
                continue;
            }
            if let Some(Observation { reading: Reading::Candles { candles, .. }, .. }) =
                observations.to_mut().get_mut(index)
            {
                candles.extend(left_out);
                candles.sort_unstable_by_key(|candle| candle.open_time);
            }
        }
        Ok(observations)
    }
}

fn seen_subjects(observations: &[Observation], request: u64, now: Timestamp) -> Vec<SeenSubject> {
    let mut newest: HashMap<&str, Timestamp> = HashMap::new();
    for seen in observations {
        let last = newest.entry(seen.subject.as_str()).or_insert(seen.observed_at);
        *last = seen.observed_at.max(*last);
    }
    observations
        .iter()
        .map(|observation| SeenSubject {
            hash: hash_of(&observation.reading),
            dated: observation.observed_at != now,
            newest: newest.get(observation.subject.as_str()) == Some(&observation.observed_at),
            request,
            observation: observation.clone(),
        })
        .collect()
}

fn hash_of(reading: &Reading) -> u64 {
    xxh3_64(&serde_json::to_vec(reading).unwrap_or_default())
}
