use chrono::{DateTime, LocalResult, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::command::Binding;
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
    /// The wall time of its start in its zone. It stays when the zone's law changes.
    pub starts_local: LocalDateTime,
    /// The first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
    /// The zone of its recurrence-id.
    pub zone: Zone,
    /// The release of the tz database that its instants were last computed with.
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
    /// It needs a person's decision, and keeps no slot: have it again, give it another time, call it off, or say
    /// that it took place.
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
    /// It was already past when it was first planned, after an outage. A person says whether it took place.
    Missed,
}

/// What a person has to decide about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseReason {
    /// Its time was taken when it was to be made, or when a change of its zone's law moved it.
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
            starts_local: self.starts_local,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        }
    }

    /// Returns its first instant, and the first after it, by the installed zone data.
    #[must_use]
    pub fn resolved(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let (starts_at, _) = self.zone.resolve(self.starts_local);
        (starts_at, starts_at + (self.ends_at - self.starts_at))
    }

    /// Returns when it would start by the installed zone data, if it is still to come and other data
    /// gave it another instant.
    #[must_use]
    pub fn shifted(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (starts_at, _) = self.resolved();
        let to_come = self.starts_at > now && !self.state.is_final();
        (to_come && starts_at != self.starts_at).then_some(starts_at)
    }

    /// Whether it starts at another instant than its recurrence-id means.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.zone.resolve(self.recurrence_id).0 != self.resolved().0
    }
}

impl SessionState {
    /// Whether it occupies its time: no other live session of the same therapist or client may
    /// overlap it.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Unfunded)
    }

    /// Whether it is over: how it went was said, or can still be.
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

/// Returns the wall time of a session that was stored without it.
///
/// It is the recurrence-id if that meant `starts_at` by the data that `tzdb` names, else what the
/// zone's clocks showed then. All sessions without a stored wall time were computed with 2025b, the
/// release of `chrono-tz`; another release is taken for the installed one.
#[must_use]
pub fn wall_time_of(
    zone: Zone,
    recurrence_id: LocalDateTime,
    starts_at: DateTime<Utc>,
    tzdb: &str,
) -> LocalDateTime {
    let known = Tz::try_from(zone).ok();
    let Some(then) = known.filter(|_| tzdb == chrono_tz::IANA_TZDB_VERSION) else {
        let regular = zone.resolve(recurrence_id).0 == starts_at;
        return if regular {
            recurrence_id
        } else {
            zone.local(starts_at)
        };
    };
    let shown = starts_at.with_timezone(&then).naive_local();
    // A skipped time was resolved with the offset from before the gap.
    let skipped = then.from_local_datetime(&recurrence_id.naive()) == LocalResult::None;
    let before = then.offset_from_utc_datetime(&(starts_at.naive_utc() - TimeDelta::days(1)));
    let by_gap = recurrence_id.naive() - before.fix();
    let regular = shown == recurrence_id.naive() || skipped && by_gap == starts_at.naive_utc();
    match LocalDateTime::try_from(shown) {
        Ok(local) if !regular => local,
        _ => recurrence_id,
    }
}
