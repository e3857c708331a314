//! The ledger against a naive reading of its own entries.
//!
//! `ledger` is the caller: a list of entries and the two functions. `history` makes random
//! histories, with retries, clock moves and nonsense. `reading` says what a plain list of entries
//! amounts to and `oracle` what should come of a command, both from the list alone, by another
//! path than the core's, and slowly. `STANDING_CASES=100000` runs the histories at length.

// A failed test may panic; clippy's exception for tests does not reach the functions they share.
#![allow(clippy::unwrap_used)]

mod chain;
mod clocks;
mod consumption;
mod corners;
mod corrections;
mod corrupt;
mod documented;
mod evidence;
mod history;
mod invariants;
mod ledger;
mod oracle;
mod oracle_own;
mod proofs;
mod properties;
mod reading;
mod refusals;
mod replay;
mod requests;
mod shown;
mod snapshot;
