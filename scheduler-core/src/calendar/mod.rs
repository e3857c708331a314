//! Sessions and virtual occurrences of somebody's time: as one list for a window, or, for questions
//! about all time to come, as a [`Calendar`] that holds no list.

mod busy;
mod lifelong;
mod pattern;

pub use lifelong::Calendar;
pub use pattern::{BUFFER_MINUTES_MAX, BufferTooLong, Buffers};

pub(crate) use lifelong::Busy;
pub(crate) use pattern::Pattern;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::intent::Intent;
use crate::session::Session;
use crate::set::{Occurrence, SetError};
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
/// [`SetError`] if the window is beyond what a set can compute, or a set starts more than once a minute in it,
/// which none does that does not overlap itself.
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
        let most = once_a_minute(window.seconds());
        intent.set.compile().each_of_at_most(most, window, |due| {
            if !real.contains(&(intent.id, due.recurrence_id)) {
                let occurrence = Occurrence::from(due);
                items.push(Item::Virtual { intent, occurrence });
            }
        })?;
    }
    items.sort_by_key(|item| (item.start(), item.address()));
    Ok(items)
}

/// Where an appointment is in the order of a calendar: its start, and its address.
pub type Place = (DateTime<Utc>, (IntentId, LocalDateTime));

/// How much of a window is looked at for a page, to begin with.
const STRETCH: TimeDelta = TimeDelta::days(28);

/// The first `limit` appointments of a [`calendar`] after a place, or from its beginning. What follows the
/// page is not computed, however long the window is.
///
/// # Errors
/// As [`calendar`].
pub fn page<'a>(
    intents: &'a [Intent],
    sessions: &'a [Session],
    window: Window,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Item<'a>>, SetError> {
    let first = after.map_or(window.start(), |(start, _)| start.max(window.start()));
    let (mut from, mut stretch) = (first, STRETCH);
    let mut found = Vec::new();
    while found.len() < limit
        && let Ok(rest) = Window::new(from, window.end())
    {
        let until = from.checked_add_signed(stretch);
        let until = until.map_or(rest.end(), |until| until.min(rest.end()));
        let part = Window::new(from, until).unwrap_or(rest);
        // What began before a stretch was in the one before it, or before the place.
        let is_new = |item: &Item<'_>| match after {
            Some(after) => item.start() >= from && (item.start(), item.address()) > after,
            None => item.start() >= from || from == first,
        };
        let items = calendar(intents, sessions, part)?.into_iter();
        found.extend(items.filter(is_new));
        (from, stretch) = (part.end(), stretch * 2);
    }
    found.truncate(limit);
    Ok(found)
}

/// The most occurrences that a set which does not overlap itself has in a stretch of time, given in seconds:
/// one starts a minute after another at the earliest.
pub(crate) fn once_a_minute((from, to): (i64, i64)) -> usize {
    let day_before = 24 * 60; // what starts there may reach in
    let minutes = to.saturating_sub(from).max(0) / 60 + 1;
    usize::try_from(minutes.saturating_add(day_before)).unwrap_or(usize::MAX)
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
