//! Stock and price, as changedetection.io's processor `restock_diff` follows them.

use toml::Value;

use super::draft::{Draft, Keys, Kind, cleaned, words_of};

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

/// What is wrong with a setting that is left.
const LISTED: [(&str, &str); 6] = [
    ("follow_price_changes", "is neither true nor false"),
    ("in_stock_only", "is neither true nor false"),
    ("in_stock_processing", "is no text"),
    ("price_change_max", "is no number"),
    ("price_change_min", "is no number"),
    ("price_change_threshold_percent", "is no number"),
];

pub(super) fn carry(keys: &mut Keys, draft: &mut Draft) {
    draft.kind = Kind::Shop;
    let own = keys.map("processor_config_restock_diff").or_else(|| keys.map("restock_settings"));
    let in_watch = || keys.0.iter().filter(|(key, _)| words_of(&LISTED, key).is_some());
    let mut settings =
        Keys(own.unwrap_or_else(|| in_watch().map(|(key, value)| (key.clone(), value.clone())).collect()));
    for table in ["processor_config_restock_diff", "restock_settings"] {
        if let Some(left) = keys.take(table) {
            let why =
                if left.is_object() { "is not the table that is used" } else { "is no table of settings" };
            draft.lose(format!("{table}: {why}"));
        }
    }
    let only_in_stock = settings.flag("in_stock_only");
    match settings.text("in_stock_processing").as_deref().map(str::trim) {
        Some("off") => {}
        Some("all_changes") => follow_stock(draft, true),
        Some("in_stock_only") => follow_stock(draft, false),
        Some(other) => {
            let other = cleaned(other, 40);
            draft.lose(format!(
                "in_stock_processing: nothing is known of `{other}`; that it is in stock is told"
            ));
            follow_stock(draft, false);
        }
        None => follow_stock(draft, only_in_stock == Some(false)),
    }
    let follows = settings.flag("follow_price_changes").unwrap_or(true);
    let limits = [("below", "price_change_min"), ("above", "price_change_max")];
    let limits = limits.map(|(key, theirs)| (key, settings.number(theirs)));
    let percent = settings.number("price_change_threshold_percent");
    if percent.is_some_and(|percent| percent < 0.0) {
        draft.lose("price_change_threshold_percent: is less than nothing");
    }
    settings.list_left(&LISTED, &mut |what| draft.lose(what));
    if follows {
        follow_price(draft, &limits, percent.filter(|percent| *percent > 0.0));
    } else if draft.strategies.is_empty() {
        draft.lose("neither stock nor price was followed; here the usual strategy, `restock`, is");
    }
    if keys.take("include_filters").is_some() {
        draft.lose("include_filters: is not used for a price; here the page's own description of the product is read");
    }
}

fn follow_stock(draft: &mut Draft, all: bool) {
    draft.strategies.push(vec![("kind", "restock".into())]);
    if !all {
        draft.set("resolved", false);
        draft.notes.push(
            "`resolved = false`: that it is in stock is told, not that it is sold out, nor any other end"
                .into(),
        );
    }
}

fn follow_price(draft: &mut Draft, limits: &[(&'static str, Option<f64>)], percent: Option<f64>) {
    let limits: Vec<(&'static str, Value)> =
        limits.iter().filter_map(|(key, limit)| Some((*key, Value::Float((*limit)?)))).collect();
    let is_limited = !limits.is_empty();
    if is_limited {
        let kind: (&'static str, Value) = ("kind", "threshold".into());
        draft.strategies.push([vec![kind], limits].concat());
        draft.notes.push(
            "each new price outside of the limits was told; here it is told once, until the price is back"
                .into(),
        );
    }
    match percent {
        Some(percent) => {
            draft.strategies.push(vec![("kind", "percent_change".into()), ("by", Value::Float(percent))]);
            if is_limited {
                draft.lose(
                    "price_change_threshold_percent: a price was told that was outside of the limits and had moved \
                     so far; here either of them is told",
                );
            }
        }
        None if is_limited => {}
        None => {
            draft.strategies.push(vec![("kind", "price_drop".into())]);
            draft.lose("rises of the price were told as well as drops; `percent_change` looks both ways");
        }
    }
}
