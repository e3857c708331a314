//! Credits granted, and sessions settled: completed, or missed by the client.

use chrono::{DateTime, Utc};
use ledger_core::{Command, Credits, Evidence, Key, ReasonCode, Source};
use scheduler_core::session;
use scheduler_core::{ClientId, ServiceId};
use serde_json::json;

use crate::access::Action;
use crate::credit::{Posting, follow};
use crate::session_change::{commit, fund_waiting};
use crate::{Commit, Decision, Idempotent, Journal, Principal, Refusal, Subject, View};

/// Credits to be granted by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// To whom.
    pub client: ClientId,
    /// The key of its entry.
    pub key: Key,
    /// What the credits pay for.
    pub service: ServiceId,
    /// How many.
    pub amount: Credits,
    /// Where they come from.
    pub source: Source,
    /// Why.
    pub reason: ReasonCode,
}

/// How a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took place: the held credit is used.
    Completed,
    /// The client did not come: the held credit goes by the service's rule.
    NoShow,
}

/// Grants credits, and holds them at once for sessions that waited for one.
///
/// # Errors
/// [`Refusal`] if there is no such client or service, or the ledger refuses.
pub fn grant(
    view: &View,
    grant: NewGrant,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.client()?;
    let (account, service) = (view.account()?, view.service()?);
    Refusal::check_version(expected, account.seq())?;
    let key = grant.key.clone();
    let command = Command::Grant {
        key: grant.key,
        service: ledger_core::ServiceId(service.id.0),
        amount: grant.amount,
        source: grant.source,
        evidence: Evidence::Manual {
            actor: principal.identity(),
            reason: grant.reason,
        },
        effective_at: now,
        expires_at: None,
    };
    let Some(posting) = Posting::of(account).post(&view.entries, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let mut changes = Vec::new();
    let funded = fund_waiting(view, posting, None, now, &mut changes)?;
    let journal = Journal::new(
        Subject::Entry(grant.client, key),
        account.seq() + 1,
        "credits_granted",
    )
    .with_body(json!({ "funded": funded }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes,
    }))
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
    let posting = follow(view, session, &event, now)?;
    Ok(Idempotent::Applied(commit(view, &event, posting, now)?))
}
