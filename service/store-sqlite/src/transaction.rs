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
