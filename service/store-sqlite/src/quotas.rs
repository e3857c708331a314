//! What one client may have of a clinic.

use clinic::{ClinicId, Quotas};
use sqlx::sqlite::SqliteConnection;
use store::StoreError;
use store::rows::{self, quotas_json};

use crate::rows::{execute, optional};

pub(crate) async fn of(db: &mut SqliteConnection, clinic: ClinicId) -> Result<Quotas, StoreError> {
    let query = sqlx::query("SELECT * FROM quotas WHERE clinic_id = ?").bind(clinic.0);
    Ok(optional(db, query, rows::quotas).await?.unwrap_or_default())
}

pub(crate) async fn set(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    quotas: Quotas,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO quotas (clinic_id, quotas) VALUES (?, ?)
               ON CONFLICT (clinic_id) DO UPDATE SET quotas = excluded.quotas";
    let query = sqlx::query(sql).bind(clinic.0).bind(quotas_json(quotas)?);
    execute(db, query).await
}
