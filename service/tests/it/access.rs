//! Who may do what, on every route there is.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::clinic::{Clinic, booking};

/// Every route of the description, with ids filled in.
async fn routes(clinic: &Clinic) -> Vec<(Method, String)> {
    let request = Request::get("/api/v1/openapi.json")
        .body(Body::empty())
        .unwrap();
    let description = clinic.send(request).await.body;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let (mut routes, mut names) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "01890000-0000-7000-8000-000000000000")
            .replace("{recurrence_id}", "2026-03-02T18:00:00")
            .replace("{blackout}", "01890000-0000-7000-8000-000000000001")
            .replace("{seq}", "1");
        assert!(!path.contains('{'), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(
                names.insert(name),
                "two operations of one name: {operation}"
            );
            let method = method.to_uppercase().parse().unwrap();
            routes.push((method, path.clone()));
        }
    }
    assert!(routes.len() >= 25, "{} routes", routes.len());
    routes
}

#[tokio::test]
async fn no_route_answers_without_a_token_or_to_an_unknown_one() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    for (method, path) in routes(&clinic).await {
        for token in [
            None,
            Some("Bearer nobody"),
            Some("Basic YTpi"),
            Some("Bearer"),
        ] {
            let mut request = Request::builder().method(method.clone()).uri(&path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = clinic.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test]
async fn a_client_and_a_therapist_see_what_is_theirs_and_nothing_else() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let (mine, theirs) = (clinic.parties().await, clinic.parties().await);
    let ours = clinic
        .book(&mine, "2026-03-03T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let other = clinic
        .book(&theirs, "2026-03-03T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.tick().await;
    let at = "2026-03-03T10:00:00";
    let session = |body: Value| body["session_id"].as_str().unwrap().to_owned();
    let our_session = session(
        clinic
            .get(&format!("/intents/{ours}/occurrences/{at}"))
            .await,
    );
    let other_session = session(
        clinic
            .get(&format!("/intents/{other}/occurrences/{at}"))
            .await,
    );

    let client = clinic.client_token(&mine.client).await;
    let therapist = clinic.therapist_token(&mine.therapist).await;
    for token in [&client, &therapist] {
        for path in [
            format!("/intents/{ours}"),
            format!("/intents/{ours}/occurrences"),
            format!("/sessions/{our_session}"),
            format!("/clients/{}/balance", mine.client),
            format!("/clients/{}/sessions", mine.client),
            "/services".to_owned(),
        ] {
            let answer = clinic.get_as(token, &path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        }
        for path in [
            format!("/intents/{other}"),
            format!("/intents/{other}/occurrences"),
            format!("/intents/{other}/occurrences/{at}"),
            format!("/sessions/{other_session}"),
            format!("/clients/{}", theirs.client),
            format!("/clients/{}/balance", theirs.client),
            format!("/clients/{}/ledger", theirs.client),
            format!("/clients/{}/sessions", theirs.client),
            format!("/therapists/{}/sessions", theirs.therapist),
            format!("/therapists/{}/busy", theirs.therapist),
            format!("/clients/{}/busy", theirs.client),
            format!("/intents?client_id={}", theirs.client),
            "/intents".to_owned(),
            "/clients".to_owned(),
        ] {
            let answer = clinic.get_as(token, &path).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{path}: {}",
                answer.body
            );
            assert_eq!(answer.body["code"], "not_found");
        }
        let to = json!({ "starts_local": "2026-03-05T10:00:00" });
        let credits = json!({
            "service_id": mine.service, "amount": 99, "source": "goodwill", "reason": "goodwill",
        });
        for (path, body) in [
            (
                format!("/intents/{other}/occurrences/{at}/cancel"),
                json!({}),
            ),
            (format!("/intents/{other}/occurrences/{at}/reschedule"), to),
            (format!("/sessions/{other_session}/complete"), json!({})),
            (format!("/clients/{}/credits", mine.client), credits),
            ("/clients".to_owned(), json!({ "name": "x", "zone": "UTC" })),
            ("/messages/1/replay".to_owned(), json!({})),
            (
                "/intents".to_owned(),
                booking(&theirs, "2026-03-04T12:00:00", None),
            ),
        ] {
            let answer = clinic.post_as(token, &path, &body).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{path}: {}",
                answer.body
            );
        }
    }

    // What is another's answers as what is not there, to the letter.
    for (path, body) in [
        (format!("/sessions/{other_session}/cancel"), json!({})),
        (
            format!("/intents/{other}/occurrences/{at}/cancel"),
            json!({}),
        ),
        (
            "/intents".to_owned(),
            booking(&theirs, "2026-03-04T12:00:00", None),
        ),
    ] {
        let unknown = "01890000-0000-7000-8000-000000000000";
        let absent = path
            .replace(&other_session, unknown)
            .replace(&other, unknown);
        let mut nobody = body.clone();
        if nobody.get("client_id").is_some() {
            nobody["client_id"] = json!(unknown);
        }
        for token in [&client, &therapist] {
            let theirs = clinic.post_as(token, &path, &body).await;
            let nobodys = clinic.post_as(token, &absent, &nobody).await;
            assert_eq!(theirs.body, nobodys.body, "{path}");
        }
    }

    // A client books with their own therapist, and cannot say how a session went.
    let answer = clinic
        .post_as(
            &client,
            "/intents",
            &booking(&mine, "2026-03-04T12:00:00", None),
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let mut elsewhere = booking(&mine, "2026-03-04T14:00:00", None);
    elsewhere["therapist_id"] = json!(theirs.therapist);
    let answer = clinic.post_as(&client, "/intents", &elsewhere).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let path = format!("/sessions/{our_session}/complete");
    let answer = clinic.post_as(&client, &path, &json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_is_none_once_it_has_ended_or_is_revoked() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let (now, store) = (clinic.app.clock.now(), &clinic.app.store);
    let day = chrono::TimeDelta::days(1);
    let mut secrets = Vec::new();
    for ends_at in [Some(now + day), None] {
        let secret = standing::random::secret();
        let (first, admin) = (clinic::ClinicId::FIRST, clinic::Role::Admin);
        let token = clinic.app.vault.token(first, admin, &secret, now, ends_at);
        let token = token.unwrap();
        store.add_token(&token).await.unwrap();
        secrets.push((secret, token.id));
    }
    let status = async |secret: &str| clinic.get_as(secret, "/clients").await.status;
    for (secret, _) in &secrets {
        assert_eq!(status(secret).await, StatusCode::OK);
    }
    clinic.app.clock.advance(day);
    assert_eq!(status(&secrets[0].0).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&secrets[1].0).await, StatusCode::OK);
    assert!(store.remove_token(secrets[1].1).await.unwrap());
    assert_eq!(status(&secrets[1].0).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_clinic_does_not_see_another() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let intent = clinic.book(&parties, "2026-03-03T10:00:00", None).await;
    let now = clinic.app.clock.now();
    let secret = standing::random::secret();
    let other = clinic::ClinicId(standing::random::id(now));
    let token = clinic
        .app
        .vault
        .token(other, clinic::Role::Admin, &secret, now, None);
    clinic.app.store.add_token(&token.unwrap()).await.unwrap();
    for path in [
        format!("/intents/{intent}"),
        format!("/clients/{}", parties.client),
        format!("/therapists/{}", parties.therapist),
        format!("/services/{}", parties.service),
    ] {
        let answer = clinic.get_as(&secret, &path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/intents", "/clients", "/therapists", "/services"] {
        let answer = clinic.get_as(&secret, path).await;
        assert_eq!(answer.body["items"], json!([]), "{path}");
    }
    let credits = json!({
        "service_id": parties.service, "amount": 1, "source": "paid", "reason": "gift",
    });
    let to = json!({ "starts_local": "2026-03-05T10:00:00" });
    for (path, body) in [
        (
            "/intents".to_owned(),
            booking(&parties, "2026-03-04T10:00:00", None),
        ),
        (format!("/clients/{}/credits", parties.client), credits),
        (
            format!("/intents/{intent}/occurrences/2026-03-03T10:00:00/skip"),
            json!({}),
        ),
        (
            format!("/intents/{intent}/occurrences/2026-03-03T10:00:00/reschedule"),
            to,
        ),
        (
            "/clients".to_owned(),
            json!({ "name": "x", "zone": "UTC", "therapist_id": parties.therapist }),
        ),
    ] {
        let answer = clinic.post_as(&secret, &path, &body).await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{path}: {}",
            answer.body
        );
    }
}
