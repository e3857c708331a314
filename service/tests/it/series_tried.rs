//! Edits of a series that are only tried, refused, or looked back at, over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::booking;
use crate::database::Database;
use crate::series::{Mondays, id};

#[tokio::test]
async fn what_is_only_tried_tells_the_difference_and_stores_nothing() {
    let mondays = Mondays::open().await;
    let mut database = Database::open(&mondays.clinic).await;
    let before = database.dump().await;
    let path = |what: &str| format!("/intents/{}/{what}?dry_run=true", mondays.intent);
    let shown = mondays
        .clinic
        .post(
            &path("pause"),
            json!({ "from": "2026-03-05", "until": "2026-03-20" }),
        )
        .await;
    assert_eq!(shown["dry_run"], true);
    assert_eq!(shown["occurrences"]["count"], 2);
    assert_eq!(shown["sessions"][0]["was"]["state"], "scheduled");
    assert_eq!(shown["sessions"][0]["will"]["state"], "cancelled");
    assert_eq!(shown["credits"][0]["will"]["available"], 4);
    assert_eq!(shown["messages"][0]["kind"], "session_cancelled");
    let nothing = mondays
        .clinic
        .post(&path("amend"), json!({ "changes": {} }))
        .await;
    assert_eq!(
        (&nothing["dry_run"], &nothing["sessions"]),
        (&json!(true), &json!([]))
    );
    for (what, body) in [
        ("/clients", json!({ "name": "E", "zone": "UTC" })),
        (
            "/services",
            json!({ "name": "long", "minutes": 80,
            "price": { "minor": 8000, "currency": "GBP" } }),
        ),
        (
            "/intents",
            booking(&mondays.parties, "2026-03-05T09:00:00", None),
        ),
    ] {
        let shown = mondays
            .clinic
            .post(&format!("{what}?dry_run=true"), body)
            .await;
        assert_eq!(shown["dry_run"], true, "{what}: {shown}");
    }
    assert_eq!(database.dump().await, before);
}

#[tokio::test]
async fn what_cannot_be_edited_is_refused_with_its_values_and_nothing_is_stored() {
    let mondays = Mondays::open().await;
    let intent = &mondays.intent;
    let path = |what: &str| format!("/intents/{intent}/{what}");
    let at = |at: &str| json!({ "at": at, "changes": { "minutes": 40 } });
    let unknown = path("occurrences/2026-03-17T18:00:00/reschedule");
    let taken = path("occurrences/2026-03-16T18:00:00/reschedule");
    use StatusCode as S;
    for (path, body, status, code) in [
        (
            unknown,
            json!({ "starts_local": "2026-03-17T12:00:00" }),
            S::NOT_FOUND,
            "not_found",
        ),
        (
            taken,
            json!({ "starts_local": "2026-03-23T18:20:00" }),
            S::CONFLICT,
            "collides",
        ),
        (
            path("split"),
            at("2026-03-02T18:00:00"),
            S::UNPROCESSABLE_ENTITY,
            "split_outside",
        ),
        (
            path("split"),
            at("2026-03-17T18:00:00"),
            S::NOT_FOUND,
            "not_found",
        ),
        (
            path("pause"),
            json!({ "from": "2026-04-10", "until": "2026-04-10" }),
            S::UNPROCESSABLE_ENTITY,
            "empty_pause",
        ),
        (
            path("resume"),
            json!({ "from": "2026-04-10" }),
            S::CONFLICT,
            "not_paused",
        ),
        (path("undo"), json!({}), S::CONFLICT, "nothing_to_undo"),
        (
            path("pause"),
            json!({ "from": "2026-03-05", "reason": "No one's business" }),
            S::UNPROCESSABLE_ENTITY,
            "invalid_value",
        ),
    ] {
        mondays.refused(&path, body, status, code).await;
    }
    // The first session is over.
    mondays.clinic.jump_to("2026-03-09T19:00:00Z");
    mondays.clinic.tick().await;
    let session = mondays.session(intent, "2026-03-09T18:00:00").await;
    let complete = format!(
        "/sessions/{}/complete",
        session["session_id"].as_str().unwrap()
    );
    mondays.clinic.post(&complete, json!({})).await;
    mondays
        .refused(
            &path("split"),
            at("2026-03-09T18:00:00"),
            S::CONFLICT,
            "in_the_past",
        )
        .await;
    let amend = path("occurrences/2026-03-09T18:00:00/amend");
    mondays
        .refused(
            &amend,
            json!({ "minutes": 80 }),
            S::CONFLICT,
            "illegal_state",
        )
        .await;
    mondays
        .edit(intent, "end", json!({ "from": "2026-05-01" }))
        .await;
    mondays
        .refused(
            &path("split"),
            at("2026-05-11T18:00:00"),
            S::UNPROCESSABLE_ENTITY,
            "split_outside",
        )
        .await;
}

#[tokio::test]
async fn the_journal_gives_the_series_as_it_was() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let first = &mondays.intent;
    let was = clinic.get(&format!("/intents/{first}")).await;
    clinic.pass(1).await;
    let reason = json!({ "from": "2026-04-01", "reason": "time_off" });
    mondays.edit(first, "pause", reason).await;
    clinic.pass(1).await;
    let next = mondays
        .edit(
            first,
            "amend",
            json!({ "changes": { "starts_local": "2026-03-10T17:00:00" } }),
        )
        .await;
    let series = format!("/intents/{}/series", id(&next));
    let then = clinic
        .get(&format!("{series}?as_of=2026-03-04T08:30:00Z"))
        .await;
    for same in ["id", "pauses", "state", "version", "rule"] {
        assert_eq!(then["items"][0][same], was[same], "{same}");
    }
    let then = clinic
        .get(&format!("{series}?as_of=2026-03-04T09:30:00Z"))
        .await;
    assert_eq!(then["items"].as_array().unwrap().len(), 1);
    assert_eq!(then["items"][0]["pauses"][0]["from"], "2026-04-01");
    let now = clinic.get(&series).await;
    let states: Vec<&Value> = now["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(states, [&json!("continued"), &json!("active")]);
    let history = clinic.get(&format!("/intents/{first}/history")).await;
    let paused = history["items"].as_array().unwrap().iter();
    let paused: Vec<&Value> = paused
        .filter(|one| one["event"]["event"] == "paused")
        .collect();
    assert_eq!(paused[0]["reason"], "time_off");
    assert!(paused[0]["actor"].as_str().unwrap().starts_with("admin/"));
}
