//! The pace that services bear which people commonly watch; `[fetch.host."…"]` goes before it.

use std::collections::HashMap;
use std::time::Duration;

use super::HostRules;

/// Hosts, the seconds between two requests, and up to how many more by chance; one request at a time.
const KNOWN: &[(&str, u64, u64)] = &[
    // Bans addresses that ask more often, for a day.
    ("www.newegg.com", 10, 2),
    ("www.newegg.ca", 10, 2),
    ("newegg.com", 10, 2),
    // Publishes no limit and bans for hours; `query2` is the same service.
    ("query1.finance.yahoo.com", 2, 1),
    ("query2.finance.yahoo.com", 2, 1),
    // Sixty calls a minute, <https://finnhub.io/docs/api/rate-limit>.
    ("finnhub.io", 1, 0),
];

/// The pace of the hosts that are known.
#[must_use]
pub fn known() -> HashMap<String, HostRules> {
    let rules = |interval, jitter| HostRules {
        max_concurrent: 1,
        min_interval: Duration::from_secs(interval),
        jitter: Duration::from_secs(jitter),
        burst: 1,
    };
    KNOWN.iter().map(|(host, interval, jitter)| ((*host).to_owned(), rules(*interval, *jitter))).collect()
}
