//! The exchanges that are known by name, out of `exchanges.toml`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Week;
use super::parse::week;

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    /// The same days and hours as another.
    Like {
        like: String,
    },
    Own(Exchange),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    zone: String,
    regular: String,
    half_day_ends: Time,
    closed: HashMap<String, Vec<Date>>,
    half_days: HashMap<String, Vec<Date>>,
}

static EXCHANGES: LazyLock<HashMap<String, Arc<Week>>> =
    LazyLock::new(|| read(include_str!("exchanges.toml")).expect("the file is checked by the tests"));

/// An exchange by its name.
pub(super) fn named(name: &str) -> Option<&'static Arc<Week>> {
    EXCHANGES.get(name)
}

fn read(text: &str) -> Result<HashMap<String, Arc<Week>>, String> {
    let rows: HashMap<String, Row> = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut read = HashMap::new();
    for (name, row) in &rows {
        let exchange = match row {
            Row::Own(exchange) => Some(exchange),
            Row::Like { like } => match rows.get(like) {
                Some(Row::Own(exchange)) => Some(exchange),
                _ => None,
            },
        };
        let exchange = exchange.ok_or_else(|| format!("{name} is like one that is not there"))?;
        let zone = TimeZone::get(&exchange.zone).map_err(|error| error.to_string())?;
        let days = |named: &HashMap<String, Vec<Date>>| named.values().flatten().copied().collect::<Vec<_>>();
        let half_days = days(&exchange.half_days).into_iter().map(|day| (day, exchange.half_day_ends));
        let regular = week(&exchange.regular, &zone)?;
        let known = Week {
            closed: days(&exchange.closed).into_iter().collect(),
            early_close: half_days.collect(),
            ..regular
        };
        read.insert(name.clone(), Arc::new(known));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::NAMED;

    #[test]
    fn every_exchange_has_its_days_of_every_year() {
        let exchanges = read(include_str!("exchanges.toml")).unwrap();
        for name in NAMED.iter().filter(|name| **name != "crypto") {
            let exchange = &exchanges[*name];
            for year in 2020..=2030 {
                let closed = exchange.closed.iter().filter(|day| day.year() == year).count();
                let short = exchange.early_close.keys().filter(|day| day.year() == year).count();
                assert!((3..=11).contains(&closed), "{name} {year}: closed on {closed} days");
                assert!((1..=3).contains(&short), "{name} {year}: {short} half days");
            }
        }
        assert_eq!(exchanges.len(), NAMED.len() - 1);
    }
}
