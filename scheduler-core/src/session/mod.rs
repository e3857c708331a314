//! The session machine: an occurrence that was made real, and what became of it.
//!
//! ```text
//!              +--> case            (a person decides)
//!              |
//!  unfunded ---+--> scheduled --+--> completed
//!      |               |        +--> no_show
//!      +-------+-------+
//!              v
//!          cancelled                missed   (was past before it was planned)
//! ```
//! `completed`, `no_show`, `cancelled` and `missed` are finished.

mod command;
mod decide;
mod evolve;
mod state;

pub use command::{Command, Event};
pub use decide::{SessionError, decide};
pub use evolve::evolve;
pub use state::{CaseReason, Party, Session, SessionState};
