//! A new generation of the zone data beside planning writes under way.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use clinic::Scope;
use clinic::zone_data::{Edition, Planned};
use store::{Request, Store, StoreError, Written};
use store_postgres::PostgresStore;
use uuid::Uuid;

use crate::practice::*;

fn planned(generation: u64) -> Planned {
    Planned {
        generation,
        edition: Edition {
            release: "2026f".to_owned(),
            fingerprint: Uuid::from_u128(generation.into()),
            zones: BTreeMap::new(),
        },
        since: now(),
        settled: None,
    }
}

/// A planning write of a generation, which decides when it is told to.
async fn write(
    store: PostgresStore,
    generation: u64,
    told: mpsc::Receiver<()>,
    begun: mpsc::Sender<()>,
) -> Result<Written, StoreError> {
    let request = Request {
        zone_data: Some(generation),
        ..request()
    };
    let decide = Box::new(move |_: &_| {
        begun.send(()).unwrap();
        // A thread that waits must not keep the tasks that wait for it.
        tokio::task::block_in_place(|| told.recv().unwrap());
        Ok(applied(intent_id(1), Vec::new()))
    });
    let scope = Scope::New { therapist: None };
    store.write(&request, scope, decide).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_generation_waits_for_planning_writes_and_none_comes_after_it() {
    let (store, plain) = open(4).await;
    assert!(store.take_over(&planned(1)).await.unwrap());
    let (tell, told) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    let writing = tokio::spawn(write(store.clone(), 1, told, begun));
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();

    // Another process brings other data while the write decides.
    let other = elsewhere(&plain).await;
    let taking = tokio::spawn(async move { other.take_over(&planned(2)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!taking.is_finished(), "it has not waited");
    let last = store.zone_data(None).await.unwrap();
    assert_eq!(last.map(|last| last.generation), Some(1));

    tell.send(()).unwrap();
    assert!(matches!(
        writing.await.unwrap(),
        Ok(Written::Committed { .. })
    ));
    assert!(taking.await.unwrap().unwrap());

    let (_tell, told) = mpsc::channel();
    let (begun, _has_begun) = mpsc::channel();
    match write(store, 1, told, begun).await {
        Err(StoreError::OtherZoneData { planned, ours }) => assert_eq!((planned, ours), (2, 1)),
        other => panic!("{other:?}"),
    }
}
