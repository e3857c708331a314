//! The triggers, constraints and unique indexes of a file, compared with what the migrations make.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnection, SqlitePoolOptions};
use store::StoreError;
use store::rows::{Columns, some};

use crate::MIGRATIONS;
use crate::rows::{all, failed};

/// The names of the tables, indexes and triggers that are missing or differ from those that the
/// migrations make. Constraints are part of their table's statement.
pub(crate) async fn missing(db: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    // One connection: each has a memory of its own.
    let fresh = SqlitePoolOptions::new().max_connections(1);
    let fresh = fresh.connect("sqlite::memory:").await.map_err(failed)?;
    let migrated = MIGRATIONS.run(&fresh).await;
    migrated.map_err(|source| StoreError::corrupt("migration", source))?;
    let expected = statements(&mut *fresh.acquire().await.map_err(failed)?).await?;
    let found = statements(db).await?;
    let missing = expected.difference(&found);
    Ok(missing.map(|(name, _)| name.clone()).collect())
}

/// What each named thing of the schema is made by.
async fn statements(db: &mut SqliteConnection) -> Result<BTreeSet<(String, String)>, StoreError> {
    let query = sqlx::query(
        "SELECT type || ' ' || name AS name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    );
    let read = |row: &_| {
        let text = |column| some(column, Columns::text(row, column)?).map(str::to_owned);
        Ok((text("name")?, text("sql")?))
    };
    Ok(all(db, query, read).await?.into_iter().collect())
}
