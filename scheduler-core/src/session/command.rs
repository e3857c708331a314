use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::state::{CaseReason, Party};
use crate::{IntentId, LocalDateTime, ServiceId, TherapistId, Zone};

/// The occurrence that a session is, and what it says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The segment.
    pub intent: IntentId,
    /// The occurrence.
    pub recurrence_id: LocalDateTime,
    /// Whose time it takes.
    pub therapist: TherapistId,
    /// What it is.
    pub service: ServiceId,
    /// The zone of the recurrence-id.
    pub zone: Zone,
    /// The wall time of its start in the zone.
    pub starts_local: LocalDateTime,
    /// The first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
}

/// What may be asked of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A credit is held for it now.
    Fund,
    /// The credit that was held for it is another session's: it waits for one again.
    Unfund,
    /// Leave it to a person.
    OpenCase {
        /// Why.
        reason: CaseReason,
    },
    /// Give it another time.
    Reschedule {
        /// The new wall time in the session's zone.
        starts_local: LocalDateTime,
        /// How long it lasts.
        length: TimeDelta,
    },
    /// Compute its instants again from its wall time, after the zone data has changed.
    Resolve {
        /// Whether the time that it then takes belongs to another session.
        taken: bool,
    },
    /// Call it off.
    Cancel {
        /// Who does.
        by: Party,
        /// Whether the cancellation policy calls that late.
        late: bool,
    },
    /// Call it off with its intent's occurrences, so that it comes back with them.
    CallOff {
        /// Who does.
        by: Party,
        /// Whether the cancellation policy calls that late.
        late: bool,
    },
    /// Bring back what was called off with its intent's occurrences. It has no credit yet.
    Reopen,
    /// Restore a cancelled session or a case, at its time. It has no credit yet.
    Restore,
    /// Make it an occurrence of the segment that continues, or continued, its own.
    Rebind(Binding),
    /// It took place.
    Complete,
    /// The client did not come.
    NoShow,
}

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "each is the fact of the command of the same name; Reopened of two"
)]
pub enum Event {
    Funded,
    Unfunded,
    CaseOpened {
        reason: CaseReason,
    },
    Rescheduled {
        from: DateTime<Utc>,
        starts_local: LocalDateTime,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    },
    Resolved {
        from: DateTime<Utc>,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        /// The release that says so.
        tzdb: String,
        /// Whether it needs a person's decision, because its time is taken.
        taken: bool,
    },
    Cancelled {
        by: Party,
        late: bool,
    },
    CalledOff {
        by: Party,
        late: bool,
    },
    Reopened,
    Rebound {
        from: Binding,
        to: Binding,
    },
    Completed,
    NoShow,
}

impl Command {
    /// Its name in errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fund => "fund",
            Self::Unfund => "unfund",
            Self::OpenCase { .. } => "open a case for",
            Self::Reschedule { .. } => "reschedule",
            Self::Resolve { .. } => "resolve",
            Self::Cancel { .. } => "cancel",
            Self::CallOff { .. } => "call off",
            Self::Reopen => "reopen",
            Self::Restore => "restore",
            Self::Rebind(_) => "rebind",
            Self::Complete => "complete",
            Self::NoShow => "mark as no-show",
        }
    }
}
