//! A small practice for the tests: people, what they book, and the server all tests share.

use std::sync::OnceLock;

use chrono::Weekday;
use chrono::{DateTime, TimeDelta, Utc};
use clinic::{
    Cancellation, Change, Client, ClinicId, Commit, Idempotent, Journal, LateRule, Principal, Role,
    Scope, Service, Subject, Therapist, WaivedBy,
};
use ledger_core::{Account, AccountId, Money};
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, RecurrenceSet, ServiceId, SessionId, TherapistId, Zone,
};
use sqlx::ConnectOptions;
use sqlx::postgres::PgPool;
use store::{Request, Store, StoreError, Written};
use store_postgres::PostgresStore;
use store_postgres::throwaway::Cluster;
use tokio::sync::Mutex;
use uuid::Uuid;

pub(crate) const CLINIC: ClinicId = ClinicId::FIRST;

/// One server for all tests. It goes with this process.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start().unwrap())
}

/// Tests that measure or load the server do so one after the other.
pub(crate) static MEASURING: Mutex<()> = Mutex::const_new(());

/// A database of its own: the store, and the same read with plain SQL.
pub(crate) async fn open(connections: u32) -> (PostgresStore, PgPool) {
    let url = cluster().database().await.unwrap();
    let store = PostgresStore::open(&url, connections).await.unwrap();
    (store, PgPool::connect_lazy(&url).unwrap())
}

/// The same database as another process has it open.
pub(crate) async fn elsewhere(plain: &PgPool) -> PostgresStore {
    let url = plain.connect_options().to_url_lossy();
    PostgresStore::open(url.as_str(), 2).await.unwrap()
}

/// Monday noon.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn local(text: &str) -> LocalDateTime {
    text.parse().unwrap()
}

fn zone() -> Zone {
    "Europe/London".parse().unwrap()
}

pub(crate) fn therapist_id(n: u128) -> TherapistId {
    TherapistId(Uuid::from_u128(0x1000_0000 + n))
}

pub(crate) fn client_id(n: u128) -> ClientId {
    ClientId(Uuid::from_u128(0x2000_0000 + n))
}

pub(crate) const SERVICE: ServiceId = ServiceId(Uuid::from_u128(0x3000_0000));

pub(crate) fn intent_id(n: u128) -> IntentId {
    IntentId(Uuid::from_u128(0x4000_0000 + n))
}

pub(crate) fn admin() -> Principal {
    Principal {
        clinic: CLINIC,
        credential: Uuid::from_u128(1),
        role: Role::Admin,
    }
}

pub(crate) fn request() -> Request {
    Request::of(admin(), now())
}

pub(crate) fn therapist(id: TherapistId) -> Therapist {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let hours = [Mon, Tue, Wed, Thu, Fri, Sat, Sun].map(|weekday| Hours {
        weekday,
        from: 0,
        to: 1440,
    });
    Therapist {
        id,
        person: None,
        times: clinic::WorkingTimes::new(WeeklyHours::new(zone(), hours.to_vec()).unwrap()),
    }
}

pub(crate) fn client(id: ClientId, therapist: TherapistId) -> Client {
    Client {
        id,
        person: None,
        legal_hold: false,
        clear_zone: None,
        therapist: Some(therapist),
    }
}

pub(crate) fn service() -> Service {
    Service {
        id: SERVICE,
        name: "Session".to_owned(),
        minutes: 50,
        price: Money {
            minor: 9_000,
            currency: "GBP".parse().unwrap(),
        },
        notice_minutes: 24 * 60,
        cancellation: Cancellation {
            free_until_minutes: 24 * 60,
            late_cancel: LateRule::Forfeit,
            no_show: LateRule::Forfeit,
            waived_by: WaivedBy::Staff,
            grace_days: 14,
            no_show_after_minutes: 0,
        },
        slots: clinic::SlotRules::default(),
    }
}

/// An intent of one occurrence, due now.
pub(crate) fn intent(
    n: u128,
    therapist: TherapistId,
    client: ClientId,
    start: DateTime<Utc>,
) -> Intent {
    let start = LocalDateTime::from_seconds(start.timestamp()).unwrap();
    Intent {
        id: intent_id(n),
        series: intent_id(n),
        continues: None,
        state: IntentState::Active,
        therapist,
        client,
        service: SERVICE,
        set: RecurrenceSet::new(start, Zone::UTC, 50).unwrap(),
        done_through: now(),
        next_due_at: Some(now()),
        version: 1,
    }
}

/// The session of such an intent, and nothing due.
pub(crate) fn session(intent: &Intent, state: SessionState) -> Session {
    let starts_at = intent.set.start().naive().and_utc();
    Session {
        id: SessionId::of_occurrence(intent.id, intent.set.start()),
        intent: intent.id,
        recurrence_id: intent.set.start(),
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        starts_local: intent.set.start(),
        starts_at,
        ends_at: starts_at + TimeDelta::minutes(50),
        zone: intent.set.zone(),
        tzdb: scheduler_core::zone::ZoneData::installed()
            .release()
            .to_owned(),
        state,
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        version: 1,
    }
}

/// A commit about an intent.
pub(crate) fn applied(intent: IntentId, changes: Vec<Change>) -> Idempotent<Commit> {
    Idempotent::Applied(Commit {
        journal: Some(Journal::new(Subject::Intent(intent), 1, "tested")),
        changes,
    })
}

/// Writes changes, whatever they are.
pub(crate) async fn put(
    store: &PostgresStore,
    changes: Vec<Change>,
) -> Result<Written, StoreError> {
    let scope = Scope::New { therapist: None };
    let decided = applied(intent_id(0), changes);
    store
        .write(&request(), scope, Box::new(|_| Ok(decided)))
        .await
}

/// The service, and so many therapists and clients. The first therapist is everybody's.
pub(crate) async fn people(store: &PostgresStore, therapists: u128, clients: u128) {
    let mut changes = vec![Change::Service(service())];
    let therapists = (0..therapists).map(|n| Change::Therapist(therapist(therapist_id(n))));
    changes.extend(therapists);
    let clients = (0..clients).map(|n| Change::Client(client(client_id(n), therapist_id(0))));
    changes.extend(clients);
    put(store, changes).await.unwrap();
}

pub(crate) fn empty_account(client: ClientId) -> Account {
    Account::open(AccountId(client.0))
}
