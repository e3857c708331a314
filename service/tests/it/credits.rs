//! Corrections, waivers, grace, balances and statements: over HTTP.

use axum::http::StatusCode;
use serde_json::json;

use crate::plans::{Plans, pounds, text};

#[tokio::test]
async fn corrections_name_who_and_why_and_are_taken_back_once() {
    let plans = Plans::open().await;
    plans.clinic.grant(&plans.parties, 3).await;
    let by = |amount: i64| json!({ "service_id": plans.parties.service, "amount": amount, "reason": "counted_twice" });
    let conflict = StatusCode::CONFLICT;
    let short = plans
        .refused("adjustments", by(-4), conflict, "short")
        .await;
    assert_eq!(
        (&short["amount"], &short["available"]),
        (&json!(-4), &json!(3))
    );
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    plans
        .refused("adjustments", by(0), invalid, "invalid_value")
        .await;
    let words = json!({
        "service_id": plans.parties.service, "amount": 1, "reason": "Her mother was ill",
    });
    plans
        .refused("adjustments", words, invalid, "invalid_value")
        .await;
    let fewer = plans.clinic.post(&plans.path("adjustments"), by(-2)).await;
    assert_eq!(fewer["details"]["reason"], "counted_twice");
    assert!(fewer["details"]["actor"].is_string());
    assert_eq!(plans.available().await, 1);

    let back = json!({ "key": fewer["key"], "reason": "typing_error" });
    let reversed = plans
        .clinic
        .post(&plans.path("reversals"), back.clone())
        .await;
    assert_eq!(reversed["kind"], "reverse");
    assert_eq!(plans.available().await, 3);
    let again = plans
        .clinic
        .post_as(&plans.clinic.admin, &plans.path("reversals"), &back)
        .await;
    assert_eq!((again.status, again.body), (StatusCode::OK, reversed));
    let unknown = json!({ "key": "v1/adjust/none", "reason": "typing_error" });
    plans
        .refused("reversals", unknown, StatusCode::NOT_FOUND, "not_found")
        .await;

    // Who may not administer finds nothing there.
    let client = plans.clinic.client_token(&plans.parties.client).await;
    for rest in ["adjustments", "subscription", "purchases"] {
        let answer = plans
            .clinic
            .post_as(&client, &plans.path(rest), &json!({}))
            .await;
        assert!(
            [StatusCode::NOT_FOUND, invalid].contains(&answer.status),
            "{rest}: {}",
            answer.body
        );
    }
    for rest in ["statement", "balance"] {
        let answer = plans.clinic.get_as(&client, &plans.path(rest)).await;
        assert_eq!(answer.status, StatusCode::OK, "{rest}");
    }
}

/// A service whose therapist may waive, with three weeks of grace, and a session of it tomorrow
/// that is paid from a lot which ends the day after.
async fn at_the_end_of_a_month(waived_by: &str) -> (Plans, String) {
    let mut plans = Plans::open().await;
    let service = json!({
        "name": "session", "minutes": 50, "price": pounds(6_500),
        "cancellation": {
            "free_until_minutes": 2_880, "late_cancel": "forfeit", "no_show": "forfeit",
            "waived_by": waived_by, "grace_days": 21,
        },
    });
    let service = text(&plans.clinic.post("/services", service).await["id"]);
    let plan = json!({
        "name": "one", "service_id": service, "credits": 1, "price": pounds(6_500),
    });
    let plan = text(&plans.clinic.post("/plans", plan).await["id"]);
    plans.parties.service = service;
    let (start, end) = plans.subscribe(&plan).await;
    plans.pay("in-1", (&start, &end), 6_500).await;
    plans.clinic.jump_to("2026-03-31T17:00:00Z");
    let booked = plans
        .clinic
        .book(&plans.parties, "2026-04-01T18:00:00", None)
        .await;
    plans.clinic.tick().await;
    assert_eq!(plans.clinic.balance(&plans.parties).await, (0, 1, 0, 0));
    let shown = plans
        .clinic
        .get(&format!(
            "/intents/{booked}/occurrences/2026-04-01T18:00:00"
        ))
        .await;
    let session = text(&shown["session_id"]);
    (plans, format!("/sessions/{session}"))
}

#[tokio::test]
async fn a_credit_that_the_clinic_sets_free_outlives_its_lot() {
    let (plans, session) = at_the_end_of_a_month("staff").await;
    plans
        .clinic
        .post(&format!("{session}/cancel"), json!({}))
        .await;
    let kinds = plans.clinic.ledger(&plans.parties).await;
    assert_eq!(kinds, ["grant", "hold", "release", "extend"]);
    plans.clinic.jump_to("2026-04-10T12:00:00Z");
    plans.clinic.tick().await;
    assert_eq!(
        plans.available().await,
        1,
        "its month is over, its grace is not"
    );
    plans.clinic.jump_to("2026-04-22T12:00:00Z");
    plans.clinic.tick().await;
    assert_eq!(plans.available().await, 0);
}

#[tokio::test]
async fn a_forfeit_is_waived_once_by_whom_the_policy_lets() {
    let (plans, session) = at_the_end_of_a_month("therapist").await;
    let (clinic, parties) = (&plans.clinic, &plans.parties);
    let client = clinic.client_token(&parties.client).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let waive = format!("{session}/waive");
    let why = json!({ "reason": "goodwill" });
    let key = format!(
        "v1/booking/{}/hold/1/forfeit",
        session.rsplit('/').next().unwrap()
    );
    let nothing = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(nothing.body["code"], "nothing_forfeited");
    let cancelled = clinic
        .post_as(&client, &format!("{session}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.body);
    assert_eq!(clinic.balance(parties).await, (0, 0, 0, 1));
    let refused = clinic.post_as(&client, &waive, &why).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    // Not by another door, which has no policy and no grace.
    let around = json!({ "key": key, "reason": "goodwill" });
    let conflict = StatusCode::CONFLICT;
    plans
        .refused("reversals", around, conflict, "waived_instead")
        .await;

    let waived = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(waived.status, StatusCode::OK, "{}", waived.body);
    assert_eq!(waived.body["state"], "cancelled", "it stays what it was");
    assert_eq!(clinic.balance(parties).await, (1, 0, 0, 0));
    let kinds = clinic.ledger(parties).await;
    let expected = ["grant", "hold", "release", "forfeit", "reverse", "extend"];
    assert_eq!(kinds, expected);
    let again = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(clinic.ledger(parties).await, expected);

    let (plans, session) = at_the_end_of_a_month("staff").await;
    plans.clinic.jump_to("2026-04-01T19:00:00Z");
    plans
        .clinic
        .post(&format!("{session}/no-show"), json!({}))
        .await;
    let therapist = plans.clinic.therapist_token(&plans.parties.therapist).await;
    let waive = format!("{session}/waive");
    let refused = plans.clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(refused.body["code"], "may_not_waive");
    plans.clinic.post(&waive, why.clone()).await;
    assert_eq!(plans.clinic.balance(&plans.parties).await, (1, 0, 0, 0));

    let (plans, session) = at_the_end_of_a_month("nobody").await;
    let waive = format!("{session}/waive");
    let refused = plans
        .clinic
        .post_as(&plans.clinic.admin, &waive, &why)
        .await;
    assert_eq!(refused.body["code"], "may_not_waive");
}

#[tokio::test]
async fn who_does_not_come_and_keeps_the_credit_gets_no_grace() {
    let mut plans = Plans::open().await;
    let service = json!({
        "name": "kind", "minutes": 50, "price": pounds(6_500),
        "cancellation": { "free_until_minutes": 0, "late_cancel": "release", "no_show": "release" },
    });
    plans.parties.service = text(&plans.clinic.post("/services", service).await["id"]);
    plans.clinic.grant(&plans.parties, 1).await;
    let booked = plans
        .clinic
        .book(&plans.parties, "2026-03-03T18:00:00", None)
        .await;
    plans.clinic.tick().await;
    plans.clinic.jump_to("2026-03-03T19:00:00Z");
    let occurrence = format!("/intents/{booked}/occurrences/2026-03-03T18:00:00");
    let session = text(&plans.clinic.get(&occurrence).await["session_id"]);
    plans
        .clinic
        .post(&format!("/sessions/{session}/no-show"), json!({}))
        .await;
    let ledger = plans.clinic.get(&plans.path("ledger")).await;
    assert_eq!(ledger["items"][2]["details"]["reason"], "no_show");
    assert_eq!(
        plans.clinic.ledger(&plans.parties).await,
        ["grant", "hold", "release"]
    );
}

#[tokio::test]
async fn balances_are_told_as_of_two_times_and_statements_can_be_added_up() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in-1", (&start, &end), 25_000).await;
    plans.clinic.jump_to("2026-03-20T08:00:00Z");
    plans.clinic.grant(&plans.parties, 2).await;
    // Paid ahead: known now, in effect in April.
    let april = end.replace("2026-04-02", "2026-05-02");
    plans.pay("in-2", (&end, &april), 25_000).await;
    plans.clinic.jump_to("2026-04-03T08:00:00Z");
    plans.clinic.tick().await;
    let as_of = async |query: &str| {
        let body = plans
            .clinic
            .get(&plans.path(&format!("balance{query}")))
            .await;
        (body["available"].clone(), body["expired"].clone())
    };
    // One of March's went over into April, and can be used in both.
    let now = (json!(2 + 4 + 1), json!(3));
    assert_eq!(as_of("").await, now);
    assert_eq!(as_of("?effective_at=2026-04-03T08:00:00Z").await, now);
    let then = "?effective_at=2026-03-21T00:00:00Z";
    assert_eq!(as_of(then).await, (json!(6), json!(0)), "as it was");
    let known = "?effective_at=2026-04-03T08:00:00Z&recorded_at=2026-03-21T00:00:00Z";
    assert_eq!(as_of(known).await, (json!(10), json!(0)), "as it was known");
    assert_eq!(
        as_of("?recorded_at=2026-03-01T00:00:00Z").await,
        (json!(0), json!(0))
    );

    let window = "statement?from=2026-03-10T00:00:00Z&until=2026-04-01T00:00:00Z";
    let statement = plans.clinic.get(&plans.path(window)).await;
    assert_eq!(statement["opening"]["available"], 4);
    let mut running = statement["opening"].clone();
    for line in statement["lines"].as_array().unwrap() {
        for one in line["moves"].as_array().unwrap() {
            let amount = one["amount"].as_i64().unwrap();
            for (bucket, sign) in [(&one["from"], -1), (&one["to"], 1)] {
                if let Some(bucket) = bucket.as_str() {
                    running[bucket] = json!(running[bucket].as_i64().unwrap() + sign * amount);
                }
            }
        }
        assert_eq!(line["balance"], running);
    }
    assert_eq!(statement["closing"], running);
    assert_eq!(statement["lines"].as_array().unwrap().len(), 3);
    assert_eq!(statement["seq"], 4);
}
