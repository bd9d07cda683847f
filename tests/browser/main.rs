//! The dashboard in a real browser. Skipped with a word where there is none; `.ci/run` installs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod browser;
