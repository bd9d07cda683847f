//! Restocks.
