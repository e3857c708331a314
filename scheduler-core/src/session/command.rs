use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::{CaseReason, Party};

/// What may be asked of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A credit is held for it now.
    Fund,
    /// Leave it to a person.
    OpenCase {
        /// Why.
        reason: CaseReason,
    },
    /// Give it another time.
    Reschedule {
        /// The new first instant.
        starts_at: DateTime<Utc>,
        /// The new first instant after it.
        ends_at: DateTime<Utc>,
    },
    /// Call it off.
    Cancel {
        /// Who does.
        by: Party,
        /// Whether the cancellation policy calls that late.
        late: bool,
    },
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
    reason = "each is the fact of the command of the same name"
)]
pub enum Event {
    Funded,
    CaseOpened {
        reason: CaseReason,
    },
    Rescheduled {
        from: DateTime<Utc>,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    },
    Cancelled {
        by: Party,
        late: bool,
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
            Self::OpenCase { .. } => "open a case for",
            Self::Reschedule { .. } => "reschedule",
            Self::Cancel { .. } => "cancel",
            Self::Complete => "complete",
            Self::NoShow => "mark as no-show",
        }
    }
}
