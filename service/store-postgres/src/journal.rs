//! The journal, read line by line.

use clinic::ClinicId;
use clinic::journal_chain::Line;
use sqlx::postgres::{PgConnection, PgPool};
use store::{StoreError, rows};

use crate::locks::{Transaction, acquire};
use crate::rows::{all, failed, optional};

/// The last line's number. A line's number is given before its commit, so a line before the last may
/// still be under way. The lock waits for all writers of the journal, and holds up others for the
/// time of one query; writers that take long are not waited for.
pub(crate) async fn end(pool: &PgPool, clinic: ClinicId) -> Result<u64, StoreError> {
    let mut tx = Transaction::begin(acquire(pool).await?, &[], None, None).await?;
    let end = locked_end(&mut tx, clinic).await;
    tx.rollback().await;
    end
}

async fn locked_end(db: &mut PgConnection, clinic: ClinicId) -> Result<u64, StoreError> {
    let lock = "SET LOCAL lock_timeout = '500ms'; LOCK TABLE journal IN SHARE MODE";
    let locked = sqlx::raw_sql(lock).execute(&mut *db).await;
    locked.map_err(failed)?;
    let query =
        sqlx::query("SELECT coalesce(max(seq), 0) AS seq FROM journal WHERE clinic_id = $1");
    let end = optional(db, query.bind(clinic.0), |row| rows::number(row, "seq")).await?;
    rows::some("seq", end)
}

/// Lines after a number, as they are stored.
pub(crate) async fn lines(
    db: &mut PgConnection,
    clinic: ClinicId,
    after: u64,
    limit: u32,
) -> Result<Vec<Line>, StoreError> {
    let query = sqlx::query(
        "SELECT seq, subject_kind, subject_id, subject_part, version, kind, actor, body::text AS body, series_id,
           history::text AS history, at,
           idempotency_key, request_hash, rows_written
         FROM journal WHERE clinic_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(clinic.0)
    .bind(rows::after_line(after))
    .bind(i64::from(limit));
    all(db, query, rows::journal_line).await
}
