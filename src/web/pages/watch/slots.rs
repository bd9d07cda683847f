//! What became of the slots: a strip of small bars, and the coverage in words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::super::Trouble;
use super::super::layout::moment;
use super::{One, count, rough};
use crate::model::{Coverage, SlotOutcome, Stretch};

/// So many bars at most; where there are more slots, a bar stands for several.
const CELLS: u64 = 96;

/// So many slots at most are looked at.
const MOST_SLOTS: u32 = 3_000;

/// So many of them at least, where they lie far apart.
const FEWEST_SLOTS: u32 = 48;

/// So many stretches of what was not well are told one by one.
const MOST_LINES: usize = 30;

pub(super) async fn strip(one: &One<'_>) -> Result<Markup, Trouble> {
    let (store, now) = (&one.shared.store, one.now);
    let spacing = one.watch.spacing(now);
    let day = Duration::from_secs(86_400);
    let window = day.clamp(
        spacing.saturating_mul(FEWEST_SLOTS).min(spacing.saturating_mul(MOST_SLOTS)),
        spacing.saturating_mul(MOST_SLOTS).max(Duration::from_secs(60)),
    );
    let kept = one.shared.roster().watchlist.daemon.retention.runs_kept_since(now);
    let from =
        now.checked_sub(SignedDuration::try_from(window).unwrap_or_default()).unwrap_or(kept).max(kept);
    // What became of later ones is known when the next run is over.
    let until = one.status.next_due_at.map_or(now, |due| due.min(now));
    let stretches = store.slots(one.id, from, until, one.watch.late_after(now)).await?;
    Ok(drawn(&stretches, now, &one.topic()))
}

fn drawn(stretches: &[Stretch], now: Timestamp, topic: &str) -> Markup {
    let coverage = Coverage::of(stretches);
    let cells = cells(stretches);
    let ill: Vec<&Stretch> =
        stretches.iter().rev().filter(|stretch| stretch.outcome != SlotOutcome::Ok).collect();
    html! {
        section #slots data-live=(topic) aria-labelledby="its-slots" {
            h2 #its-slots { "Slots" }
            @if let (Some(first), Some(percent)) = (stretches.first(), coverage.percent()) {
                p {
                    "Coverage " b { (percent_shown(percent)) " %" } " of "
                    (count(usize::try_from(coverage.slots).unwrap_or(usize::MAX), "slot"))
                    " in the last " (rough(now.duration_since(first.from).unsigned_abs())) ": " (counts(&coverage)) "."
                }
                (bars(&cells, &coverage))
                @if !ill.is_empty() {
                    details {
                        summary { "What was not in time" }
                        div.scroll tabindex="0" role="region" aria-label="What was not in time" {
                            table.list {
                                thead { tr {
                                    th scope="col" { "From" } th scope="col" { "Until" } th scope="col" { "Slots" }
                                    th scope="col" { "Outcome" } th scope="col" { "Why" }
                                } }
                                tbody {
                                    @for stretch in ill.iter().take(MOST_LINES) {
                                        tr {
                                            th scope="row" { (moment(stretch.from)) }
                                            td data-label="Until" { (moment(stretch.until)) }
                                            td data-label="Slots" { (stretch.slots) }
                                            td data-label="Outcome" { (stretch.outcome.to_string()) }
                                            td data-label="Why" { (stretch.why.as_deref().unwrap_or_default()) }
                                        }
                                    }
                                }
                            }
                        }
                        @if ill.len() > MOST_LINES { p.muted { "… and more before." } }
                    }
                }
            } @else { p.muted { "No slot has passed yet." } }
        }
    }
}

/// Rounded down: with one slot in a thousand missing it is not 100.
fn percent_shown(percent: f64) -> String {
    format!("{:.1}", (percent * 10.0).floor() / 10.0)
}

/// `1,409 ok, 3 late`; what there was none of is not said.
fn counts(coverage: &Coverage) -> String {
    let counts = SlotOutcome::ALL.into_iter().map(|outcome| (coverage.count(outcome), outcome));
    let counts = counts.filter(|(count, _)| *count > 0).map(|(count, outcome)| format!("{count} {outcome}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// One bar: what became of a few slots one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    from: Timestamp,
    until: Timestamp,
    coverage: Coverage,
}

impl Cell {
    /// The worst of it.
    fn outcome(&self) -> SlotOutcome {
        use SlotOutcome::{Blocked, Failed, Late, Ok, Repaired, Skipped};
        let worst_first = [Failed, Blocked, Skipped, Late, Repaired, Ok];
        worst_first.into_iter().find(|outcome| self.coverage.count(*outcome) > 0).unwrap_or(Ok)
    }
}

/// Puts slots into so many bars, evenly.
fn cells(stretches: &[Stretch]) -> Vec<Cell> {
    let slots: u64 = stretches.iter().map(|stretch| stretch.slots).sum();
    let number = slots.min(CELLS);
    let mut cells: Vec<Cell> = Vec::new();
    let mut before: u64 = 0;
    for stretch in stretches {
        let lasts = stretch.until.as_millisecond().saturating_sub(stretch.from.as_millisecond());
        let last = i64::try_from(stretch.slots.saturating_sub(1)).unwrap_or(i64::MAX).max(1);
        // The share of this stretch in each bar that it reaches into.
        let mut done: u64 = 0;
        while done < stretch.slots {
            let index = before.saturating_add(done);
            let cell = index.saturating_mul(number).checked_div(slots).unwrap_or(0);
            // The first slot that belongs into the next bar.
            let end = cell.saturating_add(1).saturating_mul(slots).div_ceil(number.max(1));
            let share = end.saturating_sub(index).clamp(1, stretch.slots.saturating_sub(done));
            let at = |slot: u64| {
                let offset = i128::from(lasts).saturating_mul(i128::from(slot)).checked_div(i128::from(last));
                let offset = offset.and_then(|offset| i64::try_from(offset).ok()).unwrap_or(0);
                stretch.from.checked_add(SignedDuration::from_millis(offset)).unwrap_or(stretch.until)
            };
            let (from, until) = (at(done), at(done.saturating_add(share).saturating_sub(1)));
            let part = Stretch { slots: share, from, until, outcome: stretch.outcome, why: None };
            let position = usize::try_from(cell).unwrap_or(usize::MAX);
            match cells.get_mut(position) {
                Some(cell) => {
                    cell.until = until.max(cell.until);
                    cell.coverage = sum(cell.coverage, Coverage::of(&[part]));
                }
                None => cells.push(Cell { from, until, coverage: Coverage::of(&[part]) }),
            }
            done = done.saturating_add(share);
        }
        before = before.saturating_add(stretch.slots);
    }
    cells
}

fn sum(one: Coverage, other: Coverage) -> Coverage {
    Coverage {
        slots: one.slots.saturating_add(other.slots),
        ok: one.ok.saturating_add(other.ok),
        late: one.late.saturating_add(other.late),
        failed: one.failed.saturating_add(other.failed),
        blocked: one.blocked.saturating_add(other.blocked),
        repaired: one.repaired.saturating_add(other.repaired),
        skipped: one.skipped.saturating_add(other.skipped),
    }
}

/// Height and top of a bar, of 24: each outcome has its own shape.
const fn shape(outcome: SlotOutcome) -> (u32, u32) {
    match outcome {
        SlotOutcome::Ok => (24, 0),
        SlotOutcome::Late => (16, 8),
        SlotOutcome::Repaired => (24, 0),
        SlotOutcome::Failed => (10, 0),
        SlotOutcome::Blocked => (10, 7),
        SlotOutcome::Skipped => (3, 21),
    }
}

fn bars(cells: &[Cell], coverage: &Coverage) -> Markup {
    let width = cells.len().saturating_mul(8).max(8);
    html! {
        svg.slot-strip width="100%" height="36" viewBox={ "0 0 " (width) " 24" } preserveAspectRatio="none" role="img"
            aria-label={ "Slots, the oldest first: " (counts(coverage)) } {
            @for (n, cell) in cells.iter().enumerate() {
                @let outcome = cell.outcome();
                @let (height, top) = shape(outcome);
                @let x = n.saturating_mul(8).saturating_add(1);
                g class={ "slot slot-" (outcome.as_str()) } {
                    title { (when(cell)) ": " (counts(&cell.coverage)) }
                    rect x=(x) y="0" width="6" height="24" fill="none" pointer-events="all" {}
                    rect x=(x) y=(top) width="6" height=(height) {}
                    // A notch tells what was filled in afterwards from what came in time.
                    @if outcome == SlotOutcome::Repaired { rect.notch x=(x) y="10" width="6" height="4" {} }
                }
            }
        }
        ul.legend aria-hidden="true" {
            @for outcome in SlotOutcome::ALL {
                @if coverage.count(outcome) > 0 {
                    @let (height, top) = shape(outcome);
                    li {
                        svg width="8" height="24" viewBox="0 0 8 24" class={ "slot slot-" (outcome.as_str()) } {
                            rect x="1" y=(top) width="6" height=(height) {}
                            @if outcome == SlotOutcome::Repaired { rect.notch x="1" y="10" width="6" height="4" {} }
                        }
                        " " (outcome.to_string())
                    }
                }
            }
        }
    }
}

fn when(cell: &Cell) -> String {
    let shown = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if cell.from == cell.until {
        shown(cell.from)
    } else {
        format!("{} to {}", shown(cell.from), shown(cell.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn stretch(from: i64, slots: u64, outcome: SlotOutcome) -> Stretch {
        let minute = |n: i64| at("2026-11-20T10:00:00Z") + SignedDuration::from_mins(n);
        let last = from + i64::try_from(slots).unwrap() - 1;
        Stretch { from: minute(from), until: minute(last), slots, outcome, why: None }
    }

    #[test]
    fn few_slots_have_a_bar_each() {
        let cells = cells(&[stretch(0, 3, SlotOutcome::Ok), stretch(3, 1, SlotOutcome::Failed)]);
        let seen: Vec<_> = cells.iter().map(|cell| (when(cell), cell.outcome())).collect();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[1], ("2026-11-20 10:01:00 UTC".into(), SlotOutcome::Ok));
        assert_eq!(seen[3], ("2026-11-20 10:03:00 UTC".into(), SlotOutcome::Failed));
    }

    #[test]
    fn many_slots_share_bars_that_show_the_worst_and_none_is_lost() {
        let all = [
            stretch(0, 1_000, SlotOutcome::Ok),
            stretch(1_000, 1, SlotOutcome::Skipped),
            stretch(1_001, 438, SlotOutcome::Ok),
            stretch(1_439, 1, SlotOutcome::Late),
        ];
        let cells = cells(&all);
        assert_eq!(cells.len(), 96);
        assert_eq!(cells.iter().map(|cell| cell.coverage.slots).sum::<u64>(), 1_440);
        assert!(cells.iter().all(|cell| cell.coverage.slots == 15), "evenly");
        let ill: Vec<_> =
            cells.iter().map(Cell::outcome).filter(|outcome| *outcome != SlotOutcome::Ok).collect();
        assert_eq!(ill, [SlotOutcome::Skipped, SlotOutcome::Late]);
        let page = drawn(&all, at("2026-11-21T10:00:00Z"), "watch:a").into_string();
        assert!(
            page.contains(
                "Coverage <b>99.9 %</b> of 1440 slots in the last 1 d: 1438 ok, 1 late, 1 skipped."
            ),
            "{page}"
        );
    }
}
