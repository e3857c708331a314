//! Sessions settled: completed, or missed by the client; and forfeits waived.

use chrono::{DateTime, Utc};
use ledger_core::{Command, ReasonCode};
use scheduler_core::session::{self, Party, Session};
use serde_json::json;

use crate::access::{Action, Role};
use crate::credit::{Posting, follow, give_back, hold_of};
use crate::policy::no_show_at;
use crate::series::staff_decides;
use crate::session_change::{commit_of_somebody, fund_waiting, in_history};
use crate::{
    Commit, Decision, Idempotent, Journal, Principal, Refusal, Subject, View, WaivedBy, reason,
};

/// How a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took place: the held credit is used. Without one, a credit is taken, or, if staff decide so, none.
    Completed {
        /// Whether it costs a credit.
        charged: bool,
    },
    /// The client did not come: the held credit goes by the service's rule. Without one it costs nothing, since
    /// nobody had told the client that it would take place.
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
        Outcome::Completed { .. } => session::Command::Complete,
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
    let has_hold = posting.account().hold(hold_of(session)).is_some();
    let posting = match outcome {
        Outcome::Completed { charged: false } => {
            if principal.role != Role::Admin {
                return Err(staff_decides("charge", &false));
            }
            // What was held is free again.
            let by_clinic = session::Event::Cancelled {
                by: Party::Clinic,
                late: false,
            };
            follow(view, posting, session, &by_clinic, now)?
        }
        Outcome::Completed { charged: true } if !has_hold => {
            charge(posting, &session::evolve(session.clone(), &event), now)?
        }
        _ => follow(view, posting, session, &event, now)?,
    };
    let commit = commit_of_somebody(view, &event, posting, now)?;
    Ok(Idempotent::Applied(commit))
}

/// Takes a credit for a session that took place without one: one that was good for it then, else one that has
/// come since.
fn charge(posting: Posting, session: &Session, now: DateTime<Utc>) -> Result<Posting, Refusal> {
    let (mut posting, mut held) = posting.hold(session, now)?;
    if !held {
        let since = Session {
            starts_at: now,
            ..session.clone()
        };
        (posting, held) = posting.hold(&since, now)?;
    }
    if !held {
        return Err(Refusal::NoCredit);
    }
    let hold = hold_of(session);
    let used = posting.clone().post(&[], &Command::Use { hold }, now)?;
    Ok(used.unwrap_or(posting))
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
