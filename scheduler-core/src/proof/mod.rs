//! Whether a standing booking is free for its whole life.
//!
//! [`prove`] compares a set with everything in a [`Calendar`] and with an [`Availability`], and
//! gives a [`Certificate`] that says how far it holds, or the [`Clashes`]. Nothing is sampled: not
//! the first dates, not the usual ones.
//!
//! How it decides. Between two clock changes of two zones the distance of their wall clocks is
//! constant, and there two rules meet or never meet by the remainder of their distance modulo the
//! common divisor of their periods (`beat`). For most pairs of a calendar that settles all years at
//! once. What it cannot settle is computed and compared: the days of clock changes, on which the
//! candidate has an occurrence; additions and moved dates; blackouts, sessions, dates with other
//! hours; and, where two rules do meet, the stretch in which they do. Exclusions and whatever else
//! takes occurrences away are honoured there, because what is compared is what the sets mean.
//!
//! What it is not: it does not know notice, booking windows or slot steps. Those are about asking
//! for a date, and belong to [`slots`](crate::slots).

mod certificate;
mod clashes;
mod regimes;
mod remedy;
mod search;
mod suspects;

use chrono::{DateTime, TimeDelta, Utc};

use crate::RecurrenceSet;
use crate::availability::Availability;
use crate::calendar::{Buffers, Calendar};
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;

pub use certificate::Certificate;
pub use clashes::{Against, Clashes, FIRST_DATES_MAX, Found, Obstacle, Opponent};
pub use remedy::{Remedy, RemedyError, prove_remedied, remedied};

pub(crate) use clashes::instant;
pub(crate) use regimes::each_regime;

use search::Search;

/// How far a booking is decided at least: ten years.
pub const CERTIFIED_MIN: TimeDelta = TimeDelta::days(3_653);
/// The most occurrences that are computed and compared for one certificate.
pub const COMPARED_MAX: usize = 4_000_000;

/// What is to be booked.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// When.
    pub set: &'a RecurrenceSet,
    /// What its service keeps free around each of its occurrences.
    pub buffers: Buffers,
    /// From when on. An occurrence that is not over then counts.
    pub from: DateTime<Utc>,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is not free.
    #[error("{} of its dates are not free before {}", .0.dates, .0.until)]
    Clashes(Clashes),
    /// It starts where nothing is known, or has so many occurrences that ten years of them are
    /// more than [`COMPARED_MAX`].
    #[error(transparent)]
    Set(#[from] SetError),
}

/// Proves that a candidate is free, or finds what is in its way.
///
/// It is decided through the end of the zone data. Only if that takes more than [`COMPARED_MAX`]
/// occurrences, as for rules that recur by minutes, it is decided through [`CERTIFIED_MIN`].
///
/// ```
/// use chrono::Weekday;
/// use scheduler_core::availability::{Availability, Hours, WeeklyHours};
/// use scheduler_core::calendar::{Buffers, Calendar};
/// use scheduler_core::proof::{Candidate, Certificate, Unproven, prove};
/// use scheduler_core::{IntentId, RecurrenceSet};
///
/// let weekly = |start: &str, rule: &str| -> Result<_, Box<dyn std::error::Error>> {
///     let set = RecurrenceSet::new(start.parse()?, "Europe/London".parse()?, 50)?;
///     Ok(set.with_rule(rule.parse()?))
/// };
/// let hours = Hours { weekday: Weekday::Mon, from: 9 * 60, to: 19 * 60 };
/// let availability = Availability::new(WeeklyHours::new("Europe/London".parse()?, vec![hours])?);
/// let taken = weekly("2026-03-02T10:00:00", "FREQ=WEEKLY;INTERVAL=2")?;
/// let calendar = Calendar::default().with(IntentId(uuid::Uuid::nil()), &taken, Buffers::NONE);
/// let from = "2026-03-01T00:00:00Z".parse()?;
///
/// // The weeks between: free for good.
/// let set = weekly("2026-03-09T10:00:00", "FREQ=WEEKLY;INTERVAL=2")?;
/// let candidate = Candidate { set: &set, buffers: Buffers::NONE, from };
/// let certificate = prove(candidate, &calendar, &availability)?;
/// assert!(matches!(certificate, Certificate::ThroughZoneData { .. }));
///
/// // Every third week meets every second one, for the first time in April.
/// let set = weekly("2026-03-09T10:00:00", "FREQ=WEEKLY;INTERVAL=3")?;
/// let candidate = Candidate { set: &set, buffers: Buffers::NONE, from };
/// let Err(Unproven::Clashes(clashes)) = prove(candidate, &calendar, &availability) else {
///     panic!("they meet");
/// };
/// assert_eq!(clashes.against[0].first[0].recurrence_id.to_string(), "2026-03-30T10:00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Unproven`] with the clashes, or why it cannot be decided.
pub fn prove(
    candidate: Candidate<'_>,
    calendar: &Calendar,
    availability: &Availability,
) -> Result<Certificate, Unproven> {
    let from = candidate.from;
    if from >= END_OF_ZONE_DATA {
        return Err(SetError::BeyondZoneData { end: from }.into());
    }
    let within = |until| {
        let mut found = clashes::Collected::default();
        let mut search = Search::new(candidate, until, calendar, availability);
        search.run(&mut |met| found.add(met))?;
        let forever = search.holds_forever();
        Ok((found.into_clashes(until, search.life()), forever))
    };
    let shorter = (from + CERTIFIED_MIN).min(END_OF_ZONE_DATA);
    let (until, (found, forever)) = match within(END_OF_ZONE_DATA) {
        Err(SetError::TooManyOccurrences) => (shorter, within(shorter)?),
        decided => (END_OF_ZONE_DATA, decided?),
    };
    match found {
        Some(clashes) => Err(Unproven::Clashes(clashes)),
        None if forever => Ok(Certificate::Forever),
        None => Ok(Certificate::new(until)),
    }
}

/// Gives every clash of a candidate before `until`, in no particular order: each date with each
/// appointment that is in its way. [`prove`] counts them and keeps the first.
///
/// # Errors
/// [`SetError`] if `until` is beyond the zone data, or it takes more than [`COMPARED_MAX`]
/// occurrences.
pub fn each_clash(
    candidate: Candidate<'_>,
    until: DateTime<Utc>,
    calendar: &Calendar,
    availability: &Availability,
    mut f: impl FnMut(Found),
) -> Result<(), SetError> {
    if until > END_OF_ZONE_DATA {
        return Err(SetError::BeyondZoneData { end: until });
    }
    Search::new(candidate, until, calendar, availability).run(&mut |met| f(met.found()))
}
