//! Several services on one PostgreSQL database, of which one dies and one stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;
use crate::process::{Process, Run, signal};
use crate::whole::assert_whole;

const START: &str = "2026-03-02T08:00:00Z";
/// How long one process stands still.
const STANDSTILL: Duration = Duration::from_secs(60);
/// The longest that anybody may wait for it: a statement waits 5 s for a lock, a transaction that
/// stands still is ended after 10 s, and the rest is the machine's.
const PATIENCE: Duration = Duration::from_secs(12);

/// Whether a process holds a transaction open at this moment.
async fn is_within_transaction(database: &mut Database, process: u32) -> bool {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'standing/{process}' AND state LIKE 'idle in transaction%'"
    );
    database.number(&sql).await > 0
}

/// Stops the process at a moment when it has a transaction open.
async fn stop_within_transaction(database: &mut Database, process: u32) {
    for _ in 0..2000 {
        signal(process, "STOP");
        // What it had sent is answered by now.
        tokio::time::sleep(Duration::from_millis(5)).await;
        if is_within_transaction(database, process).await {
            return;
        }
        signal(process, "CONT");
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    panic!("the process was never within a transaction");
}

/// Books one occurrence after the other, each due at once, as long as it is to, and tells how long
/// the longest took and how many were made.
async fn book(
    clinic: Arc<Clinic>,
    mut parties: Parties,
    lane: i64,
    go_on: Arc<AtomicBool>,
) -> (Duration, i64) {
    let first: DateTime<Utc> = "2026-03-03T00:00:00Z".parse().unwrap();
    let (mut longest, mut made) = (Duration::ZERO, 0);
    while go_on.load(Ordering::Relaxed) {
        // A client each, every lane has its therapist, and the hours of six days.
        let client = json!({ "name": "C", "zone": "UTC" });
        let client = clinic.post_as(&clinic.admin, "/clients", &client).await;
        assert!(client.status.is_success(), "{}", client.body);
        parties.client = client.body["id"].as_str().unwrap().to_owned();
        clinic.grant(&parties, 1).await;
        let start = first + TimeDelta::hours(made);
        let body = booking(
            &parties,
            &start.format("%Y-%m-%dT%H:%M:%S").to_string(),
            None,
        );
        let began = Instant::now();
        let answer = clinic.post_as(&clinic.admin, "/intents", &body).await;
        longest = longest.max(began.elapsed());
        match answer.status.as_u16() {
            201 => made += 1,
            503 => {}
            other => panic!("lane {lane}: {other} {}", answer.body),
        }
        if made == 24 * 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    (longest, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_and_one_standing_still_hold_up_nobody_and_double_nothing() {
    let clinic = Arc::new(Clinic::on(Backend::Postgres, START).await);
    let mailbox = clinic.folder.path().join("mail");
    let mut database = Database::open(&clinic).await;
    let run = Run {
        database: &clinic.database,
        clock: START,
        mailbox: &mailbox,
    };
    let mut services: Vec<Process> = (0..3).map(|_| run.start("serve", &[])).collect();
    let go_on = Arc::new(AtomicBool::new(true));
    let mut lanes = JoinSet::new();
    for lane in 0..4 {
        let parties = clinic.parties().await;
        lanes.spawn(book(clinic.clone(), parties, lane, go_on.clone()));
    }

    stop_within_transaction(&mut database, services[1].id()).await;
    let stood_still = Instant::now();
    drop(services.remove(0)); // killed
    let stopped = services.remove(0);
    tokio::time::sleep(PATIENCE).await;
    assert!(
        !is_within_transaction(&mut database, stopped.id()).await,
        "its transaction is still open"
    );
    tokio::time::sleep(STANDSTILL.saturating_sub(stood_still.elapsed())).await;
    stopped.signal("CONT");
    // It goes on and works again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    go_on.store(false, Ordering::Relaxed);
    let mut bookings = 0;
    for (longest, made) in lanes.join_all().await {
        assert!(longest < PATIENCE, "a booking took {longest:?}");
        bookings += made;
    }
    assert!(bookings > 100, "only {bookings} bookings were made");

    // Both that are left stop when they are asked to.
    let mut left = services.remove(0);
    for process in [&mut left, &mut { stopped }] {
        process.signal("TERM");
        assert!(process.ends_well_within(Duration::from_secs(20)));
    }
    let clock = "2026-03-02T08:05:00Z";
    let run = Run { clock, ..run };
    assert!(run.tick().contains(" 0 failed"));
    let sessions = database.number("SELECT count(*) FROM session").await;
    assert_eq!(sessions, bookings);
    assert_whole(&mut database, &mailbox).await;
}
