//! Slots, why others are none, time off and what it hits, forecasts. Over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;

/// A Monday.
const OPENED: &str = "2026-03-02T08:00:00Z";

/// A therapist who works on Mondays and Tuesdays from 9 to 12, and a service with buffers.
async fn mornings(clinic: &Clinic) -> Parties {
    let parties = clinic.parties().await;
    let hours: Vec<Value> = ["MO", "TU"]
        .map(|day| json!({ "day": day, "from": "09:00", "to": "12:00" }))
        .to_vec();
    let path = format!("/therapists/{}/hours", parties.therapist);
    let shown = clinic.post(&path, json!({ "hours": hours })).await;
    assert_eq!(shown["version"], 2);
    let service = json!({
        "name": "with a pause", "minutes": 50, "price": { "minor": 6500, "currency": "GBP" },
        "slots": { "step_minutes": 30, "buffer_after_minutes": 10, "notice_minutes": 1440,
                   "window_days": 60 },
    });
    let service = clinic.post("/services", service).await;
    Parties {
        service: service["id"].as_str().unwrap().to_owned(),
        ..parties
    }
}

fn starts(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| &item["starts_local"].as_str().unwrap()[5..16])
        .collect()
}

#[tokio::test]
async fn what_is_listed_can_be_booked_and_what_is_not_says_why() {
    let clinic = Clinic::at(OPENED).await;
    let parties = mornings(&clinic).await;
    clinic
        .book(&parties, "2026-03-09T09:30:00", Some("FREQ=WEEKLY"))
        .await;
    let slots = |rest: &str| {
        format!(
            "/therapists/{}/slots{rest}service_id={}",
            parties.therapist, parties.service
        )
    };
    let week = clinic
        .get(&(slots("?from=2026-03-02T00:00:00Z&to=2026-03-10T00:00:00Z&")))
        .await;
    let free = [
        "03-03T09:00",
        "03-03T09:30",
        "03-03T10:00",
        "03-03T10:30",
        "03-03T11:00",
        "03-09T10:30",
        "03-09T11:00",
    ];
    assert_eq!(starts(&week), free);
    for (at, reasons) in [
        ("2026-03-02T10:00:00Z", vec!["notice"]),
        ("2026-03-03T09:30:00Z", vec![]),
        ("2026-03-03T09:40:00Z", vec!["off_step"]),
        ("2026-03-09T10:00:00Z", vec!["busy"]),
        ("2026-03-09T09:00:00Z", vec!["busy"]),
        ("2026-03-11T09:00:00Z", vec!["outside_hours"]),
        ("2026-06-01T08:00:00Z", vec!["booking_window", "busy"]),
    ] {
        let why = clinic
            .get(&slots(&format!("/explain?starts_at={at}&")))
            .await;
        let found: Vec<&str> = why["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["reason"].as_str().unwrap())
            .collect();
        assert_eq!(found, reasons, "{at}");
    }
    // A client books what is listed, and staff whatever is free.
    let token = clinic.client_token(&parties.client).await;
    let odd = booking(&parties, "2026-03-03T09:40:00", None);
    let answer = clinic.post_as(&token, "/intents", &odd).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    assert_eq!(answer.body["clashes"][0]["reason"], "off_step");
    let listed = booking(&parties, "2026-03-03T11:00:00", None);
    let answer = clinic.post_as(&token, "/intents", &listed).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    clinic.post("/intents", odd.clone()).await;

    let standing = |rest: &str| {
        let (therapist, service) = (&parties.therapist, &parties.service);
        let wish = "weekdays=MO&from=2026-03-09&dates=10&at_least=10";
        format!("/therapists/{therapist}/standing-slots{rest}service_id={service}&{wish}")
    };
    let list = clinic.get(&standing("?")).await;
    assert_eq!(starts(&list), ["03-09T10:30", "03-09T11:00"]);
    let why = clinic
        .get(&standing("/explain?starts_local=2026-03-09T10:00:00&"))
        .await;
    assert_eq!(why["items"].as_array().unwrap().len(), 10);
    assert_eq!(why["items"][0]["obstacles"][0]["reason"], "busy");
    let room = clinic
        .get(&format!(
            "/therapists/{}/room?service_id={}&weekdays=MO,TU&from=2026-03-09&dates=8",
            parties.therapist, parties.service
        ))
        .await;
    // One more on Mondays after the one that comes then, and three on Tuesdays.
    assert_eq!(room["items"].as_array().unwrap().len(), 4, "{room}");
}

#[tokio::test]
async fn dates_have_hours_of_their_own() {
    let clinic = Clinic::at(OPENED).await;
    let parties = mornings(&clinic).await;
    let path = format!("/therapists/{}/dates", parties.therapist);
    clinic
        .post(&path, json!({ "date": "2026-03-10", "hours": [] }))
        .await;
    let own = json!([{ "from": "14:00", "to": "15:00" }]);
    clinic
        .post(&path, json!({ "date": "2026-03-11", "hours": own }))
        .await;
    let slots = format!(
        "/therapists/{}/slots?service_id={}&from=2026-03-10T00:00:00Z&to=2026-03-12T00:00:00Z",
        parties.therapist, parties.service
    );
    assert_eq!(starts(&clinic.get(&slots).await), ["03-11T14:00"]);
    clinic
        .post(&path, json!({ "date": "2026-03-10", "hours": null }))
        .await;
    assert_eq!(starts(&clinic.get(&slots).await).len(), 6);
}

#[tokio::test]
async fn time_off_is_previewed_and_each_occurrence_it_hits_is_decided() {
    let clinic = Clinic::at(OPENED).await;
    let parties = mornings(&clinic).await;
    clinic.grant(&parties, 4).await;
    let intent = clinic
        .book(
            &parties,
            "2026-03-03T09:00:00",
            Some("FREQ=WEEKLY;BYDAY=MO,TU"),
        )
        .await;
    clinic.jump_to("2026-03-02T10:00:00Z");
    clinic.tick().await;
    let mut database = Database::open(&clinic).await;
    let before = database.dump().await;
    let path = format!("/therapists/{}/blackouts", parties.therapist);
    let away = json!({
        "from_local": "2026-03-09T00:00:00", "until_local": "2026-03-17T00:00:00",
        "reason": "time_off",
    });
    let tried = clinic
        .post(&format!("{path}?dry_run=true"), away.clone())
        .await;
    let addresses = |cases: &Value| -> Vec<String> {
        let cases = cases.as_array().unwrap().iter();
        cases
            .map(|case| {
                case["occurrence"]["recurrence_id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    let hit = [
        "2026-03-09T09:00:00",
        "2026-03-10T09:00:00",
        "2026-03-16T09:00:00",
    ];
    assert_eq!(addresses(&tried["cases"]), hit);
    assert_eq!(database.dump().await, before);

    let blackout = clinic.post(&path, away).await;
    assert_eq!(blackout["open_cases"], 3);
    let own = format!("{path}/{}", blackout["id"].as_str().unwrap());
    let cases = clinic.get(&format!("{own}/cases")).await;
    assert_eq!(addresses(&cases["items"]), hit);
    // Nothing is dropped in silence.
    let there = clinic
        .get(&format!(
            "/intents/{intent}/occurrences/2026-03-09T09:00:00"
        ))
        .await;
    assert_eq!(there["state"], "scheduled");
    // New bookings are refused.
    let wanted = booking(&parties, "2026-03-10T11:00:00", None);
    let answer = clinic.post_as(&clinic.admin, "/intents", &wanted).await;
    assert_eq!(
        answer.body["clashes"][0]["reason"], "blackout",
        "{}",
        answer.body
    );

    let named = json!({ "cases": [
        { "intent_id": intent, "recurrence_id": hit[0], "resolution": "move" },
        { "intent_id": intent, "recurrence_id": hit[1], "resolution": "keep" },
    ] });
    let done = clinic.post(&format!("{own}/resolve"), named.clone()).await;
    let done: Vec<&Value> = done["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["done"])
        .collect();
    assert_eq!(done, [&json!("move"), &json!("keep")]);
    let moved = clinic
        .get(&format!("/intents/{intent}/occurrences/{}", hit[0]))
        .await;
    assert_eq!(
        (&moved["state"], &moved["moved"]),
        (&json!("scheduled"), &json!(true))
    );
    let again = clinic.post(&format!("{own}/resolve"), named).await;
    let codes = again["items"].as_array().unwrap().iter();
    let codes: Vec<&Value> = codes.map(|one| &one["problem"]["code"]).collect();
    assert_eq!(codes, ["not_found", "not_found"], "they are decided");
    let cases = clinic.get(&format!("{own}/cases")).await;
    assert_eq!(addresses(&cases["items"]), hit[2..]);

    // Withdrawn, it has no cases; reinstated, it has those that nobody has decided about.
    let shown = clinic.post(&format!("{own}/withdraw"), json!({})).await;
    assert_eq!(
        (&shown["withdrawn"], &shown["open_cases"]),
        (&json!(true), &json!(0))
    );
    clinic.post("/intents", wanted).await;
    let shown = clinic.post(&format!("{own}/reinstate"), json!({})).await;
    assert_eq!(shown["open_cases"], 2);
    let done = clinic
        .post(&format!("{own}/resolve"), json!({ "all": "skip" }))
        .await;
    assert_eq!(done["items"].as_array().unwrap().len(), 2);
    let shown = clinic.get(&path).await;
    assert_eq!(shown["items"][0]["open_cases"], 0);
    let gone = clinic
        .get(&format!("/intents/{intent}/occurrences/{}", hit[2]))
        .await;
    assert_eq!(gone["state"], "skipped");
}

#[tokio::test]
async fn time_off_is_one_s_own_and_has_to_be_some() {
    let clinic = Clinic::at(OPENED).await;
    let (parties, other) = (mornings(&clinic).await, clinic.parties().await);
    let path = format!("/therapists/{}/blackouts", parties.therapist);
    let away = json!({ "from_local": "2026-03-09T00:00:00", "until_local": "2026-03-10T00:00:00" });
    let token = clinic.therapist_token(&other.therapist).await;
    let answer = clinic.post_as(&token, &path, &away).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
    let token = clinic.therapist_token(&parties.therapist).await;
    let answer = clinic.post_as(&token, &path, &away).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let none = json!({ "from_local": "2026-03-09T00:00:00", "until_local": "2026-03-09T00:00:00" });
    let answer = clinic.post_as(&token, &path, &none).await;
    assert_eq!(answer.body["code"], "invalid_times", "{}", answer.body);
}

#[tokio::test]
async fn the_first_date_that_no_credit_pays_is_known_without_rows() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 3).await;
    clinic
        .book(&parties, "2026-03-03T18:00:00", Some("FREQ=WEEKLY"))
        .await;
    let path = format!(
        "/clients/{}/funded?service_id={}",
        parties.client, parties.service
    );
    let expected = "2026-03-24T18:00:00Z";
    assert_eq!(clinic.get(&path).await["first_unfunded"], expected);
    clinic.tick().await;
    assert_eq!(clinic.balance(&parties).await.1, 1, "one is held");
    assert_eq!(clinic.get(&path).await["first_unfunded"], expected);
}
