//! What could be read in two ways is refused, and answers say how they are to be kept.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::clinic::{Answer, Clinic};

/// A POST with these headers.
async fn post(clinic: &Clinic, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/v1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    clinic.send(request).await
}

#[tokio::test]
async fn a_header_that_says_two_things_is_refused() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let token = format!("Bearer {}", clinic.admin);
    let body = json!({ "name": "C", "zone": "UTC" }).to_string();
    let twice = [
        [
            ("authorization", token.as_str()),
            ("authorization", "Bearer other"),
        ],
        [("idempotency-key", "a"), ("idempotency-key", "b")],
        [("if-match", "\"1\""), ("if-match", "\"2\"")],
        [
            ("content-type", "application/json"),
            ("content-type", "text/html"),
        ],
    ];
    for pair in twice {
        let mut headers = pair.to_vec();
        if pair[0].0 != "authorization" {
            headers.push(("authorization", &token));
        }
        let answer = post(&clinic, "/clients", &headers, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{pair:?}");
        assert_eq!(answer.body["code"], "malformed_header");
        assert_eq!(answer.body["field"], pair[0].0);
    }
    assert_eq!(clinic.get("/clients").await["items"], json!([]));
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let token = format!("Bearer {}", clinic.admin);
    let body = json!({ "name": "C", "zone": "UTC" }).to_string();
    for (name, value, status) in [
        (
            "content-type",
            "application/json; charset=utf-8",
            StatusCode::CREATED,
        ),
        (
            "content-type",
            "application/x-www-form-urlencoded",
            StatusCode::CREATED,
        ),
        (
            "content-type",
            "text/plain",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "content-type",
            "multipart/form-data",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("content-encoding", "identity", StatusCode::CREATED),
        (
            "content-encoding",
            "gzip",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let headers = [("authorization", token.as_str()), (name, value)];
        let answer = post(&clinic, "/clients", &headers, &body).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn who_is_nobody_is_told_only_that() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    for (method, path) in [
        (Method::POST, "/intents/x/occurrences/0/add"),
        (Method::POST, "/intents/x/undo"),
        (Method::GET, "/intents?limit=never"),
        (Method::GET, "/messages?state=none"),
        (Method::POST, "/messages/x/replay"),
        (Method::GET, "/therapists/x/slots?from=never"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"));
        let answer = clinic.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

/// JSON Schema calls 50.0 an integer, and some programs write all their numbers so.
#[tokio::test]
async fn whole_numbers_may_have_a_fraction_of_nothing() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let token = format!("Bearer {}", clinic.admin);
    for (minutes, minor, taken) in [
        ("50", "6500", true),
        ("50.0", "6.5e3", true),
        ("50.5", "6500", false),
        ("50", "1e300", false),
        ("-50.0", "6500", false),
        ("\"50\"", "6500", false),
    ] {
        let body = format!(
            r#"{{"name":"S","minutes":{minutes},"price":{{"minor":{minor},"currency":"GBP"}}}}"#
        );
        let answer = post(&clinic, "/services", &[("authorization", &token)], &body).await;
        if taken {
            assert_eq!(answer.status, StatusCode::CREATED, "{body}");
            assert_eq!(answer.body["minutes"], 50);
            assert_eq!(answer.body["price"]["minor"], 6500);
        } else {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(answer.body["code"], "invalid_body");
        }
    }
}

#[tokio::test]
async fn a_version_is_a_number_with_two_quotes_or_none() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let token = format!("Bearer {}", clinic.admin);
    let parties = clinic.parties().await;
    let path = format!("/therapists/{}/hours?dry_run=true", parties.therapist);
    let body = json!({ "hours": [] }).to_string();
    for (value, status) in [
        ("1", StatusCode::OK),
        ("\"1\"", StatusCode::OK),
        ("*", StatusCode::OK),
        ("2", StatusCode::PRECONDITION_FAILED),
        ("\"1", StatusCode::BAD_REQUEST),
        ("\"\"1\"\"", StatusCode::BAD_REQUEST),
        ("W/\"1\"", StatusCode::BAD_REQUEST),
        ("+1", StatusCode::BAD_REQUEST),
        ("1000000000000000000", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let headers = [("authorization", token.as_str()), ("if-match", value)];
        let answer = post(&clinic, &path, &headers, &body).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.body);
    }
    let key = ("idempotency-key", "a\tb");
    let answer = post(&clinic, &path, &[("authorization", &token), key], &body).await;
    assert_eq!(answer.body["field"], "Idempotency-Key", "{}", answer.body);
}

/// What is only tried cannot credit twice.
#[tokio::test]
async fn a_dry_run_needs_no_key() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let token = format!("Bearer {}", clinic.admin);
    let parties = clinic.parties().await;
    let path = format!("/clients/{}/credits", parties.client);
    let body = json!({
        "service_id": parties.service, "amount": 1, "source": "goodwill", "reason": "correction",
    });
    let (token, body) = (("authorization", token.as_str()), body.to_string());
    let answer = post(&clinic, &path, &[token], &body).await;
    assert_eq!(answer.body["code"], "idempotency_key_required");
    let dry = post(&clinic, &format!("{path}?dry_run=true"), &[token], &body).await;
    assert_eq!(dry.body["dry_run"], true, "{}", dry.body);
}

#[tokio::test]
async fn answers_are_not_kept_and_not_guessed() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    for path in ["/clients", "/clients/x", "/nowhere"] {
        let answer = clinic.get_as(&clinic.admin, path).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{path}"
        );
    }
}

/// Which of the staff gave credits, and by which code, is the staff's to know.
#[tokio::test]
async fn a_client_s_ledger_names_nobody_of_the_staff() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 2).await;
    let path = format!("/clients/{}/ledger", parties.client);
    let told = clinic.get(&path).await["items"][0]["details"]["evidence"].clone();
    assert!(
        told["actor"].is_string() && told["reason"].is_string(),
        "{told}"
    );
    let client = clinic.client_token(&parties.client).await;
    let shown = clinic.get_as(&client, &path).await.body;
    let evidence = &shown["items"][0]["details"]["evidence"];
    assert_eq!(evidence, &json!({ "kind": "manual" }));
}

#[tokio::test]
async fn defaults_fit_what_they_are_for() {
    let clinic = Clinic::at("2026-03-02T08:00:00.125Z").await;
    let price = |currency: &str| json!({ "minor": 500, "currency": currency });
    let short = json!({ "name": "Call", "minutes": 5, "price": price("GBP") });
    let service = clinic.post("/services", short).await;
    assert_eq!(service["cancellation"]["no_show_after_minutes"], 5);
    let unknown = json!({ "name": "Call", "minutes": 5, "price": price("XXZ") });
    let refused = clinic.post_as(&clinic.admin, "/services", &unknown).await;
    assert_eq!(refused.body["field"], "price.currency", "{}", refused.body);

    let plan = json!({
        "name": "Four", "credits": 4, "price": price("GBP"), "service_id": service["id"],
    });
    let plan = clinic.post("/plans", plan).await;
    let client = json!({ "name": "C", "zone": "Europe/Berlin" });
    let client = clinic.post("/clients", client).await;
    let path = format!("/clients/{}/subscription", client["id"].as_str().unwrap());
    let subscribed = clinic.post(&path, json!({ "plan_id": plan["id"] })).await;
    assert_eq!(subscribed["current"]["starts_at"], "2026-03-02T08:00:00Z");

    let parties = clinic.parties().await;
    let path = format!("/therapists/{}/dates", parties.therapist);
    let unsaid = json!({ "date": "2026-03-11" });
    let refused = clinic.post_as(&clinic.admin, &path, &unsaid).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let week = json!({ "date": "2026-03-11", "hours": Value::Null });
    clinic.post(&path, week).await;
}
