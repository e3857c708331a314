//! For whoever keeps it running: health, metrics, request ids, the doctor.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use standing::doctor::examine;
use tower::ServiceExt;

use crate::clinic::{Clinic, booking};
use crate::database::Database;

async fn page(clinic: &Clinic, path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let routes = standing::serve::routes(clinic.app.clone());
    let response = routes.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(bytes.into()).unwrap(),
    )
}

#[tokio::test]
async fn health_is_the_process_s_and_the_database_s() {
    let mut clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let (stopper, stop) = standing::stop::Stop::new();
    clinic.app.stop = stop;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(page(&clinic, path).await.0, StatusCode::OK, "{path}");
    }
    stopper.stop();
    assert_eq!(page(&clinic, "/health/live").await.0, StatusCode::OK);
    let (status, headers, body) = page(&clinic, "/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"), "{body}");

    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    clinic.app.store.close().await;
    assert_eq!(page(&clinic, "/health/live").await.0, StatusCode::OK);
    let (status, ..) = page(&clinic, "/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = clinic.get_as("any", "/services").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn metrics_count_what_the_jobs_and_commands_do() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 1).await;
    clinic
        .book(&parties, "2026-03-03T18:00:00", Some("FREQ=DAILY;COUNT=2"))
        .await;
    clinic.app.clock.advance(chrono::TimeDelta::seconds(90));
    clinic.tick().await;
    let (status, headers, text) = page(&clinic, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .contains("openmetrics")
    );
    for line in [
        "standing_due{job=\"materialize\"} 1",
        "standing_claimed_total{job=\"materialize\"} 1",
        "standing_claimed_total{job=\"dispatch\"} 2",
        "standing_conflicts_total{job=\"fund\"} 0",
        "standing_retries_total{job=\"remind\"} 0",
        "standing_dead_letters_total 0",
        "standing_tick_duration_seconds_count{job=\"materialize\"} 1",
        // Two sessions, a hold, an account, two notifications, the intent, the journal.
        "standing_rows_written_total{by=\"materialize\"} 8",
        // An eager design has both dates already, and tops its year up by two: three rows each, and
        // nothing of the booking.
        "standing_rows_eager_total{by=\"materialize\"} 11",
        "standing_http_answers_total{method=\"POST\",status=\"201\"} 5",
    ] {
        assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
    }
    let lag = text
        .lines()
        .find(|line| line.starts_with("standing_lag_seconds{job=\"materialize\"}"));
    let lag: i64 = lag.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((90..120).contains(&lag), "{lag}");
    // Nothing about a person: no ids.
    assert!(!text.contains(&parties.client) && !text.contains(&parties.therapist));
}

#[tokio::test]
async fn whoever_asks_cannot_make_the_metrics_grow() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    for number in 0..50 {
        let method = format!("M{number}");
        let request = Request::builder()
            .method(&*method)
            .uri(format!("/{number}"));
        clinic.send(request.body(Body::empty()).unwrap()).await;
    }
    let text = clinic.app.metrics.text();
    assert!(
        text.contains("standing_http_answers_total{method=\"other\",status=\"404\"} 50"),
        "{text}"
    );
    assert!(!text.contains("M1"));
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let ask = async |id: Option<&str>| {
        let mut request = Request::get("/api/v1/services");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let answer = clinic.send(request.body(Body::empty()).unwrap()).await;
        answer.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_ne!(ask(None).await, ask(None).await);
    assert_eq!(ask(Some("abc-1_Z")).await, "abc-1_Z");
    for doubtful in ["", "has space", "jo@example.org", &"x".repeat(65)] {
        assert_ne!(ask(Some(doubtful)).await, doubtful);
    }
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_a_clinic_that_works() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 3).await;
    clinic
        .book(&parties, "2026-03-03T18:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.pass(24 * 9).await;
    let now = clinic.app.store.now().await.unwrap();
    let findings = examine(clinic.app.store.as_ref(), now, &[]).await;
    // The clinic goes by a clock of its own.
    let wrong: Vec<_> = findings.iter().filter(|one| !one.is_fine()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    for check in [
        "clock",
        "guards",
        "dispatch",
        "overlaps",
        "ledger",
        "holds",
        "calendars",
        "claims",
        "dead letters",
    ] {
        assert!(checks.contains(&check), "{checks:?}");
    }
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 3).await;
    clinic
        .book(&parties, "2026-03-03T18:00:00", Some("FREQ=DAILY;COUNT=3"))
        .await;
    clinic.tick().await;
    let mut database = Database::open(&clinic).await;
    let machine = "UPDATE deployment SET clock = 'machine'";
    database.execute(machine).await.unwrap();
    let wrong = async || {
        let now = clinic.app.clock.now();
        let findings = examine(clinic.app.store.as_ref(), now, &[]).await;
        let wrong = findings.into_iter().filter(|finding| !finding.is_fine());
        wrong
            .map(|finding| (finding.check, finding.to_string()))
            .collect::<Vec<_>>()
    };
    let named = async |check: &str, said: &str| {
        let wrong = wrong().await;
        let found = wrong.iter().find(|(name, _)| *name == check);
        assert!(
            found.is_some_and(|(_, text)| text.contains(said)),
            "{check}: {wrong:?}"
        );
    };
    for (make_worse, named_guard) in match database {
        Database::Sqlite(_) => [
            (
                "DROP TRIGGER journal_no_update",
                "trigger journal_no_update",
            ),
            (
                "DROP TRIGGER ledger_entry_no_delete",
                "trigger ledger_entry_no_delete",
            ),
            (
                "DROP TRIGGER session_insert_overlap",
                "trigger session_insert_overlap",
            ),
            (
                "DROP INDEX journal_idempotency",
                "index journal_idempotency",
            ),
            (
                "DROP TRIGGER journal_no_delete; CREATE TRIGGER journal_no_delete BEFORE DELETE
                 ON journal BEGIN SELECT 1; END",
                "trigger journal_no_delete",
            ),
        ],
        Database::Postgres(_) => [
            (
                "ALTER TABLE journal DISABLE TRIGGER journal_append_only",
                "trigger journal_append_only on journal",
            ),
            (
                "DROP TRIGGER ledger_entry_append_only ON ledger_entry",
                "trigger ledger_entry_append_only on ledger_entry",
            ),
            (
                "ALTER TABLE session DROP CONSTRAINT session_overlap_of_client",
                "constraint session_overlap_of_client on session",
            ),
            (
                "DROP INDEX journal_idempotency",
                "unique index journal_idempotency on journal",
            ),
            (
                "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_clinic_id_key_key",
                "constraint ledger_entry_clinic_id_key_key on ledger_entry",
            ),
        ],
    } {
        database.execute(make_worse).await.unwrap();
        named("guards", named_guard).await;
    }
    named("clock", "NTP").await; // the clinic's clock is set

    clinic
        .post("/intents", booking(&parties, "2026-03-02T12:00:00", None))
        .await;
    clinic.app.clock.advance(chrono::TimeDelta::minutes(11));
    named("materialize", "standing worker").await;
    clinic.tick().await;

    database
        .execute("UPDATE outbox SET state = 'dead', next_due_at = NULL, last_error = 'down'")
        .await
        .unwrap();
    named("dead letters", "replay").await;

    database.let_sessions_overlap().await;
    database.execute("UPDATE session SET starts_at = (SELECT min(starts_at) FROM session), ends_at = (SELECT min(ends_at) FROM session)").await.unwrap();
    named("overlaps", "Reschedule or cancel").await;

    clinic.parties().await; // a client without entries
    let forged = "UPDATE account SET snapshot =
                  (SELECT snapshot FROM account AS other WHERE other.version = 0)";
    database.execute(forged).await.unwrap();
    named("ledger", "Do not write to it").await;
}

#[tokio::test]
async fn the_doctor_says_of_which_clinic_a_finding_is() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    clinic.parties().await;
    let now = clinic.app.clock.now();
    let of = async || {
        let findings = examine(clinic.app.store.as_ref(), now, &[]).await;
        let holds = findings.into_iter().filter(|one| one.check == "holds");
        holds.map(|one| one.to_string()).collect::<Vec<_>>()
    };
    let one = of().await;
    assert_eq!(one.len(), 1);
    assert!(one[0].starts_with("ok     holds: "), "{one:?}");
    let elsewhere = store::Token {
        id: uuid::Uuid::from_u128(7),
        secret: clinic::StoredSecret {
            hash: [7; 32],
            mac: [7; 32],
        },
        clinic: clinic::ClinicId(uuid::Uuid::from_u128(7)),
        role: clinic::Role::Admin,
        created_at: now,
        ends_at: None,
    };
    clinic.app.store.add_token(&elsewhere).await.unwrap();
    let both = of().await;
    assert_eq!(both.len(), 2);
    let named = |line: &String| line.starts_with("ok     holds of clinic ");
    assert!(both.iter().all(named), "{both:?}");
}
