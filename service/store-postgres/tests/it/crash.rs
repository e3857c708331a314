//! The server ends in the midst of its work, and comes back.

use std::time::{Duration, Instant};

use store::{Store, StoreError};
use store_postgres::PostgresStore;
use store_postgres::throwaway::{Cluster, ThrowawayError};

use crate::practice::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_outlives_a_crash_of_the_server() {
    let begun = Instant::now();
    let cluster = Cluster::start().unwrap();
    let started = begun.elapsed();
    let url = cluster.database().await.unwrap();
    let first = begun.elapsed();
    cluster.database().await.unwrap();
    println!(
        "a server in {started:.1?}, its first database {:.1?} later, the next in {:.1?}",
        first.saturating_sub(started),
        begun.elapsed().saturating_sub(first)
    );
    let store = PostgresStore::open(&url, 4).await.unwrap();
    people(&store, 1, 1).await;

    match cluster.restart_immediate() {
        Err(ThrowawayError::NotOurs(_)) => return,
        restarted => restarted.unwrap(),
    }
    // Connections of before fail once, as what may pass, and are replaced.
    let begun = Instant::now();
    let found = loop {
        match store.client(CLINIC, client_id(0)).await {
            Ok(found) => break found,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    };
    assert!(found.is_some());
    put(
        &store,
        vec![clinic::Change::Therapist(therapist(therapist_id(7)))],
    )
    .await
    .unwrap();
    let log = cluster.log().unwrap();
    assert!(log.exists());
    drop(cluster);
    assert!(!log.exists());
    let gone = store.client(CLINIC, client_id(0)).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
}
