//! The file: its schema, its settings, and two processes that have it open.

use std::path::Path;
use std::sync::Arc;

use clinic::{Change, Client, Commit, Idempotent, Journal, Scope, Subject, View};
use scheduler_core::ClientId;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use store::contract::Fixture;
use store::{OpenError, Store, Written};
use store_sqlite::SqliteStore;
use uuid::Uuid;

async fn beside(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(file);
    SqlitePool::connect_with(options).await.unwrap()
}

/// Where nothing can be written beside the file, it is read as it is. What SQLite keeps beside it cannot be made
/// here, as on a medium that is read-only, for a superuser too.
#[cfg(unix)]
#[tokio::test]
async fn a_file_on_a_medium_that_is_read_only_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    let clinic = Fixture::open(Arc::new(store.clone())).await;
    let before = clinic.dump().await;
    let log = folder.path().join("clinic.db-wal");
    let written = std::fs::read(&log).unwrap();
    store.close().await;
    assert!(!log.exists(), "it is merged");
    let nowhere = folder.path().join("nowhere").join("shm");
    std::os::unix::fs::symlink(nowhere, folder.path().join("clinic.db-shm")).unwrap();

    let store = SqliteStore::open(&file).await.unwrap();
    let clinic = Fixture {
        store: Arc::new(store.clone()),
        ..clinic
    };
    assert_eq!(clinic.dump().await, before);
    let refused = store.probe_write().await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("readonly"), "{cause}");

    store.close().await;
    std::fs::write(&log, written).unwrap();
    let opened = SqliteStore::open(&file).await;
    assert!(
        matches!(opened, Err(OpenError::UnmergedLog { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_schema_that_is_missing_older_or_newer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    let opened = SqliteStore::open(&file).await;
    assert!(
        matches!(opened, Err(OpenError::Missing { .. })),
        "{opened:?}"
    );
    assert!(!file.exists(), "a mistyped name must not become a database");

    std::fs::write(&file, "").unwrap();
    match SqliteStore::open(&file).await {
        Err(OpenError::OlderSchema { found, known, .. }) => assert_eq!((found, known), (0, 12)),
        other => panic!("{other:?}"),
    }
    SqliteStore::migrate(&file).await.unwrap();
    SqliteStore::migrate(&file).await.unwrap();
    SqliteStore::open(&file).await.unwrap().close().await;

    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
        execution_time) VALUES (99, 'the future', TRUE, x'00', 0)";
    sqlx::query(newer)
        .execute(&beside(&file).await)
        .await
        .unwrap();
    for refused in [
        SqliteStore::open(&file).await.map(|_| ()),
        SqliteStore::migrate(&file).await,
    ] {
        match refused {
            Err(OpenError::NewerSchema { found, known, .. }) => {
                assert_eq!((found, known), (99, 12));
            }
            other => panic!("{other:?}"),
        }
    }
    // What is not ours stays as it is.
    let others = folder.path().join("others.db");
    let other = SqliteConnectOptions::new()
        .filename(&others)
        .create_if_missing(true);
    let other = SqlitePool::connect_with(other).await.unwrap();
    sqlx::query("CREATE TABLE thing (id INTEGER)")
        .execute(&other)
        .await
        .unwrap();
    other.close().await;
    let before = std::fs::read(&others).unwrap();
    for refused in [
        SqliteStore::open(&others).await.map(|_| ()),
        SqliteStore::migrate(&others).await,
    ] {
        assert!(
            matches!(refused, Err(OpenError::Foreign { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(std::fs::read(&others).unwrap(), before);
    // A version 1 that other statements made is not this program's.
    let early = folder.path().join("early.db");
    SqliteStore::migrate(&early).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'")
        .execute(&beside(&early).await)
        .await
        .unwrap();
    for refused in [
        SqliteStore::open(&early).await.map(|_| ()),
        SqliteStore::migrate(&early).await,
    ] {
        let other = matches!(refused, Err(OpenError::OtherSchema { version: 1, .. }));
        assert!(other, "{refused:?}");
    }

    std::fs::write(
        &file,
        "this is no database, but long enough to look like one",
    )
    .unwrap();
    let opened = SqliteStore::open(&file).await;
    assert!(matches!(opened, Err(OpenError::Open { .. })), "{opened:?}");
}

#[tokio::test]
async fn tables_are_strict_and_the_journal_of_the_file_is_a_wal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let beside = beside(&file).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&beside)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0
                 AND type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'";
    let loose: Vec<String> = sqlx::query_scalar(loose).fetch_all(&beside).await.unwrap();
    assert_eq!(loose, [""; 0]);
}

/// The database and what is beside it are their owner's alone; one that an earlier version made becomes so.
#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let modes = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mode = |file: std::fs::DirEntry| file.metadata().unwrap().permissions().mode() & 0o777;
        files.map(|file| mode(file.unwrap())).collect::<Vec<_>>()
    };
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let clinic = Fixture::open(Arc::new(SqliteStore::open(&file).await.unwrap())).await;
    assert_eq!(modes(), [0o600; 3], "database, log and index of the log");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
    }
    SqliteStore::migrate(&file).await.unwrap();
    assert_eq!(modes(), [0o600; 3]);
    clinic.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_migrate_a_new_file_at_once() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clinic.db");
        let all = (0..4).map(|_| {
            let file = file.clone();
            tokio::spawn(async move { SqliteStore::migrate(&file).await })
        });
        for migrating in all.collect::<Vec<_>>() {
            migrating.await.unwrap().unwrap();
        }
        SqliteStore::open(&file).await.unwrap();
    }
}

/// Two processes write to one file as fast as they can. Each write begins with the file's lock, so
/// none fails for having begun before another ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_write_to_one_file_and_none_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let first = Arc::new(SqliteStore::open(&file).await.unwrap());
    let clinic = Arc::new(Fixture::open(first).await);
    let second: Arc<dyn Store> = Arc::new(SqliteStore::open(&file).await.unwrap());
    let mut writers = Vec::new();
    for writer in 0..4_u128 {
        let clinic = clinic.clone();
        let store = if writer % 2 == 0 {
            clinic.store.clone()
        } else {
            second.clone()
        };
        writers.push(tokio::spawn(async move {
            for number in 0..100 {
                let id = ClientId(Uuid::from_u128((writer << 64) + (number + 1)));
                let decide = move |_: &View| {
                    let client = Client {
                        id,
                        person: None,
                        legal_hold: false,
                        clear_zone: None,
                        therapist: None,
                    };
                    Ok(Idempotent::Applied(Commit {
                        journal: Some(Journal::new(Subject::Client(id), 1, "client_registered")),
                        changes: vec![Change::Client(client)],
                    }))
                };
                let scope = Scope::New { therapist: None };
                let written = store
                    .write(&clinic.request(), scope, Box::new(decide))
                    .await;
                assert!(
                    matches!(written, Ok(Written::Committed { rows: 3, .. })),
                    "{written:?}"
                );
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
