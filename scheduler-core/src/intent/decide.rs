use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::command::{Command, Event, NewIntent};
use super::error::IntentError;
use super::state::{Intent, IntentState};
use crate::rule::nearest_starts;
use crate::set::{DEVIATIONS_MAX, Lookup, Occurrence, check_minutes};
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{GapPolicy, Idempotent, LocalDateTime, RecurrenceSet, Rule, Window};

/// Checks a new intent. It may deviate from its rule already, as one whose clashes were settled
/// does: a start that is skipped, cancelled, paused or moved is on its rule all the same.
///
/// # Errors
/// [`IntentError`] if its start is off its rule, its start or its first occurrence is past, or it
/// has no occurrence that takes place.
pub fn create(new: &NewIntent, now: DateTime<Utc>) -> Result<(), IntentError> {
    let start = new.set.start();
    let mut warnings = new.set.rules().iter().flat_map(Rule::warnings);
    if let Some(warning) = warnings.next() {
        return Err(IntentError::Ineffective(warning));
    }
    let (at, _) = new.set.zone().resolve(start);
    refuse_past(at, now)?;
    refuse_beyond(&new.set, at)?;
    if starts_on_itself(&new.set) {
        let first = new.set.first_from(DateTime::<Utc>::MIN_UTC, |_| true);
        let first = first.ok_or(IntentError::Empty { start })?;
        return refuse_past(first.start, now);
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

/// Whether rules and additions generate a set's start, whatever becomes of it.
fn starts_on_itself(set: &RecurrenceSet) -> bool {
    let generated = set.generating().lookup(set.start());
    matches!(generated, Lookup::Occurrence(_))
}

/// What a command does to an intent. The caller has made sure that the occurrence has no session;
/// `known` are the recurrence-ids of the intent's sessions, as the planner has to know them.
///
/// # Errors
/// [`IntentError`] if there is no such occurrence, it is past or gone, or the change would put two
/// occurrences of the intent at the same time.
pub fn decide(
    intent: &Intent,
    command: &Command,
    known: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, IntentError> {
    let (recurrence_id, name) = match *command {
        Command::Skip { recurrence_id } => (recurrence_id, "skip"),
        Command::Add { recurrence_id } => (recurrence_id, "add"),
        Command::Reschedule { recurrence_id, .. } => (recurrence_id, "reschedule"),
        Command::Amend { recurrence_id, .. } => (recurrence_id, "amend"),
        Command::Cancel { recurrence_id } => (recurrence_id, "cancel"),
    };
    if intent.state == IntentState::Withdrawn {
        return Err(IntentError::IllegalState {
            state: intent.state,
            command: name,
        });
    }
    let gone = |was| {
        Err(IntentError::Gone {
            recurrence_id,
            command: name,
            was,
        })
    };
    let lookup = intent.set.lookup(recurrence_id);
    let occurrence = match (lookup, command) {
        (Lookup::Excluded, Command::Skip { .. }) => return Ok(Idempotent::AlreadyApplied),
        (_, Command::Add { .. }) => return add(intent, recurrence_id, lookup, known, now),
        (Lookup::NotGenerated, _) => return Err(IntentError::NotGenerated { recurrence_id }),
        (Lookup::Excluded, _) => return gone("skipped"),
        (Lookup::Paused, Command::Amend { .. } | Command::Cancel { .. }) => return gone("paused"),
        (Lookup::Paused, _) => unpaused(&intent.set, recurrence_id)?,
        (Lookup::Occurrence(occurrence), _) => occurrence,
    };
    let length = occurrence.end - occurrence.start;
    let (event, start, end) = match (occurrence.cancelled, command) {
        (true, Command::Cancel { .. }) => return Ok(Idempotent::AlreadyApplied),
        (true, Command::Reschedule { .. } | Command::Amend { .. }) => return gone("cancelled"),
        (_, Command::Reschedule { to, .. }) => {
            let (at, _) = intent.set.zone().resolve(*to);
            if at == occurrence.start && lookup != Lookup::Paused {
                return Ok(Idempotent::AlreadyApplied);
            }
            refuse_past(at, now)?;
            refuse_beyond(&intent.set, at)?;
            let to = *to;
            let event = Event::Rescheduled { recurrence_id, to };
            (event, at, at + length)
        }
        (_, Command::Amend { minutes, .. }) => {
            let minutes = *minutes;
            check_minutes(minutes)?;
            let end = occurrence.start + TimeDelta::minutes(i64::from(minutes));
            if end == occurrence.end {
                return Ok(Idempotent::AlreadyApplied);
            }
            let event = Event::Amended {
                recurrence_id,
                minutes,
            };
            (event, occurrence.start, end)
        }
        (_, Command::Cancel { .. }) => {
            let event = Event::Cancelled { recurrence_id };
            (event, occurrence.start, occurrence.start)
        }
        _ => {
            let event = Event::Skipped { recurrence_id };
            (event, occurrence.start, occurrence.start)
        }
    };
    refuse_past(occurrence.start, now)?;
    refuse_collision(intent, recurrence_id, known, (start, end))?;
    refuse_too_many(intent)?;
    Ok(Idempotent::Applied(event))
}

fn add(
    intent: &Intent,
    recurrence_id: LocalDateTime,
    lookup: Lookup,
    known: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, IntentError> {
    let (mut start, resolution) = intent.set.zone().resolve(recurrence_id);
    let mut end = intent.set.end_of(start);
    match lookup {
        Lookup::Occurrence(occurrence) if !occurrence.cancelled => {
            return Ok(Idempotent::AlreadyApplied);
        }
        Lookup::Occurrence(occurrence) => (start, end) = (occurrence.start, occurrence.end),
        Lookup::Excluded | Lookup::Paused => {}
        Lookup::NotGenerated => {
            let omitted =
                intent.set.gap_policy() == GapPolicy::Omit && resolution == Resolution::Gap;
            let deviations = intent.set.deviations();
            let over = deviations.ends.is_some_and(|ends| ends <= recurrence_id);
            if omitted || over {
                return Err(IntentError::NotGenerated { recurrence_id });
            }
        }
    }
    refuse_past(start, now)?;
    refuse_beyond(&intent.set, start)?;
    refuse_collision(intent, recurrence_id, known, (start, end))?;
    refuse_too_many(intent)?;
    Ok(Idempotent::Applied(Event::Added { recurrence_id }))
}

/// A paused occurrence as it would be without the pause.
fn unpaused(set: &RecurrenceSet, recurrence_id: LocalDateTime) -> Result<Occurrence, IntentError> {
    match set.without_pauses().lookup(recurrence_id) {
        Lookup::Occurrence(occurrence) => Ok(occurrence),
        _ => Err(IntentError::NotGenerated { recurrence_id }),
    }
}

/// Other occurrences that have no session. Those that have are not where the set says: whoever
/// checks the calendar finds them. `done_through` alone does not tell, for a move takes it back.
fn refuse_collision(
    intent: &Intent,
    recurrence_id: LocalDateTime,
    known: &BTreeSet<LocalDateTime>,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), IntentError> {
    let Ok(window) = Window::new(start, end.min(END_OF_ZONE_DATA)) else {
        return Ok(());
    };
    let others = intent.set.overlapping(window)?;
    let in_the_way = others.iter().find(|other| {
        !other.cancelled
            && other.recurrence_id != recurrence_id
            && other.start >= intent.done_through
            && !known.contains(&other.recurrence_id)
    });
    match in_the_way {
        None => Ok(()),
        Some(other) => Err(IntentError::Collides {
            recurrence_id,
            with: other.recurrence_id,
            start: other.start,
        }),
    }
}

fn refuse_too_many(intent: &Intent) -> Result<(), IntentError> {
    if intent.set.deviations().count() >= DEVIATIONS_MAX {
        Err(IntentError::TooManyDeviations)
    } else {
        Ok(())
    }
}

pub(super) fn refuse_beyond(set: &RecurrenceSet, at: DateTime<Utc>) -> Result<(), IntentError> {
    if set.end_of(at) > END_OF_ZONE_DATA {
        Err(IntentError::BeyondZoneData { at })
    } else {
        Ok(())
    }
}

pub(super) fn refuse_past(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), IntentError> {
    if at < now {
        Err(IntentError::Past { at, now })
    } else {
        Ok(())
    }
}
