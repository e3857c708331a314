//! Recurring appointments as *intent*.
//!
//! A standing appointment is one [`RecurrenceSet`]: a start in a time zone, a length, a rule
//! (RFC 5545 RRULE), and the few dates that deviate from it. Everything else is computed when
//! somebody asks: which occurrences overlap a [`Window`], which of them a worker must turn into
//! sessions now ([`materialize`]), what clashes with what ([`calendar`], [`proof`]), what can be booked ([`slots`]). Two small
//! state machines, [`intent`] and [`session`], decide every change as events.
//!
//! For more than one question a set is compiled: [`Compiled`] answers windows, neighbours, ranks and
//! ends by arithmetic, decades away as fast as next week, and [`for_each_due`] asks many at once. A
//! rule in no zone is an [`Expansion`](rule::Expansion).
//!
//! What it is not: it does no I/O, reads no clock, draws no randomness and stores nothing. Its only
//! global state is the zone data of the process, which is chosen once and never changes: the release
//! that is compiled in, unless another [`ZoneData`](zone::ZoneData) is installed first. `now` and new
//! ids are arguments. Credits, people and payment are other rooms.
//!
//! ```
//! use scheduler_core::{RecurrenceSet, Window};
//!
//! // Every Monday at 18:00 in London, for 50 minutes, with no end.
//! let set = RecurrenceSet::new("2026-03-02T18:00:00".parse()?, "Europe/London".parse()?, 50)?
//!     .with_rule("FREQ=WEEKLY;BYDAY=MO".parse()?);
//!
//! // The week in which British clocks go forward: same wall time, an hour earlier in UTC.
//! let week = Window::new("2026-03-30T00:00:00Z".parse()?, "2026-04-06T00:00:00Z".parse()?)?;
//! let monday = set.overlapping(week)?.remove(0);
//! assert_eq!(monday.recurrence_id.to_string(), "2026-03-30T18:00:00");
//! assert_eq!(monday.start.to_rfc3339(), "2026-03-30T17:00:00+00:00");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

pub mod availability;
mod bulk;
pub mod calendar;
pub mod civil;
mod compiled;
mod epoch;
pub mod forecast;
pub mod ical;
mod idempotent;
mod ids;
mod instances;
pub mod intent;
pub mod materialize;
mod pause;
pub mod proof;
pub mod rule;
pub mod session;
pub mod set;
mod set_text;
pub mod slots;
mod whole;
mod window;
pub mod zone;

pub use bulk::{Due, for_each_due};
pub use civil::LocalDateTime;
pub use compiled::{Compiled, Instances};
pub use idempotent::Idempotent;
pub use ids::{ClientId, IntentId, ServiceId, SessionId, TherapistId};
pub use instances::Instance;
pub use pause::{Pause, PausedSlot};
pub use rule::Rule;
pub use set::{Occurrence, Override, RecurrenceSet};
pub use set_text::SetTextError;
pub use window::{EmptyWindow, Window};
pub use zone::{GapPolicy, Zone};
