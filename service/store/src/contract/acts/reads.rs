//! Every read, and what every scope shows.

use clinic::{Address, Idempotent, MessageState, PersonId, Scope, View};
use ledger_core::{Key, Proof};

use super::rows::Rows;
use super::{Act, Acts, act, window};
use crate::contract::fixture::{ALL, blind, id, now};
use crate::{Idempotency, PAGE_MAX, Request, Which, Whose};

impl Acts<'_> {
    /// Every read.
    pub(super) fn reads(&mut self, rows: &Rows) {
        let of = self.clinic.principal.clinic;
        let [owner, other] = self.clinic.clients;
        let (therapist, service, plan) = (rows.therapist.id, rows.service.id, rows.plan.id);
        let (intent, session) = (rows.intents[0].id, rows.sessions[0].clone());
        act!(self, "last_written", store => store.last_written());
        act!(self, "missing_guards", store => store.missing_guards());
        act!(self, "journal_end", store => store.journal_end(of));
        act!(self, "journal_lines", store => store.journal_lines(of, 0, 9));
        act!(self, "journal_gaps", store => store.journal_gaps());
        act!(self, "clinics", store => store.clinics());
        act!(self, "token", store => store.token([24; 32]));
        act!(self, "tokens", store => store.tokens(ALL));
        act!(self, "therapist", store => store.therapist(of, therapist));
        act!(self, "therapists", store => store.therapists(of, ALL));
        act!(self, "client", store => store.client(of, owner));
        act!(self, "client_by_email", store => {
            let indexes = [blind(other.0, 1).hash.unwrap()];
            async move { store.client_by_email(of, &indexes).await }
        });
        act!(self, "clients", store => store.clients(of, ALL));
        act!(self, "service", store => store.service(of, service));
        act!(self, "services", store => store.services(of, ALL));
        act!(self, "plan", store => store.plan(of, plan));
        act!(self, "plans", store => store.plans(of, ALL));
        act!(self, "reasons", store => store.reasons(of));
        act!(self, "quotas", store => store.quotas(of));
        act!(self, "conflict", store => store.conflict(of, id(1)));
        act!(self, "conflicts", store => store.conflicts(of, true, 0, 9));
        act!(self, "subscription", store => store.subscription(of, owner));
        act!(self, "intent", store => store.intent(of, intent));
        act!(self, "feed", store => store.feed([60; 32]));
        act!(self, "misfiled", store => store.misfiled(of));
        act!(self, "segments", store => store.segments(of, intent));
        act!(self, "history", store => store.history(of, intent));
        act!(self, "session", store => store.session(of, session.id));
        act!(self, "session_of", store => store.session_of(of, intent, session.recurrence_id));
        let everybody = [
            Whose::Clinic,
            Whose::Therapist(self.clinic.therapists[0]),
            Whose::Client(owner),
            Whose::Intent(intent),
        ];
        for whose in everybody {
            act!(self, format!("intents of {whose:?}"), store => store.intents(of, whose, ALL));
            act!(self, format!("calendar of {whose:?}"), store => store.calendar(of, whose, window()));
            act!(self, format!("unfinished of {whose:?}"), store => store.unfinished(of, whose, now()));
            for which in [
                Which::Live,
                Which::ToCome { now: now() },
                Which::AttendanceUnknown { now: now() },
                Which::Open { now: now() },
                Which::In("unfunded"),
            ] {
                act!(self, format!("sessions of {whose:?}, {which:?}"), store => {
                    store.sessions(of, whose, which, ALL)
                });
            }
        }
        act!(self, "accounts", store => store.accounts());
        act!(self, "account", store => store.account(of, owner));
        act!(self, "entries", store => store.entries(of, owner, 0, PAGE_MAX));
        act!(self, "entry", store => {
            let key = Key::manual_grant(id(9));
            async move { store.entry(of, &key).await }
        });
        act!(self, "proven", store => {
            let proof = Proof::checkout(&"R-1".parse().unwrap());
            async move { store.proven(of, &proof).await }
        });
        act!(self, "message", store => store.message(of, 1));
        act!(self, "messages", store => store.messages(of, MessageState::Pending, 0, 9));
        act!(self, "deks", store => async move { store.deks(of, &[owner.0, other.0]).await });
        act!(self, "newest_deks", store => store.newest_deks(3));
        act!(self, "dek_owners", store => store.dek_owners(of, ALL));
        act!(self, "indexes", store => store.indexes(of, PersonId::Client(owner)));
        act!(self, "lacks_index", store => store.lacks_index(1));
        act!(self, "person_lines", store => store.person_lines(of, 0, 9));
        act!(self, "zone_data", store => store.zone_data(None));
        act!(self, "zone_moves", store => store.zone_moves(of, 1, ALL));
        act!(self, "meter", store => store.meter(of));
    }

    /// What every scope shows, to whoever writes and to whoever only looks.
    pub(super) fn scopes(&mut self, rows: &Rows) {
        let (therapist, client) = (self.clinic.therapists[0], self.clinic.clients[0]);
        let (intent, session) = (rows.intents[0].id, &rows.sessions[0]);
        let email = vec![blind(client.0, 1).hash.unwrap()];
        let keys = vec![Key::manual_grant(id(9))];
        let proof = Proof::checkout(&"R-1".parse().unwrap());
        let around = Some(window());
        let scopes = [
            Scope::New {
                therapist: Some(therapist),
            },
            Scope::Registration {
                therapist: Some(therapist),
                email: email.clone(),
            },
            Scope::Person {
                id: PersonId::Therapist(therapist),
                email: email.clone(),
            },
            Scope::Person {
                id: PersonId::Client(client),
                email,
            },
            Scope::Erasure { client, now: now() },
            Scope::Offer {
                service: Some(rows.service.id),
                plan: Some(rows.plan.id),
            },
            Scope::Assignment {
                client,
                therapist: Some(therapist),
            },
            Scope::Booking {
                therapist,
                client,
                service: rows.service.id,
                window: window(),
            },
            Scope::Occurrence {
                address: Address::Session(session.id),
                around,
                history: true,
            },
            Scope::Occurrence {
                address: Address::Occurrence(intent, session.recurrence_id),
                around: None,
                history: false,
            },
            Scope::Waiver(session.id),
            Scope::Reasons,
            Scope::Quotas,
            Scope::Conflict(id(1)),
            Scope::Series {
                intent,
                therapist: Some(self.clinic.therapists[1]),
                window: window(),
                history: true,
            },
            Scope::Account {
                client,
                service: Some(rows.service.id),
                keys,
                proof: Some(proof.clone()),
            },
            Scope::Subscription {
                client,
                plan: Some(rows.plan.id),
            },
            Scope::Month {
                client,
                starts_at: now(),
                proof,
            },
            Scope::Message(1),
        ];
        for (number, scope) in scopes.into_iter().enumerate() {
            let name: String = format!("{scope:?}")
                .chars()
                .take_while(char::is_ascii_alphabetic)
                .collect();
            let request = Request {
                zone_data: Some(1),
                idempotency: Some(Idempotency {
                    key: format!("scope {number}"),
                    request_hash: [7; 32],
                }),
                ..self.clinic.request()
            };
            let (asked, looked) = (request.clone(), scope.clone());
            act!(self, format!("look: {name}"), store with asked with looked => {
                store.look(&asked, &looked)
            });
            let nothing = |_: &View| Ok(Idempotent::AlreadyApplied);
            self.write(&format!("write nothing: {name}"), request, scope, nothing);
        }
    }
}
