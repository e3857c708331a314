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
//! A clawback may take the credit of an open hold: it is released or rescheduled then, and not used
//! or forfeited, until a reinstatement gives it its credit again.
//!
//! An ended hold leaves the state. That it was there, its release's key remembers.

mod clawback;
mod command;
mod decide;
mod draft;
mod error;
mod evolve;
mod lookup;
mod misfit;
mod recall;
mod restore;
mod snapshot;
mod state;
mod words;

pub use command::Command;
pub use decide::{Idempotent, decide};
pub use error::Error;
pub use evolve::{evolve, fold};
pub use misfit::{Corrupt, Misfit};
pub use snapshot::{BadSnapshot, Unfinished};
pub use state::{Account, OpenHold};
