//! The past as a watch saw it: what it knew at a moment, and how that changed from there on. It makes the
//! same view for strategies as a run does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Needs, key_of};
use crate::model::{Candle, Interval, Observation, Past, Reading};
use crate::store::{SeenBar, SeenRow, Store};
use crate::watchlist::Watch;

/// So many rows are read ahead at most, about.
const AHEAD: usize = 100_000;

/// And so long a stretch at once: the next one may hold more.
const LONGEST_STEP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A stretch as short as this is read whatever it holds.
const SHORTEST_STEP: SignedDuration = SignedDuration::from_mins(1);

/// A strategy may look at one bar or reading more than it asks for.
const TO_SPARE: usize = 2;

/// What counts as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// What a run had seen: as it was.
    Seen,
    /// Also what a later run found of older times, from its own time on: bars of the weeks before the
    /// first run.
    ItsOwnTime,
}

/// What a watch knew at a moment. Moves forward only.
pub(super) struct Hindsight<'a> {
    store: &'a Store,
    watch_id: i64,
    reach: Reach,
    since: Since,
    /// In the order in which a run sees them.
    tracks: Vec<Track>,
    places: HashMap<String, usize>,
    /// What changes next, the soonest first; everything until `read_until`.
    coming: VecDeque<Change>,
    read_until: Timestamp,
    step: SignedDuration,
    /// Whether it has been looked up where the history begins.
    begun: bool,
}

/// How far back the strategies look.
struct Reach {
    bars: usize,
    observations: usize,
    span: Option<Duration>,
    agos: Vec<Duration>,
    /// The longest of them.
    longest: Duration,
}

/// What is known of one subject.
struct Track {
    subject: String,
    interval: Option<Interval>,
    url: Option<String>,
    bars: VecDeque<Candle>,
    rows: VecDeque<Row>,
    present: bool,
    gone_at: Option<Timestamp>,
}

struct Row {
    past: Past,
    /// From when on it is known.
    known_at: Timestamp,
    /// Whether it has a date of its own.
    dated: bool,
}

/// Something becomes known.
struct Change {
    at: Timestamp,
    /// Whether that is the moment of a run, rather than the time of what was found.
    is_run: bool,
    track: usize,
    what: What,
}

enum What {
    Row(Box<Row>),
    Bar(Candle),
    Gone,
}

/// What a watch sees at a moment.
pub(super) struct Sight {
    pub(super) current: Vec<Observation>,
    pub(super) earlier: Vec<Past>,
    pub(super) absent: Vec<Observation>,
}

impl<'a> Hindsight<'a> {
    /// What was known at a moment of what is asked for now.
    pub(super) async fn at(
        store: &'a Store,
        watch: &Watch,
        watch_id: i64,
        now: Timestamp,
        since: Since,
    ) -> Result<Self, sqlx::Error> {
        Self::with(store, watch, watch_id, now, since, &HashSet::new()).await
    }

    /// What a run knew, which judged these subjects; some of them may no longer be asked for.
    pub(super) async fn of_run(
        store: &'a Store,
        watch: &Watch,
        watch_id: i64,
        now: Timestamp,
        judged: &HashSet<&str>,
    ) -> Result<Self, sqlx::Error> {
        Self::with(store, watch, watch_id, now, Since::Seen, judged).await
    }

    async fn with(
        store: &'a Store,
        watch: &Watch,
        watch_id: i64,
        now: Timestamp,
        since: Since,
        judged: &HashSet<&str>,
    ) -> Result<Self, sqlx::Error> {
        let lookbacks = &watch.lookbacks;
        let span = lookbacks.iter().filter_map(|lookback| lookback.span).max();
        let agos: Vec<Duration> = lookbacks.iter().filter_map(|lookback| lookback.ago).collect();
        let reach = Reach {
            bars: watch.bars(),
            observations: lookbacks.iter().map(|lookback| lookback.observations).max().unwrap_or(0),
            longest: span.into_iter().chain(agos.iter().copied()).max().unwrap_or_default(),
            span,
            agos,
        };
        let tracks = tracks(store, watch, watch_id, now, judged).await?;
        let places = tracks.iter().enumerate().map(|(n, track)| (track.subject.clone(), n)).collect();
        let mut this = Self {
            store,
            watch_id,
            reach,
            since,
            tracks,
            places,
            coming: VecDeque::new(),
            read_until: now,
            step: SignedDuration::from_hours(24),
            begun: false,
        };
        this.read_back(now).await?;
        this.advance(now);
        Ok(this)
    }

    /// Whether nothing is known yet.
    pub(super) fn is_empty(&self) -> bool {
        self.tracks.iter().all(|track| track.bars.is_empty() && track.rows.is_empty())
    }

    /// When something changes next, not after `until`, and whether a run saw it then.
    pub(super) async fn next(&mut self, until: Timestamp) -> Result<Option<(Timestamp, bool)>, sqlx::Error> {
        while self.coming.front().is_none_or(|change| change.at > self.read_until) && self.read_until < until
        {
            self.read_on(until).await?;
        }
        let next = self.coming.front().filter(|change| change.at <= until);
        Ok(next.map(|change| (change.at, change.is_run)))
    }

    /// The first run before `end` that saw a change.
    pub(super) async fn next_run_before(&mut self, end: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
        while self.read_until < end {
            self.read_on(end).await?;
        }
        let mut runs = self.coming.iter().take_while(|change| change.at < end);
        Ok(runs.find(|change| change.is_run).map(|change| change.at))
    }

    /// Learns everything that is known at `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some(change) = self.coming.pop_front_if(|change| change.at <= now) {
            let Some(track) = self.tracks.get_mut(change.track) else { continue };
            track.learn(change);
            track.forget(&self.reach, now);
        }
    }

    /// What a run at `now` sees. [`Self::advance`] comes before it.
    pub(super) fn sight(&self, now: Timestamp) -> Sight {
        let mut sight = Sight { current: Vec::new(), earlier: Vec::new(), absent: Vec::new() };
        for track in &self.tracks {
            if track.present {
                let before = sight.current.len();
                track.see(now, self.reach.bars, &mut sight.current);
                if sight.current.len() > before {
                    track.remember(now, &self.reach, &mut sight.earlier);
                }
            } else if track.gone_at == Some(now) {
                sight.absent.extend(track.rows.back().map(|row| row.past.observation.clone()));
            }
        }
        sight
    }

    /// Reads what strategies can see at `now`.
    async fn read_back(&mut self, now: Timestamp) -> Result<(), sqlx::Error> {
        let as_seen = self.since == Since::Seen;
        for (track, subject, interval) in self.with_bars() {
            let wanted = self.reach.bars.max(1).saturating_add(TO_SPARE);
            let bars = self.store.bars_until(self.watch_id, &subject, interval, now, wanted, as_seen).await?;
            let changes: Vec<Change> = bars.into_iter().map(|bar| self.bar(track, interval, bar)).collect();
            self.coming.extend(changes);
        }
        let since = now.checked_sub(self.reach.longest).unwrap_or(Timestamp::MIN);
        let wanted = self.reach.observations.saturating_add(TO_SPARE);
        let rows = self
            .store
            .observations_until(self.watch_id, &self.with_rows(), now, wanted, since, as_seen)
            .await?;
        self.extend_with_rows(rows);
        self.sort();
        Ok(())
    }

    /// Reads the next stretch: a shorter one where it holds too much.
    async fn read_on(&mut self, until: Timestamp) -> Result<(), sqlx::Error> {
        if !std::mem::replace(&mut self.begun, true)
            && let Some(begin) = self.store.history_begins(self.watch_id).await?
            && let Ok(before) = begin.checked_sub(SignedDuration::from_millis(1))
        {
            self.read_until = self.read_until.max(before.min(until));
        }
        let after = self.read_until;
        let subjects: Vec<(String, Interval)> =
            self.with_bars().into_iter().map(|(_, subject, interval)| (subject, interval)).collect();
        let others = self.with_rows();
        let (end, bars, rows) = loop {
            let end = after.checked_add(self.step).unwrap_or(until).min(until);
            let is_shortest = self.step <= SHORTEST_STEP;
            let most = if is_shortest { usize::MAX } else { AHEAD };
            let bars = match subjects.is_empty() {
                true => Vec::new(),
                false => self.store.bars_between(self.watch_id, &subjects, after, end, most).await?,
            };
            let rows = match others.is_empty() || bars.len() >= most {
                true => Vec::new(),
                false => self.store.observations_between(self.watch_id, &others, after, end, most).await?,
            };
            if bars.len().max(rows.len()) < most {
                break (end, bars, rows);
            }
            self.step = (self.step / 2).max(SHORTEST_STEP);
        };
        if bars.len().saturating_add(rows.len()) < AHEAD / 4 {
            self.step = self.step.saturating_mul(2).min(LONGEST_STEP);
        }
        for bar in bars {
            let Some(track) = self.places.get(&bar.subject).copied() else { continue };
            let Some(interval) = self.tracks.get(track).and_then(|track| track.interval) else { continue };
            let change = self.bar(track, interval, bar);
            self.coming.push_back(change);
        }
        self.extend_with_rows(rows);
        self.read_until = end;
        self.sort();
        Ok(())
    }

    fn with_bars(&self) -> Vec<(usize, String, Interval)> {
        let tracks = self.tracks.iter().enumerate();
        tracks.filter_map(|(n, track)| Some((n, track.subject.clone(), track.interval?))).collect()
    }

    fn with_rows(&self) -> Vec<String> {
        let tracks = self.tracks.iter().filter(|track| track.interval.is_none());
        tracks.map(|track| track.subject.clone()).collect()
    }

    fn sort(&mut self) {
        // Stable, so that what one run saw stays in its order.
        self.coming.make_contiguous().sort_by_key(|change| change.at);
    }

    fn bar(&self, track: usize, interval: Interval, bar: SeenBar) -> Change {
        let end = bar.candle.open_time.checked_add(interval.duration()).unwrap_or(bar.candle.open_time);
        let (at, is_run) = match (bar.seen_at, self.since) {
            (None, _) => (end, false),
            (Some(seen_at), Since::ItsOwnTime) if bar.was_old => (end.min(seen_at), false),
            (Some(seen_at), _) => (seen_at, true),
        };
        Change { at, is_run, track, what: What::Bar(bar.candle) }
    }

    fn extend_with_rows(&mut self, rows: Vec<SeenRow>) {
        for seen in rows {
            let Some(track) = self.places.get(&seen.past.observation.subject).copied() else { continue };
            let own = seen.past.observation.observed_at;
            let dated = match seen.first_seen_at {
                Some(first) => first != own,
                // An older program did not write it down; a moment that a run takes is hardly ever a whole
                // second.
                None => {
                    matches!(seen.past.observation.reading, Reading::Value { .. })
                        && own.as_millisecond().rem_euclid(1_000) == 0
                }
            };
            let (known_at, is_run) = match (seen.first_seen_at, self.since) {
                (None, _) => (own, !dated),
                (Some(first), Since::ItsOwnTime) if seen.was_old && dated => (own.min(first), false),
                (Some(first), _) => (first, true),
            };
            if let Some(at) = seen.gone_at {
                self.coming.push_back(Change { at, is_run: true, track, what: What::Gone });
            }
            let row = Row { past: seen.past, known_at, dated };
            self.coming.push_back(Change { at: known_at, is_run, track, what: What::Row(Box::new(row)) });
        }
    }
}

impl Track {
    fn learn(&mut self, change: Change) {
        match change.what {
            What::Bar(bar) => {
                self.present = true;
                match self.bars.iter().rposition(|known| known.open_time <= bar.open_time) {
                    Some(place) => match self.bars.get_mut(place) {
                        Some(known) if known.open_time == bar.open_time => *known = bar,
                        _ => self.bars.insert(place.saturating_add(1), bar),
                    },
                    None => self.bars.push_front(bar),
                }
            }
            What::Row(row) => {
                self.present = true;
                let at = row.past.observation.observed_at;
                let place = self.rows.iter().rposition(|known| known.past.observation.observed_at <= at);
                self.rows.insert(place.map_or(0, |place| place.saturating_add(1)), *row);
            }
            What::Gone => {
                self.present = false;
                self.gone_at = Some(change.at);
            }
        }
    }

    /// Lets go of what no strategy looks back on.
    fn forget(&mut self, reach: &Reach, now: Timestamp) {
        while self.bars.len() > reach.bars.max(1).saturating_add(TO_SPARE) {
            self.bars.pop_front();
        }
        let oldest = now.checked_sub(reach.longest).unwrap_or(Timestamp::MIN);
        let old = |row: &Row| row.past.observation.observed_at < oldest;
        while self.rows.len() > reach.observations.saturating_add(TO_SPARE)
            && self.rows.get(1).is_some_and(old)
        {
            self.rows.pop_front();
        }
    }

    fn see(&self, now: Timestamp, bars: usize, current: &mut Vec<Observation>) {
        if let Some(interval) = self.interval {
            if self.bars.is_empty() {
                return;
            }
            let more = self.bars.len().saturating_sub(bars.max(1));
            let candles = self.bars.iter().skip(more).copied().collect();
            let reading = Reading::Candles { interval, candles };
            let (subject, url) = (self.subject.clone(), self.url.clone());
            current.push(Observation { subject, observed_at: now, url, reading, evidence: Vec::new() });
            return;
        }
        let Some((newest, others)) = self.rows.iter().next_back().map(|newest| {
            let others = self.rows.iter().rev().skip(1);
            (newest, others.filter(|row| row.known_at == now))
        }) else {
            return;
        };
        let mut seen = newest.past.observation.clone();
        if !newest.dated {
            // Without a date of its own it is from now, as in a run.
            seen.observed_at = now;
        }
        current.push(seen);
        current.extend(others.map(|row| row.past.observation.clone()));
    }

    /// What is earlier than a run at `now`, as far back as strategies look.
    fn remember(&self, now: Timestamp, reach: &Reach, earlier: &mut Vec<Past>) {
        let at = |row: &Row| row.past.observation.observed_at;
        let known = || self.rows.iter().filter(|row| row.known_at < now && at(row) <= now);
        let last = known().count().saturating_sub(reach.observations);
        let start = reach.span.and_then(|span| now.checked_sub(span).ok());
        // With the one before the span.
        let start = start.map(|start| known().map(at).filter(|at| *at < start).max().unwrap_or(start));
        let moments = reach.agos.iter().filter_map(|ago| now.checked_sub(*ago).ok());
        let agos: Vec<Timestamp> =
            moments.filter_map(|then| known().map(at).filter(|at| *at <= then).max()).collect();
        let wanted = known().enumerate().filter(|(n, row)| {
            (reach.observations > 0 && *n >= last)
                || start.is_some_and(|start| at(row) >= start)
                || agos.contains(&at(row))
        });
        earlier.extend(wanted.map(|(_, row)| as_of(&row.past, now)));
    }
}

/// What was known of a reading before `now`: it may have been seen again since, evenly, as far as is known.
fn as_of(past: &Past, now: Timestamp) -> Past {
    let first = past.observation.observed_at;
    let millis = |from: Timestamp, to: Timestamp| to.as_millisecond().saturating_sub(from.as_millisecond());
    let (length, passed) = (millis(first, past.last_seen_at), millis(first, now));
    let steps = i64::from(past.times_seen.saturating_sub(1));
    if past.last_seen_at < now || length <= 0 || steps <= 0 {
        return past.clone();
    }
    // Sightings before now, the nearest whole number.
    let (length, passed) = (i128::from(length), i128::from(passed));
    let before = ((passed * i128::from(steps) * 2 + length) / (length * 2)).max(1);
    let last = i128::from(first.as_millisecond()) + (before - 1) * length / i128::from(steps);
    let last = i64::try_from(last).ok().and_then(|last| Timestamp::from_millisecond(last).ok());
    Past {
        observation: past.observation.clone(),
        last_seen_at: last.unwrap_or(first),
        times_seen: u32::try_from(before).unwrap_or(past.times_seen).min(past.times_seen),
    }
}

/// Every subject that a watch ever saw and that is still asked for or was judged, in the order in which a run
/// sees them. An answer may hold many subjects, and the address of one subject may move with time.
async fn tracks(
    store: &Store,
    watch: &Watch,
    watch_id: i64,
    now: Timestamp,
    judged: &HashSet<&str>,
) -> Result<Vec<Track>, sqlx::Error> {
    let requests = watch.source.requests(&Needs { now, bars: watch.bars() });
    let requests: Vec<_> = requests.into_iter().map(|request| watch.manner.apply(request)).collect();
    let keys: Vec<u64> = requests.iter().map(|request| key_of(watch, request)).collect();
    let mut seen: Vec<_> = store.last_seen(watch_id).await?.into_values().collect();
    let named: HashSet<&str> = requests.iter().map(|request| request.subject.as_str()).collect();
    seen.retain(|last| {
        let subject = last.observation.subject.as_str();
        named.contains(subject) || judged.contains(subject) || keys.contains(&last.request)
    });
    let place = |request: u64| keys.iter().position(|key| *key == request).unwrap_or(keys.len());
    seen.sort_by(|a, b| {
        let key = (place(a.request), a.observation_id).cmp(&(place(b.request), b.observation_id));
        key.then_with(|| a.observation.subject.cmp(&b.observation.subject))
    });
    let track = |last: crate::store::LastSeen| {
        let interval = match &last.observation.reading {
            Reading::Candles { interval, .. } => Some(*interval),
            _ => None,
        };
        Track {
            subject: last.observation.subject,
            interval,
            url: last.observation.url,
            bars: VecDeque::new(),
            rows: VecDeque::new(),
            present: false,
            gone_at: None,
        }
    };
    Ok(seen.into_iter().map(track).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, quotes};

    #[test]
    fn how_often_something_had_been_seen_is_taken_as_evenly_spread() {
        let observation = quotes("A", "2026-11-20T10:00:00Z", &[1.0]).remove(0);
        let past = Past { observation, last_seen_at: at("2026-11-20T10:09:00Z"), times_seen: 10 };
        for (now, times, last) in [
            ("2026-11-20T10:01:00Z", 1, "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:05:00Z", 5, "2026-11-20T10:04:00Z"),
            ("2026-11-20T10:09:00Z", 9, "2026-11-20T10:08:00Z"),
            ("2026-11-20T10:10:00Z", 10, "2026-11-20T10:09:00Z"),
        ] {
            let then = as_of(&past, at(now));
            assert_eq!((then.times_seen, then.last_seen_at), (times, at(last)), "{now}");
        }
    }
}
