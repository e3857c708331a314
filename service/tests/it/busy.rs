//! The time that bookings take, against the calendar that says each of them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};

/// A Wednesday.
const OPENED: &str = "2026-03-04T08:00:00Z";
/// Over the change of London's clocks on 29 March.
const WINDOW: &str = "from=2026-03-05T00:00:00Z&to=2026-04-05T00:00:00Z";

type Stretch = (String, String);

/// The stretches of a page of `/busy`.
fn stretches(body: &Value) -> Vec<Stretch> {
    let items = body["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            assert_eq!(item.as_object().unwrap().len(), 2, "{item}");
            (text(&item["starts_at"]), text(&item["ends_at"]))
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The same by the calendar: each appointment that takes place, and joined where they touch or overlap.
async fn joined(clinic: &Clinic, whose: &str) -> Vec<Stretch> {
    let calendar = clinic.get(&format!("{whose}/sessions?{WINDOW}")).await;
    let mut found: Vec<Stretch> = Vec::new();
    for item in calendar["items"].as_array().unwrap() {
        if ["virtual", "scheduled", "unfunded"].contains(&item["state"].as_str().unwrap()) {
            let (start, end) = (text(&item["starts_at"]), text(&item["ends_at"]));
            match found.last_mut().filter(|last| last.1 >= start) {
                Some(last) => last.1 = last.1.clone().max(end),
                None => found.push((start, end)),
            }
        }
    }
    found
}

/// Two clients of one therapist: one after the other on Mondays, the second on Thursdays too; one of each series
/// moved, cancelled and skipped. The first sessions exist.
async fn practice() -> (Clinic, Parties, Parties) {
    let clinic = Clinic::at(OPENED).await;
    let first = clinic.parties().await;
    let other = json!({ "name": "D", "zone": "Europe/London", "therapist_id": first.therapist });
    let other = text(&clinic.post("/clients", other).await["id"]);
    let second = Parties {
        therapist: first.therapist.clone(),
        client: other,
        service: first.service.clone(),
    };
    clinic.grant(&first, 10).await;
    let weekly = clinic
        .book(&first, "2026-03-09T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let twice = clinic
        .book(
            &second,
            "2026-03-09T10:50:00",
            Some("FREQ=WEEKLY;BYDAY=MO,TH"),
        )
        .await;
    clinic.tick().await;
    let at =
        |intent: &str, at: &str, what: &str| format!("/intents/{intent}/occurrences/{at}/{what}");
    let later = json!({ "starts_local": "2026-03-17T09:30:00" });
    clinic
        .post(&at(&weekly, "2026-03-16T10:00:00", "reschedule"), later)
        .await;
    clinic
        .post(&at(&twice, "2026-03-12T10:50:00", "skip"), json!({}))
        .await;
    clinic
        .post(&at(&weekly, "2026-03-23T10:00:00", "cancel"), json!({}))
        .await;
    (clinic, first, second)
}

#[tokio::test]
async fn what_is_busy_is_what_the_calendar_has_joined() {
    let (clinic, first, second) = practice().await;
    let therapist = format!("/therapists/{}", first.therapist);
    let busy = clinic.get(&format!("{therapist}/busy?{WINDOW}")).await;
    assert_eq!(busy["next"], Value::Null);
    let found = stretches(&busy);
    assert_eq!(found, joined(&clinic, &therapist).await);
    // Two appointments without time between them are one stretch.
    let both = (
        "2026-03-09T10:00:00Z".to_owned(),
        "2026-03-09T11:40:00Z".to_owned(),
    );
    assert_eq!(found[0], both);
    for client in [&first.client, &second.client] {
        let client = format!("/clients/{client}");
        let busy = clinic.get(&format!("{client}/busy?{WINDOW}")).await;
        assert_eq!(stretches(&busy), joined(&clinic, &client).await);
    }

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{therapist}/busy?{WINDOW}&limit=2{cursor}");
        let page = clinic.get(&page).await;
        let items = stretches(&page);
        assert!(items.len() <= 2);
        paged.extend(items);
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, found);
    let inside = format!("{therapist}/busy?from=2026-03-09T10:30:00Z&to=2026-03-09T11:00:00Z");
    let inside = stretches(&clinic.get(&inside).await);
    let cut = (
        "2026-03-09T10:30:00Z".to_owned(),
        "2026-03-09T11:00:00Z".to_owned(),
    );
    assert_eq!(inside, [cut]);
}

#[tokio::test]
async fn buffers_and_kept_pauses_are_the_therapist_s_time() {
    let clinic = Clinic::at(OPENED).await;
    let mut parties = clinic.parties().await;
    let service = json!({
        "name": "long", "minutes": 60, "price": { "minor": 100, "currency": "GBP" },
        "slots": { "step_minutes": 30, "buffer_before_minutes": 10, "buffer_after_minutes": 20 },
    });
    parties.service = text(&clinic.post("/services", service).await["id"]);
    let intent = clinic
        .book(&parties, "2026-03-10T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    let pause = json!({ "from": "2026-03-16", "until": "2026-03-20", "slot": "kept" });
    clinic
        .post(&format!("/intents/{intent}/pause"), pause)
        .await;
    let busy = |of: String| async move { stretches(&clinic.get(&of).await) };
    // Only the buffer of the first reaches into the window, which begins at its end.
    let window = "from=2026-03-10T11:00:00Z&to=2026-03-18T00:00:00Z";
    let stretch = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let found = busy(format!("/therapists/{}/busy?{window}", parties.therapist)).await;
    let expected = [
        stretch("2026-03-10T11:00:00Z", "2026-03-10T11:20:00Z"),
        stretch("2026-03-17T09:50:00Z", "2026-03-17T11:20:00Z"),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn who_sees_the_calendar_sees_what_is_busy() {
    let (clinic, first, _) = practice().await;
    let stranger = clinic.parties().await;
    let (own, other) = (
        clinic.therapist_token(&first.therapist).await,
        clinic.therapist_token(&stranger.therapist).await,
    );
    let client = clinic.client_token(&first.client).await;
    let therapists = format!("/therapists/{}", first.therapist);
    let clients = format!("/clients/{}", first.client);
    for token in [&clinic.admin, &own, &other, &client] {
        for whose in [&therapists, &clients] {
            let calendar = clinic.get_as(token, &format!("{whose}/sessions")).await;
            let busy = clinic.get_as(token, &format!("{whose}/busy")).await;
            assert_eq!(busy.status, calendar.status, "{whose}");
            if busy.status != StatusCode::OK {
                assert_eq!(busy.body, calendar.body);
            }
        }
    }
    let nobody = clinic.get_as(&own, "/therapists/x/busy").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    for (query, code) in [
        ("limit=0", "invalid_value"),
        ("limit=2001", "invalid_value"),
        (
            "from=2026-03-09T00:00:00Z&to=2026-03-09T00:00:00Z",
            "invalid_window",
        ),
        (
            "to=2026-03-09T00:00:00Z&cursor=2026-03-09T00:00:00Z",
            "invalid_window",
        ),
        (
            "from=1800-01-01T00:00:00Z&to=2026-03-09T00:00:00Z",
            "beyond_zone_data",
        ),
        ("cursor=then", "malformed_query"),
        ("zone=UTC", "malformed_query"),
    ] {
        let answer = clinic
            .get_as(&own, &format!("{therapists}/busy?{query}"))
            .await;
        assert_eq!(answer.body["code"], code, "{query}: {}", answer.body);
    }
}
