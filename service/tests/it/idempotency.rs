//! Retries with an idempotency key.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::clinic::{Answer, Clinic, booking};
use crate::database::Database;

pub(crate) async fn post(
    clinic: &Clinic,
    token: &str,
    key: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let request = Request::post(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()));
    clinic.send(request.unwrap()).await
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_again() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let mut database = Database::open(&clinic).await;
    let grant = json!({
        "service_id": parties.service, "amount": 4, "source": "paid", "reason": "bank_transfer",
    });
    let requests = [
        (format!("/clients/{}/credits", parties.client), grant),
        (
            "/intents".to_owned(),
            booking(&parties, "2026-03-03T18:00:00", Some("FREQ=WEEKLY")),
        ),
        ("/clients".to_owned(), json!({ "name": "D", "zone": "UTC" })),
    ];
    for (number, (path, body)) in requests.iter().enumerate() {
        let key = format!("key-{number}");
        let first = post(&clinic, &clinic.admin, &key, path, body).await;
        assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let stored = database.dump().await;
        for _ in 0..3 {
            let again = post(&clinic, &clinic.admin, &key, path, body).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body));
            assert_eq!(again.headers["idempotent-replayed"], "true");
        }
        assert_eq!(database.dump().await, stored);
    }
    assert_eq!(clinic.balance(&parties).await.0, 4);
}

#[tokio::test]
async fn a_key_is_one_principal_s_and_stands_for_one_request() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let body = json!({ "name": "D", "zone": "UTC" });
    let first = post(&clinic, &clinic.admin, "k", "/clients", &body).await;
    let other = json!({ "name": "E", "zone": "UTC" });
    let reused = post(&clinic, &clinic.admin, "k", "/clients", &other).await;
    assert_eq!(reused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reused.body["code"], "idempotency_key_reused");

    let colleague = clinic.token(clinic::Role::Admin).await;
    let theirs = post(&clinic, &colleague, "k", "/clients", &body).await;
    assert_eq!(theirs.status, StatusCode::CREATED);
    assert_ne!(theirs.body["id"], first.body["id"]);
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again_under_its_key() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let intent = clinic.book(&parties, "2026-03-02T18:00:00", None).await;
    clinic.grant(&parties, 1).await;
    clinic.tick().await;
    let occurrence = format!("/intents/{intent}/occurrences/2026-03-02T18:00:00");
    let session = clinic.get(&occurrence).await["session_id"].clone();
    let path = format!("/sessions/{}/complete", session.as_str().unwrap());
    let early = post(&clinic, &clinic.admin, "done", &path, &json!({})).await;
    assert_eq!(early.body["code"], "not_started");
    clinic.jump_to("2026-03-02T19:00:00Z");
    let done = post(&clinic, &clinic.admin, "done", &path, &json!({})).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(done.body["state"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_at_once_under_one_key_are_one() {
    let clinic = std::sync::Arc::new(Clinic::at("2026-03-02T08:00:00Z").await);
    let parties = clinic.parties().await;
    let body = json!({
        "service_id": parties.service, "amount": 4, "source": "paid", "reason": "bank_transfer",
    });
    let path = format!("/clients/{}/credits", parties.client);
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(30));
    let racers: Vec<_> = (0..30)
        .map(|_| {
            let (clinic, start) = (clinic.clone(), start.clone());
            let (path, body) = (path.clone(), body.clone());
            tokio::spawn(async move {
                start.wait().await;
                post(&clinic, &clinic.admin, "once", &path, &body).await
            })
        })
        .collect();
    let mut replays = 0;
    for racer in racers {
        let answer = racer.await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        replays += usize::from(answer.headers.contains_key("idempotent-replayed"));
    }
    assert_eq!(replays, 29);
    assert_eq!(clinic.balance(&parties).await.0, 4);
}
