//! The clocks of writer and server.

use chrono::TimeDelta;
use clinic::scope::{Claim, Job};
use clinic::{ClinicId, Idempotent, Scope};
use store::contract::Fixture;
use store::{Request, Store, StoreError, Written};

use crate::practice::{elsewhere, open};

const NONE: Scope = Scope::New { therapist: None };

/// Nobody whose clock is away from the server's writes anything, ahead or behind; and what was waited
/// for a lock is no skew.
#[tokio::test]
async fn a_writer_whose_clock_is_away_is_refused() {
    let (_, plain) = open(1).await;
    let machine = "UPDATE deployment SET clock = 'machine'";
    sqlx::query(machine).execute(&plain).await.unwrap();
    let store = elsewhere(&plain).await;
    for millis in [
        -86_400_000,
        -3_000,
        -1_000,
        0,
        1_000,
        3_000,
        31_536_000_000_i64,
    ] {
        let at = store.now().await.unwrap() + TimeDelta::milliseconds(millis);
        let request = Request::of_tick(ClinicId::FIRST, at);
        let decide = Box::new(|_: &_| Ok(Idempotent::AlreadyApplied));
        let written = store.write(&request, NONE, decide).await;
        let claim = Claim {
            job: Job::Expire,
            now: at,
            after: None,
            lease_until: None,
            zone_data: None,
        };
        let decide = Box::new(|_: &_| Ok(Idempotent::AlreadyApplied));
        let claimed = store.claim(&claim, decide).await;
        if millis.abs() > 2_000 {
            assert!(
                matches!(written, Err(StoreError::ClockSkew { .. })),
                "{millis} {written:?}"
            );
            assert!(
                matches!(claimed, Err(StoreError::ClockSkew { .. })),
                "{millis} {claimed:?}"
            );
        } else {
            assert!(
                matches!(written, Ok(Written::Unchanged)),
                "{millis} {written:?}"
            );
            assert!(matches!(claimed, Ok(None)), "{millis} {claimed:?}");
        }
    }
    let wider = "UPDATE deployment SET skew_max_ms = 60000";
    sqlx::query(wider).execute(&plain).await.unwrap();
    let store = elsewhere(&plain).await;
    let at = store.now().await.unwrap() + TimeDelta::seconds(30);
    let decide = Box::new(|_: &_| Ok(Idempotent::AlreadyApplied));
    let request = Request::of_tick(ClinicId::FIRST, at);
    assert!(store.write(&request, NONE, decide).await.is_ok());
}

/// Only a database that was never written to takes a clock of its own.
#[tokio::test]
async fn what_keeps_the_machines_time_goes_on_keeping_it() {
    let (own, plain) = open(2).await;
    assert!(own.take_own_clock().await.unwrap());
    assert_eq!(own.last_written().await.unwrap(), None);
    let machine = "UPDATE deployment SET clock = 'machine', skew_max_ms = 2000000000";
    sqlx::query(machine).execute(&plain).await.unwrap();
    let fixture = Fixture::open(std::sync::Arc::new(own)).await;
    let written = fixture.store.last_written().await.unwrap();
    assert!(written.is_some());
    let store = elsewhere(&plain).await;
    assert!(!store.take_own_clock().await.unwrap());
    let clock: String = sqlx::query_scalar("SELECT clock FROM deployment")
        .fetch_one(&plain)
        .await
        .unwrap();
    assert_eq!(clock, "machine");
}
