//! What is told to whom and when, and what becomes of a message that cannot be sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::StatusCode;
use clinic::notification::ATTEMPTS_MAX;
use clinic::{Message, NotificationKind, Role};
use serde_json::{Value, json};
use standing::worker::sink::{Mailbox, SendError, Sink};

use crate::clinic::{Clinic, Parties};

/// Notes what was sent, and fails as often as it is told to.
#[derive(Default)]
pub(crate) struct Recorder {
    sent: Mutex<Vec<Message>>,
    failures: Mutex<HashMap<NotificationKind, u32>>,
}

#[async_trait]
impl Sink for Recorder {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut failures = self.failures.lock().unwrap();
        if let Some(left) = failures.get_mut(&message.notification.kind)
            && *left > 0
        {
            *left -= 1;
            return Err(SendError::new("down"));
        }
        self.sent.lock().unwrap().push(message.clone());
        Ok(())
    }
}

impl Recorder {
    /// What was sent since the last time it was asked, and to whom.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        let told = sent.iter().map(|message| &message.notification);
        told.map(|told| format!("{} to {}", told.kind, told.recipient.role()))
            .collect()
    }

    fn fail(&self, kind: NotificationKind, times: u32) {
        self.failures.lock().unwrap().insert(kind, times);
    }
}

/// A funded session on Monday the 9th at 18:00, London, made on the 2nd.
pub(crate) async fn with_session() -> (Clinic, Parties, Arc<Recorder>, String) {
    let mut clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let recorder = Arc::new(Recorder::default());
    clinic.send_to(recorder.clone());
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let intent = clinic.book(&parties, "2026-03-09T18:00:00", None).await;
    clinic.jump_to("2026-03-02T18:00:00Z");
    clinic.tick().await;
    assert_eq!(recorder.kinds(), ["session_scheduled to client"]);
    let at = format!("/intents/{intent}/occurrences/2026-03-09T18:00:00");
    let session = clinic.get(&at).await["session_id"].clone();
    (
        clinic,
        parties,
        recorder,
        session.as_str().unwrap().to_owned(),
    )
}

pub(crate) async fn tick_at(clinic: &Clinic, at: &str) {
    clinic.jump_to(at);
    assert_eq!(clinic.tick().await.failed, 0);
}

#[tokio::test]
async fn a_client_is_reminded_twice_and_the_therapist_asked_once() {
    let (clinic, _, recorder, _) = with_session().await;
    for (at, told) in [
        ("2026-03-08T17:59:59Z", &[][..]),
        ("2026-03-08T18:00:00Z", &["session_reminder/1440 to client"]),
        ("2026-03-08T18:00:10Z", &[]),
        ("2026-03-09T16:59:59Z", &[]),
        ("2026-03-09T17:00:00Z", &["session_reminder/60 to client"]),
        ("2026-03-09T19:49:59Z", &[]),
        ("2026-03-09T19:50:00Z", &["attendance_unknown to therapist"]),
        ("2026-03-20T00:00:00Z", &[]),
    ] {
        tick_at(&clinic, at).await;
        assert_eq!(recorder.kinds(), told, "{at}");
    }
}

#[tokio::test]
async fn silence_is_no_answer_and_the_list_waits_for_one() {
    let (clinic, parties, _, session) = with_session().await;
    let unknown = "/sessions?which=attendance_unknown";
    let listed = async |token: &str| {
        let answer = clinic.get_as(token, unknown).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["items"].as_array().unwrap().len()
    };
    assert_eq!(listed(&clinic.admin).await, 0);
    tick_at(&clinic, "2026-03-12T00:00:00Z").await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let stranger = clinic.parties().await;
    let colleague = clinic.therapist_token(&stranger.therapist).await;
    assert_eq!(listed(&clinic.admin).await, 1);
    assert_eq!(listed(&therapist).await, 1);
    assert_eq!(listed(&colleague).await, 0);
    assert_eq!(
        clinic.balance(&parties).await,
        (3, 1, 0, 0),
        "it is held still"
    );
    let complete = format!("/sessions/{session}/complete");
    let came = clinic.post_as(&therapist, &complete, &json!({})).await;
    assert_eq!(came.status, StatusCode::OK);
    assert_eq!(listed(&therapist).await, 0);
    assert_eq!(clinic.balance(&parties).await, (3, 0, 1, 0));
}

#[tokio::test]
async fn a_reschedule_voids_what_was_not_sent_and_moves_the_reminders() {
    let (clinic, _, recorder, session) = with_session().await;
    recorder.fail(NotificationKind::Reminder { minutes: 1440 }, 1);
    clinic.jump_to("2026-03-08T18:00:00Z");
    assert_eq!(clinic.tick().await.failed, 1);
    let to = json!({ "starts_local": "2026-03-11T10:00:00" });
    clinic
        .post(&format!("/sessions/{session}/reschedule"), to)
        .await;
    for (at, told) in [
        // The reminder of the old time is void when its next attempt comes.
        (
            "2026-03-08T18:05:00Z",
            &["session_rescheduled to client"][..],
        ),
        ("2026-03-09T17:00:00Z", &[]),
        ("2026-03-10T10:00:00Z", &["session_reminder/1440 to client"]),
        ("2026-03-11T09:00:00Z", &["session_reminder/60 to client"]),
    ] {
        tick_at(&clinic, at).await;
        assert_eq!(recorder.kinds(), told, "{at}");
    }
    let void = clinic.get("/messages?state=void").await;
    assert_eq!(void["items"][0]["kind"], "session_reminder/1440");
    assert_eq!(void["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancellation_voids_reminders_and_is_told() {
    let (clinic, _, recorder, session) = with_session().await;
    recorder.fail(NotificationKind::Reminder { minutes: 1440 }, 1);
    clinic.jump_to("2026-03-08T18:00:00Z");
    clinic.tick().await;
    clinic
        .post(&format!("/sessions/{session}/cancel"), json!({}))
        .await;
    tick_at(&clinic, "2026-03-08T18:05:00Z").await;
    tick_at(&clinic, "2026-03-20T00:00:00Z").await;
    assert_eq!(recorder.kinds(), ["session_cancelled to client"]);
}

#[tokio::test]
async fn after_an_outage_one_reminder_is_given_and_none_once_it_has_begun() {
    let (clinic, _, recorder, _) = with_session().await;
    tick_at(&clinic, "2026-03-09T17:30:00Z").await;
    assert_eq!(recorder.kinds(), ["session_reminder/60 to client"]);
    let (clinic, _, recorder, _) = with_session().await;
    tick_at(&clinic, "2026-03-09T18:00:00Z").await;
    assert_eq!(recorder.kinds(), [""; 0]);
    let meter = clinic
        .app
        .store
        .meter(clinic::ClinicId::FIRST)
        .await
        .unwrap();
    let missed = meter
        .iter()
        .find(|line| line.kind == "reminder_missed")
        .unwrap();
    assert_eq!((missed.commands, missed.rows), (1, 2));
}

/// What is to be told of one session, or to one person, is told in the order in which it happened,
/// however often the first of it fails.
#[tokio::test]
async fn what_fails_is_not_overtaken() {
    let (clinic, parties, recorder, session) = with_session().await;
    recorder.fail(NotificationKind::Rescheduled, 2);
    let to = json!({ "starts_local": "2026-03-11T10:00:00" });
    clinic
        .post(&format!("/sessions/{session}/reschedule"), to)
        .await;
    // Another session of the same client, and one of another client.
    clinic.book(&parties, "2026-03-07T12:00:00", None).await;
    let mut others = clinic.parties().await;
    others.therapist.clone_from(&parties.therapist);
    clinic.grant(&others, 1).await;
    let other = json!({
        "therapist_id": others.therapist, "client_id": others.client, "service_id": others.service,
        "starts_local": "2026-03-07T15:00:00", "zone": "Europe/London",
    });
    clinic.post("/intents", other).await;
    assert_eq!(clinic.tick().await.failed, 1);
    assert_eq!(
        recorder.kinds(),
        ["session_scheduled to client"],
        "the other client's"
    );
    clinic.app.clock.advance(chrono::TimeDelta::seconds(10));
    assert_eq!(clinic.tick().await.failed, 1);
    clinic.app.clock.advance(chrono::TimeDelta::seconds(10));
    assert_eq!(clinic.tick().await.failed, 0);
    assert_eq!(recorder.kinds(), [""; 0], "it waits longer each time");
    clinic.app.clock.advance(chrono::TimeDelta::seconds(10));
    assert_eq!(clinic.tick().await.failed, 0);
    let in_order = [
        "session_rescheduled to client",
        "session_scheduled to client",
    ];
    assert_eq!(recorder.kinds(), in_order);
}

#[tokio::test]
async fn a_dead_letter_is_seen_and_sent_again() {
    let (clinic, _, recorder, session) = with_session().await;
    recorder.fail(NotificationKind::Cancelled, ATTEMPTS_MAX + 1);
    clinic
        .post(&format!("/sessions/{session}/cancel"), json!({}))
        .await;
    for _ in 0..ATTEMPTS_MAX {
        assert_eq!(clinic.tick().await.failed, 1);
        clinic.app.clock.advance(chrono::TimeDelta::hours(1));
    }
    assert_eq!(clinic.tick().await.failed, 0, "nobody tries any more");
    let operator = clinic.token(Role::Operator).await;
    let dead = clinic.get_as(&operator, "/messages").await.body;
    let [message] = &dead["items"].as_array().unwrap()[..] else {
        panic!("{dead}");
    };
    assert_eq!(message["last_error"], "down");
    assert_eq!(message["attempts"], ATTEMPTS_MAX);
    let metrics = clinic.app.metrics.text();
    assert!(
        metrics.contains("standing_dead_letters_total 1"),
        "{metrics}"
    );

    let replay = format!("/messages/{}/replay", message["seq"]);
    let replayed = async || clinic.post_as(&operator, &replay, &json!({})).await;
    assert_eq!(replayed().await.body["state"], "pending");
    assert_eq!(
        replayed().await.status,
        StatusCode::OK,
        "it is pending already"
    );
    assert_eq!(
        clinic.tick().await.failed,
        1,
        "one more attempt, and it is dead again"
    );
    assert_eq!(replayed().await.body["state"], "pending");
    assert_eq!(clinic.tick().await.failed, 0);
    assert_eq!(recorder.kinds(), ["session_cancelled to client"]);
    let again = replayed().await;
    assert_eq!(
        (again.status, &again.body["code"]),
        (StatusCode::CONFLICT, &json!("not_dead"))
    );
    assert_eq!(clinic.get("/messages").await["items"], json!([]));
    // An operator sees messages and nothing of people.
    for path in [
        "/clients",
        "/intents",
        "/sessions",
        "/services",
        "/therapists",
    ] {
        let answer = clinic.get_as(&operator, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// A reminder that could not be sent in time is nothing to send any more, and nothing to forget.
#[tokio::test]
async fn a_reminder_that_comes_too_late_is_a_dead_letter() {
    let (clinic, _, recorder, _) = with_session().await;
    tick_at(&clinic, "2026-03-08T18:00:00Z").await;
    recorder.kinds();
    recorder.fail(NotificationKind::Reminder { minutes: 60 }, 100);
    clinic.jump_to("2026-03-09T17:00:00Z");
    assert_eq!(clinic.tick().await.failed, 1);
    clinic.jump_to("2026-03-09T18:00:00Z");
    clinic.tick().await;
    assert_eq!(recorder.kinds(), [""; 0]);
    let dead = clinic.get("/messages").await;
    assert_eq!(dead["items"][0]["kind"], "session_reminder/60");
    assert_eq!(dead["items"][0]["last_error"], "down");
}

#[tokio::test]
async fn a_mailbox_holds_one_file_for_each_message_however_often_it_comes() {
    let mut clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let folder = clinic.folder.path().join("mail");
    let mailbox = Mailbox::open(&folder).unwrap();
    clinic.send_to(Arc::new(mailbox.clone()));
    let parties = clinic.parties().await;
    clinic.grant(&parties, 1).await;
    clinic.book(&parties, "2026-03-03T18:00:00", None).await;
    clinic.tick().await;
    let sent = clinic::MessageState::Sent;
    let first = clinic::ClinicId::FIRST;
    let message = clinic
        .app
        .store
        .messages(first, sent, 0, 1)
        .await
        .unwrap()
        .remove(0);
    mailbox.send(&message).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(files.len(), 1);
    let file = files[0].as_ref().unwrap().path();
    let read: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(read["kind"], "session_scheduled");
    assert_eq!(read["recipient"]["id"].as_str(), Some(&*parties.client));
}
