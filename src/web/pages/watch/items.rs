//! Items of a shop: what can be had for how much, since when, and what was so before.

use std::collections::HashMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::Trouble;
use super::super::layout::{age, ago, moment};
use super::seen::{figure, search};
use super::{One, count, link};
use crate::model::{Availability, Listing, Past, Reading, money};
use crate::store::{Item, Shelf};

/// So many items are shown of those that are there, and of those that are gone.
const MOST_ITEMS: usize = 200;
const MOST_GONE: usize = 50;

/// About so many changes of all items together are looked at, for how long each is as it is and for its price.
const CHANGES: usize = 2_000;

/// So many changes of one item are listed.
const MOST_CHANGES: usize = 100;

pub(super) async fn items(one: &One<'_>) -> Result<Markup, Trouble> {
    if !one.asked.subject.is_empty() {
        return item(one).await;
    }
    let store = &one.shared.store;
    let find = one.asked.find.trim();
    let there = store.items(one.id, Shelf::There { find }, MOST_ITEMS + 1).await?;
    let gone = store.items(one.id, Shelf::Gone { find }, MOST_GONE + 1).await?;
    if there.is_empty() && gone.is_empty() {
        return Ok(html! {
            @if find.is_empty() {
                div #items data-live=(one.topic()) { p.muted { "Nothing has been seen yet." } }
            } @else {
                (search(one, "Find an item"))
                p { "No item has “" (find) "” in its name or number." }
            }
        });
    }
    let subjects: Vec<&str> = there.iter().take(MOST_ITEMS).map(|item| item.subject.as_str()).collect();
    let changes = CHANGES.checked_div(subjects.len()).unwrap_or(CHANGES).clamp(8, 40);
    let mut histories: HashMap<String, Vec<Past>> = HashMap::new();
    for past in store.last_observations(one.id, &subjects, changes).await? {
        histories.entry(past.observation.subject.clone()).or_default().push(past);
    }
    let history = |item: &Item| histories.get(&item.subject).map_or(&[] as &[Past], Vec::as_slice);
    Ok(html! {
        @if there.len() > 12 || !find.is_empty() { (search(one, "Find an item")) }
        div #items .sections data-live=(one.topic()) {
        @if there.is_empty() { p.muted { "None of them is there now." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Items" {
                table.items.list {
                    caption { (summary(&there)) }
                    thead { tr {
                        th scope="col" { "Item" } th scope="col" { "Availability" } th scope="col" { "Price" }
                        th scope="col" { "Price before" } th scope="col" { "Lowest" } th scope="col" { "Last in stock" }
                    } }
                    tbody {
                        @for item in there.iter().take(MOST_ITEMS) { (row(one, item, history(item))) }
                    }
                }
            }
            @if there.len() > MOST_ITEMS { p.muted { "There are more; find them by their names." } }
        }
        @if !gone.is_empty() {
            details {
                summary {
                    (count(gone.len().min(MOST_GONE), "item")) @if gone.len() > MOST_GONE { " or more" }
                    " no longer there"
                }
                div.scroll tabindex="0" role="region" aria-label="Items that are gone" {
                    table.items.list {
                        thead { tr {
                            th scope="col" { "Item" } th scope="col" { "Gone since" } th scope="col" { "Last price" }
                            th scope="col" { "Lowest" } th scope="col" { "Last in stock" }
                        } }
                        tbody {
                            @for item in gone.iter().take(MOST_GONE) {
                                tr {
                                    th scope="row" { (name(one, item)) }
                                    td data-label="Gone since" { @if let Some(at) = item.gone_at { (moment(at)) } }
                                    td data-label="Last price" { (price(&item.listing)) }
                                    td data-label="Lowest" { (lowest(item)) }
                                    td data-label="Last in stock" { (last_in_stock(item, one.now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
        }
    })
}

/// `8 items, 3 of them in stock`
fn summary(there: &[Item]) -> String {
    let shown = there.iter().take(MOST_ITEMS);
    let in_stock = shown.clone().filter(|item| item.listing.availability.is_buyable()).count();
    let more = if there.len() > MOST_ITEMS { " or more" } else { "" };
    format!("{}{more}, {in_stock} of them in stock", count(shown.count(), "item"))
}

fn row(one: &One<'_>, item: &Item, history: &[Past]) -> Markup {
    html! {
        tr {
            th scope="row" { (name(one, item)) }
            td data-label="Availability" {
                (availability(item.listing.availability))
                @if let Some(since) = Since::of(history) { " " span.muted { (since.words(one.now)) } }
            }
            td.number data-label="Price" { (price(&item.listing)) }
            td data-label="Price before" { (sparkline(history)) }
            td.number data-label="Lowest" { (lowest(item)) }
            td data-label="Last in stock" { (last_in_stock(item, one.now)) }
        }
    }
}

/// The item's name, which leads to its history, and its page in the shop.
fn name(one: &One<'_>, item: &Item) -> Markup {
    html! {
        a href=(one.href(&[("subject", &item.subject)])) {
            @if item.listing.name.is_empty() { (item.subject) } @else { (item.listing.name) }
        }
        " " span.muted {
            (item.subject)
            @if let Some(url) = &item.url { " · " (link(url, "in the shop")) }
        }
    }
}

/// A badge: a word, told apart without colour.
fn availability(availability: Availability) -> Markup {
    let class = match availability {
        Availability::InStock | Availability::LimitedAvailability => "in-stock",
        Availability::PreOrder | Availability::BackOrder => "to-come",
        Availability::OutOfStock | Availability::Discontinued => "out-of-stock",
        Availability::Unknown => "unknown",
    };
    html! { span class={ "stock stock-" (class) } { (availability.to_string()) } }
}

fn price(listing: &Listing) -> Markup {
    html! {
        @match listing.price {
            Some(price) => { (money(price, listing.price_currency.as_deref())) },
            None => { span.muted { "none shown" } },
        }
    }
}

fn lowest(item: &Item) -> Markup {
    html! {
        @if let Some(lowest) = item.lowest_price { (money(lowest, item.listing.price_currency.as_deref())) }
    }
}

fn last_in_stock(item: &Item, now: Timestamp) -> Markup {
    html! {
        @match (item.in_stock_from, item.in_stock_until) {
            (None, _) => { span.muted { "never seen" } },
            (Some(_), None) => { "now" },
            (Some(_), Some(until)) => { (moment(until)) " " span.muted { "(" (ago(until, now)) ")" } },
        }
    }
}

fn listing(past: &Past) -> Option<&Listing> {
    match &past.observation.reading {
        Reading::Listing(listing) => Some(listing),
        _ => None,
    }
}

/// Since when an item can be had, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Since {
    at: Timestamp,
    /// Whether it was so before the oldest of what was looked at.
    at_least: bool,
}

impl Since {
    /// Of an item's history, oldest first.
    fn of(history: &[Past]) -> Option<Self> {
        let now = listing(history.last()?)?.availability;
        let same =
            history.iter().rev().take_while(|past| listing(past).is_some_and(|was| was.availability == now));
        let same: Vec<&Past> = same.collect();
        // The oldest row may be the first that there is; its beginning is then the first sight.
        let is_all = same.len() == history.len() && history.len() > 1;
        same.last().map(|past| Self { at: past.observation.observed_at, at_least: is_all })
    }

    fn words(self, now: Timestamp) -> Markup {
        html! { @if self.at_least { "for at least " } @else { "for " } (age(self.at, now)) }
    }
}

/// The course of the price, as a line without numbers; those stand beside it.
fn sparkline(history: &[Past]) -> Markup {
    let prices: Vec<f64> =
        history.iter().filter_map(|past| listing(past)?.price).filter(|p| p.is_finite()).collect();
    let (Some(first), Some(last)) = (prices.first(), prices.last()) else { return html! {} };
    let low = prices.iter().copied().fold(f64::INFINITY, f64::min);
    let high = prices.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if prices.len() < 2 || high <= low {
        return html! { span.muted { "same" } };
    }
    let step = 96.0 / f64::from(u32::try_from(prices.len() - 1).unwrap_or(1));
    let mut line = String::new();
    let mut x = 2.0;
    let mut before = None;
    for price in &prices {
        let y = 22.0 - (price - low) / (high - low) * 20.0;
        // A price stays until the next one.
        if let Some(before) = before {
            line.push_str(&format!("L{x:.1} {before:.1} "));
        }
        line.push_str(&format!("{}{x:.1} {y:.1} ", if line.is_empty() { "M" } else { "L" }));
        before = Some(y);
        x += step;
    }
    let words = format!(
        "from {} to {}, between {} and {}",
        money(*first, None),
        money(*last, None),
        money(low, None),
        money(high, None)
    );
    html! {
        svg.spark width="100" height="24" viewBox="0 0 100 24" role="img" aria-label={ "Price " (words) } {
            title { "Price " (words) }
            path d=(line.trim_end()) fill="none" stroke="currentColor" stroke-width="1.5" {}
        }
    }
}

/// One item with its history.
async fn item(one: &One<'_>) -> Result<Markup, Trouble> {
    let store = &one.shared.store;
    let found = store.items(one.id, Shelf::One(&one.asked.subject), 1).await?;
    let Some(item) = found.first() else {
        return Ok(html! { p { "No such item was ever seen. " a href=(one.href(&[])) { "All items" } } });
    };
    let history = store.last_observations(one.id, &[&item.subject], MOST_CHANGES + 1).await?;
    let is_cut = history.len() > MOST_CHANGES;
    let after = history.iter().skip(1).map(Some).chain([None]);
    let before = std::iter::once(None).chain(history.iter().map(Some));
    let rows: Vec<_> = history.iter().zip(after).zip(before).collect();
    Ok(html! {
        p { a href=(one.href(&[])) { "← All items" } }
        h3 { @if item.listing.name.is_empty() { (item.subject) } @else { (item.listing.name) } }
        dl.pairs {
            dt { "Number" } dd { (item.subject) @if let Some(url) = &item.url { " · " (link(url, "in the shop")) } }
            dt { "Now" }
            dd {
                @if let Some(at) = item.gone_at { "no longer there, since " (moment(at)) } @else {
                    (availability(item.listing.availability))
                    @if let Some(since) = Since::of(&history) { " " span.muted { (since.words(one.now)) } }
                }
            }
            dt { "Price" } dd { (price(&item.listing)) }
            dt { "Lowest" } dd { (lowest(item)) }
            dt { "Last in stock" } dd { (last_in_stock(item, one.now)) }
        }
        @if let Some(figure) = figure(one, &item.subject).await? { (figure) }
        div.scroll tabindex="0" role="region" aria-label="Price and availability before" {
            table.items.list {
                caption { "What changed, the newest first" }
                thead { tr {
                    th scope="col" { "From" } th scope="col" { "Until" } th scope="col" { "Availability" }
                    th scope="col" { "Price" } th scope="col" { "Change" }
                } }
                tbody {
                    @for ((past, after), before) in rows.iter().rev().take(MOST_CHANGES) {
                        @if let Some(now) = listing(past) {
                            tr {
                                th scope="row" { (moment(past.observation.observed_at)) }
                                td data-label="Until" {
                                    @match after {
                                        Some(after) => { (moment(after.observation.observed_at)) },
                                        None => { @match item.gone_at { Some(at) => { (moment(at)) }, None => { "now" } } },
                                    }
                                }
                                td data-label="Availability" { (availability(now.availability)) }
                                td.number data-label="Price" { (price(now)) }
                                td data-label="Change" {
                                    @if let (Some(price), Some(before)) = (now.price, before.and_then(|before| listing(before)?.price)) {
                                        @if (price - before).abs() > f64::EPSILON { (super::numbers::change(Some(before), price)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if is_cut { p.muted { "There is more; the history of a watch can be had over the API." } }
    })
}
