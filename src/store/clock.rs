//! What was written down for a time that a clock set back has moved away.

use jiff::{SignedDuration, Timestamp};

use super::{Note, Store, WriteError, memo, millis, outbox};

impl Store {
    /// The clock was set back by `by`: each of these watches is due no later than at the given moment, what
    /// waits to be sent again waits no longer than it would have, what is held is held until `end_of` by the new
    /// time (see [`Store::hold_anew`]), and those who are told of it are told.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn clock_was_set_back(
        &self,
        by: SignedDuration,
        due: Vec<(i64, Timestamp)>,
        end_of: impl Fn(&str) -> Option<Option<Timestamp>> + Send + 'static,
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
                         where status in ('pending', 'sending') and (held = 0 or attempts > 0)",
                    )
                    .bind(by)
                    .execute(&mut *connection)
                    .await?;
                    outbox::hold_anew(connection, end_of, now).await?;
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
                         where status = 'pending' and (held = 0 or attempts > 0) and created_at > ?1",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Settlement, WatchSpec};
    use crate::testing::at;

    fn spec(name: &str, next: &str) -> WatchSpec {
        WatchSpec {
            name: name.into(),
            was: None,
            spec: "{}".into(),
            spec_hash: 1,
            enabled: true,
            toml: None,
            first_due_at: Some(at(next)),
            next_due_at: Some(at(next)),
        }
    }

    fn note(title: &str) -> Note {
        Note { title: title.into(), body: String::new(), urgent: false, held_until: None }
    }

    const BACK: SignedDuration = SignedDuration::from_hours(1);

    #[tokio::test]
    async fn what_waited_for_the_time_before_waits_no_longer_than_it_would_have() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let specs = vec![spec("minutely", "2026-11-21T12:01:00Z"), spec("daily", "2026-11-21T11:30:00Z")];
        let ids = store.synchronise(specs, at("2026-11-21T12:00:00Z"), |_| Vec::new()).await.unwrap().ids;
        let everyone = || vec!["hook".to_owned()];
        let before = (note("from before"), everyone());
        store.remember_and_tell(None, Some(before), at("2026-11-21T12:00:30Z")).await.unwrap();
        // Half past twelve is half past eleven again; the daily one was due at that time anyway.
        let now = at("2026-11-21T11:00:30Z");
        let due =
            vec![(ids["minutely"], at("2026-11-21T11:01:00Z")), (ids["daily"], at("2026-11-22T11:30:00Z"))];
        store.clock_was_set_back(BACK, due, |_| None, (note("set back"), everyone()), now).await.unwrap();
        let due = store.due_watches(at("2026-11-22T00:00:00Z"), 9).await.unwrap();
        let expected = [("minutely", "2026-11-21T11:01:00Z"), ("daily", "2026-11-21T11:30:00Z")];
        assert_eq!(due, expected.map(|(name, moment)| (name.to_owned(), at(moment))));
        let mut titles = Vec::new();
        while let Some(claimed) = store.claim_oldest("hook", now).await {
            titles.push(claimed.title);
            let told = ("run", "notifier hook".to_owned());
            store
                .settle_delivery(&claimed.id, Settlement::Delivered, now, told, |_, _, _| None)
                .await
                .unwrap();
        }
        assert_eq!(titles, ["from before", "set back"]);
    }

    #[tokio::test]
    async fn a_start_finds_what_a_clock_set_back_has_left_far_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store
            .synchronise(vec![spec("w", "2026-11-21T12:01:00Z")], at("2026-11-21T12:00:00Z"), |_| Vec::new())
            .await
            .unwrap();
        let written = (note("from the future"), vec!["hook".to_owned()]);
        store.remember_and_tell(None, Some(written), at("2026-11-21T12:00:00Z")).await.unwrap();
        let now = at("2026-11-21T11:00:00Z");
        store.synchronise(vec![spec("w", "2026-11-21T11:01:00Z")], now, |_| Vec::new()).await.unwrap();
        let due = store.due_watches(at("2026-11-22T00:00:00Z"), 9).await.unwrap();
        assert_eq!(due, [("w".to_owned(), at("2026-11-21T11:01:00Z"))]);
        assert_eq!(store.release_deliveries_of_the_future(now).await.unwrap(), 1);
        assert!(store.claim_oldest("hook", now).await.is_some());
        // A slot that was missed stands.
        store
            .synchronise(vec![spec("w", "2026-11-21T13:01:00Z")], at("2026-11-21T13:00:30Z"), |_| Vec::new())
            .await
            .unwrap();
        let due = store.due_watches(at("2026-11-22T00:00:00Z"), 9).await.unwrap();
        assert_eq!(due, [("w".to_owned(), at("2026-11-21T11:01:00Z"))]);
    }
}
