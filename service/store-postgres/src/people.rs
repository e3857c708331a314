//! Therapists, clients, services, and the credentials that stand for people.

use clinic::{Client, ClinicId, Principal, Service, Therapist};
use scheduler_core::{ClientId, ServiceId, TherapistId};
use sqlx::postgres::PgConnection;
use store::rows::{self, Columns};
use store::{Page, StoreError, Token};
use uuid::Uuid;

use crate::rows::{Instant, Row, all, execute, failed, optional};

pub(crate) async fn add_token(db: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    let (role, subject) = rows::role_columns(token.role);
    let insert = sqlx::query(
        "INSERT INTO token (id, clinic_id, hash, role, subject_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.id)
    .bind(token.clinic.0)
    .bind(token.hash.as_slice())
    .bind(role)
    .bind(subject)
    .bind(Instant(token.created_at));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn principal(
    db: &mut PgConnection,
    token_hash: [u8; 32],
) -> Result<Option<Principal>, StoreError> {
    let query = sqlx::query("SELECT id, clinic_id, role, subject_id FROM token WHERE hash = $1")
        .bind(token_hash.as_slice());
    optional(db, query, rows::principal).await
}

/// The clinics that anybody has a credential for.
pub(crate) async fn clinics(db: &mut PgConnection) -> Result<Vec<ClinicId>, StoreError> {
    let query = sqlx::query("SELECT DISTINCT clinic_id FROM token ORDER BY clinic_id");
    all(db, query, |row| rows::id(row, "clinic_id").map(ClinicId)).await
}

pub(crate) async fn therapist(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: TherapistId,
) -> Result<Option<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::therapist).await
}

pub(crate) async fn therapists(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::therapist).await
}

pub(crate) async fn client(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: ClientId,
) -> Result<Option<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::client).await
}

pub(crate) async fn clients(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::client).await
}

pub(crate) async fn service(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: ServiceId,
) -> Result<Option<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::service).await
}

pub(crate) async fn services(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::service).await
}

/// The three parties of a booking.
pub(crate) type Parties = (Option<Therapist>, Option<Client>, Option<Service>);

/// Therapist, client and service in one round trip.
pub(crate) async fn parties(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
) -> Result<Parties, StoreError> {
    let query = sqlx::query(
        "SELECT 'therapist' AS record, id, name, zone, hours, NULL::uuid AS therapist_id,
           NULL::integer AS minutes, NULL::bigint AS price_minor, NULL AS currency,
           NULL::integer AS notice_minutes, NULL::jsonb AS cancellation
         FROM therapist WHERE clinic_id = $1 AND id = $2
         UNION ALL
         SELECT 'client', id, name, zone, NULL, therapist_id, NULL, NULL, NULL, NULL, NULL
         FROM client WHERE clinic_id = $1 AND id = $3
         UNION ALL
         SELECT 'service', id, name, NULL, NULL, NULL, minutes, price_minor, currency,
           notice_minutes, cancellation
         FROM service WHERE clinic_id = $1 AND id = $4",
    )
    .bind(clinic.0)
    .bind(therapist.0)
    .bind(client.0)
    .bind(service.0);
    let mut parties = (None, None, None);
    for row in query.fetch_all(db).await.map_err(failed)? {
        let row = Row(row);
        match rows::some("record", row.text("record")?)? {
            "therapist" => parties.0 = Some(rows::therapist(&row)?),
            "client" => parties.1 = Some(rows::client(&row)?),
            _ => parties.2 = Some(rows::service(&row)?),
        }
    }
    Ok(parties)
}

/// The row of a clinic with this id.
pub(crate) async fn one<T>(
    db: &mut PgConnection,
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
    db: &mut PgConnection,
    sql: &'static str,
    clinic: ClinicId,
    page: Page,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit.min(store::PAGE_MAX)));
    all(db, query, read).await
}
