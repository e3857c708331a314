//! A PostgreSQL server that goes down in the middle of the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use standing::database::Database as Location;
use standing::worker;
use store_postgres::throwaway::Cluster;
use tokio::task::JoinSet;

use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;

const START: &str = "2026-03-02T08:00:00Z";
const LANES: usize = 6;
/// Hours of six days, which is what a tick at the start makes sessions of.
const HOURS: usize = 6 * 24;

/// What a lane has done.
#[derive(Default)]
struct Load {
    booked: i64,
    unavailable: u32,
}

/// Books hour after hour as long as it is to, each under a key of its own and until it is answered
/// with 201.
async fn book(clinic: Arc<Clinic>, all: Vec<Parties>, lane: usize, go_on: Arc<AtomicBool>) -> Load {
    let mut load = Load::default();
    for number in 0..all.len() * HOURS {
        if !go_on.load(Ordering::Relaxed) {
            break;
        }
        let (parties, hour) = (&all[number / HOURS], number % HOURS);
        let start = format!("2026-03-{:02}T{:02}:00:00", 3 + hour / 24, hour % 24);
        let body = booking(parties, &start, None);
        loop {
            let request = Request::post("/api/v1/intents")
                .header("authorization", format!("Bearer {}", clinic.admin))
                .header("idempotency-key", format!("{lane}-{number}"))
                .body(Body::from(body.to_string()));
            let answer = clinic.send(request.unwrap()).await;
            match answer.status.as_u16() {
                201 => break,
                503 => {
                    assert_eq!(answer.body["code"], "unavailable");
                    assert!(answer.headers.contains_key("retry-after"));
                    load.unavailable += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => panic!("{other}: {}", answer.body),
            }
        }
        load.booked += 1;
    }
    load
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_costs_clean_refusals_and_nothing_else() {
    // Its own server, so that no other test goes down with it.
    let cluster = Arc::new(Cluster::start().unwrap());
    let database = Location::Postgres(cluster.database().await.unwrap());
    let clinic = Arc::new(Clinic::at_database(database, START).await);
    let go_on = Arc::new(AtomicBool::new(true));
    let working = tokio::spawn({
        let (app, go_on) = (clinic.app.clone(), go_on.clone());
        async move {
            while go_on.load(Ordering::Relaxed) {
                worker::tick(&app).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mut all = Vec::new();
        for _ in 0..8 {
            let parties = clinic.parties().await;
            clinic.grant(&parties, 200).await;
            all.push(parties);
        }
        lanes.spawn(book(clinic.clone(), all, lane, go_on.clone()));
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let cluster = cluster.clone();
        let restarted = tokio::task::spawn_blocking(move || cluster.restart_immediate());
        restarted.await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    go_on.store(false, Ordering::Relaxed);
    let mut all = Load::default();
    for load in lanes.join_all().await {
        assert!(load.booked > 0, "a lane was stuck");
        all.booked += load.booked;
        all.unavailable += load.unavailable;
    }
    assert!(all.unavailable > 0, "nobody noticed");
    working.await.unwrap();

    clinic.app.clock.advance(chrono::TimeDelta::minutes(2));
    assert_eq!(worker::tick(&clinic.app).await.failed, 0);
    let mut database = Database::open(&clinic).await;
    let bookings = all.booked;
    assert_eq!(
        database.number("SELECT count(*) FROM intent").await,
        bookings
    );
    assert_eq!(
        database.number("SELECT count(*) FROM session").await,
        bookings
    );
    let holds = "SELECT count(*) FROM ledger_entry WHERE key LIKE '%/hold/1'";
    assert_eq!(database.number(holds).await, bookings);
    let told = "SELECT count(*) FROM outbox WHERE state = 'sent'";
    assert_eq!(database.number(told).await, bookings);
    let keys = "SELECT count(DISTINCT idempotency_key) FROM journal WHERE kind = 'intent_created'";
    assert_eq!(database.number(keys).await, bookings);
}
