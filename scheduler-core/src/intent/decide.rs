use chrono::{DateTime, Utc};

use super::command::{Command, Event, NewIntent};
use super::state::Intent;
use crate::rule::{RuleError, Warning, nearest_starts};
use crate::set::{DEVIATIONS_MAX, Lookup};
use crate::zone::END_OF_ZONE_DATA;
use crate::{Idempotent, LocalDateTime, RecurrenceSet, Rule};

/// Why a command on an intent is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// The start is not one of the rule's own times.
    #[error("the start {start} is not on the rule")]
    OffRule {
        /// The start given.
        start: LocalDateTime,
        /// The closest starts that are, at most one on each side.
        nearest: Vec<LocalDateTime>,
    },
    /// The set has no occurrence at all.
    #[error("the rule yields no occurrence from {start} on")]
    Empty {
        /// The start given.
        start: LocalDateTime,
    },
    /// The rule says something that has no effect.
    #[error("{0}")]
    Ineffective(Warning),
    /// The rule is not a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The time is in the past.
    #[error("{at} is in the past, it is {now}")]
    Past {
        /// The instant asked for.
        at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// The time is past what is known of time zones.
    #[error("{at} is too far: time zones are known until {END_OF_ZONE_DATA}")]
    BeyondZoneData {
        /// The instant asked for.
        at: DateTime<Utc>,
    },
    /// The intent has no such occurrence.
    #[error("the intent does not generate {recurrence_id}")]
    NotGenerated {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
    },
    /// The occurrence is gone.
    #[error("cannot {command} {recurrence_id}, it was {was}")]
    Gone {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
        /// What was asked.
        command: &'static str,
        /// What became of it.
        was: &'static str,
    },
    /// The intent deviates from its rule in too many dates.
    #[error("an intent deviates in at most {DEVIATIONS_MAX} dates")]
    TooManyDeviations,
}

/// Checks a new intent.
///
/// # Errors
/// [`IntentError`] if its start is off its rule or past, or it has no occurrence.
pub fn create(new: &NewIntent, now: DateTime<Utc>) -> Result<(), IntentError> {
    let start = new.set.start();
    let warnings = new.set.rule().map(Rule::warnings).unwrap_or_default();
    if let Some(warning) = warnings.into_iter().next() {
        return Err(IntentError::Ineffective(warning));
    }
    let (at, _) = new.set.zone().resolve(start);
    refuse_past(at, now)?;
    refuse_beyond(&new.set, at)?;
    if starts_on_itself(&new.set) {
        return Ok(());
    }
    let nearest = new.set.rule().map(|rule| nearest_starts(rule, start));
    let works = |at: &LocalDateTime| starts_on_itself(&new.set.clone().with_start(*at));
    let nearest: Vec<LocalDateTime> = nearest.into_iter().flatten().filter(works).collect();
    Err(if nearest.is_empty() {
        IntentError::Empty { start }
    } else {
        IntentError::OffRule { start, nearest }
    })
}

/// Whether a set's first occurrence is its start.
fn starts_on_itself(set: &RecurrenceSet) -> bool {
    let (at, _) = set.zone().resolve(set.start());
    let first = set.first_from(at, |_| true);
    first.is_some_and(|first| first.recurrence_id == set.start())
}

/// What a command does to an intent. The caller has made sure that the occurrence has no session.
///
/// # Errors
/// [`IntentError`] if there is no such occurrence, or it is past or gone.
pub fn decide(
    intent: &Intent,
    command: &Command,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, IntentError> {
    let (recurrence_id, name) = match *command {
        Command::Skip { recurrence_id } => (recurrence_id, "skip"),
        Command::Reschedule { recurrence_id, .. } => (recurrence_id, "reschedule"),
        Command::Cancel { recurrence_id } => (recurrence_id, "cancel"),
    };
    let gone = |was| {
        Err(IntentError::Gone {
            recurrence_id,
            command: name,
            was,
        })
    };
    let occurrence = match (intent.set.lookup(recurrence_id), command) {
        (Lookup::NotGenerated, _) => return Err(IntentError::NotGenerated { recurrence_id }),
        (Lookup::Excluded, Command::Skip { .. }) => return Ok(Idempotent::AlreadyApplied),
        (Lookup::Excluded, _) => return gone("skipped"),
        (Lookup::Occurrence(occurrence), _) => occurrence,
    };
    let event = match (occurrence.cancelled, command) {
        (true, Command::Cancel { .. }) => return Ok(Idempotent::AlreadyApplied),
        (true, Command::Reschedule { .. }) => return gone("cancelled"),
        (_, Command::Skip { .. }) => Event::Skipped { recurrence_id },
        (_, Command::Cancel { .. }) => Event::Cancelled { recurrence_id },
        (_, Command::Reschedule { to, .. }) => {
            let (at, _) = intent.set.zone().resolve(*to);
            if at == occurrence.start {
                return Ok(Idempotent::AlreadyApplied);
            }
            refuse_past(at, now)?;
            refuse_beyond(&intent.set, at)?;
            Event::Rescheduled {
                recurrence_id,
                to: *to,
            }
        }
    };
    refuse_past(occurrence.start, now)?;
    let deviations = intent.set.deviations();
    let deviating = deviations.exclusions.len() + deviations.overrides.len();
    if deviating + deviations.additions.len() >= DEVIATIONS_MAX {
        return Err(IntentError::TooManyDeviations);
    }
    Ok(Idempotent::Applied(event))
}

fn refuse_beyond(set: &RecurrenceSet, at: DateTime<Utc>) -> Result<(), IntentError> {
    if set.end_of(at) > END_OF_ZONE_DATA {
        Err(IntentError::BeyondZoneData { at })
    } else {
        Ok(())
    }
}

fn refuse_past(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), IntentError> {
    if at < now {
        Err(IntentError::Past { at, now })
    } else {
        Ok(())
    }
}
