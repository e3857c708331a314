use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::IntentError;
use crate::materialize::LAW_CHANGE_MAX;
use crate::{ClientId, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId};

/// A standing booking: who, what, and the set of all its occurrences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// This segment.
    pub id: IntentId,
    /// The id of the series' first segment.
    pub series: IntentId,
    /// The segment that this one was split from.
    pub continues: Option<IntentId>,
    /// Whose time it takes.
    pub therapist: TherapistId,
    /// Whom it is for.
    pub client: ClientId,
    /// What each occurrence is.
    pub service: ServiceId,
    /// When.
    pub set: RecurrenceSet,
    /// Whether it goes on, and where.
    pub state: IntentState,
    /// Every occurrence that starts, in effect, before this instant has been planned.
    pub done_through: DateTime<Utc>,
    /// When the planner has to look at it next; `None` if never.
    pub next_due_at: Option<DateTime<Utc>>,
    /// Raised by every change that a person makes. The planner guards on it and does not raise it.
    pub version: u64,
}

/// Whether an intent goes on. What it still means is in its set, whatever the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IntentState {
    /// It does, as far as its rule goes.
    #[default]
    Active,
    /// It was ended.
    Ended,
    /// Another segment has what followed.
    Continued {
        /// That segment.
        by: IntentId,
    },
    /// The change that made it was undone. It means nothing.
    Withdrawn,
}

impl IntentState {
    /// Its name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Continued { .. } => "continued",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Intent {
    /// The lowest recurrence-id whose session the planner has to know. Nothing that starts before
    /// `done_through` is planned, no wall time is further than 48 hours from its place in the order of
    /// instants, and a change of the zone data moves it by [`LAW_CHANGE_MAX`] at most. Overrides need no exception: they leave the set when their occurrence
    /// becomes a session.
    #[must_use]
    pub fn sessions_known_from(&self) -> LocalDateTime {
        let local = self.set.zone().local(self.done_through);
        let back = 48 * 3600 + LAW_CHANGE_MAX.num_seconds();
        local.plus_seconds(-back).unwrap_or(LocalDateTime::MIN)
    }

    /// Checks that it is as the caller last saw it.
    ///
    /// # Errors
    /// [`IntentError::StaleVersion`].
    pub fn expect_version(&self, expected: u64) -> Result<(), IntentError> {
        if expected == self.version {
            return Ok(());
        }
        let actual = self.version;
        Err(IntentError::StaleVersion { expected, actual })
    }
}
