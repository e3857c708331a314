//! What stands in the way of an appointment.

use chrono::{DateTime, Utc};

use crate::availability::WeeklyHours;
use crate::calendar::Item;
use crate::set::Occurrence;
use crate::{IntentId, LocalDateTime};

/// An occurrence that cannot be, and what is in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Which occurrence.
    pub recurrence_id: LocalDateTime,
    /// When it would start.
    pub start: DateTime<Utc>,
    /// When it would end.
    pub end: DateTime<Utc>,
    /// Why it cannot.
    pub reason: Reason,
}

/// Why a time is not free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Another appointment takes this time.
    Busy {
        /// Its address.
        with: (IntentId, LocalDateTime),
        /// Its first instant.
        start: DateTime<Utc>,
        /// The first instant after it.
        end: DateTime<Utc>,
    },
    /// The therapist does not work then.
    OutsideHours,
    /// The previous occurrence of the same set is not over.
    OverlapsItself,
}

/// Everything in the way of `candidates`, by candidate. Both lists are ordered by start, as
/// [`RecurrenceSet::overlapping`](crate::RecurrenceSet::overlapping) and
/// [`calendar`](crate::calendar::calendar) give them.
#[must_use]
pub fn clashes(
    candidates: &[Occurrence],
    calendar: &[Item<'_>],
    hours: &WeeklyHours,
) -> Vec<Clash> {
    let busy: Vec<&Item<'_>> = calendar.iter().filter(|item| item.is_busy()).collect();
    // An item that started before `longest` ago is over, so no candidate looks further back.
    let longest = busy.iter().map(|item| item.end() - item.start()).max();
    let mut found = Vec::new();
    let mut previous_end: Option<DateTime<Utc>> = None;
    for candidate in candidates.iter().filter(|candidate| !candidate.cancelled) {
        let mut clash = |reason| {
            found.push(Clash {
                recurrence_id: candidate.recurrence_id,
                start: candidate.start,
                end: candidate.end,
                reason,
            });
        };
        if !hours.cover(candidate.start, candidate.end) {
            clash(Reason::OutsideHours);
        }
        if previous_end.is_some_and(|end| candidate.start < end) {
            clash(Reason::OverlapsItself);
        }
        previous_end = previous_end.max(Some(candidate.end));
        let Some(longest) = longest else { continue };
        let first = busy.partition_point(|item| item.start() + longest <= candidate.start);
        for item in busy[first..]
            .iter()
            .take_while(|item| item.start() < candidate.end)
            .filter(|item| candidate.start < item.end())
        {
            clash(Reason::Busy {
                with: item.address(),
                start: item.start(),
                end: item.end(),
            });
        }
    }
    found
}
