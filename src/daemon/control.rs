//! Does what a person asks for by way of the web.

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::run::Report;
use crate::web::{Control, Refused};

/// Does what a person asks for.
pub(super) struct Hands;

fn not_yet<T>() -> Result<T, Refused> {
    Err(Refused::Failed("this is not there yet".into()))
}

#[async_trait]
impl Control for Hands {
    async fn add_watch(&self, _name: &str, _table: &Map<String, Value>) -> Result<(), Refused> {
        not_yet()
    }

    async fn remove_watch(&self, _name: &str) -> Result<(), Refused> {
        not_yet()
    }

    async fn try_watch(&self, _name: &str, _table: &Map<String, Value>) -> Result<Report, Refused> {
        not_yet()
    }

    async fn run_watch(&self, _name: &str) -> Result<(), Refused> {
        not_yet()
    }

    async fn pause_watch(&self, _name: &str) -> Result<(), Refused> {
        not_yet()
    }

    async fn resume_watch(&self, _name: &str) -> Result<(), Refused> {
        not_yet()
    }

    async fn test_notifier(&self, _name: &str) -> Result<String, Refused> {
        not_yet()
    }
}
