//! A limit hits whoever causes it: clients have quotas, and nobody's booking is so dense that it fails what
//! others ask for.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties, booking};

const NOW: &str = "2026-03-02T08:00:00Z";

fn is_refused(answer: &crate::clinic::Answer, quota: &str) {
    let (status, body) = (answer.status, &answer.body);
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_eq!(
        (&body["code"], &body["quota"]),
        (&json!("quota"), &json!(quota))
    );
}

#[tokio::test]
async fn a_client_books_within_the_quotas_and_staff_without() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    let client = clinic.client_token(&parties.client).await;
    let book = async |starts: &str, rule| {
        let body = booking(&parties, starts, rule);
        clinic.post_as(&client, "/intents", &body).await
    };
    let all_day = "FREQ=DAILY;BYHOUR=8,9,10,11,12,13,14,15,16,17,18,19";
    let dense = book("2026-03-03T08:00:00", Some(all_day)).await;
    is_refused(&dense, "dates a week of one booking");
    assert_eq!(
        (&dense.body["wanted"], &dense.body["limit"]),
        (&json!(84), &json!(7))
    );

    for day in 10..13 {
        let made = book(&format!("2026-03-{day}T10:00:00"), Some("FREQ=WEEKLY")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    for day in ["02", "09", "16"] {
        let made = book(&format!("2026-06-{day}T15:00:00"), None).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let seventh = book("2026-03-13T10:00:00", None).await;
    is_refused(&seventh, "bookings without a credit");
    // Staff book for them, and their series can still be changed.
    clinic
        .book(&parties, "2026-03-13T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.grant(&parties, 1).await;
    let paid = book("2026-03-14T10:00:00", None).await;
    assert_eq!(paid.status, StatusCode::CREATED, "{}", paid.body);

    let quotas = json!({
        "standing_bookings": 4, "minutes_a_week": 299, "bookings_without_credit": 3,
    });
    let refused = clinic.post_as(&client, "/quotas", &quotas).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    clinic.post("/quotas", quotas.clone()).await;
    assert_eq!(clinic.get("/quotas").await, quotas);
    let monthly = book("2026-03-17T15:00:00", Some("FREQ=MONTHLY")).await;
    is_refused(&monthly, "standing bookings");
    let single = book("2026-03-14T12:00:00", None).await;
    is_refused(&single, "minutes a week");
    let elsewhere = book("2026-04-14T12:00:00", None).await;
    assert_eq!(elsewhere.status, StatusCode::CREATED, "{}", elsewhere.body);
}

#[tokio::test]
async fn moving_a_series_or_a_date_takes_no_more_of_a_quota() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    let client = clinic.client_token(&parties.client).await;
    let quotas = json!({
        "standing_bookings": 1, "minutes_a_week": 50, "bookings_without_credit": 1,
    });
    clinic.post("/quotas", quotas).await;
    let body = booking(&parties, "2026-03-03T10:00:00", Some("FREQ=WEEKLY"));
    let made = clinic.post_as(&client, "/intents", &body).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    let amend = json!({ "changes": { "starts_local": "2026-03-03T12:00:00" } });
    let moved = clinic
        .post_as(&client, &format!("/intents/{id}/amend"), &amend)
        .await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
    let id = moved.body["id"].as_str().unwrap();
    let more = json!({ "changes": { "rule": "FREQ=WEEKLY;BYDAY=TU,WE" } });
    let more = clinic
        .post_as(&client, &format!("/intents/{id}/amend"), &more)
        .await;
    is_refused(&more, "minutes a week");
}

/// A therapist who is booked every hour for ever, by staff.
async fn hourly(clinic: &Clinic) -> Parties {
    let parties = clinic.parties().await;
    clinic
        .book(&parties, "2026-03-03T00:00:00", Some("FREQ=HOURLY"))
        .await;
    parties
}

#[tokio::test]
async fn nothing_is_so_dense_that_others_are_refused() {
    let clinic = Clinic::at(NOW).await;
    let parties = clinic.parties().await;
    for rule in [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=11",
        "FREQ=DAILY;BYHOUR=1,2;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,11,12,13",
    ] {
        let body = booking(&parties, "2026-03-03T00:00:00", Some(rule));
        let refused = clinic.post_as(&clinic.admin, "/intents", &body).await;
        is_refused(&refused, "dates a week of one booking");
    }
    let parties = hourly(&clinic).await;
    let Parties {
        therapist, service, ..
    } = &parties;
    for path in [
        format!("/therapists/{therapist}/standing-slots?service_id={service}&weeks=8&dates=52"),
        format!("/therapists/{therapist}/room?service_id={service}"),
        format!(
            "/therapists/{therapist}/sessions?from=2026-06-01T00:00:00Z&to=2099-12-01T00:00:00Z"
        ),
    ] {
        clinic.get(&path).await;
    }
    let off = json!({ "from_local": "2026-06-01T00:00:00", "until_local": "2026-12-01T00:00:00" });
    clinic
        .post(&format!("/therapists/{therapist}/blackouts"), off)
        .await;
    // A tick after three months plans all of it, in steps.
    clinic.jump_to("2026-06-01T00:00:00Z");
    let report = clinic.tick().await;
    assert_eq!(report.failed, 0);
}

#[tokio::test]
async fn a_calendar_comes_in_pages() {
    let clinic = Clinic::at(NOW).await;
    let Parties { therapist, .. } = hourly(&clinic).await;
    let path = format!(
        "/therapists/{therapist}/sessions?from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00Z"
    );
    let all = clinic.get(&path).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 720);
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = clinic.get(&format!("{path}&limit=100{next}")).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(Value::Array(paged), all["items"]);
    for wrong in ["cursor=x", "cursor=1_2_3", "limit=0", "limit=2001"] {
        let refused = clinic
            .get_as(&clinic.admin, &format!("{path}&{wrong}"))
            .await;
        assert!(
            refused.status.is_client_error(),
            "{wrong}: {}",
            refused.body
        );
    }
}
