//! The ledger against a naive reading of its own entries.
//!
//! `ledger` is the caller: a list of entries and the two functions. `history` makes random
//! histories, with retries, clock moves and nonsense. `oracle` answers the same questions as the
//! core from the plain list of entries alone, by another path, and slowly.

// A failed test may panic; clippy's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

mod chain;
mod consumption;
mod corrupt;
mod history;
mod ledger;
mod oracle;
mod properties;
mod refusals;
mod replay;
mod snapshot;
