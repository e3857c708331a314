use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::command::Binding;
use crate::zone::ZoneData;
use crate::{ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Zone};

/// An occurrence that was made real. Its row alone is the truth of its time and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Assigned once, never changed, also when it becomes an occurrence of another segment.
    pub id: SessionId,
    /// The intent it is an occurrence of.
    pub intent: IntentId,
    /// Which occurrence. Unique together with the intent.
    pub recurrence_id: LocalDateTime,
    /// Whose time it takes.
    pub therapist: TherapistId,
    /// Whom it is for.
    pub client: ClientId,
    /// What it is.
    pub service: ServiceId,
    /// The first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
    /// The zone of its recurrence-id.
    pub zone: Zone,
    /// The version of the tz database that its instants were computed with.
    pub tzdb: String,
    /// What became of it.
    pub state: SessionState,
    /// Raised by every change of its time.
    pub slot_version: u32,
    /// Which hold of credit is its current one. The first is 1.
    pub hold_generation: u32,
    /// When the worker has to look at it next; `None` if never. The caller's policy.
    pub next_due_at: Option<DateTime<Utc>>,
    /// Raised by every change.
    pub version: u64,
}

/// Where a session stands. Variants own what is only true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SessionState {
    /// It will take place, and a credit is held for it.
    Scheduled,
    /// It will take place, and there was no credit to hold.
    Unfunded,
    /// It needs a person's decision, and keeps no slot.
    Case {
        /// Why.
        reason: CaseReason,
    },
    /// It took place.
    Completed,
    /// The client did not come.
    NoShow,
    /// It was called off.
    Cancelled {
        /// Who called it off.
        by: Party,
        /// Whether that was inside the late window of the cancellation policy.
        late: bool,
        /// Whether it went with its intent's occurrences, by a pause, an end or a split. Then, and
        /// only then, it reopens when they are restored.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        with_intent: bool,
    },
    /// It was already past when it was first planned, after an outage.
    Missed,
}

/// What a person has to decide about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseReason {
    /// Its time was taken when it was to be made.
    Overlap,
    /// No credit came in time.
    Unfunded,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The client of the session.
    Client,
    /// The therapist of the session.
    Therapist,
    /// The clinic's staff.
    Clinic,
}

impl Session {
    /// The occurrence that it is, as it is.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding {
            intent: self.intent,
            recurrence_id: self.recurrence_id,
            therapist: self.therapist,
            service: self.service,
            zone: self.zone,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        }
    }

    /// When it would start by this version of the tz database, if that is another instant than an
    /// earlier version gave it. A session that was ever given another time has its instant by that.
    #[must_use]
    pub fn shifted_by_tzdb(&self) -> Option<DateTime<Utc>> {
        let by_rule = self.zone.resolve(self.recurrence_id).0;
        let other = self.tzdb != ZoneData::installed().release()
            && self.slot_version == 0
            && by_rule != self.starts_at;
        other.then_some(by_rule)
    }

    /// Whether it starts at another instant than its recurrence-id means.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.zone.resolve(self.recurrence_id).0 != self.starts_at
    }
}

impl SessionState {
    /// Whether it occupies its time: no other live session of the same therapist or client may
    /// overlap it.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Unfunded)
    }

    /// Whether it is over in a way that only a correction changes.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::NoShow | Self::Missed)
    }

    /// Its name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unfunded => "unfunded",
            Self::Case { .. } => "case",
            Self::Completed => "completed",
            Self::NoShow => "no_show",
            Self::Cancelled { .. } => "cancelled",
            Self::Missed => "missed",
        }
    }
}
