//! The planner: which occurrences become sessions now.
//!
//! It is pure, so it can run at any time, anywhere, twice. What it gives depends only on the
//! intent, the sessions that exist, and the interval asked for; planning two adjoining intervals
//! is planning their union.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::intent::{Event, Intent};
use crate::set::{Occurrence, RecurrenceSet, SetError};
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Window};

/// The longest stretch that is planned at once, so that an outage is caught up in steps that hold nobody up.
const SPAN_MAX: TimeDelta = TimeDelta::days(92);

/// The furthest that a change of a zone's law moves an instant: across the date line, from the
/// smallest offset to the largest.
pub const LAW_CHANGE_MAX: TimeDelta = TimeDelta::hours(26);

/// What the planner found to do for one intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The occurrences that become sessions, by start.
    pub sessions: Vec<Occurrence>,
    /// What happens to the intent.
    pub event: Event,
}

/// Plans everything that starts at or before `now + horizon` and has no session, from the first
/// of them a quarter of a year at most at once: what is left is due at once.
///
/// `known` holds the recurrence-ids of the intent's sessions, at least from
/// [`Intent::sessions_known_from`] on.
///
/// # Errors
/// [`SetError`] if the interval is beyond what a set can compute.
pub fn plan(
    intent: &Intent,
    known: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
    horizon: TimeDelta,
) -> Result<Plan, SetError> {
    let unplanned = |occurrence: &Occurrence| !known.contains(&occurrence.recurrence_id);
    let first = intent.set.first_from(intent.done_through, unplanned);
    let step = first.map_or(END_OF_ZONE_DATA, |first| first.start + SPAN_MAX);
    let through = (now + horizon + TimeDelta::microseconds(1))
        .min(step)
        .min(END_OF_ZONE_DATA);
    let sessions = match Window::new(intent.done_through, through) {
        Ok(window) => plan_window(&intent.set, known, window)?,
        Err(_) => Vec::new(),
    };
    let recurrence_ids = sessions.iter().map(|due| due.recurrence_id).collect();
    Ok(Plan {
        sessions,
        event: Event::Materialized {
            through,
            recurrence_ids,
        },
    })
}

/// The occurrences that start, in effect, in the window, take place, and have no session.
///
/// # Errors
/// [`SetError`] if the window is beyond what a set can compute.
pub fn plan_window(
    set: &RecurrenceSet,
    known: &BTreeSet<LocalDateTime>,
    window: Window,
) -> Result<Vec<Occurrence>, SetError> {
    let mut due = set.overlapping(window)?;
    due.retain(|occurrence| {
        window.contains(occurrence.start)
            && !occurrence.cancelled
            && !known.contains(&occurrence.recurrence_id)
    });
    Ok(due)
}

/// Looks for occurrences that are to come, have no session, and start before `done_through`: a change
/// of the zone data has moved them there. `None` if there are none, which is so under unchanged data.
///
/// # Errors
/// [`SetError`] if the interval is beyond what a set can compute.
pub fn plan_again(
    intent: &Intent,
    known: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> Result<Option<Event>, SetError> {
    let from = now.max(intent.done_through - LAW_CHANGE_MAX);
    let Ok(window) = Window::new(from, intent.done_through) else {
        return Ok(None);
    };
    let passed_over = plan_window(&intent.set, known, window)?;
    let first = passed_over.iter().map(|occurrence| occurrence.start).min();
    Ok(first.map(|from| Event::PlannedAgain { from }))
}

/// When the planner has to look at an intent next, and not an instant earlier: a horizon before the
/// first occurrence that has no session, from `done_through` on. Instants count in microseconds.
#[must_use]
pub fn next_due_at(
    intent: &Intent,
    known: &BTreeSet<LocalDateTime>,
    horizon: TimeDelta,
) -> Option<DateTime<Utc>> {
    let unplanned = |occurrence: &Occurrence| !known.contains(&occurrence.recurrence_id);
    let first = intent.set.first_from(intent.done_through, unplanned)?;
    Some(first.start - horizon)
}
