//! The pace that services bear which people commonly watch; `[fetch.host."…"]` goes before it.

use std::collections::HashMap;
use std::time::Duration;

use super::HostRules;

/// The pace of the hosts that are known.
#[must_use]
pub fn known() -> HashMap<String, HostRules> {
    // Newegg bans addresses that ask more often, for a day.
    let newegg =
        HostRules { max_concurrent: 1, min_interval: Duration::from_secs(10), ..HostRules::default() };
    HashMap::from([("www.newegg.com".to_owned(), newegg)])
}
