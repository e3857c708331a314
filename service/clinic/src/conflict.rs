//! Evidence of a payment that was refused because other evidence was entered first: a second invoice for a
//! month, a receipt used for two purchases.
//!
//! Money may have been taken twice. The ledger credits once and refuses the second, so the conflict is kept
//! in the journal until a person has settled it, by a refund or by entering it for something else.

use chrono::{DateTime, Utc};
use ledger_core::{Command, Error, Evidence};
use scheduler_core::ClientId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::access::{Action, Principal, Resource, allow};
use crate::{Commit, Decision, Idempotent, Journal, Refusal, Scope, Subject, View};

/// The version of a conflict that is open.
pub const OPEN: u64 = 1;
/// The version of one that is settled.
pub const SETTLED: u64 = 2;

/// A conflict between two pieces of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its id: the same for the same two pieces.
    pub id: Uuid,
    /// The number of its line in the journal.
    pub seq: u64,
    /// What it is between.
    pub between: Between,
    /// When the second piece was refused.
    pub kept_at: DateTime<Utc>,
    /// When somebody settled it.
    pub settled_at: Option<DateTime<Utc>>,
}

/// The two pieces of evidence. Ids, numbers and codes only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// For whom the second was entered.
    pub client: ClientId,
    /// Whose entry rests on the first.
    pub stored_client: ClientId,
    /// The entry that was made, and its evidence.
    pub stored: String,
    /// The entry that was refused, and its evidence.
    pub asked: String,
}

impl Between {
    /// The conflict for which a client's payment was refused, if it was for one.
    #[must_use]
    pub fn of(refusal: &Refusal, payer: ClientId) -> Option<Self> {
        let (account, stored, asked) = match refusal {
            Refusal::Ledger(Error::KeyConflict {
                account,
                stored,
                asked,
                ..
            }) if is_paid(asked) => (account, stored.to_string(), asked.to_string()),
            Refusal::Ledger(Error::Proven {
                key,
                account,
                stored,
                asked_key,
                asked,
                ..
            }) => (
                account,
                format!("{key} {stored}"),
                format!("{asked_key} {asked}"),
            ),
            _ => return None,
        };
        Some(Self {
            client: payer,
            stored_client: ClientId(account.0),
            stored,
            asked,
        })
    }

    /// The conflict's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let Self {
            client,
            stored_client,
            stored,
            asked,
        } = self;
        let name = json!([client.0, stored_client.0, stored, asked]).to_string();
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }
}

/// Whose payment a command on a scope may enter.
#[must_use]
pub fn payer(scope: &Scope) -> Option<ClientId> {
    match scope {
        Scope::Account { client, .. } | Scope::Month { client, .. } => Some(*client),
        _ => None,
    }
}

fn is_paid(command: &Command) -> bool {
    let Command::Grant { evidence, .. } = command else {
        return false;
    };
    matches!(evidence, Evidence::Payment(_) | Evidence::Checkout(_))
}

/// Keeps a conflict, once however often it is met.
///
/// # Errors
/// None.
pub fn keep(view: &View, between: &Between) -> Decision {
    if view.conflict.is_some() {
        return Ok(Idempotent::AlreadyApplied);
    }
    let subject = Subject::Conflict(between.id());
    let journal = Journal::new(subject, OPEN, "conflict_kept").with_body(json!(between));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: Vec::new(),
    }))
}

/// Marks the conflict of the scope as settled.
///
/// # Errors
/// [`Refusal::NotFound`] if there is none, or the principal is no administrator; [`Refusal::Stale`] if
/// another version was expected.
pub fn settle(view: &View, expected: Option<u64>, principal: Principal) -> Decision {
    let what = "conflict";
    if !allow(principal, Action::Administer, Resource::Clinic) {
        return Err(Refusal::NotFound { what });
    }
    let conflict = view.conflict.as_ref().ok_or(Refusal::NotFound { what })?;
    Refusal::check_version(expected, conflict.version())?;
    if conflict.settled_at.is_some() {
        return Ok(Idempotent::AlreadyApplied);
    }
    let subject = Subject::Conflict(conflict.id);
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(subject, SETTLED, "conflict_settled")),
        changes: Vec::new(),
    }))
}

impl Conflict {
    /// 1 while it is open, 2 once it is settled.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self.settled_at {
            None => OPEN,
            Some(_) => SETTLED,
        }
    }
}
