//! The zone data that plans the database, and what it moved.

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::zone_data::{Outcome, Planned, ZoneMove};
use sqlx::postgres::{PgConnection, PgPool};
use store::rows::{self, integer};
use store::{PAGE_MAX, Page, StoreError};
use uuid::Uuid;

use crate::locks::{Transaction, ZONE_DATA_LOCK, acquire};
use crate::rows::{Document, Instant, Local, all, execute, optional};

pub(crate) async fn generation(
    db: &mut PgConnection,
    generation: Option<u64>,
) -> Result<Option<Planned>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM zone_data WHERE $1::bigint IS NULL OR generation = $1
         ORDER BY generation DESC LIMIT 1",
    )
    .bind(generation.map(integer));
    optional(db, query, rows::zone_data).await
}

/// Waits for the planning writes under way, which share the lock; those that come later see the new
/// generation.
pub(crate) async fn take_over(pool: &PgPool, next: &Planned) -> Result<bool, StoreError> {
    let mut tx = Transaction::begin(acquire(pool).await?, &[ZONE_DATA_LOCK], None, None).await?;
    match insert(&mut tx, next).await {
        Ok(inserted) => tx.commit().await.map(|()| inserted),
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}

async fn insert(db: &mut PgConnection, next: &Planned) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO zone_data (generation, release, fingerprint, zones, since)
         SELECT $1, $2, $3, $4, $5
         WHERE $1 = 1 + (SELECT coalesce(max(generation), 0) FROM zone_data)",
    )
    .bind(integer(next.generation))
    .bind(&next.edition.release)
    .bind(next.edition.fingerprint)
    .bind(Document(rows::zones_json(&next.edition)?))
    .bind(Instant(next.since));
    Ok(execute(db, query).await? == 1)
}

pub(crate) async fn settle(
    db: &mut PgConnection,
    generation: u64,
    at: DateTime<Utc>,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE zone_data SET settled_at = $1, outcome = $2
         WHERE generation = $3 AND settled_at IS NULL
           AND generation = (SELECT max(generation) FROM zone_data)",
    )
    .bind(Instant(at))
    .bind(Document(rows::outcome_json(outcome)?))
    .bind(integer(generation));
    Ok(execute(db, query).await? == 1)
}

pub(crate) async fn moves(
    db: &mut PgConnection,
    clinic: ClinicId,
    generation: u64,
    page: Page,
) -> Result<Vec<ZoneMove>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM zone_move WHERE clinic_id = $1 AND generation = $2 AND session_id > $3
         ORDER BY session_id LIMIT $4",
    )
    .bind(clinic.0)
    .bind(integer(generation))
    .bind(page.after.unwrap_or(Uuid::nil()))
    .bind(i64::from(page.limit.min(PAGE_MAX)));
    all(db, query, rows::zone_move).await
}

pub(crate) async fn insert_move(
    db: &mut PgConnection,
    clinic: ClinicId,
    moved: &ZoneMove,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO zone_move (clinic_id, generation, session_id, intent_id, therapist_id,
         client_id, zone, starts_local, was, starts_at, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(clinic.0)
    .bind(integer(moved.generation))
    .bind(moved.session.0)
    .bind(moved.intent.0)
    .bind(moved.therapist.0)
    .bind(moved.client.0)
    .bind(moved.zone.name())
    .bind(Local(moved.starts_local))
    .bind(Instant(moved.was))
    .bind(Instant(moved.starts_at))
    .bind(moved.outcome.name());
    execute(db, query).await
}
