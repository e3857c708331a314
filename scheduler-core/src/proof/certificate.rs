use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::zone::{END_OF_ZONE_DATA, ZoneData};

/// That nothing is in the way of a booking, and how far that holds.
///
/// It is about the calendar that it was made for: a later change there needs its own proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holds", rename_all = "snake_case")]
pub enum Certificate {
    /// For all time: everything is periodic in one zone whose clocks never change.
    Forever,
    /// As far as anything is known of time zones, by this version of the tz database.
    ThroughZoneData {
        /// The first instant of which nothing is known.
        until: DateTime<Utc>,
        /// The tz database that it was computed with.
        tzdb: String,
    },
    /// Through a date, because there was too much to compare.
    Through {
        /// The first instant of which nothing is said.
        until: DateTime<Utc>,
        /// The tz database that it was computed with.
        tzdb: String,
    },
}

impl Certificate {
    pub(super) fn new(until: DateTime<Utc>) -> Self {
        let tzdb = ZoneData::installed().release().to_owned();
        if until == END_OF_ZONE_DATA {
            Self::ThroughZoneData { until, tzdb }
        } else {
            Self::Through { until, tzdb }
        }
    }

    /// The first instant of which it says nothing; `None` if there is none.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Forever => None,
            Self::ThroughZoneData { until, .. } | Self::Through { until, .. } => Some(*until),
        }
    }

    /// What holds if both hold: the therapist's calendar and the client's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.until(), other.until()) {
            (None, _) => other,
            (Some(until), Some(earlier)) if earlier < until => other,
            _ => self,
        }
    }
}
