//! Who has logged in. The browser's own secret is never stored, only a hash of it.

use jiff::Timestamp;

use super::{Store, WriteError, millis, time};

/// So many are kept; of more, those that were used longest ago are gone.
const MOST: i64 = 100;

/// A hash of what a browser shows, 32 bytes.
pub type SessionHash = [u8; 32];

impl Store {
    /// Until when a session holds; `None` when there is none, or it is over.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn session(&self, hash: SessionHash, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
        let expires_at: Option<i64> =
            sqlx::query_scalar("select expires_at from session where id_hash = ? and expires_at > ?")
                .bind(hash.to_vec())
                .bind(millis(now))
                .fetch_optional(&self.read)
                .await?;
        Ok(expires_at.map(time))
    }

    /// Begins a session; those that are over go.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn begin_session(
        &self,
        hash: SessionHash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("insert into session (id_hash, created_at, expires_at) values (?, ?, ?)")
                        .bind(hash.to_vec())
                        .bind(millis(now))
                        .bind(millis(expires_at))
                        .execute(&mut *connection)
                        .await?;
                    sqlx::query(
                        "delete from session where expires_at <= ?1 or id_hash not in
                             (select id_hash from session order by expires_at desc, created_at desc limit ?2)",
                    )
                    .bind(millis(now))
                    .bind(MOST)
                    .execute(connection)
                    .await
                    .map(drop)
                })
            })
            .await
    }

    /// Lets a session hold for longer.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn extend_session(&self, hash: SessionHash, expires_at: Timestamp) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("update session set expires_at = ? where id_hash = ?")
                        .bind(millis(expires_at))
                        .bind(hash.to_vec())
                        .execute(connection)
                        .await
                        .map(drop)
                })
            })
            .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn end_session(&self, hash: SessionHash) -> Result<(), WriteError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("delete from session where id_hash = ?")
                        .bind(hash.to_vec())
                        .execute(connection)
                        .await
                        .map(drop)
                })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[tokio::test]
    async fn a_session_holds_until_it_expires_or_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (begin, end) = (at("2026-11-21T10:00:00Z"), at("2026-12-21T10:00:00Z"));
        store.begin_session([1; 32], begin, end).await.unwrap();
        assert_eq!(store.session([1; 32], begin).await.unwrap(), Some(end));
        assert_eq!(store.session([2; 32], begin).await.unwrap(), None);
        assert_eq!(store.session([1; 32], end).await.unwrap(), None, "it is over");
        let later = at("2027-01-05T10:00:00Z");
        store.extend_session([1; 32], later).await.unwrap();
        assert_eq!(store.session([1; 32], end).await.unwrap(), Some(later));
        store.end_session([1; 32]).await.unwrap();
        assert_eq!(store.session([1; 32], end).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_hundred_are_kept_and_those_that_are_over_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let begin = at("2026-11-21T10:00:00Z");
        for n in 0..=100_u8 {
            let expires_at = begin + jiff::SignedDuration::from_mins(i64::from(n) + 1);
            store.begin_session([n; 32], begin, expires_at).await.unwrap();
        }
        assert_eq!(store.session([0; 32], begin).await.unwrap(), None, "the one too many");
        assert!(store.session([1; 32], begin).await.unwrap().is_some());
        let later = at("2026-11-22T10:00:00Z");
        store.begin_session([200; 32], later, at("2026-12-22T10:00:00Z")).await.unwrap();
        let left: i64 =
            sqlx::query_scalar("select count(*) from session").fetch_one(&store.read).await.unwrap();
        assert_eq!(left, 1);
    }
}
