//! What a person may have the daemon do; the daemon does it.

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::config::Mistake;
use crate::run::Report;

/// What a person may have the daemon do.
#[async_trait]
pub trait Control: Send + Sync {
    /// Adds a watch beside those of the file: its name, and the keys of its table. It runs from now on.
    ///
    /// # Errors
    /// [`Refused::Exists`], [`Refused::Mistakes`].
    async fn add_watch(&self, name: &str, table: &Map<String, Value>) -> Result<(), Refused>;

    /// Removes a watch that was added this way; its history stays.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::InFile`].
    async fn remove_watch(&self, name: &str) -> Result<(), Refused>;

    /// What one run of such a watch would see and tell; nothing is stored, nobody is told.
    ///
    /// # Errors
    /// [`Refused::Mistakes`].
    async fn try_watch(&self, name: &str, table: &Map<String, Value>) -> Result<Report, Refused>;

    /// Asks for a run now; what came of it is stored like that of any other.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::Busy`] while it is being run.
    async fn run_watch(&self, name: &str) -> Result<(), Refused>;

    /// No runs of this watch until it is resumed. Doing it twice is no error.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    async fn pause_watch(&self, name: &str) -> Result<(), Refused>;

    /// The watch runs by its schedule again. Doing it twice is no error.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    async fn resume_watch(&self, name: &str) -> Result<(), Refused>;

    /// Sends a test message, and answers what the service said.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::Failed`] with what went wrong.
    async fn test_notifier(&self, name: &str) -> Result<String, Refused>;

    /// Why the configuration as it is now was not taken up, line by line; empty where it was. Holds no secret.
    fn not_taken_up(&self) -> watch::Receiver<Vec<String>>;
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is nothing of this name.
    #[error("{0}")]
    Unknown(String),
    /// There is something of this name already.
    #[error("{0}")]
    Exists(String),
    /// It stands in a configuration file and is changed there.
    #[error("{0}")]
    InFile(String),
    /// It is being done already.
    #[error("{0}")]
    Busy(String),
    /// What is wrong with the watch; each mistake with its key.
    #[error("the watch has mistakes")]
    Mistakes(Vec<Mistake>),
    /// It did not work out. The sentence holds no secret.
    #[error("{0}")]
    Failed(String),
}
