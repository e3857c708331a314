//! A zone as an iCalendar text knows it: IANA's, or one that the text defines itself.

use std::sync::{Arc, OnceLock};

use crate::epoch::to_wall;
use crate::zone::{Resolution, Transitions};
use crate::{LocalDateTime, Zone};

/// A time zone.
#[derive(Debug, Clone)]
pub(super) enum TimeZone {
    /// Of the IANA tz database.
    Iana(Zone),
    /// Of a VTIMEZONE that is not known to mean an IANA zone.
    Own(Arc<OwnZone>),
}

/// A zone that a text defines.
#[derive(Debug)]
pub(super) struct OwnZone {
    /// What the text calls it.
    pub(super) name: String,
    /// Which of the text's definitions it is.
    pub(super) number: usize,
    /// When its clocks change.
    pub(super) table: Transitions,
    nearest: OnceLock<Zone>,
}

impl OwnZone {
    pub(super) fn new(name: &str, number: usize, table: Transitions) -> Self {
        Self {
            name: name.to_owned(),
            number,
            table,
            nearest: OnceLock::new(),
        }
    }

    /// The IANA zone that is most like it, at the times of its events.
    pub(super) fn nearest(&self) -> Zone {
        self.nearest.get().copied().unwrap_or(Zone::UTC)
    }

    pub(super) fn set_nearest(&self, zone: Zone) {
        // It is found once, when all events are read.
        let _ = self.nearest.set(zone);
    }
}

impl TimeZone {
    pub(super) const UTC: Self = Self::Iana(Zone::UTC);

    pub(super) fn table(&self) -> &Transitions {
        match self {
            Self::Iana(zone) => zone.transitions(),
            Self::Own(own) => &own.table,
        }
    }

    /// The instant of a wall time in Unix seconds, and how it was found.
    pub(super) fn resolve(&self, wall: LocalDateTime) -> (i64, Resolution) {
        self.table().resolve(to_wall(wall))
    }

    /// The wall time at an instant.
    pub(super) fn local(&self, unix: i64) -> LocalDateTime {
        self.table().local(unix)
    }

    /// The IANA zone, if it is one.
    pub(super) fn iana(&self) -> Option<Zone> {
        match self {
            Self::Iana(zone) => Some(*zone),
            Self::Own(_) => None,
        }
    }

    /// Whether its wall time is UTC.
    pub(super) fn is_utc(&self) -> bool {
        matches!(self, Self::Iana(Zone::UTC))
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Iana(one), Self::Iana(other)) => one == other,
            (Self::Own(one), Self::Own(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for TimeZone {}

/// Where two zones' clocks differ between two instants in Unix seconds: stretches of time, in order.
pub(super) fn stretches_that_differ<'a>(
    one: &'a Transitions,
    other: &'a Transitions,
    from: i64,
    to: i64,
) -> impl Iterator<Item = (i64, i64)> + 'a {
    let mut at = from;
    let (mut left, mut right) = (one.at(from), other.at(from));
    std::iter::from_fn(move || {
        while at < to {
            let (a, b) = (one.spans().get(left)?, other.spans().get(right)?);
            let (begin, end) = (at, a.to.min(b.to).min(to));
            at = end;
            left += usize::from(a.to <= end);
            right += usize::from(b.to <= end);
            if a.shift != b.shift && begin < end {
                return Some((begin, end));
            }
        }
        None
    })
}
