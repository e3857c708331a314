//! The description says as much as the API does: what every command takes, and what values can be.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::clinic::Clinic;

async fn description() -> Value {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let page = Request::get("/api/v1/openapi.json").body(Body::empty());
    clinic.send(page.unwrap()).await.body
}

#[tokio::test]
async fn every_command_declares_its_headers_and_what_trying_it_answers() {
    let all = description().await;
    let preview = json!({ "$ref": "#/components/schemas/Preview" });
    let mut commands = 0;
    for (path, operations) in all["paths"].as_object().unwrap() {
        let Some(command) = operations.get("post") else {
            continue;
        };
        commands += 1;
        let declared: Vec<&str> = command["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in ["Idempotency-Key", "If-Match", "dry_run"] {
            assert!(declared.contains(&name), "{path}: {name}");
        }
        let answer = &command["responses"]["200"]["content"]["application/json"]["schema"];
        let or = answer["anyOf"]
            .as_array()
            .is_some_and(|all| all.contains(&preview));
        assert!(*answer == preview || or, "{path}: {answer}");
    }
    assert!(commands > 50, "{commands}");
    let ids: Vec<&Value> = all["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|operations| operations.as_object().unwrap().values())
        .map(|operation| &operation["operationId"])
        .collect();
    let each: std::collections::BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(
        each.len(),
        ids.len(),
        "each operation has a name of its own"
    );
}

#[tokio::test]
async fn texts_and_numbers_say_what_they_can_be() {
    let all = description().await;
    let of = |schema: &str, property: &str| {
        let found = &all["components"]["schemas"][schema]["properties"][property];
        assert!(found.is_object(), "{schema}.{property}");
        found.clone()
    };
    for (schema, property) in [
        ("NewIntentBody", "starts_local"),
        ("NewTime", "starts_local"),
        ("OccurrenceBody", "recurrence_id"),
    ] {
        assert!(
            of(schema, property)["pattern"].is_string(),
            "{schema}.{property}"
        );
    }
    assert_eq!(of("HoursBody", "day")["enum"][0], "MO");
    assert_eq!(of("MoneyBody", "currency")["pattern"], "^[A-Z]{3}$");
    assert_eq!(of("NewServiceBody", "minutes")["maximum"], 1440);
    assert_eq!(of("NewTherapist", "name")["maxLength"], 200);
    assert!(of("IntentBody", "additions")["items"]["pattern"].is_string());
    // A time of day is one, and an instant is not.
    assert!(of("HoursBody", "from")["pattern"].is_string());
    assert!(of("BlackoutBody", "from").get("pattern").is_none());
}
