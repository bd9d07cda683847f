//! `stakeout history WATCH --slots`

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::table::{Format, csv, table};
use crate::model::{Coverage, SlotOutcome, Stretch};
use crate::store::Store;
use crate::watchlist::Watchlist;

/// How late a run is late of a watch that is no longer in the watchlist.
const LATE_AFTER: Duration = Duration::from_secs(300);

/// The shape that a script reads.
#[derive(Serialize)]
struct Answer<'a> {
    watch: &'a str,
    since: Timestamp,
    until: Timestamp,
    coverage: Figures,
    stretches: &'a [Stretch],
}

#[derive(Serialize)]
struct Figures {
    percent: Option<f64>,
    #[serde(flatten)]
    counts: Coverage,
}

/// Prints what became of the slots of a watch, at most `limit` lines, the newest.
pub(super) async fn print(
    watchlist: &Watchlist,
    store: &Store,
    (watch_id, watch): (i64, &str),
    since: Timestamp,
    (format, limit): (Format, usize),
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let late_after = watchlist.watch(watch).map_or(LATE_AFTER, |watch| watch.late_after(now));
    // What became of later ones is known when the next run is over.
    let until = store.next_due(watch_id).await?.map_or(now, |due| due.min(now));
    let kept = watchlist.daemon.retention.runs_kept_since(now);
    let is_forgotten = since < kept;
    let since = since.max(kept);
    let forgotten =
        format!("Runs are kept since {kept:.0} (`runs` in `retention`); earlier slots are not counted.");
    if is_forgotten && !matches!(format, Format::Table) {
        writeln!(std::io::stderr(), "{forgotten}")?;
    }
    let all = store.slots(watch_id, since, until, late_after).await?;
    let coverage = Coverage::of(&all);
    let stretches = all.get(all.len().saturating_sub(limit)..).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let figures = Figures { percent: coverage.percent(), counts: coverage };
            let answer = Answer { watch, since, until, coverage: figures, stretches };
            writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        }
        Format::Csv => {
            let rows: Vec<Vec<String>> = stretches.iter().map(row_of).collect();
            write!(out, "{}", csv(&["from", "until", "slots", "outcome", "why"], &rows)?)?;
        }
        Format::Table if stretches.is_empty() => writeln!(out, "No slot has passed since {since:.0}.")?,
        Format::Table => {
            let rows: Vec<Vec<String>> = stretches.iter().map(row_of).collect();
            write!(out, "{}", table(&["FROM", "UNTIL", "SLOTS", "OUTCOME", "WHY"], &rows))?;
            writeln!(out, "{}", sentence(&coverage))?;
            if now.duration_since(until).unsigned_abs() > late_after {
                writeln!(out, "Nothing has run since {until:.0}; the slots after that are not counted yet.")?;
            }
        }
    }
    if is_forgotten && matches!(format, Format::Table) {
        writeln!(out, "{forgotten}")?;
    }
    Ok(())
}

fn row_of(stretch: &Stretch) -> Vec<String> {
    vec![
        format!("{:.0}", stretch.from),
        format!("{:.0}", stretch.until),
        stretch.slots.to_string(),
        stretch.outcome.to_string(),
        stretch.why.clone().unwrap_or_default(),
    ]
}

/// `coverage 99.9 %: 1,410 ok, 3 late, 2 failed, 0 blocked, 25 repaired, 0 skipped of 1,440`
fn sentence(coverage: &Coverage) -> String {
    let count = |outcome: SlotOutcome| format!("{} {outcome}", grouped(coverage.count(outcome)));
    let counts: Vec<String> = SlotOutcome::ALL.into_iter().map(count).collect();
    // Rounded down: with one slot in a thousand missing it is not 100.
    let percent = (coverage.percent().unwrap_or_default() * 10.0).floor() / 10.0;
    format!("coverage {percent:.1} %: {} of {}", counts.join(", "), grouped(coverage.slots))
}

/// A count with commas between its thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_every_slot() {
        let coverage =
            Coverage { slots: 1_440, ok: 1_409, late: 3, failed: 2, blocked: 1, repaired: 25, skipped: 0 };
        assert_eq!(
            sentence(&coverage),
            "coverage 99.7 %: 1,409 ok, 3 late, 2 failed, 1 blocked, 25 repaired, 0 skipped of 1,440"
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let nearly = Coverage { slots: 100_000, ok: 99_999, skipped: 1, ..Coverage::default() };
        assert!(sentence(&nearly).starts_with("coverage 99.9 %"));
    }
}
