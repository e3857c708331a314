//! Sessions settled: completed, or missed by the client; and forfeits waived.

use chrono::{DateTime, Utc};
use ledger_core::ReasonCode;
use scheduler_core::session;
use serde_json::json;

use crate::access::{Action, Role};
use crate::credit::{Posting, follow, give_back};
use crate::policy::no_show_at;
use crate::session_change::{commit_of_somebody, fund_waiting, in_history};
use crate::{
    Commit, Decision, Idempotent, Journal, Principal, Refusal, Subject, View, WaivedBy, reason,
};

/// How a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took place: the held credit is used.
    Completed,
    /// The client did not come: the held credit goes by the service's rule.
    NoShow,
}

/// Says how a session went.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, is not over, or ended otherwise.
pub fn settle(
    view: &View,
    outcome: Outcome,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Settle)?;
    let session = view.session()?;
    Refusal::check_version(expected, session.version)?;
    let command = match outcome {
        Outcome::Completed => session::Command::Complete,
        Outcome::NoShow => session::Command::NoShow,
    };
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let from = no_show_at(session, view.service()?);
    if outcome == Outcome::NoShow && now < from {
        return Err(Refusal::NotYetNoShow { from, now });
    }
    let posting = Posting::of(view.account()?);
    let posting = follow(view, posting, session, &event, now)?;
    let commit = commit_of_somebody(view, &event, posting, now)?;
    Ok(Idempotent::Applied(commit))
}

/// Gives back the credit that a late cancellation or a no-show cost, if the service's policy lets
/// this principal. The session stays what it is; the ledger says who gave it back, and why.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, there is no such reason, the policy refuses, or nothing
/// was forfeited.
pub fn waive(
    view: &View,
    code: &ReasonCode,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Settle)?;
    reason::check(view, Some(code))?;
    let session = view.session()?;
    Refusal::check_version(expected, session.version)?;
    let may = match (view.service()?.cancellation.waived_by, principal.role) {
        (WaivedBy::Nobody, _) => false,
        (WaivedBy::Staff, role) => role == Role::Admin,
        (WaivedBy::Therapist, _) => true,
    };
    if !may {
        let role = principal.role.name();
        return Err(Refusal::MayNotWaive { role });
    }
    let Some(posting) = give_back(view, session, principal.identity(), code, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let mut changes = Vec::new();
    let funded = fund_waiting(view, posting, &[], now, &mut changes)?;
    let subject = Subject::Occurrence(session.intent, session.recurrence_id);
    let journal = Journal::new(subject, session.version, "forfeit_waived").with_body(json!({
        "session": session.id,
        "reason": code,
        "funded": funded,
    }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(in_history(view, journal)?),
        changes,
    }))
}
