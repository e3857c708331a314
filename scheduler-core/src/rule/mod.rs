//! Recurrence rules: RFC 5545 §3.3.10, with RFC 7529's SKIP.
//!
//! A [`Rule`] is parsed once, checked completely, and printed in one canonical form. Together with
//! a start it is an [`Expansion`], which answers in wall time; the [`set`](crate::set) holds both
//! with a zone.
//!
//! How a rule becomes an answer: its date parts are read for every *kind* of month or year
//! (`dates`), of which there are at most 28, into a day pattern (`days`): a closed form where there
//! is one, else a table. Its time parts are a list of seconds (`times`). Pattern and times make one
//! of four shapes (`shape`), chosen in `compile`. No shape iterates from the start.

mod compile;
mod dates;
mod days;
mod density;
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
pub(crate) use shape::{Beat, Block, Civil, Place, Single};
