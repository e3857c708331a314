//! What a decision needs to see, and what it then sees.

use std::collections::BTreeSet;

use crate::access::{Action, Principal, Resource, allow};
use crate::conflict::Conflict;
use crate::people::{Client, PersonId, Service, Therapist};
use crate::plan::{Plan, PlanId, Subscription};
use crate::quota::Quotas;
use crate::reason::Reason;
use crate::{Message, Refusal};
use chrono::{DateTime, Utc};
use ledger_core::{Account, Entry, Key, Proof};
use scheduler_core::intent::{Intent, Record};
use scheduler_core::session::Session;
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

/// What a write reads, and so what it locks.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// Something new that clashes with nothing: at most the therapist it names.
    New {
        /// Who is named.
        therapist: Option<TherapistId>,
    },
    /// A client to be registered: the therapist that is named, and whose the e-mail address is.
    Registration {
        /// To whom they are to be assigned.
        therapist: Option<TherapistId>,
        /// The blind indexes of their address; none without one.
        email: Vec<[u8; 32]>,
    },
    /// A person: what there is of them, and which client's the e-mail address is.
    Person {
        /// Who.
        id: PersonId,
        /// The blind indexes of the address they are to have, as a client's.
        email: Vec<[u8; 32]>,
    },
    /// A client to be erased: the account, and everything of theirs that is still to come: all intents,
    /// sessions, pending messages, how many tokens they have, and whether they have a feed.
    Erasure {
        /// Who.
        client: ClientId,
        /// From when on something is still to come.
        now: DateTime<Utc>,
    },
    /// Services and plans: those that are named.
    Offer {
        /// Which service.
        service: Option<ServiceId>,
        /// Which plan.
        plan: Option<PlanId>,
    },
    /// A client who is to be assigned: who they are, and the therapist.
    Assignment {
        /// Who.
        client: ClientId,
        /// To whom.
        therapist: Option<TherapistId>,
    },
    /// A booking to be made: its three parties, the client's account and quotas, and every intent and
    /// session of the therapist and of the client that can stand in its way in the window.
    Booking {
        /// Whose time.
        therapist: TherapistId,
        /// For whom.
        client: ClientId,
        /// What.
        service: ServiceId,
        /// How far conflicts are looked for.
        window: Window,
    },
    /// One occurrence: its intent, its session if it has one, the parties, the account, and the
    /// intent's sessions that the planner knows; with `around`, also the calendars of therapist
    /// and client in that window.
    Occurrence {
        /// Which.
        address: Address,
        /// Where it is to be moved to, roughly.
        around: Option<Window>,
        /// Whether the history of its series is needed.
        history: bool,
    },
    /// A session whose forfeit is to be waived: all that its occurrence's scope shows.
    Waiver(SessionId),
    /// The clinic's list of reasons.
    Reasons,
    /// What one client may have of the clinic.
    Quotas,
    /// Evidence that was refused, by the conflict's id.
    Conflict(Uuid),
    /// A series to be edited at one of its segments: the parties, all its segments and sessions, the
    /// account with the entries of those that are still to come, and everything of therapist and
    /// client that can stand in the way in the window.
    Series {
        /// The segment.
        intent: IntentId,
        /// Who is to have it, if somebody else.
        therapist: Option<TherapistId>,
        /// From the present on, as far as conflicts are looked for.
        window: Window,
        /// Whether its history is needed.
        history: bool,
    },
    /// A client's account: with the service that is named, the entries of these keys and those that were
    /// granted on this proof, and the client's unfunded sessions.
    Account {
        /// Whose.
        client: ClientId,
        /// What credits are to pay for.
        service: Option<ServiceId>,
        /// The keys of the entries about to be written, and of those that are spoken of.
        keys: Vec<Key>,
        /// What is to prove a grant.
        proof: Option<Proof>,
    },
    /// A client's subscription: the account, and the plan that is named.
    Subscription {
        /// Whose.
        client: ClientId,
        /// The plan that is subscribed to.
        plan: Option<PlanId>,
    },
    /// A month of a client's subscription: its plan, the account with the entry of the month's key and
    /// those that were granted on the month's invoice, and the client's unfunded sessions.
    Month {
        /// Whose.
        client: ClientId,
        /// When it begins.
        starts_at: DateTime<Utc>,
        /// The invoice that it was paid with.
        proof: Proof,
    },
    /// A message of the outbox, by its number, and the session it is about.
    Message(u64),
}

impl Scope {
    /// Whether a decision about it computes instants from wall times, or checks whether a time is free.
    #[must_use]
    pub fn plans(&self) -> bool {
        match self {
            Self::Booking { .. }
            | Self::Occurrence { .. }
            | Self::Waiver(_)
            | Self::Series { .. } => true,
            Self::New { .. }
            | Self::Registration { .. }
            | Self::Person { .. }
            | Self::Erasure { .. }
            | Self::Offer { .. }
            | Self::Assignment { .. }
            | Self::Account { .. }
            | Self::Subscription { .. }
            | Self::Month { .. }
            | Self::Reasons
            | Self::Quotas
            | Self::Conflict(_)
            | Self::Message(_) => false,
        }
    }

    /// Whether a decision about it can be given a reason. Its view has the clinic's own codes then.
    #[must_use]
    pub fn takes_reason(&self) -> bool {
        match self {
            Self::Account { .. } | Self::Series { .. } | Self::Waiver(_) | Self::Reasons => true,
            // A therapist's time off may have one.
            Self::Person { id, .. } => matches!(id, PersonId::Therapist(_)),
            Self::New { .. }
            | Self::Registration { .. }
            | Self::Erasure { .. }
            | Self::Offer { .. }
            | Self::Assignment { .. }
            | Self::Booking { .. }
            | Self::Occurrence { .. }
            | Self::Subscription { .. }
            | Self::Month { .. }
            | Self::Quotas
            | Self::Conflict(_)
            | Self::Message(_) => false,
        }
    }
}

/// Work of the tick: the next row that is due, claimed so that no other worker has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Which work.
    pub job: Job,
    /// The tick's time: what is due by then.
    pub now: DateTime<Utc>,
    /// Pass over everything up to here: a row that fails must not hold up the others.
    pub after: Option<Position>,
    /// Until when the messages of the commit are leased to whoever claims; see the store's request.
    pub lease_until: Option<DateTime<Utc>>,
    /// The generation of the zone data that the decision computes with: nothing is claimed unless it is
    /// the last one, and settled. `None` for work in which no wall time is computed.
    pub zone_data: Option<u64>,
}

/// The kinds of work that rows can be due for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Intents with an occurrence inside the horizon. The view holds the intent, its sessions that
    /// the planner has to know, the parties, the account, and the live sessions of therapist and
    /// client that reach past the intent's `done_through`.
    Materialize,
    /// Sessions without credit. The view holds what an occurrence's scope holds.
    Fund,
    /// Accounts with a lot whose end has come. The view holds what an account's scope holds.
    Expire,
    /// Scheduled sessions with a reminder due. The view holds the session.
    Remind,
    /// Scheduled sessions that are over. The view holds the session.
    AskAttendance,
    /// Messages to be sent. None is claimed before an earlier one to the same recipient, or about
    /// the same session, is settled. The view holds the message and its session.
    Dispatch,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Materialize,
        Self::Fund,
        Self::Expire,
        Self::Remind,
        Self::AskAttendance,
        Self::Dispatch,
    ];

    /// Whether it makes sessions, or writes messages with their times. Such a job waits until all sessions
    /// to come agree with the zone data.
    #[must_use]
    pub fn plans(self) -> bool {
        match self {
            Self::Materialize | Self::Fund | Self::Remind | Self::AskAttendance => true,
            Self::Expire | Self::Dispatch => false,
        }
    }

    /// Its name, as logged and measured.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Materialize => "materialize",
            Self::Fund => "fund",
            Self::Expire => "expire",
            Self::Remind => "remind",
            Self::AskAttendance => "ask_attendance",
            Self::Dispatch => "dispatch",
        }
    }
}

/// A place in the order in which due rows are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Since when the row is due.
    pub due_at: DateTime<Utc>,
    /// Its number: a UUID's (of an account, its client's), or a message's.
    pub id: u128,
}

/// How an occurrence is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// By its intent and recurrence-id, virtual or not.
    Occurrence(IntentId, LocalDateTime),
    /// By its session.
    Session(SessionId),
}

/// What a decision sees: the state of the scope, read under its locks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The therapist of the scope.
    pub therapist: Option<Therapist>,
    /// The client of the scope.
    pub client: Option<Client>,
    /// Whose the e-mail address of the scope is.
    pub email_of: Option<ClientId>,
    /// The service of the scope.
    pub service: Option<Service>,
    /// All services, where it matters what they keep free around their appointments.
    pub services: Vec<Service>,
    /// The client's subscription.
    pub subscription: Option<Subscription>,
    /// The plan of the scope.
    pub plan: Option<Plan>,
    /// The clinic's own codes of reasons, by code.
    pub reasons: Vec<Reason>,
    /// What one client may have of the clinic, where something of theirs is booked or the scope is about it.
    pub quotas: Quotas,
    /// The conflict of the scope.
    pub conflict: Option<Conflict>,
    /// The intent of the scope.
    pub intent: Option<Intent>,
    /// The other segments of its series.
    pub segments: Vec<Intent>,
    /// The history of its series.
    pub records: Vec<Record>,
    /// The session of the scope.
    pub session: Option<Session>,
    /// The client's account.
    pub account: Option<Account>,
    /// Entries that carry the keys asked for, or were granted on the proof asked for, of whatever account.
    pub entries: Vec<Entry>,
    /// The intents of therapist and client that still mean virtual occurrences.
    pub intents: Vec<Intent>,
    /// The intent's own sessions, and those in the way.
    pub sessions: Vec<Session>,
    /// The client's sessions that wait for a credit, by start.
    pub waiting: Vec<Session>,
    /// The message of the scope.
    pub message: Option<Message>,
    /// Messages to the client that are not sent yet.
    pub pending: Vec<Message>,
    /// How many tokens the client has.
    pub tokens: u64,
    /// Whether the client has a feed.
    pub has_feed: bool,
}

impl View {
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn therapist(&self) -> Result<&Therapist, Refusal> {
        self.therapist.as_ref().ok_or(not_found("therapist"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn client(&self) -> Result<&Client, Refusal> {
        self.client.as_ref().ok_or(not_found("client"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn service(&self) -> Result<&Service, Refusal> {
        self.service.as_ref().ok_or(not_found("service"))
    }

    /// The service of this id, where all are in view.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn service_of(&self, id: ServiceId) -> Result<&Service, Refusal> {
        let mut known = self.services.iter().chain(&self.service);
        let found = known.find(|service| service.id == id);
        found.ok_or(not_found("service"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn subscription(&self) -> Result<&Subscription, Refusal> {
        self.subscription.as_ref().ok_or(not_found("subscription"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn plan(&self) -> Result<&Plan, Refusal> {
        self.plan.as_ref().ok_or(not_found("plan"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn intent(&self) -> Result<&Intent, Refusal> {
        self.intent.as_ref().ok_or(not_found("intent"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn session(&self) -> Result<&Session, Refusal> {
        self.session.as_ref().ok_or(not_found("session"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn account(&self) -> Result<&Account, Refusal> {
        self.account.as_ref().ok_or(not_found("account"))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn message(&self) -> Result<&Message, Refusal> {
        self.message.as_ref().ok_or(not_found("message"))
    }
}

impl View {
    /// Asks the policy about the booking in view. What is not the principal's is not there, and an erased
    /// client's bookings stay as the erasure left them.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Erased`].
    pub fn authorize(&self, principal: Principal, action: Action) -> Result<(), Refusal> {
        if !allow(principal, action, Resource::of(self.intent()?)) {
            return Err(not_found("intent"));
        }
        match &self.client {
            Some(client) if client.person.is_none() && action == Action::Book => {
                Err(Refusal::Erased)
            }
            _ => Ok(()),
        }
    }

    /// The recurrence-ids of an intent's sessions in view.
    #[must_use]
    pub fn known(&self, intent: IntentId) -> BTreeSet<LocalDateTime> {
        let own = self.sessions.iter().chain(&self.session);
        own.filter(|session| session.intent == intent)
            .map(|session| session.recurrence_id)
            .collect()
    }
}

fn not_found(what: &'static str) -> Refusal {
    Refusal::NotFound { what }
}
