//! Which databases are opened, and what is said of those that are not.

use std::error::Error;

use store::OpenError;
use store_postgres::PostgresStore;

use crate::practice::{cluster, open};

#[tokio::test]
async fn a_newer_schema_is_refused_by_open_and_migrate() {
    let (store, plain) = open(1).await;
    drop(store);
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
                 execution_time) VALUES (9999, 'of the future', true, '', 0)";
    sqlx::query(newer).execute(&plain).await.unwrap();
    let (name,): (String,) = sqlx::query_as("SELECT current_database()::text")
        .fetch_one(&plain)
        .await
        .unwrap();
    let url = cluster().url(&name);
    for refused in [
        PostgresStore::open(&url, 1).await.map(|_| ()),
        PostgresStore::migrate(&url).await,
    ] {
        assert!(
            matches!(&refused, Err(OpenError::NewerSchema { found: 9999, known, .. })
                if *known == PostgresStore::schema_version()),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_database_without_schema_is_refused() {
    let refused = PostgresStore::open(&cluster().url("postgres"), 1).await;
    assert!(
        matches!(&refused, Err(OpenError::OlderSchema { found: 0, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let url = cluster().database().await.unwrap();
    PostgresStore::migrate(&url).await.unwrap();
    PostgresStore::open(&url, 1).await.unwrap();
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let there = cluster().url("nowhere");
    let (_, place) = there.split_once('@').unwrap();
    for url in [
        format!("postgres://somebody:hunter2@{place}"),
        format!("postgres://somebody@{place}&password=hunter2"),
        "postgres://somebody:hunter2@local host/x".to_owned(),
        "postgres://somebody:hunter2@localhost:notaport/x".to_owned(),
        "postgres://somebody:hunter2@localhost/x?sslmode=hope".to_owned(),
    ] {
        for refused in [
            PostgresStore::open(&url, 1).await.map(|_| ()),
            PostgresStore::migrate(&url).await,
        ] {
            let error = refused.unwrap_err();
            let mut said = format!("{error:?}");
            let mut cause: Option<&dyn Error> = Some(&error);
            while let Some(error) = cause {
                said += &format!("; {error}");
                cause = error.source();
            }
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
