//! A clinic that has been open for a week, as a hostile writer finds it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clinic::{ClinicId, Role};
use ledger_core::{Account, Entry};
use scheduler_core::ClientId;
use serde_json::json;
use standing::anchors::{AnchorFile, anchor};
use standing::database::Database as Location;
use standing::vault::{self, Erased, Vault};
use tempfile::TempDir;

use super::sql::keep;
use crate::backend::{copied, removed};
use crate::clinic::{Clinic, Parties};
use crate::database::Database;

use crate::plans::{pounds, text};

/// Addresses of the clients.
pub(super) const ANNA: &str = "anna@example.org";
pub(super) const DORA: &str = "dora@example.org";

/// The clinic at the end of its week, and what its people hold.
pub(super) struct Week {
    pub(super) clinic: Clinic,
    pub(super) anna: Parties,
    pub(super) dora: Parties,
    pub(super) eve: Parties,
    pub(super) anna_token: String,
    pub(super) eve_token: String,
    pub(super) anna_feed: String,
    pub(super) eve_feed: String,
    /// A therapist with whom nobody has a booking.
    pub(super) other_therapist: String,
    /// The month that Dora has paid.
    month: (String, String),
    /// A consistent copy of the last day.
    past: Location,
    _past_folder: TempDir,
}

impl Week {
    pub(super) async fn open() -> Self {
        let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
        let (anna, dora, eve, other_therapist) = people(&clinic).await;
        let plan = json!({
            "name": "four", "service_id": anna.service, "credits": 4, "price": pounds(25_000),
            "rollover": 1,
        });
        let plan = clinic.post("/plans", plan).await["id"].clone();
        // A lot of each that is used up, then a month of each.
        for (parties, starts) in [
            (&anna, "2026-03-03T10:00:00"),
            (&dora, "2026-03-03T12:00:00"),
        ] {
            clinic.grant(parties, 1).await;
            clinic.book(parties, starts, None).await;
        }
        tick_at(&clinic, "2026-03-02T09:00:00Z").await;
        tick_at(&clinic, "2026-03-03T14:00:00Z").await;
        complete_all(&clinic).await;
        let mut month = (String::new(), String::new());
        for (parties, invoice) in [(&anna, "in-1"), (&dora, "in-2")] {
            let path = format!("/clients/{}/subscription", parties.client);
            let shown = clinic.post(&path, json!({ "plan_id": plan })).await;
            let current = &shown["current"];
            month = (text(&current["starts_at"]), text(&current["ends_at"]));
            let paid = paid_month(invoice, &month);
            clinic.post(&format!("{path}/months"), paid).await;
        }
        clinic.grant(&eve, 2).await;
        let weekly = Some("FREQ=WEEKLY");
        clinic.book(&anna, "2026-03-10T18:00:00", weekly).await;
        clinic.book(&anna, "2026-03-06T10:00:00", None).await;
        clinic.book(&dora, "2026-03-04T18:00:00", weekly).await;
        clinic.book(&eve, "2026-03-05T10:00:00", weekly).await;
        tick_at(&clinic, "2026-03-03T15:00:00Z").await;
        let single = session(&clinic, &anna, "2026-03-06T10:00:00Z").await;
        clinic
            .post(&format!("/sessions/{single}/cancel"), json!({}))
            .await;
        tick_at(&clinic, "2026-03-05T20:00:00Z").await;
        complete_all(&clinic).await;
        tick_at(&clinic, "2026-03-09T08:00:00Z").await;
        for role in [Role::Operator, Role::Admin] {
            clinic.token(role).await;
        }
        let (anna_token, eve_token) = (
            clinic.client_token(&anna.client).await,
            clinic.client_token(&eve.client).await,
        );
        let feed = async |of: &Parties| {
            let opened = clinic
                .post(&format!("/clients/{}/feed", of.client), json!({}))
                .await;
            text(&opened["path"])
        };
        let (anna_feed, eve_feed) = (feed(&anna).await, feed(&eve).await);

        let mut database = Database::open(&clinic).await;
        keep(&mut database, "past").await;
        database.close().await;
        let past_folder = tempfile::tempdir().unwrap();
        let (clinic, past) = copied_beside(clinic, past_folder.path().to_owned()).await;
        let clinic = last_day(clinic, &anna, &dora, &eve).await;
        Self {
            clinic,
            anna,
            dora,
            eve,
            anna_token,
            eve_token,
            anna_feed,
            eve_feed,
            other_therapist,
            month,
            past,
            _past_folder: past_folder,
        }
    }

    /// A process on a copy of the database: as it is, or as it was.
    pub(super) async fn copy(&self, of_the_past: bool) -> Clinic {
        let folder = tempfile::tempdir().unwrap();
        let original = if of_the_past {
            &self.past
        } else {
            &self.clinic.database
        };
        let database = copied(original, folder.path()).await;
        std::fs::copy(self.anchors(), folder.path().join(ANCHORS)).unwrap();
        let keys = self.clinic.folder.path().join("standing.keys");
        let (admin, now) = (&self.clinic.admin, self.clinic.app.clock.now());
        Clinic::reopened(folder, database, &keys, admin, now).await
    }

    /// The file of anchors that the worker has kept.
    fn anchors(&self) -> PathBuf {
        self.clinic.folder.path().join(ANCHORS)
    }

    pub(super) async fn entries(&self, of: &Parties) -> Vec<Entry> {
        let client = ClientId(of.client.parse().unwrap());
        let store = self.clinic.app.store.as_ref();
        store
            .entries(ClinicId::FIRST, client, 0, 200)
            .await
            .unwrap()
    }

    pub(super) async fn account(&self, of: &Parties) -> Account {
        let client = ClientId(of.client.parse().unwrap());
        let found = self.clinic.app.store.account(ClinicId::FIRST, client).await;
        found.unwrap().unwrap()
    }

    /// The month of Dora's after the one that she has paid.
    pub(super) fn next_month(&self) -> (String, String) {
        let starts = &self.month.1;
        (starts.clone(), starts.replace("2026-04", "2026-05"))
    }

    /// Lets go of the databases, so that they can be copied.
    pub(super) async fn close(&self) {
        self.clinic.app.store.close().await;
    }

    pub(super) async fn remove(self) {
        removed(&self.clinic.database).await;
        removed(&self.past).await;
    }
}

pub(super) const ANCHORS: &str = "heads.jsonl";

/// What enters a paid month.
pub(super) fn paid_month(invoice: &str, (start, end): &(String, String)) -> serde_json::Value {
    json!({
        "starts_at": start,
        "invoice": {
            "id": invoice, "period_start": start, "period_end": end, "paid": pounds(25_000),
        },
    })
}

async fn people(clinic: &Clinic) -> (Parties, Parties, Parties, String) {
    let anna = clinic.parties().await;
    let therapist = json!({ "name": "Other", "zone": "Europe/London", "hours": [] });
    let other = text(&clinic.post("/therapists", therapist).await["id"]);
    let person = json!({ "name": "Anna", "email": "anna.before@example.org" });
    clinic
        .post(&format!("/clients/{}/person", anna.client), person)
        .await;
    let register = async |name: &str, email: &str| {
        let client = json!({
            "name": name, "email": email, "zone": "Europe/London", "therapist_id": anna.therapist,
        });
        let client = clinic.post("/clients", client).await;
        Parties {
            therapist: anna.therapist.clone(),
            client: text(&client["id"]),
            service: anna.service.clone(),
        }
    };
    let dora = register("Dora", DORA).await;
    let eve = register("Eve", "eve@example.org").await;
    (anna, dora, eve, other)
}

/// What happens after the copies of the past were made: half an hour.
async fn last_day(clinic: Clinic, anna: &Parties, dora: &Parties, eve: &Parties) -> Clinic {
    let file = clinic.folder.path().join(ANCHORS);
    let file = Arc::new(Mutex::new(AnchorFile::open(&file).unwrap()));
    let (store, clock) = (clinic.app.store.clone(), clinic.app.clock.clone());
    let keep_heads = async || {
        let anchored = anchor(&*store, &file, clock.now()).await.unwrap();
        assert!(anchored.heads > 0 && anchored.defects.is_empty());
    };
    keep_heads().await;
    clinic.jump_to("2026-03-09T08:05:00Z");
    let person = json!({ "name": "Anna", "email": ANNA });
    clinic
        .post(&format!("/clients/{}/person", anna.client), person)
        .await;
    let vault = Vault::open(&clinic.folder.path().join("standing.keys")).unwrap();
    let now = clock.now();
    let rotated = vault::rotate_deks(&vault, &*store, now, now, &mut |_| ()).await;
    assert_eq!(rotated.unwrap().failed, []);
    clinic.grant(dora, 2).await;
    let held = json!({ "held": true });
    clinic
        .post(&format!("/clients/{}/legal-hold", dora.client), held)
        .await;
    clinic
        .post("/reasons", json!({ "code": "price_change" }))
        .await;
    let erased = Erased {
        clinic: ClinicId::FIRST,
        client: ClientId(eve.client.parse().unwrap()),
        at: now,
    };
    assert!(vault::erase(&*store, erased, None).await.unwrap());
    let session = session(&clinic, anna, "2026-03-10T18:00:00Z").await;
    let moved = json!({ "starts_local": "2026-03-10T19:00:00" });
    clinic
        .post(&format!("/sessions/{session}/reschedule"), moved)
        .await;
    keep_heads().await;
    let mut database = Database::open(&clinic).await;
    keep(&mut database, "anchored").await;
    database.close().await;
    // Not anchored yet.
    clinic.grant(dora, 1).await;
    clinic
}

/// A copy of the database, and a new process on the original.
async fn copied_beside(clinic: Clinic, folder: PathBuf) -> (Clinic, Location) {
    let Clinic {
        app,
        admin,
        database,
        folder: own,
        ..
    } = clinic;
    app.store.close().await;
    let past = copied(&database, &folder).await;
    let keys = folder.join("keys");
    std::fs::copy(own.path().join("standing.keys"), &keys).unwrap();
    let clinic = Clinic::reopened(own, database, &keys, &admin, app.clock.now()).await;
    (clinic, past)
}

async fn tick_at(clinic: &Clinic, at: &str) {
    clinic.jump_to(at);
    assert_eq!(clinic.tick().await.failed, 0);
}

async fn complete_all(clinic: &Clinic) {
    let ended = clinic.get("/sessions?which=attendance_unknown").await;
    for session in ended["items"].as_array().unwrap() {
        let path = format!("/sessions/{}/complete", text(&session["session_id"]));
        clinic.post(&path, json!({})).await;
    }
}

/// The id of a client's session.
pub(super) async fn session(clinic: &Clinic, of: &Parties, starts_at: &str) -> String {
    let window = "from=2026-03-02T00:00:00Z&to=2026-03-20T00:00:00Z";
    let path = format!("/clients/{}/sessions?{window}", of.client);
    let listed = clinic.get(&path).await;
    let mut all = listed["items"].as_array().unwrap().iter();
    let found = all.find(|session| session["starts_at"] == starts_at);
    text(&found.unwrap_or_else(|| panic!("{listed}"))["session_id"])
}
