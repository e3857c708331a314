//! The account: its state, its commands, and the two functions between them.
//!
//! The life of a hold:
//!
//! ```text
//!                  Reschedule
//!                   ┌─────┐
//!            Hold   │     ▼     Release
//!   (none) ───────► held ──────────────────► released
//!                     │  Use       release, then use      (a linked pair)
//!                     ├────────────────────► used
//!                     │  Forfeit   release, then forfeit  (a linked pair)
//!                     └────────────────────► forfeited
//! ```
//!
//! An ended hold leaves the state. That it was there, its release's key remembers.

mod command;
mod decide;
mod evolve;
mod state;

pub use command::Command;
pub use decide::{Error, Idempotent, decide};
pub use evolve::{Corrupt, Misfit, evolve, fold};
pub use state::{Account, BadSnapshot, OpenHold};
