//! Many at once: nobody gets a slot twice, nobody waits for long, nothing is claimed twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use clinic::notification;
use clinic::scope::{Claim, Job};
use clinic::{Change, Notification, NotificationKind, Refusal, Scope, View};
use scheduler_core::Window;
use scheduler_core::session::SessionState;
use sqlx::postgres::PgPool;
use store::{Decide, Store, StoreError, Written};
use store_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::practice::*;

fn booking(therapist: u128, client: u128, start: DateTime<Utc>) -> Scope {
    Scope::Booking {
        therapist: therapist_id(therapist),
        client: client_id(client),
        service: SERVICE,
        window: Window::new(start, start + TimeDelta::minutes(50)).unwrap(),
    }
}

/// A session, if its time is free, of which both parties are told.
pub(crate) fn booked(
    n: u128,
    (therapist, client): (u128, u128),
    start: DateTime<Utc>,
    state: SessionState,
) -> (Scope, Decide<'static>) {
    let intent = intent(n, therapist_id(therapist), client_id(client), start);
    let mut session = session(&intent, state);
    session.next_due_at = Some(now());
    let decide = move |view: &View| {
        view.client()?;
        let in_the_way = view.sessions.iter().any(|taken| {
            let overlaps = taken.starts_at < session.ends_at && session.starts_at < taken.ends_at;
            taken.state.is_live() && overlaps
        });
        if in_the_way {
            return Err(Refusal::NotFound { what: "free time" });
        }
        let kind = NotificationKind::Scheduled;
        let client = Notification::to_client(kind, &session, now());
        let therapist = Notification::to_therapist(kind, &session, now());
        Ok(applied(
            intent.id,
            vec![
                Change::NewIntent(intent),
                Change::NewSession(session),
                Change::Notify(client),
                Change::Notify(therapist),
            ],
        ))
    };
    (booking(therapist, client, start), Box::new(decide))
}

/// Books it.
async fn book(
    store: &PostgresStore,
    n: u128,
    parties: (u128, u128),
    start: DateTime<Utc>,
    state: SessionState,
) -> Result<Written, StoreError> {
    let (scope, decide) = booked(n, parties, start, state);
    store.write(&request(), scope, decide).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_who_want_a_slot_one_gets_it() {
    let _alone = MEASURING.lock().await;
    let (store, _) = open(20).await;
    people(&store, 1, 50).await;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let outcome = book(&store, n, (0, n), now(), SessionState::Scheduled).await;
                (outcome, begun.elapsed())
            })
        })
        .collect();
    let (mut got, mut worst) = (0, Duration::ZERO);
    for task in tasks {
        let (outcome, took) = task.await.unwrap();
        worst = worst.max(took);
        match outcome {
            Ok(_) => got += 1,
            Err(StoreError::Refused(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    println!("50 racers for one slot on 20 connections: the slowest took {worst:?}");
    assert_eq!(got, 1);
}

/// What each job's worker does here: settles the row, so that it is not due again.
pub(crate) fn settle(job: Job, view: &View) -> clinic::Decision {
    let changed = match job {
        Job::Materialize => {
            let mut intent = view.intent()?.clone();
            intent.next_due_at = None;
            Change::Intent(intent)
        }
        Job::Fund => {
            let mut session = view.session()?.clone();
            (session.state, session.next_due_at) = (SessionState::Scheduled, None);
            Change::Session(session)
        }
        Job::Expire => Change::Ledger {
            account: view.account()?.clone(),
            entries: Vec::new(),
        },
        Job::Remind | Job::AskAttendance => {
            let mut session = view.session()?.clone();
            session.next_due_at = None;
            Change::Session(session)
        }
        Job::Dispatch => return notification::lease(view, now()),
    };
    Ok(applied(intent_id(0), vec![changed]))
}

struct Figures {
    worst: Duration,
    claimed: u32,
    busy: u32,
}

/// Claims one row of each job after another until told to stop. As the worker does, it goes on after
/// a row that it had to give back.
async fn claim_along(store: PostgresStore, left: Arc<AtomicU32>) -> Figures {
    let mut figures = Figures {
        worst: Duration::ZERO,
        claimed: 0,
        busy: 0,
    };
    let mut after = [None; Job::ALL.len()];
    while left.load(Ordering::Relaxed) > 0 {
        for (job, after) in Job::ALL.into_iter().zip(&mut after) {
            let claim = Claim {
                zone_data: None,
                job,
                now: now() + TimeDelta::days(1),
                after: after.take(),
                lease_until: None,
            };
            let begun = Instant::now();
            let claimed = store.claim(&claim, Box::new(move |view| settle(job, view)));
            let claimed = claimed.await.unwrap();
            figures.worst = figures.worst.max(begun.elapsed());
            let Some(claimed) = claimed else { continue };
            match claimed.outcome {
                Ok(_) => figures.claimed += 1,
                Err(StoreError::Busy) => {
                    figures.busy += 1;
                    *after = Some(claimed.position);
                }
                Err(error) => panic!("{}: {error:?}", job.name()),
            }
        }
    }
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_claims_of_the_same_people_never_deadlock() {
    const WRITERS: u32 = 12;
    const ROUNDS: u32 = 30;
    let _alone = MEASURING.lock().await;
    let (store, _) = open(20).await;
    people(&store, 3, 3).await;
    let left = Arc::new(AtomicU32::new(WRITERS));
    let workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(claim_along(store.clone(), left.clone())))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, left) = (store.clone(), left.clone());
            tokio::spawn(async move {
                let (mut worst, mut random) = (Duration::ZERO, u64::from(writer) + 1);
                for round in 0..ROUNDS {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let pair = (u128::from(random >> 33) % 3, u128::from(random >> 40) % 3);
                    let n = writer * ROUNDS + round;
                    let start = now() + TimeDelta::days(i64::from(n));
                    let state = match n % 3 {
                        0 => SessionState::Unfunded,
                        _ => SessionState::Scheduled,
                    };
                    let begun = Instant::now();
                    let outcome = book(&store, u128::from(n) + 1, pair, start, state).await;
                    worst = worst.max(begun.elapsed());
                    outcome.unwrap();
                }
                left.fetch_sub(1, Ordering::Relaxed);
                worst
            })
        })
        .collect();
    let mut worst = Duration::ZERO;
    for writer in writers {
        worst = worst.max(writer.await.unwrap());
    }
    let (mut claimed, mut busy, mut worst_claim) = (0, 0, Duration::ZERO);
    for worker in workers {
        let figures = worker.await.unwrap();
        worst_claim = worst_claim.max(figures.worst);
        claimed += figures.claimed;
        busy += figures.busy;
    }
    println!(
        "{} writes about 3 therapists and 3 clients: the slowest took {worst:?}; beside them \
         {claimed} claims and {busy} that gave way: the slowest took {worst_claim:?}",
        WRITERS * ROUNDS
    );
    assert!(worst.max(worst_claim) < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_due_row_is_claimed_once() {
    const ROWS: u128 = 120;
    let (store, _) = open(8).await;
    people(&store, 10, 10).await;
    let due = |n| {
        let intent = intent(n, therapist_id(n % 10), client_id(n / 10 % 10), now());
        Change::NewIntent(intent)
    };
    put(&store, (1..=ROWS).map(due).collect()).await.unwrap();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                loop {
                    let claim = Claim {
                        zone_data: None,
                        job: Job::Materialize,
                        now: now(),
                        after: None,
                        lease_until: None,
                    };
                    let decide = |view: &View| settle(Job::Materialize, view);
                    let Some(claimed) = store.claim(&claim, Box::new(decide)).await.unwrap() else {
                        break done;
                    };
                    match claimed.outcome {
                        Ok(_) => done.push(claimed.position.id),
                        Err(StoreError::Busy) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut times = BTreeMap::new();
    for worker in workers {
        for id in worker.await.unwrap() {
            *times.entry(id).or_insert(0) += 1;
        }
    }
    // A worker that sees all rest claimed by others leaves; what they gave back is done by them.
    let rest = store.backlog(Job::Materialize, now()).await.unwrap().due;
    assert_eq!(
        u128::try_from(times.len()).unwrap() + u128::from(rest),
        ROWS
    );
    assert_eq!(rest, 0);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_requests_under_one_key_one_is_stored() {
    let (store, plain) = open(8).await;
    people(&store, 1, 1).await;
    let mut retried = request();
    retried.idempotency = Some(store::Idempotency {
        key: "once".to_owned(),
        request_hash: [1; 32],
    });
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (store, request) = (store.clone(), retried.clone());
            tokio::spawn(async move {
                let intent = intent(n, therapist_id(0), client_id(0), now());
                let decided = applied(intent.id, vec![Change::NewIntent(intent)]);
                let scope = Scope::New { therapist: None };
                store
                    .write(&request, scope, Box::new(|_| Ok(decided)))
                    .await
            })
        })
        .collect();
    let mut committed = 0;
    for task in tasks {
        match task.await.unwrap().unwrap() {
            Written::Committed { .. } => committed += 1,
            other => assert!(matches!(other, Written::Replayed(_)), "{other:?}"),
        }
    }
    let (stored,): (i64,) = sqlx::query_as("SELECT count(*) FROM intent")
        .fetch_one(&plain)
        .await
        .unwrap();
    assert_eq!((committed, stored), (1, 1));
}

/// Somebody in another process who is deciding about the first therapist and client until told to go on.
struct Holder {
    writing: tokio::task::JoinHandle<Result<Written, StoreError>>,
    go_on: tokio::sync::oneshot::Sender<()>,
}

impl Holder {
    async fn of(store: &PostgresStore) -> Self {
        let store = store.clone();
        let (go_on, told) = tokio::sync::oneshot::channel();
        let (holds, held) = tokio::sync::oneshot::channel();
        let writing = tokio::spawn(async move {
            let decide = move |_: &View| {
                holds.send(()).unwrap();
                tokio::task::block_in_place(|| told.blocking_recv()).unwrap();
                Ok(clinic::Idempotent::AlreadyApplied)
            };
            let scope = booking(0, 0, now());
            store.write(&request(), scope, Box::new(decide)).await
        });
        held.await.unwrap();
        Self { writing, go_on }
    }

    async fn end(self) {
        self.go_on.send(()).unwrap();
        self.writing.await.unwrap().unwrap();
    }
}

/// Waits until so many locks that we take are held, or waited for, in this database.
async fn until_locks(plain: &PgPool, granted: bool, wanted: i64) {
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = $1
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let begun = Instant::now();
    loop {
        let query = sqlx::query_scalar(sql).bind(granted);
        let found: i64 = query.fetch_one(plain).await.unwrap();
        if found == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{found} locks");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_caller_who_gives_up_while_waiting_holds_nothing() {
    let (store, plain) = open(2).await;
    people(&store, 1, 1).await;
    let holder = Holder::of(&elsewhere(&plain).await).await;
    let second = book(&store, 1, (0, 0), now(), SessionState::Scheduled);
    let given_up = tokio::time::timeout(Duration::from_millis(200), second).await;
    assert!(given_up.is_err());
    holder.end().await;
    book(&store, 1, (0, 0), now(), SessionState::Scheduled)
        .await
        .unwrap();
    until_locks(&plain, true, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_occurrence_whose_parties_changed_meanwhile_is_locked_anew() {
    let (store, plain) = open(3).await;
    people(&store, 1, 2).await;
    let booked = intent(1, therapist_id(0), client_id(0), now());
    let at = booked.set.start();
    put(&store, vec![Change::NewIntent(booked)]).await.unwrap();

    let holder = Holder::of(&elsewhere(&plain).await).await;
    let writer = store.clone();
    let second = tokio::spawn(async move {
        let scope = Scope::Occurrence {
            address: clinic::Address::Occurrence(intent_id(1), at),
            around: None,
            history: false,
        };
        let decide = |view: &View| {
            assert_eq!(view.intent()?.client, client_id(1));
            assert_eq!(view.client()?.id, client_id(1));
            Ok(clinic::Idempotent::AlreadyApplied)
        };
        writer.write(&request(), scope, Box::new(decide)).await
    });
    until_locks(&plain, false, 1).await;
    sqlx::query("UPDATE intent SET client_id = $1")
        .bind(client_id(1).0)
        .execute(&plain)
        .await
        .unwrap();
    holder.end().await;
    assert_eq!(second.await.unwrap().unwrap(), Written::Unchanged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_somebody_writes_to_is_given_back_at_once() {
    let (store, plain) = open(3).await;
    people(&store, 1, 1).await;
    let due = intent(1, therapist_id(0), client_id(0), now());
    put(&store, vec![Change::NewIntent(due)]).await.unwrap();
    let claim = Claim {
        zone_data: None,
        job: Job::Materialize,
        now: now(),
        after: None,
        lease_until: None,
    };
    let holder = Holder::of(&elsewhere(&plain).await).await;
    let begun = Instant::now();
    let claimed = store.claim(&claim, Box::new(|_| unreachable!())).await;
    let claimed = claimed.unwrap().unwrap();
    assert!(matches!(claimed.outcome, Err(StoreError::Busy)));
    assert!(begun.elapsed() < Duration::from_secs(1));
    holder.end().await;
    let decide = |view: &View| settle(Job::Materialize, view);
    let claimed = store.claim(&claim, Box::new(decide)).await;
    claimed.unwrap().unwrap().outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_waits_too_long_for_a_lock_is_told_to_come_again() {
    let (store, plain) = open(2).await;
    people(&store, 1, 1).await;
    let holder = Holder::of(&elsewhere(&plain).await).await;
    let begun = Instant::now();
    let refused = book(&store, 1, (0, 0), now(), SessionState::Scheduled).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(9));
    let named = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'standing/%'";
    let named: i64 = sqlx::query_scalar(named).fetch_one(&plain).await.unwrap();
    assert!(named >= 2, "{named}");
    // Its connection is as good as new.
    holder.end().await;
    for n in 1..=3 {
        let start = now() + TimeDelta::days(n);
        let n = u128::try_from(n).unwrap();
        let booked = book(&store, n, (0, 0), start, SessionState::Scheduled).await;
        booked.unwrap();
    }
}

/// Of all who wait for one therapist only one holds a connection, so that whoever wants something
/// else finds one.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_waits_for_one_person_does_not_starve_the_rest() {
    let (store, plain) = open(2).await;
    people(&store, 2, 2).await;
    let holder = Holder::of(&elsewhere(&plain).await).await;
    let mut waiting = JoinSet::new();
    for n in 1..=10 {
        let store = store.clone();
        waiting.spawn(async move { book(&store, n, (0, 0), now(), SessionState::Scheduled).await });
    }
    until_locks(&plain, false, 1).await;
    for n in 11..=13 {
        let start = now() + TimeDelta::days(i64::try_from(n).unwrap());
        let begun = Instant::now();
        let booked = book(&store, n, (1, 1), start, SessionState::Scheduled).await;
        booked.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
    holder.end().await;
    let made = waiting.join_all().await.into_iter().filter(Result::is_ok);
    assert_eq!(made.count(), 1);
}
