//! A clinic to write to: people, a service, and rows made by hand.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::{
    BlindIndex, Cancellation, Change, Client, ClinicId, Commit, Decision, Idempotent, Journal,
    LateRule, MessageState, PersonId, Principal, Role, Scope, SealedPerson, Service, StoredSecret,
    Subject, Therapist, WaivedBy, WorkingTimes, WrappedDek,
};
use ledger_core::{Command, Credits, Evidence, Key, Money, Source};
use scheduler_core::availability::WeeklyHours;
use scheduler_core::intent::{Intent, NewIntent, created};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::zone::ZoneData;
use scheduler_core::{
    ClientId, IntentId, RecurrenceSet, ServiceId, SessionId, TherapistId, Window, Zone,
};
use uuid::Uuid;

use crate::{PAGE_MAX, Page, Request, Store, StoreError, Token, Which, Whose, Written};

/// A clinic with two therapists and two clients.
pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub principal: Principal,
    pub therapists: [TherapistId; 2],
    pub clients: [ClientId; 2],
    pub service: ServiceId,
}

/// The time of all writes.
#[must_use]
pub(super) fn now() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

/// An id, the same for the same number.
#[must_use]
pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// All of a list that fits on a page.
pub(super) const ALL: Page = Page {
    after: None,
    limit: PAGE_MAX,
};

/// A key of somebody's, and what is sealed under it. To the store they are bytes.
pub(super) fn dek(owner: Uuid, generation: u32) -> WrappedDek {
    WrappedDek {
        owner,
        generation,
        wrapped: format!("key {generation} of {owner}").into_bytes(),
        created_at: now(),
    }
}

pub(super) fn sealed(owner: Uuid, version: u64, generation: u32) -> SealedPerson {
    SealedPerson {
        envelope: format!("\0{owner} {version}\u{1F300}").into_bytes(),
        version,
        generation,
    }
}

/// How somebody is found under a key of blind indexes.
pub(super) fn blind(owner: Uuid, generation: u32) -> BlindIndex {
    let mut hash = [u8::try_from(generation).unwrap(); 32];
    hash[..16].copy_from_slice(owner.as_bytes());
    BlindIndex {
        generation,
        hash: Some(hash),
    }
}

/// The working times of somebody who does not work.
pub(super) fn working_times() -> WorkingTimes {
    WorkingTimes::new(WeeklyHours::new(Zone::UTC, Vec::new()).unwrap())
}

/// What is stored of a secret, by its number.
pub(super) fn stored(number: u8) -> StoredSecret {
    StoredSecret {
        hash: [number; 32],
        mac: [number ^ 0xff; 32],
    }
}

/// A decision to commit these changes under a line of the journal.
pub(super) fn committing(changes: Vec<Change>) -> Decision {
    let subject = Subject::Intent(IntentId(id(0)));
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(subject, 1, "tested")),
        changes,
    }))
}

impl Fixture {
    /// Opens a clinic in an empty store.
    pub async fn open(store: Arc<dyn Store>) -> Self {
        Self::open_as(store, ClinicId::FIRST, 0).await
    }

    /// Opens a clinic whose ids begin at a number.
    pub async fn open_as(store: Arc<dyn Store>, clinic: ClinicId, first: u128) -> Self {
        let principal = Principal {
            clinic,
            credential: id(first + 1),
            role: Role::Admin,
        };
        let token = Token {
            id: principal.credential,
            secret: stored(u8::try_from(first % 251).unwrap()),
            clinic,
            role: Role::Admin,
            created_at: now(),
            ends_at: None,
        };
        store.add_token(&token).await.unwrap();
        let fixture = Self {
            store,
            principal,
            therapists: [2, 3].map(|number| TherapistId(id(first + number))),
            clients: [4, 5].map(|number| ClientId(id(first + number))),
            service: ServiceId(id(first + 6)),
        };
        let mut people = vec![Change::Service(fixture.a_service())];
        for therapist in fixture.therapists {
            people.push(Change::NewDek(dek(therapist.0, 1)));
            people.push(Change::Therapist(Therapist {
                id: therapist,
                person: Some(sealed(therapist.0, 1, 1)),
                times: working_times(),
            }));
            let id = PersonId::Therapist(therapist);
            people.push(Change::Indexes(id, vec![blind(therapist.0, 1)]));
        }
        for client in fixture.clients {
            people.push(Change::NewDek(dek(client.0, 1)));
            people.push(Change::Client(Client {
                id: client,
                person: Some(sealed(client.0, 1, 1)),
                legal_hold: false,
                clear_zone: Some("America/New_York".parse().unwrap()),
                therapist: Some(fixture.therapists[0]),
            }));
            let id = PersonId::Client(client);
            people.push(Change::Indexes(id, vec![blind(client.0, 1)]));
        }
        fixture.commit(people).await.unwrap();
        fixture
    }

    pub(super) fn a_service(&self) -> Service {
        Service {
            id: self.service,
            name: "session".to_owned(),
            minutes: 50,
            price: "GBP"
                .parse()
                .map(|currency| Money {
                    minor: 6500,
                    currency,
                })
                .unwrap(),
            notice_minutes: 1440,
            cancellation: Cancellation {
                free_until_minutes: 1440,
                late_cancel: LateRule::Forfeit,
                no_show: LateRule::Release,
                waived_by: WaivedBy::Staff,
                grace_days: 14,
                no_show_after_minutes: 10,
            },
            slots: clinic::SlotRules::default(),
        }
    }

    /// A request of its admin's.
    #[must_use]
    pub fn request(&self) -> Request {
        Request::of(self.principal, now())
    }

    /// Commits rows as they stand.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Written, StoreError> {
        let scope = Scope::New { therapist: None };
        let decide = Box::new(move |_: &_| committing(changes));
        self.store.write(&self.request(), scope, decide).await
    }

    /// A weekly intent of the first therapist and client, not due.
    #[must_use]
    pub fn intent(&self, number: u128) -> Intent {
        let start = "2026-03-02T18:00:00".parse().unwrap();
        let set = RecurrenceSet::new(start, "Europe/London".parse().unwrap(), 50).unwrap();
        let new = NewIntent {
            id: IntentId(id(number)),
            therapist: self.therapists[0],
            client: self.clients[0],
            service: self.service,
            set: set.with_rule("FREQ=WEEKLY;BYDAY=MO".parse().unwrap()),
        };
        created(new, now())
    }

    /// A scheduled session of an intent, so many minutes from now, which is its recurrence-id too.
    #[must_use]
    pub fn session(&self, intent: &Intent, minutes: i64) -> Session {
        let starts_at = now() + TimeDelta::minutes(minutes);
        let recurrence_id = intent.set.zone().local(starts_at);
        Session {
            id: SessionId::of_occurrence(intent.id, recurrence_id),
            intent: intent.id,
            recurrence_id,
            therapist: intent.therapist,
            client: intent.client,
            service: intent.service,
            starts_local: recurrence_id,
            starts_at,
            ends_at: starts_at + TimeDelta::minutes(50),
            zone: intent.set.zone(),
            tzdb: ZoneData::installed().release().to_owned(),
            state: SessionState::Scheduled,
            slot_version: 0,
            hold_generation: 1,
            next_due_at: None,
            version: 2,
        }
    }

    /// Two credits granted to the first client, as its account stands.
    pub async fn grant(&self, command: u128) -> Change {
        let (clinic, client) = (self.principal.clinic, self.clients[0]);
        let account = self.store.account(clinic, client).await.unwrap().unwrap();
        let grant = Command::Grant {
            key: Key::manual_grant(id(command)),
            service: ledger_core::ServiceId(self.service.0),
            amount: Credits(2),
            source: Source::Goodwill,
            evidence: Evidence::Manual {
                actor: id(9),
                reason: "welcome".parse().unwrap(),
            },
            effective_at: now(),
            expires_at: None,
        };
        let decided = ledger_core::decide(&account, &[], &grant, now());
        let ledger_core::Idempotent::Applied(entries) = decided.unwrap() else {
            panic!("nothing to grant");
        };
        let account = entries.iter().try_fold(account, ledger_core::evolve);
        Change::Ledger {
            account: account.unwrap(),
            entries,
        }
    }

    /// Everything that can be read of the clinic, as text.
    pub async fn dump(&self) -> String {
        let (store, clinic) = (&self.store, self.principal.clinic);
        let all = Window::new(
            "1990-01-01T00:00:00Z".parse().unwrap(),
            "2090-01-01T00:00:00Z".parse().unwrap(),
        )
        .unwrap();
        let mut calendar = store.calendar(clinic, Whose::Clinic, all).await.unwrap();
        calendar.intents.sort_by_key(|intent| intent.id);
        calendar.sessions.sort_by_key(|session| session.id);
        let mut text = format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            store.reasons(clinic).await.unwrap(),
            store.therapists(clinic, ALL).await.unwrap(),
            store.clients(clinic, ALL).await.unwrap(),
            store.services(clinic, ALL).await.unwrap(),
            calendar,
            store
                .sessions(clinic, Whose::Clinic, Which::Live, ALL)
                .await
                .unwrap(),
            store.meter(clinic).await.unwrap(),
        );
        let mut tokens = store.tokens(ALL).await.unwrap();
        tokens.retain(|token| token.clinic == clinic);
        text += &format!(
            "\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            tokens,
            store.plans(clinic, ALL).await.unwrap(),
            store.quotas(clinic).await.unwrap(),
            store.zone_data(None).await.unwrap(),
            store.zone_moves(clinic, 1, ALL).await.unwrap(),
        );
        let owners = store.dek_owners(clinic, ALL).await.unwrap();
        text += &format!("\n{:?}", store.deks(clinic, &owners).await.unwrap());
        for client in self.clients {
            let account = store.account(clinic, client).await.unwrap();
            let entries = store.entries(clinic, client, 0, PAGE_MAX).await.unwrap();
            let subscription = store.subscription(clinic, client).await.unwrap();
            let indexes = store
                .indexes(clinic, PersonId::Client(client))
                .await
                .unwrap();
            text += &format!("\n{account:?}\n{entries:?}\n{subscription:?}\n{indexes:?}");
        }
        for state in [
            MessageState::Pending,
            MessageState::Sent,
            MessageState::Void,
            MessageState::Dead,
        ] {
            // Without their numbers: what was rolled back may have used some up.
            for message in store.messages(clinic, state, 0, PAGE_MAX).await.unwrap() {
                text += &format!(
                    "\n{:?} {:?} {} {:?} {:?}",
                    message.notification,
                    message.state,
                    message.attempts,
                    message.next_due_at,
                    message.last_error,
                );
            }
        }
        text
    }
}
