//! An undo takes back exactly the last thing that was done to a booking, and says what it was, or refuses.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::{IntentId, Window};
use serde_json::{Value, json};
use store::Whose;

use crate::clinic::Clinic;
use crate::series_properties::{Step, World, step};

/// What is done to a booking, its sessions included.
#[derive(Debug, Clone)]
enum Deed {
    Step(Step),
    Session(usize, &'static str),
}

const SESSION: [&str; 6] = [
    "complete",
    "no-show",
    "cancel",
    "reschedule",
    "waive",
    "reassign",
];

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => step().prop_map(Deed::Step),
        1 => (0..8_usize, prop::sample::select(&SESSION[..]))
            .prop_map(|(which, what)| Deed::Session(which, what)),
    ]
}

/// How many histories are tried: `STANDING_CASES`.
fn cases() -> u32 {
    let cases = std::env::var("STANDING_CASES").ok();
    cases.map_or(40, |cases| cases.parse().unwrap())
}

impl World {
    fn parties_window(&self) -> Window {
        let from: DateTime<Utc> = "2026-02-01T00:00:00Z".parse().unwrap();
        Window::new(from, from + TimeDelta::days(400)).unwrap()
    }

    /// What people see of the booking: every date with its state and time, and the credits.
    async fn seen(&self) -> Vec<String> {
        let window = self.parties_window();
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (from, to) = (
            day(window.start()),
            day(window.start() + TimeDelta::days(180)),
        );
        let path = format!(
            "/clients/{}/sessions?from={from}&to={to}",
            self.parties.client
        );
        let dates = self.clinic.get(&path).await;
        let line = |date: &Value| {
            let of = |name: &str| date[name].as_str().unwrap_or_default().to_owned();
            let whose = of("therapist_id") == self.other;
            let [at, state, start, end] =
                ["recurrence_id", "state", "starts_at", "ends_at"].map(of);
            format!("{at}: {state} {start} to {end}, by the other: {whose}")
        };
        let mut seen: Vec<String> = dates["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect();
        seen.push(format!("{:?}", self.clinic.balance(&self.parties).await));
        seen
    }

    /// Does something to a session, and says to which booking, if it was done.
    async fn touch(&self, which: usize, what: &str) -> Option<IntentId> {
        let client = Whose::Client(scheduler_core::ClientId(
            self.parties.client.parse().unwrap(),
        ));
        let rows =
            self.clinic
                .app
                .store
                .calendar(clinic::ClinicId::FIRST, client, self.parties_window());
        let mut sessions = rows.await.unwrap().sessions;
        sessions.sort_by_key(|one| one.starts_at);
        let session = sessions.iter().rev().nth(which)?;
        let to = session
            .starts_local
            .plus_seconds(7_200)
            .unwrap()
            .to_string();
        let (path, body) = match what {
            "reassign" => (
                format!(
                    "/intents/{}/occurrences/{}/reassign",
                    session.intent, session.recurrence_id
                ),
                json!({ "therapist_id": self.other }),
            ),
            "reschedule" => (
                format!("/sessions/{}/reschedule", session.id),
                json!({ "starts_local": to }),
            ),
            "waive" => (
                format!("/sessions/{}/waive", session.id),
                json!({ "reason": "goodwill" }),
            ),
            _ => (format!("/sessions/{}/{what}", session.id), json!({})),
        };
        let answer = self.clinic.post_as(&self.clinic.admin, &path, &body).await;
        let fine = answer.status.is_success() || answer.status.is_client_error();
        assert!(fine, "{path}: {}", answer.body);
        answer.status.is_success().then_some(session.intent)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// After every kind of command: what an undo takes back is the command, whole, or nothing.
    #[test]
    fn an_undo_is_the_inverse_of_the_last_command_or_is_refused(
        deeds in prop::collection::vec(deed(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::open().await;
            for deed in &deeds {
                if matches!(deed, Deed::Step(Step::Undo)) {
                    continue;
                }
                let before = world.seen().await;
                // A step edits the segment that goes on, or what it opens.
                let done = match deed {
                    Deed::Step(step) => match world.take(step).await {
                        true => Some(world.last().await.id),
                        false => None,
                    },
                    Deed::Session(which, what) => world.touch(*which, what).await,
                };
                let after = world.seen().await;
                let Some(booking) = done else {
                    let passes = matches!(deed, Deed::Step(Step::Pass(_) | Step::Grant(_)));
                    assert!(passes || after == before, "refused, and changed: {deed:?}");
                    continue;
                };
                if after == before {
                    continue; // it changed nothing that anybody sees
                }
                let path = format!("/intents/{booking}/undo");
                let tried = world.clinic.post_as(
                    &world.clinic.admin, &format!("{path}?dry_run=true"), &json!({}),
                ).await;
                let undone = world.clinic.post_as(&world.clinic.admin, &path, &json!({})).await;
                assert_eq!(tried.status, undone.status);
                let now = world.seen().await;
                if undone.status == StatusCode::OK {
                    assert!(matches!(deed, Deed::Step(_)), "{deed:?}: {}", undone.body);
                    let differ: Vec<_> = before.iter().zip(&now).filter(|(a, b)| a != b).collect();
                    let what = &undone.body["undone"]["event"];
                    assert!(now == before, "{deed:?} was not undone, but {what}: {differ:#?}");
                    assert_eq!(undone.body["undone"]["event"], tried.body["undone"]["event"]);
                    assert!(undone.body["undone"]["event"].is_object(), "{}", undone.body);
                } else {
                    assert_eq!(undone.status, StatusCode::CONFLICT, "{}", undone.body);
                    assert_eq!(now, after, "a refused undo changed something: {deed:?}");
                }
            }
        });
    }
}

/// A session is cancelled by mistake: the undo refuses, and an older change stays.
#[tokio::test]
async fn what_was_done_to_a_session_is_the_last_thing_that_was_done() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 5).await;
    let intent = clinic
        .book(&parties, "2026-03-04T10:00:00", Some("FREQ=WEEKLY"))
        .await;
    clinic.tick().await;
    let of = |date: &str| format!("/intents/{intent}/occurrences/{date}T10:00:00");
    clinic
        .post(&format!("{}/skip", of("2026-04-01")), json!({}))
        .await;
    clinic
        .post(&format!("{}/cancel", of("2026-03-04")), json!({}))
        .await;
    let path = format!("/intents/{intent}/undo");
    let refused = clinic.post_as(&clinic.admin, &path, &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.body["code"], "session_changed_last");
    assert_eq!(refused.body["kind"], "session_cancelled");
    assert_eq!(refused.body["recurrence_id"], "2026-03-04T10:00:00");
    assert_eq!(clinic.get(&of("2026-04-01")).await["state"], "skipped");

    let paused = json!({ "from": "2026-05-01", "until": "2026-05-20" });
    clinic
        .post(&format!("/intents/{intent}/pause"), paused)
        .await;
    let undone = clinic.post(&path, json!({})).await;
    assert_eq!(undone["undone"]["event"]["event"], "paused");
    assert_eq!(undone["pauses"], json!([]));
    let history = clinic.get(&format!("/intents/{intent}/history")).await;
    let events = history["items"].as_array().unwrap().iter();
    let events: Vec<&str> = events
        .map(|one| one["event"]["event"].as_str().unwrap())
        .collect();
    assert!(events.contains(&"session_changed"), "{events:?}");
}
