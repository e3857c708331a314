//! The closed list of codes that say why something was done.

use axum::http::StatusCode;
use clinic::reason;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};
use crate::database::Database;
use crate::idempotency::post;

/// Every route that takes a reason, with a body that has one.
fn given(parties: &Parties, intent: &str, session: &str, reason: &str) -> Vec<(String, Value)> {
    let Parties {
        therapist,
        client,
        service,
    } = parties;
    let of_client = |what: &str| format!("/clients/{client}/{what}");
    let of_intent = |what: &str| format!("/intents/{intent}/{what}");
    vec![
        (
            of_client("credits"),
            json!({ "service_id": service, "amount": 1, "source": "paid", "reason": reason }),
        ),
        (
            of_client("adjustments"),
            json!({ "service_id": service, "amount": 1, "reason": reason }),
        ),
        (
            of_client("reversals"),
            json!({ "key": "v1/adjust/none", "reason": reason }),
        ),
        (
            of_client("transfers"),
            json!({ "lot": 1, "amount": 1, "reason": reason }),
        ),
        (
            format!("/sessions/{session}/waive"),
            json!({ "reason": reason }),
        ),
        (
            of_intent("amend"),
            json!({ "changes": { "minutes": 40 }, "reason": reason }),
        ),
        (
            of_intent("split"),
            json!({ "at": "2026-03-16T18:00:00", "changes": { "minutes": 40 }, "reason": reason }),
        ),
        (
            of_intent("reassign"),
            json!({ "from": "2026-03-16", "therapist_id": therapist, "reason": reason }),
        ),
        (
            of_intent("pause"),
            json!({ "from": "2026-03-16", "reason": reason }),
        ),
        (
            of_intent("resume"),
            json!({ "from": "2026-03-16", "reason": reason }),
        ),
        (
            of_intent("end"),
            json!({ "from": "2026-03-16", "reason": reason }),
        ),
        (of_intent("undo"), json!({ "reason": reason })),
        (
            format!("/therapists/{therapist}/blackouts"),
            json!({
                "from_local": "2026-08-03T00:00:00", "until_local": "2026-08-17T00:00:00",
                "reason": reason,
            }),
        ),
    ]
}

#[tokio::test]
async fn an_unknown_reason_is_refused_on_every_route_and_not_repeated() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 1).await;
    let rule = Some("FREQ=WEEKLY;BYDAY=MO");
    let intent = clinic.book(&parties, "2026-03-09T18:00:00", rule).await;
    clinic.pass(24).await;
    let sessions = clinic.get("/sessions").await;
    let session = sessions["items"][0]["session_id"].as_str().unwrap();
    let mut database = Database::open(&clinic).await;
    let before = database.dump().await;
    let secret = "annas_mother_is_ill";
    for (path, body) in given(&parties, &intent, session, secret) {
        for path in [path.clone(), format!("{path}?dry_run=true")] {
            let answer = clinic.post_as(&clinic.admin, &path, &body).await;
            assert_eq!(
                answer.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{path}: {}",
                answer.body
            );
            let told = (&answer.body["code"], &answer.body["field"]);
            assert_eq!(told, (&json!("unknown_reason"), &json!("reason")), "{path}");
            assert_eq!(answer.body["known"], json!(reason::DEFAULTS));
            assert!(!answer.body.to_string().contains(secret));
        }
    }
    assert_eq!(database.dump().await, before, "nothing is stored");
    // The route is reached with a code that is in the list.
    for (path, body) in given(&parties, &intent, session, "other") {
        let answer = clinic.post_as(&clinic.admin, &path, &body).await;
        assert_ne!(answer.body["code"], "unknown_reason", "{path}");
    }
}

#[tokio::test]
async fn an_administrator_adds_a_code_and_then_it_can_be_given() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let listed = clinic.get("/reasons").await["items"].clone();
    let defaults = reason::DEFAULTS.map(|code| json!({ "code": code, "added_at": null }));
    assert_eq!(listed, json!(defaults));

    let new = json!({ "code": "price_change" });
    for token in [
        clinic.therapist_token(&parties.therapist).await,
        clinic.client_token(&parties.client).await,
        clinic.token(clinic::Role::Operator).await,
    ] {
        let refused = clinic.post_as(&token, "/reasons", &new).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.body);
    }
    let tried = clinic.post("/reasons?dry_run=true", new.clone()).await;
    assert_eq!(
        tried["records"],
        json!([{ "kind": "reason", "id": "price_change" }])
    );
    assert_eq!(clinic.get("/reasons").await["items"], listed);

    let added = post(&clinic, &clinic.admin, "k", "/reasons", &new).await;
    let at = added.body["added_at"].as_str().unwrap();
    assert!(at.starts_with("2026-03-02T08:00:"), "{at}");
    let expected = json!({ "code": "price_change", "added_at": at });
    assert_eq!(
        (added.status, &added.body),
        (StatusCode::CREATED, &expected)
    );
    let replayed = post(&clinic, &clinic.admin, "k", "/reasons", &new).await;
    assert_eq!(
        (replayed.status, &replayed.body),
        (StatusCode::CREATED, &expected)
    );
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    let again = clinic.post_as(&clinic.admin, "/reasons", &new).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &expected));
    let default = json!({ "code": "goodwill" });
    let again = clinic.post_as(&clinic.admin, "/reasons", &default).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    let prose = json!({ "code": "Her mother is ill" });
    let refused = clinic.post_as(&clinic.admin, "/reasons", &prose).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.body["field"], "code");
    assert!(!refused.body.to_string().contains("mother"));

    // Whoever may give a reason may see which there are.
    let client = clinic.client_token(&parties.client).await;
    let listed = clinic.get_as(&client, "/reasons").await.body["items"].clone();
    let codes: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes.len(), reason::DEFAULTS.len() + 1);
    assert!(codes.is_sorted() && codes.contains(&"price_change"));
    let grant = json!({
        "service_id": parties.service, "amount": 1, "source": "paid", "reason": "price_change",
    });
    clinic
        .post(&format!("/clients/{}/credits", parties.client), grant)
        .await;
    let ledger = clinic
        .get(&format!("/clients/{}/ledger", parties.client))
        .await;
    let evidence = &ledger["items"][0]["details"]["evidence"];
    assert_eq!(evidence["reason"], "price_change");
}

#[tokio::test]
async fn a_retry_is_answered_as_before_although_its_code_left_the_list() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.post("/reasons", json!({ "code": "ours" })).await;
    let path = format!("/clients/{}/credits", parties.client);
    let grant = json!({
        "service_id": parties.service, "amount": 1, "source": "paid", "reason": "ours",
    });
    let first = post(&clinic, &clinic.admin, "old", &path, &grant).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    // As it is with requests from before there was a list.
    let mut database = Database::open(&clinic).await;
    let unguard = match database {
        Database::Sqlite(_) => "DROP TRIGGER reason_no_delete",
        Database::Postgres(_) => "DROP TRIGGER reason_append_only ON reason",
    };
    database.execute(unguard).await.unwrap();
    database.execute("DELETE FROM reason").await.unwrap();
    let again = post(&clinic, &clinic.admin, "old", &path, &grant).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let new = post(&clinic, &clinic.admin, "new", &path, &grant).await;
    assert_eq!(new.body["code"], "unknown_reason", "{}", new.body);
    assert_eq!(clinic.balance(&parties).await.0, 1);
}
