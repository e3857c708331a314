//! How rows are fetched from PostgreSQL and their columns read, and what its errors mean.

use chrono::{DateTime, Utc};
use scheduler_core::LocalDateTime;
use serde::de::DeserializeOwned;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, PgValueFormat, PgValueRef,
    Postgres,
};
use sqlx::{Decode, Encode, Row as _, Type};
use store::StoreError;
use store::rows::{Columns, from_json, some};
use uuid::Uuid;

const SECOND: i64 = 1_000_000;
/// PostgreSQL counts from 2000-01-01; this is then, in microseconds since 1970-01-01.
const EPOCH: i64 = 946_684_800 * SECOND;
/// The first instant that PostgreSQL has, 4714-11-24 BC, as it counts.
const EARLIEST: i64 = -211_813_488_000 * SECOND;

/// An instant as TIMESTAMPTZ: microseconds. What is before all that PostgreSQL knows is its
/// `-infinity`, which compares as it should and is no instant when read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

/// A wall time as TIMESTAMP: whole seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local(pub(crate) LocalDateTime);

/// A JSON text, kept as it is: nothing looks inside, and the binary form is longer.
#[derive(Debug)]
pub(crate) struct Document<T>(pub(crate) T);

/// Any integer column.
struct Integer(i64);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(1184)) // timestamptz
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.timestamp_micros().saturating_sub(EPOCH);
        let micros = if micros < EARLIEST { i64::MIN } else { micros };
        Encode::<Postgres>::encode(micros, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Instant {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = binary_micros(value)?;
        let instant = micros
            .checked_add(EPOCH)
            .and_then(DateTime::from_timestamp_micros);
        instant.map(Self).ok_or_else(|| "out of range".into())
    }
}

impl Type<Postgres> for Local {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(1114)) // timestamp
    }
}

impl Encode<'_, Postgres> for Local {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0.seconds() * SECOND - EPOCH, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Local {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = binary_micros(value)?.checked_add(EPOCH);
        let seconds = micros.filter(|micros| micros % SECOND == 0);
        let local = seconds.and_then(|micros| LocalDateTime::from_seconds(micros / SECOND));
        local.map(Self).ok_or_else(|| "out of range".into())
    }
}

fn binary_micros(value: PgValueRef<'_>) -> Result<i64, BoxDynError> {
    match value.format() {
        PgValueFormat::Binary => Decode::<Postgres>::decode(value),
        PgValueFormat::Text => Err("only the binary form is read".into()),
    }
}

impl<T> Type<Postgres> for Document<T> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(114)) // json
    }
}

impl Encode<'_, Postgres> for Document<String> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Document<&'r str> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(std::str::from_utf8(value.as_bytes()?)?))
    }
}

impl Type<Postgres> for Integer {
    fn type_info() -> PgTypeInfo {
        <i64 as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <i64 as Type<Postgres>>::compatible(ty) || <i32 as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for Integer {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Decode::<Postgres>::decode(value).map(Self)
    }
}

/// A row of PostgreSQL's.
pub(crate) struct Row(pub(crate) PgRow);

/// A query with its values bound.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// Every row of a query, as `read` reads them.
pub(crate) async fn all<T>(
    db: &mut PgConnection,
    query: Query<'_>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = query.fetch_all(db).await.map_err(failed)?;
    rows.into_iter().map(|row| read(&Row(row))).collect()
}

/// The row of a query, if there is one.
pub(crate) async fn optional<T>(
    db: &mut PgConnection,
    query: Query<'_>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let row = query.fetch_optional(db).await.map_err(failed)?;
    row.map(|row| read(&Row(row))).transpose()
}

/// How many rows a statement inserted, updated or deleted.
pub(crate) async fn execute(
    db: &mut PgConnection,
    statement: Query<'_>,
) -> Result<u64, StoreError> {
    Ok(statement.execute(db).await.map_err(failed)?.rows_affected())
}

/// A change of a row that the decision has just read changes exactly that row.
pub(crate) async fn execute_on_one(
    db: &mut PgConnection,
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
        let document: Option<Document<&str>> = get(self, column)?;
        from_json(column, some(column, document)?.0)
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
        get(self, column).map(|integer: Option<Integer>| integer.map(|integer| integer.0))
    }

    fn instant(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        get(self, column).map(|instant: Option<Instant>| instant.map(|instant| instant.0))
    }

    fn local(&self, column: &'static str) -> Result<Option<LocalDateTime>, StoreError> {
        get(self, column).map(|local: Option<Local>| local.map(|local| local.0))
    }
}

/// A column of a row. What does not decode is corrupt, not unavailable.
fn get<'r, T>(row: &'r Row, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.0
        .try_get(column)
        .map_err(|source| StoreError::corrupt(column, source))
}

/// What went wrong underneath, as the service tells it apart. The classes of SQLSTATE: 22 is a
/// value that the database cannot hold, 23 a constraint, P0001 what our triggers raise. The rest
/// may pass: lost and refused connections (08, 57P), deadlocks and serialization (40), locks and
/// statements that took too long (55P03, 57014, 25P03), too many connections (53300).
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            if code.starts_with("22") || code.starts_with("23") || code == "P0001" {
                let constraint = refusal.constraint().unwrap_or(refusal.message());
                return StoreError::Constraint {
                    constraint: constraint.to_owned(),
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
