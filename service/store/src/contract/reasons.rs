//! The codes that say why something was done: kept for ever, each clinic's its own.

use std::sync::Arc;

use clinic::{
    Address, Change, ClinicId, Commit, Idempotent, Journal, PersonId, Reason, Scope, Subject, View,
};
use tokio::task::JoinSet;

use super::fixture::{Fixture, id, now};
use crate::{Idempotency, Request, Store, StoreError, Written};

fn reason(code: &str) -> Reason {
    Reason {
        code: code.parse().unwrap(),
        added_at: now(),
    }
}

/// Adds a code that the view lacks.
async fn add(clinic: &Fixture, request: &Request, new: Reason) -> Result<Written, StoreError> {
    let decide = Box::new(move |view: &View| {
        if view.reasons.contains(&new) {
            return Ok(Idempotent::AlreadyApplied);
        }
        let subject = Subject::Reason(new.code.clone());
        Ok(Idempotent::Applied(Commit {
            journal: Some(Journal::new(subject, 1, "reason_added")),
            changes: vec![Change::Reason(new)],
        }))
    });
    clinic.store.write(request, Scope::Reasons, decide).await
}

pub async fn reasons_are_kept_and_shown_to_whoever_is_given_one(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store.clone()).await;
    let of = clinic.principal.clinic;
    let other = Fixture::open_as(store.clone(), ClinicId(id(9999)), 50_000).await;
    assert_eq!(store.reasons(of).await.unwrap(), []);
    let named = Request {
        idempotency: Some(Idempotency {
            key: "once".to_owned(),
            request_hash: [1; 32],
        }),
        ..clinic.request()
    };
    for _ in 0..2 {
        let added = add(&clinic, &named, reason("b_2")).await.unwrap();
        let subject = Subject::Reason("b_2".parse().unwrap());
        match added {
            Written::Committed {
                subject: found,
                rows,
                ..
            } => {
                assert_eq!((found, rows), (Some(subject), 2));
            }
            replayed => assert_eq!(replayed, Written::Replayed(subject)),
        }
    }
    for code in ["b", "a"] {
        add(&clinic, &clinic.request(), reason(code)).await.unwrap();
    }
    let ours = ["a", "b", "b_2"].map(reason);
    assert_eq!(store.reasons(of).await.unwrap(), ours);
    assert_eq!(store.reasons(other.principal.clinic).await.unwrap(), []);
    // No row is put in another's place, and none is added twice.
    let again = clinic.commit(vec![Change::Reason(reason("a"))]).await;
    assert!(
        matches!(again, Err(StoreError::Constraint { .. })),
        "{again:?}"
    );

    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 60);
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewSession(session.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let person = |id| Scope::Person {
        id,
        email: Vec::new(),
    };
    let window = scheduler_core::Window::new(now(), now() + chrono::TimeDelta::days(2)).unwrap();
    let scopes = [
        Scope::Reasons,
        Scope::Waiver(session.id),
        Scope::Account {
            client: clinic.clients[0],
            service: None,
            keys: Vec::new(),
            proof: None,
        },
        Scope::Series {
            intent: intent.id,
            therapist: None,
            window,
            history: false,
        },
        person(PersonId::Therapist(clinic.therapists[0])),
        person(PersonId::Client(clinic.clients[0])),
        Scope::Occurrence {
            address: Address::Session(session.id),
            around: None,
            history: false,
        },
        Scope::New { therapist: None },
    ];
    for scope in scopes {
        let takes = scope.takes_reason();
        let what = format!("{scope:?}");
        let decide = Box::new(|view: &View| {
            assert_eq!(view.reasons, if takes { &ours[..] } else { &[] }, "{what}");
            if let Scope::Waiver(_) = scope {
                assert_eq!(view.session.as_ref(), Some(&session));
                assert_eq!(view.intent.as_ref(), Some(&intent));
                assert!(view.account.is_some() && view.service.is_some());
            }
            Ok(Idempotent::AlreadyApplied)
        });
        let looked = store.write(&clinic.request(), scope.clone(), decide).await;
        assert_eq!(looked.unwrap(), Written::Unchanged);
    }
}

/// Of several who add a code at once, one does.
pub async fn a_code_is_added_once_however_many_add_it(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    for number in 0..10 {
        let mut racers = JoinSet::new();
        for _ in 0..4 {
            let clinic = clinic.clone();
            racers.spawn(async move {
                let new = reason(&format!("code_{number}"));
                add(&clinic, &clinic.request(), new).await.unwrap()
            });
        }
        let outcomes = racers.join_all().await;
        let unchanged = outcomes.iter().filter(|one| **one == Written::Unchanged);
        assert_eq!(unchanged.count(), 3, "{outcomes:?}");
    }
    let of = clinic.principal.clinic;
    assert_eq!(clinic.store.reasons(of).await.unwrap().len(), 10);
}
