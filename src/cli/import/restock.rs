//! Stock and price, as changedetection.io's processor `restock_diff` follows them.

use serde_json::Value as Json;
use toml::Value;

use super::draft::{Draft, Keys, Kind, period};

/// Its settings; they stood in the watch itself, then in a table of it, then in a file of their own.
pub(super) const KEYS: [&str; 8] = [
    "follow_price_changes",
    "in_stock_only",
    "in_stock_processing",
    "price_change_max",
    "price_change_min",
    "price_change_threshold_percent",
    "processor_config_restock_diff",
    "restock_settings",
];

/// `every` is how often it looks, in seconds.
pub(super) fn carry(keys: &mut Keys, draft: &mut Draft, every: Option<u64>) {
    draft.kind = Kind::Shop;
    let own = keys.map("processor_config_restock_diff").or_else(|| keys.map("restock_settings"));
    let mut settings = Keys(own.unwrap_or_else(|| keys.0.clone()));
    let only_in_stock = settings.flag("in_stock_only");
    match settings.text("in_stock_processing").as_deref() {
        Some("off") => {}
        Some("all_changes") => follow_stock(draft, true),
        None if only_in_stock == Some(false) => follow_stock(draft, true),
        _ => follow_stock(draft, false),
    }
    let follows = settings.flag("follow_price_changes").unwrap_or(true);
    let limits = [("below", "price_change_min"), ("above", "price_change_max")];
    let limits = limits.map(|(key, theirs)| (key, settings.number(theirs)));
    let percent = settings.number("price_change_threshold_percent").filter(|percent| *percent > 0.0);
    if follows {
        follow_price(draft, &limits, percent, every);
    } else if draft.strategies.is_empty() {
        draft.lose("neither stock nor price was followed; here the usual strategy, `restock`, is");
    }
    let picked = keys.list("include_filters");
    if !picked.is_empty() {
        draft.lose("include_filters: said where the price stands; here the page's own description of the product is read");
    }
    keys.0.insert("include_filters".into(), Json::Null);
}

fn follow_stock(draft: &mut Draft, all: bool) {
    draft.strategies.push(vec![("kind", "restock".into())]);
    if !all {
        draft.set("resolved", false);
        draft
            .notes
            .push("`resolved = false`: only that it is in stock is told, not that it is sold out".into());
    }
}

fn follow_price(
    draft: &mut Draft,
    limits: &[(&'static str, Option<f64>)],
    percent: Option<f64>,
    every: Option<u64>,
) {
    let limits: Vec<(&'static str, Value)> =
        limits.iter().filter_map(|(key, limit)| Some((*key, Value::Float((*limit)?)))).collect();
    let is_limited = !limits.is_empty();
    if is_limited {
        let kind: (&'static str, Value) = ("kind", "threshold".into());
        draft.strategies.push([vec![kind], limits].concat());
    }
    match percent {
        Some(percent) => {
            let window = period(every.unwrap_or(3_600).max(60));
            draft.strategies.push(vec![
                ("kind", "percent_change".into()),
                ("by", Value::Float(percent)),
                ("window", window.into()),
            ]);
        }
        None if is_limited => {}
        None => {
            draft.strategies.push(vec![("kind", "price_drop".into())]);
            draft.lose("rises of the price were told as well as drops; `percent_change` looks both ways");
        }
    }
}
