use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::state::{Intent, IntentState};
use crate::rule::Rule;
use crate::session::Session;
use crate::{
    ClientId, GapPolicy, IntentId, LocalDateTime, Pause, RecurrenceSet, ServiceId, SessionId,
    TherapistId, Zone,
};

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
    /// Have this date: one that was skipped, called off or paused, or one that the rule does not
    /// have.
    Add {
        /// Which.
        recurrence_id: LocalDateTime,
    },
    /// Give this date another time. One that a pause covers takes place by that.
    Reschedule {
        /// Which.
        recurrence_id: LocalDateTime,
        /// The new wall time, in the intent's zone.
        to: LocalDateTime,
    },
    /// Give this date another length.
    Amend {
        /// Which.
        recurrence_id: LocalDateTime,
        /// The new length.
        minutes: u32,
    },
    /// Call this date off. It stays visible as cancelled.
    Cancel {
        /// Which.
        recurrence_id: LocalDateTime,
    },
}

/// What may be asked of an intent about many occurrences. Those that are past or finished are
/// spared, and scopes are cut by recurrence-id, never by a moved time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Change all of it: from the first occurrence that is still to come.
    Amend {
        /// The id of the segment that goes on, made by the caller.
        into: IntentId,
        /// What is different from there on.
        changes: Changes,
        /// What becomes of dates that were changed by hand.
        overrides: Overrides,
    },
    /// Change this occurrence and what follows.
    Split {
        /// The first that is changed.
        at: LocalDateTime,
        /// The id of the segment that goes on, made by the caller.
        into: IntentId,
        /// What is different from there on.
        changes: Changes,
        /// What becomes of dates that were changed by hand.
        overrides: Overrides,
    },
    /// Another therapist from a date on.
    Reassign {
        /// The first date, in the intent's zone.
        from: NaiveDate,
        /// The other therapist.
        to: TherapistId,
        /// The id of the segment that goes on, made by the caller.
        into: IntentId,
    },
    /// Rest for a while.
    Pause(Pause),
    /// End a pause early, or an open one at all.
    Resume {
        /// The first date that is no longer paused.
        from: NaiveDate,
    },
    /// End it.
    End {
        /// The first date without an occurrence.
        from: NaiveDate,
    },
}

/// What a new segment has different from the one it continues.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The wall time of its first occurrence.
    pub start: Option<LocalDateTime>,
    /// The zone of all wall times.
    pub zone: Option<Zone>,
    /// What becomes of wall times that the zone skips.
    pub gap: Option<GapPolicy>,
    /// The length.
    pub minutes: Option<u32>,
    /// How it recurs. Otherwise the old rules go on, with what is left of COUNT.
    pub rules: Option<Vec<Rule>>,
    /// Whose time it takes.
    pub therapist: Option<TherapistId>,
    /// What each occurrence is.
    pub service: Option<ServiceId>,
}

/// What a split does with dates after it that were moved or given another length. Dates that were
/// skipped or called off stay so in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overrides {
    /// They stay as they were changed, as occurrences of the new segment.
    #[default]
    Carry,
    /// They stay as they were changed, each as an intent of its own.
    Detach,
    /// They become what the new segment says.
    Drop,
}

/// A segment as it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Its id.
    pub id: IntentId,
    /// The id of the series' first segment.
    pub series: IntentId,
    /// The segment that it was split from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<IntentId>,
    /// Whose time it takes.
    pub therapist: TherapistId,
    /// Whom it is for.
    pub client: ClientId,
    /// What each occurrence is.
    pub service: ServiceId,
    /// When.
    pub set: RecurrenceSet,
    /// Whether it goes on.
    pub state: IntentState,
    /// Nothing before this instant will be planned.
    pub done_through: DateTime<Utc>,
}

impl Opened {
    /// The intent that it is, until something happens to it.
    #[must_use]
    pub fn intent(self) -> Intent {
        Intent {
            id: self.id,
            series: self.series,
            continues: self.continues,
            therapist: self.therapist,
            client: self.client,
            service: self.service,
            set: self.set,
            state: self.state,
            done_through: self.done_through,
            next_due_at: None,
            version: 1,
        }
    }
}

/// A session that a split took along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Which.
    pub session: SessionId,
    /// Its recurrence-id in the segment that it left.
    pub recurrence_id: LocalDateTime,
    /// Its first instant, and the first after it, before the split.
    pub was: (DateTime<Utc>, DateTime<Utc>),
    /// The same after it.
    pub is: (DateTime<Utc>, DateTime<Utc>),
    /// The wall times of both starts: they mean the same when a zone's law has changed since. Splits
    /// from before wall times were kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<(LocalDateTime, LocalDateTime)>,
}

impl Taken {
    /// Whether the session starts at the wall time that the split gave it, and lasts as long.
    pub(super) fn is_unmoved(&self, session: &Session) -> bool {
        let length = session.ends_at - session.starts_at;
        match self.local {
            Some((_, is)) => (is, self.is.1 - self.is.0) == (session.starts_local, length),
            None => self.is == (session.starts_at, session.ends_at),
        }
    }

    /// The wall time at which it started before the split, in the zone that it had then, and its
    /// length.
    pub(super) fn was_in(&self, zone: Zone) -> (LocalDateTime, TimeDelta) {
        let (start, end) = self.was;
        let local = self.local.map_or_else(|| zone.local(start), |(was, _)| was);
        (local, end - start)
    }
}

/// What happened to an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "each is the fact of the command of the same name"
)]
pub enum Event {
    /// It began: booked, or split from another.
    Created(Box<Opened>),
    Skipped {
        recurrence_id: LocalDateTime,
    },
    Added {
        recurrence_id: LocalDateTime,
    },
    Rescheduled {
        recurrence_id: LocalDateTime,
        to: LocalDateTime,
    },
    Amended {
        recurrence_id: LocalDateTime,
        minutes: u32,
    },
    Cancelled {
        recurrence_id: LocalDateTime,
    },
    Paused {
        pause: Pause,
    },
    Resumed {
        /// The first date that is no longer paused.
        from: NaiveDate,
        /// What starts from this instant on is planned again.
        replan: DateTime<Utc>,
    },
    Ended {
        /// The first recurrence-id that is no more.
        from: LocalDateTime,
    },
    Split {
        /// The first recurrence-id that the other segment has.
        at: LocalDateTime,
        into: IntentId,
        /// The intents that dates changed by hand have become.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        detached: Vec<IntentId>,
        /// The sessions that went along. Where the other rule comes to a time that one was moved
        /// to, nothing else would tell that it had been moved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sessions: Vec<Taken>,
    },
    /// Somebody changed the session of an occurrence. The session's own machine says how; here it is the
    /// last thing that was done, which no undo of an earlier change passes over.
    SessionChanged {
        recurrence_id: LocalDateTime,
        /// What was done: what the embedding application calls it.
        kind: String,
    },
    /// Its last change was undone. This is what it was before, but for what was planned since.
    Undone {
        set: Box<RecurrenceSet>,
        was: IntentState,
        /// What starts from this instant on is planned again.
        replan: DateTime<Utc>,
    },
    /// The change that made it was undone.
    Withdrawn,
    /// A change of the zone data moved unplanned occurrences to before `done_through`: what starts
    /// from this instant on is planned again.
    PlannedAgain {
        from: DateTime<Utc>,
    },
    /// Everything that starts before `through` has become sessions.
    Materialized {
        through: DateTime<Utc>,
        /// The occurrences that became sessions. Their overrides are now the sessions' own times.
        recurrence_ids: Vec<LocalDateTime>,
    },
}
