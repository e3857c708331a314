//! The codes of a clinic's own that say why something was done.

use clinic::{ClinicId, Reason};
use sqlx::postgres::PgConnection;
use store::{StoreError, rows};

use crate::rows::{Instant, all, execute};

/// All of a clinic, by code.
pub(crate) async fn own(
    db: &mut PgConnection,
    clinic: ClinicId,
) -> Result<Vec<Reason>, StoreError> {
    let sql = "SELECT * FROM reason WHERE clinic_id = $1 ORDER BY code COLLATE \"C\"";
    all(db, sqlx::query(sql).bind(clinic.0), rows::reason).await
}

pub(crate) async fn insert(
    db: &mut PgConnection,
    clinic: ClinicId,
    new: &Reason,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO reason (clinic_id, code, added_at) VALUES ($1, $2, $3)";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(new.code.as_str())
        .bind(Instant(new.added_at));
    execute(db, query).await
}
