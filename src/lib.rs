//! Stakeout watches markets, shop shelves and public price data and tells its owner the moment it
//! matters.
//!
//! One direction: the schedule asks for a run, a source turns the outside world into observations, a
//! strategy turns observations into signals, alerting decides which signals are news, the store commits
//! all of it together with its deliveries, and the outbox hands those to notifiers. `docs/ARCHITECTURE.md`
//! tells the whole; the modules below are in reading order.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod alarm;
pub mod alerting;
pub mod chart;
pub mod chores;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
#[doc(hidden)]
pub mod fuzzing;
pub mod heartbeat;
pub mod http;
pub mod model;
pub mod notifiers;
pub mod outbox;
pub mod plugin;
pub mod pulse;
pub mod run;
pub mod schedule;
pub mod sessions;
pub mod sources;
pub mod store;
pub mod strategies;
pub mod timetable;
pub mod watchlist;
pub mod web;

#[cfg(test)]
mod testing;
