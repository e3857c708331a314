//! The contract between the service and its databases.
//!
//! [`Store::write`] is the only way to change anything for a principal, [`Store::claim`] the only
//! one for the worker. Both open a transaction, load a [`View`], call the decision once, apply the
//! commit it returns with one line of the journal, and commit; on a refusal or an error nothing is
//! stored. The rest reads.
//!
//! A store holds no rule of the clinic. Its constraints (unique keys, no overlapping live sessions,
//! append-only tables) are the net under the rules, not the rules.
//!
//! To add a record: a variant of [`clinic::Change`], a table in the migration, an arm where the
//! store applies changes, and a field of [`View`] if decisions read it.

#![deny(missing_docs)]

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clinic::scope::{Claim, Position};
use clinic::{
    Client, ClinicId, Decision, Principal, Refusal, Role, Scope, Service, Subject, Therapist, View,
};
use ledger_core::{Account, Entry, Key};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

/// The most rows a page holds.
pub const PAGE_MAX: u32 = 200;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// A decision to be called once, under the transaction's locks.
pub type Decide<'a> = Box<dyn FnOnce(&View) -> Decision + Send + 'a>;

/// What every database gives the service.
#[async_trait]
pub trait Store: Send + Sync {
    /// Loads the scope, decides, commits.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the decision refuses, [`StoreError::KeyReused`] if the request's
    /// idempotency key has been used for another request, else what went wrong underneath.
    async fn write(
        &self,
        request: &Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, StoreError>;

    /// Claims the next due row, decides, commits; `None` if nothing is due after the position.
    ///
    /// # Errors
    /// What went wrong before a row was claimed. What goes wrong with the row is in its outcome.
    async fn claim(&self, claim: &Claim, decide: Decide<'_>)
    -> Result<Option<Claimed>, StoreError>;

    /// Adds a credential.
    async fn add_token(&self, token: &Token) -> Result<(), StoreError>;
    /// Whom a credential stands for, by its hash.
    async fn principal(&self, token_hash: [u8; 32]) -> Result<Option<Principal>, StoreError>;

    /// A therapist.
    async fn therapist(
        &self,
        clinic: ClinicId,
        id: TherapistId,
    ) -> Result<Option<Therapist>, StoreError>;
    /// Therapists by id.
    async fn therapists(&self, clinic: ClinicId, page: Page) -> Result<Vec<Therapist>, StoreError>;
    /// A client.
    async fn client(&self, clinic: ClinicId, id: ClientId) -> Result<Option<Client>, StoreError>;
    /// Clients by id.
    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError>;
    /// A service.
    async fn service(&self, clinic: ClinicId, id: ServiceId)
    -> Result<Option<Service>, StoreError>;
    /// Services by id.
    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError>;

    /// An intent.
    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError>;
    /// Intents by id.
    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError>;
    /// A session.
    async fn session(&self, clinic: ClinicId, id: SessionId)
    -> Result<Option<Session>, StoreError>;
    /// The session of an occurrence, if it has one.
    async fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Result<Option<Session>, StoreError>;
    /// What [`scheduler_core::calendar::calendar`] needs for a window: all intents that may have
    /// occurrences in it, and all sessions that overlap it or whose recurrence-id is near it.
    async fn calendar(
        &self,
        clinic: ClinicId,
        whose: Whose,
        window: Window,
    ) -> Result<Calendar, StoreError>;

    /// A client's account.
    async fn account(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Account>, StoreError>;
    /// Entries of a client's account after a sequence number, in order.
    async fn entries(
        &self,
        clinic: ClinicId,
        client: ClientId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;
    /// The entry with this key.
    async fn entry(&self, clinic: ClinicId, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// How many commands of each kind were journaled, and the rows they wrote.
    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError>;
}

/// Who writes, when, and under which idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub principal: Principal,
    /// When.
    pub at: DateTime<Utc>,
    /// The key that makes a retry harmless, if the caller gave one.
    pub idempotency: Option<Idempotency>,
}

/// An idempotency key, unique per principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of what was asked, so that the key cannot stand for something else.
    pub request_hash: [u8; 32],
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It was stored.
    Committed(Subject),
    /// Nothing had to be stored.
    Unchanged,
    /// The same request was stored before, under the same idempotency key.
    Replayed(Subject),
}

/// A row that was claimed, and what became of it.
#[derive(Debug)]
pub struct Claimed {
    /// Where it stands; the next claim goes on after it.
    pub position: Position,
    /// What it came to.
    pub outcome: Result<Written, StoreError>,
}

/// A credential. The secret itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its own id.
    pub id: Uuid,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Where it is valid.
    pub clinic: ClinicId,
    /// For whom.
    pub role: Role,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Whose calendar or bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The whole clinic's.
    Clinic,
    /// A therapist's.
    Therapist(TherapistId),
    /// A client's.
    Client(ClientId),
    /// One intent's.
    Intent(IntentId),
}

/// A page of a list that is ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this id.
    pub after: Option<Uuid>,
    /// At most so many rows, up to [`PAGE_MAX`].
    pub limit: u32,
}

/// The rows behind a calendar.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    /// Intents.
    pub intents: Vec<Intent>,
    /// Sessions.
    pub sessions: Vec<Session>,
}

/// Rows written by one kind of command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// The journal's kind, like `intent_created`.
    pub kind: String,
    /// How many.
    pub commands: u64,
    /// Rows inserted, updated or deleted by them, the journal's own included.
    pub rows: u64,
}

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The decision refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The idempotency key stands for another request.
    #[error("the idempotency key {key:?} was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A constraint of the database refuses what a rule let through, or a race was lost.
    #[error("the database refuses: {constraint}")]
    Constraint {
        /// What it said.
        constraint: String,
    },
    /// The database does not answer, or not in time. Trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// Which kind of row or column.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// A stored value that cannot be read.
    pub fn corrupt(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            what,
            source: source.into(),
        }
    }
}
