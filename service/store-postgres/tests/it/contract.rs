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
