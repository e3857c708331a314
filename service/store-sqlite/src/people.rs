//! Therapists, clients, services, and the credentials that stand for people.

use clinic::{Client, ClinicId, Principal, Service, Therapist};
use scheduler_core::{ClientId, ServiceId, TherapistId};
use sqlx::sqlite::SqliteConnection;
use store::{Page, StoreError, Token, rows};
use uuid::Uuid;

use crate::rows::{Row, all, execute, micros, optional};

pub(crate) async fn add_token(db: &mut SqliteConnection, token: &Token) -> Result<(), StoreError> {
    let (role, subject) = rows::role_columns(token.role);
    let insert = sqlx::query(
        "INSERT INTO token (id, clinic_id, hash, role, subject_id, created_at)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(token.id)
    .bind(token.clinic.0)
    .bind(token.hash.as_slice())
    .bind(role)
    .bind(subject)
    .bind(micros(token.created_at));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn principal(
    db: &mut SqliteConnection,
    token_hash: [u8; 32],
) -> Result<Option<Principal>, StoreError> {
    let query = sqlx::query("SELECT id, clinic_id, role, subject_id FROM token WHERE hash = ?")
        .bind(token_hash.as_slice());
    optional(db, query, rows::principal).await
}

/// The clinics that anybody has a credential for.
pub(crate) async fn clinics(db: &mut SqliteConnection) -> Result<Vec<ClinicId>, StoreError> {
    let query = sqlx::query("SELECT DISTINCT clinic_id FROM token ORDER BY clinic_id");
    all(db, query, |row| rows::id(row, "clinic_id").map(ClinicId)).await
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

/// The row of a clinic with this id.
pub(crate) async fn one<T>(
    db: &mut SqliteConnection,
    sql: &'static str,
    clinic: ClinicId,
    id: Uuid,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let query = sqlx::query(sql).bind(clinic.0).bind(id);
    optional(db, query, read).await
}

/// A page of a clinic's rows.
pub(crate) async fn many<T>(
    db: &mut SqliteConnection,
    sql: &'static str,
    clinic: ClinicId,
    page: Page,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(page.limit.min(store::PAGE_MAX));
    all(db, query, read).await
}
