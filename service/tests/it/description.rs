//! The description says as much as the API does: what every command takes, and what values can be.

use axum::body::Body;
use axum::http::{Request, StatusCode};
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
        ("NewIntent", "starts_local"),
        ("NewTime", "starts_local"),
        ("Occurrence", "recurrence_id"),
    ] {
        assert!(
            of(schema, property)["pattern"].is_string(),
            "{schema}.{property}"
        );
    }
    assert_eq!(of("Hours", "day")["enum"][0], "MO");
    assert_eq!(of("Money", "currency")["pattern"], "^[A-Z]{3}$");
    assert_eq!(of("NewService", "minutes")["maximum"], 1440);
    assert_eq!(of("NewTherapist", "name")["maxLength"], 200);
    assert!(of("Intent", "additions")["items"]["pattern"].is_string());
    // A time of day is one, and an instant is not.
    assert!(of("Hours", "from")["pattern"].is_string());
    assert!(of("Blackout", "from").get("pattern").is_none());
    assert_eq!(of("NewPlan", "credits")["maximum"], 100);
    assert_eq!(of("Occurrence", "state")["enum"][0], "virtual");
    let by = of("Occurrence", "cancelled_by")["oneOf"].clone();
    assert_eq!(by[0]["$ref"], "#/components/schemas/Party");
    assert_eq!(
        of("IntentPause", "slot")["$ref"],
        "#/components/schemas/PausedSlot"
    );
    assert_eq!(
        of("IntentList", "items")["items"]["$ref"],
        "#/components/schemas/Intent"
    );
}

/// Every reference names a schema or response that is there.
#[tokio::test]
async fn references_lead_somewhere() {
    fn each(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| each(item, found)),
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members.values().for_each(|member| each(member, found));
            }
            _ => {}
        }
    }
    let all = description().await;
    let mut references = Vec::new();
    each(&all, &mut references);
    assert!(references.len() > 300, "{}", references.len());
    for reference in references {
        let at = reference.strip_prefix('#').unwrap();
        assert!(all.pointer(at).is_some_and(Value::is_object), "{reference}");
    }
}

/// Everything of a request is wrong, and no token is with it: that is all that the caller learns.
#[tokio::test]
async fn without_a_token_nothing_else_is_looked_at() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let all = description().await;
    let mut asked = 0;
    for (path, operations) in all["paths"].as_object().unwrap() {
        let (mut wrong, mut rest) = (String::new(), path.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            wrong += &format!("{before}0");
            rest = after.split_once('}').unwrap().1;
        }
        wrong += rest;
        for (method, operation) in operations.as_object().unwrap() {
            for (query, header, value, body) in [
                ("", "accept", "*/*", ""),
                (
                    "?limit=never&dry_run=maybe&from=x&nothing=1",
                    "accept",
                    "x",
                    "{",
                ),
                ("?dry_run=true", "if-match", "x", "[]"),
                ("", "idempotency-key", "\t", "{}"),
                ("", "content-type", "text/plain", "hello"),
                ("", "content-encoding", "gzip", "{}"),
            ] {
                let request = Request::builder()
                    .method(method.to_uppercase().as_str())
                    .uri(format!("{wrong}{query}"))
                    .header(header, value)
                    .header(header, value);
                let answer = clinic.send(request.body(Body::from(body)).unwrap()).await;
                let what = format!("{method} {wrong}{query} {header} {body:?}");
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
                assert_eq!(answer.body["code"], "unauthorized", "{what}");
            }
            let declared = &operation["responses"]["401"]["$ref"];
            assert_eq!(declared, "#/components/responses/Unauthorized", "{path}");
            asked += 1;
        }
    }
    assert!(asked > 90, "{asked}");
}
