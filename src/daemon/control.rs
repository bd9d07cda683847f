//! Does what a person asks for by way of the web.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;
use tracing::info;

use super::keeper::Keeper;
use crate::config::{self, File, Mistakes};
use crate::model::{RunRequest, Trigger, or_known};
use crate::outbox;
use crate::run::{self, Report, Runner, Slot};
use crate::watchlist::{Roster, Watch};
use crate::web::{Control, Refused};

/// How long a watch may be tried, or a service take for a test message.
const PATIENCE: Duration = Duration::from_secs(60);

/// The row of a watch that is only tried: nothing is known of it.
const NO_ROW: i64 = -1;

#[async_trait]
impl Control for Keeper {
    async fn add_watch(&self, name: &str, table: &Map<String, Value>) -> Result<(), Refused> {
        let turn = self.turn.lock().await;
        let roster = self.roster();
        let list = &roster.watchlist;
        if list.watch(name).is_some() || list.left_out.iter().any(|(left_out, _)| left_out == name) {
            return Err(Refused::Exists(format!("there is a watch `{name}` already")));
        }
        let mut added = list.added();
        added.push(config::added_watch(name, table).map_err(mistaken)?);
        let watchlist = list.with(&added, None).map_err(mistaken)?;
        self.publish(watchlist).await.map_err(|error| refused(&error))?;
        drop(turn);
        info!(watch.name = %name, "Watch `{name}` was added");
        // One with an interval is due now; another would wait for its first slot.
        let now = Timestamp::now();
        let first = self.known(name).ok().and_then(|(_, watch)| watch.timetable.first_due(now));
        if first.is_none_or(|first| first > now) {
            self.run_watch(name).await?;
        }
        Ok(())
    }

    async fn remove_watch(&self, name: &str) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let roster = self.roster();
        let list = &roster.watchlist;
        let is_left_out = list.left_out.iter().any(|(left_out, _)| left_out == name);
        if !is_left_out && self.known(name)?.1.toml.is_none() {
            let message = format!("watch `{name}` stands in the configuration file; remove it there");
            return Err(Refused::InFile(message));
        }
        let others: Vec<File> = all_but(&list.added(), name);
        let mut watchlist = list.with(&others, None).map_err(|mistakes| {
            Refused::Failed(format!("watch `{name}` is still needed: {}", mistakes.to_string().trim_end()))
        })?;
        watchlist.left_out.retain(|(left_out, _)| left_out != name);
        self.publish(watchlist).await.map_err(|error| refused(&error))?;
        info!(watch.name = %name, "Watch `{name}` was removed");
        Ok(())
    }

    async fn try_watch(&self, name: &str, table: &Map<String, Value>) -> Result<Report, Refused> {
        let roster = self.roster();
        let list = &roster.watchlist;
        if list.watch(name).is_some_and(|watch| watch.toml.is_none()) {
            return Err(Refused::Exists(format!("there is a watch `{name}` in the configuration file")));
        }
        let mut added = all_but(&list.added(), name);
        added.push(config::added_watch(name, table).map_err(mistaken)?);
        let watchlist = list.with(&added, None).map_err(mistaken)?;
        let Some(watch) = watchlist.watch(name).map(Arc::clone) else {
            return Err(Refused::Failed(format!("watch `{name}` could not be built")));
        };
        let tried = Roster::new(watchlist, roster.http.clone(), &HashMap::from([(name.to_owned(), NO_ROW)]));
        let patience = format!("it took longer than {} seconds", PATIENCE.as_secs());
        let store = self.store.clone();
        let trying = async {
            let _one_at_a_time = self.trying.lock().await;
            // In a task of its own, so that a fault of the program costs this trial alone.
            let mut run = tokio::task::JoinSet::new();
            run.spawn(async move {
                let now = Timestamp::now();
                let slot = Slot { watch_id: NO_ROW, due_at: now, trigger: Trigger::Manual, now };
                Runner::new(store).await?.dry_run(&tried, &watch, &slot).await
            });
            run.join_next().await
        };
        match timeout(PATIENCE, trying).await {
            Ok(Some(Ok(report))) => report.map_err(|error| refused(&error)),
            Ok(_) => Err(Refused::Failed("the run broke; this is a fault of the program".into())),
            Err(_) => Err(Refused::Failed(patience)),
        }
    }

    async fn run_watch(&self, name: &str) -> Result<(), Refused> {
        let (watch_id, _) = self.known(name)?;
        if !self.under_way.begin(name, watch_id, Trigger::Manual) {
            return Err(Refused::Busy(format!("watch `{name}` is being run at this moment")));
        }
        let request = RunRequest { watch: name.into(), due_at: Timestamp::now(), trigger: Trigger::Manual };
        self.requests.try_send(request).map_err(|error| {
            self.under_way.end(name);
            match error {
                TrySendError::Full(_) => {
                    Refused::Busy("very many watches are being run at this moment".into())
                }
                TrySendError::Closed(_) => Refused::Failed("the daemon is stopping".into()),
            }
        })
    }

    async fn pause_watch(&self, name: &str) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let (watch_id, _) = self.known(name)?;
        let paused = self.store.pause_watch(watch_id, Timestamp::now()).await;
        paused.map_err(|error| refused(&error.into()))?;
        info!(watch.name = %name, "Watch `{name}` is paused");
        Ok(())
    }

    async fn resume_watch(&self, name: &str) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let (watch_id, watch) = self.known(name)?;
        let is_under_way = self.under_way.runs_a_slot_of(watch_id);
        let resumed = run::resume(&self.store, (watch_id, &watch), is_under_way, Timestamp::now());
        resumed.await.map_err(|error| refused(&error))?;
        info!(watch.name = %name, "Watch `{name}` is resumed");
        Ok(())
    }

    async fn test_notifier(&self, name: &str) -> Result<String, Refused> {
        let roster = self.roster();
        let Some(told) = roster.watchlist.notifiers.get(name) else {
            let hint = or_known(name, roster.watchlist.notifiers.keys().map(String::as_str));
            return Err(Refused::Unknown(format!("there is no notifier `{name}`{hint}")));
        };
        match timeout(PATIENCE, outbox::send_test(&roster, told, Timestamp::now())).await {
            Ok(Ok(receipt)) => Ok(receipt.answer),
            Ok(Err(error)) => {
                Err(Refused::Failed(format!("`{name}` ({}) did not take it: {error}", told.kind)))
            }
            Err(_) => Err(Refused::Failed(format!("`{name}` ({}) did not answer in time", told.kind))),
        }
    }
}

impl Keeper {
    /// A watch that is run, by its name.
    fn known(&self, name: &str) -> Result<(i64, Arc<Watch>), Refused> {
        let roster = self.roster();
        if let Some((watch_id, watch)) = roster.watches.get(name) {
            return Ok((*watch_id, Arc::clone(watch)));
        }
        if let Some((_, why)) = roster.watchlist.left_out.iter().find(|(left_out, _)| left_out == name) {
            return Err(Refused::Failed(format!("watch `{name}` cannot be run: {}", why.trim_end())));
        }
        let hint = or_known(name, roster.watches.keys().map(String::as_str));
        Err(Refused::Unknown(format!("there is no watch `{name}`{hint}")))
    }
}

fn all_but(added: &[File], name: &str) -> Vec<File> {
    let path = config::added_file(name, String::new()).path;
    added.iter().filter(|file| file.path != path).cloned().collect()
}

fn mistaken(mistakes: Mistakes) -> Refused {
    Refused::Mistakes(mistakes.iter().cloned().collect())
}

fn refused(error: &anyhow::Error) -> Refused {
    Refused::Failed(format!("{error:#}"))
}
