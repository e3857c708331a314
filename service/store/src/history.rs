//! What happened to a series, as a line of the journal keeps it.

use clinic::{Happened, History};
use ledger_core::ReasonCode;
use scheduler_core::intent::{Cause, Record};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::rows::{Columns, Versioned, instant, json, text, versioned};

/// What happened to the intents of a series, and why, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHistory {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonCode>,
    events: Vec<Happened>,
}

/// The stored form of what a command did to the intents of a series.
///
/// # Errors
/// [`StoreError::Corrupt`] if it has no JSON form, which it has.
pub fn stored(history: &History) -> Result<String, StoreError> {
    let data = StoredHistory {
        reason: history.reason.clone(),
        events: history.events.clone(),
    };
    json("history", &Versioned { v: 1, data })
}

/// The records in a row of `journal`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn records(row: &impl Columns) -> Result<Vec<Record>, StoreError> {
    let StoredHistory { reason, events } = versioned(row, "history")?;
    let at = instant(row, "at")?;
    let cause = Cause {
        actor: text(row, "actor")?.to_owned(),
        reason: reason.map(|reason| reason.to_string()),
    };
    let record = |happened: Happened| Record {
        intent: happened.intent,
        at,
        cause: cause.clone(),
        event: happened.event,
    };
    Ok(events.into_iter().map(record).collect())
}
