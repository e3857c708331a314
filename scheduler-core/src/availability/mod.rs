//! When a therapist works: the hours of a normal week, the dates with other hours, and the
//! blackouts.
//!
//! What it is not: it knows nothing of appointments. Those are a
//! [`Calendar`](crate::calendar::Calendar)'s, and [`slots`](crate::slots) puts both together.

mod opening;
mod weekly;

pub use opening::{Availability, AvailabilityError, BLACKOUTS_MAX, DATES_MAX, DayHours};
pub use weekly::{HOURS_MAX, Hours, HoursError, WeeklyHours};
