//! The zone that a client sees times in: sealed with what else is known of them, also where an earlier
//! version has left it in the clear.

use axum::http::StatusCode;
use chrono::DateTime;
use clinic::{
    Change, Client, ClinicId, Commit, Idempotent, Journal, Person, PersonId, Scope, Subject,
};
use scheduler_core::ClientId;
use serde_json::json;
use standing::vault;
use store::Request;
use uuid::Uuid;

use crate::clinic::Clinic;
use crate::database::Database;
use crate::sealed::open;

const ZONE: &str = "Pacific/Chatham";

/// The rows of the database that name the zone. Which zones there are is no secret.
async fn naming(clinic: &Clinic) -> Vec<String> {
    let mut rows = Database::open(clinic).await.dump().await;
    rows.retain(|row| row.contains(ZONE) && !row.starts_with("zone_data"));
    rows
}

#[tokio::test]
async fn a_client_s_zone_is_sealed_and_stays_when_they_change() {
    let clinic = open().await;
    let client = json!({ "name": "Anna", "zone": ZONE });
    let shown = clinic.post("/clients", client).await;
    assert_eq!(shown["zone"], ZONE);
    let path = format!("/clients/{}", shown["id"].as_str().unwrap());
    let changed = clinic
        .post(&format!("{path}/person"), json!({ "name": "Anna B" }))
        .await;
    assert_eq!(
        (&changed["name"], &changed["zone"]),
        (&json!("Anna B"), &json!(ZONE))
    );
    assert_eq!(clinic.get(&path).await, changed);
    assert_eq!(naming(&clinic).await, [""; 0]);

    // Months are counted in it, unless the request names another.
    let service = json!({
        "name": "session", "minutes": 50, "price": { "minor": 6500, "currency": "NZD" },
    });
    let service = clinic.post("/services", service).await["id"].clone();
    let plan = json!({
        "name": "p", "service_id": service, "credits": 2,
        "price": { "minor": 13_000, "currency": "NZD" },
    });
    let plan = clinic.post("/plans", plan).await["id"].clone();
    let subscribed = clinic
        .post(&format!("{path}/subscription"), json!({ "plan_id": plan }))
        .await;
    assert_eq!(subscribed["terms"][0]["zone"], ZONE);
}

/// A client as the version before has stored them.
async fn before(clinic: &Clinic, number: u128) -> String {
    let id = ClientId(Uuid::from_u128(number));
    let person = Person::new("Anna".to_owned(), None).unwrap();
    let now = clinic.app.clock.now();
    let of = PersonId::Client(id);
    let sealed = clinic.app.vault.seal_new(ClinicId::FIRST, of, &person, now);
    let (sealed, dek, indexes) = sealed.unwrap();
    let client = Client {
        id,
        person: Some(sealed),
        legal_hold: false,
        clear_zone: Some(ZONE.parse().unwrap()),
        therapist: None,
    };
    let commit = Commit {
        journal: Some(Journal::new(Subject::Client(id), 1, "client_registered")),
        changes: vec![
            Change::NewDek(dek),
            Change::Client(client),
            Change::Indexes(of, indexes),
        ],
    };
    let decide = Box::new(move |_: &_| Ok(Idempotent::Applied(commit)));
    let request = Request::of_console(ClinicId::FIRST, now);
    let scope = Scope::New { therapist: None };
    clinic
        .app
        .store
        .write(&request, scope, decide)
        .await
        .unwrap();
    format!("/clients/{id}")
}

#[tokio::test]
async fn a_zone_in_the_clear_is_sealed_by_the_next_change_and_by_a_rotation() {
    let clinic = open().await;
    let (changed, rotated) = (before(&clinic, 1).await, before(&clinic, 2).await);
    for path in [&changed, &rotated] {
        assert_eq!(clinic.get(path).await["zone"], ZONE);
    }
    assert_eq!(naming(&clinic).await.len(), 2);
    let (vault, store) = (&clinic.app.vault, clinic.app.store.as_ref());
    let in_clear = async || {
        let checked = vault::verify(vault, store, &mut |_| ()).await.unwrap();
        assert!(checked.defects.is_empty(), "{:?}", checked.defects);
        checked.zones_in_clear
    };
    assert_eq!(in_clear().await, 2);

    let name = json!({ "name": "Anna B" });
    let shown = clinic.post(&format!("{changed}/person"), name).await;
    assert_eq!(
        (&shown["name"], &shown["zone"]),
        (&json!("Anna B"), &json!(ZONE))
    );
    assert_eq!(in_clear().await, 1);

    // Also where nobody gets another key.
    let (never, now) = (DateTime::UNIX_EPOCH, clinic.app.clock.now());
    for resealed in [1, 0] {
        let done = vault::rotate_deks(vault, store, never, now, &mut |_| ()).await;
        let done = done.unwrap();
        assert_eq!(
            (done.people, done.resealed, done.failed),
            (0, resealed, Vec::new())
        );
    }
    assert_eq!(in_clear().await, 0);
    assert_eq!(naming(&clinic).await, [""; 0]);
    for path in [&changed, &rotated] {
        assert_eq!(clinic.get(path).await["zone"], ZONE);
    }
}

#[tokio::test]
async fn who_has_no_zone_is_subscribed_in_one_that_the_request_names() {
    let clinic = open().await;
    let parties = clinic.parties().await;
    let plan = json!({
        "name": "p", "service_id": parties.service, "credits": 2,
        "price": { "minor": 13_000, "currency": "GBP" },
    });
    let plan = clinic.post("/plans", plan).await["id"].clone();
    let path = before(&clinic, 1).await;
    let mut database = Database::open(&clinic).await;
    let lost = "UPDATE client SET clear_zone = NULL";
    database.execute(lost).await.unwrap();
    assert!(clinic.get(&path).await["zone"].is_null());
    let subscription = format!("{path}/subscription");
    let unnamed = json!({ "plan_id": plan });
    let refused = clinic.post_as(&clinic.admin, &subscription, &unnamed).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.body["field"], "zone", "{}", refused.body);
    let named = json!({ "plan_id": plan, "zone": ZONE });
    let subscribed = clinic.post(&subscription, named).await;
    assert_eq!(subscribed["terms"][0]["zone"], ZONE);
    let ended = clinic.post(&format!("{subscription}/end"), json!({})).await;
    assert_eq!(ended["terms"][0]["zone"], ZONE, "{ended}");
}
