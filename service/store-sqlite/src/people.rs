//! Therapists, clients, services, and the credentials that stand for people.

use clinic::{Client, ClinicId, Principal, Role, Service, Therapist};
use scheduler_core::{ClientId, ServiceId, TherapistId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use store::{Page, StoreError, Token};
use uuid::Uuid;

use crate::rows::{self, failed, get, micros};

pub(crate) async fn add_token(db: &mut SqliteConnection, token: &Token) -> Result<(), StoreError> {
    let (role, subject) = match token.role {
        Role::Admin => ("admin", None),
        Role::Therapist(id) => ("therapist", Some(id.0)),
        Role::Client(id) => ("client", Some(id.0)),
    };
    sqlx::query(
        "INSERT INTO token (id, clinic_id, hash, role, subject_id, created_at)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(token.id)
    .bind(token.clinic.0)
    .bind(token.hash.as_slice())
    .bind(role)
    .bind(subject)
    .bind(micros(token.created_at))
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(())
}

pub(crate) async fn principal(
    db: &mut SqliteConnection,
    token_hash: [u8; 32],
) -> Result<Option<Principal>, StoreError> {
    let row = sqlx::query("SELECT id, clinic_id, role, subject_id FROM token WHERE hash = ?")
        .bind(token_hash.as_slice())
        .fetch_optional(db)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let role = match (get(&row, "role")?, get::<Option<Uuid>>(&row, "subject_id")?) {
        ("admin", None) => Role::Admin,
        ("therapist", Some(id)) => Role::Therapist(TherapistId(id)),
        ("client", Some(id)) => Role::Client(ClientId(id)),
        (role, _) => return Err(StoreError::corrupt("token role", role.to_owned())),
    };
    Ok(Some(Principal {
        clinic: ClinicId(get(&row, "clinic_id")?),
        credential: get(&row, "id")?,
        role,
    }))
}

pub(crate) async fn therapist(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: TherapistId,
) -> Result<Option<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::therapist).await
}

pub(crate) async fn therapists(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = ? AND id > ? ORDER BY id LIMIT ?";
    many(db, sql, clinic, page, rows::therapist).await
}

pub(crate) async fn client(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: ClientId,
) -> Result<Option<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::client).await
}

pub(crate) async fn clients(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = ? AND id > ? ORDER BY id LIMIT ?";
    many(db, sql, clinic, page, rows::client).await
}

pub(crate) async fn service(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: ServiceId,
) -> Result<Option<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::service).await
}

pub(crate) async fn services(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = ? AND id > ? ORDER BY id LIMIT ?";
    many(db, sql, clinic, page, rows::service).await
}

type FromRow<T> = fn(&SqliteRow) -> Result<T, StoreError>;

/// The row of a clinic with this id.
pub(crate) async fn one<T>(
    db: &mut SqliteConnection,
    sql: &'static str,
    clinic: ClinicId,
    id: Uuid,
    from_row: FromRow<T>,
) -> Result<Option<T>, StoreError> {
    let row = sqlx::query(sql)
        .bind(clinic.0)
        .bind(id)
        .fetch_optional(db)
        .await
        .map_err(failed)?;
    row.as_ref().map(from_row).transpose()
}

async fn many<T>(
    db: &mut SqliteConnection,
    sql: &'static str,
    clinic: ClinicId,
    page: Page,
    from_row: FromRow<T>,
) -> Result<Vec<T>, StoreError> {
    let rows = sqlx::query(sql)
        .bind(clinic.0)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(page.limit.min(store::PAGE_MAX))
        .fetch_all(db)
        .await
        .map_err(failed)?;
    rows.iter().map(from_row).collect()
}
