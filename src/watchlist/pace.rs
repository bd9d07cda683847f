//! Whether hosts can be asked as often as the watches want to.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Watchlist;
use crate::model::Period;
use crate::plugin::Needs;

impl Watchlist {
    /// The hosts that are to be asked more often than their pace allows, each in a sentence: slots of their
    /// watches will be late.
    #[must_use]
    pub fn hurried_hosts(&self, now: Timestamp) -> Vec<String> {
        let mut wanted: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        for watch in self.watches.iter().filter(|watch| watch.enabled) {
            let [first, second] = *watch.timetable.next(now, 2) else { continue };
            let between = second.duration_since(first).as_secs_f64();
            for request in watch.source.requests(&Needs { now, bars: watch.bars() }) {
                let (times, watches) = wanted.entry(request.authority().to_owned()).or_default();
                *times += 60.0 / between.max(0.001);
                *watches += 1;
            }
        }
        wanted
            .into_iter()
            .filter_map(|(host, (times, requests))| self.hurried(&host, times, requests))
            .collect()
    }

    fn hurried(&self, host: &str, times: f64, requests: usize) -> Option<String> {
        let pace = self.http.pace_of(host);
        let between = pace.min_interval.saturating_add(pace.jitter / 2);
        let allowed = 60.0 / between.max(Duration::from_millis(1)).as_secs_f64();
        // A little more is made up for by slots that are skipped at other times.
        (times > allowed * 1.05).then(|| {
            let asks = if requests == 1 { "request wants" } else { "requests want" };
            format!(
                "{host}: {requests} {asks} it {times:.1} times a minute, but its pace allows {allowed:.1} (one each {}): \
                 slots will be late. Ask less often, or set `host.\"{host}\" = {{ min_interval = \"…\" }}` in `[fetch]`",
                Period(between)
            )
        })
    }
}
