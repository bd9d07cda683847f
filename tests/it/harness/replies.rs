//! Small replies in the formats of the services.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Page;

/// Yahoo's chart of half-hour bars with these closes, the last opened at `last`.
pub(crate) fn chart(symbol: &str, last: Timestamp, closes: &[f64]) -> Page {
    let count = closes.len() as i64;
    let stamps: Vec<i64> = (0..count).map(|n| last.as_second() - (count - 1 - n) * 1_800).collect();
    let volumes = vec![1_000; closes.len()];
    Page::new(
        json!({"chart": {"error": null, "result": [{
            "meta": {"symbol": symbol, "currency": "USD", "gmtoffset": 0, "exchangeTimezoneName": "UTC"},
            "timestamp": stamps,
            "indicators": {"quote": [
                {"open": closes, "high": closes, "low": closes, "close": closes, "volume": volumes}
            ]},
        }]}})
        .to_string(),
    )
}

/// So many closes, each one lower than the one before.
pub(crate) fn falling(count: usize) -> Vec<f64> {
    (0..count).map(|n| 1_000.0 - n as f64).collect()
}

/// What Yahoo says about a symbol that it does not know.
pub(crate) fn unknown_symbol() -> Page {
    let error = json!({"code": "Not Found", "description": "No data found, symbol may be delisted"});
    Page::new(json!({"chart": {"result": null, "error": error}}).to_string()).status(404)
}

/// The newest weeks of gasoline prices, newest first, as the portal orders them.
pub(crate) fn gasoline(weeks: &[(&str, f64)]) -> Page {
    let rows: Vec<Value> = weeks
        .iter()
        .rev()
        .map(|(monday, price)| {
            json!({"date": format!("{monday}T00:00:00.000"), "new_york_state_average_gal": format!("{price:.2}")})
        })
        .collect();
    Page::new(Value::Array(rows).to_string())
}

/// `{"n": …}`
pub(crate) fn number(n: impl Into<f64>) -> Page {
    Page::new(json!({"n": n.into()}).to_string())
}

/// Kraken's ticker of some pairs.
pub(crate) fn ticker(pairs: &[(&str, f64)]) -> Page {
    let row = |price: f64| {
        let price = format!("{price:.5}");
        json!({
            "a": [price, "1", "1.000"], "b": [price, "1", "1.000"], "c": [price, "0.1"],
            "v": ["10.0", "100.0"], "p": [price, price], "t": [10, 100], "l": [price, price],
            "h": [price, price], "o": price,
        })
    };
    let result: serde_json::Map<String, Value> =
        pairs.iter().map(|(pair, price)| ((*pair).to_owned(), row(*price))).collect();
    Page::new(json!({"error": [], "result": result}).to_string())
}

/// Finnhub's last price of a share.
pub(crate) fn quote(price: f64, traded_at: Timestamp) -> Page {
    Page::new(json!({"c": price, "t": traded_at.as_second()}).to_string())
}

/// Finnhub's candles of a minute, so many from one that opens at `first`.
pub(crate) fn minutes(first: Timestamp, count: i64) -> Page {
    let stamps: Vec<i64> = (0..count).map(|n| first.as_second() + n * 60).collect();
    let prices = vec![10.0; stamps.len()];
    Page::new(
        json!({"s": "ok", "t": stamps, "o": prices, "h": prices, "l": prices, "c": prices, "v": prices})
            .to_string(),
    )
}

/// Binance's candles of a minute, so many from one that opens at `first`.
pub(crate) fn klines(first: Timestamp, count: i64) -> Page {
    let row = |n| json!([first.as_millisecond() + n * 60_000, "1", "2", "1", "2", "9"]);
    Page::new(Value::Array((0..count).map(row).collect()).to_string())
}

/// An item of a shop: number, name, dollars, whether it is in stock.
pub(crate) type Card = (&'static str, &'static str, u32, bool);

/// A listing in Newegg's markup.
pub(crate) fn listing(cards: &[Card]) -> Page {
    let cell = |(number, name, dollars, in_stock): &Card| {
        let slug = name.to_lowercase().replace(' ', "-");
        let (promo, button) = if *in_stock {
            ("", "Add to cart")
        } else {
            ("<p class=\"item-promo\"><i></i>OUT OF STOCK</p>", "Auto Notify")
        };
        format!(
            "<div class=\"item-cell\"><div class=\"item-container\">\
             <a href=\"/{slug}/p/{number}\" class=\"item-img\"></a><div class=\"item-info\">\
             <a href=\"/{slug}/p/{number}\" class=\"item-title\">{name}</a>{promo}</div>\
             <div class=\"item-action\"><ul class=\"price\"><li class=\"price-current\">$<strong>{dollars}</strong>\
             <sup>.99</sup></li></ul><div class=\"item-button-area\"><button>{button}</button></div></div>\
             </div></div>\n"
        )
    };
    let cells: String = cards.iter().map(cell).collect();
    Page::html(&format!(
        "<!DOCTYPE html><html><head><title>rtx | Newegg.com</title></head><body>\n\
         <div class=\"item-cells-wrap\">\n{cells}</div></body></html>\n"
    ))
}
