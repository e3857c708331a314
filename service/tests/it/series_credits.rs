//! Edits of a series, over HTTP: that a session is paid for once, that what stays in its place stays,
//! and whom an edit is open to.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Parties, booking};
use crate::series::{Mondays, id};

#[tokio::test]
async fn a_late_pause_that_is_taken_back_costs_one_credit() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let client = clinic.client_token(&mondays.parties.client).await;
    clinic.jump_to("2026-03-09T10:00:00Z");
    let path = |what: &str| format!("/intents/{}/{what}", mondays.intent);
    let rest = json!({ "from": "2026-03-09" });
    let answer = clinic.post_as(&client, &path("pause"), &rest).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 0, 0, 1));
    let answer = clinic.post_as(&client, &path("undo"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
    // Once more, and ended by a resume.
    clinic.post_as(&client, &path("pause"), &rest).await;
    let waived = format!(
        "/sessions/{}/waive",
        mondays
            .session(&mondays.intent, "2026-03-09T18:00:00")
            .await["session_id"]
            .as_str()
            .unwrap()
    );
    clinic.post(&waived, json!({ "reason": "goodwill" })).await;
    let answer = clinic.post_as(&client, &path("resume"), &rest).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
}

#[tokio::test]
async fn a_session_that_becomes_another_service_s_is_paid_for_anew() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let other = json!({ "name": "group", "minutes": 50,
        "price": { "minor": 2000, "currency": "GBP" } });
    let other = Parties {
        service: id(&clinic.post("/services", other).await),
        therapist: mondays.parties.therapist.clone(),
        client: mondays.parties.client.clone(),
    };
    let amend = |service: &str| json!({ "changes": { "service_id": service } });
    let unknown = format!("/intents/{}/amend", mondays.intent);
    mondays
        .refused(
            &unknown,
            amend(&mondays.intent),
            StatusCode::NOT_FOUND,
            "not_found",
        )
        .await;
    let second = mondays
        .edit(&mondays.intent, "amend", amend(&other.service))
        .await;
    let session = mondays.session(&id(&second), "2026-03-09T18:00:00").await;
    assert_eq!(session["state"], "unfunded", "it has none of these credits");
    assert_eq!(clinic.balance(&mondays.parties).await, (4, 0, 0, 0));
    clinic.grant(&other, 1).await;
    assert_eq!(clinic.balance(&mondays.parties).await, (4, 1, 0, 0));
    mondays.edit(&id(&second), "undo", json!({})).await;
    let session = mondays
        .session(&mondays.intent, "2026-03-09T18:00:00")
        .await;
    assert_eq!(session["state"], "scheduled");
    assert_eq!(clinic.balance(&mondays.parties).await, (4, 1, 0, 0));
}

#[tokio::test]
async fn an_undo_on_a_new_segment_is_of_its_split_and_of_nothing_else() {
    let mondays = Mondays::open().await;
    let changes = json!({ "at": "2026-03-30T18:00:00",
        "changes": { "starts_local": "2026-03-30T17:00:00" } });
    let second = mondays.edit(&mondays.intent, "split", changes).await;
    mondays
        .edit(
            &mondays.intent,
            "occurrences/2026-03-16T18:00:00/skip",
            json!({}),
        )
        .await;
    let undo = format!("/intents/{}/undo", id(&second));
    mondays
        .refused(&undo, json!({}), StatusCode::CONFLICT, "overtaken")
        .await;
    mondays.edit(&mondays.intent, "undo", json!({})).await;
    let kept = mondays
        .session(&mondays.intent, "2026-03-16T18:00:00")
        .await;
    assert_eq!(kept["state"], "virtual");
    let first = mondays.edit(&id(&second), "undo", json!({})).await;
    assert_eq!(id(&first), mondays.intent);
}

#[tokio::test]
async fn sessions_that_were_swapped_go_back_to_where_the_rule_has_them() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let twice = Some("FREQ=WEEKLY;BYDAY=MO,TH");
    let intent = clinic.book(&parties, "2026-03-05T18:00:00", twice).await;
    clinic.tick().await;
    for (at, to) in [
        ("2026-03-05T18:00:00", "2026-03-10T12:00:00"),
        ("2026-03-09T18:00:00", "2026-03-05T18:00:00"),
        ("2026-03-05T18:00:00", "2026-03-09T18:00:00"),
    ] {
        let path = format!("occurrences/{at}/reschedule");
        mondays
            .edit(&intent, &path, json!({ "starts_local": to }))
            .await;
    }
    let dropped = json!({ "changes": {}, "overrides": "drop" });
    let second = id(&mondays.edit(&intent, "amend", dropped).await);
    for at in ["2026-03-05T18:00:00", "2026-03-09T18:00:00"] {
        let session = mondays.session(&second, at).await;
        assert_eq!(
            (&session["starts_local"], &session["state"]),
            (&json!(at), &json!("scheduled"))
        );
    }
    assert_eq!(clinic.balance(&parties).await, (2, 2, 0, 0));
}

#[tokio::test]
async fn what_stays_in_its_place_stays_whatever_the_hours_are_by_now() {
    let mondays = Mondays::open().await;
    let hours = json!({ "hours": [{ "day": "MO", "from": "09:00", "to": "12:00" }] });
    let path = format!("/therapists/{}/hours", mondays.parties.therapist);
    mondays.clinic.post(&path, hours).await;
    let same = json!({ "changes": { "gap": "omit" } });
    let second = id(&mondays.edit(&mondays.intent, "amend", same).await);
    mondays.edit(&second, "undo", json!({})).await;
    let later = json!({ "changes": { "starts_local": "2026-03-09T18:30:00" } });
    let amend = format!("/intents/{}/amend", mondays.intent);
    let clash = mondays
        .refused(&amend, later, StatusCode::CONFLICT, "clash")
        .await;
    assert_eq!(clash["clashes"][0]["reason"], "outside_hours");
    let one = "occurrences/2026-03-16T18:00:00/amend";
    mondays
        .edit(&mondays.intent, one, json!({ "minutes": 40 }))
        .await;
    let shorter = json!({ "changes": { "minutes": 40 } });
    let second = id(&mondays.edit(&mondays.intent, "amend", shorter).await);
    // What an undo takes anew has to be free like anything else.
    let undo = format!("/intents/{second}/undo");
    mondays
        .refused(&undo, json!({}), StatusCode::CONFLICT, "clash")
        .await;
}

#[tokio::test]
async fn a_client_moves_to_what_is_offered() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let client = clinic.client_token(&mondays.parties.client).await;
    let odd = "2026-03-16T18:07:00";
    for (what, body) in [
        (
            "split",
            json!({ "at": "2026-03-16T18:00:00", "changes": { "starts_local": odd } }),
        ),
        (
            "amend",
            json!({ "changes": { "starts_local": "2026-03-09T18:07:00" } }),
        ),
        (
            "occurrences/2026-03-16T18:00:00/reschedule",
            json!({ "starts_local": odd }),
        ),
        (
            "occurrences/2026-03-09T18:00:00/reschedule",
            json!({ "starts_local": "2026-03-10T18:07:00" }),
        ),
    ] {
        let path = format!("/intents/{}/{what}", mondays.intent);
        let answer = clinic.post_as(&client, &path, &body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{what}");
        let reason = &answer.body["clashes"][0]["reason"];
        assert_eq!(reason, "off_step", "{what}: {}", answer.body);
    }
    let path = format!(
        "/intents/{}/occurrences/2026-03-16T18:00:00/reschedule",
        mondays.intent
    );
    clinic.post(&path, json!({ "starts_local": odd })).await;
}

#[tokio::test]
async fn nobody_is_told_what_is_not_theirs() {
    let mondays = Mondays::open().await;
    let (clinic, other) = (&mondays.clinic, mondays.clinic.parties().await);
    let theirs = Parties {
        therapist: other.therapist.clone(),
        client: mondays.parties.client.clone(),
        service: mondays.parties.service.clone(),
    };
    let once = booking(&theirs, "2026-03-06T12:00:00", None);
    let once = id(&clinic.post("/intents", once).await);
    clinic.tick().await;
    let therapist = clinic.therapist_token(&other.therapist).await;
    let cancel = format!("/intents/{once}/occurrences/2026-03-06T12:00:00/cancel?dry_run=true");
    let seen = clinic.post_as(&therapist, &cancel, &json!({})).await.body;
    assert_eq!(seen["credits"], json!([]), "{seen}");
    assert_eq!(seen["sessions"].as_array().unwrap().len(), 1);
    let all = clinic.post(&cancel, json!({})).await;
    assert_eq!(all["credits"].as_array().unwrap().len(), 1);

    // Of a series they see what they have of it.
    let reassign = json!({ "from": "2026-03-20", "therapist_id": other.therapist });
    let second = id(&mondays.edit(&mondays.intent, "reassign", reassign).await);
    let get = |what: &str| format!("/intents/{second}/{what}");
    let ids = |body: &Value, name: &str| -> Vec<Value> {
        let items = body["items"].as_array().unwrap().iter();
        items.map(|item| item[name].clone()).collect()
    };
    let seen = clinic.get_as(&therapist, &get("series")).await.body;
    assert_eq!(ids(&seen, "id"), [json!(second)]);
    let seen = clinic.get_as(&therapist, &get("history")).await.body;
    assert!(
        ids(&seen, "intent_id").iter().all(|id| *id == second),
        "{seen}"
    );
    assert_eq!(seen["items"][0]["actor"], "admin");
    let all = clinic.get(&get("history")).await;
    assert!(ids(&all, "intent_id").contains(&json!(mondays.intent)));
    assert!(all["items"][0]["actor"].as_str().unwrap().len() > "admin".len());
    let page = clinic.get(&get("history?after=1")).await;
    assert_eq!(page["items"][0], all["items"][1]);
    let feed = format!("/clients/{}/feed", mondays.parties.client);
    let own = clinic.therapist_token(&mondays.parties.therapist).await;
    let answer = clinic.post_as(&own, &feed, &json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
}
