//! Erasing ends what would go on: series, sessions to come, holds, tokens, the feed, messages.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use chrono::TimeDelta;
use clinic::{Change, ClinicId, Message};
use scheduler_core::ClientId;
use serde_json::json;
use standing::vault::{self, Erased};
use standing::worker::sink::{SendError, Sink};

use crate::clinic::{Clinic, Parties, booking};
use crate::database::Database;
use crate::erased::standing;
use crate::sealed::open;

/// A sink that is down: messages stay pending.
struct Down;

#[async_trait]
impl Sink for Down {
    async fn send(&self, _: &Message) -> Result<(), SendError> {
        Err(SendError::new("down"))
    }
}

/// Everything that a test counts, as it stands in the database.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    sessions: i64,
    live: i64,
    pending: i64,
    messages: i64,
    due: i64,
}

async fn counts(clinic: &Clinic, client: &str) -> Counts {
    let mut database = Database::open(clinic).await;
    let id = match &mut database {
        Database::Sqlite(_) => format!("X'{}'", client.replace('-', "")),
        Database::Postgres(_) => format!("'{client}'"),
    };
    let mut count = async |of: &str| {
        let sql = format!("SELECT count(*) FROM {of} = {id}");
        database.number(&sql).await
    };
    let live = "state IN ('scheduled', 'unfunded', 'case')";
    Counts {
        sessions: count("session WHERE client_id").await,
        live: count(&format!("session WHERE {live} AND client_id")).await,
        pending: count("outbox WHERE state = 'pending' AND recipient_id").await,
        messages: count("outbox WHERE recipient_id").await,
        due: count("intent WHERE next_due_at IS NOT NULL AND client_id").await,
    }
}

/// A client with everything that can be open: a weekly series with a moved date, one that was split, one
/// that pauses until further notice, a single booking, sessions, messages.
async fn practice(clinic: &Clinic) -> Parties {
    let parties = clinic.parties().await;
    clinic.grant(&parties, 5).await;
    let weekly = |day: &str| Some(format!("FREQ=WEEKLY;BYDAY={day}"));
    let bookings = [
        ("2026-03-03T10:00:00", weekly("TU")),
        ("2026-03-04T10:00:00", weekly("WE")),
        ("2026-03-05T10:00:00", weekly("TH")),
        ("2026-04-10T10:00:00", None),
        ("2026-03-06T10:00:00", None),
        ("2026-03-03T18:00:00", None),
    ];
    let mut ids = Vec::new();
    for (starts, rule) in &bookings {
        ids.push(clinic.book(&parties, starts, rule.as_deref()).await);
    }
    let move_it = format!(
        "/intents/{}/occurrences/2026-03-24T10:00:00/reschedule",
        ids[0]
    );
    clinic
        .post(&move_it, json!({ "starts_local": "2026-03-27T15:00:00" }))
        .await;
    // Its date is over by then, and it is still to come.
    let put_off = format!(
        "/intents/{}/occurrences/2026-03-03T18:00:00/reschedule",
        ids[5]
    );
    clinic
        .post(&put_off, json!({ "starts_local": "2026-05-05T18:00:00" }))
        .await;
    let changes = json!({ "starts_local": "2026-03-18T11:00:00" });
    let split = json!({ "at": "2026-03-18T10:00:00", "changes": changes });
    clinic
        .post(&format!("/intents/{}/split", ids[1]), split)
        .await;
    let pause = json!({ "from": "2026-04-01" });
    clinic
        .post(&format!("/intents/{}/pause", ids[2]), pause)
        .await;
    parties
}

/// The same times once more: all that is still to come of them.
fn wanted(parties: &Parties) -> Vec<serde_json::Value> {
    let weekly = |day: &str| Some(format!("FREQ=WEEKLY;BYDAY={day}"));
    let times = [
        ("2026-03-10T10:00:00", weekly("TU")),
        ("2026-03-04T10:00:00", None),
        ("2026-03-11T10:00:00", None),
        ("2026-03-18T11:00:00", weekly("WE")),
        ("2026-03-05T10:00:00", weekly("TH")),
        ("2026-03-06T10:00:00", None),
        ("2026-03-27T15:00:00", None),
        ("2026-04-10T10:00:00", None),
        ("2026-05-05T18:00:00", None),
    ];
    let booking =
        |(starts, rule): &(&str, Option<String>)| booking(parties, starts, rule.as_deref());
    times.iter().map(booking).collect()
}

fn erased(clinic: &Clinic, parties: &Parties) -> Erased {
    Erased {
        clinic: ClinicId::FIRST,
        client: ClientId(parties.client.parse().unwrap()),
        at: clinic.app.clock.now(),
    }
}

#[tokio::test]
async fn an_erased_client_s_series_sessions_tokens_and_messages_end() {
    let mut clinic = open().await;
    let parties = practice(&clinic).await;
    let token = clinic.client_token(&parties.client).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let feed = clinic
        .post(&format!("/clients/{}/feed", parties.client), json!({}))
        .await;
    let feed = feed["path"].as_str().unwrap().to_owned();
    clinic.send_to(Arc::new(Down));
    // The first session is over, and the second one is an hour away.
    for _ in 0..49 {
        clinic.app.clock.advance(TimeDelta::hours(1));
        clinic.tick().await;
    }
    let before = counts(&clinic, &parties.client).await;
    assert!(
        before.live > 3 && before.pending > 0 && before.due > 2,
        "{before:?}"
    );
    let (available, held, ..) = clinic.balance(&parties).await;
    assert_eq!((available, held), (0, 5));
    let own = format!("/clients/{}", parties.client);
    assert_eq!(clinic.get_as(&token, &own).await.status, StatusCode::OK);

    // Their hours are nobody else's to have.
    let other = json!({
        "name": "Other", "zone": "Europe/London", "therapist_id": parties.therapist,
    });
    let other = clinic.post("/clients", other).await;
    let others = Parties {
        client: other["id"].as_str().unwrap().to_owned(),
        therapist: parties.therapist.clone(),
        service: parties.service.clone(),
    };
    for wanted in wanted(&others) {
        let answer = clinic
            .post_as(&clinic.admin, "/intents?dry_run=true", &wanted)
            .await;
        assert_eq!(
            answer.status,
            StatusCode::CONFLICT,
            "{wanted}: {}",
            answer.body
        );
    }

    // Tried: it says what is open, and nothing is stored. The command's clock is the machine's, for which
    // the sessions are over.
    let (said, content) = standing(&clinic, &["erase-client", &parties.client, "--dry-run"]);
    assert!(content, "{said}");
    for part in ["would end", "would not be sent", "1 tokens"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let store = clinic.app.store.clone();
    let erased = erased(&clinic, &parties);
    let tried = vault::try_erasing(store.as_ref(), erased)
        .await
        .unwrap()
        .unwrap();
    let count = |of: &dyn Fn(&Change) -> usize| tried.changes.iter().map(of).sum::<usize>();
    let ends = count(&|change| usize::from(matches!(change, Change::Intent(_))));
    let cancels = count(&|change| usize::from(matches!(change, Change::Session(_))));
    let releases = count(&|change| match change {
        Change::Ledger { entries, .. } => entries.len(),
        _ => 0,
    });
    assert_eq!((ends, cancels, releases), (7, 4, 4));
    assert!(!clinic.folder.path().join("standing.erased").exists());
    assert_eq!(counts(&clinic, &parties.client).await, before);
    let shown = clinic.get(&own).await;
    assert_eq!(
        (&shown["erased"], &shown["name"]),
        (&json!(false), &json!("C"))
    );

    assert!(vault::erase(store.as_ref(), erased, None).await.unwrap());
    assert_eq!(
        clinic.get_as(&token, &own).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(clinic.text(None, &feed).await.0, StatusCode::NOT_FOUND);
    let path = format!("/therapists/{}", parties.therapist);
    assert_eq!(
        clinic.get_as(&therapist, &path).await.status,
        StatusCode::OK
    );
    let shown = clinic.get(&own).await;
    let cleared = (&shown["erased"], &shown["zone"], &shown["therapist_id"]);
    assert_eq!(cleared, (&json!(true), &json!(null), &json!(null)));
    let after = counts(&clinic, &parties.client).await;
    assert_eq!((after.pending, after.due), (0, 0));
    assert_eq!(
        after.messages, before.messages,
        "nobody is told that it is cancelled"
    );
    assert_eq!(
        after.live, 1,
        "the session that is over waits for its therapist"
    );
    // The held credits are back, with no grace lot beside theirs.
    assert_eq!(clinic.balance(&parties).await, (4, 1, 0, 0));
    let kinds = clinic.ledger(&parties).await;
    assert!(
        !kinds.iter().any(|kind| kind.contains("transfer")),
        "{kinds:?}"
    );
    // Nothing of theirs takes place, nor looks as if it did.
    let window = "from=2026-03-04T09:00:00Z&to=2026-06-30T00:00:00Z";
    let calendar = clinic.get(&format!("{own}/sessions?{window}")).await;
    let items = calendar["items"].as_array().unwrap();
    assert!(
        items.iter().all(|item| item["state"] == "cancelled"),
        "{calendar}"
    );
    // Nobody books for them, nor brings a series back.
    let again = booking(&parties, "2026-05-06T18:00:00", None);
    let mut attempts = vec![("/intents".to_owned(), again)];
    for intent in clinic.get("/intents").await["items"].as_array().unwrap() {
        let path = format!("/intents/{}", intent["id"].as_str().unwrap());
        attempts.push((format!("{path}/undo"), json!({})));
        let later = json!({ "starts_local": "2026-06-02T18:00:00" });
        let at = intent["starts_local"].as_str().unwrap();
        attempts.push((format!("{path}/occurrences/{at}/reschedule"), later));
        attempts.push((format!("{path}/occurrences/{at}/add"), json!({})));
    }
    for (path, body) in attempts {
        let answer = clinic.post_as(&clinic.admin, &path, &body).await;
        assert_eq!(answer.body["code"], "erased", "{path}: {}", answer.body);
    }
    // Again there is nothing to do.
    assert!(!vault::erase(store.as_ref(), erased, None).await.unwrap());

    // The series' journal is whole: it gives the series as it is.
    for intent in clinic.get("/intents").await["items"].as_array().unwrap() {
        let id = intent["id"].as_str().unwrap();
        let history = clinic.get(&format!("/intents/{id}/history")).await;
        let said = history.to_string();
        assert!(
            said.contains("ended") || said.contains("cancelled"),
            "{id}: {said}"
        );
    }

    // Months later nothing was made, nothing was told; and the hours are somebody else's to have.
    for wanted in wanted(&others) {
        let answer = clinic.post_as(&clinic.admin, "/intents", &wanted).await;
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{wanted}: {}",
            answer.body
        );
    }
    clinic.send_to(Arc::new(standing::worker::sink::Log));
    for _ in 0..13 {
        clinic.app.clock.advance(TimeDelta::days(7));
        assert_eq!(clinic.tick().await.failed, 0);
    }
    let later = counts(&clinic, &parties.client).await;
    assert_eq!(later, after);
    let audit = standing::ledger::audit(store.as_ref(), &[], |_| ()).await;
    assert!(audit.unwrap().defects.is_empty());
}

#[tokio::test]
async fn an_erased_client_s_subscription_ends_and_names_no_zone() {
    let clinic = open().await;
    let parties = clinic.parties().await;
    let plan = json!({
        "name": "p", "service_id": parties.service, "credits": 2,
        "price": { "minor": 13_000, "currency": "GBP" },
    });
    let plan = clinic.post("/plans", plan).await["id"].clone();
    let path = format!("/clients/{}/subscription", parties.client);
    clinic.post(&path, json!({ "plan_id": plan })).await;
    clinic.app.clock.advance(TimeDelta::days(3));
    let later = clinic.app.clock.now() + TimeDelta::days(40);
    let other = json!({
        "name": "q", "service_id": parties.service, "credits": 4,
        "price": { "minor": 25_000, "currency": "GBP" },
    });
    let other = clinic.post("/plans", other).await["id"].clone();
    clinic
        .post(&path, json!({ "plan_id": other, "from": later }))
        .await;
    let mut database = Database::open(&clinic).await;
    let terms = match database {
        Database::Sqlite(_) => "SELECT terms FROM subscription",
        Database::Postgres(_) => "SELECT terms::text FROM subscription",
    };
    let before = database.texts(terms).await.remove(0);
    assert!(before.contains("Europe/London"), "{before}");

    let (store, erase) = (clinic.app.store.as_ref(), erased(&clinic, &parties));
    assert!(vault::erase(store, erase, None).await.unwrap());
    let shown = clinic.get(&path).await;
    assert!(shown["current"].is_null(), "{shown}");
    let after = database.texts(terms).await.remove(0);
    let after: serde_json::Value = serde_json::from_str(&after).unwrap();
    let terms = after["data"].as_array().unwrap();
    assert_eq!(terms.len(), 2, "{after}");
    assert!(terms[1]["plan"].is_null(), "{after}");
    assert!(terms.iter().all(|term| term["zone"] == "UTC"), "{after}");
    assert!(
        !vault::erase(store, erase, None).await.unwrap(),
        "nothing is left to end"
    );
}
