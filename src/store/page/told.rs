//! What strategies settled on, what was told, and what is kept quiet.

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::super::{Store, StoredAlert, from_json, millis, time};
use super::{Page, TimeSpan, push_limit, push_text};
use crate::model::{AlertStatus, SignalState, Silence};

/// What a strategy settled on about a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledRow {
    /// The strategy.
    pub strategy: String,
    /// The subject.
    pub subject: String,
    /// What it settled on.
    pub state: SignalState,
    /// What was last told about it, in a line; empty where nothing was.
    pub summary: String,
}

type SilenceRow = (i64, String, i64, i64, String, String);

impl Store {
    /// What the strategies of a watch settled on, by strategy and subject; a span counts since when it is so.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn settled_page(
        &self,
        (watch_id, subject): (i64, Option<&str>),
        span: TimeSpan,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Page<SettledRow, (String, String)>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "select strategy, subject, state,
                    coalesce((select alert ->> '$.signal.summary' from alert
                              where alert.watch_id = signal_state.watch_id
                                and alert.strategy = signal_state.strategy
                                and alert.subject = signal_state.subject
                              order by created_at desc limit 1), '')
             from signal_state where watch_id = ",
        );
        query.push_bind(watch_id);
        push_text(&mut query, "subject", subject);
        for (moment, sign) in [(span.since, " >= "), (span.until, " <= ")] {
            if let Some(moment) = moment {
                query.push(" and unixepoch(state ->> 'since', 'subsec') * 1000").push(sign);
                query.push_bind(millis(moment));
            }
        }
        if let Some((strategy, subject)) = after {
            query.push(" and (strategy, subject) > (").push_bind(strategy).push(", ").push_bind(subject);
            query.push(")");
        }
        query.push(" order by strategy, subject");
        push_limit(&mut query, limit);
        let rows: Vec<(String, String, String, String)> =
            query.build_query_as().fetch_all(&self.read).await?;
        let settled = |(strategy, subject, state, summary): (String, String, String, String)| {
            let key = (strategy.clone(), subject.clone());
            Ok((key, SettledRow { strategy, subject, state: from_json(&state)?, summary }))
        };
        Ok(Page::of(rows.into_iter().map(settled).collect::<Result<_, sqlx::Error>>()?, limit))
    }

    /// Alerts, the newest first; after the time and id of the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alerts_page(
        &self,
        (watch, strategy, subject): (Option<&str>, Option<&str>, Option<&str>),
        status: Option<AlertStatus>,
        span: TimeSpan,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Page<StoredAlert, (i64, String)>, sqlx::Error> {
        let mut query = QueryBuilder::new("select id, created_at, alert from alert where true");
        if let Some(watch) = watch {
            // By its row: a watch that was renamed keeps its past, and there is an index.
            query
                .push(" and watch_id = (select id from watch where name = ")
                .push_bind(watch.to_owned())
                .push(")");
        }
        push_text(&mut query, "strategy", strategy);
        push_text(&mut query, "subject", subject);
        let status = status.map(|status| match status {
            AlertStatus::Firing => "firing",
            AlertStatus::Resolved => "resolved",
        });
        push_text(&mut query, "status", status);
        span.push(&mut query, "created_at");
        if let Some((at, id)) = after {
            query.push(" and (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        query.push(" order by created_at desc, id desc");
        push_limit(&mut query, limit);
        let rows: Vec<(String, i64, String)> = query.build_query_as().fetch_all(&self.read).await?;
        let stored = |(id, at, alert): (String, i64, String)| {
            Ok(((at, id), StoredAlert { alert: from_json(&alert)?, created_at: time(at) }))
        };
        Ok(Page::of(rows.into_iter().map(stored).collect::<Result<_, sqlx::Error>>()?, limit))
    }

    /// One alert by its id.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn alert(&self, id: &str) -> Result<Option<StoredAlert>, sqlx::Error> {
        let row: Option<(i64, String)> = sqlx::query_as("select created_at, alert from alert where id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        let stored =
            |(at, alert): (i64, String)| Ok(StoredAlert { alert: from_json(&alert)?, created_at: time(at) });
        row.map(stored).transpose()
    }

    /// The silences that are in force or to come, or every one that is kept, the newest first; after the row
    /// of the last one.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn silences_page(
        &self,
        now: Timestamp,
        ended_too: bool,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<Silence, i64>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "select id, matchers, starts_at, ends_at, created_by, comment from silence where id < ",
        );
        query.push_bind(after.unwrap_or(i64::MAX));
        if !ended_too {
            query.push(" and ends_at > ").push_bind(millis(now));
        }
        query.push(" order by id desc");
        push_limit(&mut query, limit);
        let rows: Vec<SilenceRow> = query.build_query_as().fetch_all(&self.read).await?;
        let silence = |(id, matchers, starts_at, ends_at, created_by, comment): SilenceRow| {
            let (starts_at, ends_at) = (time(starts_at), time(ends_at));
            Ok((id, Silence { id, matchers: from_json(&matchers)?, starts_at, ends_at, created_by, comment }))
        };
        Ok(Page::of(rows.into_iter().map(silence).collect::<Result<_, sqlx::Error>>()?, limit))
    }
}
