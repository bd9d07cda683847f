//! The one writer: a task that owns the only writing connection. Finished runs that arrive together
//! are committed together; everything else has a transaction of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::warn;

use super::runs::{self, RunCommit};

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
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (jobs, receiver) = mpsc::channel(1_024);
        tokio::spawn(write(connection, receiver));
        Self { jobs }
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

async fn write(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Job>) {
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
                commit(&mut connection, batch).await;
            }
            Job::Other(work, done) => {
                let _ = done.send(transact(&mut connection, work).await.map_err(WriteError::from));
            }
            Job::Stop(done) => {
                if let Err(error) = connection.close().await {
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
    let mut urgent = batch.iter().any(|(run, _)| run.found.is_some());
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
                urgent |= run.found.is_some();
                batch.push((run, done));
            }
            other => return Some(other),
        }
    }
    None
}

/// Commits a batch; when that fails, each run alone, so that one that cannot be stored spoils no other.
async fn commit(connection: &mut SqliteConnection, batch: Vec<(Box<RunCommit>, Done)>) {
    let (runs, done): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    match commit_together(connection, &runs).await {
        Ok(()) => done.into_iter().for_each(|done| drop(done.send(Ok(())))),
        Err(error) if runs.len() == 1 => {
            let error = WriteError::from(error);
            done.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
        }
        Err(_) => {
            for (run, done) in runs.iter().zip(done) {
                let alone = commit_together(connection, std::slice::from_ref(run)).await;
                let _ = done.send(alone.map_err(WriteError::from));
            }
        }
    }
}

async fn commit_together(
    connection: &mut SqliteConnection,
    runs: &[Box<RunCommit>],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    runs::insert(&mut transaction, runs).await?;
    transaction.commit().await
}

async fn transact(connection: &mut SqliteConnection, work: Work) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    work(&mut transaction).await?;
    transaction.commit().await
}
