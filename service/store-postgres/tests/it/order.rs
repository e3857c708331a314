//! Messages in their order, whoever leases them: those who write them, and those who claim them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use clinic::notification::{self, LEASE};
use clinic::scope::{Claim, Job};
use clinic::{Message, MessageState, Scope, View};
use scheduler_core::session::SessionState;
use store::{Request, Store, StoreError, Written};
use store_postgres::PostgresStore;
use uuid::Uuid;

use crate::practice::*;
use crate::races::booked;

/// Where the messages of one recipient, or about one session, have come to.
#[derive(Default)]
struct Road {
    last: u64,
    busy: bool,
}

/// Everybody's mail.
#[derive(Clone)]
struct Mail {
    store: PostgresStore,
    roads: Arc<Mutex<BTreeMap<Uuid, Road>>>,
}

impl Mail {
    /// Sends a leased message: nothing earlier is on its way or comes later. Then settles it.
    async fn send(&self, message: &Message) {
        let told = &message.notification;
        let roads = [told.recipient.id(), told.session.0];
        for id in roads {
            let mut all = self.roads.lock().unwrap();
            let road = all.entry(id).or_default();
            assert!(!road.busy, "{message:?} beside {}", road.last);
            assert!(road.last < message.seq, "{message:?} after {}", road.last);
            *road = Road {
                last: message.seq,
                busy: true,
            };
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        for id in roads {
            self.roads.lock().unwrap().get_mut(&id).unwrap().busy = false;
        }
        let lease = message.attempts;
        let decide = Box::new(move |view: &View| notification::sent(view, lease, now()));
        let scope = Scope::Message(message.seq);
        let settled = self.store.write(&request(), scope, decide).await;
        assert!(matches!(settled, Ok(Written::Committed { .. })));
    }

    /// Claims and sends until nobody writes any more and nothing is left.
    async fn claim_along(self, writing: Arc<AtomicU32>) -> u32 {
        let (mut claimed, mut after) = (0, None);
        loop {
            let done = writing.load(Ordering::SeqCst) == 0;
            let claim = Claim {
                zone_data: None,
                job: Job::Dispatch,
                now: now(),
                after,
                lease_until: None,
            };
            let mut leased = None;
            let decide = |view: &View| {
                leased = view.message().ok().cloned();
                notification::lease(view, now())
            };
            let outcome = self.store.claim(&claim, Box::new(decide)).await.unwrap();
            let Some(outcome) = outcome else {
                if done && after.is_none() {
                    return claimed;
                }
                after = None;
                tokio::task::yield_now().await;
                continue;
            };
            after = Some(outcome.position);
            match (outcome.outcome, leased) {
                (Ok(_), Some(mut message)) => {
                    message.attempts += 1;
                    self.send(&message).await;
                    claimed += 1;
                }
                (Err(StoreError::Busy), _) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Books, and sends what that leases.
    async fn book_along(self, writer: u32, writing: Arc<AtomicU32>) -> u32 {
        let (mut sent, mut random) = (0, u64::from(writer) + 1);
        let asking = Request {
            lease_until: Some(now() + LEASE),
            ..request()
        };
        for round in 0..ROUNDS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let pair = (u128::from(random >> 33) % 3, u128::from(random >> 40) % 3);
            let n = writer * ROUNDS + round;
            let start = now() + TimeDelta::days(i64::from(n));
            let (scope, decide) = booked(u128::from(n) + 1, pair, start, SessionState::Scheduled);
            let booked = self.store.write(&asking, scope, decide).await;
            let Ok(Written::Committed { leased, .. }) = booked else {
                panic!("{booked:?}");
            };
            for message in leased {
                self.send(&message).await;
                sent += 1;
            }
        }
        writing.fetch_sub(1, Ordering::SeqCst);
        sent
    }
}

const WRITERS: u32 = 8;
const ROUNDS: u32 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_overtakes_another_whoever_leases_them() {
    let _alone = MEASURING.lock().await;
    let (store, _) = open(20).await;
    people(&store, 3, 3).await;
    let mail = Mail {
        store,
        roads: Arc::default(),
    };
    let writing = Arc::new(AtomicU32::new(WRITERS));
    let claimers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(mail.clone().claim_along(writing.clone())))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(mail.clone().book_along(writer, writing.clone())))
        .collect();
    let (mut at_once, mut claimed) = (0, 0);
    for writer in writers {
        at_once += writer.await.unwrap();
    }
    for claimer in claimers {
        claimed += claimer.await.unwrap();
    }
    println!("{at_once} messages leased as they were written, {claimed} claimed");
    assert!(at_once > 0 && claimed > 0);
    assert_eq!(at_once + claimed, 2 * WRITERS * ROUNDS, "each once");
    let clinic = request().clinic;
    let left = mail.store.messages(clinic, MessageState::Pending, 0, 1);
    assert_eq!(left.await.unwrap(), []);
}
