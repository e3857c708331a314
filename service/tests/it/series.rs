//! Edits of a series, over HTTP: what becomes of its sessions, credits and messages.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;

/// A Wednesday, within the horizon of the first session.
const OPENED: &str = "2026-03-04T08:00:00Z";

/// A client who comes on Mondays at 18:00, with credits and the first session made.
pub(crate) struct Mondays {
    pub(crate) clinic: Clinic,
    pub(crate) parties: Parties,
    pub(crate) intent: String,
}

impl Mondays {
    pub(crate) async fn open() -> Self {
        let clinic = Clinic::at(OPENED).await;
        let parties = clinic.parties().await;
        clinic.grant(&parties, 4).await;
        let intent = clinic
            .book(&parties, "2026-03-09T18:00:00", Some("FREQ=WEEKLY"))
            .await;
        clinic.tick().await;
        Self {
            clinic,
            parties,
            intent,
        }
    }

    pub(crate) async fn edit(&self, intent: &str, what: &str, body: Value) -> Value {
        self.clinic
            .post(&format!("/intents/{intent}/{what}"), body)
            .await
    }

    /// The first occurrences as (wall time, state).
    async fn coming(&self, intent: &str) -> Vec<(String, String)> {
        let path = format!(
            "/intents/{intent}/occurrences?from=2026-03-01T00:00:00Z&to=2026-04-12T00:00:00Z"
        );
        let shown = self.clinic.get(&path).await;
        let items = shown["items"].as_array().unwrap();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        items
            .iter()
            .map(|item| {
                (
                    text(item, "starts_local")[5..16].to_owned(),
                    text(item, "state"),
                )
            })
            .collect()
    }

    pub(crate) async fn session(&self, intent: &str, at: &str) -> Value {
        self.clinic
            .get(&format!("/intents/{intent}/occurrences/{at}"))
            .await
    }

    /// A command that is refused, and leaves everything as it was.
    pub(crate) async fn refused(
        &self,
        path: &str,
        body: Value,
        status: StatusCode,
        code: &str,
    ) -> Value {
        let mut database = Database::open(&self.clinic).await;
        let before = database.dump().await;
        let answer = self.clinic.post_as(&self.clinic.admin, path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert_eq!(answer.body["code"], code, "{path} {body}: {}", answer.body);
        assert_eq!(database.dump().await, before, "{path}");
        answer.body
    }
}

pub(crate) fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    list.iter().map(own).collect()
}

#[tokio::test]
async fn an_amended_series_goes_on_as_one_and_an_undo_gives_back_what_was() {
    let mondays = Mondays::open().await;
    let (clinic, first) = (&mondays.clinic, &mondays.intent);
    let before = mondays.session(first, "2026-03-09T18:00:00").await;
    assert_eq!(before["state"], "scheduled");
    let amended = json!({ "changes": { "starts_local": "2026-03-10T17:00:00" }, "reason": "schedule_change" });
    let next = mondays.edit(first, "amend", amended).await;
    let second = id(&next);
    assert_eq!(next["continues_id"], json!(first));
    assert_eq!(next["series_id"], json!(first));
    let old = clinic.get(&format!("/intents/{first}")).await;
    assert_eq!(
        (&old["state"], &old["continued_by"]),
        (&json!("continued"), &json!(second))
    );

    // The session is the same row, with the same credit, at the new time.
    let after = mondays.session(&second, "2026-03-10T17:00:00").await;
    assert_eq!(after["session_id"], before["session_id"]);
    assert_eq!(
        (&after["hold"], &after["state"]),
        (&before["hold"], &json!("scheduled"))
    );
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
    assert!(mondays.coming(first).await.is_empty());
    let expected = [
        ("03-10T17:00", "scheduled"),
        ("03-17T17:00", "virtual"),
        ("03-24T17:00", "virtual"),
        ("03-31T17:00", "virtual"),
        ("04-07T17:00", "virtual"),
    ];
    assert_eq!(mondays.coming(&second).await, pairs(&expected));

    // The split is what the new segment's undo takes back.
    let back = mondays.edit(&second, "undo", json!({})).await;
    assert_eq!(
        (id(&back), &back["state"]),
        (first.clone(), &json!("active"))
    );
    let again = mondays.session(first, "2026-03-09T18:00:00").await;
    for same in ["session_id", "hold", "state", "starts_at", "ends_at"] {
        assert_eq!(again[same], before[same], "{same}");
    }
    assert!(mondays.coming(&second).await.is_empty());
    assert_eq!(
        clinic.get(&format!("/intents/{second}")).await["state"],
        "withdrawn"
    );
    let nothing = format!("/intents/{first}/undo");
    mondays
        .refused(&nothing, json!({}), StatusCode::CONFLICT, "nothing_to_undo")
        .await;
}

#[tokio::test]
async fn a_pause_calls_off_and_a_resume_reopens_the_same_session_with_a_new_hold() {
    let mondays = Mondays::open().await;
    let (clinic, intent) = (&mondays.clinic, &mondays.intent);
    let before = mondays.session(intent, "2026-03-09T18:00:00").await;
    let rest = json!({ "from": "2026-03-05", "until": "2026-03-20", "slot": "freed" });
    mondays.edit(intent, "pause", rest).await;
    let off = mondays.session(intent, "2026-03-09T18:00:00").await;
    assert_eq!(off["state"], "cancelled");
    assert_eq!(
        mondays.session(intent, "2026-03-16T18:00:00").await["state"],
        "paused"
    );
    assert_eq!(clinic.balance(&mondays.parties).await, (4, 0, 0, 0));
    mondays
        .edit(intent, "resume", json!({ "from": "2026-03-05" }))
        .await;
    let on = mondays.session(intent, "2026-03-09T18:00:00").await;
    assert_eq!(on["session_id"], before["session_id"]);
    assert_eq!(on["state"], "scheduled");
    assert_ne!(on["hold"], before["hold"]);
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 1, 0, 0));
    let entries = clinic.ledger(&mondays.parties).await;
    assert_eq!(entries, ["grant", "hold", "release", "hold"]);
}

#[tokio::test]
async fn a_client_who_pauses_late_pays_like_one_who_cancels_late() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let token = clinic.client_token(&mondays.parties.client).await;
    clinic.jump_to("2026-03-09T12:00:00Z");
    let pause = format!("/intents/{}/pause", mondays.intent);
    let answer = clinic
        .post_as(&token, &pause, &json!({ "from": "2026-03-09" }))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(clinic.balance(&mondays.parties).await, (3, 0, 0, 1));
}

#[tokio::test]
async fn a_kept_time_stays_taken_and_a_freed_one_has_to_be_free_to_resume() {
    let mondays = Mondays::open().await;
    let (clinic, parties) = (&mondays.clinic, &mondays.parties);
    let other = json!({ "name": "D", "zone": "Europe/London", "therapist_id": parties.therapist });
    let other = Parties {
        client: id(&clinic.post("/clients", other).await),
        therapist: parties.therapist.clone(),
        service: parties.service.clone(),
    };
    let wanted = booking(&other, "2026-06-01T18:00:00", Some("FREQ=WEEKLY"));
    mondays
        .edit(
            &mondays.intent,
            "pause",
            json!({ "from": "2026-03-05", "slot": "kept" }),
        )
        .await;
    mondays
        .refused("/intents", wanted.clone(), StatusCode::CONFLICT, "clash")
        .await;
    mondays.edit(&mondays.intent, "undo", json!({})).await;
    mondays
        .edit(
            &mondays.intent,
            "pause",
            json!({ "from": "2026-03-05", "slot": "freed" }),
        )
        .await;
    clinic.post("/intents", wanted).await;
    let resume = format!("/intents/{}/resume", mondays.intent);
    let from = json!({ "from": "2026-03-05" });
    let refusal = mondays
        .refused(&resume, from, StatusCode::CONFLICT, "clash")
        .await;
    assert_eq!(
        refusal["clashes"][0]["recurrence_id"],
        "2026-06-01T18:00:00"
    );
    let undo = format!("/intents/{}/undo", mondays.intent);
    mondays
        .refused(&undo, json!({}), StatusCode::CONFLICT, "clash")
        .await;
}

#[tokio::test]
async fn another_therapist_takes_over_where_they_are_free() {
    let mondays = Mondays::open().await;
    let (clinic, intent) = (&mondays.clinic, &mondays.intent);
    let other = clinic.parties().await;
    let before = mondays.session(intent, "2026-03-09T18:00:00").await;
    let body = json!({ "from": "2026-03-05", "therapist_id": other.therapist });
    let next = mondays.edit(intent, "reassign", body.clone()).await;
    let session = mondays.session(&id(&next), "2026-03-09T18:00:00").await;
    assert_eq!(session["therapist_id"], json!(other.therapist));
    assert_eq!(session["session_id"], before["session_id"]);
    assert_eq!(session["starts_at"], before["starts_at"]);
    mondays.edit(&id(&next), "undo", json!({})).await;
    let session = mondays.session(intent, "2026-03-09T18:00:00").await;
    assert_eq!(session["therapist_id"], json!(mondays.parties.therapist));

    clinic
        .book(
            &other,
            "2026-03-09T18:30:00",
            Some("FREQ=MONTHLY;BYDAY=2MO"),
        )
        .await;
    let reassign = format!("/intents/{intent}/reassign");
    mondays
        .refused(&reassign, body.clone(), StatusCode::CONFLICT, "clash")
        .await;
    // Who is whose therapist is for the clinic to say.
    let token = clinic.client_token(&mondays.parties.client).await;
    let answer = clinic.post_as(&token, &reassign, &body).await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_booking_that_is_free_on_most_dates_is_made_with_its_resolutions_or_not_at_all() {
    let clinic = Clinic::at(OPENED).await;
    let (parties, other) = (clinic.parties().await, clinic.parties().await);
    let theirs = Parties {
        therapist: parties.therapist.clone(),
        ..other
    };
    for month in ["03-16", "04-13", "05-11", "06-08"] {
        clinic
            .book(&theirs, &format!("2026-{month}T18:00:00"), None)
            .await;
    }
    let wanted = booking(&parties, "2026-03-09T18:00:00", Some("FREQ=WEEKLY"));
    let refusal = clinic.post_as(&clinic.admin, "/intents", &wanted).await;
    assert_eq!(refusal.status, StatusCode::CONFLICT);
    assert_eq!(
        (&refusal.body["free"], &refusal.body["of"]),
        (&json!(20), &json!(24))
    );
    assert_eq!(refusal.body["dates"], 4);
    let mut resolutions: Vec<Value> = refusal.body["alternatives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!({ "recurrence_id": one["recurrence_id"], "starts_local": one["instead"] }))
        .collect();
    resolutions[0] = json!({ "recurrence_id": "2026-03-16T18:00:00" });
    let mut resolved = wanted.clone();
    resolved["resolutions"] = json!(resolutions[..3]);
    let mut database = Database::open(&clinic).await;
    let before = database.dump().await;
    let answer = clinic.post_as(&clinic.admin, "/intents", &resolved).await;
    assert_eq!(
        (answer.status, &answer.body["dates"]),
        (StatusCode::CONFLICT, &json!(1))
    );
    resolved["resolutions"] = json!([{ "recurrence_id": "2026-03-17T18:00:00" }]);
    let answer = clinic.post_as(&clinic.admin, "/intents", &resolved).await;
    assert_eq!(answer.body["code"], "invalid_resolution", "{}", answer.body);
    assert_eq!(
        database.dump().await,
        before,
        "nothing half-booked is stored"
    );
    resolved["resolutions"] = json!(resolutions);
    let booked = clinic.post("/intents", resolved).await;
    assert_eq!(booked["exclusions"], json!(["2026-03-16T18:00:00"]));
    assert_eq!(booked["overrides"].as_array().unwrap().len(), 3);
}

/// A move takes back how far everything is planned. A time that a session has left is free.
#[tokio::test]
async fn a_date_can_be_moved_to_where_a_session_was() {
    let mondays = Mondays::open().await;
    let intent = &mondays.intent;
    let at = |at: &str| format!("/intents/{intent}/occurrences/{at}/reschedule");
    let to = |to: &str| json!({ "starts_local": to });
    let clinic = &mondays.clinic;
    clinic
        .post(&at("2026-03-09T18:00:00"), to("2026-03-10T09:00:00"))
        .await;
    clinic
        .post(&at("2026-03-16T18:00:00"), to("2026-03-05T18:00:00"))
        .await;
    clinic
        .post(&at("2026-03-23T18:00:00"), to("2026-03-09T18:00:00"))
        .await;
    let coming = mondays.coming(intent).await;
    let starts: Vec<&str> = coming.iter().map(|(at, _)| at.as_str()).collect();
    let expected = [
        "03-05T18:00",
        "03-09T18:00",
        "03-10T09:00",
        "03-30T18:00",
        "04-06T18:00",
    ];
    assert_eq!(starts, expected);
}

#[tokio::test]
async fn what_another_tz_database_computed_is_reported() {
    let mondays = Mondays::open().await;
    let clinic = &mondays.clinic;
    let report = clinic.get("/reports/tzdb").await;
    assert_eq!(
        (&report["looked_at"], &report["shifted"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(report["planned"]["release"], report["tzdb"]);
    assert_eq!(report["planned"]["replaced"], json!(null));
    assert_eq!(
        (&report["moved"], &report["messages"]),
        (&json!([]), &json!(0))
    );
    let mut database = Database::open(clinic).await;
    let earlier = match &clinic.database {
        standing::database::Database::Sqlite(_) => "starts_at - 3600000000",
        standing::database::Database::Postgres(_) => "starts_at - interval '1 hour'",
    };
    let shift = format!("UPDATE session SET starts_at = {earlier}");
    database.execute(&shift).await.unwrap();
    let report = clinic.get("/reports/tzdb").await;
    assert_eq!(report["shifted"][0]["starts_at"], "2026-03-09T17:00:00Z");
    assert_eq!(
        report["shifted"][0]["would_start_at"],
        "2026-03-09T18:00:00Z"
    );
    // A row from before wall times were stored counts as moved by hand.
    if let Database::Postgres(_) = database {
        let sql = "ALTER TABLE session DROP CONSTRAINT session_wall_time";
        database.execute(sql).await.unwrap();
    }
    let sql = "UPDATE session SET starts_local = NULL";
    database.execute(sql).await.unwrap();
    let report = clinic.get("/reports/tzdb").await;
    assert_eq!(report["shifted"], json!([]));
}

/// What the clinic has decided stays decided, and one's own change can be taken back.
#[tokio::test]
async fn others_take_back_only_their_own_changes_and_lengths_are_the_clinic_s() {
    let mondays = Mondays::open().await;
    let (clinic, intent) = (&mondays.clinic, &mondays.intent);
    let client = clinic.client_token(&mondays.parties.client).await;
    let path = |what: &str| format!("/intents/{intent}/{what}");
    mondays
        .edit(
            intent,
            "pause",
            json!({ "from": "2026-05-01", "until": "2026-05-20" }),
        )
        .await;
    let answer = clinic.post_as(&client, &path("undo"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    assert_eq!(answer.body["code"], "anothers_change");
    let rest = json!({ "from": "2026-06-01", "until": "2026-06-20" });
    let answer = clinic.post_as(&client, &path("pause"), &rest).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let answer = clinic.post_as(&client, &path("undo"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    // The one before is the clinic's again.
    let answer = clinic.post_as(&client, &path("undo"), &json!({})).await;
    assert_eq!(answer.body["code"], "anothers_change", "{}", answer.body);
    let longer = path("occurrences/2026-03-16T18:00:00/amend");
    let answer = clinic
        .post_as(&client, &longer, &json!({ "minutes": 90 }))
        .await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.body
    );
    // One more date is a booking: on a step, as a client books.
    let odd = path("occurrences/2026-03-18T10:07:00/add");
    let answer = clinic.post_as(&client, &odd, &json!({})).await;
    assert_eq!(
        answer.body["clashes"][0]["reason"], "off_step",
        "{}",
        answer.body
    );
    let even = path("occurrences/2026-03-18T10:15:00/add");
    let answer = clinic.post_as(&client, &even, &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}
