//! Deliveries a page at a time.

use sqlx::{QueryBuilder, Row as _};

use super::super::{Page, Store};
use super::look::{Row, SHOWN, StoredDelivery};

/// What stands so. Spelled out, because an index of some rows serves only who is seen to ask for these.
fn condition(status: &str) -> &'static str {
    match status {
        "pending" => {
            " and seq in (select seq from delivery
                          where status in ('pending', 'sending') and status = 'pending')"
        }
        "sending" => {
            " and seq in (select seq from delivery
                          where status in ('pending', 'sending') and status = 'sending')"
        }
        "delivered" => " and status = 'delivered'",
        "dead" => " and status = 'dead'",
        _ => " and false",
    }
}

impl Store {
    /// Deliveries, the newest first, of one status and to one notifier where that is said; after the number of
    /// the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn deliveries_page(
        &self,
        status: Option<&str>,
        notifier: Option<&str>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<StoredDelivery, i64>, sqlx::Error> {
        let mut query = QueryBuilder::new(SHOWN);
        query.push("seq < ").push_bind(after.unwrap_or(i64::MAX));
        query.push(status.map_or("", condition));
        if let Some(notifier) = notifier {
            query.push(" and notifier = ").push_bind(notifier.to_owned());
        }
        query.push(" order by seq desc limit ");
        query.push_bind(i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(&self.read).await?;
        let delivery = |row: &sqlx::sqlite::SqliteRow| {
            let shown: Row = sqlx::FromRow::from_row(row)?;
            Ok((row.try_get("seq")?, StoredDelivery::from(shown)))
        };
        Ok(Page::of(rows.iter().map(delivery).collect::<Result<_, sqlx::Error>>()?, limit))
    }

    /// One delivery by its whole id.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, sqlx::Error> {
        let mut query = QueryBuilder::new(SHOWN);
        query.push("id = ").push_bind(id.to_owned());
        let row: Option<Row> = query.build_query_as().fetch_optional(&self.read).await?;
        Ok(row.map(StoredDelivery::from))
    }
}
