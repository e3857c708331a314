//! Every function of a store once, in an order in which each finds what it needs.

mod reads;
mod rows;

use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use clinic::account::{self, ByHand};
use clinic::notification::lease;
use clinic::paid::Paid;
use clinic::scope::{Claim, Job};
use clinic::zone_data::{Edition, MoveOutcome, Outcome, Planned, ZoneMove};
use clinic::{
    Change, Commit, Decision, Happened, History, Idempotent, Journal, Notification,
    NotificationKind, PersonId, Quotas, Reason, Recipient, Scope, Subject, View,
};
use ledger_core::Money;
use scheduler_core::Window;
use scheduler_core::intent::{Event, IntentState};
use scheduler_core::session::Session;

use self::rows::Rows;
use super::fixture::{Fixture, blind, dek, id, now, sealed, stored};
use crate::{Idempotency, Request, Store, StoreError};

/// One call of a store.
pub(super) struct Act {
    /// What is called, and what about.
    pub(super) name: String,
    run: Box<Run>,
}

/// What runs an act: it calls the store once, and returns when the store has answered.
type Run = dyn Fn(Arc<dyn Store>) -> Running + Send + Sync;

/// An act that runs.
pub type Running = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

impl Act {
    /// Calls the store.
    #[must_use]
    pub(super) fn run(&self, store: Arc<dyn Store>) -> Running {
        (self.run)(store)
    }
}

/// Acts under way of being listed.
struct Acts<'a> {
    clinic: &'a Fixture,
    acts: Vec<Act>,
}

/// Adds an act that calls one function of the store and passes over what it returns.
macro_rules! act {
    ($acts:ident, $name:expr, $store:ident $(with $given:ident)* => $call:expr) => {
        $acts.acts.push(Act {
            name: $name.to_owned(),
            run: Box::new(move |$store| {
                $(let $given = $given.clone();)*
                Box::pin(async move { $call.await.map(drop) })
            }),
        })
    };
}

use act;

/// All acts on a clinic that was just opened.
#[must_use]
pub(super) fn acts(clinic: &Fixture) -> Vec<Act> {
    let mut acts = Acts {
        clinic,
        acts: Vec::new(),
    };
    acts.settings();
    let rows = Rows::of(clinic);
    acts.first_rows(&rows);
    acts.reads(&rows);
    acts.scopes(&rows);
    acts.changed_rows(&rows);
    acts.claims();
    acts.keys();
    acts.erasure();
    acts.acts
}

fn window() -> Window {
    Window::new(now() - TimeDelta::days(1), now() + TimeDelta::days(30)).unwrap()
}

fn planned() -> Planned {
    Planned {
        generation: 1,
        edition: Edition {
            release: "2026a".to_owned(),
            fingerprint: id(1),
            zones: [("Europe/London".to_owned(), 7)].into(),
        },
        since: now(),
        settled: None,
    }
}

impl Acts<'_> {
    /// Adds a write under a request and a scope.
    fn write(
        &mut self,
        name: &str,
        request: Request,
        scope: Scope,
        decide: impl Fn(&View) -> Decision + Clone + Send + Sync + 'static,
    ) {
        act!(self, name, store with request with scope with decide => {
            store.write(&request, scope, Box::new(decide))
        });
    }

    /// Adds a commit of rows, under an idempotency key and with a history.
    fn commit(&mut self, name: &str, changes: Vec<Change>) {
        let series = Rows::of(self.clinic).intents[0].id;
        let happened = Happened {
            intent: series,
            event: Event::Withdrawn,
        };
        let journal = Journal {
            history: Some(History {
                series,
                reason: Some("schedule_change".parse().unwrap()),
                events: vec![happened],
            }),
            ..Journal::new(Subject::Intent(series), 1, "tested")
        };
        let commit = Commit {
            journal: Some(journal),
            changes,
        };
        let request = Request {
            idempotency: Some(Idempotency {
                key: name.to_owned(),
                request_hash: [7; 32],
            }),
            lease_until: Some(now() + TimeDelta::minutes(5)),
            ..self.clinic.request()
        };
        let dry = Request {
            dry_run: true,
            ..request.clone()
        };
        let scope = Scope::New { therapist: None };
        let decide = move |_: &View| Ok(Idempotent::Applied(commit.clone()));
        self.write(
            &format!("write, dry: {name}"),
            dry,
            scope.clone(),
            decide.clone(),
        );
        self.write(
            &format!("write: {name}"),
            request.clone(),
            scope.clone(),
            decide.clone(),
        );
        self.write(&format!("write, again: {name}"), request, scope, decide);
    }

    /// What belongs to the deployment.
    fn settings(&mut self) {
        act!(self, "now", store => store.now());
        act!(self, "has_own_clock", store => store.has_own_clock());
        act!(self, "probe_write", store => store.probe_write());
        act!(self, "take_own_clock", store => store.take_own_clock());
        act!(self, "keep_key_fingerprint", store => store.keep_key_fingerprint([1; 32]));
        act!(self, "take_over", store => {
            let next = planned();
            async move { store.take_over(&next).await }
        });
        act!(self, "settle_zone_data", store => {
            let outcome = Outcome::default();
            async move { store.settle_zone_data(1, now(), &outcome).await }
        });
        let token = Rows::of(self.clinic).token;
        act!(self, "add_token", store with token => store.add_token(&token));
    }

    /// A row of every kind.
    fn first_rows(&mut self, rows: &Rows) {
        let therapist = rows.therapist.id;
        let client = Recipient::Client(self.clinic.clients[0]);
        let mut changes = vec![
            Change::Service(rows.service.clone()),
            Change::Plan(rows.plan.clone()),
            Change::Reason(Reason {
                code: "strike".parse().unwrap(),
                added_at: now(),
            }),
            Change::Quotas(Quotas::default()),
            Change::NewDek(dek(therapist.0, 1)),
            Change::Therapist(rows.therapist.clone()),
            Change::NewDek(dek(rows.client.id.0, 1)),
            Change::Client(rows.client.clone()),
            Change::Indexes(
                PersonId::Client(rows.client.id),
                vec![blind(rows.client.id.0, 1)],
            ),
            Change::Feed(client, Some(stored(60))),
            Change::NewSubscription(rows.subscription.clone()),
        ];
        changes.extend(rows.intents.iter().cloned().map(Change::NewIntent));
        changes.extend(rows.sessions.iter().cloned().map(Change::NewSession));
        let [first, second, ..] = &rows.sessions;
        changes.extend([
            Change::Notify(Notification::to_client(
                NotificationKind::Scheduled,
                first,
                now(),
            )),
            Change::Notify(Notification::to_client(
                NotificationKind::Scheduled,
                second,
                now(),
            )),
            Change::ZoneMove(ZoneMove {
                generation: 1,
                session: first.id,
                intent: first.intent,
                therapist: first.therapist,
                client: first.client,
                zone: first.zone,
                starts_local: first.starts_local,
                was: first.starts_at,
                starts_at: first.starts_at,
                outcome: MoveOutcome::Silent,
            }),
            Change::Line(Journal::new(
                Subject::Client(rows.client.id),
                1,
                "client_registered",
            )),
        ]);
        self.commit("a row of each kind", changes);

        let (clinic, principal) = (self.clinic, self.clinic.principal);
        let price = Money {
            minor: 6500,
            currency: "GBP".parse().unwrap(),
        };
        let bought = ByHand::Purchase {
            service: clinic.service,
            checkout: "R-1".parse().unwrap(),
            paid: Paid::just(price),
        };
        let scope = bought.scope(clinic.clients[0]);
        self.write("write: credits", clinic.request(), scope, move |view| {
            account::by_hand(view, &bought, principal, None, now())
        });
    }

    /// The same rows, changed.
    fn changed_rows(&mut self, rows: &Rows) {
        let (therapist, client) = (rows.therapist.id, rows.client.id);
        let mut service = rows.service.clone();
        service.price.minor = 7000;
        let quotas = Quotas {
            minutes_a_week: 600,
            ..Quotas::default()
        };
        let mut subscription = rows.subscription.clone();
        (subscription.version, subscription.terms[0].plan) = (2, None);
        let [mut first, mut second, _] = rows.intents.clone();
        (first.version, first.state) = (
            2,
            IntentState::Continued {
                by: rows.intents[2].id,
            },
        );
        second.version = 2;
        let [mut moved, mut rebound, ..] = rows.sessions.clone();
        (moved.version, moved.slot_version) = (3, 1);
        (rebound.version, rebound.intent) = (3, rows.intents[2].id);
        let person = |id: PersonId| Change::Person {
            id,
            person: sealed(id.uuid(), 2, 1),
        };
        let changes = vec![
            Change::WorkingTimes(rows.therapist.clone()),
            person(PersonId::Client(client)),
            person(PersonId::Therapist(therapist)),
            Change::Indexes(PersonId::Client(client), vec![blind(client.0, 2)]),
            Change::LegalHold(client, true),
            Change::Assigned(client, Some(self.clinic.therapists[1])),
            Change::ServiceTerms(service),
            Change::Retired(rows.plan.id, now()),
            Change::Quotas(quotas),
            Change::Subscription(subscription),
            Change::Intent(first),
            Change::Intent(second),
            Change::Session(moved),
            Change::Rebound(rebound),
            Change::Feed(Recipient::Therapist(therapist), Some(stored(61))),
            Change::Feed(Recipient::Therapist(therapist), None),
            Change::Revoke(PersonId::Client(client)),
        ];
        self.commit("each kind changed", changes);
    }

    /// Every job of the worker.
    fn claims(&mut self) {
        let late = now() + TimeDelta::days(1);
        let done = |session: &Session| {
            let mut after = session.clone();
            after.next_due_at = None;
            after.version += 1;
            vec![Change::Session(after)]
        };
        let of_session = move |view: &View| {
            let changes = done(view.session()?);
            Ok(Idempotent::Applied(Commit {
                journal: None,
                changes,
            }))
        };
        let of_intent = |view: &View| {
            let mut after = view.intent()?.clone();
            after.next_due_at = None;
            after.version += 1;
            let changes = vec![Change::Intent(after)];
            Ok(Idempotent::Applied(Commit {
                journal: None,
                changes,
            }))
        };
        self.claim(Job::Materialize, of_intent);
        self.claim(Job::Fund, of_session);
        self.claim(Job::Remind, of_session);
        self.claim(Job::AskAttendance, of_session);
        self.claim(Job::Dispatch, |view| lease(view, now()));
        self.claim(Job::Expire, move |view| account::expire(view, late));
        for job in [
            Job::Materialize,
            Job::Fund,
            Job::Expire,
            Job::Remind,
            Job::AskAttendance,
            Job::Dispatch,
        ] {
            act!(self, format!("backlog of {job:?}"), store => store.backlog(job, now()));
        }
    }

    fn claim(
        &mut self,
        job: Job,
        decide: impl Fn(&View) -> Decision + Clone + Send + Sync + 'static,
    ) {
        let claim = Claim {
            job,
            now: now(),
            after: None,
            lease_until: Some(now() + TimeDelta::minutes(5)),
            zone_data: matches!(job, Job::Materialize).then_some(1),
        };
        act!(self, format!("claim: {job:?}"), store with claim with decide => {
            async move {
                match store.claim(&claim, Box::new(decide)).await? {
                    Some(claimed) => claimed.outcome.map(drop),
                    None => Ok(()),
                }
            }
        });
    }

    /// The rotation of keys.
    fn keys(&mut self) {
        let (of, owner) = (self.clinic.principal.clinic, self.clinic.clients[1]);
        act!(self, "add_dek", store => async move { store.add_dek(of, &dek(owner.0, 2)).await });
        act!(self, "rewrap_dek", store => async move {
            store.rewrap_dek(of, &dek(owner.0, 1), b"again").await
        });
        act!(self, "reseal", store => async move {
            store.reseal(of, PersonId::Client(owner), &sealed(owner.0, 2, 2)).await
        });
        act!(self, "drop_deks", store => store.drop_deks(of, owner.0, 2));
    }

    /// The end of a client, and of a token.
    fn erasure(&mut self) {
        let client = self.clinic.clients[1];
        let person = PersonId::Client(client);
        self.commit(
            "an erasure",
            vec![
                Change::Feed(Recipient::Client(client), None),
                Change::Revoke(person),
                Change::Erase(person),
            ],
        );
        act!(self, "scrub", store => store.scrub());
        let token = self.clinic.principal.credential;
        act!(self, "remove_token", store => store.remove_token(token));
    }
}
