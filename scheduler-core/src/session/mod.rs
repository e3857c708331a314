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
//!              |
//!              +--> unfunded   (reopened, if it was called off with its intent's occurrences)
//! ```
//! When the zone data changes, what is still to come is resolved again: its wall time stays, and a
//! live session whose time is then taken becomes a case.
//! A split of the intent rebinds what is still to come to another segment, whatever its state.
//! `completed`, `no_show`, `cancelled` and `missed` are finished.

mod command;
mod decide;
mod evolve;
mod state;

pub use command::{Binding, Command, Event};
pub use decide::{SessionError, decide};
pub use evolve::evolve;
pub use state::{CaseReason, Party, Session, SessionState, wall_time_of};
