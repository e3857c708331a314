//! Therapists, clients, services, and people's credentials.

use clinic::{
    Client, ClinicId, PersonId, Recipient, SealedPerson, Service, StoredSecret, Therapist,
};
use ledger_core::{Account, AccountId};
use scheduler_core::{ClientId, ServiceId, TherapistId, Zone};
use sqlx::sqlite::SqliteConnection;
use store::rows::{self, integer, json, times_json};
use store::{Feed, PAGE_MAX, Page, StoreError, Token};
use uuid::Uuid;

use crate::rows::{Row, all, execute, execute_on_one, micros, optional};

pub(crate) async fn add_token(db: &mut SqliteConnection, token: &Token) -> Result<(), StoreError> {
    let (role, subject) = rows::role_columns(token.role);
    let insert = sqlx::query(
        "INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at, ends_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(token.id)
    .bind(token.clinic.0)
    .bind(token.secret.hash.as_slice())
    .bind(token.secret.mac.as_slice())
    .bind(role)
    .bind(subject)
    .bind(micros(token.created_at))
    .bind(token.ends_at.map(micros));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn token(
    db: &mut SqliteConnection,
    hash: [u8; 32],
) -> Result<Option<Token>, StoreError> {
    let query = sqlx::query("SELECT * FROM token WHERE hash = ?").bind(hash.as_slice());
    optional(db, query, rows::token).await
}

/// Tokens of all clinics, by id.
pub(crate) async fn tokens(
    db: &mut SqliteConnection,
    page: Page,
) -> Result<Vec<Token>, StoreError> {
    let query = sqlx::query("SELECT * FROM token WHERE id > ? ORDER BY id LIMIT ?")
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit.min(PAGE_MAX)));
    all(db, query, rows::token).await
}

/// Deletes a token.
pub(crate) async fn remove_token(db: &mut SqliteConnection, id: Uuid) -> Result<bool, StoreError> {
    let query = sqlx::query("DELETE FROM token WHERE id = ?").bind(id);
    Ok(execute(db, query).await? == 1)
}

/// How many tokens somebody has.
pub(crate) async fn tokens_of(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "SELECT count(*) AS tokens FROM token
         WHERE clinic_id = ? AND role = ? AND subject_id = ?",
    )
    .bind(clinic.0)
    .bind(id.role())
    .bind(id.uuid());
    let count = optional(db, query, |row| rows::number(row, "tokens")).await?;
    rows::some("tokens", count)
}

/// Whether somebody has a feed.
pub(crate) async fn has_feed(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM feed WHERE clinic_id = ? AND subject_role = ? AND subject_id = ?",
    )
    .bind(clinic.0)
    .bind(id.role())
    .bind(id.uuid());
    Ok(optional(db, query, rows::feed).await?.is_some())
}

/// Deletes all of somebody's tokens.
pub(crate) async fn revoke(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let query =
        sqlx::query("DELETE FROM token WHERE clinic_id = ? AND role = ? AND subject_id = ?")
            .bind(clinic.0)
            .bind(id.role())
            .bind(id.uuid());
    execute(db, query).await
}

/// Puts somebody's feed behind another secret, or closes it.
pub(crate) async fn set_feed(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Recipient,
    secret: Option<&StoredSecret>,
) -> Result<u64, StoreError> {
    let query = match secret {
        Some(_) => sqlx::query(
            "INSERT INTO feed (clinic_id, subject_role, subject_id, hash, mac)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (clinic_id, subject_role, subject_id) DO UPDATE
             SET hash = excluded.hash, mac = excluded.mac",
        ),
        None => sqlx::query(
            "DELETE FROM feed WHERE clinic_id = ? AND subject_role = ? AND subject_id = ?",
        ),
    };
    let query = query.bind(clinic.0).bind(whose.role()).bind(whose.id());
    match secret {
        Some(StoredSecret { hash, mac }) => {
            let query = query.bind(hash.as_slice()).bind(mac.as_slice());
            execute(db, query).await
        }
        None => execute(db, query).await,
    }
}

/// Whose feed is behind a secret.
pub(crate) async fn feed(
    db: &mut SqliteConnection,
    hash: [u8; 32],
) -> Result<Option<Feed>, StoreError> {
    let query = sqlx::query("SELECT * FROM feed WHERE hash = ?").bind(hash.as_slice());
    optional(db, query, rows::feed).await
}

/// The clinics that have people or credentials.
pub(crate) async fn clinics(db: &mut SqliteConnection) -> Result<Vec<ClinicId>, StoreError> {
    let query = sqlx::query(
        "SELECT clinic_id FROM token UNION SELECT clinic_id FROM therapist
         UNION SELECT clinic_id FROM client ORDER BY clinic_id",
    );
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

/// Every service of a clinic.
pub(crate) async fn all_services(
    db: &mut SqliteConnection,
    clinic: ClinicId,
) -> Result<Vec<Service>, StoreError> {
    let query = sqlx::query("SELECT * FROM service WHERE clinic_id = ?").bind(clinic.0);
    all(db, query, rows::service).await
}

/// Columns of what is known of a person.
fn sealed(person: Option<&SealedPerson>) -> Sealed<'_> {
    Sealed {
        envelope: person.map(|person| person.envelope.as_slice()),
        version: person.map(|person| integer(person.version)),
        generation: person.map(|person| i64::from(person.generation)),
    }
}

struct Sealed<'a> {
    envelope: Option<&'a [u8]>,
    version: Option<i64>,
    generation: Option<i64>,
}

pub(crate) async fn insert_therapist(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    therapist: &Therapist,
) -> Result<u64, StoreError> {
    let known = sealed(therapist.person.as_ref());
    let query = sqlx::query(
        "INSERT INTO therapist (clinic_id, id, sealed, sealed_version, dek_generation,
         zone, times, times_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(therapist.id.0)
    .bind(known.envelope)
    .bind(known.version)
    .bind(known.generation)
    .bind(therapist.times.zone().name())
    .bind(times_json(&therapist.times)?)
    .bind(integer(therapist.times.version));
    execute(db, query).await
}

pub(crate) async fn update_times(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    therapist: &Therapist,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE therapist SET times = ?, times_version = ? WHERE clinic_id = ? AND id = ?",
    )
    .bind(times_json(&therapist.times)?)
    .bind(integer(therapist.times.version))
    .bind(clinic.0)
    .bind(therapist.id.0);
    execute_on_one(db, query).await
}

/// A client, with an empty account.
pub(crate) async fn insert_client(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    client: &Client,
) -> Result<u64, StoreError> {
    let known = sealed(client.person.as_ref());
    let query = sqlx::query(
        "INSERT INTO client (clinic_id, id, sealed, sealed_version, dek_generation,
         legal_hold, clear_zone, therapist_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(client.id.0)
    .bind(known.envelope)
    .bind(known.version)
    .bind(known.generation)
    .bind(client.legal_hold)
    .bind(client.clear_zone.map(Zone::name))
    .bind(client.therapist.map(|id| id.0));
    let rows = execute(db, query).await?;
    let account = Account::open(AccountId(client.id.0));
    let query = sqlx::query(
        "INSERT INTO account (clinic_id, client_id, version, snapshot) VALUES (?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(client.id.0)
    .bind(integer(account.seq()))
    .bind(json("account snapshot", &account)?);
    Ok(rows + execute(db, query).await?)
}

/// What is known of a person, in the place of the version before.
pub(crate) async fn set_person(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
    person: &SealedPerson,
) -> Result<u64, StoreError> {
    let sql = match id {
        PersonId::Therapist(_) => {
            "UPDATE therapist SET sealed = ?, sealed_version = ?, dek_generation = ?
             WHERE clinic_id = ? AND id = ? AND sealed_version = ? - 1"
        }
        PersonId::Client(_) => {
            "UPDATE client SET sealed = ?, sealed_version = ?, dek_generation = ?,
             clear_zone = NULL WHERE clinic_id = ? AND id = ? AND sealed_version = ? - 1"
        }
    };
    let known = sealed(Some(person));
    let query = sqlx::query(sql)
        .bind(known.envelope)
        .bind(known.version)
        .bind(known.generation)
        .bind(clinic.0)
        .bind(id.uuid())
        .bind(known.version);
    match execute(db, query).await? {
        1 => Ok(1),
        _ => Err(StoreError::Constraint {
            constraint: "person_version".to_owned(),
        }),
    }
}

pub(crate) async fn hold(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    client: ClientId,
    held: bool,
) -> Result<u64, StoreError> {
    let query = sqlx::query("UPDATE client SET legal_hold = ? WHERE clinic_id = ? AND id = ?")
        .bind(held)
        .bind(clinic.0)
        .bind(client.0);
    execute_on_one(db, query).await
}

/// Assigns a client to a therapist.
pub(crate) async fn assign(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    client: ClientId,
    therapist: Option<TherapistId>,
) -> Result<u64, StoreError> {
    let sql = "UPDATE client SET therapist_id = ? WHERE clinic_id = ? AND id = ?";
    let query = sqlx::query(sql)
        .bind(therapist.map(|id| id.0))
        .bind(clinic.0)
        .bind(client.0);
    execute_on_one(db, query).await
}

/// Changes the terms of a service.
pub(crate) async fn update_service(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    service: &Service,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE service SET name = ?, price_minor = ?, currency = ?, notice_minutes = ?,
         cancellation = ?, slots = ? WHERE clinic_id = ? AND id = ?",
    )
    .bind(&service.name)
    .bind(service.price.minor)
    .bind(service.price.currency.to_string())
    .bind(service.notice_minutes)
    .bind(json("cancellation", &service.cancellation)?)
    .bind(json("slots", &service.slots)?)
    .bind(clinic.0)
    .bind(service.id.0);
    execute_on_one(db, query).await
}

/// Nothing is known of them any more, and nothing finds them.
pub(crate) async fn erase(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let sql = match id {
        PersonId::Therapist(_) => {
            "UPDATE therapist SET sealed = NULL, sealed_version = NULL, dek_generation = NULL
             WHERE clinic_id = ? AND id = ?"
        }
        PersonId::Client(_) => {
            "UPDATE client SET sealed = NULL, sealed_version = NULL, dek_generation = NULL,
             clear_zone = NULL, therapist_id = NULL WHERE clinic_id = ? AND id = ?"
        }
    };
    let query = sqlx::query(sql).bind(clinic.0).bind(id.uuid());
    execute_on_one(db, query).await
}

/// The client with any of these blind indexes.
pub(crate) async fn client_by_email(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    indexes: &[[u8; 32]],
) -> Result<Option<Client>, StoreError> {
    for index in indexes {
        let query = sqlx::query(
            "SELECT client.* FROM client JOIN blind_index AS found
               ON found.clinic_id = client.clinic_id AND found.person_id = client.id
             WHERE found.clinic_id = ? AND found.role = 'client' AND found.hash = ?",
        )
        .bind(clinic.0)
        .bind(index.as_slice());
        if let Some(found) = optional(db, query, rows::client).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
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
