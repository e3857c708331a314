//! What is agreed with people changes: when a therapist works, whose client somebody is, what a service costs.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, booking};

const NOW: &str = "2026-03-02T08:00:00Z";

fn week(days: &[&str], from: &str, to: &str) -> Value {
    let hours = days
        .iter()
        .map(|day| json!({ "day": day, "from": from, "to": to }));
    json!({ "hours": hours.collect::<Vec<_>>() })
}

fn dates(cases: &Value) -> Vec<String> {
    let items = cases.as_array().unwrap().iter();
    let at = |case: &Value| {
        case["occurrence"]["recurrence_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    items.map(at).collect()
}

/// Whoever may read a booking is told that it is in the way, and nobody else: a client who is busy elsewhere too.
#[tokio::test]
async fn who_is_busy_is_named_to_whoever_may_know() {
    let clinic = Clinic::at(NOW).await;
    let (parties, other) = (clinic.parties().await, clinic.parties().await);
    let at = "2026-03-04T10:00:00";
    let own = clinic.book(&parties, at, Some("FREQ=WEEKLY")).await;
    // The client goes to another therapist at the same time, and somebody else to the first.
    let assign = async |client: &str, therapist: &str| {
        let path = format!("/clients/{client}/therapist");
        clinic
            .post(&path, json!({ "therapist_id": therapist }))
            .await;
    };
    assign(&parties.client, &other.therapist).await;
    assign(&other.client, &parties.therapist).await;
    let with = |therapist: &str, client: &str| {
        let mut body = booking(&parties, at, None);
        body["therapist_id"] = json!(therapist);
        body["client_id"] = json!(client);
        body
    };
    let elsewhere = with(&other.therapist, &parties.client);
    let taken = with(&parties.therapist, &other.client);
    let client = clinic.client_token(&parties.client).await;
    let stranger = clinic.client_token(&other.client).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let colleague = clinic.therapist_token(&other.therapist).await;
    for (token, body, named) in [
        (&client, &elsewhere, true),
        (&stranger, &taken, false),
        (&therapist, &taken, true),
        (&colleague, &elsewhere, false),
        (&clinic.admin, &elsewhere, true),
        (&clinic.admin, &taken, true),
    ] {
        let answer = clinic.post_as(token, "/intents", body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
        let clash = &answer.body["clashes"][0];
        let expected = named.then_some(own.as_str());
        assert_eq!(clash["with"]["intent_id"].as_str(), expected, "{clash}");
        let obstacle = &answer.body["alternatives"][0]["obstacles"][0];
        assert_eq!(
            obstacle["with"]["intent_id"].as_str(),
            expected,
            "{obstacle}"
        );
    }
    let why = async |token: &str| {
        let (of, service) = (&other.therapist, &parties.service);
        let query = format!("starts_at=2026-03-04T10:00:00Z&service_id={service}");
        let path = format!("/therapists/{of}/slots/explain?{query}");
        clinic.get_as(token, &path).await.body["items"].clone()
    };
    let told = why(&client).await;
    assert_eq!(
        told[0]["with"]["intent_id"].as_str(),
        Some(own.as_str()),
        "{told}"
    );
}

/// Hours and dates have the cases that time off has: before they are changed, and after.
#[tokio::test]
async fn changed_hours_and_dates_say_what_they_hit() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    let therapist = &parties.therapist;
    clinic.grant(&parties, 4).await;
    let intent = clinic
        .book(&parties, "2026-03-04T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.tick().await;
    let of = |path: &str| format!("/therapists/{therapist}/{path}");
    assert_eq!(dates(&clinic.get(&of("cases")).await["items"]), [""; 0]);

    let off = json!({ "date": "2026-03-11", "hours": [] });
    let tried = clinic.post(&of("dates?dry_run=true"), off.clone()).await;
    assert_eq!(dates(&tried["cases"]), ["2026-03-11T10:00:00"]);
    clinic.post(&of("dates"), off).await;
    let found = clinic.get(&of("cases")).await;
    assert_eq!(dates(&found["items"]), ["2026-03-11T10:00:00"]);
    assert!(found["items"][0]["instead"].is_string(), "{found}");

    let mornings = week(&["MO", "TU", "WE", "TH", "FR"], "08:00", "10:30");
    let tried = clinic
        .post(&of("hours?dry_run=true"), mornings.clone())
        .await;
    assert_eq!(dates(&tried["cases"]).len(), 8);
    clinic.post(&of("hours"), mornings).await;
    let window = "cases?from=2026-03-10T00:00:00Z&to=2026-03-26T00:00:00Z";
    let three = [
        "2026-03-11T10:00:00",
        "2026-03-18T10:00:00",
        "2026-03-25T10:00:00",
    ];
    assert_eq!(dates(&clinic.get(&of(window)).await["items"]), three);

    // One takes place all the same, one is moved, and the rest are left out.
    let wanted = json!({ "all": "skip", "cases": [
        { "intent_id": intent, "recurrence_id": "2026-03-04T10:00:00", "resolution": "keep" },
        { "intent_id": intent, "recurrence_id": "2026-03-11T10:00:00", "resolution": "move" },
    ] });
    let done = clinic.post(&of("cases/resolve"), wanted.clone()).await;
    let done = done["items"].as_array().unwrap();
    assert!(done.iter().all(|one| one["problem"].is_null()), "{done:?}");
    assert_eq!(done.len(), 8);
    assert_eq!(dates(&clinic.get(&of("cases")).await["items"]), [""; 0]);
    let again = clinic.post(&of("cases/resolve"), wanted).await;
    assert_eq!(
        again["items"].as_array().unwrap().len(),
        2,
        "both are decided"
    );
    let kept = clinic
        .get(&format!(
            "/intents/{intent}/occurrences/2026-03-04T10:00:00"
        ))
        .await;
    assert_eq!(kept["state"], "scheduled");
    for wrong in [
        "cases?to=2026-03-01T00:00:00Z",
        "cases?to=2028-01-01T00:00:00Z",
    ] {
        let refused = clinic.get_as(&clinic.admin, &of(wrong)).await;
        assert_eq!(refused.body["code"], "invalid_window", "{}", refused.body);
    }
}

/// A therapist leaves: nothing is booked after the day, what is booked are cases, and their clients go to another
/// with the last of their bookings.
#[tokio::test]
async fn a_therapist_retires_and_another_has_the_clients() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    let other = clinic.parties().await.therapist;
    let (former, client) = (&parties.therapist, &parties.client);
    let intent = clinic
        .book(&parties, "2026-03-04T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let second = clinic
        .book(&parties, "2026-03-05T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let retire = json!({ "from": "2026-04-01" });
    let path = format!("/therapists/{former}/retire");
    let of_former = clinic.therapist_token(former).await;
    let refused = clinic.post_as(&of_former, &path, &retire).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.body
    );
    let tried = clinic
        .post(&format!("{path}?dry_run=true"), retire.clone())
        .await;
    assert_eq!(dates(&tried["cases"])[0], "2026-04-01T10:00:00");
    let retired = clinic.post(&path, retire).await;
    assert_eq!(retired["retires_on"], "2026-04-01");
    let late = booking(&parties, "2026-04-03T10:00:00", None);
    let refused = clinic.post_as(&clinic.admin, "/intents", &late).await;
    assert_eq!(refused.body["code"], "clash", "{}", refused.body);

    let of_other = clinic.therapist_token(&other).await;
    let page = format!("/clients/{client}");
    let sees = async |token: &str| clinic.get_as(token, &page).await.status == StatusCode::OK;
    assert!(sees(&of_former).await && !sees(&of_other).await);
    let to_other = json!({ "from": "2026-03-02", "therapist_id": other });
    let first = clinic
        .post(&format!("/intents/{intent}/reassign"), to_other.clone())
        .await;
    assert!(sees(&of_former).await, "one booking is left");
    let gone = clinic
        .post(&format!("/intents/{second}/reassign"), to_other)
        .await;
    assert!(!sees(&of_former).await && sees(&of_other).await);
    assert_eq!(clinic.get(&page).await["therapist_id"], other.as_str());
    // The client books with the new one, and an undo gives them back.
    let own = clinic.client_token(client).await;
    let mut with_other = booking(&parties, "2026-03-20T15:00:00", None);
    with_other["therapist_id"] = json!(other);
    let booked = clinic
        .post_as(&own, "/intents?dry_run=true", &with_other)
        .await;
    assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);
    let gone = gone["id"].as_str().unwrap();
    // There is no time of the former's any more in April, so nothing can go back there.
    let back = clinic
        .post_as(&clinic.admin, &format!("/intents/{gone}/undo"), &json!({}))
        .await;
    assert_eq!(back.body["code"], "clash", "{}", back.body);
    let stays = json!({ "from": null });
    clinic.post(&path, stays).await;
    clinic
        .post(&format!("/intents/{gone}/undo"), json!({}))
        .await;
    assert!(sees(&of_other).await, "one booking is left there");
    let first = first["id"].as_str().unwrap();
    clinic
        .post(&format!("/intents/{first}/undo"), json!({}))
        .await;
    assert!(sees(&of_former).await && !sees(&of_other).await);
}

#[tokio::test]
async fn staff_change_assignments_zones_services_and_plans() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    let other = clinic.parties().await.therapist;
    let (client, service) = (&parties.client, &parties.service);
    let path = format!("/clients/{client}/therapist");
    let own = clinic.client_token(client).await;
    let to_other = json!({ "therapist_id": other });
    let refused = clinic.post_as(&own, &path, &to_other).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let assigned = clinic.post(&path, to_other).await;
    assert_eq!(assigned["therapist_id"], other.as_str());
    let nobody = json!({ "therapist_id": uuid::Uuid::nil() });
    let refused = clinic.post_as(&clinic.admin, &path, &nobody).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.body);
    let assigned = clinic.post(&path, json!({ "therapist_id": null })).await;
    assert_eq!(assigned["therapist_id"], Value::Null);

    let person = json!({ "name": "C", "zone": "Asia/Tokyo" });
    let moved = clinic
        .post(&format!("/clients/{client}/person"), person)
        .await;
    assert_eq!(moved["zone"], "Asia/Tokyo");
    let again = clinic
        .post(&format!("/clients/{client}/person"), json!({ "name": "D" }))
        .await;
    assert_eq!(again["zone"], "Asia/Tokyo", "it stays");

    let page = format!("/services/{service}");
    let mut terms = clinic.get(&page).await;
    terms.as_object_mut().unwrap().remove("id");
    terms["price"]["minor"] = json!(7_000);
    terms["slots"]["dates_a_week"] = json!(2);
    terms["cancellation"]["late_cancel"] = json!("release");
    clinic.post(&page, terms.clone()).await;
    let stored = clinic.get(&page).await;
    for (name, value) in terms.as_object().unwrap() {
        assert_eq!(&stored[name], value, "{name}");
    }
    terms["minutes"] = json!(80);
    let refused = clinic.post_as(&clinic.admin, &page, &terms).await;
    assert_eq!(refused.body["field"], "minutes", "{}", refused.body);

    let plan = json!({
        "name": "Four a month", "service_id": service, "credits": 4,
        "price": { "minor": 24_000, "currency": "GBP" },
    });
    let plan = clinic.post("/plans", plan).await["id"].clone();
    let plan = plan.as_str().unwrap();
    let subscribe = json!({ "plan_id": plan });
    let path = format!("/clients/{client}/subscription");
    clinic.post(&path, subscribe.clone()).await;
    let retired = clinic
        .post(&format!("/plans/{plan}/retire"), json!({}))
        .await;
    assert!(retired["retired_at"].is_string());
    let second = json!({ "name": "E", "zone": "UTC" });
    let second = clinic.post("/clients", second).await["id"].clone();
    let path = format!("/clients/{}/subscription", second.as_str().unwrap());
    let refused = clinic.post_as(&clinic.admin, &path, &subscribe).await;
    assert_eq!(refused.body["field"], "plan_id", "{}", refused.body);
}
