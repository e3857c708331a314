//! One writer's transaction on the file.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use store::StoreError;

use crate::rows::failed;

/// An open transaction. Whatever fails within may leave its connection in a state that nobody knows: a
/// full disk ends the transaction by itself, and not in the count that is kept beside it. So one that
/// has not ended well takes its connection with it, and the next writer opens the file anew.
pub(crate) struct Transaction {
    connection: PoolConnection<Sqlite>,
    ended: bool,
}

impl Transaction {
    /// Waits for the file's only writer, and takes the file's lock.
    pub(crate) async fn begin(writer: &SqlitePool) -> Result<Self, StoreError> {
        let connection = writer.acquire().await.map_err(failed)?;
        let mut tx = Self {
            connection,
            ended: false,
        };
        tx.run("BEGIN IMMEDIATE").await?;
        Ok(tx)
    }

    /// Makes it last.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.run("COMMIT").await?;
        self.ended = true;
        Ok(())
    }

    /// Undoes it. If that fails, the connection goes, and it with it.
    pub(crate) async fn rollback(mut self) {
        self.ended = self.run("ROLLBACK").await.is_ok();
    }

    async fn run(&mut self, what: &'static str) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(what).execute(&mut *self.connection).await;
        done.map(|_| ()).map_err(failed)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Transaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;
    use store::Store;

    /// A disk that was full for a moment, and a transaction that ended by itself: the next writer does
    /// not find what the last one left.
    #[tokio::test]
    async fn a_writer_that_failed_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clinic.db");
        SqliteStore::migrate(&file).await.unwrap();
        let store = SqliteStore::open(&file).await.unwrap();

        let mut full = Transaction::begin(&store.writer).await.unwrap();
        let pages = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *full);
        let pages: i64 = pages.await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::raw_sql(limit).execute(&mut *full).await.unwrap();
        let much = "CREATE TABLE much AS SELECT randomblob(100000) AS blob";
        let refused = sqlx::raw_sql(much).execute(&mut *full).await.unwrap_err();
        assert!(refused.to_string().contains("full"), "{refused}");
        full.rollback().await;
        store.probe_write().await.unwrap();

        let mut ended = Transaction::begin(&store.writer).await.unwrap();
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut *ended)
            .await
            .unwrap();
        assert!(ended.commit().await.is_err());
        store.probe_write().await.unwrap();

        drop(Transaction::begin(&store.writer).await.unwrap());
        store.probe_write().await.unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'much'";
        let mut reader = store.reader().await.unwrap();
        let tables: i64 = sqlx::query_scalar(tables)
            .fetch_one(&mut *reader)
            .await
            .unwrap();
        assert_eq!(tables, 0);
    }
}
