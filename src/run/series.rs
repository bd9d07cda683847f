//! The bars over a gap: which are stored, which are missing, and what came of them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::model::{Candle, Interval};
use crate::plugin::Span;

/// Of the bars that are known, those that fresh ones leave out since their first.
pub(super) fn left_out(fresh: &[Candle], known: Vec<Candle>) -> Vec<Candle> {
    let Some(first) = fresh.iter().map(|candle| candle.open_time).min() else { return Vec::new() };
    let came: HashSet<Timestamp> = fresh.iter().map(|candle| candle.open_time).collect();
    known.into_iter().filter(|candle| candle.open_time > first && !came.contains(&candle.open_time)).collect()
}

/// The bars of each subject over a gap.
pub(super) struct Series {
    pub(super) interval: Interval,
    pub(super) span: Span,
    pub(super) subjects: HashMap<String, Bars>,
    /// Those that came.
    pub(super) candles: Vec<(String, Interval, Candle)>,
}

/// By when they open.
pub(super) struct Bars {
    pub(super) stored: HashSet<Timestamp>,
    pub(super) missing: HashSet<Timestamp>,
    /// The oldest that an answer held.
    pub(super) oldest: Option<Timestamp>,
}

impl Bars {
    /// From when on it is known what there is; nothing where all is there that was wanted.
    pub(super) fn begins(&self) -> Option<Timestamp> {
        let wanted = *self.missing.iter().min()?;
        self.oldest.filter(|oldest| *oldest > wanted)
    }
}

impl Series {
    pub(super) fn missing(&self) -> usize {
        self.subjects.values().map(|bars| bars.missing.len()).sum()
    }

    /// From when on every subject came; the beginning of time where nothing is missing that an answer does
    /// not go back beyond.
    ///
    /// # Errors
    /// Of whom nothing came, in words for the owner.
    pub(super) fn oldest(&self, first: Timestamp) -> Result<Timestamp, String> {
        let came = |bars: &Bars| bars.oldest.is_some() && bars.stored.iter().any(|bar| *bar >= first);
        let subjects = self.subjects.iter();
        let silent = subjects.filter(|(_, bars)| !bars.missing.is_empty() && !came(bars));
        let mut silent: Vec<String> = silent.map(|(subject, _)| format!("`{subject}`")).collect();
        silent.sort_unstable();
        if silent.is_empty() {
            return Ok(self.subjects.values().filter_map(Bars::begins).max().unwrap_or(Timestamp::MIN));
        }
        let of = if silent.len() == self.subjects.len() {
            String::new()
        } else {
            format!(" of {}", silent.join(", "))
        };
        Err(format!("the service has no bars of that time{of}"))
    }

    /// Keeps what is of the gap and not stored.
    pub(super) fn take(&mut self, subject: &str, interval: Interval, candles: Vec<Candle>) {
        let Some(bars) = self.subjects.get_mut(subject).filter(|_| interval == self.interval) else { return };
        for candle in candles {
            let open_time = candle.open_time;
            bars.oldest = Some(bars.oldest.map_or(open_time, |oldest| oldest.min(open_time)));
            if self.span.from <= open_time && open_time <= self.span.until && bars.stored.insert(open_time) {
                bars.missing.remove(&open_time);
                self.candles.push((subject.to_owned(), interval, candle));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::at;

    #[test]
    fn a_stretch_is_known_from_where_every_subject_came() {
        let minute = |n: i64| at("2026-11-20T10:00:00Z") + SignedDuration::from_mins(n);
        let bars = |stored: &[i64], missing: &[i64], oldest: Option<i64>| Bars {
            stored: stored.iter().copied().map(minute).collect(),
            missing: missing.iter().copied().map(minute).collect(),
            oldest: oldest.map(minute),
        };
        let all = || bars(&[0, 1, 2, 3], &[], None);
        let hole = || bars(&[0, 3], &[1, 2], Some(-5));
        let forgotten = || bars(&[2, 3], &[0, 1], Some(2));
        let nothing = || bars(&[-1], &[0, 1, 2, 3], Some(-1));
        for (of, expected) in [
            (vec![all(), hole()], Ok(Timestamp::MIN)),
            (vec![all(), forgotten(), hole()], Ok(minute(2))),
            (vec![nothing()], Err("the service has no bars of that time".to_owned())),
            (vec![all(), nothing()], Err("the service has no bars of that time of `1`".to_owned())),
        ] {
            let subjects = of.into_iter().enumerate().map(|(n, bars)| (n.to_string(), bars)).collect();
            let span = Span { from: minute(-1), until: minute(3) };
            let interval = Interval::from_minutes(1).unwrap();
            let series = Series { interval, span, subjects, candles: Vec::new() };
            assert_eq!(series.oldest(minute(0)), expected);
        }
    }
}
