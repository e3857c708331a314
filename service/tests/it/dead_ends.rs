//! No session ends where nobody is told, nobody finds it, and nothing leads out: each state's list, messages and
//! commands.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};

const NOW: &str = "2026-03-02T08:00:00Z";
/// A Thursday; the session is made at once.
const START: &str = "2026-03-05T10:00:00";

async fn session(clinic: &Clinic, parties: &Parties) -> Value {
    let path = format!(
        "/clients/{}/sessions?from=2026-03-01T00:00:00Z",
        parties.client
    );
    let calendar = clinic.get(&path).await;
    calendar["items"][0].clone()
}

/// Who was told what of the session, in order.
async fn told(clinic: &Clinic, session: &Value) -> Vec<String> {
    let mut told = Vec::new();
    for state in ["sent", "pending", "void"] {
        let found = clinic
            .get(&format!("/messages?state={state}&limit=200"))
            .await;
        let items = found["items"].as_array().unwrap().clone();
        told.extend(
            items
                .into_iter()
                .filter(|one| one["session_id"] == session["session_id"]),
        );
    }
    told.sort_by_key(|one| one["seq"].as_u64());
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    let told = told.iter();
    told.map(|one| format!("{} to {}", text(one, "kind"), text(one, "recipient_role")))
        .collect()
}

/// The lists that a session is in.
async fn lists(clinic: &Clinic, session: &Value) -> Vec<&'static str> {
    let mut found = Vec::new();
    for list in [
        "which=live",
        "which=open",
        "which=attendance_unknown",
        "state=scheduled",
        "state=unfunded",
        "state=case",
        "state=completed",
        "state=no_show",
        "state=cancelled",
        "state=missed",
    ] {
        let items = clinic.get(&format!("/sessions?{list}")).await;
        let mut items = items["items"].as_array().unwrap().iter();
        if items.any(|one| one["session_id"] == session["session_id"]) {
            found.push(list);
        }
    }
    let cases = clinic.get("/cases").await;
    let mut cases = cases["items"].as_array().unwrap().iter();
    let of = |case: &&Value| case["occurrence"]["session_id"] == session["session_id"];
    let kind = cases.find(of).map(|case| case["kind"].as_str().unwrap());
    found.extend(
        ["unfunded", "no_credit", "missed", "attendance_unknown"]
            .into_iter()
            .find(|one| kind == Some(one)),
    );
    found
}

/// Whether a command would be done.
async fn would(clinic: &Clinic, session: &Value, command: &str, body: Value) -> bool {
    let id = session["session_id"].as_str().unwrap();
    let (intent, at) = (
        session["intent_id"].as_str().unwrap(),
        session["recurrence_id"].as_str().unwrap(),
    );
    let path = match command {
        "add" => format!("/intents/{intent}/occurrences/{at}/add?dry_run=true"),
        _ => format!("/sessions/{id}/{command}?dry_run=true"),
    };
    let answer = clinic.post_as(&clinic.admin, &path, &body).await;
    match answer.status {
        // What is so already changes nothing.
        StatusCode::OK => answer.body["sessions"] != json!([]),
        StatusCode::CONFLICT => false,
        other => panic!("{command}: {other} {}", answer.body),
    }
}

/// The commands that lead out of where a session is.
async fn ways_out(clinic: &Clinic, session: &Value) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (command, body) in [
        ("add", json!({})),
        (
            "reschedule",
            json!({ "starts_local": "2026-03-20T10:00:00" }),
        ),
        ("cancel", json!({})),
        ("complete", json!({})),
        ("complete", json!({ "charge": false })),
        ("no-show", json!({})),
    ] {
        if would(clinic, session, command, body).await && !found.contains(&command) {
            found.push(command);
        }
    }
    found
}

async fn post(clinic: &Clinic, session: &Value, command: &str) -> Value {
    let id = session["session_id"].as_str().unwrap();
    clinic
        .post(&format!("/sessions/{id}/{command}"), json!({}))
        .await
}

async fn add(clinic: &Clinic, token: &str, session: &Value) -> crate::clinic::Answer {
    let (intent, at) = (
        session["intent_id"].as_str().unwrap(),
        session["recurrence_id"].as_str().unwrap(),
    );
    let path = format!("/intents/{intent}/occurrences/{at}/add");
    clinic.post_as(token, &path, &json!({})).await
}

/// A session of this state: made, told, and left there.
async fn in_state(state: &str) -> (Clinic, Parties, Value) {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    if !matches!(state, "unfunded" | "case" | "missed") {
        clinic.grant(&parties, 1).await;
    }
    clinic.book(&parties, START, None).await;
    if state == "missed" {
        clinic.jump_to("2026-03-05T12:00:00Z");
    }
    clinic.tick().await;
    let made = session(&clinic, &parties).await;
    match state {
        "case" => clinic.pass(50).await,
        "cancelled" => drop(post(&clinic, &made, "cancel").await),
        "completed" | "no_show" => {
            clinic.jump_to("2026-03-05T11:00:00Z");
            clinic.tick().await;
            post(
                &clinic,
                &made,
                if state == "completed" {
                    "complete"
                } else {
                    "no-show"
                },
            )
            .await;
        }
        _ => {}
    }
    clinic.tick().await;
    let now = session(&clinic, &parties).await;
    assert_eq!(now["state"], state);
    (clinic, parties, now)
}

#[tokio::test]
async fn every_state_has_a_list_messages_and_ways_out() {
    let table = [
        (
            "scheduled",
            vec!["which=live", "state=scheduled"],
            vec!["session_scheduled to client"],
            vec!["reschedule", "cancel"],
        ),
        (
            "unfunded",
            vec!["which=live", "which=open", "state=unfunded", "unfunded"],
            vec!["session_unfunded to client"],
            vec!["reschedule", "cancel"],
        ),
        (
            "case",
            vec!["which=open", "state=case", "no_credit"],
            vec![
                "session_unfunded to client",
                "session_case to client",
                "session_case to therapist",
            ],
            vec!["add", "reschedule", "cancel"],
        ),
        (
            "missed",
            vec!["which=open", "state=missed", "missed"],
            vec!["attendance_unknown to therapist"],
            vec!["complete", "no-show"],
        ),
        (
            "cancelled",
            vec!["state=cancelled"],
            vec!["session_scheduled to client", "session_cancelled to client"],
            vec!["add"],
        ),
        // Over for good; what a no-show has cost is waived.
        (
            "completed",
            vec!["state=completed"],
            vec![
                "session_scheduled to client",
                "session_reminder/60 to client",
            ],
            vec![],
        ),
        (
            "no_show",
            vec!["state=no_show"],
            vec![
                "session_scheduled to client",
                "session_reminder/60 to client",
            ],
            vec![],
        ),
    ];
    for (state, in_lists, messages, out) in table {
        let (clinic, _, session) = in_state(state).await;
        assert_eq!(lists(&clinic, &session).await, in_lists, "{state}");
        let told = told(&clinic, &session).await;
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let told: Vec<&str> = told
            .into_iter()
            .filter(|one| !one.contains("reminder"))
            .collect();
        let messages: Vec<&str> = messages
            .into_iter()
            .filter(|one| !one.contains("reminder"))
            .collect();
        assert_eq!(told, messages, "{state}");
        let ways = ways_out(&clinic, &session).await;
        assert_eq!(ways, out, "{state}");
    }
}

/// What nobody paid for in time is paid for late: it is had again, moved, or recorded after all.
#[tokio::test]
async fn a_case_is_paid_for_and_takes_place() {
    let (clinic, parties, case) = in_state("case").await;
    // Another may have its time meanwhile.
    let path = format!("/clients/{}/sessions", parties.client);
    let refused = add(&clinic, &clinic.client_token(&parties.client).await, &case).await;
    assert_eq!(refused.status, StatusCode::OK, "{}", refused.body);
    assert_eq!(session(&clinic, &parties).await["state"], "unfunded");
    clinic.grant(&parties, 2).await;
    assert_eq!(session(&clinic, &parties).await["state"], "scheduled");
    assert_eq!(clinic.balance(&parties).await, (1, 1, 0, 0));
    clinic.get(&path).await;
    clinic.pass(24).await;
    post(&clinic, &case, "complete").await;
    assert_eq!(clinic.balance(&parties).await, (1, 0, 1, 0));

    let (clinic, parties, case) = in_state("case").await;
    clinic.jump_to("2026-03-05T11:00:00Z");
    let id = case["session_id"].as_str().unwrap();
    let complete = format!("/sessions/{id}/complete");
    let refused = clinic.post_as(&clinic.admin, &complete, &json!({})).await;
    assert_eq!(refused.body["code"], "no_credit", "{}", refused.body);
    clinic.grant(&parties, 1).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let for_nothing = json!({ "charge": false });
    let refused = clinic.post_as(&therapist, &complete, &for_nothing).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.body
    );
    let done = clinic.post_as(&therapist, &complete, &json!({})).await;
    assert_eq!(done.body["state"], "completed", "{}", done.body);
    assert_eq!(clinic.balance(&parties).await, (0, 0, 1, 0));

    let (clinic, parties, case) = in_state("case").await;
    clinic.grant(&parties, 1).await;
    let id = case["session_id"].as_str().unwrap();
    let to = json!({ "starts_local": "2026-03-10T10:00:00" });
    let moved = clinic.post(&format!("/sessions/{id}/reschedule"), to).await;
    assert_eq!(moved["state"], "scheduled");
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 0));
}

#[tokio::test]
async fn what_was_missed_or_costs_nothing_is_settled() {
    let (clinic, parties, missed) = in_state("missed").await;
    clinic.grant(&parties, 1).await;
    post(&clinic, &missed, "complete").await;
    assert_eq!(clinic.balance(&parties).await, (0, 0, 1, 0));

    let (clinic, parties, missed) = in_state("missed").await;
    clinic.grant(&parties, 1).await;
    post(&clinic, &missed, "no-show").await;
    assert_eq!(
        clinic.balance(&parties).await,
        (1, 0, 0, 0),
        "nobody had told the client"
    );

    let (clinic, parties, scheduled) = in_state("scheduled").await;
    clinic.jump_to("2026-03-05T11:00:00Z");
    let id = scheduled["session_id"].as_str().unwrap();
    let free = json!({ "charge": false });
    clinic.post(&format!("/sessions/{id}/complete"), free).await;
    assert_eq!(
        clinic.balance(&parties).await,
        (1, 0, 0, 0),
        "it was free of charge"
    );
}

/// A session that was called off is had again by whoever called it off, or by staff, while its time is free.
#[tokio::test]
async fn a_cancelled_session_is_restored_with_its_credit() {
    let (clinic, parties, session) = in_state("scheduled").await;
    let client = clinic.client_token(&parties.client).await;
    // Late: it costs the credit, until it takes place after all.
    clinic.jump_to("2026-03-04T20:00:00Z");
    let id = session["session_id"].as_str().unwrap();
    let cancel = format!("/sessions/{id}/cancel");
    clinic.post_as(&client, &cancel, &json!({})).await;
    assert_eq!(clinic.balance(&parties).await, (0, 0, 0, 1));
    let back = add(&clinic, &client, &session).await;
    assert_eq!(
        (back.status, &back.body["state"]),
        (StatusCode::OK, &json!("scheduled"))
    );
    assert_eq!(clinic.balance(&parties).await, (0, 1, 0, 0));

    clinic.post(&cancel, json!({})).await;
    let refused = add(&clinic, &client, &session).await;
    assert_eq!(refused.body["code"], "anothers_change", "{}", refused.body);
    clinic.book(&parties, "2026-03-05T10:30:00", None).await;
    let taken = add(&clinic, &clinic.admin, &session).await;
    assert_eq!(taken.body["code"], "clash", "{}", taken.body);
}

/// Pauses, skips and cancellations that staff laid are theirs to lift.
#[tokio::test]
async fn only_staff_lift_what_they_laid() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let intent = clinic
        .book(&parties, "2026-04-01T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let client = clinic.client_token(&parties.client).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let date = |day: u32| format!("/intents/{intent}/occurrences/2026-04-{day:02}T10:00:00");
    let series = |command: &str| format!("/intents/{intent}/{command}");
    let pause = json!({ "from": "2026-05-01", "slot": "kept" });
    let resume = json!({ "from": "2026-05-01" });
    for (laid_by, lay, lift, body, lifting) in [
        (
            &clinic.admin,
            format!("{}/skip", date(8)),
            format!("{}/add", date(8)),
            json!({}),
            json!({}),
        ),
        (
            &therapist,
            format!("{}/cancel", date(15)),
            format!("{}/add", date(15)),
            json!({}),
            json!({}),
        ),
        (
            &clinic.admin,
            series("pause"),
            series("resume"),
            pause.clone(),
            resume.clone(),
        ),
    ] {
        let laid = clinic.post_as(laid_by, &lay, &body).await;
        assert_eq!(laid.status, StatusCode::OK, "{lay}: {}", laid.body);
        let refused = clinic.post_as(&client, &lift, &lifting).await;
        assert_eq!(
            refused.body["code"], "anothers_change",
            "{lift}: {}",
            refused.body
        );
        let lifted = clinic.post_as(laid_by, &lift, &lifting).await;
        assert_eq!(lifted.status, StatusCode::OK, "{lift}: {}", lifted.body);
        // What the client laid is the client's to lift, and staff's.
        let laid = clinic.post_as(&client, &lay, &body).await;
        assert_eq!(laid.status, StatusCode::OK, "{lay}: {}", laid.body);
        let lifted = clinic.post_as(&client, &lift, &lifting).await;
        assert_eq!(lifted.status, StatusCode::OK, "{lift}: {}", lifted.body);
    }
}
