//! The journal, read line by line.

use clinic::ClinicId;
use clinic::journal_chain::Line;
use sqlx::sqlite::SqliteConnection;
use store::{StoreError, rows};

use crate::rows::{all, optional};

/// The last line's number. There is one writer, so no line before it is still to come.
pub(crate) async fn end(db: &mut SqliteConnection, clinic: ClinicId) -> Result<u64, StoreError> {
    let query = sqlx::query("SELECT coalesce(max(seq), 0) AS seq FROM journal WHERE clinic_id = ?");
    let end = optional(db, query.bind(clinic.0), |row| rows::number(row, "seq")).await?;
    rows::some("seq", end)
}

/// How many lines are missing before the last one: each gets the next number, and none is deleted.
pub(crate) async fn gaps(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let query = sqlx::query("SELECT max(0, coalesce(max(seq), 0) - count(*)) AS gaps FROM journal");
    let gaps = optional(db, query, |row| rows::number(row, "gaps")).await?;
    rows::some("gaps", gaps)
}

/// Lines after a number, as they are stored.
pub(crate) async fn lines(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    after: u64,
    limit: u32,
) -> Result<Vec<Line>, StoreError> {
    let query = sqlx::query(
        "SELECT seq, subject_kind, subject_id, subject_part, version, kind, actor, body, series_id, history, at,
           idempotency_key, request_hash, rows_written
         FROM journal WHERE clinic_id = ? AND seq > ? ORDER BY seq LIMIT ?",
    )
    .bind(clinic.0)
    .bind(rows::after_line(after))
    .bind(i64::from(limit));
    all(db, query, rows::journal_line).await
}
