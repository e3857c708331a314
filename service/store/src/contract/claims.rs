//! Claims: every due row once, in order, whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use clinic::scope::{Claim, Job};
use clinic::{Change, Notification, NotificationKind, Refusal, View};
use scheduler_core::session::SessionState;
use tokio::task::JoinSet;

use super::fixture::{Fixture, committing, now};
use crate::{Claimed, Store, StoreError, Written};

fn claim(job: Job) -> Claim {
    Claim {
        job,
        now: now(),
        after: None,
        lease_until: None,
        zone_data: None,
    }
}

/// Claims and takes the row out of what is due.
async fn take(store: &dyn Store, claim: &Claim) -> Option<Claimed> {
    let decide = |view: &View| {
        let mut after = view.intent()?.clone();
        after.next_due_at = None;
        committing(vec![Change::Intent(after)])
    };
    store.claim(claim, Box::new(decide)).await.unwrap()
}

/// Eight workers, 60 due intents of few people: each intent is had by one worker, once.
pub async fn a_due_row_is_claimed_once_however_many_claim(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let mut rows = Vec::new();
    for number in 0..60 {
        let mut intent = clinic.intent(100 + number);
        intent.therapist = clinic.therapists[usize::from(number % 2 == 0)];
        intent.client = clinic.clients[usize::from(number % 3 == 0)];
        let late = i64::try_from(number).unwrap();
        intent.next_due_at = Some(now() - TimeDelta::seconds(late / 4));
        rows.push(Change::NewIntent(intent));
    }
    clinic.commit(rows).await.unwrap();
    let backlog = clinic.store.backlog(Job::Materialize, now()).await.unwrap();
    assert_eq!(backlog.due, 60);
    assert_eq!(backlog.oldest, Some(now() - TimeDelta::seconds(14)));

    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let store = clinic.store.clone();
        workers.spawn(async move {
            let mut had = Vec::new();
            let mut claim = claim(Job::Materialize);
            loop {
                let Some(claimed) = take(store.as_ref(), &claim).await else {
                    if claim.after.take().is_none() {
                        break had;
                    }
                    continue; // once more from the start, for what others were busy with
                };
                match claimed.outcome {
                    Ok(Written::Committed { .. }) => had.push(claimed.position.id),
                    Err(StoreError::Busy) => {}
                    other => panic!("{other:?}"),
                }
                claim.after = Some(claimed.position);
            }
        });
    }
    let mut had = BTreeMap::<u128, usize>::new();
    for id in workers.join_all().await.concat() {
        *had.entry(id).or_default() += 1;
    }
    assert_eq!(had.len(), 60);
    assert!(had.values().all(|times| *times == 1), "{had:?}");
    assert_eq!(
        clinic
            .store
            .backlog(Job::Materialize, now())
            .await
            .unwrap()
            .due,
        0
    );
}

pub async fn a_row_that_fails_is_passed_over_and_stays_due(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let mut rows = Vec::new();
    for number in 0..3 {
        let mut intent = clinic.intent(100 + number);
        intent.next_due_at = Some(now());
        rows.push(Change::NewIntent(intent));
    }
    clinic.commit(rows).await.unwrap();
    let before = clinic.dump().await;
    let mut claim = claim(Job::Materialize);
    let mut ids = Vec::new();
    let refuse = |_: &View| Err(Refusal::NotFound { what: "luck" });
    while let Some(claimed) = clinic.store.claim(&claim, Box::new(refuse)).await.unwrap() {
        assert!(matches!(claimed.outcome, Err(StoreError::Refused(_))));
        assert_eq!(claimed.clinic, clinic.principal.clinic);
        ids.push(claimed.position.id);
        claim.after = Some(claimed.position);
    }
    assert_eq!(ids.len(), 3);
    assert!(ids.is_sorted(), "due at the same time, they come by id");
    assert_eq!(clinic.dump().await, before);
    // The next tick finds them again.
    assert_eq!(
        clinic
            .store
            .backlog(Job::Materialize, now())
            .await
            .unwrap()
            .due,
        3
    );
    claim.after = None;
    let again = take(clinic.store.as_ref(), &claim).await.unwrap();
    assert_eq!(again.position.id, ids[0]);
}

pub async fn each_job_claims_its_own_in_order(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let at = |minutes| Some(now() + TimeDelta::minutes(minutes));
    let mut waits = clinic.session(&intent, 100);
    (waits.state, waits.next_due_at) = (SessionState::Unfunded, at(-1));
    let mut reminded = clinic.session(&intent, 200);
    reminded.next_due_at = at(-2);
    let mut reminded_first = clinic.session(&intent, 300);
    reminded_first.next_due_at = at(-3);
    let mut over = clinic.session(&intent, -200);
    over.next_due_at = at(-30);
    let mut not_yet = clinic.session(&intent, 400);
    not_yet.next_due_at = at(1);
    let mut cancelled = clinic.session(&intent, 500);
    cancelled.state = SessionState::Missed;
    let told = Notification::to_client(NotificationKind::Scheduled, &reminded, now());
    let later = Notification::to_client(
        NotificationKind::Cancelled,
        &reminded,
        now() + TimeDelta::hours(1),
    );
    let rows = [
        &waits,
        &reminded,
        &reminded_first,
        &over,
        &not_yet,
        &cancelled,
    ];
    let mut rows: Vec<Change> = rows.map(|row| Change::NewSession(row.clone())).into();
    rows.insert(0, Change::NewIntent(intent.clone()));
    rows.extend([Change::Notify(told), Change::Notify(later)]);
    clinic.commit(rows).await.unwrap();

    let claimed = async |job| {
        let (mut claim, mut ids) = (claim(job), Vec::new());
        let pass = |_: &View| Err(Refusal::NotFound { what: "need" });
        while let Some(claimed) = clinic.store.claim(&claim, Box::new(pass)).await.unwrap() {
            ids.push(claimed.position.id);
            claim.after = Some(claimed.position);
        }
        let backlog = clinic.store.backlog(job, now()).await.unwrap();
        assert_eq!(usize::try_from(backlog.due).unwrap(), ids.len(), "{job:?}");
        ids
    };
    let number = |session: &scheduler_core::session::Session| session.id.0.as_u128();
    assert_eq!(claimed(Job::Materialize).await, []);
    assert_eq!(claimed(Job::Fund).await, [number(&waits)]);
    assert_eq!(
        claimed(Job::Remind).await,
        [number(&reminded_first), number(&reminded)]
    );
    assert_eq!(claimed(Job::AskAttendance).await, [number(&over)]);
    assert_eq!(claimed(Job::Dispatch).await.len(), 1);

    // What the decision sees.
    let mut seen = None;
    let look = |view: &View| {
        seen = Some(view.clone());
        Err(Refusal::NotFound { what: "need" })
    };
    let fund = claim(Job::Fund);
    clinic.store.claim(&fund, Box::new(look)).await.unwrap();
    let view = seen.unwrap();
    assert_eq!(
        (view.session, view.intent),
        (Some(waits.clone()), Some(intent))
    );
    assert!(view.account.is_some() && view.service.is_some());
    assert_eq!(view.waiting, [waits]);
}
