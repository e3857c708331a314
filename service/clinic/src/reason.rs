//! The codes that say why something was done: a closed list for each clinic.
//!
//! A code stays in ledger and journal for ever, in the clear and beside a client's id. So whoever gives
//! a reason chooses from a list that an administrator keeps; `annas_mother_is_ill` is no reason, although
//! it is a code. What the clinic itself writes, like `reopened`, needs no place in the list.
//!
//! ```
//! use clinic::{Refusal, View, reason};
//!
//! let view = View::default(); // of a clinic without codes of its own
//! assert!(reason::check(&view, Some(&"goodwill".parse()?)).is_ok());
//! let unknown = reason::check(&view, Some(&"annas_mother_is_ill".parse()?));
//! assert!(matches!(unknown, Err(Refusal::UnknownReason { .. })));
//! # Ok::<(), ledger_core::BadReasonCode>(())
//! ```

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ledger_core::ReasonCode;

use crate::access::{Action, Principal, Resource, allow};
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

/// The codes that every clinic has, sorted. None says anything about a person.
pub const DEFAULTS: [&str; 18] = [
    "bank_transfer",
    "clinic_closed",
    "clinic_fault",
    "correction",
    "counted_twice",
    "duplicate",
    "gift",
    "goodwill",
    "late_payment",
    "migrated",
    "other",
    "schedule_change",
    "technical_fault",
    "time_off",
    "transferred",
    "trial",
    "typing_error",
    "wrong_client",
];

/// The most codes that a clinic adds.
pub const OWN_MAX: usize = 100;

/// A code of a clinic's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code.
    pub code: ReasonCode,
    /// When it was added.
    pub added_at: DateTime<Utc>,
}

/// Refuses a given code that is not in the clinic's list. `view` is of a scope that
/// [takes a reason](crate::Scope::takes_reason).
///
/// # Errors
/// [`Refusal::UnknownReason`], which lists the codes that there are and does not repeat the unknown one.
pub fn check(view: &View, given: Option<&ReasonCode>) -> Result<(), Refusal> {
    if given.is_none_or(|code| is_listed(view, code)) {
        return Ok(());
    }
    Err(Refusal::UnknownReason {
        field: "reason",
        known: listed(&view.reasons),
    })
}

/// All codes of a clinic that has these of its own, sorted.
#[must_use]
pub fn listed(own: &[Reason]) -> Vec<ReasonCode> {
    let defaults = DEFAULTS.iter().filter_map(|code| code.parse().ok());
    let own = own.iter().map(|own| own.code.clone());
    defaults
        .chain(own)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Adds a code to the clinic's list. One that is there stays as it is.
///
/// # Errors
/// [`Refusal`] if the principal is no administrator, or the clinic has [`OWN_MAX`] codes of its own.
pub fn add(view: &View, code: ReasonCode, principal: Principal, now: DateTime<Utc>) -> Decision {
    if !allow(principal, Action::Administer, Resource::Clinic) {
        return Err(Refusal::NotFound { what: "page" });
    }
    if is_listed(view, &code) {
        return Ok(Idempotent::AlreadyApplied);
    }
    if view.reasons.len() >= OWN_MAX {
        return Err(Refusal::TooManyReasons);
    }
    let journal = Journal::new(Subject::Reason(code.clone()), 1, "reason_added");
    let added_at = now;
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Reason(Reason { code, added_at })],
    }))
}

fn is_listed(view: &View, code: &ReasonCode) -> bool {
    DEFAULTS.contains(&code.as_str()) || view.reasons.iter().any(|own| own.code == *code)
}
