//! The watches of one page, with what each saw last.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::super::{State, Status};
use super::super::layout::{age, ago, state, watch_url};
use super::order::Order;
use super::{Asked, ON_A_PAGE};
use crate::model::{Reading, ReadingKind, money, plain, shown};
use crate::store::{Peek, Stock, Store, Wanted};
use crate::watchlist::{Roster, Watch};

/// So many points make a small curve.
const POINTS: usize = 28;

/// A watch with what it saw last.
pub(super) struct Row<'a> {
    status: &'a Status,
    watch: Option<&'a Watch>,
    peek: Option<Peek>,
    stock: Option<Stock>,
    numbers: Vec<f64>,
}

impl<'a> Row<'a> {
    /// Looks up what these watches saw last.
    pub(super) async fn of(
        store: &Store,
        roster: &'a Roster,
        shown: &[&'a Status],
        ids: &HashMap<String, i64>,
    ) -> Result<Vec<Self>, sqlx::Error> {
        debug_assert!(shown.len() <= ON_A_PAGE);
        let row_of = |one: &Status| ids.get(&one.name).copied().unwrap_or_default();
        let watch_of = |one: &Status| roster.watches.get(&one.name).map(|(_, watch)| watch.as_ref());
        let all: Vec<i64> = shown.iter().map(|one| row_of(one)).collect();
        let mut peeks = store.peeks(&all).await?;
        let sells =
            |one: &&Status| watch_of(one).is_some_and(|it| it.source.yields() == ReadingKind::Listing);
        let shops: Vec<i64> = shown.iter().copied().filter(sells).map(row_of).collect();
        let stocks = if shops.is_empty() { HashMap::new() } else { store.stocks(&shops).await? };
        let wanted: Vec<Wanted<'_>> = peeks
            .iter()
            .filter(|(_, peek)| has_curve(peek))
            .map(|(id, peek)| Wanted {
                watch_id: *id,
                subject: &peek.subject,
                interval: match peek.reading {
                    Reading::Candles { interval, .. } => Some(interval),
                    _ => None,
                },
            })
            .collect();
        let mut sparks = store.sparks(&wanted, POINTS).await?;
        let row = |status: &&'a Status| {
            let id = row_of(status);
            Self {
                status,
                watch: watch_of(status),
                peek: peeks.remove(&id),
                stock: stocks.get(&id).copied(),
                numbers: sparks.remove(&id).unwrap_or_default(),
            }
        };
        Ok(shown.iter().map(row).collect())
    }

    /// What was seen last, in a few words.
    fn last(&self, now: Timestamp) -> Markup {
        let Some(peek) = &self.peek else { return html! { span.muted { "nothing yet" } } };
        let more = peek.subjects.saturating_sub(1);
        let of = |number: String| {
            html! {
                (number)
                @if more > 0 || self.watch.is_some_and(|watch| watch.name != peek.subject && is_short(peek)) {
                    " " span.muted { (peek.subject) @if more > 0 { " and " (more) " more" } }
                }
            }
        };
        match (&peek.reading, self.stock) {
            (Reading::Listing(_), Some(stock)) if stock.products > 1 => html! {
                (stock.buyable) " of " (stock.products) " in stock"
                @if let Some(least) = stock.least { " " span.muted { "from " (money(least, currency(peek))) } }
            },
            (Reading::Listing(listing), _) => html! {
                @if let Some(price) = listing.price { (money(price, currency(peek))) " " }
                span.muted { (listing.availability) }
            },
            (Reading::Candles { .. }, _) => self.numbers.last().map_or(html! {}, |close| of(shown(*close))),
            (Reading::Quote(quote), _) => of(shown(quote.price)),
            (Reading::Value { value, unit }, _) => html! {
                @let number = if unit.contains('/') || unit.contains(" per ") { shown(*value) } else { plain(*value) };
                (of(if unit.is_empty() { number } else { format!("{number} {unit}") }))
            },
            (Reading::Text { .. }, _) => html! { span.muted { "changed " } (ago(peek.changed_at, now)) },
        }
    }
}

/// Whether a subject says something in a word, such as a symbol.
fn is_short(peek: &Peek) -> bool {
    matches!(peek.reading, Reading::Candles { .. } | Reading::Quote(_))
}

fn currency(peek: &Peek) -> Option<&str> {
    match &peek.reading {
        Reading::Listing(listing) => listing.price_currency.as_deref(),
        _ => None,
    }
}

/// Of several products no single price stands for the watch.
fn has_curve(peek: &Peek) -> bool {
    match peek.reading {
        Reading::Text { .. } => false,
        Reading::Listing(_) => peek.subjects == 1,
        Reading::Candles { .. } | Reading::Quote(_) | Reading::Value { .. } => true,
    }
}

pub(super) fn table(rows: &[Row<'_>], asked: &Asked, now: Timestamp) -> Markup {
    let sorted = |order: Order, name: &str| {
        html! {
            th scope="col" aria-sort=[(asked.order() == order).then_some(order.direction())] {
                a href=(asked.href(asked.state(), order, 1)) { (name) }
            }
        }
    };
    html! {
        div.scroll {
            table.watches {
                thead {
                    tr {
                        (sorted(Order::Name, "Watch"))
                        (sorted(Order::Troubles, "State"))
                        (sorted(Order::Change, "Last seen"))
                        th scope="col" { span.unseen { "Lately" } }
                        (sorted(Order::Run, "Last run"))
                        (sorted(Order::Next, "Next run"))
                    }
                }
                tbody { @for row in rows { (line(row, now)) } }
            }
        }
    }
}

fn line(row: &Row<'_>, now: Timestamp) -> Markup {
    let status = row.status;
    let since = status.since.filter(|_| !matches!(status.state, State::Ok | State::Waiting | State::Paused));
    html! {
        tr {
            th.who scope="row" {
                a href=(watch_url(&status.name)) { (status.name) }
                @if let Some(watch) = row.watch { " " span.kind { (watch.source_kind) } }
            }
            td.how {
                (state(status.state.as_str()))
                @if let Some(since) = since { " " span.muted { (age(since, now)) } }
            }
            td.last { (row.last(now)) }
            td.curve { (spark(&row.numbers)) }
            td.ran {
                span.on-phone { "ran " }
                @if let Some(at) = status.ran_at { (ago(at, now)) } @else { span.muted { "never" } }
            }
            td.next {
                span.on-phone { "next " }
                @if let (Some(at), None) = (status.next_due_at, status.paused_at) { (ago(at, now)) }
                @else { span.muted { "none" } }
            }
        }
    }
}

/// A small curve through numbers, oldest first; nothing for fewer than two.
fn spark(numbers: &[f64]) -> Markup {
    const STEP: usize = 7;
    const HEIGHT: f64 = 44.0;
    if numbers.len() < 2 {
        return html! {};
    }
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = high - low;
    let mut path = String::with_capacity(numbers.len().saturating_mul(8));
    // The newest stands at the right edge, also where there are few.
    let first = POINTS.saturating_sub(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let across = first.saturating_add(at).saturating_mul(STEP);
        let down = if spread > 0.0 { (high - number) / spread * HEIGHT } else { HEIGHT / 2.0 };
        let _ = write!(path, "{}{across} {:.0}", if at == 0 { "M" } else { " " }, down + 2.0);
        if at == 0 {
            path.push('L');
        }
    }
    let path = path.replace("L ", "L");
    html! { svg.spark viewBox="0 0 190 48" aria-hidden="true" focusable="false" { path d=(path) {} } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_at_the_right_edge_and_stays_within_its_box() {
        assert_eq!(spark(&[1.0]).into_string(), "");
        let drawn = spark(&[1.0, 3.0, 2.0]).into_string();
        assert!(drawn.contains("d=\"M175 46L182 2 189 24\""), "{drawn}");
        let flat = spark(&[5.0, 5.0]).into_string();
        assert!(flat.contains("d=\"M182 24L189 24\""), "{flat}");
        let long: Vec<f64> = (0..POINTS).map(|n| if n % 2 == 0 { 0.0 } else { f64::MAX }).collect();
        assert!(spark(&long).into_string().contains("d=\"M0 46L7 2 "));
    }
}
