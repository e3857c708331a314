//! The store keeps the contract.

use std::sync::Arc;

use sqlx::PgPool;
use store::Store;

use crate::practice::open;

async fn empty() -> (Arc<dyn Store>, PgPool) {
    let (store, beside) = open(10).await;
    (Arc::new(store), beside)
}

store::contract_suite!(empty());

#[tokio::test]
async fn append_only_tables_refuse_changes() {
    let (store, beside) = empty().await;
    let execute =
        async |statement: &'static str| match sqlx::query(statement).execute(&beside).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
    store::contract::append_only_tables_refuse_changes(store, execute).await;
}

/// The list of guards is what the migrations make, no more and no less. After a migration, put what
/// this says is there into the file.
#[tokio::test]
async fn every_guard_of_a_migrated_database_is_expected() {
    let (store, _beside) = open(10).await;
    let there = store.guards().await.unwrap().join("\n") + "\n";
    let expected = include_str!("../../src/guards.txt");
    assert!(there == expected, "src/guards.txt should be:\n{there}");
}

/// A line whose commit is under way may come before the last one that is seen: nobody calls that the
/// journal's end.
#[tokio::test]
async fn the_journal_s_end_waits_for_commits_under_way() {
    let (store, beside) = open(10).await;
    let insert =
        "INSERT INTO journal (clinic_id, subject_kind, subject_id, version, kind, actor, body,
        at, rows_written) VALUES ($1, 'client', $1, 1, 'tested', 'tick', 'null', now(), 1)";
    let clinic = clinic::ClinicId::FIRST;
    let mut open = beside.begin().await.unwrap();
    sqlx::query(insert)
        .bind(clinic.0)
        .execute(&mut *open)
        .await
        .unwrap();
    sqlx::query(insert)
        .bind(clinic.0)
        .execute(&beside)
        .await
        .unwrap();
    let early = store.journal_end(clinic).await;
    assert!(
        matches!(early, Err(store::StoreError::Unavailable(_))),
        "{early:?}"
    );
    open.commit().await.unwrap();
    let end = store.journal_end(clinic).await.unwrap();
    let lines = store.journal_lines(clinic, 0, 9).await.unwrap();
    assert_eq!(
        lines.iter().map(|line| line.seq).collect::<Vec<_>>(),
        [end - 1, end]
    );
}
