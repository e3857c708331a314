//! The intent machine: one row that stands for every session of a booking.
//!
//! ```text
//!  created --> active --+--> ended
//!                 |     +--> continued   (another segment has what followed)
//!                 +--> withdrawn         (the split that made it was undone)
//! ```
//!
//! | what is asked | of | by |
//! |---|---|---|
//! | a new booking | nobody's time yet | [`create`], [`created`] |
//! | skip, add, reschedule, amend, cancel | one occurrence without a session | [`decide`] |
//! | amend, split, reassign, pause, resume, end | all that is still to come of it | [`edit`] |
//! | undo | the last change, while nothing of it has happened | [`undo`] |
//!
//! Every answer is an event, which [`evolve`] applies; the planner's is
//! [`Event::Materialized`]. An edit also says what becomes of the sessions that exist
//! ([`SessionChange`]), and a split opens a segment: same series, other id. Events with who and why
//! are [`Record`]s, and [`as_of`] folds them into the series as it was at any instant.
//!
//! Touching an occurrence that has no session yet changes the intent and makes nothing real.
//! Touching one that has is the [`session`](crate::session) machine's.

mod command;
mod decide;
mod edit;
mod error;
mod evolve;
mod journal;
mod rebind;
mod segment;
mod split;
mod state;
mod undo;

pub use command::{Changes, Command, Edit, Event, NewIntent, Opened, Overrides, Taken};
pub use decide::{create, decide};
pub use edit::{Edited, Fate, SessionChange, edit};
pub use error::IntentError;
pub use evolve::{created, evolve, opened};
pub use journal::{Cause, Record, as_of};
pub use rebind::Rebinding;
pub use state::{Intent, IntentState};
pub use undo::{undo, undoable, undone};
