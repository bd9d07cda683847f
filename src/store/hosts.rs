//! How long hosts are left alone, because they refused us or did not answer: kept over a restart.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{Store, WriteError, millis, time};
use crate::http::Standing;

const BLOCKED: &str = "blocked";
const DOWN: &str = "down";

impl Store {
    /// How every host stands that is left alone, or was until a short while ago.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn host_standings(&self) -> Result<Vec<Standing>, sqlx::Error> {
        type Row = (String, i64, i64, i64, String, String, i64);
        let rows: Vec<Row> =
            sqlx::query_as("select host, wait_ms, since, until, kind, why, changed_at from host")
                .fetch_all(&self.read)
                .await?;
        let standing = |(host, wait_ms, since, until, kind, why, changed_at): Row| Standing {
            host,
            wait: Duration::from_millis(wait_ms.unsigned_abs()),
            since: time(since),
            until: time(until),
            why,
            refused: kind == BLOCKED,
            changed_at: time(changed_at),
        };
        Ok(rows.into_iter().map(standing).collect())
    }

    /// Writes down how hosts stand. What is known of a host that is newer stays.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn note_hosts(&self, standings: Vec<Standing>) -> Result<(), WriteError> {
        if standings.is_empty() {
            return Ok(());
        }
        self.writer.write(move |connection| Box::pin(async move { note(connection, &standings).await })).await
    }
}

/// Writes down how hosts stand; one that stands well again is forgotten.
pub(super) async fn note<'s>(
    connection: &mut SqliteConnection,
    standings: impl IntoIterator<Item = &'s Standing>,
) -> Result<(), sqlx::Error> {
    let mut newest: HashMap<&str, &Standing> = HashMap::new();
    for standing in standings {
        let known = newest.entry(&standing.host).or_insert(standing);
        if known.changed_at <= standing.changed_at {
            *known = standing;
        }
    }
    if newest.is_empty() {
        return Ok(());
    }
    let row = |standing: &&Standing| -> Value {
        json!([
            standing.host,
            // Less than a millisecond is still a wait.
            i64::try_from(standing.wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX),
            millis(standing.since),
            millis(standing.until),
            if standing.refused { BLOCKED } else { DOWN },
            standing.why,
            millis(standing.changed_at),
        ])
    };
    let rows = super::json(&newest.values().map(row).collect::<Vec<_>>())?;
    sqlx::query(
        "insert into host (host, wait_ms, since, until, kind, why, changed_at)
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
         from json_each(?) where value ->> 1 > 0
         on conflict (host) do update set wait_ms = excluded.wait_ms, since = excluded.since,
             until = excluded.until, kind = excluded.kind, why = excluded.why,
             changed_at = excluded.changed_at
         -- A clock that was ahead must not have the last word.
         where excluded.changed_at not between host.changed_at - 3600000 and host.changed_at - 1",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "delete from host where exists
             (select 1 from json_each(?) well where well.value ->> 1 = 0 and well.value ->> 0 = host.host
                                                and well.value ->> 6 >= host.changed_at)",
    )
    .bind(&rows)
    .execute(connection)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::store::Retention;
    use crate::testing::at;

    const TEN: &str = "2026-11-21T10:00:00Z";

    fn second(n: i64) -> Timestamp {
        at(TEN) + SignedDuration::from_secs(n)
    }

    fn standing(host: &str, wait_secs: u64, changed: i64) -> Standing {
        let wait = Duration::from_secs(wait_secs);
        Standing {
            host: host.into(),
            wait,
            since: second(changed),
            until: second(changed) + wait,
            why: "HTTP 429: too many requests".into(),
            refused: host.starts_with("shop"),
            changed_at: second(changed),
        }
    }

    async fn known(store: &Store) -> Vec<Standing> {
        let mut known = store.host_standings().await.unwrap();
        known.sort_by(|a, b| a.host.cmp(&b.host));
        known
    }

    #[tokio::test]
    async fn how_a_host_stands_is_found_again_and_the_newer_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (shop, bars) = (standing("shop.example:8080", 10, 0), standing("bars.example", 20, 1));
        store.note_hosts(vec![shop.clone(), bars.clone()]).await.unwrap();
        assert_eq!(known(&store).await, [bars.clone(), shop.clone()], "word for word");

        // Of two words in one breath the newer counts, in whatever order they come.
        let worse = standing("shop.example:8080", 40, 9);
        store.note_hosts(vec![worse.clone(), standing("shop.example:8080", 20, 5)]).await.unwrap();
        store.note_hosts(vec![standing("shop.example:8080", 0, 8)]).await.unwrap();
        assert_eq!(known(&store).await, [bars.clone(), worse.clone()], "an old word comes late");

        store.note_hosts(vec![standing("shop.example:8080", 0, 10)]).await.unwrap();
        assert_eq!(known(&store).await, [bars], "all is well again");
    }

    #[tokio::test]
    async fn a_host_that_was_long_let_be_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let day = 86_400;
        let hosts = vec![standing("shop.example", 60, -day - 120), standing("bars.example", 60, -day)];
        store.note_hosts(hosts).await.unwrap();
        store.prune(&Retention::default(), at(TEN)).await.unwrap();
        let left: Vec<String> = known(&store).await.into_iter().map(|standing| standing.host).collect();
        assert_eq!(left, ["bars.example"]);
    }
}
