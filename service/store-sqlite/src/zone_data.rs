//! The zone data that plans the database, and what it moved.

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::zone_data::{Outcome, Planned, ZoneMove};
use sqlx::sqlite::SqliteConnection;
use store::rows::{self, integer};
use store::{PAGE_MAX, Page, StoreError};
use uuid::Uuid;

use crate::rows::{all, execute, micros, optional};

/// Refuses a writer that computes with other zone data than the last generation; with `settled`, also
/// one that comes before everything agrees with it. Whoever writes has the write lock, so that no
/// generation follows before it commits.
pub(crate) async fn check(
    db: &mut SqliteConnection,
    ours: Option<u64>,
    settled: bool,
) -> Result<(), StoreError> {
    let Some(ours) = ours else { return Ok(()) };
    let sql = "SELECT generation, settled_at IS NOT NULL AS settled FROM zone_data
               ORDER BY generation DESC LIMIT 1";
    let last = optional(db, sqlx::query(sql), |row| {
        let generation: u64 = rows::number(row, "generation")?;
        Ok((generation, rows::number::<i64>(row, "settled")? != 0))
    });
    let (planned, is_settled) = last.await?.unwrap_or_default();
    if planned == ours && (is_settled || !settled) {
        return Ok(());
    }
    Err(StoreError::OtherZoneData { planned, ours })
}

pub(crate) async fn generation(
    db: &mut SqliteConnection,
    generation: Option<u64>,
) -> Result<Option<Planned>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM zone_data WHERE ?1 IS NULL OR generation = ?1
         ORDER BY generation DESC LIMIT 1",
    )
    .bind(generation.map(integer));
    optional(db, query, rows::zone_data).await
}

pub(crate) async fn take_over(
    db: &mut SqliteConnection,
    next: &Planned,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO zone_data (generation, release, fingerprint, zones, since)
         SELECT ?1, ?2, ?3, ?4, ?5
         WHERE ?1 = 1 + (SELECT coalesce(max(generation), 0) FROM zone_data)",
    )
    .bind(integer(next.generation))
    .bind(&next.edition.release)
    .bind(next.edition.fingerprint)
    .bind(rows::zones_json(&next.edition)?)
    .bind(micros(next.since));
    Ok(execute(db, query).await? == 1)
}

pub(crate) async fn settle(
    db: &mut SqliteConnection,
    generation: u64,
    at: DateTime<Utc>,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE zone_data SET settled_at = ?, outcome = ?
         WHERE generation = ? AND settled_at IS NULL
           AND generation = (SELECT max(generation) FROM zone_data)",
    )
    .bind(micros(at))
    .bind(rows::outcome_json(outcome)?)
    .bind(integer(generation));
    Ok(execute(db, query).await? == 1)
}

pub(crate) async fn moves(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    generation: u64,
    page: Page,
) -> Result<Vec<ZoneMove>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM zone_move WHERE clinic_id = ? AND generation = ? AND session_id > ?
         ORDER BY session_id LIMIT ?",
    )
    .bind(clinic.0)
    .bind(integer(generation))
    .bind(page.after.unwrap_or(Uuid::nil()))
    .bind(page.limit.min(PAGE_MAX));
    all(db, query, rows::zone_move).await
}

pub(crate) async fn insert_move(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    moved: &ZoneMove,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO zone_move (clinic_id, generation, session_id, intent_id, therapist_id,
         client_id, zone, starts_local, was, starts_at, outcome)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(integer(moved.generation))
    .bind(moved.session.0)
    .bind(moved.intent.0)
    .bind(moved.therapist.0)
    .bind(moved.client.0)
    .bind(moved.zone.name())
    .bind(moved.starts_local.seconds())
    .bind(micros(moved.was))
    .bind(micros(moved.starts_at))
    .bind(moved.outcome.name());
    execute(db, query).await
}
