//! Finished runs: all that one run leaves behind is committed at once.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::{GapChange, NewDelivery, Store, WriteError, hosts, millis, observations};
use crate::http::{Mark, Standing};
use crate::model::{Alert, Candle, Interval, Observation, Outcome, SignalState, Trigger};

/// What the memo is called that says who asked when the final answers were given.
const ASKS_AS: &str = "asks_as";

/// All that one run leaves behind. Either the world knows all of it, or nothing happened.
#[derive(Clone, Debug)]
pub struct RunCommit {
    /// Whose run it was.
    pub watch_id: i64,
    /// The table that it ran by. When the watch has another by now, only the run itself is stored: what it
    /// found was judged by what no longer holds. `None` where that makes no difference.
    pub spec_hash: Option<u64>,
    /// What asked for it.
    pub trigger: Trigger,
    /// The slot.
    pub due_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was decided.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it failed or was blocked.
    pub error: Option<String>,
    /// When the watch is due next.
    pub next_due: NextDue,
    /// How long it waited for its hosts' turns.
    pub waited: Waited,
    /// How hosts stand, where it has changed that; nothing as a rule.
    pub standings: Vec<Standing>,
    /// What else it found; nothing for a run that found nothing new.
    pub found: Option<Box<Found>>,
}

/// How long a run waited for a host's turn, the longest of its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// So long.
    pub time: Duration,
    /// For which host, where it was so long that somebody may ask.
    pub host: Option<String>,
}

impl Waited {
    pub(super) fn millis(&self) -> i64 {
        i64::try_from(self.time.as_millis()).unwrap_or(i64::MAX)
    }
}

/// When a watch is due after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextDue {
    /// As before: no schedule asked for the run, or a new timetable is to say.
    Keep,
    /// Then.
    At(Timestamp),
    /// Never again: its timetable has no more slots.
    Never,
}

impl From<Option<Timestamp>> for NextDue {
    fn from(slot: Option<Timestamp>) -> Self {
        slot.map_or(Self::Never, Self::At)
    }
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many observations, signals and alerts, for the list of runs.
    pub counts: [usize; 3],
    /// Verdicts as JSON.
    pub verdicts: Option<String>,
    /// Everything that was asked.
    pub requests: Vec<u64>,
    /// What to know the answers by next time, by request.
    pub marks: Vec<(u64, Mark)>,
    /// What was seen of each subject.
    pub seen: Vec<SeenSubject>,
    /// Subjects that a complete answer no longer mentions.
    pub gone: Vec<String>,
    /// Observations that were seen again, unchanged.
    pub seen_again: Vec<i64>,
    /// New or changed bars.
    pub candles: Vec<(String, Interval, Candle)>,
    /// What strategies settled on: watch (or [`super::DAEMON`]), strategy, subject.
    pub states: Vec<(i64, String, String, SignalState)>,
    /// What is told.
    pub alerts: Vec<Alert>,
    /// To whom.
    pub deliveries: Vec<NewDelivery>,
    /// What became of the slots that no good run stands for.
    pub gap: Option<GapChange>,
    /// Silences of which a message says that they have ended.
    pub silences_told: Vec<i64>,
}

/// One subject as an answer showed it.
#[derive(Clone, Debug)]
pub struct SeenSubject {
    /// The observation.
    pub observation: Observation,
    /// Which request's answer it stood in.
    pub request: u64,
    /// XXH3-64 of the reading.
    pub hash: u64,
    /// Whether it has a date of its own, rather than the run's.
    pub dated: bool,
    /// Whether it is the last of its subject in this answer.
    pub newest: bool,
}

/// What answers are known by, by watch and request.
pub type Marks = HashMap<i64, HashMap<u64, Mark>>;

/// SQLite's integers are signed; a hash is stored bit for bit.
pub(super) const fn signed(hash: u64) -> i64 {
    hash.cast_signed()
}

impl RunCommit {
    /// Whether it found nothing new. Slots that passed meanwhile and that nobody will fill in do not count:
    /// where runs come too late, nearly every one leaves some.
    pub(super) fn is_brief(&self) -> bool {
        let Some(found) = &self.found else { return true };
        found.verdicts.is_none()
            && found.requests.is_empty()
            && found.states.is_empty()
            && found.alerts.is_empty()
            && found.candles.is_empty()
            && found.counts == [0; 3]
            && matches!(&found.gap, Some(GapChange::Left(gap)) if gap.next_attempt_at.is_none())
    }
}

impl Store {
    /// Commits a run, together with the others that finish now.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing of the run is stored.
    pub async fn commit_run(&self, run: RunCommit) -> Result<(), WriteError> {
        self.writer.commit_run(run).await
    }

    /// What every watch's answers are known by.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn marks(&self) -> Result<Marks, sqlx::Error> {
        type Row = (i64, i64, Option<String>, Option<String>, Vec<u8>, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "select watch_id, request, etag, last_modified, body_hash, final_answer from http_cache",
        )
        .fetch_all(&self.read)
        .await?;
        let mut marks = Marks::new();
        for (watch, request, etag, last_modified, hash, final_answer) in rows {
            let Ok(hash) = <[u8; 16]>::try_from(hash) else { continue };
            let body_hash = u128::from_be_bytes(hash);
            let mark = Mark { etag, last_modified, body_hash, final_answer };
            marks.entry(watch).or_default().insert(request.cast_unsigned(), mark);
        }
        Ok(marks)
    }

    /// What is not asked again until the watch changes: what its answer is known by, by request.
    ///
    /// # Errors
    /// Any of SQLite's own.
    pub async fn final_answers(&self, watch_id: i64) -> Result<HashMap<u64, Mark>, sqlx::Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select request, final_answer from http_cache where watch_id = ? and final_answer is not null",
        )
        .bind(watch_id)
        .fetch_all(&self.read)
        .await?;
        let mark = |why| Mark { final_answer: Some(why), ..Mark::default() };
        Ok(rows.into_iter().map(|(request, why)| (request.cast_unsigned(), mark(why))).collect())
    }

    /// Forgets the final answers where others ask than before, or by another way; tells whose they were.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is changed.
    pub async fn reopen_final_answers(&self, asks_as: u64) -> Result<Vec<i64>, WriteError> {
        let asks_as = format!("{asks_as:016x}");
        if self.memo(ASKS_AS).await?.as_ref() == Some(&asks_as) {
            return Ok(Vec::new());
        }
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let reopened = sqlx::query_scalar(
                        "delete from http_cache where final_answer is not null returning watch_id",
                    );
                    let reopened = reopened.fetch_all(&mut *connection).await?;
                    super::memo::remember(connection, ASKS_AS, &asks_as).await?;
                    Ok(reopened)
                })
            })
            .await
    }
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    runs: &[Box<RunCommit>],
) -> Result<(), sqlx::Error> {
    let (full, brief): (Vec<_>, Vec<_>) = runs.iter().map(|run| &**run).partition(|run| !run.is_brief());
    if !brief.is_empty() {
        insert_brief(connection, &brief).await?;
    }
    for run in full {
        insert_full(connection, run).await?;
    }
    hosts::note(connection, runs.iter().flat_map(|run| &run.standings)).await?;
    went(connection, runs).await
}

/// Writes down how these went, and when their watches are due next: unless a watch has no slot any more, because
/// somebody paused it meanwhile; then the pause takes over from there.
async fn went(connection: &mut SqliteConnection, runs: &[Box<RunCommit>]) -> Result<(), sqlx::Error> {
    let row = |run: &RunCommit| {
        // A table that has changed meanwhile may have slots again.
        let (keeps, next, never_by) = match run.next_due {
            NextDue::Keep => (true, None, None),
            NextDue::At(at) => (false, Some(millis(at)), None),
            NextDue::Never => (false, None, run.spec_hash.map(signed)),
        };
        (run.watch_id, millis(run.finished_at), run.outcome.as_str(), keeps, next, never_by)
    };
    // A repair says nothing about how the watch is now. Of two runs the later one counts.
    let rows: HashMap<i64, _> = runs
        .iter()
        .filter(|run| run.trigger != Trigger::Repair)
        .map(|run| (run.watch_id, row(run)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update due set ran_at = run.value ->> 1, outcome = run.value ->> 2, run_id = (select max(id) from run),
             next_due_at = case
                 when next_due_at is null or run.value ->> 3 then next_due_at
                 when run.value ->> 4 is not null then run.value ->> 4
                 when run.value ->> 5 is null
                      or run.value ->> 5 = (select spec_hash from watch where id = due.watch_id) then null
                 else next_due_at end,
             paused_from = case
                 when paused_from is null or run.value ->> 3 then paused_from
                 else coalesce(run.value ->> 4, paused_from) end
         from json_each(?) run where due.watch_id = run.value ->> 0",
    )
    .bind(super::json(&rows.values().collect::<Vec<_>>())?)
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_brief(connection: &mut SqliteConnection, runs: &[&RunCommit]) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = runs
        .iter()
        .map(|run| {
            let passed = match run.found.as_ref().and_then(|found| found.gap.as_ref()) {
                Some(GapChange::Left(gap)) => Some((
                    millis(gap.first_due_at),
                    millis(gap.last_due_at),
                    i64::try_from(gap.slots).unwrap_or(i64::MAX),
                    gap.why.as_str(),
                )),
                Some(GapChange::Settled(_)) | None => None,
            };
            (
                run.watch_id,
                run.trigger.as_str(),
                millis(run.due_at),
                millis(run.started_at),
                millis(run.finished_at),
                run.outcome.as_str(),
                run.error.as_deref(),
                passed,
                run.waited.millis(),
                run.waited.host.as_deref(),
            )
        })
        .collect();
    sqlx::query(
        r#"insert into run (watch_id, "trigger", due_at, started_at, finished_at, outcome, error,
                            passed_from, passed_until, passed, passed_why, waited_ms, waited_for)
           select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                  value ->> '$[7][0]', value ->> '$[7][1]', value ->> '$[7][2]', value ->> '$[7][3]',
                  value ->> 8, value ->> 9
           from json_each(?)"#,
    )
    .bind(super::json(&rows)?)
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_full(connection: &mut SqliteConnection, run: &RunCommit) -> Result<(), sqlx::Error> {
    let nothing = Found::default();
    let is_current: bool = sqlx::query_scalar(
        r#"select ?2 is null or exists (select 1 from watch where id = ?1 and spec_hash = ?2
                                        and removed_at is null and (enabled or ?3 = 'manual'))"#,
    )
    .bind(run.watch_id)
    .bind(run.spec_hash.map(signed))
    .bind(run.trigger.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let found = run.found.as_deref().filter(|_| is_current).unwrap_or(&nothing);
    let [observations, signals, alerts] = found.counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let run_id: i64 = sqlx::query_scalar(
        r#"insert into run (watch_id, "trigger", due_at, started_at, finished_at, outcome, error,
                            observations, signals, alerts, verdicts, waited_ms, waited_for)
           values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id"#,
    )
    .bind(run.watch_id)
    .bind(run.trigger.as_str())
    .bind(millis(run.due_at))
    .bind(millis(run.started_at))
    .bind(millis(run.finished_at))
    .bind(run.outcome.as_str())
    .bind(&run.error)
    .bind(observations)
    .bind(signals)
    .bind(alerts)
    .bind(&found.verdicts)
    .bind(run.waited.millis())
    .bind(&run.waited.host)
    .fetch_one(&mut *connection)
    .await?;
    observations::insert(connection, run.watch_id, millis(run.started_at), found).await?;
    for (request, mark) in &found.marks {
        sqlx::query(
            "insert or replace into http_cache
                 (watch_id, request, etag, last_modified, body_hash, final_answer)
             values (?, ?, ?, ?, ?, ?)",
        )
        .bind(run.watch_id)
        .bind(signed(*request))
        .bind(&mark.etag)
        .bind(&mark.last_modified)
        .bind(mark.body_hash.to_be_bytes().to_vec())
        .bind(&mark.final_answer)
        .execute(&mut *connection)
        .await?;
    }
    if !found.marks.is_empty() {
        // What is no longer asked need not be known.
        let asked: Vec<i64> = found.requests.iter().copied().map(signed).collect();
        sqlx::query(
            "delete from http_cache where watch_id = ? and request not in (select value from json_each(?))",
        )
        .bind(run.watch_id)
        .bind(super::json(&asked)?)
        .execute(&mut *connection)
        .await?;
    }
    if !found.states.is_empty() {
        let rows: Vec<Value> = found
            .states
            .iter()
            .map(|(watch, strategy, subject, state)| json!([watch, strategy, subject, state]))
            .collect();
        sqlx::query(
            "insert or replace into signal_state (watch_id, strategy, subject, state)
             select value ->> 0, value ->> 1, value ->> 2, value -> 3 from json_each(?)",
        )
        .bind(super::json(&rows)?)
        .execute(&mut *connection)
        .await?;
    }
    // Slots have passed whatever the watch has come to mean since.
    let gap = run.found.as_deref().and_then(|found| found.gap.as_ref());
    if let Some(change) = gap.filter(|change| is_current || matches!(change, GapChange::Left(_))) {
        super::gaps::write(connection, run.watch_id, change).await?;
    }
    super::alerts::insert(connection, run_id, run.watch_id, millis(run.started_at), &found.alerts).await?;
    super::silences::mark_told(connection, &found.silences_told, millis(run.started_at)).await?;
    super::outbox::enqueue(connection, run_id, &found.deliveries).await
}
