//! A database and a key file of the version before credentials had MACs and indexes a table.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::{ClinicId, Person, PersonId};
use crypto_core::KeyId;
use ledger_core::{
    Account, AccountId, AmountPolicy, Checkout, Command, Credits, Expiry, Invoice, InvoiceLine,
    InvoiceStatus, Money, Plan, Purchase, Renewal, ServiceId, decide, evolve,
};
use scheduler_core::{ClientId, TherapistId, Window};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use standing::database::Database as Location;
use standing::random;
use standing::vault::{self, Ensured, KeyFile, Vault};
use store::Whose;
use uuid::Uuid;

use crate::backend::{Backend, CONNECTIONS, cluster};
use crate::database::Database;

static SQLITE: Migrator = sqlx::migrate!("store-sqlite/migrations");
static POSTGRES: Migrator = sqlx::migrate!("store-postgres/migrations");

fn until(version: i64, all: &Migrator) -> Migrator {
    let older = all.iter().filter(|one| one.version <= version);
    Migrator::with_migrations(older.cloned().collect())
}

/// An empty database of an earlier schema version.
async fn of_version(version: i64, folder: &Path) -> Location {
    match Backend::of_environment() {
        Backend::Sqlite => {
            let file = folder.join("clinic.db");
            let options = SqliteConnectOptions::new().filename(&file);
            let pool = SqlitePool::connect_with(options.create_if_missing(true)).await;
            let pool = pool.unwrap();
            until(version, &SQLITE).run(&pool).await.unwrap();
            pool.close().await;
            Location::Sqlite(file)
        }
        Backend::Postgres => {
            let cluster = cluster().await;
            let mut server = Database::at(&Location::Postgres(cluster.url("postgres"))).await;
            let name = format!("of_version_{version}");
            let create = format!("CREATE DATABASE {name}");
            server.execute(&create).await.unwrap();
            let url = cluster.url(&name);
            let pool = PgPool::connect(&url).await.unwrap();
            until(version, &POSTGRES).run(&pool).await.unwrap();
            pool.close().await;
            Location::Postgres(url)
        }
    }
}

/// Bytes and UUIDs in the SQL of a database.
fn bytes(location: &Location, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match location {
        Location::Sqlite(_) => format!("X'{hex}'"),
        Location::Postgres(_) => format!("'\\x{hex}'::bytea"),
    }
}

fn uuid(location: &Location, id: Uuid) -> String {
    match location {
        Location::Sqlite(_) => bytes(location, id.as_bytes()),
        Location::Postgres(_) => format!("'{id}'"),
    }
}

#[tokio::test]
async fn people_stay_and_tokens_go() {
    let folder = tempfile::tempdir().unwrap();
    let location = of_version(2, folder.path()).await;

    // The key file says what to do, and its keys stay as they are.
    let keys = folder.path().join("standing.keys");
    let line = |name: &str, byte: &str| format!("{name} {}\n", byte.repeat(32));
    let text = line("index", "1a") + line("1 active", "2b").trim_end();
    std::fs::write(&keys, &text).unwrap();
    #[cfg(unix)]
    {
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&keys, owner).unwrap();
    }
    let refused = Vault::open(&keys).err().unwrap().to_string();
    assert!(
        refused.contains("`standing keys init` adds it"),
        "{refused}"
    );
    assert_eq!(KeyFile::init(&keys).unwrap(), Ensured::Completed);
    let completed = std::fs::read_to_string(&keys).unwrap();
    assert!(
        completed.starts_with(&(text + "\nmac ")),
        "nothing is overwritten"
    );
    assert_eq!(KeyFile::init(&keys).unwrap(), Ensured::Whole);
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), completed);
    let vault = Vault::open(&keys).unwrap();
    assert_eq!(
        KeyFile::open(&keys).unwrap().keys().unwrap().index[0].id(),
        KeyId(1)
    );

    // A client and a token, as that version has written them.
    let id = PersonId::Client(ClientId(Uuid::from_u128(7)));
    let email = "anna@example.org";
    let person = Person::new("Anna".to_owned(), Some(email.to_owned())).unwrap();
    let now = "2026-03-02T08:00:00Z".parse().unwrap();
    let (sealed, dek, _) = vault.seal_new(ClinicId::FIRST, id, &person, now).unwrap();
    let secret = random::secret();
    let bytes = |of: &[u8]| self::bytes(&location, of);
    let uuid = |id: Uuid| self::uuid(&location, id);
    let since = match location {
        Location::Sqlite(_) => "0",
        Location::Postgres(_) => "now()",
    };
    let (clinic, client) = (uuid(ClinicId::FIRST.0), uuid(id.uuid()));
    let (wrapped, envelope) = (bytes(&dek.wrapped), bytes(&sealed.envelope));
    let (hash, index) = (bytes(&random::hash(&secret)), bytes(&[7; 32]));
    let mut database = Database::at(&location).await;
    for insert in [
        format!("INSERT INTO dek VALUES ({clinic}, {client}, 1, {wrapped}, {since})"),
        format!(
            "INSERT INTO client (clinic_id, id, sealed, sealed_version, dek_generation, email_index,
             legal_hold, zone) VALUES ({clinic}, {client}, {envelope}, 1, 1, {index}, false,
             'Europe/London')"
        ),
        format!(
            "INSERT INTO token (id, clinic_id, hash, role, created_at)
             VALUES ({client}, {clinic}, {hash}, 'admin', {since})"
        ),
        format!("INSERT INTO feed VALUES ({clinic}, 'client', {client}, {hash})"),
    ] {
        database.execute(&insert).await.unwrap();
    }

    assert_eq!(location.migrate().await.unwrap(), 12);
    let store = location.open(CONNECTIONS).await.unwrap();
    let store = store.as_ref();
    assert!(store.take_own_clock().await.unwrap());
    assert_eq!(vault.principal(store, &secret, now).await.unwrap(), None);
    assert_eq!(vault.feed(store, &secret).await.unwrap(), None);
    assert_eq!(store.clinics().await.unwrap(), [ClinicId::FIRST]);
    assert!(vault.lacks_indexes(store).await.unwrap());
    let done = vault::reindex(&vault, store, now, &mut |_| ())
        .await
        .unwrap();
    assert_eq!((done.people, done.changed, done.failed), (1, 1, Vec::new()));
    assert!(!vault.lacks_indexes(store).await.unwrap());
    let indexes = vault.indexes(ClinicId::FIRST, id, Some(email)).unwrap();
    let hashes: Vec<_> = indexes.iter().filter_map(|index| index.hash).collect();
    let found = store
        .client_by_email(ClinicId::FIRST, &hashes)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.clear_zone, "Europe/London".parse().ok());
    let opened = vault
        .open_person(store, ClinicId::FIRST, id, found.person)
        .await
        .unwrap();
    assert!(opened == Some(person), "what is known is what was known");
    store.close().await;
}

/// Grants of before proofs were kept beside them get theirs, in the spelling of today. Of two on one
/// receipt the first keeps it.
#[tokio::test]
async fn grants_keep_their_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let location = of_version(5, folder.path()).await;
    let mut database = Database::at(&location).await;
    let pounds = |minor| Money {
        minor,
        currency: "GBP".parse().unwrap(),
    };
    let service = ServiceId(Uuid::from_u128(1));
    let now = "2026-03-02T08:00:00Z".parse().unwrap();
    let month = Renewal {
        anchor: now,
        months: 1,
    };
    let month = month.period(0).unwrap();
    let long = "-".repeat(98);
    let receipts = ["R-1", "r_1.", "..", "A.:b", "cs_1AbC", &format!("{long}zz")];
    let mut commands: Vec<Command> = Vec::new();
    for receipt in receipts {
        let purchase = Purchase {
            customer: "c".parse().unwrap(),
            livemode: true,
            service,
            credits: Credits(1),
            amount: AmountPolicy::Exactly(pounds(1)),
            valid_from: now,
        };
        commands.push(purchase.grant(Checkout {
            id: receipt.parse().unwrap(),
            is_paid: true,
            customer: "c".parse().unwrap(),
            livemode: true,
            paid: pounds(1),
            charge: None,
        }));
    }
    for (item, invoice) in [
        ("a:0", "2026-0017"),
        ("a:1", "2026.0017"),
        ("A_1", "2026:0017."),
    ] {
        let plan = Plan {
            customer: "c".parse().unwrap(),
            livemode: true,
            subscription: "s".parse().unwrap(),
            item: item.parse().unwrap(),
            price: "p".parse().unwrap(),
            service,
            credits: Credits(4),
            amount: AmountPolicy::Exactly(pounds(1)),
            expiry: Expiry::PeriodEnd,
        };
        let line = InvoiceLine {
            item: Some(plan.item.clone()),
            price: Some(plan.price.clone()),
            proration: false,
            start: month.start(),
            end: month.end(),
            charge: None,
        };
        commands.push(plan.grant(
            month,
            Invoice {
                id: invoice.parse().unwrap(),
                status: InvoiceStatus::Paid,
                customer: "c".parse().unwrap(),
                livemode: true,
                subscription: Some(plan.subscription.clone()),
                reason: "subscription_cycle".parse().unwrap(),
                lines: vec![line],
                paid: pounds(1),
            },
        ));
    }
    let bytes = |of: &[u8]| self::bytes(&location, of);
    let (clinic, client) = (ClinicId::FIRST, Uuid::from_u128(7));
    let (of, whose) = (uuid(&location, clinic.0), uuid(&location, client));
    let mut account = Account::open(AccountId(client));
    let opened = serde_json::to_string(&account).unwrap();
    for insert in [
        format!(
            "INSERT INTO client (clinic_id, id, legal_hold, zone) VALUES ({of}, {whose}, false, 'UTC')"
        ),
        format!(
            "INSERT INTO account (clinic_id, client_id, version, snapshot) VALUES ({of}, {whose}, 0, '{opened}')"
        ),
    ] {
        database.execute(&insert).await.unwrap();
    }
    let mut written = Vec::new();
    for command in commands {
        // The version of then did not look for it.
        let entries = decide(&account, &[], &command, now)
            .unwrap()
            .applied()
            .unwrap();
        for entry in entries {
            account = evolve(account, &entry).unwrap();
            let at = match location {
                Location::Sqlite(_) => now.timestamp_micros().to_string(),
                Location::Postgres(_) => format!("'{now}'"),
            };
            let insert = format!(
                "INSERT INTO ledger_entry VALUES ({of}, {whose}, {}, '{}', '{}', {at}, {at}, {}, {})",
                entry.seq,
                entry.key,
                serde_json::to_string(&entry.body).unwrap(),
                bytes(&entry.prev_hash.0),
                bytes(&entry.hash.0),
            );
            database.execute(&insert).await.unwrap();
            written.push(entry);
        }
    }
    let snapshot = serde_json::to_string(&account).unwrap();
    let update = format!(
        "UPDATE account SET version = {}, snapshot = '{snapshot}'",
        account.seq()
    );
    database.execute(&update).await.unwrap();

    location.migrate().await.unwrap();
    let store = location.open(CONNECTIONS).await.unwrap();
    let stored = store
        .entries(clinic, ClientId(client), 0, 100)
        .await
        .unwrap();
    assert_eq!(stored, written);
    let mut seen = BTreeSet::new();
    for entry in &written {
        let (proof, line) = entry.proof().unwrap();
        let kept = format!(
            "SELECT count(*) FROM ledger_entry
             WHERE seq = {} AND proof = '{proof}' AND proof_line = '{line}'",
            entry.seq
        );
        let is_first = seen.insert((proof, line));
        assert_eq!(database.number(&kept).await == 1, is_first, "{}", entry.key);
    }
    assert_eq!(
        seen.len(),
        written.len() - 2,
        "R-1 and a:1 have proven twice"
    );
    let none = "SELECT count(*) FROM ledger_entry WHERE proof IS NULL";
    assert_eq!(database.number(none).await, 2);
    store.close().await;
}

/// Bookings of before it was kept when they are over get it, and those that go on for ever do not.
#[tokio::test]
async fn bookings_are_over_when_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let location = of_version(10, folder.path()).await;
    let mut database = Database::at(&location).await;
    let of = uuid(&location, ClinicId::FIRST.0);
    let id = |number: u128| uuid(&location, Uuid::from_u128(number));
    let (start, since) = match location {
        Location::Sqlite(_) => ("1772560800", "0"), // 2026-03-03T18:00:00
        Location::Postgres(_) => ("'2026-03-03T18:00:00'", "'1970-01-01T00:00:00Z'"),
    };
    let (one, times) = (id(1), r#"{"v":1,"data":{"hours":[]}}"#);
    let mut inserts = vec![
        format!(
            "INSERT INTO therapist (clinic_id, id, zone, times, times_version)
             VALUES ({of}, {one}, 'UTC', '{times}', 1)"
        ),
        format!("INSERT INTO client (clinic_id, id, legal_hold) VALUES ({of}, {one}, false)"),
        format!(
            "INSERT INTO service (clinic_id, id, name, minutes, price_minor, currency, notice_minutes,
             cancellation, slots) VALUES ({of}, {one}, 's', 50, 0, 'GBP', 0, '{{}}', '{{}}')"
        ),
    ];
    let rules = ["NULL", "'FREQ=WEEKLY'", "'FREQ=WEEKLY;COUNT=10'"];
    for (number, rule) in (10..).zip(rules) {
        let intent = id(number);
        inserts.push(format!(
            "INSERT INTO intent (clinic_id, id, series_id, state, therapist_id, client_id, service_id,
             zone, starts_local, minutes, gap, rule, deviations, kept, done_through, version)
             VALUES ({of}, {intent}, {intent}, 'active', {one}, {one}, {one}, 'UTC', {start}, 50, 'shift',
             {rule}, '{{\"v\":1,\"data\":{{}}}}', false, {since}, 1)"
        ));
    }
    for insert in inserts {
        database.execute(&insert).await.unwrap();
    }
    location.migrate().await.unwrap();
    let store = location.open(CONNECTIONS).await.unwrap();
    let read = async |from: &str| {
        let from: DateTime<Utc> = from.parse().unwrap();
        let window = Window::new(from, from + TimeDelta::days(7)).unwrap();
        let whose = Whose::Therapist(TherapistId(Uuid::from_u128(1)));
        let found = store.calendar(ClinicId::FIRST, whose, window).await;
        let found = found.unwrap().intents.into_iter();
        found
            .map(|intent| intent.id.0.as_u128())
            .collect::<Vec<_>>()
    };
    assert_eq!(read("2026-03-03T00:00:00Z").await, [10, 11, 12]);
    assert_eq!(read("2026-04-10T00:00:00Z").await, [11, 12]);
    assert_eq!(read("2026-06-01T00:00:00Z").await, [11]);
    store.close().await;
}
