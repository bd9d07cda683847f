//! The one writer: a task that owns the only writing connection. Finished runs that arrive together
//! are committed together; everything else has a transaction of its own.
//!
//! Transactions are begun and ended by plain statements: on a full disk SQLite rolls back by itself, and the
//! library's own count of transactions would be wrong from then on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tracing::warn;

use super::runs::{self, RunCommit};
use super::trouble;

/// How many runs one transaction takes at most.
const LARGEST_BATCH: usize = 512;

/// A write that did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// SQLite's own reason; shared by all that were in the same transaction.
    #[error("the database refuses: {0}")]
    Database(Arc<sqlx::Error>),
    /// The daemon is stopping.
    #[error("the database is closed")]
    Closed,
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// How long a run that found nothing new waits for others to be committed with.
const LINGER: Duration = Duration::from_millis(10);

/// How long a lock that another program holds is waited for. After that, as long as it is held, what comes
/// is refused soon: the watches go on being tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// The connection's own wait for a lock, a slice of that.
const LOCK_SLICE: Duration = Duration::from_millis(250);

/// The write-ahead log is cut to this size after it has grown beyond, as when the file was written anew.
const LARGEST_LOG_BYTES: u128 = 16 << 20;

type Done = oneshot::Sender<Result<(), WriteError>>;
type Pending<'c> = Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>>;
type Work = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Pending<'c> + Send>;

enum Job {
    Run(Box<RunCommit>, Done),
    Other(Work, Done),
    Stop(oneshot::Sender<()>),
}

#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    /// Why it takes nothing, since it last refused for a reason that concerns every write.
    pub(super) trouble: watch::Sender<Option<String>>,
    /// How often another program was seen to have written.
    pub(super) foreign: Arc<AtomicU64>,
}

/// Makes a connection the writer's own.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for (name, value) in [("busy_timeout", LOCK_SLICE.as_millis()), ("journal_size_limit", LARGEST_LOG_BYTES)]
    {
        let pragma = sqlx::AssertSqlSafe(format!("pragma {name} = {value}"));
        sqlx::query(pragma).fetch_all(&mut *connection).await?;
    }
    Ok(())
}

/// What the task works with.
struct Hand {
    connection: SqliteConnection,
    trouble: watch::Sender<Option<String>>,
    locked_since: Option<Instant>,
    foreign: Arc<AtomicU64>,
    /// SQLite's count of what other connections wrote.
    version: Option<i64>,
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (jobs, receiver) = mpsc::channel(1_024);
        let trouble = watch::Sender::new(None);
        let foreign = Arc::new(AtomicU64::new(0));
        let hand = Hand {
            connection,
            trouble: trouble.clone(),
            locked_since: None,
            foreign: Arc::clone(&foreign),
            version: None,
        };
        tokio::spawn(write(hand, receiver));
        Self { jobs, trouble, foreign }
    }

    pub(super) async fn commit_run(&self, run: RunCommit) -> Result<(), WriteError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Run(Box::new(run), done)).await.map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    /// Does `work` in a transaction of its own and hands its result back.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(
                &'c mut SqliteConnection,
            ) -> Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>
            + Send
            + 'static,
    {
        let (result, wanted) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            Box::pin(async move {
                let value = work(connection).await?;
                let _ = result.send(value);
                Ok(())
            })
        });
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Other(work, done)).await.map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)??;
        wanted.await.map_err(|_| WriteError::Closed)
    }

    pub(super) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.jobs.send(Job::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

async fn write(mut hand: Hand, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = None;
    loop {
        let job = match waiting.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => break,
            },
        };
        match job {
            Job::Run(run, done) => {
                let mut batch = vec![(run, done)];
                waiting = gather(&mut jobs, &mut batch).await;
                hand.commit(batch).await;
            }
            Job::Other(work, done) => {
                let _ = done.send(hand.transact(work).await.map_err(WriteError::from));
            }
            Job::Stop(done) => {
                if let Err(error) = hand.connection.close().await {
                    warn!(%error, "The database did not close cleanly");
                }
                let _ = done.send(());
                return;
            }
        }
    }
}

/// Adds the runs that have finished meanwhile. Runs that found nothing new can wait a moment for others;
/// one that did is committed at once, with all that is there. Answers a job that is no run.
async fn gather(jobs: &mut mpsc::Receiver<Job>, batch: &mut Vec<(Box<RunCommit>, Done)>) -> Option<Job> {
    let patience = sleep(LINGER);
    tokio::pin!(patience);
    let mut urgent = batch.iter().any(|(run, _)| !run.is_brief());
    while batch.len() < LARGEST_BATCH {
        let job = match jobs.try_recv() {
            Ok(job) => job,
            Err(_) if urgent => return None,
            Err(_) => tokio::select! {
                job = jobs.recv() => job?,
                () = &mut patience => return None,
            },
        };
        match job {
            Job::Run(run, done) => {
                urgent |= !run.is_brief();
                batch.push((run, done));
            }
            other => return Some(other),
        }
    }
    None
}

impl Hand {
    /// Commits a batch; when that fails, each run alone, so that one that cannot be stored spoils no other.
    async fn commit(&mut self, batch: Vec<(Box<RunCommit>, Done)>) {
        let (runs, done): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let runs: Arc<[Box<RunCommit>]> = runs.into();
        let together = Arc::clone(&runs);
        let result =
            self.transact(Box::new(move |c| Box::pin(async move { runs::insert(c, &together).await })));
        match result.await {
            Ok(()) => done.into_iter().for_each(|done| drop(done.send(Ok(())))),
            // Where everything is refused, one alone is too.
            Err(error) if runs.len() == 1 || self.trouble.borrow().is_some() => {
                let error = WriteError::from(error);
                done.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
            }
            Err(_) => {
                for (n, done) in done.into_iter().enumerate() {
                    let runs = Arc::clone(&runs);
                    let alone = self.transact(Box::new(move |c| {
                        Box::pin(async move { runs::insert(c, runs.get(n..=n).unwrap_or_default()).await })
                    }));
                    let _ = done.send(alone.await.map_err(WriteError::from));
                }
            }
        }
    }

    /// Does `work` in one transaction, and remembers when the database refuses for a reason that concerns
    /// every write.
    async fn transact(&mut self, work: Work) -> Result<(), sqlx::Error> {
        let result = match self.begin().await {
            Ok(()) => match self.look_around().await.and(work(&mut self.connection).await) {
                Ok(()) => self.execute("commit").await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            let why = trouble::of(error, &mut self.connection).await;
            // It may have been rolled back already, and then this fails.
            let _ = self.execute("rollback").await;
            if why.is_some() {
                self.trouble.send_replace(why);
            }
        }
        result
    }

    /// Notes whether another program has written since the last look.
    async fn look_around(&mut self) -> Result<(), sqlx::Error> {
        let version: i64 = sqlx::query_scalar("pragma data_version").fetch_one(&mut self.connection).await?;
        if self.version.replace(version).is_some_and(|known| known != version) {
            self.foreign.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        loop {
            match self.execute("begin immediate").await {
                Err(error) if trouble::is_locked(&error) => {
                    let since = *self.locked_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= LOCK_PATIENCE {
                        return Err(error);
                    }
                }
                result => {
                    self.locked_since = None;
                    return result;
                }
            }
        }
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(statement).execute(&mut self.connection).await.map(drop)
    }
}
