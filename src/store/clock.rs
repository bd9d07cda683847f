//! What was written down for a time that a clock set back has moved away.

use jiff::{SignedDuration, Timestamp};

use super::{Note, Store, WriteError, memo, millis};

impl Store {
    /// The clock was set back by `by`: each of these watches is due no later than at the given moment, what
    /// waits to be sent again waits no longer than it would have, and those who are told of it are told.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn clock_was_set_back(
        &self,
        by: SignedDuration,
        due: Vec<(i64, Timestamp)>,
        note: (Note, Vec<String>),
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let due: Vec<(i64, i64)> = due.into_iter().map(|(watch, at)| (watch, millis(at))).collect();
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update due set next_due_at = min(next_due_at, latest.value ->> 1)
                         from json_each(?) latest where due.watch_id = latest.value ->> 0",
                    )
                    .bind(super::json(&due)?)
                    .execute(&mut *connection)
                    .await?;
                    // What is held for the end of quiet hours waits for a time of day.
                    sqlx::query(
                        "update delivery set next_attempt_at = next_attempt_at - ?1,
                             lease_until = lease_until - ?1
                         where status in ('pending', 'sending') and held = 0",
                    )
                    .bind(by)
                    .execute(&mut *connection)
                    .await?;
                    let (note, notifiers) = note;
                    memo::tell(connection, &note, &notifiers, now).await
                })
            })
            .await
    }

    /// What was written in a time that is still to come waits for nothing: the clock was set back while the
    /// daemon was away.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn release_deliveries_of_the_future(&self, now: Timestamp) -> Result<u64, WriteError> {
        let now = millis(now);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "update delivery set next_attempt_at = ?1
                         where status = 'pending' and held = 0 and created_at > ?1",
                    )
                    .bind(now)
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected())
                })
            })
            .await
    }
}
