//! The journal of a series, and the series as it was.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::command::Event;
use super::evolve::evolve;
use super::state::Intent;
use crate::IntentId;

/// Who changed something, and why: in codes. Names and reasons in words are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The person, or the job, that did it: what the embedding application calls it.
    pub actor: String,
    /// The code of the reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One line of the journal: what happened to which intent, when, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The segment.
    pub intent: IntentId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, and why.
    pub cause: Cause,
    /// What. Beside the rest and not among it: a split has an `at` too.
    pub event: Event,
}

/// The segments of a series as they were at an instant, in the order in which they began. The
/// records are in the order in which they happened; those at the instant count.
///
/// `next_due_at` is not in the journal: it is computed.
#[must_use]
pub fn as_of(records: &[Record], at: DateTime<Utc>) -> Vec<Intent> {
    fold(records.iter().filter(|record| record.at <= at))
}

pub(super) fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Intent> {
    let mut segments: Vec<Intent> = Vec::new();
    for record in records {
        if let Event::Created(opened) = &record.event {
            segments.push((**opened).clone().intent());
        } else if let Some(index) = segments.iter().position(|known| known.id == record.intent) {
            let intent = segments.remove(index);
            segments.insert(index, evolve(intent, &record.event));
        }
    }
    segments
}
