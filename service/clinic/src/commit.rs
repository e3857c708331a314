//! What a decision wants stored, all of it or nothing.

use chrono::{DateTime, Utc};
use ledger_core::{Account, Entry, Key, ReasonCode};
use scheduler_core::intent::{Event, Intent};
use scheduler_core::session::Session;
use scheduler_core::{ClientId, IntentId, LocalDateTime, ServiceId, TherapistId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::access::StoredSecret;
use crate::notification::{Message, Notification, Recipient};
use crate::people::{BlindIndex, Client, PersonId, SealedPerson, Service, Therapist, WrappedDek};
use crate::plan::{Plan, PlanId, Subscription};
use crate::quota::Quotas;
use crate::reason::Reason;
use crate::zone_data::ZoneMove;

/// One write: a line of the journal and the rows that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// What happened, for audit, history and idempotent answers. `None` where a message of the
    /// outbox says it all: when it is written by the worker, leased, and settled. There is then
    /// exactly one message among the changes, the last of them, which carries the count of rows.
    pub journal: Option<Journal>,
    /// The rows, in the order in which they are written.
    pub changes: Vec<Change>,
}

/// A row to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A person's first key. It comes before what it seals.
    NewDek(WrappedDek),
    /// What is known of a person, in place of what was. Its version is one more than that of what it
    /// replaces, or nothing is written. A client's zone is in it, so what an earlier version left of it in the
    /// clear goes.
    Person {
        /// Who.
        id: PersonId,
        /// What is known now.
        person: SealedPerson,
    },
    /// How a person is found, in place of how they were.
    Indexes(PersonId, Vec<BlindIndex>),
    /// Whether a client must not be erased.
    LegalHold(ClientId, bool),
    /// The therapist that a client is assigned to.
    Assigned(ClientId, Option<TherapistId>),
    /// All tokens of a person are deleted.
    Revoke(PersonId),
    /// Another line of the journal: what the commit did to a series beside what its own line is about. It
    /// counts itself as a row, the commit's line the other rows.
    Line(Journal),
    /// What is known of a person is gone, with how they are found and all their keys. No therapist is a
    /// client's from then on.
    Erase(PersonId),
    /// A new therapist.
    Therapist(Therapist),
    /// A therapist whose working times changed.
    WorkingTimes(Therapist),
    /// The hash of the secret that a person's feed is behind; none closes it.
    Feed(Recipient, Option<StoredSecret>),
    /// A new client, with an empty account.
    Client(Client),
    /// A new service.
    Service(Service),
    /// A service whose terms changed.
    ServiceTerms(Service),
    /// A new plan.
    Plan(Plan),
    /// A plan that nobody can subscribe to any more.
    Retired(PlanId, DateTime<Utc>),
    /// A new code of the clinic's own that says why something was done.
    Reason(Reason),
    /// What one client may have of the clinic, in place of what it was.
    Quotas(Quotas),
    /// A client's first subscription.
    NewSubscription(Subscription),
    /// A subscription that changed.
    Subscription(Subscription),
    /// A new intent.
    NewIntent(Intent),
    /// An intent that changed.
    Intent(Intent),
    /// A new session.
    NewSession(Session),
    /// A session that changed.
    Session(Session),
    /// A session that became an occurrence of another segment, and perhaps changed besides.
    Rebound(Session),
    /// New entries of a ledger account, and the account after them.
    Ledger {
        /// The account after the entries.
        account: Account,
        /// The entries, in order.
        entries: Vec<Entry>,
    },
    /// Something to tell somebody: a new message of the outbox, unless the same was told before.
    Notify(Notification),
    /// A message that changed.
    Message(Message),
    /// A session that a change of the zone data moved.
    ZoneMove(ZoneMove),
}

/// A line of the journal. Ids, codes and numbers only: a person can be erased, this cannot.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What it is about, and what the answer to the command is rebuilt from.
    pub subject: Subject,
    /// The subject's version after it.
    pub version: u64,
    /// What happened, like `intent_created`.
    pub kind: &'static str,
    /// The particulars.
    pub body: Value,
    /// What happened to the intents of a series, if anything did.
    pub history: Option<History>,
}

/// What one command did to the intents of a series. The lines of all commands together are the
/// series, as it is and as it was at any instant.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Which series.
    pub series: IntentId,
    /// The code of the reason, if one was given.
    pub reason: Option<ReasonCode>,
    /// What happened, in order.
    pub events: Vec<Happened>,
}

/// What happened to one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// Which.
    pub intent: IntentId,
    /// What.
    pub event: Event,
}

impl Journal {
    /// A line without particulars.
    #[must_use]
    pub fn new(subject: Subject, version: u64, kind: &'static str) -> Self {
        Self {
            subject,
            version,
            kind,
            body: Value::Null,
            history: None,
        }
    }

    /// The same line with what happened to one intent.
    #[must_use]
    pub fn of(self, intent: &Intent, event: Event) -> Self {
        let intent_id = intent.id;
        let history = History {
            series: intent.series,
            reason: None,
            events: vec![Happened {
                intent: intent_id,
                event,
            }],
        };
        Self {
            history: Some(history),
            ..self
        }
    }

    /// The same line with particulars.
    #[must_use]
    pub fn with_body(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

/// What a command was about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the record of that name")]
pub enum Subject {
    Therapist(TherapistId),
    /// A blackout of a therapist's.
    Blackout(TherapistId, Uuid),
    Client(ClientId),
    Service(ServiceId),
    Plan(PlanId),
    /// A code that says why something was done.
    Reason(ReasonCode),
    /// What one client may have of the clinic.
    Quotas,
    /// Evidence of a payment that was refused.
    Conflict(Uuid),
    /// A client's subscription.
    Subscription(ClientId),
    Intent(IntentId),
    /// An occurrence, virtual or not.
    Occurrence(IntentId, LocalDateTime),
    /// A ledger entry, by its account's client and its key.
    Entry(ClientId, Key),
    /// A message of the outbox, by its number.
    Message(u64),
}
