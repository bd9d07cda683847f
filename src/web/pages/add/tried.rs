//! What one run saw, and what it would tell.

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::layout::{are_dates, date, moment, state};
use crate::model::{Observation, Reading, money, shown};
use crate::run::Report;

/// So many lines of each are shown.
const MOST: usize = 40;

/// So much of a text.
const EXCERPT: usize = 300;

pub(super) fn tried(report: &Report) -> Markup {
    html! {
        section #tried .card aria-labelledby="what-one-run-sees" {
            h2 #what-one-run-sees { "What one run sees " (state(report.outcome.as_str())) }
            @if let Some(error) = &report.error { p.wrong { (error) } }
            h3 { (report.observations.len()) " seen" }
            @if report.observations.is_empty() { p.muted { "Nothing." } }
            ul {
                @for seen in report.observations.iter().take(MOST) { li { (line(seen)) } }
            }
            (more(report.observations.len()))
            h3 { (report.verdicts.len()) " judged" }
            ul {
                @for verdict in report.verdicts.iter().take(MOST) {
                    @let summary = report.signals.iter().find(|one| one.strategy == verdict.strategy && one.subject == verdict.subject);
                    li {
                        b { (verdict.strategy) } " " (verdict.subject) ": " (verdict.state) ", " (verdict.verdict.replace('_', " "))
                        @if !verdict.why.is_empty() { " (" (verdict.why) ")" }
                        @if let Some(signal) = summary { @if !signal.summary.is_empty() { br; span.muted { (signal.summary) } } }
                    }
                }
            }
            (more(report.verdicts.len()))
            h3 { "It would tell" }
            @if report.alerts.is_empty() { p.muted { "Nothing now." } }
            ul {
                @for alert in report.alerts.iter().take(MOST) {
                    li { b { (alert.title) } @if !alert.body.is_empty() { pre.text { (alert.body) } } }
                }
            }
            (more(report.alerts.len()))
            p.muted { "Nothing of this was stored, and nobody was told." }
        }
    }
}

fn more(number: usize) -> Markup {
    html! { @if number > MOST { p.muted { "… and " (number - MOST) " more." } } }
}

/// A moment, or the day that it stands for.
fn of(at: Timestamp, is_date: bool) -> Markup {
    if is_date { date(at) } else { moment(at) }
}

/// One observation in a line.
fn line(seen: &Observation) -> Markup {
    html! {
        b { (seen.subject) } ": "
        @match &seen.reading {
            Reading::Candles { interval, candles } => {
                (candles.len()) " bars of " (interval)
                @if let Some(last) = candles.last() {
                    ", the last of " (of(last.open_time, are_dates(candles.iter().map(|bar| bar.open_time)))) " closed at " (shown(last.close)) " (volume " (shown(last.volume)) ")"
                }
            },
            Reading::Quote(quote) => { (shown(quote.price)) },
            Reading::Listing(listing) => {
                (listing.availability.to_string())
                @if let Some(price) = listing.price { ", " (money(price, listing.price_currency.as_deref())) }
                ", " (listing.name)
                @if !seen.evidence.is_empty() {
                    @let said: Vec<String> = seen.evidence.iter().map(ToString::to_string).collect();
                    br; span.muted { "says " (said.join("; ")) }
                }
            },
            Reading::Value { value, unit } => { (shown(*value)) " " (unit) " at " (of(seen.observed_at, are_dates([seen.observed_at]))) },
            Reading::Text { text } => {
                (text.chars().count()) " characters: "
                (text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(EXCERPT).collect::<String>())
            },
        }
    }
}
