//! Bad input: a problem with a code and the values, and nothing stored.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;

struct Case {
    name: &'static str,
    request: Request<Body>,
}

/// What a refusal shows, without what differs from run to run.
fn shown(status: StatusCode, mut body: Value, parties: &Parties, intent: &str) -> Value {
    assert_eq!(body["status"], status.as_u16());
    if let Some(now) = body.get_mut("now") {
        *now = json!("[now]");
    }
    let mut text = body.to_string();
    for (id, name) in [
        (&*parties.therapist, "[therapist]"),
        (&*parties.client, "[client]"),
        (&*parties.service, "[service]"),
        (intent, "[intent]"),
    ] {
        text = text.replace(id, name);
    }
    // An instant of the running clock within a sentence.
    if let Some(cut) = text.find(", it is 20") {
        let end = text[cut..].find('"').unwrap() + cut;
        text.replace_range(cut..end, ", it is [now]");
    }
    serde_json::from_str(&text).unwrap()
}

fn post(clinic: &Clinic, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {}", clinic.admin))
        .header("idempotency-key", standing::random::secret())
        .body(body.into())
        .unwrap()
}

/// A booking with one member changed.
fn wrong(parties: &Parties, field: &str, value: Value) -> String {
    let mut body = booking(parties, "2026-03-03T18:00:00", Some("FREQ=WEEKLY;BYDAY=TU"));
    body[field] = value;
    body.to_string()
}

fn cases(clinic: &Clinic, parties: &Parties, intent: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, request| cases.push(Case { name, request });
    let bookings = [
        ("unknown zone", "zone", json!("Europe/Londn")),
        ("rule, bad value", "rule", json!("FREQ=WEEKLY;BYDAY=MO,XX")),
        ("rule, unknown part", "rule", json!("FREQ=WEEKLY;BYDAYS=MO")),
        (
            "rule, twice",
            "rule",
            json!("FREQ=WEEKLY;INTERVAL=1;INTERVAL=2"),
        ),
        ("rule, no FREQ", "rule", json!("BYDAY=MO")),
        (
            "rule, COUNT and UNTIL",
            "rule",
            json!("FREQ=DAILY;COUNT=3;UNTIL=20270101"),
        ),
        (
            "rule, wrong level",
            "rule",
            json!("FREQ=WEEKLY;BYMONTHDAY=3"),
        ),
        (
            "rule, number without effect",
            "rule",
            json!("FREQ=WEEKLY;BYDAY=2TU"),
        ),
        (
            "rule, empty",
            "rule",
            json!("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        ),
        ("start off its rule", "rule", json!("FREQ=WEEKLY;BYDAY=MO")),
        (
            "a clash with itself",
            "rule",
            json!("FREQ=HOURLY;BYMINUTE=0,20;COUNT=3"),
        ),
        (
            "a start that is no time",
            "starts_local",
            json!("2026-03-03 18:00"),
        ),
        (
            "a start that is past",
            "starts_local",
            json!("2026-02-24T18:00:00"),
        ),
        (
            "a start beyond the zone data",
            "starts_local",
            json!("2100-03-02T18:00:00"),
        ),
        ("minutes out of range", "minutes", json!(0)),
        ("minutes of the wrong type", "minutes", json!("fifty")),
        (
            "unknown therapist",
            "therapist_id",
            json!("01890000-0000-7000-8000-000000000000"),
        ),
        (
            "unknown client",
            "client_id",
            json!("01890000-0000-7000-8000-000000000000"),
        ),
        (
            "unknown service",
            "service_id",
            json!("01890000-0000-7000-8000-000000000000"),
        ),
        ("unknown field", "rrule", json!("FREQ=WEEKLY")),
    ];
    for (name, field, value) in bookings {
        case(name, post(clinic, "/intents", wrong(parties, field, value)));
    }
    let clash = booking(
        parties,
        "2026-03-02T18:30:00",
        Some("FREQ=WEEKLY;BYDAY=MO;COUNT=2"),
    );
    case("a clash", post(clinic, "/intents", clash.to_string()));
    case(
        "an array for an object",
        post(clinic, "/clients", "[\"Bob\", \"UTC\", null]"),
    );
    case(
        "a rule that ended before its start",
        post(
            clinic,
            "/intents",
            wrong(
                parties,
                "rule",
                json!("FREQ=WEEKLY;BYDAY=TU;UNTIL=20200101"),
            ),
        ),
    );
    let skipped = json!({
        "therapist_id": parties.therapist, "client_id": parties.client,
        "service_id": parties.service, "starts_local": "2026-03-29T01:30:00",
        "zone": "Europe/London", "gap": "omit",
    });
    case(
        "a single time that does not exist",
        post(clinic, "/intents", skipped.to_string()),
    );
    case(
        "notice beyond the horizon",
        post(
            clinic,
            "/services",
            json!({
                "name": "s", "minutes": 50, "price": { "minor": 1, "currency": "GBP" },
                "notice_minutes": 20_000,
            })
            .to_string(),
        ),
    );
    let versioned = Request::post("/api/v1/clients")
        .header("authorization", format!("Bearer {}", clinic.admin))
        .header("if-match", "\"3\"");
    let client = json!({ "name": "C", "zone": "UTC" }).to_string();
    case(
        "a version of something new",
        versioned.body(Body::from(client)).unwrap(),
    );
    case("malformed JSON", post(clinic, "/intents", "{\"zone\": "));
    case(
        "two JSON values",
        post(clinic, "/clients", "{\"name\":\"a\",\"zone\":\"UTC\"} {}"),
    );
    case(
        "a body over the limit",
        post(clinic, "/intents", vec![b' '; 1_100_000]),
    );
    let occurrence = format!("/intents/{intent}/occurrences");
    case(
        "an occurrence that is not",
        post(
            clinic,
            &format!("{occurrence}/2026-03-03T18:00:00/skip"),
            "{}",
        ),
    );
    case(
        "a recurrence-id that is none",
        post(clinic, &format!("{occurrence}/monday/skip"), "{}"),
    );
    case(
        "an id that is none",
        post(clinic, "/sessions/42/complete", "{}"),
    );
    case(
        "an unknown session",
        post(
            clinic,
            "/sessions/01890000-0000-7000-8000-000000000000/complete",
            "{}",
        ),
    );
    let taken = json!({ "starts_local": "2026-03-16T18:20:00" }).to_string();
    case(
        "a move onto a neighbour",
        post(
            clinic,
            &format!("{occurrence}/2026-03-09T18:00:00/reschedule"),
            taken,
        ),
    );
    let past = json!({ "starts_local": "2026-03-01T18:20:00" }).to_string();
    case(
        "a move into the past",
        post(
            clinic,
            &format!("{occurrence}/2026-03-09T18:00:00/reschedule"),
            past,
        ),
    );
    case("hours that end before they start", post(clinic, "/therapists", json!({
        "name": "T", "zone": "UTC", "hours": [{ "day": "MO", "from": "17:00", "to": "09:00" }],
    }).to_string()));
    case("hours at no time", post(clinic, "/therapists", json!({
        "name": "T", "zone": "UTC", "hours": [{ "day": "MO", "from": "09:00", "to": "25:00" }],
    }).to_string()));
    case(
        "an empty name",
        post(
            clinic,
            "/clients",
            json!({ "name": " ", "zone": "UTC" }).to_string(),
        ),
    );
    case(
        "a currency that is none",
        post(
            clinic,
            "/services",
            json!({
                "name": "s", "minutes": 50, "price": { "minor": 1, "currency": "pounds" },
            })
            .to_string(),
        ),
    );
    for (name, amount, reason) in [
        ("a grant of nothing", json!(0), "gift"),
        ("a grant beyond counting", json!(i64::MAX), "gift"),
        (
            "a grant with prose for a reason",
            json!(1),
            "Because I like her",
        ),
        ("a grant of half a credit", json!(0.5), "gift"),
    ] {
        let body = json!({
            "service_id": parties.service, "amount": amount, "source": "paid", "reason": reason,
        });
        let path = format!("/clients/{}/credits", parties.client);
        case(name, post(clinic, &path, body.to_string()));
    }
    let unnamed = Request::post(format!("/api/v1/clients/{}/credits", parties.client))
        .header("authorization", format!("Bearer {}", clinic.admin));
    let gift = json!({
        "service_id": parties.service, "amount": 1, "source": "paid", "reason": "gift",
    });
    let unnamed = unnamed.body(Body::from(gift.to_string()));
    case("a grant without a name", unnamed.unwrap());
    let stale = Request::post(format!("/api/v1{occurrence}/2026-03-09T18:00:00/skip"))
        .header("authorization", format!("Bearer {}", clinic.admin))
        .header("if-match", "\"7\"");
    case("a stale version", stale.body(Body::empty()).unwrap());
    let window = format!("/api/v1{occurrence}?from=2026-03-09T18:00:00Z&to=2026-03-09T18:00:00Z");
    for (name, uri) in [
        ("an empty window", window),
        (
            "a window beyond the zone data",
            format!("/api/v1{occurrence}?from=2099-12-01T00:00:00Z&to=2100-12-01T00:00:00Z"),
        ),
        (
            "a window that is none",
            format!("/api/v1{occurrence}?from=today"),
        ),
        (
            "an unknown parameter",
            format!("/api/v1{occurrence}?form=2026-03-09T18:00:00Z"),
        ),
        ("a page too large", "/api/v1/clients?limit=1000".to_owned()),
        ("no such page", "/api/v1/bookings".to_owned()),
    ] {
        let request = Request::get(uri).header("authorization", format!("Bearer {}", clinic.admin));
        case(name, request.body(Body::empty()).unwrap());
    }
    let wrong_method = Request::delete(format!("/api/v1/intents/{intent}"))
        .header("authorization", format!("Bearer {}", clinic.admin));
    case("a wrong method", wrong_method.body(Body::empty()).unwrap());
    cases
}

#[tokio::test]
async fn each_refusal_names_what_is_wrong_and_nothing_is_stored() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    // Credits there already, to be written about.
    clinic.grant(&parties, 4).await;
    let intent = clinic
        .book(
            &parties,
            "2026-03-02T18:00:00",
            Some("FREQ=WEEKLY;BYDAY=MO"),
        )
        .await;
    clinic.tick().await;
    let mut database = Database::open(&clinic).await;
    let before = database.dump().await;

    let mut refusals = serde_json::Map::new();
    for Case { name, request } in cases(&clinic, &parties, &intent) {
        let answer = clinic.send(request).await;
        assert!(
            answer.status.is_client_error(),
            "{name}: {} {}",
            answer.status,
            answer.body
        );
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{name}"
        );
        refusals.insert(
            name.to_owned(),
            shown(answer.status, answer.body, &parties, &intent),
        );
    }
    assert_eq!(database.dump().await, before);
    insta::assert_json_snapshot!(refusals);
}

#[tokio::test]
async fn appointments_keep_to_the_therapist_s_hours_in_their_own_zone() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let mut parties = clinic.parties().await;
    let therapist = json!({
        "name": "T", "zone": "America/New_York",
        "hours": [{ "day": "TU", "from": "09:00", "to": "12:00" }],
    });
    let therapist = clinic.post("/therapists", therapist).await["id"].clone();
    parties.therapist = therapist.as_str().unwrap().to_owned();
    // 14:00 in London is 09:00 in New York, but 10:00 in the three weeks of March in which only
    // American clocks have changed, and in the week of October in which only British ones have.
    clinic
        .book(
            &parties,
            "2026-03-03T14:00:00",
            Some("FREQ=WEEKLY;BYDAY=TU"),
        )
        .await;
    let late = booking(
        &parties,
        "2026-03-03T16:00:00",
        Some("FREQ=WEEKLY;BYDAY=TU;COUNT=5"),
    );
    let answer = clinic.post_as(&clinic.admin, "/intents", &late).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let clashes = answer.body["clashes"].as_array().unwrap();
    let outside: Vec<_> = clashes
        .iter()
        .map(|clash| &clash["recurrence_id"])
        .collect();
    assert_eq!(
        outside,
        [
            "2026-03-10T16:00:00",
            "2026-03-17T16:00:00",
            "2026-03-24T16:00:00"
        ]
    );
    assert!(
        clashes
            .iter()
            .all(|clash| clash["reason"] == "outside_hours")
    );
}
