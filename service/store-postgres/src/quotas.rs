//! What one client may have of a clinic.

use clinic::{ClinicId, Quotas};
use sqlx::postgres::PgConnection;
use store::StoreError;
use store::rows::{self, quotas_json};

use crate::rows::{Document, execute, optional};

pub(crate) async fn of(db: &mut PgConnection, clinic: ClinicId) -> Result<Quotas, StoreError> {
    let query = sqlx::query("SELECT * FROM quotas WHERE clinic_id = $1").bind(clinic.0);
    Ok(optional(db, query, rows::quotas).await?.unwrap_or_default())
}

pub(crate) async fn set(
    db: &mut PgConnection,
    clinic: ClinicId,
    quotas: Quotas,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO quotas (clinic_id, quotas) VALUES ($1, $2)
               ON CONFLICT (clinic_id) DO UPDATE SET quotas = excluded.quotas";
    let document = Document(quotas_json(quotas)?);
    let query = sqlx::query(sql).bind(clinic.0).bind(document);
    execute(db, query).await
}
