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

/// Whether there is no room.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    code(error) == Some(FULL)
}

/// What is wrong with the whole database, in words for its owner; `None` where the error is about one
/// write only.
pub(super) async fn of(error: &sqlx::Error, connection: &mut SqliteConnection) -> Option<String> {
    Some(match code(error)? {
        BUSY | LOCKED | PROTOCOL => "another program holds it locked".into(),
        FULL if is_at_its_limit(connection).await => "it has grown to `max_database`".into(),
        FULL => "the disk is full".into(),
        READONLY => "it is read-only".into(),
        IOERR | CANTOPEN => format!("the disk fails ({error})"),
        CORRUPT | NOTADB => format!("the file is damaged ({error})"),
        _ => return None,
    })
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
