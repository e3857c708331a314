//! The net under the rules: what the database refuses even if the code were wrong.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use store::OpenError;
use store_sqlite::SqliteStore;
use tokio::sync::Barrier;

use crate::clinic::{Clinic, booking};
use crate::database::Database;

async fn with_sessions() -> (Clinic, Database) {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    clinic
        .book(&parties, "2026-03-02T18:00:00", Some("FREQ=DAILY"))
        .await;
    clinic.tick().await;
    let database = Database::open(&clinic).await;
    (clinic, database)
}

#[tokio::test]
async fn journal_and_ledger_are_append_only() {
    let (_clinic, mut database) = with_sessions().await;
    for table in ["journal", "ledger_entry"] {
        assert!(database.count(table).await > 0);
        for sql in [
            format!("UPDATE {table} SET body = '{{}}'"),
            format!("DELETE FROM {table}"),
        ] {
            let refused = database.execute(&sql).await.unwrap_err().to_string();
            assert!(refused.contains("append_only"), "{sql}: {refused}");
        }
    }
}

#[tokio::test]
async fn live_sessions_of_one_therapist_or_client_do_not_overlap() {
    let (_clinic, mut database) = with_sessions().await;
    let columns = "clinic_id, id, intent_id, recurrence_id, therapist_id, client_id, service_id,
        starts_at, ends_at, zone, tzdb, state, state_detail, slot_version, hold_generation,
        next_due_at, version";
    // The same appointment again, `shift` minutes later, of another client or therapist.
    let copy = |whose: &str, shift: i64, state: &str, number: i64| {
        let values = columns
            .replace("clinic_id, id,", "clinic_id, randomblob(16),")
            .replace("recurrence_id,", &format!("{number},"))
            .replace(whose, "randomblob(16)")
            .replace("starts_at,", &format!("starts_at + {shift} * 60000000,"))
            .replace("ends_at,", &format!("ends_at + {shift} * 60000000,"))
            .replace(" state,", &format!(" '{state}',"));
        format!(
            "INSERT INTO session ({columns}) SELECT {values} FROM session
                 WHERE state = 'scheduled' ORDER BY starts_at LIMIT 1"
        )
    };
    for other in ["client_id", "therapist_id"] {
        for shift in [-49, 0, 49] {
            for state in ["scheduled", "unfunded"] {
                let refused = database.execute(&copy(other, shift, state, 1)).await;
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("session_overlap"), "{refused}");
            }
        }
    }
    // Touching is not overlapping, and what is over takes no time.
    database
        .execute(&copy("client_id", 50, "scheduled", 1))
        .await
        .unwrap();
    database
        .execute(&copy("client_id", -50, "unfunded", 2))
        .await
        .unwrap();
    database
        .execute(&copy("client_id", 0, "cancelled", 3))
        .await
        .unwrap();
    let revived = database
        .execute("UPDATE session SET state = 'scheduled'")
        .await;
    assert!(revived.unwrap_err().to_string().contains("session_overlap"));
}

#[tokio::test]
async fn an_occurrence_has_one_session() {
    let (_clinic, mut database) = with_sessions().await;
    let doubled = "INSERT INTO session SELECT clinic_id, randomblob(16), intent_id, recurrence_id,
        randomblob(16), randomblob(16), service_id, starts_at, ends_at, zone, tzdb, state,
        state_detail, slot_version, hold_generation, next_due_at, version FROM session LIMIT 1";
    let refused = database.execute(doubled).await.unwrap_err().to_string();
    assert!(refused.contains("UNIQUE"), "{refused}");
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let (clinic, mut database) = with_sessions().await;
    clinic.app.store.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
        execution_time) VALUES (99, 'the future', TRUE, x'00', 0)";
    database.execute(newer).await.unwrap();
    match SqliteStore::open(&clinic.database()).await {
        Err(OpenError::NewerSchema { found, known, .. }) => assert_eq!((found, known), (99, 1)),
        other => panic!("{other:?}"),
    }
}

/// Sends all bodies at once and counts the answers: (created, clash).
async fn race(clinic: &Arc<Clinic>, bodies: Vec<Value>) -> (usize, usize) {
    let start = Arc::new(Barrier::new(bodies.len()));
    let racers: Vec<_> = bodies
        .into_iter()
        .map(|body| {
            let (clinic, start) = (clinic.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                clinic
                    .post_as(&clinic.admin, "/intents", &body)
                    .await
                    .status
            })
        })
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    (count(StatusCode::CREATED), count(StatusCode::CONFLICT))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_forty_who_book_one_slot_at_once_one_gets_it() {
    let clinic = Arc::new(Clinic::at("2026-03-02T08:00:00Z").await);
    let own = clinic.parties().await;
    let (mut one_therapist, mut one_client) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let other = clinic.parties().await;
        let mut body = booking(&own, "2026-03-03T18:00:00", Some("FREQ=WEEKLY"));
        body["client_id"] = json!(other.client);
        one_therapist.push(body);
        let mut body = booking(&own, "2026-03-04T18:00:00", Some("FREQ=WEEKLY"));
        body["therapist_id"] = json!(other.therapist);
        one_client.push(body);
    }
    assert_eq!(race(&clinic, one_therapist).await, (1, 39));
    assert_eq!(race(&clinic, one_client).await, (1, 39));
}
