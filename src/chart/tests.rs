//! What every drawing promises.

use proptest::prelude::*;

use super::*;
use crate::model::{Place, Reading};
use crate::plugin::{Plugin as _, Strategy};
use crate::testing::{at, fixture, plugin};

fn chart(title: &str, seen: Seen) -> Chart {
    let (from, until) = seen.ends().unwrap_or((at("2026-11-20T00:00:00Z"), at("2026-11-21T00:00:00Z")));
    Chart {
        watch: "watched".into(),
        title: title.into(),
        unit: String::new(),
        window: Window { from, until },
        seen,
        plots: Vec::new(),
        marks: Vec::new(),
        zone: TimeZone::UTC,
        line: Line::Straight,
        trigger: None,
    }
}

/// Pictures of captured and of made-up readings go where `STAKEOUT_CHARTS` says, for a person to look at.
fn keep(name: &str, chart: &Chart) {
    let Some(folder) = std::env::var_os("STAKEOUT_CHARTS") else { return };
    for (theme, width, height) in [(Theme::Dark, 800, 450), (Theme::Light, 800, 450), (Theme::Dark, 360, 300)]
    {
        let png = chart.png(Look { width, height, theme }).unwrap();
        let path = std::path::Path::new(&folder).join(format!("{name}-{theme:?}-{width}.png").to_lowercase());
        std::fs::write(path, png).unwrap();
    }
}

fn captured(source: &str, table: &str, file: &str, now: &str) -> Option<Vec<crate::model::Observation>> {
    let body = fixture(file)?;
    let text = format!("kind = \"{source}\"\n{table}");
    let table = toml::de::DeTable::parse(&text).unwrap();
    let (_, source) = crate::plugin::build(crate::sources::KINDS, table).unwrap();
    Some(crate::testing::read(&*source, 200, body, now).unwrap().observations)
}

fn number(at_: &str, title: &str, firing: bool) -> Mark {
    Mark { at: at(at_), title: title.into(), firing }
}

fn apple() -> Option<Chart> {
    let table = "symbols = [\"AAPL\"]\ninterval = \"1d\"";
    let seen = captured("yahoo", table, "yahoo/AAPL_1d_6mo_2025.json", "2026-01-01T00:00:00Z")?;
    let Reading::Candles { interval, candles } = seen[0].reading.clone() else { panic!("bars") };
    let rsi = build("rsi", "buy_below = 30\nsell_above = 70");
    let last = candles.last().unwrap().open_time;
    let plots = rsi.plots(crate::model::Track::Candles { interval, candles: &candles });
    let marks = vec![
        number("2025-08-22T20:00:00Z", "AAPL: RSI 14 is 71.2", true),
        number("2025-09-03T20:00:00Z", "AAPL: over", false),
    ];
    let title = "sell: 72.4".into();
    let trigger = Some(Mark { at: last, title, firing: true });
    Some(Chart { plots, marks, trigger, ..chart("AAPL", Seen::Candles(interval, candles)) })
}

fn build(kind: &str, keys: &str) -> Box<dyn Strategy> {
    let text = format!("kind = \"{kind}\"\n{keys}");
    let table = toml::de::DeTable::parse(&text).unwrap();
    crate::plugin::build(crate::strategies::KINDS, table).unwrap().1
}

fn gasoline() -> Option<Chart> {
    let file = "ny_gas/weekly_average_by_region_to_2022-05-09_bom.csv";
    let seen = captured("ny_gas", "region = \"new_york_state\"", file, "2022-05-10T12:00:00Z")?;
    let mut values: Vec<(Timestamp, f64)> = Vec::new();
    for one in seen.iter().filter(|one| one.subject == seen[0].subject) {
        let Reading::Value { value, .. } = one.reading else { continue };
        values.push((one.observed_at, value));
    }
    values.sort_by_key(|(at, _)| *at);
    let values = values.split_off(values.len().saturating_sub(60));
    let plots = build("price_drop", "baseline = \"previous\"").plots(crate::model::Track::Values(&values));
    let unit = "USD per gallon".into();
    let trigger = Some(Mark { at: values.last().unwrap().0, title: "fell: 4.51".into(), firing: true });
    Some(Chart { plots, unit, trigger, ..chart("gasoline in new_york_state", Seen::Values(values)) })
}

fn restock() -> Chart {
    use Availability::{InStock, OutOfStock, PreOrder, Unknown};
    let offers = [
        ("2026-10-02T00:00:00Z", Some(549.0), PreOrder),
        ("2026-10-09T09:12:00Z", Some(549.0), InStock),
        ("2026-10-12T17:40:00Z", Some(529.99), InStock),
        ("2026-10-13T06:00:00Z", Some(529.99), OutOfStock),
        ("2026-10-26T10:00:00Z", None, OutOfStock),
        ("2026-10-29T10:00:00Z", None, Unknown),
        ("2026-11-01T10:00:00Z", Some(579.99), OutOfStock),
        ("2026-11-20T14:03:00Z", Some(499.99), InStock),
    ];
    let offers = offers.into_iter().map(|(when, price, stock)| (at(when), price, stock)).collect();
    let mut chart =
        chart("MSI Ventus GeForce RTX 3070 8GB GDDR6 PCI Express 4.0 Video Card", Seen::Offers(offers));
    chart.unit = "USD".into();
    chart.line = Line::Step;
    chart.window.until = at("2026-11-20T14:03:10Z");
    chart.marks = vec![
        number("2026-10-09T09:12:00Z", "in stock", true),
        number("2026-10-13T06:00:00Z", "sold out", false),
    ];
    chart.trigger = Some(number("2026-11-20T14:03:10Z", "in stock: 499.99", true));
    chart
}

#[test]
fn pictures_of_captured_readings_can_be_looked_at() {
    keep("restock", &restock());
    let (Some(apple), Some(gasoline)) = (apple(), gasoline()) else { return };
    keep("rsi", &apple);
    keep("gasoline", &gasoline);
}
