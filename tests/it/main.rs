//! The promises, kept by the whole program: a configuration in, the messages a local server received out.
//! No internet, no order, no clock that is waited for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod blocked;
mod cli;
mod closing;
mod crash;
mod failing;
mod first_sight;
mod harness;
mod hours;
mod messages;
mod muted;
mod newegg;
mod order;
mod outbox;
mod pages;
mod quiet;
mod reload;
mod schedule;
mod secrets;
mod shutdown;
mod told_once;
mod torture;
mod web;
