//! The promises, kept by the whole program: a configuration in, the messages a local server received out.
//! No internet, no order, no clock that is waited for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod blocked;
mod cli;
mod crash;
mod failing;
mod faults;
mod first_sight;
mod harness;
mod itself;
mod messages;
mod newegg;
mod outbox;
mod pages;
mod reload;
mod schedule;
mod secrets;
mod shutdown;
mod told_once;
mod web;
