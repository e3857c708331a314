//! The zone data that plans a database: one generation at a time, and nobody of another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use clinic::scope::{Claim, Job};
use clinic::zone_data::{Edition, MoveOutcome, Outcome, Planned, ZoneMove};
use clinic::{
    Change, Idempotent, MessageState, Moved, Notification, NotificationKind, Recipient, Scope,
};
use scheduler_core::session::{CaseReason, Party, SessionState};
use tokio::task::JoinSet;

use super::fixture::{ALL, Fixture, committing, id, now};
use crate::{Page, Request, Store, StoreError, Which, Whose, Written};

fn planned(generation: u64) -> Planned {
    Planned {
        generation,
        edition: Edition {
            release: format!(
                "2026{}",
                char::from(b'a' + u8::try_from(generation).unwrap())
            ),
            fingerprint: id(u128::from(generation)),
            zones: BTreeMap::from([("Europe/London".to_owned(), u64::MAX - generation)]),
        },
        since: now() + TimeDelta::hours(i64::try_from(generation).unwrap()),
        settled: None,
    }
}

/// Of processes that record the next generation at the same time one succeeds, and it is settled once.
pub async fn generations_of_zone_data_follow_one_another(store: Arc<dyn Store>) {
    assert_eq!(store.zone_data(None).await.unwrap(), None);
    assert!(!store.take_over(&planned(2)).await.unwrap());
    for generation in 1..=3 {
        let mut rivals = JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            let next = planned(generation);
            rivals.spawn(async move { store.take_over(&next).await });
        }
        let mut won = 0;
        for taken in rivals.join_all().await {
            // Of two who wait for each other's row, the second may meet the constraint.
            won += u32::from(matches!(taken, Ok(true)));
        }
        assert_eq!(won, 1);
        let last = store.zone_data(None).await.unwrap();
        assert_eq!(last, Some(planned(generation)));
    }
    assert_eq!(store.zone_data(Some(2)).await.unwrap(), Some(planned(2)));
    assert_eq!(store.zone_data(Some(4)).await.unwrap(), None);
    let outcome = Outcome {
        sessions: 9,
        series: 8,
        moved: 7,
        cases: 1,
        messages: 2,
    };
    let settle = async |generation| store.settle_zone_data(generation, now(), &outcome).await;
    assert!(!settle(2).await.unwrap(), "it is not the last one");
    assert!(settle(3).await.unwrap());
    assert!(!settle(3).await.unwrap());
    let settled = Planned {
        settled: Some((now(), outcome)),
        ..planned(3)
    };
    assert_eq!(store.zone_data(None).await.unwrap(), Some(settled));
}

/// Whoever computes with other zone data writes nothing, and nothing is claimed before it is settled.
pub async fn only_the_last_zone_data_plans(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let write = async |number, zone_data| {
        let request = Request {
            zone_data,
            ..clinic.request()
        };
        let rows = vec![Change::NewIntent(clinic.intent(number))];
        let decide = Box::new(move |_: &_| committing(rows));
        let scope = Scope::New { therapist: None };
        clinic.store.write(&request, scope, decide).await
    };
    let claim = async |job, zone_data| {
        let claim = Claim {
            job,
            now: now(),
            after: None,
            lease_until: None,
            zone_data,
        };
        let nothing = |_: &_| Ok(Idempotent::AlreadyApplied);
        clinic.store.claim(&claim, Box::new(nothing)).await
    };
    let refused = |outcome: Result<(), StoreError>, planned, ours| match outcome {
        Err(StoreError::OtherZoneData {
            planned: is,
            ours: has,
        }) => {
            assert_eq!((is, has), (planned, ours));
        }
        other => panic!("{other:?}"),
    };
    refused(write(100, Some(1)).await.map(|_| ()), 0, 1);
    clinic.store.take_over(&planned(1)).await.unwrap();
    assert!(matches!(
        write(101, Some(1)).await,
        Ok(Written::Committed { .. })
    ));
    refused(claim(Job::Materialize, Some(1)).await.map(|_| ()), 1, 1);
    let outcome = Outcome::default();
    let settled = clinic.store.settle_zone_data(1, now(), &outcome).await;
    assert!(settled.unwrap());
    assert!(claim(Job::Materialize, Some(1)).await.unwrap().is_none());

    clinic.store.take_over(&planned(2)).await.unwrap();
    let before = clinic.dump().await;
    refused(write(102, Some(1)).await.map(|_| ()), 2, 1);
    refused(claim(Job::Materialize, Some(1)).await.map(|_| ()), 2, 1);
    refused(claim(Job::Materialize, Some(2)).await.map(|_| ()), 2, 2);
    assert_eq!(clinic.dump().await, before);
    // Writes and jobs that compute no wall time are not refused.
    assert!(matches!(
        write(103, None).await,
        Ok(Written::Committed { .. })
    ));
    assert!(claim(Job::Expire, None).await.unwrap().is_none());
    assert!(matches!(
        write(104, Some(2)).await,
        Ok(Written::Committed { .. })
    ));
}

/// What a change of the zone data moves is found, kept by generation, and told with each session.
pub async fn what_zone_data_moves_is_kept(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let state = |session: &mut scheduler_core::session::Session, state| session.state = state;
    let mut rows = vec![Change::NewIntent(intent.clone())];
    let mut to_come = Vec::new();
    for (index, of) in [
        SessionState::Scheduled,
        SessionState::Unfunded,
        SessionState::Case {
            reason: CaseReason::Overlap,
        },
        SessionState::Cancelled {
            by: Party::Clinic,
            late: false,
            with_intent: true,
        },
        SessionState::Missed,
    ]
    .into_iter()
    .enumerate()
    {
        let mut session = clinic.session(&intent, 100 * (i64::try_from(index).unwrap() + 1));
        state(&mut session, of);
        rows.push(Change::NewSession(session.clone()));
        if !of.is_final() {
            to_come.push(session);
        }
    }
    let begun = clinic.session(&intent, 0);
    rows.push(Change::NewSession(begun));
    clinic.commit(rows).await.unwrap();
    let (store, of) = (&clinic.store, clinic.principal.clinic);
    to_come.sort_by_key(|session| session.id);
    let which = Which::ToCome { now: now() };
    let found = store.sessions(of, Whose::Clinic, which, ALL).await.unwrap();
    assert_eq!(found, to_come);
    let page = Page {
        after: Some(to_come[1].id.0),
        limit: 1,
    };
    let found = store
        .sessions(of, Whose::Clinic, which, page)
        .await
        .unwrap();
    assert_eq!(found, to_come[2..3]);

    // A wall time is stored, also where the instant is another.
    let mut moved = to_come[0].clone();
    moved.starts_local = moved.starts_local.plus_seconds(1800).unwrap();
    moved.tzdb = "2026b".to_owned();
    clinic
        .commit(vec![Change::Session(moved.clone())])
        .await
        .unwrap();
    assert_eq!(store.session(of, moved.id).await.unwrap(), Some(moved));

    for generation in 1..=2 {
        store.take_over(&planned(generation)).await.unwrap();
    }
    let outcomes = [MoveOutcome::Moved, MoveOutcome::Case, MoveOutcome::Silent];
    let moves: Vec<ZoneMove> = to_come
        .iter()
        .zip(outcomes)
        .map(|(session, outcome)| ZoneMove {
            generation: 2,
            session: session.id,
            intent: session.intent,
            therapist: session.therapist,
            client: session.client,
            zone: session.zone,
            starts_local: session.starts_local,
            was: session.starts_at,
            starts_at: session.starts_at + TimeDelta::hours(1),
            outcome,
        })
        .collect();
    let rows = moves.iter().cloned().map(Change::ZoneMove).collect();
    clinic.commit(rows).await.unwrap();
    let again = clinic
        .commit(vec![Change::ZoneMove(moves[0].clone())])
        .await;
    assert!(matches!(again, Err(StoreError::Constraint { .. })));
    let kept = async |generation, page| store.zone_moves(of, generation, page).await.unwrap();
    assert_eq!(kept(2, ALL).await, moves);
    assert_eq!(kept(1, ALL).await, []);
    let page = Page {
        after: Some(moves[0].session.0),
        limit: 1,
    };
    assert_eq!(kept(2, page).await, moves[1..2]);

    let listed = moves.iter().map(|moved| Moved {
        session: moved.session,
        zone: moved.zone,
        starts_local: moved.starts_local,
        was: moved.was,
        starts_at: moved.starts_at,
        case: moved.outcome == MoveOutcome::Case,
    });
    let mut told = Notification {
        kind: NotificationKind::ClocksChanged { generation: 2 },
        session: moves[0].session,
        slot_version: 0,
        recipient: Recipient::Client(clinic.clients[0]),
        due_at: now(),
        moves: listed.collect(),
    };
    clinic
        .commit(vec![Change::Notify(told.clone())])
        .await
        .unwrap();
    // A person is told once, whichever session comes first.
    let first = told.clone();
    told.session = moves[1].session;
    clinic.commit(vec![Change::Notify(told)]).await.unwrap();
    let messages = store.messages(of, MessageState::Pending, 0, 10).await;
    let told: Vec<_> = messages
        .unwrap()
        .into_iter()
        .map(|one| one.notification)
        .collect();
    assert_eq!(told, [first]);
}
