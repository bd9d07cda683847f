//! The promises, kept by the whole program: a configuration in, the messages a local server received out.
//! No internet, no order, no clock that is waited for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod api;
mod blocked;
mod caps;
mod charts;
mod cli;
mod closing;
mod corpus;
mod crash;
mod dashboard;
mod described;
mod evidence;
mod explain;
mod failing;
mod faults;
mod first_sight;
mod guard;
mod harness;
mod hours;
mod import;
mod itself;
mod live;
mod messages;
mod muted;
mod newegg;
mod order;
mod outbox;
mod pages;
mod polite;
mod quiet;
mod refused;
mod reload;
mod replay;
mod rogue;
mod schedule;
mod secrets;
mod shutdown;
mod slots;
mod told_once;
mod torture;
mod watch_page;
mod watchlist;
mod web;
mod week;
