use std::collections::BTreeSet;

use super::{Candidate, Certificate, Unproven, prove};
use crate::availability::Availability;
use crate::calendar::Calendar;
use crate::set::{Lookup, SetError};
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, RecurrenceSet};

/// What is to become of a date that clashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It does not happen.
    Skip,
    /// It starts at this wall time of the set's zone instead.
    MoveTo(LocalDateTime),
}

/// Why remedies cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemedyError {
    /// The set has no such date.
    #[error("the set does not generate {recurrence_id}")]
    NotGenerated {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
    },
    /// The date does not take place as it is.
    #[error("{recurrence_id} does not take place")]
    Gone {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
    },
    /// One date is to become two things.
    #[error("{recurrence_id} is given twice")]
    Twice {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
    },
    /// A date is moved past what is known of time zones.
    #[error("{to} is too far: time zones are known until {END_OF_ZONE_DATA}")]
    BeyondZoneData {
        /// The wall time given.
        to: LocalDateTime,
    },
    /// The set would deviate from its rule in too many dates.
    #[error(transparent)]
    Set(#[from] SetError),
    /// It is still not free.
    #[error(transparent)]
    Unproven(#[from] Unproven),
}

/// The set with some of its dates skipped or moved: as exclusions and overrides. All of them, or an
/// error.
///
/// # Errors
/// [`RemedyError`] if a date is not one of the set, or is given twice.
pub fn remedied(
    set: &RecurrenceSet,
    remedies: &[(LocalDateTime, Remedy)],
) -> Result<RecurrenceSet, RemedyError> {
    let mut deviations = set.deviations().clone();
    // A date whose slot a pause keeps clashes, so it can be settled.
    let occupying = set.occupying();
    let mut known = BTreeSet::new();
    for &(recurrence_id, remedy) in remedies {
        if !known.insert(recurrence_id) {
            return Err(RemedyError::Twice { recurrence_id });
        }
        let length = match occupying.lookup(recurrence_id) {
            Lookup::Occurrence(occurrence) if !occurrence.cancelled => {
                occurrence.end - occurrence.start
            }
            Lookup::NotGenerated => return Err(RemedyError::NotGenerated { recurrence_id }),
            _ => return Err(RemedyError::Gone { recurrence_id }),
        };
        match remedy {
            Remedy::Skip => {
                deviations.overrides.remove(&recurrence_id);
                deviations.exclusions.insert(recurrence_id);
            }
            Remedy::MoveTo(to) => {
                if set.zone().resolve(to).0 + length > END_OF_ZONE_DATA {
                    return Err(RemedyError::BeyondZoneData { to });
                }
                deviations.overrides.entry(recurrence_id).or_default().start = Some(to);
            }
        }
    }
    Ok(set.clone().with_deviations(deviations)?)
}

/// Applies remedies and proves what comes of it: the set that is free, with its certificate.
///
/// # Errors
/// [`RemedyError`] if they cannot be applied, or it is still not free.
pub fn prove_remedied(
    candidate: Candidate<'_>,
    remedies: &[(LocalDateTime, Remedy)],
    calendar: &Calendar,
    availability: &Availability,
) -> Result<(RecurrenceSet, Certificate), RemedyError> {
    let set = remedied(candidate.set, remedies)?;
    let certificate = prove(
        Candidate {
            set: &set,
            ..candidate
        },
        calendar,
        availability,
    )?;
    Ok((set, certificate))
}
