//! What the description of the API says of every operation and value, beside what each says of itself.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Standing",
        description = "Standing appointments: one row of intent, sessions just in time, credits on a ledger.\n\nEvery POST takes an `Idempotency-Key`: the same key with the same request is done once and answered again. Bodies carry a `version`, which is also the `ETag`; `If-Match` refuses a command on any other version with 412. `?dry_run=true` on a command answers with the difference it would make, and stores nothing. What is not yours is not found."
    ),
    security(("token" = [])),
    components(schemas(super::problem::ProblemBody)),
)]
pub(super) struct Description;

/// A wall time.
const LOCAL: &str =
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$";
/// The code of a reason.
const CODE: &str = "^[a-z][a-z0-9_]{0,63}$";
/// A time of day; 24:00 is its end.
const TIME: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";

/// The place after which a page of a calendar begins.
const PLACE: &str = "^-?[0-9]{1,18}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$";
/// The last parts of commands that bring or move credits, and so need an `Idempotency-Key`.
const NAMED: [&str; 5] = ["credits", "months", "adjustments", "reversals", "transfers"];

/// What texts and numbers of a name can be, wherever they are.
fn of_name(name: &str) -> Option<Value> {
    Some(match name {
        "starts_local" | "from_local" | "until_local" | "ends_local" | "recurrence_id"
        | "instead" | "additions" | "exclusions" | "missed" => json!({ "pattern": LOCAL }),
        "zone" => json!({ "minLength": 1, "maxLength": 64 }),
        "name" => json!({ "minLength": 1, "maxLength": 200 }),
        "reason" => json!({ "pattern": CODE }),
        "currency" => json!({ "pattern": "^[A-Z]{3}$" }),
        "day" => json!({ "enum": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"] }),
        "minutes" => json!({ "minimum": 1, "maximum": 1440 }),
        _ => return None,
    })
}

/// The description, complete, as JSON.
pub(super) fn complete(mut description: OpenApi) -> serde_json::Result<String> {
    if let Some(components) = description.components.as_mut() {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
    let mut all = serde_json::to_value(description)?;
    constrain(&mut all);
    for (schema, property, more) in [
        ("HoursBody", "from", json!({ "pattern": TIME })),
        ("HoursBody", "to", json!({ "pattern": TIME })),
        ("DayHoursBody", "from", json!({ "pattern": TIME })),
        ("DayHoursBody", "to", json!({ "pattern": TIME })),
        ("NewReason", "code", json!({ "pattern": CODE })),
    ] {
        narrow(
            &mut all["components"]["schemas"][schema]["properties"][property],
            &more,
        );
    }
    all["components"]["schemas"]["Preview"] = preview();
    if let Some(paths) = all["paths"].as_object_mut() {
        for (path, operations) in paths.iter_mut() {
            for (method, operation) in operations.as_object_mut().into_iter().flatten() {
                if let Some(operation) = operation.as_object_mut() {
                    of_operation(path, operation);
                    if method == "post" {
                        of_command(path, operation);
                    }
                }
            }
        }
    }
    serde_json::to_string(&all)
}

/// Says of every property what its name means.
fn constrain(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(constrain),
        Value::Object(members) => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                for (name, schema) in properties {
                    if let Some(more) = of_name(name) {
                        narrow(schema, &more);
                    }
                }
            }
            members.values_mut().for_each(constrain);
        }
        _ => {}
    }
}

/// Narrows a text or number, or the items of a list of such. What has a format says more already.
fn narrow(schema: &mut Value, more: &Value) {
    if schema["type"] == "array" {
        narrow(&mut schema["items"], more);
        return;
    }
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    let number = more.get("minimum").is_some();
    let fits = if number {
        is("integer")
    } else {
        is("string") && schema.get("format").is_none()
    };
    if let (true, Some(schema), Some(more)) = (fits, schema.as_object_mut(), more.as_object()) {
        let nullable = schema["type"].is_array();
        for (name, value) in more {
            let mut value = value.clone();
            if let (true, "enum", Value::Array(values)) = (nullable, name.as_str(), &mut value) {
                values.push(Value::Null);
            }
            schema.insert(name.clone(), value);
        }
    }
}

/// Every operation may answer with a problem, so the description says it once for all; and each has a name of its
/// own.
fn of_operation(path: &str, operation: &mut Map<String, Value>) {
    let problem = json!({
        "description": "Not what was asked for: RFC 9457, with a stable `code`, the field and the values",
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/ProblemBody" },
        } },
    });
    operation["responses"]["default"] = problem;
    // Handlers of two resources may have one name, operations may not.
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
    operation["operationId"] = json!(format!("{tag}_{id}"));
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let more = match (path, parameter["name"].as_str().unwrap_or_default()) {
            (_, "recurrence_id") => of_name("recurrence_id"),
            (path, "limit") => {
                let is_calendar = path.ends_with("}/sessions") || path.ends_with("/occurrences");
                let most = if is_calendar { 2_000 } else { 200 };
                Some(json!({ "minimum": 1, "maximum": most }))
            }
            (path, "cursor") if path.ends_with("}/sessions") || path.ends_with("/occurrences") => {
                Some(json!({ "pattern": PLACE }))
            }
            (_, "dates") => Some(json!({ "minimum": 1, "maximum": 104 })),
            ("/api/v1/messages", "state") => {
                Some(json!({ "enum": ["pending", "sent", "void", "dead"] }))
            }
            ("/api/v1/messages", "cursor") => Some(json!({ "minimum": 0, "maximum": i64::MAX })),
            ("/api/v1/sessions", "state") => Some(json!({ "enum": super::sessions::STATES })),
            ("/api/v1/sessions", "which") => {
                let lists = ["live", "attendance_unknown", "open"];
                let all: Vec<&str> = lists.into_iter().chain(super::sessions::STATES).collect();
                Some(json!({ "enum": all }))
            }
            _ => None,
        };
        if let Some(more) = more {
            narrow(&mut parameter["schema"], &more);
        }
    }
}

/// Every command can name itself, ask for a version, and be tried.
fn of_command(path: &str, operation: &mut Map<String, Value>) {
    let last = path.rsplit('/').next().unwrap_or_default();
    let names_itself = NAMED.contains(&last);
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.extend([
            json!({
                "name": "Idempotency-Key", "in": "header", "required": names_itself,
                "description": "The request's own name: sent again under it, the request is done once and \
                    answered again. What brings or moves credits needs one.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$" },
            }),
            json!({
                "name": "If-Match", "in": "header", "required": false,
                "description": "The version that the command is meant for: 412 on any other.",
                "schema": { "type": "string", "pattern": "^(\\*|\"?[0-9]{1,18}\"?)$" },
            }),
            json!({
                "name": "dry_run", "in": "query", "required": false,
                "description": "Answer with the difference that it would make, and store nothing.",
                "schema": { "type": "boolean", "default": false },
            }),
        ]);
    }
    let preview = json!({ "$ref": "#/components/schemas/Preview" });
    let answers = &mut operation["responses"];
    let given = answers["200"]["content"]["application/json"]["schema"].take();
    if given.is_null() {
        answers["200"] = json!({
            "description": "With `dry_run=true`",
            "content": { "application/json": { "schema": preview } },
        });
    } else {
        let either = json!({ "anyOf": [given, preview] });
        answers["200"]["content"]["application/json"]["schema"] = either;
    }
}

/// What a command that is tried is answered with.
fn preview() -> Value {
    let list =
        |of: &str| json!({ "type": "array", "items": { "type": "object" }, "description": of });
    json!({
        "type": "object",
        "description": "What a command would do. Nothing of it is stored.",
        "required": ["dry_run"],
        "properties": {
            "dry_run": { "type": "boolean", "enum": [true] },
            "occurrences": { "type": ["object", "null"], "description": "The dates that would be different" },
            "sessions": list("Sessions, as they were and would be"),
            "credits": list("Balances, as they were and would be, with the entries"),
            "messages": list("What somebody would be told"),
            "records": list("What else would be stored"),
        },
    })
}
