//! The store on SQLite keeps the contract, and its file refuses what must not be.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use store::Store;
use store_sqlite::SqliteStore;
use tempfile::TempDir;

async fn empty() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    (Arc::new(store), folder)
}

mod file;

store::contract_suite!(empty());

#[tokio::test]
async fn append_only_tables_refuse_changes() {
    let (store, folder) = empty().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("clinic.db"));
    let beside = SqlitePool::connect_with(options).await.unwrap();
    let execute =
        async |statement: &'static str| match sqlx::query(statement).execute(&beside).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
    store::contract::append_only_tables_refuse_changes(store, &execute).await;
    // REPLACE is a deletion under another name.
    let proven = "INSERT INTO ledger_entry SELECT clinic_id, account_id, seq + 100, 'v1/a', body,
         effective_at, recorded_at, prev_hash, hash, 'invoice/1', 'a' FROM ledger_entry LIMIT 1";
    execute(proven).await.unwrap();
    for statement in [
        "INSERT OR REPLACE INTO reason SELECT * FROM reason LIMIT 1",
        "INSERT OR REPLACE INTO journal SELECT * FROM journal LIMIT 1",
        "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry LIMIT 1",
        "INSERT OR REPLACE INTO ledger_entry SELECT clinic_id, account_id, seq + 1, key, body,
             effective_at, recorded_at, prev_hash, hash, NULL, NULL FROM ledger_entry LIMIT 1",
        "INSERT OR REPLACE INTO ledger_entry SELECT clinic_id, account_id, seq + 1, 'v1/b', body,
             effective_at, recorded_at, prev_hash, hash, proof, proof_line FROM ledger_entry
             WHERE proof IS NOT NULL",
    ] {
        let refused = execute(statement).await.unwrap_err();
        assert!(refused.contains("append_only"), "{statement}: {refused}");
    }
}
