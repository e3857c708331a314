//! One date to another therapist: by itself, and as what becomes of time off. Over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::Parties;
use crate::series::{Mondays, id};

/// Another therapist of the clinic, and a client who has them at a time.
async fn other(mondays: &Mondays) -> Parties {
    mondays.clinic.parties().await
}

#[tokio::test]
async fn a_date_without_a_session_becomes_another_therapist_s() {
    let mondays = Mondays::open().await;
    let (clinic, other) = (&mondays.clinic, other(&mondays).await);
    let path = format!(
        "/intents/{}/occurrences/2026-03-23T18:00:00/reassign",
        mondays.intent
    );
    let to = json!({ "therapist_id": other.therapist });
    let token = clinic.therapist_token(&mondays.parties.therapist).await;
    let answer = clinic.post_as(&token, &path, &to).await;
    assert_eq!(answer.body["code"], "invalid_value", "{}", answer.body);

    clinic.book(&other, "2026-03-23T18:30:00", None).await;
    let clash = mondays
        .refused(&path, to.clone(), StatusCode::CONFLICT, "clash")
        .await;
    assert_eq!(clash["clashes"][0]["reason"], "busy");
    let third = clinic.parties().await;
    let to = json!({ "therapist_id": third.therapist });
    let made = clinic.post(&path, to).await;
    assert_eq!(made["therapist_id"], json!(third.therapist));
    assert_eq!(made["starts_local"], "2026-03-23T18:00:00");
    assert_ne!(made["intent_id"], json!(mondays.intent));
    let left = mondays
        .session(&mondays.intent, "2026-03-23T18:00:00")
        .await;
    assert_eq!(left["state"], "skipped");
    // It is of the series, and the client has one appointment then.
    let series = clinic
        .get(&format!("/intents/{}/series", mondays.intent))
        .await;
    assert_eq!(series["items"].as_array().unwrap().len(), 2);
    clinic.jump_to("2026-03-19T08:00:00Z");
    clinic.tick().await;
    let path = format!(
        "/clients/{}/sessions?from=2026-03-23T00:00:00Z&to=2026-03-24T00:00:00Z",
        mondays.parties.client
    );
    let day = clinic.get(&path).await;
    let day = day["items"].as_array().unwrap();
    assert_eq!(day.len(), 1, "{day:?}");
    assert_eq!(day[0]["state"], "scheduled");
    // The date comes back only where nothing has taken its place.
    let undo = format!("/intents/{}/undo", mondays.intent);
    mondays
        .refused(&undo, json!({}), StatusCode::CONFLICT, "clash")
        .await;
}

#[tokio::test]
async fn a_session_s_credit_goes_along_to_another_therapist() {
    let mondays = Mondays::open().await;
    let (clinic, other) = (&mondays.clinic, other(&mondays).await);
    // Whoever waits for a credit does not get the one that is on its way.
    let path = format!(
        "/intents/{}/occurrences/2026-03-09T18:00:00/reassign",
        mondays.intent
    );
    let to = json!({ "therapist_id": other.therapist });
    let tried = clinic
        .post(&format!("{path}?dry_run=true"), to.clone())
        .await;
    assert_eq!(tried["sessions"].as_array().unwrap().len(), 2, "{tried}");
    let made = clinic.post(&path, to.clone()).await;
    assert_eq!(made["state"], "scheduled");
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
    let ledger = clinic.ledger(&mondays.parties).await;
    assert_eq!(ledger, ["grant", "hold", "release", "hold"]);
    let left = mondays
        .session(&mondays.intent, "2026-03-09T18:00:00")
        .await;
    assert_eq!(left["state"], "cancelled");
    // Asked again, nothing more happens.
    clinic.post(&path, to).await;
    assert_eq!(clinic.ledger(&mondays.parties).await, ledger);
    clinic.pass(1).await;
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
}

#[tokio::test]
async fn a_case_is_given_to_a_therapist_who_is_free() {
    let mondays = Mondays::open().await;
    let (clinic, other) = (&mondays.clinic, other(&mondays).await);
    let path = format!("/therapists/{}/blackouts", mondays.parties.therapist);
    let away = json!({ "from_local": "2026-03-09T00:00:00", "until_local": "2026-03-17T00:00:00" });
    let blackout = clinic.post(&path, away).await;
    let own = format!("{path}/{}", id(&blackout));
    clinic.book(&other, "2026-03-16T18:30:00", None).await;
    let cases = clinic.get(&format!("{own}/cases")).await;
    let free: Vec<&Value> = cases["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| &case["therapists"])
        .collect();
    assert_eq!(free, [&json!([other.therapist]), &json!([])]);
    let token = clinic.therapist_token(&mondays.parties.therapist).await;
    let seen = clinic.get_as(&token, &format!("{own}/cases")).await;
    assert_ne!(
        seen.body["items"][0]["therapists"],
        json!([other.therapist])
    );

    let resolve = format!("{own}/resolve");
    let tried = clinic
        .post(
            &format!("{resolve}?dry_run=true"),
            json!({ "all": "reassign" }),
        )
        .await;
    assert_eq!(tried["items"][0]["preview"]["dry_run"], true, "{tried}");
    let done = clinic.post(&resolve, json!({ "all": "reassign" })).await;
    assert_eq!(done["items"][0]["done"], "reassign", "{done}");
    assert_eq!(done["items"][1]["problem"]["code"], "nothing_free");
    let unknown = json!({ "cases": [{ "intent_id": mondays.intent,
        "recurrence_id": "2026-03-30T18:00:00", "resolution": "skip" }] });
    let told = clinic.post(&resolve, unknown).await;
    assert_eq!(told["items"][0]["problem"]["code"], "not_found", "{told}");
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
}
