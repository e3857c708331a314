//! Sessions and virtual occurrences of somebody's time: as one list for a window, or, for questions
//! about all time to come, as a [`Calendar`] that holds no list.

mod lifelong;
mod pattern;

pub use lifelong::Calendar;
pub use pattern::{BUFFER_MINUTES_MAX, BufferTooLong, Buffers};

pub(crate) use lifelong::Busy;
pub(crate) use pattern::Pattern;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::intent::Intent;
use crate::session::Session;
use crate::set::{OCCURRENCES_MAX, Occurrence, SetError};
use crate::{IntentId, LocalDateTime, Window};

/// One appointment of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// An occurrence that exists only as intent.
    Virtual {
        /// The intent that means it.
        intent: &'a Intent,
        /// When.
        occurrence: Occurrence,
    },
    /// An occurrence that was made real.
    Session(&'a Session),
}

impl Item<'_> {
    /// The address of the occurrence.
    #[must_use]
    pub fn address(&self) -> (IntentId, LocalDateTime) {
        match self {
            Self::Virtual { intent, occurrence } => (intent.id, occurrence.recurrence_id),
            Self::Session(session) => (session.intent, session.recurrence_id),
        }
    }

    /// The first instant.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        match self {
            Self::Virtual { occurrence, .. } => occurrence.start,
            Self::Session(session) => session.starts_at,
        }
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        match self {
            Self::Virtual { occurrence, .. } => occurrence.end,
            Self::Session(session) => session.ends_at,
        }
    }

    /// Whether it occupies its time.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Virtual { occurrence, .. } => !occurrence.cancelled,
            Self::Session(session) => session.state.is_live(),
        }
    }
}

/// What overlaps the window, by start: the sessions, and the occurrences of the intents that have
/// no session.
///
/// `sessions` holds every session that overlaps the window, and every session of these intents
/// whose recurrence-id is near it ([`near`]), wherever it was moved to.
///
/// # Errors
/// [`SetError`] if the window is beyond what a set can compute, or the calendar holds more than
/// [`OCCURRENCES_MAX`] appointments.
pub fn calendar<'a>(
    intents: impl IntoIterator<Item = &'a Intent>,
    sessions: &'a [Session],
    window: Window,
) -> Result<Vec<Item<'a>>, SetError> {
    let real: BTreeSet<(IntentId, LocalDateTime)> = sessions
        .iter()
        .map(|session| (session.intent, session.recurrence_id))
        .collect();
    let mut items: Vec<Item<'a>> = sessions
        .iter()
        .filter(|session| window.overlaps(session.starts_at, session.ends_at))
        .map(Item::Session)
        .collect();
    for intent in intents {
        let occurrences = intent.set.overlapping(window)?.into_iter();
        let without_session =
            occurrences.filter(|at| !real.contains(&(intent.id, at.recurrence_id)));
        items.extend(without_session.map(|occurrence| Item::Virtual { intent, occurrence }));
        if items.len() > OCCURRENCES_MAX {
            return Err(SetError::TooManyOccurrences);
        }
    }
    items.sort_by_key(|item| (item.start(), item.address()));
    Ok(items)
}

/// The recurrence-ids, in any zone, of unmoved occurrences that overlap the window: three days to
/// either side cover the longest appointment, every zone's offset and every clock change.
#[must_use]
pub fn near(window: Window) -> (LocalDateTime, LocalDateTime) {
    let reach = 3 * 24 * 3600;
    let start = LocalDateTime::from_seconds(window.start().timestamp() - reach);
    let end = LocalDateTime::from_seconds(window.end().timestamp() + reach);
    (
        start.unwrap_or(LocalDateTime::MIN),
        end.unwrap_or(LocalDateTime::MAX),
    )
}
