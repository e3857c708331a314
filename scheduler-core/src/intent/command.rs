use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ClientId, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId};

/// An intent that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntent {
    /// Its id, made by the caller.
    pub id: IntentId,
    /// Whose time it takes.
    pub therapist: TherapistId,
    /// Whom it is for.
    pub client: ClientId,
    /// What each occurrence is.
    pub service: ServiceId,
    /// When.
    pub set: RecurrenceSet,
}

/// What may be asked of an intent about an occurrence that has no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Leave this date out. Nothing is shown in its place.
    Skip {
        /// Which.
        recurrence_id: LocalDateTime,
    },
    /// Give this date another time.
    Reschedule {
        /// Which.
        recurrence_id: LocalDateTime,
        /// The new wall time, in the intent's zone.
        to: LocalDateTime,
    },
    /// Call this date off. It stays visible as cancelled.
    Cancel {
        /// Which.
        recurrence_id: LocalDateTime,
    },
}

/// What happened to an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "each is the fact of the command of the same name"
)]
pub enum Event {
    Skipped {
        recurrence_id: LocalDateTime,
    },
    Rescheduled {
        recurrence_id: LocalDateTime,
        to: LocalDateTime,
    },
    Cancelled {
        recurrence_id: LocalDateTime,
    },
    /// Everything that starts before `through` has become sessions.
    Materialized {
        through: DateTime<Utc>,
        /// The occurrences that became sessions. Their overrides are now the sessions' own times.
        recurrence_ids: Vec<LocalDateTime>,
    },
}
