//! How rows are fetched from SQLite and their columns read, and what its errors mean.

use chrono::{DateTime, Utc};
use scheduler_core::LocalDateTime;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Decode, Row as _, Type};
use store::StoreError;
use store::rows::{Columns, from_json, some};
use uuid::Uuid;

/// An instant as SQLite has it: microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A row of SQLite's.
pub(crate) struct Row(pub(crate) SqliteRow);

/// A query with its values bound.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Every row of a query, as `read` reads them.
pub(crate) async fn all<T>(
    db: &mut SqliteConnection,
    query: Query<'_>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = query.fetch_all(db).await.map_err(failed)?;
    rows.into_iter().map(|row| read(&Row(row))).collect()
}

/// The row of a query, if there is one.
pub(crate) async fn optional<T>(
    db: &mut SqliteConnection,
    query: Query<'_>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let row = query.fetch_optional(db).await.map_err(failed)?;
    row.map(|row| read(&Row(row))).transpose()
}

/// How many rows a statement inserted, updated or deleted.
pub(crate) async fn execute(
    db: &mut SqliteConnection,
    statement: Query<'_>,
) -> Result<u64, StoreError> {
    Ok(statement.execute(db).await.map_err(failed)?.rows_affected())
}

/// A change of a row that the decision has just read changes exactly that row.
pub(crate) async fn execute_on_one(
    db: &mut SqliteConnection,
    statement: Query<'_>,
) -> Result<u64, StoreError> {
    match execute(db, statement).await? {
        1 => Ok(1),
        rows => Err(StoreError::corrupt(
            "row",
            format!("{rows} rows changed instead of one"),
        )),
    }
}

impl Columns for Row {
    fn text(&self, column: &'static str) -> Result<Option<&str>, StoreError> {
        get(self, column)
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        from_json(column, some(column, self.text(column)?)?)
    }

    fn bytes(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
        get(self, column)
    }

    fn id(&self, column: &'static str) -> Result<Option<Uuid>, StoreError> {
        get(self, column)
    }

    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        get(self, column).and_then(|flag| some(column, flag))
    }

    fn integer(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        get(self, column)
    }

    fn instant(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let micros = self.integer(column)?;
        let instant = |micros| {
            DateTime::from_timestamp_micros(micros)
                .ok_or_else(|| StoreError::corrupt(column, "out of range"))
        };
        micros.map(instant).transpose()
    }

    fn local(&self, column: &'static str) -> Result<Option<LocalDateTime>, StoreError> {
        let seconds = self.integer(column)?;
        let local = |seconds| {
            LocalDateTime::from_seconds(seconds)
                .ok_or_else(|| StoreError::corrupt(column, "out of range"))
        };
        seconds.map(local).transpose()
    }
}

/// A column of a row. What does not decode is corrupt, not unavailable.
fn get<'r, T>(row: &'r Row, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.0
        .try_get(column)
        .map_err(|source| StoreError::corrupt(column, source))
}

/// What went wrong underneath, as the service tells it apart.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match &error {
        sqlx::Error::Database(refusal) => {
            let refused = !matches!(refusal.kind(), ErrorKind::Other);
            // RAISE(ABORT) in a trigger is SQLITE_CONSTRAINT_TRIGGER, which has no kind of its own.
            let raised = refusal.code().is_some_and(|code| code == "1811");
            if refused || raised {
                return StoreError::Constraint {
                    constraint: refusal.message().to_owned(),
                };
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            return StoreError::corrupt("row", error);
        }
        _ => {}
    }
    StoreError::Unavailable(Box::new(error))
}
