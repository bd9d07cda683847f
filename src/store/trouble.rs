//! Why the database takes no writes at all, as against one that it cannot store.

use sqlx::SqliteConnection;

/// SQLite's primary result codes. <https://www.sqlite.org/rescode.html>
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const PROTOCOL: u32 = 15;
const NOTADB: u32 = 26;

/// Whether another program holds the lock.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(BUSY | LOCKED | PROTOCOL))
}

/// What is wrong with the whole database, in words for its owner; `None` where the error is about one
/// write only.
pub(super) async fn of(error: &sqlx::Error, connection: &mut SqliteConnection) -> Option<String> {
    Some(match code(error)? {
        BUSY | LOCKED | PROTOCOL => "another program holds it locked".into(),
        FULL if is_at_its_limit(connection).await => "it has grown to `max_database`".into(),
        FULL => "the disk is full".into(),
        READONLY => "it is read-only".into(),
        IOERR | CANTOPEN => format!("the disk fails ({})", said(error)),
        CORRUPT | NOTADB => format!("the file is damaged ({})", said(error)),
        _ => return None,
    })
}

/// SQLite's own words, with the code that says more.
fn said(error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error() else { return error.to_string() };
    format!("{}, code {}", error.message(), error.code().unwrap_or_default())
}

fn code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether it is our own limit that a large write does not fit under.
async fn is_at_its_limit(connection: &mut SqliteConnection) -> bool {
    const ROOM: i64 = 1_024;
    // Both are read on this connection: the limit is its own.
    let pages = sqlx::query_scalar::<_, i64>("pragma page_count").fetch_one(&mut *connection).await;
    let most = sqlx::query_scalar::<_, i64>("pragma max_page_count").fetch_one(connection).await;
    pages.is_ok_and(|pages| most.is_ok_and(|most| pages.saturating_add(ROOM) > most))
}
