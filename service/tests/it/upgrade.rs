//! A database and a key file of the version before credentials had MACs and indexes a table.

use clinic::{ClinicId, Person, PersonId};
use crypto_core::KeyId;
use scheduler_core::ClientId;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use standing::database::Database as Location;
use standing::random;
use standing::vault::{self, Ensured, KeyFile, Vault};
use uuid::Uuid;

use crate::backend::{Backend, CONNECTIONS, cluster};
use crate::database::Database;

static SQLITE: Migrator = sqlx::migrate!("store-sqlite/migrations");
static POSTGRES: Migrator = sqlx::migrate!("store-postgres/migrations");

fn of_version_2(all: &Migrator) -> Migrator {
    let older = all.iter().filter(|one| one.version <= 2);
    Migrator::with_migrations(older.cloned().collect())
}

#[tokio::test]
async fn people_stay_and_tokens_go() {
    let folder = tempfile::tempdir().unwrap();
    let location = match Backend::of_environment() {
        Backend::Sqlite => {
            let file = folder.path().join("clinic.db");
            let options = SqliteConnectOptions::new().filename(&file);
            let pool = SqlitePool::connect_with(options.create_if_missing(true)).await;
            let pool = pool.unwrap();
            of_version_2(&SQLITE).run(&pool).await.unwrap();
            pool.close().await;
            Location::Sqlite(file)
        }
        Backend::Postgres => {
            let cluster = cluster().await;
            let mut server = Database::at(&Location::Postgres(cluster.url("postgres"))).await;
            server
                .execute("CREATE DATABASE of_version_2")
                .await
                .unwrap();
            let url = cluster.url("of_version_2");
            let pool = PgPool::connect(&url).await.unwrap();
            of_version_2(&POSTGRES).run(&pool).await.unwrap();
            pool.close().await;
            Location::Postgres(url)
        }
    };

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
    let bytes = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match location {
            Location::Sqlite(_) => format!("X'{hex}'"),
            Location::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    };
    let uuid = |id: Uuid| match location {
        Location::Sqlite(_) => bytes(id.as_bytes()),
        Location::Postgres(_) => format!("'{id}'"),
    };
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
             legal_hold, zone) VALUES ({clinic}, {client}, {envelope}, 1, 1, {index}, false, 'UTC')"
        ),
        format!(
            "INSERT INTO token (id, clinic_id, hash, role, created_at)
             VALUES ({client}, {clinic}, {hash}, 'admin', {since})"
        ),
        format!("INSERT INTO feed VALUES ({clinic}, 'client', {client}, {hash})"),
    ] {
        database.execute(&insert).await.unwrap();
    }

    assert_eq!(location.migrate().await.unwrap(), 5);
    let store = location.open(CONNECTIONS).await.unwrap();
    let store = store.as_ref();
    assert!(store.take_own_clock().await.unwrap());
    assert_eq!(vault.principal(store, &secret).await.unwrap(), None);
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
    let opened = vault
        .open_person(store, ClinicId::FIRST, id, found.person)
        .await
        .unwrap();
    assert!(opened == Some(person), "what is known is what was known");
    store.close().await;
}
