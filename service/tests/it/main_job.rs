//! The main job: a standing booking, its occurrences, its sessions, its credits.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties, booking};

fn column<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item[name].as_str().unwrap())
        .collect()
}

async fn occurrences(clinic: &Clinic, intent: &str, from: &str, to: &str) -> Value {
    clinic
        .get(&format!(
            "/intents/{intent}/occurrences?from={from}&to={to}"
        ))
        .await
}

/// The path of an occurrence.
fn at(intent: &str, recurrence_id: &str) -> String {
    format!("/intents/{intent}/occurrences/{recurrence_id}")
}

/// A weekly Monday at 18:00 in London with credits, on Monday 2 March 2026 at 08:00, after a tick.
async fn weekly(credits: i64) -> (Clinic, Parties, String) {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, credits).await;
    let intent = clinic
        .book(
            &parties,
            "2026-03-02T18:00:00",
            Some("FREQ=WEEKLY;BYDAY=MO"),
        )
        .await;
    clinic.tick().await;
    (clinic, parties, intent)
}

#[tokio::test]
async fn wall_time_stays_and_instants_move_across_both_clock_changes() {
    let (clinic, _, intent) = weekly(1).await;
    let spring = occurrences(
        &clinic,
        &intent,
        "2026-03-20T00:00:00Z",
        "2026-04-08T00:00:00Z",
    )
    .await;
    assert_eq!(
        column(&spring, "starts_local"),
        [
            "2026-03-23T18:00:00",
            "2026-03-30T18:00:00",
            "2026-04-06T18:00:00"
        ]
    );
    assert_eq!(
        column(&spring, "starts_at"),
        [
            "2026-03-23T18:00:00Z",
            "2026-03-30T17:00:00Z",
            "2026-04-06T17:00:00Z"
        ]
    );
    let autumn = occurrences(
        &clinic,
        &intent,
        "2026-10-18T00:00:00Z",
        "2026-11-01T00:00:00Z",
    )
    .await;
    assert_eq!(
        column(&autumn, "starts_at"),
        ["2026-10-19T17:00:00Z", "2026-10-26T18:00:00Z"]
    );
    let far = occurrences(
        &clinic,
        &intent,
        "2076-03-01T00:00:00Z",
        "2076-03-08T00:00:00Z",
    )
    .await;
    assert_eq!(column(&far, "starts_local"), ["2076-03-02T18:00:00"]);
}

#[tokio::test]
async fn sessions_appear_seven_days_ahead_with_their_holds() {
    let (clinic, parties, intent) = weekly(4).await;
    let path = format!(
        "/therapists/{}/sessions?from=2026-03-02T00:00:00Z&to=2026-03-20T00:00:00Z",
        parties.therapist
    );
    let told_apart = async || {
        let list = clinic.get(&path).await;
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["materialized"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(told_apart().await, [true, false, false]);
    assert_eq!(clinic.balance(&parties).await, (3, 1, 0, 0));
    clinic.pass(24).await;
    assert_eq!(told_apart().await, [true, true, false]);
    assert_eq!(clinic.balance(&parties).await, (2, 2, 0, 0));
    let session = clinic.get(&at(&intent, "2026-03-02T18:00:00")).await;
    assert_eq!(session["state"], "scheduled");
    let mine = clinic
        .get(&format!("/clients/{}/sessions", parties.client))
        .await;
    assert_eq!(mine["items"][0]["state"], "scheduled");
}

#[tokio::test]
async fn a_reschedule_keeps_its_hold() {
    let (clinic, parties, intent) = weekly(1).await;
    let occurrence = at(&intent, "2026-03-02T18:00:00");
    let before = clinic.get(&occurrence).await;
    for hour in ["19", "20"] {
        let to = json!({ "starts_local": format!("2026-03-04T{hour}:00:00") });
        let after = clinic.post(&format!("{occurrence}/reschedule"), to).await;
        assert_eq!(after["session_id"], before["session_id"]);
        assert_eq!(after["hold"], before["hold"]);
        assert_eq!(after["recurrence_id"], "2026-03-02T18:00:00");
        assert_eq!(after["starts_at"], format!("2026-03-04T{hour}:00:00Z"));
        assert_eq!(after["moved"], true);
    }
    assert_eq!(
        clinic.ledger(&parties).await,
        ["grant", "hold", "rescheduled", "rescheduled"]
    );
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 0));
    // It left its old place, and is where it was moved to.
    let monday = "?from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z";
    let monday = clinic
        .get(&format!(
            "/therapists/{}/sessions{monday}",
            parties.therapist
        ))
        .await;
    assert_eq!(monday["items"], json!([]));
}

#[tokio::test]
async fn a_cancel_in_time_releases_and_a_late_one_forfeits() {
    let (clinic, parties, intent) = weekly(2).await;
    clinic.pass(24).await;
    let client = clinic.client_token(&parties.client).await;
    let late = at(&intent, "2026-03-09T18:00:00");
    clinic.jump_to("2026-03-09T12:00:00Z");
    let answer = clinic
        .post_as(&client, &format!("{late}/cancel"), &json!({}))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(
        (&answer.body["state"], &answer.body["late"]),
        (&json!("cancelled"), &json!(true))
    );
    assert_eq!(answer.body["cancelled_by"], "client");
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 1));

    let (clinic, parties, intent) = weekly(2).await;
    clinic.pass(24).await;
    let client = clinic.client_token(&parties.client).await;
    let in_time = at(&intent, "2026-03-09T18:00:00");
    let answer = clinic
        .post_as(&client, &format!("{in_time}/cancel"), &json!({}))
        .await;
    assert_eq!(answer.body["late"], false);
    assert_eq!(clinic.balance(&parties).await, (1, 1, 0, 0));
    assert_eq!(
        clinic.ledger(&parties).await,
        ["grant", "hold", "hold", "release"]
    );
}

#[tokio::test]
async fn a_completed_session_uses_and_a_no_show_forfeits() {
    let (clinic, parties, intent) = weekly(2).await;
    clinic.pass(24).await;
    let first = clinic.get(&at(&intent, "2026-03-02T18:00:00")).await;
    let session = format!("/sessions/{}", first["session_id"].as_str().unwrap());
    for _ in 0..3 {
        let done = clinic.post(&format!("{session}/complete"), json!({})).await;
        assert_eq!(done["state"], "completed");
    }
    assert_eq!(
        clinic.ledger(&parties).await,
        ["grant", "hold", "hold", "release", "use"]
    );
    clinic.jump_to("2026-03-09T19:00:00Z");
    let second = clinic.get(&at(&intent, "2026-03-09T18:00:00")).await;
    let session = format!("/sessions/{}", second["session_id"].as_str().unwrap());
    clinic.post(&format!("{session}/no-show"), json!({})).await;
    assert_eq!(clinic.balance(&parties).await, (0, 0, 1, 1));
}

#[tokio::test]
async fn touching_what_is_virtual_makes_nothing_real() {
    let (clinic, parties, intent) = weekly(8).await;
    let moved = at(&intent, "2026-05-04T18:00:00");
    clinic
        .post(
            &format!("{moved}/reschedule"),
            json!({ "starts_local": "2026-05-06T09:00:00" }),
        )
        .await;
    clinic
        .post(
            &format!("{}/skip", at(&intent, "2026-05-11T18:00:00")),
            json!({}),
        )
        .await;
    clinic
        .post(
            &format!("{}/cancel", at(&intent, "2026-05-18T18:00:00")),
            json!({}),
        )
        .await;
    let may = occurrences(
        &clinic,
        &intent,
        "2026-05-01T00:00:00Z",
        "2026-05-26T00:00:00Z",
    )
    .await;
    assert_eq!(
        column(&may, "starts_local"),
        [
            "2026-05-06T09:00:00",
            "2026-05-18T18:00:00",
            "2026-05-25T18:00:00"
        ]
    );
    assert_eq!(column(&may, "state"), ["virtual", "cancelled", "virtual"]);
    assert_eq!(
        clinic.get(&at(&intent, "2026-05-11T18:00:00")).await["state"],
        "skipped"
    );
    assert_eq!(clinic.balance(&parties).await, (7, 1, 0, 0));

    // When their time comes, the moved one is made where it was moved to, the others are not.
    clinic.jump_to("2026-05-20T00:00:00Z");
    clinic.tick().await;
    let made = clinic.get(&moved).await;
    assert_eq!(made["materialized"], true);
    assert_eq!(made["starts_local"], "2026-05-06T09:00:00");
    assert_eq!(
        made["state"], "missed",
        "an outage of weeks leaves it to a person"
    );
    assert_eq!(
        clinic.get(&at(&intent, "2026-05-18T18:00:00")).await["materialized"],
        false
    );
    assert_eq!(
        clinic.get(&at(&intent, "2026-05-25T18:00:00")).await["state"],
        "scheduled"
    );
}

#[tokio::test]
async fn an_occurrence_moved_near_becomes_a_session_at_the_next_tick() {
    let (clinic, _, intent) = weekly(8).await;
    let far = at(&intent, "2026-06-01T18:00:00");
    clinic
        .post(
            &format!("{far}/reschedule"),
            json!({ "starts_local": "2026-03-03T07:00:00" }),
        )
        .await;
    clinic.tick().await;
    let near = clinic.get(&far).await;
    assert_eq!(
        (&near["materialized"], &near["state"]),
        (&json!(true), &json!("scheduled"))
    );
    let march = occurrences(
        &clinic,
        &intent,
        "2026-03-01T00:00:00Z",
        "2026-03-10T00:00:00Z",
    )
    .await;
    assert_eq!(
        column(&march, "recurrence_id"),
        [
            "2026-03-02T18:00:00",
            "2026-06-01T18:00:00",
            "2026-03-09T18:00:00",
        ]
    );
    // Back where it came from: the session moves, and June has it once.
    clinic
        .post(
            &format!("{far}/reschedule"),
            json!({ "starts_local": "2026-06-02T18:00:00" }),
        )
        .await;
    let june = occurrences(
        &clinic,
        &intent,
        "2026-06-01T00:00:00Z",
        "2026-06-09T00:00:00Z",
    )
    .await;
    assert_eq!(
        column(&june, "starts_local"),
        ["2026-06-02T18:00:00", "2026-06-08T18:00:00"]
    );
}

#[tokio::test]
async fn without_credit_a_session_waits_and_a_grant_funds_it() {
    let (clinic, parties, intent) = {
        let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
        let parties = clinic.parties().await;
        let weekly = Some("FREQ=WEEKLY;BYDAY=FR");
        let intent = clinic.book(&parties, "2026-03-06T18:00:00", weekly).await;
        clinic.tick().await;
        (clinic, parties, intent)
    };
    let friday = at(&intent, "2026-03-06T18:00:00");
    let waiting = clinic.get(&friday).await;
    assert_eq!(
        (&waiting["state"], &waiting["hold"]),
        (&json!("unfunded"), &Value::Null)
    );
    clinic.grant(&parties, 1).await;
    assert_eq!(clinic.get(&friday).await["state"], "scheduled");
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 0));

    // The next one finds no credit before its notice, and is left to a person.
    clinic.pass(24 * 5).await;
    let next = at(&intent, "2026-03-13T18:00:00");
    assert_eq!(clinic.get(&next).await["state"], "unfunded");
    clinic.pass(24 * 6).await;
    assert_eq!(clinic.get(&next).await["state"], "case");
}

#[tokio::test]
async fn two_ticks_are_one() {
    let (clinic, _, _) = weekly(4).await;
    clinic.app.clock.advance(chrono::TimeDelta::days(3));
    let mut database = crate::database::Database::open(&clinic).await;
    let first = clinic.tick().await;
    // The next session made, its client told; the reminder of the first missed, its therapist asked
    // how it went, and told so.
    assert_eq!((first.done, first.failed), (5, 0));
    let once = database.dump().await;
    let second = clinic.tick().await;
    assert_eq!((second.done, second.failed), (0, 0));
    assert_eq!(database.dump().await, once);
}

#[tokio::test]
async fn a_credit_that_comes_free_goes_to_the_session_that_waits_for_one() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 1).await;
    let daily = Some("FREQ=DAILY;COUNT=2");
    let intent = clinic.book(&parties, "2026-03-04T10:00:00", daily).await;
    clinic.tick().await;
    let (first, second) = (
        at(&intent, "2026-03-04T10:00:00"),
        at(&intent, "2026-03-05T10:00:00"),
    );
    assert_eq!(clinic.get(&second).await["state"], "unfunded");
    clinic.post(&format!("{first}/cancel"), json!({})).await;
    assert_eq!(clinic.get(&second).await["state"], "scheduled");
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 0));
    assert_eq!(
        clinic.ledger(&parties).await,
        ["grant", "hold", "release", "hold"]
    );
}

#[tokio::test]
async fn a_version_that_was_seen_while_virtual_is_stale_for_the_session() {
    let (clinic, _, intent) = weekly(4).await;
    let occurrence = at(&intent, "2026-03-09T18:00:00");
    let seen = clinic.get(&occurrence).await["version"].clone();
    clinic.pass(24).await;
    let now = clinic.get(&occurrence).await["version"].clone();
    assert!(now.as_u64() > seen.as_u64(), "{seen} and {now}");
    let cancel = |version: Value| {
        Request::post(format!("/api/v1{occurrence}/cancel"))
            .header("authorization", format!("Bearer {}", clinic.admin))
            .header("if-match", format!("\"{version}\""))
            .body(Body::empty())
            .unwrap()
    };
    let stale = clinic.send(cancel(seen)).await;
    assert_eq!(
        stale.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        stale.body
    );
    assert_eq!(clinic.send(cancel(now)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_length_is_the_service_s_unless_the_clinic_says_otherwise() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let client = clinic.client_token(&parties.client).await;
    let mut wanted = booking(&parties, "2026-03-04T10:00:00", None);
    wanted["minutes"] = json!(720);
    let refused = clinic.post_as(&client, "/intents", &wanted).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.body["field"], "minutes");
    assert_eq!(clinic.post("/intents", wanted).await["minutes"], 720);
}

#[tokio::test]
async fn nothing_is_moved_to_where_no_window_finds_it() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 1).await;
    let once = clinic.book(&parties, "2026-03-04T10:00:00", None).await;
    let weekly = clinic
        .book(&parties, "2026-03-05T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.tick().await;
    for (intent, recurrence_id) in [
        (&once, "2026-03-04T10:00:00"),
        (&weekly, "2026-06-04T10:00:00"),
    ] {
        let path = format!("{}/reschedule", at(intent, recurrence_id));
        for to in ["2100-01-01T00:00:00", "9999-12-31T10:00:00"] {
            let far = clinic
                .post_as(&clinic.admin, &path, &json!({ "starts_local": to }))
                .await;
            assert_eq!(far.body["code"], "beyond_zone_data", "{}", far.body);
        }
    }
    let answer = clinic
        .get_as(&clinic.admin, &at(&weekly, "9999-12-30T10:00:00"))
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
