//! The past a page at a time. Each page begins after the key of the last row of the one before it, so that
//! rows that come meanwhile neither repeat nor hide any.

mod history;
mod runs;
mod told;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::millis;

#[cfg(test)]
pub(super) use runs::ALL_RUNS;

pub use history::{StoredBar, StoredObservation};
pub use told::SettledRow;

/// So many rows, and the key of the last one where more may follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T, K> {
    /// In the order of the question.
    pub rows: Vec<T>,
    /// After which row to go on.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Of one row more than was wanted, the last only says that there are more.
    pub(super) fn of(mut rows: Vec<(K, T)>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let (mut keys, rows): (Vec<K>, Vec<T>) = rows.into_iter().unzip();
        Self { rows, next: keys.pop().filter(|_| more) }
    }
}

/// From when until when, both with what is of that very moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// The first moment.
    pub since: Option<Timestamp>,
    /// The last moment.
    pub until: Option<Timestamp>,
}

impl TimeSpan {
    /// Adds what a column of times must fulfil.
    fn push(&self, query: &mut QueryBuilder<Sqlite>, column: &'static str) {
        for (moment, sign) in [(self.since, " >= "), (self.until, " <= ")] {
            if let Some(moment) = moment {
                query.push(" and ").push(column).push(sign).push_bind(millis(moment));
            }
        }
    }
}

/// Adds what a column of texts must be, where anything.
fn push_text(query: &mut QueryBuilder<Sqlite>, column: &'static str, text: Option<&str>) {
    if let Some(text) = text {
        query.push(" and ").push(column).push(" = ").push_bind(text.to_owned());
    }
}

/// Asks for one row more than is wanted.
fn push_limit(query: &mut QueryBuilder<Sqlite>, limit: usize) {
    query.push(" limit ").push_bind(i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX));
}
