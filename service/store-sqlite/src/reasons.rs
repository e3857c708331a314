//! The codes of a clinic's own that say why something was done.

use clinic::{ClinicId, Reason};
use sqlx::sqlite::SqliteConnection;
use store::{StoreError, rows};

use crate::rows::{all, execute, micros};

/// All of a clinic, by code.
pub(crate) async fn own(
    db: &mut SqliteConnection,
    clinic: ClinicId,
) -> Result<Vec<Reason>, StoreError> {
    let sql = "SELECT * FROM reason WHERE clinic_id = ? ORDER BY code";
    all(db, sqlx::query(sql).bind(clinic.0), rows::reason).await
}

pub(crate) async fn insert(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    new: &Reason,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO reason (clinic_id, code, added_at) VALUES (?, ?, ?)";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(new.code.as_str())
        .bind(micros(new.added_at));
    execute(db, query).await
}
