//! Messages: leased under a number that only rises, in order for each recipient and session.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::notification::{LEASE, failed, lease, sent};
use clinic::scope::{Claim, Job, Position};
use clinic::{
    Change, Decision, MessageState, Notification, NotificationKind, Recipient, Refusal, Scope, View,
};

use scheduler_core::session::Session;

use super::fixture::{Fixture, committing, now};
use crate::{Claimed, Request, Store, StoreError, Written};

async fn lease_next(
    clinic: &Fixture,
    now: DateTime<Utc>,
    after: Option<Position>,
) -> Option<Claimed> {
    let claim = Claim {
        zone_data: None,
        job: Job::Dispatch,
        now,
        after,
        lease_until: None,
    };
    let decide = move |view: &View| lease(view, now);
    clinic.store.claim(&claim, Box::new(decide)).await.unwrap()
}

async fn settle(
    clinic: &Fixture,
    seq: u64,
    now: DateTime<Utc>,
    decide: impl FnOnce(&View) -> Decision + Send,
) -> Result<Written, StoreError> {
    let request = Request::of_tick(clinic.principal.clinic, now);
    let scope = Scope::Message(seq);
    clinic.store.write(&request, scope, Box::new(decide)).await
}

fn assert_lost(outcome: &Result<Written, StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Refused(Refusal::LeaseLost { .. }))),
        "{outcome:?}"
    );
}

/// Whoever slept past its lease cannot say that the message was sent, whether or not somebody else
/// has taken over.
pub async fn a_lease_that_ran_out_cannot_settle(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 600);
    let told = Notification::to_client(NotificationKind::Scheduled, &session, now());
    let rows = vec![
        Change::NewIntent(intent),
        Change::NewSession(session),
        Change::Notify(told),
    ];
    clinic.commit(rows).await.unwrap();
    let message = async || {
        let of = clinic.principal.clinic;
        let all = [MessageState::Pending, MessageState::Sent];
        for state in all {
            let mut found = clinic.store.messages(of, state, 0, 1).await.unwrap();
            if let Some(message) = found.pop() {
                return message;
            }
        }
        panic!("the message is gone");
    };

    lease_next(&clinic, now(), None).await.unwrap();
    let seq = message().await.seq;
    assert_eq!(message().await.attempts, 1);
    assert!(
        lease_next(&clinic, now(), None).await.is_none(),
        "it is leased"
    );
    let run_out = now() + LEASE;
    assert_lost(&settle(&clinic, seq, run_out, |view| sent(view, 1, run_out)).await);

    lease_next(&clinic, run_out, None).await.unwrap();
    assert_eq!(message().await.attempts, 2);
    for stale in [0, 1, 3] {
        assert_lost(&settle(&clinic, seq, run_out, |view| sent(view, stale, run_out)).await);
        let late = settle(&clinic, seq, run_out, |view| {
            failed(view, stale, "x", 0, run_out)
        });
        assert_lost(&late.await);
    }
    let before_its_end = run_out + LEASE - TimeDelta::microseconds(1);
    let settled = settle(&clinic, seq, before_its_end, |view| {
        sent(view, 2, before_its_end)
    })
    .await;
    assert!(
        matches!(settled, Ok(Written::Committed { rows: 1, .. })),
        "{settled:?}"
    );
    let after = message().await;
    assert_eq!((after.state, after.next_due_at), (MessageState::Sent, None));
    assert_lost(
        &settle(&clinic, seq, before_its_end, |view| {
            sent(view, 2, before_its_end)
        })
        .await,
    );
}

/// A later message waits for an earlier one to the same recipient or about the same session, also
/// while that one is leased or waits for another attempt.
pub async fn no_message_overtakes_another(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let mine = clinic.intent(100);
    let mut theirs = clinic.intent(101);
    (theirs.therapist, theirs.client) = (clinic.therapists[1], clinic.clients[1]);
    let one = clinic.session(&mine, 600);
    let two = clinic.session(&mine, 700);
    let three = clinic.session(&theirs, 600);
    let tell = |kind, session, recipient| {
        Change::Notify(Notification {
            recipient,
            ..Notification::to_client(kind, session, now())
        })
    };
    let client = Recipient::Client(clinic.clients[0]);
    let therapist = Recipient::Therapist(clinic.therapists[0]);
    let rows = vec![
        Change::NewIntent(mine.clone()),
        Change::NewIntent(theirs),
        Change::NewSession(one.clone()),
        Change::NewSession(two.clone()),
        Change::NewSession(three.clone()),
        tell(NotificationKind::Scheduled, &one, client), // 1
        tell(NotificationKind::Scheduled, &two, client), // 2: the same recipient
        tell(NotificationKind::Scheduled, &one, therapist), // 3: the same session
        tell(
            NotificationKind::Scheduled,
            &three,
            Recipient::Client(clinic.clients[1]),
        ), // 4: nothing in common
    ];
    clinic.commit(rows).await.unwrap();
    let of = clinic.principal.clinic;
    let pending = clinic
        .store
        .messages(of, MessageState::Pending, 0, 10)
        .await;
    let seqs: Vec<u64> = pending.unwrap().iter().map(|message| message.seq).collect();
    let [first, second, third, fourth] = seqs[..] else {
        panic!("{seqs:?}");
    };
    let leased = async |now| {
        let (mut ids, mut after) = (Vec::new(), None);
        while let Some(claimed) = lease_next(&clinic, now, after).await {
            ids.push(u64::try_from(claimed.position.id).unwrap());
            after = Some(claimed.position);
        }
        ids
    };
    assert_eq!(leased(now()).await, [first, fourth]);
    assert!(leased(now()).await.is_empty(), "leased, not settled");
    let at = now();
    settle(&clinic, first, at, |view| failed(view, 1, "down", 0, at))
        .await
        .unwrap();
    settle(&clinic, fourth, at, |view| sent(view, 1, at))
        .await
        .unwrap();
    assert!(
        leased(at).await.is_empty(),
        "the first waits for its second attempt"
    );
    let at = now() + TimeDelta::seconds(10);
    assert_eq!(leased(at).await, [first]);
    settle(&clinic, first, at, |view| sent(view, 2, at))
        .await
        .unwrap();
    assert_eq!(leased(at).await, [second, third]);
}

/// What a write tells is leased to whoever writes it, if nothing stands before it and it is due; what is
/// not waits as ever. Such a lease is one like any other. What is not written leases nothing.
pub async fn a_writer_leases_what_it_tells(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let mine = clinic.intent(100);
    let mut theirs = clinic.intent(101);
    (theirs.therapist, theirs.client) = (clinic.therapists[1], clinic.clients[1]);
    let one = clinic.session(&mine, 600);
    let two = clinic.session(&mine, 700);
    let three = clinic.session(&theirs, 600);
    let rows = vec![
        Change::NewIntent(mine.clone()),
        Change::NewIntent(theirs),
        Change::NewSession(one.clone()),
        Change::NewSession(two.clone()),
        Change::NewSession(three.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let write = async |told: Vec<Notification>, lease_until: Option<DateTime<Utc>>| {
        let request = Request {
            lease_until,
            ..Request::of_tick(of, now())
        };
        let decide = move |_: &View| committing(told.into_iter().map(Change::Notify).collect());
        let scope = Scope::New { therapist: None };
        match clinic.store.write(&request, scope, Box::new(decide)).await {
            Ok(Written::Committed { leased, rows, .. }) => (leased, rows),
            other => panic!("{other:?}"),
        }
    };
    let client = |kind, session| Notification::to_client(kind, session, now());
    let until = now() + LEASE;

    // The first to a client is leased; the second, in the same commit, and a third about another
    // session wait for it. Another client's is leased beside it, one that is due later is not.
    let scheduled = NotificationKind::Scheduled;
    let later = Notification {
        due_at: now() + TimeDelta::hours(1),
        ..Notification::to_therapist(scheduled, &three, now())
    };
    let told = vec![
        client(scheduled, &one),
        client(scheduled, &two),
        client(scheduled, &three),
    ];
    let (leased, rows) = write(told, Some(until)).await;
    let about: Vec<_> = leased
        .iter()
        .map(|message| message.notification.session)
        .collect();
    assert_eq!((about, rows), (vec![one.id, three.id], 4));
    let (first, other) = (leased[0].clone(), leased[1].clone());
    assert_eq!((first.attempts, first.next_due_at), (1, Some(until)));
    let stored = clinic.store.message(of, first.seq).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&first), "it is what is stored");

    let to_therapist = Notification::to_therapist(scheduled, &one, now());
    for told in [to_therapist, client(NotificationKind::Cancelled, &two)] {
        let (leased, rows) = write(vec![told], Some(until)).await;
        assert_eq!((leased, rows), (vec![], 2), "one stands before it");
    }
    let again = write(vec![client(scheduled, &one)], Some(until)).await;
    assert_eq!(again, (vec![], 1), "it is told once");

    // Nobody else has it before its time runs out, and it is settled by its number.
    assert!(lease_next(&clinic, now(), None).await.is_none());
    assert_lost(&settle(&clinic, first.seq, until, |view| sent(view, 1, until)).await);
    let at = until - TimeDelta::microseconds(1);
    settle(&clinic, first.seq, at, |view| sent(view, 1, at))
        .await
        .unwrap();
    let next = lease_next(&clinic, at, None).await.unwrap();
    assert_eq!(next.position.id, u128::from(first.seq) + 1, "it is free");
    let next = lease_next(&clinic, at, Some(next.position)).await.unwrap();
    assert_eq!(next.position.id, u128::from(other.seq) + 1, "so is this");
    assert!(lease_next(&clinic, at, None).await.is_none());
    let lost = lease_next(&clinic, until, None).await.unwrap();
    assert_eq!(lost.position.id, u128::from(other.seq));
    settle(&clinic, other.seq, until, |view| sent(view, 2, until))
        .await
        .unwrap();
    let (leased, rows) = write(vec![later], Some(until)).await;
    assert_eq!((leased, rows), (vec![], 2), "it is not due");
    let reminder = NotificationKind::Reminder { minutes: 60 };
    let told = Notification {
        recipient: Recipient::Client(clinic.clients[1]),
        ..client(reminder, &three)
    };
    let (leased, _) = write(vec![told], None).await;
    assert_eq!(leased, [], "nobody asked for it");
    leases_nothing_unless_it_writes(&clinic, &two).await;
}

/// A dry run, and what breaks a constraint.
async fn leases_nothing_unless_it_writes(clinic: &Fixture, session: &Session) {
    let kind = NotificationKind::Reminder { minutes: 5 };
    let told = Change::Notify(Notification::to_client(kind, session, now()));
    let taken = Change::NewSession(session.clone());
    let asking = Request {
        lease_until: Some(now() + LEASE),
        ..Request::of(clinic.principal, now())
    };
    let write = async |request: &Request, changes: Vec<Change>| {
        let scope = Scope::New { therapist: None };
        let decide = Box::new(move |_: &View| committing(changes));
        clinic.store.write(request, scope, decide).await
    };
    let dry_run = Request {
        dry_run: true,
        ..asking.clone()
    };
    let tried = write(&dry_run, vec![told.clone()]).await;
    assert!(matches!(tried, Ok(Written::DryRun(_))), "{tried:?}");
    let broken = write(&asking, vec![told.clone(), taken]).await;
    assert!(broken.is_err(), "{broken:?}");
    let of = clinic.principal.clinic;
    let all = clinic.store.messages(of, MessageState::Pending, 0, 100);
    let all = all.await.unwrap();
    let stored = all.iter().find(|message| message.notification.kind == kind);
    assert_eq!(stored, None);
}
