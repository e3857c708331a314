//! What the description of the API says of every operation and value, beside what each says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::limits;

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

/// The last parts of commands that bring or move credits, and so need an `Idempotency-Key`.
const NAMED: [&str; 5] = ["credits", "months", "adjustments", "reversals", "transfers"];

/// The answers that are not what was asked for: status, name, and what it means.
const PROBLEMS: [(&str, &str, &str); 8] = [
    ("400", "Malformed", "The request is not well-formed"),
    ("401", "Unauthorized", "The token is missing or unknown"),
    (
        "404",
        "NotFound",
        "There is no such thing, or it is not the caller's",
    ),
    (
        "409",
        "Conflict",
        "The command does not fit what is stored, and says with what it clashes",
    ),
    (
        "412",
        "StaleVersion",
        "`If-Match` names a version that is not the stored one",
    ),
    (
        "422",
        "Unprocessable",
        "The request is well-formed, and one of its values is wrong",
    ),
    (
        "429",
        "TooMany",
        "The caller asks for too much: `Retry-After` says when to ask again",
    ),
    ("default", "Other", "Any other problem"),
];

/// The description, complete, as JSON.
pub(super) fn complete(mut description: OpenApi) -> serde_json::Result<String> {
    if let Some(components) = description.components.as_mut() {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
    let mut all = serde_json::to_value(description)?;
    refer(&mut all["components"]["schemas"]);
    constrain(&mut all["components"]["schemas"]);
    for (schema, property, more) in limits::of_schemas() {
        narrow(
            &mut all["components"]["schemas"][schema]["properties"][property],
            &more,
        );
    }
    for (schema, property, name, words) in limits::WORDS {
        let schemas = &mut all["components"]["schemas"];
        schemas[name] = json!({ "type": "string", "enum": words });
        let property = &mut schemas[schema]["properties"][property];
        *property = json!({
            "description": property["description"].take(),
            "oneOf": [{ "$ref": format!("{SCHEMAS}{name}") }, { "type": "null" }],
        });
    }
    for (schema, property, most) in limits::LISTS {
        all["components"]["schemas"][schema]["properties"][property]["maxItems"] = json!(most);
    }
    // A number of credits in place of a word.
    all["components"]["schemas"]["CarryOverBody"]["oneOf"][1]["minimum"] = json!(1);
    all["components"]["schemas"]["Preview"] = preview();
    for (_, name, means) in PROBLEMS {
        all["components"]["responses"][name] = problem(means);
    }
    let schemas = all["components"]["schemas"].clone();
    if let Some(paths) = all["paths"].as_object_mut() {
        for (path, operations) in paths.iter_mut() {
            for (method, operation) in operations.as_object_mut().into_iter().flatten() {
                if let Some(operation) = operation.as_object_mut() {
                    of_operation(path, operation);
                    if method == "post" {
                        of_command(path, operation, &schemas);
                    }
                    of_problems(method, operation);
                }
            }
        }
    }
    serde_json::to_string(&renamed(all))
}

/// Lists refer to what they list, which utoipa repeats in each.
fn refer(schemas: &mut Value) {
    let Some(all) = schemas.as_object_mut() else {
        return;
    };
    let known: BTreeSet<String> = all.keys().cloned().collect();
    for (name, schema) in all {
        if let Some(of) = name.strip_prefix("List_").filter(|of| known.contains(*of)) {
            schema["properties"]["items"]["items"] = json!({ "$ref": format!("{SCHEMAS}{of}") });
        }
    }
}

/// Where schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// The description with the names that clients see: `Intent` for `IntentBody`, `IntentList` for `List_IntentBody`.
fn renamed(mut all: Value) -> Value {
    let known: BTreeSet<String> = all["components"]["schemas"]
        .as_object()
        .into_iter()
        .flat_map(|schemas| schemas.keys().cloned())
        .collect();
    let names: BTreeMap<String, String> = known
        .iter()
        .map(|name| (name.clone(), shown(name)))
        .filter(|(name, shown)| name != shown && !known.contains(shown))
        .collect();
    rename(&mut all, &names);
    if let Some(schemas) = all["components"]["schemas"].as_object_mut() {
        for (name, shown) in names {
            if let Some(schema) = schemas.remove(&name) {
                schemas.insert(shown, schema);
            }
        }
    }
    all
}

fn shown(name: &str) -> String {
    let bare = |name: &str| name.strip_suffix("Body").unwrap_or(name).to_owned();
    match name.strip_prefix("List_") {
        Some(of) => format!("{}List", bare(of)),
        None => bare(name),
    }
}

/// Follows names in every reference.
fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(members) => {
            for (key, member) in members {
                let name = member.as_str().and_then(|at| at.strip_prefix(SCHEMAS));
                match name
                    .filter(|_| key == "$ref")
                    .and_then(|name| names.get(name))
                {
                    Some(shown) => *member = json!(format!("{SCHEMAS}{shown}")),
                    None => rename(member, names),
                }
            }
        }
        _ => {}
    }
}

/// Says of every property what its name means.
fn constrain(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(constrain),
        Value::Object(members) => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                for (name, schema) in properties {
                    if let Some(more) = limits::of_name(name) {
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
        // A format says of how many bits a number is, which its limits say better.
        if number {
            schema.remove("format");
        }
        for (name, value) in more {
            let mut value = value.clone();
            if let (true, "enum", Value::Array(values)) = (nullable, name.as_str(), &mut value) {
                values.push(Value::Null);
            }
            schema.insert(name.clone(), value);
        }
    }
}

/// A response that is a problem.
fn problem(means: &str) -> Value {
    json!({
        "description": format!("{means}: RFC 9457, with a stable `code`, the field and the values"),
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/ProblemBody" },
        } },
    })
}

/// Each operation has a name of its own, and says what its parameters can be and what its answers are.
fn of_operation(path: &str, operation: &mut Map<String, Value>) {
    // Handlers of two resources may have one name, operations may not.
    let id = operation["operationId"].as_str().unwrap_or_default();
    let tag = operation["tags"][0].as_str().unwrap_or_default();
    let id = format!("{tag}_{id}").replace(' ', "_");
    operation["operationId"] = json!(id);
    let parameters = operation.get_mut("parameters");
    let parameters = parameters.and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some(more) = limits::of_parameter(path, &name) {
            narrow(&mut parameter["schema"], &more);
        }
        if path.ends_with("/standing-slots/explain") && name == "starts_local" {
            parameter["required"] = json!(true);
        }
    }
    let answers = operation["responses"].as_object_mut();
    for (status, answer) in answers.into_iter().flatten() {
        if answer["description"].as_str().is_none_or(str::is_empty) {
            let made = status == "201";
            answer["description"] = json!(if made {
                "It was made"
            } else {
                "What was asked for"
            });
        }
    }
}

/// Every operation may be refused, a command for more reasons.
fn of_problems(method: &str, operation: &mut Map<String, Value>) {
    let takes_values = operation
        .get("parameters")
        .is_some_and(|all| all.as_array().is_some_and(|all| !all.is_empty()));
    for (status, name, _) in PROBLEMS {
        let is_possible = match status {
            "409" | "412" => method == "post",
            "400" | "404" | "422" => takes_values,
            _ => true,
        };
        if !is_possible {
            continue;
        }
        let said = operation["responses"][status]["description"].as_str();
        let answer = match said {
            Some(said) => problem(said),
            None => json!({ "$ref": format!("#/components/responses/{name}") }),
        };
        operation["responses"][status] = answer;
    }
}

/// Every command can name itself, ask for a version, and be tried.
fn of_command(path: &str, operation: &mut Map<String, Value>, schemas: &Value) {
    let last = path.rsplit('/').next().unwrap_or_default();
    let mut named =
        "The request's own name: sent again under it, the request is done once and answered again."
            .to_owned();
    if NAMED.contains(&last) {
        named.push_str(" Needed here, unless it is a dry run.");
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.extend([
            json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": named,
                "schema": limits::idempotency_key(),
            }),
            json!({
                "name": "If-Match", "in": "header", "required": false,
                "description": "The version that the command is meant for, as in a body or in the `ETag` of an answer: \
                    412 on any other.",
                "schema": limits::if_match(),
            }),
            json!({
                "name": "dry_run", "in": "query", "required": false,
                "description": "Answer with the difference that it would make, and store nothing.",
                "schema": { "type": "boolean", "default": false },
            }),
        ]);
    }
    // No body at all is an empty object.
    let body = &mut operation["requestBody"];
    let of = body["content"]["application/json"]["schema"]["$ref"].as_str();
    let of = of
        .and_then(|at| at.strip_prefix(SCHEMAS))
        .unwrap_or_default();
    body["required"] = json!(schemas[of]["required"].is_array());
    let preview = json!({ "$ref": "#/components/schemas/Preview" });
    let answers = &mut operation["responses"];
    let given = answers["200"]["content"]["application/json"]["schema"].take();
    if given.is_null() {
        answers["200"] = json!({
            "description": "With `dry_run=true`",
            "content": { "application/json": { "schema": preview } },
        });
    } else {
        // The preview first: its `dry_run` tells it from any other answer.
        let either = json!({ "anyOf": [preview, given] });
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
