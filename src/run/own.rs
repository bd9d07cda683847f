//! What the daemon says about its own runs: a watch fails and works again, its data stand still. These
//! travel the same road as any other news.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::Slot;
use super::judge::Judged;
use super::news::alert;
use crate::alerting::{Circumstances, Mute, Policy};
use crate::config::Stale;
use crate::model::{Observation, OnFirst, Outcome, Period, Reading, ReadingKind, Reason, Severity, Signal};
use crate::plugin::Words;
use crate::sessions::Hours;
use crate::store::Store;
use crate::watchlist::Watch;

/// The strategy under which all of this is kept.
pub(super) const RUN: &str = "run";
/// The subjects of a watch's own signals.
pub(super) const FAILING: &str = "";
pub(super) const STALE: &str = "stale";

/// Many feeds are a quarter of an hour late, and what is seldom traded has no bar in some minutes: the data
/// of a market are not taken for stale sooner, unless that is asked for.
const SHORTEST_OF_A_MARKET: Duration = Duration::from_secs(1_800);

/// A watch that fails so often in a row is told, and so is that it works again. `host_down` says that it
/// fails because of a host, which is told once for all that ask it.
pub(super) fn judge_run(
    watch: &Watch,
    slot: &Slot,
    outcome: Outcome,
    error: Option<&str>,
    host_down: bool,
    policy: &Policy,
    judged: &mut Judged,
) {
    let Some(signal) = failing(outcome, error) else { return };
    if !signal.firing && judged.known(RUN, FAILING).is_none() {
        return;
    }
    let decision = if host_down {
        let around = Circumstances { mute: Some(Mute::Suppressed), ..judged.held() };
        judged.decide_around(slot.watch_id, RUN, &signal, policy, around)
    } else {
        judged.decide(watch, slot.watch_id, RUN, &signal, policy)
    };
    let Some(reason) = decision.verdict.news() else { return };
    let (name, why) = (&watch.name, &signal.summary);
    let title = match reason {
        Reason::Resolved => format!("{name} works again after {}", lasted(decision.since, slot.now)),
        Reason::Reminder => format!("{name} is still failing: {why}"),
        Reason::First | Reason::Changed => format!("{name} is failing: {why}"),
    };
    let words = Words { title, ..Words::default() };
    let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
    judged.tell(watch, &judged.post(watch, slot.watch_id, RUN), words, vec![alert]);
}

/// Whether this run makes "failing" news.
pub(super) fn would_tell(watch: &Watch, outcome: Outcome, error: Option<&str>, judged: &Judged) -> bool {
    let Some(signal) = failing(outcome, error) else { return false };
    signal.firing && judged.would_tell(watch, RUN, &signal, &watch.failing)
}

fn failing(outcome: Outcome, error: Option<&str>) -> Option<Signal> {
    let (state, firing) = match outcome {
        Outcome::Ok | Outcome::Unchanged => ("ok", false),
        Outcome::Failed => ("failing", true),
        // Neither failing nor working: what was so stays so.
        Outcome::Blocked => return None,
    };
    let why = error.unwrap_or_default();
    Some(Signal::level(FAILING, state, firing).severity(Severity::Warning).summary(why))
}

/// What was told to be stale is no longer looked at: that ends it.
fn end_of_judging_age(watch: &Watch, slot: &Slot, judged: &mut Judged) {
    if judged.known(RUN, STALE).is_none_or(|known| !known.firing) {
        return;
    }
    let signal = Signal::level(STALE, "fresh", false).severity(Severity::Warning);
    let policy = Policy { resolve_after: 1, ..watch.failing.clone() };
    let decision = judged.decide(watch, slot.watch_id, RUN, &signal, &policy);
    if let Some(reason) = decision.verdict.news() {
        let lasted = lasted(decision.since, slot.now);
        let title = format!("Closed: how old the data of {} are is no longer judged", watch.name);
        let words = Words { title, body: format!("They were stale for {lasted}."), url: None };
        let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
        judged.tell(watch, &judged.post(watch, slot.watch_id, RUN), words, vec![alert]);
    }
}

/// Data that stand still for too long are told, and so is that they move again. Answers from when on,
/// with nothing newer, that will be so.
pub(super) async fn judge_age(
    store: &Store,
    watch: &Watch,
    slot: &Slot,
    judged: &mut Judged,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let Some((newest, limit)) = newest_and_limit(store, watch, slot, &judged.current).await? else {
        if watch.stale_after == Stale::Never {
            end_of_judging_age(watch, slot, judged);
        }
        return Ok(None);
    };
    let Some(stale_at) = in_time_of(watch, newest, limit) else { return Ok(None) };
    let firing = slot.now >= stale_at;
    let summary = format!("nothing newer than {}", moment(watch, newest));
    let signal = Signal::level(STALE, if firing { "stale" } else { "fresh" }, firing)
        .severity(Severity::Warning)
        .summary(summary.clone());
    // Data that were old from the first look on have not stopped; only a limit that was asked for tells.
    let asked_for = matches!(watch.stale_after, Stale::After(_));
    let on_first = if asked_for { OnFirst::Notify } else { OnFirst::Baseline };
    let policy = Policy { after: 1, on_first, ..watch.failing.clone() };
    let decision = judged.decide(watch, slot.watch_id, RUN, &signal, &policy);
    if let Some(reason) = decision.verdict.news() {
        let name = &watch.name;
        let title = match reason {
            Reason::Resolved => {
                format!("{name} has fresh data again after {}", lasted(decision.since, slot.now))
            }
            _ => format!("{name} is stale: {summary} for {}", age(watch, newest, slot.now)),
        };
        let words = Words { title, ..Words::default() };
        let alert = alert(watch, RUN, &signal, reason, decision.since, slot.now, words.clone());
        judged.tell(watch, &judged.post(watch, slot.watch_id, RUN), words, vec![alert]);
    }
    Ok(Some(stale_at))
}

/// The time of the newest data, and how old they may grow.
async fn newest_and_limit(
    store: &Store,
    watch: &Watch,
    slot: &Slot,
    current: &[Observation],
) -> Result<Option<(Timestamp, Duration)>, sqlx::Error> {
    let limit = match watch.stale_after {
        Stale::Never => return Ok(None),
        Stale::After(limit) => Some(limit.0),
        Stale::Auto => None,
    };
    let dated =
        |seen: &&Observation| matches!(seen.reading, Reading::Value { .. }) && seen.observed_at != slot.now;
    if let Some(limit) = limit {
        return Ok(current.iter().filter_map(time_of_data).max().map(|newest| (newest, limit)));
    }
    if let Some(hours) = market_hours(watch) {
        let newest =
            current.iter().filter_map(|seen| Some((time_of_data(seen)?, seen))).max_by_key(|(time, _)| *time);
        let gap = watch.timetable.open_gap(slot.now, hours);
        return Ok(newest.map(|(time, seen)| {
            let limit = open_length(seen, hours).max(gap).saturating_mul(3);
            (time, limit.max(SHORTEST_OF_A_MARKET))
        }));
    }
    // By itself only a dated series is known to have a rhythm; a market's has nights and holidays, and is
    // judged only where its hours are known.
    let Some(newest) = current.iter().filter(dated).max_by_key(|seen| seen.observed_at) else {
        return Ok(None);
    };
    let last = store.last_observations(slot.watch_id, &[&newest.subject], 2).await?;
    let before = current
        .iter()
        .chain(last.iter().map(|past| &past.observation))
        .filter(|seen| seen.subject == newest.subject && seen.observed_at < newest.observed_at)
        .map(|seen| seen.observed_at)
        .max();
    let Some(before) = before else { return Ok(None) };
    let rhythm = Duration::try_from(newest.observed_at.duration_since(before)).unwrap_or_default();
    let limit = rhythm.max(watch.timetable.gap(slot.now)).saturating_mul(3);
    Ok(Some((newest.observed_at, limit)))
}

/// The hours of the market that a watch looks at, where they are known.
fn market_hours(watch: &Watch) -> Option<&Hours> {
    let is_market = matches!(watch.source.yields(), ReadingKind::Candles | ReadingKind::Quote);
    watch.hours.as_ref().filter(|_| is_market)
}

/// When data will be so old. Those of a market grow old only while it is open.
fn in_time_of(watch: &Watch, newest: Timestamp, limit: Duration) -> Option<Timestamp> {
    match market_hours(watch) {
        Some(hours) => hours.open_for(newest, limit),
        None => newest.checked_add(limit).ok(),
    }
}

/// The time of the newest data. A date without a time is kept as its midnight, and is one everywhere.
fn moment(watch: &Watch, newest: Timestamp) -> String {
    let day = newest.to_zoned(TimeZone::UTC);
    if matches!(watch.source.yields(), ReadingKind::Value) && day.time() == Time::midnight() {
        return day.strftime("%Y-%m-%d").to_string();
    }
    newest.to_zoned(watch.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// How old data are, in words.
fn age(watch: &Watch, newest: Timestamp, now: Timestamp) -> String {
    match market_hours(watch).filter(|hours| !hours.always_open()) {
        Some(hours) => format!("{} of open hours", Period(hours.open_between(newest, now))),
        None => lasted(newest, now).to_string(),
    }
}

/// For how long a market is open while the last bar forms; nothing for a quote.
fn open_length(observation: &Observation, hours: &Hours) -> Duration {
    let Reading::Candles { interval, candles } = &observation.reading else { return Duration::ZERO };
    let length = interval.duration();
    let Some(last) = candles.last().filter(|_| length >= Duration::from_secs(86_400)) else { return length };
    last.open_time.checked_add(length).map_or(length, |end| hours.open_between(last.open_time, end))
}

/// When an observation's data are from, where they say so.
fn time_of_data(observation: &Observation) -> Option<Timestamp> {
    match &observation.reading {
        Reading::Candles { interval, candles } => {
            candles.last()?.open_time.checked_add(interval.duration()).ok()
        }
        Reading::Quote(quote) => quote.quoted_at,
        Reading::Value { .. } => Some(observation.observed_at),
        Reading::Listing(_) | Reading::Text { .. } => None,
    }
}

pub(super) fn lasted(since: Timestamp, now: Timestamp) -> Period {
    Period(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::Interval;
    use crate::testing::{at, candles};

    #[test]
    fn a_bar_of_a_day_or_more_is_as_long_as_the_market_is_open_in_it() {
        let nyse = Hours::parse("NYSE", &TimeZone::UTC, &HashMap::new()).unwrap();
        let seen = |opened: &str, minutes: u32| {
            let mut seen = candles("AAPL", &[10.0]);
            let Reading::Candles { interval, candles } = &mut seen.reading else { panic!("candles") };
            *interval = Interval::from_minutes(minutes).unwrap();
            candles[0].open_time = at(opened);
            seen
        };
        for (opened, minutes, open_minutes) in [
            ("2026-07-10T19:30:00Z", 30, 30),
            // The last hour of the day is a bar of its own length, though half of it is closed.
            ("2026-07-10T19:30:00Z", 60, 60),
            ("2026-07-10T00:00:00Z", 1_440, 390),
            ("2026-11-27T00:00:00Z", 1_440, 210),
            ("2026-11-23T00:00:00Z", 10_080, 3 * 390 + 210),
        ] {
            let length = open_length(&seen(opened, minutes), &nyse);
            assert_eq!(length, Duration::from_secs(open_minutes * 60), "{opened} {minutes}");
        }
    }
}
