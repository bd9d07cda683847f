//! Does what a person asks for by way of the web.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::keeper::{Keeper, aside};
use crate::config::{self, Mistakes};
use crate::model::{RunRequest, Trigger, or_known};
use crate::outbox;
use crate::run::{self, Report, Runner, Slot};
use crate::watchlist::{Roster, Watch, Watchlist};
use crate::web::{Control, Refused};

/// How long a watch may be tried, or a service take for a test message.
const PATIENCE: Duration = Duration::from_secs(60);

/// The row of a watch that is only tried: nothing is known of it.
const NO_ROW: i64 = -1;

#[async_trait]
impl Control for Keeper {
    fn not_taken_up(&self) -> watch::Receiver<Vec<String>> {
        self.not_taken_up.subscribe()
    }

    async fn add_watch(&self, name: &str, table: &Map<String, Value>) -> Result<(), Refused> {
        let turn = self.turn.lock().await;
        let (called, table) = (name.to_owned(), table.clone());
        let watchlist = self.built(move |list| {
            if list.watch(&called).is_some() || list.is_left_out(&called) {
                return Err(Refused::Exists(format!("there is a watch `{called}` already")));
            }
            let new = config::added_watch(&called, &table).map_err(mistaken)?;
            list.and(&called, new).map_err(mistaken)
        });
        self.publish(watchlist.await?).await.map_err(|error| refused(&error))?;
        drop(turn);
        info!(watch.name = %name, "Watch `{name}` was added");
        // One with an interval is due now; another would wait for its first slot.
        let now = Timestamp::now();
        let waits = |watch: &Watch| watch.timetable.first_due(now).is_none_or(|first| first > now);
        if self.known(name).is_ok_and(|(_, watch)| watch.enabled && waits(&watch))
            && let Err(error) = self.run_watch(name).await
        {
            warn!(watch.name = %name, %error, "Watch `{name}` is first run at its slot");
        }
        Ok(())
    }

    async fn remove_watch(&self, name: &str) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let called = name.to_owned();
        let watchlist = self.built(move |list| {
            match list.watch(&called) {
                Some(watch) if watch.toml.is_none() => {
                    let message =
                        format!("watch `{called}` stands in the configuration file; remove it there");
                    return Err(Refused::InFile(message));
                }
                None if !list.is_left_out(&called) => return Err(unknown(list, &called)),
                _ => {}
            }
            list.without(&called).map_err(|mistakes| {
                let why = mistakes.to_string();
                Refused::Failed(format!("watch `{called}` is still needed: {}", why.trim_end()))
            })
        });
        self.publish(watchlist.await?).await.map_err(|error| refused(&error))?;
        info!(watch.name = %name, "Watch `{name}` was removed");
        Ok(())
    }

    async fn try_watch(&self, name: &str, table: &Map<String, Value>) -> Result<Report, Refused> {
        let Ok(_one_at_a_time) = self.trying.try_lock() else {
            return Err(Refused::Busy("another watch is being tried at this moment".into()));
        };
        let roster = self.roster();
        let (called, table) = (name.to_owned(), table.clone());
        let present = Arc::clone(&roster);
        let watchlist = aside(move || {
            let list = &present.watchlist;
            if list.watch(&called).is_some_and(|watch| watch.toml.is_none()) {
                return Err(Refused::Exists(format!(
                    "there is a watch `{called}` in the configuration file"
                )));
            }
            let new = config::added_watch(&called, &table).map_err(mistaken)?;
            let mut added = list.added();
            added.retain(|file| file.path != new.path);
            added.push(new);
            list.with(&added, None).map_err(mistaken)
        });
        let watchlist = watchlist.await.map_err(|error| refused(&error))??;
        let Some(watch) = watchlist.watch(name).map(Arc::clone) else {
            return Err(Refused::Failed(format!("watch `{name}` could not be built")));
        };
        let tried = Roster::new(watchlist, roster.http.clone(), &HashMap::from([(name.to_owned(), NO_ROW)]));
        let patience = format!("it took longer than {} seconds", PATIENCE.as_secs());
        let store = self.store.clone();
        let trying = async {
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
        if !paused.map_err(|error| refused(&error.into()))? {
            return Err(Refused::Unknown(format!("there is no watch `{name}` any more")));
        }
        // The scheduler may have read that it is due.
        self.published.send_modify(|_| {});
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
        Err(unknown(&roster.watchlist, name))
    }

    /// Another watchlist in the place of the present one: that of the present files with the watches that are
    /// stored as added now, also by another program since.
    async fn built(
        &self,
        change: impl FnOnce(&Watchlist) -> Result<Watchlist, Refused> + Send + 'static,
    ) -> Result<Watchlist, Refused> {
        let roster = self.roster();
        let stored = self.store.added_watches().await.map_err(|error| refused(&error.into()))?;
        let building = aside(move || {
            if roster.watchlist.stored == stored {
                return change(&roster.watchlist);
            }
            change(&roster.watchlist.of_files_alone().map_err(mistaken)?.joined_by(&stored))
        });
        building.await.map_err(|error| refused(&error))?
    }
}

fn unknown(list: &Watchlist, name: &str) -> Refused {
    let hint = or_known(name, list.watches.iter().map(|watch| watch.name.as_str()));
    Refused::Unknown(format!("there is no watch `{name}`{hint}"))
}

fn mistaken(mistakes: Mistakes) -> Refused {
    Refused::Mistakes(mistakes.iter().cloned().collect())
}

fn refused(error: &anyhow::Error) -> Refused {
    Refused::Failed(format!("{error:#}"))
}
