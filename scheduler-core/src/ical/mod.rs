//! iCalendar, in and out (RFC 5545).
//!
//! [`parse`] reads a text into a [`Calendar`]: per UID a [`Series`], from which
//! [`between`](Calendar::between) gives the occurrences of a window and
//! [`to_sets`](Series::to_sets) the sets of an intent. [`write()`] is the way back. Only what says
//! *when* is read: times, rules, overrides, STATUS, and SUMMARY as a label. Whatever of that cannot
//! be honoured exactly is a [`Problem`], with what was done about it.
//!
//! What it is not: it does no I/O and sends no invitations; attendees, alarms and to-dos are not
//! kept. The text format is the `icalendar` crate's, the recurrence is this crate's own.
//!
//! ```
//! use scheduler_core::{Window, Zone, ical};
//!
//! let text = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nSUMMARY:Session\r\n\
//!     DTSTART;TZID=Europe/London:20260302T180000\r\nDURATION:PT50M\r\n\
//!     RRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
//! let calendar = ical::parse(text, Zone::UTC)?;
//! assert!(calendar.problems().is_empty());
//! let week = Window::new("2026-03-30T00:00:00Z".parse()?, "2026-04-06T00:00:00Z".parse()?)?;
//! let monday = calendar.between(week)?.remove(0);
//! assert_eq!(monday.start.to_string(), "2026-03-30T17:00:00Z");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod between;
mod content;
mod display_names;
mod event;
mod export;
mod import;
mod line;
mod observances;
mod plan;
mod problem;
mod recurrence;
mod rule_text;
mod segment_set;
mod series;
mod sets;
mod timezone;
mod twin;
mod tzid;
mod value;
mod vtimezone;
mod windows;

pub use between::{Moment, Occurrence};
pub use export::{Header, Outgoing, WriteError, write};
pub use problem::{DatesThatDiffer, Done, Effect, IcalError, Problem, Reason};
pub use series::Series;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;
use crate::{Window, Zone};

/// The longest text that is read, in bytes.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most content lines that are read.
pub const LINES_MAX: usize = 500_000;
/// The most events that are read.
pub const EVENTS_MAX: usize = 50_000;
/// The most components one may lie in.
pub const DEPTH_MAX: usize = 8;
/// The most values of RDATE and EXDATE of one series that are read.
pub const DATES_MAX: usize = 20_000;
/// The most time zones that a text defines, and its events use, that are read.
pub const DEFINITIONS_MAX: usize = 400;
/// How long the rules of a text may take to prepare, in microseconds of an ordinary machine: thousands
/// of years of rules as people have them, and a hundred of the worst.
pub const EFFORT_MAX: u32 = 200_000;
/// The most problems that are listed; the others are counted.
pub const PROBLEMS_MAX: usize = 1_000;
/// The most occurrences that one call gives.
pub const OCCURRENCES_MAX: usize = 200_000;
/// The most occurrences that one call looks at.
pub const LOOKED_AT_MAX: usize = 400_000;
/// The most characters of a SUMMARY that are kept.
pub const SUMMARY_MAX: usize = 1_000;

/// What a text says.
#[derive(Debug, Clone)]
pub struct Calendar {
    series: Vec<Series>,
    problems: Vec<Problem>,
    method: Option<String>,
}

/// Reads a text. Times without a zone, and those of a zone that is not known, are read in its
/// X-WR-TIMEZONE, else in `zone`.
///
/// # Errors
/// [`IcalError`] if the text is no calendar or reaches a limit. What is wrong with one line or one
/// event is a [`Problem`] of the calendar.
pub fn parse(text: &[u8], zone: Zone) -> Result<Calendar, IcalError> {
    parse_with(text, zone, &BTreeMap::new())
}

/// Reads a text, some of whose TZIDs mean the IANA zones given, whatever the text defines. So a person
/// answers what [`Reason::Unlike`], [`Reason::OtherDefinition`] and [`Reason::UnknownZone`] ask.
///
/// # Errors
/// Those of [`parse`].
pub fn parse_with(
    text: &[u8],
    zone: Zone,
    meant: &BTreeMap<String, Zone>,
) -> Result<Calendar, IcalError> {
    import::read(text, zone, meant)
}

impl Calendar {
    /// Its series, in the order of their first events.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// What it says that cannot be honoured exactly.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// METHOD, in upper case (RFC 5546).
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }
}

/// Everything through the end of zone data.
fn life() -> Result<Window, SetError> {
    let end = END_OF_ZONE_DATA;
    Window::new(DateTime::<Utc>::MIN_UTC, end).map_err(|_| SetError::BeyondZoneData { end })
}
