//! The wrapped keys that people's values are sealed under, and the blind indexes that find people: what
//! backups leave out.

use clinic::{BlindIndex, ClinicId, PersonId, WrappedDek};
use sqlx::sqlite::SqliteConnection;
use store::rows;
use store::{PAGE_MAX, Page, PersonLine, StoreError};
use uuid::Uuid;

use crate::rows::{all, execute, micros, optional};

/// The keys of these people, by owner and generation.
pub(crate) async fn deks(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    owners: &[Uuid],
) -> Result<Vec<WrappedDek>, StoreError> {
    let mut found = Vec::new();
    for owner in owners {
        let query = sqlx::query(
            "SELECT * FROM dek WHERE clinic_id = ? AND owner_id = ? ORDER BY generation",
        )
        .bind(clinic.0)
        .bind(owner);
        found.extend(all(db, query, rows::dek).await?);
    }
    Ok(found)
}

/// The newest keys of people, the last one first.
pub(crate) async fn newest(
    db: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<(ClinicId, WrappedDek)>, StoreError> {
    let query = sqlx::query("SELECT * FROM dek ORDER BY created_at DESC LIMIT ?");
    let read = |row: &_| Ok((ClinicId(rows::id(row, "clinic_id")?), rows::dek(row)?));
    all(db, query.bind(i64::from(limit)), read).await
}

/// Keeps the fingerprint of a key file, if none is kept yet, and returns the one that is kept.
pub(crate) async fn keep_fingerprint(
    db: &mut SqliteConnection,
    ours: [u8; 32],
) -> Result<[u8; 32], StoreError> {
    let keep = "UPDATE deployment SET key_fingerprint = ? WHERE key_fingerprint IS NULL";
    execute(db, sqlx::query(keep).bind(ours.as_slice())).await?;
    let kept = sqlx::query("SELECT key_fingerprint FROM deployment");
    let kept = optional(db, kept, |row| rows::digest_of(row, "key_fingerprint")).await?;
    rows::some("key_fingerprint", kept)
}

/// The owners of keys, by id.
pub(crate) async fn dek_owners(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Uuid>, StoreError> {
    let query = sqlx::query(
        "SELECT DISTINCT owner_id FROM dek WHERE clinic_id = ? AND owner_id > ?
         ORDER BY owner_id LIMIT ?",
    )
    .bind(clinic.0)
    .bind(page.after.unwrap_or(Uuid::nil()))
    .bind(i64::from(page.limit.min(PAGE_MAX)));
    all(db, query, |row| rows::id(row, "owner_id")).await
}

/// A person's first key.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    dek: &WrappedDek,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO dek (clinic_id, owner_id, generation, wrapped, created_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(dek.owner)
    .bind(i64::from(dek.generation))
    .bind(&dek.wrapped)
    .bind(micros(dek.created_at));
    execute(db, query).await
}

/// The next key of a person who has one: who has none is erased.
pub(crate) async fn add(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    dek: &WrappedDek,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO dek (clinic_id, owner_id, generation, wrapped, created_at)
         SELECT clinic_id, owner_id, ?, ?, ? FROM dek
         WHERE clinic_id = ? AND owner_id = ? ORDER BY generation LIMIT 1
         ON CONFLICT DO NOTHING",
    )
    .bind(i64::from(dek.generation))
    .bind(&dek.wrapped)
    .bind(micros(dek.created_at))
    .bind(clinic.0)
    .bind(dek.owner);
    Ok(execute(db, query).await? == 1)
}

/// The same key, wrapped again, where it is still what it was.
pub(crate) async fn rewrap(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    dek: &WrappedDek,
    wrapped: &[u8],
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE dek SET wrapped = ?
         WHERE clinic_id = ? AND owner_id = ? AND generation = ? AND wrapped = ?",
    )
    .bind(wrapped)
    .bind(clinic.0)
    .bind(dek.owner)
    .bind(i64::from(dek.generation))
    .bind(&dek.wrapped);
    Ok(execute(db, query).await? == 1)
}

/// Removes keys that nothing is sealed under. What refers to one keeps it.
pub(crate) async fn drop_unused(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    owner: Uuid,
    below: u32,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "DELETE FROM dek WHERE clinic_id = ? AND owner_id = ? AND generation < ?
         AND NOT EXISTS (SELECT 1 FROM client WHERE client.clinic_id = dek.clinic_id
             AND client.id = dek.owner_id AND client.dek_generation = dek.generation)
         AND NOT EXISTS (SELECT 1 FROM therapist WHERE therapist.clinic_id = dek.clinic_id
             AND therapist.id = dek.owner_id AND therapist.dek_generation = dek.generation)",
    )
    .bind(clinic.0)
    .bind(owner)
    .bind(i64::from(below));
    execute(db, query).await
}

/// Removes all of a person's keys and indexes: nothing of theirs opens any more, and nothing finds them.
pub(crate) async fn erase(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let query = sqlx::query("DELETE FROM dek WHERE clinic_id = ? AND owner_id = ?")
        .bind(clinic.0)
        .bind(id.uuid());
    let keys = execute(db, query).await?;
    Ok(keys + set_indexes(db, clinic, id, &[]).await?)
}

/// How a person is found, by the ids of the keys.
pub(crate) async fn indexes(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<Vec<BlindIndex>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM blind_index WHERE clinic_id = ? AND role = ? AND person_id = ?
         ORDER BY generation",
    )
    .bind(clinic.0)
    .bind(id.role())
    .bind(id.uuid());
    all(db, query, rows::blind_index).await
}

/// Whether somebody is known who has no index of this generation.
pub(crate) async fn lacks_index(
    db: &mut SqliteConnection,
    generation: u32,
) -> Result<bool, StoreError> {
    for sql in [
        "SELECT 1 AS lacks FROM client WHERE sealed IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM blind_index AS b WHERE b.clinic_id = client.clinic_id
             AND b.role = 'client' AND b.person_id = client.id AND b.generation = ?) LIMIT 1",
        "SELECT 1 AS lacks FROM therapist WHERE sealed IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM blind_index AS b WHERE b.clinic_id = therapist.clinic_id
             AND b.role = 'therapist' AND b.person_id = therapist.id AND b.generation = ?) LIMIT 1",
    ] {
        let query = sqlx::query(sql).bind(i64::from(generation));
        if optional(db, query, |_| Ok(())).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts a person's indexes in the place of those there are.
pub(crate) async fn set_indexes(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
    indexes: &[BlindIndex],
) -> Result<u64, StoreError> {
    let mut rows = 0;
    for stored in self::indexes(db, clinic, id).await? {
        let stays = |one: &BlindIndex| one.generation == stored.generation;
        if !indexes.iter().any(stays) {
            let query = sqlx::query(
                "DELETE FROM blind_index
                 WHERE clinic_id = ? AND role = ? AND person_id = ? AND generation = ?",
            )
            .bind(clinic.0)
            .bind(id.role())
            .bind(id.uuid())
            .bind(i64::from(stored.generation));
            rows += execute(db, query).await?;
        }
    }
    for BlindIndex { generation, hash } in indexes {
        let query = sqlx::query(
            "INSERT INTO blind_index (clinic_id, role, person_id, generation, hash)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (clinic_id, role, person_id, generation) DO UPDATE SET hash = excluded.hash",
        )
        .bind(clinic.0)
        .bind(id.role())
        .bind(id.uuid())
        .bind(i64::from(*generation))
        .bind(hash.as_ref().map(<[u8; 32]>::as_slice));
        rows += execute(db, query).await?;
    }
    Ok(rows)
}

/// The lines of the journal about what is known of people, in order.
pub(crate) async fn person_lines(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    after: u64,
    limit: u32,
) -> Result<Vec<PersonLine>, StoreError> {
    // As `PersonLine::KINDS` has them.
    let query = sqlx::query(
        "SELECT seq, subject_id, kind, version, body FROM journal
         WHERE clinic_id = ? AND seq > ? AND kind IN ('client_registered',
           'therapist_registered', 'person_changed', 'legal_hold_changed', 'person_erased')
         ORDER BY seq LIMIT ?",
    )
    .bind(clinic.0)
    .bind(rows::integer(after))
    .bind(i64::from(limit));
    all(db, query, rows::person_line).await
}
