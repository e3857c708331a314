//! A clinic in a temporary database, spoken to over HTTP.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use clinic::{ClinicId, Role};
use scheduler_core::{ClientId, TherapistId};
use serde_json::{Value, json};
use standing::clock::Clock;
use standing::database::Database;
use standing::vault::{KeyFile, Vault};
use standing::worker::sink::Sink;
use standing::worker::{self, Report};
use standing::{App, random, serve};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::backend::{Backend, CONNECTIONS};

/// A running clinic, without a socket.
pub(crate) struct Clinic {
    pub(crate) app: App,
    pub(crate) admin: String,
    pub(crate) database: Database,
    pub(crate) folder: TempDir,
    router: Router,
}

/// An answer, with its body as JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
}

impl Clinic {
    /// An empty clinic in which it is `at`.
    pub(crate) async fn at(at: &str) -> Self {
        Self::on(Backend::of_environment(), at).await
    }

    /// An empty clinic on a database of this kind.
    pub(crate) async fn on(backend: Backend, at: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = backend.empty(folder.path()).await;
        Self::new(folder, database, at).await
    }

    /// A clinic on an empty database that is there.
    pub(crate) async fn at_database(database: Database, at: &str) -> Self {
        Self::new(tempfile::tempdir().unwrap(), database, at).await
    }

    async fn new(folder: TempDir, database: Database, at: &str) -> Self {
        let store = database.open(CONNECTIONS).await.unwrap();
        assert!(store.take_own_clock().await.unwrap());
        let keys = folder.path().join("standing.keys");
        KeyFile::init(&keys).unwrap();
        let app = App {
            vault: Arc::new(Vault::open(&keys).unwrap()),
            ..App::new(store, Clock::starting_at(at.parse().unwrap()))
        };
        // So that no test writes the row of the zone data in its midst.
        worker::agree(&app).await;
        let router = serve::routes(app.clone());
        let mut clinic = Self {
            app,
            admin: String::new(),
            database,
            folder,
            router,
        };
        clinic.admin = clinic.token(Role::Admin).await;
        clinic
    }

    /// Another process of the service, on a database that has been served before, with its key file.
    /// It sends nothing by itself.
    pub(crate) async fn reopened(
        folder: TempDir,
        database: Database,
        keys: &Path,
        admin: &str,
        at: DateTime<Utc>,
    ) -> Self {
        let store = database.open(CONNECTIONS).await.unwrap();
        let own = folder.path().join("standing.keys");
        std::fs::copy(keys, &own).unwrap();
        let app = App {
            vault: Arc::new(Vault::open(&own).unwrap()),
            ..App::new(store, Clock::starting_at(at))
        };
        worker::agree(&app).await;
        Self {
            router: serve::routes(app.clone()),
            app,
            admin: admin.to_owned(),
            database,
            folder,
        }
    }

    /// Its messages go there from now on.
    pub(crate) fn send_to(&mut self, sink: Arc<dyn Sink>) {
        self.app.sink = sink;
        self.router = serve::routes(self.app.clone());
    }

    pub(crate) async fn token(&self, role: Role) -> String {
        let now = self.app.clock.now();
        let secret = random::secret();
        let token = self
            .app
            .vault
            .token(ClinicId::FIRST, role, &secret, now, None);
        self.app.store.add_token(&token.unwrap()).await.unwrap();
        secret
    }

    pub(crate) async fn client_token(&self, client: &str) -> String {
        self.token(Role::Client(ClientId(client.parse().unwrap())))
            .await
    }

    pub(crate) async fn therapist_token(&self, therapist: &str) -> String {
        self.token(Role::Therapist(TherapistId(therapist.parse().unwrap())))
            .await
    }

    /// Sends a request as it stands.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&bytes)));
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// A page that is no JSON, asked for without a token or with one, and its status.
    pub(crate) async fn text(&self, token: Option<&str>, path: &str) -> (StatusCode, String) {
        let request = Request::get(path);
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        let request = Request::get(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let mut request = Request::post(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        // What brings credits names itself; each call is a request of its own.
        let brings = ["credits", "months", "adjustments", "reversals", "transfers"];
        let path_only = path.split('?').next().unwrap_or_default();
        if path_only
            .rsplit('/')
            .next()
            .is_some_and(|last| brings.contains(&last))
        {
            request = request.header("idempotency-key", random::secret());
        }
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// A GET as admin that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.get_as(&self.admin, path).await;
        assert_eq!(answer.status, StatusCode::OK, "GET {path}: {}", answer.body);
        answer.body
    }

    /// A POST as admin that must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.post_as(&self.admin, path, &body).await;
        assert!(
            answer.status.is_success(),
            "POST {path}: {} {}",
            answer.status,
            answer.body
        );
        answer.body
    }

    pub(crate) async fn tick(&self) -> Report {
        worker::tick(&self.app).await
    }

    /// Lets time pass, an hour at a time, with a tick at each.
    pub(crate) async fn pass(&self, hours: i64) {
        for _ in 0..hours {
            self.app.clock.advance(TimeDelta::hours(1));
            let report = self.tick().await;
            assert_eq!(report.failed, 0);
        }
    }

    /// Goes to an instant without a tick on the way.
    pub(crate) fn jump_to(&self, at: &str) {
        let at: DateTime<Utc> = at.parse().unwrap();
        self.app.clock.advance(at - self.app.clock.now());
    }
}

/// The parties of a booking.
pub(crate) struct Parties {
    pub(crate) therapist: String,
    pub(crate) client: String,
    pub(crate) service: String,
}

impl Clinic {
    /// A therapist who works at any time, an assigned client, and a service of 50 minutes.
    pub(crate) async fn parties(&self) -> Parties {
        let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let hours: Vec<Value> = days
            .iter()
            .map(|day| json!({ "day": day, "from": "00:00", "to": "24:00" }))
            .collect();
        let therapist = json!({ "name": "T", "zone": "Europe/London", "hours": hours });
        let therapist = self.post("/therapists", therapist).await["id"].clone();
        let client = json!({ "name": "C", "zone": "Europe/London", "therapist_id": therapist });
        let client = self.post("/clients", client).await["id"].clone();
        let service = json!({
            "name": "session", "minutes": 50, "price": { "minor": 6500, "currency": "GBP" },
        });
        let service = self.post("/services", service).await["id"].clone();
        let text = |id: Value| id.as_str().unwrap().to_owned();
        Parties {
            therapist: text(therapist),
            client: text(client),
            service: text(service),
        }
    }

    pub(crate) async fn grant(&self, parties: &Parties, amount: i64) -> Value {
        let grant = json!({
            "service_id": parties.service, "amount": amount, "source": "paid",
            "reason": "bank_transfer",
        });
        self.post(&format!("/clients/{}/credits", parties.client), grant)
            .await
    }

    /// Books and gives the intent's id.
    pub(crate) async fn book(&self, parties: &Parties, starts: &str, rule: Option<&str>) -> String {
        let intent = self.post("/intents", booking(parties, starts, rule)).await;
        intent["id"].as_str().unwrap().to_owned()
    }

    /// The balance as (available, held, used, forfeited).
    pub(crate) async fn balance(&self, parties: &Parties) -> (i64, i64, i64, i64) {
        let body = self
            .get(&format!("/clients/{}/balance", parties.client))
            .await;
        let of = |name: &str| body[name].as_i64().unwrap();
        (of("available"), of("held"), of("used"), of("forfeited"))
    }

    /// The kinds of the ledger's entries, oldest first.
    pub(crate) async fn ledger(&self, parties: &Parties) -> Vec<String> {
        let body = self
            .get(&format!("/clients/{}/ledger", parties.client))
            .await;
        let items = body["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A booking in London.
pub(crate) fn booking(parties: &Parties, starts: &str, rule: Option<&str>) -> Value {
    json!({
        "therapist_id": parties.therapist,
        "client_id": parties.client,
        "service_id": parties.service,
        "starts_local": starts,
        "zone": "Europe/London",
        "rule": rule,
    })
}
