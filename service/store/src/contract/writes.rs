//! Writes: all or nothing, once, and never two live sessions in one place.

use std::sync::Arc;

use chrono::TimeDelta;
use clinic::{
    Address, Change, Client, Commit, Idempotent, Notification, NotificationKind, Reason, Refusal,
    Scope, Subject, View,
};
use scheduler_core::ClientId;
use scheduler_core::session::{CaseReason, Party, Session, SessionState};
use tokio::task::JoinSet;

use super::fixture::{Fixture, committing, id, now};
use crate::{Idempotency, Request, Store, StoreError, Written};

/// Two callers who both ask for version 1: one gets it, whatever the database.
pub async fn of_two_writes_on_one_version_one_is_refused(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    let intent = clinic.intent(100);
    clinic
        .commit(vec![Change::NewIntent(intent.clone())])
        .await
        .unwrap();
    for version in 1..=10 {
        let mut racers = JoinSet::new();
        for _ in 0..2 {
            let (clinic, id) = (clinic.clone(), intent.id);
            racers.spawn(async move {
                let scope = Scope::Occurrence {
                    address: Address::Occurrence(id, "2026-03-02T18:00:00".parse().unwrap()),
                    around: None,
                    history: false,
                };
                let decide = |view: &View| {
                    let intent = view.intent()?;
                    Refusal::check_version(Some(version), intent.version)?;
                    let mut after = intent.clone();
                    after.version += 1;
                    committing(vec![Change::Intent(after)])
                };
                let request = clinic.request();
                clinic.store.write(&request, scope, Box::new(decide)).await
            });
        }
        let (mut stored, mut stale) = (0, 0);
        for outcome in racers.join_all().await {
            match outcome {
                Ok(Written::Committed { rows: 2, .. }) => stored += 1,
                Err(StoreError::Refused(Refusal::Stale { .. })) => stale += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((stored, stale), (1, 1));
    }
    let stored = clinic
        .store
        .intent(clinic.principal.clinic, intent.id)
        .await;
    assert_eq!(stored.unwrap().unwrap().version, 11);
}

pub async fn what_is_refused_fails_or_is_dry_leaves_nothing(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 60);
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewSession(session.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let before = clinic.dump().await;

    // Good rows first, so that there is something to take back.
    let mut doomed = vec![
        Change::Client(Client {
            id: ClientId(id(700)),
            person: None,
            legal_hold: false,
            clear_zone: None,
            therapist: None,
        }),
        Change::NewIntent(clinic.intent(101)),
        Change::Notify(Notification::to_client(
            NotificationKind::Scheduled,
            &session,
            now(),
        )),
    ];
    let dry = Request {
        dry_run: true,
        ..clinic.request()
    };
    let scope = || Scope::New { therapist: None };
    let changes = doomed.clone();
    let tried = clinic
        .store
        .write(&dry, scope(), Box::new(move |_: &_| committing(changes)))
        .await;
    match tried.unwrap() {
        Written::DryRun(commit) => assert_eq!(commit.changes.len(), 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(clinic.dump().await, before, "a dry run");

    doomed.push(Change::NewSession(clinic.session(&clinic.intent(101), 70)));
    let failed = clinic.commit(doomed.clone()).await;
    assert!(
        matches!(failed, Err(StoreError::Constraint { .. })),
        "{failed:?}"
    );
    assert_eq!(clinic.dump().await, before, "a constraint");
    // A dry run meets the same constraints.
    let tried = clinic
        .store
        .write(&dry, scope(), Box::new(move |_: &_| committing(doomed)))
        .await;
    assert!(
        matches!(tried, Err(StoreError::Constraint { .. })),
        "{tried:?}"
    );

    let refuse = |_: &View| Err(Refusal::NotFound { what: "reason" });
    let refused = clinic
        .store
        .write(&clinic.request(), scope(), Box::new(refuse))
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let nothing = |_: &View| Ok(Idempotent::AlreadyApplied);
    let nothing = clinic
        .store
        .write(&clinic.request(), scope(), Box::new(nothing))
        .await;
    assert_eq!(nothing.unwrap(), Written::Unchanged);
    assert_eq!(clinic.dump().await, before, "a refusal");
}

/// A new client under an idempotency key.
async fn add_client(
    clinic: &Fixture,
    number: u128,
    key: &str,
    hash: u8,
) -> Result<Written, StoreError> {
    let request = Request {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            request_hash: [hash; 32],
        }),
        ..clinic.request()
    };
    let decide = move |_: &View| {
        let client = Client {
            id: ClientId(id(number)),
            person: None,
            legal_hold: false,
            clear_zone: None,
            therapist: None,
        };
        let line = clinic::Journal::new(Subject::Client(client.id), 1, "client_registered");
        Ok(Idempotent::Applied(Commit {
            journal: Some(line),
            changes: vec![Change::Client(client)],
        }))
    };
    let scope = Scope::New { therapist: None };
    clinic.store.write(&request, scope, Box::new(decide)).await
}

pub async fn a_retry_under_its_key_is_done_once(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let subject = Subject::Client(ClientId(id(700)));
    let first = add_client(&clinic, 700, "k", 1).await.unwrap();
    assert_eq!(
        first,
        Written::Committed {
            subject: Some(subject.clone()),
            rows: 3,
            leased: Vec::new(),
        }
    );
    let before = clinic.dump().await;
    for number in 701..704 {
        let again = add_client(&clinic, number, "k", 1).await.unwrap();
        assert_eq!(again, Written::Replayed(subject.clone()));
    }
    let other = add_client(&clinic, 704, "k", 2).await;
    assert!(matches!(other, Err(StoreError::KeyReused { key }) if key == "k"));
    assert_eq!(clinic.dump().await, before);
    // The key is its principal's: another may use it too.
    let mut colleague = Fixture { ..clinic };
    colleague.principal.credential = id(99);
    let theirs = add_client(&colleague, 705, "k", 3).await.unwrap();
    assert!(matches!(theirs, Written::Committed { .. }));
}

pub async fn one_key_at_once_is_done_once(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    let mut racers = JoinSet::new();
    for number in 0..20 {
        let clinic = clinic.clone();
        racers.spawn(async move { add_client(&clinic, 700 + number, "k", 1).await });
    }
    let mut stored = 0;
    for outcome in racers.join_all().await {
        match outcome.unwrap() {
            Written::Committed { .. } => stored += 1,
            Written::Replayed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 1);
}

/// The net under the clinic's own check, for therapists and for clients, on insert and on update.
pub async fn live_sessions_do_not_overlap(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let mut theirs = clinic.intent(101); // the same therapist, another client
    theirs.client = clinic.clients[1];
    let mut elsewhere = clinic.intent(102); // the same client, another therapist
    elsewhere.therapist = clinic.therapists[1];
    let session = clinic.session(&intent, 1000);
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewIntent(theirs.clone()),
        Change::NewIntent(elsewhere.clone()),
        Change::NewSession(session.clone()),
    ];
    clinic.commit(rows).await.unwrap();

    for other in [&theirs, &elsewhere] {
        for minutes in [951, 1000, 1049] {
            for state in [SessionState::Scheduled, SessionState::Unfunded] {
                let mut new = clinic.session(other, minutes);
                new.state = state;
                assert_overlap(clinic.commit(vec![Change::NewSession(new)]).await);
            }
        }
    }
    // A long one around it, and one inside it.
    let mut around = clinic.session(&theirs, 900);
    around.ends_at = around.starts_at + TimeDelta::hours(4);
    assert_overlap(clinic.commit(vec![Change::NewSession(around)]).await);
    let mut inside = clinic.session(&theirs, 1010);
    inside.ends_at = inside.starts_at + TimeDelta::minutes(1);
    assert_overlap(clinic.commit(vec![Change::NewSession(inside)]).await);

    // Touching is not overlapping, and what is over or undecided takes no time.
    for (minutes, state) in [
        (950, SessionState::Scheduled),
        (1050, SessionState::Unfunded),
        (1001, SessionState::Completed),
        (1002, SessionState::NoShow),
        (1003, SessionState::Missed),
        (
            1004,
            SessionState::Case {
                reason: CaseReason::Overlap,
            },
        ),
        (
            1005,
            SessionState::Cancelled {
                by: Party::Client,
                late: true,
                with_intent: false,
            },
        ),
    ] {
        let mut new = clinic.session(&theirs, minutes);
        new.state = state;
        clinic
            .commit(vec![Change::NewSession(new.clone())])
            .await
            .unwrap();
        if !state.is_live() {
            let revived = Session {
                state: SessionState::Scheduled,
                ..new
            };
            assert_overlap(clinic.commit(vec![Change::Session(revived)]).await);
        } else {
            let moved = Session {
                starts_at: session.starts_at,
                ends_at: session.ends_at,
                ..new
            };
            assert_overlap(clinic.commit(vec![Change::Session(moved)]).await);
        }
    }
}

fn assert_overlap(outcome: Result<Written, StoreError>) {
    match outcome {
        Err(StoreError::Constraint { constraint }) => {
            assert!(constraint.contains("session_overlap"), "{constraint}");
        }
        other => panic!("{other:?}"),
    }
}

pub async fn an_occurrence_has_one_session(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 60);
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewSession(session.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let mut second = clinic.session(&intent, 600);
    second.recurrence_id = session.recurrence_id;
    let refused = clinic.commit(vec![Change::NewSession(second)]).await;
    assert!(
        matches!(refused, Err(StoreError::Constraint { .. })),
        "{refused:?}"
    );
    let refused = clinic.commit(vec![Change::NewSession(session)]).await;
    assert!(
        matches!(refused, Err(StoreError::Constraint { .. })),
        "{refused:?}"
    );
}

/// The sequence is lock and chain at once; a key names one entry.
pub async fn entries_have_one_place_and_one_key(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    // Two grants decided on the same empty account: both want to be its first entry.
    let mut changes = vec![clinic.grant(1).await, clinic.grant(2).await];
    let second = changes.pop().unwrap();
    clinic.commit(changes.clone()).await.unwrap();
    for doubled in [second, changes[0].clone()] {
        let refused = clinic.commit(vec![doubled]).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint { .. })),
            "{refused:?}"
        );
    }
    let (of, client) = (clinic.principal.clinic, clinic.clients[0]);
    let entries = clinic.store.entries(of, client, 0, 10).await.unwrap();
    let Change::Ledger {
        account,
        entries: sent,
    } = &changes[0]
    else {
        panic!("a ledger's change");
    };
    assert_eq!(&entries, sent);
    assert_eq!(
        clinic.store.account(of, client).await.unwrap().as_ref(),
        Some(account)
    );
    let found = clinic.store.entry(of, &entries[0].key).await.unwrap();
    assert_eq!(found.as_ref(), entries.first());
}

pub async fn the_same_is_told_once(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 60);
    let told = Notification::to_client(NotificationKind::Scheduled, &session, now());
    let mut again = told.clone();
    again.due_at += TimeDelta::hours(1);
    let mut moved = told.clone();
    moved.slot_version += 1;
    let rows = vec![
        Change::NewIntent(intent),
        Change::NewSession(session),
        Change::Notify(told.clone()),
        Change::Notify(again.clone()),
    ];
    let written = clinic.commit(rows).await.unwrap();
    assert!(
        matches!(written, Written::Committed { rows: 4, .. }),
        "{written:?}"
    );
    clinic
        .commit(vec![Change::Notify(again), Change::Notify(moved.clone())])
        .await
        .unwrap();
    let state = clinic::MessageState::Pending;
    let messages = clinic
        .store
        .messages(clinic.principal.clinic, state, 0, 10)
        .await
        .unwrap();
    let stored: Vec<Notification> = messages
        .into_iter()
        .map(|message| message.notification)
        .collect();
    assert_eq!(stored, [told, moved]);
}

/// Journal and ledger refuse every change, whoever makes it. `execute` runs a statement beside the
/// store and gives what the database says.
pub async fn append_only_tables_refuse_changes(
    store: Arc<dyn Store>,
    execute: impl AsyncFn(&'static str) -> Result<(), String>,
) {
    let clinic = Fixture::open(store).await;
    let code = Change::Reason(Reason {
        code: "ours".parse().unwrap(),
        added_at: now(),
    });
    let rows = vec![clinic.grant(1).await, code];
    clinic.commit(rows).await.unwrap();
    let before = clinic.dump().await;
    for statement in [
        "UPDATE reason SET code = 'forged'",
        "DELETE FROM reason",
        "UPDATE journal SET kind = 'forged'",
        "DELETE FROM journal",
        "UPDATE ledger_entry SET key = 'forged'",
        "DELETE FROM ledger_entry",
    ] {
        let refused = execute(statement).await.unwrap_err();
        assert!(refused.contains("append_only"), "{statement}: {refused}");
    }
    assert_eq!(clinic.dump().await, before);
}
