//! Who asks, and the one function that says whether they may.

use std::collections::BTreeSet;
use std::fmt;

use scheduler_core::intent::Intent;
use scheduler_core::session::{Party, Session};
use scheduler_core::{ClientId, IntentId, TherapistId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Refusal;

/// A tenant. Every root row carries it; nothing crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClinicId(pub Uuid);

impl ClinicId {
    /// The clinic of an installation that has only one.
    pub const FIRST: Self = Self(Uuid::from_u128(0x0000_0000_0000_8000_8000_0000_0000_0001));
}

impl fmt::Display for ClinicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who asks: resolved on every request, before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The clinic it belongs to.
    pub clinic: ClinicId,
    /// The credential it showed: what tells two members of the staff apart.
    pub credential: Uuid,
    /// What it is there.
    pub role: Role,
}

/// What is stored of a credential's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSecret {
    /// The SHA-256 of the secret, which finds the row.
    pub hash: [u8; 32],
    /// The MAC of all that the row says. Whoever can write to the database cannot make it.
    pub mac: [u8; 32],
}

/// What somebody is in a clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The clinic's staff.
    Admin,
    /// Who keeps the service running: jobs and health, no personal data.
    Operator,
    /// A therapist.
    Therapist(TherapistId),
    /// A client.
    Client(ClientId),
}

/// Who did something, as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A principal.
    Principal(Principal),
    /// The worker's tick.
    Tick,
    /// Whoever runs a command on the machine that the service runs on.
    Console,
}

impl Role {
    /// Its stored name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Therapist(_) => "therapist",
            Self::Client(_) => "client",
        }
    }
}

impl Principal {
    /// On which side of a booking it stands.
    #[must_use]
    pub fn party(self) -> Party {
        match self.role {
            Role::Admin | Role::Operator => Party::Clinic,
            Role::Therapist(_) => Party::Therapist,
            Role::Client(_) => Party::Client,
        }
    }

    /// Who it is, whatever credential it shows: a therapist and a client are themselves, a member
    /// of the staff is known by the credential. Ledger entries name it.
    #[must_use]
    pub fn identity(self) -> Uuid {
        match self.role {
            Role::Admin | Role::Operator => self.credential,
            Role::Therapist(id) => id.0,
            Role::Client(id) => id.0,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => f.write_str("tick"),
            Self::Console => f.write_str("console"),
            Self::Principal(principal) => {
                write!(f, "{}/{}", principal.role.name(), principal.identity())
            }
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See it.
    Read,
    /// Make it, or change what the clinic alone decides: people, services, credits.
    Administer,
    /// Make a booking, or reschedule, skip or cancel in one; say when one works; let others read
    /// along in a calendar.
    Book,
    /// Say how a session went.
    Settle,
}

/// What they want to do it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The clinic as a whole: its lists of people and bookings.
    Clinic,
    /// The service itself: messages that could not be sent.
    Operations,
    /// What everybody in the clinic may look up: its services and who its therapists are.
    Directory,
    /// A therapist's calendar.
    Therapist(TherapistId),
    /// A client, with their credits and calendar.
    Client {
        /// Who.
        id: ClientId,
        /// The therapist they are assigned to.
        assigned: Option<TherapistId>,
    },
    /// A booking.
    Booking {
        /// Whose time.
        therapist: TherapistId,
        /// For whom.
        client: ClientId,
    },
    /// A booking to be made.
    NewBooking {
        /// Whose time.
        therapist: TherapistId,
        /// For whom.
        client: ClientId,
        /// Whether the client is assigned to the therapist.
        assigned: bool,
    },
}

impl Resource {
    /// The booking that an intent is.
    #[must_use]
    pub fn of(intent: &Intent) -> Self {
        Self::Booking {
            therapist: intent.therapist,
            client: intent.client,
        }
    }
}

/// The policy: whether a principal may do this to that.
///
/// Staff may do everything in their clinic, operators see to the service and to nothing else.
/// Therapists see and settle what is theirs, and see the
/// clients assigned to them. Clients see what is theirs. Both change their own bookings, and make
/// new ones within the assignment. What is refused is not there: the service answers "not found".
#[must_use]
pub fn allow(principal: Principal, action: Action, resource: Resource) -> bool {
    match (principal.role, resource) {
        (Role::Admin, _) => true,
        (Role::Operator, resource) => resource == Resource::Operations,
        (_, Resource::Clinic | Resource::Operations) => false,
        (_, Resource::Directory) => action == Action::Read,
        (Role::Therapist(me), Resource::Therapist(id)) => {
            me == id && matches!(action, Action::Read | Action::Book)
        }
        (Role::Therapist(me), Resource::Client { assigned, .. }) => {
            assigned == Some(me) && action == Action::Read
        }
        (Role::Therapist(me), Resource::Booking { therapist, .. }) => {
            me == therapist && action != Action::Administer
        }
        (
            role,
            Resource::NewBooking {
                therapist,
                client,
                assigned,
            },
        ) => {
            let own = role == Role::Therapist(therapist) || role == Role::Client(client);
            own && assigned && action == Action::Book
        }
        (Role::Client(_), Resource::Therapist(_)) => false,
        (
            Role::Client(me),
            Resource::Client { id: client, .. } | Resource::Booking { client, .. },
        ) => me == client && matches!(action, Action::Read | Action::Book),
    }
}

/// Which obstacles an answer names. The others are only "busy".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disclosed {
    /// The bookings that are named.
    pub bookings: BTreeSet<IntentId>,
    /// Whether the therapist's time off is.
    pub time_off: bool,
}

impl Disclosed {
    /// Bookings are named to callers who may read them, and time off to callers who may read the therapist's
    /// calendar.
    #[must_use]
    pub fn to<'a>(
        principal: Principal,
        therapist: TherapistId,
        intents: impl IntoIterator<Item = &'a Intent>,
        sessions: impl IntoIterator<Item = &'a Session>,
    ) -> Self {
        let intents = intents.into_iter();
        let intents = intents.map(|one| (one.id, one.therapist, one.client));
        let sessions = sessions.into_iter();
        let sessions = sessions.map(|one| (one.intent, one.therapist, one.client));
        let readable = intents.chain(sessions).filter(|&(_, therapist, client)| {
            allow(
                principal,
                Action::Read,
                Resource::Booking { therapist, client },
            )
        });
        Self {
            bookings: readable.map(|(id, _, _)| id).collect(),
            time_off: allow(principal, Action::Read, Resource::Therapist(therapist)),
        }
    }
}

/// The one rule about lifting a pause, a skip, a cancellation or an end: staff lift whatever they like, others
/// only what they laid themselves.
///
/// # Errors
/// [`Refusal::AnothersChange`].
pub fn may_lift(principal: Principal, is_own: bool) -> Result<(), Refusal> {
    if is_own || principal.role == Role::Admin {
        return Ok(());
    }
    Err(Refusal::AnothersChange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_staff_administers_and_nobody_touches_what_is_another_s() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let principal = |role| Principal {
            clinic: ClinicId::FIRST,
            credential: me,
            role,
        };
        let therapist = principal(Role::Therapist(TherapistId(me)));
        let client = principal(Role::Client(ClientId(me)));
        let others = [
            Resource::Clinic,
            Resource::Operations,
            Resource::Therapist(TherapistId(other)),
            Resource::Client {
                id: ClientId(other),
                assigned: Some(TherapistId(other)),
            },
            Resource::Booking {
                therapist: TherapistId(other),
                client: ClientId(other),
            },
        ];
        let actions = [
            Action::Read,
            Action::Administer,
            Action::Book,
            Action::Settle,
        ];
        let operator = principal(Role::Operator);
        for resource in others {
            for action in actions {
                let operations = resource == Resource::Operations;
                assert_eq!(allow(operator, action, resource), operations);
                assert!(
                    !allow(therapist, action, resource),
                    "{action:?} {resource:?}"
                );
                assert!(!allow(client, action, resource), "{action:?} {resource:?}");
                assert!(allow(principal(Role::Admin), action, resource));
            }
        }
        let mine = Resource::Booking {
            therapist: TherapistId(me),
            client: ClientId(me),
        };
        assert!(allow(client, Action::Book, mine) && allow(therapist, Action::Settle, mine));
        assert!(!allow(client, Action::Settle, mine));
        for (principal, assigned) in [
            (client, true),
            (client, false),
            (therapist, true),
            (therapist, false),
        ] {
            let wanted = Resource::NewBooking {
                therapist: TherapistId(me),
                client: ClientId(me),
                assigned,
            };
            assert_eq!(allow(principal, Action::Book, wanted), assigned);
        }
        for resource in others.into_iter().chain([mine, Resource::Directory]) {
            assert!(!allow(therapist, Action::Administer, resource));
            assert!(!allow(client, Action::Administer, resource));
        }
    }
}
