//! Everything the trait offers, once, as the service uses it.

use chrono::TimeDelta;
use clinic::booking::{self, NewBooking};
use clinic::notification::{self, NotificationKind};
use clinic::scope::{Claim, Job};
use clinic::settlement::{self, NewGrant, Outcome};
use clinic::{Address, MessageState, Recipient, Role, Scope, Subject, follow_up, horizon};
use ledger_core::{Credits, Key, Source};
use scheduler_core::session::SessionState;
use scheduler_core::{GapPolicy, Window};
use store::{Idempotency, Page, Request, Store, StoreError, Token, Which, Whose, Written};
use store_postgres::PostgresStore;
use uuid::Uuid;

use crate::practice::*;

const ALL: Page = Page {
    after: None,
    limit: 200,
};

fn booking() -> NewBooking {
    NewBooking {
        id: intent_id(1),
        therapist: therapist_id(0),
        client: client_id(0),
        service: SERVICE,
        start: local("2026-06-02T18:00:00"),
        zone: "Europe/London".parse().unwrap(),
        minutes: None,
        rule: Some("FREQ=WEEKLY".parse().unwrap()),
        gap: GapPolicy::Shift,
    }
}

async fn book(store: &PostgresStore, request: &Request) -> Result<Written, StoreError> {
    let scope = booking::scope(&booking()).unwrap();
    let decide = |view: &_| booking::book(view, booking(), admin(), now());
    store.write(request, scope, Box::new(decide)).await
}

async fn claim(store: &PostgresStore, job: Job, now: chrono::DateTime<chrono::Utc>) -> Written {
    let claim = Claim {
        job,
        now,
        after: None,
    };
    let decide = move |view: &_| match job {
        Job::Materialize => horizon::materialize(view, now),
        Job::Fund => horizon::fund(view, now),
        Job::Remind => follow_up::remind(view, now),
        Job::AskAttendance => follow_up::ask_attendance(view, now),
        Job::Dispatch => notification::lease(view, now),
    };
    let claimed = store.claim(&claim, Box::new(decide)).await.unwrap();
    let claimed = claimed.unwrap_or_else(|| panic!("nothing is due of {}", job.name()));
    assert_eq!(claimed.clinic, CLINIC);
    let after = Some(claimed.position);
    let next = Claim { after, ..claim };
    let none = store.claim(&next, Box::new(|_| unreachable!())).await;
    assert!(none.unwrap().is_none(), "{}", job.name());
    claimed.outcome.unwrap()
}

#[tokio::test]
async fn a_booking_lives_from_request_to_settlement() {
    let (store, _) = open(3).await;
    people(&store, 1, 1).await;

    // A dry run stores nothing; a retry under the same key finds what was stored.
    let mut wanted = request();
    wanted.dry_run = true;
    assert!(matches!(
        book(&store, &wanted).await,
        Ok(Written::DryRun(_))
    ));
    assert_eq!(store.intent(CLINIC, intent_id(1)).await.unwrap(), None);
    wanted.dry_run = false;
    wanted.idempotency = Some(Idempotency {
        key: "k".to_owned(),
        request_hash: [7; 32],
    });
    let written = book(&store, &wanted).await.unwrap();
    let subject = Subject::Intent(intent_id(1));
    let committed = Written::Committed {
        subject: Some(subject.clone()),
        rows: 2,
    };
    assert_eq!(written, committed);
    assert_eq!(
        book(&store, &wanted).await.unwrap(),
        Written::Replayed(subject)
    );
    wanted.idempotency.as_mut().unwrap().request_hash = [8; 32];
    assert!(matches!(
        book(&store, &wanted).await,
        Err(StoreError::KeyReused { .. })
    ));
    let again = book(&store, &request()).await;
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");

    // No credit: the session waits, and a grant funds it.
    let due = store.backlog(Job::Materialize, now()).await.unwrap();
    assert_eq!((due.due, due.oldest.is_some()), (1, true));
    claim(&store, Job::Materialize, now()).await;
    let calendar = |whose| store.calendar(CLINIC, whose, window());
    let rows = calendar(Whose::Client(client_id(0))).await.unwrap();
    assert_eq!((rows.intents.len(), rows.sessions.len()), (1, 1));
    let session = rows.sessions[0].clone();
    assert_eq!(session.state, SessionState::Unfunded);
    grant(&store).await;

    let found = store.session(CLINIC, session.id).await.unwrap().unwrap();
    assert_eq!(found.state, SessionState::Scheduled);
    for whose in [
        Whose::Clinic,
        Whose::Therapist(therapist_id(0)),
        Whose::Intent(intent_id(1)),
    ] {
        let rows = calendar(whose).await.unwrap();
        assert_eq!(rows.sessions, std::slice::from_ref(&found), "{whose:?}");
        let live = store.sessions(CLINIC, whose, Which::Live, ALL).await;
        assert_eq!(live.unwrap(), std::slice::from_ref(&found), "{whose:?}");
    }
    let of = store.session_of(CLINIC, intent_id(1), found.recurrence_id);
    assert_eq!(of.await.unwrap().as_ref(), Some(&found));

    // Told, reminded, asked, settled.
    claim(&store, Job::Dispatch, now()).await;
    let pending = store.messages(CLINIC, MessageState::Pending, 0, 9).await;
    let message = pending.unwrap().remove(0);
    assert_eq!(message.notification.kind, NotificationKind::Scheduled);
    let recipient = Recipient::Client(client_id(0));
    assert_eq!(message.notification.recipient, recipient);
    let sent = move |view: &_| notification::sent(view, 1, now());
    let scope = Scope::Message(message.seq);
    let settled = store.write(&tick(), scope, Box::new(sent)).await.unwrap();
    assert!(matches!(
        settled,
        Written::Committed {
            subject: None,
            rows: 1
        }
    ));
    let found = store.message(CLINIC, message.seq).await.unwrap().unwrap();
    assert_eq!(found.state, MessageState::Sent);
    let start = session.starts_at;
    claim(&store, Job::Remind, start - TimeDelta::hours(23)).await;
    let end = session.ends_at + TimeDelta::hours(2);
    let unknown = Which::AttendanceUnknown { now: end };
    let list = store.sessions(CLINIC, Whose::Clinic, unknown, ALL).await;
    assert_eq!(list.unwrap().len(), 1);
    settle(&store, session.id, end).await;
    let entries = store.entries(CLINIC, client_id(0), 0, 100).await.unwrap();
    assert_eq!(entries.len(), 4, "grant, hold, release, use");
    let by_key = store.entry(CLINIC, &entries[3].key).await.unwrap();
    assert_eq!(by_key.as_ref(), Some(&entries[3]));
    let account = store.account(CLINIC, client_id(0)).await.unwrap().unwrap();
    assert_eq!(account.seq(), 4);
    ledger_core::verify(account.id(), &entries).unwrap();
    let kinds = store.meter(CLINIC).await.unwrap();
    let kinds: Vec<&str> = kinds.iter().map(|metered| metered.kind.as_str()).collect();
    assert!(kinds.is_sorted() && kinds.contains(&"credits_granted"));
}

fn window() -> Window {
    Window::new(now(), now() + TimeDelta::days(7)).unwrap()
}

async fn grant(store: &PostgresStore) {
    let grant = NewGrant {
        client: client_id(0),
        key: Key::manual_grant(Uuid::from_u128(9)),
        service: SERVICE,
        amount: Credits(5),
        source: Source::Goodwill,
        reason: "goodwill".parse().unwrap(),
    };
    let scope = Scope::Grant {
        client: client_id(0),
        service: SERVICE,
        key: grant.key.clone(),
    };
    let decide = |view: &_| settlement::grant(view, grant.clone(), admin(), None, now());
    store
        .write(&request(), scope.clone(), Box::new(decide))
        .await
        .unwrap();
    let again = store.write(&request(), scope, Box::new(decide)).await;
    assert_eq!(again.unwrap(), Written::Unchanged);
}

async fn settle(
    store: &PostgresStore,
    session: scheduler_core::SessionId,
    at: chrono::DateTime<chrono::Utc>,
) {
    let scope = Scope::Occurrence {
        address: Address::Session(session),
        around: Some(window()),
    };
    let decide = move |view: &_| settlement::settle(view, Outcome::Completed, admin(), None, at);
    store
        .write(&request(), scope, Box::new(decide))
        .await
        .unwrap();
}

#[tokio::test]
async fn people_and_credentials_are_found() {
    let (store, _) = open(2).await;
    people(&store, 3, 3).await;
    let token = Token {
        id: Uuid::from_u128(5),
        hash: [9; 32],
        clinic: CLINIC,
        role: Role::Therapist(therapist_id(1)),
        created_at: now(),
    };
    store.add_token(&token).await.unwrap();
    let principal = store.principal([9; 32]).await.unwrap().unwrap();
    assert_eq!(principal.role, token.role);
    assert_eq!(store.principal([0; 32]).await.unwrap(), None);
    assert_eq!(store.clinics().await.unwrap(), [CLINIC]);
    assert!(matches!(
        store.add_token(&token).await,
        Err(StoreError::Constraint { .. })
    ));

    let page = Page {
        after: Some(therapist_id(0).0),
        limit: 1,
    };
    let found = store.therapists(CLINIC, page).await.unwrap();
    assert_eq!(found, [therapist(therapist_id(1))]);
    let found = store.therapist(CLINIC, therapist_id(2)).await.unwrap();
    assert_eq!(found, Some(therapist(therapist_id(2))));
    assert_eq!(store.clients(CLINIC, ALL).await.unwrap().len(), 3);
    let found = store.client(CLINIC, client_id(1)).await.unwrap();
    assert_eq!(found, Some(client(client_id(1), therapist_id(0))));
    assert_eq!(store.services(CLINIC, ALL).await.unwrap(), [service()]);
    let account = store.account(CLINIC, client_id(2)).await.unwrap();
    assert_eq!(account, Some(empty_account(client_id(2))));
    let elsewhere = clinic::ClinicId(Uuid::from_u128(77));
    assert_eq!(store.client(elsewhere, client_id(1)).await.unwrap(), None);
    let skew = store.now().await.unwrap();
    assert!(skew > now() - TimeDelta::days(365));
    store.close().await;
}

#[tokio::test]
async fn an_occurrence_that_is_not_there_is_an_empty_view() {
    let (store, _) = open(2).await;
    for address in [
        Address::Occurrence(intent_id(1), local("2026-06-02T18:00:00")),
        Address::Session(scheduler_core::SessionId(Uuid::from_u128(1))),
    ] {
        let scope = Scope::Occurrence {
            address,
            around: None,
        };
        let decide = |view: &clinic::View| view.intent().map(|_| unreachable!());
        let refused = store.write(&request(), scope, Box::new(decide)).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))));
    }
}
