//! Recurrence rules: RFC 5545 §3.3.10, with RFC 7529's SKIP.
//!
//! A [`Rule`] is parsed once, checked completely, and printed in one canonical form. What it
//! generates depends on a start, so expansion lives with the [`set`](crate::set) that holds both.

mod compile;
mod dates;
mod days;
mod english;
mod expand;
mod model;
mod nearest;
mod shape;
mod text;
mod times;

pub use english::english;
pub use expand::{Expansion, Times};
pub use model::{End, Frequency, NthWeekday, Rule, Skip, Until};
pub use nearest::nearest_starts;
pub use text::{RuleError, Warning, weekday, weekday_name};

pub(crate) use days::Days;
pub(crate) use days::steady::Step;
pub(crate) use expand::{Shape, wall_until};
pub(crate) use shape::{Civil, Place, Single};
