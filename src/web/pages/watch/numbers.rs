//! Candles, quotes and values: the last of them in numbers.

use maud::{Markup, html};

use super::super::Trouble;
use super::super::layout::{are_dates, date, moment};
use super::One;
use crate::model::{Candle, Interval, Past, Quote, Reading, plain, shown};
use crate::store::KnownSubject;

/// So many rows are shown.
const MOST_ROWS: usize = 20;

pub(super) async fn last_readings(one: &One<'_>, subject: &KnownSubject) -> Result<Markup, Trouble> {
    let store = &one.shared.store;
    if let Some(interval) = subject.interval {
        let candles = store.candles(one.id, &subject.subject, interval, MOST_ROWS + 1).await?;
        return Ok(bars(interval, &candles));
    }
    let past = store.last_observations(one.id, &[&subject.subject], MOST_ROWS + 1).await?;
    Ok(match past.last().map(|past| &past.observation.reading) {
        Some(Reading::Quote(_)) => quotes(&past),
        Some(Reading::Value { .. }) => values(&past),
        _ => html! { p.muted { "None of it is kept any more." } },
    })
}

fn bars(interval: Interval, candles: &[Candle]) -> Markup {
    let before = std::iter::once(None).chain(candles.iter().map(Some));
    let rows: Vec<(&Candle, Option<&Candle>)> = candles.iter().zip(before).collect();
    let is_by_day =
        interval.minutes().is_multiple_of(1_440) && are_dates(candles.iter().map(|bar| bar.open_time));
    html! {
        div.scroll tabindex="0" role="region" aria-label="The last bars" {
            table.numbers.list {
                caption { "The last bars of " (interval) ", the newest first" }
                thead { tr {
                    th scope="col" { "Opened" } th scope="col" { "Open" } th scope="col" { "High" }
                    th scope="col" { "Low" } th scope="col" { "Close" } th scope="col" { "Change" }
                    th scope="col" { "Volume" }
                } }
                tbody {
                    @for (candle, before) in rows.iter().rev().take(MOST_ROWS) {
                        tr {
                            th scope="row" { @if is_by_day { (date(candle.open_time)) } @else { (moment(candle.open_time)) } }
                            td data-label="Open" { (shown(candle.open)) }
                            td data-label="High" { (shown(candle.high)) }
                            td data-label="Low" { (shown(candle.low)) }
                            td.first data-label="Close" { (shown(candle.close)) }
                            td.first data-label="Change" { (change(before.map(|before| before.close), candle.close)) }
                            td data-label="Volume" { (shown(candle.volume)) }
                        }
                    }
                }
            }
        }
    }
}

/// Each reading with the one before it, the newest first.
fn newest_first(past: &[Past]) -> impl Iterator<Item = (&Past, Option<&Past>)> {
    let before = std::iter::once(None).chain(past.iter().map(Some));
    let mut rows: Vec<(&Past, Option<&Past>)> = past.iter().zip(before).collect();
    rows.reverse();
    rows.into_iter().take(MOST_ROWS)
}

fn quotes(past: &[Past]) -> Markup {
    let quote = |past: &Past| match &past.observation.reading {
        Reading::Quote(quote) => Some(quote.clone()),
        _ => None,
    };
    let number = |number: Option<f64>| number.map(shown).unwrap_or_default();
    html! {
        div.scroll tabindex="0" role="region" aria-label="The last prices" {
            table.numbers.list {
                caption { "The last prices, the newest first" }
                thead { tr {
                    th scope="col" { "Seen" } th scope="col" { "Price" } th scope="col" { "Change" }
                    th scope="col" { "Bid" } th scope="col" { "Ask" } th scope="col" { "Volume" }
                    th scope="col" { "Traded" }
                } }
                tbody {
                    @for (past, before) in newest_first(past) {
                        @if let Some(Quote { price, bid, ask, volume, quoted_at }) = quote(past) {
                            tr {
                                th scope="row" { (moment(past.observation.observed_at)) }
                                td data-label="Price" { (shown(price)) }
                                td data-label="Change" { (change(before.and_then(quote).map(|before| before.price), price)) }
                                td data-label="Bid" { (number(bid)) }
                                td data-label="Ask" { (number(ask)) }
                                td data-label="Volume" { (number(volume)) }
                                td data-label="Traded" { @if let Some(at) = quoted_at { (moment(at)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn values(past: &[Past]) -> Markup {
    let value = |past: &Past| match &past.observation.reading {
        Reading::Value { value, .. } => Some(*value),
        _ => None,
    };
    let unit = past.iter().rev().find_map(|past| match &past.observation.reading {
        Reading::Value { unit, .. } if !unit.is_empty() => Some(unit.as_str()),
        _ => None,
    });
    let is_by_day = past.len() > 1 && are_dates(past.iter().map(|past| past.observation.observed_at));
    html! {
        div.scroll tabindex="0" role="region" aria-label="The last values" {
            table.numbers.list {
                caption {
                    "The last values" @if let Some(unit) = unit { " in " (unit) } ", the newest first"
                }
                thead { tr {
                    th scope="col" { "Of" } th scope="col" { "Value" } th scope="col" { "Change" }
                    th scope="col" { "Last seen so" }
                } }
                tbody {
                    @for (past, before) in newest_first(past) {
                        @if let Some(now) = value(past) {
                            tr {
                                th scope="row" {
                                    @let at = past.observation.observed_at;
                                    @if is_by_day { (date(at)) } @else { (moment(at)) }
                                }
                                td data-label="Value" { (shown(now)) }
                                td data-label="Change" { (change(before.and_then(value), now)) }
                                td data-label="Last seen so" { (moment(past.last_seen_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// By how much it rose or fell, told apart by sign, arrow and colour.
pub(super) fn change(before: Option<f64>, now: f64) -> Markup {
    let Some(before) = before else { return html! {} };
    let by = now - before;
    let percent = if before == 0.0 { None } else { Some(by / before.abs() * 100.0) };
    let percent =
        percent.map(|percent| format!(" ({}{:.2} %)", if by < 0.0 { "−" } else { "+" }, percent.abs()));
    // What differs by less than a millionth differs by how it is computed.
    if by.abs() <= before.abs() * 1e-9 {
        return html! { span.muted { "same" } };
    }
    let size = plain(format!("{:.4e}", by.abs()).parse().unwrap_or(by.abs()));
    html! {
        @if by > 0.0 { span.up { "▲ +" (size) (percent.unwrap_or_default()) } }
        @else { span.down { "▼ −" (size) (percent.unwrap_or_default()) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_its_direction_without_colour() {
        for (before, now, expected) in [
            (Some(100.0), 105.0, "<span class=\"up\">▲ +5 (+5.00 %)</span>"),
            (Some(3.52), 3.47, "<span class=\"down\">▼ −0.05 (−1.42 %)</span>"),
            (Some(0.0), 2.0, "<span class=\"up\">▲ +2</span>"),
            (Some(-4.0), -2.0, "<span class=\"up\">▲ +2 (+50.00 %)</span>"),
            (Some(1.0), 1.0, "<span class=\"muted\">same</span>"),
            (None, 1.0, ""),
        ] {
            assert_eq!(change(before, now).into_string(), expected);
        }
    }
}
