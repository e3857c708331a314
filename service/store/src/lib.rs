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
//! Three stores keep the contract: [`memory`] is the plainest and says what is meant, SQLite and
//! PostgreSQL are crates of their own. One suite of plain functions, `contract`, holds all three
//! to it.
//!
//! To add a record: a variant of [`clinic::Change`], a table in the migrations, an arm where each
//! store applies changes, a function in [`rows`], and a field of [`View`] if decisions read it.

#![deny(missing_docs)]

pub mod account;
pub mod backup;
#[cfg(feature = "contract")]
#[allow(
    clippy::unwrap_used,
    clippy::missing_errors_doc,
    missing_docs,
    reason = "it is a test suite: what it meets unexpectedly fails it, and names say what holds"
)]
pub mod contract;
mod error;
pub mod history;
pub mod memory;
pub mod rows;
pub mod schema;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clinic::journal_chain::Line;
use clinic::scope::{Claim, Job, Position};
use clinic::zone_data::{Outcome, Planned, ZoneMove};
use clinic::{
    Actor, BlindIndex, Client, ClinicId, Commit, Conflict, Decision, Message, MessageState,
    PersonId, Plan, PlanId, Principal, Quotas, Reason, Recipient, Role, Scope, SealedPerson,
    Service, StoredSecret, Subject, Subscription, Therapist, View, WrappedDek,
};
pub use error::{OpenError, StoreError};
use ledger_core::{Account, Entry, Key, Proof};
use scheduler_core::intent::{Intent, Record};
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

    /// Reads what a write would see, without its locks: by the time of the write it may have changed.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn look(&self, request: &Request, scope: &Scope) -> Result<Looked, StoreError>;

    /// Claims the next due row, decides, commits; `None` if nothing is due after the position.
    ///
    /// # Errors
    /// What went wrong before a row was claimed. What goes wrong with the row is in its outcome.
    async fn claim(&self, claim: &Claim, decide: Decide<'_>)
    -> Result<Option<Claimed>, StoreError>;

    /// How much of a job is due.
    async fn backlog(&self, job: Job, now: DateTime<Utc>) -> Result<Backlog, StoreError>;
    /// What time the database has. Whoever asks learns that it answers.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError>;
    /// Writes, and changes nothing by it: whether a command could be stored now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it could not.
    async fn probe_write(&self) -> Result<(), StoreError>;
    /// Lets a database to which nothing was written yet keep a clock of its own, as demos and tests do.
    /// Says whether it does. Any other keeps the machines' time: on a server, a write whose time is away
    /// from the server's is refused then.
    async fn take_own_clock(&self) -> Result<bool, StoreError>;
    /// Whether the database began under a clock of its own.
    async fn has_own_clock(&self) -> Result<bool, StoreError>;
    /// When the last line of the journal was written.
    async fn last_written(&self) -> Result<Option<DateTime<Utc>>, StoreError>;
    /// The triggers, constraints and unique indexes that the migrations made and that are missing or
    /// changed, by name.
    async fn missing_guards(&self) -> Result<Vec<String>, StoreError>;
    /// The number of a clinic's last line of the journal, 0 without one. Lines through it are final:
    /// no commit that is under way will add another before it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] too if a commit under way takes long: ask later.
    async fn journal_end(&self, clinic: ClinicId) -> Result<u64, StoreError>;
    /// Lines of a clinic's journal after a number, as they are stored, in order.
    async fn journal_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Line>, StoreError>;
    /// How many numbers before the last line's have no line. On a server always 0: a commit that is undone
    /// loses its number there.
    async fn journal_gaps(&self) -> Result<u64, StoreError>;
    /// Waits for what is under way, and lets the database go.
    async fn close(&self);

    /// The clinics that have people or credentials.
    async fn clinics(&self) -> Result<Vec<ClinicId>, StoreError>;
    /// Adds a credential.
    async fn add_token(&self, token: &Token) -> Result<(), StoreError>;
    /// The token with this hash of a secret. Nothing it says counts before its MAC is checked.
    async fn token(&self, hash: [u8; 32]) -> Result<Option<Token>, StoreError>;
    /// Tokens of all clinics by id.
    async fn tokens(&self, page: Page) -> Result<Vec<Token>, StoreError>;
    /// Deletes a token, and says whether there was one.
    async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError>;

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
    /// The client with this e-mail address, by any of its blind indexes.
    async fn client_by_email(
        &self,
        clinic: ClinicId,
        indexes: &[[u8; 32]],
    ) -> Result<Option<Client>, StoreError>;
    /// Clients by id.
    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError>;
    /// A service.
    async fn service(&self, clinic: ClinicId, id: ServiceId)
    -> Result<Option<Service>, StoreError>;
    /// Services by id.
    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError>;

    /// A plan.
    async fn plan(&self, clinic: ClinicId, id: PlanId) -> Result<Option<Plan>, StoreError>;
    /// Plans by id.
    async fn plans(&self, clinic: ClinicId, page: Page) -> Result<Vec<Plan>, StoreError>;
    /// A clinic's own codes of reasons, by code.
    async fn reasons(&self, clinic: ClinicId) -> Result<Vec<Reason>, StoreError>;
    /// What one client may have of a clinic.
    async fn quotas(&self, clinic: ClinicId) -> Result<Quotas, StoreError>;
    /// Evidence that was refused, by the conflict's id.
    async fn conflict(&self, clinic: ClinicId, id: Uuid) -> Result<Option<Conflict>, StoreError>;
    /// Conflicts after a line of the journal, in order: all, or those that nobody has settled.
    async fn conflicts(
        &self,
        clinic: ClinicId,
        only_open: bool,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError>;
    /// A client's subscription.
    async fn subscription(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Subscription>, StoreError>;

    /// An intent.
    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError>;
    /// Intents by id.
    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError>;
    /// The feed with this hash of a secret. Nothing it says counts before its MAC is checked.
    async fn feed(&self, hash: [u8; 32]) -> Result<Option<Feed>, StoreError>;
    /// The intents that calendars would miss: those filed under other instants than their sets begin and are over
    /// at, by id.
    async fn misfiled(&self, clinic: ClinicId) -> Result<Vec<IntentId>, StoreError>;
    /// The segments of a series, by id.
    async fn segments(&self, clinic: ClinicId, series: IntentId)
    -> Result<Vec<Intent>, StoreError>;
    /// What happened to a series, in order.
    async fn history(&self, clinic: ClinicId, series: IntentId) -> Result<Vec<Record>, StoreError>;
    /// A session.
    async fn session(&self, clinic: ClinicId, id: SessionId)
    -> Result<Option<Session>, StoreError>;
    /// Sessions by id.
    async fn sessions(
        &self,
        clinic: ClinicId,
        whose: Whose,
        which: Which,
        page: Page,
    ) -> Result<Vec<Session>, StoreError>;
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
    /// The intents of somebody that are not over by an instant, or were so shortly before, with all sessions of
    /// them.
    async fn unfinished(
        &self,
        clinic: ClinicId,
        whose: Whose,
        since: DateTime<Utc>,
    ) -> Result<Calendar, StoreError>;

    /// Every account of every clinic: those that there are, those that clients should have, and those
    /// that only have entries.
    async fn accounts(&self) -> Result<Vec<(ClinicId, ClientId)>, StoreError>;
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
    /// The entries that an invoice or a checkout is used up by.
    async fn proven(&self, clinic: ClinicId, proof: &Proof) -> Result<Vec<Entry>, StoreError>;

    /// A message of the outbox.
    async fn message(&self, clinic: ClinicId, seq: u64) -> Result<Option<Message>, StoreError>;
    /// Messages in one state after a number, in order.
    async fn messages(
        &self,
        clinic: ClinicId,
        state: MessageState,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;

    /// The keys of these people, by owner and generation.
    async fn deks(&self, clinic: ClinicId, owners: &[Uuid]) -> Result<Vec<WrappedDek>, StoreError>;
    /// The newest keys of people, the last one first.
    async fn newest_deks(&self, limit: u32) -> Result<Vec<(ClinicId, WrappedDek)>, StoreError>;
    /// Keeps the fingerprint of the key file that the database is sealed under, if none is kept yet, and
    /// returns the one that is kept.
    async fn keep_key_fingerprint(&self, ours: [u8; 32]) -> Result<[u8; 32], StoreError>;
    /// The owners of keys, by id.
    async fn dek_owners(&self, clinic: ClinicId, page: Page) -> Result<Vec<Uuid>, StoreError>;
    /// Adds the next key of a person who has one. False if there is one of that generation, or the
    /// person is erased.
    async fn add_dek(&self, clinic: ClinicId, dek: &WrappedDek) -> Result<bool, StoreError>;
    /// Puts a wrapped key in the place of what it was read as. False if that has changed.
    async fn rewrap_dek(
        &self,
        clinic: ClinicId,
        dek: &WrappedDek,
        wrapped: &[u8],
    ) -> Result<bool, StoreError>;
    /// Removes a person's keys below a generation that nothing is sealed under, and tells how many.
    async fn drop_deks(&self, clinic: ClinicId, owner: Uuid, below: u32)
    -> Result<u64, StoreError>;
    /// Puts what is known of a person, sealed again, in the place of the version before. False if
    /// that has changed.
    async fn reseal(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: &SealedPerson,
    ) -> Result<bool, StoreError>;
    /// How a person is found, by the ids of the keys.
    async fn indexes(&self, clinic: ClinicId, id: PersonId) -> Result<Vec<BlindIndex>, StoreError>;
    /// Whether somebody is known who has no blind index of this generation. Everybody lacks one after a
    /// restore of a backup, which has none.
    async fn lacks_index(&self, generation: u32) -> Result<bool, StoreError>;
    /// The lines of the journal about what is known of people, after a number, in order.
    async fn person_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PersonLine>, StoreError>;
    /// Makes what was deleted vanish from the database's files, as far as the service may. What is
    /// left to do for whoever keeps the database is told.
    async fn scrub(&self) -> Result<Vec<&'static str>, StoreError>;

    /// A generation of the zone data that plans the database, or the last one.
    async fn zone_data(&self, generation: Option<u64>) -> Result<Option<Planned>, StoreError>;
    /// Records the next generation, once the planning writes under way have ended. False if somebody
    /// else has recorded it.
    async fn take_over(&self, next: &Planned) -> Result<bool, StoreError>;
    /// Notes that everything to come agrees with the last generation. False if it is not the last, or
    /// that was noted before.
    async fn settle_zone_data(
        &self,
        generation: u64,
        at: DateTime<Utc>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError>;
    /// The sessions that a generation has moved, by session.
    async fn zone_moves(
        &self,
        clinic: ClinicId,
        generation: u64,
        page: Page,
    ) -> Result<Vec<ZoneMove>, StoreError>;

    /// How many commands of each kind were journaled, how many messages of each kind the worker
    /// wrote and settled, and the rows written by them.
    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError>;
}

/// What a write would find.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// The same request, stored before.
    Before(Subject),
    /// What the decision is made on.
    Now(Box<View>),
}

/// Who writes, when, and under which idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where.
    pub clinic: ClinicId,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: DateTime<Utc>,
    /// The key that makes a retry harmless, if the caller gave one.
    pub idempotency: Option<Idempotency>,
    /// Until when the messages of the commit are leased to whoever writes it, who then sends them. Not
    /// those that are due later, or that an earlier one to the same recipient, or about the same
    /// session, stands before. `None` leases none.
    pub lease_until: Option<DateTime<Utc>>,
    /// The generation of the zone data that the decision computes with: refused unless it is the last
    /// one. `None` for a decision in which no wall time is computed.
    pub zone_data: Option<u64>,
    /// Decide and apply, then roll back: the answer says what would have been stored.
    pub dry_run: bool,
}

impl Request {
    /// A principal's request.
    #[must_use]
    pub fn of(principal: Principal, at: DateTime<Utc>) -> Self {
        Self {
            actor: Actor::Principal(principal),
            ..Self::of_tick(principal.clinic, at)
        }
    }

    /// A request of whoever runs a command on the service's machine.
    #[must_use]
    pub fn of_console(clinic: ClinicId, at: DateTime<Utc>) -> Self {
        Self {
            actor: Actor::Console,
            ..Self::of_tick(clinic, at)
        }
    }

    /// A request of the worker's.
    #[must_use]
    pub fn of_tick(clinic: ClinicId, at: DateTime<Utc>) -> Self {
        Self {
            clinic,
            actor: Actor::Tick,
            at,
            idempotency: None,
            lease_until: None,
            zone_data: None,
            dry_run: false,
        }
    }

    /// The request that a claimed row is written with.
    #[must_use]
    pub fn of_claim(clinic: ClinicId, claim: &Claim) -> Self {
        Self {
            lease_until: claim.lease_until,
            zone_data: claim.zone_data,
            ..Self::of_tick(clinic, claim.now)
        }
    }
}

/// An idempotency key, unique per principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of what was asked, so that the key cannot name something else.
    pub request_hash: [u8; 32],
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// It was stored.
    Committed {
        /// What the journal's line is about, if it has one.
        subject: Option<Subject>,
        /// How many rows were inserted, updated or deleted, the journal's own included.
        rows: u64,
        /// Those of its messages that are leased to whoever asked for it.
        leased: Vec<Message>,
    },
    /// Nothing had to be stored.
    Unchanged,
    /// The same request was stored before, under the same idempotency key.
    Replayed(Subject),
    /// This is what would have been stored. It passed every constraint, and was rolled back.
    DryRun(Box<Commit>),
}

/// A row that was claimed, and what became of it.
#[derive(Debug)]
pub struct Claimed {
    /// Whose it is.
    pub clinic: ClinicId,
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
    /// What is stored of its secret.
    pub secret: StoredSecret,
    /// Where it is valid.
    pub clinic: ClinicId,
    /// For whom.
    pub role: Role,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Until when, exclusive. Without an end, until it is revoked.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A line of the journal about what is known of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonLine {
    /// Its number.
    pub seq: u64,
    /// Whom it is about.
    pub of: Uuid,
    /// What happened, like `person_changed`.
    pub kind: String,
    /// The version of what is known after it.
    pub version: u64,
    /// Whether they must not be erased from then on, if it says so.
    pub held: Option<bool>,
}

impl PersonLine {
    /// The kinds of lines that there are.
    pub const KINDS: [&str; 5] = [
        "client_registered",
        "therapist_registered",
        "person_changed",
        "legal_hold_changed",
        "person_erased",
    ];
}

/// A calendar behind a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// Where it is valid.
    pub clinic: ClinicId,
    /// Whose appointments it shows.
    pub whose: Recipient,
    /// What is stored of its secret.
    pub secret: StoredSecret,
}

/// The work of a job that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many rows.
    pub due: u64,
    /// Since when the first of them is.
    pub oldest: Option<DateTime<Utc>>,
}

/// Which sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that take up time: scheduled and unfunded.
    Live,
    /// Those that have not begun, whatever their state, but for those that are finished for good.
    ToCome {
        /// As of when.
        now: DateTime<Utc>,
    },
    /// Those that are over, and nobody has said how they went.
    AttendanceUnknown {
        /// As of when.
        now: DateTime<Utc>,
    },
    /// Those that wait for somebody: unfunded, cases, missed, and over without anybody having said how they
    /// went.
    Open {
        /// As of when.
        now: DateTime<Utc>,
    },
    /// Those in the state of this name.
    In(&'static str),
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
