use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use super::state::IntentState;
use crate::LocalDateTime;
use crate::rule::{RuleError, Warning};
use crate::set::{DEVIATIONS_MAX, SetError};
use crate::zone::END_OF_ZONE_DATA;

/// Why a command on an intent is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// The start is not one of the rule's own times.
    #[error("the start {start} is not on the rule")]
    OffRule {
        /// The start given.
        start: LocalDateTime,
        /// The closest starts that are, at most one on each side.
        nearest: Vec<LocalDateTime>,
    },
    /// The set has no occurrence at all.
    #[error("the rule yields no occurrence from {start} on")]
    Empty {
        /// The start given.
        start: LocalDateTime,
    },
    /// The rule says something that has no effect.
    #[error("{0}")]
    Ineffective(Warning),
    /// The rule is not a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The time is in the past.
    #[error("{at} is in the past, it is {now}")]
    Past {
        /// The instant asked for.
        at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// The time is past what is known of time zones.
    #[error("{at} is too far: time zones are known until {END_OF_ZONE_DATA}")]
    BeyondZoneData {
        /// The instant asked for.
        at: DateTime<Utc>,
    },
    /// The intent has no such occurrence.
    #[error("the intent does not generate {recurrence_id}")]
    NotGenerated {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
    },
    /// The occurrence is gone.
    #[error("cannot {command} {recurrence_id}, it was {was}")]
    Gone {
        /// The recurrence-id given.
        recurrence_id: LocalDateTime,
        /// What was asked.
        command: &'static str,
        /// What became of it.
        was: &'static str,
    },
    /// The intent deviates from its rule in too many dates.
    #[error("an intent deviates in at most {DEVIATIONS_MAX} dates")]
    TooManyDeviations,
    /// Two occurrences of the intent would take place at the same time.
    #[error("{recurrence_id} would overlap {with}, which starts at {start}")]
    Collides {
        /// The occurrence that is changed.
        recurrence_id: LocalDateTime,
        /// The one that is in its way.
        with: LocalDateTime,
        /// When that starts.
        start: DateTime<Utc>,
    },
    /// The intent is not as the caller last saw it.
    #[error("version {expected} was expected, it is {actual}")]
    StaleVersion {
        /// The version the caller saw.
        expected: u64,
        /// The intent's version.
        actual: u64,
    },
    /// The intent's state does not allow it.
    #[error("cannot {command} an intent that is {}", .state.name())]
    IllegalState {
        /// Where the intent stands.
        state: IntentState,
        /// What was asked.
        command: &'static str,
    },
    /// A split has to be at an occurrence.
    #[error("cannot split at {at}: the rule's occurrences are from {first} to {}", LastShown(.last))]
    SplitOutside {
        /// Where it was to be split.
        at: LocalDateTime,
        /// The first occurrence of the rule.
        first: LocalDateTime,
        /// The last, if there is one.
        last: Option<LocalDateTime>,
    },
    /// No rule that starts at the pivot goes on like this one.
    #[error("cannot split at {at}: no rule that starts there goes on in the same way")]
    Unsplittable {
        /// Where it was to be split.
        at: LocalDateTime,
    },
    /// The occurrence is over: its session is finished or has begun.
    #[error("cannot {command} {recurrence_id}, its session is {state} and starts at {starts_at}")]
    Finished {
        /// The occurrence.
        recurrence_id: LocalDateTime,
        /// Its session's state.
        state: &'static str,
        /// Its session's start.
        starts_at: DateTime<Utc>,
        /// What was asked.
        command: &'static str,
    },
    /// Nothing that could be changed is still to come.
    #[error("nothing is left to {command}, it is {now}")]
    NothingLeft {
        /// What was asked.
        command: &'static str,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// There is no pause to end.
    #[error("{date} is not paused")]
    NotPaused {
        /// The date given.
        date: NaiveDate,
    },
    /// There is no change that has not been undone.
    #[error("there is no change to undo")]
    NothingToUndo,
    /// The last thing that was done is a change of a session, which is not undone.
    #[error(
        "the last change was of the session of {recurrence_id} ({kind}): nothing before it is undone"
    )]
    SessionChangedLast {
        /// The occurrence.
        recurrence_id: LocalDateTime,
        /// What was done.
        kind: String,
    },
    /// What was changed has begun to happen.
    #[error("cannot undo what has begun at {at}, it is {now}")]
    Happened {
        /// The first instant of it.
        at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// The change was of an occurrence that has become a session since, or of a segment that was
    /// changed since.
    #[error("cannot undo the change of {recurrence_id}: what came of it has been changed since")]
    Overtaken {
        /// The first occurrence that was changed.
        recurrence_id: LocalDateTime,
    },
    /// The set that would result is refused.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The end of a range that may be open.
struct LastShown<'a>(&'a Option<LocalDateTime>);

impl fmt::Display for LastShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(last) => last.fmt(f),
            None => f.write_str("no end"),
        }
    }
}
