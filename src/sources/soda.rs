//! What the two sources on open data portals share: the address of a dataset's newest rows, and its
//! answers. <https://dev.socrata.com/docs/queries/>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::address::join;
use super::moment::{Moment, Order};
use super::number;
use crate::http::{Reply, Request, excerpt};
use crate::model::{Observation, Reading, Secret, nearest};
use crate::plugin::FetchError;

/// One row of a dataset: the names of its columns and what stands there. Portals leave out what is null.
pub(super) type Row = Map<String, Value>;

/// The address of a dataset on a portal.
pub(super) fn dataset(base: &Url, id: &str) -> Url {
    join(base, &["resource", &format!("{id}.json")], &[])
}

/// Asks for the newest rows: without an order a portal gives any, without a limit a thousand.
pub(super) fn newest(dataset: &Url, date: &str, limit: usize, app_token: &Secret) -> Request {
    // `$` may stand in a query as it is, and some servers know the names only so.
    let query = [("$order", &*format!("{date} DESC")), ("$limit", &*limit.to_string())];
    let request = Request::get(join(dataset, &[], &query));
    if app_token.is_empty() { request } else { request.header("x-app-token", app_token.expose()) }
}

/// The rows of an answer.
pub(super) fn rows(reply: &Reply) -> Result<Vec<Row>, FetchError> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    if reply.status == 202 {
        return Err(FetchError::failed("the portal is still working on the answer; the next run asks again"));
    }
    if let Ok(Refusal { message }) = reply.json() {
        return Err(FetchError::failed(format!("the portal refuses: {}", excerpt(&message))));
    }
    Ok(reply.ok()?.json()?)
}

/// One value a row, oldest first, of the rows that have both a date and a value.
pub(super) fn values(
    rows: &[Row],
    date: &str,
    column: &str,
    as_observed: impl Fn(f64, Timestamp) -> Observation,
) -> Result<Vec<Observation>, FetchError> {
    // Oldest first; of several rows with one date the last counts.
    let mut dated: BTreeMap<Timestamp, f64> = BTreeMap::new();
    let mut unsure = None;
    for row in rows {
        // Portals that speak of dates in numbers are American.
        let day = row.get(date).and_then(Value::as_str).map(|text| Moment::read(text, Order::MonthFirst));
        let Some(day) = day.and_then(Moment::sure) else { continue };
        match row.get(column).map(number::read) {
            Some(Ok(Some(number))) => _ = dated.insert(day, number),
            Some(Err(why)) => _ = unsure.get_or_insert(why),
            _ => {}
        }
    }
    if dated.is_empty() && !rows.is_empty() {
        return Err(unsure.map_or_else(
            || missing(rows, date, column),
            |why| FetchError::failed(format!("`{column}` is {why}")),
        ));
    }
    Ok(dated.into_iter().map(|(day, value)| as_observed(value, day)).collect())
}

/// Says which column no row has.
fn missing(rows: &[Row], date: &str, column: &str) -> FetchError {
    let has = |name: &str| rows.iter().any(|row| row.contains_key(name));
    let Some(gone) = [date, column].into_iter().find(|name| !has(name)) else {
        return FetchError::failed(format!("`{date}` holds no date, or `{column}` no number, in any row"));
    };
    let mut known: Vec<&str> = rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    known.sort_unstable();
    known.dedup();
    let hint = match nearest(gone, known.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", excerpt(near)),
        None => format!("there is: {}", excerpt(&known.join(", "))),
    };
    FetchError::failed(format!("no row has `{gone}`; {hint}"))
}

/// A value of its own date.
pub(super) fn value(subject: &str, day: Timestamp, url: &str, value: f64, unit: &str) -> Observation {
    Observation {
        subject: subject.to_owned(),
        observed_at: day,
        url: Some(url.to_owned()),
        reading: Reading::Value { value, unit: unit.to_owned() },
        evidence: Vec::new(),
    }
}
