//! The intent machine: one row that stands for every session of a booking.
//!
//! An intent is created, then touched one occurrence at a time; the planner moves its
//! `done_through` forward. Touching an occurrence that has no session yet changes the intent and
//! makes nothing real.

mod command;
mod decide;
mod evolve;
mod state;

pub use command::{Command, Event, NewIntent};
pub use decide::{IntentError, create, decide};
pub use evolve::{created, evolve};
pub use state::Intent;
